"""The tree behind snapshots and logs: how many znodes there are, and ZooKeeper's own digest of them all.

Formats, in jute (big-endian; a string or buffer is int length, then bytes; a vector int count, then items): `FileSnap`,
`SerializeUtils` and `DataTree.serialize` for a snapshot, `zookeeper.jute` (`txn`) and `SerializeUtils.deserializeTxn` for a
transaction, all of 3.9. The digest is `DigestCalculator`'s sum over every znode's path, data and stat but those below /zookeeper;
a leader computes it for each transaction when that is made, and writes it behind it into the log.
"""

import gzip
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, cast

from zkboot.errors import Damaged
from zkboot.zookeeper import formats

HEADER = 32  # bytes of a transaction's header; its type is the last int
CREATE, DELETE, SET_DATA, SET_ACL, CHECK, MULTI, CREATE2, RECONFIG = 1, 2, 5, 7, 13, 14, 15, 16
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL = 19, 20, 21
CREATES, DELETES = (CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL), (DELETE, DELETE_CONTAINER)

INT, LONG = struct.Struct(">i"), struct.Struct(">q")
DIGEST = struct.Struct(">iq")
SESSION = 12  # bytes of a session in a snapshot: long id, int timeout
NODE = 8 + 60  # bytes after a znode's data: long ACL, then the stat
END = b"/"  # in place of a further path


class Digest(NamedTuple):
    """Of two versions nothing can be said."""

    version: int
    value: int


class Tree(NamedTuple):
    """`nodes` and `digest` are None where the files do not tell."""

    nodes: int | None
    digest: Digest | None


class Effect(NamedTuple):
    """What one transaction does to the tree: the paths that are there after it, or not any more, in order."""

    paths: tuple[tuple[str, bool], ...]
    digest: Digest | None  # of the whole tree after it


def of_snapshot(path: str) -> Tree:
    """What a whole snapshot holds. Raises Damaged naming the offset, OSError."""
    digest = formats.read_snapshot(path).digest
    with _opened(path) as file:
        return Tree(sum(1 for _ in _paths(file, path)), Digest(*digest[1:]) if digest else None)


def of_files(snapshot: str, logs: Iterable[str], largest: int) -> Tree:
    """What a start from these files reaches, by counting, without a server. `largest` is the longest payload, in bytes.

    Transactions from the snapshot's zxid to the end of its fuzzy range may be in it already: of the paths that they touch, what
    the last of them left is so. Raises Damaged naming file and offset, OSError.
    """
    begin = formats.read_snapshot(snapshot)
    digest = Digest(*begin.digest[1:]) if begin.digest and begin.digest[0] <= begin.zxid else None
    touched: dict[str, bool] = {}
    more, reached = 0, begin.zxid
    counted = True
    for log in logs:
        for record in formats.read_log(log, largest):
            if record.zxid <= reached:
                continue
            reached = record.zxid
            effect = _effect(record, log)
            digest = effect.digest or (None if record.changes else digest)
            counted = counted and not (record.changes and _is_old_close(record.payload))
            for path, there in effect.paths:
                if record.zxid <= begin.fuzzy_end:
                    touched[path] = there
                else:
                    more += 1 if there else -1
    with _opened(snapshot) as file:
        for path in _paths(file, snapshot):
            more += path not in touched
    return Tree(more + sum(touched.values()) if counted else None, digest)


def _effect(record: formats.Record, log: str) -> Effect:
    try:
        reader = _Reader(record.payload)
        reader.skip(HEADER - INT.size)
        kind = reader.int()
        if kind == formats.CLOSE_SESSION and _is_old_close(record.payload):
            paths: tuple[tuple[str, bool], ...] = ()
        else:
            paths = tuple(_transaction(kind, reader))
        left = reader.rest()
        return Effect(paths, Digest(*DIGEST.unpack(left)) if len(left) == DIGEST.size else None)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise Damaged(f"{log}, offset {record.offset}: not a transaction that ZooKeeper 3.9 writes: {error}") from error


def _is_old_close(payload: bytes) -> bool:
    """A session's end without the paths that go with it (closeSessionTxn.enabled=false)."""
    if INT.unpack_from(payload, formats.TYPE_AT)[0] != formats.CLOSE_SESSION:
        return False
    return len(payload) - HEADER in (0, DIGEST.size)


def _transaction(kind: int, reader: "_Reader") -> Iterator[tuple[str, bool]]:
    """The paths that a transaction's body creates and deletes; the body is read to its end."""
    if kind in CREATES:
        yield reader.string(), True
        reader.buffer()
        reader.acl()
        reader.skip({CREATE_CONTAINER: 4, CREATE_TTL: 12}.get(kind, 5))
    elif kind in DELETES:
        yield reader.string(), False
    elif kind in (SET_DATA, RECONFIG):
        reader.string()
        reader.buffer()
        reader.int()
    elif kind == SET_ACL:
        reader.string()
        reader.acl()
        reader.int()
    elif kind == CHECK:
        reader.string()
        reader.int()
    elif kind in (formats.CREATE_SESSION, formats.ERROR):
        reader.int()
    elif kind == formats.CLOSE_SESSION:
        for _ in range(reader.int()):
            yield reader.string(), False
    elif kind == MULTI:
        parts = [(reader.int(), reader.buffer()) for _ in range(reader.int())]
        if all(part != formats.ERROR for part, _ in parts):  # with one that was refused, none is carried out
            for part, body in parts:
                yield from _transaction(part, _Reader(body))
    else:
        raise ValueError(f"type {kind}")


class _Reader:
    """Jute, read from bytes. Raises struct.error or ValueError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise ValueError("it ends too early")

    def int(self) -> int:
        (value,) = INT.unpack_from(self._data, self._at)
        self._at += INT.size
        return int(value)

    def buffer(self) -> bytes:
        size = max(self.int(), 0)  # -1 is none
        begin = self._at
        self.skip(size)
        return self._data[begin : self._at]

    def string(self) -> str:
        return self.buffer().decode("utf-8")

    def acl(self) -> None:
        for _ in range(self.int()):
            self.int()
            self.buffer()
            self.buffer()

    def rest(self) -> bytes:
        return self._data[self._at :]


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    with open(path, "rb", buffering=formats.PIECE) as plain:
        yield cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if path.endswith(".gz") else plain


def _paths(file: BinaryIO, name: str) -> Iterator[str]:
    """The path of each znode in a snapshot, the root's "" first. Raises Damaged."""

    def exactly(size: int) -> bytes:
        found = file.read(size) if size >= 0 else b""
        if len(found) != size:
            raise Damaged(f"{name}, offset {file.tell()}: the tree of a snapshot ends here, in the middle")
        return found

    def number() -> int:
        return int(INT.unpack(exactly(INT.size))[0])

    def text() -> bytes:
        return exactly(max(number(), 0))

    exactly(formats.LOG_HEADER.size)
    exactly(number() * SESSION)
    for _ in range(number()):
        exactly(LONG.size)
        for _ in range(number()):
            number()
            text()
            text()
    while (path := text()) != END:
        text()
        exactly(NODE)
        yield path.decode("utf-8")
