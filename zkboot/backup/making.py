"""Making one backup: the copy, and what it takes for it to count.

A copy is the archive, uploaded whole, and then the manifest, which makes a backup of it. Killed anywhere before, there is none,
and the next one that holds the lease aborts what was left unfinished.
"""

import contextlib
import os
import time
from typing import NamedTuple

from zkboot import __version__
from zkboot.backup import archive, catalogue, cold, lease, progress
from zkboot.backup import manifest as manifests
from zkboot.backup.catalogue import Catalogue
from zkboot.backup.manifest import ARCHIVE, CURRENT, MANIFEST, Manifest
from zkboot.backup.node import Node, look
from zkboot.backup.sequence import largest
from zkboot.backup.sizes import mib
from zkboot.backup.store import Store
from zkboot.backup.survey import Source, Survey, survey
from zkboot.backup.verify import Tell, figures, load, mark, verify
from zkboot.errors import Damaged, Stale, UnknownFact
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.world import World
from zkboot.zookeeper import contents, files
from zkboot.zookeeper.generation import Generation

ATTEMPTS = 3  # at a copy during which no file is changed by the server
COLD = "cold"  # as a mode


class Begun(NamedTuple):
    """A backup's beginning: what there was, with the store's clock, of which the name is made, the machine's clock, and the
    server's current epoch: one that comes while it is copied would rank the copy above who holds more."""

    listed: Catalogue
    monotonic: float
    epoch: int


def make(world: World, store: Store, settings: Settings, node: Node, held: lease.Lease, tell: Tell) -> Manifest | None:
    """One backup under the lease, read back; None where the newest one holds all that is here.

    Raises Stale when the lease was lost, Damaged, UnknownFact. A copy that failed leaves nothing.
    """
    prefix = settings.backup.prefix
    aborted = store.abort_unfinished(prefix)
    if aborted:
        tell(f"aborted {aborted} unfinished upload{'s' if aborted > 1 else ''} of a backup that was interrupted")
    if settings.backup.mode == COLD and world.server.process().running:
        made = stopped(world, store, settings, node, held, tell)
    else:
        made = hot(store, settings, node, held, tell)
    if made is not None:
        tell(f"backup {made.name}, up to 0x{made.last:x}: {figures(made, made.seconds)}")
        verify(store, settings, made, node.me.instance_id, tell)
    return made


def hot(store: Store, settings: Settings, node: Node, held: lease.Lease, tell: Tell) -> Manifest | None:
    """Whether a server writes meanwhile or not."""
    begun = begin(store, settings)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with survey(source(settings), node.wanted) as found:
                if needless(store, settings, node, begun, found, tell):
                    return None
                return copy(store, settings, node, found, begun, held, tell)
        except Damaged as damage:
            if attempt == ATTEMPTS:
                raise
            tell(f"copying again, as the files changed meanwhile, or are damaged: {damage}")
    raise AssertionError("the last attempt returns or raises")


def stopped(world: World, store: Store, settings: Settings, node: Node, held: lease.Lease, tell: Tell) -> Manifest | None:
    begun = begin(store, settings)
    with survey(source(settings), node.wanted) as found:
        if needless(store, settings, node, begun, found, tell):
            return None
    with (
        cold.stopped(world, settings, lambda: look(world, settings), tell) as node,
        survey(source(settings), found.last) as whole,
    ):
        return copy(store, settings, node, whole, begun, held, tell)


def begin(store: Store, settings: Settings) -> Begun:
    monotonic = time.monotonic()
    return Begun(catalogue.read(store, settings.backup.prefix), monotonic, current_epoch(settings))


def source(settings: Settings) -> Source:
    log_dir = settings.node.data_log_dir or settings.node.data_dir
    return Source(f"{settings.node.data_dir}/version-2", f"{log_dir}/version-2", largest(settings))


def new_name(listed: Catalogue) -> str:
    """A name for now, by the store's clock, and later than every other."""
    return manifests.name_of(max(listed.date, listed.latest.began + 1 if listed.latest else 0.0))


def needless(store: Store, settings: Settings, node: Node, begun: Begun, found: Survey, tell: Tell) -> bool:
    """Whether a backup is whole and holds all that is here: it has been marked as current then, where this node has all. Without
    a quorum it may hold more than this node, or be of a later generation; this node's copy would stand before it as the newest.

    Weighed are this cluster's newest verified one, and those after it that nobody has read back yet.
    """
    identity = node.identity
    here = identity.generation, max(begun.epoch, found.last >> 32), found.last
    for entry in reversed(begun.listed.entries):
        if entry.damaged is not None:
            continue
        try:
            other = load(store, settings, entry.name, node.me.instance_id)
            if other.cluster_id != identity.cluster_id:
                continue
            same = other.generation == identity.generation and found.sequence.unchanged_since(other.last)
            ahead = node.quorum is None and (other.generation, other.epoch, other.last) > here
            if (same or ahead) and entry.verified is None:
                verify(store, settings, other, node.me.instance_id, tell)
        except Damaged as damage:
            tell(f"backup {entry.name} is damaged, and passed over: {damage}")
            continue
        if same:
            still_current(store, settings, node, other, tell)
        elif ahead:
            one, two = f"0x{other.last:x} of generation {other.generation}", f"0x{found.last:x} of generation {here[0]}"
            tell(f"backup {other.name}, {one}, is ahead of this node, {two}: none is made of that")
        if same or ahead or entry.verified is not None:
            return same or ahead
    return False


def still_current(store: Store, settings: Settings, node: Node, newest: Manifest, tell: Tell) -> None:
    if not node.has_all:
        tell(f"backup {newest.name} holds all that is here, none is made; whether others hold more is not known")
        return
    with step("mark current"):
        mark(store, settings, newest.name, CURRENT, by=node.me.instance_id)
    tell(f"nothing was written since backup {newest.name}: it is still current")


def copy(store: Store, settings: Settings, node: Node, found: Survey, begun: Begun, held: lease.Lease, tell: Tell) -> Manifest:
    """Archive, then manifest. Raises Damaged when a file changed on the way; an upload that is not completed is aborted."""
    name = new_name(begun.listed)
    size = sum(part.size for part in found.parts)
    tell(f"copying {mib(size)} of {len(found.parts)} files to {settings.backup.prefix}{name}{ARCHIVE}")
    upload = store.upload(f"{settings.backup.prefix}{name}{ARCHIVE}", size)
    try:
        with progress.shown(f"copying {name}", size) as moved:
            written = archive.write(found, manifests.instant_of(name), largest(settings), upload.send, moved)
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
        mode=settings.backup.mode,
        had_quorum=node.has_all,
        epoch=max(begun.epoch, written.last >> 32),
        largest=largest(settings),
        seconds=round(time.monotonic() - begun.monotonic, 3),
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


def current_epoch(settings: Settings) -> int:
    """The server's; 0 where no file says: that of its last transaction counts then."""
    with files.unknown_on_error():
        text = files.read_text(f"{settings.node.data_dir}/version-2/{contents.CURRENT_EPOCH}") or ""
    return int(text) if text.strip().isdecimal() else 0


def zookeeper_version(settings: Settings) -> str:
    """By the name of the server's own jar; "" where it cannot be told."""
    with files.unknown_on_error():
        names = files.listing(os.path.join(settings.node.zookeeper_home, "lib"))
    versions = [name.removeprefix("zookeeper-").removesuffix(".jar") for name in names if name.startswith("zookeeper-")]
    return next((version for version in versions if version[:1].isdecimal()), "")
