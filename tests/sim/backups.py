"""The backups of a simulated region, and how a node sees them. Simplified: each is verified when it is made, and whole until the
schedule damages it; a download takes no time but the schedule's own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.sim.files import Generation, Kept, Transaction
from zkboot.errors import Damaged
from zkboot.model import Archive, Backup, Identity

if TYPE_CHECKING:
    from tests.sim.node import Node
    from tests.sim.simulation import Simulation


class Copied(NamedTuple):
    """One backup: what is said of it, when it was made, and what it holds."""

    about: Backup
    at: float
    log: list[Transaction]

    @property
    def writes(self) -> set[int]:
        return {t.what for t in self.log if isinstance(t.what, int)}


class Backups:
    """All that were made, oldest first."""

    def __init__(self) -> None:
        self.made: list[Copied] = []
        self.damaged: set[str] = set()  # of these the bytes are wrong
        self.found: set[str] = set()  # and this has been found

    def make(self, node: Node) -> None:
        """Of what that node holds."""
        files, generation = node.files, node.files.generation
        assert files.log is not None and generation is not None
        about = Backup(f"backup-{len(self.made) + 1}", generation.identity, files.current_epoch, files.zxid, 0.0)
        self.made.append(Copied(about, node.sim.now, list(files.log)))
        node.tell(f"{about.name} is made, up to {about.zxid:#x}")

    def newest_whole(self) -> Copied | None:
        return next((copied for copied in reversed(self.made) if copied.about.name not in self.damaged), None)

    def like(self, source: str) -> set[int]:
        """The writes in that backup, and in each whole one of the same generation: whoever takes it has them to choose from."""
        chosen = self.named(source)
        whole = (c for c in self.made if c.about.name not in self.damaged and c.about.identity == chosen.about.identity)
        return chosen.writes.union(*(copied.writes for copied in whole))

    def named(self, source: str) -> Copied:
        return next(copied for copied in self.made if source.endswith(copied.about.name))


def allow(sim: Simulation) -> None:
    """A backup of up to a day is restored unasked."""
    sim.settings = sim.settings._replace(ensemble=sim.settings.ensemble._replace(auto_restore=86_400.0))


def keep(sim: Simulation, random: Random) -> None:
    """The leader is backed up now and then; one in five of these turns out damaged when it is restored."""
    allow(sim)

    def due() -> None:
        leader = sim.leader()
        node = sim.nodes.get(leader.name) if leader is not None else None
        if node is not None and node.files.log and node.files.loadable and node.files.generation:
            sim.backups.make(node)
            if random.random() < 0.2:
                sim.backups.damaged.add(sim.backups.made[-1].about.name)
        sim.after(random.expovariate(1 / 20), due)

    sim.after(random.expovariate(1 / 20), due)


class NodeBackups:
    """BackupsApi of one node."""

    def __init__(self, node: Node, asked: Callable[[str], None]) -> None:
        self._node, self._asked = node, asked

    @property
    def _all(self) -> Backups:
        return self._node.sim.backups

    def traces(self) -> str:
        self._asked("list backups")
        return f"{len(self._all.made)} backups" if self._all.made else ""

    def newest(self, cluster_id: str) -> Backup | None:
        self._asked("list backups")
        for copied in reversed(self._all.made):
            if copied.about.name not in self._all.found and copied.about.identity.cluster_id == cluster_id:
                return copied.about._replace(age=self._node.sim.now - copied.at)
        return None

    def last(self, tell: Callable[[str], None]) -> None:
        self._asked("back up")
        files, newest = self._node.files, self._all.newest_whole()
        assert files.generation is not None
        ours = newest is not None and newest.about.identity == files.generation.identity
        if newest is None or not ours or (newest.about.epoch, newest.about.zxid) <= (files.current_epoch, files.zxid):
            self._all.make(self._node)

    def backup(self, source: str) -> Backup:
        self._asked("read manifest")
        return self._all.named(source).about

    def unpack(
        self,
        source: str,
        name: str,
        identity: Identity,
        server_id: int,
        tell: Callable[[str], None],
        keep: Callable[[], None],
    ) -> None:
        self._asked("download")
        keep()
        about, _, log = self._all.named(source)
        if about.name in self._all.damaged:
            self._all.found.add(about.name)
            raise Damaged(f"{about.name}, offset 7: wrong")
        self._node.point("unpack")
        files = self._node.files
        files.begun += 1
        files.archives.append(
            Kept(
                Archive(name, about.identity, about.epoch, about.zxid),
                list(log),
                about.epoch,
                Generation(identity, server_id, seeded=True, fenced=False),
                None,
            )
        )
