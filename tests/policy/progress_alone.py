"""Invariants of what must happen without a quorum: an ensemble is created, joined, heard out and, with too few left, goes on."""

from tests.policy.facts import Facts
from tests.policy.invariants import invariant
from tests.policy.progress import all_known, continues, long_without, undisturbed
from zkboot.model import Action, Decision, DiskState, Holds, State, Unknown


@invariant()
def a_lost_record_halts(f: Facts, d: Decision) -> bool:
    """Without a quorum and a record, where anything shows that an ensemble existed and all is known, a person is asked."""
    if f.seen.quorum is not None or f.seen.record is not None or not all_known(f) or not undisturbed(f):
        return True
    shown = (
        any(r.data or r.identity or r.archives for r in f.reports.values())
        or f.disk.state is not DiskState.EMPTY
        or f.disk.identity
        or f.disk.archives
    )
    let_go = f.seen.taken is True and d.action is Action.LET_GO
    return not (shown or f.seen.witnesses or f.seen.backup) or d.action is Action.HALT or let_go


@invariant()
def a_first_ensemble_is_created(f: Facts, d: Decision) -> bool:
    """Where nothing exists, all is known and as many as desired are registered, this node among them, it creates; until then
    it waits."""
    if (
        f.seen.quorum is not None
        or f.seen.record is not None
        or not all_known(f)
        or f.seen.taken is True
        or not undisturbed(f)
        or f.group is None
    ):
        return True
    shown = (
        any(r.data or r.identity or r.archives for r in f.reports.values())
        or f.disk.state is not DiskState.EMPTY
        or f.disk.identity
        or f.disk.archives
    )
    if shown or f.seen.witnesses or f.seen.backup:
        return True
    there = len(f.registered) >= max(f.group.desired, 1) and f.me in [i.id for i in f.registered] and f.group.lists_me
    return d.action is (Action.CREATE if there else Action.WAIT)


@invariant()
def a_named_seed_builds(f: Facts, d: Decision) -> bool:
    """The node that the record names as its seed builds and starts where it has what it needs and nothing forbids it."""
    if (
        f.seen.quorum is not None
        or f.record is None
        or not f.is_seed
        or f.record.started
        or f.record.state is State.CREATED
        or not undisturbed(f)
    ):
        return True
    if not all_known(f) or f.says_empty(f.me) or f.disk.promised or f.seen.taken is True:
        return True
    if f.record.state is State.RESTORING:
        return f.given_up or d.action is Action.SEED
    source = f.disk.state is DiskState.EMPTY if f.record.state is State.CREATING else f.holds_data
    if f.record.state is not State.CREATING and f.holds_data and not (f.disk_is_ours or f.matters(f.disk.identity)):
        return True
    return not source or d.action is Action.SEED


@invariant()
def an_empty_node_starts_beside_its_seed(f: Facts, d: Decision) -> bool:
    """Before `created`, an empty node starts beside the living seed, and one that runs on older data stops for it."""
    if (
        f.seen.quorum is not None
        or not f.judged
        or not f.beside_seed
        or f.unknown
        or f.seen.taken is not False
        or not undisturbed(f)
    ):
        return True
    if f.disk.state is DiskState.EMPTY and not f.running and not f.fenced_creation:
        return d.action is Action.JOIN
    return not (f.holds_data and f.running and not f.disk_is_ours) or d.action is Action.AWAIT_SEED


@invariant()
def a_report_that_is_no_longer_true_is_replaced(f: Facts, d: Decision) -> bool:
    """A `joining` with nothing to join, and a promise over data that counts, are replaced; so the judge hears of every
    living member."""
    if (
        f.seen.quorum is not None
        or not f.judged
        or f.disk.state is DiskState.UNKNOWN
        or not undisturbed(f)
        or (f.seen.taken is True)
    ):
        return True
    assert f.record is not None
    told_empty = f.own is not None and f.own.holds is Holds.EMPTY
    before = told_empty and f.record.state is not State.CREATED and f.seed_gone and f.matters(f.disk.identity)
    if f.promised and f.holds_data and (f.disk_is_ours or before):
        return d.action is Action.WITHDRAW
    joining = f.own is not None and f.own.holds is Holds.JOINING and not f.fenced_creation
    over = joining and long_without(f) and not f.beside_seed and not (f.is_seed and not f.record.started)
    starts = continues(f) and (not f.running or f.hung)
    return not over or starts or d.action is Action.REPORT or d.action in (Action.START, Action.RESTART)


def judged_too_few(f: Facts) -> bool:
    """Too few remain, grace is over, all are heard and known, and this node has nothing of its own to do first."""
    if (
        f.seen.quorum is not None
        or not f.judged
        or f.enough
        or f.unknown
        or not undisturbed(f)
        or f.beside_seed
        or f.disk.state is DiskState.UNKNOWN
    ):
        return False
    assert f.record is not None
    seeding = f.record.state is not State.CREATED and f.is_seed and not f.record.started
    restarts = continues(f) and (not f.running or f.hung)
    reporting = (f.own is not None and f.own.holds is Holds.JOINING) or (f.promised and f.holds_data)
    return f.grace_over and all(f.has_spoken(i) for i in f.living) and not seeding and not restarts and not reporting


@invariant()
def someone_who_survives_goes_on(f: Facts, d: Decision) -> bool:
    """When too few remain and all were heard, the one best survivor reseeds unless a backup is ahead, and every other node
    waits for it."""
    if not judged_too_few(f) or not f.survivors or f.backup_ahead or f.seen.taken is True:
        return True
    best = max(f.survivors.values())
    mine = f.survivors.get(f.me) == best
    alone = [i for i, held in f.survivors.items() if held == best] == [f.me]
    return d.action is Action.RESEED if alone else d.action in (Action.RESEED, Action.WAIT) if mine else d.action is Action.WAIT


@invariant()
def a_young_backup_ahead_of_all_is_restored(f: Facts, d: Decision) -> bool:
    """When a backup is ahead of every survivor and young enough, the highest survivor or the lowest registered restores it,
    and all others wait."""
    backup = f.seen.backup
    if not judged_too_few(f) or not f.backup_ahead or backup is None or isinstance(backup, Unknown) or f.seen.taken is True:
        return True
    if backup.age > f.seen.limits.auto_restore:
        return d.action is Action.HALT
    return d.action in (Action.RESTORE, Action.WAIT)


@invariant()
def a_creation_that_died_begins_again(f: Facts, d: Decision) -> bool:
    """When a creation died with its seed, nothing holds data and there is no backup, a registered node creates again."""
    if not judged_too_few(f) or f.survivors or f.seen.backup is not None or f.seen.taken is True or f.record is None:
        return True
    empty = (
        f.disk.state is DiskState.EMPTY
        and not f.disk.archives
        and not any(r.data or r.archives for r in f.reports.values() if not f.dead(r.instance_id))
    )
    due = (
        f.record.state is State.CREATING
        and empty
        and f.me in [i.id for i in f.registered]
        and f.group is not None
        and f.group.lists_me
    )
    return not due or d.action is Action.CREATE


@invariant()
def nothing_left_asks_a_person(f: Facts, d: Decision) -> bool:
    """When too few remain of a generation past creating, nobody holds data and no backup may go on, a person is asked."""
    if not judged_too_few(f) or f.survivors or f.backup_ahead or f.seen.taken is True or f.record is None:
        return True
    return f.record.state is State.CREATING or d.action is Action.HALT
