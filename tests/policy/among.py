"""Invariants of a node that sees a quorum: who may change the configuration, into what, and who may go."""

from tests.policy.facts import Facts, tolerance, voters_of
from tests.policy.invariants import invariant
from zkboot.model import Action, Change, Decision, DiskState, Role, State, Unknown
from zkboot.words import ALONE, NO_QUORUM

CHANGES = (Action.RECONFIGURE, Action.LEAVE)


def change_of(d: Decision) -> Change:
    assert d.change is not None, f"row {d.row} reconfigures without a change"
    return d.change


def parting(f: Facts, d: Decision) -> bool:
    """The whole change is this node's leaving."""
    return d.action is Action.LEAVE


@invariant()
def a_quorum_is_never_disturbed_by_a_non_member(f: Facts, d: Decision) -> bool:
    """A node that the quorum's configuration does not name waits, joins, enters or goes; it starts and seeds nothing."""
    if f.quorum is None or f.member is not None:
        return True
    return d.action in (Action.WAIT, Action.JOIN, Action.RECONFIGURE, Action.LET_GO, Action.HALT, Action.OBEY)


@invariant(Action.CREATE, Action.SEED, Action.RESEED, Action.RESTORE, Action.AWAIT_SEED, Action.REPORT)
def nothing_is_founded_beside_a_quorum(f: Facts, d: Decision) -> bool:
    """While a quorum serves nobody creates, seeds, reseeds, restores or gives up."""
    return f.quorum is None


@invariant(*CHANGES)
def a_change_is_a_compare_and_set(f: Facts, d: Decision) -> bool:
    """Every reconfiguration names the version of the quorum's configuration that it was decided by."""
    return f.quorum is not None and change_of(d).version == f.quorum.configuration.version


@invariant(*CHANGES)
def only_the_dead_are_removed(f: Facts, d: Decision) -> bool:
    """A reconfiguration removes the dead, this node when it leaves, and spares that must come back as voters because they
    cannot be promoted."""
    assert f.quorum is not None
    others = [s for s in f.quorum.configuration.servers if s.id in change_of(d).leaving and not (parting(f, d) and s == f.member)]
    again = f.spares if len(f.staying) < f.target and not f.promotable else []
    return all(f.server_dead(s) or s in again for s in others)


@invariant(*CHANGES)
def only_members_are_removed(f: Facts, d: Decision) -> bool:
    """A reconfiguration removes only ids that the configuration names."""
    assert f.quorum is not None
    return set(change_of(d).leaving) <= {s.id for s in f.quorum.configuration.servers}


@invariant(*CHANGES)
def the_new_voters_have_a_quorum(f: Facts, d: Decision) -> bool:
    """A majority of a reconfiguration's voters is in step as ZooKeeper counts it: voters and newcomers, not observers."""
    voters = voters_of(f.after(change_of(d)))
    return bool(voters) and 2 * sum(f.counts_for(v) for v in voters) > len(voters)


@invariant(*CHANGES)
def tolerance_never_falls_by_a_choice_of_ours(f: Facts, d: Decision) -> bool:
    """A reconfiguration that the group's taking does not force leaves the tolerance as it was, or at that of the full target."""
    assert f.quorum is not None
    voters = voters_of(f.after(change_of(d)))
    now = tolerance(f.serving_voters, len(f.quorum.configuration.voters))
    then = tolerance(sum(f.serves_after(v) for v in voters), len(voters))
    return parting(f, d) or then >= min(now, tolerance(f.target, f.target))


@invariant(*CHANGES)
def an_address_stands_once(f: Facts, d: Decision) -> bool:
    """No address stands twice in the configuration that a change makes."""
    addresses = [s.address for s in f.after(change_of(d))]
    return len(addresses) == len(set(addresses))


@invariant(*CHANGES)
def who_becomes_a_voter_is_in_step_and_stays(f: Facts, d: Decision) -> bool:
    """Only a server in step, living and not being taken, becomes a voter."""
    new = [s for s in change_of(d).joining if s.role is Role.PARTICIPANT]
    return all(f.serves_after(s) and not f.server_going(s) and not f.server_dead(s) for s in new)


@invariant(Action.RECONFIGURE)
def voters_grow_only_to_the_target(f: Facts, d: Decision) -> bool:
    """A voter is added only while those neither dead nor being taken are fewer than the target, or for a dead one."""
    assert f.quorum is not None
    voters = f.quorum.configuration.voters
    after = [v for v in voters_of(f.after(change_of(d))) if not f.server_dead(v) and not f.server_going(v)]
    return len(after) <= max(f.target, len(voters))


