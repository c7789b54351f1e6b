"""Rows 7 and 8: a quorum that this node is no member of; it joins."""

from zkboot.model import Action, Change, Decision, DiskState, Role, Unknown
from zkboot.policy.shared import hung, lasting, say, silence, to_be_adopted, untaken
from zkboot.words import ALONE, REGISTERED, Words


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
    me = w.line(w.own_id, w.seen.me.address)
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
