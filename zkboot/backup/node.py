"""This node as a backup sees it: whose data it holds, and what is seen of the ensemble."""

from typing import NamedTuple

from zkboot import observe
from zkboot import record as records
from zkboot.errors import UnknownFact
from zkboot.model import Configuration, Data, Disk, DiskState, Identity, Me, Quorum, Record, Unknown
from zkboot.settings import Settings
from zkboot.world import World
from zkboot.zookeeper import configuration, contents, files
from zkboot.zookeeper.generation import Generation


class Node(NamedTuple):
    """`quorum` is None when none is seen; `wanted` is the zxid that a copy must reach; `alone` is whether this node is a quorum
    by itself, running or not: the last of a group that goes to zero."""

    me: Me
    identity: Identity
    server_id: int | None
    quorum: Quorum | None
    wanted: int
    alone: bool

    @property
    def has_all(self) -> bool:
        """Whether a copy that reaches `wanted` holds all that was acknowledged before it; else others may hold more."""
        return self.quorum is not None or self.alone


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
    disk = Disk(
        DiskState.DATA, identity=generation.identity, server_id=generation.server_id, data=Data(0, 0, contents.NOTHING, committed)
    )
    seen, _ = observe.look(world, me, disk, record, Unknown("not asked"))
    if record is not None and not belongs(generation.identity, record, seen):
        raise UnknownFact(
            f"this node's data is of {generation.identity}, the record of generation {record.generation}: not backed up from here"
        )
    quorum = seen if isinstance(seen, Quorum) else None
    wanted = reached(world, quorum) if quorum is not None else contents.NOTHING
    alone = is_alone(generation.identity, generation.server_id, record, committed)
    return Node(me, generation.identity, generation.server_id, quorum, wanted, alone)


def is_alone(identity: Identity, server_id: int | None, record: Record | None, committed: Configuration | None) -> bool:
    """The only voter of the last generation: nothing is acknowledged without it, and another configuration none without it."""
    if record is None or committed is None or identity != Identity(record.cluster_id, record.generation):
        return False
    return server_id is not None and [voter.id for voter in committed.voters] == [server_id]


def belongs(identity: Identity, record: Record, quorum: Quorum | None | Unknown) -> bool:
    """Data of an earlier generation too, where no quorum is left: it may be the last there is, and a person may want it back."""
    later = record.generation - identity.generation
    return identity.cluster_id == record.cluster_id and (later == 0 or (later > 0 and quorum is None))


def reached(world: World, quorum: Quorum) -> int:
    """The highest zxid that a serving member has applied: every write acknowledged before this is at most that.

    A leader without a write in its epoch names the epoch alone; those that serve with it have all that was before.
    """
    peers = world.server.ask(frozenset(server.address for server in quorum.configuration.servers))
    highest = max((peer.zxid for peer in peers.values() if peer is not None), default=contents.NOTHING)
    return highest if highest & 0xFFFFFFFF else contents.NOTHING
