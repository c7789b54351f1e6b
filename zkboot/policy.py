"""The whole policy: `decide` reads one observation and takes the first row that matches.

The invariant that every row keeps: a server starts from nothing only as the seed of a generation, named in the
record by compare-and-set,
or as a joiner that cannot vote; and a generation is only replaced when too few of its voters remain to elect.
Nothing here acts, waits
or reads a clock. A row is a guard and a sentence; the numbers are the design's. Rows 9 to 22 are without a quorum.
"""

from collections.abc import Callable
from typing import NamedTuple

from zkboot.model import (
    Action,
    Backup,
    Change,
    Decision,
    DiskState,
    Holds,
    Mode,
    Observation,
    Quorum,
    Record,
    Report,
    Role,
    Server,
    State,
    Unknown,
)
from zkboot.words import (
    ALONE,
    NO_QUORUM,
    REGISTERED,
    SILENT,
    TOO_FEW,
    UNSEEN,
    Words,
    absent,
    majority,
    rank,
    tolerance,
    too_few_at,
    unclaimed,
)

ACCEPTED = "accept-data-loss"  # the record's source when a person had an empty tree created in place of what was


class Row(NamedTuple):
    """One line of the policy table."""

    number: int
    when: Callable[[Words], bool]
    then: Callable[[Words], Decision]


def decide(seen: Observation, rows: tuple[Row, ...] | None = None) -> Decision:
    """The first row that matches; total. `rows` is the table to read (the tests read mutilated ones)."""
    words = Words(seen)
    for row in rows or ROWS:
        if row.when(words):
            return row.then(words)._replace(row=row.number, noted=noted(words))
    raise AssertionError("no row matched: the last one matches everything")


def noted(w: Words) -> tuple[str, ...]:
    """The conditions whose duration later turns weigh: those true now, and those held so far whose truth is unknown now."""
    held = w.seen.held
    found = [SILENT] if w.seen.server.running and not w.serves else []
    found += [UNSEEN] if w.quorum is None else []
    if isinstance(w.seen.quorum, Unknown):
        return (*found, *(name for name in held if name not in (NO_QUORUM, SILENT, UNSEEN) and not name.startswith(TOO_FEW)))
    if w.quorum is None:
        readable = not isinstance(w.seen.reports, Unknown) and w.group is not None
        found += [NO_QUORUM]
        if w.record is not None and readable:
            found += [too_few_at(w.record.revision)] if w.too_few else []
        else:
            found += [name for name in held if name.startswith(TOO_FEW)]
    elif waits_alone(w):
        found += [ALONE]
    if w.record is None or w.group is None or not w.group.lists_me:
        return (*found, *(name for name in held if name.startswith(absent(""))))
    # One that EC2 still lists as terminated counts too: it forgets such an instance later, and then nothing must begin anew.
    listed = w.group.instances
    unnamed = w.voters if w.quorum is None else unclaimed(w.record, w.quorum.configuration)
    holders = {c.instance_id for c in w.record.members.values()} | {h for s in unnamed if (h := w.instance_of(s)) is not None}
    gone = (i for i in sorted(holders) if i not in listed or listed[i].state == "terminated")
    return (*found, *(absent(i) for i in gone))


def say(action: Action, reason: str, change: Change | None = None) -> Decision:
    return Decision(row=0, action=action, reason=reason, change=change)


# --- 1: what does not belong together, and a person's command


def row_1(w: Words) -> bool:
    return bool(conflict(w)) or (w.record is not None and w.record.intent is not None)


def then_1(w: Words) -> Decision:
    found = conflict(w)
    if found:
        return say(Action.HALT, f"halted: {found}")
    assert w.record is not None and w.record.intent is not None
    intent = w.record.intent
    ended = ", which is terminated," if w.dead(intent.instance_id) else ""
    text = f"a person's `{intent.command}` from {intent.instance_id}{ended} stands in the record: stopped, and reported"
    return say(Action.OBEY, f"{text}; `zkboot {intent.command} --abort` on any node withdraws it")


def conflict(w: Words) -> str:
    """Two things that belong to different clusters or scopes, both named; "" where all agree."""
    disk, record, foreign = w.seen.disk.identity, w.record, w.seen.foreign
    if record is not None and record.scope != w.seen.me.scope:
        return (
            f"the record of cluster {w.seen.cluster} belongs to {'/'.join(record.scope)}, this node to "
            f"{'/'.join(w.seen.me.scope)}; "
            "give this group another cluster name, or take the cluster over with `zkboot adopt`"
        )
    if record is not None and disk is not None and disk.cluster_id != record.cluster_id:
        return (
            f"this disk holds cluster {disk.cluster_id}, the record is of cluster {record.cluster_id}; "
            f"attach the right disk, or move its data away"
        )
    if record is not None and disk is not None and disk.generation > record.generation:
        return (
            f"this disk is of generation {disk.generation}, the record of the older {record.generation}: an "
            f"old record was put back; put its newest version back: {versions(w)}"
        )
    if foreign is not None:
        own = record.cluster_id if record is not None else (disk.cluster_id if disk else "none")
        return (
            f"the leader at {foreign.address} belongs to cluster {foreign.cluster_id} and counts this node "
            f"as its own, whose cluster is {own}; take this address out of the configuration there, or terminate this "
            f"instance, so that the group launches one with another address"
        )
    return ""


def versions(w: Words) -> str:
    return f"`aws s3api list-object-versions --bucket … --prefix control/{w.seen.cluster}/record.json` shows what it was"


# --- 2: the group takes this instance


def row_2(w: Words) -> bool:
    if w.seen.taken is not True:
        return False
    if holds_nothing(w):
        return True
    going_to_zero = w.group is not None and w.group.desired == 0
    if w.quorum is not None and w.record is not None and w.record.state is State.CREATED and w.group is not None:
        own = w.own_server
        return own is None or own.role is Role.OBSERVER or stands_without_me(w) is not None or going_to_zero
    return going_to_zero and w.seen.quorum is None and lasting(w, NO_QUORUM, w.seen.limits.staleness)


