"""The archive: a gzip-compressed tar of a snapshot and its logs under `version-2/`, written and read as a stream, in constant
memory. `tar xzf` unpacks it too: into an empty dataDir, from which a server starts.

Format: the headers of GNU tar (sizes above 8 GiB in base 256), each file filled up to blocks of 512 bytes, two blocks of zeros at
the end. Files are ordinary ones, named as the manifest says and in its order; anything else in an archive is damage.
"""

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from isal import isal_zlib

from zkboot.backup.manifest import PIECE, File, Manifest
from zkboot.backup.sequence import Sequence, Watched
from zkboot.backup.survey import Survey
from zkboot.errors import Damaged

# Of ISA-L: for what servers write it is three times as fast as level 1 of zlib and leaves a tenth less; eight times as fast as
# tar's level 6. A backup shares the machine with a server.
LEVEL = 2
GZIP = 31  # as zlib's window bits: gzip's header and trailer
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
MODE = 0o600


class Written(NamedTuple):
    """What went into an archive; `size` in bytes, `sha256` and `pieces` of the compressed stream."""

    files: tuple[File, ...]
    first: int  # zxid of the snapshot
    last: int  # zxid
    size: int
    sha256: str
    pieces: tuple[str, ...]


def nothing(count: int) -> None:
    """Nobody looks on."""


def write(
    survey: Survey, instant: float, largest: int, send: Callable[[bytes], None], moved: Callable[[int], None] = nothing
) -> Written:
    """Stream the files to `send`, verifying on the way exactly the bytes that are sent. `instant` is the files' time in the tar;
    `moved` is told how many bytes of the files have been packed since it was told last.

    Raises Damaged when a file is no longer as it was surveyed; what was sent is then no backup.
    """
    checksums = Checksums()

    def pass_on(compressed: bytes) -> None:
        if compressed:
            checksums.add(compressed)
            send(compressed)

    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)

    def pack(plain: bytes) -> None:
        pass_on(compressor.compress(plain))

    def pack_content(plain: bytes) -> None:
        pack(plain)
        moved(len(plain))

    sequence = Sequence(largest)
    files = []
    for part in survey.parts:
        pack(_header(part.path, part.size, instant))
        os.lseek(part.descriptor, 0, os.SEEK_SET)
        with io.FileIO(part.descriptor, closefd=False) as file:
            stream = Watched(file.read, part.path, part.size, pack_content)
            sequence.file(stream, part.path, part.size)
        pack(bytes(-part.size % BLOCK))
        files.append(File(part.path, part.size, stream.sha256))
    sequence.end(survey.parts[0].path)
    if sequence.last != survey.last:
        raise Damaged(f"{survey.parts[-1].path} ends with transaction 0x{sequence.last:x}, and ended with 0x{survey.last:x}")
    pack(END)
    pass_on(compressor.flush())
    return Written(tuple(files), sequence.first, sequence.last, *checksums.end())


def check(manifest: Manifest, archive: Iterator[bytes], keep: Callable[[str, bytes], None]) -> None:
    """Verify an archive that streams in, to its last record; `keep(path, bytes)` is handed the files' content, in order.

    Raises Damaged naming the archive and the offset of the first thing that is not as the manifest says; nothing unverified
    reaches the decompressor, and no more than the manifest's sizes is kept.
    """
    name = f"{manifest.name}.tar.gz"
    plain = _Inflated(name, _verified(manifest, name, archive))
    sequence = Sequence(manifest.largest)
    for file in manifest.files:
        _expect_header(plain.exactly(BLOCK), file, name)
        stream = Watched(plain.read, f"{name}: {file.path}", file.size, lambda piece, path=file.path: keep(path, piece))  # type: ignore[misc]
        sequence.file(stream, f"{name}: {file.path}", file.size)
        if stream.sha256 != file.sha256:
            raise Damaged(f"{name}: {file.path}: its SHA-256 is {stream.sha256}, in the manifest {file.sha256}")
        if any(plain.exactly(-file.size % BLOCK)):
            raise Damaged(f"{name}: {file.path}: bytes after its end")
    if any(plain.exactly(len(END))) or plain.read(1):
        raise Damaged(f"{name}: more in it than the manifest's {len(manifest.files)} files")
    plain.expect_end()
    sequence.end(name)
    if (sequence.first, sequence.last) != (manifest.first, manifest.last):
        said = f"0x{manifest.first:x} to 0x{manifest.last:x}"
        raise Damaged(f"{name} holds transactions 0x{sequence.first:x} to 0x{sequence.last:x}, by its manifest {said}")


