"""ZooKeeper's transaction logs and snapshots, verified by content and read as a stream.

Formats: `FileTxnLog`, `FileSnap`, `SnapStream` and `Util` in ZooKeeper's `server/persistence` (3.9), all numbers big-endian.

Log `log.<zxid of its first record, hex>`: a 16-byte header (`ZKLG`, int 2, long), then records: long Adler32 of the payload, int
length, payload, `B`. The payload begins with long session, int cxid, long zxid, long time (ms), int type. A length of 0 ends the
file: the rest is preallocation, all zero.

Snapshot `snapshot.<zxid, hex>[.gz]`: `ZKSN`, int 2, long -1, the tree, a seal; since 3.6 a digest (long zxid, int version, long
digest) and a seal; since 3.9 long zxid and a seal. A seal is long Adler32 of everything before it, int 1, `/`.
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from zkboot.errors import Damaged, UnknownFact

LOG = "log"
SNAPSHOT = "snapshot"

LOG_HEADER = struct.Struct(">4siq")
LOG_BEGIN = b"ZKLG\x00\x00\x00\x02"
RECORD_HEADER = struct.Struct(">qi")
RECORD_ZXID = struct.Struct(">q")
ZXID_AT = 12  # in a payload
RECORD_TYPE = struct.Struct(">i")
TYPE_AT, TRANSACTION_AT = 28, 32  # in a payload
ERROR, CREATE_SESSION, CLOSE_SESSION = -1, -10, -11  # types, by `ZooDefs.OpCode`
RECORD_END = b"B"
LONGEST = 1 << 29  # bytes of a record that is looked at though no server of this node's accepts it

SEAL = struct.Struct(">qi1s")
DIGEST = struct.Struct(">qiq")
LAST_ZXID = struct.Struct(">q")
PIECE = 1 << 20
ZEROS = bytes(PIECE)


class TooLong(Damaged):
    """A whole record that is longer than a server takes, which is a setting and no word about the disk: it was lowered, or the
    end of a session with very many ephemeral nodes became one long record. `length` is in bytes.
    """

    def __init__(self, text: str, length: int) -> None:
        super().__init__(text)
        self.length = length


class Named(NamedTuple):
    """A log or snapshot by its name."""

    zxid: int
    path: str


class Snapshot(NamedTuple):
    """A whole snapshot: `zxid` is its name's, `fuzzy_end` the last transaction that may have touched it while it was written."""

    zxid: int
    fuzzy_end: int
    size: int  # bytes of the file
    digest: tuple[int, int, int] | None = None  # zxid, version and value of the tree's; none before 3.6


class Record(NamedTuple):
    zxid: int
    offset: int  # of its first byte
    end: int
    changes: bool  # the tree, as far as its type tells
    payload: bytes = b""


def named(folder: str, kind: str) -> list[Named]:
    """The logs or snapshots of a version-2 folder, oldest first, chosen by name as ZooKeeper does. Raises OSError."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(Named(zxid, f"{folder}/{name}") for name in names if (zxid := zxid_of_name(name, kind)) >= 0)


def zxid_of_name(name: str, kind: str) -> int:
    """The zxid in a file's name; -1 when it is no such file. What follows a second dot does not count, for ZooKeeper neither."""
    parts = name.split(".")
    if len(parts) < 2 or parts[0] != kind:
        return -1
    try:
        return int(parts[1], 16)
    except ValueError:
        return -1


def read_log(path: str, largest: int) -> Iterator[Record]:
    """The whole records of a log, each verified, in order; ends at the first length of 0 and at an unfinished last record.

    `largest` is the longest payload in bytes that a server accepts. An empty file has no records, as for ZooKeeper 3.9.
    Raises Damaged naming file and offset: no header, a wrong checksum, an impossible length, anything but zeros after the end;
    TooLong where a record is longer than that, and whole.
    """
    with open(path, "rb", buffering=PIECE) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return
        expect_header(file, path)
        yield from read_records(file, path, LOG_HEADER.size, largest)
        expect_zeros(file, path)


def expect_header(file: BinaryIO, path: str) -> None:
    """Raises Damaged where a log does not begin as one."""
    header = file.read(LOG_HEADER.size)
    if len(header) < LOG_HEADER.size or header[:8] != LOG_BEGIN:
        raise Damaged(f"{path}, offset 0: not the header of a transaction log")


def read_records(file: BinaryIO, path: str, offset: int, largest: int) -> Iterator[Record]:
    """As `read_log`, of a file that stands at the first byte of a record, and without a look at what follows the last one."""
    while (record := _read_record(file, path, offset, largest)) is not None:
        yield record
        offset = record.end


def _read_record(file: BinaryIO, path: str, offset: int, largest: int) -> Record | None:
    head = file.read(RECORD_HEADER.size)
    if len(head) < RECORD_HEADER.size:
        return None
    checksum, length = RECORD_HEADER.unpack(head)
    if length in (0, -1):
        return None
    if not 0 < length <= largest:
        found = f"{path}, offset {offset}: a record of {length} bytes (at most {largest} are possible)"
        raise TooLong(found, length) if _is_whole(file, length, checksum) else Damaged(found)
    payload, end = file.read(length), file.read(1)
    if end != RECORD_END:  # it was being written when the power went: nobody was told that it is safe
        if _holds_a_shorter_one(payload, checksum):
            raise Damaged(f"{path}, offset {offset}: a record gives a wrong length")
        if file.seekable():
            file.seek(-len(end), os.SEEK_CUR)
        return None
    if zlib.adler32(payload) != checksum:
        raise Damaged(f"{path}, offset {offset}: a record fails its checksum")
    if length < ZXID_AT + RECORD_ZXID.size:
        raise Damaged(f"{path}, offset {offset}: a record of {length} bytes is too short for a transaction")
    end_at = offset + RECORD_HEADER.size + length + 1
    return Record(RECORD_ZXID.unpack_from(payload, ZXID_AT)[0], offset, end_at, _changes(payload), payload)


