"""What the policy never does and always does: each invariant a function over (facts, decision) whose docstring is its
English sentence.

An invariant is asked for the decisions of its actions only (of all, where it names none). Those that say what must *not*
happen stand here
and in `among.py`; `progress.py` says what must happen, `reasons.py` what a reason must name. All of them are in `INVARIANTS`.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.policy.facts import Facts, rank
from zkboot.model import Action, Decision, DiskState, Holds, State, Unknown
from zkboot.words import ACCEPTED, NO_QUORUM, SILENT, TOO_FEW, UNSEEN, too_few_at

Holding = Callable[[Facts, Decision], bool]


class Invariant(NamedTuple):
    name: str
    sentence: str
    holds: Holding


ALL: list[tuple[Invariant, frozenset[Action]]] = []
EVERY = frozenset(Action)
STARTS = (Action.START, Action.RESTART)
PASSIVE = (Action.WAIT, Action.HALT, Action.HEALTHY)
NEW_GENERATION = (Action.RESEED, Action.RESTORE)


def invariant(*actions: Action) -> Callable[[Holding], Holding]:
    def enter(holds: Holding) -> Holding:
        sentence = " ".join((holds.__doc__ or "").split())
        assert sentence.endswith("."), f"{holds.__name__} has no sentence"
        ALL.append((Invariant(holds.__name__, sentence, holds), frozenset(actions) or EVERY))
        return holds

    return enter


def breaks(invariant: Invariant, facts: Facts, decision: Decision) -> bool:
    """Whether the decision breaks it; one made without the facts that the invariant speaks of does."""
    try:
        return not invariant.holds(facts, decision)
    except (AssertionError, LookupError):
        return True


def by_action() -> dict[Action, list[Invariant]]:
    """Which invariants a decision of each action is held against."""
    return {action: [i for i, actions in ALL if action in actions] for action in Action}


# --- unknown is not absent

DECIDING: dict[Action, tuple[str, ...]] = {
    Action.CREATE: ("quorum", "record", "reports", "group", "taken", "backup", "disk"),
    Action.SEED: ("quorum", "record", "reports", "group", "disk"),
    Action.RESEED: ("quorum", "record", "reports", "group", "backup", "disk"),
    Action.RESTORE: ("quorum", "record", "reports", "group", "backup", "disk"),
    Action.JOIN: ("quorum", "record", "reports", "group", "disk"),
    Action.REJOIN: ("quorum", "record", "disk"),
    Action.AWAIT_SEED: ("quorum", "record", "reports", "group"),
    Action.LEAVE: ("quorum", "record", "group", "taken"),
    Action.LET_GO: ("quorum", "taken"),
    Action.LET_IN: ("quorum", "record", "group"),
    Action.SET_CREATED: ("quorum", "record", "group"),
    Action.PROVE: ("quorum", "record"),
    Action.RECONFIGURE: ("quorum", "record", "group"),
    Action.ADOPT: ("quorum", "record"),
    Action.WITHDRAW: ("quorum", "record", "reports", "disk"),
    Action.REPORT: ("quorum", "record", "reports", "disk"),
    Action.START: ("disk",),
    Action.RESTART: (),
}


@invariant(*DECIDING)
def an_unknown_fact_decides_nothing(f: Facts, d: Decision) -> bool:
    """No action is taken while a fact that decides it is unknown."""
    return not any(name in f.unknown for name in DECIDING[d.action])


@invariant(Action.CREATE)
def a_first_creation_knows_that_no_witness_exists(f: Facts, d: Decision) -> bool:
    """Without a record nothing is created while it is unknown whether a witness of an older ensemble exists."""
    return f.record is not None or "witnesses" not in f.unknown


# --- an ensemble is created once


@invariant(Action.CREATE)
def nothing_is_created_over_anything(f: Facts, d: Decision) -> bool:
    """Never `create` while any data, archive, backup, witness, quorum or foreign leader exists."""
    disk, reports = f.disk, f.reports.values()
    told = any(
        r.data or r.identity or r.archives or r.holds is Holds.DATA
        for r in reports
        if f.record is None or not f.dead(r.instance_id)
    )
    mine = disk.state in (DiskState.DATA, DiskState.DAMAGED) or disk.archives or (f.record is None and disk.identity)
    return not (told or mine or f.seen.backup or f.seen.quorum or f.seen.foreign or (f.record is None and f.seen.witnesses))


@invariant(Action.CREATE)
def the_creator_is_registered(f: Facts, d: Decision) -> bool:
    """Only an instance of the group creates, in the answer that lists it, not being taken, and for the first time registered."""
    if f.seen.taken is not False or f.group is None or not f.group.lists_me or f.me not in f.group.instances:
        return False
    return f.record is not None or f.me in [i.id for i in f.registered]


@invariant(Action.CREATE)
def a_first_creation_has_all_registered(f: Facts, d: Decision) -> bool:
    """Nothing is created before as many instances are registered as the group desires."""
    return f.record is not None or (f.group is not None and len(f.registered) >= max(f.group.desired, 1))


@invariant(Action.CREATE)
def a_creation_is_repeated_only_while_creating(f: Facts, d: Decision) -> bool:
    """A record is created anew only while it still says `creating`."""
    return f.record is None or f.record.state is State.CREATING


# --- one seed in a generation, and only behind its fence


@invariant(Action.SEED)
def only_the_named_seed_builds_and_once(f: Facts, d: Decision) -> bool:
    """A seed's disk is built only by the node that the record names, before the fence, in a generation not created."""
    return (
        f.record is not None
        and f.is_seed
        and not f.record.started
        and f.record.state is not State.CREATED
        and f.seen.quorum is None
    )


