"""Faults of machines with real servers on them (a stand-in for zkboot runs them), and what the ledger makes of those."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab import ensemble, processes
from tests.lab.errors import NotPossibleHere
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import CHECKOUT
from tests.lab.region import Region

STANDIN = (sys.executable, "-m", "tests.lab.standin")


@pytest.fixture(scope="module")
def trio() -> Iterator[Group]:
    """Three machines with one raw ensemble; each test leaves it serving."""
    with Region() as region:
        group = region.group(3, command=STANDIN, hooks=False, settings={"timing": {"recover_interval": 60}})
        wait_serving(group)
        yield group


def wait_serving(group: Group) -> None:
    group.wait_until(lambda: sorted(group.modes().values()) == ["follower", "follower", "leader"], "three servers serve")


def test_the_ensemble_is_seen(trio: Group) -> None:
    assert {member.address for member in trio.voters()} == {machine.address for machine in trio.living}
    assert len(trio.followers()) == 2 and trio.leader() in trio.living
    assert trio.tree_count() >= 4


def test_the_ledger_lives_through_a_killed_leader_and_a_power_cut(trio: Group) -> None:
    with Ledger(trio) as ledger:
        ledger.wait_writing()
        with ledger.event("leader killed"):
            trio.leader().kill_server()
            ledger.wait_writing()
            wait_serving(trio)  # init has run `recover` at once, not after a minute
        with ledger.event("two members lose power"):
            victims = trio.followers()
            for machine in victims:
                machine.power_cut()
            assert not any(machine.answer() for machine in victims)
            for machine in victims:
                machine.power_on()
            ledger.wait_writing()
        wait_serving(trio)
        trio.wait_until(lambda: ledger.acknowledged > 50, "fifty writes")
    report = ledger.report
    assert report is not None and report.lost == ()
    assert [event.name for event in report.events] == ["leader killed", "two members lose power"]
    assert all(event.longest_gap <= report.longest_gap for event in report.events)


def test_a_server_freezes_and_thaws(trio: Group) -> None:
    machine = trio.followers()[0]
    machine.freeze_server()
    assert processes.stat(machine.server_pid)[0] == "T"
    try:
        assert machine.answer() is None
    finally:
        machine.thaw_server()
    wait_serving(trio)


def test_the_ledger_finds_what_was_lost(trio: Group) -> None:
    """An acknowledged write that is deleted or changed behind its back is told by its number; the others are not."""
    with Ledger(trio) as ledger:
        trio.wait_until(lambda: ledger.acknowledged > 10, "ten writes")
        with ensemble.client(trio.leader().address) as session:
            third, fifth = (ledger._path(ledger._acknowledged[index]) for index in (2, 4))
            session.delete(third)
            session.set(fifth, b"something else")
    assert ledger.report is not None
    assert ledger.report.lost == (ledger._acknowledged[2], ledger._acknowledged[4])


def test_a_reboot_is_orderly_and_starts_an_empty_run_folder(trio: Group) -> None:
    machine = trio.followers()[0]
    pid = machine.server_pid
    machine.reboot()
    trio.wait_until(lambda: machine.server_pid not in (0, pid), "the server runs again")
    assert "power off" in machine.log() and machine.said("stand-in: recover")
    wait_serving(trio)


def test_a_full_disk(trio: Group) -> None:
    machine = trio.followers()[0]
    machine.power_cut()
    try:
        machine.limit_volume("16m")
    except NotPossibleHere as reason:
        machine.power_on()
        wait_serving(trio)
        pytest.skip(f"SKIPPED, NOT PROVED: {reason}")
    machine.fill_disk()
    with pytest.raises(OSError, match="No space left"):
        (machine.root / "vol/more").write_bytes(b"1" * 65536)
    machine.free_disk()
    machine.power_on()
    wait_serving(trio)


def test_another_terminal_sees_and_commands_the_region(trio: Group) -> None:
    machine = trio.followers()[0]
    region = trio.region.path.name

    def typed(*arguments: str) -> str:
        command = [sys.executable, "-m", "tests.lab", "--region", region, *arguments]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

    lines = trio.wait_until(lambda: lines if "leader" in "".join(lines := typed().splitlines()) else None, "it shows a leader")
    assert len(lines) == 4 and sum("leader" in line for line in lines) == 1
    assert typed("zkboot", machine.instance_id, "status") == "stand-in: status\n"
    assert "stand-in: bootstrap" in typed("logs", machine.instance_id)
    assert f"export ZKBOOT_LAB_MACHINE={machine.root}" in typed("env", machine.instance_id)
    pid = machine.server_pid
    typed("kill", machine.instance_id)
    trio.wait_until(lambda: machine.server_pid not in (0, pid), "the server runs again")
    wait_serving(trio)


def test_a_partition_on_loopback_is_refused_loudly(trio: Group) -> None:
    with pytest.raises(NotPossibleHere), trio.region.partition(trio.living[:1], trio.living[1:]):
        pass
