"""The record and the reports as JSON: whole after a round trip, and refused by name where anything is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkboot import documents
from zkboot.errors import NewerSchema, UnknownFact
from zkboot.model import Archive, Claim, Configuration, Data, Holds, Identity, Intent, Record, Report, Role, Scope, Server, State

KEY = "control/a/record.json"

words = st.text(min_size=1, max_size=20)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
server_ids = st.integers(1, 255)
ports = st.integers(1, 65535)
counts = st.integers(0, (1 << 63) - 1)
generations = st.integers(1, 1 << 40)
zxids = st.integers(0, (1 << 64) - 1)
instants = st.floats(0, 4e9)
identities = st.builds(Identity, words, generations)
servers = st.builds(Server, server_ids, addresses, st.sampled_from(Role), ports, ports, ports)
configurations = st.builds(
    Configuration,
    zxids,
    st.lists(servers, min_size=1, max_size=7, unique_by=lambda s: s.id).map(lambda found: tuple(sorted(found))),
)
disks = st.builds(Data, counts, counts, zxids, st.none() | configurations, st.none() | configurations)
archives = st.builds(Archive, words, st.none() | identities, counts, zxids)
reports = st.builds(
    Report,
    instance_id=words,
    address=addresses,
    holds=st.sampled_from(Holds),
    identity=st.none() | identities,
    server_id=st.none() | server_ids,
    revision=counts,
    data=st.none() | disks,
    archives=st.lists(archives, max_size=3).map(tuple),
    read=instants,
    ids=st.sets(server_ids).map(lambda ids: tuple(sorted(ids))),
    etag=st.just(""),
    modified=st.just(0.0),
)
records = st.builds(
    Record,
    revision=st.integers(1, 1 << 40),
    nonce=words,
    cluster_id=words,
    scope=st.builds(Scope, words, words, words, words),
    generation=generations,
    state=st.sampled_from(State),
    seed=words,
    started=st.booleans(),
    created=st.lists(generations, max_size=4).map(tuple),
    zk_epoch=counts,
    members=st.dictionaries(server_ids, st.builds(Claim, words, addresses, words, instants), max_size=4),
    source=st.just("") | words,
    intent=st.none() | st.builds(Intent, st.sampled_from(documents.COMMANDS), words, st.just("") | words, instants),
)

CONFIGURATION = Configuration(0x100000003, (Server(4, "10.0.0.4"), Server(12, "fd00::12", Role.OBSERVER)))
RECORD = Record(
    revision=7,
    nonce="5f0c",
    cluster_id="c0ffee",
    scope=Scope("123456789012", "eu-west-1", "vpc-1", "zk"),
    generation=2,
    state=State.RESTORING,
    seed="i-4",
    started=True,
    created=(1,),
    zk_epoch=65537,
    members={4: Claim("i-4", "10.0.0.4", "eu-west-1a", 1.5), 12: Claim("i-12", "fd00::12", "eu-west-1b", 2)},
    source="backup-1",
    intent=Intent("restore", "i-4", "backup-1", 3.0),
)
REPORT = Report(
    instance_id="i-4",
    address="10.0.0.4",
    holds=Holds.DATA,
    identity=Identity("c0ffee", 2),
    server_id=4,
    revision=7,
    data=Data(3, 4, 0x300000001, CONFIGURATION, CONFIGURATION._replace(version=0x300000002)),
    archives=(Archive("1-20260101T000000Z", Identity("c0ffee", 1), 1, 0x100000009),),
    ids=(3, 4, 5, 12),
)


@given(records)
def test_a_record_is_whole_after_a_round_trip(record: Record) -> None:
    assert documents.record_of_json(documents.record_to_json(record), KEY) == record


@given(reports)
def test_a_report_is_whole_after_a_round_trip(report: Report) -> None:
    assert documents.report_of_json(documents.report_to_json(report), KEY) == report


@given(reports, words, instants)
def test_a_report_that_says_the_same_is_the_same_bytes(report: Report, etag: str, modified: float) -> None:
    read_back = documents.report_of_json(documents.report_to_json(report), KEY)
    assert documents.report_to_json(read_back._replace(etag=etag, modified=modified)) == documents.report_to_json(report)


def test_what_people_read() -> None:
    shown = json.loads(documents.report_to_json(REPORT))
    assert shown["schema"] == 1
    assert shown["data"]["zxid"] == "0x300000001"
    assert shown["ids"] == "3-5,12"
    assert shown["data"]["committed"] == {
        "version": "0x100000003",
        "servers": [
            "server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181",
            "server.12=[fd00::12]:2888:3888:observer;[fd00::12]:2181",
        ],
    }
    text = documents.record_to_json(RECORD).decode()
    assert text.splitlines()[1].startswith(' "cluster_id"'), "sorted, indented by one"
    assert json.loads(text)["members"]["12"] == {"instance_id": "i-12", "address": "fd00::12", "zone": "eu-west-1b", "claimed": 2}


def fields_of(value: Any, name: str = "") -> list[str]:
    """The name of every field and list entry of a document, from the top."""
    if isinstance(value, dict):
        return [n for key, inner in value.items() for n in (f"{name}.{key}".lstrip("."), *fields_of(inner, f"{name}.{key}"))]
    if isinstance(value, list):
        return [
            n
            for index, inner in enumerate(value)
            for n in (f"{name}[{index}]".lstrip("."), *fields_of(inner, f"{name}[{index}]"))
        ]
    return []


def changed(document: Any, name: str, change: Any) -> bytes:
    """The document with the field of that name given to `change(parent, key)`."""
    *path, last = name.replace("[", ".[").split(".")
    parent = document
    for part in path:
        parent = parent[int(part[1:-1])] if part.startswith("[") else parent[part]
    change(parent, int(last[1:-1]) if last.startswith("[") else last)
    return json.dumps(document).encode()


def read(kind: str, body: bytes) -> Record | Report:
    return documents.record_of_json(body, KEY) if kind == "record" else documents.report_of_json(body, KEY)


BODIES = {"record": documents.record_to_json(RECORD), "report": documents.report_to_json(REPORT)}
ALL_FIELDS = [(kind, name) for kind, body in BODIES.items() for name in fields_of(json.loads(body))]
assert len(ALL_FIELDS) > 60


@pytest.mark.parametrize(("kind", "name"), ALL_FIELDS)
def test_every_field_is_checked(kind: str, name: str) -> None:
    """No field takes a value of any other type, and the message names key and field."""
    before = json.loads(BODIES[kind])
    for bad in (object_of_no_field := {"no such field": 1}, [[]], -1, 1e400, 2.5, True, "\t", ""):
        body = changed(json.loads(BODIES[kind]), name, lambda parent, key, bad=bad: parent.__setitem__(key, bad))
        try:
            accepted = read(kind, body)
        except UnknownFact as error:
            assert KEY in str(error) and (name.partition("[")[0] in str(error) or bad is object_of_no_field)
        else:
            # What is accepted is another value of the same field, and is read as that value.
            assert type(bad) is type(at(before, name)) or (bad == 2.5 and name.endswith(("claimed", "requested"))), (
                bad,
                accepted,
            )


def at(document: Any, name: str) -> Any:
    found: list[Any] = []
    changed(document, name, lambda parent, key: found.append(parent[key]))
    return found[0]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in ALL_FIELDS if not name.endswith("]")])
def test_a_field_too_few_is_damage(kind: str, name: str) -> None:
    if name.startswith("members.") and name.count(".") == 1:
        return  # a member fewer is another record
    body = changed(json.loads(BODIES[kind]), name, lambda parent, key: parent.pop(key))
    with pytest.raises(UnknownFact, match=name.rpartition(".")[2]):
        read(kind, body)


@pytest.mark.parametrize("kind", BODIES)
def test_a_field_too_many_is_damage(kind: str) -> None:
    with pytest.raises(UnknownFact, match="colour"):
        read(kind, changed(json.loads(BODIES[kind]), "colour", lambda parent, key: parent.__setitem__(key, "red")))


@pytest.mark.parametrize("kind", BODIES)
def test_a_beginning_of_a_document_is_damage(kind: str) -> None:
    body = BODIES[kind].rstrip()
    for length in range(len(body)):
        with pytest.raises(UnknownFact, match=KEY):
            read(kind, body[:length])


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b"\xff\xfe", b"[" * 100_000, b'{"schema": 0}', b'{"schema": "1"}'])
def test_what_is_no_document_is_damage(kind: str, body: bytes) -> None:
    with pytest.raises(UnknownFact, match=KEY) as caught:
        read(kind, body)
    assert not isinstance(caught.value, NewerSchema)


@pytest.mark.parametrize("kind", BODIES)
def test_a_newer_schema_is_told_before_anything_else_of_it_is_read(kind: str) -> None:
    with pytest.raises(NewerSchema, match=r"schema 2.*upgrade zkboot"):
        read(kind, b'{"schema": 2, "everything": "is different"}')


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("members", {"04": {}}),
        ("members", {"0": {}}),
        ("members", {"256": {}}),
        ("members", {"٤": {}}),
        ("state", "CREATED"),
        ("intent", {"command": "delete", "instance_id": "i-1", "source": "", "requested": 1}),
    ],
)
def test_values_that_a_record_cannot_have(field: str, value: Any) -> None:
    with pytest.raises(UnknownFact, match=field):
        read("record", changed(json.loads(BODIES["record"]), field, lambda parent, key: parent.__setitem__(key, value)))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["server.4=10.0.0.4:2888:3888"],  # a role and a client port left to a default
        ["server.4=10.0.0.4:2888:3888:participant;2181"],
        ["server.4=10.0.0.4:2888:3888:witness;10.0.0.4:2181"],
        ["server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181", "server.4=10.0.0.5:2888:3888:participant;10.0.0.5:2181"],
        ["server.5=10.0.0.5:2888:3888:participant;10.0.0.5:2181", "server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181"],
        ["server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181\nserver.5=10.0.0.5:2888:3888:participant;10.0.0.5:2181"],
        ["version=100000009", "server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181"],
        ["weight.4=1", "server.4=10.0.0.4:2888:3888:participant;10.0.0.4:2181"],
    ],
)
def test_lines_that_a_configuration_cannot_have(lines: list[str]) -> None:
    body = changed(json.loads(BODIES["report"]), "data.committed.servers", lambda parent, key: parent.__setitem__(key, lines))
    with pytest.raises(UnknownFact, match=r"data\.committed\.servers"):
        read("report", body)


@pytest.mark.parametrize("zxid", ["", "10", "0xG", "0x00", "0x1_0", "-0x1", "0x10000000000000000", "0X1", " 0x1"])
def test_texts_that_are_no_zxid(zxid: str) -> None:
    with pytest.raises(UnknownFact, match=r"data\.zxid"):
        read("report", changed(json.loads(BODIES["report"]), "data.zxid", lambda parent, key: parent.__setitem__(key, zxid)))


@pytest.mark.parametrize("ids", ["0", "256", "1-256", "3-1", "1-1", "1-2-3", "1,1", "2,1", "1,2", "01", "1,", "-1", "1 2", "٤"])
def test_texts_that_are_no_server_ids(ids: str) -> None:
    with pytest.raises(UnknownFact, match="ids"):
        read("report", changed(json.loads(BODIES["report"]), "ids", lambda parent, key: parent.__setitem__(key, ids)))


def test_a_report_has_the_voters_in_full_and_of_all_others_their_ids() -> None:
    data = Data(3, 4, 0x300000001, CONFIGURATION, CONFIGURATION._replace(servers=(Server(7, "10.0.0.7", Role.OBSERVER),)))
    assert data.told.committed == CONFIGURATION._replace(servers=(Server(4, "10.0.0.4"),)) and data.told.pending is None
    assert data.ids == (4, 7, 12) and data.told.told == data.told