def then_2(w: Words) -> Decision:
    if holds_nothing(w):
        return say(Action.LET_GO, "the group takes this instance, which holds nothing of the cluster: let go")
    own = w.own_server
    if w.quorum is None:
        return to_zero(w, "no quorum is left to leave")
    if own is None:
        return say(Action.LET_GO, "the group takes this instance, which is in no configuration: stopped and let go")
    change = stands_without_me(w) if own.role is Role.PARTICIPANT else Change((), (own.id,), w.quorum.configuration.version)
    if change is None:
        return to_zero(w, "no other voter is left")
    return say(
        Action.LEAVE,
        f"the group takes this instance: server {own.id} leaves the configuration{described(w, change, own)}",
        change,
    )


def to_zero(w: Words, left: str) -> Decision:
    """Among those left without another way out: with a last backup where backups are made and none holds as much.

    One that fails is tried again until the termination hook's own time is over, which nothing prolongs.
    """
    disk, backup = w.seen.disk, w.seen.backup
    known = backup if isinstance(backup, Backup) else None
    mine = disk.state is DiskState.DATA and disk.data is not None and w.of_generation
    covered = known is not None and disk.data is not None and (known.epoch, known.zxid) >= rank(disk.data)
    due = w.seen.limits.backups and mine and not covered
    if due:
        goes = "stopped, backed up a last time and let go"
    elif known is not None:
        goes = f"stopped and let go; the backup {known.name} holds {known.zxid:#x}"
    else:
        goes = f"stopped and let go; with it goes what it holds of cluster {w.seen.cluster}, of which no backup is known"
    return say(Action.LET_GO, f"the group goes to zero and {left}: {goes}")._replace(back_up=due)


def holds_nothing(w: Words) -> bool:
    """An empty disk, no archive, no place in the quorum; a server may run on it only as a joiner that was never let in."""
    disk = w.seen.disk
    if disk.state is not DiskState.EMPTY or disk.seeded or disk.archives or isinstance(w.seen.quorum, Unknown):
        return False
    return w.own_server is None and (not w.seen.server.running or joiner(w))


def joiner(w: Words) -> bool:
    """No configuration of the generation is known to have this node as a voter."""
    if w.quorum is not None:
        return True
    return w.record is not None and not isinstance(w.seen.reports, Unknown) and all(v.id != w.own_id for v in w.voters)


def lasting(w: Words, condition: str, seconds: float) -> bool:
    held = w.seen.held.get(condition)
    return held is not None and held.seconds > seconds


def stands_without_me(w: Words) -> Change | None:
    """One reconfiguration, this node and dead voters out, a spare in where the target wants one, after which a quorum and a
    majority of the target serve; None where there is none."""
    assert w.quorum is not None and w.own_server is not None
    gone = {w.own_server.id} | {v.id for v in w.dead_voters}
    stay = [v for v in w.quorum.configuration.voters if v.id not in gone]
    serving = sum(v in w.voters_serving for v in stay)
    wanted = w.spares[:1] if len(stay) < w.target and serving >= majority(len(stay) + 1) else ()
    if not stay or serving < majority(len(stay)) or serving + len(wanted) < majority(w.target):
        return None
    return Change(as_voters(wanted), tuple(sorted(gone)), w.quorum.configuration.version)


def as_voters(servers: tuple[Server, ...]) -> tuple[Server, ...]:
    return tuple(s._replace(role=Role.PARTICIPANT) for s in servers)


def described(w: Words, change: Change, own: Server) -> str:
    dead = tuple(v for v in w.dead_voters if v.id in change.leaving and v.id != own.id)
    spare = f", server {change.joining[0].id} becomes a voter" if change.joining else ""
    return (f", with the dead {w.names(dead)}" if dead else "") + spare


# --- 3 to 7: a quorum, and this node's place in it


def row_3(w: Words) -> bool:
    return w.quorum is not None and w.seen.record is None


def then_3(w: Words) -> Decision:
    identity = w.seen.disk.identity
    if w.own_server is not None and identity is not None:
        return say(
            Action.ADOPT,
            f"the record is missing while cluster {identity.cluster_id} serves: written again from the live ensemble",
        )
    return say(Action.WAIT, "waiting: an ensemble serves but its record is missing; one of its members writes it again")


def row_4(w: Words) -> bool:
    return w.own_server is not None and w.seen.disk.state is not DiskState.UNKNOWN and idle(w)


def idle(w: Words) -> bool:
    """Its server is stopped; or does not serve as zkboot's own and nobody has taken it in, which no restart mends."""
    return not w.seen.server.running or (not w.serves and untaken(w) is not None)


def then_4(w: Words) -> Decision:
    disk, own = w.seen.disk, w.own_server
    assert own is not None
    if (member := untaken(w)) is not None:
        return to_be_adopted(w, member)
    if disk.state is DiskState.DATA and (w.of_generation or (w.record is None and disk.identity is not None and not disk.over)):
        if w.promised and (w.record is None or isinstance(w.seen.reports, Unknown)):
            text = f"it is unknown {undecided(w) or 'what the record says'}"
            return say(Action.WAIT, f"waiting: server {own.id} had promised an empty disk, holds data again, and {text}")
        if w.promised:
            return say(
                Action.WITHDRAW,
                f"server {own.id} had promised an empty disk and holds data again: the promise is taken back first",
            )
        return say(Action.START, f"server {own.id} is in the configuration and stopped: started with its data")
    if w.record is None:
        return say(
            Action.WAIT,
            f"waiting: server {own.id} has no usable disk ({disk.state}{over(w)}), and the record is {why(w.seen.record)}",
        )
    held = (
        disk.why
        if disk.state is DiskState.DAMAGED
        else ("data of another generation" if disk.state is DiskState.DATA else "empty")
    )
    return say(
        Action.REJOIN,
        f"server {own.id} is in the configuration, but its disk is no member's ({held}): archived, and it joins again",
    )


