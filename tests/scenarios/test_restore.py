"""Backups come back: into an ensemble that serves, after all disks are lost, and not where they must not."""

import inspect
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kazoo.client import KazooClient

from tests.backup.bucket import MANIFEST, names, prefix
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import BUCKET, Region
from tests.scenarios.story import LONG, created_once, every_write_kept, hear, nobody_serves, record
from tests.scenarios.survivors import archived, ensemble_of, written
from zkboot import actions, commands

CONFIRM = ("--confirm", "zk")
ARCHIVE = ".tar.gz"
UNASKED = {"ensemble": {"auto_restore": 86_400}}


def backed_up(zk: Group) -> tuple[str, set[str]]:
    """Writes, and a backup of them: its name, and the znodes that are in it."""
    with every_write_kept(zk):
        pass
    there = written(zk)
    back_up(zk, zk.living[0])
    return max(names(zk)), there


def back_up(zk: Group, machine: Machine) -> None:
    """The newest backup holds all that there is: made now, or still current. A timer may be at one of its own."""
    told: list[str] = []

    def made() -> bool:
        done = machine.zkboot("backup", timeout=LONG)
        told[:] = [done.stdout]
        return done.returncode == 0

    zk.wait_until(made, "a backup is made", LONG)
    assert "verified" in told[0] or "is still current" in told[0], told[0]


def given_up(zk: Group, held: set[str]) -> set[str]:
    """Writes after the backup, which are not in it."""
    with every_write_kept(zk):
        pass
    later = written(zk) - held
    assert later
    return later


def put(zk: Group, key: str, body: bytes) -> None:
    zk.region.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def spoil(zk: Group, name: str) -> None:
    """A byte in the middle of the archive is another one; its mark still says that it was verified."""
    key = f"{prefix(zk)}{name}{ARCHIVE}"
    body = bytearray(zk.region.objects(key)[key])
    body[len(body) // 2] ^= 0xFF
    put(zk, key, bytes(body))


def lose_all_disks(zk: Group) -> None:
    for machine in zk.living:
        machine.power_cut()
    for machine in zk.living:
        machine.wipe_disk()
    for machine in zk.living:
        machine.power_on()


@contextmanager
def connected(zk: Group) -> Iterator[KazooClient]:
    """A client that stays, across whatever happens to the ensemble."""
    client = KazooClient(hosts=",".join(zk.hosts), timeout=4.0)
    client.start(30)
    try:
        yield client
    finally:
        client.stop()
        client.close()


# --- a person goes back


def test_a_backup_replaces_what_serves_and_its_clients_are_not_refused(zk: Group) -> None:
    generation = record(zk)["generation"]
    name, held = backed_up(zk)
    later, typing = given_up(zk, held), zk.followers()[0]
    live = typing.zkboot("restore", *CONFIRM)
    assert live.returncode == 1 and "--replace-live" in live.stdout
    unnamed = typing.zkboot("restore", "--replace-live")
    assert unnamed.returncode == 2 and "--confirm zk" in unnamed.stdout
    with connected(zk) as client:
        before = client.set("/ledger", b"seen").mzxid
        done = typing.zkboot("restore", name, "--replace-live", *CONFIRM, timeout=LONG)
        assert done.returncode == 0, done.stdout
        assert re.search(r"hold beyond that is kept in their archives", done.stdout), done.stdout
        assert re.search(r"restored at 0x[0-9a-f]+ from backup \w+ \(", done.stdout.splitlines()[-1]), done.stdout
        with every_write_kept(zk):
            zk.wait_serving(3, LONG)

        def answered() -> bool:
            return client.connected and client.set("/ledger", b"again").mzxid > before

        zk.wait_until(lambda: tried(answered), "the client of before goes on, at higher zxids", LONG)
    created_once(zk, generation + 1)
    assert held <= written(zk) and not later & written(zk)
    assert all(archived(machine) for machine in zk.living)


def tried(answered: Any) -> bool:
    from kazoo.exceptions import KazooException

    try:
        return bool(answered())
    except KazooException:
        return False


@pytest.mark.long
def test_an_older_backup_is_named_by_its_time(zk: Group) -> None:
    generation = record(zk)["generation"]
    first, held = backed_up(zk)
    later = given_up(zk, held)
    second, _ = backed_up(zk)
    none = zk.living[0].zkboot("restore", "--before", "2020-01-01", *CONFIRM)
    assert none.returncode == 1 and "there is no backup under" in none.stdout
    instant_of_second = time.strptime(second, "%Y%m%dT%H%M%SZ")
    done = zk.living[0].zkboot(
        "restore", "--before", time.strftime("%Y-%m-%dT%H:%M:%SZ", instant_of_second), "--replace-live", *CONFIRM, timeout=LONG
    )
    assert done.returncode == 0 and f"from backup {first}" in done.stdout, done.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, generation + 1)
    assert held <= written(zk) and not later & written(zk)


