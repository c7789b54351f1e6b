"""The real loop in the simulated world: the plain stories, and a few hundred random schedules."""

import pytest

from tests.sim import chaos
from tests.sim.simulation import Simulation
from tests.sim.stories import STORIES
from tests.sim.sweep import play

SCHEDULES, PARTS = 120, 4


def told(name: str, seed: int = 1) -> Simulation:
    """That story, played to its end."""
    sim = Simulation(seed)
    try:
        STORIES[name](sim)
    finally:
        sim.close()
    return sim


@pytest.mark.parametrize("name", STORIES)
def test_a_plain_story_ends_well(name: str) -> None:
    told(name)


def test_nothing_is_lost_when_every_machine_loses_its_power() -> None:
    sim = told("all power cut")
    assert not sim.ledger.excused
    assert sim.ledger.record is not None and sim.ledger.record.generation == 1


def test_the_best_survivor_reseeds_after_a_majority_was_terminated() -> None:
    sim = told("a majority terminated")
    assert sim.ledger.record is not None and sim.ledger.record.generation == 2
    assert any("[19]" in line and "it reseeds" in line for line in sim.story)


@pytest.mark.parametrize("fault", ("kill", "power cut", "terminate", "wipe", "wait"))
def test_a_fault_anywhere_in_a_creation_is_healed(fault: str) -> None:
    number, result = 1, play("create and scale 3", fault, 1)
    while result.point:
        assert not result.violation, "\n".join([f"{fault} at {result.point}", *result.story])
        number += 7
        result = play("create and scale 3", fault, number)
    assert number > 50, "the story has no points: nothing was tried"


@pytest.mark.parametrize("part", range(PARTS))
def test_a_random_schedule_ends_well(part: int) -> None:
    for seed in range(part, SCHEDULES, PARTS):
        outcome = chaos.run(seed)
        assert not outcome.found, f"seed {seed}: `python -m tests.sim --seed {seed}` tells it\n" + "\n".join(outcome.found)


def test_a_seed_tells_the_same_story_twice() -> None:
    assert chaos.run(7).story == chaos.run(7).story
