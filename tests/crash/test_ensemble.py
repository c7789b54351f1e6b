"""The fixed choice of `make crash`: a chain of kills and power cuts in each story; each step of the package is met once."""

import pytest

from tests.crash.choice import ONCE, once
from tests.crash.play import Case, play
from tests.crash.steps import steps_in_code
from tests.crash.stories import OF_THE_ENSEMBLE, told_steps
from tests.scenarios.stage import Stage


def test_no_step_is_left_out() -> None:
    """A new step belongs into a story of tests/crash/stories.py."""
    assert steps_in_code() == told_steps()


def test_the_choice_meets_each_step_once() -> None:
    assert sorted(order.step for case in ONCE for order in case.orders) == sorted(told_steps())


@pytest.mark.parametrize("case", once(OF_THE_ENSEMBLE))
def test_killed_and_cut_off_at_its_steps(stage: Stage, case: Case) -> None:
    outcome = play(stage, case)
    assert not outcome.bad, outcome.problem
    assert outcome.lost == 0 and outcome.acknowledged > 0
