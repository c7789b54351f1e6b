"""Members without zkboot's loop, for scenarios that the simulated ZooKeeper and the real one both play.

A simulated member's disk and server are the very ones of the simulated nodes, a real one's are zkboot's own; both are reached
through the same two protocols, and nothing but the time that passes and the two faults is told apart here.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.integration import servers
from tests.integration.servers import Member
from tests.sim.aws import Machine
from tests.sim.ensemble import Lost
from tests.sim.node import Node
from tests.sim.simulation import Simulation
from zkboot.errors import Stale, UnknownFact
from zkboot.model import Change, Configuration

T = TypeVar("T")
PATIENCE = 60.0  # simulated seconds that a condition may take to come true
ROUNDS = 4  # of an election in vain, after which nobody will be elected


class Player(Member):
    """A member of either kind."""

    def kill(self) -> None: ...

    def freeze(self) -> None:
        """Its process stands still, and all that is sent to it is lost as yet; its peers notice by and by."""

    def thaw(self) -> None: ...

    def looks_in_vain(self) -> None:
        """Let enough time pass for an election, were one possible."""

    def exits(self) -> None:
        """Wait until its process has ended by itself."""
        self.wait(f"server {self.number} to exit", lambda: not self.server.process().running)


class Real(Player, servers.Machine):
    """On a real server."""

    kill = servers.Machine.kill

    def freeze(self) -> None:
        os.kill(self._pid(), signal.SIGSTOP)
        stat = Path(f"/proc/{self._pid()}/stat")
        self.wait("a process to stand still", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")

    def thaw(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def looks_in_vain(self) -> None:
        before = self._rounds()
        self.wait("rounds of an election", lambda: self._rounds() >= before + ROUNDS)

    def _rounds(self) -> int:
        return self.log().count("Notification time out")

    def _pid(self) -> int:
        return int((self.root / "run/zookeeper.pid").read_text().split()[0])


class Simulated(Player):
    """In the simulated world. Its node takes no turns."""

    def __init__(self, sim: Simulation, number: int) -> None:
        self._sim = sim
        self._node = Node(sim, Machine(f"i-{number}", f"10.0.0.{number}", "zone", 0.0))
        self.number, self.address = number, self._node.address
        self.disk, self.server = self._node.disk, Asked(self._node)

    def kill(self) -> None:
        self._sim.ensemble.end(self.address, silent=False)

    def freeze(self) -> None:
        self._sim.islands[self.address] = self.number

    def thaw(self) -> None:
        del self._sim.islands[self.address]

    def looks_in_vain(self) -> None:
        self._sim.run(5.0)

    def wait(self, what: str, ask: Callable[[], T | None]) -> T:
        assert ask() or self._sim.run(PATIENCE, lambda: bool(ask())), f"waited in vain for {what}"
        answer = ask()
        assert answer
        return answer


class Asked:
    """A simulated server's protocol. A frozen one is in step for its leader at first, and the proposal does not reach it."""

    def __init__(self, node: Node) -> None:
        self._node, self._link = node, node.link

    def reconfigure(self, address: str, password: str, change: Change) -> Configuration:
        frozen = self._node.sim.islands
        if not frozen:
            return self._link.reconfigure(address, password, change)
        ensemble = self._node.sim.ensemble
        thawed, self._node.sim.islands = frozen, {}
        try:
            ensemble.reconfigure(ensemble.processes[address], change, frozen)
        except Lost as error:
            raise UnknownFact("no answer in time") from error
        finally:
            self._node.sim.islands = thawed
        raise AssertionError("a proposal that its new voters did not hear was committed")

    def __getattr__(self, name: str) -> object:
        return getattr(self._link, name)


@contextmanager
def real(root: Path, count: int) -> Iterator[list[Player]]:
    made = [Real(root, number, client_timeout=2) for number in range(1, count + 1)]
    try:
        yield list(made)
    finally:
        for member in made:
            if member.server.process().running:
                member.kill()


@contextmanager
def simulated(count: int) -> Iterator[list[Player]]:
    sim = Simulation(1)
    sim.ledger.write = lambda: None  # type: ignore[method-assign]
    try:
        yield [Simulated(sim, number) for number in range(1, count + 1)]
    finally:
        sim.close()


__all__ = ["Player", "Stale", "real", "simulated"]
