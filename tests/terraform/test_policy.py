"""The node's policy, enforced: what zkboot does works with exactly it, nothing in it is superfluous, and the rest is denied."""

import json
import time
from collections.abc import Callable, Iterator
from string import Template
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends

from tests.integration.aws import BUCKET, CLUSTER, REGION, Node, node
from tests.lab.iam import ACCOUNT, PARTITION
from tests.lab.region import POLICY
from zkboot import record
from zkboot.aws.backups import S3Backups
from zkboot.aws.group import node_metadata
from zkboot.aws.logs import LogGroup
from zkboot.errors import UnknownFact
from zkboot.logs.batches import Event

WORDS = {
    "partition": PARTITION,
    "account": ACCOUNT,
    "region": REGION,
    "bucket": BUCKET,
    "cluster": CLUSTER,
    "group": "zk",
    "backups": f"backups/{CLUSTER}/",
}
WHOLE: dict[str, Any] = json.loads(Template(POLICY.read_text()).substitute(WORDS))
STATEMENTS: dict[str, dict[str, Any]] = {statement["Sid"]: statement for statement in WHOLE["Statement"]}
DENIED = r"AccessDenied|UnauthorizedOperation"
LOG_GROUP = f"/zkboot/{CLUSTER}"


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    with node(region=REGION) as found:
        for group in (LOG_GROUP, "/zkboot/other"):
            found.region.client("logs").create_log_group(logGroupName=group)
        yield found


@pytest.fixture
def found(shared: Node) -> Iterator[Node]:
    """A node with the whole policy, before and after each test."""
    yield shared
    enforce(shared, WHOLE["Statement"])


def enforce(found: Node, statements: list[dict[str, Any]], name: str = "node") -> None:
    document = json.dumps({"Version": WHOLE["Version"], "Statement": statements})
    iam_backends[ACCOUNT][PARTITION].put_role_policy(role_of(found), name, document)


def role_of(found: Node) -> str:
    return f"zkboot-{found.group.plan.key}"


def actions(statement: dict[str, Any]) -> list[str]:
    return statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]


# --- what zkboot does, by the statement that allows it


def keeps_record_and_reports(found: Node) -> None:
    for key in (record.record_key(CLUSTER), record.report_key(CLUSTER, found.machine.instance_id)):
        stored = found.store.get(key)
        found.store.put(key, b"{}", stored.etag if stored else None)
        assert found.store.get(key)


def sees_what_is_there_and_what_is_not(found: Node) -> None:
    assert found.store.get(record.report_key(CLUSTER, "i-never-was")) is None
    found.store.list(f"control/{CLUSTER}/reports/")
    found.store.list(f"backups/{CLUSTER}/")


def backs_up(found: Node) -> None:
    copies_into(S3Backups(found.settings), f"backups/{CLUSTER}/{time.monotonic_ns()}")


def copies_into(store: S3Backups, key: str) -> None:
    """A backup, made, read back, given up and deleted, as copy, verification, drill, restore and prune do."""
    upload = store.upload(key, 1)
    upload.send(b"x")
    upload.complete()
    assert b"".join(store.read(key)) == b"x"
    store.upload(key, 1).abort()
    store.delete(key)


def aborts_what_was_left(found: Node) -> None:
    aborts_in(S3Backups(found.settings), f"backups/{CLUSTER}/")


def aborts_in(store: S3Backups, prefix: str) -> None:
    store.upload(f"{prefix}20261122T000000Z.tar.gz", 1)
    assert store.abort_unfinished(prefix) >= 1


def writes_its_secrets_once(found: Node) -> None:
    name = f"/zkboot/{CLUSTER}/{time.monotonic_ns()}"
    assert found.store.create_secret(name, "first")
    assert not found.store.create_secret(name, "second")
    assert found.store.secret(name) == "first"


def sees_the_group(found: Node) -> None:
    assert found.autoscaling.describe(frozenset()).desired == 1
    assert found.autoscaling.activity() == ""
    assert node_metadata(found.settings)._group_of(found.machine.instance_id) == "zk"