def untaken(w: Words) -> Server | None:
    """The member that this node is to the quorum as others set it up: `zkboot adopt` has not come to it yet.

    ZooKeeper's own myid beside data tells that, or its server, which serves at this address, maybe from another folder. What
    names no cluster is another's where neither does, where somebody else holds that id, and on a node that had reported this one.
    """
    disk, report = w.seen.disk, w.own_report
    if w.quorum is None or w.record is None or disk.state not in (DiskState.DATA, DiskState.EMPTY) or disk.identity is not None:
        return None
    if report is not None and report.identity is not None and report.identity.cluster_id == w.record.cluster_id:
        return None
    for server in w.quorum.configuration.servers:
        if server.address == w.seen.me.address and w.instance_of(server) in (None, w.seen.me.instance_id):
            left = disk.state is DiskState.DATA and server.id == disk.myid
            return server if left or server.id in w.quorum.serving else None
    return None


def to_be_adopted(w: Words, member: Server) -> Decision:
    """A person takes it in: others may run its server in their own way, and it is to be stopped for that."""
    assert w.quorum is not None
    if w.seen.disk.state is DiskState.EMPTY:
        return say(
            Action.WAIT,
            f"waiting: server {member.id} serves here, and not from node.data_dir, which is empty: it is left as it is; correct "
            "node.data_dir, and `zkboot adopt --through MEMBER` here takes it in",
        )
    servers, serving = w.quorum.configuration.servers, w.quorum.serving
    through = min(servers, key=lambda s: (s.id == member.id, s.id not in serving, s.id))
    return say(
        Action.WAIT,
        f"waiting: this disk holds what server {member.id} had before zkboot, and is kept: with its server stopped and the "
        f"others serving, `zkboot adopt --through {through.address}` here takes it in; where it is another's data, move it away",
    )


def row_5(w: Words) -> bool:
    return w.own_server is not None and w.seen.server.running and not w.serves


def then_5(w: Words) -> Decision:
    assert w.own_server is not None
    disk = w.seen.disk
    if not hung(w):
        return say(Action.WAIT, f"waiting: server {w.own_server.id} runs but does not serve yet")
    text = f"server {w.own_server.id} has run {silence(w):.0f} s without serving while a quorum does"
    if disk.state is DiskState.DATA and (w.of_generation or (w.record is None and not disk.over)):
        return say(Action.RESTART, f"{text}: restarted")
    if disk.state is DiskState.UNKNOWN or w.record is None:
        held = f"{disk.state}{over(w)}{f' ({disk.why})' if disk.why else ''}"
        return say(Action.WAIT, f"waiting: {text}; its disk is {held}, the record {why(w.seen.record)}")
    return say(Action.REJOIN, f"{text}, and its disk is {disk.state}: it joins again")


def hung(w: Words) -> bool:
    """The own server runs, and has not served for longer than a start may take; each time longer. One that has run for days and
    misses an answer is not."""
    return w.seen.server.running and not w.serves and silence(w) > w.patience


def silence(w: Words) -> float:
    """Seconds for which the own server is known to run without serving."""
    held = w.seen.held.get(SILENT)
    return min(w.seen.server.age, held.seconds) if held is not None else 0.0


def row_6(w: Words) -> bool:
    return w.own_server is not None and w.serves


def then_6(w: Words) -> Decision:
    found = serving_member(w)
    if found.action is Action.HEALTHY and (member := untaken(w)) is not None:
        return to_be_adopted(w, member)
    return found


def serving_member(w: Words) -> Decision:
    assert w.quorum is not None and w.own_server is not None
    own, record = w.own_server, w.record
    leads = w.quorum.leader == own.id
    if leads and not w.quorum.proved and record is not None:
        return say(Action.PROVE, f"server {own.id} leads generation {record.generation}: proving the quorum with a timed write")
    if leads and not w.quorum.proved:
        return say(Action.WAIT, f"waiting: server {own.id} leads, and the record to prove it by is {why(w.seen.record)}")
    if record is not None and w.group is not None:
        if record.state is not State.CREATED:
            return count_created(w, record)
        if launching(w):
            return say(Action.LET_IN, f"server {own.id} serves and the ensemble is created: the group may count this instance")
        if leads:
            return duty(w)
    voters = ", ".join(str(v.id) for v in w.quorum.configuration.voters)
    return say(Action.HEALTHY, f"healthy: server {own.id} serves as {w.seen.server.mode}, voters {voters}{kept_here(w)}")


def kept_here(w: Words) -> str:
    """Why an instance that the group takes stays."""
    return "; the group takes this instance, which stays until the ensemble stands without it" if w.seen.taken is True else ""


def count_created(w: Words, record: Record) -> Decision:
    assert w.quorum is not None and w.own_server is not None
    serving, needed = len(w.voters_serving), majority(w.target)
    if serving >= needed:
        return say(Action.SET_CREATED, f"{serving} of {w.target} voters serve: generation {record.generation} is created")
    if w.quorum.leader == w.own_server.id and (step := duty(w)).action is Action.RECONFIGURE:
        return step
    return say(
        Action.WAIT, f"waiting: {serving} of {w.target} voters serve, {needed} make generation {record.generation} created"
    )


def launching(w: Words) -> bool:
    assert w.group is not None
    instance = w.group.instances.get(w.seen.me.instance_id)
    return instance is not None and instance.lifecycle == "Pending:Wait"


