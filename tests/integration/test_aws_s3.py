"""The store against S3 and SSM, with the least privilege of a node; each way in which they can fail is injected."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.aws import BUCKET, CLUSTER, Node, cut_short, garbled, in_pages_of, node, settings_of
from tests.lab import faults
from tests.lab.region import Metadata
from zkboot.aws import session
from zkboot.aws.s3 import S3Store
from zkboot.errors import Stale, UnknownFact


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    with node(region="eu-west-1") as found:
        yield found


@dataclass
class Bench:
    """The shared node, and a prefix that is this test's own."""

    node: Node
    prefix: str

    @property
    def store(self) -> S3Store:
        return self.node.store

    @property
    def key(self) -> str:
        return f"{self.prefix}object.json"

    @property
    def parameter(self) -> str:
        return f"/zkboot/{self.prefix.removeprefix('control/').rstrip('/')}"

    def anew(self) -> "Bench":
        """With clients of its own, made when they are first used."""
        return Bench(self.node._replace(store=anew(self.node)), self.prefix)

    def stored(self) -> bytes | None:
        return self.node.region.objects().get(self.key)


@pytest.fixture
def bench(shared: Node, request: pytest.FixtureRequest) -> Iterator[Bench]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    yield Bench(shared, f"control/{CLUSTER}/{name}/")
    for fault in shared.region.gateway.faults:
        fault.end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients with the short timeouts and without a second attempt."""
    monkeypatch.setattr(session, "READ_TIMEOUT", 2.0)
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 2.0)
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    yield


def anew(found: Node, **changes: str) -> S3Store:
    """A store with clients of its own, of the same settings but for `changes`."""
    settings = found.settings._replace(aws=found.settings.aws._replace(**changes))
    store = S3Store(settings)
    store._clients = session.Clients(settings.aws)
    return store


# --- compare-and-set


def test_an_object_is_put_once_where_nothing_is(bench: Bench) -> None:
    assert bench.store.get(bench.key) is None
    etag = bench.store.put(bench.key, b"one", None)
    found = bench.store.get(bench.key)
    assert found is not None
    assert (found.body, found.etag) == (b"one", etag)
    assert 0 <= found.date - found.modified < 60, "both by the clock of S3"
    with pytest.raises(Stale, match=bench.key):
        bench.store.put(bench.key, b"two", None)
    assert bench.stored() == b"one"


def test_an_object_is_replaced_by_who_knows_it_as_it_is(bench: Bench) -> None:
    first = bench.store.put(bench.key, b"one", None)
    second = bench.store.put(bench.key, b"two", first)
    with pytest.raises(Stale):
        bench.store.put(bench.key, b"three", first)
    assert bench.stored() == b"two"
    bench.store.put(bench.key, b"three", second)


def test_an_object_that_is_gone_is_not_replaced(bench: Bench) -> None:
    etag = bench.store.put(bench.key, b"one", None)
    bench.node.region.client("s3").delete_object(Bucket=BUCKET, Key=bench.key)
    assert bench.store.get(bench.key) is None
    with pytest.raises(Stale):
        bench.store.put(bench.key, b"two", etag)


def test_a_conflict_is_sent_again(bench: Bench) -> None:
    fault = bench.node.fault(faults.conflict, "s3:PutObject", times=2)
    bench.store.put(bench.key, b"one", None)
    assert (fault.met, bench.stored()) == (2, b"one")


def test_conflicts_without_end_are_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zkboot.aws.s3.CONFLICT_PAUSES", (0.01, 0.01))
    bench.node.fault(faults.conflict, "s3:PutObject")
    with pytest.raises(UnknownFact, match=r"s3:PutObject on .*ConditionalRequestConflict"):
        bench.store.put(bench.key, b"one", None)


def test_an_own_write_sent_again_by_botocore_is_met_as_stale(bench: Bench) -> None:
    """Why the record has a nonce: the write happened, and says that it did not."""
    bench.node.fault(faults.lose_answer, "s3:PutObject", times=1)
    with pytest.raises(Stale):
        bench.store.put(bench.key, b"one", None)
    assert bench.stored() == b"one"


# --- listing


def test_a_listing_has_every_page(bench: Bench) -> None:
    etags = {
        f"{bench.prefix}{number}.json": bench.store.put(f"{bench.prefix}{number}.json", b"%d" % number, None)
        for number in range(7)
    }
    store = anew(bench.node)
    in_pages_of(store._s3, "ListObjectsV2", "MaxKeys", 3)
    before = bench.node.calls("s3:ListBucket")
    assert {entry.key: entry.etag for entry in store.list(bench.prefix)} == etags
    assert bench.node.calls("s3:ListBucket") - before == 3


def test_an_empty_listing(bench: Bench) -> None:
    assert bench.store.list(bench.prefix) == ()


def test_a_page_that_fails_makes_the_listing_unknown(bench: Bench) -> None:
    for number in range(4):
        bench.store.put(f"{bench.prefix}{number}.json", b"", None)
    store = anew(bench.node)
    in_pages_of(store._s3, "ListObjectsV2", "MaxKeys", 3)
    second_page = faults.Fault(
        faults.deny, (), "s3:ListBucket", only=lambda environ: "continuation-token" in environ["QUERY_STRING"]
    )
    bench.node.region.gateway.add(second_page)
    with pytest.raises(UnknownFact, match="s3:ListBucket"):
        store.list(bench.prefix)


# --- secrets


def test_a_secret_is_put_once(bench: Bench) -> None:
    assert bench.store.secret(bench.parameter) is None
    assert bench.store.create_secret(bench.parameter, "first") is True
    assert bench.store.create_secret(bench.parameter, "second") is False
    assert bench.store.secret(bench.parameter) == "first"
    parameter = bench.node.region.client("ssm").get_parameter(Name=bench.parameter)["Parameter"]
    assert parameter["Type"] == "SecureString"
    assert parameter["Value"] != "first", "not told without decryption"


def test_a_secret_is_in_no_message(bench: Bench) -> None:
    bench.node.fault(faults.deny, "ssm:PutParameter")
    with pytest.raises(UnknownFact) as caught:
        bench.store.create_secret(bench.parameter, "hush-hush")
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hush-hush" not in f"{chain} {chain.args}"
        chain = chain.__cause__


# --- what is not known

CALLS = {
    "s3:GetObject": lambda bench: bench.store.get(bench.key),
    "s3:PutObject": lambda bench: bench.store.put(bench.key, b"new", None),
    "s3:ListBucket": lambda bench: bench.store.list(bench.prefix),
    "ssm:GetParameter": lambda bench: bench.store.secret(bench.parameter),
    "ssm:PutParameter": lambda bench: bench.store.create_secret(bench.parameter, "new"),
}
READING = ("s3:GetObject", "s3:ListBucket", "ssm:GetParameter")


@pytest.mark.parametrize("action", CALLS)
def test_access_denied_names_the_permission(bench: Bench, action: str) -> None:
    bench.node.fault(faults.deny, action)
    with pytest.raises(UnknownFact, match=rf"{action} on .*the instance role needs {action}"):
        CALLS[action](bench)


def test_a_call_is_tried_three_times(bench: Bench) -> None:
    fault = bench.node.fault(faults.throttle, "s3:GetObject")
    with pytest.raises(UnknownFact, match="AWS limits the rate of calls"):
        bench.store.get(bench.key)
    assert fault.met == session.ATTEMPTS == 3


@pytest.mark.parametrize("action", CALLS)
def test_throttling_is_unknown(bench: Bench, impatient: None, action: str) -> None:
    bench.node.fault(faults.throttle, action)
    with pytest.raises(UnknownFact, match=rf"{action} on .*AWS limits the rate of calls"):
        CALLS[action](bench.anew())


@pytest.mark.parametrize("action", CALLS)
def test_a_moment_of_503_is_not_noticed(bench: Bench, action: str) -> None:
    fault = bench.node.fault(faults.unavailable, action, times=1)
    CALLS[action](bench)
    assert fault.met == 1


@pytest.mark.parametrize("action", CALLS)
def test_503_for_long_is_unknown(bench: Bench, impatient: None, action: str) -> None:
    bench.node.fault(faults.unavailable, action)
    with pytest.raises(UnknownFact, match=rf"{action} on .*AWS is at fault"):
        CALLS[action](bench.anew())


@pytest.mark.parametrize("action", CALLS)
def test_no_answer_is_unknown(bench: Bench, impatient: None, action: str) -> None:
    bench.node.fault(faults.hang, action)
    with pytest.raises(UnknownFact, match=rf"{action} on .*[Tt]imeout.*check name resolution, routes"):
        CALLS[action](bench.anew())


@pytest.mark.parametrize("action", CALLS)
def test_a_refused_connection_is_unknown(bench: Bench, impatient: None, action: str) -> None:
    bench.node.fault(faults.refuse, action)
    with pytest.raises(UnknownFact, match=rf"{action} on .*check name resolution, routes"):
        CALLS[action](bench.anew())


@pytest.mark.parametrize("action", READING)
@pytest.mark.parametrize("effect", [cut_short, garbled])
def test_half_an_answer_is_unknown(bench: Bench, impatient: None, action: str, effect: faults.Effect) -> None:
    bench.store.put(bench.key, b'{"a": "whole body"}', None)
    bench.store.create_secret(bench.parameter, "a whole secret")
    bench.node.fault(effect, action)
    if effect is garbled and action == "s3:GetObject":
        return  # a shorter body is a body: the documents are checked when parsed
    with pytest.raises(UnknownFact, match=action):
        CALLS[action](bench.anew())


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [("http://no-such-host.invalid:4566", "resolve|resolution"), ("http://127.0.0.1:9", "Connection refused")],
)
def test_a_host_that_is_not_there_is_unknown(bench: Bench, impatient: None, endpoint: str, cause: str) -> None:
    store = anew(bench.node, endpoint_url=endpoint)
    with pytest.raises(UnknownFact, match=rf"s3:GetObject on s3://.*{endpoint}.*({cause}).*; check name resolution"):
        store.get(bench.key)


def test_without_permission_to_list_nothing_is_absent(bench: Bench) -> None:
    """The role may list its own cluster only: what is not there in another's place is unknown, never absent."""
    with pytest.raises(UnknownFact, match=r"s3:GetObject on .*and s3:ListBucket on the bucket"):
        bench.store.get("control/another/record.json")


