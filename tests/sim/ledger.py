"""What must hold: clients write all the time, and every acknowledged write, record and seed is held against the promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.sim.files import Files
from zkboot import record as records
from zkboot.model import Configuration, Identity, Record, State
from zkboot.words import majority

if TYPE_CHECKING:
    from tests.sim.simulation import Simulation

CLUSTER = "c"
MOST_GENERATIONS = 30


class Write(NamedTuple):
    """One acknowledged write."""

    number: int
    at: float
    generation: int
    created: bool  # whether its generation was created when it was acknowledged


class Ledger:
    """The clients and the judge. `found` lists what must never be."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self.acknowledged: dict[int, Write] = {}
        self.excused: set[int] = set()
        self.found: list[str] = []
        self.final = False  # the first of these ends the schedule
        self.records: list[Record] = []
        self.seen_zxid = 0  # the highest that a client was answered with
        self._number = 0
        self._restoring = 0  # the generation that a person has a backup restored in

    def broken(self, text: str) -> None:
        if text not in self.found:
            self.found.append(text)
            self._sim.tell(f"VIOLATION: {text}")
            self._sim.over |= self.final

    @property
    def record(self) -> Record | None:
        return self.records[-1] if self.records else None

    # --- clients

    def write(self) -> None:
        leader = self._sim.leader()
        if leader is None:
            return
        self._number += 1
        zxid = self._sim.ensemble.write(leader, self._number)
        if zxid is None:
            return
        self.seen_zxid = max(self.seen_zxid, zxid)
        identity = leader.files.generation.identity if leader.files.generation else None
        generation = identity.generation if identity else 0
        created = self.record is not None and generation in self.record.created
        self.acknowledged[self._number] = Write(self._number, self._sim.now, generation, created)

    # --- the record

    def wrote(self, key: str, body: bytes) -> None:
        if key != records.record_key(CLUSTER):
            return
        found = records.read(self._sim.bucket, CLUSTER)
        assert found is not None
        new, old = found[0], self.record
        self.records.append(new)
        self._sim.tell(
            f"record {new.revision}: generation {new.generation} {new.state}, seed {new.seed}"
            f"{', started' if new.started else ''}, members "
            + " ".join(f"{i}={c.instance_id}" for i, c in sorted(new.members.items()))
        )
        if old is None or new == old:  # an administrator puts back what was there
            return
        if new.cluster_id != old.cluster_id:
            self.broken(f"cluster {old.cluster_id} was begun anew, as {new.cluster_id}")
        elif new.revision <= old.revision or new.generation < old.generation:
            self.broken(f"the record went backwards: {old.revision} -> {new.revision}")
        if new.generation > MOST_GENERATIONS:
            self.broken("generation follows generation without end")
            self._sim.over = True
        if new.generation == old.generation and new.seed != old.seed:
            self.broken(f"a second seed in generation {new.generation}: {old.seed}, {new.seed}")
        holders = [c.instance_id for c in new.members.values()]
        if len(set(holders)) < len(holders):
            self.broken(f"one instance holds two ids: {holders}")
        if new.generation > old.generation:
            self._replaced(old, new)
        elif new.generation == self._restoring and new.started and not old.started:
            self._restored(new)

    def _replaced(self, old: Record, new: Record) -> None:
        """A generation is only replaced when too few of its voters remain; what nobody living holds is excused. Who has promised
        to stay stopped counts as lost, whatever its disk holds by now."""
        if old.intent is not None:
            self._commanded(new)
            return
        if old.state is State.CREATED:
            voters, remaining = self.remaining(Identity(old.cluster_id, old.generation))
            if voters and remaining >= majority(voters):
                self.broken(f"generation {old.generation} was replaced while {remaining} of its {voters} voters remain")
        held: set[int] = set()
        vain = old.state is State.RESTORING and not old.started  # whoever stood still for that takes its promise back
        for node in self._sim.living():
            held |= set() if node.files.promised and not vain else node.files.writes()
        if new.state is State.RESTORING:
            held |= self._sim.backups.like(new.source)
        self._excuse_all_but(held)
        if new.state is State.CREATING:
            self.excused |= {w.number for w in self.acknowledged.values() if not w.created}

    def _commanded(self, new: Record) -> None:
        """A person accepted the loss of what the node that goes on does not hold; for a backup, see `_restored`."""
        if new.state is State.RESTORING:
            self._restoring = new.generation
        else:
            self._excuse_all_but(set() if new.state is State.CREATING else self._sim.nodes[new.seed].files.writes())

    def _restored(self, new: Record) -> None:
        """That of what the backup does not hold is accepted once its seed is behind its fence: where the backup turns out to be
        damaged before that, the members go on with what they had."""
        self._excuse_all_but(self._sim.backups.named(new.source).writes)

    def _excuse_all_but(self, kept: set[int]) -> None:
        self.excused |= self.acknowledged.keys() - kept

    def remaining(self, identity: Identity) -> tuple[int, int]:
        """Voters of the newest committed configuration on any living disk of that generation; how many live with their data."""
        disks = {
            n.address: n.files
            for n in self._sim.living()
            if n.files.loadable and not n.files.promised and n.files.generation and n.files.generation.identity == identity
        }
        configurations: list[Configuration] = [f.committed for f in disks.values() if f.committed is not None]
        newest = max(configurations, key=lambda c: c.version, default=None)
        if newest is None:
            return 0, 0
        alive = [v for v in newest.voters if v.address in disks and _server_id(disks[v.address]) == v.id]
        return len(newest.voters), len(alive)

    # --- the end

    def check(self) -> None:
        """Once all is quiet: every promised write is on the leader, or was excused."""
        leader = self._sim.leader()
        if leader is None:
            return
        if leader.files.zxid < self.seen_zxid:
            # A server refuses a client that has seen more than itself ("client must try another server").
            self.broken(f"clients have seen {self.seen_zxid:#x} and are refused by a leader at {leader.files.zxid:#x}")
        held = {t.what for t in leader.files.log or [] if isinstance(t.what, int)}
        lost = sorted(w.number for w in self.acknowledged.values() if w.created and w.number not in held | self.excused)
        if lost:
            self.broken(f"{len(lost)} acknowledged writes are lost: {lost[:5]} ...")


def _server_id(files: Files) -> int | None:
    return files.generation.server_id if files.generation else None
