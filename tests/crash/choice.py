"""The fixed choice of `make test`: each step once, before or after it, by a kill or a power cut; a chain in each story."""

from collections.abc import Iterable

from tests.crash.play import Case
from tests.crash.scene import Order
from tests.crash.stories import STORIES

KINDS = [(when, how) for how in ("kill", "power") for when in ("before", "after")]


def each_step_once() -> Iterable[Case]:
    """A step that several stories go through is met in the first of them."""
    seen: set[str] = set()
    for name, story in STORIES.items():
        steps = [step for step in dict.fromkeys(story.steps) if step not in seen]
        if steps:
            kinds = [KINDS[(len(seen) + index) % len(KINDS)] for index in range(len(steps))]
            yield Case(name, tuple(Order(when, step, how) for step, (when, how) in zip(steps, kinds, strict=True)))
        seen.update(steps)


ONCE = list(each_step_once())
