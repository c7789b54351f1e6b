"""Directed schedules: a node's turn is held at a named point until the schedule lets it go on, and faults strike in between."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.sim import stories
from tests.sim.backups import allow
from tests.sim.node import Node
from tests.sim.simulation import Simulation
from zkboot import record as records
from zkboot.model import Holds, Mode, Record, Report

PATIENCE = 60.0


class Missed(Exception):
    """The schedule did not come where it was to come: it proves nothing."""


class Hold:
    """One node that stands still where it next comes to a point of that name."""

    def __init__(self, node: Node, point: str) -> None:
        self.node, self.point = node, point
        self.there = False


class Director:
    """One simulation whose turns are held and let go. No machine is launched but by `grow`."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self._holds: list[Hold] = []
        self._volumes: dict[Node, dict[str, object]] = {}
        sim.script = self._at

    # --- time

    def hold(self, node: Node, point: str) -> Hold:
        """From its next point on whose name contains `point`."""
        hold = Hold(node, point)
        self._holds.append(hold)
        return hold

    def reach(self, node: Node, point: str, patience: float = PATIENCE) -> Hold:
        """Hold the node at that point, and let time pass until it is there."""
        hold = self.hold(node, point)
        self.wait(lambda: hold.there, f"{node.id} at `{point}`", patience)
        return hold

    def release(self, *holds: Hold) -> None:
        for hold in holds:
            if hold not in self._holds:
                continue
            self._holds.remove(hold)
            if hold.there and hold.node.up and hold.node.fiber.busy:
                self.sim.resume(hold.node)

    def wait(self, until: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        """Raises Missed when it does not come about."""
        if not until() and not self.sim.run(patience, lambda: bool(until())):
            said = "\n    ".join(f"{n.id}: {n.said}" for n in self.sim.living())
            raise Missed(f"never seen: {what}\n    {said}")

    def run(self, seconds: float) -> None:
        self.sim.run(seconds)

    def calm(self) -> None:
        """All faults end; then all must be well. What must never be seen is in the ledger."""
        self.release(*self._holds)
        self.sim.islands = {}
        self.sim.fleet.frozen = False
        for node in self.sim.living():
            node.aws = True
            self.sim.boot(node)
        if self.sim.ledger.found:
            return
        with suppress(stories.Violation):
            stories.settle(self.sim)

    def _at(self, node: Node, point: str) -> None:
        for hold in list(self._holds):
            if hold.node is node and hold.point in point and not hold.there:
                hold.there = True
                node.tell(f"stands still at: {point}")
                node.fiber.pause()

    # --- the ensemble

    def grow(self, size: int) -> list[Node]:
        """A group of that size, healthy; its nodes by instance id. From here on nothing is launched in place of what ends."""
        stories.create(self.sim, size)
        self.sim.fleet.frozen = True
        return sorted(self.sim.living(), key=lambda n: n.id)

    def record(self) -> Record:
        found = records.read(self.sim.bucket, "c")
        assert found is not None
        return found[0]

    def report(self, node: Node) -> Report | None:
        return records.read_report(self.sim.bucket, "c", node.id)

    def reports(self, node: Node, holds: Holds) -> bool:
        """What its report says, written at the record's present revision where that matters."""
        report = self.report(node)
        if report is None or report.holds is not holds:
            return False
        return holds is not Holds.DATA or report.revision == self.record().revision

    def finds_too_few(self, node: Node) -> bool:
        return node.said.startswith("waiting: too few voters remain")

    def serves(self, *nodes: Node) -> bool:
        """Whether one of these leads and can acknowledge."""
        leader = self.sim.leader()
        return leader is not None and leader.name in {n.id for n in nodes}

    def leads(self, node: Node) -> bool:
        """Whether it says so, rightly or not."""
        process = node.process()
        return process is not None and self.sim.ensemble.mode(process) is Mode.LEADER

    def back_up(self) -> None:
        """The leader's data, as it is now; a backup may be restored unasked from here on."""
        leader = self.sim.leader()
        assert leader is not None
        self.sim.backups.make(self.sim.nodes[leader.name])
        allow(self.sim)

    # --- faults

    def part(self, *nodes: Node) -> None:
        """Cut these off from all others, but not from AWS."""
        self.sim.tell(f"--- cut off from the others: {', '.join(n.id for n in nodes)}")
        self.sim.islands = {n.address: 1 for n in nodes}

    def take_volumes(self, *nodes: Node) -> None:
        """The machines restart with an empty volume in place of their own."""
        for node in nodes:
            self.sim.power_off(node)
            self._volumes[node] = node.files.take_out()
            node.tell("an empty volume is attached in place of its own")
            self.sim.boot(node)

    def give_back_volumes(self, *nodes: Node) -> None:
        for node in nodes:
            self.sim.power_off(node)
            assert node.files.put_back(self._volumes[node]), f"{node.id}: the new volume holds data"
            node.tell("its own volume is attached again")
            self.sim.boot(node)

    def wipe(self, *nodes: Node) -> None:
        for node in nodes:
            self.sim.power_off(node)
            node.files.new_volume()
            node.tell("its volume is wiped")
            self.sim.boot(node)

    def terminate(self, *nodes: Node) -> None:
        for node in nodes:
            self.sim.fleet.terminate(node.machine)
