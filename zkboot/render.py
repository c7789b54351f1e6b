"""What `status` and `plan` print: an observation and the decision on it, for people and for machines."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from zkboot import explain
from zkboot.model import Configuration, Decision, Disk, DiskState, Mode, Observation, Quorum, Report, Role, Server, Unknown
from zkboot.reconcile import Turn
from zkboot.words import Words, tolerance

Row = tuple[str, ...]


def status(turn: Turn) -> str:
    """The ensemble, its members, this node, and what the next turn would do."""
    if turn.observation is None:
        return plan(turn)
    words = Words(turn.observation)
    return "\n".join([*_cluster(words), *_members(words), *_reports(words), *_group(words), *_own(turn.observation), plan(turn)])


def status_json(turn: Turn) -> str:
    """One JSON object: `observation` and `decision`. An unknown fact is {"unknown": why}, an absent one null."""
    return json.dumps({"observation": plain(turn.observation), "decision": plain(turn.decision)}, sort_keys=True)


def plan(turn: Turn) -> str:
    """The decision: row of the policy, action and reason."""
    decision = turn.decision
    return f"next turn (row {decision.row}, {decision.action}): {turn.sentence}{_change(decision)}"


def plan_json(turn: Turn) -> str:
    return json.dumps(plain(turn.decision), sort_keys=True)


def why(turn: Turn) -> str:
    """For each row above the one that matched, the condition that does not hold."""
    assert turn.observation is not None
    rows = explain.why_not(turn.observation, turn.decision.row)
    return "\n".join(f"row {number:2} does not match; it asks that {text}" for number, text in rows)


def why_json(turn: Turn) -> str:
    assert turn.observation is not None
    rows = explain.why_not(turn.observation, turn.decision.row)
    return json.dumps([{"row": number, "asks": text} for number, text in rows])


def plain(value: Any) -> Any:
    """A value of the model as JSON has it: tuples with names become objects, sets sorted lists."""
    if isinstance(value, Unknown):
        return {"unknown": value.why}
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, frozenset):
        return sorted(plain(part) for part in value)
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _cluster(words: Words) -> Iterator[str]:
    seen = words.seen
    if isinstance(seen.record, Unknown):
        yield f"cluster {seen.cluster}: the record is unknown: {seen.record.why}"
    elif seen.record is None:
        yield f"cluster {seen.cluster}: no record yet"
    else:
        record = seen.record
        state = f"generation {record.generation}, {record.state}; record revision {record.revision}"
        yield f"cluster {seen.cluster} ({record.cluster_id}): {state}"
        if record.intent is not None:
            of = f" of {record.intent.source}" if record.intent.source else ""
            yield f"command: {record.intent.command}{of}, typed on {record.intent.instance_id}"
    yield _quorum(words)


def _quorum(words: Words) -> str:
    quorum = words.seen.quorum
    if isinstance(quorum, Unknown):
        return f"quorum: unknown: {quorum.why}"
    if quorum is None:
        return "quorum: none is seen to serve"
    voters, serving = len(quorum.configuration.voters), len(words.voters_serving)
    more = tolerance(serving, voters)
    return (
        f"quorum: server {quorum.leader} leads, {serving} of {voters} voters serve; {more} more may fail; "
        f"configuration 0x{quorum.configuration.version:x}"
    )


def _members(words: Words) -> Iterator[str]:
    """A table of the configuration in force; without a quorum that of the newest on any disk known."""
    if isinstance(words.seen.quorum, Quorum):
        servers = words.seen.quorum.configuration.servers
    elif words.record is not None:
        newest = max(words.disks.values(), key=_newest, default=None)
        servers = newest.servers if newest else ()
    else:
        servers = ()
    if servers:
        header = ("id", "role", "address", "instance", "zone", "server", "instance is")
        yield from _table([header, *(_member(words, server) for server in sorted(servers))])


def _newest(configuration: Configuration) -> tuple[int, int]:
    """Of the same one the own disk has all servers, a report the voters alone."""
    return configuration.version, len(configuration.servers)


def _member(words: Words, server: Server) -> Row:
    quorum = words.quorum
    role = "voter" if server.role is Role.PARTICIPANT else "observer"
    if quorum is None:
        says = "?"
    elif server.id == quorum.leader:
        says = "leads"
    else:
        says = "serves" if server.id in quorum.serving else "silent"
    return (
        str(server.id),
        role,
        server.address,
        words.instance_of(server) or "?",
        words.zone(server) or "?",
        says,
        _instance(words, server),
    )


def _instance(words: Words, server: Server) -> str:
    if words.group is None:
        return "unknown"
    if words.server_dead(server):
        return "dead"
    holder = words.instance_of(server)
    instance = words.group.instances.get(holder) if holder else None
    if instance is None:
        return "not listed"
    return instance.state + (f", {instance.lifecycle}" if instance.lifecycle else ", outside the group")


def _reports(words: Words) -> Iterator[str]:
    """What the stopped say, where no quorum speaks for them."""
    reports = words.seen.reports
    if isinstance(words.seen.quorum, Quorum):
        return
    if isinstance(reports, Unknown):
        yield f"reports: unknown: {reports.why}"
    elif reports:
        yield from _table(
            [("report of", "address", "holds", "server", "generation", "epoch", "zxid"), *map(_report, reports.values())]
        )


def _report(report: Report) -> Row:
    return (
        report.instance_id,
        report.address,
        str(report.holds),
        str(report.server_id or "-"),
        str(report.identity.generation) if report.identity else "-",
        str(report.data.current_epoch) if report.data else "-",
        f"0x{report.data.zxid:x}" if report.data else "-",
    )


def _group(words: Words) -> Iterator[str]:
    group = words.seen.group
    if isinstance(group, Unknown):
        yield f"group: unknown: {group.why}"
        return
    inside = [i for i in group.instances.values() if i.lifecycle and not i.lifecycle.startswith("Terminat")]
    # Once a quorum serves, nobody writes reports to be counted by.
    waiting = "" if words.quorum is not None or isinstance(words.seen.reports, Unknown) else f"; registered: {_registered(words)}"
    yield f"group: {len(inside)} instances in service or on their way, {group.desired} desired{waiting}"


def _registered(words: Words) -> str:
    return ", ".join(instance.id for instance in words.registered) or "none"


def _own(seen: Observation) -> Iterator[str]:
    process = seen.server
    server = f"server {seen.disk.server_id}" if seen.disk.server_id else "no server id"
    runs = "stopped" if not process.running else "runs, does not serve" if process.mode is Mode.NONE else str(process.mode)
    yield f"this node: {seen.me.instance_id}, {seen.me.address}, {seen.me.zone}; {server}, {runs}; disk: {_disk(seen.disk)}"
    if isinstance(seen.taken, Unknown):
        yield f"whether the group is taking it is unknown: {seen.taken.why}"
    elif seen.taken:
        yield "the group is taking this node"
    if seen.disk.promised:
        yield "its server stays stopped: it has promised that its disk is empty"


def _disk(disk: Disk) -> str:
    if disk.state in (DiskState.UNKNOWN, DiskState.DAMAGED):
        return f"{disk.state} ({disk.why})"
    if disk.data is None:
        return str(disk.state)
    generation = f" of generation {disk.identity.generation}" if disk.identity else ""
    return f"data{generation} up to 0x{disk.data.zxid:x}"


def _change(decision: Decision) -> str:
    if decision.change is None:
        return ""
    joining = ", ".join(f"server {s.id} at {s.address} as {s.role}" for s in decision.change.joining)
    leaving = ", ".join(f"server {server_id}" for server_id in decision.change.leaving)
    return f"\n  reconfigure 0x{decision.change.version:x}: joining {joining or 'none'}; leaving {leaving or 'none'}"


def _table(rows: list[Row]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield ("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
