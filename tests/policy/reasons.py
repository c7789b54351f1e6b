"""Invariants of the sentence: each reason names the facts that it rests on."""

from tests.policy.among import change_of
from tests.policy.facts import Facts
from tests.policy.invariants import conflicting, invariant
from zkboot.model import Action, Decision, DiskState, State, Unknown
from zkboot.words import UNSEEN


@invariant()
def a_decision_gives_its_reason(f: Facts, d: Decision) -> bool:
    """Every decision has a row and one line of reason."""
    return (
        1 <= d.row <= 22 and len(d.reason) > 10 and "\n" not in d.reason and "None" not in d.reason and "Unknown(" not in d.reason
    )


@invariant(Action.WAIT)
def waiting_for_a_fact_names_why_it_is_unknown(f: Facts, d: Decision) -> bool:
    """Who waits because a fact is unknown says why that could not be learned."""
    return "unknown" not in d.reason or any(why in d.reason for why in f.unknown.values())


@invariant(Action.WAIT)
def waiting_for_instances_names_who_is_there(f: Facts, d: Decision) -> bool:
    """Who waits for instances to register names those that are there, how many are desired, and the living ones still missing."""
    if f.seen.record is not None or f.seen.quorum is not None or f.unknown or f.group is None or f.seen.taken is True:
        return True
    missing = [i for i in f.group.instances.values() if i.lifecycle and i not in f.registered]
    return all(i.id in d.reason for i in (*f.registered, *missing)) and str(f.group.desired) in d.reason


@invariant(Action.HALT)
def a_conflict_names_both(f: Facts, d: Decision) -> bool:
    """A halt over a conflict names both sides: clusters, scopes or generations."""
    if not conflicting(f):
        return True
    disk, record, foreign = f.disk.identity, f.record, f.seen.foreign
    pairs = []
    if record is not None and record.scope != f.seen.me.scope:
        pairs.append((record.scope.region, f.seen.me.scope.region))
    if record is not None and disk is not None and disk.cluster_id != record.cluster_id:
        pairs.append((disk.cluster_id, record.cluster_id))
    if record is not None and disk is not None and disk.generation > record.generation:
        pairs.append((str(disk.generation), str(record.generation)))
    if foreign is not None:
        pairs.append((foreign.cluster_id, record.cluster_id if record else disk.cluster_id if disk else foreign.address))
    return any(a in d.reason and b in d.reason for a, b in pairs)


@invariant(Action.HALT)
def a_halt_gives_the_command(f: Facts, d: Decision) -> bool:
    """A halt over what is lost gives the exact command that goes on, or how to put back what is missing."""
    return conflicting(f) or "`zkboot " in d.reason or ("`aws s3api " in d.reason and f.seen.record is None)


@invariant(Action.HALT)
def a_lost_record_names_what_exists(f: Facts, d: Decision) -> bool:
    """A halt over a lost record names what shows that an ensemble existed."""
    if conflicting(f) or f.seen.record is not None:
        return True
    shown = [r.instance_id for r in f.reports.values() if r.identity or r.archives or r.data]
    shown += [a.name for a in f.disk.archives] + (list(f.seen.witnesses) if isinstance(f.seen.witnesses, tuple) else [])
    if f.seen.backup is not None and not isinstance(f.seen.backup, Unknown):
        shown.append(f.seen.backup.name)
    return not shown or any(name in d.reason for name in shown) or "this disk" in d.reason


@invariant(Action.OBEY)
def obeying_names_the_command(f: Facts, d: Decision) -> bool:
    """Who obeys a command names it and where it was typed."""
    intent = f.record.intent if f.record else None
    return intent is not None and intent.command in d.reason and intent.instance_id in d.reason


@invariant(Action.RECONFIGURE, Action.LEAVE)
def a_reconfiguration_names_the_servers(f: Facts, d: Decision) -> bool:
    """A reconfiguration names every server that comes, goes or changes its role, and of a dead one its instance."""
    change = change_of(d)
    named = all(str(i) in d.reason for i in (*(s.id for s in change.joining), *change.leaving))
    gone = [s for s in (f.quorum.configuration.servers if f.quorum else ()) if s.id in change.leaving and f.server_dead(s)]
    return named and all((f.holder(s) or "") in d.reason for s in gone)


