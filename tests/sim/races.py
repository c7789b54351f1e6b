"""Directed schedules: each is one race, told in its docstring. In most a clause decides whether anything is lost.

J is the judge, who finds that too few voters remain. Volumes that are taken and given back are how an emptied node comes to hold
data again.
"""

from contextlib import suppress

from tests.sim.director import Director
from tests.sim.ensemble import Lost
from tests.sim.node import Node
from zkboot import commands
from zkboot.model import Change, Holds, Role, Server
from zkboot.reconcile import silence


def all_come_back(d: Director, point: str, seconds: float = 8.0) -> None:
    """J stands at `point` of the turn in which its grace ends; the two that had reported `empty` get their disks back and serve,
    cut off from J; J goes on."""
    j, b, c = d.grow(3)
    d.take_volumes(b, c)
    d.wait(lambda: d.finds_too_few(j) and "reports awaited" not in j.said, "J waits for nothing but its grace")
    hold = d.reach(j, point)
    d.run(seconds)
    d.part(j)
    d.give_back_volumes(b, c)
    d.wait(lambda: d.serves(b, c), "the two serve")
    d.run(2)
    d.release(hold)
    d.run(10)


def two_come_and_go(d: Director) -> None:
    """J finds too few; two of the lost come back and serve with A, whose zkboot stands still; then they are lost again, while J
    looks away the whole time. A, which has it all, lives."""
    j, a, b, c, e = d.grow(5)
    d.terminate(e)
    d.take_volumes(b, c)
    d.wait(lambda: d.finds_too_few(j), "J finds too few")
    judge = d.reach(j, "disk read")
    d.part(j)
    starts = d.hold(b, "server start"), d.hold(c, "server start")
    d.give_back_volumes(b, c)
    d.wait(lambda: all(s.there for s in starts), "both about to start")
    d.wait(lambda: d.reports(a, Holds.DATA), "A reports")
    survivor = d.reach(a, "disk read")
    d.release(*starts)
    d.wait(lambda: d.serves(a, b, c), "the three serve")
    d.run(8)
    d.wipe(b, c)
    d.wait(lambda: d.reports(b, Holds.EMPTY) and d.reports(c, Holds.EMPTY), "both report that they are empty")
    d.release(judge)
    d.run(12)
    d.release(survivor)


def come_back_by_halves(d: Director) -> None:
    """The two that had reported `empty` come back, and each stands still right before it reports `joining`, for longer than J's
    grace; J stands still before its compare-and-set; they go on, and then J."""
    j, b, c = d.grow(3)
    d.take_volumes(b, c)
    d.wait(lambda: d.finds_too_few(j), "J finds too few")
    d.part(j)
    halves = d.hold(b, "before report joining"), d.hold(c, "before report joining")
    d.give_back_volumes(b, c)
    d.wait(lambda: all(h.there for h in halves), "both about to report `joining`")
    judge = d.reach(j, "before reseed")
    d.release(*halves)
    d.wait(lambda: d.serves(b, c), "the two serve")
    d.run(3)
    d.release(judge)
    d.run(10)


def old_report(d: Director) -> None:
    """A's report is of a short lack of quorum. Much was written since, without J, which is off; then all but A are terminated,
    A's zkboot stands still, and J comes back."""
    j, a, *others = d.grow(5)
    for node in others:
        d.sim.power_off(node)
    d.wait(lambda: d.reports(a, Holds.DATA) and d.reports(j, Holds.DATA), "A and J report")
    for node in others:
        d.sim.boot(node)
    d.wait(lambda: d.serves(*d.sim.living()), "all serve")
    d.run(3)
    d.sim.power_off(j)
    d.run(8)
    survivor = d.reach(a, "disk read")
    d.terminate(*others)
    d.sim.boot(j)
    d.wait(lambda: d.finds_too_few(j), "J finds too few")
    d.run(12)
    d.release(survivor)


def late_report(d: Director) -> None:
    """A read its disk and stands still before it writes the report; two nodes that were off come back, serve with A, and are
    terminated, all of it without a change of the record; J finds too few, and then A's report lands."""
    j, a, b, c, e = d.grow(5)
    d.terminate(e)
    d.sim.power_off(b)
    d.sim.power_off(c)
    d.wait(lambda: d.reports(a, Holds.DATA), "A reports")
    judge = d.reach(j, "disk read")
    d.part(j)
    report = d.reach(a, f"put control/c/reports/{a.id}")
    d.sim.boot(b)
    d.sim.boot(c)
    d.wait(lambda: d.serves(a, b, c), "the three serve")
    d.run(8)
    d.terminate(b, c)
    d.release(judge)
    d.wait(lambda: d.finds_too_few(j), "J finds too few")
    d.run(2)
    again = d.hold(a, "disk read")
    d.release(report)
    d.run(14)
    d.release(again)


