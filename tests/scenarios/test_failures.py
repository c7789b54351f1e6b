"""A server or an instance fails in an ensemble of three; the others go on, and it heals."""

import subprocess

import pytest

from tests.lab.group import DEADLINE, Group
from tests.scenarios.story import LONG, created_once, every_write_kept, holder, launched, newest, record, says, servers_of

# Whether it sees the others' quorum at that moment or not.
STARTED = r"server \d (is in the configuration and stopped: )?started with its data"


def test_leader_killed(zk: Group) -> None:
    """Its server comes back once another leads: a slow machine could elect the same one again."""
    leader = zk.leader()
    with every_write_kept(zk) as ledger:
        with ledger.event("leader killed"):
            leader.freeze_zkboot()
            leader.kill_server()
            zk.wait_until(lambda: "leader" in zk.modes().values(), "another one leads")
            ledger.wait_writing()
            assert leader.answer() is None
            leader.thaw_zkboot()
        zk.wait_serving(3)
    zk.wait_until(lambda: zk.modes()[leader.instance_id] == "follower", "it follows the new leader")


def test_follower_killed(zk: Group) -> None:
    follower = zk.followers()[0]
    dead = follower.server_pid
    with every_write_kept(zk), says(zk.region, STARTED, follower):
        follower.kill_server()
        zk.wait_serving(3)
    assert follower.server_pid not in (0, dead)


def test_a_server_hangs_while_its_machine_lives(zk: Group) -> None:
    follower = zk.followers()[0]
    hung = follower.server_pid
    with every_write_kept(zk), says(zk.region, r"has run \d+ s without serving while a quorum does: restarted", follower):
        follower.freeze_server()
        zk.wait_until(lambda: follower.server_pid not in (0, hung), "zkboot restarts it", LONG)
        zk.wait_serving(3)


@pytest.mark.long
def test_a_server_that_misses_an_answer_is_not_restarted(zk: Group) -> None:
    """However long it has run: a pause of its memory, or an election, is no hang."""
    follower = zk.followers()[0]
    pid, limit = follower.server_pid, follower.settings["timing"]["start_limit"]
    zk.wait_until(lambda: lived(pid) > limit + 2, "its server has run for longer than a start may take", LONG)
    with every_write_kept(zk):
        with says(zk.region, r"waiting: server \d runs but does not serve yet", follower):
            follower.freeze_server()
        follower.thaw_server()
        zk.wait_serving(3)
    assert follower.server_pid == pid


def lived(pid: int) -> int:
    """Seconds since that process began."""
    return int(subprocess.check_output(("ps", "-o", "etimes=", "-p", str(pid))))


@pytest.mark.long
def test_the_leader_hangs_while_its_machine_lives(zk: Group) -> None:
    leader = zk.leader()
    hung = leader.server_pid
    with every_write_kept(zk):
        leader.freeze_server()
        zk.wait_until(lambda: leader.server_pid not in (0, hung), "zkboot restarts it", LONG)
        zk.wait_serving(3)


@pytest.mark.parametrize("reused", [True, pytest.param(False, marks=pytest.mark.long)], ids=["address-reused", "another-address"])
def test_an_instance_is_terminated_and_replaced(zk: Group, reused: bool) -> None:
    generation = record(zk)["generation"]
    zk.region.autoscaling.reuse_addresses = reused
    dead = zk.leader()
    dead_id = holder(zk, dead)
    with every_write_kept(zk):
        new = launched(zk)
        zk.region.lose(dead)
        replacement = zk.wait_until(new, "a replacement is launched")[0]
        zk.wait_serving(3)
    assert (replacement.address == dead.address) is reused
    assert replacement.said(rf"joined as server \d, replacing {dead_id} \({dead.instance_id} is terminated\)")
    created_once(zk, generation)
    zk.region.autoscaling.reuse_addresses = True


def test_an_instance_that_the_group_takes_leaves_first(zk: Group) -> None:
    taken = zk.leader()
    with every_write_kept(zk), says(zk.region, r"the group takes this instance: server \d leaves the configuration", taken):
        new = launched(zk)
        zk.region.take(taken)
        zk.wait_until(new, "a replacement is launched")
        zk.wait_serving(3)
    assert zk.region.ec2_state(taken) == "terminated"
    zk.wait_until(newest(zk).answer, "the replacement serves")


def test_two_zkboots_at_once_on_a_node(zk: Group) -> None:
    follower = zk.followers()[0]
    follower.freeze_zkboot()
    follower.kill_zkboot()  # one that took a turn has the lock, frozen too
    with every_write_kept(zk):
        follower.kill_server()
        zk.wait_until(lambda: not follower.server_pid, "its server has ended")
        both = [follower.start_zkboot("recover") for _ in range(2)]
        words = [process.communicate(timeout=DEADLINE)[0] for process in both]
        zk.wait_until(follower.answer, "it serves again")
    assert servers_of(follower) == 1
    assert sum("started with its data" in text for text in words) == 1
    assert {process.returncode for process in both} <= {0, 3}, words
    follower.thaw_zkboot()
    zk.wait_serving(3)


@pytest.mark.parametrize("seconds", [600.0, pytest.param(-600.0, marks=pytest.mark.long)], ids=["ahead", "behind"])
def test_clocks_ten_minutes_off(zk: Group, seconds: float) -> None:
    """Two of three and the newcomer: dead, claimed and valid are told by AWS's clocks."""
    generation = record(zk)["generation"]
    one, other, lost = zk.living
    for machine in (one, other):
        machine.skew_clock(seconds)
    with every_write_kept(zk):
        new = launched(zk)
        zk.region.lose(lost)
        zk.wait_until(new, "a replacement is launched")[0].skew_clock(seconds)
        zk.wait_serving(3)
        one.power_cut()
        other.power_cut()
        one.power_on()
        other.power_on()
        zk.wait_serving(3)
    created_once(zk, generation)
    for machine in zk.living:
        machine.set_environment(ZKBOOT_LAB_CLOCK_OFFSET=None)
