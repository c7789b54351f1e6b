"""Simulated ZooKeeper, after what real servers were seen to do: elections, configurations, pending ones, writes.

What is kept: votes by (epoch, zxid, id) over the voters of each server's own configuration, and of its pending one besides; an
empty disk without the marker votes for nobody and is nobody's voter, yet follows an elected leader; a looking server takes over
any newer configuration that reaches it; a new leader commits its pending configuration; version 0 becomes the leader's first
zxid; a start deletes the pending file and keeps it in memory; who is not in its own file exits; a server left out follows
without a vote; a reconfiguration is a compare-and-set on the version, refused without a quorum of the new voters in step, of
whom an observer is none, and which hears of the change only when it is committed; a
write counts when a majority of the voters of the committed configuration, and of a pending one, has it on disk; a leader that
cannot commit what it proposed leads on while a majority of both follows, observers among them, and opens no session; a
leader cut off goes on saying `leader` for the staleness window.

Simplified: an election and the synchronisation of its voters happen in one instant (a joiner's copy takes time); followers copy
the leader's whole log; a follower that misses a transaction is cut off and has to join again; there are no client sessions
otherwise, so a stale leader can still be read.
"""

from collections.abc import Callable, Container, Iterable
from enum import Enum
from functools import lru_cache
from operator import attrgetter

from tests.sim.engine import Scheduler
from tests.sim.files import Files, Transaction
from zkboot.model import Change, Configuration, Identity, Mode, Role
from zkboot.words import majority

EPOCH_BITS = 32


Key = tuple[int, str]  # id and address
BY_ADDRESS = attrgetter("address")


@lru_cache(4096)
def voters_of(configuration: Configuration) -> tuple[frozenset[Key], int]:
    """The voters, and how many of them are a majority."""
    found = frozenset((v.id, v.address) for v in configuration.voters)
    return found, majority(len(found))


@lru_cache(4096)
def observers_of(configuration: Configuration) -> frozenset[Key]:
    return frozenset((o.id, o.address) for o in configuration.observers)


class State(Enum):
    STARTING = "starting"
    LOOKING = "looking"
    FOLLOWING = "following"
    LEADING = "leading"


class Process:
    """One running server. `address` and `files` are its node's."""

    def __init__(self, name: str, address: str, files: Files, now: float) -> None:
        assert files.server_id is not None and files.committed is not None
        self.name, self.address, self.files = name, address, files
        self.id = files.server_id
        self.key: Key = (self.id, address)
        self.started = now
        self.ready = now + 0.4
        self.state = State.STARTING
        self.alive = True
        self.pending = files.next if files.next and files.next.version > files.committed.version else None
        self._seen: tuple[Configuration | None, Configuration | None] = (None, None)
        self._electorates: tuple[tuple[frozenset[Key], int], ...] = ()
        files.next = None
        if files.log is None and files.marked:
            files.log = []
        files.marked = False
        # following
        self.leader: Process | None = None
        self.synced_at = 0.0
        self.behind = False  # cut off while the leader went on; what it missed arrives when the network is back
        # leading
        self.counter = 0
        self.heard: dict[Process, float] = {}

    @property
    def committed(self) -> Configuration:
        assert self.files.committed is not None
        return self.files.committed

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.files.current_epoch, self.files.zxid, self.id

    @property
    def views(self) -> tuple[Configuration, ...]:
        """The configurations of whose voters this server wants a majority each."""
        newer = self.pending is not None and self.pending.version > self.committed.version
        return (self.committed, self.pending) if newer and self.pending else (self.committed,)

    @property
    def electorates(self) -> tuple[tuple[frozenset[Key], int], ...]:
        """The voters of each of these (one, or two), and how many of them are a majority."""
        committed, pending = self.files.committed, self.pending
        if self._seen[0] is not committed or self._seen[1] is not pending:
            self._seen, self._electorates = (committed, pending), tuple(map(voters_of, self.views))
        return self._electorates

    def counts(self, other: "Process") -> bool:
        """Whether that server is a voter in a configuration of this one, by id and address."""
        key = other.key
        electorates = self.electorates
        return key in electorates[0][0] or key in electorates[-1][0]

    def enough(self, others: Iterable["Process"]) -> bool:
        """A majority of the voters of each own configuration is among them."""
        keys = {other.key for other in others}
        (voters, most), (last, most_of_last) = self.electorates[0], self.electorates[-1]
        return len(voters & keys) >= most and (last is voters or len(last & keys) >= most_of_last)

    def is_voter(self) -> bool:
        own = self.committed.server(self.id)
        return own is not None and own.role is Role.PARTICIPANT

    def adopt(self, configuration: Configuration) -> None:
        """Take over a newer committed configuration."""
        if configuration.version <= self.committed.version:
            return
        self.files.committed = configuration
        if self.pending and self.pending.version <= configuration.version:
            self.pending = None
        if self.files.next and self.files.next.version <= configuration.version:
            self.files.next = None

    def propose(self, configuration: Configuration) -> None:
        self.pending = self.files.next = configuration


