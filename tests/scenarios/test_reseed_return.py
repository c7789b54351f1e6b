"""Who was away while the others were reseeded comes back: it follows them, and its data of before is kept aside."""

import re
from contextlib import ExitStack
from itertools import dropwhile

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.machines import Machine
from tests.lab.network import Namespaces
from tests.lab.region import Region
from tests.scenarios.stage import Stage
from tests.scenarios.story import LONG, created_once, every_write_kept, hear, launched, looked_again, record, says
from tests.scenarios.survivors import archived, awaits, end, ensemble_of, first_stopped, only_on, replaced, reseed_told, reseeded

NOT_STARTED = r"data of generation 1, which the record was seen to have given up, is not started before that can be read"

STARTED = r"no quorum seen[^:]*: server \d started|: restarted"


def test_a_partitioned_minority_returns_after_the_reseed(stage: Stage) -> None:
    """No packet passes between it and any other member, old or new, while AWS reaches all. Then AWS is away, for it alone, as it
    can reach the new ensemble: it has read that its generation is over, and does not start what it holds."""
    try:
        region = stage.region(Namespaces())
    except NotPossibleHere as reason:
        pytest.skip(f"SKIPPED, NOT PROVED: {reason}")
    zk = ensemble_of(region, 5)
    old = zk.followers()[0]
    *gone, seed = [machine for machine in zk.living if machine is not old]
    with every_write_kept(zk) as ledger, ExitStack() as partitions:
        partitions.enter_context(region.partition([old], [seed, *gone]))
        zk.wait_until(lambda: old.answer() is None, "cut off, it no longer serves")
        ledger.wait_writing()
        with zk.region.aws_outage(old):
            only_on(ledger, region, gone[:2])
            gone[2].power_cut()
            end(region, gone)
            awaits(seed, old, "2 of 5", region)
        told = reseed_told(seed, region)
        assert told.reported(old) < told.zxid
        hear(
            old,
            rf"waiting: {seed.instance_id}, the seed of generation 2, does not lead yet; this node keeps its data",
            region,
            LONG,
        )
        ledger.wait_writing(LONG)
        region.autoscaling.reuse_addresses = False  # those of the lost are cut off already
        three = launched(zk, 3)
        region.no_capacity()
        new = zk.wait_until(three, "three are launched in place of the lost")
        for machine in new:
            hear(machine, "power on", region)  # its cable is plugged
        partitions.enter_context(region.partition([old], new))
        created_once(zk, 2)
        looked_again(region, old)
        assert old.answer() is None and not reseeded(old)
        assert record(zk)["generation"] == 2
        with region.aws_outage(old):
            hear(old, NOT_STARTED, region)
            partitions.close()
            for _ in range(2):
                with says(region, NOT_STARTED, old):
                    ledger.wait_writing()
        replaced(zk, 5, 2)
    known = said_since(old, r"generation 2")
    assert known and not any(re.search(STARTED, line) for line in known), "\n".join(known)
    assert told.reported(old) in archived(old).values()


def said_since(machine: Machine, pattern: str) -> list[str]:
    """What it said from the first line on that matches."""
    lines = machine.log().splitlines()
    return list(dropwhile(lambda line: not re.search(pattern, line), lines))


@pytest.mark.long
@pytest.mark.parametrize("aws", [True, False], ids=["with-aws", "without-aws"])
def test_an_old_minority_returns_after_the_reseed(region: Region, aws: bool) -> None:
    zk = ensemble_of(region, 5)
    *gone, one, other = zk.living
    with every_write_kept(zk) as ledger:
        only_on(ledger, region, gone)
        for machine in (one, other):
            machine.stop_at_step("after:reseed:pause")
        end(region, gone)
        seed, old = first_stopped(zk, one, other, "one has decided to reseed")
        old.power_cut()
        seed.thaw_zkboot()
        ledger.wait_writing(LONG)
        if aws:
            old.power_on()
        else:
            with region.aws_outage(old):
                old.power_on()
                zk.wait_until(lambda: old.server_pid, "it starts what it has, without AWS")
                ledger.wait_writing()
                assert old.answer() is None
        replaced(zk, 5, 2)
    assert archived(old), "its old data is kept"
