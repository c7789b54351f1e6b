"""Walk the abstract world to its settled end, every node deciding in turn, with faults on the way."""

from collections.abc import Callable
from copy import copy
from itertools import count

from tests.policy.model_world import Node, Stuck, World
from zkboot.model import Action, Backup, Disk, DiskState, Role, State

Fault = Callable[[World, Node], None]


def target(desired: int, max_voters: int) -> int:
    wanted = min(max_voters, max(desired, 1))
    return wanted if wanted < 3 else wanted - (wanted + 1) % 2


def settled(world: World) -> bool:
    """Every living instance is a member that serves, the voters are the target, nobody dead is left in, and all is created."""
    e, record = world.ensemble, world.record
    living = [n for n in world.nodes if n.lives]
    if world.desired == 0:
        return not living
    if (
        e is None
        or record is None
        or record.state is not State.CREATED
        or len(living) != world.desired
        or any(n.taken for n in living)
    ):
        return False
    addresses = sorted(s.address for s in e.configuration.servers)
    voters = [s for s in e.configuration.servers if s.role is Role.PARTICIPANT]
    whole = addresses == sorted(n.address for n in living) and all(n.synced for n in living)
    return (
        whole
        and len(voters) == target(world.desired, world.limits.max_voters)
        and all(n.lifecycle == "InService" for n in living)
    )


def run(world: World, rounds: int = 120) -> int:
    """Turns until settled; raises Stuck with the path when that is not reached. A halt is an end only where nothing that
    counts is left."""
    turns = 0
    for _ in range(rounds):
        world.scale()
        halted = False
        for node in [n for n in world.nodes if n.lives]:
            if not node.lives:
                continue
            decision = world.turn(node)
            turns += 1
            halted |= decision is not None and decision.action is Action.HALT
        if settled(world):
            return turns
        if halted:
            if any(holds_something(n, world) for n in world.nodes if n.lives):
                raise Stuck(world.told("halted although somebody holds data that counts"))
            return turns
    raise Stuck(world.told(f"not settled after {turns} turns: {shape(world)}"))


def holds_something(node: Node, world: World) -> bool:
    record = world.record
    floor = max(record.created, default=0) if record else 0
    own = node.disk.state is DiskState.DATA and node.disk.identity is not None and node.disk.identity.generation >= floor
    return own


def shape(world: World) -> str:
    e = world.ensemble
    voters = [v.id for v in e.configuration.voters] if e else []
    living = [f"{n.id}{'*' if n.synced else ''}{' taken' if n.taken else ''}" for n in world.nodes if n.lives]
    state = world.record.state if world.record else "absent"
    return f"desired {world.desired}, living {', '.join(living)}, voters {voters}, record {state}"


def settle(desired: int, max_voters: int = 5) -> World:
    world = World(desired, max_voters)
    run(world)
    return world


# --- faults


def back_up(world: World) -> None:
    """A verified backup of all that was acknowledged."""
    assert world.ensemble is not None
    world.backup = Backup("20260101T000000Z", world.ensemble.identity, *world.acknowledged, 100.0)


def terminate(world: World, node: Node) -> None:
    world.terminate(node)


def crash(world: World, node: Node) -> None:
    """The server process ends; its machine lives."""
    node.stop()


def reboot(world: World, node: Node) -> None:
    """The machine comes back with its disks; what was timed since boot is forgotten."""
    node.stop()
    node.held, node.reported = {}, -1e9


def wipe(world: World, node: Node) -> None:
    """The data disk comes back empty; the root disk keeps its copy of a promise."""
    reboot(world, node)
    node.disk = Disk(DiskState.EMPTY, promised=node.disk.promised)


FAULTS: tuple[Fault, ...] = (terminate, crash, reboot, wipe)


def fork(world: World) -> World:
    """The same world again, to go another way from here: all that it is made of is immutable but nodes, lists and dicts."""
    new = copy(world)
    twins = {id(n): copy(n) for n in world.nodes}
    for twin in twins.values():
        twin.held = dict(twin.held)
    new.nodes = [twins[id(n)] for n in world.nodes]
    new.numbers, new.etags = count(len(world.nodes) + 1), count(1_000_000)
    new.reports, new.proved, new.path = dict(world.reports), set(world.proved), list(world.path)
    if world.ensemble is not None:
        new.ensemble = world.ensemble._replace(leader=twins[id(world.ensemble.leader)])
    return new


def states(world: World, rounds: int = 40) -> list[World]:
    """The world before every turn on its way to the settled end."""
    found = []
    for _ in range(rounds):
        world.scale()
        for node in [n for n in world.nodes if n.lives]:
            found.append(fork(world))
            world.turn(node)
        if settled(world):
            return [*found, fork(world)]
    raise Stuck(world.told("not settled"))


def strike(world: World, fault: Fault, *indexes: int) -> World:
    """A fork in which these nodes are struck at once, told in the path."""
    struck = fork(world)
    for index in indexes:
        node = struck.nodes[index]
        struck.path.append(f"{struck.now:>6.0f} !! {fault.__name__} {node.id}")
        fault(struck, node)
    struck.elect()
    return struck
