"""The moments: each is brought about and held, and goes on when what it returned is called."""

from collections.abc import Callable
from typing import NamedTuple

from tests.crash.commands import confirm
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.scenarios.story import LONG, Orders, launched

SIZE = 4  # three voters and a spare


class Roles(NamedTuple):
    """Who is what when the cell begins."""

    leader: Machine
    follower: Machine
    other: Machine  # the other follower
    observer: Machine

    def struck(self, who: str, zk: Group) -> list[Machine]:
        """`all` are those that live now: a newcomer too."""
        found = {"leader": [self.leader], "follower": [self.follower], "observer": [self.observer]}
        return found.get(who) or ([self.leader, self.follower] if who == "majority" else list(zk.living))


class Held(NamedTuple):
    """How the moment goes on, and how many members there are at its end."""

    go_on: Callable[[], None]
    size: int = SIZE


def under_writes(zk: Group, ledger: Ledger, roles: Roles) -> Held:
    return Held(lambda: None)


def joining(zk: Group, ledger: Ledger, roles: Roles) -> Held:
    orders = zk.plan.environment
    assert isinstance(orders, Orders)
    orders[len(zk.machines)] = "before:reconfigure:pause"
    new = launched(zk)
    zk.scale(SIZE + 1)
    (newcomer,) = zk.wait_until(new, "a fifth machine is launched")
    return Held(going_on(zk, newcomer, "it is about to be let in"), SIZE + 1)


def leaving(zk: Group, ledger: Ledger, roles: Roles) -> Held:
    roles.other.stop_at_step("before:reconfigure:pause")
    begun = roles.other.zkboot_pids()  # these know nothing of it
    zk.wait_until(lambda: not begun & roles.other.zkboot_pids(), "a turn that began before the order has ended", LONG)
    zk.region.take(roles.other)
    return Held(going_on(zk, roles.other, "it is about to leave"))


def reseeding(zk: Group, ledger: Ledger, roles: Roles) -> Held:
    roles.leader.stop_at_step("after:prove:pause")
    roles.leader.start_zkboot("reseed", "--replace-live", *confirm(zk))
    return Held(going_on(zk, roles.leader, "it leads the next generation alone"))


def backing_up(zk: Group, ledger: Ledger, roles: Roles) -> Held:
    roles.other.stop_at_step("after:begin upload:pause")
    roles.other.start_zkboot("backup")
    return Held(going_on(zk, roles.other, "an upload has begun"))


def going_on(zk: Group, machine: Machine, what: str) -> Callable[[], None]:
    """Waits until it is stopped there; its zkboot goes on, unless its machine has lost power."""
    zk.wait_until(lambda: machine.stopped_at_step, what, LONG)

    def go_on() -> None:
        if machine.on:
            machine.thaw_zkboot()

    return go_on


BROUGHT_ABOUT: dict[str, Callable[[Group, Ledger, Roles], Held]] = {
    "under writes": under_writes,
    "idle": under_writes,
    "joining": joining,
    "leaving": leaving,
    "reseeding": reseeding,
    "backup": backing_up,
}
