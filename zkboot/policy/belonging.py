"""Row 1: what does not belong together, and a person's command."""

from zkboot.model import Action, Decision
from zkboot.policy.shared import say
from zkboot.words import Words


def row_1(w: Words) -> bool:
    return bool(conflict(w)) or (w.record is not None and w.record.intent is not None)


def then_1(w: Words) -> Decision:
    found = conflict(w)
    if found:
        return say(Action.HALT, f"halted: {found}")
    assert w.record is not None and w.record.intent is not None
    intent = w.record.intent
    ended = ", which is terminated," if w.dead(intent.instance_id) else ""
    text = f"a person's `{intent.command}` from {intent.instance_id}{ended} stands in the record: stopped, and reported"
    return say(Action.OBEY, f"{text}; `zkboot {intent.command} --abort` on any node withdraws it")


def conflict(w: Words) -> str:
    """Two things that belong to different clusters or scopes, both named; "" where all agree."""
    disk, record, foreign = w.seen.disk.identity, w.record, w.seen.foreign
    if record is not None and record.scope != w.seen.me.scope:
        near = record.scope.region_of_account == w.seen.me.scope.region_of_account
        return (
            f"the record of cluster {w.seen.cluster} belongs to {'/'.join(record.scope)}, this node to "
            f"{'/'.join(w.seen.me.scope)}; give this group another cluster name"
            + (", or take the cluster over with `zkboot adopt`" if near else ", or a bucket of its own")
        )
    if record is not None and disk is not None and disk.cluster_id != record.cluster_id:
        return (
            f"this disk holds cluster {disk.cluster_id}, the record is of cluster {record.cluster_id}; "
            f"attach the right disk, or move its data away"
        )
    if record is not None and disk is not None and disk.generation > record.generation:
        return (
            f"this disk is of generation {disk.generation}, the record of the older {record.generation}: an "
            f"old record was put back; put its newest version back: {versions(w)}"
        )
    if foreign is not None:
        own = record.cluster_id if record is not None else (disk.cluster_id if disk else "none")
        return (
            f"the leader at {foreign.address} belongs to cluster {foreign.cluster_id} and counts this node "
            f"as its own, whose cluster is {own}; take this address out of the configuration there, or terminate this "
            f"instance, so that the group launches one with another address"
        )
    return ""


def versions(w: Words) -> str:
    return f"`aws s3api list-object-versions --bucket … --prefix control/{w.seen.cluster}/record.json` shows what it was"
