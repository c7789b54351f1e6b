"""The fixed choice: each step once, before or after it; a chain in each story."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.crash.play import Case
from tests.crash.scene import Order
from tests.crash.stories import STORIES

# Where a power cut is chosen, which takes longer than a kill: what counts by then is on this machine's own disk, or its server.
POWER = ("fence on disk", "archive", "raise", "take in", "name seed", "complete upload", "start server", "bring back")


def each_step_once() -> Iterable[Case]:
    """A step that several stories go through is met in the first of them."""
    seen: set[str] = set()
    for name, story in STORIES.items():
        steps = [step for step in dict.fromkeys(story.steps) if step not in seen]
        orders = [
            Order(("before", "after")[(len(seen) + index) % 2], step, "power" if step in POWER else "kill")
            for index, step in enumerate(steps)
        ]
        if orders:
            yield Case(name, tuple(orders))
        seen.update(steps)


ONCE = list(each_step_once())


# `make test` leaves it to `make test-long`: it needs root and a journald of its own. tests/integration kills at its step as well.
LONG = ("ship",)


def once(stories: Iterable[str]) -> list[Any]:
    """Of these, for pytest."""
    chosen = [case for case in ONCE if case.story in stories]
    return [pytest.param(case, id=case.story, marks=pytest.mark.long if case.story in LONG else ()) for case in chosen]
