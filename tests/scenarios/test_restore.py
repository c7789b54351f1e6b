"""A person goes back to a backup: in place of what serves, to an older one, and not where that must not be."""

import json
import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kazoo.client import KazooClient

from tests.backup.bucket import ARCHIVE, MANIFEST, VERIFIED, prefix, remove, spoil
from tests.lab.errors import NotPossibleHere
from tests.lab.group import Group
from tests.lab.region import Region
from tests.scenarios.restores import CONFIRM, backed_up, given_up, put
from tests.scenarios.story import LONG, created_once, every_write_kept, nobody_serves, record
from tests.scenarios.survivors import archived, ensemble_of, written


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
    remove(zk, name + VERIFIED)
    refused = zk.living[0].zkboot("restore", name, "--replace-live", *CONFIRM)
    assert refused.returncode == 1 and record(zk)["intent"] is None, refused.stdout
    assert "fail their SHA-256; nothing was done; zkboot backups lists what else there is" in refused.stdout, refused.stdout
    put(zk, f"{prefix(zk)}{name}{VERIFIED}", b"{}")
    remove(zk, f"{name}.damaged.json")
    typed = zk.living[0].start_zkboot("restore", name, "--replace-live", *CONFIRM)
    hear_any = rf"given up, with nothing touched, as the backup is damaged: {name}{ARCHIVE}, offset 0"
    said = typed.communicate(timeout=LONG)[0]
    assert re.search(hear_any, said) and typed.returncode == 1, said
    assert f"not restored: backup {name}" in said and "restored at" not in said, said
    zk.wait_serving(3, LONG)
    created_once(zk, generation + 2)
    assert held | later <= written(zk), "what the members held is gone"
    remove(zk, name)


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
    remove(zk, name)


@pytest.mark.long
def test_a_disk_that_fills_up_in_the_middle_keeps_what_it_holds_until_there_is_room(region: Region) -> None:
    zk = ensemble_of(region, 3)
    typing = zk.followers()[0]
    typing.power_cut()
    try:
        typing.limit_volume("256m")
    except NotPossibleHere as error:
        pytest.skip(f"SKIPPED, NOT PROVED: {error}")
    typing.power_on()
    zk.wait_serving(3, LONG)
    name, held = backed_up(zk, more=12)
    later = given_up(zk, held)
    with region.slow(ARCHIVE) as slow:
        command = typing.start_zkboot("restore", name, "--replace-live", *CONFIRM)
        zk.wait_until(lambda: slow.met, "the backup is being downloaded", LONG)
        typing.fill_disk()
    said = heard(zk, command, r"the backup \w+ cannot be restored here: it needs .* What the disk holds is not touched")
    generation = json.loads((typing.root / "vol/data/zkboot.json").read_text())["generation"]
    assert generation == 1 and list((typing.root / "vol/data/version-2").glob("snapshot.*")) and not archived(typing), said
    typing.free_disk()
    assert f"from backup {name}" in command.communicate(timeout=LONG)[0] and command.returncode == 0
    zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert held <= written(zk) and not later & written(zk)


def heard(zk: Group, command: "subprocess.Popen[str]", pattern: str) -> str:
    """Wait until a command that goes on has said it; all that it has said by then."""
    said = ""
    assert command.stdout is not None
    stream = command.stdout.fileno()

    def more() -> bool:
        nonlocal said
        if select.select([stream], [], [], 0)[0]:
            said += os.read(stream, 1 << 16).decode()
        return re.search(pattern, said) is not None

    zk.wait_until(more, f"it says /{pattern}/", LONG)
    return said
