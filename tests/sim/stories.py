"""The plain stories: what a person would try first."""

import math
from collections.abc import Callable
from functools import partial

from tests.sim.backups import allow
from tests.sim.engine import Killed
from tests.sim.node import Node
from tests.sim.simulation import Simulation, Violation
from zkboot import adoptions, commands, restores, turns
from zkboot import record as records
from zkboot.model import Configuration, Server
from zkboot.reconcile import silence

PATIENCE = 240.0


def settle(sim: Simulation, patience: float = PATIENCE) -> None:
    """Until all is healthy, or rightly halted. Raises Violation with what stands in the way."""
    sim.run(1.0)
    if not sim.run(patience, lambda: sim.settled() or sim.halted_rightly()) and not sim.over:
        said = "; ".join(f"{n.id} ({n.machine.lifecycle}): {n.said}" for n in sim.living())
        sim.ledger.broken(f"not healthy after {patience:.0f} s: {said}")
    sim.ledger.check()
    if sim.ledger.found:
        raise Violation("\n".join(sim.ledger.found))


def scale(sim: Simulation, desired: int) -> None:
    sim.tell(f"--- desired capacity {desired}")
    sim.fleet.desired = desired


def create(sim: Simulation, size: int) -> None:
    scale(sim, size)
    settle(sim)


def members(sim: Simulation, count: int) -> list[Node]:
    """The first so many nodes that live; the leader's comes last."""
    leader = sim.leader()
    nodes = sorted(sim.living(), key=lambda n: (leader is not None and n.address == leader.address, n.id))
    return nodes[:count]


def terminate(sim: Simulation, count: int) -> None:
    for node in members(sim, count):
        sim.fleet.terminate(node.machine)


def power_cut(sim: Simulation, count: int, seconds: float = 5.0) -> None:
    for node in members(sim, count):
        node.tell("power cut")
        sim.power_off(node)
        sim.after(seconds, partial(sim.boot, node))


def wipe(sim: Simulation, count: int) -> None:
    """The machine stops and comes back with a new data volume."""
    nodes = members(sim, count)
    power_cut(sim, count)
    for node in nodes:
        node.tell("its data volume is wiped")
        node.files.new_volume()


def replace(sim: Simulation) -> None:
    create(sim, 3)
    terminate(sim, 1)
    settle(sim)


def power_cut_two(sim: Simulation) -> None:
    create(sim, 3)
    power_cut(sim, 2)
    settle(sim)


def power_cut_all(sim: Simulation) -> None:
    create(sim, 3)
    power_cut(sim, 3)
    settle(sim)


def wipe_one(sim: Simulation) -> None:
    create(sim, 3)
    wipe(sim, 1)
    settle(sim)


def wipe_two(sim: Simulation) -> None:
    create(sim, 3)
    wipe(sim, 2)
    settle(sim)


def majority_terminated(sim: Simulation) -> None:
    """Row 19: the survivor that holds the most reseeds."""
    create(sim, 5)
    terminate(sim, 3)
    settle(sim)


def leader_and_another_terminated(sim: Simulation) -> None:
    create(sim, 3)
    for node in sim.living()[1:]:
        sim.fleet.terminate(node.machine)
    settle(sim)


def leader_terminated(sim: Simulation) -> None:
    create(sim, 3)
    sim.fleet.terminate(members(sim, 3)[-1].machine)
    settle(sim)


def commanded(sim: Simulation, command: str) -> None:
    """A person replaces an ensemble that serves."""
    create(sim, 3)
    node = members(sim, 1)[0]
    sim.command(node, command, lambda: commands.replace(node.world, sim.settings, silence, command, True))
    sim.run(60.0, lambda: sim.ledger.record is not None and sim.ledger.record.generation == 2)
    settle(sim)
    assert sim.ledger.record is not None and sim.ledger.record.generation == 2


def adopt(sim: Simulation, unlisted: int = 0) -> None:
    """Three servers that others built serve; a person stops one after the other and, some turns of its own timer later, types
    `zkboot adopt` on it. Of the last `unlisted` EC2 does not tell while the first writes the record."""
    nodes = built_by_others(sim)
    known = {node: node.machine.known_at for node in nodes}
    for node in nodes[len(nodes) - unlisted :]:
        node.machine.known_at = math.inf
    for node in nodes:
        take_in(sim, node, nodes)
        assert taken_in(node), f"{node.id}: {node.said}"
        for other in nodes:
            other.machine.known_at = known[other]
    all_taken_in(sim, nodes)


