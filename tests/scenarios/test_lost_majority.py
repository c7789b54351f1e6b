"""A majority is gone for good: what any survivor holds is kept, by the one that holds the most; nothing is created over it.

Where a story wants no write lost, it first takes those away that hold less, one by one, while the ledger is acknowledged.
"""

from pathlib import Path

import pytest

from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import BUCKET, Region
from tests.scenarios.story import (
    LONG,
    Orders,
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

RESEEDS = r"holds the most, 0x\w+ of epoch \d+ on its disk: it reseeds"


def only_on(ledger: Ledger, region: Region, gone: list[Machine]) -> None:
    """Power leaves these, one by one, as long as writes are acknowledged: those that stay hold each acknowledged write."""
    *first, last = gone
    for machine in first:
        machine.power_cut()
        ledger.wait_writing()
    last.power_cut()


def end(region: Region, machines: list[Machine]) -> None:
    """They are terminated, and none is replaced."""
    region.no_capacity("a", "b", "c")
    for machine in machines:
        region.lose(machine)


def replaced(zk: Group, size: int, generation: int) -> None:
    """The group launches again, and all is as before in the new generation."""
    zk.region.no_capacity()
    zk.wait_serving(size, LONG)
    created_once(zk, generation)


def test_a_majority_is_terminated(zk: Group) -> None:
    survivor, *gone = zk.living
    generation = record(zk)["generation"]
    with every_write_kept(zk) as ledger, ledger.event("majority terminated"):
        only_on(ledger, zk.region, gone)
        with says(zk.region, RESEEDS, survivor):
            end(zk.region, gone)
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)
    lost = survivor.said(RESEEDS)
    assert all(machine.instance_id in lost for machine in gone), "the sentence names who is lost"


def test_a_majority_is_stopped_not_terminated(zk: Group) -> None:
    """Whoever is off may come back: nothing is touched."""
    staying, *off = zk.living
    before = record(zk)
    with every_write_kept(zk):
        with says(zk.region, r"waiting for an election: 3 of 3 voters are not lost", staying):
            for machine in off:
                machine.power_cut()
        looked_again(zk.region, staying)
        assert record(zk) == before and not (staying.root / "vol/archive").exists()
        for machine in off:
            machine.power_on()
        zk.wait_serving(3)
    assert record(zk)["generation"] == before["generation"]


def test_all_disks_are_wiped_at_once_without_a_backup(region: Region) -> None:
    zk = region.group(3)
    zk.wait_serving(3)
    machines, before = zk.living, record(zk)
    for machine in machines:
        machine.power_cut()
        machine.wipe_disk()
    for machine in machines:
        machine.power_on()
    for machine in machines:
        hear(machine, r"halted: too few voters of cluster zk remain .*`zkboot create --accept-data-loss`", region)
    assert nobody_serves(zk) and record(zk) == before


@pytest.mark.long
def test_the_survivor_lags_and_an_observer_has_the_most(region: Region) -> None:
    zk = region.group(4)
    zk.wait_serving(4)
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
        ledger.wait_writing(LONG)
        replaced(zk, 4, 2)


@pytest.mark.long
def test_two_survivors_of_five_one_seeds(region: Region) -> None:
    zk = region.group(5, environment=Orders())
    zk.wait_serving(5)
    *gone, _, _ = zk.living
    with every_write_kept(zk) as ledger:
        only_on(ledger, region, gone)
        end(region, gone)
        ledger.wait_writing(LONG)
        assert sum(bool(machine.said(RESEEDS)) for machine in zk.living) == 1
        replaced(zk, 5, 2)


SEED_DIES = {
    "before it serves": "after:fence:pause",
    "right after": "after:prove:pause",
    "its disk is wiped in its turn": "before:build:pause",
}


@pytest.mark.long
@pytest.mark.parametrize("moment", SEED_DIES)
def test_the_seed_of_a_reseed_dies(region: Region, tmp_path: Path, moment: str) -> None:
    """The other survivor takes over with what it holds. Only what the seed acknowledged alone goes with it: its generation was
    never created."""
    zk = region.group(5)
    zk.wait_serving(5)
    *gone, one, other = zk.living
    with Ledger(zk, tmp_path / "acknowledged") as ledger:
        ledger.wait_writing()
        only_on(ledger, region, gone)
        acknowledged = set(map(int, (tmp_path / "acknowledged").read_text().split()))
        for machine in (one, other):
            machine.stop_at_step(SEED_DIES[moment])
        end(region, gone)
        zk.wait_until(lambda: one.stopped_at_step or other.stopped_at_step, f"the seed is stopped {moment}", LONG)
        seed, left = (one, other) if record(zk)["seed"] == one.instance_id else (other, one)
        left.set_environment(ZKBOOT_LAB_STEP=None)
        if moment == "its disk is wiped in its turn":
            seed.power_cut()
            seed.wipe_disk()
            seed.power_on()
        else:
            region.lose(seed)
        hear(left, RESEEDS, region, LONG)
        ledger.wait_writing(LONG)
        replaced(zk, 5, 3)
    assert ledger.report is not None and not acknowledged & set(ledger.report.lost)
    assert left.instance_id == record(zk)["seed"]


