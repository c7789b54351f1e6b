"""An ensemble under writes whose zkboots are stopped at their steps; power that was cut by an order returns."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import processes
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, Orders, record
from zkboot.errors import DONE, WAITING

KILLED = -signal.SIGKILL
AGAIN = (KILLED, WAITING)  # how what is typed ends when it is typed again


class Order(NamedTuple):
    """zkboot is stopped right before or right after a step: killed, or with the power of its whole machine."""

    when: str  # before, after
    step: str
    how: str  # kill, power

    def __str__(self) -> str:
        return f"{self.when}:{self.step}:{self.how}"


def turns(machine: Machine) -> set[int]:
    """The processes of its recovery's turn, while one goes on (what stands still at a step is killed by its story)."""
    return {pid for pid in processes.moving(machine.zkboot_pids()) if "recover" in processes.command_line(pid)}


def shared_file(region: Region) -> Path:
    """A new one, for the orders that are carried out."""
    return region.path / f"steps-{time.time_ns():x}"


class Scene:
    """One story's ensemble, the ledger that writes to it, and the orders of the case, each to be carried out once: `done` is the
    file in which the machines note that."""

    def __init__(self, zk: Group, ledger: Ledger, orders: tuple[Order, ...], done: Path) -> None:
        self.zk = zk
        self.region: Region = zk.region
        self.ledger = ledger
        self.orders = orders
        self._done = done
        self._armed: tuple[Machine, ...] = ()
        self._returned: set[tuple[str, str]] = set()  # (instance id, order): after which the power has returned

    # Orders

    def arm(self, *machines: Machine) -> None:
        """The first of these that comes to an order's step meets it; a turn that began before, and knows nothing, ends first."""
        self._armed = machines
        for machine in machines:
            machine.stop_at_step(*map(str, self.orders), shared=self._done)
        before = {turn for machine in machines for turn in turns(machine)}
        self.until(lambda: not any(before & turns(m) for m in machines), "the turns that began before have ended")

    def arm_next(self, count: int = 9) -> None:
        """So do the machines that are launched from now on."""
        arm_launches(self._environment, len(self.zk.machines), count, self.orders, self._done)

    def disarm(self) -> None:
        """What has not been met never will be."""
        self._environment.clear()
        for machine in self.zk.living:
            machine.stop_at_step()

    @property
    def _environment(self) -> Orders:
        assert isinstance(self.zk.plan.environment, Orders)
        return self.zk.plan.environment

    @property
    def missed(self) -> list[Order]:
        """Whoever has let go may be ended by the group before it is stopped there."""
        met = self._done.read_text().splitlines() if self._done.exists() else []
        ended = self._armed and not any(machine.on for machine in self._armed)
        gone = [order for order in self.orders if ended and (order.when, order.step) == ("after", "let go")]
        return [order for order in self.orders if str(order) not in met and order not in gone]

    @property
    def met_at(self) -> float:
        """When the last of the orders was carried out (Unix time)."""
        return self._done.stat().st_mtime if self._done.exists() else time.time()

    # Waiting

    def until(self, condition: Callable[[], object], what: str, deadline: float = LONG) -> Any:
        return self.region.wait_until(lambda: self.power_returns() or condition(), what, deadline)

    def power_returns(self) -> None:
        """At each machine that an order has cut off."""
        for machine in self.zk.living:
            for order in machine.steps_met:
                if order.endswith(":power") and (machine.instance_id, order) not in self._returned and not machine.on:
                    self._returned.add((machine.instance_id, order))
                    machine.power_cut()
                    machine.power_on()

    def until_met(self) -> None:
        self.until(lambda: not self.missed, f"a zkboot is stopped {' and '.join(map(str, self.missed))}")

    def until_serving(self, size: int) -> None:
        self.until(lambda: self.zk.in_service(size) and self.zk.serving(size), f"{size} serve, all let in")

    def until_writing(self) -> None:
        begun = self.ledger.acknowledged
        self.until(lambda: self.ledger.acknowledged > begun + 2, "writes are acknowledged")

    def until_generation(self, above: int) -> None:
        self.until(lambda: record(self.zk).get("generation", 0) > above, f"a generation above {above} is begun")

    # A person

    def typed(
        self,
        machine: Machine,
        *arguments: str,
        ready: Callable[[], object] | None = None,
        done: Callable[[], object] = lambda: False,
        ends_with: int = DONE,
        again: tuple[int, ...] = AGAIN,
    ) -> str:
        """Typed on that machine; again when an order has killed it, or it says that it cannot be done now, once the machine is
        `ready` (on, unless said), until its part is `done`. What it said last, "" where that was not waited for."""
        until = time.monotonic() + LONG
        while True:
            self.until(ready or (lambda: machine.on), f"{machine} is ready")
            if done():
                return ""
            code, said = self.run(machine, *arguments)
            last = "".join(said.strip().splitlines()[-1:])
            self.region.tell(f"{machine.instance_id}: zkboot {' '.join(arguments)}: ended with {code}: {last}")
            if code == ends_with:
                return said
            assert code in again or "run the command again" in last, said
            assert time.monotonic() < until, said

    def run(self, machine: Machine, *arguments: str) -> tuple[int, str]:
        """How it ended, and what it said; it may wait for a machine whose power an order has cut, and which returns meanwhile."""
        command = machine.start_zkboot(*arguments)
        try:
            self.until(lambda: command.poll() is not None, f"`zkboot {' '.join(arguments)}` on {machine} ends")
        finally:
            command.kill()
            said, _ = command.communicate()
        return command.returncode, said


def arm_launches(environment: Orders, first: int, count: int, orders: tuple[Order, ...], done: Path) -> None:
    """The machines from the `first` on, counted from 0, have these orders from their launch."""
    environment.shared = done
    environment.update(dict.fromkeys(range(first, first + count), ",".join(map(str, orders))))
