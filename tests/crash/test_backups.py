"""As test_ensemble.py, of the stories of backups."""

import pytest

from tests.crash.choice import once
from tests.crash.play import Case, play
from tests.crash.stories import OF_BACKUPS
from tests.scenarios.stage import Stage


@pytest.mark.parametrize("case", once(OF_BACKUPS))
def test_killed_and_cut_off_at_its_steps(stage: Stage, case: Case) -> None:
    outcome = play(stage, case)
    assert not outcome.bad, outcome.problem
    assert outcome.lost == 0 and outcome.acknowledged > 0
