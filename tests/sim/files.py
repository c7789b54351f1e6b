"""One node's disks: the data volume, which can be wiped or unmounted, and the root disk, which lives as long as its instance.

Data is a list of transactions; all of it is on the platter when it is appended (ZooKeeper forces its log before it
acknowledges). A compound operation passes a point between any two renames, where the schedule may kill it. Simplified:
data is whole or damaged, never torn; one folder holds snapshots and logs; a copy costs no space.
"""

from collections.abc import Callable
from typing import NamedTuple

from zkboot.errors import UnknownFact
from zkboot.model import Archive, Configuration, Data, Disk, DiskState, Identity, Role, Server


class Transaction(NamedTuple):
    """`what` is a client's write (int) or the identity znode."""

    zxid: int
    what: int | Identity


class Kept(NamedTuple):
    """One archive: what is said of it, and what lies in it."""

    about: Archive
    log: list[Transaction]
    current_epoch: int
    accepted_epoch: int
    identity: Identity | None
    whole: bool


class Generation(NamedTuple):
    """The generation file."""

    identity: Identity
    server_id: int
    seeded: bool
    fenced: bool


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
        self.new_volume()

    def new_volume(self) -> None:
        """An empty data volume in place of the old one."""
        self.log: list[Transaction] | None = None
        self.current_epoch = self.accepted_epoch = 0
        self.marked = False
        self.damaged = False
        self.generation: Generation | None = None
        self.building: tuple[list[Transaction], int] | None = None
        self.archives: list[Kept] = []

    @property
    def zxid(self) -> int:
        return self.log[-1].zxid if self.log else 0

    @property
    def loadable(self) -> bool:
        return self.log is not None and not self.damaged

    @property
    def pending(self) -> Configuration | None:
        committed = self.committed.version if self.committed else -1
        found = [c for c in (self.next, self.kept) if c is not None and c.version > committed]
        return max(found, key=lambda c: c.version, default=None)

    def writes(self) -> set[int]:
        """Every client's write that this node holds in loadable form."""
        logs = [k.log for k in self.archives if k.whole] + ([self.log] if self.log is not None and self.loadable else [])
        logs += [self.building[0]] if self.building else []
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
            seeded=made.seeded if made else False,
            fenced=made.fenced if made else False,
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
        f = self._mounted()
        self._point("archive 1")
        made = None
        if f.log is not None:
            identity = f.generation.identity if f.generation else None
            name = f"{identity.generation if identity else 0}-{len(f.archives)}"
            made = Archive(name, identity, f.current_epoch, f.zxid)
            f.archives.append(Kept(made, f.log, f.current_epoch, f.accepted_epoch, identity, not f.damaged))
            f.log, f.damaged, f.current_epoch, f.accepted_epoch = None, False, 0, 0
        self._point("archive 2")
        f.marked, f.building, f.generation = False, None, None
        self._point("archive 3")
        f.committed = f.next = f.kept = None
        return made

    def build_empty(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        f = self._mounted()
        if self._whole(identity):
            return
        self.archive()
        self._configure(configuration)
        f.current_epoch = f.accepted_epoch = epoch
        f.marked = True
        self._point("build empty 2")
        f.generation = Generation(identity, server_id, seeded=True, fenced=False)

    def build_from_own(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        f = self._mounted()
        if self._whole(identity):
            return
        if f.building is None:
            if not f.loadable:
                self._from_archive(identity)
            assert f.log is not None, "build_from_own without data"
            self._point("build own 1")
            f.building = (list(f.log), epoch)
        self._point("build own 2")
        building = f.building
        if f.log is not None:
            self.archive()
        f.building = None
        f.log, f.current_epoch, f.accepted_epoch = building[0], building[1], building[1]
        self._point("build own 3")
        self._configure(configuration)
        self._point("build own 4")
        f.generation = Generation(identity, server_id, seeded=True, fenced=False)

    def _from_archive(self, identity: Identity) -> None:
        f = self._files
        best = max(
            (k for k in f.archives if k.whole and k.identity is not None and k.identity.cluster_id == identity.cluster_id),
            key=lambda k: (k.current_epoch, k.about.zxid),
        )
        f.log = list(best.log)
        f.current_epoch, f.accepted_epoch = best.current_epoch, best.accepted_epoch

    def build_joiner(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        f = self._mounted()
        self._point("build joiner 1")
        f.marked = False
        others = tuple(s for s in configuration.servers if s.id != server_id)
        self._configure(Configuration(0, (*others, Server(server_id, self._address, Role.OBSERVER))))
        self._point("build joiner 2")
        f.generation = Generation(identity, server_id, seeded=False, fenced=False)

    def _configure(self, configuration: Configuration) -> None:
        f = self._files
        f.committed, f.next, f.kept = configuration, None, None

    def _whole(self, identity: Identity) -> bool:
        made = self._files.generation
        return made is not None and made.identity == identity and made.seeded

    def fence(self) -> None:
        f = self._mounted()
        self._point("fence on disk")
        if f.generation:
            f.generation = f.generation._replace(fenced=True)

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