def duty(w: Words) -> Decision:
    """The leader's one change of this turn: the first that applies, among nodes not being taken."""
    assert w.quorum is not None and w.own_server is not None
    configuration = w.quorum.configuration
    voters, dead, serving = configuration.voters, w.dead_voters, len(w.voters_serving)

    def change(joining: tuple[Server, ...], leaving: tuple[Server, ...], reason: str) -> Decision:
        return say(Action.RECONFIGURE, reason, Change(joining, tuple(s.id for s in leaving), configuration.version))

    if dead and w.spares:
        text = f"spare {w.name(w.spares[0])} becomes a voter for the dead {w.name(dead[0])}"
        return change(as_voters(w.spares[:1]), dead[:1], text)
    left = len(voters) - len(dead)
    if dead and left and (tolerance(serving, left) > tolerance(serving, len(voters)) or len(voters) > w.target):
        return change((), dead, f"dead voters leave: {w.names(dead)}")
    staying = [v for v in voters if not w.leaving(v)]
    if len(staying) < w.target and w.spares:
        # ZooKeeper asks for a majority of the new voters in step, and an observer does not count as that.
        if serving < majority(len(voters) + 1):
            out = w.spares[: w.target - len(staying)]
            return change((), out, f"spares {w.names(out)} leave, to come back as voters: too few vote to promote them")
        return change(as_voters(w.spares[:1]), (), f"spare {w.name(w.spares[0])} becomes a voter: {len(staying)} of {w.target}")
    if len(staying) > w.target and (surplus := demotable(w)) is not None:
        return change(
            (surplus._replace(role=Role.OBSERVER),),
            (),
            f"{w.name(surplus)} becomes a spare: {len(voters)} voters, {w.target} wanted",
        )
    gone = tuple(o for o in configuration.observers if w.server_dead(o))
    if gone:
        return change((), gone, f"dead observers leave: {w.names(gone)}")
    missing = tuple(v for v in voters if v not in w.voters_serving)
    left_over = tolerance(serving, len(voters))
    tail = (f"; not serving: {w.names(missing)}" if missing else "") + kept_here(w)
    ids = ", ".join(str(v.id) for v in voters)
    return say(Action.HEALTHY, f"healthy: server {w.own_server.id} leads, voters {ids}, tolerance {left_over}{tail}")


def demotable(w: Words) -> Server | None:
    """The voter above the target that steps back: a silent one first; a serving one only when every voter serves;
    never the leader."""
    assert w.quorum is not None
    quorum: Quorum = w.quorum
    stay = [v for v in quorum.configuration.voters if v.id != quorum.leader and not w.leaving(v) and not w.server_dead(v)]
    silent = [v for v in stay if v.id not in quorum.serving]
    if silent:
        return silent[-1]
    if len(w.voters_serving) < len(quorum.configuration.voters) or not stay:
        return None
    zones = [w.zone(v) for v in quorum.configuration.voters]
    return max(stay, key=lambda v: (zones.count(w.zone(v)), v.id))


def row_7(w: Words) -> bool:
    return w.quorum is not None and bool(undecided(w))


def then_7(w: Words) -> Decision:
    return say(Action.WAIT, f"waiting: an ensemble serves, but it is unknown {undecided(w)}")


def undecided(w: Words) -> str:
    """The fact that decides a node's place in a quorum and is unknown; "" when all are known."""
    if isinstance(w.seen.record, Unknown):
        return f"what the record says ({w.seen.record.why})"
    if w.seen.disk.state is DiskState.UNKNOWN:
        return f"what the own disk holds ({w.seen.disk.why})"
    if isinstance(w.seen.group, Unknown):
        return f"who is dead ({w.seen.group.why})"
    if isinstance(w.seen.taken, Unknown):
        return f"whether the group takes this instance ({w.seen.taken.why})"
    if isinstance(w.seen.reports, Unknown):
        return f"what this node last reported ({w.seen.reports.why})"
    own = w.seen.disk.data.committed if w.seen.disk.data else None
    if w.quorum is not None and w.of_generation and own is not None and own.version > w.quorum.configuration.version:
        return f"whether the leader, server {w.quorum.leader}, is still one: this disk has a newer configuration"
    return ""


# --- 8: join


def row_8(w: Words) -> bool:
    return w.quorum is not None


def what_is_archived(w: Words) -> str:
    identity = w.seen.disk.identity
    if w.seen.disk.state is DiskState.DAMAGED:
        return "its damaged disk"
    return f"its data of generation {identity.generation}" if identity else "what its disk holds"


def then_8(w: Words) -> Decision:
    assert w.quorum is not None and w.record is not None
    if w.seen.taken is True:
        return say(Action.WAIT, "waiting: the group takes this instance before the ensemble is created; it does not join")
    if (member := untaken(w)) is not None:
        return to_be_adopted(w, member)
    server, disk = w.seen.server, w.seen.disk
    ready = server.running and w.claimed_id is not None and w.of_generation and disk.state is not DiskState.DAMAGED
    if not ready:
        old = "" if disk.state is DiskState.EMPTY or w.of_generation else f"; {what_is_archived(w)} is archived first"
        return say(Action.JOIN, f"joining the ensemble led by server {w.quorum.leader}{old}")
    if not w.in_step(w.seen.me.address):
        if hung(w):
            return say(Action.JOIN, f"server {w.own_id} has run {silence(w):.0f} s without following: set up again and restarted")
        return say(Action.WAIT, f"waiting: server {w.own_id} takes over the data from server {w.quorum.leader}")
    if waits_alone(w) and not patience_over(w):
        return say(
            Action.WAIT,
            f"waiting: server {w.own_id} is in step; a second newcomer joins with it, so that one voter becomes three",
        )
    return enter(w)


def waits_alone(w: Words) -> bool:
    """From a single voter to three or more goes in one call with a second claimant: 1 to 2 is the fragile step."""
    assert w.quorum is not None
    if w.record is None or w.group is None or w.own_server is not None:
        return False
    return len(w.quorum.configuration.voters) == 1 and not w.dead_voters and w.target >= 3 and not w.claimants


def patience_over(w: Words) -> bool:
    """Nobody else is there to come along, or it has not come for longer than a start may take."""
    assert w.group is not None and w.quorum is not None
    members = {s.address for s in w.quorum.configuration.servers} | {w.seen.me.address}
    others = any(
        i.lifecycle in REGISTERED and i.state in ("pending", "running") and i.address not in members
        for i in w.group.instances.values()
    )
    return lasting(w, ALONE, w.seen.limits.start) or not others


