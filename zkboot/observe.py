"""Gather one turn's facts. I/O without opinion: what could not be learned is `Unknown`, and nothing is decided here.

The order of reading is the judge's: the record first, then the own disk, whose age the record's answer tells, then EC2, then two
complete passes over the reports that return the same ETags. Whoever then compares-and-sets that very revision of the record has
judged nobody who could go on meanwhile.
"""

from collections.abc import Callable
from typing import TypeVar

from zkboot import record as records
from zkboot.errors import UnknownFact
from zkboot.model import (
    SERVING,
    Configuration,
    Disk,
    Foreign,
    Group,
    Identity,
    Me,
    Mode,
    Observation,
    Quorum,
    Record,
    Report,
    Server,
    Unknown,
)
from zkboot.notes import Notes
from zkboot.settings import Settings
from zkboot.words import Words, majority, unclaimed
from zkboot.world import Peer, World

T = TypeVar("T")


class Seen:
    """An observation, and the ETag of the record it was made with, for the compare-and-set that follows."""

    def __init__(self, observation: Observation, etag: str) -> None:
        self.observation = observation
        self.etag = etag


def learn(ask: Callable[[], T]) -> T | Unknown:
    """The fact, or why it could not be learned."""
    try:
        return ask()
    except UnknownFact as e:
        return Unknown(str(e))


def observe(world: World, settings: Settings, notes: Notes) -> Seen:
    """One pass over the world. Raises UnknownFact only when this node cannot even learn who it is."""
    me = who(world, notes)
    found = learn(lambda: records.read_dated(world.store, settings.cluster))
    record, etag, date = (found, "", 0.0) if isinstance(found, Unknown) else (found or (None, "", 0.0))
    disk, server = world.disk.read(), world.server.process()
    taken = learn(world.metadata.taken)
    named = named_in(record) if isinstance(record, Record) else frozenset()
    # Voters of an older configuration may be known by their reports alone; whose those are was read the turn before.
    asked = named | {me.instance_id, *notes.state.get("reporters", ())}
    group = learn(lambda: world.group.describe(asked))
    quorum, foreign = look(world, me, disk, record, group)
    strangers = unclaimed(record, quorum.configuration) if isinstance(record, Record) and isinstance(quorum, Quorum) else ()
    reports = read_reports(world, settings, me, quorum, strangers)
    notes.state["reporters"] = reporters(reports, quorum, strangers)
    seen = Observation(
        me=me,
        limits=settings.limits(),
        cluster=settings.cluster,
        taken=taken,
        record=record,
        reports=reports,
        group=group,
        witnesses=(),
        backup=None,
        disk=disk,
        server=server,
        quorum=quorum,
        foreign=foreign,
        date=date,
        held=notes.held(),
        restarts=int(notes.state.get("restarts", 0)),
    )
    if record is None:
        # A record is written before anything that witnesses it: what was read since counts only if there still is none.
        seen = seen._replace(witnesses=learn(lambda: witnesses(world, settings)))
        again = learn(lambda: records.read(world.store, settings.cluster))
        if isinstance(again, Unknown):
            seen = seen._replace(record=again)
        elif again is not None:
            return observe(world, settings, notes)
    if isinstance(record, Record) and backup_decides(seen):
        seen = seen._replace(backup=learn(lambda: world.backups.newest(record.cluster_id)))
    return Seen(seen, etag)


def backup_decides(seen: Observation) -> bool:
    """Whether a backup can matter to what is decided: too few voters remain, or the last members of a group go."""
    words = Words(seen)
    if words.group is None or isinstance(seen.reports, Unknown):
        return False
    return (seen.quorum is None and words.too_few) or (seen.taken is True and words.group.desired == 0)


def named_in(record: Record) -> frozenset[str]:
    """The instances on whose life a decision may rest; a seed, or a person's node, may hold no server id."""
    person = {record.intent.instance_id} if record.intent else set()
    return frozenset({*(c.instance_id for c in record.members.values()), record.seed, *person}) - {""}


def who(world: World, notes: Notes) -> Me:
    """This node by its metadata; while they do not answer, as it was known before."""
    try:
        me = world.metadata.me()
    except UnknownFact:
        kept = notes.me()
        if kept is None:
            raise
        return kept
    notes.keep_me(me)
    return me


