"""What Terraform asks of the lab's Auto Scaling beside launches: refreshes, hooks that are deleted, termination policies."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region

NOTHING = ("/bin/true",)
GROUP = {"AutoScalingGroupName": "zk"}


@pytest.fixture
def region() -> Iterator[Region]:
    with Region() as region:
        yield region


def in_service(region: Region, size: int) -> Group:
    group = region.group(size, command=NOTHING)
    region.wait_until(lambda: len(group.living) == size, "all are launched")
    let_in(region, group.living)
    region.wait_until(lambda: group.in_service(size), "all are in service")
    return group


def let_in(region: Region, machines: list[Machine]) -> None:
    for machine in machines:
        region.autoscaling.complete("zk", "zkboot-launch", machine.instance_id, "CONTINUE")


def new_version(region: Region, group: Group) -> None:
    data = {"ImageId": "ami-00000001", "InstanceType": "m7g.large"}
    region.client("ec2").create_launch_template_version(LaunchTemplateName=group.plan.key, LaunchTemplateData=data)


def refresh(region: Region, **preferences: Any) -> None:
    region.client("autoscaling").start_instance_refresh(**GROUP, Preferences={"MinHealthyPercentage": 100, **preferences})


def told(region: Region) -> dict[str, Any]:
    newest: dict[str, Any] = region.client("autoscaling").describe_instance_refreshes(**GROUP)["InstanceRefreshes"][0]
    return newest


def test_a_successor_is_in_service_before_its_predecessor_is_taken(region: Region) -> None:
    group = in_service(region, 2)
    old = group.living
    new_version(region, group)
    refresh(region)
    for count in (1, 2):
        region.wait_until(lambda count=count: len(group.machines) == 2 + count, "a successor is launched")
        assert sum(region.lifecycle(machine) == "InService" for machine in old) == 3 - count
        let_in(region, list(group.machines.values())[-1:])
    region.wait_until(lambda: told(region)["Status"] == "Successful", "the refresh is over")
    assert {region.lifecycle(machine) for machine in old} == {"Terminating:Wait"}
    assert len({machine.zone for machine in group.living if machine not in old}) == 2
    refresh(region)
    assert told(region)["InstancesToUpdate"] == 0, "instances of the wanted version are skipped"


def test_nothing_is_replaced_at_a_checkpoint_and_one_refresh_runs_at_a_time(region: Region) -> None:
    group = in_service(region, 2)
    new_version(region, group)
    refresh(region, CheckpointPercentages=[50, 100], CheckpointDelay=3600)
    region.wait_until(lambda: len(group.machines) == 3, "a successor is launched")
    let_in(region, list(group.machines.values())[-1:])
    region.wait_until(lambda: told(region)["PercentageComplete"] == 50, "the checkpoint is reached")
    group.scale(3)  # which is launched after the next look, where a successor would be too
    region.wait_until(lambda: len(group.machines) >= 4, "the group grows")
    assert len(group.machines) == 4 and told(region)["Status"] == "InProgress"
    with pytest.raises(ClientError, match="InstanceRefreshInProgress"):
        refresh(region)


def test_a_deleted_hook_lets_everybody_go_who_waits_for_it(region: Region) -> None:
    group = in_service(region, 2)
    taken = group.living[0]
    region.take(taken)
    region.wait_until(lambda: len(group.machines) == 3, "its replacement is launched")
    waiting = list(group.machines.values())[-1]
    assert [region.lifecycle(machine) for machine in (taken, waiting)] == ["Terminating:Wait", "Pending:Wait"]
    client = region.client("autoscaling")
    client.set_desired_capacity(**GROUP, DesiredCapacity=1)
    for hook in ("zkboot-terminate", "zkboot-launch"):
        client.delete_lifecycle_hook(**GROUP, LifecycleHookName=hook)
    region.wait_until(lambda: region.ec2_state(taken) == region.ec2_state(waiting) == "terminated", "both end")


def test_the_groups_termination_policies_choose(region: Region) -> None:
    group = in_service(region, 3)
    group.asg.termination_policies = ["OldestLaunchTemplate", "NewestInstance"]
    first, *_, last = group.living
    assert first.zone != last.zone
    group.scale(2)
    region.wait_until(lambda: region.lifecycle(last) == "Terminating:Wait", "of equals the newest is taken")
    new_version(region, group)
    region.take(first)
    region.wait_until(lambda: len(group.machines) == 4, "a successor of the new version is launched")
    newest = list(group.machines.values())[-1]
    let_in(region, [newest])
    group.scale(1)
    (old,) = (machine for machine in group.machines.values() if machine not in (first, last, newest))
    region.wait_until(lambda: region.lifecycle(old) == "Terminating:Wait", "the older version goes before the newest instance")
