"""The real loop in the simulated world: the plain stories, and random schedules."""

import os
import subprocess
import sys

import pytest

from tests.sim import chaos, soak, switches
from tests.sim.faults import Faults
from tests.sim.known_bad import BAD, first_loss
from tests.sim.node import Node
from tests.sim.simulation import Simulation
from tests.sim.stories import STORIES, create, settle
from tests.sim.sweep import sweep
from zkboot.errors import UnknownFact


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


def test_a_persons_reseed_of_what_serves_gives_nothing_up_because_the_chosen_node_stops_last() -> None:
    assert not told("a person reseeds what serves").ledger.excused


def test_a_persons_reseed_goes_on_where_nobody_serves_any_more_who_could_be_woken() -> None:
    """They saw the command by themselves while the node that it was typed on was slow."""
    sim, held = Simulation(1), []

    def script(node: Node, point: str) -> None:
        if point == "before wake" and not held:
            held.append(node)
            sim.hold(node, 30.0)

    sim.script = script
    try:
        STORIES["a person reseeds what serves"](sim)
    finally:
        sim.close()
    assert held


@pytest.mark.parametrize("point", ["before name seed", "after name seed"])
def test_a_persons_reseed_goes_on_when_aws_is_away_at_the_end_of_it(point: str) -> None:
    """All have stopped for it by then. Where the answer is lost, it finds itself named."""
    sim, held = Simulation(1), []

    def script(node: Node, at: str) -> None:
        if at == point and not held:
            held.append(node)
            node.aws = False
            sim.after(5.0, lambda: setattr(node, "aws", True))
            raise UnknownFact("the answer was lost")

    sim.script = script
    try:
        STORIES["a person reseeds what serves"](sim)
    finally:
        sim.close()
    assert held


def test_the_best_survivor_reseeds_after_a_majority_was_terminated() -> None:
    sim = told("a majority terminated")
    assert sim.ledger.record is not None and sim.ledger.record.generation == 2
    assert any("[19]" in line and "it reseeds" in line for line in sim.story)


@pytest.mark.parametrize("fault", ("kill", "power cut", "terminate", "wipe", "wait"))
def test_a_fault_anywhere_in_a_creation_is_healed(fault: str) -> None:
    assert faults("create and scale 3", fault) > 7, "the story has no points: nothing was tried"


@pytest.mark.parametrize("name", [name for name in STORIES if "adopts" in name])
@pytest.mark.parametrize("fault", ("kill", "power cut", "wait"))
def test_an_adoption_cut_short_anywhere_is_finished_by_typing_it_again(fault: str, name: str) -> None:
    """And what a member held is taken in, never archived."""
    assert faults(name, fault) > 30, "the story has no points: nothing was tried"


@pytest.mark.long
@pytest.mark.parametrize("fault", ("kill", "power cut", "wait"))
def test_a_beginning_cut_short_anywhere_is_finished_by_typing_it_again(fault: str) -> None:
    assert faults("a person begins again from a backup", fault) > 30, "the story has no points: nothing was tried"


def faults(name: str, fault: str) -> int:
    """That fault at every seventh point of the story; how many were tried."""
    count = 0
    for result in sweep(name, fault, stride=7):
        assert not result.violation, "\n".join([f"{fault} at {result.point}", *result.story])
        count += 1
    return count


def test_an_older_zkboot_beside_a_newer_one_serves_on_and_waits_for_its_upgrade() -> None:
    sim = Simulation(1)
    try:
        create(sim, 3)
        old, newer = sim.living(), faults_of(sim).newer
        sim.arrived = newer
        sim.fleet.terminate(next(n for n in old if sim.leader() is not None and n.id != sim.leader().name).machine)  # type: ignore[union-attr]
        sim.run(20.0, lambda: sim.ledger.record is not None and len(sim.ledger.record.members) > 3)
        sim.run(20.0)
        left = [n for n in old if not n.gone]
        for node in left:
            sim.power_off(node)
            sim.boot(node)
        sim.run(30.0, lambda: sim.leader() is not None)
        assert sim.leader() is not None, "they start again with their data, whatever they cannot read"
        sim.run(20.0)
        assert any("upgrade zkboot on this node" in line for line in sim.story)
        for node in left:
            newer(node)
        settle(sim)
    finally:
        sim.close()


def faults_of(sim: Simulation) -> Faults:
    made = Faults(sim, 1)
    made.two_versions = True
    return made


def test_a_seed_tells_the_same_story_in_any_process() -> None:
    """Whatever was played before in it, and however it hashes."""

    def replayed(seed: int, hashed_by: str) -> list[str]:
        command = (sys.executable, "-m", "tests.sim", "--seed", str(seed))
        told = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": hashed_by}, capture_output=True, text=True, check=True, cwd=soak.ROOT
        )
        return told.stdout.splitlines()[:-1]

    for seed in (7, 8):
        here = list(chaos.run(seed).story)
        assert replayed(seed, "1") == here == replayed(seed, "2")


def test_a_failing_schedule_is_shrunk_to_what_its_failure_needs() -> None:
    bad = next(b for b in BAD if b.switch is switches.SILENT_IS_DEAD)
    loss = first_loss(bad)
    assert loss is not None
    with switches.off(bad.switch):
        whole = chaos.run(loss.schedules - 1)
        *_, (left_out, least) = chaos.shrunk(loss.schedules - 1)
        again = chaos.run(loss.schedules - 1, left_out)
    assert least.found == again.found and least.story == again.story
    assert len(left_out) > len(chaos.PARTS) / 2
    assert len(least.story) <= len(whole.story)