def read_reports(
    world: World, settings: Settings, me: Me, quorum: Quorum | None | Unknown, strangers: tuple[Server, ...]
) -> dict[str, Report] | Unknown:
    """With a quorum only the own report matters, unless it has members whose instance others alone can tell; without one all, in
    two passes that agree."""
    if strangers:
        return learn(lambda: records.read_reports(world.store, settings.cluster))
    if isinstance(quorum, Quorum):
        own = learn(lambda: records.read_report(world.store, settings.cluster, me.instance_id))
        return own if isinstance(own, Unknown) else ({me.instance_id: own} if own else {})
    reports = learn(lambda: records.read_reports(world.store, settings.cluster))
    if isinstance(reports, Unknown):
        return reports
    etags = learn(lambda: records.report_etags(world.store, settings.cluster))
    if isinstance(etags, Unknown):
        return etags
    changed = [
        i for i in etags.keys() | reports.keys() if i != me.instance_id and (i not in reports or etags.get(i) != reports[i].etag)
    ]
    if changed:
        return Unknown(f"the reports of {', '.join(sorted(changed))} are being written this moment")
    return reports


def reporters(reports: dict[str, Report] | Unknown, quorum: Quorum | None | Unknown, strangers: tuple[Server, ...]) -> list[str]:
    """Whom EC2 is asked about the next turn, besides those that the record names."""
    if isinstance(reports, Unknown):
        return []
    places = {s.address for s in strangers}
    return sorted(i for i, r in reports.items() if not isinstance(quorum, Quorum) or r.address in places)


def witnesses(world: World, settings: Settings) -> tuple[str, ...]:
    """Where a cluster id stands besides the record."""
    found = []
    if (value := world.store.secret(settings.aws.witness)) is not None:
        found.append(f"the parameter {settings.aws.witness} (cluster {value})")
    if traces := world.backups.traces():
        found.append(traces)
    return tuple(found)


def look(
    world: World, me: Me, disk: Disk, record: Record | None | Unknown, group: Group | Unknown
) -> tuple[Quorum | None | Unknown, Foreign | None]:
    """Find a leader of this cluster and generation that is seen to serve, and who serves beside it."""
    addresses = candidates(me, disk, record, group)
    peers = world.server.ask(addresses)
    leaders = [
        a
        for a, p in peers.items()
        if p is not None and p.mode is Mode.LEADER and 1 + p.synced_followers >= majority(p.quorum_size)
    ]
    expected = Identity(record.cluster_id, record.generation) if isinstance(record, Record) else disk.identity
    found: Quorum | None | Unknown = None
    foreign = None
    for address in leaders:
        view = learn(lambda at=address: world.server.view(at))  # type: ignore[misc]
        if isinstance(view, Unknown):
            found = found or Unknown(f"the leader at {address} answers, its configuration could not be read: {view.why}")
            continue
        own_seed = address == me.address and disk.identity == expected
        if expected is not None and (
            view.identity == expected or (own_seed and (view.identity is None or view.identity.generation <= expected.generation))
        ):
            if not isinstance(found, Quorum) or view.configuration.version > found.configuration.version:
                more = frozenset(s.address for s in view.configuration.servers) - addresses
                everyone = {**peers, **(world.server.ask(more) if more else {})}
                found = assemble(address, everyone, view.configuration, view.identity == expected)
        elif view.identity is not None and expected is not None and view.identity.cluster_id != expected.cluster_id:
            own = view.configuration.server(disk.server_id) if disk.server_id is not None else None
            if own is not None and own.address == me.address:
                foreign = Foreign(address, view.identity.cluster_id)
    return found, foreign


def candidates(me: Me, disk: Disk, record: Record | None | Unknown, group: Group | Unknown) -> frozenset[str]:
    """Every address at which a member may answer."""
    found = {me.address}
    if isinstance(record, Record):
        found |= {c.address for c in record.members.values()}
    if isinstance(group, Group):
        found |= {i.address for i in group.instances.values() if i.lifecycle and i.state == "running" and i.address}
    for configuration in (disk.data.committed, disk.data.pending) if disk.data else ():
        found |= {s.address for s in configuration.servers} if configuration else set()
    return frozenset(found)


def assemble(leader: str, peers: dict[str, Peer | None], configuration: Configuration, proved: bool) -> Quorum | None:
    serving = {a for a, p in peers.items() if p is not None and p.mode in SERVING}
    leading = next((s.id for s in configuration.servers if s.address == leader), None)
    if leading is None:
        return None  # a leader outside its own configuration is on its way out
    return Quorum(
        leader=leading,
        configuration=configuration,
        serving=frozenset(s.id for s in configuration.servers if s.address in serving),
        synced=frozenset(serving - {leader}),
        proved=proved,
    )
