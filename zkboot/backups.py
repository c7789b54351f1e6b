"""`zkboot backup`: what is seen, what is decided of it (`backup.turn`), and the copy.

A copy is the archive, uploaded whole, and then the manifest, which makes a backup of it. Killed anywhere before, there is none,
and the next one that holds the lease aborts what was left unfinished.
"""

import contextlib
import os
import time
from typing import NamedTuple

from zkboot import __version__, observe
from zkboot import record as records
from zkboot.backup import archive, catalogue, lease, turn
from zkboot.backup import manifest as manifests
from zkboot.backup.catalogue import Catalogue
from zkboot.backup.manifest import ARCHIVE, CURRENT, MANIFEST, Manifest
from zkboot.backup.sequence import largest
from zkboot.backup.sizes import mib, span
from zkboot.backup.store import Store
from zkboot.backup.survey import Source, Survey, survey
from zkboot.backup.verify import Tell, figures, load, mark, verify
from zkboot.errors import Damaged, Stale, UnknownFact
from zkboot.model import Data, Disk, DiskState, Identity, Me, Quorum, Unknown
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.world import World
from zkboot.zookeeper import configuration, contents, files
from zkboot.zookeeper.generation import Generation

ATTEMPTS = 3  # at a copy during which no file is changed by the server
HOT = "hot"


class Node(NamedTuple):
    """This node as a backup sees it. `quorum` is None when none is seen; `wanted` is the zxid that a copy must reach."""

    me: Me
    identity: Identity
    server_id: int | None
    quorum: Quorum | None
    wanted: int


def scheduled(world: World, store: Store, settings: Settings, tell: Tell) -> None:
    """What the timer calls on every node: a backup when one is due and this node is the one to make it.

    Raises UnknownFact where that cannot be known, and what `make` does.
    """
    interval = settings.backup.interval
    if not interval:
        tell("no backup: backup.interval is 0, which switches them off")
        return
    listed = catalogue.read(store, settings.backup.prefix)
    overdue = turn.due(listed, interval)
    if overdue < 0 and not turn.unverified(listed):
        tell(f"no backup is due: the next one in {span(-overdue)}")
        return
    if world.metadata.taken():
        tell("no backup from here: the group is taking this instance")
        return
    node = look(world, settings)
    if node.quorum is None:
        raise UnknownFact("no backup from here: no quorum is seen to serve; zkboot backup, typed, copies what this node holds")
    refusal = turn.refusal(node.quorum, node.server_id, max(overdue, 0.0))
    if refusal:
        tell(f"no backup from here: {refusal}")
    elif overdue >= 0:
        make(world, store, settings, node, tell)
    elif listed.newest is not None:
        with lease.held(world.store, settings.cluster, node.me.instance_id):
            newest = load(store, settings, listed.newest.name, node.me.instance_id)
            verify(store, settings, newest, node.me.instance_id, tell)


def typed(world: World, store: Store, settings: Settings, tell: Tell) -> None:
    """What a person asks for: a backup of this node, now, with a quorum or without."""
    node = look(world, settings)
    if node.quorum is None:
        tell("no quorum is seen to serve: this copies what this node holds, which others may be ahead of")
    make(world, store, settings, node, tell)


def look(world: World, settings: Settings) -> Node:
    """Raises UnknownFact when this node has no data of the cluster as the record has it."""
    me = world.metadata.me()
    with files.unknown_on_error():
        generation = Generation.read(settings.node.data_dir)
        committed = configuration.committed(settings.node.conf_dir)
    if generation is None:
        raise UnknownFact(f"{settings.node.data_dir} holds no data of a generation: there is nothing to back up")
    found = records.read(world.store, settings.cluster)
    record = found[0] if found else None
    if record is not None and generation.identity != Identity(record.cluster_id, record.generation):
        raise UnknownFact(
            f"this node's data is of {generation.identity}, the record of generation {record.generation}: not backed up from here"
        )
    disk = Disk(
        DiskState.DATA, identity=generation.identity, server_id=generation.server_id, data=Data(0, 0, contents.NOTHING, committed)
    )
    seen, _ = observe.look(world, me, disk, record, Unknown("not asked"))
    quorum = seen if isinstance(seen, Quorum) else None
    wanted = reached(world, quorum) if quorum is not None else contents.NOTHING
    return Node(me, generation.identity, generation.server_id, quorum, wanted)


def reached(world: World, quorum: Quorum) -> int:
    """The highest zxid that a serving member has applied: every write acknowledged before this is at most that.

    A leader without a write in its epoch names the epoch alone; those that serve with it have all that was before.
    """
    peers = world.server.ask(frozenset(server.address for server in quorum.configuration.servers))
    highest = max((peer.zxid for peer in peers.values() if peer is not None), default=contents.NOTHING)
    return highest if highest & 0xFFFFFFFF else contents.NOTHING