def enter(w: Words) -> Decision:
    """The one call that makes this node a member."""
    assert w.quorum is not None and w.own_id is not None
    configuration, dead = w.quorum.configuration, w.dead_voters
    me = Server(w.own_id, w.seen.me.address)
    alive = sum(v not in dead and not w.leaving(v) for v in configuration.voters)
    out = tuple(s.id for s in configuration.servers if s.address == me.address and s.id != me.id)
    if any(v.id in out for v in configuration.voters) and not all(w.server_dead(v) for v in configuration.voters if v.id in out):
        return say(
            Action.WAIT,
            f"waiting: {w.names(tuple(s for s in configuration.servers if s.id in out))} has this node's "
            f"address and is not known dead",
        )
    before = configuration.server(me.id)
    if before is not None and not w.server_dead(before):
        return say(Action.WAIT, f"waiting: this node's id {me.id} is still that of {w.name(before)}, which is not known dead")
    if alive >= w.target:
        spare = me._replace(role=Role.OBSERVER)
        return say(
            Action.RECONFIGURE,
            f"joined as server {me.id}, a spare: {alive} voters serve the target of {w.target}",
            Change((spare,), out, configuration.version),
        )
    if len(configuration.voters) == 1 and not dead and w.target >= 3 and w.claimants:
        second = w.claimants[0]
        change = Change((me, second), out, configuration.version)
        return say(Action.RECONFIGURE, f"joined as server {me.id}, with {w.name(second)} in the same call", change)
    replaced = next((v for v in dead if v.id in out), dead[0] if dead else None)
    leaving = tuple(sorted({*out, replaced.id})) if replaced else out
    text = f", replacing {replaced.id} ({w.instance_of(replaced)} is terminated)" if replaced else ""
    return say(Action.RECONFIGURE, f"joined as server {me.id}{text}", Change((me,), leaving, configuration.version))


# --- 9 and 10: without a quorum, what this node may do on its own


def row_9(w: Words) -> bool:
    if w.quorum is not None or w.promised or too_soon_to_tell(w):
        return False
    disk, server = w.seen.disk, w.seen.server
    if disk.state is not DiskState.DATA and not w.fenced_creation:
        return False
    return named(w) and record_lets(w) and (not server.running or stuck(w))


def too_soon_to_tell(w: Words) -> bool:
    """Whether an ensemble serves is unknown, and not yet for so long that this node goes on as after a reboot: ZooKeeper's leader
    leads on with a change that its new voters cannot commit, as long as the old ones follow, and opens no session to anybody."""
    return isinstance(w.seen.quorum, Unknown) and not lasting(w, UNSEEN, w.patience)


def stuck(w: Words) -> bool:
    """The server runs, and neither it nor any other was seen to lead an ensemble that serves for longer than a start may take;
    each time longer."""
    return (hung(w) or leads_in_vain(w)) and lasting(w, UNSEEN, w.patience)


def leads_in_vain(w: Words) -> bool:
    """It leads, and has on its disk a configuration that was proposed and not committed; elected anew they may."""
    data = w.seen.disk.data
    mode = w.seen.server.mode
    return isinstance(w.seen.quorum, Unknown) and mode is Mode.LEADER and data is not None and data.pending is not None


def named(w: Words) -> bool:
    """The own configuration, committed or pending, or that of the voters, has this node."""
    data = w.seen.disk.data
    if w.fenced_creation:
        return True
    own = data is not None and (w.is_own(data.committed) is not None or w.is_own(data.pending) is not None)
    newest = (
        w.record is not None and w.of_generation and any(v.id == w.own_id and v.address == w.seen.me.address for v in w.voters)
    )
    return own or newest


def record_lets(w: Words) -> bool:
    """The record cannot be read (and this is no seed's unfenced disk, nor one whose generation it was seen to have given up), or
    it names the disk's generation with its fence behind it."""
    disk = w.seen.disk
    if isinstance(w.seen.record, Unknown):
        return disk.identity is not None and (not disk.seeded or disk.fenced) and not disk.over
    return w.record is not None and w.of_generation and not (w.is_seed and not w.record.started)


def then_9(w: Words) -> Decision:
    data = w.seen.disk.data
    aside = w.seen.quorum is None and data is not None and data.pending is not None and pending_is_lost(w)
    moved = "; a pending configuration that cannot be decided is moved aside" if aside else ""
    if leads_in_vain(w):
        unseen = w.seen.held[UNSEEN].seconds
        text = f"server {w.own_id} leads, and for {unseen:.0f} s could not commit the configuration that it proposed"
        return say(Action.RESTART, f"{text}: restarted, so that they elect anew")
    if w.seen.server.running:
        return say(Action.RESTART, f"server {w.own_id} has run {silence(w):.0f} s without a quorum: restarted{moved}")._replace(
            aside=aside
        )
    held = (
        f"its data up to {data.zxid:#x}"
        if data is not None and w.seen.disk.state is DiskState.DATA
        else "the disk it built as the seed"
    )
    seen = "no quorum seen" if w.seen.quorum is None else "no quorum seen to give a session"
    return say(Action.START, f"{seen}: server {w.own_id} started with {held}{moved}")._replace(aside=aside)


def pending_is_lost(w: Words) -> bool:
    """So many of the pending configuration's voters are dead that nobody can commit it, or no other could have committed it, or
    no other can and what it may have acknowledged is with each majority of the committed one.

    A voter that reports `empty` may come back with its disk, and no compare-and-set stands between its start and this one's: it
    counts as one that elects by the pending configuration. Where that takes this node too, nobody leads by it any more.
    """
    data = w.seen.disk.data
    assert data is not None and data.pending is not None
    pending, committed = data.pending.voters, data.committed.voters if data.committed is not None else ()
    if [v.id for v in committed] == [w.own_id]:
        return True
    if w.record is None or w.group is None or isinstance(w.seen.reports, Unknown):
        return False
    left, needed = sum(not w.server_dead(v) for v in pending), majority(len(pending))
    needs_me = left == needed and w.is_own(data.pending) is not None
    return left < needed or (needs_me and bool(committed) and majorities_meet(committed, pending))


def majorities_meet(some: tuple[Server, ...], others: tuple[Server, ...]) -> bool:
    """Each majority of the one has a voter in common with each majority of the other: so it is when one comes or goes, and not
    always when one takes another's place."""
    return majority(len(some)) + majority(len(others)) > len({(v.id, v.address) for v in (*some, *others)})