def test_a_backup_that_is_damaged_is_refused_and_nothing_is_touched(zk: Group) -> None:
    """Also one that was verified once: the seed verifies it again before it touches its disk, and then all go on as they were."""
    generation = record(zk)["generation"]
    name, held = backed_up(zk)
    later = given_up(zk, held)
    spoil(zk, name)
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}.verified.json")
    refused = zk.living[0].zkboot("restore", name, "--replace-live", *CONFIRM)
    assert refused.returncode == 1 and "fail their SHA-256" in refused.stdout and record(zk)["intent"] is None, refused.stdout
    put(zk, f"{prefix(zk)}{name}.verified.json", b"{}")
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}.damaged.json")
    typed = zk.living[0].start_zkboot("restore", name, "--replace-live", *CONFIRM)
    hear_any = rf"given up, with nothing touched, as the backup is damaged: {name}{ARCHIVE}, offset 0"
    said = typed.communicate(timeout=LONG)[0]
    assert re.search(hear_any, said) and typed.returncode == 1, said
    assert f"not restored: backup {name}" in said and "restored at" not in said, said
    zk.wait_serving(3, LONG)
    created_once(zk, generation + 2)
    assert held | later <= written(zk), "what the members held is gone"
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}{MANIFEST}")


def test_a_restore_that_waits_for_a_silent_member_is_withdrawn_and_a_second_one_refused(zk: Group) -> None:
    generation, (silent, typing, other) = record(zk)["generation"], zk.living
    name, _ = backed_up(zk)
    with every_write_kept(zk):
        silent.power_cut()
        command = typing.start_zkboot("restore", name, "--replace-live", *CONFIRM)
        zk.wait_until(lambda: record(zk)["intent"] and nobody_serves(zk), "the intent stands, and every living member stops")
        assert record(zk)["intent"]["source"] == f"{prefix(zk)}{name}"
        second = other.zkboot("restore", name, "--replace-live", *CONFIRM)
        assert second.returncode == 1 and f"`restore` of {prefix(zk)}{name} from {typing.instance_id} stands" in second.stdout
        aborted = other.zkboot("restore", "--abort")
        assert aborted.returncode == 0 and "is withdrawn" in aborted.stdout
        assert command.wait(90) != 0
        silent.power_on()
        zk.wait_serving(3, LONG)
    created_once(zk, generation)


@pytest.mark.long
def test_of_two_restores_at_once_one_wins_and_the_other_says_so(zk: Group) -> None:
    generation = record(zk)["generation"]
    name, held = backed_up(zk)
    two = zk.living[:2]
    for machine in two:
        machine.stop_at_step("before:intend:pause")
    one, other = (machine.start_zkboot("restore", name, "--replace-live", *CONFIRM) for machine in two)
    zk.wait_until(lambda: all(machine.stopped_at_step for machine in two), "both are about to write their intent", LONG)
    for machine in two:
        machine.set_environment(ZKBOOT_LAB_STEP=None)

    def ended() -> bool:
        for machine in two:
            machine.thaw_zkboot()
        return one.poll() is not None and other.poll() is not None

    zk.wait_until(ended, "both have ended", LONG)
    said = {process.communicate(timeout=LONG)[0]: process.returncode for process in (one, other)}
    assert sorted(said.values()) == [0, 1], said
    loser = next(text for text, code in said.items() if code)
    assert "another node wrote the record" in loser, loser
    zk.wait_serving(3, LONG)
    created_once(zk, generation + 1)
    assert held <= written(zk)


def test_another_clusters_backup_is_refused_or_adopted(zk: Group) -> None:
    before = record(zk)
    name, held = backed_up(zk)
    key = f"{prefix(zk)}{name}{MANIFEST}"
    manifest = json.loads(zk.region.objects(key)[key])
    put(zk, key, json.dumps(manifest | {"cluster_id": "another", "cluster": "other", "generation": 40}).encode())
    typing = zk.followers()[0]
    refused = typing.zkboot("restore", name, "--replace-live", *CONFIRM)
    assert (
        refused.returncode == 1 and "is of cluster other (another)" in refused.stdout and "--adopt-cluster-id" in refused.stdout
    )
    assert record(zk)["generation"] == before["generation"] and record(zk)["intent"] is None
    done = typing.zkboot("restore", name, "--replace-live", "--adopt-cluster-id", *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, 41)
    assert record(zk)["cluster_id"] == before["cluster_id"] and held <= written(zk)
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=key)


# --- unasked


@pytest.mark.parametrize("loss", [pytest.param("disks", marks=pytest.mark.long), "machines"])
def test_all_is_lost_and_a_backup_is_restored_unasked(region: Region, loss: str) -> None:
    zk = ensemble_of(region, 3, settings=UNASKED)
    _, held = backed_up(zk)
    if loss == "disks":
        lose_all_disks(zk)
    else:
        for machine in zk.living:
            region.lose(machine)
    with every_write_kept(zk):
        zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert held <= written(zk)
    assert region.gateway.refused == []