@invariant(Action.SEED)
def a_seed_is_built_from_what_it_was_to_be_built_from(f: Facts, d: Decision) -> bool:
    """A creation's disk is built where nothing lies (or where a person accepted the loss), a reseed's from data or an
    archive of this node, a restore's from the backup that the record names."""
    assert f.record is not None
    if f.record.state is State.CREATING:
        return f.record.source == ACCEPTED or f.disk.state is DiskState.EMPTY
    if f.record.state is State.RESTORING:
        return bool(f.record.source)
    return f.holds_data or bool(f.own_sources)


@invariant(*STARTS)
def an_unfenced_seed_is_never_started(f: Facts, d: Decision) -> bool:
    """A disk that this node built as the seed is never started before its fence, also when the record cannot be read."""
    return not f.disk.seeded or f.fenced


@invariant(*STARTS)
def a_named_seed_starts_only_behind_its_fence(f: Facts, d: Decision) -> bool:
    """While the record names this node as a seed that is not `started`, its server is not started."""
    return f.record is None or not f.is_seed or f.record.started


# --- what a server may be started with


@invariant(*STARTS)
def a_promised_empty_disk_is_never_started(f: Facts, d: Decision) -> bool:
    """A node that promised an empty disk does not start its server before the promise is taken back."""
    return not f.promised


@invariant(*STARTS)
def an_empty_disk_never_starts_to_vote(f: Facts, d: Decision) -> bool:
    """An empty or damaged disk never leads to a start that can vote, but for the seed's own marked one behind its fence."""
    return f.holds_data or f.fenced_creation or (f.disk.state is DiskState.UNKNOWN and d.action is Action.RESTART)


@invariant(*STARTS)
def only_data_of_the_generation_is_started(f: Facts, d: Decision) -> bool:
    """A server continues only with data of the record's generation, or of a known cluster while the record cannot be read."""
    if f.record is not None:
        return f.disk_is_ours or (d.action is Action.RESTART and f.quorum is not None)
    return (
        isinstance(f.seen.record, Unknown) and (f.disk.identity is not None or d.action is Action.RESTART)
    ) or f.quorum is not None


