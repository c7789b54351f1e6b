"""Which files of a data directory make a backup: the newest whole snapshot, and every log that goes on from it, each cut at its
last whole record. A server may be writing, purging and taking snapshots meanwhile: a file once opened stays, and who streams it
(see `archive`) verifies it once more.
"""

import io
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, NamedTuple, cast

from zkboot.backup.manifest import is_path
from zkboot.backup.sequence import Sequence
from zkboot.errors import Damaged, UnknownFact
from zkboot.zookeeper import files, formats

ATTEMPTS = 5  # at finding a consistent set
TAIL_ATTEMPTS = 40  # at reading the end of a log that is being written
PAUSE = 0.05  # seconds
AHEAD_SECONDS = 30.0  # that a server may take to write down what it has acknowledged


class Source(NamedTuple):
    """Where the files are; `largest` is the longest payload of a record, in bytes."""

    snapshots: str
    logs: str
    largest: int


class Part(NamedTuple):
    """One file of a backup: its name in the archive, an open descriptor, and how many of its bytes belong to it."""

    path: str
    descriptor: int
    size: int


class Survey(NamedTuple):
    """A consistent set: the snapshot, then the logs in order."""

    parts: tuple[Part, ...]
    sequence: Sequence  # what was read of them

    @property
    def last(self) -> int:
        """The last transaction in it."""
        return self.sequence.last


@contextmanager
def survey(source: Source, wanted: int) -> Iterator[Survey]:
    """The set that reaches at least the zxid `wanted`, open as long as the context lasts.

    Raises Damaged naming file and offset when there is none that is whole, UnknownFact when the files change faster than they can
    be read, cannot be read, or do not reach `wanted` in time.
    """
    with ExitStack() as opened, files.unknown_on_error():
        yield _consistent(source, wanted, opened)


def following(snapshot: int, logs: list[formats.Named]) -> list[formats.Named]:
    """The logs that a start from this snapshot reads: the last one that begins at or before it, and all later ones."""
    older = [log.zxid for log in logs if log.zxid <= snapshot]
    return [log for log in logs if log.zxid >= max(older, default=0)]


def _consistent(source: Source, wanted: int, opened: ExitStack) -> Survey:
    deadline = time.monotonic() + AHEAD_SECONDS
    attempt = 0
    while True:
        with ExitStack() as tried:
            try:
                found = _attempt(source, wanted, tried)
                if found.last >= wanted:
                    opened.push(tried.pop_all())
                    return found
                if time.monotonic() > deadline:
                    raise UnknownFact(
                        f"{source.logs} ends with transaction 0x{found.last:x} after {AHEAD_SECONDS:g} s; the ensemble is at"
                        f" 0x{wanted:x}: this server is behind; try again later, or on another member"
                    )
            except (Damaged, FileNotFoundError) as error:
                attempt += 1
                if attempt == ATTEMPTS:
                    if isinstance(error, Damaged):
                        raise
                    raise UnknownFact(f"{error.filename}: removed while it was read, {ATTEMPTS} times; try again") from error
        time.sleep(PAUSE)


def _attempt(source: Source, wanted: int, opened: ExitStack) -> Survey:
    """Snapshots first: a log that goes on from one is purged after it."""
    sequence = Sequence(source.largest)
    snapshot = _newest_snapshot(source, sequence, opened)
    parts = [snapshot]
    logs = following(sequence.first, _named(source.logs, formats.LOG))
    for log in logs:
        part = _log(log, sequence, wanted, log is logs[-1], opened)
        if part is not None:
            parts.append(part)
    sequence.end(source.logs)
    return Survey(tuple(parts), sequence)


def _newest_snapshot(source: Source, sequence: Sequence, opened: ExitStack) -> Part:
    damage = None
    for _, path in reversed(_named(source.snapshots, formats.SNAPSHOT)):
        descriptor = _open(path, opened)
        size = os.fstat(descriptor).st_size
        try:
            with _reading(descriptor, 0) as file:
                found = formats.verify_snapshot(file, path, size)
        except Damaged as error:  # it is being written, or was when the power went: the one before it serves
            damage = damage or error
            continue
        sequence.begin(found)
        return Part(_name(path), descriptor, size)
    if damage is not None:
        raise damage
    raise UnknownFact(
        f"{source.snapshots} holds no snapshot yet, without which no server starts: a server writes one when it starts and"
        " every zookeeper.snap_count transactions; try again then"
    )


def _log(log: formats.Named, sequence: Sequence, wanted: int, newest: bool, opened: ExitStack) -> Part | None:
    """The log's whole records; None for one that has none yet: its name promises a record that was never written."""
    descriptor = _open(log.path, opened)
    if os.fstat(descriptor).st_size == 0:
        return None
    end = formats.LOG_HEADER.size
    attempts = 0
    while True:
        before = end
        try:
            with _reading(descriptor, 0) as file:
                formats.expect_header(file, log.path)
            with _reading(descriptor, end) as file:
                for record in formats.read_records(file, log.path, end, sequence.largest):
                    sequence.take(record, log.path)
                    end = record.end
                formats.expect_zeros(file, log.path)
            break
        except Damaged:
            # The newest log grows while it is read: what was not whole a moment ago may be now.
            if not newest:
                raise
            if end > before and sequence.last >= wanted:
                break  # it grows faster than it can be read to its end, and reaches far enough
            attempts = 0 if end > before else attempts + 1
            if attempts == TAIL_ATTEMPTS:
                raise
            time.sleep(PAUSE)
    return Part(_name(log.path), descriptor, end) if end > formats.LOG_HEADER.size else None


def _named(folder: str, kind: str) -> list[formats.Named]:
    """Without what ZooKeeper takes for one of its own too, such as `snapshot.5.tmp`."""
    return [file for file in formats.named(folder, kind) if is_path(_name(file.path))]


def _name(path: str) -> str:
    return f"version-2/{os.path.basename(path)}"


def _open(path: str, opened: ExitStack) -> int:
    """A link is not followed: the server's user may write in its folders, and root reads them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return descriptor


@contextmanager
def _reading(descriptor: int, offset: int) -> Iterator[BinaryIO]:
    """The file from there on, with nothing of it remembered."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    with io.BufferedReader(io.FileIO(descriptor, closefd=False), formats.PIECE) as file:
        yield cast(BinaryIO, file)
