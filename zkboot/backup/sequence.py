"""One snapshot and the transaction logs after it, verified as they stream by: the same code looks at the files on their way into
an archive and on their way out.
"""

import hashlib
import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from zkboot.backup.manifest import Manifest
from zkboot.errors import Damaged, Unfit
from zkboot.settings import Settings
from zkboot.zookeeper import formats
from zkboot.zookeeper.contents import follows


class Watched(io.RawIOBase):
    """A stream of `size` bytes, hashed and handed on as it is read. One that ends before is damage; nothing is read beyond."""

    def __init__(self, read: Callable[[int], bytes], path: str, size: int, hand_on: Callable[[bytes], None]) -> None:
        super().__init__()
        self._read = read
        self._path = path
        self._left = size
        self._hand_on = hand_on
        self._hash = hashlib.sha256()
        self._done = 0

    def readinto(self, buffer: Any) -> int:
        """Raises Damaged naming the offset at which the stream was cut."""
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        piece = self._read(wanted)
        if not piece:
            raise Damaged(f"{self._path}, offset {self._done}: cut short, {self._left} bytes are missing")
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        self._done += len(piece)
        self._hash.update(piece)
        self._hand_on(piece)
        return len(piece)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._done

    @property
    def sha256(self) -> str:
        """Of what has been read so far."""
        return self._hash.hexdigest()


class Sequence:
    """Give it the snapshot's file, then each log's in order; `largest` is the longest payload of a record, in bytes.

    Then `first` is the snapshot's zxid, `fuzzy_end` the last transaction that may be in it, and `last` what a start from these
    files reaches. Raises Damaged naming file and offset.
    """

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.first = -1
        self.fuzzy_end = -1
        self.last = -1
        self._seen_from = 1 << 64  # the first record that was seen, and the last one that changes the tree
        self._changed = -1

    def file(self, stream: Watched, path: str, size: int) -> None:
        """The next file, a snapshot or a log by its name, read to its end."""
        with io.BufferedReader(stream, formats.PIECE) as buffered:
            file = cast(BinaryIO, buffered)
            if formats.zxid_of_name(os.path.basename(path), formats.SNAPSHOT) >= 0:
                self._snapshot(file, path, size)
            else:
                self._log(file, path, size)

    def _snapshot(self, file: BinaryIO, path: str, size: int) -> None:
        if self.first >= 0:
            raise Damaged(f"{path}: a second snapshot")
        self.begin(formats.verify_snapshot(file, path, size))
        if file.read(1):
            raise Damaged(f"{path}: more bytes after the snapshot's end")

    def begin(self, snapshot: formats.Snapshot) -> None:
        self.first, self.fuzzy_end, self.last = snapshot.zxid, snapshot.fuzzy_end, snapshot.zxid

    def _log(self, file: BinaryIO, path: str, size: int) -> None:
        if self.first < 0:
            raise Damaged(f"{path}: a transaction log before any snapshot")
        formats.expect_header(file, path)
        end = formats.LOG_HEADER.size
        for record in formats.read_records(file, path, end, self.largest):
            self.take(record, path)
            end = record.end
        if end != size:
            raise Damaged(f"{path}, offset {end}: no whole record, and {size - end} more bytes of the file")

    def take(self, record: formats.Record, path: str) -> None:
        """The next record of a log; one that the snapshot holds already changes nothing."""
        self._seen_from = min(self._seen_from, record.zxid)
        if record.changes:
            self._changed = max(self._changed, record.zxid)
        if record.zxid <= self.last:
            return
        if not follows(record.zxid, self.last):
            missing = f"transaction 0x{record.zxid:x} follows 0x{self.last:x}: those between are missing"
            raise Damaged(f"{path}, offset {record.offset}: {missing}")
        self.last = record.zxid

    def unchanged_since(self, zxid: int) -> bool:
        """Whether no transaction after this one changes the tree; False as well where they were not all seen."""
        seen = zxid >= min(self.first, self._seen_from - 1)
        return seen and self._changed <= zxid <= self.last

    def end(self, path: str) -> None:
        """No further file: what the snapshot may hold must be in the logs as well."""
        if self.first < 0:
            raise Damaged(f"{path}: no snapshot, without which no server starts")
        if self.last < self.fuzzy_end:
            raise Damaged(f"{path}: the snapshot reaches into 0x{self.fuzzy_end:x}, the logs end with 0x{self.last:x}")


def largest(settings: Settings) -> int:
    """The longest payload of a record that this node's server takes, in bytes."""
    return 2 * settings.zookeeper.jute_maxbuffer


def expect_buffer(manifest: Manifest, settings: Settings) -> None:
    """Raises Unfit where this node's server may refuse a record that the backup's own servers took."""
    if manifest.largest > largest(settings):
        raise Unfit(
            f"the backup {manifest.name} is of servers with jute.maxbuffer {manifest.largest // 2}, and this node's has"
            f" {settings.zookeeper.jute_maxbuffer}: it may refuse what they took. Set zookeeper.jute_maxbuffer ="
            f" {manifest.largest // 2} or more, then run this again"
        )
