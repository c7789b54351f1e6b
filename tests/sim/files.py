"""One node's disks: the data volume, which can be wiped or unmounted, and the root disk, which lives as long as its instance.

Data is a list of transactions; all of it is on the platter when it is appended (ZooKeeper forces its log before it
acknowledges). A compound operation passes a point between any two renames, where the schedule may kill it. Simplified:
data is whole or damaged, never torn; one folder holds snapshots and logs; a copy costs no space.
"""

from collections.abc import Callable
from typing import NamedTuple

from zkboot.errors import UnknownFact, ZkbootError
from zkboot.model import Archive, Configuration, Data, Disk, DiskState, Identity


class Transaction(NamedTuple):
    """`what` is a client's write (int) or the identity znode."""

    zxid: int
    what: int | Identity


class Kept(NamedTuple):
    """One archive: what is said of it, and what lies in it."""

    about: Archive
    log: list[Transaction]
    accepted_epoch: int
    generation: "Generation | None"
    committed: Configuration | None


class Generation(NamedTuple):
    """The generation file."""

    identity: Identity
    server_id: int
    seeded: bool
    fenced: bool
    over: bool = False


ON_VOLUME = ("log", "current_epoch", "accepted_epoch", "marked", "damaged", "generation", "built_as", "archived", "archives")


class Files:
    """The state, and what ZooKeeper does to it."""

    def __init__(self) -> None:
        self.mounted = True
        # root disk
        self.committed: Configuration | None = None  # zoo.cfg's dynamic file
        self.next: Configuration | None = None  # .dynamic.next
        self.kept: Configuration | None = None  # zkboot's copy of it
        self.notes: dict[str, object] = {}
        self.promised = False
        self.begun = 0  # how often this node began anew: on an empty disk, or from a backup
        self.new_volume()

    def new_volume(self) -> None:
        """An empty data volume in place of the old one."""
        self.log: list[Transaction] | None = None
        self.current_epoch = self.accepted_epoch = 0
        self.marked = False
        self.damaged = False
        self.generation: Generation | None = None
        self.built_as: int | None = None  # the server id that others gave it, before zkboot took it in
        self.archived = 0
        self.archives: list[Kept] = []

    def take_out(self) -> dict[str, object]:
        """The data volume, by the names of what it holds; an empty one is in its place."""
        held: dict[str, object] = {name: getattr(self, name) for name in ON_VOLUME}
        self.new_volume()
        return held | {"begun": self.begun}

    def put_back(self, held: dict[str, object]) -> bool:
        """The volume that was taken out, unless the node has begun anew since: nobody attaches a volume that was replaced, and
        nothing could tell that its data is of before."""
        if self.log is not None or self.archives or held["begun"] != self.begun:
            return False
        for name, value in held.items():
            setattr(self, name, value)
        return True

    @property
    def server_id(self) -> int | None:
        return self.generation.server_id if self.generation else self.built_as

    @property
    def zxid(self) -> int:
        return self.log[-1].zxid if self.log else 0

    @property
    def loadable(self) -> bool:
        return self.log is not None and not self.damaged

    @property
    def pending(self) -> Configuration | None:
        """What the server left, or zkboot's copy of it unless a later leader's transactions are here."""
        committed = self.committed.version if self.committed else -1
        kept = self.kept if self.kept and self.zxid >> 32 <= self.kept.version >> 32 else None
        found = [c for c in (self.next, kept) if c is not None and c.version > committed]
        return max(found, key=lambda c: c.version, default=None)

    def writes(self) -> set[int]:
        """Every client's write that this node holds in loadable form."""
        logs = [k.log for k in self.archives if not k.about.damaged] + (
            [self.log] if self.log is not None and self.loadable else []
        )
        return {t.what for log in logs for t in log if isinstance(t.what, int)}


