"""Carry one decision out: idempotent, in named steps, each killed at any point and finished or begun anew by the
next turn. No policy.

Every function takes the same `Act` and returns the sentence to say, or None for the decision's own. `Stale` means
that the world moved on
and nothing was done; `UnknownFact` that it is not known whether the last step happened. Both end the turn, and the
next one looks again.
"""

import secrets
import uuid
from collections.abc import Callable
from typing import NamedTuple

from zkboot import record as records
from zkboot.errors import Damaged, Stale, UnknownFact
from zkboot.model import (
    Action,
    Backup,
    Claim,
    Configuration,
    Decision,
    DiskState,
    Holds,
    Identity,
    Me,
    Observation,
    Record,
    Report,
    Role,
    Server,
    State,
)
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import Words, majority
from zkboot.world import World
from zkboot.zookeeper.zoo_cfg import super_digest

EPOCH_MARGIN = 65_536


class Act(NamedTuple):
    """What an action works with: the world, and the observation and decision of this turn."""

    world: World
    settings: Settings
    seen: Observation
    words: Words
    etag: str  # of the record as it was observed
    decision: Decision
    tell: Callable[[str], None]  # says something now, before a step that takes its time or ends this machine
    keep: Callable[[], None]  # called again and again during such a step, so that the group and systemd go on waiting

    @property
    def me(self) -> Me:
        return self.seen.me

    @property
    def record(self) -> Record:
        assert self.words.record is not None
        return self.words.record


def act(a: Act) -> str:
    """Carry out `a.decision`; returns the sentence that tells it.

    Raises Stale, UnknownFact.
    """
    effect = EFFECTS.get(a.decision.action)
    said = effect(a) if effect else None
    return said or a.decision.reason


# --- the record and the reports


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


def password(a: Act) -> str:
    found = a.world.store.secret(a.settings.aws.secret)
    if found is None:
        raise Stale(f"waiting: the seed has not put the secret {a.settings.aws.secret} yet")
    return found


# --- creation and the seed


def create(a: Act) -> str | None:
    """Name this node the seed: of the first generation, or of the next when a creation died with its seed."""
    old = a.words.record
    write_report(a, Holds.JOINING)
    new = Record(
        revision=old.revision if old else 0,
        nonce="",
        cluster_id=old.cluster_id if old else uuid.uuid4().hex,
        scope=a.me.scope,
        generation=old.generation + 1 if old else 1,
        state=State.CREATING,
        seed=a.me.instance_id,
        started=False,
        created=old.created if old else (),
        zk_epoch=old.zk_epoch + EPOCH_MARGIN if old else 0,
        members={a.settings.ensemble.id_offset + 1: own_claim(a)},
    )
    if old:
        replace_record(a, new, "create again")
        return None
    with step("create"):
        records.create(a.world.store, a.settings.cluster, new)
    return None


def reseed(a: Act) -> str | None:
    """Name this node, which holds the most, the seed of the next generation; its disk is built by the next turn."""
    archive = a.words.holdings[0][2]
    write_report(a, Holds.JOINING)
    replace_record(a, next_generation(a, State.RESEEDING, archive.name if archive else ""), "reseed")
    return None


def restore(a: Act) -> str | None:
    """Name this node the seed that is built from the newest verified backup."""
    backup = a.seen.backup
    assert isinstance(backup, Backup)
    write_report(a, Holds.JOINING)
    replace_record(a, restoring(a, backup, a.settings.backup.prefix + backup.name), "restore")
    return None


def restoring(a: Act, backup: Backup, source: str) -> Record:
    """The next generation, from that backup: above all that it has seen, too, which may be another cluster's."""
    new = next_generation(a, State.RESTORING, source)
    return new._replace(
        generation=max(new.generation, backup.identity.generation + 1),
        zk_epoch=max(new.zk_epoch, max(backup.epoch, backup.zxid >> 32) + EPOCH_MARGIN),
    )


