"""Creation and the seed: named, its disk built, its quorum proved, its generation created."""

import secrets
import uuid

from zkboot import record as records
from zkboot.actions.configurations import first_version
from zkboot.actions.given import Act, password
from zkboot.actions.server import archive, fence_on_disk, release, start, stop
from zkboot.actions.writing import amend_record, claim, look_again, own_claim, replace_record, report_joining, write_report
from zkboot.errors import Damaged
from zkboot.model import (
    Backup,
    Configuration,
    DiskState,
    Holds,
    Identity,
    Record,
    State,
)
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.world import World

EPOCH_MARGIN = 65_536


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
    alone = Configuration(first_version(record), (a.words.line(server_id, a.me.address),))
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
