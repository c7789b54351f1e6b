"""The record and the reports as JSON, schema 1: for people to read too, and checked field by field when read.

An id, a count or an instant is a number; a zxid and a configuration's version are hexadecimal text; a server is its line in
ZooKeeper's own words. What is absent is null. A field too many or too few makes a document one of another schema, and so damaged.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from zkboot.errors import NewerSchema, UnknownFact
from zkboot.model import HIGHEST_ID, Archive, Claim, Configuration, Data, Holds, Identity, Intent, Record, Report, Scope, State
from zkboot.zookeeper.configuration import parse, server_line

SCHEMA = 1
HIGHEST_COUNT = (1 << 63) - 1
HIGHEST_ZXID = (1 << 64) - 1

COMMANDS = ("reseed", "restore", "create")  # of an intent

T = TypeVar("T")
Json = dict[str, Any]


def record_to_json(record: Record) -> bytes:
    return _dump(
        record._asdict()
        | {
            "scope": record.scope._asdict(),
            "created": list(record.created),
            "members": {str(server_id): claim._asdict() for server_id, claim in record.members.items()},
            "intent": record.intent._asdict() if record.intent else None,
        }
    )


def record_of_json(body: bytes, key: str) -> Record:
    """Raises UnknownFact naming `key` and the field that is wrong, NewerSchema for a document of a later zkboot."""
    return _load(body, key, _record)


def report_to_json(report: Report) -> bytes:
    """Nothing in it changes but with what it says: the same report is the same bytes, and keeps its ETag."""
    return _dump(
        {
            "instance_id": report.instance_id,
            "address": report.address,
            "holds": report.holds,
            "identity": _identity_to_json(report.identity),
            "server_id": report.server_id,
            "revision": report.revision,
            "data": _data_to_json(report.data) if report.data else None,
            "archives": [_archive_to_json(archive) for archive in report.archives],
            "read": report.read,
            "ids": _ranges(report.ids),
        }
    )


def report_of_json(body: bytes, key: str) -> Report:
    """As `record_of_json`. ETag and modification are the store's to tell."""
    return _load(body, key, _report)


# --- writing


def _dump(document: Json) -> bytes:
    return (json.dumps({"schema": SCHEMA, **document}, indent=1, sort_keys=True) + "\n").encode()


def _identity_to_json(identity: Identity | None) -> Json | None:
    return identity._asdict() if identity else None


def _data_to_json(data: Data) -> Json:
    return data._asdict() | {
        "zxid": hex(data.zxid),
        "committed": _configuration_to_json(data.committed),
        "pending": _configuration_to_json(data.pending),
    }


def _configuration_to_json(configuration: Configuration | None) -> Json | None:
    if configuration is None:
        return None
    return {"version": hex(configuration.version), "servers": [server_line(server) for server in sorted(configuration.servers)]}


def _ranges(ids: tuple[int, ...]) -> str:
    """`1-3,7`: as short for 255 servers as for 3."""
    runs: list[list[int]] = []
    for server_id in sorted(set(ids)):
        if runs and server_id == runs[-1][-1] + 1:
            runs[-1][1:] = [server_id]
        else:
            runs.append([server_id])
    return ",".join("-".join(map(str, run)) for run in runs)


def _archive_to_json(archive: Archive) -> Json:
    return archive._asdict() | {"identity": _identity_to_json(archive.identity), "zxid": hex(archive.zxid)}


# --- reading


class Wrong(Exception):
    """A value is not what its field takes; the message says what it must be."""


class Field(NamedTuple):
    """A value of the document, and its name from the top."""

    name: str
    value: Any

    def fields(self, *names: str) -> dict[str, "Field"]:
        """The values of an object that has these names and no others."""
        found = self.entries()
        if found.keys() != set(names):
            odd = ", ".join(sorted(found.keys() ^ set(names)))
            raise self.wrong(f"must have the fields {', '.join(names)}; too many or missing: {odd}")
        return found

    def entries(self) -> dict[str, "Field"]:
        if not isinstance(self.value, dict):
            raise self.wrong("must be an object")
        prefix = f"{self.name}." if self.name else ""
        return {name: Field(prefix + name, value) for name, value in self.value.items()}

    def items(self) -> list["Field"]:
        if not isinstance(self.value, list):
            raise self.wrong("must be a list")
        return [Field(f"{self.name}[{index}]", value) for index, value in enumerate(self.value)]

    def optional(self, read: Callable[["Field"], T]) -> T | None:
        return None if self.value is None else read(self)

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("must be a text that is not empty")
        return self.value

    def text_or_empty(self) -> str:
        return "" if self.value == "" else self.text()

    def number(self, least: int, most: int) -> int:
        # JSON's true would count as 1.
        if type(self.value) is not int or not least <= self.value <= most:
            raise self.wrong(f"must be a whole number from {least} to {most}")
        return self.value

    def whole(self) -> int:
        return self.number(0, HIGHEST_COUNT)

    def server_id(self) -> int:
        return self.number(1, HIGHEST_ID)

    def generation(self) -> int:
        return self.number(1, HIGHEST_COUNT)

    def instant(self) -> float:
        if type(self.value) not in (int, float) or not 0 <= self.value < float("inf"):
            raise self.wrong("must be seconds since 1970")
        return float(self.value)

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("must be true or false")
        return self.value

    def zxid(self) -> int:
        """Hexadecimal text as `hex` writes it."""
        try:
            number = int(self.text(), 16)
        except ValueError:
            number = -1
        if self.value != hex(number) or not 0 <= number <= HIGHEST_ZXID:
            raise self.wrong('must be hexadecimal text such as "0x100000002"')
        return number

    def one_of(self, kind: type[T]) -> T:
        try:
            return kind(self.text())  # type: ignore[call-arg]
        except ValueError:
            raise self.wrong(f"must be one of {', '.join(kind)}") from None  # type: ignore[arg-type]

    def wrong(self, must: str) -> Wrong:
        shown = json.dumps(self.value)
        return Wrong(f"{self.name or 'the document'} {must}, not {shown if len(shown) <= 80 else shown[:77] + '...'}")


