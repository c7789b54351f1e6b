"""Every mutilated policy breaks a named invariant: the proof would notice the loss of any row, guard or word."""

import pytest

from tests.policy.mutants import MUTANTS, Trial, attempt_all, is_killed, table


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    found = attempt_all()
    print("\n" + table(found))
    return {t.mutant: t for t in found}


@pytest.mark.parametrize("name", [m.name for m in MUTANTS])
def test_mutant_is_killed(trials: dict[str, Trial], name: str) -> None:
    trial = trials[name]
    assert is_killed(trial), f"no invariant notices that {name} ({trial.changed} decisions differ, {trial.raised} raised)"


def test_mutants_have_their_own_names() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
