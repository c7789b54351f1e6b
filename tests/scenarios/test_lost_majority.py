"""A majority is gone for good: what any survivor holds is kept, by the one that holds the most; nothing is created over it.

Where a story wants no write lost, it first takes those away that hold less, one by one, while the ledger is acknowledged.
"""

import pytest

from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import (
    LONG,
    created_once,
    every_write_kept,
    hear,
    hide_disk,
    looked_again,
    nobody_serves,
    record,
    reports,
    return_disk,
    says,
)
from tests.scenarios.survivors import RESEEDS, all_reported, archived, end, ensemble_of, only_on, replaced, reseed_told


def test_a_majority_is_terminated(zk: Group) -> None:
    survivor, *gone = zk.living
    generation = record(zk)["generation"]
    zk.wait_until(lambda: all_reported(zk, zk.living), "each has reported its data")
    with every_write_kept(zk) as ledger, ledger.event("majority terminated"):
        only_on(ledger, zk.region, gone)
        with says(zk.region, RESEEDS, survivor):
            end(zk.region, gone)
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)
    told = reseed_told(survivor, zk.region)
    assert told.others.keys() == {machine.instance_id for machine in gone}, "the sentence names who is lost"
    assert all(how.startswith("is terminated, had last reported 0x") for how in told.others.values()), told


def test_a_majority_is_stopped_not_terminated(zk: Group) -> None:
    """Whoever is off may come back: nothing is touched."""
    staying, *off = zk.living
    before, aside = record(zk), archived(staying)
    with every_write_kept(zk):
        with says(zk.region, r"waiting for an election: 3 of 3 voters are not lost", staying):
            for machine in off:
                machine.power_cut()
        looked_again(zk.region, staying)
        assert record(zk) == before and archived(staying) == aside
        for machine in off:
            machine.power_on()
        zk.wait_serving(3)
    assert record(zk)["generation"] == before["generation"]


def test_all_disks_are_wiped_at_once_without_a_backup(region: Region) -> None:
    zk = ensemble_of(region, 3)
    machines, before = zk.living, record(zk)
    for machine in machines:
        machine.power_cut()
        machine.wipe_disk()
    for machine in machines:
        machine.power_on()
    for machine in machines:
        said = hear(machine, r"halted: too few voters of cluster zk remain .*`zkboot create --accept-data-loss`", region)
        assert all(f"{m.instance_id} reports an empty disk" in said for m in machines), "it says who holds what"
    assert nobody_serves(zk) and record(zk) == before


@pytest.mark.long
def test_the_survivor_lags_and_an_observer_has_the_most(region: Region) -> None:
    zk = ensemble_of(region, 4)
    observer, leader = zk.observers()[0], zk.leader()
    lagging, follower = zk.followers()
    with every_write_kept(zk) as ledger:
        lagging.power_cut()
        ledger.wait_writing()
        follower.power_cut()
        zk.wait_until(
            lambda: observer.answer() is None, "the leader has stepped down, all that it committed is with the observer"
        )
        end(region, [leader, follower])
        with says(region, RESEEDS, observer):
            lagging.power_on()
        told = reseed_told(observer, region)
        assert told.reported(lagging) < told.zxid
        ledger.wait_writing(LONG)
        replaced(zk, 4, 2)


@pytest.mark.long
def test_a_leftover_proposal_names_dead_members(zk: Group) -> None:
    survivor, *gone = zk.living
    generation = record(zk)["generation"]
    with every_write_kept(zk) as ledger:
        only_on(ledger, zk.region, gone)
        survivor.power_cut()
        end(zk.region, gone)
        leave_proposal(survivor, gone)
        survivor.power_on()
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)


def leave_proposal(machine: Machine, others: list[Machine]) -> None:
    """An uncommitted configuration of that member and the others, as a server leaves it."""
    addresses = [machine.address, *(other.address for other in others)]
    lines = [f"server.{100 + i}={a}:2888:3888:participant;{a}:2181" for i, a in enumerate(addresses)]
    folder = machine.root / "etc/zookeeper"
    (folder / "zoo.cfg.dynamic.next").write_text("\n".join([*lines, "version=7fff00000000"]) + "\n")


@pytest.mark.long
def test_the_survivor_cannot_reach_s3_at_first(zk: Group) -> None:
    survivor, *gone = zk.living
    generation = record(zk)["generation"]
    with every_write_kept(zk) as ledger:
        with zk.region.aws_unavailable(survivor, calls="s3:*"):
            only_on(ledger, zk.region, gone)
            with says(zk.region, r"waiting: no quorum seen, and it is unknown what the record says", survivor):
                end(zk.region, gone)
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)


@pytest.mark.long
def test_the_survivors_volume_mounts_late(zk: Group) -> None:
    survivor, *gone = zk.living
    generation = record(zk)["generation"]
    with every_write_kept(zk) as ledger:
        only_on(ledger, zk.region, gone)
        survivor.power_cut()
        survivor.unmount_volume()
        end(zk.region, gone)
        with says(zk.region, r"waiting: .*is not mounted", survivor):
            survivor.power_on()
        looked_again(zk.region, survivor)
        assert record(zk)["generation"] == generation
        survivor.mount_volume()
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)


def test_a_disk_promised_empty_comes_back_while_aws_is_out(zk: Group) -> None:
    """The promise on the root disk keeps its server stopped until the record's revision was raised."""
    third, *off = zk.living
    machine = off[0]
    generation = record(zk)["generation"]
    with every_write_kept(zk):
        for one in zk.living:
            one.power_cut()
        hide_disk(machine)
        machine.power_on()
        zk.wait_until(lambda: reports(zk)[machine.instance_id]["holds"] == "empty", "it promises to stay stopped", LONG)
        machine.power_cut()
        return_disk(machine)
        with zk.region.aws_outage(machine):
            with says(zk.region, r"waiting: ", machine):
                machine.power_on()
            assert not machine.server_pid
            with says(zk.region, r"waiting: ", machine):
                pass
            assert not machine.server_pid
        third.power_on()
        off[1].power_on()
        zk.wait_serving(3, LONG)
    created_once(zk, generation)


def test_everything_is_off_for_a_day(zk: Group) -> None:
    with every_write_kept(zk):
        for machine in zk.living:
            machine.power_cut()
            machine.skew_clock(86_400)
        for machine in zk.living:
            machine.power_on()
        zk.wait_serving(3)
        for machine in zk.living:
            machine.set_environment(ZKBOOT_LAB_CLOCK_OFFSET=None)
