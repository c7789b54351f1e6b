"""The policy's words, derived from one observation: dead, lost, remaining, living, registered, target. Pure.

Each property may be asked only where the facts it names are known; the policy's rows see to that.
"""

from functools import cached_property

from zkboot.model import (
    Archive,
    Configuration,
    Data,
    DiskState,
    Group,
    Held,
    Holds,
    Identity,
    Instance,
    Mode,
    Observation,
    Quorum,
    Record,
    Report,
    Role,
    Server,
    State,
    Unknown,
)

NO_QUORUM = "no quorum"
UNSEEN = "no quorum seen to serve"  # there is none, or that could not be learned
TOO_FEW = "too few voters"  # how the names of `too_few_at` begin
ALONE = "one claimant alone"
SILENT = "own server silent"  # it runs, and does not serve
ADOPTED = "adopt"  # the record's source when it was written for an ensemble that others built
ACCEPTED = "accept-data-loss"  # the record's source when a person had an empty tree created in place of what was
REGISTERED = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")


def absent(instance_id: str) -> str:
    """The condition's name: EC2 answers for this node, yet does not know that instance."""
    return f"not listed {instance_id}"


def too_few_at(revision: int) -> str:
    """The condition's name: too few voters remain, as judged at that revision of the record. A lost voter that comes back
    raises it: what was found or reported before then no longer counts."""
    return f"{TOO_FEW} at revision {revision}"


def majority(voters: int) -> int:
    return voters // 2 + 1


def target(desired: int, max_voters: int) -> int:
    """How many voters the group's size asks for: all up to two, above that the largest odd number within both."""
    size = min(max_voters, max(desired, 1))
    return size if size <= 2 or size % 2 else size - 1


def unclaimed(record: Record, configuration: Configuration) -> tuple[Server, ...]:
    """The servers that the record names nobody for."""
    claims = {(i, c.address) for i, c in record.members.items()}
    return tuple(s for s in configuration.servers if (s.id, s.address) not in claims)


