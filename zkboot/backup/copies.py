"""Copies in a second bucket, of another region or account: the archive, the manifest last, read back there as well.

What could not be copied at once is copied later; a bucket that is new begins with the newest.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from zkboot.backup import archive, catalogue, progress
from zkboot.backup import manifest as manifests
from zkboot.backup.catalogue import Catalogue, Entry
from zkboot.backup.manifest import ARCHIVE, MANIFEST, Manifest
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell, figures, load, mark_damaged, verify
from zkboot.errors import Damaged, UnknownFact
from zkboot.settings import Settings
from zkboot.steps import step


def lacking(listed: Catalogue, copied: Catalogue) -> tuple[Entry, ...]:
    """The verified backups after the newest verified copy, oldest first; without any copy the newest of them alone. A copy that
    was found damaged is not made again: objects are never written twice."""
    verified = tuple(entry for entry in listed.entries if entry.verified is not None)
    whole = [entry.name for entry in copied.entries if entry.verified is not None]
    damaged = {entry.name for entry in copied.entries if entry.damaged is not None}
    found = (entry for entry in verified if entry.name > max(whole)) if whole else verified[-1:]
    return tuple(entry for entry in found if entry.name not in damaged)


def bring(first: Store, second: Store, settings: Settings, by: str, confirm: Callable[[], None], tell: Tell) -> None:
    """Copy what is lacking; `confirm` raises when that is no longer this node's to do. Raises Damaged, UnknownFact."""
    prefix = settings.backup.prefix
    copied = catalogue.read(second, prefix)
    wanted = lacking(catalogue.read(first, prefix), copied)
    if wanted:
        second.abort_unfinished(prefix)
    for entry in wanted:
        manifest = load(first, settings, entry.name, by)
        if all(known.name != entry.name for known in copied.entries):
            began = time.monotonic()
            try:
                copy(first, second, settings, manifest, confirm)
            except Damaged as damage:  # else it would be read again at each look, and those after it never copied
                mark_damaged(first, settings, entry.name, by, damage)
                raise
            took = figures(manifest, time.monotonic() - began)
            tell(f"copied {entry.name} to s3://{settings.backup.copy_bucket}/{prefix}: {took}")
        verify(second, settings, manifest, by, lambda sentence: tell(f"in {settings.backup.copy_bucket}: {sentence}"))


def copy(first: Store, second: Store, settings: Settings, manifest: Manifest, confirm: Callable[[], None]) -> None:
    """Raises Damaged where the archive is not whole any more: nothing of it is kept there then."""
    stem = f"{settings.backup.prefix}{manifest.name}"
    upload = second.upload(f"{stem}{ARCHIVE}", manifest.size)

    def passed_on() -> Iterator[bytes]:
        for data in first.read(f"{stem}{ARCHIVE}"):
            upload.send(data)
            yield data

    try:
        with progress.shown(f"copying {manifest.name} to {settings.backup.copy_bucket}", manifest.bytes) as moved:
            archive.check(manifest, passed_on(), lambda path, data: moved(len(data)))
        confirm()
        upload.complete()
    except BaseException:
        with contextlib.suppress(UnknownFact):  # the next one aborts it
            upload.abort()
        raise
    with step("write manifest of copy"):
        second.put(f"{stem}{MANIFEST}", manifests.to_json(manifest))