def adopt_two_at_once(sim: Simulation) -> None:
    """Two persons, of whom neither knows of the other, each begin with another of five."""
    nodes = built_by_others(sim, 5)
    for node in nodes[:2]:
        sim.ensemble.end(node.address, silent=False)
    for node in nodes[:2]:
        sim.command(node, "adopt", partial(adoptions.adopt_live, node.world, sim.settings, silence, nodes[2].address))
    sim.run(40.0, lambda: all(taken_in(node) for node in nodes[:2]))
    all_taken_in(sim, nodes)


def adopt_without_the_first(sim: Simulation) -> None:
    """The first of five is lost right before it puts the identity there; whom the record has goes on in its place."""
    nodes = built_by_others(sim, 5)
    first, *rest = nodes

    def script(node: Node, point: str) -> None:
        if point == "before prove" and not first.gone:
            sim.fleet.terminate(first.machine)
            raise Killed

    sim.script = script
    sim.ensemble.end(first.address, silent=False)
    sim.command(first, "adopt", partial(adoptions.adopt_live, first.world, sim.settings, silence, rest[0].address))
    sim.run(20.0, lambda: first.gone and all(node.said.startswith("halted: ") for node in rest))
    assert all("`zkboot adopt --through" in node.said for node in rest)
    all_taken_in(sim, rest)


def all_taken_in(sim: Simulation, nodes: list[Node]) -> None:
    for node in nodes:
        if not taken_in(node):
            take_in(sim, node, nodes)
    assert not any(node.files.archives for node in nodes), "a member's data was archived instead of taken in"
    sim.fleet.frozen = False
    settle(sim)
    assert sim.ledger.record is not None and sim.ledger.record.generation == 1


def adopt_what_had_registered(sim: Simulation) -> None:
    """zkboot had found the disks empty, and promised so, before others built an ensemble on them. After the first is taken in,
    the others' servers end for a while: nobody goes on without what they hold."""
    scale(sim, 4)
    sim.run(10.0, lambda: len(sim.nodes) == 3)
    sim.fleet.frozen = True
    nodes = list(sim.nodes.values())
    sim.run(20.0, lambda: all(node.files.promised and "3 of 4 instances registered" in node.said for node in nodes))
    set_up(sim, nodes)
    sim.run(20.0, lambda: sim.leader() is not None and all(node.said.startswith("halted: ") for node in nodes))
    take_in(sim, nodes[0], nodes)
    sim.run(10.0)
    for node in nodes[1:]:
        sim.ensemble.end(node.address, silent=False)
    sim.run(40.0)
    scale(sim, 3)
    all_taken_in(sim, nodes)


def built_by_others(sim: Simulation, size: int = 3) -> list[Node]:
    """So many serve whom nobody but each other knows; zkboot halts beside each. Nothing is launched from here on."""
    scale(sim, size)
    sim.run(10.0, lambda: len(sim.nodes) == size)
    sim.fleet.frozen = True
    nodes = list(sim.nodes.values())
    set_up(sim, nodes)
    sim.run(10.0, lambda: sim.leader() is not None and all(node.said for node in nodes))
    return nodes


def set_up(sim: Simulation, nodes: list[Node]) -> None:
    """As somebody does by hand."""
    lines = tuple(Server(number, node.address) for number, node in enumerate(nodes, 1))
    for number, node in enumerate(nodes, 1):
        node.files.log, node.files.built_as, node.files.committed = [], number, Configuration(0, lines)
        sim.ensemble.start(node.id, node.address, node.files)


def take_in(sim: Simulation, node: Node, nodes: list[Node]) -> None:
    """A person stops its server, looks away, and types the command, again where that was cut short; the others are seen to."""
    through = next(n for n in nodes if n is not node)
    typed = partial(adoptions.adopt_live, node.world, sim.settings, silence, through.address)
    sim.ensemble.end(node.address, silent=False)
    for _ in range(6):
        for other in nodes:
            if other is not node and other.up and other.files.generation is None:
                sim.ensemble.start(other.id, other.address, other.files)
        if not taken_in(node):
            sim.run(4.0)
            sim.command(node, f"adopt --through {through.address}", typed)
            sim.run(40.0, lambda: taken_in(node))


def taken_in(node: Node) -> bool:
    return node.files.generation is not None and node.said.startswith("healthy")


def all_wiped_with_a_backup(sim: Simulation) -> None:
    """Row 20: no survivor, and a backup that may be restored unasked."""
    backed_up(sim, 3)
    wipe(sim, 3)
    settle(sim)


def all_terminated_with_a_backup(sim: Simulation) -> None:
    backed_up(sim, 3)
    terminate(sim, 3)
    settle(sim)


