"""Reading backups back, and the marks that tell what was found."""

import json
import time
from collections.abc import Callable

from zkboot.backup import archive, catalogue, progress
from zkboot.backup import manifest as manifests
from zkboot.backup.manifest import ARCHIVE, DAMAGED, VERIFIED, Manifest
from zkboot.backup.sizes import mib, span
from zkboot.backup.store import Store
from zkboot.errors import Damaged, ZkbootError
from zkboot.settings import Settings
from zkboot.steps import step

Tell = Callable[[str], None]


def chosen(store: Store, settings: Settings, name: str | None, by: str) -> Manifest:
    """The manifest of that backup, or of the latest. Raises UsageError, ZkbootError when there is none, Damaged, UnknownFact."""
    listed = catalogue.read(store, settings.backup.prefix)
    if listed.latest is None:
        where = f"s3://{settings.backup.bucket}/{settings.backup.prefix}"
        raise ZkbootError(f"there is no backup under {where}; zkboot backup makes one")
    entry = listed.named(name) if name else listed.latest
    return load(store, settings, entry.name, by)


def load(store: Store, settings: Settings, name: str, by: str) -> Manifest:
    """The manifest of a backup that was listed. One that is no manifest makes the backup a damaged one: it is marked so, and
    raises Damaged. Raises UnknownFact, NewerSchema too."""
    try:
        return catalogue.load(store, settings.backup.prefix, name)
    except Damaged as damage:
        mark_damaged(store, settings, name, by, damage)
        raise


def verify(store: Store, settings: Settings, manifest: Manifest, by: str, tell: Tell) -> None:
    """Read a backup back to its last record, and mark it: whole, or damaged.

    Raises Damaged naming the archive and the offset, UnknownFact.
    """
    started = time.monotonic()
    key = f"{settings.backup.prefix}{manifest.name}{ARCHIVE}"
    try:
        with step("read back"), progress.shown(f"verifying {manifest.name}", manifest.bytes) as moved:
            archive.check(manifest, store.read(key), lambda path, data: moved(len(data)))
    except Damaged as damage:
        mark_damaged(store, settings, manifest.name, by, damage)
        raise
    seconds = time.monotonic() - started
    with step("mark verified"):
        mark(store, settings, manifest.name, VERIFIED, by=by, sha256=manifest.sha256, seconds=round(seconds, 3))
    tell(f"verified {manifest.name} to its last record, 0x{manifest.last:x}: {figures(manifest, seconds)}")


def mark_damaged(store: Store, settings: Settings, name: str, by: str, damage: Damaged) -> None:
    with step("mark damaged"):
        mark(store, settings, name, DAMAGED, by=by, damage=str(damage))


def mark(store: Store, settings: Settings, name: str, kind: str, **facts: object) -> None:
    """An object beside the manifest; its time is the store's."""
    document = {"schema": manifests.SCHEMA, "name": name, **facts}
    body = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
    store.put(f"{settings.backup.prefix}{name}{kind}", body)


def figures(manifest: Manifest, seconds: float) -> str:
    rate = mib(manifest.bytes / max(seconds, 0.001))
    return f"{mib(manifest.bytes)}, an archive of {mib(manifest.size)}, in {span(seconds)} ({rate}/s)"
