"""zkboot is killed right before or right after each step of healing; the next turn finishes, and nothing is lost.

The steps of a creation and of a joining are in test_seed.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.scenarios.story import LONG, created_once, delete_record, every_write_kept, hide_disk, record, reports, return_disk

Story = Callable[[Group, Ledger], None]


def a_disk_is_wiped(zk: Group, ledger: Ledger) -> None:
    follower = zk.followers()[0]
    follower.power_cut()
    follower.wipe_disk()
    follower.power_on()


def a_disk_is_damaged(zk: Group, ledger: Ledger) -> None:
    follower = zk.followers()[0]
    follower.power_cut()
    damage(follower)
    follower.power_on()


def a_disk_is_damaged_while_nobody_serves(zk: Group, ledger: Ledger) -> None:
    damaged, whole, late = zk.living
    for machine in (damaged, whole, late):
        machine.power_cut()
    damage(damaged)
    damaged.power_on()
    whole.power_on()
    zk.wait_until(lambda: reports(zk)[damaged.instance_id]["holds"] == "empty", "it is archived, and reported empty", LONG)
    late.power_on()


def a_server_hangs(zk: Group, ledger: Ledger) -> None:
    zk.followers()[0].freeze_server()


def an_instance_is_taken(zk: Group, ledger: Ledger) -> None:
    zk.region.take(zk.followers()[0])
    zk.wait_until(lambda: len(zk.living) == 3 and zk.in_service(3), "it has gone, and is replaced", LONG)


def an_instance_is_taken_that_cannot_go_yet(zk: Group, ledger: Ledger) -> None:
    taken, silent = zk.followers()
    silent.power_cut()
    zk.region.take(taken)
    zk.wait_until(lambda: taken.stopped_at_step, "it keeps its hook waiting", LONG)
    silent.power_on()
    zk.wait_until(lambda: len(zk.living) == 3 and zk.in_service(3), "it has gone, and is replaced", LONG)


def the_record_is_deleted(zk: Group, ledger: Ledger) -> None:
    delete_record(zk)
    zk.followers()[0].kill_server()
    zk.wait_until(lambda: record(zk), "the record is written again", LONG)


def a_majority_is_terminated(zk: Group, ledger: Ledger) -> None:
    _, *gone = zk.living
    gone[0].power_cut()
    ledger.wait_writing()
    zk.region.no_capacity("a", "b", "c")
    for machine in gone:
        zk.region.lose(machine)
    ledger.wait_writing(LONG)
    zk.region.no_capacity()


def an_empty_promise_is_taken_back(zk: Group, ledger: Ledger) -> None:
    machine, *others = zk.living
    for one in (machine, *others):
        one.power_cut()
    hide_disk(machine)
    machine.power_on()
    zk.wait_until(lambda: reports(zk)[machine.instance_id]["holds"] == "empty", "it promises to stay stopped", LONG)
    machine.power_cut()
    return_disk(machine)
    machine.power_on()
    zk.wait_until(lambda: reports(zk)[machine.instance_id]["holds"] == "data", "the promise is taken back", LONG)
    for one in others:
        one.power_on()


def damage(machine: Machine) -> None:
    """A byte of its newest log is another one, in the first of several transactions."""
    log = max(Path(machine.settings["node"]["data_dir"], "version-2").glob("log.*"), key=lambda path: int(path.suffix[1:], 16))
    with open(log, "r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 0xFF]))


HEALING: dict[str, Story] = {
    "prove the leader": a_disk_is_wiped,
    "archive": a_disk_is_damaged,
    "archive damaged": a_disk_is_damaged_while_nobody_serves,
    "report unknown": a_disk_is_damaged_while_nobody_serves,
    "report data": an_empty_promise_is_taken_back,
    "report empty": an_empty_promise_is_taken_back,
    "raise": an_empty_promise_is_taken_back,
    "stop": a_server_hangs,
    "let go": an_instance_is_taken,
    "heartbeat": an_instance_is_taken_that_cannot_go_yet,
    "adopt": the_record_is_deleted,
    "reseed": a_majority_is_terminated,
}
CASES = [
    pytest.param(when, step, id=f"{when}-{step}", marks=() if (when, step) == ("after", "archive") else pytest.mark.long)
    for step in HEALING
    for when in ("before", "after")
]


@pytest.mark.parametrize(("when", "step"), CASES)
def test_zkboot_is_killed_at_a_step(zk: Group, when: str, step: str) -> None:
    machines = zk.living
    for machine in machines:
        machine.stop_at_step(f"{when}:{step}:kill")
    with every_write_kept(zk) as ledger:
        HEALING[step](zk, ledger)
        zk.wait_until(lambda: any(machine.stopped_at_step for machine in machines), f"a zkboot is killed {when} {step}", LONG)
        zk.wait_serving(3, LONG)
    for machine in machines:
        machine.set_environment(ZKBOOT_LAB_STEP=None)
    created_once(zk, record(zk)["generation"])
