"""What `zkboot backups` prints: the backups with what their manifests say, for people and for machines."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from zkboot.backup import catalogue
from zkboot.backup.catalogue import Catalogue, Entry
from zkboot.backup.manifest import Manifest
from zkboot.backup.sizes import mib, span
from zkboot.backup.store import Store
from zkboot.errors import Damaged, NewerSchema
from zkboot.say import instant

if TYPE_CHECKING:
    from zkboot.backup.prune import Plan

READERS = 8  # manifests read at once
HEADER = ("backup", "age", "up to", "size", "archive", "mode", "verified", "")


class Listed(NamedTuple):
    """The backups, oldest first, each with its manifest or why that cannot be read; `date` is the store's clock."""

    rows: tuple[tuple[Entry, Manifest | str], ...]
    date: float

    @property
    def unreadable(self) -> bool:
        return any(isinstance(manifest, str) for _, manifest in self.rows)


def read(store: Store, prefix: str) -> Listed:
    """Raises UnknownFact when the store does not tell."""
    return of_catalogue(store, prefix, catalogue.read(store, prefix))


def of_catalogue(store: Store, prefix: str, listed: Catalogue) -> Listed:
    """Raises UnknownFact when the store does not tell."""

    def load(entry: Entry) -> Manifest | str:
        try:
            return catalogue.load(store, prefix, entry.name)
        except (Damaged, NewerSchema) as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as readers:
        return Listed(tuple(zip(listed.entries, readers.map(load, listed.entries), strict=True)), listed.date)


def as_text(listed: Listed) -> str:
    """A table, the newest last."""
    if not listed.rows:
        return "there is no backup; zkboot backup makes one"
    rows = [HEADER, *(_cells(entry, manifest, listed.date) for entry, manifest in listed.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def as_json(listed: Listed) -> str:
    """One object a line; sizes in bytes, ages in seconds."""
    return "\n".join(json.dumps(_object(entry, manifest, listed.date), sort_keys=True) for entry, manifest in listed.rows)


def plan_as_text(planned: "Plan") -> str:
    """What a prune would do, oldest first."""
    lines = {name: f"{name}  kept: {why}" for name, why in planned.kept.items()}
    lines |= {name: f"{name}  deleted: no rule keeps it" for name in planned.delete}
    lines |= {name: f"{name}  deleted: left over, it has no manifest" for name in planned.left}
    return "\n".join(lines[name] for name in sorted(lines)) or "there is no backup"


def plan_as_json(planned: "Plan") -> str:
    """One object a line, oldest first; `kept` is the reason, null for what is deleted."""
    fates = dict.fromkeys((*planned.delete, *planned.left)) | dict(planned.kept)
    return "\n".join(json.dumps({"name": name, "kept": fates[name]}) for name in sorted(fates))


def _cells(entry: Entry, manifest: Manifest | str, date: float) -> tuple[str, ...]:
    age = span(date - entry.began)
    verified = "DAMAGED" if entry.damaged else instant(entry.verified) if entry.verified else "no"
    if isinstance(manifest, str):
        return entry.name, age, "?", "?", "?", "?", verified, manifest
    remarks = [f"current as of {instant(entry.current)}"] if entry.current else []
    if entry.drilled:
        remarks.append(f"drilled {instant(entry.drilled)}")
    if not manifest.had_quorum:
        remarks.append("made without a quorum")
    sizes = mib(manifest.bytes), mib(manifest.size)
    return entry.name, age, f"0x{manifest.last:x}", *sizes, manifest.mode, verified, "; ".join(remarks)


def _object(entry: Entry, manifest: Manifest | str, date: float) -> dict[str, object]:
    marks = {
        "name": entry.name,
        "time": instant(entry.began),
        "age": round(date - entry.began),
        "verified": instant(entry.verified) if entry.verified else None,
        "damaged": instant(entry.damaged) if entry.damaged else None,
        "drilled": instant(entry.drilled) if entry.drilled else None,
        "current": instant(entry.current) if entry.current else None,
    }
    if isinstance(manifest, str):
        return marks | {"error": manifest}
    return marks | {
        "cluster": manifest.cluster,
        "cluster_id": manifest.cluster_id,
        "generation": manifest.generation,
        "epoch": manifest.epoch,
        "zxid": f"0x{manifest.last:x}",
        "size": manifest.bytes,
        "archive_size": manifest.size,
        "sha256": manifest.sha256,
        "mode": manifest.mode,
        "had_quorum": manifest.had_quorum,
    }
