"""The stack's alarms, as Terraform has them, on what real turns write: each rings in its state, and none while all is well."""

import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, delete_record, put_record, record
from tests.terraform.alarms import alarms, boot_failed
from zkboot.metrics import METRICS
from zkboot.settings_keys import Timing

ALARMS = alarms()
LONGEST = max(alarm.minutes for alarm in ALARMS.values())
FULL_HERE = shutil.disk_usage("/").used / shutil.disk_usage("/").total > 0.75
CLUSTER = "zk"


class Lines:
    """Takes what zkboot says to the journal, in journald's place; the newest figures by instance."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count: dict[str, int] = {}
        self.newest: dict[str, dict[str, Any]] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while entry := self._socket.recv(1 << 20).decode():
            fields = dict(line.split("=", 1) for line in entry.splitlines())
            assert fields["SYSLOG_IDENTIFIER"] == "zkboot-metrics"
            told = json.loads(fields["MESSAGE"])
            self.newest[told["Instance"]] = told
            self.count[told["Instance"]] = self.count.get(told["Instance"], 0) + 1

    def close(self) -> None:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"", str(self.path))
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def lines() -> Iterator[Lines]:
    with tempfile.TemporaryDirectory() as folder:
        lines = Lines(Path(folder) / "journal")
        yield lines
        lines.close()


@pytest.fixture(scope="module")
def zk(lines: Lines) -> Iterator[Group]:
    settings = {"aws": {"log_group": f"/zkboot/{CLUSTER}"}}
    with Region() as region:
        region.no_capacity("c")
        zk = region.group(3, name=CLUSTER, settings=settings, environment=lambda index: {"ZKBOOT_LAB_JOURNAL": str(lines.path)})
        zk.wait_until(lambda: len(lines.newest) == 2, "two of three tell their figures while they wait for the third")
        expect(zk, lines, "no-quorum", "no-tolerance", "no-fresh-backup")
        assert {told["Decision"] for told in lines.newest.values()} == {"wait"}
        region.no_capacity()
        zk.wait_serving(3)
        zk.wait_until(lambda: all(machine.said("recovery every") for machine in zk.living), "each machine has its timers")
        expect(zk, lines, "no-fresh-backup")  # nothing is verified yet
        back_up(zk)
        yield zk


def ringing(lines: Lines, on: list[Machine]) -> set[str]:
    """The alarms, were the newest line of each machine that is on repeated each minute."""
    minute = [lines.newest[machine.instance_id] for machine in on]
    found = {name for name, alarm in ALARMS.items() if alarm.rings(CLUSTER, [minute] * LONGEST)}
    return found - {"disk-filling"} if on and FULL_HERE else found


def expect(zk: Group, lines: Lines, *expected: str) -> None:
    """Just these alarms ring once this state has lasted: on lines whose turns began in it."""
    on = [machine for machine in zk.living if machine.on]
    before = dict(lines.count)

    def as_expected() -> bool:
        # The turn of the first line may have begun earlier.
        new = all(lines.count.get(m.instance_id, 0) >= before.get(m.instance_id, 0) + 2 for m in on)
        return new and ringing(lines, on) == set(expected)

    zk.wait_until(as_expected, f"just {expected or 'none'} of the alarms ring", LONG)


def tells(lines: Lines, machine: Machine, figures: dict[str, object]) -> bool:
    return figures.items() <= lines.newest[machine.instance_id].items()


def back_up(zk: Group) -> None:
    """One backup; each node looks, as its timer does a few minutes after the boot, and knows of it then."""
    for machine in zk.living:
        done = machine.zkboot("backup", timeout=120)
        assert done.returncode == 0, done.stdout


def test_while_all_is_well_none_rings(zk: Group, lines: Lines) -> None:
    expect(zk, lines)
    figures = {"Quorum": 1, "Halted": 0, "ZxidLag": 0, "Decision": "healthy"}
    zk.wait_until(lambda: tells(lines, zk.leader(), figures | {"Voters": 3, "Tolerance": 1, "Spares": 0}), "the leader's figures")
    for machine in zk.followers():
        zk.wait_until(lambda m=machine: tells(lines, m, figures), f"the figures of {machine}")
        assert not {"Voters", "Tolerance", "Spares"} & lines.newest[machine.instance_id].keys()
    assert {name for told in lines.newest.values() for name in told} >= METRICS.keys() - {"Latency"}


@pytest.mark.long
def test_a_new_leader_tells_what_the_old_one_did(zk: Group, lines: Lines) -> None:
    old = zk.leader()
    old.kill_server()
    zk.wait_until(lambda: [mode for mode in zk.modes().values() if mode == "leader"], "one leads")
    zk.wait_serving(3)
    expect(zk, lines)


def test_the_backup_is_too_old(zk: Group, lines: Lines) -> None:
    for machine in zk.living:
        machine.skew_clock(ALARMS["no-fresh-backup"].threshold + 60)
    expect(zk, lines, "no-fresh-backup")
    zk.living[0].skew_clock(0)
    expect(zk, lines)  # one that knows of a newer one is enough
    for machine in zk.living:
        machine.skew_clock(0)


def test_a_voter_is_gone_then_two_then_all(zk: Group, lines: Lines) -> None:
    zk.wait_serving(3, LONG)
    lost: list[Machine] = []
    for machine, expected in zip(
        [*zk.followers(), zk.leader()], ({"no-tolerance"}, {"no-tolerance", "no-quorum"}, set(ALARMS)), strict=True
    ):
        machine.power_cut()
        lost.append(machine)
        left = [m for m in zk.living if m.on]
        if len(left) == 1:
            zk.wait_until(lambda left=left: not left[0].answer(), "the last one no longer serves", LONG)
        elif left:
            zk.wait_until(lambda: len([m for m in zk.modes().values() if m]) == 2, "two serve", LONG)
        expect(zk, lines, *expected)
    for machine in lost:
        machine.power_on()
    zk.wait_serving(3, LONG)
    expect(zk, lines)


def test_a_person_must_decide(zk: Group, lines: Lines) -> None:
    for machine in zk.living:
        machine.power_cut()
    kept = delete_record(zk)
    for machine in zk.living:
        machine.power_on()
    zk.wait_until(lambda: any(machine.said("halted: ") for machine in zk.living), "one halts")
    expect(zk, lines, "halted", "no-quorum", "no-tolerance")
    put_record(zk, kept)
    zk.wait_serving(3)
    assert record(zk)["state"] == "created"
    expect(zk, lines)


def test_an_instance_does_not_come_to_serve(zk: Group) -> None:
    alarm = boot_failed(Timing().bootstrap_timeout)

    def figures() -> tuple[int, int]:
        return zk.asg.desired_capacity, sum(zk.region.lifecycle(machine) == "InService" for machine in zk.living)

    assert not alarm.rings([figures()] * alarm.minutes)
    zk.region.no_capacity("a", "b", "c")
    zk.scale(4)
    assert alarm.rings([figures()] * alarm.minutes)
    assert not alarm.rings([(3, 3), *[figures()] * (alarm.minutes - 1)]), "a boot has its time"
    assert alarm.rings([None] * alarm.minutes)
    zk.scale(3)
    zk.region.no_capacity()
    zk.wait_serving(3)


@pytest.mark.long
def test_a_disk_fills(zk: Group, lines: Lines) -> None:
    machine = zk.followers()[0]
    machine.power_cut()
    try:
        machine.limit_volume("256m")
    except NotPossibleHere as error:
        machine.power_on()
        zk.wait_serving(3)
        pytest.skip(f"SKIPPED, NOT PROVED: {error}")
    (machine.root / "vol/filler").write_bytes(b"\1" * (230 << 20))
    machine.power_on()
    zk.wait_serving(3)
    zk.wait_until(lambda: lines.newest[machine.instance_id]["DiskUsed"] > 80, "its figures say so")
    assert ALARMS["disk-filling"].rings(CLUSTER, [list(lines.newest.values())] * LONGEST)
    machine.free_disk()