class Words:
    """One observation, read in the policy's words."""

    def __init__(self, seen: Observation) -> None:
        self.seen = seen

    # --- facts with their unknowns taken off

    @cached_property
    def record(self) -> Record | None:
        """The record where there is one and it could be read."""
        return self.seen.record if isinstance(self.seen.record, Record) else None

    @cached_property
    def quorum(self) -> Quorum | None:
        return self.seen.quorum if isinstance(self.seen.quorum, Quorum) else None

    @cached_property
    def group(self) -> Group | None:
        return self.seen.group if isinstance(self.seen.group, Group) else None

    @cached_property
    def reports(self) -> dict[str, Report]:
        return {} if isinstance(self.seen.reports, Unknown) else dict(self.seen.reports)

    @cached_property
    def own_report(self) -> Report | None:
        return self.reports.get(self.seen.me.instance_id)

    @cached_property
    def promised(self) -> bool:
        """An `empty` promise of this node stands: in its report, or in the root disk's copy until `joining` and the record's
        raise ended it. A seed's fence is that raise, of what was promised before; that is released before the disk has the fence.
        """
        if self.own_report is not None and self.own_report.holds is Holds.EMPTY:
            return True
        disk = self.seen.disk
        raised = self.is_seed and self.of_generation and self.record is not None and self.record.started and not disk.fenced
        return disk.promised and not (raised and self.own_report is not None)

    @cached_property
    def patience(self) -> float:
        """Seconds that a server is given to start or to take data over: each time longer, until it is seen to serve."""
        return self.seen.limits.start * float(1 << min(self.seen.restarts, 6))

    @cached_property
    def serves(self) -> bool:
        return self.seen.server.running and self.seen.server.mode is not Mode.NONE

    # --- this node

    @cached_property
    def is_seed(self) -> bool:
        return self.record is not None and self.record.seed == self.seen.me.instance_id

    @cached_property
    def claimed_id(self) -> int | None:
        """The server id that the record says is this node's."""
        members = self.record.members if self.record else {}
        return next((i for i, claim in members.items() if claim.instance_id == self.seen.me.instance_id), None)

    @cached_property
    def own_id(self) -> int | None:
        """The claimed server id; where the record cannot be read or names nobody for it, the generation file's."""
        if self.claimed_id is not None or (self.record is not None and self.seen.disk.server_id in self.record.members):
            return self.claimed_id
        return self.seen.disk.server_id

    @cached_property
    def own_server(self) -> Server | None:
        """This node in the quorum's configuration: by its own id, at its own address."""
        if self.quorum is None or self.own_id is None:
            return None
        return self.is_own(self.quorum.configuration)

    def is_own(self, configuration: Configuration | None) -> Server | None:
        """This node's own line in that configuration, or None."""
        if configuration is None or self.own_id is None:
            return None
        server = configuration.server(self.own_id)
        return server if server is not None and server.address == self.seen.me.address else None

    def line(self, server_id: int, address: str) -> Server:
        """The line of a server that is new to its configuration. One that is there already keeps its own, ports and all."""
        return Server(server_id, address, Role.PARTICIPANT, *self.seen.limits.ports)

    @cached_property
    def of_generation(self) -> bool:
        """The own disk's generation file names the record's generation."""
        identity = self.seen.disk.identity
        return self.record is not None and identity == Identity(self.record.cluster_id, self.record.generation)

    @cached_property
    def outlived(self) -> bool:
        """The record is this scope's, of the own disk's cluster, and names a later generation."""
        record, identity = self.record, self.seen.disk.identity
        if record is None or identity is None or record.scope != self.seen.me.scope:
            return False
        return identity.cluster_id == record.cluster_id and identity.generation < record.generation

    @cached_property
    def fenced_creation(self) -> bool:
        """The marked disk that this node built as the seed, and whose fence stands."""
        disk = self.seen.disk
        started = disk.fenced or (self.of_generation and self.is_seed and self.record is not None and self.record.started)
        return disk.state is DiskState.EMPTY and disk.marked and disk.seeded and started

    # --- instances

    def dead(self, instance_id: str) -> bool:
        """EC2 says terminated; or an answer that lists this node did not know it, twice, long enough after its claim or, where it
        has none, its report."""
        if self.group is None or instance_id == self.seen.me.instance_id:
            return False
        instance = self.group.instances.get(instance_id)
        if instance is not None:
            return instance.state == "terminated"
        held = self.seen.held.get(absent(instance_id))
        members, report = self.record.members.values() if self.record else (), self.reports.get(instance_id)
        known = [claim.claimed for claim in members if claim.instance_id == instance_id] or ([report.read] if report else [])
        old_enough = all(self.group.date - at > self.seen.limits.consistency for at in known)
        return self.group.lists_me and old_enough and held is not None and held.seconds > self.seen.limits.staleness

    def instance_of(self, server: Server) -> str | None:
        """Who holds that server, by id and address: from the record, else by its own report.

        A member of an adopted ensemble may have no claim. A newcomer has none that died, and whose entry was committed after its
        claim had ended. That one reported before it had an id: it is who did so from that address, and holds no other.
        """
        claim = self.record.members.get(server.id) if self.record else None
        if claim is not None and claim.address == server.address:
            return claim.instance_id
        there = [r for r in self.reports.values() if r.address == server.address]
        found = next((r for r in there if r.server_id == server.id), None)
        return found.instance_id if found else self.newcomer_at(server.address, there)

    def newcomer_at(self, address: str, there: list[Report]) -> str | None:
        """Who reported from that address before it had an id, and is gone: the one that lives there now would have a claim."""
        claimed = {c.instance_id for c in self.record.members.values()} if self.record else set()
        instances = self.group.instances.values() if self.group else ()
        if any(i.address == address and i.state != "terminated" and i.id not in claimed for i in instances):
            return None
        return next((r.instance_id for r in there if r.server_id is None and r.instance_id not in claimed), None)

    def server_dead(self, server: Server) -> bool:
        holder = self.instance_of(server)
        return holder is not None and self.dead(holder)

    def leaving(self, server: Server) -> bool:
        """The group is taking that server's instance."""
        holder = self.instance_of(server)
        instance = self.group.instances.get(holder) if self.group and holder else None
        return instance is not None and (
            instance.lifecycle.startswith("Terminating") or instance.state in ("shutting-down", "terminated")
        )

    @cached_property
    def registered(self) -> tuple[Instance, ...]:
        """Living, in the group, its report written."""
        assert self.group is not None
        return tuple(
            i
            for i in sorted(self.group.instances.values())
            if i.lifecycle in REGISTERED and i.state in ("pending", "running") and i.id in self.reports
        )

    @cached_property
    def target(self) -> int:
        assert self.group is not None
        return target(self.group.desired, self.seen.limits.max_voters)

    # --- with a quorum

    @cached_property
    def voters_serving(self) -> tuple[Server, ...]:
        assert self.quorum is not None
        return tuple(s for s in self.quorum.configuration.voters if s.id in self.quorum.serving and not self.server_dead(s))

    @cached_property
    def dead_voters(self) -> tuple[Server, ...]:
        assert self.quorum is not None
        return tuple(s for s in self.quorum.configuration.voters if self.server_dead(s))

    @cached_property
    def spares(self) -> tuple[Server, ...]:
        """Observers in step that may become voters, those in the zone with the fewest voters first."""
        assert self.quorum is not None
        zones = [self.zone(v) for v in self.quorum.configuration.voters if not self.server_dead(v)]
        ready = (
            s
            for s in self.quorum.configuration.observers
            if s.id in self.quorum.serving and not self.leaving(s) and not self.server_dead(s)
        )
        return tuple(sorted(ready, key=lambda s: (zones.count(self.zone(s)), s.id)))

    def zone(self, server: Server) -> str:
        claim = self.record.members.get(server.id) if self.record else None
        return claim.zone if claim else ""

    @cached_property
    def claimants(self) -> tuple[Server, ...]:
        """Other living nodes whose claimed id is in no configuration yet, and whose server follows in step."""
        assert self.quorum is not None and self.record is not None
        return tuple(
            self.line(server_id, claim.address)
            for server_id, claim in sorted(self.record.members.items())
            if claim.instance_id != self.seen.me.instance_id
            and self.quorum.configuration.server(server_id) is None
            and self.in_step(claim.address)
            and not self.dead(claim.instance_id)
            and not self.leaving(self.line(server_id, claim.address))
        )

    def in_step(self, address: str) -> bool:
        """A server that is no member follows there with its data; a member's line at that address is a dead one's, whose address
        was given again."""
        assert self.quorum is not None
        held = [s for s in self.quorum.configuration.servers if s.address == address]
        return address in self.quorum.synced and all(self.server_dead(s) for s in held)

    # --- without a quorum

    @cached_property
    def disks(self) -> dict[str, Configuration]:
        """The committed configurations on the disks of the record's generation, by instance id; the own disk read directly."""
        assert self.record is not None
        identity = Identity(self.record.cluster_id, self.record.generation)
        found = {
            r.instance_id: r.data.committed
            for r in self.reports.values()
            if r.identity == identity and r.data is not None and r.data.committed
        }
        found.pop(self.seen.me.instance_id, None)
        disk = self.seen.disk
        if self.of_generation and disk.state is DiskState.DATA and disk.data is not None and disk.data.committed is not None:
            found[self.seen.me.instance_id] = disk.data.committed
        elif self.of_generation and self.fenced_creation and self.own_id is not None:
            found[self.seen.me.instance_id] = Configuration(0, (self.line(self.own_id, self.seen.me.address),))
        return found

    @cached_property
    def voters(self) -> tuple[Server, ...]:
        """Those of the newest committed configuration on any disk of the generation; none where no such disk is left."""
        newest = max(self.disks.values(), key=lambda c: c.version, default=None)
        return newest.voters if newest else ()

    def lost(self, server: Server) -> bool:
        """Dead; or living, with a report that says `empty`. Nothing else is."""
        holder = self.instance_of(server)
        if holder is None:
            return False
        report = self.reports.get(holder)
        return self.dead(holder) or (report is not None and report.holds is Holds.EMPTY and not self.outdated(report))

    def outdated(self, report: Report) -> bool:
        """Written before others built on that disk what was taken in with this record: it binds no server of theirs."""
        return self.record is not None and self.record.source == ADOPTED and report.revision == 0

    @cached_property
    def remaining(self) -> tuple[Server, ...]:
        return tuple(v for v in self.voters if not self.lost(v))

    @cached_property
    def too_few(self) -> bool:
        return len(self.remaining) < majority(len(self.voters))

    @cached_property
    def found_too_few(self) -> Held | None:
        """For how long this node has found too few voters remaining, at the record's present revision."""
        return self.seen.held.get(too_few_at(self.record.revision)) if self.record else None

    @cached_property
    def seed_alone(self) -> bool:
        """No disk of the generation has a voter but the seed."""
        assert self.record is not None
        return all(self.instance_of(v) == self.record.seed for configuration in self.disks.values() for v in configuration.voters)

    @cached_property
    def seed_gone(self) -> bool:
        """The seed is dead, has promised that its disk is empty, or has given up what it was to be built from or to restore."""
        assert self.record is not None
        report = self.reports.get(self.record.seed)
        promised = report is not None and report.holds is Holds.EMPTY
        # It reported `joining` before it was named. Where it says `data` now and is not built, that is another disk (row 15).
        other_disk = report is not None and report.holds is Holds.DATA and not self.record.started
        return self.dead(self.record.seed) or promised or other_disk or self.given_up

    @cached_property
    def orphaned(self) -> bool:
        """The generation is not created, and its seed is gone."""
        assert self.record is not None
        return self.record.state is not State.CREATED and self.seed_gone

    @cached_property
    def given_up(self) -> bool:
        """The backup of this generation's seed turned out to be damaged, before anything was built of it."""
        return self.record is not None and self.record.state is State.RESTORING and not self.record.source

    @cached_property
    def living(self) -> tuple[str, ...]:
        """The instances that are not dead of the members, and of whoever else in the group holds something that counts: the seed
        of a creation that was begun again without it."""
        assert self.record is not None
        members = {c.instance_id for c in self.record.members.values()}
        others = {i.id for i in self.registered if self.held_by(self.reports[i.id])} if self.group else set()
        return tuple(sorted({i for i in members | others if not self.dead(i)} | self.voters_living))

    @cached_property
    def voters_living(self) -> set[str]:
        holders = (self.instance_of(v) for v in self.voters)
        return {h for h in holders if h is not None and not self.dead(h)}

    def valid(self, instance_id: str) -> bool:
        """That member's word counts now: an `empty`, unless it is about to be taken back; `data` when the disk was read after too
        few were found, both at the record's revision."""
        assert self.record is not None
        report = self.reports.get(instance_id)
        if report is None:
            return False
        if report.holds is Holds.EMPTY:
            return not self.stands_in_vain(report)
        since = self.found_too_few
        return (
            report.holds is Holds.DATA
            and since is not None
            and report.read > since.since
            and report.revision == self.record.revision
        )

    def stands_in_vain(self, report: Report) -> bool:
        """It stood still for a generation that came to nothing: it says what it has when it wakes."""
        return self.orphaned and self.stands_still(report)

    def stands_still(self, report: Report) -> bool:
        """A person's command stopped it, and it holds data that counts."""
        return report.holds is Holds.EMPTY and report.data is not None and self.counts(report.identity)

    @cached_property
    def holdings(self) -> tuple[tuple[tuple[int, int], str, Archive | None], ...]:
        """What the living hold, best first: (epoch, zxid), instance id, and the archive it lies in (None: the disk).

        Nothing of a generation before the last created one counts: its loss was decided when a later one was created.
        """
        assert self.record is not None
        found = [held for i in self.living if i in self.reports for held in self.held_by(self.reports[i])]
        return tuple(sorted(found, key=lambda h: (-h[0][0], -h[0][1], h[2] is not None, h[1])))

    def held_by(self, report: Report) -> list[tuple[tuple[int, int], str, Archive | None]]:
        """What that report says is held of what counts."""
        assert self.record is not None
        found: list[tuple[tuple[int, int], str, Archive | None]] = []
        if report.holds is Holds.DATA and report.data is not None and self.counts(report.identity):
            found.append((rank(report.data), report.instance_id, None))
        if self.record.generation not in self.record.created:
            kept = (a for a in report.archives if not a.damaged and self.counts(a.identity))
            found += [((a.current_epoch, a.zxid), report.instance_id, a) for a in kept]
        return found

    def counts(self, identity: Identity | None) -> bool:
        """Data of this cluster, of the last created generation or one begun after it."""
        if self.record is None or identity is None or identity.cluster_id != self.record.cluster_id:
            return False
        return identity.generation >= max(self.record.created, default=0)

    # --- for sentences

    def name(self, server: Server) -> str:
        """`server 2 (i-0abc, 10.0.0.2)`"""
        holder = self.instance_of(server)
        return f"server {server.id} ({holder + ', ' if holder else ''}{server.address})"

    def names(self, servers: tuple[Server, ...]) -> str:
        return ", ".join(self.name(s) for s in servers) or "none"


def rank(data: Data) -> tuple[int, int]:
    """The order of election: (currentEpoch, last zxid)."""
    return data.current_epoch, data.zxid


def tolerance(serving: int, voters: int) -> int:
    """How many more serving voters may fail before the quorum is lost."""
    return serving - majority(voters)