def next_generation(a: Act, state: State, source: str) -> Record:
    """The record that names this node the seed of the next generation, above every epoch known; a command is done with it."""
    return a.record._replace(
        generation=a.record.generation + 1,
        state=state,
        seed=a.me.instance_id,
        started=False,
        zk_epoch=highest_epoch(a) + EPOCH_MARGIN,
        source=source,
        intent=None,
    )


def highest_epoch(a: Act) -> int:
    """The highest ZooKeeper epoch that anybody is known to have seen."""
    found = [a.record.zk_epoch]
    disks = [r.data for r in a.words.reports.values()] + [a.seen.disk.data]
    for data in disks:
        if data is not None:
            versions = [c.version >> 32 for c in (data.committed, data.pending) if c is not None]
            found += [data.current_epoch, data.accepted_epoch, data.zxid >> 32, *versions]
    archives = [x for r in a.words.reports.values() for x in r.archives] + list(a.seen.disk.archives)
    found += [e for x in archives for e in (x.current_epoch, x.zxid >> 32)]
    return max(found)


def seed(a: Act) -> str | None:
    """Build the generation's disk, set the fence, start. Only behind its fence may a seed start."""
    record = a.record
    stop(a)
    put_secrets(a.world, a.settings, record)
    secret = password(a)
    report_joining(a)
    record, server_id = claim(a)
    identity = Identity(record.cluster_id, record.generation)
    alone = Configuration(first_version(record), (Server(server_id, a.me.address),))
    if record.state is State.CREATING and a.seen.disk.state is not DiskState.EMPTY:
        archive(a)  # only a person's `create --accept-data-loss` comes here with data
    built = a.seen.disk.state is DiskState.DATA and a.seen.disk.identity == identity
    if record.state is State.RESTORING and not built:
        try:
            unpack(a, identity, server_id)
        except Damaged as damage:
            amend_record(a, lambda record: record._replace(source=""), "give up")
            return f"{a.decision.reason}; given up, with nothing touched, as the backup is damaged: {damage}"
        if a.seen.disk.state is not DiskState.EMPTY:
            archive(a)
    if record.state is not State.CREATING and (name := source_archive(record)):
        with step("bring back"):
            a.world.disk.bring_back(name)
    look_again(a)
    with step("build"):
        if record.state is State.CREATING:
            a.world.disk.build_empty(identity, server_id, alone, record.zk_epoch)
        else:
            a.world.disk.build_from_own(identity, server_id, alone, record.zk_epoch)
    amend_record(a, lambda record: record._replace(started=True), "fence")
    release(a)  # before the fence on the disk, which tells that no promise is older than it
    fence_on_disk(a)
    start(a, secret)
    return None


def unpack(a: Act, identity: Identity, server_id: int) -> None:
    """The backup as an archive on this disk, which is not touched before that is whole."""
    name = source_archive(a.record)
    if all(archive.name != name for archive in a.seen.disk.archives):
        with step("unpack"):
            a.world.backups.unpack(a.record.source, name, identity, server_id, a.tell, a.keep)


def source_archive(record: Record) -> str:
    """The archive that a seed's disk is brought back from; "" where that is what it holds itself."""
    return f"restore-{record.generation}" if record.state is State.RESTORING else record.source


def fence_on_disk(a: Act) -> None:
    with step("fence on disk"):
        a.world.disk.fence()


def put_secrets(world: World, settings: Settings, record: Record) -> None:
    """The cluster id's second witness and the super password: after the record, once, never over another's."""
    if world.store.secret(settings.aws.witness) is None:
        with step("witness"):
            world.store.create_secret(settings.aws.witness, record.cluster_id)
    if world.store.secret(settings.aws.secret) is None:
        with step("secret"):
            world.store.create_secret(settings.aws.secret, secrets.token_urlsafe(32))


def prove(a: Act) -> str | None:
    with step("prove"):
        a.world.server.prove(a.me.address, password(a), Identity(a.record.cluster_id, a.record.generation), former(a))
    return None


