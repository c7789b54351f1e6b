"""A tiny abstract ensemble, group and store in which decisions are carried out: just enough to walk the policy to a settled end.

A server is a disk and whether it runs; an election is arithmetic over the running disks of one generation; a reconfiguration
commits at
once. Each action is a generator of its steps, so that a walk can kill zkboot between any two. Time passes by turns.
"""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from zkboot.model import (
    Action,
    Archive,
    Backup,
    Change,
    Claim,
    Configuration,
    Data,
    Decision,
    Disk,
    DiskState,
    Group,
    Held,
    Holds,
    Identity,
    Instance,
    Limits,
    Me,
    Mode,
    Observation,
    Process,
    Quorum,
    Record,
    Report,
    Role,
    Scope,
    Server,
    State,
)
from zkboot.policy import decide

SCOPE = Scope("1", "eu-west-1", "vpc-1", "keepers")
CLUSTER, TURN, MARGIN = "cluster-of-ours", 3.0, 65_536


class Stuck(Exception):
    """The walk did not settle, or something happened that must never happen; the message tells the path."""


class Node:
    """One instance: its life, its disks, its server, and what its root disk remembers."""

    def __init__(self, number: int, at: float) -> None:
        self.id, self.address, self.zone = f"i-{number}", f"10.0.0.{number}", "abc"[number % 3]
        self.state, self.lifecycle = "running", "Pending:Wait"
        self.disk = Disk(DiskState.EMPTY)
        self.running, self.started, self.restarts = False, 0.0, 0
        self.synced = False
        self.held: dict[str, float] = {}
        self.reported = -1e9
        self.said = ""

    @property
    def lives(self) -> bool:
        return self.state == "running"

    @property
    def taken(self) -> bool:
        return self.lifecycle.startswith("Terminating")

    def stop(self) -> None:
        self.running = self.synced = False


class Ensemble(NamedTuple):
    """A quorum as it stands: whose, its configuration, and who leads."""

    identity: Identity
    configuration: Configuration
    leader: Node


