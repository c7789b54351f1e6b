"""What reports are worth after a lost majority: who is silent or says what is no longer true is waited for, and what is of an
older generation counts for nothing."""

import re
from typing import Any

import pytest

from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import BUCKET, Region
from tests.scenarios.story import LONG, every_write_kept, hear, looked_again, nobody_serves, record, reports
from tests.scenarios.survivors import (
    all_reported,
    archived,
    awaits,
    end,
    ensemble_of,
    first_stopped,
    only_on,
    replaced,
    reseed_told,
    reseeded,
    written,
)


@pytest.mark.long
def test_a_living_members_stale_report_is_awaited(region: Region) -> None:
    """It says less than the machine holds, which is off: whoever judged by it would lose acknowledged writes."""
    zk = ensemble_of(region, 5)
    *gone, lagging, best = zk.living
    with every_write_kept(zk) as ledger:
        lagging.power_cut()
        only_on(ledger, region, gone[:2])
        for machine in (gone[2], best):
            machine.power_cut()
        end(region, gone)
        stale, before = reports(zk)[best.instance_id], record(zk)
        assert stale["holds"] == "data"
        lagging.power_on()
        awaits(lagging, best, "2 of 5", region)
        looked_again(region, lagging)
        assert record(zk) == before and not reseeded(lagging)
        best.power_on()
        told = reseed_told(best, region)
        assert told.zxid > told.reported(lagging) and told.zxid > int(stale["data"]["zxid"], 16)
        ledger.wait_writing(LONG)
        replaced(zk, 5, 2)
    assert not reseeded(lagging)


@pytest.mark.long
def test_turns_that_take_longer_than_a_report_stands_hold_nobody_up(region: Region) -> None:
    """Each of them writes the report anew, and goes by what it wrote."""
    zk = ensemble_of(region, 3, settings={"timing": {"report_interval": 0.1}})
    survivor, *gone = zk.living
    with every_write_kept(zk) as ledger:
        only_on(ledger, region, gone)
        end(region, gone)
        assert reseed_told(survivor, region).others.keys() == {machine.instance_id for machine in gone}
        ledger.wait_writing(LONG)
        replaced(zk, 3, 2)


@pytest.mark.long
def test_a_report_of_an_older_generation_counts_for_nothing(region: Region) -> None:
    zk = ensemble_of(region, 4)
    with every_write_kept(zk) as ledger:
        old = left_in_the_first_generation(zk, ledger)
        *gone, survivor = [machine for machine in zk.living if machine is not old]
        only_on(ledger, region, gone)
        end(region, gone)
        awaits(survivor, old, "1 of 3", region)
        old.power_on()
        told = reseed_told(survivor, region)
        assert told.others.keys() == {machine.instance_id for machine in gone}, "the voters are those of the second generation"
        ledger.wait_writing(LONG)
        replaced(zk, 4, 3)
    assert not reseeded(old) and record(zk)["seed"] == survivor.instance_id
    assert any(name.startswith("1-") for name in archived(old))


@pytest.mark.long
def test_only_data_of_an_older_generation_is_left(region: Region) -> None:
    """The loss of the first generation's data was decided when the second was created: nobody goes back to it unasked. A person
    may, by a backup of it."""
    zk = ensemble_of(region, 4)
    with Ledger(zk) as ledger:
        ledger.wait_writing()
        kept = written(zk)
        old = left_in_the_first_generation(zk, ledger)
    gone = [machine for machine in zk.living if machine is not old]
    end(region, gone)
    before = record(zk)
    old.power_on()
    said = hear(old, r"halted: too few voters of cluster zk remain .*`zkboot create --accept-data-loss`", region, LONG)
    for machine in gone:
        assert f"{machine.instance_id}, {machine.address}) is terminated, had last reported 0x" in said
    assert re.search(rf"{old.instance_id} reports 0x\w+ of generation 1, older than the last one created", said)
    refused = old.zkboot("reseed", "--confirm", "zk")
    assert refused.returncode == 1 and "generation 2 was created since" in refused.stdout
    assert old.zkboot("plan").returncode == 4
    assert nobody_serves(zk) and record(zk) == before and told_data(zk, old)["identity"]["generation"] == 1
    held = told_data(zk, old)["data"]["zxid"]
    assert f"`zkboot backup` on {old.instance_id}, then `zkboot restore`, goes back to its {held} of generation 1" in said
    made = old.zkboot("backup", timeout=LONG)
    assert made.returncode == 0 and f"up to {held}" in made.stdout
    hear(old, r"halted: .*`zkboot restore \S+` goes back to 0x\w+, \d+ s old, of a generation that was given up; ", region)
    region.no_capacity()
    restored = old.zkboot("restore", "--confirm", "zk", timeout=LONG)
    assert restored.returncode == 0 and f"restored at {held} from backup" in restored.stdout
    replaced(zk, 4, 3)
    assert kept and kept <= written(zk)


def left_in_the_first_generation(zk: Group, ledger: Ledger) -> Machine:
    """One machine that is off, with data of the first generation, while all others of a group of four are the second, created."""
    region = zk.region
    observer = zk.observers()[0]
    survivor, *gone = [machine for machine in zk.living if machine is not observer]
    ledger.wait_writing()
    only_on(ledger, region, gone)
    for machine in (survivor, observer):
        machine.stop_at_step("after:reseed:pause")
    end(region, gone)
    seed, old = first_stopped(zk, survivor, observer, "one has decided to reseed")
    old.power_cut()
    seed.thaw_zkboot()
    region.no_capacity()
    zk.wait_until(lambda: record(zk)["state"] == "created" and len(zk.voters()) == 3, "the second generation is created", LONG)
    others = [machine for machine in zk.living if machine is not old]
    zk.wait_until(lambda: all_reported(zk, others) and all(m.answer() for m in others), "its voters serve, and have reported")
    ledger.wait_writing()
    assert told_data(zk, old)["identity"]["generation"] == 1
    return old


def told_data(zk: Group, machine: Machine) -> dict[str, Any]:
    report = reports(zk)[machine.instance_id]
    assert report["holds"] == "data"
    return report


@pytest.mark.long
@pytest.mark.parametrize("what", ["deleted", "half written"])
def test_the_reports_are_lost_too(zk: Group, what: str) -> None:
    survivor, *gone = zk.living
    generation, s3 = record(zk)["generation"], zk.region.client("s3")
    with every_write_kept(zk) as ledger:
        only_on(ledger, zk.region, gone)
        survivor.power_cut()
        keys = [f"control/zk/reports/{instance_id}.json" for instance_id in reports(zk)]
        for key in keys:
            if what == "deleted":
                s3.delete_object(Bucket=BUCKET, Key=key)
            else:
                s3.put_object(Bucket=BUCKET, Key=key, Body=zk.region.objects(key)[key][:40])
        end(zk.region, gone)
        survivor.power_on()
        if what == "half written":
            hear(survivor, r"waiting: .*unknown what the members report \(control/zk/reports/\S+ is damaged", zk.region)
            for key in keys:
                s3.delete_object(Bucket=BUCKET, Key=key)
        ledger.wait_writing(LONG)
        replaced(zk, 3, generation + 1)