def row_10(w: Words) -> bool:
    if (
        w.seen.quorum is not None
        or w.record is None
        or isinstance(w.seen.reports, Unknown)
        or w.seen.disk.state is DiskState.UNKNOWN
    ):
        return False
    return promise_is_over(w) or joining_is_over(w)


def promise_is_over(w: Words) -> bool:
    """The promised disk holds data again, of this generation, or of the one before whose successor died with its seed; or it is
    the fenced one of a creation's seed, which was away and has begun to go on."""
    if not w.promised or w.record is None or w.group is None:
        return False
    if w.seen.disk.state is not DiskState.DATA:
        begun = w.own_report is not None and w.own_report.holds is Holds.JOINING
        return begun and w.fenced_creation and w.of_generation
    # In the second case the data may be told, and seed or join anew; started as it is it may never be: its generation is over.
    told_empty = w.own_report is not None and w.own_report.holds is Holds.EMPTY
    before = told_empty and w.record.state is not State.CREATED and w.seed_gone and w.counts(w.seen.disk.identity)
    return w.of_generation or before


def joining_is_over(w: Words) -> bool:
    assert w.record is not None
    if w.own_report is None or w.own_report.holds is not Holds.JOINING or w.fenced_creation:
        return False
    if w.is_seed and w.record.started and w.record.state is not State.CREATED and w.seen.disk.state is not DiskState.DATA:
        return True
    if not lasting(w, NO_QUORUM, w.seen.limits.staleness) or (w.is_seed and not w.record.started):
        return False
    return not beside_seed(w)


def then_10(w: Words) -> Decision:
    if promise_is_over(w):
        held = "holds data again" if w.seen.disk.state is DiskState.DATA else "is the one again that this node built as the seed"
        return say(
            Action.WITHDRAW, f"this disk was reported empty and {held}: the promise is taken back, then what it holds reported"
        )
    why = "nobody leads yet" if w.is_seed else "no ensemble to join was seen"
    return say(Action.REPORT, f"{why}: this node reports what its disk holds ({w.seen.disk.state})")


def row_11(w: Words) -> bool:
    return bool(unknown(w))


def then_11(w: Words) -> Decision:
    stays = f"; its disk, {w.seen.disk.state}{over(w)}, is not started before that can be read"
    kept = bool(over(w)) and not w.seen.server.running
    return say(Action.WAIT, f"waiting: no quorum seen, and it is unknown {unknown(w)}{stays if kept else ''}")


def over(w: Words) -> str:
    """Why a disk is not started while the record cannot be read; "" where that does not forbid it."""
    disk = w.seen.disk
    if not disk.over or disk.identity is None or not isinstance(w.seen.record, Unknown):
        return ""
    return f" of generation {disk.identity.generation}, which the record was seen to have given up"


def unknown(w: Words) -> str:
    """The first fact that decides without a quorum and is not known; "" when all are."""
    seen = w.seen
    facts: list[tuple[str, object]] = [
        ("whether an ensemble serves", seen.quorum),
        ("what the record says", seen.record),
        ("what the members report", seen.reports),
        ("who is in the group, and who is dead", seen.group),
    ]
    if seen.record is None:
        facts.append(("whether a witness of an older ensemble exists", seen.witnesses))
    if w.record is None or w.record.state is State.CREATING:
        facts.append(("whether the group takes this instance", seen.taken))
    if seen.record is None or (
        w.record is not None and not isinstance(seen.reports, Unknown) and w.group is not None and w.too_few
    ):
        facts.append(("whether a backup exists", seen.backup))
    for what, fact in facts:
        if isinstance(fact, Unknown):
            return f"{what} ({fact.why})"
    return f"what the own disk holds ({seen.disk.why})" if seen.disk.state is DiskState.UNKNOWN else ""


# --- 12 to 16: before the first quorum


def row_12(w: Words) -> bool:
    return w.seen.record is None and bool(remains(w))


def then_12(w: Words) -> Decision:
    lost = f"cluster {w.seen.cluster} has no record, but there is {remains(w)}"
    return say(
        Action.HALT,
        f"halted: {lost}; the record is lost, and nothing is created over what may exist. Put it back: {versions(w)}. "
        "Where nothing is left but backups, or this is a new region, `zkboot restore --adopt-cluster-id` on one node goes on "
        f"from the newest{adopting(w, '. Where ')}",
    )


def adopting(w: Words, where: str) -> str:
    """What goes on from data that names no cluster, as others leave it; "" where this disk holds none."""
    disk = w.seen.disk
    if disk.state is not DiskState.DATA or disk.identity is not None:
        return ""
    return f"{where}the ensemble that this disk is of serves without it, `zkboot adopt --through MEMBER` takes it in"


def remains(w: Words) -> str:
    """What shows that an ensemble existed; "" where nothing does."""
    disk, found = w.seen.disk, []
    if disk.state in (DiskState.DATA, DiskState.DAMAGED) or disk.identity is not None:
        found.append(f"data on this disk{f' of cluster {disk.identity.cluster_id}' if disk.identity else ''}")
    if disk.archives:
        found.append(f"an archive on this node ({disk.archives[0].name})")
    found += [
        f"a report of {r.instance_id} that names {r.identity.cluster_id if r.identity else 'archives'}"
        for r in w.reports.values()
        if r.identity or r.archives or r.data
    ]
    if isinstance(w.seen.witnesses, tuple):
        found += w.seen.witnesses
    if w.seen.backup is not None and not isinstance(w.seen.backup, Unknown):
        found.append(f"the backup {w.seen.backup.name}")
    return " and ".join(found[:3])


def row_13(w: Words) -> bool:
    if w.seen.record is not None or w.group is None:
        return False
    mine = any(i.id == w.seen.me.instance_id for i in w.registered)
    return not mine or len(w.registered) < w.group.desired or w.seen.taken is True


