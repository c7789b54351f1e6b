"""An ensemble under writes whose zkboots are stopped at their steps; power that was cut by an order returns."""

import signal
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, Orders

KILLED = -signal.SIGKILL


class Order(NamedTuple):
    """zkboot is stopped right before or right after a step: killed, or with the power of its whole machine."""

    when: str  # before, after
    step: str
    how: str  # kill, power

    def __str__(self) -> str:
        return f"{self.when}:{self.step}:{self.how}"


class Together(Orders):
    """Orders of machines from their launch on; each is met by the first that comes to its step."""

    shared = ""

    def __call__(self, index: int) -> Mapping[str, str]:
        return {**super().__call__(index), "ZKBOOT_LAB_STEPS_SHARED": self.shared}


class Scene:
    """One story's ensemble, the ledger that writes to it, and the orders of the case."""

    def __init__(self, zk: Group, ledger: Ledger, orders: tuple[Order, ...]) -> None:
        self.zk = zk
        self.region: Region = zk.region
        self.ledger = ledger
        self.orders = orders
        self._shared = self.region.path / f"steps-{ledger.name}"
        self._returned: set[tuple[str, str]] = set()  # (instance id, order): after which the power has returned

    # Orders

    def arm(self, *machines: Machine) -> None:
        """The first of these that comes to an order's step meets it, once."""
        for machine in machines:
            machine.stop_at_step(*map(str, self.orders))
            machine.set_environment(ZKBOOT_LAB_STEPS_SHARED=str(self._shared))

    def arm_next(self, count: int = 9) -> None:
        """So do the machines that are launched from now on."""
        environment = self.zk.plan.environment
        assert isinstance(environment, Orders)
        first = len(self.zk.machines)
        environment.update(dict.fromkeys(range(first, first + count), ",".join(map(str, self.orders))))

    def disarm(self) -> None:
        """What has not been met never will be."""
        assert isinstance(self.zk.plan.environment, Orders)
        self.zk.plan.environment.clear()
        for machine in self.zk.living:
            machine.stop_at_step()
            machine.set_environment(ZKBOOT_LAB_STEPS_SHARED=None)

    @property
    def met(self) -> set[str]:
        return {order for machine in list(self.zk.machines.values()) for order in machine.steps_met}

    @property
    def missed(self) -> list[Order]:
        return [order for order in self.orders if str(order) not in self.met]

    @property
    def met_at(self) -> float:
        """When the last of the orders was carried out (Unix time)."""
        notes = [machine.root / "step-done" for machine in self.zk.machines.values()]
        return max(note.stat().st_mtime for note in notes if note.exists())

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
