"""Invariants of what must happen: a policy that only waits breaks none of the others."""

from tests.policy.among import change_of
from tests.policy.facts import Facts, tolerance, voters_of
from tests.policy.invariants import conflicting, invariant
from zkboot.model import Action, Decision, DiskState, Role, State, Unknown
from zkboot.words import ALONE, NO_QUORUM


def undisturbed(f: Facts) -> bool:
    """No conflict and no command stands."""
    return not conflicting(f) and not (f.record is not None and f.record.intent is not None)


def all_known(f: Facts) -> bool:
    return not f.unknown.keys() & {"quorum", "record", "reports", "group", "disk", "taken", "backup", "witnesses"}


def long_without(f: Facts) -> bool:
    held = f.seen.held.get(NO_QUORUM)
    return held is not None and held.seconds > f.seen.limits.staleness


def continues(f: Facts) -> bool:
    """A member with its own data, stopped or hung, that nothing forbids to go on."""
    data = f.disk.data
    usable = f.fenced_creation or (f.holds_data and data is not None and (not f.disk.seeded or f.fenced))
    named = f.fenced_creation or (data is not None and f.holds_data and bool(f.line(data.committed) or f.line(data.pending)))
    unasked = f.disk.identity is not None and not f.disk.over
    readable = unasked if isinstance(f.seen.record, Unknown) else f.disk_is_ours
    fence = f.record is None or not f.is_seed or f.record.started
    return usable and named and readable and fence and not f.promised


@invariant()
def a_member_with_its_data_starts_again(f: Facts, d: Decision) -> bool:
    """Without a quorum a stopped member with its data starts again, whatever AWS says or does not say (but for what it had said
    of its generation), and where it stays unknown whether there is one."""
    lacking = f.seen.quorum is None or f.long_unseen
    if not lacking or f.running or not undisturbed(f) or not continues(f) or f.seen.record is None:
        return True
    to_zero = f.seen.taken is True and f.group is not None and f.group.desired == 0
    return d.action is Action.START or to_zero


@invariant()
def what_others_left_is_taken_in_by_a_person(f: Facts, d: Decision) -> bool:
    """A member as it was before zkboot, not being taken, waits for the person who takes it in, and names its id and the command,
    unless it serves and has work."""
    known = not f.unknown.keys() & {"group", "reports", "taken"}
    if f.left_by_others is None or f.seen.taken is True or not undisturbed(f) or not known:
        return True
    serves = f.member is not None and f.serving
    if serves and d.action in (Action.LET_IN, Action.RECONFIGURE, Action.PROVE, Action.SET_CREATED):
        return True
    named = f"server {f.left_by_others.id} " in d.reason and "`zkboot adopt --through " in d.reason
    return d.action is Action.WAIT and named


@invariant()
def a_hung_member_is_restarted(f: Facts, d: Decision) -> bool:
    """A member that runs without serving for longer than a start may take is restarted, and for so long without a quorum where
    none is seen; so is one that leads and cannot commit what was proposed."""
    hung = (f.hung and (f.quorum is not None or f.long_unseen)) or (f.leads_in_vain and f.long_unseen)
    if not hung or not undisturbed(f):
        return True
    if f.quorum is not None:
        concerned = (
            f.member is not None
            and f.seen.record is not None
            and f.seen.taken is not True
            and f.disk.state is not DiskState.UNKNOWN
            and f.left_by_others is None
        )
        waits = f.record is None and (not f.holds_data or f.disk.over)
        return not concerned or waits or d.action in (Action.RESTART, Action.REJOIN)
    to_zero = f.seen.taken is True and f.group is not None and f.group.desired == 0
    return not continues(f) or f.seen.record is None or d.action is Action.RESTART or to_zero


@invariant()
def an_undecidable_pending_configuration_is_moved_aside(f: Facts, d: Decision) -> bool:
    """A start without a quorum moves a pending configuration aside that no other could have committed or by which nobody can lead
    any more."""
    data = f.disk.data
    if (
        d.action not in (Action.START, Action.RESTART)
        or f.seen.quorum is not None
        or not f.holds_data
        or data is None
        or data.pending is None
    ):
        return True
    alone = data.committed is not None and [v.id for v in data.committed.voters] == [f.id]
    return d.aside or not (alone or (f.judged and f.nobody_leads_by(data.committed, data.pending)))


@invariant()
def a_stopped_member_of_a_quorum_starts_or_joins_again(f: Facts, d: Decision) -> bool:
    """A stopped member of a serving quorum starts with its data, takes a promise back, or, without a usable disk, joins again."""
    if (
        f.member is None
        or f.running
        or f.seen.taken is True
        or not undisturbed(f)
        or f.record is None
        or f.disk.state is DiskState.UNKNOWN
        or f.left_by_others is not None
    ):
        return True
    if not (f.holds_data and f.disk_is_ours):
        return d.action is Action.REJOIN
    return d.action is (Action.WITHDRAW if f.promised else Action.START) or bool(f.unknown)


