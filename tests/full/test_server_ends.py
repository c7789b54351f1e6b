"""A server that ends: who asked for it decides whether its unit calls zkboot. The timer is off, so that nothing else does."""

from collections.abc import Callable, Iterator

import pytest

from tests.lab.full.machine import FullMachine
from tests.lab.group import Group
from tests.scenarios.story import every_write_kept

TIMER, RECOVER, SERVER = "zkboot-recover.timer", "zkboot-recover.service", "zookeeper.service"
ARGUMENTS, SMALL = "/run/zkboot/java.arguments", "-Xmx8m"  # which zkboot writes anew
HEAP_DUMP = "/var/log/zookeeper/heap.hprof"


@pytest.fixture
def follower(zk: Group) -> Iterator[FullMachine]:
    machine = next(machine for machine in zk.followers() if isinstance(machine, FullMachine))
    machine.run("systemctl", "stop", TIMER)
    zk.wait_until(lambda: "inactive" in shown(machine, RECOVER, "ActiveState"), "no turn is under way")
    yield machine
    machine.run("systemctl", "start", TIMER)
    machine.run("rm", "--force", HEAP_DUMP)
    zk.wait_serving(3)


def killed(machine: FullMachine) -> None:
    machine.run("systemctl", "kill", "--signal=KILL", SERVER)


def ended_by_itself(machine: FullMachine) -> None:
    """As after a call of exit(): what is clean to systemd, and yet nobody asked for."""
    machine.run("sh", "-c", f"kill -TERM $(systemctl show --property=MainPID --value {SERVER})")


def out_of_memory(machine: FullMachine) -> None:
    machine.run("sed", "--in-place", f's/^"-Xmx.*/"{SMALL}"/', ARGUMENTS)
    machine.run("systemctl", "restart", SERVER)


@pytest.mark.parametrize("end", [killed, ended_by_itself, out_of_memory], ids=lambda end: end.__name__)
def test_an_end_that_nobody_asked_for_is_healed_at_once(
    zk: Group, follower: FullMachine, end: Callable[[FullMachine], None]
) -> None:
    before = follower.server_pid
    with every_write_kept(zk):
        end(follower)
        zk.wait_until(lambda: follower.server_pid not in (0, before), "the server is started again")
        zk.wait_until(follower.answer, "it serves")


def test_out_of_memory_leaves_one_heap_dump(zk: Group, follower: FullMachine) -> None:
    for _ in range(2):
        out_of_memory(follower)
        zk.wait_until(lambda: SMALL not in follower.run("cat", ARGUMENTS).stdout and follower.answer(), "it serves again")
    assert follower.run("ls", "/var/log/zookeeper").stdout.count(".hprof") == 1
    assert "Terminating due to java.lang.OutOfMemoryError" in follower.run("journalctl", "--boot", f"--unit={SERVER}").stdout


def test_an_orderly_stop_calls_nobody(follower: FullMachine) -> None:
    before = turns(follower)
    follower.run("systemctl", "stop", SERVER)
    assert shown(follower, SERVER, "ActiveState") == "ActiveState=inactive"
    jobs = follower.run("systemctl", "list-jobs").stdout
    assert "zkboot" not in jobs and SERVER not in jobs, jobs
    assert turns(follower) == before


def turns(machine: FullMachine) -> str:
    """What the journal has of zkboot's turns, and of why they began."""
    machine.run("journalctl", "--sync")
    return machine.run("journalctl", "--boot", f"--unit={RECOVER}", "--unit=zkboot-ended.service").stdout


def shown(machine: FullMachine, unit: str, name: str) -> str:
    return machine.run("systemctl", "show", f"--property={name}", unit).stdout.strip()