def two_of_three_emptied(d: Director) -> None:
    """Two come back with empty disks at the same time."""
    _, b, c = d.grow(3)
    d.wipe(b, c)
    d.run(5)


def come_back_later(d: Director, aws: bool = True) -> None:
    """Two report `empty` and are switched off; J reseeds and serves; then they come back with their old disks, cut off from J."""
    j, b, c = d.grow(3)
    d.take_volumes(b, c)
    d.wait(lambda: d.reports(b, Holds.EMPTY) and d.reports(c, Holds.EMPTY), "both report that they are empty")
    d.sim.power_off(b)
    d.sim.power_off(c)
    d.wait(lambda: d.record().generation == 2 and d.serves(j), "J serves the next generation")
    d.part(j)
    b.aws = c.aws = aws
    d.give_back_volumes(b, c)
    d.run(40)


def come_back_without_aws(d: Director) -> None:
    """As before, but AWS does not answer the two."""
    come_back_later(d, aws=False)


def given_back_before_it_is_set_up(d: Director) -> None:
    """Two have lost their volumes, and J leads the next generation; they are switched off as they join it, right before they are
    set up. They come back with their old volumes, cut off from J, and AWS answers neither."""
    j, b, c = d.grow(3)
    d.take_volumes(b, c)
    halves = d.hold(b, "before set up"), d.hold(c, "before set up")
    d.wait(lambda: all(h.there for h in halves), "both about to be set up as joiners")
    d.part(j)
    b.aws = c.aws = False
    d.give_back_volumes(b, c)
    d.run(40)


def aws_away_before_it_joins(d: Director) -> tuple[Node, int]:
    """One is cut off from four, of which one survives and reseeds; it waits for that one to lead, AWS goes away, and it is cut
    off no more. Then AWS is back. Returns it, and the last transaction that it had reported."""
    nodes, leader = d.grow(5), d.sim.leader()
    assert leader is not None
    old, _, *gone = sorted(nodes, key=lambda n: n.id == leader.name)
    d.part(old)
    d.run(5)
    d.terminate(*gone)
    d.wait(lambda: "this node keeps its data" in old.said, "it waits for the seed to lead")
    report = d.report(old)
    assert report is not None and report.data is not None
    old.aws = False
    d.sim.islands = {}
    d.run(20)
    old.aws = True
    d.run(10)
    return old, report.data.zxid


def cut_in_commit(d: Director) -> tuple[list[Node], list[Node]]:
    """A voter leaves and a spare takes its place, in one call; all have the proposal on disk, but only the leader and the spare
    hear of the commit: the one that leaves and the third voter are cut off right then. Returns both pairs."""
    nodes = d.grow(4)
    leader = d.sim.leader()
    assert leader is not None
    spare = next(s for s in leader.committed.observers)
    stay = [n for n in nodes if n.address in (leader.address, spare.address)]
    others = [n for n in nodes if n not in stay]

    def cut() -> None:
        d.sim.ensemble.committing = lambda: None
        d.part(*others)

    d.sim.ensemble.committing = cut
    d.sim.fleet.desired = 3
    others[0].machine.lifecycle = "Terminating:Wait"
    d.wait(lambda: d.sim.islands, "the commit")
    d.wait(lambda: d.serves(*stay), "the leader and the spare serve")
    return stay, others


def commit_unheard(d: Director) -> None:
    """The commit of a configuration is not heard by two of the old one; they are restarted again and again."""
    cut_in_commit(d)
    d.run(120)


def commit_unheard_by_those_left(d: Director) -> None:
    """As before, and those that heard of it report `empty` for a while: too few of the pending configuration's voters remain."""
    stay, others = cut_in_commit(d)
    d.run(10)
    d.take_volumes(*stay)
    d.wait(lambda: all(d.reports(n, Holds.EMPTY) for n in stay), "both report that they are empty")
    d.sim.run(60, lambda: d.serves(*others))
    d.give_back_volumes(*stay)
    d.run(30)


