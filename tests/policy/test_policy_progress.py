"""From every reachable state, without further faults, some row makes progress: the abstract ensemble always walks to a
settled end.

A walk that sticks or cycles fails with its path, one line a change: time, instance, row, action, reason.
"""

from collections.abc import Iterator
from itertools import combinations

import pytest

from tests.policy.model_world import Node, World
from tests.policy.walk import FAULTS, Fault, back_up, reboot, run, settle, shape, states, strike, target, terminate, wipe
from zkboot.model import Action, Claim, Identity, State

SIZES = range(1, 8)
WALKS = ((0, 1), (0, 2), (0, 3), (0, 5), (1, 3), (2, 4), (3, 5), (3, 1), (5, 3))


def walk(start: int, end: int) -> World:
    """An ensemble of `start` (0: nothing yet) on its way to `end`."""
    if start == 0:
        return World(end)
    world = settle(start)
    world.path.clear()
    world.desired = end
    return world


def living(world: World) -> list[int]:
    return [index for index, node in enumerate(world.nodes) if node.lives]


def voters(world: World) -> int:
    assert world.ensemble is not None, shape(world)
    return len(world.ensemble.configuration.voters)


@pytest.mark.parametrize("max_voters", [5, 7])
@pytest.mark.parametrize("desired", SIZES)
def test_an_ensemble_is_created(desired: int, max_voters: int) -> None:
    assert voters(settle(desired, max_voters)) == target(desired, max_voters)


@pytest.mark.parametrize("max_voters", [5, 7])
@pytest.mark.parametrize("end", [0, *SIZES])
@pytest.mark.parametrize("start", SIZES)
def test_growth_and_shrink(start: int, end: int, max_voters: int) -> None:
    world = settle(start, max_voters)
    world.desired = end
    run(world)
    assert end == 0 or voters(world) == target(end, max_voters)


@pytest.mark.parametrize("start", SIZES)
def test_one_is_replaced_while_the_size_changes(start: int) -> None:
    """Each member dies in turn while the group grows, shrinks or stays; a majority is left, so the same generation goes on."""
    for end in SIZES:
        for index in range(start):
            world = settle(start)
            world.path.clear()
            world.desired = end
            struck = strike(world, terminate, index)
            run(struck)
            assert struck.record is not None
            if target(start, 5) >= 3:
                assert (struck.record.generation, struck.record.state) == (1, State.CREATED), struck.told(
                    "another generation began"
                )


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_two_are_replaced_at_once(size: int) -> None:
    world = settle(size)
    world.path.clear()
    for pair in combinations(living(world), 2):
        run(strike(world, terminate, *pair))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_lost_majority_reseeds_or_asks(size: int) -> None:
    """All but one are terminated or wiped at once: the survivor goes on, and what it holds is kept."""
    for fault in (terminate, wipe):
        for survivor in range(size):
            world = settle(size)
            world.path.clear()
            struck = strike(world, fault, *(i for i in range(size) if i != survivor))
            run(struck)
            assert struck.record is not None and struck.record.state is State.CREATED, struck.told("not created again")


@pytest.mark.parametrize("size", [1, 3, 5])
def test_all_lose_power_and_return(size: int) -> None:
    world = settle(size)
    world.path.clear()
    before = world.acknowledged
    struck = strike(world, reboot, *range(size))
    run(struck)
    assert struck.record is not None and struck.record.generation == 1
    assert struck.acknowledged > before


@pytest.mark.parametrize("size", [1, 3])
def test_all_disks_gone_asks_a_person(size: int) -> None:
    world = settle(size)
    world.path.clear()
    struck = strike(world, wipe, *range(size))
    run(struck)
    assert any(f"row 22 {Action.HALT}" in line for line in struck.path), struck.told("no halt")


