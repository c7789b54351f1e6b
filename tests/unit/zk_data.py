"""Transaction logs and snapshots as a server writes them, made by hand."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

LOG_HEADER = struct.pack(">4siq", b"ZKLG", 2, 0)
SEAL_END = struct.pack(">i1s", 1, b"/")


def record(zxid: int, body: bytes = b"a transaction") -> bytes:
    payload = struct.pack(">qiqqi", 7, 1, zxid, 1_700_000_000_000, 1) + body
    return struct.pack(">qi", zlib.adler32(payload), len(payload)) + payload + b"B"


def write_log(folder: Path, zxids: Iterable[int], padding: int = 1000) -> Path:
    numbers = list(zxids)
    path = folder / f"log.{numbers[0]:x}"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(LOG_HEADER + b"".join(map(record, numbers)) + bytes(padding))
    return path


def write_snapshot(folder: Path, zxid: int, fuzzy_end: int | None = None, tree: bytes = b"tree", version: str = "3.9") -> Path:
    """As 3.9 writes it; 3.6 has no last zxid, 3.4 no digest either."""
    body = sealed(struct.pack(">4siq", b"ZKSN", 2, -1) + tree)
    if version != "3.4":
        body = sealed(body + struct.pack(">qiq", fuzzy_end or zxid, 2, 99))
    if version == "3.9":
        body = sealed(body + struct.pack(">q", zxid))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"snapshot.{zxid:x}"
    path.write_bytes(body)
    return path


def sealed(body: bytes) -> bytes:
    return body + struct.pack(">q", zlib.adler32(body)) + SEAL_END


def write_epochs(folder: Path, current: int, accepted: int) -> None:
    (folder / "currentEpoch").write_text(f"{current}\n")
    (folder / "acceptedEpoch").write_text(f"{accepted}\n")