@invariant(*STARTS)
def what_was_seen_to_be_over_is_not_started_unasked(f: Facts, d: Decision) -> bool:
    """A disk whose generation the record was seen to have given up is started only where the record can be read and names that
    generation, whatever ensemble is seen."""
    return not f.disk.over or f.disk_is_ours


@invariant(*STARTS)
def only_a_member_is_started(f: Facts, d: Decision) -> bool:
    """A server is started with its data only where a configuration names this node: the quorum's, its own or that of the
    voters."""
    if f.quorum is not None:
        return f.member is not None
    data = f.disk.data
    own = data is not None and (f.line(data.committed) or f.line(data.pending))
    newest = f.disk_is_ours and any((v.id, v.address) == (f.id, f.seen.me.address) for v in f.voters)
    return bool(own or newest or f.fenced_creation)


@invariant(*STARTS)
def a_lost_record_starts_nothing(f: Facts, d: Decision) -> bool:
    """Without a quorum and without a record nothing is started."""
    return f.quorum is not None or f.seen.record is not None


@invariant(Action.RESTART)
def only_a_server_that_had_its_time_is_restarted(f: Facts, d: Decision) -> bool:
    """A server is restarted only when it has run without serving, in turn after turn, for longer than a start may take; or has
    led for so long with a configuration that it cannot commit."""
    return f.hung or (f.leads_in_vain and f.long_unseen)


@invariant(*STARTS)
def an_unknown_quorum_is_waited_for(f: Facts, d: Decision) -> bool:
    """While it is unknown whether an ensemble serves, nothing is started before a start would have been over."""
    return not isinstance(f.seen.quorum, Unknown) or f.long_unseen


@invariant(Action.START)
def only_a_stopped_server_is_started(f: Facts, d: Decision) -> bool:
    """A server is started only when it is stopped."""
    return not f.running


@invariant(*STARTS)
def a_pending_configuration_goes_only_when_undecidable(f: Facts, d: Decision) -> bool:
    """A pending configuration is moved aside only when too few of its voters live, or no other could have committed it, or each
    majority of it that lives has this node and each that ever was meets each of the committed one."""
    if not d.aside:
        return True
    data = f.disk.data
    if data is None or data.pending is None or f.seen.quorum is not None:
        return False
    alone = data.committed is not None and [v.id for v in data.committed.voters] == [f.id]
    return alone or (f.judged and f.nobody_leads_by(data.committed, data.pending))


# --- data is set aside only for a newer generation that leads


def archives(f: Facts, d: Decision) -> bool:
    """What joining does with a disk that is not the generation's own."""
    return f.disk.state is DiskState.DAMAGED or (f.holds_data and not f.disk_is_ours)


@invariant(Action.JOIN, Action.REJOIN)
def data_is_archived_only_beside_a_quorum(f: Facts, d: Decision) -> bool:
    """A node that holds data archives it to join only once a quorum of the record's generation serves."""
    return f.quorum is not None or not (archives(f, d) or f.holds_data)


@invariant(Action.JOIN, Action.REJOIN)
def what_others_left_is_not_archived(f: Facts, d: Decision) -> bool:
    """What a member of the quorum was before zkboot is neither archived nor begun anew: nobody has taken it in yet."""
    return f.left_by_others is None


@invariant(Action.REJOIN)
def a_member_joins_again_only_without_a_usable_disk(f: Facts, d: Decision) -> bool:
    """A member archives and joins again only when a quorum serves with it in the configuration and its disk is empty,
    damaged or not the generation's."""
    return f.quorum is not None and f.member is not None and not (f.holds_data and f.disk_is_ours)


@invariant(Action.JOIN)
def a_member_does_not_join_as_a_newcomer(f: Facts, d: Decision) -> bool:
    """A node in the quorum's configuration does not join beside it without a proof."""
    return f.member is None


