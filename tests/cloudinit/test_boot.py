"""Boots that end well: the log of each machine, line by line."""

from collections.abc import Iterator

import pytest

from tests.cloudinit.members import LET_IN, OVERTAKEN, end_of, server_id, three_from_nothing
from tests.cloudinit.story import any_of, hold_to, log_of, may, says
from tests.lab.group import Group
from tests.lab.region import Region
from tests.lab.settings import PATIENT
from tests.scenarios.story import serves_again


@pytest.fixture(scope="module")
def zk() -> Iterator[Group]:
    """An ensemble of three that has just booted."""
    with Region() as region:
        group = region.group(3, settings=PATIENT)
        group.wait_serving(3)
        for machine in group.living:
            end_of(machine, group)
        yield group


def test_three_from_nothing(zk: Group) -> None:
    three_from_nothing(zk)


def test_a_replacement(zk: Group) -> None:
    dead = zk.followers()[0]
    gone = server_id(dead, zk)
    stay = sorted({1, 2, 3} - {gone})
    zk.region.terminate(dead)
    zk.wait_until(lambda: len(zk.machines) == 4, "a replacement is launched")
    new = list(zk.machines.values())[-1]
    zk.wait_serving(3)
    end_of(new, zk)
    me = server_id(new, zk)
    voters = ", ".join(map(str, sorted({*stay, me})))
    hold_to(
        new,
        any_of(*OVERTAKEN),
        says(rf"joining the ensemble led by server \d: server {me} started"),
        any_of(*OVERTAKEN, rf"waiting: server {me} takes over the data from server \d"),
        says(rf"joined as server {me}, replacing {gone} \({dead.instance_id} is terminated\); voters now {voters}"),
        any_of(*OVERTAKEN, rf"waiting: server {me} runs but does not serve yet"),
        says(LET_IN.format(me)),
        says(rf"serving as (follower|leader), server {me} of 3 \({voters}\); recovery every 3 s"),
    )


def test_a_spare(zk: Group) -> None:
    zk.scale(4)
    zk.wait_until(lambda: len(zk.living) == 4, "a fourth is launched")
    new = list(zk.machines.values())[-1]
    zk.wait_serving(4)
    end_of(new, zk)
    me = server_id(new, zk)
    voters = ", ".join(str(voter.id) for voter in zk.voters())
    hold_to(
        new,
        any_of(*OVERTAKEN),
        says(rf"joining the ensemble led by server \d: server {me} started"),
        any_of(*OVERTAKEN, rf"waiting: server {me} takes over the data from server \d"),
        says(rf"joined as server {me}, a spare: 3 voters serve the target of 3; voters now {voters}"),
        any_of(*OVERTAKEN, rf"waiting: server {me} runs but does not serve yet"),
        says(LET_IN.format(me)),
        says(rf"serving as observer, server {me}, a spare beside the voters {voters}; recovery every 3 s"),
    )


def test_a_reboot_repeats_nothing_of_the_first_boot(zk: Group) -> None:
    follower = zk.followers()[0]
    before, pid = log_of(follower), follower.server_pid
    follower.reboot()
    serves_again(zk, follower, pid)
    zk.wait_serving(len(zk.living))
    assert log_of(follower) == before, "cloud-init's commands are the first boot's"
    assert follower.said("started with its data")


def test_a_first_boot_of_a_machine_that_holds_data_while_aws_is_away(zk: Group) -> None:
    """As after an image was made of it, or cloud-init forgot: it serves without AWS."""
    follower = zk.followers()[0]
    me, voters = server_id(follower, zk), ", ".join(str(voter.id) for voter in zk.voters())
    follower.power_cut()
    for name in ("booted", "cloud-init-output.log", "recover.log"):
        (follower.root / name).unlink()
    with zk.region.aws_outage(follower):
        follower.power_on()
        end_of(follower, zk)
        hold_to(
            follower,
            says(rf"server {me} is in the configuration and stopped: started with its data"),
            may(rf"waiting: server {me} runs but does not serve yet"),
            may(rf"healthy: server {me} serves as follower, voters {voters}"),
            says(rf"serving as follower, server {me} of 3 \({voters}\); recovery every 3 s"),
        )
    zk.wait_serving(len(zk.living))