class World:
    """Region, group and ensemble together."""

    def __init__(self, desired: int, max_voters: int = 5) -> None:
        self.now, self.numbers = 10_000.0, count(1)
        self.steps = 0  # of the latest action, done
        self.limits = Limits(max_voters=max_voters, auto_restore=3600.0)
        self.backup: Backup | None = None  # the newest verified one
        self.damaged = False  # it is, though nobody has found that yet
        self.desired = desired
        self.nodes: list[Node] = []
        self.record: Record | None = None
        self.reports: dict[str, Report] = {}
        self.etags = count(1)
        self.ensemble: Ensemble | None = None
        self.proved: set[Identity] = set()
        self.acknowledged = (0, 0)
        self.path: list[str] = []
        self.scale()

    # --- the group

    def scale(self) -> None:
        """What the Auto Scaling group does: replace what is gone, launch what is missing, take what is too much."""
        there = [n for n in self.nodes if n.lives and not n.taken]
        for _ in range(self.desired - len(there)):
            self.nodes.append(Node(next(self.numbers), self.now))
        for node in there[: max(0, len(there) - self.desired)]:
            node.lifecycle = "Terminating:Wait"

    def terminate(self, node: Node) -> None:
        node.stop()
        node.state, node.lifecycle, node.disk = "terminated", "", Disk(DiskState.UNKNOWN, "terminated")

    # --- elections

    def elect(self) -> None:
        """Let the running servers of each generation find a leader; at most one ensemble may ever serve."""
        identities = {n.disk.identity for n in self.nodes if n.running and n.disk.identity}
        found = [e for identity in identities if (e := self.quorum_of(identity))]
        if len(found) > 1:
            raise Stuck(self.told("two ensembles serve at once"))
        before, self.ensemble = self.ensemble, found[0] if found else None
        if self.ensemble is None:
            for node in self.nodes:
                node.synced = False
            return
        if before is None or before.leader is not self.ensemble.leader or before.identity != self.ensemble.identity:
            self.begin_epoch(self.ensemble)
        self.sync(self.ensemble)

    def quorum_of(self, identity: Identity) -> Ensemble | None:
        able = [n for n in self.nodes if n.running and n.disk.identity == identity and (n.disk.data or creation(n.disk))]
        if not able:
            return None
        newest = max((committed(n) for n in able), key=lambda c: c.version)
        voters = [n for n in able if is_in(n, newest.voters)]
        if 2 * len(voters) <= len(newest.voters):
            return None
        stays = self.ensemble.leader if self.ensemble and self.ensemble.leader in voters else None
        leader = stays or max(voters, key=lambda n: (*rank_of(n.disk), n.id))
        pending = leader.disk.data.pending if leader.disk.data else None
        if pending and not stays:
            if 2 * sum(is_in(n, pending.voters) for n in able) <= len(pending.voters):
                return None
            newest = pending
        return Ensemble(identity, newest, leader)

    def begin_epoch(self, e: Ensemble) -> None:
        followers = [n for n in self.nodes if n.running and n.disk.identity == e.identity]
        top = rank_of(e.leader.disk)
        survivors = [n for n in self.nodes if n.lives for r in ranks(n.disk) if r >= self.acknowledged]
        if top < self.acknowledged and survivors:
            raise Stuck(self.told(f"acknowledged writes are lost though {survivors[0].id} holds them"))
        epoch = max([top[0], *(n.disk.data.accepted_epoch for n in followers if n.disk.data)]) + 1
        e.leader.disk = with_data(e.leader.disk, Data(epoch, epoch, epoch << 32, e.configuration))

    def sync(self, e: Ensemble) -> None:
        """Whoever runs in the generation takes over the leader's data; a write is acknowledged by the way."""
        lead = e.leader.disk.data
        assert lead is not None
        data = lead._replace(zxid=lead.zxid + 1, committed=e.configuration, pending=None)
        for node in self.nodes:
            node.synced = node.running and node.disk.identity == e.identity
            if node.synced:
                node.disk = with_data(node.disk, data)
        self.acknowledged = (data.current_epoch, data.zxid)

    def reconfigure(self, change: Change) -> None:
        e = self.ensemble
        if e is None or e.configuration.version != change.version:
            return
        servers = {s.id: s for s in e.configuration.servers if s.id not in change.leaving} | {s.id: s for s in change.joining}
        data = e.leader.disk.data
        assert data is not None
        new = Configuration(data.zxid + 1, tuple(servers.values()))
        observers = {s.id for s in e.configuration.observers}  # ZooKeeper does not count them for the new quorum
        if 2 * sum(
            v.id not in observers and any(n.synced and n.address == v.address for n in self.nodes) for v in new.voters
        ) <= len(new.voters):
            return
        self.ensemble = e._replace(configuration=new)
        self.sync(self.ensemble)
        if not is_in(e.leader, new.voters):
            self.ensemble = None
            self.elect()

    # --- what a node sees

    def observe(self, node: Node) -> Observation:
        e, record = self.ensemble, self.record
        expected = Identity(record.cluster_id, record.generation) if record else node.disk.identity
        seen = e is not None and e.identity == expected and (e.identity in self.proved or e.leader is node)
        instances = {n.id: Instance(n.id, n.address, n.zone, n.state, n.lifecycle) for n in self.nodes}
        mode = Mode.NONE
        if e and node.synced:
            line = next((s for s in e.configuration.servers if is_in(node, (s,))), None)
            observes = line is not None and line.role is Role.OBSERVER
            mode = Mode.LEADER if e.leader is node else Mode.OBSERVER if observes else Mode.FOLLOWER
        own = {node.id: self.reports[node.id]} if node.id in self.reports else {}
        return Observation(
            me=Me(node.id, node.address, node.zone, SCOPE),
            limits=self.limits,
            cluster="keepers",
            taken=node.taken,
            record=record,
            reports=own if seen else dict(self.reports),
            group=Group(self.desired, instances, True, self.now),
            witnesses=(),
            backup=None if seen else self.backup,
            disk=node.disk,
            server=Process(node.running, self.now - node.started, mode) if node.running else Process(),
            quorum=self.quorum_seen(e) if seen and e else None,
            held={name: Held(self.now - since, since) for name, since in node.held.items()},
            restarts=node.restarts,
        )

    def quorum_seen(self, e: Ensemble) -> Quorum:
        servers = e.configuration.servers
        leader = next(s.id for s in servers if is_in(e.leader, (s,)))
        return Quorum(
            leader=leader,
            configuration=e.configuration,
            serving=frozenset(s.id for s in servers for n in self.nodes if n.synced and is_in(n, (s,))),
            synced=frozenset(n.address for n in self.nodes if n.synced and not is_in(n, servers)),
            proved=e.identity in self.proved,
        )

    # --- a turn

    def turn(self, node: Node, killed_after: int | None = None) -> Decision | None:
        """One reconciliation of one node, zkboot killed after that many steps of its action."""
        self.now += TURN
        self.register(node)
        seen = self.observe(node)
        decision = decide(seen)
        node.held = {name: node.held.get(name, self.now) for name in decision.noted}
        node.restarts = 0 if seen.quorum else node.restarts
        if f"{node.id} {decision.action}" != node.said or decision.action not in (Action.WAIT, Action.HEALTHY, Action.HALT):
            self.path.append(f"{self.now:>6.0f} {node.id} row {decision.row:>2} {decision.action}: {decision.reason}")
        node.said = f"{node.id} {decision.action}"
        self.steps = 0
        for step in self.act(node, seen, decision):
            self.steps += 1
            if self.steps == killed_after:
                self.path.append(f"{self.now:>6.0f} !! zkboot on {node.id} killed after `{step}`")
                break
        self.elect()
        return decision

    def register(self, node: Node) -> None:
        """What the loop reports without being asked (`reconcile.register`)."""
        e = self.ensemble
        if self.observe(node).quorum is not None or (node.running and node.disk.state is not DiskState.DATA):
            return
        report = self.reports.get(node.id)
        truth = Holds.DATA if node.disk.state is DiskState.DATA else Holds.EMPTY
        due = self.now - node.reported >= self.limits.report
        if report is None or (report.holds is Holds.DATA and (due or truth is not Holds.DATA)):
            self.report(node, truth)
        assert e is self.ensemble

    def report(self, node: Node, holds: Holds) -> None:
        node.reported = self.now
        if holds is Holds.EMPTY:
            node.disk = node.disk._replace(promised=True)
        claimed = next((i for i, c in self.record.members.items() if c.instance_id == node.id), None) if self.record else None
        data = node.disk.data if holds is Holds.DATA else None
        revision = self.record.revision if self.record else 0
        self.reports[node.id] = Report(
            node.id,
            node.address,
            holds,
            node.disk.identity if data else None,
            claimed or node.disk.server_id,
            revision,
            data.told if data else None,
            node.disk.archives,
            self.now,
            data.ids if data else (),
            f"e{next(self.etags)}",
        )

    def told(self, end: str) -> str:
        return "\n".join([*self.path[-60:], f"=> {end}"])

    # --- actions, step by step

    def act(self, node: Node, seen: Observation, d: Decision) -> Iterator[str]:
        match d.action:
            case Action.CREATE:
                yield from self.create(node)
            case Action.SEED:
                yield from self.seed(node)
            case Action.RESEED:
                yield from self.reseed(node)
            case Action.RESTORE:
                yield from self.restore(node)
            case Action.JOIN | Action.REJOIN:
                yield from self.join(node)
            case Action.START | Action.RESTART:
                node.restarts += d.action is Action.RESTART and seen.quorum is None
                node.stop()
                yield "stop"
                self.start(node, d.aside)
                yield "start"
            case Action.AWAIT_SEED:
                node.stop()
                yield "stop"
            case Action.REPORT:
                if node.disk.state is not DiskState.DATA:
                    node.stop()
                self.report(node, Holds.DATA if node.disk.state is DiskState.DATA else Holds.EMPTY)
                yield "report"
            case Action.WITHDRAW:
                self.report(node, Holds.JOINING)
                yield "report joining"
                self.change()
                yield "raise"
                node.disk = node.disk._replace(promised=False)
                yield "release"
            case Action.PROVE:
                assert self.ensemble is not None
                self.proved.add(self.ensemble.identity)
                yield "prove"
            case Action.SET_CREATED:
                assert self.record is not None
                self.change(state=State.CREATED, created=(*self.record.created, self.record.generation))
                yield "set created"
            case Action.LET_IN:
                node.lifecycle = "InService"
                yield "let in"
            case Action.RECONFIGURE:
                assert d.change is not None
                self.reconfigure(d.change)
                yield "reconfigure"
            case Action.LEAVE:
                assert d.change is not None
                self.reconfigure(d.change)
                yield "reconfigure"
                self.terminate(node)
                yield "let go"
            case Action.LET_GO:
                self.terminate(node)
                yield "let go"
            case Action.ADOPT:
                yield from self.adopt(node)

    def change(self, **fields: object) -> Record:
        assert self.record is not None
        self.record = self.record._replace(revision=self.record.revision + 1, **fields)  # type: ignore[arg-type]
        return self.record

    def start(self, node: Node, aside: bool = False) -> None:
        data = node.disk.data
        if aside and data:
            node.disk = node.disk._replace(data=data._replace(pending=None))
        node.disk = node.disk._replace(promised=False)
        node.running, node.started = True, self.now
        if node.disk.state is DiskState.EMPTY and node.disk.marked:
            node.disk = node.disk._replace(marked=True)

    def create(self, node: Node) -> Iterator[str]:
        self.report(node, Holds.JOINING)
        yield "report joining"
        old = self.record
        self.record = Record(
            revision=old.revision + 1 if old else 1,
            nonce="",
            cluster_id=CLUSTER,
            scope=SCOPE,
            generation=old.generation + 1 if old else 1,
            state=State.CREATING,
            seed=node.id,
            started=False,
            created=old.created if old else (),
            zk_epoch=old.zk_epoch + MARGIN if old else 0,
            members={1: Claim(node.id, node.address, node.zone, self.now)},
        )
        yield "compare-and-set"

    def seed(self, node: Node) -> Iterator[str]:
        record = self.record
        assert record is not None
        node.stop()
        self.report(node, Holds.JOINING)
        yield "report joining"
        server_id = next(i for i, c in record.members.items() if c.instance_id == node.id)
        identity, alone = Identity(record.cluster_id, record.generation), (Server(server_id, node.address),)
        if record.state is State.RESTORING and node.disk.identity != identity:
            backup, disk = self.backup, node.disk
            if backup is None or self.damaged:
                self.backup = None
                self.change(source="")
                yield "give up"
                return
            kept = (Archive(f"{len(disk.archives)}", disk.identity, *rank_of(disk)),) if disk.data else ()
            node.disk = Disk(DiskState.EMPTY, promised=disk.promised, archives=(*disk.archives, *kept))
            yield "archive"
            data = Data(backup.epoch, backup.epoch, backup.zxid, None)
            node.disk = node.disk._replace(state=DiskState.DATA, identity=identity, server_id=server_id, seeded=True, data=data)
            yield "bring back"
        built = Disk(
            DiskState.EMPTY,
            identity=identity,
            server_id=server_id,
            seeded=True,
            marked=True,
            archives=node.disk.archives,
            promised=node.disk.promised,
        )
        if record.state is not State.CREATING:
            data = node.disk.data
            assert data is not None
            epoch = record.zk_epoch
            raised = data._replace(
                current_epoch=epoch, accepted_epoch=epoch, committed=Configuration((epoch + 1) << 32, alone), pending=None
            )
            built = built._replace(state=DiskState.DATA, marked=False, data=raised)
        node.disk = built
        yield "build"
        self.change(started=True)
        yield "fence"
        node.disk = node.disk._replace(promised=False)
        yield "release"
        node.disk = node.disk._replace(fenced=True)
        yield "fence on disk"
        self.start(node)
        yield "start"

    def restore(self, node: Node) -> Iterator[str]:
        assert self.backup is not None
        self.report(node, Holds.JOINING)
        yield "report joining"
        self.next_generation(node, State.RESTORING, self.backup.name)
        yield "compare-and-set"

    def next_generation(self, node: Node, state: State, source: str) -> None:
        assert self.record is not None
        known = [self.record.zk_epoch, *(r.data.accepted_epoch for r in self.reports.values() if r.data)]
        known += [self.backup.epoch] if self.backup else []
        members = dict(self.record.members)
        if node.id not in [c.instance_id for c in members.values()]:
            members[next(i for i in range(1, 256) if i not in members)] = Claim(node.id, node.address, node.zone, self.now)
        self.change(
            generation=self.record.generation + 1,
            state=state,
            seed=node.id,
            started=False,
            zk_epoch=max(known) + MARGIN,
            members=members,
            source=source,
        )

    def reseed(self, node: Node) -> Iterator[str]:
        assert self.record is not None
        self.report(node, Holds.JOINING)
        yield "report joining"
        node.stop()
        yield "stop"
        self.next_generation(node, State.RESEEDING, "")
        yield "compare-and-set"
        best = max(node.disk.archives, key=lambda a: (a.current_epoch, a.zxid), default=None)
        if node.disk.data is None and best and best.identity:
            data = Data(best.current_epoch, best.current_epoch, best.zxid, None)
            node.disk = node.disk._replace(state=DiskState.DATA, identity=best.identity, data=data, server_id=None)

    def join(self, node: Node) -> Iterator[str]:
        record = self.record
        assert record is not None
        node.stop()
        yield "stop"
        identity, disk = Identity(record.cluster_id, record.generation), node.disk
        if disk.state is DiskState.DATA and disk.identity != identity and disk.data is not None:
            kept = Archive(f"{len(disk.archives)}", disk.identity, *rank_of(disk))
            node.disk = Disk(DiskState.EMPTY, promised=disk.promised, archives=(*disk.archives, kept))
            yield "archive"
        self.report(node, Holds.JOINING)
        yield "report joining"
        held = next((i for i, c in record.members.items() if c.instance_id == node.id), None)
        if held is None or node.disk.promised:
            kept_claims = self.claims_to_keep(record)
            named = {s.id for s in self.ensemble.configuration.servers} if self.ensemble else set()
            held = held or next(i for i in range(1, 256) if i not in kept_claims and i not in named)
            self.change(members=kept_claims | {held: Claim(node.id, node.address, node.zone, self.now)})
            yield "claim"
        node.disk = node.disk._replace(promised=False)
        yield "release"
        node.disk = node.disk._replace(identity=identity, server_id=held, seeded=False, fenced=False, marked=False)
        yield "set up"
        self.start(node)
        yield "start"

    def claims_to_keep(self, record: Record) -> dict[int, Claim]:
        """Only beside a quorum is it known that no configuration names a dead instance's id any more."""
        if self.ensemble is None:
            return dict(record.members)
        named = {s.id for s in self.ensemble.configuration.servers}
        dead = {n.id for n in self.nodes if n.state == "terminated"}
        return {i: c for i, c in record.members.items() if i in named or c.instance_id not in dead}

    def adopt(self, node: Node) -> Iterator[str]:
        e = self.ensemble
        assert e is not None and node.disk.identity is not None
        held = {s.id: n for s in e.configuration.servers for n in self.nodes if n.lives and is_in(n, (s,))}
        members = {i: Claim(n.id, n.address, n.zone, self.now) for i, n in held.items()}
        generation = node.disk.identity.generation
        self.record = Record(
            1, "", CLUSTER, SCOPE, generation, State.CREATED, node.id, True, (generation,), self.acknowledged[0], members
        )
        yield "adopt"


def creation(disk: Disk) -> bool:
    return disk.state is DiskState.EMPTY and disk.marked and disk.seeded


def committed(node: Node) -> Configuration:
    data = node.disk.data
    if data is not None and data.committed is not None:
        return data.committed
    return Configuration(0, (Server(node.disk.server_id or 0, node.address),))


def is_in(node: Node, servers: tuple[Server, ...]) -> bool:
    return any((s.id, s.address) == (node.disk.server_id, node.address) for s in servers)


def rank_of(disk: Disk) -> tuple[int, int]:
    return (disk.data.current_epoch, disk.data.zxid) if disk.data else (0, 0)


def ranks(disk: Disk) -> list[tuple[int, int]]:
    own = [rank_of(disk)] if disk.state is DiskState.DATA else []
    return own + [(a.current_epoch, a.zxid) for a in disk.archives]


def with_data(disk: Disk, data: Data) -> Disk:
    """The disk once the server has written there; the marker is consumed by the first load."""
    return disk._replace(state=DiskState.DATA, data=data, marked=False)