@pytest.mark.long
def test_a_group_that_goes_to_zero_is_backed_up_and_comes_back(region: Region) -> None:
    """The last member stops its server first: what is acknowledged until then is in the backup."""
    zk = ensemble_of(region, 3, settings=UNASKED)
    with every_write_kept(zk):
        pass
    held = written(zk)
    zk.scale(0)
    zk.wait_until(lambda: not zk.living, "all have gone", LONG)
    assert names(zk)
    zk.scale(3)
    zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert held <= written(zk)
    assert region.gateway.refused == []


@pytest.mark.long
@pytest.mark.parametrize(
    "when", ["before unpack", "after unpack", "after bring back", "after build", "after fence", "after start"]
)
def test_the_seed_of_a_restore_is_terminated(region: Region, when: str) -> None:
    """Another one restores again, in a generation of its own."""
    zk = ensemble_of(region, 3, settings=UNASKED)
    _, held = backed_up(zk)
    machines = zk.living
    for machine in machines:
        machine.stop_at_step(f"{when.replace(' ', ':', 1)}:pause")
    lose_all_disks(zk)
    zk.wait_until(lambda: any(machine.stopped_at_step for machine in machines), f"a zkboot stands still {when}", LONG)
    (seed,) = [machine for machine in machines if machine.instance_id == record(zk)["seed"]]
    for machine in machines:
        machine.set_environment(ZKBOOT_LAB_STEP=None)
    region.lose(seed)
    zk.wait_serving(3, LONG)
    created_once(zk, record(zk)["generation"])
    assert record(zk)["seed"] != seed.instance_id and held <= written(zk)


@pytest.mark.long
def test_a_survivor_older_than_the_backup_asks_a_person_and_says_which_is_newer(region: Region) -> None:
    zk = ensemble_of(region, 3)
    behind, *others = zk.living
    behind.power_cut()
    with every_write_kept(zk):
        pass
    there = written(zk)
    back_up(zk, others[0])
    name = max(names(zk))
    region.no_capacity("a", "b", "c")
    for machine in others:
        region.lose(machine)
    behind.power_on()
    line = hear(behind, r"halted: too few voters", region, LONG)
    assert re.search(rf"`zkboot reseed` on {behind.instance_id} keeps what it holds", line), line
    assert re.search(rf"`zkboot restore {name}` goes back to 0x\w+, \d+ s old, newer than any of that", line), line
    region.no_capacity()
    done = behind.zkboot("restore", name, *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert there <= written(zk)


# --- killed, and full

STEPS = ("restore", "unpack", "bring back", "build", "fence", "fence on disk", "release", "configure", "start")
CASES = [
    pytest.param(when, step, id=f"{when}-{step}", marks=() if (when, step) == ("after", "unpack") else pytest.mark.long)
    for step in STEPS
    for when in ("before", "after")
]


@pytest.mark.parametrize(("when", "step"), CASES)
def test_zkboot_is_killed_at_a_step_of_a_restore(region: Region, when: str, step: str) -> None:
    zk = ensemble_of(region, 3, settings=UNASKED)
    _, held = backed_up(zk)
    machines = zk.living
    for machine in machines:
        machine.stop_at_step(f"{when}:{step}:kill")
    lose_all_disks(zk)
    zk.wait_until(lambda: any(machine.stopped_at_step for machine in machines), f"a zkboot is killed {when} {step}", LONG)
    zk.wait_serving(3, LONG)
    created_once(zk, record(zk)["generation"])
    assert held <= written(zk)


TYPED = ("intend", "wake", "name seed", "archive", "give up")


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", TYPED)
def test_a_typed_restore_is_killed_at_a_step(zk: Group, step: str, when: str) -> None:
    """Typed again where nothing is named yet, or finished by the timer; `give up` is of a backup that is damaged since."""
    name, held = backed_up(zk)
    later, typing, generation = given_up(zk, held), zk.living[0], record(zk)["generation"]
    if step == "give up":
        spoil(zk, name)
    for machine in zk.living:
        machine.set_environment(ZKBOOT_LAB_STEP=None)
    typing.stop_at_step(f"{when}:{step}:kill")
    killed = typing.zkboot("restore", name, "--replace-live", *CONFIRM, timeout=LONG)
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    typing.set_environment(ZKBOOT_LAB_STEP=None)
    if record(zk)["generation"] == generation:
        again = typing.zkboot("restore", name, "--replace-live", *CONFIRM, timeout=LONG)
        assert again.returncode == 0, again.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, record(zk)["generation"])
    there = written(zk)
    assert held <= there and (later <= there if step == "give up" else not later & there)
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}{MANIFEST}")


def test_no_step_of_a_restore_is_left_out() -> None:
    """As they stand in the code: of the action, of the seed, and of the typed command."""
    functions = (actions.restore, actions.seed, actions.unpack, actions.fence_on_disk, actions.release, actions.start)
    functions += (actions.archive, commands.intend, commands.wake, commands.name_seed)
    named = {name for f in functions for name in re.findall(r'(?:step\(|, )"([a-z ]+)"\)', inspect.getsource(f))}
    elsewhere = {"report joining"}  # killed in every joining (test_seed)
    assert named == {*STEPS, *TYPED} | elsewhere, named ^ ({*STEPS, *TYPED} | elsewhere)