def voting(leader: Process, processes: Iterable[Process]) -> list[Process]:
    """Those that are no observers of the leader's committed configuration, which neither count as in step nor acknowledge."""
    observers = observers_of(leader.committed)
    return [p for p in processes if p.key not in observers]


class Refused(Exception):
    """The ensemble refuses a reconfiguration; nothing happened."""


class Lost(Exception):
    """The connection was lost; it is not known what happened."""


class Ensemble:
    """All servers that run, by address. `reach(a, b)` is the network between two addresses."""

    def __init__(self, scheduler: Scheduler, stale: float, reach: Callable[[str, str], bool]) -> None:
        self._scheduler, self._stale, self._reach = scheduler, stale, reach
        self.processes: dict[str, Process] = {}
        self.running: list[Process] = []  # by address; a list that stays as it is while it is gone through
        self._silent: set[Process] = set()  # ended without a word: no connection was reset
        self.tell: Callable[[str], None] = lambda text: None
        self.committing: Callable[[], None] = lambda: None  # a reconfiguration is acknowledged, its commit not yet sent
        self.drop = 0.0  # how often one follower misses one transaction
        self.slow = 0.0  # at most so long a joiner's copy takes

    # --- processes

    def start(self, name: str, address: str, files: Files) -> None:
        if address in self.processes:
            return
        own, committed = files.server_id, files.committed
        if not files.mounted or files.damaged or own is None or committed is None:
            self.tell(f"{name}: server exits: no usable disk")
            return
        if committed.server(own) is None:
            self.tell(f"{name}: server exits: my id {own} is not in the peer list")
            files.next = None
            return
        self.processes[address] = Process(name, address, files, self._scheduler.now)
        self.running = [self.processes[a] for a in sorted(self.processes)]

    def end(self, address: str, silent: bool) -> None:
        """The process ends; `silent` as by a power cut, so that its peers only notice by and by."""
        process = self.processes.pop(address, None)
        if process:
            process.alive = False
        self.running = [p for p in self.running if p is not process]
        if process and silent:
            self._silent.add(process)

    def mode(self, process: Process) -> Mode:
        if process.state is State.LEADING:
            return Mode.LEADER
        if self.in_step(process):
            own = process.committed.server(process.id)
            return Mode.OBSERVER if own is not None and own.role is Role.OBSERVER else Mode.FOLLOWER
        return Mode.NONE

    def voting_followers(self, leader: Process) -> set[Process]:
        return {f for f in voting(leader, leader.heard) if self.in_step(f) and leader.counts(f)}

    def in_step(self, process: Process) -> bool:
        return process.state is State.FOLLOWING and process.synced_at <= self._scheduler.now and process.files.log is not None

    # --- one moment

    def tick(self) -> None:
        now, running = self._scheduler.now, self.running
        leading, following = [], []
        for process in running:
            state = process.state
            if state is State.FOLLOWING:
                following.append(process)
            elif state is State.LEADING:
                leading.append(process)
            elif state is State.STARTING and process.ready <= now:
                process.state = State.LOOKING
        for process in following:
            if process.files.log is None:
                self._take_over(process)
        for process in leading:
            self._lead(process)
        for process in following:
            if process.state is State.FOLLOWING:
                self._follow(process)
        if all(p.state is not State.LOOKING for p in running):
            return
        self._gossip()
        for process in running:
            if process.state is State.LOOKING:
                self._find_leader(process)
        self._elect()

    def _connected(self, a: Process, b: Process) -> bool:
        return a.alive and b.alive and self._reach(a.address, b.address)

    def _lead(self, leader: Process) -> None:
        now, heard = self._scheduler.now, leader.heard
        for follower, at in list(heard.items()):
            follows = follower.leader is leader and follower.state is State.FOLLOWING
            if follows and self._connected(leader, follower):
                heard[follower] = now
            elif (follower.alive and not follows) or self._said_goodbye(follower) or now - at > self._stale:
                del heard[follower]
        if not leader.enough((leader, *heard)):
            self.tell(f"{leader.name}: server {leader.id} stops leading: its followers are gone")
            self._look(leader)
        elif self.in_vain(leader) and self.can_acknowledge(leader):
            self._commit(leader, leader.views[-1])

    def _said_goodbye(self, process: Process) -> bool:
        return not process.alive and process not in self._silent

    def _follow(self, follower: Process) -> None:
        leader, now = follower.leader, self._scheduler.now
        assert leader is not None
        if self._connected(follower, leader) and leader.state is State.LEADING and follower in leader.heard:
            follower.heard[leader] = now
            if follower.behind and follower.files.log is not None:
                self._copy(leader, follower)
            follower.behind = False
        elif (leader.alive and (leader.state is not State.LEADING or follower not in leader.heard)) or (
            self._said_goodbye(leader) or now - follower.heard.get(leader, 0.0) > self._stale
        ):
            self._look(follower)

    def _look(self, process: Process) -> None:
        process.state, process.leader, process.heard, process.behind = State.LOOKING, None, {}, False

    def _take_over(self, joiner: Process) -> None:
        """A joiner whose copy is complete holds the leader's data."""
        if joiner.synced_at > self._scheduler.now:
            return
        if joiner.leader is not None and self._connected(joiner, joiner.leader):
            self._copy(joiner.leader, joiner)
        else:
            self._look(joiner)

    def _copy(self, leader: Process, follower: Process) -> None:
        files = follower.files
        assert leader.files.log is not None
        files.log = list(leader.files.log)
        files.current_epoch = files.accepted_epoch = leader.files.current_epoch
        follower.adopt(leader.committed)
        if leader.pending and leader.pending.version > leader.committed.version:
            follower.propose(leader.pending)

    def _gossip(self) -> None:
        """Looking servers take over any newer configuration that reaches them, until nothing changes."""
        changed = True
        while changed:
            changed = False
            for looking in self.running:
                if looking.state is not State.LOOKING:
                    continue
                for other in self.running:
                    heard = looking.counts(other) or (other.state is State.LOOKING and other.counts(looking))
                    if (
                        heard
                        and other.state is not State.STARTING
                        and other.committed.version > looking.committed.version
                        and self._connected(looking, other)
                    ):
                        self.tell(f"{looking.name}: adopts configuration {other.committed.version:#x} of {other.name}")
                        looking.adopt(other.committed)
                        changed = True

    def _find_leader(self, looking: Process) -> None:
        """Follow a leader that a majority of the own configurations' voters follow."""
        for leader in self.running:
            if leader.state is not State.LEADING or not looking.counts(leader) or not self._connected(looking, leader):
                continue
            there = {leader} | {f for f in self.running if f.leader is leader and self._connected(looking, f)}
            there = set(voting(leader, there))  # an observer's word tells nobody who leads
            if not looking.enough(there):
                continue
            if looking.files.accepted_epoch > leader.files.current_epoch:
                continue  # "Leaders epoch ... less than accepted epoch"
            looking.state, looking.leader = State.FOLLOWING, leader
            looking.heard = {leader: self._scheduler.now}
            leader.heard[looking] = self._scheduler.now
            if looking.files.log is None:
                looking.synced_at = self._scheduler.now + self._scheduler.random.random() * self.slow
            else:
                looking.synced_at = self._scheduler.now
                self._copy(leader, looking)
            return

    def _elect(self) -> None:
        looking = [p for p in self.running if p.state is State.LOOKING and p.files.log is not None]
        candidates = sorted((p for p in looking if p.is_voter()), key=lambda p: p.rank, reverse=True)
        for best in candidates:
            if best.state is not State.LOOKING or self._outvoted(best, candidates):
                continue
            group = {
                p
                for p in looking
                if p is best or (self._connected(p, best) and p.counts(best) and not self._outvoted(p, candidates, best))
            }
            group = {p for p in group if p.state is State.LOOKING and p.enough(group)}
            if best in group and best.enough({p for p in group if best.counts(p)}):
                self._lead_off(best, group)

    def _outvoted(self, process: Process, candidates: list[Process], best: Process | None = None) -> bool:
        """Whether that server sees a better candidate than itself, or than `best`."""
        bar = (best or process).rank
        return any(
            c.rank > bar and c.state is State.LOOKING and process.counts(c) and self._connected(process, c)
            for c in candidates
            if c is not process
        )

    def _lead_off(self, leader: Process, group: set[Process]) -> None:
        now = self._scheduler.now
        epoch = max(p.files.accepted_epoch for p in group) + 1
        leader.files.accepted_epoch = leader.files.current_epoch = epoch
        new = leader.views[-1]
        if new.version == 0:
            new = new._replace(version=epoch << EPOCH_BITS)
        leader.adopt(new)
        leader.state, leader.counter, leader.heard = State.LEADING, 0, {}
        for follower in sorted(group - {leader}, key=lambda p: p.address):
            follower.state, follower.leader, follower.synced_at = State.FOLLOWING, leader, now
            follower.heard, leader.heard[follower] = {leader: now}, now
            self._copy(leader, follower)
        names = ", ".join(sorted(f.name for f in leader.heard)) or "nobody"
        self.tell(f"{leader.name}: server {leader.id} leads epoch {epoch}, zxid {leader.files.zxid:#x}, followed by {names}")
        if not leader.is_voter():
            self._look(leader)

    # --- writes

    def can_acknowledge(self, leader: Process) -> bool:
        return leader.enough(voting(leader, (leader, *self._receivers(leader))))

    def in_vain(self, leader: Process) -> bool:
        """It leads with a proposed configuration that is not committed yet."""
        return leader.state is State.LEADING and len(leader.views) > 1

    def _receivers(self, leader: Process) -> list[Process]:
        now = self._scheduler.now
        found = [
            f
            for f in leader.heard
            if f.leader is leader
            and f.state is State.FOLLOWING
            and not f.behind
            and f.synced_at <= now
            and f.files.log is not None
            and self._connected(leader, f)
        ]
        return sorted(found, key=BY_ADDRESS) if len(found) > 1 else found

    def write(self, leader: Process, what: int | Identity) -> int | None:
        """The transaction's zxid when it was acknowledged, None when it was not (it may lie on some disks all the same)."""
        files = leader.files
        leader.counter += 1
        transaction = Transaction((files.current_epoch << EPOCH_BITS) + leader.counter, what)
        got = {leader, *self._reached(leader)}
        for process in got:
            assert process.files.log is not None
            process.files.log.append(transaction)
        if leader.enough(voting(leader, got)):
            return transaction.zxid
        self._unless_followed(leader, got, "a write found no majority")
        return None

    def _unless_followed(self, leader: Process, got: set[Process], why: str) -> None:
        """A leader leads on while a majority of each of its configurations follows, observers counted."""
        if leader.enough(got):
            self.tell(f"{leader.name}: server {leader.id} leads on, and commits nothing: {why}")
        else:
            self.tell(f"{leader.name}: server {leader.id} stops leading: {why}")
            self._look(leader)

    def _reached(self, leader: Process) -> list[Process]:
        """Who gets the next transaction; who misses it is cut off."""
        got = []
        for follower in leader.heard:
            follower.behind |= not self._connected(leader, follower)
        for follower in self._receivers(leader):
            if self._scheduler.random.random() < self.drop:
                del leader.heard[follower]
                self._look(follower)
            else:
                got.append(follower)
        return got

    def identity(self, process: Process) -> Identity | None:
        for transaction in reversed(process.files.log or []):
            if type(transaction.what) is Identity:
                return transaction.what
        return None

    # --- reconfiguration

    def leader_of(self, process: Process) -> Process | None:
        if process.state is State.LEADING:
            return process
        leader = process.leader
        return leader if leader is not None and self.in_step(process) and self._connected(process, leader) else None

    def reconfigure(self, through: Process, change: Change, deaf: Container[str]) -> None:
        """Raises Refused when nothing happened, Lost when that is not known. `deaf`: addresses that hear nothing of it."""
        leader = self.leader_of(through)
        if leader is None or leader.state is not State.LEADING or not self.can_acknowledge(leader):
            raise Lost
        if len(leader.views) > 1:
            raise Refused("a reconfiguration is in progress")
        if change.version != leader.committed.version:
            raise Refused(f"the version is {leader.committed.version:#x}")
        ids = {s.id for s in change.joining} | set(change.leaving)
        servers = [s for s in leader.committed.servers if s.id not in ids] + list(change.joining)
        leader.counter += 1
        new = Configuration((leader.files.current_epoch << EPOCH_BITS) + leader.counter, tuple(sorted(servers)))
        voters, most = voters_of(new)
        in_step = {p.key for p in voting(leader, (leader, *self._receivers(leader)))}
        if not voters or len(voters & in_step) < most:
            leader.counter -= 1
            raise Refused("no quorum of the new voters is in step")
        got = {leader, *(f for f in self._reached(leader) if f.address not in deaf)}
        for process in voting(leader, sorted(got, key=BY_ADDRESS)):
            process.propose(new)
        if not leader.enough(voting(leader, got)):
            self._unless_followed(leader, got, "the reconfiguration found no majority")
            raise Lost
        self.committing()
        self._commit(leader, new)
        if leader.state is not State.LEADING or not through.alive or through.state is State.LOOKING:
            raise Lost

    def _commit(self, leader: Process, new: Configuration) -> None:
        leader.adopt(new)
        told = self._reached(leader)
        for process in told:
            process.adopt(new)
        lines = ",".join(f"{s.id}{'o' if s.role is Role.OBSERVER else ''}" for s in new.servers)
        self.tell(f"{leader.name}: configuration {new.version:#x} is now {lines}")
        if not leader.is_voter():
            for process in list(leader.heard):
                self._look(process)
            self._look(leader)
