"""One simulated node: its machine, and the seven protocols through which its zkboot sees the world.

Each call is a point: the schedule may let others go first there, lose the answer, or kill the process; a killed write to the
bucket may still land later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.aws import Machine
from tests.sim.backups import NodeBackups
from tests.sim.engine import Fiber, Killed
from tests.sim.ensemble import Lost, Process, Refused, State
from tests.sim.files import Files, NodeDisk
from zkboot import documents, model
from zkboot.errors import Stale, UnknownFact
from zkboot.model import Change, Configuration, Identity, Me, Mode, Scope
from zkboot.reconcile import Turn
from zkboot.world import Listed, Peer, Stored, View, World

if TYPE_CHECKING:
    from tests.sim.simulation import Simulation

SCOPE = Scope("123456789012", "eu-central-1", "vpc-1", "group")


class Node:
    """The machine of one instance."""

    def __init__(self, sim: Simulation, machine: Machine) -> None:
        self.sim, self.machine = sim, machine
        self.files = Files()
        self.fiber = Fiber()
        self.up = False
        self.gone = False
        self.aws = True
        self.boots = 0
        self.due = 0  # of the wakes asked for only the latest counts
        self.commanded = False  # its turn belongs to a person's command
        self.schema = documents.SCHEMA  # of the newest documents that its zkboot understands, and of those that it writes
        self.skew = 0.0  # its clock's error
        self.booted = 0.0
        self.last: Turn | None = None
        self.last_at = 0.0
        self.said = ""
        self.pause = 0.0  # until its next turn, while it says the same
        self.at_step = lambda when, name: self.point(f"{when} {name}")
        self.disk = NodeDisk(self.files, machine.address, self.point)
        self.link = Link(self)
        self.backups = NodeBackups(self, self.link.asked)
        self.world = World(self.link, self.link, self.link, self.link, self.disk, self.link, self.backups)

    @property
    def id(self) -> str:
        return self.machine.id

    @property
    def address(self) -> str:
        return self.machine.address

    def process(self) -> Process | None:
        return self.sim.ensemble.processes.get(self.address)

    def point(self, name: str) -> None:
        """Where the schedule may interfere with this node's turn."""
        sim = self.sim
        if (sim.odds or sim.script) and sim.current is self:
            sim.interfere(self, name)

    def tell(self, text: str) -> None:
        self.sim.tell(f"{self.id}: {text}")


