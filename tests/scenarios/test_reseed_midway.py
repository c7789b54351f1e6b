"""Members die in the middle of a change of the membership: between proposal and commit, and while one takes the data over."""

from pathlib import Path

import pytest

from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, Orders, every_write_kept, hear, launched, nobody_serves, record
from tests.scenarios.survivors import acknowledged_by, end, ensemble_of, replaced, reseed_told

PROPOSED = "zoo.cfg.dynamic.next"


def proposed(machine: Machine) -> bool:
    return (machine.root / "etc/zookeeper" / PROPOSED).exists()


@pytest.mark.long
def test_a_joiner_dies_between_the_proposal_and_the_commit(region: Region) -> None:
    """From one voter to two: the proposal waits for the newcomer's own acknowledgement."""
    zk = ensemble_of(region, 1, environment=Orders({1: "before:reconfigure:pause"}))
    seed = zk.leader()
    with every_write_kept(zk) as ledger:
        zk.scale(2)
        region.wait_until(lambda: len(zk.living) == 2 and zk.living[1].stopped_at_step, "the newcomer is about to enter")
        joiner = zk.living[1]
        joiner.freeze_server()
        joiner.thaw_zkboot()
        region.wait_until(lambda: proposed(seed), "its entry is proposed")
        end(region, [joiner])
        ledger.wait_writing(LONG)
        hear(seed, r"a pending configuration that cannot be decided is moved aside", region, LONG)
        replaced(zk, 2, 1)


@pytest.mark.long
@pytest.mark.parametrize("joiner_too", [False, True], ids=["the-joiner-lives", "the-joiner-too"])
def test_a_member_dies_between_the_proposal_and_the_commit(region: Region, joiner_too: bool) -> None:
    """From three voters to four, which takes the acknowledgements of three: two stand still from right before the proposal.

    They count as in step until `syncLimit` is over: here late enough that the proposal is accepted.
    """
    orders = Orders({3: "before:reconfigure:pause", 4: "before:report joining:pause"})
    zk = ensemble_of(region, 3, environment=orders, settings={"zookeeper": {"sync_limit": 20}})
    dying, staying = zk.followers()
    leader = zk.leader()
    with every_write_kept(zk) as ledger:
        two = launched(zk, 2)
        zk.scale(5)
        joiner, fifth = region.wait_until(two, "two more are launched")
        region.wait_until(lambda: joiner.stopped_at_step, "the newcomer is about to enter")
        for machine in (joiner, dying):
            machine.freeze_server()
        joiner.thaw_zkboot()
        region.wait_until(lambda: proposed(leader) and proposed(staying), "its entry is proposed")
        end(region, [dying, joiner] if joiner_too else [dying])
        if joiner_too:
            aside = r"server \d+ has run \d+ s without a quorum: restarted; a pending configuration .* is moved aside"
            for machine in (leader, staying):
                hear(machine, aside, region, LONG)
        else:
            joiner.thaw_server()
        ledger.wait_writing(LONG)
        fifth.thaw_zkboot()
        replaced(zk, 5, 1)


@pytest.mark.long
def test_a_voter_dies_while_another_leaves_for_a_spare(region: Region) -> None:
    """The new voters are the leader, the spare and the dead one. The leader has the followers that it needs to lead on, and the
    spare counts as one of them, but acknowledges nothing: nobody is given a session until the leader starts anew."""
    zk = ensemble_of(region, 4, settings={"zookeeper": {"sync_limit": 40}})
    leader, (leaving, dying) = zk.leader(), zk.followers()
    with every_write_kept(zk) as ledger:
        leader.freeze_zkboot()  # it would let the spare in first
        leaving.stop_at_step("before:reconfigure:pause")
        region.no_capacity("a", "b", "c")
        region.take(leaving)
        region.wait_until(lambda: leaving.stopped_at_step, "it is about to leave")
        dying.freeze_server()
        leaving.thaw_zkboot()
        region.wait_until(lambda: proposed(leader), "its leaving is proposed")
        region.lose(dying)
        leader.thaw_zkboot()
        hear(leader, r"leads, and for \d+ s could not commit the configuration that it proposed: restarted", region, LONG)
        ledger.wait_writing(LONG)
        replaced(zk, 4, 1)


@pytest.mark.long
def test_the_last_voter_dies_while_a_joiner_has_nothing_yet(region: Region) -> None:
    zk = ensemble_of(region, 3, environment=Orders({3: "before:start:pause"}))
    voters = zk.living
    joiner = replacement(zk, zk.followers()[0])
    end(region, [machine for machine in voters if machine in zk.living])
    before = record(zk)
    joiner.thaw_zkboot()
    said = hear(joiner, r"halted: too few voters of cluster zk remain .*`zkboot create --accept-data-loss`", region, LONG)
    for machine in voters:
        assert f"{machine.instance_id}, {machine.address}) is terminated, had last reported 0x" in said
    assert nobody_serves(zk) and not joiner.server_pid and record(zk) == before


@pytest.mark.long
def test_the_last_voter_dies_while_a_joiner_lags(region: Region, tmp_path: Path) -> None:
    """What it had taken over is kept; what it could not have is told by what the voters last reported."""
    zk = ensemble_of(region, 3, environment=Orders({3: "before:reconfigure:pause"}))
    voters = zk.living
    with Ledger(zk, tmp_path / "acknowledged") as ledger:
        ledger.wait_writing()
        joiner = replacement(zk, zk.followers()[0])
        acknowledged = acknowledged_by(tmp_path / "acknowledged")
        reached = zxid(zk.leader())
        region.wait_until(lambda: zxid(joiner) >= reached, "it has followed so far")
        joiner.power_cut()
        ledger.wait_writing()
        end(region, [machine for machine in voters if machine in zk.living])
        joiner.set_environment(ZKBOOT_LAB_STEP=None)
        joiner.power_on()
        told = reseed_told(joiner, region)
        assert told.zxid >= reached
        assert told.others.keys() == {machine.instance_id for machine in voters}
        assert all(how.startswith("is terminated, had last reported 0x") for how in told.others.values()), told
        ledger.wait_writing(LONG)
        replaced(zk, 3, 2)
    assert ledger.report is not None and not acknowledged & set(ledger.report.lost)


def zxid(machine: Machine) -> int:
    answer = machine.answer()
    return answer.zxid if answer else 0


def replacement(zk: Group, lost: Machine) -> Machine:
    """What is launched in the place of that one, at its step."""
    new = launched(zk)
    with every_write_kept(zk):
        zk.region.lose(lost)
        joiner: Machine = zk.wait_until(new, "a replacement is launched")[0]
        zk.wait_until(lambda: joiner.stopped_at_step, "it is stopped at its step")
    return joiner
