"""AWS refuses or throttles each call that a machine makes: unknown is not absent, and all goes on where it stood.

CALLS is what a machine really calls; a story that sees another one fails.
"""

from collections.abc import Callable

import pytest

from tests.lab.faults import Fault
from tests.lab.group import Group
from tests.lab.region import Region
from tests.scenarios.story import created_once, every_write_kept, hear, launched, record, says, serves_again

CREATION = (
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:DescribeInstances",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "ssm:GetParameter",
    "ssm:PutParameter",
)
# Those of a wait for others: after half a minute of it, and while the launch hook is kept for who has data already.
WAITING = ("autoscaling:DescribeScalingActivities", "autoscaling:RecordLifecycleActionHeartbeat")
BY_DEFAULT = {("s3:GetObject", "denied"), ("ec2:DescribeInstances", "unavailable")}
CASES = [
    pytest.param(call, how, id=f"{call}-{how}", marks=() if (call, how) in BY_DEFAULT else pytest.mark.long)
    for call in CREATION
    for how in ("denied", "unavailable", "throttled")
]


def fault(region: Region, call: str, how: str) -> Fault:
    faults: dict[str, Callable[[], Fault]] = {
        "denied": lambda: region.deny(call),
        "unavailable": lambda: region.aws_unavailable(calls=call),
        "throttled": lambda: region.throttle(calls=call),
    }
    return faults[how]()


@pytest.mark.parametrize(("call", "how"), CASES)
def test_a_call_fails_while_an_ensemble_is_made(region: Region, call: str, how: str) -> None:
    with fault(region, call, how) as broken:
        zk = region.group(2)
        region.wait_until(lambda: broken.met >= 6, f"{call} was {how} again and again")
        assert not any(region.lifecycle(machine) == "InService" for machine in zk.living)
        assert record(zk).get("generation", 1) == 1
    with every_write_kept(zk):
        zk.wait_serving(2)
    created_once(zk)
    seen = {name for machine in zk.living for name in region.calls(machine)}
    assert seen <= {*CREATION, *WAITING}, "a machine makes a call that no story refuses"


@pytest.mark.parametrize(("call", "how"), CASES)
def test_a_call_fails_for_a_running_ensemble(zk: Group, call: str, how: str) -> None:
    """A server killed meanwhile serves again."""
    follower = zk.followers()[0]
    killed = follower.server_pid
    with every_write_kept(zk):
        with fault(zk.region, call, how):
            follower.kill_server()
            serves_again(zk, follower, killed)
        zk.wait_serving(3)


def test_the_secret_is_denied_while_a_server_starts(zk: Group) -> None:
    """A member needs nothing of it: what it says of itself is there already."""
    follower = zk.followers()[0]
    killed = follower.server_pid
    kept = r"started with its data; the super digest in place is kept, for ssm:GetParameter .*the instance role needs"
    with every_write_kept(zk):
        with zk.region.deny("ssm:GetParameter", follower), says(zk.region, kept, follower):
            follower.kill_server()
            serves_again(zk, follower, killed)
        zk.wait_serving(3)


@pytest.mark.long
def test_the_secret_is_gone_and_a_person_puts_another(zk: Group) -> None:
    """All serve on; nobody can be let in until each server was started with the new one."""
    ssm, members = zk.region.client("ssm"), zk.living
    (name,) = [parameter["Name"] for parameter in ssm.describe_parameters()["Parameters"] if "super" in parameter["Name"]]
    with every_write_kept(zk) as ledger:
        ssm.delete_parameter(Name=name)
        more = launched(zk)
        zk.scale(4)
        (new,) = zk.wait_until(more, "a fourth is launched")
        hear(new, rf"the secret {name} is gone from SSM, .* put a new value there", zk.region)
        ledger.wait_writing()
        ssm.put_parameter(Name=name, Value="another", Type="SecureString")
        for machine in members:
            before = machine.server_pid
            machine.kill_server()
            serves_again(zk, machine, before)
            ledger.wait_writing()
        zk.wait_serving(4)