def then_13(w: Words) -> Decision:
    assert w.group is not None
    if w.seen.taken is True:
        return say(Action.WAIT, "waiting: the group takes this instance; it creates nothing")
    there = {i.id for i in w.registered}
    missing = [
        f"{i.id} ({i.address or 'no address yet'}, {i.lifecycle or i.state})"
        for i in sorted(w.group.instances.values())
        if i.lifecycle and i.id not in there
    ]
    absent_count = w.group.desired - len(there) - len(missing)
    if absent_count > 0:
        missing.append(f"{absent_count} not launched yet")
    here = ", ".join(f"{i.id} ({i.address})" for i in w.registered) or "nobody"
    return say(
        Action.WAIT, f"waiting: {len(there)} of {w.group.desired} instances registered: {here}; missing: {', '.join(missing)}"
    )


def row_14(w: Words) -> bool:
    return w.seen.record is None


def then_14(w: Words) -> Decision:
    here = ", ".join(i.id for i in w.registered)
    return say(
        Action.CREATE,
        f"all {len(w.registered)} instances registered ({here}) and nothing of an older ensemble: creating "
        f"cluster {w.seen.cluster}",
    )


def row_15(w: Words) -> bool:
    if w.record is None or w.record.state is State.CREATED or not w.is_seed or w.record.started:
        return False
    return buildable(w) or not reported_true(w)


def buildable(w: Words) -> bool:
    """What the seed's disk is to be built from is there, or the disk is built already."""
    disk, record = w.seen.disk, w.record
    assert record is not None
    if record.state is State.CREATING:
        return disk.state is DiskState.EMPTY or record.source == ACCEPTED
    if record.state is State.RESTORING:
        return not w.given_up
    kept = disk.state is DiskState.EMPTY and any(x.name == record.source and not x.damaged for x in disk.archives)
    return kept or (disk.state is DiskState.DATA and w.counts(disk.identity))


def reported_true(w: Words) -> bool:
    """The own report says what the disk holds."""
    report = w.own_report
    return report is not None and report.holds.value == w.seen.disk.state.value


def then_15(w: Words) -> Decision:
    assert w.record is not None
    seed = f"this node is the seed of generation {w.record.generation} ({w.record.state})"
    if buildable(w):
        of = f" from the backup {w.record.source}" if w.record.state is State.RESTORING else ""
        return say(Action.SEED, f"{seed}: building its disk{of}, then the fence, then the start")
    but = "the backup it was to restore is damaged" if w.given_up else f"its disk is {w.seen.disk.state} now"
    return say(Action.REPORT, f"{seed}, but {but}: what the disk holds is reported, so that others may go on")


def beside_seed(w: Words) -> bool:
    return w.record is not None and w.record.state is not State.CREATED and not w.is_seed and not w.seed_gone and w.seed_alone


def row_16(w: Words) -> bool:
    return beside_seed(w)


def then_16(w: Words) -> Decision:
    assert w.record is not None
    disk, running = w.seen.disk, w.seen.server.running
    holder = f"{w.record.seed}, the seed of generation {w.record.generation}"
    if w.seen.taken is True:
        return say(Action.WAIT, f"waiting: the group takes this instance; it does not join {holder}")
    if disk.state is DiskState.EMPTY:
        if running and w.of_generation:
            return say(Action.WAIT, f"waiting: {holder}, does not lead yet")
        return say(Action.JOIN, f"starting beside {holder}, to join as soon as it leads")
    if not w.of_generation and running:
        return say(Action.AWAIT_SEED, f"stopped: data of an older generation waits until {holder} leads")
    if w.of_generation:
        return say(Action.WAIT, f"waiting: {holder}, has not proved its quorum yet")
    return say(Action.WAIT, f"waiting: {holder}, does not lead yet; this node keeps its data until then")


# --- 17 to 22: the quorum is lost


def row_17(w: Words) -> bool:
    return not w.too_few


def then_17(w: Words) -> Decision:
    return say(
        Action.WAIT,
        f"waiting for an election: {len(w.remaining)} of {len(w.voters)} voters are not lost "
        f"({w.names(w.remaining)}); {majority(len(w.voters))} elect{left_stopped(w)}",
    )


def left_stopped(w: Words) -> str:
    """Why this node starts nothing, where others built what it holds."""
    disk = w.seen.disk
    if disk.state is not DiskState.DATA or disk.identity is not None or w.seen.server.running:
        return ""
    return "; what this disk holds is not taken in yet, and its server not zkboot's to start: start it as before"


def row_18(w: Words) -> bool:
    held = w.found_too_few
    return held is None or held.seconds <= w.seen.limits.staleness or bool(silent(w))


def silent(w: Words) -> list[str]:
    """Living members without a valid report; this node's own disk is known to itself, and it reports first all the same."""
    return [i for i in w.living if not w.valid(i)]


def then_18(w: Words) -> Decision:
    quiet = ", ".join(silent(w))
    awaited = f"reports awaited from {quiet}, " if quiet else ""
    grace = f"{awaited}grace {w.seen.limits.staleness:.0f} s"
    return say(Action.WAIT, f"waiting: too few voters remain ({who_is_lost(w)}); {grace}")


def who_is_lost(w: Words) -> str:
    """`1 of 3; lost: server 2 (i-0b, 10.0.0.2), server 3 (i-0c, 10.0.0.3)`"""
    assert w.record is not None
    if not w.voters:
        seed = f"its seed {w.record.seed} is {'gone' if w.seed_gone else 'there'}"
        return f"no disk of generation {w.record.generation} is known, {seed}"
    return f"{len(w.remaining)} of {len(w.voters)}; lost: {w.names(tuple(v for v in w.voters if w.lost(v)))}"


def row_19(w: Words) -> bool:
    return bool(w.holdings) and not backup_is_ahead(w)


def backup_is_ahead(w: Words) -> bool:
    backup = w.seen.backup
    if backup is None or isinstance(backup, Unknown) or not w.counts(backup.identity):
        return False
    return not w.holdings or (backup.epoch, backup.zxid) > w.holdings[0][0]


