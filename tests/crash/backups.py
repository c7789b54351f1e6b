"""Backups are made, read back, copied, deleted, and restored."""

import time
from contextlib import closing

from tests.backup.bucket import VERIFIED, names, newest, prefix, remove, spoil, unfinished
from tests.crash.scene import KILLED, Scene
from tests.lab.iam import ADMIN_KEY, ADMIN_SECRET
from tests.lab.journal import Journald
from tests.lab.machines import Machine
from tests.lab.region import BUCKET, REGION
from tests.scenarios.story import delete_record, record
from zkboot.errors import FAILED

COPIES = "zkboot-lab-copies"
COLD = ("--set", "backup.mode=cold")
KEEP_ONE = [f"backup.keep_{rule}" for rule in ("count=1", "days=0", "daily=0", "weekly=0", "monthly=0")]


def backup(scene: Scene, machine: Machine, *options: str) -> str:
    """As often as it takes; a machine that was off serves again before it is typed again."""
    return scene.typed(machine, "backup", *options, ready=machine.answer)


def copy_of_all(scene: Scene) -> str:
    """The newest backup's name: the leader's, who has each acknowledged write. While nothing is written."""
    backup(scene, scene.zk.leader())
    return newest(scene.zk)


# --- making


def a_backup_is_made(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    scene.arm(machine)
    backup(scene, machine)
    only_whole_backups(scene)


def only_whole_backups(scene: Scene) -> None:
    """Nothing is left of what was not finished, and the newest of what was is verified."""
    assert unfinished(scene.zk) == 0 and newest(scene.zk) in names(scene.zk, VERIFIED)


def an_unfinished_backup_is_aborted(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    machine.stop_at_step("after:begin upload:kill")
    assert machine.zkboot("backup").returncode == KILLED and unfinished(scene.zk) == 1
    scene.arm(machine)
    backup(scene, machine)
    only_whole_backups(scene)


def a_backup_is_still_current(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    with scene.ledger.rest():
        backup(scene, machine)
        before = names(scene.zk)
        scene.arm(machine)
        said = backup(scene, machine)
        # A member that was off has joined again meanwhile, which is a write.
        assert "nothing was written since backup" in said or any(order.how == "power" for order in scene.orders), said
    assert before <= names(scene.zk)
    only_whole_backups(scene)


def a_cold_backup_is_made(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    scene.arm(machine)
    scene.until(lambda: backup(scene, machine, *COLD) and not scene.missed, "its server was stopped for it, and started again")
    only_whole_backups(scene)


# --- after it was made


def a_damaged_backup_is_read_back(scene: Scene) -> None:
    zk, machine = scene.zk, scene.zk.followers()[0]
    backup(scene, machine)
    name = newest(zk)
    zk.region.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}.tar.gz", Body=b"gone")
    scene.arm(machine)
    assert "the archive ends" in scene.typed(machine, "verify", name, ends_with=FAILED)
    assert "DAMAGED" in machine.zkboot("backups").stdout
    remove(zk, name)


def a_backup_is_drilled(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    backup(scene, machine)
    scene.arm(machine)
    assert "drilled" in scene.typed(machine, "verify", "--drill")
    assert newest(scene.zk) in names(scene.zk, ".drilled.json")


def a_backup_is_copied(scene: Scene) -> None:
    """To a second bucket, by the credentials of a profile."""
    zk, machine, s3 = scene.zk, scene.zk.followers()[0], scene.region.client("s3")
    if COPIES not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=COPIES, CreateBucketConfiguration={"LocationConstraint": REGION})
    profile = machine.root / "credentials"
    profile.write_text(f"[copies]\naws_access_key_id = {ADMIN_KEY}\naws_secret_access_key = {ADMIN_SECRET}\n")
    machine.set_environment(AWS_SHARED_CREDENTIALS_FILE=str(profile))
    scene.arm(machine)
    backup(scene, machine, "--set", f"backup.copy_bucket={COPIES}", "--set", "backup.copy_profile=copies")
    machine.set_environment(AWS_SHARED_CREDENTIALS_FILE=None)
    name = newest(zk)
    assert {f"{prefix(zk)}{name}{VERIFIED}", f"{prefix(zk)}{name}.tar.gz"} <= scene.region.objects(prefix(zk), COPIES).keys()


def old_backups_are_deleted(scene: Scene) -> None:
    """One that the kill left half is no backup any more; a day later the rest of it goes."""
    zk, machine = scene.zk, scene.zk.followers()[0]
    backup(scene, machine)
    old = newest(zk)
    scene.until_writing()
    backup(scene, machine)
    scene.arm(machine)
    scene.typed(machine, "prune", *(word for rule in KEEP_ONE for word in ("--set", rule)))
    assert old not in names(zk) and len(names(zk)) == 1
    only_whole_backups(scene)


# --- restoring


def all_disks_are_lost(scene: Scene) -> None:
    """The newest backup is restored, unasked."""
    zk = scene.zk
    with scene.ledger.rest():
        name = copy_of_all(scene)
        for machine in zk.living:
            machine.power_cut()
            machine.wipe_disk()
        scene.arm(*zk.living)
        for machine in zk.living:
            machine.power_on()
        scene.until_met()
        scene.until_serving(3)
    assert record(zk)["source"].endswith(name)


def all_is_lost_but_the_backups(scene: Scene) -> None:
    """The machines, and the record: one of those that are launched then begins the cluster from the newest."""
    zk = scene.zk
    with scene.ledger.rest():
        name = copy_of_all(scene)
        scene.region.no_capacity("a", "b", "c")
        for machine in zk.living:
            scene.region.lose(machine)
        delete_record(zk)
        scene.region.no_capacity()
        new = scene.until(lambda: len(zk.living) == 3 and zk.living, "three are launched")
        scene.until(lambda: all(machine.said("halted: .* has no record") for machine in new), "they halt")
        scene.arm(new[0])
        scene.typed(new[0], "restore", "--confirm", zk.plan.cluster, done=lambda: record(zk))
        scene.until_serving(3)
    assert record(zk)["source"].endswith(name)


def the_group_goes_to_zero_and_comes_back(scene: Scene) -> None:
    """Who goes last makes a last backup, which those that come restore."""
    zk = scene.zk
    scene.arm(*zk.living)
    zk.scale(0)
    scene.until(lambda: not zk.living, "all have gone")
    scene.until_met()
    zk.scale(3)


def a_backup_is_given_up(scene: Scene) -> None:
    """Once more where the members had looked by themselves, and none needed waking."""
    scene.until(lambda: give_one_up(scene) or not scene.missed, "it is damaged, and given up")


def give_one_up(scene: Scene) -> None:
    """It was verified once, and is damaged since: the seed finds that before it touches its disk, and all keep what they hold."""
    zk, before, machine = scene.zk, record(scene.zk)["generation"], scene.zk.followers()[0]
    backup(scene, machine)
    name = newest(zk)
    spoil(zk, name)
    scene.arm(machine)
    command = ("restore", name, "--replace-live", "--confirm", zk.plan.cluster)
    scene.typed(machine, *command, done=lambda: record(zk)["generation"] > before, ends_with=FAILED)
    scene.until_generation(before + 1)
    scene.until_serving(3)
    remove(zk, name)


# --- logs


def the_journal_is_shipped(scene: Scene) -> None:
    """A real journal; what was put and not noted is put again."""
    machine, logs, lines = scene.zk.living[0], scene.region.client("logs"), {"one", "two", "three"}
    group = f"/zkboot/{scene.zk.plan.cluster}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
    with closing(Journald(f"zkc{time.time_ns():x}"[:12])) as journal:
        journal.put_first_on_path(machine.root / "bin")
        journal.say("zookeeper.service", *lines)
        scene.arm(machine)
        shipper = machine.start_zkboot("ship", "--set", f"aws.log_group={group}")

        def arrived() -> bool:
            nonlocal shipper
            if shipper.poll() is not None and machine.on:
                assert shipper.returncode == KILLED, shipper.communicate()
                shipper = machine.start_zkboot("ship", "--set", f"aws.log_group={group}")
            events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=machine.instance_id)["events"]
            return not scene.missed and lines <= {event["message"] for event in events}

        scene.until(arrived, "each line has arrived")
        scene.until(lambda: arrived() and shipper.poll() is None, "it goes on shipping")
        shipper.terminate()
        shipper.wait()
    (machine.root / "bin/journalctl").unlink()
