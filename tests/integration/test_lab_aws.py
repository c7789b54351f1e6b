"""What a machine meets of AWS: the metadata service, IAM with the policy that Terraform attaches, and each fault."""

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.utils import InstanceMetadataFetcher

from tests.lab.machines import Machine
from tests.lab.region import BUCKET, REGION, Region

QUIET = ("/bin/sh", "-c", "exit 0")
RECORD = "control/zk/record.json"


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with Region() as region:
        region.group(2, command=QUIET)
        region.wait_until(lambda: len(region.machines) == 2, "two machines")
        yield region


@pytest.fixture
def machine(region: Region) -> Machine:
    return next(iter(region.machines.values()))


def metadata(machine: Machine, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(machine.settings["aws"]["metadata_endpoint"]).netloc, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def told(machine: Machine, path: str) -> tuple[int, str]:
    _, token = metadata(machine, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    return metadata(machine, "GET", path, {"X-aws-ec2-metadata-token": token})


def client_of(machine: Machine, service: str, patience: float = 60) -> Any:
    """boto3 with the credentials that this machine's metadata service hands out, without retries."""
    url = machine.settings["aws"]["metadata_endpoint"]
    role = InstanceMetadataFetcher(timeout=60, num_attempts=1, base_url=url + "/").retrieve_iam_role_credentials()
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=patience)
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=machine.settings["aws"]["endpoint_url"],
        aws_access_key_id=role["access_key"],
        aws_secret_access_key=role["secret_key"],
        aws_session_token=role["token"],
        config=config,
    )


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def test_metadata_is_version_2_only(machine: Machine) -> None:
    assert metadata(machine, "GET", "/latest/meta-data/instance-id", {})[0] == 401
    assert metadata(machine, "GET", "/latest/meta-data/instance-id", {"X-aws-ec2-metadata-token": "made-up"})[0] == 401
    assert metadata(machine, "PUT", "/latest/api/token", {})[0] == 400
    assert told(machine, "/latest/meta-data/instance-id") == (200, machine.instance_id)


def test_metadata_tells_what_a_node_asks(machine: Machine) -> None:
    assert told(machine, "/latest/meta-data/local-ipv4") == (200, machine.address)
    assert told(machine, "/latest/meta-data/placement/region") == (200, REGION)
    assert told(machine, "/latest/meta-data/autoscaling/target-lifecycle-state") == (200, "InService")
    assert told(machine, "/latest/meta-data/tags/instance/aws:autoscaling:groupName") == (200, "zk")
    assert told(machine, "/latest/meta-data/no/such/thing")[0] == 404
    mac = told(machine, "/latest/meta-data/network/interfaces/macs/")[1].split()[0]
    assert told(machine, f"/latest/meta-data/network/interfaces/macs/{mac}vpc-id")[1].startswith("vpc-")
    assert machine.instance_id in told(machine, "/latest/dynamic/instance-identity/document")[1]


def test_metadata_can_be_down(region: Region, machine: Machine) -> None:
    region.metadata_outage(machine)
    with pytest.raises((http.client.HTTPException, OSError)):
        told(machine, "/latest/meta-data/instance-id")
    region.metadata_back(machine)
    assert told(machine, "/latest/meta-data/instance-id")[0] == 200


def test_the_policy_allows_a_node_its_work(region: Region, machine: Machine) -> None:
    s3, ssm = client_of(machine, "s3"), client_of(machine, "ssm")
    with refused("NoSuchKey"):
        s3.get_object(Bucket=BUCKET, Key="control/zk/nothing-here")
    etag = s3.put_object(Bucket=BUCKET, Key=RECORD, Body=b"1", IfNoneMatch="*")["ETag"]
    s3.put_object(Bucket=BUCKET, Key=RECORD, Body=b"2", IfMatch=etag)
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=BUCKET, Key=RECORD, Body=b"3", IfMatch=etag)
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="control/zk/")["KeyCount"] == 1
    with refused("ParameterNotFound"):
        ssm.get_parameter(Name="/zkboot/zk/super", WithDecryption=True)
    ssm.put_parameter(Name="/zkboot/zk/super", Value="secret", Type="SecureString")
    with refused("ParameterAlreadyExists"):
        ssm.put_parameter(Name="/zkboot/zk/super", Value="other", Type="SecureString", Overwrite=False)
    asg = client_of(machine, "autoscaling")
    assert asg.describe_auto_scaling_groups(AutoScalingGroupNames=["zk"])["AutoScalingGroups"][0]["DesiredCapacity"] == 2
    assert client_of(machine, "ec2").describe_instances(InstanceIds=[machine.instance_id])["Reservations"]
    asg.describe_scaling_activities(AutoScalingGroupName="zk")
    hook = {"AutoScalingGroupName": "zk", "LifecycleHookName": "zkboot-launch", "InstanceId": machine.instance_id}
    asg.record_lifecycle_action_heartbeat(**hook)
    asg.complete_lifecycle_action(**hook, LifecycleActionResult="CONTINUE")


