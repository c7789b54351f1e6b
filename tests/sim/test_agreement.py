"""The simulated ZooKeeper is held to the real one: the same scenarios, through the same protocols, end in the same facts."""

from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.sim import members
from tests.sim.agreement import SCENARIOS, Scenario


def cases() -> list[ParameterSet]:
    return [pytest.param(s, id=s.play.__name__, marks=[pytest.mark.long] if s.long else []) for s in SCENARIOS]


@pytest.mark.parametrize("scenario", cases())
def test_the_simulated_zookeeper_does_as_the_real_one(scenario: Scenario, tmp_path: Path) -> None:
    with members.simulated(scenario.members) as players:
        simulated = scenario.play(*players)
    with members.real(tmp_path, scenario.members) as players:
        real = scenario.play(*players)
    assert simulated == real