@invariant(Action.RECONFIGURE)
def a_newcomer_enters_by_its_own_claim(f: Facts, d: Decision) -> bool:
    """A node enters the configuration only under the id that the record gives to it, at its own address, and with nobody but
    another claimant in step."""
    if f.member is not None:
        return True
    claims = {(i, c.address) for i, c in f.record.members.items()} if f.record else set()
    joining = change_of(d).joining
    seconds = {(s.id, s.address) for s in f.second_claimants}
    me = f.claim is not None and (f.claim[0], f.seen.me.address) in {(s.id, s.address) for s in joining}
    return (
        me
        and all((s.id, s.address) in claims for s in joining)
        and all((s.id, s.address) in seconds for s in joining if s.id != f.id)
    )


@invariant(Action.RECONFIGURE)
def a_newcomer_in_step_enters_with_the_generations_disk(f: Facts, d: Decision) -> bool:
    """A node enters only running, in step, with a disk of the generation, and not while the group takes it."""
    if f.member is not None:
        return True
    return (
        f.running
        and f.disk_is_ours
        and f.disk.state is not DiskState.DAMAGED
        and f.seen.taken is False
        and f.quorum is not None
        and f.seen.me.address in f.quorum.synced
    )


@invariant(Action.RECONFIGURE)
def the_dead_are_replaced_in_one_call(f: Facts, d: Decision) -> bool:
    """Whoever enters as a voter while a voter is dead takes its place in the same call, so that the voters never become more
    for it."""
    assert f.quorum is not None
    change = change_of(d)
    now = {v.id for v in f.quorum.configuration.voters}
    added = [s for s in change.joining if s.role is Role.PARTICIPANT and s.id not in now]
    return not added or not f.dead_voters or bool(set(change.leaving) & {v.id for v in f.dead_voters})


@invariant(Action.RECONFIGURE)
def one_voter_becomes_three_in_one_call(f: Facts, d: Decision) -> bool:
    """From a single voter to three or more goes in one call when two are in step; alone only after waiting for another that
    may come."""
    assert f.quorum is not None
    if len(f.quorum.configuration.voters) != 1 or f.target < 3 or f.dead_voters:
        return True
    added = [s for s in change_of(d).joining if s.role is Role.PARTICIPANT]
    ready = len(f.spares) if f.member is not None else 1 + len(f.second_claimants)
    if not added or ready >= 2:
        return len(added) != 1
    held = f.seen.held.get(ALONE)
    waited = held is not None and held.seconds > f.seen.limits.start
    return f.member is not None or waited or not f.another_may_come


@invariant(Action.RECONFIGURE)
def only_the_leader_changes_others(f: Facts, d: Decision) -> bool:
    """A member that changes the configuration for others is the leader; one change a turn."""
    assert f.quorum is not None
    return f.member is None or (f.quorum.leader == f.member.id and f.serving)


@invariant(Action.RECONFIGURE)
def a_serving_voter_steps_back_only_when_all_serve(f: Facts, d: Decision) -> bool:
    """A voter becomes an observer only above the target, a serving one only when every voter serves; never the leader."""
    assert f.quorum is not None
    voters = {v.id: v for v in f.quorum.configuration.voters}
    back = [s for s in change_of(d).joining if s.role is Role.OBSERVER and s.id in voters]
    if not back:
        return True
    all_serve = f.serving_voters == len(voters)
    above = len(voters) > f.target
    return above and all(s.id != f.quorum.leader and (all_serve or s.id not in f.quorum.serving) for s in back)


@invariant(Action.RECONFIGURE)
def a_dead_minority_is_not_removed_for_nothing(f: Facts, d: Decision) -> bool:
    """Dead voters leave without a successor only when that raises the tolerance or the voters exceed the target."""
    assert f.quorum is not None
    change, voters = change_of(d), f.quorum.configuration.voters
    gone = [v for v in voters if v.id in change.leaving]
    after = voters_of(f.after(change))
    if not gone or len(after) == len(voters):
        return True
    raised = tolerance(sum(f.serves_after(v) for v in after), len(after)) > tolerance(f.serving_voters, len(voters))
    return raised or len(voters) > f.target


# --- going


@invariant(Action.LEAVE, Action.LET_GO)
def only_a_taken_node_goes(f: Facts, d: Decision) -> bool:
    """A node leaves or is let go only while the group takes its instance."""
    return f.seen.taken is True


