"""Power is lost and returns, with the disks and without; nothing is lost while a majority's disks are there."""

from itertools import permutations

import pytest

from tests.lab.group import Group
from tests.scenarios.story import (
    LONG,
    created_once,
    every_write_kept,
    hear,
    launched,
    looked_again,
    nobody_serves,
    record,
    reports,
    says,
    serves_again,
)
from tests.scenarios.survivors import archived


def test_two_of_three_lose_power_and_return(zk: Group) -> None:
    """The case that empties ensembles elsewhere."""
    staying, *gone = zk.living
    before = zk.tree_count()
    with every_write_kept(zk) as ledger:
        with ledger.event("two of three lose power"):
            for machine in gone:
                machine.power_cut()
            looked_again(zk.region, staying)
            for machine in gone:
                machine.power_on()
            ledger.wait_writing()
        zk.wait_serving(3)
    created_once(zk, record(zk)["generation"])
    assert zk.tree_count() > before


ORDERS = [order if order == (2, 0, 1) else pytest.param(order, marks=pytest.mark.long) for order in permutations(range(3))]


@pytest.mark.parametrize("order", ORDERS)
def test_all_lose_power_and_return(zk: Group, order: tuple[int, int, int]) -> None:
    generation = record(zk)["generation"]
    machines = zk.living
    with every_write_kept(zk):
        for machine in machines:
            machine.power_cut()
        for index in order:
            machines[index].power_on()
            zk.wait_until(lambda m=machines[index]: m.server_pid, "its server is started, whoever else is there")
        zk.wait_serving(3)
    created_once(zk, generation)


def test_aws_is_away_while_a_member_reboots(zk: Group) -> None:
    follower = zk.followers()[0]
    before = follower.server_pid
    with every_write_kept(zk), zk.region.aws_outage():
        follower.reboot()
        serves_again(zk, follower, before)
    zk.wait_serving(3)


@pytest.mark.long
def test_aws_is_silent_while_all_reboot(zk: Group) -> None:
    with every_write_kept(zk), zk.region.aws_silence():
        for machine in zk.living:
            machine.power_cut()
        for machine in zk.living:
            machine.power_on()
        zk.wait_until(lambda: "" not in zk.modes().values(), "all serve again, without AWS", LONG)
    zk.wait_serving(3)


def test_aws_is_away_while_one_joins(zk: Group) -> None:
    lost, new = zk.followers()[0], launched(zk)
    with every_write_kept(zk):
        with zk.region.aws_outage():
            zk.region.lose(lost)
            [joiner] = zk.wait_until(new, "a replacement is launched")
            hear(joiner, r"^\S+ (waiting: .*(unknown|registered)|.*(could not|cannot|no answer|not reach|failed))", zk.region)
            assert joiner.address not in {member.address for member in zk.voters()} or joiner.answer() is None
        zk.wait_serving(3)
    created_once(zk, record(zk)["generation"])


def test_a_wiped_disk_on_one_member(zk: Group) -> None:
    follower = zk.followers()[0]
    with every_write_kept(zk), says(zk.region, r"its disk is no member's \(empty\): archived, and it joins again", follower):
        follower.power_cut()
        follower.wipe_disk()
        follower.power_on()
        zk.wait_serving(3)
    created_once(zk, record(zk)["generation"])


def test_an_unmounted_disk_waits_and_archives_nothing(zk: Group) -> None:
    follower = zk.followers()[0]
    before = archived(follower)
    with every_write_kept(zk):
        follower.power_cut()
        follower.unmount_volume()
        with says(zk.region, r"waiting: .*is not mounted", follower):
            follower.power_on()
        assert not follower.server_pid and not list((follower.root / "vol").rglob("version-2"))
        follower.mount_volume()
        zk.wait_serving(3)
    assert archived(follower) == before


def test_two_wiped_members_start_before_the_third(zk: Group) -> None:
    """They must not elect an empty ensemble. The third then holds all there is, and seeds the next generation."""
    third, *wiped = zk.living
    generation, before = record(zk)["generation"], zk.tree_count()
    with every_write_kept(zk) as ledger:
        wiped[0].power_cut()
        ledger.wait_writing()  # from here on each acknowledged write is on the third's disk
        for machine in (wiped[1], third):
            machine.power_cut()
        for machine in wiped:
            machine.wipe_disk()
        for machine in wiped:
            machine.power_on()
        zk.wait_until(lambda: all(reports(zk)[m.instance_id]["holds"] == "empty" for m in wiped), "both promise to stay stopped")
        looked_again(zk.region, *wiped)
        assert nobody_serves(zk) and not any(machine.server_pid for machine in wiped)
        with says(zk.region, rf"{third.instance_id} holds the most, 0x\w+ of epoch \d+ on its disk: it reseeds", third):
            third.power_on()
        zk.wait_serving(3)
    created_once(zk, generation + 1)
    assert zk.tree_count() > before
