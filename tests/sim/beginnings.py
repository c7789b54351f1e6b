"""Directed schedules, as in `races`, of how a cluster or a generation begins: what was not finished, and what was forgotten."""

import math

from tests.sim.director import Director, Hold
from tests.sim.node import Node
from tests.sim.stories import built_by_others, take_in
from zkboot import record as records
from zkboot.model import Holds


def until_three_vote(d: Director) -> None:
    """Three voters, and none of their zkboots comes to saying `created`."""
    d.wait(lambda: (leader := d.sim.leader()) and len(leader.committed.voters) == 3, "three voters")


def uncounted(d: Director, node: Node) -> None:
    """That node never says `created`, until the schedule is over."""
    d.hold(node, "before set created")


def seed_emptied(d: Director) -> None:
    """Three voters serve, not yet `created`; the seed is cut off and comes back with an empty disk."""
    d.sim.fleet.desired = 3
    d.wait(lambda: len(d.sim.nodes) == 3, "three machines")
    nodes = list(d.sim.nodes.values())
    for node in nodes:
        uncounted(d, node)
    until_three_vote(d)
    seed = next(n for n in nodes if n.id == d.record().seed)
    d.part(seed)
    d.wipe(seed)
    others = [n for n in nodes if n is not seed]
    d.wait(lambda: d.serves(*others), "the others serve")
    d.run(10)


def started_without_its_fence(d: Director) -> None:
    """J restores a backup and is switched off right before its fence; when it is back AWS does not answer it for a while. Two
    join; not yet `created`, J is cut off and comes back with an empty disk."""
    j, b, c = d.grow(3)
    d.sim.power_off(j)
    d.run(10)
    d.back_up()
    d.terminate(b, c)
    d.sim.boot(j)
    d.reach(j, "before fence")
    d.sim.power_off(j)
    j.aws = False
    d.sim.boot(j)
    d.run(10)
    j.aws = True
    uncounted(d, j)
    d.sim.arrived = lambda node: uncounted(d, node)
    d.sim.fleet.frozen = False
    until_three_vote(d)
    d.part(j)
    d.wipe(j)
    d.run(20)


def alone(d: Director) -> tuple[Node, Hold, Hold]:
    """Three machines: the seed serves alone, not yet `created`, while the two others stand still."""
    d.sim.fleet.desired = 3
    d.wait(lambda: len(d.sim.nodes) == 3, "three machines")
    d.wait(lambda: d.sim.ledger.record, "a record")
    seed = d.sim.nodes[d.record().seed]
    one, other = (d.hold(n, "disk read") for n in d.sim.nodes.values() if n is not seed)
    d.wait(lambda: d.serves(seed), "the seed serves alone")
    return seed, one, other


def old_volume_of_a_creation(d: Director) -> None:
    """The seed serves alone, not yet `created`, and loses its volume; it creates anew, and is switched off before it has
    built anything. The two others are its joiners by then, and it comes back with the volume that it had lost."""
    seed, one, other = alone(d)
    d.take_volumes(seed)
    d.wait(lambda: d.record().generation == 2, "the creation begins anew")
    assert not d.record().started
    d.sim.power_off(seed)
    d.release(one, other)
    d.wait(lambda: all(d.reports(still.node, Holds.JOINING) for still in (one, other)), "the two are its joiners")
    d.give_back_volumes(seed)
    d.run(10)


def promised_after_its_fence(d: Director) -> None:
    """The seed J serves alone, not yet `created`, loses its volume and reports that; another stands right before it creates anew.
    J comes back with its volume, reports `joining`, and is switched off right before the raise. It boots again; then it is cut
    off from all, and the other goes on."""
    j, still, later = alone(d)
    d.take_volumes(j)
    d.hold(j, "before create again")
    d.wait(lambda: d.reports(j, Holds.EMPTY), "it reports that it is empty")
    d.release(still)
    judge = d.reach(still.node, "before create again")
    d.give_back_volumes(j)
    d.reach(j, "before raise")
    d.sim.power_off(j)
    d.hold(j, "before raise")
    d.sim.boot(j)
    d.run(5)
    d.part(j)
    j.aws = False
    d.release(judge)
    d.run(20)
    d.release(later)
    d.run(20)


def survivor_of_a_creation(d: Director) -> None:
    """The seed J serves alone, not yet `created`, and loses its volume; another creates anew, without it. J gets its volume back,
    and the other is terminated before its fence."""
    j, still, later = alone(d)
    d.run(5)
    d.take_volumes(j)
    d.wait(lambda: d.reports(j, Holds.EMPTY), "it reports that it is empty")
    d.hold(j, "disk read")
    d.release(still)
    d.reach(still.node, "before fence")
    d.give_back_volumes(j)
    d.wait(lambda: "this node keeps its data" in j.said, "J keeps its data")
    d.terminate(still.node)
    d.release(later)
    d.run(30)


def old_configuration_of_a_joiner(d: Director) -> None:
    """A joiner knows the seed alone, and is cut off while two others become voters with the seed. The seed loses its volume and
    leads no more; when it comes back the joiner is cut off no longer, and its zkboot goes on later."""
    d.sim.fleet.desired = 4
    d.wait(lambda: len(d.sim.nodes) == 4, "four machines")
    seed, joiner, *others = d.sim.nodes.values()  # the seed is the first to answer the one that is back
    beaten = [d.hold(node, "before create") for node in (joiner, *others)]
    d.wait(lambda: d.sim.ledger.record, "a record")
    d.release(*beaten)
    still = [d.hold(node, "disk read") for node in others]
    d.wait(lambda: d.serves(seed) and knows(joiner) == knows(seed) != 0, "the joiner has the seed's configuration")
    later = d.reach(joiner, "disk read")
    d.part(joiner)
    d.release(*still)
    until_three_vote(d)
    d.run(5)
    d.sim.power_off(seed)
    d.wait(lambda: d.serves(*others), "the two others serve")
    d.sim.islands = {}
    d.wipe(seed)
    d.run(5)
    d.release(later)
    d.run(10)


def knows(node: Node) -> int:
    """The version of the configuration that its server goes by; 0 where none runs."""
    process = node.process()
    return process.committed.version if process is not None else 0


def bucket_emptied(d: Director) -> None:
    """All are off while somebody deletes the cluster's record and reports. Two come back with empty disks, as many as are wanted
    by now; then the one with the data; then the record is put back, where there is none."""
    a, b, c = d.grow(3)
    d.run(5)
    for node in (a, b, c):
        d.sim.power_off(node)
    key = records.record_key("c")
    kept = d.sim.bucket.get(key)
    assert kept is not None
    for entry in d.sim.bucket.list("control/c/"):
        d.sim.bucket.forget(entry.key)
    d.sim.fleet.desired = 2
    d.wipe(b, c)
    d.run(30)
    d.sim.boot(a)
    d.run(10)
    if d.sim.bucket.get(key) is None:
        d.sim.bucket.put(key, kept.body, None)
    d.sim.fleet.desired = 3
    d.run(5)


def others_built_it(d: Director) -> None:
    """Three that others built serve. EC2 tells of one alone when that is taken in; a while goes by before a person comes to the
    next, and to the last."""
    nodes = built_by_others(d.sim)
    known = {node: node.machine.known_at for node in nodes}
    for node in nodes[1:]:
        node.machine.known_at = math.inf
    take_in(d.sim, nodes[0], nodes)
    for node in nodes[1:]:
        node.machine.known_at = known[node]
    for node in nodes[1:]:
        d.run(15)
        take_in(d.sim, node, nodes)
