"""One random schedule: a group of some size, faults for a while, then quiet, in which all must become well by itself."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from tests.sim import backups
from tests.sim.engine import Odds
from tests.sim.faults import Faults
from tests.sim.simulation import Simulation
from zkboot import commands

BEGUN = 40.0  # seconds at most before the first fault, where it does not strike at once
QUIET = 420.0  # seconds of quiet within which all must be well
ODDS = {
    "pause": (0.0, 0.01, 0.05),
    "kill": (0.0, 0.0, 0.01),
    "power": (0.0, 0.0, 0.003),
    "throttle": (0.0, 0.0, 0.02),
    "lost answer": (0.0, 0.02, 0.1),
    "late write": (0.0, 0.0, 0.02),
    "stale": (0.0, 0.0, 0.2),
    "dies joining": (0.0, 0.0, 0.2),
}
MOST_FAULTS = 8
BACKED_UP = 3  # one in so many schedules has backups
PARTS = (
    *(f"fault {number}" for number in range(MOST_FAULTS)),
    *ODDS,
    "dropped",
    "slow",
    "unknown to EC2",
    "reused addresses",
    "two versions",
    "late disks",
    "backups",
)


class Outcome(NamedTuple):
    """How a schedule ended."""

    seed: int
    found: tuple[str, ...]
    halted: bool
    seconds: float
    acknowledged: int
    excused: int
    generations: int
    story: tuple[str, ...]


class Chaos:
    """A schedule of its seed, less the `parts` that are left out of it."""

    def __init__(self, sim: Simulation, seed: int, left_out: frozenset[str]) -> None:
        self.sim, self.seed, self.left_out = sim, seed, left_out
        self.faults = Faults(sim, seed)

    def play(self) -> None:
        sim, choice = self.sim, random.Random(f"chaos {self.seed}").choice
        self.faults.scale(choice((1, 2, 3, 3, 3, 5)))
        odds = {what: choice(odds) for what, odds in ODDS.items()}
        sim.odds = Odds(sim.random, {what: 0.0 if what in self.left_out else chance for what, chance in odds.items()})
        dropped, slow, unknown, reused = choice((0.0, 0.0, 0.02, 0.1)), choice((0.0, 2.0, 8.0)), choice((0, 12)), choice((0, 1))
        sim.ensemble.drop = 0.0 if "dropped" in self.left_out else dropped
        sim.ensemble.slow = 0.0 if "slow" in self.left_out else slow
        sim.fleet.choose = sim.random.choice
        sim.fleet.reuse = bool(reused) and "reused addresses" not in self.left_out
        if unknown and "unknown to EC2" not in self.left_out:
            sim.fleet.delay = lambda: sim.random.random() * unknown
        versions, late = choice((False, False, False, True)), choice((False, False, False, True))
        self.faults.two_versions = versions and "two versions" not in self.left_out
        self.faults.late_disks = late and "late disks" not in self.left_out
        sim.arrived = self.faults.mixed
        if self.seed % BACKED_UP == 0 and "backups" not in self.left_out:
            backups.keep(sim, random.Random(f"backups {self.seed}"))
        begun = choice(("nothing", "created", "whole", "whole"))
        if begun == "created":
            sim.run(BEGUN, sim.created)
        elif begun == "whole":  # undisturbed: what comes after is the fault's alone
            held, sim.odds = sim.odds, None
            sim.run(BEGUN, sim.settled)
            sim.odds = held
        few = choice((False, True))  # only what takes a quorum away, again and again
        for number in range(choice((1, 2, 3, 4, 6, MOST_FAULTS))):
            # Of its own randomness each, so that it is the same when another is left out.
            self.faults.random = random.Random(f"chaos {self.seed} {number}")
            seconds = self.faults.random.expovariate(1 / self.faults.random.choice((0.5, 4, 15)))
            if f"fault {number}" not in self.left_out:
                self.faults.strike(few)
            sim.run(seconds)

    def quiet(self) -> None:
        sim = self.sim
        sim.tell("--- quiet from here")
        sim.odds, sim.ensemble.drop = None, 0.0
        sim.fleet.delay = lambda: 0.0
        sim.islands = {}
        sim.fleet.desired = sim.fleet.desired or 1
        self.faults.timely()
        sim.arrived = self.faults.newer
        for node in sim.living():
            sim.interrupt(node)
            node.aws = node.files.mounted = True
            self.faults.newer(node)
            sim.boot(node)
        self.withdraw()

    def withdraw(self) -> None:
        """A person whose command stands for nobody any more withdraws it, on one node or another."""
        record, up = self.sim.ledger.record, [n for n in self.sim.living() if n.up]
        if record is not None and record.intent is not None and up:
            node = up[-1]
            self.sim.command(node, "abort", lambda: commands.abort(node.world, self.sim.settings))
        self.sim.after(7.0, self.withdraw)


def run(seed: int, left_out: frozenset[str] = frozenset()) -> Outcome:
    """Play one schedule to its end."""
    sim = Simulation(seed, max_voters=random.Random(seed).choice((3, 5, 5)))
    chaos = Chaos(sim, seed, left_out)
    sim.ledger.final = True
    try:
        chaos.play()
        if not sim.over:
            chaos.quiet()
        began = sim.now
        sim.run(1)
        settled = sim.run(QUIET, lambda: sim.settled() or sim.halted_rightly())
        took, halted = sim.now - began, sim.halted_rightly()
        if not settled and not sim.over:
            said = "\n    ".join(f"{n.id} ({n.machine.lifecycle}): {n.said}" for n in sim.living())
            sim.ledger.broken(f"not well after {QUIET:.0f} s of quiet:\n    {said}")
        elif settled:
            sim.ledger.check()
        ledger = sim.ledger
        return Outcome(
            seed,
            tuple(ledger.found),
            halted,
            took,
            len(ledger.acknowledged),
            len(ledger.excused),
            ledger.record.generation if ledger.record else 0,
            tuple(sim.story),
        )
    finally:
        sim.close()


def shrunk(seed: int) -> Iterator[tuple[frozenset[str], Outcome]]:
    """Ever smaller schedules that still fail, each with all that is left out of it: one part after the other is left out for good
    where a failure stays."""
    left_out: frozenset[str] = frozenset()
    smaller = True
    while smaller:
        smaller = False
        for part in PARTS:
            if part in left_out:
                continue
            outcome = run(seed, left_out | {part})
            if outcome.found:
                left_out, smaller = left_out | {part}, True
                yield left_out, outcome
