"""The fixed choice of `make crash`: in each story a chain of kills and power cuts, so that each step of the package is met once.

`make test` plays a creation and a wiped disk's way back; the others are long, and `make crash` plays all of them. The steps of a
backup are each killed in tests/backup/test_typed.py.
"""

from collections.abc import Iterator

import pytest

from tests.crash.choice import ONCE
from tests.crash.play import Case, new_stage, play
from tests.crash.steps import steps_in_code
from tests.crash.stories import UNTOLD, told_steps
from tests.scenarios.stage import Stage

PLAYED = ("create", "rejoin")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = new_stage()
    yield stage
    stage.close()


def test_no_step_is_left_out() -> None:
    """A new step belongs into a story of tests/crash/stories.py."""
    assert steps_in_code() == told_steps() | UNTOLD.keys()


def test_the_choice_meets_each_step_once() -> None:
    assert sorted(order.step for case in ONCE for order in case.orders) == sorted(told_steps())


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.story, marks=() if case.story in PLAYED else pytest.mark.long) for case in ONCE]
)
def test_killed_and_cut_off_at_its_steps(stage: Stage, case: Case) -> None:
    outcome = play(stage, case)
    assert not outcome.problem, outcome.problem
    assert outcome.lost == 0 and outcome.acknowledged > 0
