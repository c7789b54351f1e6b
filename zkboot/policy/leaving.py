"""Row 2: the group takes this instance."""

from zkboot.model import Action, Backup, Change, Decision, DiskState, Role, Server, State, Unknown
from zkboot.policy.shared import as_voters, lasting, say
from zkboot.words import NO_QUORUM, Words, majority, rank


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


def described(w: Words, change: Change, own: Server) -> str:
    dead = tuple(v for v in w.dead_voters if v.id in change.leaving and v.id != own.id)
    spare = f", server {change.joining[0].id} becomes a voter" if change.joining else ""
    return (f", with the dead {w.names(dead)}" if dead else "") + spare