def test_a_bucket_that_is_not_there_is_no_absent_object(bench: Bench) -> None:
    bench.node.region.client("iam").put_role_policy(
        RoleName="zkboot-eu-west-1-zk",
        PolicyName="all-buckets",
        PolicyDocument='{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}',
    )
    try:
        store = anew(bench.node, bucket="no-such-bucket")
        for call in (
            lambda: store.get("a"),
            lambda: store.put("a", b"", None),
            lambda: store.put("a", b"", '"e"'),
            lambda: store.list("a"),
        ):
            with pytest.raises(UnknownFact, match=r"no-such-bucket.*NoSuchBucket.*correct aws\.bucket"):
                call()
    finally:
        bench.node.region.client("iam").delete_role_policy(RoleName="zkboot-eu-west-1-zk", PolicyName="all-buckets")


# --- credentials and region


def test_credentials_come_from_the_metadata_service_of_the_settings(bench: Bench) -> None:
    before = bench.node.region.metadata_calls(bench.node.machine)
    anew(bench.node).list(bench.prefix)
    after = bench.node.region.metadata_calls(bench.node.machine)
    asked = {path: after[path] - before.get(path, 0) for path in after if after[path] != before.get(path, 0)}
    assert asked["/latest/api/token"] >= 1
    assert any(path.startswith("/latest/meta-data/iam/security-credentials/zkboot") for path in asked)