def completes_its_hooks(found: Node) -> None:
    found.autoscaling.heartbeat("zkboot-launch")
    found.autoscaling.complete("zkboot-launch")


def writes_its_log_and_reads_it(found: Node) -> None:
    stream = f"{found.machine.instance_id}/{time.monotonic_ns()}"
    group, now = LogGroup(found.settings.aws, LOG_GROUP), int(time.time() * 1000)
    assert group.put(stream, [Event(now, "healthy")]) == 0
    assert stream in [told.stream for told in group.read(now, None, stream)]


def cannot_overwrite_its_secret(found: Node) -> None:
    name = f"/zkboot/{CLUSTER}/{time.monotonic_ns()}"
    assert found.store.create_secret(name, "first")
    with pytest.raises(ClientError, match=DENIED):
        found.client("ssm").put_parameter(Name=name, Value="second", Type="SecureString", Overwrite=True)


DONE: dict[str, Callable[[Node], None]] = {
    "OwnRecordAndReports": keeps_record_and_reports,
    "OwnBackups": backs_up,
    "SeeOwnUnfinishedBackups": aborts_what_was_left,
    "SeeOwnObjects": sees_what_is_there_and_what_is_not,
    "OwnParameters": writes_its_secrets_once,
    "ParametersAreWrittenOnce": cannot_overwrite_its_secret,
    "SeeGroupAndInstances": sees_the_group,
    "OwnLifecycleHooks": completes_its_hooks,
    "OwnLogs": writes_its_log_and_reads_it,
}


def test_each_statement_has_its_use() -> None:
    assert DONE.keys() == STATEMENTS.keys()


@pytest.mark.parametrize("statement", DONE)
def test_what_zkboot_does_works_with_exactly_this_policy(found: Node, statement: str) -> None:
    DONE[statement](found)


@pytest.mark.parametrize(
    ("statement", "action"), [(name, action) for name, statement in STATEMENTS.items() for action in actions(statement)]
)
def test_no_action_is_superfluous(found: Node, statement: str, action: str) -> None:
    others = [name for name in actions(STATEMENTS[statement]) if name != action]
    less = [{**s, "Action": others} if s["Sid"] == statement else s for s in STATEMENTS.values()]
    enforce(found, [s for s in less if s["Action"]])
    with pytest.raises((UnknownFact, ClientError, pytest.fail.Exception), match=rf"{DENIED}|DID NOT RAISE"):
        DONE[statement](found)


# --- copies in a second bucket, for which Terraform adds a policy of its own

COPIES, PREFIX = "copies", "backups/orders/"  # of the planned stack
ELSEWHERE = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
)