@invariant(Action.LET_GO)
def letting_go_says_that_the_group_takes_it(f: Facts, d: Decision) -> bool:
    """Who is let go says that the group takes it, and at zero without a quorum both."""
    at_zero = f.quorum is None and f.disk.state is not DiskState.EMPTY
    return "the group" in d.reason and (not at_zero or "zero" in d.reason)


@invariant(Action.START, Action.RESTART, Action.REJOIN, Action.HEALTHY, Action.PROVE, Action.LET_IN)
def a_server_is_named(f: Facts, d: Decision) -> bool:
    """What concerns the own server names its id."""
    return (f.id is not None and f"server {f.id}" in d.reason) or f.fenced_creation


@invariant(Action.RESTART)
def a_restart_names_the_time(f: Facts, d: Decision) -> bool:
    """A restart says for how long the server ran without serving, or led without committing."""
    unseen = f.seen.held.get(UNSEEN)
    seconds = unseen.seconds if f.serving and unseen is not None else f.silence
    return f"{seconds:.0f} s" in d.reason


@invariant(Action.RESEED)
def a_reseed_names_what_is_kept(f: Facts, d: Decision) -> bool:
    """A reseed names the survivor, its last zxid, and the voters that are lost."""
    lost = [v for v in f.voters if f.lost(v)]
    return f.me in d.reason and hex(f.survivors[f.me][1]) in d.reason and all(v.address in d.reason for v in lost)


@invariant(Action.RESTORE)
def a_restore_names_the_backup(f: Facts, d: Decision) -> bool:
    """A restore names the backup, its last zxid and its age."""
    backup = f.seen.backup
    if backup is None or isinstance(backup, Unknown):
        return False
    return backup.name in d.reason and hex(backup.zxid) in d.reason and f"{backup.age:.0f} s" in d.reason


@invariant(Action.WAIT)
def waiting_for_an_election_names_who_remains(f: Facts, d: Decision) -> bool:
    """Who waits for an election, or for reports, names the voters that remain or are lost."""
    if f.seen.quorum is not None or not f.judged or f.unknown or f.seen.taken is True or f.record is None:
        return True
    if "election" in d.reason:
        return all(v.address in d.reason for v in f.remaining)
    return (
        "too few" not in d.reason
        or "holds the most" in d.reason
        or "backup" in d.reason
        or all(v.address in d.reason for v in f.voters if f.lost(v))
    )


@invariant(Action.WAIT)
def waiting_for_reports_names_the_silent(f: Facts, d: Decision) -> bool:
    """Who waits for reports names every living member that has not spoken."""
    if "reports awaited" not in d.reason or f.record is None:
        return True
    return all(i in d.reason for i in f.living if not f.has_spoken(i))


@invariant(Action.WAIT)
def waiting_for_the_seed_names_it(f: Facts, d: Decision) -> bool:
    """Who waits for a seed names it and its generation."""
    if d.row != 16 or f.record is None:
        return True
    return f.record.seed in d.reason and str(f.record.generation) in d.reason


@invariant(Action.CREATE, Action.SEED, Action.SET_CREATED)
def a_founding_names_its_generation(f: Facts, d: Decision) -> bool:
    """What founds a generation names it, or the cluster and the instances where it is the first."""
    if f.record is None:
        return f.seen.cluster in d.reason and all(i.id in d.reason for i in f.registered)
    return f"generation {f.record.generation}" in d.reason


@invariant(Action.JOIN)
def joining_names_whom(f: Facts, d: Decision) -> bool:
    """Who joins names the leader, or the seed beside which it starts."""
    if f.quorum is not None:
        return f"server {f.quorum.leader}" in d.reason or (f.id is not None and f"server {f.id}" in d.reason)
    return f.record is not None and f.record.seed in d.reason


@invariant(Action.WAIT)
def waiting_for_created_counts(f: Facts, d: Decision) -> bool:
    """A member that waits for `created` says how many of how many voters serve."""
    if f.member is None or not f.serving or f.record is None or f.group is None or f.record.state is State.CREATED:
        return True
    return f"{f.serving_voters} of {f.target}" in d.reason
