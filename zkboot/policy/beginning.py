"""Rows 12 to 16: before the first quorum of a cluster, or of a generation."""

from zkboot.model import Action, Decision, DiskState, State, Unknown
from zkboot.policy.belonging import versions
from zkboot.policy.shared import say
from zkboot.words import ACCEPTED, Words


def row_12(w: Words) -> bool:
    return w.seen.record is None and bool(remains(w))


def then_12(w: Words) -> Decision:
    lost = f"cluster {w.seen.cluster} has no record, but there is {remains(w)}"
    return say(
        Action.HALT,
        f"halted: {lost}; the record is lost, and nothing is created over what may exist. Put it back: {versions(w)}. "
        "Where nothing is left but backups, or this is a new region, `zkboot restore --adopt-cluster-id` on one node goes on "
        f"from the newest{adopting(w, '. Where ')}",
    )


def adopting(w: Words, where: str) -> str:
    """What goes on from data that names no cluster, as others leave it; "" where this disk holds none."""
    disk = w.seen.disk
    if disk.state is not DiskState.DATA or disk.identity is not None:
        return ""
    return f"{where}the ensemble that this disk is of serves without it, `zkboot adopt --through MEMBER` takes it in"


def remains(w: Words) -> str:
    """What shows that an ensemble existed; "" where nothing does."""
    disk, found = w.seen.disk, []
    if disk.state in (DiskState.DATA, DiskState.DAMAGED) or disk.identity is not None:
        found.append(f"data on this disk{f' of cluster {disk.identity.cluster_id}' if disk.identity else ''}")
    if disk.archives:
        found.append(f"an archive on this node ({disk.archives[0].name})")
    found += [
        f"a report of {r.instance_id} that names {r.identity.cluster_id if r.identity else 'archives'}"
        for r in w.reports.values()
        if r.identity or r.archives or r.data
    ]
    if isinstance(w.seen.witnesses, tuple):
        found += w.seen.witnesses
    if w.seen.backup is not None and not isinstance(w.seen.backup, Unknown):
        found.append(f"the backup {w.seen.backup.name}")
    return " and ".join(found[:3])


def row_13(w: Words) -> bool:
    if w.seen.record is not None or w.group is None:
        return False
    mine = any(i.id == w.seen.me.instance_id for i in w.registered)
    return not mine or len(w.registered) < w.group.desired or w.seen.taken is True


def then_13(w: Words) -> Decision:
    assert w.group is not None
    if w.seen.taken is True:
        return say(Action.WAIT, "waiting: the group takes this instance; it creates nothing")
    there = {i.id for i in w.registered}
    missing = [
        f"{i.id} ({i.address or 'no address yet'}, {i.lifecycle or i.state})"
        for i in sorted(w.group.instances.values())
        if i.lifecycle and i.id not in there
    ]
    absent_count = w.group.desired - len(there) - len(missing)
    if absent_count > 0:
        missing.append(f"{absent_count} not launched yet")
    here = ", ".join(f"{i.id} ({i.address})" for i in w.registered) or "nobody"
    return say(
        Action.WAIT, f"waiting: {len(there)} of {w.group.desired} instances registered: {here}; missing: {', '.join(missing)}"
    )


def row_14(w: Words) -> bool:
    return w.seen.record is None


def then_14(w: Words) -> Decision:
    here = ", ".join(i.id for i in w.registered)
    return say(
        Action.CREATE,
        f"all {len(w.registered)} instances registered ({here}) and nothing of an older ensemble: creating "
        f"cluster {w.seen.cluster}",
    )


def row_15(w: Words) -> bool:
    if w.record is None or w.record.state is State.CREATED or not w.is_seed or w.record.started:
        return False
    return buildable(w) or not reported_true(w)


def buildable(w: Words) -> bool:
    """What the seed's disk is to be built from is there, or the disk is built already."""
    disk, record = w.seen.disk, w.record
    assert record is not None
    if record.state is State.CREATING:
        return disk.state is DiskState.EMPTY or record.source == ACCEPTED
    if record.state is State.RESTORING:
        return not w.given_up
    kept = disk.state is DiskState.EMPTY and any(x.name == record.source and not x.damaged for x in disk.archives)
    return kept or (disk.state is DiskState.DATA and w.counts(disk.identity))


def reported_true(w: Words) -> bool:
    """The own report says what the disk holds."""
    report = w.own_report
    return report is not None and report.holds.value == w.seen.disk.state.value


def then_15(w: Words) -> Decision:
    assert w.record is not None
    seed = f"this node is the seed of generation {w.record.generation} ({w.record.state})"
    if buildable(w):
        of = f" from the backup {w.record.source}" if w.record.state is State.RESTORING else ""
        return say(Action.SEED, f"{seed}: building its disk{of}, then the fence, then the start")
    but = "the backup it was to restore is damaged" if w.given_up else f"its disk is {w.seen.disk.state} now"
    return say(Action.REPORT, f"{seed}, but {but}: what the disk holds is reported, so that others may go on")


def beside_seed(w: Words) -> bool:
    return w.record is not None and w.record.state is not State.CREATED and not w.is_seed and not w.seed_gone and w.seed_alone


def row_16(w: Words) -> bool:
    return beside_seed(w)


def then_16(w: Words) -> Decision:
    assert w.record is not None
    disk, running = w.seen.disk, w.seen.server.running
    holder = f"{w.record.seed}, the seed of generation {w.record.generation}"
    if w.seen.taken is True:
        return say(Action.WAIT, f"waiting: the group takes this instance; it does not join {holder}")
    if disk.state is DiskState.EMPTY:
        if running and w.of_generation:
            return say(Action.WAIT, f"waiting: {holder}, does not lead yet")
        return say(Action.JOIN, f"starting beside {holder}, to join as soon as it leads")
    if not w.of_generation and running:
        return say(Action.AWAIT_SEED, f"stopped: data of an older generation waits until {holder} leads")
    if w.of_generation:
        return say(Action.WAIT, f"waiting: {holder}, has not proved its quorum yet")
    return say(Action.WAIT, f"waiting: {holder}, does not lead yet; this node keeps its data until then")
