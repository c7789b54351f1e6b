"""The journal as `journalctl --output=json` tells it, and what of it is worth keeping elsewhere.

Format: "Journal JSON Format" of systemd, and systemd.journal-fields(7).
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from zkboot import figures
from zkboot.errors import ZkbootError

METRICS = "metrics"  # the stream of what nobody reads line by line
KERNEL, SYSTEM = "kernel", "system"
OURS = ("zkboot-", "zookeeper", "cloud-")  # units of which every word counts
NOTICE, WARNING, INFO = 5, 4, 6  # syslog(3)
FIELDS = ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "UNIT", "_SYSTEMD_UNIT", "_TRANSPORT", "_PID")
PIECE = 1 << 16  # bytes


class Place(NamedTuple):
    """Where reading goes on: a cursor, and the number of that entry, which counts all that were ever written, where journald
    tells it (since systemd 254)."""

    cursor: str
    number: int = 0
    numbers: str = ""  # whose counting that is


class Entry(NamedTuple):
    """One entry: its place, the stream it belongs to ("" for none), when (milliseconds since 1970), and what it says."""

    place: Place
    stream: str
    time: int
    message: str


def stream_of(fields: Mapping[str, Any]) -> str:
    """All that zkboot, the server and cloud-init say, what systemd notes of them, and the trouble of everything else."""
    if fields.get("SYSLOG_IDENTIFIER") == figures.IDENTIFIER:
        return METRICS
    priority = _priority(fields.get("PRIORITY"))
    unit = _unit(fields.get("_SYSTEMD_UNIT"))
    if unit.startswith(OURS):
        return unit
    subject = _unit(fields.get("UNIT"))
    if fields.get("_PID") == "1" and subject.startswith(OURS):
        return subject if priority <= NOTICE else ""
    if priority > WARNING:
        return ""
    return KERNEL if fields.get("_TRANSPORT") == "kernel" else SYSTEM


def entry_of(line: bytes) -> Entry:
    """Raises ZkbootError for what is no entry."""
    try:
        fields = json.loads(line)
        place = Place(fields["__CURSOR"], int(fields.get("__SEQNUM", 0)), fields.get("__SEQNUM_ID", ""))
        return Entry(place, stream_of(fields), int(fields["__REALTIME_TIMESTAMP"]) // 1000, text_of(fields.get("MESSAGE")))
    except (ValueError, KeyError, TypeError) as error:
        raise ZkbootError(f"journalctl said what is no entry of a journal: {line[:200]!r} ({error!r})") from error


def text_of(value: Any) -> str:
    """A field: a string, the bytes of what is no text, or several of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and isinstance(value[0], int):
        return bytes(value).decode(errors="replace")
    return "\n".join(map(text_of, value)) if isinstance(value, list) else ""


def missing(before: Place, now: Place) -> int:
    """How many entries there were between the two that followed each other; 0 where nobody counts."""
    return max(now.number - before.number - 1, 0) if before.numbers and before.numbers == now.numbers else 0


class Journal:
    """journalctl, following the journal from a place on; None is its beginning.

    It is ended while nothing can be shipped: one that is not read keeps the files open that journald deletes.
    """

    def __init__(self, place: Place | None) -> None:
        after = [f"--after-cursor={place.cursor}"] if place else []
        # Without --all what is longer than 4096 bytes is left out; without --lines only the last ten are told.
        told = ["--quiet", "--lines=all", "--all", "--output=json", f"--output-fields={','.join(FIELDS)}"]
        command = ["journalctl", "--follow", *told, *after]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise ZkbootError(f"journalctl cannot be run ({error}): there is no journal to ship without systemd") from error
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._rest = bytearray()

    def read(self, seconds: float) -> Iterator[Entry]:
        """What comes in that time; may end early, with something or with nothing. Raises ZkbootError when journalctl ended."""
        end = time.monotonic() + seconds
        while b"\n" not in self._rest:
            if not select.select([self._output], [], [], max(end - time.monotonic(), 0))[0]:
                return
            piece = os.read(self._output, PIECE)
            if not piece:
                raise ZkbootError(f"journalctl ended: {self._last_words()}")
            self._rest += piece
        whole, _, rest = bytes(self._rest).rpartition(b"\n")
        self._rest = bytearray(rest)
        for line in whole.split(b"\n"):
            yield entry_of(line)

    def close(self) -> None:
        self._process.kill()  # it only reads
        self._process.communicate()

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip()
        return said or f"with {self._process.wait()}"


def _unit(value: Any) -> str:
    return text_of(value).removesuffix(".service")


def _priority(value: Any) -> int:
    text = text_of(value)
    return int(text) if text.isdecimal() else INFO