class Checksums:
    """SHA-256 of a stream, as a whole and of each PIECE bytes."""

    def __init__(self) -> None:
        self._size = 0
        self._whole = hashlib.sha256()
        self._piece = hashlib.sha256()
        self._pieces: list[str] = []

    def add(self, data: bytes) -> None:
        self._whole.update(data)
        while data:
            now = data[: PIECE - self._size % PIECE]
            self._piece.update(now)
            self._size += len(now)
            if self._size % PIECE == 0:
                self._end_piece()
            data = data[len(now) :]

    def end(self) -> tuple[int, str, tuple[str, ...]]:
        """Size, whole, pieces."""
        if self._size % PIECE:
            self._end_piece()
        return self._size, self._whole.hexdigest(), tuple(self._pieces)

    def _end_piece(self) -> None:
        self._pieces.append(self._piece.hexdigest())
        self._piece = hashlib.sha256()


class _Inflated:
    """What a gzip stream holds, read in pieces of the reader's size, however much a bomb would make of it."""

    def __init__(self, name: str, compressed: Iterator[bytes]) -> None:
        self._name = name
        self._compressed = compressed
        self._pending = b""
        self._unit = zlib.decompressobj(GZIP)  # another library than the one that wrote it

    def read(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end."""
        while not self._unit.eof:
            if not self._pending:
                self._pending = next(self._compressed, b"")
                if not self._pending:
                    raise Damaged(f"{self._name}: ends before its gzip data do")
            try:
                plain = self._unit.decompress(self._pending, size)
            except zlib.error as error:
                raise Damaged(f"{self._name}: not gzip data: {error}") from error
            self._pending = self._unit.unconsumed_tail
            if plain:
                return plain
        return b""

    def exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self.read(size - len(found))
            if not piece:
                raise Damaged(f"{self._name}: ends before its last file does")
            found += piece
        return found

    def expect_end(self) -> None:
        if not self._unit.eof or self._unit.unused_data or next(self._compressed, b""):
            raise Damaged(f"{self._name}: more bytes after the end of its gzip data")


def _verified(manifest: Manifest, name: str, archive: Iterable[bytes]) -> Iterator[bytes]:
    """The archive piece by piece, each only when its checksum is right."""
    whole = hashlib.sha256()
    offset = 0
    for piece in _pieces(archive):
        number = offset // PIECE
        wanted = min(PIECE, manifest.size - offset)
        if len(piece) != wanted:
            at = offset + min(len(piece), max(wanted, 0))
            raise Damaged(f"{name}, offset {at}: the archive ends or goes on here; by its manifest it has {manifest.size} bytes")
        if hashlib.sha256(piece).hexdigest() != manifest.pieces[number]:
            raise Damaged(f"{name}, offset {offset}: the {wanted} bytes from here fail their SHA-256")
        whole.update(piece)
        offset += len(piece)
        yield piece
    if offset != manifest.size:
        raise Damaged(f"{name}, offset {offset}: the archive ends here; by its manifest it has {manifest.size} bytes")
    if whole.hexdigest() != manifest.sha256:
        raise Damaged(f"{name}: its SHA-256 is {whole.hexdigest()}, in the manifest {manifest.sha256}")


def _pieces(archive: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in PIECE each, the last one shorter."""
    kept = bytearray()
    for data in archive:
        kept += data
        while len(kept) >= PIECE:
            yield bytes(kept[:PIECE])
            del kept[:PIECE]
    if kept:
        yield bytes(kept)


def _header(path: str, size: int, instant: float) -> bytes:
    about = tarfile.TarInfo(path)
    about.size, about.mtime, about.mode = size, int(instant), MODE
    return about.tobuf(tarfile.GNU_FORMAT)


def _expect_header(block: bytes, file: File, name: str) -> None:
    try:
        about = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise Damaged(f"{name}: where {file.path} should begin: {error}") from error
    if about.type != tarfile.REGTYPE or about.linkname or (about.name, about.size) != (file.path, file.size):
        kind = "a link or a device" if about.type != tarfile.REGTYPE else f"{about.size} bytes"
        raise Damaged(f"{name}: holds {about.name!r} ({kind}) where its manifest has {file.path} of {file.size} bytes")