@invariant(Action.LEAVE)
def leaving_keeps_a_majority_of_the_target(f: Facts, d: Decision) -> bool:
    """A voter that leaves keeps a quorum and a majority of the target behind it, in a created generation."""
    assert f.quorum is not None and f.record is not None
    voters = voters_of(f.after(change_of(d)))
    voted = f.member is not None and f.member.role is Role.PARTICIPANT
    serving = sum(f.serves_after(v) for v in voters)
    return f.record.state is State.CREATED and (not voted or (2 * serving > len(voters) and 2 * serving > f.target))


@invariant(Action.LEAVE)
def who_leaves_is_out(f: Facts, d: Decision) -> bool:
    """The change of a node that leaves takes that node out."""
    return f.member is not None and f.member.id in change_of(d).leaving


@invariant(Action.LET_GO)
def the_last_copy_is_not_let_go(f: Facts, d: Decision) -> bool:
    """A node that holds data, a damaged disk or an archive goes only where a created ensemble serves without it, or the
    group goes to zero."""
    if f.group is not None and f.group.desired == 0:
        return True
    holds = f.disk.state is not DiskState.EMPTY or f.disk.archives or (f.disk.seeded and f.disk.marked)
    return not holds or (f.quorum is not None and f.record is not None and f.record.state is State.CREATED and f.member is None)


@invariant(Action.LET_GO)
def what_goes_to_zero_is_backed_up_first(f: Facts, d: Decision) -> bool:
    """At zero a node that holds data of the generation is let go only after a backup of it, unless one holds as much, or none
    are made; nobody else makes one for that."""
    backup, data = f.seen.backup, f.disk.data
    held = f.holds_data and f.disk_is_ours and data is not None
    covered = (
        backup is not None
        and not isinstance(backup, Unknown)
        and data is not None
        and ((backup.epoch, backup.zxid) >= (data.current_epoch, data.zxid))
    )
    at_zero = f.group is not None and f.group.desired == 0 and (f.quorum is None or f.member is not None)
    return d.back_up == (at_zero and held and not covered and f.seen.limits.backups)


@invariant(Action.LET_GO)
def a_voter_is_not_let_go_while_others_need_it(f: Facts, d: Decision) -> bool:
    """A member of the serving configuration is let go without leaving it only when the group goes to zero."""
    return f.member is None or (f.group is not None and f.group.desired == 0)


@invariant(Action.LET_GO)
def an_election_is_no_reason_to_go(f: Facts, d: Decision) -> bool:
    """At zero without a quorum a node with something to lose goes only once no quorum was seen for longer than the staleness
    window."""
    held = f.seen.held.get(NO_QUORUM)
    nothing = f.disk.state is DiskState.EMPTY and not f.disk.archives and not (f.disk.seeded and f.disk.marked)
    return f.quorum is not None or nothing or (held is not None and held.seconds > f.seen.limits.staleness)


# --- created, healthy, let in


@invariant(Action.SET_CREATED)
def created_is_a_majority_of_the_target(f: Facts, d: Decision) -> bool:
    """`created` is set only while a proved quorum serves with a majority of the target's voters, once."""
    assert f.quorum is not None and f.record is not None
    return f.quorum.proved and 2 * f.serving_voters > f.target and f.record.state is not State.CREATED


@invariant(Action.HEALTHY)
def healthy_is_a_member_that_serves(f: Facts, d: Decision) -> bool:
    """Healthy is only a member of the serving configuration whose own server serves, in a proved generation."""
    return f.quorum is not None and f.member is not None and f.serving and f.quorum.proved


@invariant(Action.HEALTHY)
def healthy_is_created(f: Facts, d: Decision) -> bool:
    """A generation that is not `created` is not called healthy where the record and the group are known."""
    return f.record is None or f.group is None or f.record.state is State.CREATED


@invariant(Action.LET_IN)
def the_group_counts_only_who_serves_a_created_ensemble(f: Facts, d: Decision) -> bool:
    """A launched instance is let in only when it serves as a member and the generation is created."""
    return f.member is not None and f.serving and f.record is not None and f.record.state is State.CREATED


@invariant(Action.PROVE)
def the_leader_proves(f: Facts, d: Decision) -> bool:
    """The quorum is proved by its leader, where it was not yet."""
    return f.quorum is not None and not f.quorum.proved and f.member is not None and f.member.id == f.quorum.leader and f.serving


@invariant(Action.ADOPT)
def a_record_is_written_again_only_by_a_member(f: Facts, d: Decision) -> bool:
    """A missing record is written again only from a quorum whose configuration names this node, which has a generation file."""
    return f.seen.record is None and f.member is not None and f.disk.identity is not None


__all__ = ["CHANGES"]
