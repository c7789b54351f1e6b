"""`zkboot backup` and what goes with it: what is seen, what is decided of it (`backup.turn`), and the work on one node."""

import os
from collections.abc import Callable

from zkboot.backup import catalogue, copies, drill, lease, prune, scratch, seen, turn
from zkboot.backup.catalogue import Catalogue
from zkboot.backup.making import make
from zkboot.backup.node import Node, look
from zkboot.backup.sizes import span
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell, load, verify
from zkboot.errors import Stale, UnknownFact, ZkbootError
from zkboot.settings import Settings
from zkboot.world import World
from zkboot.zookeeper import files, sizing
from zkboot.zookeeper.generation import Generation


def scheduled(world: World, store: Store, settings: Settings, tell: Tell, second: Store | None = None) -> None:
    """What the timer calls on every node: a backup when one is due and this node is the one to make it, then its copy in the
    second bucket, and retention.

    Raises UnknownFact where that cannot be known, and what `make` does.
    """
    interval = settings.backup.interval
    if not interval:
        with files.unknown_on_error():
            seen.forget(settings.node.state_dir)
        tell("no backup: backup.interval is 0, which switches them off")
        return
    listed = own(store, settings)
    remember(settings, listed)
    overdue = 0.0 if superseded(store, settings, listed) else turn.due(listed, interval)
    if overdue < 0 and not turn.unverified(listed) and not copy_is_late(listed, second, settings, tell):
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
        return
    with lease.held(world.store, settings.cluster, node.me.instance_id) as (held, _):
        if overdue >= 0:
            make(world, store, settings, node, held, tell)
        elif turn.unverified(listed) and listed.newest is not None:
            newest = load(store, settings, listed.newest.name, node.me.instance_id)
            verify(store, settings, newest, node.me.instance_id, tell)
        copy_over(store, second, settings, node, held, tell)
        attempt("old backups are kept", lambda: delete_old(store, settings, held, tell), tell)
        if second is not None:
            attempt("old copies are kept", lambda: delete_old(second, settings, held, tell), tell)
    remember(settings, own(store, settings))


def own(store: Store, settings: Settings) -> Catalogue:
    """The backups up to the newest verified one that says when the next is due, and how old the data are, and those after it that
    say so too: not what another cluster has written under the prefix (its name was used before, or two share a prefix), nor what
    was copied without a quorum."""
    listed = catalogue.read(store, settings.backup.prefix)
    with files.unknown_on_error():
        generation = Generation.read(settings.node.data_dir)
    entries = list(listed.entries)
    for entry in reversed(listed.entries):
        if entry.damaged is not None:
            continue
        manifest = load(store, settings, entry.name, os.uname().nodename)
        foreign = generation is not None and manifest.cluster_id != generation.identity.cluster_id
        if foreign or not catalogue.has_all(entry, manifest):
            entries.remove(entry)
        elif entry.verified is not None:
            break
    return listed._replace(entries=tuple(entries))


def superseded(store: Store, settings: Settings, listed: Catalogue) -> bool:
    """Whether the newest backup is of a generation before this node's: such a one is never restored unasked, so that until the
    next there would be none."""
    with files.unknown_on_error():
        generation = Generation.read(settings.node.data_dir)
    if generation is None or listed.newest is None:
        return False
    manifest, identity = load(store, settings, listed.newest.name, os.uname().nodename), generation.identity
    return manifest.cluster_id == identity.cluster_id and manifest.generation < identity.generation


def typed(world: World, store: Store, settings: Settings, tell: Tell, second: Store | None = None) -> None:
    """What a person asks for: a backup of this node, now, with a quorum or without."""
    node = look(world, settings)
    if not node.has_all:
        tell("no quorum is seen to serve: this copies what this node holds, which others may be ahead of")
    with lease.held(world.store, settings.cluster, node.me.instance_id) as (held, _):
        make(world, store, settings, node, held, tell)
        copy_over(store, second, settings, node, held, tell)
    remember(settings, own(store, settings))


def drill_scheduled(world: World, store: Store, settings: Settings, tell: Tell) -> None:
    """What the drills' timer calls on every node: a drill of the newest backup when one is due and this node is the one to do it.

    Raises UnknownFact where that cannot be known, and what `drill` does.
    """
    scratch.Scratch(settings, sizing.SMALLEST_HEAP).remove()
    interval = settings.backup.drill_interval
    if not interval:
        tell("no drill: backup.drill_interval is 0, which switches them off")
        return
    listed = own(store, settings)
    overdue = turn.drill_due(listed, interval)
    if listed.newest is None or overdue < 0:
        tell(f"no drill is due: the next one in {span(-overdue)}" if listed.newest else "no drill: there is no backup yet")
        return
    node = look(world, settings)
    if node.quorum is None:
        raise UnknownFact("no drill from here: no quorum is seen to serve; zkboot verify --drill, typed, does it all the same")
    refusal = turn.refusal(node.quorum, node.server_id, overdue)
    if refusal:
        tell(f"no drill from here: {refusal}")
        return
    with lease.held(world.store, settings.cluster, node.me.instance_id):
        manifest = load(store, settings, listed.newest.name, node.me.instance_id)
        drill.drill(store, settings, manifest, node.me.instance_id, tell)
    remember(settings, own(store, settings))


def pruned(world: World, store: Store, settings: Settings, tell: Tell) -> None:
    """What a person asks for: retention, now."""
    with lease.held(world.store, settings.cluster, world.metadata.me().instance_id) as (held, _):
        if not delete_old(store, settings, held, tell):
            tell("nothing is to be deleted: the rules keep every backup")


def delete_old(store: Store, settings: Settings, held: lease.Lease, tell: Tell) -> bool:
    """Whether there was anything to delete."""
    planned = prune.plan(store, settings)
    prune.prune(store, settings, planned, held.confirm, tell)
    return bool(planned.delete or planned.left)


def copy_over(first: Store, second: Store | None, settings: Settings, node: Node, held: lease.Lease, tell: Tell) -> None:
    if second is None:
        return
    what = f"not copied to {settings.backup.copy_bucket}, which is tried again"
    attempt(what, lambda: copies.bring(first, second, settings, node.me.instance_id, held.confirm, tell), tell)


def copy_is_late(listed: Catalogue, second: Store | None, settings: Settings, tell: Tell) -> bool:
    """Whether who made a backup did not come to its copy."""
    if second is None:
        return False
    late: list[bool] = []

    def compare() -> None:
        wanted = copies.lacking(listed, catalogue.read(second, settings.backup.prefix))
        late.extend(listed.date - (entry.verified or 0.0) > turn.LOOK for entry in wanted)

    attempt("copies are not seen to", compare, tell)
    return any(late)


def attempt(what: str, work: Callable[[], object], tell: Tell) -> None:
    """What must not stand in the way of the backup itself is told when it fails, and tried again at another time."""
    try:
        work()
    except Stale:
        raise
    except ZkbootError as error:
        tell(f"{what}: {error}")


def remember(settings: Settings, listed: Catalogue) -> None:
    """How old the newest verified one of these is, for who may not ask the store each minute."""
    newest = next((entry for entry in reversed(listed.entries) if entry.verified is not None), None)
    found = seen.Seen(newest.name if newest else None, newest.as_of if newest else listed.date, listed.date)
    with files.unknown_on_error():
        seen.write(settings.node.state_dir, found)
