"""The record and this node's report, as they are written; who claims which server id."""

from collections.abc import Callable

from zkboot import record as records
from zkboot.actions.given import Act
from zkboot.errors import Stale
from zkboot.model import Claim, DiskState, Holds, Observation, Record, Report
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import Words
from zkboot.world import World


def replace_record(a: Act, new: Record, name: str) -> None:
    """Compare-and-set against the very revision that was observed, for what was judged by it."""
    with step(name):
        records.replace(a.world.store, a.settings.cluster, new, a.etag)


def amend_record(a: Act, change: Callable[[Record], Record], name: str) -> Record:
    """Compare-and-set of a change that stands beside those of other nodes: made anew on what they wrote, as long as the same
    generation is at the same stage."""
    record, etag = a.record, a.etag
    with step(name):
        while True:
            try:
                return records.replace(a.world.store, a.settings.cluster, change(record), etag)[0]
            except Stale:
                found = records.read(a.world.store, a.settings.cluster)
                if found is not None and stage(found[0]) == stage(change(record)) != stage(record):
                    return found[0]  # another node made the same change
                if found is None or found[1] == etag or stage(found[0]) != stage(record):
                    raise
                record, etag = found


def stage(record: Record) -> Record:
    """What of a record must not change under an action: all but who holds which id, and how often it was written."""
    return record._replace(revision=0, nonce="", members={})


def write_report(a: Act, holds: Holds) -> Report:
    with step(f"report {holds}"):
        return put_report(a.world, a.settings, a.seen, a.words, holds)


def put_report(world: World, settings: Settings, seen: Observation, words: Words, holds: Holds) -> Report:
    """This node's report, by compare-and-set; `empty` is promised on the root disk first."""
    disk, old = seen.disk, words.own_report
    data = disk.data if holds in (Holds.DATA, Holds.EMPTY) else None
    if holds is Holds.EMPTY:
        world.disk.promise()
    report = Report(
        instance_id=seen.me.instance_id,
        address=seen.me.address,
        holds=holds,
        identity=disk.identity,
        server_id=words.own_id,
        revision=words.record.revision if words.record else 0,
        data=data.told if data else None,
        archives=disk.archives,
        read=seen.date,
        ids=data.ids if data else (),
        etag=old.etag if old else "",
    )
    return records.write_report(world.store, settings.cluster, report)


def look_again(a: Act) -> None:
    """Before a destructive step: the record must still be at the stage that was judged by."""
    found = records.read(a.world.store, a.settings.cluster)
    if found is None or stage(found[0]) != stage(a.record):
        raise Stale("the record changed this moment; looking again")


def claim(a: Act) -> tuple[Record, int]:
    """This node's server id: the one it holds, else the lowest free one. Raises the record's revision when a promise
    must end with it."""
    record = a.record
    if not a.words.promised and (held := id_of(a.me.instance_id, record)) is not None:
        return record, held
    record = amend_record(a, lambda record: with_claim(a, record), "claim")
    held = id_of(a.me.instance_id, record)
    assert held is not None
    return record, held


def id_of(instance_id: str, record: Record) -> int | None:
    return next((i for i, c in record.members.items() if c.instance_id == instance_id), None)


def with_claim(a: Act, record: Record) -> Record:
    """Claims of the dead whose ids are in no configuration end; this node's is made, or made again.

    Without a quorum none ends: who holds a voter's id is what tells that it is dead.
    """
    taken, ends = ids_in_use(a), a.words.quorum is not None
    members = {i: c for i, c in record.members.items() if not ends or i in taken or not a.words.dead(c.instance_id)}
    held, first = id_of(a.me.instance_id, record), a.settings.ensemble.id_offset + 1
    free = (i for i in range(first, 256) if i not in members and i not in taken)
    server_id = held if held is not None else next(free, None)
    if server_id is None:
        raise Stale(f"waiting: no server id from {first} to 255 is free; lower ensemble.id_offset")
    return record._replace(members={**members, server_id: own_claim(a)})


def own_claim(a: Act) -> Claim:
    return Claim(a.me.instance_id, a.me.address, a.me.zone, a.words.group.date if a.words.group else 0.0)


def ids_in_use(a: Act) -> set[int]:
    """Ids in any configuration, live or reported."""
    live = a.words.quorum.configuration.servers if a.words.quorum else ()
    return {server.id for server in live}.union(*(report.ids for report in a.words.reports.values()))


def report_joining(a: Act) -> None:
    if a.words.own_report is None or a.words.own_report.holds is not Holds.JOINING:
        write_report(a, Holds.JOINING)


def says(seen: Observation) -> Holds:
    """What a report says of that disk. A damaged one is archived before anything is said of it; until then it is unknown."""
    return {DiskState.DATA: Holds.DATA, DiskState.EMPTY: Holds.EMPTY}.get(seen.disk.state, Holds.UNKNOWN)
