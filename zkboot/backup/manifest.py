"""A backup's objects, and the manifest that makes one of them, schema 1.

`<prefix><name>.tar.gz` is the archive and `<prefix><name>.manifest.json` its manifest, written last: what has none is no backup.
Neither is ever written again. What is learned later has objects of its own: `<name>.verified.json` (every byte was read back and
found whole), `<name>.damaged.json` (it was not), `<name>.drilled.json` (a server was started from it) and `<name>.current.json`
(nothing was written since); their time is the store's.
A name is the UTC time at which the backup began, by the store's clock: names sort as time does.
"""

import calendar
import itertools
import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from zkboot.errors import Damaged, NewerSchema
from zkboot.zookeeper import formats

SCHEMA = 1
ARCHIVE = ".tar.gz"
MANIFEST = ".manifest.json"
VERIFIED = ".verified.json"
DAMAGED = ".damaged.json"
CURRENT = ".current.json"
DRILLED = ".drilled.json"

PIECE = 1 << 20  # bytes of the archive under one checksum

NAME_FORMAT = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
NAME_LENGTH = 16
PATH = re.compile(r"version-2/(snapshot\.[0-9a-f]{1,16}(\.gz|\.snappy)?|log\.[0-9a-f]{1,16})")
SHA256 = re.compile(r"[0-9a-f]{64}")
ZXID = re.compile(r"0x[0-9a-f]{1,16}")


class File(NamedTuple):
    """A file in the archive; `size` in bytes."""

    path: str
    size: int
    sha256: str


class Manifest(NamedTuple):
    """What the archive holds and whose it is. A start from its files reaches exactly the transaction `last`."""

    name: str
    cluster: str
    cluster_id: str
    generation: int
    server_id: int
    instance_id: str  # of the node that made it
    mode: str  # hot: copied while the server ran; cold: its server was stopped
    had_quorum: bool  # all that was acknowledged before is in it; without, others may have held more
    epoch: int  # the server's current epoch
    first: int  # zxid of the snapshot
    last: int  # zxid
    seconds: float  # that making it took, from its name on: nothing later is in it
    size: int  # of the archive, in bytes
    largest: int  # bytes: the longest payload of a record that its servers took
    sha256: str  # of the archive
    pieces: tuple[str, ...]  # the SHA-256 of each PIECE bytes of the archive
    files: tuple[File, ...]  # in the archive's order: the snapshot, then the logs
    zkboot: str  # its version
    zookeeper: str  # its version, "" where it is not known

    @property
    def bytes(self) -> int:
        """Of the files."""
        return sum(file.size for file in self.files)


def name_of(instant: float) -> str:
    """The name of a backup that begins then (seconds since 1970)."""
    return time.strftime(NAME_FORMAT, time.gmtime(instant))


def instant_of(name: str) -> float:
    """When the backup of that name began, seconds since 1970. Raises ValueError for what is no name."""
    return float(calendar.timegm(time.strptime(name, NAME_FORMAT)))


def is_name(text: str) -> bool:
    """Whether this can be a backup's name: a time that there was or will be."""
    if not NAME.fullmatch(text):
        return False
    try:
        instant_of(text)
    except ValueError:
        return False
    return True


def is_archive(text: str) -> bool:
    """Whether this, behind the prefix, can be an archive's key."""
    return text.endswith(ARCHIVE) and is_name(text.removesuffix(ARCHIVE))


def is_path(path: str) -> bool:
    """Whether this can be a file in an archive: it stays in its folder, and is one of ZooKeeper's."""
    return PATH.fullmatch(path) is not None


def to_json(manifest: Manifest) -> bytes:
    document = manifest._asdict() | {
        "schema": SCHEMA,
        "first": hex(manifest.first),
        "last": hex(manifest.last),
        "files": [file._asdict() for file in manifest.files],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def of_json(body: bytes, key: str) -> Manifest:
    """Raises Damaged naming `key` and the field that is wrong, NewerSchema."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{key}: not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Damaged(f"{key}: not a manifest")
    schema = fields.pop("schema", None)
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerSchema(f"{key} has schema {schema}, newer than this zkboot: upgrade it")
    try:
        manifest = _manifest(fields)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Damaged(f"{key}: not a manifest of schema {SCHEMA}: {error}") from error
    if not key.endswith(f"{manifest.name}{MANIFEST}"):
        raise Damaged(f"{key}: the manifest of another backup, {manifest.name}")
    return manifest


def _manifest(fields: Mapping[str, Any]) -> Manifest:
    missing = set(Manifest._fields) ^ set(fields)
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} missing, or unknown")
    found = Manifest(
        **{
            **fields,
            "first": _zxid(fields["first"]),
            "last": _zxid(fields["last"]),
            "pieces": tuple(fields["pieces"]),
            "files": tuple(File(**file) for file in fields["files"]),
        }
    )
    instant_of(found.name)
    for field in ("name", "cluster", "cluster_id", "instance_id", "mode", "zkboot", "zookeeper"):
        _expect(isinstance(getattr(found, field), str), field)
    for field in ("generation", "server_id", "epoch", "largest", "size"):
        _expect(_is_count(getattr(found, field)), field)
    _expect(isinstance(found.had_quorum, bool), "had_quorum")
    _expect(isinstance(found.seconds, (int, float)) and found.seconds >= 0, "seconds")
    _expect(all(map(_is_sha256, (found.sha256, *found.pieces))), "sha256")
    _expect(len(found.pieces) == -(-found.size // PIECE), "pieces")
    _expect(bool(found.files), "files")
    for file in found.files:
        _expect(isinstance(file.path, str) and is_path(file.path) and _is_count(file.size) and _is_sha256(file.sha256), "files")
    _expect(_in_order([file.path for file in found.files]), "files")
    return found


def _in_order(paths: list[str]) -> bool:
    """One snapshot, then logs, each of later transactions than the one before: as a server reads them."""
    zxids = [formats.zxid_of_name(os.path.basename(path), formats.LOG) for path in paths]  # -1 for a snapshot
    return zxids[0] < 0 and all(one < other for one, other in itertools.pairwise(zxids))


def _expect(fits: bool, field: str) -> None:
    if not fits:
        raise ValueError(f"{field} cannot be so")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None


def _zxid(text: str) -> int:
    if not ZXID.fullmatch(text):
        raise ValueError(f"{text!r} is no zxid")
    return int(text, 16)
