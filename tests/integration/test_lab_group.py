"""The lab's Auto Scaling keeps AWS's rules, seen through the API; its machines boot, and end with their region."""

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab import processes
from tests.lab.group import Group
from tests.lab.machines import CHECKOUT, Machine
from tests.lab.region import BUCKET, Region

# Says what it was called with; a `recover` runs on for a while, so that there is something to freeze or to kill.
TALKS = ("/bin/sh", "-c", 'echo "$0 in boot $ZKBOOT_LAB_BOOT"; [ "$0" != recover ] || exec sleep 60')


@pytest.fixture
def region() -> Iterator[Region]:
    with Region() as region:
        yield region


def talking(region: Region, size: int, **options: object) -> Group:
    group = region.group(size, command=TALKS, **options)
    region.wait_until(lambda: len(group.living) == size and all(m.said("^recover") for m in group.living), "all have booted")
    return group


def let_in(region: Region, machine: Machine, result: str = "CONTINUE") -> None:
    region.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName="zk", LifecycleHookName="zkboot-launch", InstanceId=machine.instance_id, LifecycleActionResult=result
    )


def let_go(region: Region, machine: Machine) -> None:
    region.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName="zk",
        LifecycleHookName="zkboot-terminate",
        InstanceId=machine.instance_id,
        LifecycleActionResult="CONTINUE",
    )


def remaining(region: Region, machine: Machine) -> float:
    return region.autoscaling.remaining(machine.instance_id, "zkboot-launch")


def states(region: Region, group: Group) -> list[str]:
    return sorted(region.lifecycle(machine) for machine in group.machines.values())


def test_first_boot_makes_the_three_calls_and_then_recovers(region: Region) -> None:
    machine = talking(region, 1).living[0]
    words = [line.split()[0] for line in (machine.root / "cloud-init-output.log").read_text().splitlines()]
    assert words == ["wait", "bootstrap", "timers"]

    boot = machine.said("^recover")
    machine.power_cut()
    assert not machine.on and not machine.zkboot_pids()
    machine.power_on()
    region.wait_until(lambda: machine.said("^recover") != boot, "recover runs in the second boot")
    assert len((machine.root / "cloud-init-output.log").read_text().splitlines()) == 3, "cloud-init's calls are the first boot's"


def test_launched_instances_wait_for_their_hook_in_three_zones(region: Region) -> None:
    group = talking(region, 4)
    assert states(region, group) == ["Pending:Wait"] * 4
    assert sorted(Counter(machine.zone for machine in group.living).values()) == [1, 1, 2]
    for machine in group.living:
        let_in(region, machine)
    region.wait_until(lambda: group.in_service(4), "let in")
    told = region.client("autoscaling").describe_auto_scaling_instances()["AutoScalingInstances"]
    assert [entry["LifecycleState"] for entry in told] == ["InService"] * 4


def test_scale_in_takes_the_oldest_of_the_fullest_zone_and_waits_for_it(region: Region) -> None:
    group = talking(region, 4)
    for machine in group.living:
        let_in(region, machine)
    region.wait_until(lambda: group.in_service(4), "let in")
    first = group.living[0]  # of the zone with two: launched before the fourth
    region.client("autoscaling").set_desired_capacity(AutoScalingGroupName="zk", DesiredCapacity=3)
    region.wait_until(lambda: region.lifecycle(first) == "Terminating:Wait", "the first is taken")
    assert region.ec2_state(first) == "running" and first.on
    let_go(region, first)
    region.wait_until(lambda: region.ec2_state(first) == "terminated", "it ends once let go")
    region.wait_until(lambda: group.in_service(3), "and is gone from the group")
    assert not first.on and not (first.root / "vol").exists()


def test_an_instance_ended_behind_the_groups_back_is_replaced_at_its_address(region: Region) -> None:
    group = talking(region, 3)
    dead = group.living[1]
    region.client("ec2").terminate_instances(InstanceIds=[dead.instance_id])
    region.wait_until(lambda: len(group.machines) == 4 and len(group.living) == 3, "a replacement is launched")
    new = list(group.machines.values())[-1]
    assert (new.address, new.zone) == (dead.address, dead.zone)
    reservations = region.client("ec2").describe_instances(InstanceIds=[dead.instance_id, new.instance_id])["Reservations"]
    told = {instance["InstanceId"]: instance for reservation in reservations for instance in reservation["Instances"]}
    assert told[dead.instance_id]["State"]["Name"] == "terminated" and "PrivateIpAddress" not in told[dead.instance_id]
    assert told[new.instance_id]["PrivateIpAddress"] == new.address
    activities = region.client("autoscaling").describe_scaling_activities(AutoScalingGroupName="zk")["Activities"]
    assert any("EC2 health check" in activity["Cause"] for activity in activities)


