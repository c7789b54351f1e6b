"""Servers, disks, the record and a majority are lost."""

from pathlib import Path

from tests.crash.commands import confirm
from tests.crash.scene import Scene
from tests.lab.machines import Machine
from tests.scenarios.story import delete_record, hide_disk, record, reports, return_disk


def a_disk_is_damaged(scene: Scene) -> None:
    follower = scene.zk.followers()[0]
    # The case before may have been its own: who has reported `joining` says nothing more as it joins again.
    scene.until(lambda: reports(scene.zk)[follower.instance_id]["holds"] == "data", "it has reported what it holds")
    follower.power_cut()
    damage(follower)
    scene.arm(follower)
    follower.power_on()


def a_joiners_disk_is_damaged_while_nobody_serves(scene: Scene) -> None:
    """It had joined, and had no time to report what it holds."""
    damaged, whole = scene.zk.followers()
    late = scene.zk.leader()
    damaged.power_cut()
    damaged.wipe_disk()
    damaged.stop_at_step("before:report membership:pause")
    damaged.power_on()
    scene.until(lambda: damaged.stopped_at_step, "it has joined again")
    scene.until_writing()
    for machine in (damaged, whole, late):
        machine.power_cut()
    damage(damaged)
    scene.arm(damaged)
    damaged.power_on()
    whole.power_on()
    scene.until(lambda: reports(scene.zk)[damaged.instance_id]["holds"] == "empty", "it is archived, and reported empty")
    scene.until_met()
    late.power_on()


def an_empty_promise_is_taken_back(scene: Scene) -> None:
    machine, *others = scene.zk.living
    for one in (machine, *others):
        one.power_cut()
    hide_disk(machine)
    scene.arm(machine)
    machine.power_on()
    scene.until(lambda: reports(scene.zk)[machine.instance_id]["holds"] == "empty", "it promises to stay stopped")
    machine.power_cut()
    return_disk(machine)
    machine.power_on()
    scene.until(lambda: reports(scene.zk)[machine.instance_id]["holds"] == "data", "the promise is taken back")
    scene.until_met()
    for one in others:
        one.power_on()


def a_server_hangs(scene: Scene) -> None:
    follower = scene.zk.followers()[0]
    scene.arm(follower)
    hung = follower.server_pid
    follower.freeze_server()
    scene.until(lambda: follower.server_pid not in (0, hung), "zkboot restarts it")


def the_record_is_deleted(scene: Scene) -> None:
    scene.arm(*scene.zk.living)
    delete_record(scene.zk)
    scene.zk.followers()[0].kill_server()
    scene.until(lambda: record(scene.zk), "the record is written again")


def a_majority_is_terminated(scene: Scene) -> None:
    """The one that stays holds every acknowledged write: the last one that did beside it was the leader or a follower of it."""
    survivor, *gone = scene.zk.living
    gone[0].power_cut()
    scene.until_writing()
    scene.region.no_capacity("a", "b", "c")
    scene.arm(survivor)
    scene.arm_next()
    for machine in gone:
        scene.region.lose(machine)
    scene.until_writing()
    scene.region.no_capacity()


def a_seed_is_lost_once_the_others_have_archived(scene: Scene) -> None:
    """A reseed that a person typed; no second voter has joined the seed yet, so that it goes on from an archive."""
    zk = scene.zk
    seed, *others = zk.living
    with scene.ledger.rest():
        for machine in others:
            machine.stop_at_step("after:archive:pause")
        command = seed.start_zkboot("reseed", "--replace-live", *confirm(zk))
        scene.until(lambda: all(machine.stopped_at_step for machine in others), "the others have archived")
        scene.region.lose(seed)
        command.wait()
        scene.arm(*others)
        for machine in others:
            machine.kill_zkboot()
        scene.until_met()


def damage(machine: Machine) -> None:
    """A byte of its newest log is another one, in the first of several transactions."""
    log = max(Path(machine.settings["node"]["data_dir"], "version-2").glob("log.*"), key=lambda path: int(path.suffix[1:], 16))
    with open(log, "r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 0xFF]))
