"""The seed is frozen or lost at each step of its creation while the others wait; then they are an ensemble all the same.

Also a joiner, lost at each step of its joining. Kills and power cuts are in tests/crash.
"""

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import pytest

from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import (
    LONG,
    Orders,
    calls,
    created_once,
    every_write_kept,
    launched,
    record,
    whole_turns_since,
)

# What a seed goes through, from nothing to the end of its launch hook.
CREATION = (
    "register", "report joining", "create", "witness", "secret", "build", "fence", "fence on disk", "release", "configure",
    "start", "prove", "let in",
)  # fmt: skip
COUNTING = "set created"  # by whoever first sees the voters reach a majority of the target
JOINING = ("report joining", "claim", "release", "set up", "configure", "start", "reconfigure", "report membership", "let in")
BY_DEFAULT = {("after", "create", "lost"), ("after", "start", "frozen")}


# The other machines come to their own creation later: where they are held until then.
LATER = "before:create:pause"


def each(steps: Iterable[str], by_default: set[tuple[str, ...]], *more: tuple[str, ...]) -> list[Any]:
    """Before and after each step, with each of `more` behind; what is not told by default is long."""
    cases = list(product(steps, ("before", "after"), *more))
    ordered = [(when, step, *rest) for step, when, *rest in cases]
    return [pytest.param(*c, id="-".join(c), marks=() if c in by_default else pytest.mark.long) for c in ordered]


@pytest.mark.parametrize(("when", "step", "what"), each(CREATION, BY_DEFAULT, ("frozen", "lost")))
def test_the_seed_at_each_step_of_its_creation(region: Region, when: str, step: str, what: str) -> None:
    zk = region.group(3, environment=Orders({0: f"{when}:{step}:pause", 1: LATER, 2: LATER}))
    region.wait_until(lambda: len(zk.machines) == 3, "three machines")
    seed, *others = zk.living

    def let_go_on() -> None:
        """The others come to their own creation once the first has created, or is stopped."""
        if record(zk) or seed.stopped_at_step:
            for other in others:
                other.thaw_zkboot()

    region.wait_until(lambda: let_go_on() or seed.stopped_at_step, f"the seed is stopped {when} {step}")
    others_wait(region, zk, seed, let_go_on)
    if what == "frozen":
        seed.thaw_zkboot()
    elif what == "lost":
        region.lose(seed)
    with Ledger(zk) as ledger:
        zk.wait_until(lambda: let_go_on() or (zk.in_service(3) and zk.serving(3)), "three serve", LONG)
        ledger.wait_writing()
    assert ledger.report is not None and ledger.report.lost == ()
    created_once(zk, record(zk)["generation"])
    assert record(zk)["generation"] == 1 or what == "lost", "only a seed that is gone is replaced"


def others_wait(region: Region, zk: Group, seed: Machine, let_go_on: Callable[[], None]) -> None:
    """The others take whole turns, and none takes the seed's place; or they already serve with it."""
    others = [machine for machine in zk.living if machine is not seed]
    before, counts = record(zk), calls(region, *others)

    def have_waited_or_serve() -> bool:
        let_go_on()
        return whole_turns_since(region, counts) or all(region.lifecycle(other) == "InService" for other in others)

    region.wait_until(have_waited_or_serve, "the others wait, or serve already")
    if before:
        now = record(zk)
        assert (now["seed"], now["generation"]) == (before["seed"], before["generation"]), "nobody takes the seed's place"


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_counts_the_voters_is_lost(region: Region, when: str) -> None:
    zk = region.group(3, environment=Orders(dict.fromkeys(range(3), f"{when}:{COUNTING}:pause")))
    stopped = region.wait_until(lambda: [m for m in zk.living if m.stopped_at_step], "one sees a majority of the target")
    region.lose(stopped[0])
    for machine in zk.living:  # they may be at the same step
        machine.stop_at_step()
        machine.kill_zkboot()
    with every_write_kept(zk):
        zk.wait_serving(3, LONG)
    created_once(zk)


@pytest.mark.parametrize(("when", "step"), each(JOINING, {("before", "reconfigure")}))
def test_a_joiner_is_lost_at_each_step_of_its_joining(zk: Group, when: str, step: str) -> None:
    generation = record(zk)["generation"]
    zk.plan.environment[len(zk.machines)] = f"{when}:{step}:pause"
    with every_write_kept(zk):
        new = launched(zk)
        zk.region.lose(zk.followers()[0])
        joiner = zk.wait_until(new, "a replacement is launched")[0]
        zk.wait_until(lambda: joiner.stopped_at_step, f"it is stopped {when} {step}")
        zk.region.lose(joiner)
        zk.wait_serving(3, LONG)
    created_once(zk, generation)
