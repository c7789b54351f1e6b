"""The simulated region: nodes that take turns, clients that write, and what must never be seen."""

import traceback
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tests.sim.aws import Bucket, Fleet, Machine
from tests.sim.backups import Backups
from tests.sim.engine import Killed, Odds, Scheduler
from tests.sim.ensemble import Ensemble, Process, State
from tests.sim.ledger import Ledger
from tests.sim.node import Node
from tests.sim.quick import patches
from zkboot import documents, model, reconcile, settings, steps
from zkboot.errors import Stale, ZkbootError
from zkboot.model import Action, Mode
from zkboot.words import target

TICK = 0.25
SPEED = {
    "zookeeper.tick_time": "1000",
    "timing.recover_interval": "10",
    "timing.start_limit": "20",
    "timing.consistency": "15",
    "timing.report_interval": "5",
    "timing.turn_pause": "1",
}
REST = 6.0  # seconds from a healthy node's turn to its next
AFTER_A_CHANGE = 0.3
PAUSES = {Action.HEALTHY: REST, Action.WAIT: 0.8, Action.HALT: 1.0}
AGAIN, LONGEST = 1.5, 2.5  # a node that waits as before looks so much later each time, at most so many seconds
STALE_SHARE = 0.95  # a server's staleness, as a share of what zkboot allows for


@cache
def loaded(given: tuple[tuple[str, str], ...]) -> Any:
    """The settings, and what the policy weighs of them asked for once."""
    return settings.load("/dev/null", dict(given))


class Violation(Exception):
    """Something was seen that must never be."""