@invariant()
def a_serving_member_is_healthy_or_at_work(f: Facts, d: Decision) -> bool:
    """A member that serves, not being taken, is healthy, at the work of its ensemble, or waits only for `created` or the record
    to prove it by."""
    if f.member is None or not f.serving or f.seen.taken is True or not undisturbed(f) or f.seen.record is None:
        return True
    if f.left_by_others is not None and d.action is Action.WAIT:
        return True
    if d.action is Action.WAIT:
        unproved = f.quorum is not None and not f.quorum.proved
        return (f.record is None and unproved) or (f.record is not None and f.record.state is not State.CREATED)
    return d.action in (Action.HEALTHY, Action.PROVE, Action.SET_CREATED, Action.LET_IN, Action.RECONFIGURE)


def leads_in_peace(f: Facts) -> bool:
    """The leader of a created, proved ensemble with the record and the group known, nothing else to do, not being taken."""
    if f.member is None or f.quorum is None or f.record is None or f.group is None or not f.serving or not undisturbed(f):
        return False
    mine = f.group.instances.get(f.me)
    launching = mine is not None and mine.lifecycle == "Pending:Wait"
    ready = f.record.state is State.CREATED and f.quorum.proved and not launching
    return ready and f.quorum.leader == f.member.id and f.seen.taken is not True


@invariant()
def the_leader_mends_what_it_can(f: Facts, d: Decision) -> bool:
    """The leader brings a spare in for a dead voter, promotes below the target, demotes above it, and takes out dead
    members, until none is left to do."""
    if not leads_in_peace(f):
        return True
    assert f.quorum is not None
    voters, living = f.quorum.configuration.voters, len(f.quorum.configuration.voters) - len(f.dead_voters)
    replace = bool(f.dead_voters and f.spares)
    raised = tolerance(f.serving_voters, living) > tolerance(f.serving_voters, len(voters)) if f.dead_voters else False
    remove = bool(f.dead_voters) and (raised or len(voters) > f.target)
    promote = len(f.staying) < f.target and bool(f.spares)
    others = [v for v in voters if v.id != f.quorum.leader and not f.server_going(v)]
    silent = [v for v in others if v.id not in f.quorum.serving]
    staying = [v for v in voters if not f.server_going(v)]
    demote = len(staying) > f.target and bool(others) and (bool(silent) or f.serving_voters == len(voters))
    tidy = any(f.server_dead(o) for o in f.quorum.configuration.observers)
    must = replace or remove or promote or demote or tidy
    return d.action is Action.RECONFIGURE if must else True


@invariant(Action.RECONFIGURE)
def a_reconfiguration_changes_something(f: Facts, d: Decision) -> bool:
    """No reconfiguration leaves the configuration as it is."""
    assert f.quorum is not None
    return set(f.after(change_of(d))) != set(f.quorum.configuration.servers)


@invariant()
def an_ensemble_of_a_majority_is_set_created(f: Facts, d: Decision) -> bool:
    """The first member to see the voters reach a majority of the target sets `created`, once the quorum is proved."""
    if f.member is None or f.record is None or f.group is None or not f.serving or f.seen.taken is True or not undisturbed(f):
        return True
    assert f.quorum is not None
    due = f.record.state is not State.CREATED and f.quorum.proved and 2 * f.serving_voters > f.target
    return not due or d.action is Action.SET_CREATED


@invariant()
def the_leader_proves_a_new_generation(f: Facts, d: Decision) -> bool:
    """The leader of a generation that is not proved yet proves it."""
    due = f.member is not None and f.quorum is not None and not f.quorum.proved and f.quorum.leader == f.member.id
    return (
        not (due and f.serving and f.record is not None and f.seen.taken is not True and undisturbed(f))
        or d.action is Action.PROVE
    )


@invariant()
def who_serves_a_created_ensemble_is_let_in(f: Facts, d: Decision) -> bool:
    """A launched instance that serves a created, proved ensemble as a member is let in."""
    mine = f.group.instances.get(f.me) if f.group else None
    ready = (
        f.member is not None
        and f.quorum is not None
        and f.quorum.proved
        and f.serving
        and f.record is not None
        and f.record.state is State.CREATED
    )
    return not (ready and mine is not None and mine.lifecycle == "Pending:Wait" and undisturbed(f)) or d.action is Action.LET_IN