def rejoined_then_cut_off(d: Director) -> None:
    """Two report `empty` while each is alone, and join again; then J is cut off from them."""
    j, *others = d.grow(3)
    for node in others:
        d.part(node)
        d.wipe(node)
        d.wait(lambda node=node: d.reports(node, Holds.EMPTY), "it reports that it is empty")  # type: ignore[misc]
        d.sim.islands = {}
        d.wait(lambda node=node: node.said.startswith("healthy"), "it serves again")  # type: ignore[misc]
    d.sim.ensemble.end(j.address, silent=False)
    d.wait(lambda: d.serves(*others), "one of the two leads")
    d.wait(d.sim.settled, "all serve")
    d.part(j)
    d.run(30)


def cut_off(d: Director) -> None:
    """J is cut off from the two others, which serve."""
    j, _, _ = d.grow(3)
    d.run(3)
    d.part(j)
    d.run(30)


def unknown_to_ec2(d: Director) -> None:
    """Two machines are launched, join and become voters; the answers that EC2 gives to J are of a moment before; J is cut off."""
    (j,) = d.grow(1)
    d.run(60)
    d.sim.fleet.frozen = False
    others = [n for n in d.grow(3) if n is not j]
    d.sim.fleet.lag = lambda me: 50.0 if me == j.id else 0.0
    d.part(j)
    d.wait(lambda: d.serves(*others), "the others serve")
    d.run(40)


def most_terminated(d: Director) -> None:
    """Three of five are terminated."""
    d.terminate(*d.grow(5)[:3])
    d.run(5)


def elections_unseen(d: Director) -> None:
    """Without J, which is off, the others elect leaders again and again; then they are terminated, and J comes back."""
    j, *others = d.grow(5)
    d.sim.power_off(j)
    for _ in range(4):
        d.wait(lambda: d.serves(*others), "a leader")
        d.run(3)
        leader = d.sim.leader()
        assert leader is not None
        d.sim.ensemble.end(leader.address, silent=False)
    d.wait(lambda: d.serves(*others), "a leader")
    d.run(3)
    d.terminate(*others)
    d.sim.boot(j)
    d.run(5)


def generation_unseen(d: Director) -> None:
    """As before, but one of the others survives: it reseeds, serves alone and is terminated before `created`; J comes back."""
    j, a, *others = d.grow(5)
    d.sim.power_off(j)
    for _ in range(4):
        d.wait(lambda: d.serves(a, *others), "a leader")
        d.run(3)
        leader = d.sim.leader()
        assert leader is not None
        d.sim.ensemble.end(leader.address, silent=False)
    d.wait(lambda: d.serves(a, *others), "a leader")
    d.terminate(*others)
    d.sim.boot(j)
    d.part(a)
    d.wait(lambda: d.record().generation == 2 and d.serves(a), "A serves the next generation")
    d.run(4)
    d.terminate(a)
    d.run(5)


def come_back_before_a_restore(d: Director) -> None:
    """All lose their volumes, and J stands right before the compare-and-set that names it the seed of a backup; the two others
    get their volumes back and serve, cut off from J; J goes on."""
    j, b, c = d.grow(3)
    d.back_up()
    d.take_volumes(j, b, c)
    hold = d.reach(j, "before restore")
    d.part(j)
    d.give_back_volumes(b, c)
    d.wait(lambda: d.serves(b, c), "the two serve")
    d.run(2)
    d.release(hold)
    d.run(10)


def survivor_ahead_of_the_backup(d: Director) -> None:
    """A backup is made, much is written after it, and two of three are terminated."""
    _, b, c = d.grow(3)
    d.back_up()
    d.run(10)
    d.terminate(b, c)
    d.run(5)


def to_zero_and_back(d: Director) -> None:
    """A backup is made, much is written after it, the group goes to zero, and is wanted again."""
    d.grow(3)
    d.back_up()
    d.run(10)
    d.sim.fleet.desired, d.sim.fleet.frozen = 0, False
    d.wait(lambda: not d.sim.living(), "the end of the last instance")
    d.sim.fleet.desired = 3
    d.run(5)


def person_reseeds(d: Director) -> None:
    """A person has J go on alone in place of what serves, while AWS does not answer the two others."""
    j, b, c = d.grow(3)
    b.aws = c.aws = False
    d.sim.command(j, "reseed", lambda: commands.replace(j.world, d.sim.settings, silence, "reseed", True))
    d.run(20)


def restored_in_vain(d: Director) -> None:
    """A person restores a backup that turns out to be damaged. The two others stop later than J, and much is written meanwhile;
    they stand still while J, whose seed came to nothing, says what it has."""
    _j, b, c = all_stop_for_a_damaged_backup(d)
    slow = [d.hold(node, "disk read") for node in (b, c)]
    d.wait(lambda: d.record().generation == 2 and not d.record().source, "the backup is given up")
    d.run(30)
    d.release(*slow)
    d.run(10)


