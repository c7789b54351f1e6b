"""The two small files beside the data: whose it is (`zkboot.json`), and what was there before a build from it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from zkboot.errors import NewerSchema, UnknownFact
from zkboot.model import Configuration, Data, Disk, DiskState, Identity
from zkboot.zookeeper import configuration, files
from zkboot.zookeeper.contents import Contents

SCHEMA = 1
GENERATION_FILE = "zkboot.json"
BUILD_FILE = "zkboot-build.json"


def read_json(path: str) -> dict[str, Any] | None:
    """A JSON object of zkboot's, None when it is not there. Raises UnknownFact for what is none, NewerSchema, OSError."""
    text = files.read_text(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
        schema = found.get("schema", SCHEMA)
    except (ValueError, AttributeError) as error:
        raise UnknownFact(f"{path}: zkboot did not write this ({error}); a person must look at it") from error
    if schema > SCHEMA:
        raise NewerSchema(f"{path} has schema {schema}, newer than this zkboot: upgrade it")
    return dict(found)


class Generation(NamedTuple):
    """The generation file: the data beside it is of this cluster and generation, and served by this server id.

    What an older zkboot does not know in it, it does not read, and what it did not write reads as false.
    """

    identity: Identity
    server_id: int
    seeded: bool
    fenced: bool = False
    over: bool = False

    @staticmethod
    def read(data_dir: str) -> "Generation | None":
        fields = read_json(f"{data_dir}/{GENERATION_FILE}")
        if fields is None:
            return None
        with _as_unknown(f"{data_dir}/{GENERATION_FILE}"):
            identity = Identity(fields["cluster_id"], fields["generation"])
            fenced, over = fields.get("fenced", False), fields.get("over", False)
            return Generation(identity, fields["server_id"], fields["seeded"], fenced, over)

    def write(self, data_dir: str) -> None:
        fields = {"schema": SCHEMA, **self.identity._asdict(), **{k: v for k, v in self._asdict().items() if k != "identity"}}
        files.write(f"{data_dir}/{GENERATION_FILE}", json.dumps(fields, sort_keys=True, indent=1) + "\n")

    @staticmethod
    def remove(data_dir: str) -> None:
        files.remove(f"{data_dir}/{GENERATION_FILE}")


class Build(NamedTuple):
    """What the disk was when a build from its own data began, and for which generation that is."""

    target: Identity
    identity: Identity | None
    server_id: int | None
    seeded: bool
    fenced: bool
    current_epoch: int
    accepted_epoch: int
    committed: Configuration | None
    pending: Configuration | None

    @staticmethod
    def read(data_dir: str) -> "Build | None":
        fields = read_json(f"{data_dir}/{BUILD_FILE}")
        if fields is None:
            return None
        with _as_unknown(f"{data_dir}/{BUILD_FILE}"):
            return Build(
                target=Identity(*fields["target"]),
                identity=Identity(*fields["identity"]) if fields["identity"] else None,
                server_id=fields["server_id"],
                seeded=fields["seeded"],
                fenced=fields["fenced"],
                current_epoch=fields["current_epoch"],
                accepted_epoch=fields["accepted_epoch"],
                committed=_from_text(fields["committed"]),
                pending=_from_text(fields["pending"]),
            )

    @staticmethod
    def begin(data_dir: str, target: Identity, disk: Disk) -> None:
        """Note what there is; for a disk whose build is unfinished that is what was before it began."""
        assert disk.data is not None
        fields = {
            "schema": SCHEMA,
            "target": target,
            "identity": disk.identity,
            "server_id": disk.server_id,
            "seeded": disk.seeded,
            "fenced": disk.fenced,
            "current_epoch": disk.data.current_epoch,
            "accepted_epoch": disk.data.accepted_epoch,
            "committed": _to_text(disk.data.committed),
            "pending": _to_text(disk.data.pending),
        }
        files.write(f"{data_dir}/{BUILD_FILE}", json.dumps(fields, sort_keys=True, indent=1) + "\n")

    @staticmethod
    def end(data_dir: str) -> None:
        files.remove(f"{data_dir}/{BUILD_FILE}")

    def finished(self, generation: Generation | None) -> bool:
        return generation is not None and generation.identity == self.target

    def as_it_was(self, held: Contents) -> Disk:
        return Disk(
            state=DiskState.DAMAGED if held.damage else DiskState.DATA,
            why=held.damage,
            identity=self.identity,
            server_id=self.server_id,
            seeded=self.seeded,
            fenced=self.fenced,
            data=Data(self.current_epoch, self.accepted_epoch, held.zxid, self.committed, self.pending),
        )


@contextmanager
def _as_unknown(path: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownFact(f"{path}: not what zkboot writes ({error!r}); a person must look at it") from error


def _to_text(members: Configuration | None) -> str | None:
    return configuration.text_of(members) + f"version={members.version:x}\n" if members is not None else None


def _from_text(text: str | None) -> Configuration | None:
    return configuration.parse(text) if text is not None else None