def former(a: Act) -> Identity | None:
    """Whose ensemble this was, where it was restored: a backup of another cluster holds that one's identity znode."""
    if a.record.state is not State.RESTORING:
        return None
    try:
        return a.world.backups.backup(a.record.source).identity
    except Damaged:
        return None  # deleted meanwhile: then nothing but this cluster's own is overwritten


def set_created(a: Act) -> str | None:
    """Each that sees it may say so; whoever comes second finds it said."""
    amend_record(a, created, "set created")
    return None


def created(record: Record) -> Record:
    return record._replace(state=State.CREATED, created=(*record.created, record.generation))


# --- joining and members


def join(a: Act) -> str | None:
    """Become a joiner: report `joining`, claim an id, take the promise back with it, set up, start. It cannot vote
    until it is let in."""
    disk, quorum = a.seen.disk, a.words.quorum
    stop(a)
    secret = password(a)
    foreign = disk.state is DiskState.DAMAGED or (disk.state is DiskState.DATA and not a.words.of_generation)
    if foreign:
        archive(a)
    report_joining(a)
    record, server_id = claim(a)
    configuration = with_me_watching(quorum.configuration if quorum else seed_alone(record), server_id, a.me.address)
    with step("set up"):
        a.world.disk.build_joiner(Identity(record.cluster_id, record.generation), server_id, configuration)
    release(a)  # last: with no promise its old volume, attached again, is started while AWS cannot be asked
    start(a, secret)
    return f"{a.decision.reason}: server {server_id} started" + (" (old data archived)" if foreign else "")


def rejoin(a: Act) -> str | None:
    """A member without a usable disk: the leader proves itself first, for a stale one and an emptied voter would be
    a majority."""
    quorum = a.words.quorum
    assert quorum is not None
    secret = password(a)
    with step("prove the leader"):
        a.world.server.prove(
            address_of(quorum.configuration, quorum.leader), secret, Identity(a.record.cluster_id, a.record.generation)
        )
    return join(a)


def report_joining(a: Act) -> None:
    if a.words.own_report is None or a.words.own_report.holds is not Holds.JOINING:
        write_report(a, Holds.JOINING)


def first_version(record: Record) -> int:
    """The version of the configuration that the generation begins with, above all of the generations before; 0 where none was."""
    return (record.zk_epoch + 1) << 32 if record.zk_epoch else 0


def with_me_watching(known: Configuration, server_id: int, address: str) -> Configuration:
    """What a joiner starts with: the members and itself as an observer; whoever had its id or its address before is left out.

    A server that looks for a leader takes over the first newer configuration that it hears, and then asks those members alone. So
    this one is just older than what it is made from: it takes that over from whoever serves, and nothing older from others that
    wait too, who would hold each other to members that are gone.
    """
    others = tuple(s for s in known.servers if s.id != server_id and s.address != address)
    return Configuration(max(known.version - 1, 0), (*others, Server(server_id, address, Role.OBSERVER)))


def seed_alone(record: Record) -> Configuration:
    """What a joiner beside the seed knows: the seed, and nobody else."""
    found = next(((i, c) for i, c in record.members.items() if c.instance_id == record.seed), None)
    if found is None:
        raise Stale("waiting: the seed has no claim in the record yet")
    return Configuration(first_version(record), (Server(found[0], found[1].address),))


def archive(a: Act) -> None:
    look_again(a)
    with step("archive"):
        a.world.disk.archive()


def release(a: Act) -> None:
    with step("release"):
        a.world.disk.release()


def start(a: Act, secret: str | None) -> None:
    with step("configure"):
        a.world.disk.prepare_start(super_digest(secret) if secret else None, a.decision.aside)
    with step("start"):
        a.world.server.start()


