"""What this node last saw of the backups, in a small file of its own: how old the newest verified one is (of those that were made
with a quorum) can then be said each minute without AWS. Every look of the timer writes it (`zkboot backup --scheduled`).

`<state_dir>/backup.json`, schema 1. Instants are the store's clock, seconds since 1970. A light turn may read it: nothing dear is
imported here.
"""

import json
from typing import NamedTuple

from zkboot.zookeeper import files

SCHEMA = 1


class Seen(NamedTuple):
    """`name` is None when it is known that there was no verified backup; `as_of` is then since when that is known."""

    name: str | None
    as_of: float  # until when the backup is known to hold all that had been written
    seen: float  # the look


def path(state_dir: str) -> str:
    return f"{state_dir}/backup.json"


def read(state_dir: str) -> Seen | None:
    """None where nothing is known: no look yet, or a file that is none of ours. Raises OSError."""
    text = files.read_text(path(state_dir))
    try:
        document = json.loads(text or "")
        if document["schema"] != SCHEMA:
            return None
        name = document["name"]
        return Seen(None if name is None else str(name), float(document["as_of"]), float(document["seen"]))
    except (ValueError, LookupError, TypeError):
        return None


def write(state_dir: str, seen: Seen) -> None:
    """Raises OSError."""
    before = read(state_dir)
    if seen.name is None and before is not None and before.name is None:
        seen = seen._replace(as_of=before.as_of)
    files.make_folder(state_dir)
    files.write(path(state_dir), json.dumps({"schema": SCHEMA, **seen._asdict()}) + "\n")


def forget(state_dir: str) -> None:
    """Where backups are switched off, their age is no figure. Raises OSError."""
    files.remove(path(state_dir))