def test_without_credentials_the_message_says_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    store = anew(bench.node, metadata_endpoint="http://127.0.0.1:9")
    with pytest.raises(UnknownFact, match=r"s3:GetObject on .*give the instance a profile with the instance role"):
        store.get(bench.key)


def test_a_role_that_comes_to_the_metadata_later_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Metadata.__call__
    store = anew(bench.node)
    with monkeypatch.context() as patch:
        patch.setattr(
            Metadata, "__call__", lambda self: {path: text for path, text in whole(self).items() if "/iam/" not in path}
        )
        for ask in (lambda: store.get(bench.key), lambda: store.secret(bench.parameter)):
            with pytest.raises(
                UnknownFact, match=r"Unable to locate credentials; give the instance a profile with the instance role"
            ):
                ask()
    assert store.get(bench.key) is None
    assert store.secret(bench.parameter) is None


def test_credentials_that_aws_does_not_take(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(UnknownFact, match=r"AWS does not take the credentials: check the instance role, and the node's clock"):
        anew(bench.node).secret(bench.parameter)


def test_the_region_is_asked_for_where_it_is_not_set(bench: Bench) -> None:
    assert anew(bench.node, region="")._s3.meta.region_name == "eu-west-1"


def test_a_region_that_cannot_be_learned_is_unknown() -> None:
    store = S3Store(settings_of("http://127.0.0.1:9", "http://127.0.0.1:9"))
    with pytest.raises(UnknownFact, match=r"the instance metadata .* gave no answer: .*Connection refused"):
        store.get("a")


def test_clients_are_shared_by_who_has_the_same_settings(bench: Bench) -> None:
    other: Any = S3Store(bench.node.settings)
    assert other._s3 is bench.store._s3
