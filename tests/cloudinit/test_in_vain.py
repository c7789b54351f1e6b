"""Boots that do not end well: each log tells what failed, what to mend, and that recovery goes on; and it does.

All boot in one region at the same time, each in a group of its own.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.cloudinit.members import EVERY, WRITING
from tests.cloudinit.story import Line, any_of, ended, hold_to, may, says
from tests.lab.group import DEADLINE, Group
from tests.lab.machines import Machine
from tests.lab.region import Region

SECONDS = 33  # bootstrap_timeout: long enough for the line of the first half minute
LONGER = 50  # for whom it ends only when its server serves: that one boots before the others
# Reports are written once: what is said at the end must not depend on who writes one this moment.
TIMING = {"bootstrap_timeout": SECONDS, "turn_pause": 2, "recover_interval": 4, "report_interval": 600}
GAVE_UP = f"gave up after ({SECONDS}|{LONGER}|1800) s"
CREATING = r"all 1 instances registered \(i-\w+\) and nothing of an older ensemble: creating cluster \w+"
SEEDING = r"this node is the seed of generation 1 \(creating\): building its disk, then the fence, then the start"
LOOK = r"(/\S+/zookeeper\.log|journalctl -u zkboot-recover and journalctl -u zookeeper)"
NOT_SERVING = rf"not serving; {EVERY} goes on from here: see {LOOK}, and ask zkboot plan --why"
UNUSABLE = r"nothing is started and no timer is switched on: the settings cannot be used; zkboot config names what is wrong"
FULL = (
    r"We currently do not have sufficient m7g\.large capacity in the Availability Zone you requested \(eu-west-1c\)\. "
    r"Launching EC2 instance failed\."
)


def in_vain(why: str) -> tuple[Line, ...]:
    """A fact stays unknown."""
    return any_of(rf"waiting: {why}"), says(rf"{GAVE_UP} and created nothing: {why}"), says(NOT_SERVING)


class Boot(NamedTuple):
    """A group's settings, and what its machine's log says."""

    settings: dict[str, Any]
    story: tuple[Line, ...]
    result: int
    written: bool = False  # whether anything of it is in the bucket besides reports


BOOTS = {
    "nobucket": Boot(
        {"aws": {"bucket": "no-such-bucket"}},
        in_vain(
            r"no quorum seen, and it is unknown what the record says "
            r"\(s3:GetObject on s3://no-such-bucket/control/\S+/record\.json: AccessDenied: .*; "
            r"the instance role needs s3:GetObject there, and s3:ListBucket on the bucket, .*\)"
        ),
        1,
    ),
    "noregion": Boot(
        {"aws": {"region": "us-west-2"}},
        in_vain(
            r"no quorum seen, .* \(there is no Auto Scaling group noregion in us-west-2: correct aws\.group or aws\.region\)"
        ),
        1,
    ),
    "nogroup": Boot(
        {"aws": {"group": "other"}},
        in_vain(r"no quorum seen, .* \(there is no Auto Scaling group other in eu-west-1: correct aws\.group or aws\.region\)"),
        1,
    ),
    "nosecret": Boot(
        {"aws": {"secret": "/other/secret"}},
        (
            says(CREATING),
            says(r"ssm:GetParameter on .* /other/secret: AccessDenied.*; the instance role needs ssm:GetParameter there, .*"),
            says(rf"{GAVE_UP}: ssm:GetParameter on the parameter /other/secret: .*"),
            says(NOT_SERVING),
        ),
        1,
        written=True,
    ),
    "nohook": Boot(
        {"aws": {"launch_hook": "other"}, "timing": {**TIMING, "bootstrap_timeout": LONGER}},
        (
            says(CREATING),
            says(SEEDING),
            any_of(r"waiting.*", r"nobody leads yet: .*"),
            says(r"server 1 leads generation 1: proving the quorum with a timed write"),
            says(r"1 of 1 voters serve: generation 1 is created"),
            says(
                r"server 1 serves and the ensemble is created: the group may count this instance; no hook other waits for it: "
                r"where the group goes on saying Pending:Wait, correct aws\.launch_hook"
            ),
            says(rf"{GAVE_UP}: server 1 serves .*; no hook other waits for it: .* correct aws\.launch_hook"),
            says(r"serving as leader, server 1 of 1 \(1\); recovery every 4 s"),
        ),
        1,
        written=True,
    ),
    "nojava": Boot(
        {"node": {"java": "jaba"}},
        (
            says(r"node\.java: there is no command jaba on this machine: install Java 17 or newer, or name it"),
            says(NOT_SERVING),
        ),
        2,
    ),
    "nohome": Boot(
        {"node": {"zookeeper_home": "/nowhere"}},
        (
            says(r"node\.zookeeper_home: there are no jars in /nowhere/lib: name the folder of ZooKeeper's distribution"),
            says(NOT_SERVING),
        ),
        2,
    ),
    "nonumber": Boot(
        {"zookeeper": {"tick_time": "300"}},
        (
            says(r'/\S+/zkboot\.toml:\d+: zookeeper\.tick_time: must be a whole number, not "300"'),
            says(UNUSABLE),
        ),
        2,
    ),
}


def second_without_java(index: int) -> dict[str, str]:
    return {"PATH": "/nowhere"} if index == 1 else {}


def settings_of(name: str) -> dict[str, Any]:
    return {"timing": TIMING, **BOOTS[name].settings}


@pytest.fixture(scope="module")
def groups() -> Iterator[dict[str, Group]]:
    """Every group's machines have told their end; the faults last."""
    with Region() as region:
        found = {"nohook": region.group(1, name="nohook", settings=settings_of("nohook"))}
        region.wait_until(lambda: found["nohook"].serving(1), "the one without a hook serves", LONGER)
        region.no_capacity("c")
        found["nothird"] = region.group(3, name="nothird", settings={"timing": TIMING})
        region.wait_until(lambda: len(found["nothird"].machines) == 2, "two of three are launched")
        unknowing = list(found["nothird"].machines.values())[1]
        region.deny("autoscaling:DescribeScalingActivities", unknowing)
        found["onesilent"] = region.group(2, name="onesilent", settings={"timing": TIMING}, environment=second_without_java)
        found |= {name: region.group(1, name=name, settings=settings_of(name)) for name in BOOTS if name not in found}
        for group in found.values():
            region.wait_until(
                lambda g=group: all(ended(m) for m in g.living), f"{group.plan.name} has told its end", DEADLINE + LONGER
            )
        yield found