def then_19(w: Words) -> Decision:
    (epoch, zxid), best, archive = w.holdings[0]
    where = f"in its archive {archive.name}" if archive else "on its disk"
    text = f"too few voters remain; {best} holds the most, {zxid:#x} of epoch {epoch} {where}"
    others = "; ".join(account(w, v) for v in w.voters if w.instance_of(v) != best) or who_is_lost(w)
    if best == w.seen.me.instance_id:
        return say(Action.RESEED, f"{text}: it reseeds. {others}")
    return say(Action.WAIT, f"waiting: {text}, and reseeds. {others}")


def account(w: Words, server: Server) -> str:
    """What is known of a voter's data: `server 3 (i-0abc, 10.0.0.3) is terminated, had last reported 0x500000a30`."""
    holder = w.instance_of(server)
    report = w.reports.get(holder) if holder else None
    held = f"{report.data.zxid:#x}" if report is not None and report.data is not None else "nothing"
    if w.server_dead(server):
        return f"{w.name(server)} is terminated, had last reported {held}"
    if report is not None and report.holds is Holds.EMPTY and report.data is not None:
        return f"{w.name(server)} stands still by its promise, with {held}"
    if report is not None and report.holds is Holds.EMPTY:
        return f"{w.name(server)} reports an empty disk{in_archive(report)}"
    return f"{w.name(server)} reports {held}"


def in_archive(report: Report) -> str:
    newest = report.archives[-1] if report.archives else None
    return f", with {newest.zxid:#x} in its archive {newest.name}" if newest else ""


def row_20(w: Words) -> bool:
    backup = w.seen.backup
    if not backup_is_ahead(w) or backup is None or isinstance(backup, Unknown):
        return False
    return 0 < backup.age <= w.seen.limits.auto_restore


def then_20(w: Words) -> Decision:
    backup = w.seen.backup
    assert backup is not None and not isinstance(backup, Unknown)
    chosen = w.holdings[0][1] if w.holdings else min((i.id for i in w.registered), default="")
    text = (
        f"too few voters remain; the backup {backup.name} ({backup.zxid:#x}, {backup.age:.0f} s old) is ahead of every survivor"
    )
    if chosen == w.seen.me.instance_id:
        return say(Action.RESTORE, f"{text}: restoring it")
    return say(Action.WAIT, f"waiting: {text}; {chosen or 'no registered instance'} restores it")


def row_21(w: Words) -> bool:
    record, disk = w.record, w.seen.disk
    if record is None or record.state is not State.CREATING or w.seen.backup is not None:
        return False
    nowhere = not w.holdings and not any((r.data or r.archives) and not w.dead(r.instance_id) for r in w.reports.values())
    return nowhere and disk.state is DiskState.EMPTY and not disk.archives


def then_21(w: Words) -> Decision:
    assert w.record is not None
    text = f"the seed of generation {w.record.generation} is gone before it was created, and no data exists"
    if w.seen.taken is not False:
        return say(Action.WAIT, f"waiting: {text}; the group takes this instance, so that another creates")
    return say(Action.CREATE, f"{text}: creating generation {w.record.generation + 1}")


def standing_still(w: Words) -> list[Report]:
    """Members that a person's command stopped, and whose data counts."""
    reports = [w.reports[i] for i in w.living if i in w.reports]
    return [r for r in reports if r.holds is Holds.EMPTY and r.data is not None and w.counts(r.identity)]


def row_22(w: Words) -> bool:
    return True


def then_22(w: Words) -> Decision:
    lost = "; ".join([account(w, v) for v in w.voters if w.lost(v)] or ["every disk of the generation"]) + besides(w)
    cluster, backup = w.seen.cluster, w.seen.backup
    ways = [way] if (way := adopting(w, "where ")) else []
    if w.holdings:
        (epoch, zxid), best, _ = w.holdings[0]
        ways.append(f"`zkboot reseed` on {best} keeps what it holds ({zxid:#x} of epoch {epoch})")
    ways += [f"`zkboot reseed` on {r.instance_id} keeps its {r.data.zxid:#x}" for r in standing_still(w) if r.data]
    if backup is not None and not isinstance(backup, Unknown):
        ways.append(f"`zkboot restore {backup.name}` goes back to {backup.zxid:#x}, {backup.age:.0f} s old{standing(w)}")
    ways.append("`zkboot create --accept-data-loss` begins with an empty tree")
    return say(
        Action.HALT,
        f"halted: too few voters of cluster {cluster} remain (lost: {lost}), and a person must choose: {'; '.join(ways)}",
    )


def standing(w: Words) -> str:
    """How the backup stands to what the members hold."""
    if backup_is_ahead(w):
        return ", newer than any of that" if w.holdings else ""
    return ", older than any of that" if w.holdings else ", of a generation that was given up"


def besides(w: Words) -> str:
    """What the living that are no voters report: an empty disk, or data that was given up when a later generation was created."""
    voters = {w.instance_of(v) for v in w.voters}
    reports = [w.reports[i] for i in w.living if i in w.reports and i not in voters]
    text = "".join(
        f"; {r.instance_id} reports an empty disk{in_archive(r)}" for r in reports if r.holds is Holds.EMPTY and r.data is None
    )
    return text + "".join(
        f"; {r.instance_id} reports {r.data.zxid:#x} of generation {r.identity.generation}, older than the last one created"
        for r in reports
        if r.data is not None and r.identity is not None and not w.counts(r.identity)
    )


def why(fact: object) -> str:
    if isinstance(fact, Unknown):
        return f"unknown ({fact.why})"
    return "missing" if fact is None else "known"


ROWS: tuple[Row, ...] = tuple(
    Row(number, when, then)
    for number, (when, then) in enumerate(
        (
            (row_1, then_1), (row_2, then_2), (row_3, then_3), (row_4, then_4), (row_5, then_5), (row_6, then_6),
            (row_7, then_7), (row_8, then_8),
            (row_9, then_9), (row_10, then_10), (row_11, then_11), (row_12, then_12), (row_13, then_13), (row_14,
            then_14), (row_15, then_15), (row_16, then_16),
            (row_17, then_17), (row_18, then_18), (row_19, then_19), (row_20, then_20), (row_21, then_21), (row_22, then_22),
        ),
        start=1,
    )
)  # fmt: skip
