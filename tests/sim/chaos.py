"""One random schedule: a group of some size, faults for a while, then quiet, in which all must become well by itself."""

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.sim.node import Node
from tests.sim.simulation import Simulation

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
    """The faults of one schedule; `random` decides them, apart from the simulation's own."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim = sim
        self.random = random.Random(f"chaos {seed}")
        self.ends: list[Callable[[], None]] = []

    def play(self) -> None:
        sim, choice = self.sim, self.random.choice
        self.scale(choice((1, 2, 3, 3, 3, 5)))
        sim.odds = {what: choice(odds) for what, odds in ODDS.items()}
        sim.ensemble.drop = choice((0.0, 0.0, 0.02, 0.1))
        sim.ensemble.slow = choice((0.0, 2.0, 8.0))
        sim.fleet.choose = sim.random.choice
        sim.fleet.reuse = choice((True, False))
        if choice((True, False)):
            sim.fleet.delay = lambda: sim.random.random() * 12
        if choice((True, True, False)):
            sim.run(60, sim.settled)
        few = choice((False, True))  # only what takes a quorum away, again and again
        for _ in range(choice((1, 2, 3, 4, 6, 8))):
            self.random.choice((self.power_cut, self.power_cut, self.swap, self.wipe))() if few else self.fault()
            sim.run(self.random.expovariate(1 / choice((0.5, 4, 15))))

    def quiet(self) -> None:
        sim = self.sim
        sim.tell("--- quiet from here")
        sim.odds, sim.ensemble.drop = {}, 0.0
        sim.fleet.delay = lambda: 0.0
        sim.islands = {}
        sim.fleet.desired = sim.fleet.desired or 1
        for node in sim.living():
            node.aws = node.files.mounted = True
            sim.boot(node)

    # --- faults

    @property
    def faults(self) -> dict[Callable[[], object], int]:
        """Each with its weight."""
        return {
            self.power_cut: 6,
            self.stop: 2,
            self.wipe: 3,
            self.unmount: 1,
            self.terminate: 4,
            self.part: 2,
            self.aws_away: 2,
            self.resize: 4,
            self.damage: 1,
            self.swap: 2,
        }

    def fault(self) -> None:
        self.random.choices(
            (
                self.power_cut,
                self.stop,
                self.wipe,
                self.unmount,
                self.terminate,
                self.part,
                self.aws_away,
                self.resize,
                self.damage,
            ),
            (6, 2, 3, 1, 4, 2, 2, 4, 1),
        )[0]()

    def some(self) -> list[Node]:
        nodes = self.sim.living()
        most = self.random.choice((max(1, (len(nodes) - 1) // 2), len(nodes)))
        return self.random.sample(nodes, self.random.randint(1, most)) if nodes else []

    def for_a_while(self, end: Callable[[], None]) -> None:
        self.sim.after(self.random.choice((1.0, 8.0, 30.0)), end)

    def power_cut(self) -> list[Node]:
        nodes = self.some()
        for node in nodes:
            node.tell("power cut")
            self.sim.power_off(node)
            self.for_a_while(partial(self.sim.boot, node))
        return nodes

    def stop(self) -> None:
        for node in self.some():
            node.tell("its server is killed")
            self.sim.ensemble.end(node.address, silent=False)

    def wipe(self) -> None:
        for node in self.power_cut():
            if self.random.random() < 0.6:
                node.tell("its data volume is wiped")
                node.files.new_volume()

    def swap(self) -> None:
        """A wrong, empty volume is attached for a while."""
        for node in self.power_cut():
            node.tell("an empty volume is attached in place of its own")
            held = node.files.take_out()
            self.sim.after(self.random.choice((8.0, 30.0, 45.0)), partial(self.swap_back, node, held))

    def swap_back(self, node: Node, held: dict[str, object]) -> None:
        if node.gone:
            return
        self.sim.power_off(node)
        back = node.files.put_back(held)
        node.tell("its own volume is attached again" if back else "the new volume stays")
        self.sim.after(1.0, partial(self.sim.boot, node))

    def damage(self) -> None:
        for node in self.power_cut():
            if self.random.random() < 0.6 and node.files.log is not None:
                node.tell("its data is damaged")
                node.files.damaged = True

    def unmount(self) -> None:
        for node in self.power_cut():
            node.tell("its data volume is not mounted")
            node.files.mounted = False
            self.for_a_while(partial(setattr, node.files, "mounted", True))

    def terminate(self) -> None:
        for node in self.some():
            self.sim.fleet.terminate(node.machine)

    def part(self) -> None:
        nodes = self.some()
        self.sim.tell(f"--- cut off from the others: {', '.join(n.id for n in nodes)}")
        self.sim.islands = {n.address: 1 for n in nodes}
        self.for_a_while(self.sim.islands.clear)

    def aws_away(self) -> None:
        for node in self.some():
            node.tell("AWS does not answer")
            node.aws = False
            self.for_a_while(partial(setattr, node, "aws", True))

    def resize(self) -> None:
        self.scale(self.random.choice((1, 2, 3, 4, 5, 7, 0)))

    def scale(self, desired: int) -> None:
        self.sim.tell(f"--- desired capacity {desired}")
        self.sim.fleet.desired = desired


def run(seed: int) -> Outcome:
    """Play one schedule to its end."""
    sim = Simulation(seed, max_voters=random.Random(seed).choice((3, 5, 5)))
    chaos = Chaos(sim, seed)
    try:
        chaos.play()
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