@invariant(Action.JOIN)
def without_a_quorum_only_an_empty_node_joins_its_living_seed(f: Facts, d: Decision) -> bool:
    """Without a quorum a node joins only empty, before `created`, beside a seed that is another, neither dead nor lost, and
    the only voter."""
    return f.quorum is not None or (f.disk.state is DiskState.EMPTY and f.beside_seed)


@invariant(Action.AWAIT_SEED)
def a_server_stops_for_a_seed_only_with_older_data(f: Facts, d: Decision) -> bool:
    """A server is stopped to wait for a seed only when it runs on data that is not the generation's, and the seed lives."""
    return f.running and not f.disk_is_ours and f.beside_seed


@invariant(Action.REPORT)
def a_report_changes_only_when_it_is_no_longer_true(f: Facts, d: Decision) -> bool:
    """`joining` is given up only when no seed is there to join and none was for longer than the staleness window, or by a
    started seed without its disk."""
    assert f.record is not None
    held = f.seen.held.get(NO_QUORUM)
    over = (
        held is not None
        and held.seconds > f.seen.limits.staleness
        and not f.beside_seed
        and not (f.is_seed and not f.record.started)
    )
    robbed = (
        f.is_seed
        and (f.record.started or f.record.state is not State.CREATING or f.disk.state is not DiskState.EMPTY)
        and not f.fenced_creation
    )
    says_else = f.own is None or f.own.holds is Holds.JOINING or robbed
    return says_else and (over or robbed)


@invariant(Action.WITHDRAW)
def a_promise_is_taken_back_only_over_data(f: Facts, d: Decision) -> bool:
    """An `empty` promise is taken back only by a stopped node whose disk holds data again, or is its creation's fenced one."""
    return f.promised and (f.holds_data or f.fenced_creation) and not f.running


# --- a generation is replaced only when too few of its voters remain


@invariant(Action.CREATE, *NEW_GENERATION)
def a_generation_is_replaced_only_when_too_few_remain(f: Facts, d: Decision) -> bool:
    """A new generation begins only when, of the newest known voters, those neither dead nor promised empty are no majority."""
    return f.record is None or (f.judged and not f.enough)


@invariant(Action.CREATE, *NEW_GENERATION)
def a_generation_is_replaced_only_after_grace(f: Facts, d: Decision) -> bool:
    """A new generation begins only after too few voters were found for longer than the staleness window."""
    return f.record is None or f.grace_over


@invariant(Action.CREATE, *NEW_GENERATION)
def a_generation_is_replaced_only_when_all_living_spoke(f: Facts, d: Decision) -> bool:
    """A new generation begins only when each living member has a report that says `empty`, or `data` written since, at this
    revision."""
    return f.record is None or all(f.has_spoken(i) for i in f.living)


@invariant(*NEW_GENERATION)
def nobody_is_replaced_while_a_quorum_may_serve(f: Facts, d: Decision) -> bool:
    """A generation is never replaced while a quorum serves or may serve."""
    return f.seen.quorum is None


@invariant(Action.RESEED)
def the_best_survivor_reseeds(f: Facts, d: Decision) -> bool:
    """Who reseeds holds the highest (epoch, zxid) of all survivors and of the verified backup."""
    if f.me not in f.survivors:
        return False
    return not f.backup_ahead and all(other <= f.survivors[f.me] for other in f.survivors.values())


@invariant(Action.RESTORE)
def a_backup_is_restored_only_unasked_within_its_age(f: Facts, d: Decision) -> bool:
    """A backup is restored unasked only when it is ahead of every survivor, of no generation that was given up, younger than
    allowed, and by the highest survivor or the lowest registered."""
    backup = f.seen.backup
    if backup is None or isinstance(backup, Unknown) or backup.age > f.seen.limits.auto_restore:
        return False
    lowest = [i.id for i in f.registered][:1] == [f.me]
    return f.backup_ahead and (f.survivors.get(f.me) == max(f.survivors.values()) if f.survivors else lowest)


