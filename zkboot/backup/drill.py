"""A drill: a server is started from a backup, and what it then holds is compared with what the ensemble had.

The comparison is with facts that are in the backup itself and that its own server has no part in: ZooKeeper's digest of the whole
tree, which the ensemble's leader wrote into the log with the last transaction, and the number of znodes, counted from snapshot
and logs. Against them stands the snapshot that a server writes of its tree when it has loaded it.
"""

import os
import time
from typing import BinaryIO, NamedTuple

from zkboot.backup import archive, catalogue, progress
from zkboot.backup.manifest import ARCHIVE, DRILLED, VERIFIED, Manifest
from zkboot.backup.scratch import scratch
from zkboot.backup.sequence import expect_buffer
from zkboot.backup.sizes import span
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell, figures, mark, mark_damaged
from zkboot.errors import Damaged
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.zookeeper import files, formats, tree


class Took(NamedTuple):
    """Seconds."""

    unpacking: float  # download and verification with it
    start: float

    @property
    def restore(self) -> float:
        return self.unpacking + self.start


def drill(store: Store, settings: Settings, manifest: Manifest, by: str, tell: Tell) -> None:
    """Unpack, verify, start, compare; then mark the backup as verified and drilled, or as damaged.

    Raises Damaged, Unfit, UnknownFact (memory or disk are short), ZkbootError when the server does not start: nothing is
    marked then, for that may be this machine's fault.
    """
    expect_buffer(manifest, settings)
    listed = catalogue.read(store, settings.backup.prefix)
    age = listed.date - listed.named(manifest.name).as_of
    with scratch(settings, manifest) as server:
        try:
            unpacking = unpack(store, settings, manifest, server.data)
            wanted = expected(manifest, server.data)
            with step("start scratch server"):
                took = Took(unpacking, server.start())
            found = loaded(manifest, server.data)
            compare(manifest, wanted, found)
        except Damaged as damage:
            mark_damaged(store, settings, manifest.name, by, damage)
            raise
    with step("mark verified"):
        mark(store, settings, manifest.name, VERIFIED, by=by, sha256=manifest.sha256, seconds=round(took.unpacking, 3))
    facts = {"nodes": found.nodes, "digest": found.digest.value if found.digest and wanted.digest else None, "age": round(age)}
    seconds = {"unpacking": round(took.unpacking, 3), "start": round(took.start, 3), "seconds": round(took.restore, 3)}
    with step("mark drilled"):
        mark(store, settings, manifest.name, DRILLED, by=by, **facts, **seconds)
    tell(sentence(manifest, wanted, found, took, age))


def unpack(store: Store, settings: Settings, manifest: Manifest, data_dir: str) -> float:
    """The archive's files, every byte verified, below `data_dir`; the seconds that took."""
    began = time.monotonic()
    with files.unknown_on_error():
        files.make_folder(f"{data_dir}/version-2")
        chunks = store.read(f"{settings.backup.prefix}{manifest.name}{ARCHIVE}")
        with _Written(data_dir) as written, progress.shown(f"unpacking {manifest.name}", manifest.bytes) as moved, step("unpack"):
            archive.check(manifest, chunks, lambda path, data: moved(written.add(path, data)))
    return time.monotonic() - began


def expected(manifest: Manifest, data_dir: str) -> tree.Tree:
    """By the backup's own files."""
    snapshot, *logs = (f"{data_dir}/{file.path}" for file in manifest.files)
    with files.unknown_on_error():
        return tree.of_files(snapshot, logs, manifest.largest)


def loaded(manifest: Manifest, data_dir: str) -> tree.Tree:
    """By the snapshot that the server wrote before it served. Raises Damaged where that is of another transaction."""
    with files.unknown_on_error():
        newest = formats.named(f"{data_dir}/version-2", formats.SNAPSHOT)[-1]
        if newest.zxid != manifest.last:
            raise Damaged(f"{manifest.name}: a server that starts from it reaches 0x{newest.zxid:x}, not 0x{manifest.last:x}")
        return tree.of_snapshot(newest.path)


def compare(manifest: Manifest, wanted: tree.Tree, found: tree.Tree) -> None:
    """Raises Damaged. What one side does not tell is no difference."""
    if wanted.nodes is not None and wanted.nodes != found.nodes:
        raise Damaged(f"{manifest.name}: a server that starts from it has {found.nodes} znodes, its files have {wanted.nodes}")
    if wanted.digest is None or found.digest is None or wanted.digest.version != found.digest.version:
        return
    if wanted.digest != found.digest:
        raise Damaged(
            f"{manifest.name}: the tree of a server that starts from it has the digest {found.digest.value:x},"
            f" the ensemble's had {wanted.digest.value:x} at 0x{manifest.last:x}"
        )


def sentence(manifest: Manifest, wanted: tree.Tree, found: tree.Tree, took: Took, age: float) -> str:
    digest = f"digest {found.digest.value:x} as the ensemble's was" if found.digest and wanted.digest else "no digest to compare"
    return (
        f"drilled {manifest.name}: a server started from it holds {found.nodes} znodes, {digest}; restoring took"
        f" {span(took.restore)} ({span(took.start)} to start; {figures(manifest, took.unpacking)}), the data are {span(age)} old"
    )


class _Written:
    """Files written one after the other."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = ""
        self._file: BinaryIO | None = None

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, path: str, data: bytes) -> int:
        """Returns how many bytes these were."""
        if path != self._path:
            if self._file is not None:
                self._file.close()
            descriptor = os.open(f"{self._folder}/{path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, files.PRIVATE_FILE)
            self._path, self._file = path, os.fdopen(descriptor, "wb")
        assert self._file is not None
        self._file.write(data)
        return len(data)