def survivor_behind_the_backup(sim: Simulation) -> None:
    """One that was down while the others went on, and were backed up."""
    create(sim, 3)
    behind = members(sim, 1)[0]
    sim.power_off(behind)
    sim.run(10.0)
    gone = [node for node in members(sim, 3) if node is not behind]
    sim.backups.make(gone[-1])
    allow(sim)
    for node in gone:
        sim.fleet.terminate(node.machine)
    sim.boot(behind)
    settle(sim)


def damaged_backup(sim: Simulation) -> None:
    """The newest turns out damaged when it is restored: the one before it is."""
    backed_up(sim, 3)
    sim.run(3.0)
    sim.backups.make(members(sim, 3)[-1])
    sim.backups.damaged.add(sim.backups.made[-1].about.name)
    wipe(sim, 3)
    settle(sim)


def backed_up(sim: Simulation, size: int) -> None:
    create(sim, size)
    sim.run(3.0)
    sim.backups.make(members(sim, size)[-1])
    allow(sim)
    sim.run(3.0)


def restored(sim: Simulation) -> None:
    """A person goes back to a backup while the ensemble serves."""
    backed_up(sim, 3)
    node = members(sim, 1)[0]
    source = f"{sim.settings.backup.prefix}{sim.backups.made[0].about.name}"
    sim.command(node, "restore", lambda: commands.replace(node.world, sim.settings, silence, "restore", True, source))
    sim.run(60.0, lambda: sim.ledger.record is not None and sim.ledger.record.generation == 2)
    settle(sim)
    assert sim.ledger.record is not None and sim.ledger.record.generation == 2


def gone_but_for_the_backups(sim: Simulation) -> None:
    """The record is deleted and every member terminated; a person begins again on one of those that come, and halt."""
    backed_up(sim, 3)
    kept = sim.backups.made[0].writes
    gone = members(sim, 3)
    for node in gone:
        sim.power_off(node)
    sim.bucket.forget(records.record_key(sim.settings.cluster))
    sim.ledger.records.clear()
    sim.ledger.excused |= {write for write in sim.ledger.acknowledged if write not in kept}
    for node in gone:
        sim.fleet.terminate(node.machine)
    sim.run(60.0, lambda: len(sim.living()) == 3 and all("the record is lost" in node.said for node in sim.living()))
    source = f"{sim.settings.backup.prefix}{sim.backups.made[0].about.name}"
    begun = lambda: sim.ledger.record is not None  # noqa: E731
    for _ in range(8):  # typed again, there, for as long as that is cut short
        if not begun():
            typing = sim.living()[0]
            sim.command(typing, "restore --adopt-cluster-id", partial(beginning, typing, source))
            sim.run(30.0, begun)
    settle(sim)
    assert sim.ledger.record is not None and sim.ledger.record.generation == 2


def beginning(node: Node, source: str) -> int:
    restores.begin(node.world, node.sim.settings, source)
    return turns.bootstrap(node.world, node.sim.settings, silence)


def sizes(*desired: int) -> Callable[[Simulation], None]:
    def play(sim: Simulation) -> None:
        for size in desired:
            create(sim, size)

    return play


SIZES = (
    (1,),
    (2,),
    (3,),
    (5,),
    (3, 5, 3),
    (3, 7),
    (7, 3),
    (1, 3),
    (3, 1),
    (1, 2, 1),
    (2, 3, 2),
    (3, 0),
    (5, 1, 5),
    (1, 7, 1, 2, 3),
)
STORIES: dict[str, Callable[[Simulation], None]] = {
    **{"create and scale " + "-".join(map(str, s)): sizes(*s) for s in SIZES},
    "replace a terminated instance": replace,
    "replace the leader": leader_terminated,
    "two of three power cut": power_cut_two,
    "all power cut": power_cut_all,
    "one disk wiped": wipe_one,
    "two disks wiped": wipe_two,
    "a majority terminated": majority_terminated,
    "two of three terminated": leader_and_another_terminated,
    "all wiped, with a backup": all_wiped_with_a_backup,
    "all terminated, with a backup": all_terminated_with_a_backup,
    "a survivor behind the backup": survivor_behind_the_backup,
    "the newest backup is damaged": damaged_backup,
    "a person restores what serves": restored,
    "a person begins again from a backup": gone_but_for_the_backups,
    "a person reseeds what serves": partial(commanded, command="reseed"),
    "a person adopts what others built": adopt,
    "a person adopts what others built, of which EC2 does not tell two yet": partial(adopt, unlisted=2),
    "a person adopts what had registered as empty": adopt_what_had_registered,
    "two persons begin to adopt at once": adopt_two_at_once,
    "the first that is adopted is lost before its proof": adopt_without_the_first,
    "a person creates in place of what serves": partial(commanded, command="create"),
}
