"""Rows 17 to 22: the quorum is lost."""

from zkboot.model import Action, Backup, Data, Decision, DiskState, Holds, Report, Server, State, Unknown
from zkboot.policy.beginning import adopting
from zkboot.policy.shared import say
from zkboot.words import Words, majority, rank


def row_17(w: Words) -> bool:
    return not w.too_few


def then_17(w: Words) -> Decision:
    return say(
        Action.WAIT,
        f"waiting for an election: {len(w.remaining)} of {len(w.voters)} voters are not lost "
        f"({w.names(w.remaining)}); {majority(len(w.voters))} elect{left_stopped(w)}",
    )


def left_stopped(w: Words) -> str:
    """Why this node starts nothing, where others built what it holds."""
    disk = w.seen.disk
    if disk.state is not DiskState.DATA or disk.identity is not None or w.seen.server.running:
        return ""
    return "; what this disk holds is not taken in yet, and its server not zkboot's to start: start it as before"


def row_18(w: Words) -> bool:
    held = w.found_too_few
    return held is None or held.seconds <= w.seen.limits.staleness or bool(silent(w))


def silent(w: Words) -> list[str]:
    """Living members without a valid report; this node's own disk is known to itself, and it reports first all the same."""
    return [i for i in w.living if not w.valid(i)]


def then_18(w: Words) -> Decision:
    quiet = ", ".join(silent(w))
    awaited = f"reports awaited from {quiet}, " if quiet else ""
    grace = f"{awaited}grace {w.seen.limits.staleness:.0f} s"
    return say(Action.WAIT, f"waiting: too few voters remain ({who_is_lost(w)}); {grace}")


def who_is_lost(w: Words) -> str:
    """`1 of 3; lost: server 2 (i-0b, 10.0.0.2), server 3 (i-0c, 10.0.0.3)`"""
    assert w.record is not None
    if not w.voters:
        seed = f"its seed {w.record.seed} is {'gone' if w.seed_gone else 'there'}"
        return f"no disk of generation {w.record.generation} is known, {seed}"
    return f"{len(w.remaining)} of {len(w.voters)}; lost: {w.names(tuple(v for v in w.voters if w.lost(v)))}"


def row_19(w: Words) -> bool:
    return bool(w.holdings) and not backup_is_ahead(w)


def backup_is_ahead(w: Words) -> bool:
    backup = w.seen.backup
    if backup is None or isinstance(backup, Unknown) or not w.counts(backup.identity):
        return False
    return not w.holdings or (backup.epoch, backup.zxid) > w.holdings[0][0]


def then_19(w: Words) -> Decision:
    (epoch, zxid), best, archive = w.holdings[0]
    where = f"in its archive {archive.name}" if archive else "on its disk"
    text = f"too few voters remain; {best} holds the most, {zxid:#x} of epoch {epoch} {where}"
    others = "; ".join(account(w, v) for v in w.voters if w.instance_of(v) != best) or who_is_lost(w)
    if best == w.seen.me.instance_id:
        return say(Action.RESEED, f"{text}: it reseeds. {others}")
    return say(Action.WAIT, f"waiting: {text}, and reseeds. {others}")


def account(w: Words, server: Server) -> str:
    """What is known of a voter's data: `server 3 (i-0abc, 10.0.0.3) is terminated, had last reported 0x500000a30`."""
    holder = w.instance_of(server)
    report = w.reports.get(holder) if holder else None
    held = f"{report.data.zxid:#x}" if report is not None and report.data is not None else "nothing"
    if w.server_dead(server):
        return f"{w.name(server)} is terminated, had last reported {held}"
    if report is not None and report.holds is Holds.EMPTY and report.data is not None:
        return f"{w.name(server)} stands still by its promise, with {held}"
    if report is not None and report.holds is Holds.EMPTY:
        return f"{w.name(server)} reports an empty disk{in_archive(report)}"
    return f"{w.name(server)} reports {held}"


def in_archive(report: Report) -> str:
    newest = report.archives[-1] if report.archives else None
    return f", with {newest.zxid:#x} in its archive {newest.name}" if newest else ""


def row_20(w: Words) -> bool:
    backup = w.seen.backup
    if not backup_is_ahead(w) or backup is None or isinstance(backup, Unknown):
        return False
    return backup.age is not None and 0 < backup.age <= w.seen.limits.auto_restore


