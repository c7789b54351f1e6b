"""From a backup to a disk: which one is the newest that was verified, and its files beside the data, each byte verified before
it is kept. What a seed's disk is made of them is `zookeeper.disk`'s."""

import errno
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from zkboot.backup import archive, catalogue, progress
from zkboot.backup.manifest import ARCHIVE, NAME_LENGTH, Manifest
from zkboot.backup.sequence import expect_buffer
from zkboot.backup.sizes import mib
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell, figures, mark_damaged
from zkboot.errors import Damaged, NoRoom
from zkboot.model import Archive, Backup, Identity
from zkboot.settings import Settings
from zkboot.zookeeper import files
from zkboot.zookeeper.archives import Archives
from zkboot.zookeeper.generation import Generation

SPARE = 128 << 20  # bytes that a server wants beside its data: it allocates logs 64 MiB at a time


class NodeBackups:
    """See zkboot.world.BackupsApi."""

    def __init__(self, store: Store, settings: Settings, copy: Callable[[Tell], None]) -> None:
        """`copy` backs up what this node holds."""
        self._store = store
        self._settings = settings
        self._copy = copy

    def traces(self) -> str:
        backup = self._settings.backup
        objects = self._store.list(backup.prefix).objects
        return f"{len(objects)} objects under s3://{backup.bucket}/{backup.prefix}" if objects else ""

    def newest(self, cluster_id: str) -> Backup | None:
        """One that was made without a quorum holds all that those before it do, and what else is not known: it is as old as the
        last that is known to have held all."""
        listed = catalogue.read(self._store, self._settings.backup.prefix)
        found = None
        for entry in reversed(listed.entries):
            if entry.damaged is not None or (found is None and entry.verified is None):
                continue
            try:
                manifest = catalogue.load(self._store, self._settings.backup.prefix, entry.name)
            except Damaged:
                continue
            if manifest.cluster_id != cluster_id:
                continue
            found = found or of_manifest(manifest, None)
            if catalogue.has_all(entry, manifest):
                return found._replace(age=listed.date - entry.as_of)
        return found

    def last(self, tell: Tell) -> None:
        self._copy(tell)

    def backup(self, source: str) -> Backup:
        return of_manifest(self._load(source), 0.0)

    def unpack(self, source: str, name: str, identity: Identity, server_id: int, tell: Tell, keep: Callable[[], None]) -> None:
        settings = self._settings
        try:
            manifest = self._load(source)
            archives = Archives(settings.node.data_dir, settings.node.data_log_dir, settings.node.conf_dir)
            with files.unknown_on_error():
                data, log = archives.clear(name)
                expect_buffer(manifest, settings)
                expect_room(manifest, settings)
                try:
                    self._download(manifest, source, Folders(data, log), tell, keep)
                except BaseException as error:
                    archives.clear(name)
                    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                        raise NoRoom(full(manifest, settings)) from error
                    raise
                Generation(identity, server_id, seeded=True).write(data)
                whose = Identity(manifest.cluster_id, manifest.generation)
                archives.enter(Archive(name, whose, manifest.epoch, manifest.last))
        except Damaged as damage:
            prefix, backup = split(source)
            if prefix == settings.backup.prefix:  # where others' lie, this node may not write
                mark_damaged(self._store, settings, backup, os.uname().nodename, damage)
            raise

    def _load(self, source: str) -> Manifest:
        prefix, name = split(source)
        return catalogue.load(self._store, prefix, name)

    def _download(self, manifest: Manifest, source: str, folders: "Folders", tell: Tell, keep: Callable[[], None]) -> None:
        name, began = manifest.name, time.monotonic()
        tell(f"restoring {name}: an archive of {mib(manifest.size)}, {mib(manifest.bytes)} in {len(manifest.files)} files")
        with Files(folders) as unpacked, progress.shown(f"restoring {name}", manifest.bytes) as moved:

            def store(path: str, piece: bytes) -> None:
                unpacked.write(path, piece)
                moved(len(piece))
                keep()

            archive.check(manifest, self._store.read(f"{source}{ARCHIVE}"), store)
        tell(f"the backup {name} is whole: verified to 0x{manifest.last:x}, {figures(manifest, time.monotonic() - began)}")


def split(source: str) -> tuple[str, str]:
    """Prefix and name."""
    return source[:-NAME_LENGTH], source[-NAME_LENGTH:]


def of_manifest(manifest: Manifest, age: float | None) -> Backup:
    return Backup(manifest.name, Identity(manifest.cluster_id, manifest.generation), manifest.epoch, manifest.last, age)


# --- room


def expect_room(manifest: Manifest, settings: Settings) -> None:
    """Raises NoRoom when the disks have not the room for the files beside what they hold, UnknownFact."""
    with files.unknown_on_error():
        for folder, needed in needs(manifest, settings).items():
            free = os.statvfs(folder)
            if free.f_bavail * free.f_frsize < needed:
                raise NoRoom(full(manifest, settings))


def needs(manifest: Manifest, settings: Settings) -> dict[str, int]:
    """Bytes needed, by the folder on whose disk. Raises OSError."""
    node, found = settings.node, dict[int, tuple[str, int]]()
    for folder, part in ((node.data_dir, "version-2/snapshot."), (node.data_log_dir, "version-2/log.")):
        above = os.path.dirname(folder)
        files.make_folder(above)
        device = os.stat(above).st_dev
        first, sum_so_far = found.get(device, (above, SPARE))
        found[device] = first, sum_so_far + sum(file.size for file in manifest.files if file.path.startswith(part))
    return dict(found.values())


def full(manifest: Manifest, settings: Settings) -> str:
    """What is missing where, and what to do."""
    lines = []
    for folder, needed in needs(manifest, settings).items():
        free = os.statvfs(folder)
        lines.append(f"{mib(needed)} in {folder}, where {mib(free.f_bavail * free.f_frsize)} are free")
    return (
        f"the backup {manifest.name} cannot be restored here: it needs {' and '.join(lines)}. What the disk holds is not touched;"
        f" enlarge the volume, or remove what {os.path.dirname(settings.node.data_dir)}/archive keeps of earlier data"
    )


# --- files


class Folders(NamedTuple):
    """Where snapshots go, and where logs go."""

    data: str
    log: str


class Files:
    """Writes the files of a backup, one after the other, each forced to the disk before the next."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._path = ""
        self._descriptor = -1
        for folder in dict.fromkeys(folders):
            files.make_folder(f"{folder}/version-2")

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, path: str, piece: bytes) -> None:
        """The next bytes of that file, whose path a manifest has (and so stays in its folder)."""
        if path != self._path:
            self._close()
            folder = self._folders.log if path.startswith("version-2/log.") else self._folders.data
            self._path, self._descriptor = path, files.create(f"{folder}/{path}")
        while piece:
            piece = piece[os.write(self._descriptor, piece) :]

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            for folder in dict.fromkeys(self._folders):
                files.sync_folder(f"{folder}/version-2")