BRINGING_BACK = ("bring back",)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_seed_of_a_reseed_dies_once_the_other_has_archived(region: Region, tmp_path: Path, when: str) -> None:
    """The archive counts as the disk that it was: it is brought back, also when zkboot is killed over that."""
    zk = region.group(5)
    zk.wait_serving(5)
    *gone, one, other = zk.living
    with Ledger(zk, tmp_path / "acknowledged") as ledger:
        ledger.wait_writing()
        only_on(ledger, region, gone)
        acknowledged = set(map(int, (tmp_path / "acknowledged").read_text().split()))
        for machine in (one, other):
            machine.stop_at_step("after:archive:pause")
        end(region, gone)
        zk.wait_until(lambda: one.stopped_at_step or other.stopped_at_step, "the other has archived its data", LONG)
        seed, left = (other, one) if one.stopped_at_step else (one, other)
        region.lose(seed)
        left.stop_at_step(f"{when}:{BRINGING_BACK[0]}:kill")
        left.kill_zkboot()
        hear(left, rf"{left.instance_id} holds the most, .* in its archive .*: it reseeds", region, LONG)
        ledger.wait_writing(LONG)
        replaced(zk, 5, 3)
    assert left.stopped_at_step
    assert ledger.report is not None and not acknowledged & set(ledger.report.lost)


@pytest.mark.long
@pytest.mark.parametrize("aws", [True, False], ids=["with-aws", "without-aws"])
def test_an_old_minority_returns_after_the_reseed(region: Region, aws: bool) -> None:
    zk = region.group(5)
    zk.wait_serving(5)
    *gone, one, other = zk.living
    with every_write_kept(zk) as ledger:
        only_on(ledger, region, gone)
        for machine in (one, other):
            machine.stop_at_step("after:reseed:pause")
        end(region, gone)
        zk.wait_until(lambda: one.stopped_at_step or other.stopped_at_step, "one has decided to reseed", LONG)
        seed, old = (one, other) if one.stopped_at_step else (other, one)
        old.power_cut()
        seed.thaw_zkboot()
        ledger.wait_writing(LONG)
        if aws:
            old.power_on()
        else:
            with region.aws_outage(old):
                old.power_on()
                zk.wait_until(lambda: old.server_pid, "it starts what it has, without AWS")
                ledger.wait_writing()
                assert old.answer() is None
        replaced(zk, 5, 2)
    assert list((old.root / "vol/archive").iterdir()), "its old data is kept"


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
@pytest.mark.parametrize("what", ["deleted", "half written"])
def test_the_reports_are_lost_too(zk: Group, what: str) -> None:
    survivor, *gone = zk.living
    generation, s3 = record(zk)["generation"], zk.region.client("s3")
    with every_write_kept(zk) as ledger:
        only_on(ledger, zk.region, gone)
        survivor.power_cut()
        keys = [f"control/zk/reports/{instance_id}.json" for instance_id in reports(zk)]
        for key in keys:
            if what == "deleted":
                s3.delete_object(Bucket=BUCKET, Key=key)
            else:
                s3.put_object(Bucket=BUCKET, Key=key, Body=zk.region.objects(key)[key][:40])
        end(zk.region, gone)
        survivor.power_on()
        if what == "half written":
            hear(survivor, r"waiting: .*unknown what the members report \(control/zk/reports/\S+ is damaged", zk.region)
            for key in keys:
                s3.delete_object(Bucket=BUCKET, Key=key)
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)


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


@pytest.mark.long
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


@pytest.mark.long
def test_a_joiner_dies_between_the_proposal_and_the_commit(region: Region) -> None:
    """From one voter to two: the proposal waits for the newcomer's own acknowledgement."""
    zk = region.group(1, environment=Orders({1: "before:reconfigure:pause"}))
    zk.wait_serving(1)
    seed = zk.leader()
    with every_write_kept(zk) as ledger:
        zk.scale(2)
        region.wait_until(lambda: len(zk.living) == 2 and zk.living[1].stopped_at_step, "the newcomer is about to enter")
        joiner = zk.living[1]
        joiner.freeze_server()
        joiner.thaw_zkboot()
        region.wait_until(lambda: list((seed.root / "etc/zookeeper").glob("*.next")), "its entry is proposed")
        end(region, [joiner])
        ledger.wait_writing(LONG)
        replaced(zk, 2, 1)


@pytest.mark.long
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
