"""What rows of several modules ask and say."""

from zkboot.model import Action, Change, Decision, DiskState, Role, Server, Unknown
from zkboot.words import SILENT, Words


def say(action: Action, reason: str, change: Change | None = None) -> Decision:
    return Decision(row=0, action=action, reason=reason, change=change)


def lasting(w: Words, condition: str, seconds: float) -> bool:
    held = w.seen.held.get(condition)
    return held is not None and held.seconds > seconds


def as_voters(servers: tuple[Server, ...]) -> tuple[Server, ...]:
    return tuple(s._replace(role=Role.PARTICIPANT) for s in servers)


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


def hung(w: Words) -> bool:
    """The own server runs, and has not served for longer than a start may take; each time longer. One that has run for days and
    misses an answer is not."""
    return w.seen.server.running and not w.serves and silence(w) > w.patience


def silence(w: Words) -> float:
    """Seconds for which the own server is known to run without serving."""
    held = w.seen.held.get(SILENT)
    return min(w.seen.server.age, held.seconds) if held is not None else 0.0


def over(w: Words) -> str:
    """Why a disk is not started while the record cannot be read; "" where that does not forbid it."""
    disk = w.seen.disk
    if not disk.over or disk.identity is None or not isinstance(w.seen.record, Unknown):
        return ""
    return f" of generation {disk.identity.generation}, which the record was seen to have given up"