@pytest.fixture
def elsewhere(found: Node, planned: dict[str, dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """That policy's statements, enforced."""
    s3 = found.region.client("s3")
    if COPIES not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=COPIES, CreateBucketConfiguration={"LocationConstraint": REGION})
    whole = json.loads(planned['aws_iam_role_policy.node["node"]']["policy"])["Statement"]
    statements = [statement for statement in whole if statement["Sid"].endswith("Elsewhere")]
    enforce(found, statements, "backups")
    yield statements
    iam_backends[ACCOUNT][PARTITION].delete_role_policy(role_of(found), "backups")


def keeps_copies(found: Node) -> None:
    second = S3Backups.of_copies(found.settings._replace(backup=found.settings.backup._replace(copy_bucket=COPIES)))
    assert second is not None
    copies_into(second, f"{PREFIX}{time.monotonic_ns()}")
    second.list(PREFIX)
    aborts_in(second, PREFIX)


def test_copies_are_kept_with_the_policy_that_is_there_for_them(found: Node, elsewhere: list[dict[str, Any]]) -> None:
    assert {action for statement in elsewhere for action in actions(statement)} == set(ELSEWHERE)
    keeps_copies(found)
    with pytest.raises(ClientError, match=DENIED):
        found.client("s3").put_object(Bucket=COPIES, Key="backups/other/x", Body=b"")


@pytest.mark.parametrize("action", ELSEWHERE)
def test_no_action_on_copies_is_superfluous(found: Node, elsewhere: list[dict[str, Any]], action: str) -> None:
    less = [{**s, "Action": [name for name in actions(s) if name != action]} for s in elsewhere]
    enforce(found, less, "backups")
    with pytest.raises((UnknownFact, ClientError), match=DENIED):
        keeps_copies(found)


# --- what nobody may do from a node

FORBIDDEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "delete the record": ("s3", "delete_object", {"Key": f"control/{CLUSTER}/record.json"}),
    "delete a version of the record": ("s3", "delete_object", {"Key": f"control/{CLUSTER}/record.json", "VersionId": "1"}),
    "delete a report": ("s3", "delete_object", {"Key": f"control/{CLUSTER}/reports/i-1.json"}),
    "delete a version of a backup": ("s3", "delete_object", {"Key": f"backups/{CLUSTER}/x.tar.gz", "VersionId": "1"}),
    "delete another cluster's backup": ("s3", "delete_object", {"Key": "backups/other/x.tar.gz"}),
    "read another cluster's backup": ("s3", "get_object", {"Key": "backups/other/x.tar.gz"}),
    "write another cluster's backup": ("s3", "put_object", {"Key": "backups/other/x.tar.gz", "Body": b""}),
    "read another cluster's record": ("s3", "get_object", {"Key": "control/other/record.json"}),
    "write another cluster's record": ("s3", "put_object", {"Key": "control/other/record.json", "Body": b""}),
    "list another cluster's reports": ("s3", "list_objects_v2", {"Prefix": "control/other/"}),
    "list a prefix that its own name begins": ("s3", "list_objects_v2", {"Prefix": f"control/{CLUSTER}-2/"}),
    "write outside the prefixes": ("s3", "put_object", {"Key": "elsewhere", "Body": b""}),
    "suspend versioning": ("s3", "put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
    "delete the bucket": ("s3", "delete_bucket", {}),
    "read another cluster's secret": ("ssm", "get_parameter", {"Name": "/zkboot/other/super"}),
    "delete its secret": ("ssm", "delete_parameter", {"Name": f"/zkboot/{CLUSTER}/super"}),
    "read every secret": ("ssm", "get_parameters_by_path", {"Path": "/zkboot/"}),
    "terminate an instance": ("ec2", "terminate_instances", {"InstanceIds": ["i-1"]}),
    "launch an instance": ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}),
    "scale the group": ("autoscaling", "set_desired_capacity", {"DesiredCapacity": 0}),
    "change the group": ("autoscaling", "update_auto_scaling_group", {"MinSize": 0}),
    "delete the group": ("autoscaling", "delete_auto_scaling_group", {}),
    "remove a hook": ("autoscaling", "delete_lifecycle_hook", {"LifecycleHookName": "zkboot-launch"}),
    "write another cluster's log": ("logs", "create_log_stream", {"logGroupName": "/zkboot/other", "logStreamName": "x"}),
    "read another cluster's log": ("logs", "filter_log_events", {"logGroupName": "/zkboot/other"}),
    "delete its log": ("logs", "delete_log_group", {"logGroupName": LOG_GROUP}),
    "change its own policy": ("iam", "delete_role_policy", {"RoleName": "zkboot-eu-west-1-zk", "PolicyName": "node"}),
}


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_what_is_forbidden_is_denied(found: Node, deed: str) -> None:
    service, call, parameters = FORBIDDEN[deed]
    whom = {"s3": {"Bucket": BUCKET}, "autoscaling": {"AutoScalingGroupName": "zk"}}.get(service, {})
    with pytest.raises(ClientError, match=DENIED):
        getattr(found.client(service), call)(**whom, **parameters)


def test_the_hooks_of_another_group_are_not_completed(found: Node) -> None:
    found.region.group(0, name="other", cluster="other")
    hook = {"AutoScalingGroupName": "other", "LifecycleHookName": "zkboot-launch", "InstanceId": found.machine.instance_id}
    with pytest.raises(ClientError, match=DENIED):
        found.client("autoscaling").complete_lifecycle_action(**hook, LifecycleActionResult="ABANDON")
