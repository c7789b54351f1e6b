"""The record and the reports in the store: one winner of a race, and the truth about one's own write whatever its answer was."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.aws import BUCKET, Node, in_pages_of, node
from tests.lab import faults
from tests.lab.faults import Answer, Dropped, Fault
from tests.lab.iam import Call
from zkboot import documents
from zkboot import record as records
from zkboot.errors import NewerSchema, Stale, UnknownFact
from zkboot.model import Claim, Holds, Record, Report, Scope, State

NEW = Record(
    revision=0,
    nonce="",
    cluster_id="c0ffee",
    scope=Scope("123456789012", "eu-west-1", "vpc-1", "zk"),
    generation=1,
    state=State.CREATING,
    seed="i-1",
    started=False,
    created=(),
    zk_epoch=0,
    members={1: Claim("i-1", "10.0.0.1", "eu-west-1a", 1.0)},
)
REPORT = Report("i-1", "10.0.0.1", Holds.JOINING, None, None, 0, None, ())
RACERS = 20
CLUSTER = "zk"
KEY = records.record_key(CLUSTER)


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    with node(region="eu-west-1") as found:
        yield found


@pytest.fixture
def found(shared: Node) -> Iterator[Node]:
    """The shared node; nothing is stored yet."""
    yield shared
    for fault in shared.region.gateway.faults:
        fault.end()
    s3 = shared.region.client("s3")
    for key in shared.region.objects():
        s3.delete_object(Bucket=BUCKET, Key=key)


def stored(found: Node) -> Record:
    read = records.read(found.store, CLUSTER)
    assert read is not None
    return read[0]


def race(run: Callable[[int], object]) -> list[object]:
    """What each of twenty racers got that started at once: a result, or what it raised."""
    start = threading.Barrier(RACERS)

    def racer(number: int) -> object:
        start.wait(120)
        try:
            return run(number)
        except (Stale, UnknownFact) as error:
            return error

    with ThreadPoolExecutor(RACERS) as racers:
        return list(racers.map(racer, range(RACERS)))


def then_by_another(write: Callable[[], object]) -> faults.Effect:
    """The call is carried out, another writes over it, and the answer to the first is lost."""

    def effect(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
        carry_out()
        write()
        raise Dropped

    return effect


# --- the record


def test_a_record_is_created_and_replaced(found: Node) -> None:
    assert records.read(found.store, CLUSTER) is None
    first, etag = records.create(found.store, CLUSTER, NEW)
    assert (first.revision, stored(found)) == (1, first)
    second, _ = records.replace(found.store, CLUSTER, first._replace(started=True), etag)
    assert (second.revision, second.started, stored(found)) == (2, True, second)
    assert first.nonce != second.nonce


def test_of_twenty_who_create_one_does(found: Node) -> None:
    results = race(lambda number: records.create(found.store, CLUSTER, NEW._replace(seed=f"i-{number}"))[0])
    winners = [result for result in results if isinstance(result, Record)]
    assert winners == [stored(found)]
    assert sum(isinstance(result, Stale) for result in results) == RACERS - 1


def test_of_twenty_who_replace_one_does(found: Node) -> None:
    first, etag = records.create(found.store, CLUSTER, NEW)
    results = race(lambda number: records.replace(found.store, CLUSTER, first._replace(seed=f"i-{number}"), etag)[0])
    assert [result for result in results if isinstance(result, Record)] == [stored(found)]
    assert sum(isinstance(result, Stale) for result in results) == RACERS - 1


def test_one_of_twenty_wins_and_knows_it_though_answers_are_lost(found: Node) -> None:
    """Every third answer is lost after the write: retries meet themselves, and still each racer learns the truth."""
    count = iter(range(10_000))
    fault = Fault(faults.lose_answer, (), "s3:PutObject", only=lambda environ: next(count) % 3 == 0)
    found.region.gateway.add(fault)
    results = race(lambda number: records.create(found.store, CLUSTER, NEW._replace(seed=f"i-{number}"))[0])
    fault.end()
    assert fault.met > 0
    assert [result for result in results if isinstance(result, Record)] == [stored(found)]


def test_twenty_who_claim_until_they_succeed_all_do_once(found: Node) -> None:
    """Each is in the record at the end, none lost, one revision for each; Stale means that nothing was done."""
    records.create(found.store, CLUSTER, NEW._replace(members={}))
    found.region.gateway.add(Fault(faults.conflict, (), "s3:PutObject", times=5))
    found.fault(faults.lose_answer, "s3:PutObject", times=5)

    def claim(number: int) -> Record:
        doubtful = False
        while True:
            read = records.read(found.store, CLUSTER)
            assert read is not None
            record, etag = read
            if doubtful and any(claim.instance_id == f"i-{number}" for claim in record.members.values()):
                return record
            free = next(i for i in range(1, 256) if i not in record.members)
            members = {**record.members, free: Claim(f"i-{number}", "10.0.0.1", "a", 0.0)}
            try:
                return records.replace(found.store, CLUSTER, record._replace(members=members), etag)[0]
            except Stale:
                doubtful = False
            except UnknownFact:
                doubtful = True

    results = race(claim)
    assert all(isinstance(result, Record) for result in results)
    final = stored(found)
    assert sorted(claim.instance_id for claim in final.members.values()) == sorted(f"i-{number}" for number in range(RACERS))
    assert final.revision == 1 + RACERS


@pytest.mark.parametrize("answer", [faults.lose_answer, faults.unavailable, faults.conflict], ids=["lost", "503", "409"])
def test_a_write_is_known_to_have_happened(found: Node, answer: faults.Effect) -> None:
    fault = found.fault(answer, "s3:PutObject", times=1)
    first, etag = records.create(found.store, CLUSTER, NEW)
    assert fault.met == 1
    assert stored(found) == first
    found.fault(answer, "s3:PutObject", times=1)
    second, _ = records.replace(found.store, CLUSTER, first, etag)
    assert stored(found) == second


def test_a_write_with_every_answer_lost_is_known_to_have_happened(found: Node) -> None:
    fault = found.fault(faults.lose_answer, "s3:PutObject")
    first, etag = records.create(found.store, CLUSTER, NEW)
    assert fault.met == 3
    assert records.read(found.store, CLUSTER) == (first, etag)


def test_a_write_that_did_not_happen_is_not_taken_for_another(found: Node) -> None:
    first, etag = records.create(found.store, CLUSTER, NEW)
    found.fault(faults.deny, "s3:PutObject")
    with pytest.raises(UnknownFact, match="needs s3:PutObject"):
        records.replace(found.store, CLUSTER, first._replace(started=True), etag)
    assert stored(found) == first


def test_a_write_that_another_wrote_over_before_its_answer_is_unknown(found: Node) -> None:
    """It happened, and nothing there tells of it: to say that nothing was done would be a lie."""
    first, etag = records.create(found.store, CLUSTER, NEW)
    others = documents.record_to_json(first._replace(revision=3, nonce="another's"))
    admin = found.region.client("s3")
    found.fault(then_by_another(lambda: admin.put_object(Bucket=BUCKET, Key=KEY, Body=others)), "s3:PutObject", times=1)
    with pytest.raises(UnknownFact, match="revision 3 by now: whether its revision 2 was this node's is not known"):
        records.replace(found.store, CLUSTER, first._replace(started=True), etag)


def test_what_cannot_be_read_back_is_unknown(found: Node) -> None:
    found.fault(faults.lose_answer, "s3:PutObject")
    found.fault(faults.deny, "s3:GetObject")
    with pytest.raises(UnknownFact, match="s3:GetObject"):
        records.create(found.store, CLUSTER, NEW)


def test_a_record_deleted_meanwhile_is_not_written_again(found: Node) -> None:
    first, etag = records.create(found.store, CLUSTER, NEW)
    found.region.client("s3").delete_object(Bucket=BUCKET, Key=KEY)
    with pytest.raises(Stale, match="is gone"):
        records.replace(found.store, CLUSTER, first, etag)
    assert records.read(found.store, CLUSTER) is None


def test_a_newer_record_is_neither_read_nor_written_over(found: Node) -> None:
    newer = b'{"schema": 2}'
    found.region.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=newer)
    with pytest.raises(NewerSchema, match=KEY):
        records.read(found.store, CLUSTER)
    with pytest.raises(NewerSchema):
        records.create(found.store, CLUSTER, NEW)
    assert found.region.objects()[KEY] == newer


def test_what_nobody_could_read_again_is_not_written(found: Node) -> None:
    with pytest.raises(UnknownFact, match="generation"):
        records.create(found.store, CLUSTER, NEW._replace(generation=0))
    with pytest.raises(UnknownFact, match="server_id"):
        records.write_report(found.store, CLUSTER, REPORT._replace(server_id=256))
    assert found.region.objects() == {}


# --- reports


def test_a_report_is_written_read_and_replaced(found: Node) -> None:
    assert records.read_report(found.store, CLUSTER, "i-1") is None
    first = records.write_report(found.store, CLUSTER, REPORT)
    again = records.read_report(found.store, CLUSTER, "i-1")
    assert again is not None and again._replace(modified=0.0) == first
    assert again.modified > 1e9
    second = records.write_report(found.store, CLUSTER, again._replace(revision=1))
    assert second.etag != first.etag
    with pytest.raises(Stale):
        records.write_report(found.store, CLUSTER, first._replace(revision=2))


def test_an_unchanged_report_keeps_its_etag(found: Node) -> None:
    first = records.write_report(found.store, CLUSTER, REPORT)
    assert records.write_report(found.store, CLUSTER, first) == first


def test_a_report_with_a_lost_answer_is_known_to_be_written(found: Node) -> None:
    found.fault(faults.lose_answer, "s3:PutObject")
    first = records.write_report(found.store, CLUSTER, REPORT)
    second = records.write_report(found.store, CLUSTER, first._replace(revision=1))
    assert records.report_etags(found.store, CLUSTER) == {"i-1": second.etag}


def test_an_unchanged_report_that_could_not_be_written_is_not_called_written(found: Node) -> None:
    """Its bytes and ETag are there either way, its date is not."""
    first = records.write_report(found.store, CLUSTER, REPORT)
    found.fault(faults.deny, "s3:PutObject")
    with pytest.raises(UnknownFact, match="needs s3:PutObject"):
        records.write_report(found.store, CLUSTER, first)


def test_all_reports_of_one_cluster_over_several_pages(found: Node) -> None:
    in_pages_of(found.client("s3"), "ListObjectsV2", "MaxKeys", 4)
    written = {
        f"i-{number}": records.write_report(found.store, CLUSTER, REPORT._replace(instance_id=f"i-{number}"))
        for number in range(11)
    }
    records.create(found.store, CLUSTER, NEW)
    reports = records.read_reports(found.store, CLUSTER)
    assert {key: report._replace(modified=0.0) for key, report in reports.items()} == written
    assert records.report_etags(found.store, CLUSTER) == {key: report.etag for key, report in written.items()}


def test_one_report_that_cannot_be_read_makes_all_unknown(found: Node) -> None:
    for number in range(3):
        records.write_report(found.store, CLUSTER, REPORT._replace(instance_id=f"i-{number}"))
    damaged = records.report_key(CLUSTER, "i-1")
    found.region.client("s3").put_object(Bucket=BUCKET, Key=damaged, Body=b"{")
    with pytest.raises(UnknownFact, match=damaged):
        records.read_reports(found.store, CLUSTER)
    assert set(records.report_etags(found.store, CLUSTER)) == {"i-0", "i-1", "i-2"}


def test_a_report_at_the_place_of_another_is_unknown(found: Node) -> None:
    records.write_report(found.store, CLUSTER, REPORT)
    body = found.region.objects()[records.report_key(CLUSTER, "i-1")]
    found.region.client("s3").put_object(Bucket=BUCKET, Key=records.report_key(CLUSTER, "i-2"), Body=body)
    with pytest.raises(UnknownFact, match=r"i-2\.json is the report of another instance, i-1"):
        records.read_reports(found.store, CLUSTER)


def test_without_reports_there_are_none(found: Node) -> None:
    assert records.read_reports(found.store, CLUSTER) == {}
    assert records.report_etags(found.store, CLUSTER) == {}
