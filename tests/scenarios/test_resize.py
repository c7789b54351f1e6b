"""A new desired capacity, under writes."""

import pytest

from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, Orders, created_once, every_write_kept, hear, launched, looked_again, record

SEVEN = {"ensemble": {"max_voters": 7}}


PROMOTED = r"spare server \d .* becomes a voter for the dead server \d"


def with_voter(zk: Group, machine: Machine) -> set[str]:
    """The voters' addresses once that machine's is among them."""
    voters = {voter.address for voter in zk.voters()}
    return voters if machine.address in voters else set()


def roles(zk: Group) -> list[str]:
    return sorted(member.role for member in zk.members())


def wait_roles(zk: Group, voters: int, observers: int) -> None:
    wanted = ["observer"] * observers + ["participant"] * voters
    zk.wait_until(lambda: roles(zk) == wanted, f"{voters} voters and {observers} observers", LONG)


def test_three_to_five_and_two_of_five_terminated_at_once_and_back_to_three(zk: Group) -> None:
    with every_write_kept(zk) as ledger:
        with ledger.event("3 to 5"):
            zk.scale(5)
            zk.wait_serving(5)
        wait_roles(zk, 5, 0)
        with ledger.event("two of five terminated"):
            new = launched(zk, 2)
            for machine in (zk.leader(), zk.followers()[0]):
                zk.region.lose(machine)
            zk.wait_until(new, "two replacements are launched")
            zk.wait_serving(5, LONG)
        wait_roles(zk, 5, 0)
        with ledger.event("5 to 3"):
            zk.scale(3)
            zk.wait_serving(3, LONG)
        wait_roles(zk, 3, 0)
    created_once(zk, record(zk)["generation"])


def test_a_spare_is_promoted_for_a_dead_voter(zk: Group) -> None:
    """An even desired capacity is three voters and a warm spare; its role changes without a restart."""
    with every_write_kept(zk):
        zk.scale(4)
        zk.wait_serving(4)
        wait_roles(zk, 3, 1)
        spare = zk.observers()[0]
        running = spare.server_pid
        zk.region.no_capacity("a", "b", "c")
        dead = zk.followers()[0]
        zk.region.lose(dead)
        voters = zk.wait_until(lambda: with_voter(zk, spare), "the spare is a voter, before any replacement")
        assert spare.server_pid == running and dead.address not in voters
        zk.wait_until(lambda: any(machine.said(PROMOTED) for machine in zk.living), "the leader says so")
        zk.region.no_capacity()
        zk.wait_serving(4)
        wait_roles(zk, 3, 1)
        zk.scale(3)
        zk.wait_serving(3, LONG)
        wait_roles(zk, 3, 0)


@pytest.mark.long
def test_three_to_seven_to_three_in_one_step(region: Region) -> None:
    zk = region.group(3, settings=SEVEN, environment=Orders())
    zk.wait_serving(3)
    with every_write_kept(zk):
        zk.scale(7)
        zk.wait_serving(7, LONG)
        wait_roles(zk, 7, 0)
        zk.scale(3)
        zk.wait_serving(3, LONG)
        wait_roles(zk, 3, 0)
    created_once(zk)


@pytest.mark.long
def test_three_to_seven_with_five_voters_at_most(zk: Group) -> None:
    with every_write_kept(zk):
        zk.scale(7)
        zk.wait_serving(7, LONG)
        wait_roles(zk, 5, 2)
        zk.scale(3)
        zk.wait_serving(3, LONG)
        wait_roles(zk, 3, 0)


def test_the_group_goes_to_zero(region: Region) -> None:
    """All leave. Whoever comes later finds the record of an ensemble that is gone, and creates nothing over it."""
    zk = region.group(3)
    with every_write_kept(zk):
        zk.wait_serving(3)
    zk.scale(0)
    zk.wait_until(lambda: not zk.living and not zk.asg.instance_states, "all are gone", LONG)
    left = record(zk)
    assert left["state"] == "created"
    zk.scale(1)
    zk.wait_until(lambda: zk.living, "one is launched")
    hear(zk.living[0], r"halted: too few voters of cluster zk remain .*`zkboot create --accept-data-loss`", region)
    looked_again(region, zk.living[0])
    assert not zk.living[0].server_pid and record(zk)["cluster_id"] == left["cluster_id"]
