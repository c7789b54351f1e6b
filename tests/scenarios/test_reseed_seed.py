"""The seed of a reseed is lost in its turn: whoever is left goes on from what it holds, in one more generation.

Before the seed has a second voter, what it acknowledged alone goes with it: its generation was never created. After that nothing
is lost, for both had to acknowledge.
"""

from pathlib import Path

import pytest

from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, every_write_kept, hear, record
from tests.scenarios.survivors import (
    RESEEDS,
    acknowledged_by,
    end,
    ensemble_of,
    first_stopped,
    only_on,
    replaced,
    reseed_told,
    reseeded,
)

BEFORE_THE_SECOND = {
    "its disk is built": "before:build:pause",
    "it serves": "after:fence:pause",
    "anybody has joined": "after:prove:pause",
}
LOSSES = ("terminated", "wiped")


def lose(region: Region, seed: Machine, loss: str) -> None:
    """Terminated; or off, with an empty disk: it comes back with nothing, and says so."""
    if loss == "terminated":
        region.lose(seed)
    else:
        seed.power_cut()
        seed.wipe_disk()
        seed.power_on()


@pytest.mark.long
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("moment", BEFORE_THE_SECOND)
def test_the_seed_is_lost_before(region: Region, tmp_path: Path, moment: str, loss: str) -> None:
    """The other survivor takes over with what it holds."""
    zk = ensemble_of(region, 5)
    *gone, one, other = zk.living
    with Ledger(zk, tmp_path / "acknowledged") as ledger:
        ledger.wait_writing()
        only_on(ledger, region, gone)
        acknowledged = acknowledged_by(tmp_path / "acknowledged")
        for machine in (one, other):
            machine.stop_at_step(BEFORE_THE_SECOND[moment])
        end(region, gone)
        seed, left = first_stopped(zk, one, other, f"the seed is stopped before {moment}")
        first = record(zk)
        assert (first["generation"], first["seed"]) == (2, seed.instance_id)
        lose(region, seed, loss)
        hear(left, RESEEDS, region, LONG)
        ledger.wait_writing(LONG)
        replaced(zk, 5, 3)
    assert ledger.report is not None and not acknowledged & set(ledger.report.lost)
    assert left.instance_id == record(zk)["seed"]


@pytest.mark.parametrize("loss", ["terminated", pytest.param("wiped", marks=pytest.mark.long)])
def test_the_seed_is_lost_after_one_has_joined(region: Region, loss: str) -> None:
    zk = ensemble_of(region, 5)
    *gone, one, other = zk.living
    with every_write_kept(zk) as ledger:
        only_on(ledger, region, gone)
        for machine in (one, other):
            machine.stop_at_step("after:reconfigure:pause")
        end(region, gone)
        joined, seed = first_stopped(zk, one, other, "the other survivor has joined the seed")
        ledger.wait_writing(LONG)
        assert record(zk)["seed"] == seed.instance_id and record(zk)["state"] == "reseeding"
        assert {member.address for member in zk.voters()} == {one.address, other.address}
        lose(region, seed, loss)
        joined.set_environment(ZKBOOT_LAB_STEP=None)
        joined.thaw_zkboot()
        told = reseed_told(joined, region)
        gone_how = "is terminated, had last reported" if loss == "terminated" else "reports an empty disk"
        assert gone_how in told.others[seed.instance_id] and told.others.keys() == {seed.instance_id}
        ledger.wait_writing(LONG)
        replaced(zk, 5, 3)
    assert record(zk)["seed"] == joined.instance_id and reseeded(joined) == 1


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_seed_is_lost_once_the_other_has_archived(region: Region, tmp_path: Path, when: str) -> None:
    """The archive counts as the disk that it was: it is brought back, also when zkboot is killed over that."""
    zk = ensemble_of(region, 5)
    *gone, one, other = zk.living
    with Ledger(zk, tmp_path / "acknowledged") as ledger:
        ledger.wait_writing()
        only_on(ledger, region, gone)
        acknowledged = acknowledged_by(tmp_path / "acknowledged")
        for machine in (one, other):
            machine.stop_at_step("after:archive:pause")
        end(region, gone)
        left, seed = first_stopped(zk, one, other, "the other has archived its data")
        region.lose(seed)
        left.stop_at_step(f"{when}:bring back:kill")
        left.kill_zkboot()
        hear(left, rf"{left.instance_id} holds the most, .* in its archive .*: it reseeds", region, LONG)
        ledger.wait_writing(LONG)
        replaced(zk, 5, 3)
    assert left.stopped_at_step
    assert ledger.report is not None and not acknowledged & set(ledger.report.lost)
