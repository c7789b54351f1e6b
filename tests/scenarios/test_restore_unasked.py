"""All is lost, and a backup comes back by itself; a person is asked where one must choose."""

import re
from typing import Any

import pytest

from tests.backup.bucket import ARCHIVE, names, newest
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.restores import CONFIRM, UNASKED, back_up, backed_up, lose_all_disks
from tests.scenarios.story import LONG, created_once, every_write_kept, hear, record
from tests.scenarios.survivors import archived, ensemble_of, written

SLOW_MIB = 12  # of which a slow bucket gives an eighth a second


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


def test_a_restore_that_takes_longer_than_the_group_waits_keeps_it_waiting(region: Region) -> None:
    """The seed, in the middle of its download, and those that wait for it, ask for more time again and again."""
    zk = ensemble_of(region, 3, settings=UNASKED)
    _, held = backed_up(zk, more=SLOW_MIB)
    with region.slow(ARCHIVE) as slow:
        for machine in zk.living:
            region.lose(machine)
        zk.wait_until(lambda: slow.met and record(zk)["state"] == "restoring", "the backup is being downloaded", LONG)
        launched = zk.living
        before = {machine: kept(region, machine) for machine in launched}
        zk.wait_until(
            lambda: all(kept(region, machine) > before[machine] + 1 for machine in launched), "all keep the group waiting", LONG
        )
        assert not record(zk)["started"] and slow.met == 1, "the download was over before it was waited for"
    zk.wait_serving(3, LONG)
    assert zk.living == launched
    created_once(zk, 2)
    assert held <= written(zk)


def kept(region: Region, machine: Machine) -> int:
    return region.calls(machine).get("autoscaling:RecordLifecycleActionHeartbeat", 0)


@pytest.mark.long
def test_the_bucket_denies_in_the_middle_of_a_restore(region: Region) -> None:
    """Unknown is not damaged: the seed waits, naming what it may not, and goes on by itself."""
    zk = ensemble_of(region, 3, settings=UNASKED)
    _, held = backed_up(zk, more=SLOW_MIB)
    with region.slow(ARCHIVE) as slow:
        lose_all_disks(zk)
        zk.wait_until(lambda: slow.met, "the backup is being downloaded", LONG)
        seed = region.machine(record(zk)["seed"])
        seed.kill_zkboot()
        with region.deny("s3:GetObject", seed):
            hear(seed, r"waiting: .*s3:GetObject.*AccessDenied|AccessDenied.*s3:GetObject", region, LONG)
            assert record(zk)["source"] and not record(zk)["started"]
    zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert held <= written(zk)


def behind_the_backup(region: Region, **options: Any) -> tuple[Group, Machine, str, set[str]]:
    """One that was off while the others went on and were backed up is all that is left; the backup's name, and what it holds."""
    zk = ensemble_of(region, 3, **options)
    behind, *others = zk.living
    behind.power_cut()
    with every_write_kept(zk):
        pass
    there = written(zk)
    back_up(zk, others[0])
    region.no_capacity("a", "b", "c")
    for machine in others:
        region.lose(machine)
    behind.power_on()
    return zk, behind, newest(zk), there


@pytest.mark.long
def test_a_survivor_older_than_the_backup_asks_a_person_and_says_which_is_newer(region: Region) -> None:
    zk, behind, name, there = behind_the_backup(region)
    line = hear(behind, r"halted: too few voters", region, LONG)
    assert re.search(rf"`zkboot reseed` on {behind.instance_id} keeps what it holds", line), line
    assert re.search(rf"`zkboot restore {name}` goes back to 0x\w+, \d+ s old, newer than any of that", line), line
    region.no_capacity()
    done = behind.zkboot("restore", name, *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert there <= written(zk)


@pytest.mark.long
def test_a_survivor_older_than_the_backup_restores_it_where_that_is_allowed(region: Region) -> None:
    """What it held itself is archived."""
    zk, behind, name, there = behind_the_backup(region, settings=UNASKED)
    hear(behind, rf"the backup {name} \(0x\w+, \d+ s old\) is ahead of every survivor: restoring it", region, LONG)
    region.no_capacity()
    zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert behind in zk.living and archived(behind) and there <= written(zk)
