"""zkboot is killed at each step of a restore, one after the other. `make crash` has each by itself, and power cuts."""

import inspect
import re
import signal

import pytest

from tests.lab.group import Group
from tests.lab.region import Region
from tests.scenarios.restores import CONFIRM, UNASKED, backed_up, given_up, lose_all_disks
from tests.scenarios.story import LONG, created_once, record
from tests.scenarios.survivors import ensemble_of, written
from zkboot import commands
from zkboot.actions import seeding, server

STEPS = ("restore", "unpack", "bring back", "build", "fence", "fence on disk", "release", "configure", "start")
TYPED = ("intend", "name seed", "archive")


@pytest.mark.long  # `make crash` meets these steps as well, in other chains
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_seed_of_a_restore_is_killed_at_one_step_after_the_other(region: Region, when: str) -> None:
    """All disks are lost; whatever is killed, the next turn goes on."""
    zk = ensemble_of(region, 3, settings=UNASKED)
    _, held = backed_up(zk)
    orders = tuple(f"{when}:{step}:kill" for step in STEPS)
    for machine in zk.living:
        machine.stop_at_step(*orders)
    lose_all_disks(zk)
    met = lambda: set(orders) == set(region.machine(record(zk)["seed"]).steps_met)  # noqa: E731
    zk.wait_until(met, f"the seed's zkboot is killed {when} each step", LONG)
    zk.wait_serving(3, LONG)
    created_once(zk, record(zk)["generation"])
    assert held <= written(zk)


@pytest.mark.long  # `make crash` meets these steps as well, in other chains
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_typed_restore_is_killed_at_one_step_after_the_other(zk: Group, when: str) -> None:
    """Typed again and again, until this node is named the seed; then it or the timer goes on."""
    name, held = backed_up(zk)
    later, typing, generation = given_up(zk, held), zk.living[0], record(zk)["generation"]
    orders = tuple(f"{when}:{step}:kill" for step in TYPED)
    typing.stop_at_step(*orders)
    while record(zk)["generation"] == generation:
        typed = typing.zkboot("restore", name, "--replace-live", *CONFIRM, timeout=LONG)
        assert typed.returncode in (0, -signal.SIGKILL), typed.stdout
    zk.wait_until(lambda: set(orders) == set(typing.steps_met), f"zkboot is killed {when} each step", LONG)
    typing.set_environment(ZKBOOT_LAB_STEP=None)
    zk.wait_serving(3, LONG)
    created_once(zk, generation + 1)
    assert held <= written(zk) and not later & written(zk)


def test_no_step_of_a_restore_is_left_out() -> None:
    """As they stand in the code: of the action, of the seed, and of the typed command."""
    functions = (seeding.restore, seeding.seed, seeding.unpack, server.fence_on_disk, server.release, server.start)
    functions += (server.archive, commands.intend, commands.woken, commands.name_seed)
    named = {name for f in functions for name in re.findall(r'(?:step\(|, )"([a-z ]+)"\)', inspect.getsource(f))}
    # The first is killed in every joining (test_seed); none needs to be woken once a kill has given the members time to look.
    elsewhere = {"report joining", "wake", "give up"}
    assert named == {*STEPS, *TYPED} | elsewhere, named ^ ({*STEPS, *TYPED} | elsewhere)