def result(machine: Machine) -> int:
    """What cloud-init would report."""
    match = re.search(r"script ended with (\d+)", machine.log())
    return int(match[1]) if match else 0


@pytest.mark.parametrize("name", BOOTS)
def test_the_log_says_what_to_mend(groups: dict[str, Group], name: str) -> None:
    (machine,) = groups[name].living
    boot = BOOTS[name]
    hold_to(machine, *boot.story)
    groups[name].wait_until(lambda: result(machine) == boot.result, f"cloud-init hears {boot.result}")
    assert "Traceback" not in machine.log()
    assert bool(machine.server_pid) == ("serving as" in boot.story[-1].pattern)
    keys = groups[name].region.objects(f"control/{name}/")
    assert (f"control/{name}/record.json" in keys) == boot.written
    assert boot.result != 2 or not keys, "nothing is written with settings that cannot be used"


def third_missing(both: str, reason: str) -> tuple[Line, ...]:
    two = rf"2 of 3 instances registered: {both}; missing: 1 not launched yet"
    return (
        any_of(r"waiting: 1 of 3 instances registered: .*", WRITING),
        says(f"waiting: {two}"),
        may(f"waiting: {two}{reason}"),
        says(f"{GAVE_UP} and created nothing: {two}{reason}"),
        says(NOT_SERVING),
    )


def test_a_group_that_never_reaches_its_size(groups: dict[str, Group]) -> None:
    zk = groups["nothird"]
    both = ", ".join(rf"{m.instance_id} \({re.escape(m.address)}\)" for m in sorted(zk.living, key=lambda m: m.instance_id))
    knowing, unknowing = zk.living
    reasons = {
        knowing: rf"; the group says: {FULL}",
        unknowing: r"; what the group says to that is unknown \(autoscaling:DescribeScalingActivities on .*\)",
    }
    for machine, reason in reasons.items():
        hold_to(machine, *third_missing(both, reason))
        zk.wait_until(lambda m=machine: result(m) == 1, "cloud-init hears 1")
        assert not machine.server_pid
    assert f"control/{zk.plan.name}/record.json" not in zk.region.objects("control/")


def test_an_instance_that_never_registers(groups: dict[str, Group]) -> None:
    zk = groups["onesilent"]
    [silent] = [machine for machine in zk.living if machine.said("no command java")]
    [waiting] = [machine for machine in zk.living if machine is not silent]
    here, there = (rf"{m.instance_id} \({re.escape(m.address)}" for m in (waiting, silent))
    one = rf"1 of 2 instances registered: {here}\); missing: {there}, Pending:Wait\)"
    why = r"; /var/log/cloud-init-output\.log on each of these tells why"
    hold_to(
        waiting,
        any_of(rf"waiting: 1 of 2 instances registered: {here}\); missing: 1 not launched yet", WRITING),
        says(f"waiting: {one}"),
        may(f"waiting: {one}{why}"),
        says(f"{GAVE_UP} and created nothing: {one}{why}"),
        says(NOT_SERVING),
    )


def test_recovery_goes_on_from_there(groups: dict[str, Group]) -> None:
    zk = groups["nothird"]
    zk.region.no_capacity()
    zk.wait_serving(3)
