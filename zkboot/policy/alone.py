"""Rows 9 to 11: without a quorum, what this node may do on its own."""

from zkboot.model import Action, Decision, DiskState, Holds, Mode, Server, State, Unknown
from zkboot.policy.beginning import beside_seed
from zkboot.policy.shared import hung, lasting, over, say, silence
from zkboot.words import NO_QUORUM, UNSEEN, Words, majority


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
    before = told_empty and w.orphaned and w.counts(w.seen.disk.identity)
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