def test_the_policy_denies_everything_else(region: Region, machine: Machine) -> None:
    s3 = client_of(machine, "s3")
    before = len(region.gateway.refused)
    denied = [
        lambda: s3.delete_object(Bucket=BUCKET, Key=RECORD),
        lambda: s3.delete_object(Bucket=BUCKET, Key="backups/zk/x", VersionId="null"),
        lambda: s3.delete_object(Bucket=BUCKET, Key="backups/other/x"),
        lambda: s3.put_object(Bucket=BUCKET, Key="control/other/record.json", Body=b""),
        lambda: s3.get_object(Bucket=BUCKET, Key="control/other/record.json"),
        lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="control/other/"),
        lambda: s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}),
        lambda: client_of(machine, "ssm").get_parameter(Name="/zkboot/other/super"),
        lambda: client_of(machine, "ssm").delete_parameter(Name="/zkboot/zk/super"),
        lambda: client_of(machine, "autoscaling").set_desired_capacity(AutoScalingGroupName="zk", DesiredCapacity=0),
        lambda: client_of(machine, "cloudwatch").put_metric_data(Namespace="zkboot", MetricData=[]),
    ]
    for call in denied:
        with refused("AccessDenied"):
            call()
    with refused("UnauthorizedOperation"):
        client_of(machine, "ec2").terminate_instances(InstanceIds=[machine.instance_id])
    with refused("AccessDenied"):
        client_of(machine, "autoscaling").complete_lifecycle_action(
            AutoScalingGroupName="other", LifecycleHookName="h", InstanceId=machine.instance_id, LifecycleActionResult="CONTINUE"
        )
    assert len(region.gateway.refused) == before + len(denied) + 2


def test_made_up_credentials_are_refused(machine: Machine) -> None:
    made_up = boto3.client(
        "sts",
        region_name=REGION,
        endpoint_url=machine.settings["aws"]["endpoint_url"],
        aws_access_key_id="AKIAMADEUP",
        aws_secret_access_key="x",
    )
    with refused("InvalidClientTokenId"):
        made_up.get_caller_identity()


def test_outages_meet_only_whom_they_name(region: Region, machine: Machine) -> None:
    other = list(region.machines.values())[1]
    listing = {"Bucket": BUCKET, "Prefix": "control/zk/"}
    with region.aws_outage(machine):
        with pytest.raises(ConnectionClosedError):
            client_of(machine, "s3").list_objects_v2(**listing)
        client_of(other, "s3").list_objects_v2(**listing)
        region.client("s3").list_objects_v2(**listing)
    with region.aws_silence(machine), pytest.raises(ReadTimeoutError):
        client_of(machine, "s3", patience=1).list_objects_v2(**listing)
    with region.aws_unavailable(), refused("ServiceUnavailable"):
        client_of(other, "ssm").get_parameter(Name="/zkboot/zk/super")
    client_of(machine, "s3").list_objects_v2(**listing)


def test_each_service_says_slower_in_its_own_words(region: Region, machine: Machine) -> None:
    with region.throttle(machine):
        with refused("SlowDown"):
            client_of(machine, "s3").list_objects_v2(Bucket=BUCKET, Prefix="control/zk/")
        with refused("RequestLimitExceeded"):
            client_of(machine, "ec2").describe_instances()
        with refused("Throttling"):
            client_of(machine, "autoscaling").describe_auto_scaling_groups()
        with refused("ThrottlingException"):
            client_of(machine, "ssm").get_parameter(Name="/zkboot/zk/super")


def test_one_denied_call_leaves_the_others(region: Region, machine: Machine) -> None:
    with region.deny("ssm:GetParameter", machine):
        with refused("AccessDenied"):
            client_of(machine, "ssm").get_parameter(Name="/zkboot/zk/super")
        client_of(machine, "ec2").describe_instances()


def test_a_lost_answer_was_carried_out(region: Region, machine: Machine) -> None:
    s3 = client_of(machine, "s3")
    with region.lose_answer("s3:PutObject"), pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=BUCKET, Key="control/zk/lost", Body=b"done", IfNoneMatch="*")
    assert region.objects("control/zk/lost") == {"control/zk/lost": b"done"}
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=BUCKET, Key="control/zk/lost", Body=b"done", IfNoneMatch="*")


def test_a_conflict_meets_conditional_writes_alone(region: Region, machine: Machine) -> None:
    s3 = client_of(machine, "s3")
    with region.conflict409(machine):
        s3.put_object(Bucket=BUCKET, Key="control/zk/free", Body=b"1")
        with refused("ConditionalRequestConflict"):
            s3.put_object(Bucket=BUCKET, Key="control/zk/free", Body=b"2", IfMatch='"x"')
        assert region.objects("control/zk/free") == {"control/zk/free": b"1"}


def test_calls_are_counted_by_machine_and_operation(region: Region, machine: Machine) -> None:
    before = region.calls(machine).get("ec2:DescribeInstances", 0)
    client_of(machine, "ec2").describe_instances()
    client_of(list(region.machines.values())[1], "ec2").describe_instances()
    assert region.calls(machine)["ec2:DescribeInstances"] == before + 1
