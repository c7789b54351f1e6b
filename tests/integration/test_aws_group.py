"""The group and EC2 as a node sees them, with the least privilege of a node."""

from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import pytest

from tests.integration.aws import REGION, Node, cut_short, garbled, in_pages_of, node, node_of
from tests.lab import faults
from tests.lab.faults import Answer, Fault
from tests.lab.iam import ACCOUNT, Call
from zkboot.aws import session
from zkboot.aws.group import AutoScaling, node_metadata
from zkboot.aws.imds import Imds
from zkboot.errors import UnknownFact
from zkboot.model import Group


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    with node(4, region=REGION) as found:
        yield found


@pytest.fixture
def found(shared: Node) -> Iterator[Node]:
    yield shared
    for fault in shared.region.gateway.faults:
        fault.end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, found: Node) -> AutoScaling:
    """The group through clients with the short timeouts and without a second attempt."""
    monkeypatch.setattr(session, "READ_TIMEOUT", 2.0)
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    autoscaling = AutoScaling(found.settings, found.metadata)
    autoscaling._clients = session.Clients(found.settings.aws)
    return autoscaling


# --- who this node is


def test_the_metadata_tell_who_this_node_is(found: Node) -> None:
    me = found.metadata.me()
    described = found.region.client("ec2").describe_instances(InstanceIds=[found.machine.instance_id])
    vpc = described["Reservations"][0]["Instances"][0]["VpcId"]
    assert me == (found.machine.instance_id, found.machine.address, found.machine.zone, (ACCOUNT, REGION, vpc, "zk"))


def test_the_group_of_the_settings_wins_over_the_tag(found: Node) -> None:
    other = node_of(found.region, found.group, found.machine, {"region": REGION, "group": "another"})
    assert other.metadata.me().scope.group == "another"


def without_tags(found: Node, machine_id: str, monkeypatch: pytest.MonkeyPatch) -> Imds:
    """The metadata of an instance that does not allow its tags in them."""
    service = found.region._imds[machine_id]
    tree = service.tree
    monkeypatch.setattr(service, "tree", lambda: {path: text for path, text in tree().items() if "/tags/" not in path})
    return node_metadata(found.settings)