@pytest.mark.parametrize("fault", [terminate, wipe], ids=lambda f: f.__name__)
@pytest.mark.parametrize("size", [1, 3])
def test_all_disks_gone_with_a_backup_restores_it(size: int, fault: Fault) -> None:
    lost = all_lost(size, fault)
    run(lost)
    assert lost.record is not None and (lost.record.state, lost.record.generation) == (State.CREATED, 2), lost.told(
        "not restored"
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_fault_at_every_turn_of_a_restore(fault: Fault) -> None:
    for world in states(all_lost(3, wipe)):
        for index in living(world):
            run(strike(world, fault, index))


def test_zkboot_killed_in_the_middle_of_every_action_of_a_restore() -> None:
    for world in killed(all_lost(3, wipe)):
        run(world)


@pytest.mark.parametrize("survivors", [0, 1])
def test_a_damaged_backup_is_given_up(survivors: int) -> None:
    """Then the best survivor goes on, though the backup was ahead of it; without one a person is asked."""
    world = settle(3)
    world.path.clear()
    back_up(world)
    assert world.backup is not None
    world.backup, world.damaged = world.backup._replace(zxid=world.backup.zxid + 1_000), True
    struck = strike(world, wipe, *range(survivors, 3))
    run(struck)
    assert any("restore" in line for line in struck.path), struck.told("never tried")
    ends = f"row 19 {Action.RESEED}" if survivors else f"row 22 {Action.HALT}"
    assert any(ends in line for line in struck.path), struck.told(f"no {ends}")


def all_lost(size: int, fault: Fault) -> World:
    """Every disk is gone, and a backup holds all that was acknowledged."""
    world = settle(size)
    back_up(world)
    world.path.clear()
    return strike(world, fault, *range(size))


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("index", range(3))
def test_what_others_left_waits_for_a_person_and_then_goes_on(index: int, listed: bool) -> None:
    """Two of three are taken in; nothing is done to what the third holds, nor to its place, until a person comes to it."""
    world = strike(settle(3), before_zkboot, index)
    node = world.nodes[index]
    assert world.record is not None and world.ensemble is not None
    claims, members = dict(world.record.members), world.ensemble.configuration
    if not listed:
        world.change(members={i: c for i, c in claims.items() if c.instance_id != node.id})
    before = world.record, node.disk, members
    for _ in range(40):
        for one in world.nodes:
            made = world.turn(one)
            assert made is not None and (one is not node or "`zkboot adopt --through " in made.reason), world.told("no advice")
    assert (world.record, node.disk, world.ensemble.configuration) == before, world.told("not left as it was")
    take_in(world, node)
    run(world)
    assert not node.disk.archives and world.record.members.keys() == claims.keys(), world.told("not taken in")


def before_zkboot(world: World, node: Node) -> None:
    """As others built it, its server stopped: no generation file, no report."""
    node.stop()
    node.disk = node.disk._replace(identity=None, myid=node.disk.server_id, server_id=None, seeded=False, fenced=False)
    world.reports.pop(node.id, None)


def take_in(world: World, node: Node) -> None:
    """What `zkboot adopt` does for a member that is not the first."""
    assert world.record is not None and node.disk.myid is not None
    kept = {i: c for i, c in world.record.members.items() if i != node.disk.myid}
    world.change(members=kept | {node.disk.myid: Claim(node.id, node.address, node.zone, world.now)})
    identity = Identity(world.record.cluster_id, world.record.generation)
    node.disk = node.disk._replace(identity=identity, server_id=node.disk.myid, myid=None)
    world.start(node)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("start", "end"), WALKS)
def test_a_fault_at_every_turn(start: int, end: int, fault: Fault) -> None:
    """Every node struck before every turn of a walk: whatever state that leaves, the rest of the walk ends."""
    for world in states(walk(start, end)):
        for index in living(world):
            run(strike(world, fault, index))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("start", "end"), [w for w in WALKS if w[1] <= 3])
def test_two_faults_at_every_turn(start: int, end: int, fault: Fault) -> None:
    for world in states(walk(start, end)):
        for pair in combinations(living(world), 2):
            run(strike(world, fault, *pair))


@pytest.mark.parametrize(("start", "end"), WALKS)
def test_zkboot_killed_in_the_middle_of_every_action(start: int, end: int) -> None:
    """Killed after each step of each action; the next turns finish it or begin anew."""
    for world in killed(walk(start, end)):
        run(world)


def killed(world: World) -> Iterator[World]:
    for before in states(world):
        for index in living(before):
            for steps in range(1, 8):
                now = strike(before, nothing)
                now.turn(now.nodes[index], killed_after=steps)
                if now.steps < steps:
                    break
                yield now


def nothing(world: World, node: object) -> None:
    """No fault."""
