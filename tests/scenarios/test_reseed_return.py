"""Who was away while the others were reseeded comes back: it follows them, and its data of before is kept aside."""

from contextlib import ExitStack

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.network import Namespaces
from tests.lab.region import Region
from tests.scenarios.stage import Stage
from tests.scenarios.story import LONG, created_once, every_write_kept, hear, launched, looked_again, record
from tests.scenarios.survivors import archived, awaits, end, ensemble_of, first_stopped, only_on, replaced, reseed_told, reseeded


def test_a_partitioned_minority_returns_after_the_reseed(stage: Stage) -> None:
    """No packet passes between it and any other member, old or new, while AWS reaches all."""
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
        partitions.close()
        replaced(zk, 5, 2)
    # Where it could not read the record for a turn, it has started its server as any member does whose AWS is away, and ZooKeeper
    # may have brought its data up to date before they were archived.
    started = old.said(r"no quorum seen: server \d started with its data")
    assert told.reported(old) in archived(old).values() or (started and told.reported(old) < max(archived(old).values()))


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