def _is_whole(file: BinaryIO, length: int, checksum: int) -> bool:
    payload = file.read(length) if 0 < length <= LONGEST else b""
    return len(payload) == length and file.read(1) == RECORD_END and zlib.adler32(payload) == checksum


def _changes(payload: bytes) -> bool:
    """Whether a transaction changes the tree: a refused request does not, nor a session that begins, or ends without ephemeral
    nodes (`CloseSessionTxn`: how many paths go with it, then the paths)."""
    if len(payload) < TRANSACTION_AT:
        return True
    kind = RECORD_TYPE.unpack_from(payload, TYPE_AT)[0]
    if kind == CLOSE_SESSION:
        return payload[TRANSACTION_AT : TRANSACTION_AT + 4] != bytes(4)
    return kind not in (ERROR, CREATE_SESSION)


def _holds_a_shorter_one(payload: bytes, checksum: int) -> bool:
    """Whether a whole record lies at the beginning of what the length claims: then it is the length that is wrong."""
    value, start = 1, 0
    while (at := payload.find(RECORD_END, start)) >= 0:
        value = zlib.adler32(payload[start:at], value)
        if value == checksum:
            return True
        value, start = zlib.adler32(RECORD_END, value), at + 1
    return False


def expect_zeros(file: BinaryIO, path: str) -> None:
    """To the end of the file; the preallocated rest is a hole, which is not read. Raises Damaged at the first other byte."""
    descriptor, offset = file.fileno(), file.tell()
    while True:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        piece = os.pread(descriptor, PIECE, offset)
        if not piece:
            return
        if piece != ZEROS[: len(piece)]:
            at = offset + len(piece) - len(piece.lstrip(b"\0"))
            raise Damaged(f"{path}, offset {at}: bytes after the end of the records")
        offset += len(piece)


def is_sealed(path: str) -> bool:
    """Whether ZooKeeper would try to load this snapshot: a plain one must end with a seal. Raises OSError."""
    if path.endswith((".gz", ".snappy")):
        return os.stat(path).st_size >= 10
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < 10:
            return False
        file.seek(size - 5)
        return file.read(5) == b"\x00\x00\x00\x01/"


def read_snapshot(path: str) -> Snapshot:
    """Verify a snapshot from its first byte to its last seal.

    Raises Damaged naming file and offset, UnknownFact for Snappy's compression, OSError.
    """
    with open(path, "rb") as plain:
        return verify_snapshot(plain, path, os.fstat(plain.fileno()).st_size)


def verify_snapshot(plain: BinaryIO, path: str, size: int) -> Snapshot:
    """As `read_snapshot`, of an open file of that size which stands at its beginning; read to its end."""
    if path.endswith(".gz"):
        import gzip

        try:
            return _verify(cast(BinaryIO, gzip.GzipFile(fileobj=plain)), path, size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Damaged(f"{path}, offset {plain.tell()}: not whole gzip data: {error}") from error
    if path.endswith(".snappy"):
        raise UnknownFact(f"{path}: zkboot cannot verify Snappy; set snapshot.compression.method to GZIP or leave it out")
    return _verify(plain, path, size)


def _verify(file: BinaryIO, path: str, size: int) -> Snapshot:
    """Checksum everything but the tail as it streams by, then the seals in the tail."""
    kept = 3 * SEAL.size + DIGEST.size + LAST_ZXID.size
    checksum, offset, tail = 1, 0, b""
    while piece := file.read(PIECE):
        tail += piece
        if offset == 0 and tail[:8] != b"ZKSN\x00\x00\x00\x02"[: len(tail)]:
            raise Damaged(f"{path}, offset 0: not the header of a snapshot")
        done = max(len(tail) - kept, 0)
        checksum = zlib.adler32(tail[:done], checksum)
        offset, tail = offset + done, tail[done:]

    def sealed_to(end: int) -> bool:
        """Whether a seal that ends `end` bytes before the file's end is right."""
        at = len(tail) - end - SEAL.size
        if at < 0:
            return False
        value, length, root = SEAL.unpack_from(tail, at)
        return (value, length, root) == (zlib.adler32(tail[:at], checksum), 1, b"/")

    if not sealed_to(0):
        raise Damaged(f"{path}, offset {max(offset + len(tail) - SEAL.size, 0)}: the snapshot's last seal is missing or wrong")
    zxid = zxid_of_name(os.path.basename(path), SNAPSHOT)
    newer = SEAL.size + LAST_ZXID.size
    end = newer if sealed_to(newer) else 0
    if sealed_to(end + SEAL.size + DIGEST.size):
        digest = DIGEST.unpack_from(tail, len(tail) - end - SEAL.size - DIGEST.size)
        return Snapshot(zxid, max(zxid, digest[0]), size, digest)
    return Snapshot(zxid, zxid, size)