@invariant()
def a_lost_record_is_written_again_from_a_live_ensemble(f: Facts, d: Decision) -> bool:
    """Where a quorum serves without a record, a member with a generation file writes it again."""
    due = f.seen.record is None and f.member is not None and f.disk.identity is not None and undisturbed(f)
    return not due or d.action is Action.ADOPT or f.seen.taken is True


@invariant()
def a_newcomer_comes_in(f: Facts, d: Decision) -> bool:
    """A node beside a quorum that knows all it needs joins, and once in step enters, or waits only for a second one or for a
    dead holder of its address."""
    if f.quorum is None or f.member is not None or f.record is None or f.seen.taken is not False or not undisturbed(f):
        return True
    if f.unknown.keys() & {"group", "reports", "disk"} or f.disk.state is DiskState.UNKNOWN or f.left_by_others is not None:
        return True
    ready = f.running and f.claim is not None and f.disk_is_ours and f.disk.state is not DiskState.DAMAGED
    if not ready:
        return d.action is Action.JOIN
    if f.seen.me.address not in f.quorum.synced:
        return d.action is (Action.JOIN if f.hung else Action.WAIT)
    shadow = [
        s
        for s in f.quorum.configuration.servers
        if (s.address == f.seen.me.address or s.id == f.id) and s.role is Role.PARTICIPANT and not f.server_dead(s)
    ]
    single = len(f.quorum.configuration.voters) == 1 and f.target >= 3 and not f.dead_voters and not f.second_claimants
    if shadow:
        return d.action is Action.WAIT
    return d.action is Action.RECONFIGURE or (single and f.another_may_come and d.action is Action.WAIT)


@invariant(Action.RECONFIGURE)
def a_newcomer_votes_where_the_target_wants_one(f: Facts, d: Decision) -> bool:
    """Who enters becomes a voter while those neither dead nor being taken are fewer than the target."""
    assert f.quorum is not None
    if f.member is not None:
        return True
    wanted = len(f.staying) < f.target
    return any(s.role is Role.PARTICIPANT for s in change_of(d).joining) == wanted


@invariant()
def the_last_newcomer_does_not_wait_for_ever(f: Facts, d: Decision) -> bool:
    """A newcomer in step that waited longer than a start may take for a second one enters alone."""
    if f.quorum is None or f.member is not None or f.record is None or not f.claim or f.seen.me.address not in f.quorum.synced:
        return True
    held = f.seen.held.get(ALONE)
    due = held is not None and held.seconds > f.seen.limits.start and f.seen.taken is False and not f.unknown and f.disk_is_ours
    shadow = any(s.address == f.seen.me.address for s in f.quorum.configuration.servers)
    return not due or shadow or not f.running or not undisturbed(f) or d.action is Action.RECONFIGURE


@invariant()
def a_taken_node_with_nothing_is_let_go(f: Facts, d: Decision) -> bool:
    """A node that the group takes and that holds nothing of the cluster is let go."""
    nothing = f.disk.state is DiskState.EMPTY and not f.disk.seeded and not f.disk.archives and not f.running and f.member is None
    due = f.seen.taken is True and nothing and "quorum" not in f.unknown and undisturbed(f)
    return not due or d.action is Action.LET_GO


@invariant()
def a_taken_member_leaves_when_it_can(f: Facts, d: Decision) -> bool:
    """A taken node in a created ensemble that serves goes when it is no voter, when the rest keeps a quorum and a majority
    of the target, or at zero."""
    if (
        f.seen.taken is not True
        or f.quorum is None
        or f.record is None
        or f.group is None
        or not undisturbed(f)
        or f.record.state is not State.CREATED
    ):
        return True
    going = d.action in (Action.LEAVE, Action.LET_GO)
    if f.member is None or f.member.role is Role.OBSERVER or f.group.desired == 0:
        return going
    stay = [v for v in f.quorum.configuration.voters if v != f.member and v not in f.dead_voters]
    serving = sum(v.id in f.quorum.serving for v in stay)
    spare = bool(f.spares) and len(stay) < f.target and 2 * serving > len(stay) + 1
    able = 2 * serving > len(stay) and 2 * (serving + spare) > f.target
    return going == able


@invariant(Action.LEAVE)
def who_leaves_takes_the_dead_along(f: Facts, d: Decision) -> bool:
    """A voter that leaves takes dead voters out with it, and a spare in where the target wants one."""
    assert f.quorum is not None
    if f.member is None or f.member.role is Role.OBSERVER:
        return True
    after = voters_of(f.after(change_of(d)))
    stay = [v for v in f.quorum.configuration.voters if v != f.member and v not in f.dead_voters]
    serving = sum(v.id in f.quorum.serving for v in stay)
    spare = bool(f.spares) and len(stay) < f.target and 2 * serving > len(stay) + 1
    return len(after) == len(stay) + spare and not any(f.server_dead(v) for v in after)