def test_without_tags_the_group_api_is_asked(found: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = without_tags(found, found.machine.instance_id, monkeypatch)
    assert metadata.tag("aws:autoscaling:groupName") is None
    assert metadata.me() == found.metadata.me()


def test_without_tags_and_group_api_the_group_is_unknown(found: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tags(found, found.machine.instance_id, monkeypatch)
    with pytest.raises(UnknownFact, match=r"allow tags in its metadata, or set aws\.group"):
        Imds(found.settings.aws.metadata_endpoint).me()
    found.fault(faults.deny, "autoscaling:DescribeAutoScalingInstances")
    with pytest.raises(UnknownFact, match="needs autoscaling:DescribeAutoScalingInstances"):
        node_metadata(found.settings).me()


# --- describe


def test_the_group_and_its_instances(found: Node) -> None:
    group = found.autoscaling.describe(frozenset())
    assert group.desired == 4
    assert group.lists_me
    machines = found.group.living
    assert set(group.instances) == {machine.instance_id for machine in machines}
    for machine in machines:
        instance = group.instances[machine.instance_id]
        assert (instance.id, instance.address, instance.zone) == (machine.instance_id, machine.address, machine.zone)
        assert instance.state == found.region.ec2_state(machine)
        assert instance.lifecycle == found.region.lifecycle(machine)
    assert found.region.lifecycle(found.machine) == "Pending:Wait"
    assert group.date > 1e9, "EC2's clock"


def test_one_call_to_ec2_names_all(found: Node) -> None:
    before = found.calls("ec2:DescribeInstances")
    found.autoscaling.describe(frozenset({"i-0123456789abcdef0", found.machine.instance_id}))
    assert found.calls("ec2:DescribeInstances") - before == 1


def test_instances_that_ec2_does_not_know_are_missing(found: Node) -> None:
    group = found.autoscaling.describe(frozenset({"i-0123456789abcdef0"}))
    assert "i-0123456789abcdef0" not in group.instances
    assert group.instances.keys() == {machine.instance_id for machine in found.group.living}


def test_an_instance_outside_the_group_is_told_where_asked_for(found: Node) -> None:
    ec2 = found.region.client("ec2")
    own = ec2.describe_instances(InstanceIds=[found.machine.instance_id])["Reservations"][0]["Instances"][0]
    launched = ec2.run_instances(ImageId=own["ImageId"], SubnetId=own["SubnetId"], MinCount=2, MaxCount=2)["Instances"]
    outside = {instance["InstanceId"]: instance for instance in launched}
    assert not outside.keys() & found.autoscaling.describe(frozenset()).instances.keys()
    group = found.autoscaling.describe(frozenset(outside))  # two instances of one reservation
    for instance_id, instance in outside.items():
        told = group.instances[instance_id]
        assert (told.address, told.lifecycle, told.state) == (instance["PrivateIpAddress"], "", "running")


def test_a_terminated_instance_is_told_as_long_as_ec2_lists_it(found: Node) -> None:
    machine = found.group.living[-1]
    found.region.terminate(machine)
    found.region.wait_until(lambda: found.region.lifecycle(machine) == "Terminating:Wait", "its termination hook waits")
    told = found.autoscaling.describe(frozenset()).instances[machine.instance_id]
    assert (told.state, told.lifecycle, told.address) == ("terminated", "Terminating:Wait", "")
    found.region.autoscaling.complete("zk", "zkboot-terminate", machine.instance_id, "CONTINUE")
    found.region.wait_until(lambda: found.region.lifecycle(machine) == "", "the group has replaced it")
    assert machine.instance_id not in found.autoscaling.describe(frozenset()).instances
    told = found.autoscaling.describe(frozenset({machine.instance_id})).instances[machine.instance_id]
    assert (told.state, told.lifecycle) == ("terminated", "")


def test_instances_of_every_page(found: Node, impatient: AutoScaling) -> None:
    in_pages_of(impatient._clients.client("ec2"), "DescribeInstances", "MaxResults", 1)
    before = found.calls("ec2:DescribeInstances")
    group = impatient.describe(frozenset())
    assert found.calls("ec2:DescribeInstances") - before >= 4
    assert group._replace(date=0) == found.autoscaling.describe(frozenset())._replace(date=0)


def test_what_the_group_has_and_ec2_does_not_know_yet_is_pending(found: Node) -> None:
    other = found.group.living[1]
    group = described_without(found, other.instance_id)
    instance = group.instances[other.instance_id]
    assert instance == (other.instance_id, "", other.zone, "pending", found.region.lifecycle(other))
    assert group.lists_me


def test_an_answer_without_this_node_says_so(found: Node) -> None:
    group = described_without(found, found.machine.instance_id)
    assert not group.lists_me
    assert group.instances[found.machine.instance_id].state == "pending"


def described_without(found: Node, instance_id: str) -> Group:
    """The group while EC2, eventually consistent, does not know an instance."""

    def hide(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
        answer = carry_out()
        document = ElementTree.fromstring(answer.body)
        space = document.tag.partition("}")[0] + "}"
        reservations = document.find(f"{space}reservationSet")
        assert reservations is not None
        [hidden] = [r for r in reservations if instance_id in [e.text for e in r.iter(f"{space}instanceId")]]
        reservations.remove(hidden)
        headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
        return Answer(answer.status, headers, ElementTree.tostring(document))

    with found.fault(hide, "ec2:DescribeInstances"):
        return found.autoscaling.describe(frozenset())


def test_a_group_that_does_not_exist_is_unknown(found: Node) -> None:
    other = node_of(found.region, found.group, found.machine, {"region": REGION, "group": "another"})
    with pytest.raises(UnknownFact, match=r"no Auto Scaling group another in eu-west-1: correct aws\.group or aws\.region"):
        other.autoscaling.describe(frozenset())


# --- hooks and activities


def test_a_hook_is_kept_waiting_and_completed(found: Node) -> None:
    controller = found.region.autoscaling
    machine = found.group.living[2]
    mine = node_of(found.region, found.group, machine, {"region": REGION})
    mine.autoscaling.heartbeat("zkboot-launch")
    assert controller.remaining(machine.instance_id, "zkboot-launch") > 0
    mine.autoscaling.complete("zkboot-launch")
    found.region.wait_until(lambda: found.region.lifecycle(machine) == "InService", "the instance is in service")
    assert found.autoscaling.describe(frozenset()).instances[machine.instance_id].lifecycle == "InService"


def test_no_hook_waiting_is_no_error(found: Node) -> None:
    found.autoscaling.complete("zkboot-terminate")
    found.autoscaling.heartbeat("zkboot-terminate")


def test_any_other_refusal_of_a_hook_is_unknown(found: Node) -> None:
    other = node_of(found.region, found.group, found.machine, {"region": REGION, "group": "another"})
    with pytest.raises(UnknownFact, match=r"autoscaling:CompleteLifecycleAction on the hook zkboot-launch of another: "):
        other.autoscaling.complete("zkboot-launch")


def test_the_newest_reason_for_a_missing_instance(found: Node) -> None:
    assert found.autoscaling.activity() == ""
    found.region.no_capacity("a", "b", "c")
    found.group.scale(5)
    try:
        said = found.region.wait_until(found.autoscaling.activity, "a launch has failed")
        assert "do not have sufficient" in said
    finally:
        found.group.scale(4)
        found.region.autoscaling.full_zones = set()


# --- what is not known

CALLS = {
    "autoscaling:DescribeAutoScalingGroups": lambda group: group.describe(frozenset()),
    "ec2:DescribeInstances": lambda group: group.describe(frozenset()),
    "autoscaling:DescribeScalingActivities": lambda group: group.activity(),
    "autoscaling:CompleteLifecycleAction": lambda group: group.complete("zkboot-terminate"),
    "autoscaling:RecordLifecycleActionHeartbeat": lambda group: group.heartbeat("zkboot-terminate"),
}
READING = ("autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances", "autoscaling:DescribeScalingActivities")


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize(
    ("effect", "says"),
    [
        (faults.deny, "the instance role needs {action}"),
        (faults.throttle, "AWS limits the rate of calls"),
        (faults.unavailable, "AWS is at fault"),
        (faults.hang, "check name resolution, routes"),
        (faults.refuse, "check name resolution, routes"),
    ],
    ids=["denied", "throttled", "503", "silent", "refused"],
)
def test_what_is_not_answered_is_unknown(
    found: Node, impatient: AutoScaling, action: str, effect: faults.Effect, says: str
) -> None:
    found.fault(effect, action)
    with pytest.raises(UnknownFact, match=f"{action} on .*{says.format(action=action)}"):
        CALLS[action](impatient)


@pytest.mark.parametrize("action", READING)
@pytest.mark.parametrize("effect", [cut_short, garbled])
def test_half_an_answer_is_unknown(found: Node, impatient: AutoScaling, action: str, effect: faults.Effect) -> None:
    found.fault(effect, action)
    with pytest.raises(UnknownFact, match=action):
        CALLS[action](impatient)


def test_no_request_names_more_instances_than_ec2_takes(found: Node) -> None:
    """Each names this node's own too, by which its answer is judged."""
    asked: list[list[str]] = []

    def note(params: dict[str, list[dict[str, list[str]]]], **_: object) -> None:
        asked.append(params["Filters"][0]["Values"])

    events = found.client("ec2").meta.events
    events.register("provide-client-params.ec2.DescribeInstances", note)
    strangers = {f"i-{number:017x}" for number in range(450)}
    group = found.autoscaling.describe(frozenset(strangers))
    events.unregister("provide-client-params.ec2.DescribeInstances", note)
    me = found.machine.instance_id
    assert all(len(names) <= 200 and me in names for names in asked) and len(asked) == 3
    assert strangers <= {name for names in asked for name in names}
    assert group.lists_me and not strangers & group.instances.keys()