def then_20(w: Words) -> Decision:
    backup = w.seen.backup
    assert backup is not None and not isinstance(backup, Unknown)
    chosen = w.holdings[0][1] if w.holdings else min((i.id for i in w.registered), default="")
    text = (
        f"too few voters remain; the backup {backup.name} ({backup.zxid:#x}, {backup.age:.0f} s old) is ahead of every survivor"
    )
    if chosen == w.seen.me.instance_id:
        return say(Action.RESTORE, f"{text}: restoring it")
    return say(Action.WAIT, f"waiting: {text}; {chosen or 'no registered instance'} restores it")


def row_21(w: Words) -> bool:
    record, disk = w.record, w.seen.disk
    if record is None or record.state is not State.CREATING or w.seen.backup is not None:
        return False
    nowhere = not w.holdings and not any((r.data or r.archives) and not w.dead(r.instance_id) for r in w.reports.values())
    return nowhere and disk.state is DiskState.EMPTY and not disk.archives


def then_21(w: Words) -> Decision:
    assert w.record is not None
    text = f"the seed of generation {w.record.generation} is gone before it was created, and no data exists"
    if w.seen.taken is not False:
        return say(Action.WAIT, f"waiting: {text}; the group takes this instance, so that another creates")
    return say(Action.CREATE, f"{text}: creating generation {w.record.generation + 1}")


def standing_still(w: Words) -> list[Report]:
    """Members that a person's command stopped, and whose data counts."""
    reports = [w.reports[i] for i in w.living if i in w.reports]
    return [r for r in reports if w.stands_still(r)]


def row_22(w: Words) -> bool:
    return True


def then_22(w: Words) -> Decision:
    lost = "; ".join([account(w, v) for v in w.voters if w.lost(v)] or ["every disk of the generation"]) + besides(w)
    cluster, backup = w.seen.cluster, w.seen.backup
    ways = [way] if (way := adopting(w, "where ")) else []
    if w.holdings:
        (epoch, zxid), best, _ = w.holdings[0]
        ways.append(f"`zkboot reseed` on {best} keeps what it holds ({zxid:#x} of epoch {epoch})")
    ways += [f"`zkboot reseed` on {r.instance_id} keeps its {r.data.zxid:#x}" for r in standing_still(w) if r.data]
    if backup is not None and not isinstance(backup, Unknown):
        ways.append(f"`zkboot restore {backup.name}` goes back to {backup.zxid:#x}, {aged(backup)}{standing(w)}")
    ways += [
        f"`zkboot backup` on {i}, then `zkboot restore`, goes back to its {data.zxid:#x} of generation {generation}"
        for i, generation, data in outlived(w)
        if not copied(w, generation, data)
    ]
    ways.append("`zkboot create --accept-data-loss` begins with an empty tree")
    return say(
        Action.HALT,
        f"halted: too few voters of cluster {cluster} remain (lost: {lost}), and a person must choose: {'; '.join(ways)}",
    )


def aged(backup: Backup) -> str:
    return f"{backup.age:.0f} s old" if backup.age is not None else "copied without a quorum, so that more may have been written"


def standing(w: Words) -> str:
    """How the backup stands to what the members hold."""
    if backup_is_ahead(w):
        return ", newer than any of that" if w.holdings else ""
    return ", older than any of that" if w.holdings else ", of a generation that was given up"


def outlived(w: Words) -> list[tuple[str, int, Data]]:
    """The living with data that was given up when a later generation was created: instance id, its generation, the data."""
    assert w.record is not None
    reports = [w.reports[i] for i in w.living if i in w.reports]
    ours = [(r.instance_id, r.identity, r.data) for r in reports if r.identity and r.identity.cluster_id == w.record.cluster_id]
    return [(i, identity.generation, data) for i, identity, data in ours if data is not None and not w.counts(identity)]


def copied(w: Words, generation: int, data: Data) -> bool:
    """The newest backup is that, or comes after it."""
    backup = w.seen.backup
    if backup is None or isinstance(backup, Unknown):
        return False
    return (backup.identity.generation, backup.epoch, backup.zxid) >= (generation, *rank(data))


def besides(w: Words) -> str:
    """What the living that are no voters report: an empty disk, or data of before."""
    voters = {w.instance_of(v) for v in w.voters}
    reports = [w.reports[i] for i in w.living if i in w.reports and i not in voters]
    text = "".join(
        f"; {r.instance_id} reports an empty disk{in_archive(r)}" for r in reports if r.holds is Holds.EMPTY and r.data is None
    )
    return text + "".join(
        f"; {i} reports {data.zxid:#x} of generation {generation}, older than the last one created"
        for i, generation, data in outlived(w)
        if i not in voters
    )
