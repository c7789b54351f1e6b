"""Every external effect of an action passes through one named step, so that a test can stop the world right before
and right after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _pass_on(when: str, name: str) -> None:
    """Nothing stands at this step."""


hook: Callable[[str, str], None] = _pass_on


@contextmanager
def step(name: str) -> Iterator[None]:
    """Run one effect; `hook("before" | "after", name)` is called around it, "after" only when it succeeded."""
    hook("before", name)
    yield
    hook("after", name)