def damaged_in_vain(d: Director) -> None:
    """As above; the data that one stood still with turns out to be damaged when it boots."""
    _, b, _ = all_stop_for_a_damaged_backup(d)
    d.sim.power_off(b)
    b.files.damaged = True
    d.wait(lambda: d.record().generation == 2 and not d.record().source, "the backup is given up")
    d.sim.boot(b)
    d.run(30)


def all_stop_for_a_damaged_backup(d: Director) -> list[Node]:
    """J, who restores it, before the two others."""
    nodes = j, b, c = d.grow(3)
    d.back_up()
    name = d.sim.backups.made[-1].about.name
    d.sim.backups.damaged.add(name)
    slow = [d.hold(node, "disk read") for node in (b, c)]
    d.sim.command(j, "restore", lambda: commands.replace(j.world, d.sim.settings, silence, "restore", True, name))
    d.wait(lambda: j.process() is None and d.serves(b, c), "the two others go on without J")
    d.run(5)
    d.release(*slow)
    d.wait(lambda: d.reports(b, Holds.EMPTY) and d.reports(c, Holds.EMPTY), "both have stopped")
    return nodes


def joiner_dies_in_commit(d: Director) -> None:
    """One of three is off. The leader alone has the proposal of a fourth when that one, which asked for it, is terminated; then
    the other voter's volume is wiped, and the one that was off comes back."""
    nodes = d.grow(3)
    leader = d.sim.leader()
    assert leader is not None
    off, wiped = (n for n in nodes if n.id != leader.name)
    d.sim.power_off(off)
    d.sim.fleet.desired, d.sim.fleet.frozen = 5, False
    d.wait(lambda: len(d.sim.nodes) == 4, "a fourth machine")
    d.sim.fleet.frozen = True
    joiner = next(n for n in d.sim.nodes.values() if n not in nodes)
    d.reach(joiner, "reconfigure request")
    line = Server(4, joiner.address)
    with suppress(Lost):
        d.sim.ensemble.reconfigure(leader, Change((line,), (), leader.committed.version), set(d.sim.ensemble.processes))
    d.terminate(joiner)
    d.wipe(wiped)
    d.sim.boot(off)
    d.run(60)


def joiner_dies_and_is_let_in(d: Director) -> None:
    """The leader and one voter have the proposal of a sixth as that one is terminated, and both are off. The three others elect;
    a seventh claims the sixth's id, and stands still. The voter is back, follows, is elected later, and commits what it had."""
    nodes = d.grow(5)
    leader = d.sim.leader()
    assert leader is not None
    keeper = max((n for n in nodes if n.id != leader.name), key=lambda n: n.files.server_id or 0)
    d.sim.fleet.desired, d.sim.fleet.frozen = 6, False
    d.wait(lambda: len(d.sim.nodes) == 6, "a sixth machine")
    d.sim.fleet.frozen = True
    joiner = next(n for n in d.sim.nodes.values() if n not in nodes)
    d.reach(joiner, "reconfigure request")
    line = Server(6, joiner.address, Role.OBSERVER)
    with suppress(Lost):
        change = Change((line,), (), leader.committed.version)
        d.sim.ensemble.reconfigure(leader, change, set(d.sim.ensemble.processes) - {keeper.address})
    d.terminate(joiner)
    off = d.sim.nodes[leader.name]
    for node in (off, keeper):
        d.sim.power_off(node)
    rest = [n for n in nodes if n not in (off, keeper)]
    d.wait(lambda: d.serves(*rest), "the others serve")
    d.sim.fleet.frozen = False
    d.wait(lambda: len(d.sim.nodes) == 7, "a seventh machine")
    d.sim.fleet.frozen = True
    newcomer = next(n for n in d.sim.nodes.values() if n not in (*nodes, joiner))
    enters = d.reach(newcomer, "reconfigure request")
    d.sim.boot(keeper)
    d.wait(lambda: follows(d, keeper), "the one with the proposal follows")
    leads = d.sim.leader()
    assert leads is not None
    d.sim.power_off(d.sim.nodes[leads.name])
    d.wait(lambda: d.serves(keeper), "it leads")
    d.release(enters)
    d.run(30)