def start_own(a: Act) -> str:
    """With AWS away, or the parameter out of reach, the super digest in place is kept: a member's configuration holds it."""
    secret, kept = None, ""
    if a.words.record is not None:
        look_again(a)
        try:
            secret = a.world.store.secret(a.settings.aws.secret)
        except UnknownFact as e:
            kept = f"; the super digest in place is kept, for {e}"
    data, disk = a.seen.disk.data, a.seen.disk
    if disk.promised:
        release(a)
    if disk.seeded and not disk.fenced and a.words.record is not None:
        fence_on_disk(a)  # killed right after the fence: the record says `started`, or no row would start this disk
    if data is not None and data.committed is not None and disk.identity and a.words.own_id:
        known = configuration_to_take_over(a, data.committed)
        if known is not None:
            with step("set up"):
                a.world.disk.build_joiner(disk.identity, a.words.own_id, known)
    start(a, secret)
    return a.decision.reason + kept


def configuration_to_take_over(a: Act, own: Configuration) -> Configuration | None:
    """What stands in the place of the committed configuration on this disk before a start; None where that stays."""
    quorum, own_id = a.words.quorum, a.words.own_id
    assert own_id is not None
    if quorum is not None and a.words.own_server is not None and own.version < quorum.configuration.version:
        # Whoever was away while all others were replaced asks only for them, and is never answered.
        return quorum.configuration
    if a.words.is_own(own) is None:
        # Only a proposal names this node as yet: a server that its own file does not name would not start at all.
        return with_me_watching(quorum.configuration if quorum else own, own_id, a.me.address)
    return None


def restart(a: Act) -> str:
    stop(a)
    return start_own(a)


def stop(a: Act) -> None:
    if a.seen.server.running:
        with step("stop"):
            a.world.server.stop()


def await_seed(a: Act) -> str | None:
    stop(a)
    return None


# --- reconfiguration, arrival and departure


def reconfigure(a: Act) -> str | None:
    quorum, change = a.words.quorum, a.decision.change
    assert quorum is not None and change is not None
    if a.words.own_server is None:
        look_again(a)  # a seed shows the generation of before until its proof: who was let in by that would stop as one of that
    with step("reconfigure"):
        after = a.world.server.reconfigure(through(a), password(a), change)
    voters = ", ".join(str(v.id) for v in after.voters)
    return f"{a.decision.reason}; voters now {voters}"


def through(a: Act) -> str:
    """The server to ask: the leader, unless its own part changes; then another voter that serves. A client of a server whose role
    changes loses its connection although the change is made."""
    quorum, change = a.words.quorum, a.decision.change
    assert quorum is not None and change is not None
    changing = {s.id for s in change.joining} | set(change.leaving)
    order = [quorum.leader, *sorted(v.id for v in quorum.configuration.voters if v.id in quorum.serving)]
    chosen = next((i for i in order if i not in changing), quorum.leader)
    return address_of(quorum.configuration, chosen)


def address_of(configuration: Configuration, server_id: int) -> str:
    server = configuration.server(server_id)
    assert server is not None
    return server.address


def let_in(a: Act) -> str:
    hook = a.settings.aws.launch_hook
    with step("let in"):
        completed = a.world.group.complete(hook)
    stays = f"; no hook {hook} waits for it: where the group goes on saying Pending:Wait, correct aws.launch_hook"
    return a.decision.reason + ("" if completed else stays)


def leave(a: Act) -> str | None:
    """Out of the configuration, and stopped; the next turn lets go."""
    said = reconfigure(a)
    stop(a)
    return said


def let_go(a: Act) -> str | None:
    stop(a)
    a.tell(a.decision.reason)
    if a.decision.back_up:
        with step("last backup"):
            a.world.backups.last(a.tell)
    with step("let go"):
        a.world.group.complete(a.settings.aws.termination_hook)
    return None