def test_addresses_are_not_reused_when_told_so(region: Region) -> None:
    region.autoscaling.reuse_addresses = False
    group = talking(region, 1)
    dead = group.living[0]
    region.lose(dead)
    region.wait_until(lambda: group.living and group.living[0] is not dead, "a replacement is launched")
    assert group.living[0].address != dead.address


def test_an_abandoned_launch_is_replaced_and_a_silent_one_times_out(region: Region) -> None:
    group = talking(region, 1)
    first = group.living[0]
    let_in(region, first, "ABANDON")
    region.wait_until(lambda: region.ec2_state(first) == "terminated" and group.living, "the abandoned one is replaced")
    silent = region.group(1, name="silent", command=TALKS, heartbeat_timeout=1)
    launched = region.wait_until(lambda: list(silent.machines.values()), "one that says nothing is launched")[0]
    region.wait_until(lambda: region.ec2_state(launched) == "terminated", "the silent one times out (ABANDON)")


def test_heartbeats_keep_a_hook_waiting_and_need_one(region: Region) -> None:
    group = talking(region, 1)
    machine, beats = group.living[0], region.client("autoscaling")
    beat = {"AutoScalingGroupName": "zk", "LifecycleHookName": "zkboot-launch", "InstanceId": machine.instance_id}
    for _ in range(3):
        left = region.wait_until(lambda: left if (left := remaining(region, machine)) < 299 else 0, "time passes")
        beats.record_lifecycle_action_heartbeat(**beat)
        assert remaining(region, machine) > left, "its time begins anew"
    assert region.lifecycle(machine) == "Pending:Wait"
    let_in(region, machine)
    with pytest.raises(beats.exceptions.ClientError, match="No active Lifecycle Action"):
        beats.record_lifecycle_action_heartbeat(**beat)


def test_a_full_zone_is_said_in_the_activities(region: Region) -> None:
    region.no_capacity("a")
    region.group(1, command=TALKS)
    api = region.client("autoscaling")

    def reason() -> str:
        activities = api.describe_scaling_activities(AutoScalingGroupName="zk")["Activities"]
        return activities[0].get("StatusMessage", "") if activities else ""

    assert "do not have sufficient" in region.wait_until(reason, "the failure is told")
    region.no_capacity()
    region.wait_until(lambda: region.machines, "a launch once there is room")


def test_frozen_and_killed_zkboot(region: Region) -> None:
    machine = talking(region, 1).living[0]
    machine.freeze_zkboot()
    assert {processes.stat(pid)[0] for pid in machine.zkboot_pids()} == {"T"}, "a frozen process is stopped"
    machine.thaw_zkboot()
    assert machine.kill_zkboot() == 1
    region.wait_until(lambda: "recover ended with -9" in machine.log(), "init notices")
    region.wait_until(lambda: machine.log().count("recover in boot") == 2, "the next tick runs it again")


def test_a_volume_can_be_unmounted_mounted_and_wiped(region: Region) -> None:
    machine = talking(region, 1).living[0]
    marker, data = machine.root / "vol/.zkboot-volume", machine.root / "vol/data"
    data.mkdir()
    machine.unmount_volume()
    assert not marker.exists() and not data.exists()
    machine.mount_volume()
    assert marker.exists() and data.exists()
    machine.wipe_disk()
    assert marker.exists() and not data.exists()


def test_everything_ends_with_a_region_that_is_killed() -> None:
    story = textwrap.dedent(f"""
        from tests.lab.region import Region
        with Region() as region:
            group = region.group(2, command={TALKS!r})
            region.wait_until(lambda: len(group.living) == 2 and all(m.said("^recover") for m in group.living), "booted")
            print(*(m.root for m in group.living), flush=True)
            input()
    """)
    teller = subprocess.Popen(
        [sys.executable, "-c", story],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert teller.stdout is not None
    roots = teller.stdout.readline().split()
    assert len(roots) == 2 and all(of_root(root) for root in roots)
    os.kill(teller.pid, signal.SIGKILL)
    teller.wait()
    with Region() as region:  # its beginning sweeps what is left
        region.wait_until(lambda: not any(of_root(root) for root in roots), "the machines are gone")


def of_root(root: str) -> set[int]:
    return {pid for pid in processes.every() if processes.variable(pid, processes.MARK) == root and processes.alive(pid)}


def test_a_group_of_the_same_name_in_another_aws_region_shares_the_bucket_alone(region: Region) -> None:
    here = talking(region, 1)
    there = talking(region, 1, aws_region="us-west-2")
    (one,), (two,) = here.living, there.living
    assert (one.zone, two.zone) == ("eu-west-1a", "us-west-2a") and one.address != two.address
    assert two.settings["aws"]["region"] == "us-west-2"
    region.client("s3", "us-west-2").put_object(Bucket=BUCKET, Key="control/zk/x", Body=b"from there")
    assert region.objects("control/") == {"control/zk/x": b"from there"}
    told = region.client("autoscaling", "us-west-2").describe_auto_scaling_instances()["AutoScalingInstances"]
    assert [entry["InstanceId"] for entry in told] == [two.instance_id]
