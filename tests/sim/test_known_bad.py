"""The simulation finds the policies that are known to be bad."""

import pytest

from tests.sim.known_bad import BAD, MOST, Bad, first_loss


@pytest.mark.parametrize("bad", BAD, ids=lambda b: b.words)
def test_a_bad_policy_loses_something_soon(bad: Bad) -> None:
    assert first_loss(bad) is not None, f"nothing was lost in {MOST} schedules"
