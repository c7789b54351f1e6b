"""Rows 3 to 6: a quorum, and this node's place in it."""

from zkboot.model import Action, Decision, DiskState, Record, State, Unknown
from zkboot.policy.leader import duty, kept_here
from zkboot.policy.newcomer import undecided
from zkboot.policy.shared import hung, over, say, silence, to_be_adopted, untaken
from zkboot.words import Words, majority


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


def why(fact: object) -> str:
    if isinstance(fact, Unknown):
        return f"unknown ({fact.why})"
    return "missing" if fact is None else "known"