def make(world: World, store: Store, settings: Settings, node: Node, tell: Tell) -> None:
    """One backup under the lease, and its verification; where nothing was written since the newest, that is marked as current.

    Raises Held when another node has the lease, Stale when it was lost, Damaged, UnknownFact. A copy that failed leaves nothing.
    """
    prefix = settings.backup.prefix
    with lease.held(world.store, settings.cluster, node.me.instance_id) as (held, date):
        aborted = store.abort_unfinished(prefix)
        if aborted:
            tell(f"aborted {aborted} unfinished upload{'s' if aborted > 1 else ''} of a backup that was interrupted")
        listed = catalogue.read(store, prefix)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with survey(source(settings), node.wanted) as found:
                    if still_current(store, settings, node, listed, found, tell):
                        return
                    made = copy(store, settings, node, found, new_name(listed, date), held, tell)
                break
            except Damaged as damage:
                if attempt == ATTEMPTS:
                    raise
                tell(f"copying again, as the files changed meanwhile, or are damaged: {damage}")
        tell(f"backup {made.name}, up to 0x{made.last:x}: {figures(made, made.seconds)}")
        verify(store, settings, made, node.me.instance_id, tell)


def source(settings: Settings) -> Source:
    log_dir = settings.node.data_log_dir or settings.node.data_dir
    return Source(f"{settings.node.data_dir}/version-2", f"{log_dir}/version-2", largest(settings))


def new_name(listed: Catalogue, date: float) -> str:
    """A name for now, and later than every other."""
    return manifests.name_of(max(date, listed.latest.began + 1 if listed.latest else 0.0))


def still_current(store: Store, settings: Settings, node: Node, listed: Catalogue, found: Survey, tell: Tell) -> bool:
    """Whether the newest backup holds all that is here, is whole, and has now been marked so."""
    if listed.newest is None:
        return False
    try:
        newest = load(store, settings, listed.newest.name, node.me.instance_id)
        same = (newest.cluster_id, newest.generation) == node.identity and found.sequence.unchanged_since(newest.last)
        if same and listed.newest.verified is None:
            verify(store, settings, newest, node.me.instance_id, tell)
    except Damaged as damage:
        tell(f"the newest backup is damaged, another is made: {damage}")
        return False
    if not same:
        return False
    with step("mark current"):
        mark(store, settings, newest.name, CURRENT, by=node.me.instance_id)
    tell(f"nothing was written since backup {newest.name}: it is still current")
    return True


def copy(store: Store, settings: Settings, node: Node, found: Survey, name: str, held: lease.Lease, tell: Tell) -> Manifest:
    """Archive, then manifest. Raises Damaged when a file changed on the way; an upload that is not completed is aborted."""
    started = time.monotonic()
    size = sum(part.size for part in found.parts)
    tell(f"copying {mib(size)} of {len(found.parts)} files to {settings.backup.prefix}{name}{ARCHIVE}")
    upload = store.upload(f"{settings.backup.prefix}{name}{ARCHIVE}", size)
    try:
        written = archive.write(found, manifests.instant_of(name), largest(settings), upload.send)
        held.confirm()
        upload.complete()
    except BaseException:
        with contextlib.suppress(UnknownFact):  # the next backup aborts it
            upload.abort()
        raise
    made = Manifest(
        name=name,
        cluster=settings.cluster,
        cluster_id=node.identity.cluster_id,
        generation=node.identity.generation,
        server_id=node.server_id or 0,
        instance_id=node.me.instance_id,
        mode=HOT,
        had_quorum=node.quorum is not None,
        epoch=epoch(settings, written.last),
        seconds=round(time.monotonic() - started, 3),
        zkboot=__version__,
        zookeeper=zookeeper_version(settings),
        **written._asdict(),
    )
    key = f"{settings.backup.prefix}{name}{MANIFEST}"
    body = manifests.to_json(made)
    manifests.of_json(body, key)  # what nobody could read again is not written
    held.confirm()
    expect_same(settings, node)
    with step("write manifest"):
        store.put(key, body)
    return made


def expect_same(settings: Settings, node: Node) -> None:
    """Raises Stale when the data has become another's while it was copied."""
    with files.unknown_on_error():
        generation = Generation.read(settings.node.data_dir)
    if generation is None or generation.identity != node.identity:
        raise Stale("this node's data was replaced while it was copied; nothing is kept")


def epoch(settings: Settings, last: int) -> int:
    """The server's current epoch; that of the last transaction where no file says more."""
    with files.unknown_on_error():
        text = files.read_text(f"{settings.node.data_dir}/version-2/{contents.CURRENT_EPOCH}") or ""
    return max(last >> 32, int(text) if text.strip().isdecimal() else 0)


def zookeeper_version(settings: Settings) -> str:
    """By the name of the server's own jar; "" where it cannot be told."""
    with files.unknown_on_error():
        names = files.listing(os.path.join(settings.node.zookeeper_home, "lib"))
    versions = [name.removeprefix("zookeeper-").removesuffix(".jar") for name in names if name.startswith("zookeeper-")]
    return next((version for version in versions if version[:1].isdecimal()), "")