def _load(body: bytes, key: str, read: Callable[[Field], T]) -> T:
    try:
        top = Field("", _parse_json(body))
        schema = top.entries().get("schema", Field("schema", None)).number(1, HIGHEST_COUNT)
        if schema > SCHEMA:
            raise NewerSchema(f"{key} has schema {schema}, this zkboot understands {SCHEMA}: upgrade zkboot on this node")
        return read(top)
    except Wrong as wrong:
        raise UnknownFact(
            f"{key} is damaged: {wrong}; put an older version back (or delete the report of a terminated instance)"
        ) from wrong


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"the document must be JSON: {error} ({len(body)} bytes)") from error


def _record(document: Field) -> Record:
    f = document.fields("schema", *Record._fields)
    return Record(
        revision=f["revision"].number(1, HIGHEST_COUNT),
        nonce=f["nonce"].text(),
        cluster_id=f["cluster_id"].text(),
        scope=_scope(f["scope"]),
        generation=f["generation"].generation(),
        state=f["state"].one_of(State),
        seed=f["seed"].text_or_empty(),
        started=f["started"].truth(),
        created=tuple(entry.generation() for entry in f["created"].items()),
        zk_epoch=f["zk_epoch"].whole(),
        members={_id_of(name, claim): _claim(claim) for name, claim in f["members"].entries().items()},
        source=f["source"].text_or_empty(),
        intent=f["intent"].optional(_intent),
    )


def _scope(scope: Field) -> Scope:
    f = scope.fields(*Scope._fields)
    return Scope(f["account"].text(), f["region"].text(), f["vpc"].text(), f["group"].text())


def _id_of(name: str, claim: Field) -> int:
    """A member's server id, which is the name of its field."""
    server_id = int(name) if name.isdecimal() and name.isascii() else 0
    if str(server_id) != name:
        raise claim.wrong(f"must be named by a server id from 1 to {HIGHEST_ID}")
    return Field(claim.name, server_id).server_id()


def _claim(claim: Field) -> Claim:
    f = claim.fields(*Claim._fields)
    return Claim(f["instance_id"].text(), f["address"].text(), f["zone"].text_or_empty(), f["claimed"].instant())


def _intent(intent: Field) -> Intent:
    f = intent.fields(*Intent._fields)
    command = f["command"].text()
    if command not in COMMANDS:
        raise f["command"].wrong(f"must be one of {', '.join(COMMANDS)}")
    return Intent(command, f["instance_id"].text(), f["source"].text_or_empty(), f["requested"].instant())


def _report(document: Field) -> Report:
    f = document.fields(
        *("schema", "instance_id", "address", "holds", "identity", "server_id", "revision", "data", "archives", "read", "ids")
    )
    return Report(
        instance_id=f["instance_id"].text(),
        address=f["address"].text(),
        holds=f["holds"].one_of(Holds),
        identity=f["identity"].optional(_identity),
        server_id=f["server_id"].optional(Field.server_id),
        revision=f["revision"].whole(),
        data=f["data"].optional(_data),
        archives=tuple(_archive(entry) for entry in f["archives"].items()),
        read=f["read"].instant(),
        ids=_ids(f["ids"]),
    )


def _ids(ids: Field) -> tuple[int, ...]:
    """Server ids, as `_ranges` writes them."""
    found: list[int] = []
    for run in filter(None, ids.text_or_empty().split(",")):
        first, _, last = run.partition("-")
        bounds = [Field(ids.name, int(end) if end.isdecimal() and end.isascii() else end) for end in (first, last or first)]
        found += range(bounds[0].server_id(), bounds[1].server_id() + 1)
    if _ranges(tuple(found)) != ids.value:
        raise ids.wrong('must be ids such as "1-3,7", each once')
    return tuple(found)


def _identity(identity: Field) -> Identity:
    f = identity.fields(*Identity._fields)
    return Identity(f["cluster_id"].text(), f["generation"].generation())


def _data(data: Field) -> Data:
    f = data.fields(*Data._fields)
    return Data(
        current_epoch=f["current_epoch"].whole(),
        accepted_epoch=f["accepted_epoch"].whole(),
        zxid=f["zxid"].zxid(),
        committed=f["committed"].optional(_configuration),
        pending=f["pending"].optional(_configuration),
    )


def _archive(archive: Field) -> Archive:
    f = archive.fields(*Archive._fields)
    identity = f["identity"].optional(_identity)
    return Archive(f["name"].text(), identity, f["current_epoch"].whole(), f["zxid"].zxid(), f["damaged"].truth())


def _configuration(configuration: Field) -> Configuration:
    f = configuration.fields(*Configuration._fields)
    version = f["version"].zxid()
    lines = [line.text() for line in f["servers"].items()]
    try:
        read = parse("\n".join(lines), version)
    except ValueError as error:
        raise f["servers"].wrong(f"must be lines of servers ({error})") from error
    # Only what this package itself would write: one line a server, each id once, nothing left to a default.
    if [server_line(server) for server in read.servers] != lines:
        raise f["servers"].wrong(f"must be lines such as {server_line(read.servers[0])}, by id, each id once")
    return read