def voter_dies_in_commit(d: Director) -> None:
    """A voter leaves and a spare takes its place, in one call, which the third voter does not hear of any more: it is terminated.
    The leader and the one that leaves are a majority of the old voters, the leader and the spare follow each other as before, and
    nobody but a voter acknowledges."""
    nodes = d.grow(4)
    leader = d.sim.leader()
    assert leader is not None
    (spare,) = leader.committed.observers
    dies, leaves = (n for n in nodes if n.address not in (leader.address, spare.address))
    line = leader.committed.server(next(v.id for v in leader.committed.voters if v.address == leaves.address))
    assert line is not None
    promoted = spare._replace(role=Role.PARTICIPANT)
    with suppress(Lost):
        d.sim.ensemble.reconfigure(leader, Change((promoted,), (line.id,), leader.committed.version), {dies.address})
    d.terminate(dies)
    d.run(5)
    assert d.sim.ensemble.in_vain(leader), "it does not lead in vain"


def away_while_all_others_are_replaced(d: Director) -> None:
    """One of five is off while the four others are terminated and replaced, one after the other; then it comes back."""
    *others, off = d.grow(5)
    d.sim.power_off(off)
    d.sim.fleet.frozen = False
    for node in others:
        d.terminate(node)
        d.wait(lambda node=node: replaced(d, node, 5), "a voter in its place")  # type: ignore[misc]
    d.sim.boot(off)
    d.run(60)


def replaced(d: Director, node: Node, size: int) -> bool:
    leader = d.sim.leader()
    addresses = {v.address for v in leader.committed.voters} if leader is not None else set()
    return len(addresses) == size and node.address not in addresses


def follows(d: Director, node: Node) -> bool:
    process = node.process()
    return process is not None and d.sim.ensemble.in_step(process)


def let_in_by_the_generation_before(d: Director) -> None:
    """One of two voters is terminated, and a newcomer follows nobody; it stands still right after it has read the record. The
    other leads the next generation, followed by the newcomer's server, and is not proved yet when the newcomer goes on."""
    j, b = d.grow(2)
    d.sim.fleet.desired, d.sim.fleet.frozen = 3, False
    d.wait(lambda: len(d.sim.nodes) == 3, "a third machine")
    d.sim.fleet.desired, d.sim.fleet.frozen = 2, True
    newcomer = next(n for n in d.sim.nodes.values() if n not in (j, b))
    d.wait(lambda: newcomer.process() is not None, "its server runs")
    hold = d.reach(newcomer, "taken")
    d.wait(lambda: follows(d, newcomer), "it follows")
    d.terminate(b)
    d.release(hold)
    judge = d.reach(j, "before reseed")
    hold = d.reach(newcomer, "taken")
    d.release(judge)
    d.wait(lambda: d.record().generation == 2, "the next generation")
    proof = d.reach(j, "prove request")
    d.wait(lambda: follows(d, newcomer), "it follows the next generation")
    d.release(hold)
    d.run(1)
    d.release(proof)
    d.run(60)


def back_within_grace(d: Director) -> None:
    """Much is written without J, which is off; the two others lose their volumes and get them back before the grace ends."""
    j, b, c = d.grow(3)
    d.sim.power_off(j)
    d.run(10)
    d.take_volumes(b, c)
    d.wait(lambda: d.reports(b, Holds.EMPTY) and d.reports(c, Holds.EMPTY), "both report that they are empty")
    d.sim.power_off(b)
    d.sim.power_off(c)
    d.sim.boot(j)
    d.wait(lambda: d.finds_too_few(j), "J finds too few")
    d.run(6)
    d.give_back_volumes(b, c)
    d.run(5)


def address_given_again(d: Director) -> None:
    """A voter is terminated, and its address given to the instance in its place."""
    _, b, _ = d.grow(3)
    d.sim.fleet.reuse = True
    d.terminate(b)
    d.sim.fleet.frozen = False
    d.run(5)


def emptied_beside_a_stale_leader(d: Director) -> None:
    """J leads, and is cut off; the two others elect one of them and go on, while J still says that it leads. One of the two loses
    its volume then, and comes back where it sees J alone."""
    nodes = d.grow(3)
    leader = d.sim.leader()
    assert leader is not None
    j, (b, c) = d.sim.nodes[leader.name], [n for n in nodes if n.id != leader.name]
    d.part(j)
    for node in (b, c):
        d.sim.power_off(node)
        d.sim.boot(node)
    d.wait(lambda: d.leads(b) or d.leads(c), "one of the two leads")
    d.run(0.5)
    emptied, other = (c, b) if d.leads(b) else (b, c)
    assert d.leads(j), "J is not stale any more"
    d.part(other)
    d.wipe(emptied)
    d.run(30)
