"""The words of stories in which too few voters remain: who is gone, who holds the most, and what it says of that."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import ensemble
from tests.lab.group import Group
from tests.lab.ledger import ROOT, Ledger
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, count_said, created_once, every_write_kept, hear, reports

RESEEDS = r"holds the most, 0x\w+ of epoch \d+ on its disk: it reseeds"


def ensemble_of(region: Region, size: int, **options: Any) -> Group:
    """A group that serves, each member's report of its data written: whoever is left alone knows who they were, and held."""
    zk = region.group(size, **options)
    zk.wait_serving(size)
    zk.wait_until(lambda: all_reported(zk, zk.living), "each has reported its data")
    return zk


def all_reported(zk: Group, machines: list[Machine]) -> bool:
    found = reports(zk)
    return all(found.get(machine.instance_id, {}).get("holds") == "data" for machine in machines)


# --- who goes


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


def first_stopped(zk: Group, one: Machine, other: Machine, what: str) -> tuple[Machine, Machine]:
    """Wait until one of the two is stopped at its step; that one, and the other, which from now on is stopped at none."""
    zk.wait_until(lambda: one.stopped_at_step or other.stopped_at_step, what, LONG)
    stopped, left = (one, other) if one.stopped_at_step else (other, one)
    left.set_environment(ZKBOOT_LAB_STEP=None)
    left.kill_zkboot()  # one that runs has its order since its start
    return stopped, left


# --- what is kept


@contextmanager
def quiet_writes_kept(zk: Group) -> Iterator[None]:
    """Writes are acknowledged and at an end before the block, which finds a quiet ensemble; each is there after it."""
    with every_write_kept(zk):
        pass
    before = written(zk)
    yield
    assert before and before <= written(zk), f"lost: {sorted(before - written(zk))}"


def written(zk: Group) -> set[str]:
    """The names of the ledgers' znodes, as a write through a member that serves finds them."""
    serving = zk.wait_until(lambda: [m for m in zk.living if m.answer()], "a member serves", LONG)
    with ensemble.client(serving[0].address) as session:
        session.create(f"{ROOT}/looked-", sequence=True, makepath=True)
        return {name for name in session.get_children(ROOT) if not name.startswith("looked-")}


def acknowledged_by(file: Path) -> set[int]:
    """The numbers of the writes that a ledger with that file has seen acknowledged by now."""
    return set(map(int, file.read_text().split()))


# --- what is said


class Account(NamedTuple):
    """What the one that reseeds tells an operator: its own data, and what is known of each other voter."""

    epoch: int
    zxid: int
    others: dict[str, str]  # instance id -> "is terminated, had last reported 0x…", "reports 0x…"

    def reported(self, machine: Machine) -> int:
        found = re.search(r"report(?:s|ed) (0x\w+)", self.others[machine.instance_id])
        assert found, self.others[machine.instance_id]
        return int(found[1], 16)


def awaits(machine: Machine, silent: Machine, remaining: str, region: Region) -> None:
    """Wait until it says that too few voters remain, who is lost, and that only that one's report is missing."""
    text = rf"waiting: too few voters remain \({remaining}; lost: server .*\); reports awaited from {silent.instance_id}, grace"
    hear(machine, text, region, LONG)


def reseed_told(machine: Machine, region: Region) -> Account:
    """Wait until it says that it reseeds; the last time that it did."""
    line = hear(machine, RESEEDS, region, LONG)
    found = re.search(rf"{machine.instance_id} holds the most, (0x\w+) of epoch (\d+) on its disk: it reseeds\. (.*)", line)
    assert found, line
    others = re.findall(r"server \d+ \((i-\w+), [\d.]+\) ([^;]*)", found[3])
    return Account(int(found[2]), int(found[1], 16), dict(others))


def reseeded(*machines: Machine) -> int:
    """How often these have said that they reseed."""
    return sum(count_said(machine, RESEEDS) for machine in machines)


def archived(machine: Machine) -> dict[str, int]:
    """Its archives: name and last zxid."""
    manifests = (machine.root / "vol/archive").glob("*/archive.json")
    return {path.parent.name: int(json.loads(path.read_text())["zxid"], 16) for path in manifests}