def adopt(a: Act) -> str | None:
    """Write the record again from the live ensemble: ids and addresses from its configuration, instances by address."""
    quorum, group, identity = a.words.quorum, a.words.group, a.seen.disk.identity
    assert quorum is not None and identity is not None
    if group is None:
        raise Stale("waiting: the record can be written again once EC2 says which instance has which address")
    living = {i.address: i for i in group.instances.values() if i.address and i.state in ("pending", "running")}
    members = {}
    reports = list(records.read_reports(a.world.store, a.settings.cluster).values())
    for server in quorum.configuration.servers:
        # By its own report, also when its instance is gone meanwhile; else by the address, which only the living hold. Ids and
        # addresses are given again: the living one's report counts before a dead one's.
        instance = living.get(server.address)
        own = [r for r in reports if (r.server_id, r.address) == (server.id, server.address)]
        report = max(own, key=lambda r: (instance is not None and r.instance_id == instance.id, r.modified), default=None)
        if report is not None:
            members[server.id] = Claim(report.instance_id, server.address, instance.zone if instance else "", group.date)
        elif instance is not None:
            members[server.id] = Claim(instance.id, server.address, instance.zone, group.date)
    epochs = (a.seen.disk.data.current_epoch, a.seen.disk.data.accepted_epoch) if a.seen.disk.data else (0,)
    # The promise of `created` is made again only by as many voters as it takes; else row 6 makes it later.
    whole = len(a.words.voters_serving) >= majority(a.words.target)
    new = Record(
        revision=max((r.revision for r in reports), default=0),
        nonce="",
        cluster_id=identity.cluster_id,
        scope=a.me.scope,
        generation=identity.generation,
        state=State.CREATED if whole else State.RESEEDING,
        seed=a.me.instance_id,
        started=True,
        created=(identity.generation,) if whole else (),
        zk_epoch=max(*epochs, quorum.configuration.version >> 32),
        members=members,
    )
    with step("adopt"):
        records.create(a.world.store, a.settings.cluster, new)
    return None


# --- reports that are no longer true


def report_disk(a: Act) -> str | None:
    """Say what the disk holds, the server without loadable data stopped first."""
    if a.seen.disk.state is not DiskState.DATA:
        stop(a)
    write_report(a, says(a.seen))
    return None


def says(seen: Observation) -> Holds:
    """What a report says of that disk. A damaged one is archived before anything is said of it; until then it is unknown."""
    return {DiskState.DATA: Holds.DATA, DiskState.EMPTY: Holds.EMPTY}.get(seen.disk.state, Holds.UNKNOWN)


def withdraw(a: Act) -> str | None:
    """Take an `empty` promise back: `joining`, then the record's revision raised, then what the disk holds."""
    report_joining(a)
    amend_record(a, lambda record: record, "raise")
    if a.words.of_generation:
        release(a)
    return None


def obey(a: Act) -> str | None:
    """A person's command: stop, promise to stay stopped, report. The node that a reseed was typed on reports its data instead.

    The data itself stays where it is until the new generation's seed leads, so that a withdrawn command has lost
    nothing; the promise keeps
    it from being started meanwhile, also while AWS is away.
    """
    intent, report = a.record.intent, a.words.own_report
    assert intent is not None
    keeps = intent.command == "reseed" and intent.instance_id == a.me.instance_id
    if keeps and (serving := others_serving(a)):
        # What they acknowledge until they stop must be in what the ensemble goes on with.
        return f"{a.decision.reason}, after the others: {', '.join(map(str, serving))} still serve"
    stop(a)
    holds = says(a.seen) if keeps else Holds.EMPTY
    if report is None or report.holds is not holds or report.revision != a.record.revision:
        write_report(a, holds)
    return None


def others_serving(a: Act) -> list[int]:
    own = a.words.own_server
    return sorted(a.words.quorum.serving - ({own.id} if own else set())) if a.words.quorum else []


EFFECTS: dict[Action, Callable[[Act], str | None]] = {
    Action.OBEY: obey,
    Action.LEAVE: leave,
    Action.LET_GO: let_go,
    Action.ADOPT: adopt,
    Action.START: start_own,
    Action.REJOIN: rejoin,
    Action.RESTART: restart,
    Action.PROVE: prove,
    Action.SET_CREATED: set_created,
    Action.LET_IN: let_in,
    Action.RECONFIGURE: reconfigure,
    Action.JOIN: join,
    Action.REPORT: report_disk,
    Action.WITHDRAW: withdraw,
    Action.CREATE: create,
    Action.SEED: seed,
    Action.AWAIT_SEED: await_seed,
    Action.RESEED: reseed,
    Action.RESTORE: restore,
}
