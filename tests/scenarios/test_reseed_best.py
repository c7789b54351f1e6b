"""Who seeds after a lost majority: whoever holds the most, in the order (epoch, zxid) of an election, and nobody else."""

import pytest

from tests.lab import ensemble
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, Orders, every_write_kept, hear, launched, record
from tests.scenarios.survivors import archived, end, ensemble_of, only_on, quiet_writes_kept, replaced, reseed_told, reseeded

NOBODY_ELSES = "/on-one-disk-alone"


@pytest.mark.long
def test_the_higher_epoch_is_chosen_over_the_higher_zxid(region: Region) -> None:
    """One survivor led, and logged a write that nobody else has; the other took part in the election after that."""
    zk = ensemble_of(region, 5)
    leader, followers = zk.leader(), zk.followers()
    with quiet_writes_kept(zk):
        write_on_one_alone(zk, leader, followers)
        newer, gone = elect_again(zk, followers, epoch(leader))
        end(region, gone)
        for machine in (leader, newer):
            machine.set_environment(ZKBOOT_LAB_STEP=None)
            machine.power_on()
        told = reseed_told(newer, region)
        assert told.reported(leader) > told.zxid, "the other one's last transaction is the later one"
        assert told.epoch > told.zxid >> 32 == told.reported(leader) >> 32
        assert all("is terminated, had last reported 0x" in told.others[machine.instance_id] for machine in gone)
        replaced(zk, 5, 2)
    assert not reseeded(leader) and record(zk)["seed"] == newer.instance_id
    assert told.reported(leader) in archived(leader).values(), "what nobody was told of is kept aside"
    with ensemble.client(newer.address) as session:
        assert not session.exists(NOBODY_ELSES)


def write_on_one_alone(zk: Group, leader: Machine, followers: list[Machine]) -> None:
    """The followers stand still while the leader logs a write; then the power leaves all, before they have read of it."""
    with ensemble.client(leader.address) as session:
        for machine in followers:
            machine.freeze_server()
        session.create_async(NOBODY_ELSES)
        logs = leader.root / "vol/data/version-2"
        zk.wait_until(lambda: any(NOBODY_ELSES.encode() in log.read_bytes() for log in logs.glob("log.*")), "it is logged")
        for machine in (leader, *followers):
            machine.power_cut()


def elect_again(zk: Group, machines: list[Machine], before: int) -> tuple[Machine, list[Machine]]:
    """They elect a leader anew, and write nothing in its epoch before the power leaves them; one that is in it, and the others.

    No zkboot goes on after the start of its server: looking at the ensemble, it would open a session, a transaction.
    """
    for machine in machines:
        machine.stop_at_step("after:start:pause")
        machine.power_on()
    zk.wait_until(lambda: any(epoch(machine) > before for machine in machines), "one is in the new epoch")
    for machine in machines:
        machine.power_cut()
    newer = next(machine for machine in machines if epoch(machine) > before)
    return newer, [machine for machine in machines if machine is not newer]


def epoch(machine: Machine) -> int:
    return int((machine.root / "vol/data/version-2/currentEpoch").read_text())


@pytest.mark.long
def test_of_two_equal_survivors_one_seeds(region: Region) -> None:
    zk = ensemble_of(region, 5)
    *gone, one, other = zk.living
    with quiet_writes_kept(zk):
        for machine in zk.living:
            machine.freeze_zkboot()  # it opens no session, which would be a transaction
        for machine in zk.living:
            machine.power_cut()
        end(region, gone)
        for machine in (one, other):
            machine.power_on()
        region.wait_until(lambda: reseeded(one, other), "one of the two reseeds")
        seed, left = (one, other) if reseeded(one) else (other, one)
        told = reseed_told(seed, region)
        assert told.reported(left) == told.zxid, "they hold the same"
        hear(
            left, rf"waiting: .*{seed.instance_id} holds the most, {told.zxid:#x} of epoch {told.epoch} on its disk, and", region
        )
        replaced(zk, 5, 2)
    assert reseeded(seed) == 1 and not reseeded(left)
    assert told.zxid in archived(left).values()


@pytest.mark.long
def test_two_of_four_voters_are_dead(region: Region) -> None:
    """Half of them elect nobody. A group of five whose last instance never comes has four voters."""
    zk = ensemble_of(region, 3, environment=Orders({4: "before:report joining:pause"}))
    two = launched(zk, 2)
    zk.scale(5)
    _, fifth = region.wait_until(two, "two more are launched")
    region.wait_until(lambda: fifth.stopped_at_step and len(zk.voters()) == 4, "there are four voters", LONG)
    *gone, one, other = [machine for machine in zk.living if machine is not fifth]
    with every_write_kept(zk) as ledger:
        only_on(ledger, region, gone)
        end(region, gone)
        ledger.wait_writing(LONG)
        seed, left = (one, other) if reseeded(one) else (other, one)
        told = reseed_told(seed, region)
        assert told.others.keys() == {machine.instance_id for machine in (*gone, left)}, "each other voter is accounted for"
        assert told.reported(left) <= told.zxid
        fifth.thaw_zkboot()
        replaced(zk, 5, 2)
    assert reseeded(seed) == 1 and not reseeded(left)