class Link:
    """Store, GroupApi, Metadata, ServerApi and Clock of one node."""

    def __init__(self, node: Node) -> None:
        self._node, self._sim = node, node.sim

    def asked(self, name: str) -> None:
        node = self._node
        node.point(name)
        if not node.aws:
            raise UnknownFact(f"{name}: timeout")
        if self._sim.chance("throttle"):
            raise UnknownFact(f"{name}: throttled")

    def _answer(self, name: str) -> None:
        """Between an effect and its answer: a kill, a wait or a loss."""
        self._node.point(f"{name} done")
        if self._sim.chance("lost answer"):
            self._node.tell(f"the answer of {name} is lost")
            raise UnknownFact(f"{name}: the connection was lost")

    # --- Store

    def get(self, key: str) -> Stored | None:
        self.asked(f"get {key}")
        return self._sim.bucket.get(key)

    def put(self, key: str, body: bytes, match: str | None) -> str:
        self.asked(f"put {key}")
        if self._sim.chance("stale"):
            self._node.tell(f"stands still before its write of {key}")
            self._sim.hold(self._node, self._sim.random.choice((3.0, 12.0, 40.0)))
        if self._sim.chance("late write"):
            self._sim.land_later(self._node, key, body, match)
            raise Killed
        etag = self._sim.bucket.put(key, body, match)
        self._answer(f"put {key}")
        return etag

    def list(self, prefix: str) -> tuple[Listed, ...]:
        self.asked(f"list {prefix}")
        return self._sim.bucket.list(prefix)

    def secret(self, name: str) -> str | None:
        self.asked(f"secret {name}")
        return self._sim.bucket.secret(name)

    def create_secret(self, name: str, value: str) -> bool:
        self.asked(f"create secret {name}")
        made = self._sim.bucket.create_secret(name, value)
        self._answer(f"create secret {name}")
        return made

    # --- GroupApi

    def describe(self, instance_ids: frozenset[str]) -> model.Group:
        self.asked("describe")
        return self._sim.fleet.describe(self._node.id, instance_ids)

    def complete(self, hook: str) -> bool:
        self.asked(f"complete {hook}")
        completed = self._sim.fleet.complete(self._node.id, hook)
        if completed:
            self._node.tell(f"hook {hook} completed")
        if self._node.gone:
            raise Killed
        self._answer(f"complete {hook}")
        return completed

    def heartbeat(self, hook: str) -> None:
        self.asked("heartbeat")

    def activity(self) -> str:
        return ""

    # --- Metadata

    def me(self) -> Me:
        return Me(self._node.id, self._node.address, self._node.machine.zone, SCOPE)

    def taken(self) -> bool:
        self._node.point("taken")
        return self._node.machine.lifecycle.startswith("Terminating")

    # --- ServerApi

    def process(self) -> model.Process:
        self._node.point("process")
        found = self._node.process()
        if found is None:
            return model.Process()
        return model.Process(True, self._sim.now - found.started, self._sim.ensemble.mode(found))

    def start(self) -> None:
        self._node.point("server start")
        self._sim.ensemble.start(self._node.id, self._node.address, self._node.files)

    def stop(self) -> None:
        self._node.point("server stop")
        self._sim.ensemble.end(self._node.address, silent=False)

    def ask(self, addresses: frozenset[str]) -> dict[str, Peer | None]:
        self._node.point("ask")
        return {a: self._peer(a) for a in sorted(addresses)}

    def _peer(self, address: str) -> Peer | None:
        found = self._sim.ensemble.processes.get(address)
        if found is None or found.state is State.STARTING or not self._sim.reach(self._node.address, address):
            return None
        mode = self._sim.ensemble.mode(found)
        if mode is not Mode.LEADER:
            return Peer(mode, found.files.zxid if mode is not Mode.NONE else 0)
        followers = len(self._sim.ensemble.voting_followers(found))
        return Peer(mode, found.files.zxid, followers, len(found.committed.voters))

    def _serving(self, address: str) -> Process:
        found = self._sim.ensemble.processes.get(address)
        if found is None or not self._sim.reach(self._node.address, address) or self._sim.ensemble.mode(found) is Mode.NONE:
            raise UnknownFact(f"{address}:2181 does not serve")
        return found

    def view(self, address: str) -> View:
        self._node.point("view")
        found = self._serving(address)
        leader = self._sim.ensemble.leader_of(found)
        if leader is not None and self._sim.ensemble.in_vain(leader):
            raise UnknownFact(f"{address}:2181 gave no session within 15 s: it may be without a quorum")
        return View(found.committed, self._sim.ensemble.identity(found))

    def reconfigure(self, address: str, password: str, change: Change) -> Configuration:
        self._node.point("reconfigure request")
        found = self._serving(address)
        dies = any(s.address == self._node.address for s in change.joining) and self._sim.chance("dies joining")
        try:
            self._sim.ensemble.reconfigure(found, change, set(self._sim.ensemble.processes) if dies else ())
        except Refused as e:
            raise Stale(str(e)) from e
        except Lost as e:
            if dies:
                self._sim.fleet.terminate(self._node.machine)
                raise Killed from e
            raise UnknownFact("reconfigure: the connection was lost") from e
        self._answer("reconfigure")
        return self._serving(address).committed

    def prove(self, address: str, password: str, identity: Identity, former: Identity | None = None) -> None:
        self._node.point("prove request")
        leader = self._sim.ensemble.leader_of(self._serving(address))
        if leader is None or not self._sim.ensemble.can_acknowledge(leader):
            raise UnknownFact("prove: no answer in time")
        if self._sim.ensemble.write(leader, identity) is None:
            raise UnknownFact("prove: the connection was lost")
        self._answer("prove")

    # --- Clock

    def now(self) -> float:
        return self._sim.now + self._node.skew

    def monotonic(self) -> float:
        return self._sim.now - self._node.booted

    def boot_id(self) -> str:
        return f"{self._node.id}/{self._node.boots}"

    def sleep(self, seconds: float) -> None:
        self._sim.hold(self._node, seconds)