@invariant()
def while_enough_remain_nothing_but_waiting(f: Facts, d: Decision) -> bool:
    """In a created generation whose voters can still elect, and no quorum is seen, nodes start, report and wait, and nothing
    else."""
    if f.seen.quorum is not None or f.record is None or f.record.state is not State.CREATED or not f.judged or not f.enough:
        return True
    allowed = (*STARTS, *PASSIVE, Action.REPORT, Action.WITHDRAW, Action.OBEY, Action.LET_GO)
    return d.action in allowed


@invariant(Action.HALT)
def a_person_is_asked_only_when_nothing_else_is_left(f: Facts, d: Decision) -> bool:
    """A halt is a conflict, a lost record, or too few voters with all facts known, all heard, and no survivor or backup that
    may go on."""
    if conflicting(f):
        return True
    if f.seen.quorum is not None:
        return False
    if f.record is None:
        return f.seen.record is None
    if (
        f.enough
        or not f.grace_over
        or not all(f.has_spoken(i) for i in f.living)
        or f.unknown.keys() & {"reports", "group", "backup", "quorum"}
    ):
        return False
    backup = f.seen.backup
    if f.backup_ahead and backup is not None and not isinstance(backup, Unknown):
        return backup.age > f.seen.limits.auto_restore
    return not f.survivors


def conflicting(f: Facts) -> bool:
    disk, record = f.disk.identity, f.record
    other = (
        record is not None and disk is not None and (disk.cluster_id != record.cluster_id or disk.generation > record.generation)
    )
    return other or f.seen.foreign is not None or (record is not None and record.scope != f.seen.me.scope)


@invariant()
def clusters_and_scopes_are_never_mixed(f: Facts, d: Decision) -> bool:
    """What belongs to different clusters, scopes or to a newer generation halts."""
    return d.action is Action.HALT if conflicting(f) else True


@invariant()
def a_persons_command_stops_all_else(f: Facts, d: Decision) -> bool:
    """While a person's command stands in the record, a node obeys it or halts."""
    return f.record is None or f.record.intent is None or d.action in (Action.OBEY, Action.HALT)


@invariant(Action.OBEY)
def only_a_standing_command_is_obeyed(f: Facts, d: Decision) -> bool:
    """Nothing is stopped and archived for a command that does not stand in the record."""
    return f.record is not None and f.record.intent is not None


# --- the clocks of grace and staleness


@invariant()
def the_clock_of_grace_runs_only_while_too_few_remain(f: Facts, d: Decision) -> bool:
    """`too few voters` is noted exactly when no quorum is seen and too few remain, for the record's very revision; while the
    facts that judge are unknown it stays as it was."""
    before = [name for name in f.seen.held if name.startswith(TOO_FEW)]
    due = before
    if f.judged:
        assert f.record is not None
        due = [] if f.enough else [too_few_at(f.record.revision)]
    return [name for name in d.noted if name.startswith(TOO_FEW)] == (due if f.seen.quorum is None else [])


@invariant()
def silence_is_timed(f: Facts, d: Decision) -> bool:
    """`own server silent` is noted exactly when it runs and does not serve."""
    return (SILENT in d.noted) == (f.running and not f.serving)


@invariant()
def the_lack_of_a_quorum_is_timed_only_while_known(f: Facts, d: Decision) -> bool:
    """`no quorum` is noted exactly when it is known that none is seen."""
    return (NO_QUORUM in d.noted) == (f.seen.quorum is None)


@invariant()
def that_no_quorum_is_seen_is_timed(f: Facts, d: Decision) -> bool:
    """`no quorum seen to serve` is noted exactly when none is seen, be it known or not."""
    return (UNSEEN in d.noted) == (f.quorum is None)


__all__ = ["ALL", "DECIDING", "EVERY", "Invariant", "breaks", "by_action", "conflicting", "invariant", "rank"]