class Simulation(Scheduler):
    """Everything. `odds` are the chances of what may befall a point or a call, by the names of `chaos.ODDS`."""

    def __init__(self, seed: int, max_voters: int = 5, given: Mapping[str, str] | None = None) -> None:
        super().__init__(seed)
        patches.lay_on()
        self.odds: Odds | None = None  # of what may befall a call
        names = {"cluster": "c", "aws.bucket": "bucket", "aws.group": "group", "ensemble.max_voters": str(max_voters)}
        self.settings: Any = loaded(tuple((names | SPEED | dict(given or {})).items()))
        self.bucket = Bucket(lambda: self.now)
        self.fleet = Fleet(lambda: self.now, self._launched, self._ended)
        self.ensemble = Ensemble(self, self.settings.staleness * STALE_SHARE, self.reach)
        self.ensemble.tell = self.tell
        self.nodes: dict[str, Node] = {}
        self.arrived: Callable[[Node], None] = lambda node: None
        self.islands: dict[str, int] = {}  # address -> island; those on one island reach each other
        self.current: Node | None = None
        self.script: Callable[[Node, str], None] | None = None
        self.backups = Backups()
        self.ledger = Ledger(self)
        self.bucket.wrote = self.ledger.wrote
        self.after(0, self._tick)

    # --- time

    def _tick(self) -> None:
        self.fleet.work()
        self.ensemble.tick()
        self.ledger.write()
        self.after(TICK, self._tick)

    def _launched(self, machine: Machine) -> None:
        self.nodes[machine.id] = node = Node(self, machine)
        node.tell("launched")
        self.arrived(node)
        self.after(0.5 + self.random.random(), lambda: self.boot(node))

    def _ended(self, machine: Machine) -> None:
        node = self.nodes[machine.id]
        node.tell("terminated")
        node.gone = True
        self.power_off(node)

    def boot(self, node: Node) -> None:
        if node.up or node.gone:
            return
        node.up, node.boots, node.booted = True, node.boots + 1, self.now
        node.tell(f"boots ({node.boots})")
        self.wake(node, 0.1)

    def power_off(self, node: Node) -> None:
        node.up = False
        self.ensemble.end(node.address, silent=True)
        if self.current is not node:
            self._hand(node, node.fiber.kill)

    # --- turns

    def wake(self, node: Node, seconds: float) -> None:
        boots = node.boots
        node.due += 1
        due = node.due
        self.after(seconds, lambda: self._begin(node, boots, due))

    def _begin(self, node: Node, boots: int, due: int) -> None:
        if node.up and node.boots == boots and node.due == due and not node.fiber.busy:
            self._hand(node, lambda: node.fiber.begin(lambda: self._turn(node, boots)))

    def _hand(self, node: Node, job: Any) -> None:
        before, self.current = self.current, node
        schema, documents.SCHEMA = documents.SCHEMA, node.schema
        steps.hook = node.at_step
        try:
            job()
        finally:
            self.current, documents.SCHEMA = before, schema

    def _turn(self, node: Node, boots: int) -> None:
        began = self.now
        try:
            made = reconcile.turn(node.world, self.settings)
        except Killed:
            node.tell("zkboot is killed")
            self.wake_again(node, boots, REST)
            raise
        except Exception:
            self.ledger.broken(f"{node.id}: a turn raised: {traceback.format_exc()}")
            self.wake_again(node, boots, REST)
            return
        node.last, node.last_at = made, began
        pause = PAUSES.get(made.decision.action, AFTER_A_CHANGE)
        if made.sentence != node.said:
            node.said, node.pause = made.sentence, pause
            node.tell(f"[{made.decision.row}] {made.sentence}")
        elif pause < LONGEST and not self.script:
            pause = node.pause = min(node.pause * AGAIN, LONGEST)
        self.wake_again(node, boots, pause)

    def command(self, node: Node, name: str, effect: Callable[[], object]) -> None:
        """A person types that command on that node, and waits for a turn that runs."""
        boots = node.boots
        if not node.up:
            return
        if node.fiber.busy:
            self.after(0.5, lambda: self.command(node, name, effect) if node.boots == boots else None)
            return
        self._hand(node, lambda: node.fiber.begin(lambda: self._command(node, boots, name, effect)))

    def _command(self, node: Node, boots: int, name: str, effect: Callable[[], object]) -> None:
        node.tell(f"a person types `{name}`")
        node.commanded = True
        try:
            node.tell(f"`{name}`: {effect()}")
        except ZkbootError as e:
            node.tell(f"`{name}`: {e}")
        except Killed:
            node.tell(f"`{name}` is interrupted")
            raise
        finally:
            node.commanded = False
            self.wake_again(node, boots, AFTER_A_CHANGE)

    def interrupt(self, node: Node) -> None:
        """The person gives up waiting."""
        if node.commanded:
            self._hand(node, node.fiber.kill)

    def wake_again(self, node: Node, boots: int, seconds: float) -> None:
        if node.up and node.boots == boots:
            self.wake(node, seconds * (0.9 + 0.2 * self.random.random()))

    # --- interference

    def chance(self, what: str) -> bool:
        return self.odds is not None and self.odds.strike(what)

    def interfere(self, node: Node, name: str) -> None:
        """At a point of that node's turn: go on, wait, or be killed."""
        if self.script:
            self.script(node, name)
        strike = self.odds.strike if self.odds else None
        if strike is None:
            return
        if strike("kill"):
            node.tell(f"killed at: {name}")
            raise Killed
        if strike("power"):
            node.tell(f"power cut at: {name}")
            self.power_off(node)
            self.after(self.random.expovariate(1 / 8), lambda: self.boot(node))
            raise Killed
        if strike("pause"):
            seconds = self.random.choice((0.1, 0.1, 0.5, 0.5, 2.0, 2.0, 12.0, 40.0))
            if seconds > 1:
                node.tell(f"waits {seconds:.0f} s at: {name}")
            self.hold(node, seconds)

    def hold(self, node: Node, seconds: float) -> None:
        """The running turn of that node stands still for a while."""
        boots = node.boots
        self.after(seconds, lambda: self._resume(node, boots))
        node.fiber.pause()

    def _resume(self, node: Node, boots: int) -> None:
        if node.up and node.boots == boots and node.fiber.busy:
            self.resume(node)

    def resume(self, node: Node) -> None:
        """A turn that stands still goes on."""
        self._hand(node, node.fiber.resume)

    def land_later(self, node: Node, key: str, body: bytes, match: str | None) -> None:
        """A request of a killed process that is still on its way."""
        node.tell(f"killed while its write of {key} is on the way")

        def land() -> None:
            try:
                self._hand(node, lambda: self.bucket.put(key, body, match))
                node.tell(f"its write of {key} lands")
            except Stale:
                node.tell(f"its write of {key} comes too late")

        self.after(self.random.choice((0.2, 3.0, 15.0)), land)

    def reach(self, a: str, b: str) -> bool:
        return not self.islands or a == b or self.islands.get(a, 0) == self.islands.get(b, 0)

    # --- the state of things

    def living(self) -> list[Node]:
        return [n for n in self.nodes.values() if not n.gone]

    def leader(self) -> Process | None:
        """The server that can acknowledge writes now."""
        found = [p for p in self.ensemble.running if p.state is State.LEADING and self.ensemble.can_acknowledge(p)]
        if len(found) > 1:
            self.ledger.broken(f"two leaders acknowledge writes: {', '.join(p.name for p in found)}")
        return found[0] if found else None

    def created(self) -> bool:
        record = self.ledger.record
        return record is not None and record.state is model.State.CREATED

    def settled(self) -> bool:
        """The group is whole and each node has lately said that it is healthy, with as many voters as wanted."""
        for machine in self.fleet.machines.values():
            if machine.lifecycle and (machine.lifecycle != "InService" or not self._healthy(self.nodes[machine.id])):
                return False
        machines = self.fleet.in_group()
        if len(machines) != self.fleet.desired:
            return False
        if not machines:
            return True
        leader = self.leader()
        if leader is None or len(leader.views) > 1:
            return False
        wanted = target(self.fleet.desired, self.settings.ensemble.max_voters)
        servers = leader.committed.servers
        return len(leader.committed.voters) == wanted and {s.address for s in servers} == {m.address for m in machines}

    def _healthy(self, node: Node) -> bool:
        last, process = node.last, node.process()
        if last is None or last.decision.action is not Action.HEALTHY or not node.up:
            return False
        if process is None or self.ensemble.mode(process) is Mode.NONE:
            return False
        return node.last_at > max(node.booted, self.now - 4 * REST)

    def halted_rightly(self) -> bool:
        """All that live have halted, and no living disk holds data that could be served: none of before the last created
        generation, whose loss was decided then."""
        living, record = 0, self.ledger.record
        last = max(record.created, default=0) if record else 0
        for node in self.nodes.values():
            if node.gone or node.machine.lifecycle.startswith("Terminating"):
                continue
            living += 1
            built = node.files.generation
            held = node.files.loadable and (built is None or built.identity.generation >= last)
            if node.last is None or node.last.decision.row != 22 or held:
                return False
        return bool(living)

    def close(self) -> None:
        for node in self.nodes.values():
            node.up = False
            self._hand(node, node.fiber.close)
        patches.take_off()