class NodeDisk:
    """DiskApi over `Files`. `point(name)` is where a kill may strike."""

    def __init__(self, files: Files, address: str, point: Callable[[str], None]) -> None:
        self._files, self._address, self._point = files, address, point

    def read(self) -> Disk:
        self._point("disk read")
        f = self._files
        if not f.mounted:
            return Disk(DiskState.UNKNOWN, why="not mounted", promised=f.promised)
        made = f.generation
        about = Disk(
            DiskState.EMPTY,
            identity=made.identity if made else None,
            server_id=made.server_id if made else None,
            myid=None if made else f.built_as,
            seeded=made.seeded if made else False,
            fenced=made.fenced if made else False,
            over=made.over if made else False,
            marked=f.marked,
            promised=f.promised,
            archives=tuple(k.about for k in f.archives),
        )
        if f.log is None:
            return about
        data = Data(f.current_epoch, f.accepted_epoch, f.zxid, f.committed, f.pending)
        if f.damaged:
            return about._replace(state=DiskState.DAMAGED, why="log.1: checksum", data=data)
        return about._replace(state=DiskState.DATA, data=data)

    def archive(self) -> Archive | None:
        """In one instant: an unfinished one reads as finished, and is finished before anything else is done."""
        f = self._mounted()
        self._point("archive")
        if f.log is None:
            self._clear()
            return None
        identity = f.generation.identity if f.generation else None
        f.archived += 1
        made = Archive(f"{identity.generation if identity else 0}-{f.archived}", identity, f.current_epoch, f.zxid, f.damaged)
        f.archives.append(Kept(made, f.log, f.accepted_epoch, f.generation, f.committed))
        f.log, f.damaged = None, False
        self._clear()
        return made

    def bring_back(self, name: str) -> None:
        f = self._mounted()
        self._point("bring back")
        kept = next((k for k in f.archives if k.about.name == name), None)
        if f.log is not None or kept is None:
            return
        self._clear()
        f.archives.remove(kept)
        f.log, f.damaged, f.generation, f.committed = kept.log, kept.about.damaged, kept.generation, kept.committed
        f.current_epoch, f.accepted_epoch = kept.about.current_epoch, kept.accepted_epoch

    def adopt(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        f = self._mounted()
        if not f.loadable or (f.generation is not None and f.generation.identity != identity):
            raise ZkbootError("the disk cannot be taken in")
        self._point("take in")
        f.committed = configuration
        self._point("take in 2")
        f.generation = Generation(identity, server_id, seeded=False, fenced=False)

    def build_empty(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        f = self._mounted()
        assert f.log is None, "data in the way of a creation"
        self._clear()
        f.begun += 1
        self._point("build empty 1")
        f.current_epoch = f.accepted_epoch = epoch
        f.committed = configuration
        self._point("build empty 2")
        f.marked = True
        self._point("build empty 3")
        f.generation = Generation(identity, server_id, seeded=True, fenced=False)

    def build_from_own(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        """In one instant: an unfinished one reads as if it had not begun, and is undone before a start."""
        f = self._mounted()
        assert f.loadable, "nothing to seed from"
        assert epoch >= max(f.accepted_epoch, f.zxid >> 32), "an epoch below one that was seen"
        self._point("build own")
        f.current_epoch = f.accepted_epoch = epoch
        f.committed, f.next, f.kept, f.marked = configuration, None, None, False
        f.generation = Generation(identity, server_id, seeded=True, fenced=False)

    def build_joiner(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        f = self._mounted()
        own = configuration.server(server_id)
        assert own is not None, "a joiner's configuration without the joiner"
        old = f.generation
        assert f.log is None or (f.loadable and old is not None and old.identity == identity), "data in the way of a joiner"
        if f.log is None:
            self._clear()
            f.begun += 1
        self._point("build joiner 1")
        f.marked = False
        f.committed = configuration
        self._point("build joiner 2")
        seeded = f.log is not None and old is not None and old.seeded
        f.generation = Generation(identity, server_id, seeded, seeded and old is not None and old.fenced)

    def _clear(self) -> None:
        f = self._files
        f.generation, f.marked = None, False
        f.current_epoch = f.accepted_epoch = 0
        f.committed = f.next = f.kept = None

    def fence(self) -> None:
        f = self._mounted()
        self._point("fence on disk")
        if f.generation:
            f.generation = f.generation._replace(fenced=True)

    def mark_over(self) -> None:
        f = self._mounted()
        self._point("mark over")
        assert f.generation is not None, "a disk of no generation is marked"
        f.generation = f.generation._replace(over=True)

    def prepare_start(self, digest: str | None, aside: bool) -> None:
        f = self._mounted()
        self._point("prepare start")
        pending = f.pending
        f.kept = f.next = None if aside else pending

    def promise(self) -> None:
        self._point("promise")
        self._files.promised = True

    def release(self) -> None:
        self._point("release")
        self._files.promised = False

    def load(self) -> dict[str, object]:
        return dict(self._files.notes)

    def save(self, state: dict[str, object]) -> None:
        self._point("save notes")
        self._files.notes = dict(state)

    def _mounted(self) -> Files:
        if not self._files.mounted:
            raise UnknownFact("the data volume is not mounted")
        return self._files
