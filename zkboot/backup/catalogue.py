"""The backups under a prefix, as one listing shows them."""

from collections.abc import Mapping
from typing import NamedTuple

from zkboot.backup import manifest as manifests
from zkboot.backup.manifest import ARCHIVE, CURRENT, DAMAGED, DRILLED, MANIFEST, VERIFIED, Manifest
from zkboot.backup.store import Listing, Store
from zkboot.errors import Damaged, UsageError


class Entry(NamedTuple):
    """One backup; instants are the store's own clock, seconds since 1970, None where there is no such mark."""

    name: str
    verified: float | None  # found whole, the last time that it was read back
    damaged: float | None  # found damaged, the last time that it was read back
    current: float | None  # nothing had been written since, when that was last looked at
    drilled: float | None = None  # a server was started from it, the last time
    written: float | None = None  # its manifest

    @property
    def began(self) -> float:
        return manifests.instant_of(self.name)

    @property
    def as_of(self) -> float:
        """Until when it holds all that had been written, where `has_all`. Names only grow: after a time at which the store's
        clock was ahead they are ahead for good, and the manifest was there before."""
        began = self.began if self.written is None else min(self.began, self.written)
        return max(began, self.current or 0.0)


class Catalogue(NamedTuple):
    """The backups, oldest first, and the store's clock at the listing."""

    entries: tuple[Entry, ...]
    date: float

    @property
    def latest(self) -> Entry | None:
        return self.entries[-1] if self.entries else None

    @property
    def newest(self) -> Entry | None:
        """The latest that was not found damaged."""
        return next((entry for entry in reversed(self.entries) if entry.damaged is None), None)

    def named(self, name: str) -> Entry:
        """Raises UsageError naming what there is."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        latest = f"; the latest is {self.latest.name}" if self.latest else ", nor any other"
        raise UsageError(f"there is no backup {name}{latest}; zkboot backups lists them")


def read(store: Store, prefix: str) -> Catalogue:
    """Raises UnknownFact."""
    return of_listing(store.list(prefix), prefix)


def of_listing(listing: Listing, prefix: str) -> Catalogue:
    """What has a manifest, with its marks."""
    modified = {key.removeprefix(prefix): instant for key, instant in listing.objects.items()}
    names = sorted(key.removesuffix(MANIFEST) for key in modified if key.endswith(MANIFEST))
    return Catalogue(tuple(_entry(name, modified) for name in names if manifests.is_name(name)), listing.date)


def _entry(name: str, modified: Mapping[str, float]) -> Entry:
    """Of the two marks of a reading back the later one holds; of two in the same second the worse. Without its archive a backup
    is damaged, whatever was found once."""
    verified, damaged = modified.get(name + VERIFIED), modified.get(name + DAMAGED)
    if verified is not None and damaged is not None:
        verified, damaged = (verified, None) if verified > damaged else (None, damaged)
    if name + ARCHIVE not in modified:
        verified, damaged = None, damaged or modified[name + MANIFEST]
    return Entry(name, verified, damaged, modified.get(name + CURRENT), modified.get(name + DRILLED), modified[name + MANIFEST])


def has_all(entry: Entry, manifest: Manifest) -> bool:
    """Whether it is known to have held all that had been written: a quorum was there when it was made, or found it current."""
    return manifest.had_quorum or entry.current is not None


def load(store: Store, prefix: str, name: str) -> Manifest:
    """The manifest of a backup that was listed. Raises Damaged, UnknownFact, NewerSchema."""
    key = f"{prefix}{name}{MANIFEST}"
    body = store.get(key)
    if body is None:
        raise Damaged(f"{key} was listed, and is gone")
    return manifests.of_json(body, key)
