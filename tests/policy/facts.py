"""The policy's words, read from an observation a second time and on purpose not with `zkboot.words`: what is compared must
not share its mistakes."""

from functools import cached_property
from itertools import combinations

from zkboot.model import (
    Archive,
    Change,
    Claim,
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
from zkboot.words import SILENT, UNSEEN, absent, too_few_at


class Facts:
    """What one observation says, where it can be said; a fact that is unknown reads as absent here, and `unknown` tells which."""

    def __init__(self, seen: Observation) -> None:
        self.seen = seen
        self.me = seen.me.instance_id
        self.disk = seen.disk
        self.record: Record | None = seen.record if isinstance(seen.record, Record) else None
        self.quorum: Quorum | None = seen.quorum if isinstance(seen.quorum, Quorum) else None
        self.group: Group | None = seen.group if isinstance(seen.group, Group) else None
        self.reports: dict[str, Report] = {} if isinstance(seen.reports, Unknown) else dict(seen.reports)
        self.own: Report | None = self.reports.get(self.me)

    # --- this node

    @cached_property
    def claim(self) -> tuple[int, Claim] | None:
        """The id that the record gives to this instance."""
        return next(((i, c) for i, c in self.record.members.items() if c.instance_id == self.me), None) if self.record else None

    @cached_property
    def id(self) -> int | None:
        """By the record where it says so; else what the generation file says, unless the record gives that id to another."""
        if self.claim:
            return self.claim[0]
        kept = self.disk.server_id
        return None if self.record and kept in self.record.members else kept

    @cached_property
    def is_seed(self) -> bool:
        return self.record is not None and self.record.seed == self.me

    @cached_property
    def ours(self) -> Identity | None:
        """The record's cluster and generation."""
        return Identity(self.record.cluster_id, self.record.generation) if self.record else None

    @cached_property
    def disk_is_ours(self) -> bool:
        """The generation file names the record's generation."""
        return self.ours is not None and self.disk.identity == self.ours

    @cached_property
    def holds_data(self) -> bool:
        return self.disk.state is DiskState.DATA

    @cached_property
    def fenced(self) -> bool:
        """The seed's fence stands: on the disk, or in the record for this disk's generation; a quorum of it proves it too."""
        by_record = self.is_seed and self.disk_is_ours and self.record is not None and self.record.started
        return self.disk.fenced or by_record or self.quorum is not None

    @cached_property
    def fenced_creation(self) -> bool:
        return self.disk.state is DiskState.EMPTY and self.disk.marked and self.disk.seeded and self.fenced

    @cached_property
    def promised(self) -> bool:
        """An `empty` report stands; or its copy on the root disk, unless this very node fenced a generation since, after
        `joining`: that fence is not on the disk yet."""
        if self.own is not None and self.own.holds is Holds.EMPTY:
            return True
        raised = self.is_seed and self.disk_is_ours and self.record is not None and self.record.started and not self.disk.fenced
        return self.disk.promised and not (raised and self.own is not None)

    @cached_property
    def running(self) -> bool:
        return self.seen.server.running

    @cached_property
    def serving(self) -> bool:
        return self.seen.server.running and self.seen.server.mode is not Mode.NONE

    @cached_property
    def silence(self) -> float:
        """Seconds for which the own server has been found running without serving, again and again."""
        held = self.seen.held.get(SILENT)
        return min(self.seen.server.age, held.seconds if held else 0.0)

    @cached_property
    def hung(self) -> bool:
        return self.running and not self.serving and self.silence > self.seen.limits.start

    @cached_property
    def long_unseen(self) -> bool:
        """No quorum was seen to serve for longer than a start may take, whether there is none or that is unknown."""
        held = self.seen.held.get(UNSEEN)
        return self.quorum is None and held is not None and held.seconds > self.seen.limits.start

    @cached_property
    def leads_in_vain(self) -> bool:
        """The own server says that it leads, its disk holds a configuration that was proposed and not committed, and whether an
        ensemble serves is unknown."""
        data = self.disk.data
        return (
            isinstance(self.seen.quorum, Unknown)
            and self.running
            and self.seen.server.mode is Mode.LEADER
            and data is not None
            and data.pending is not None
        )

    def line(self, configuration: Configuration | None) -> Server | None:
        """This node in a configuration, by id and address."""
        found = (
            [s for s in configuration.servers if s.id == self.id and s.address == self.seen.me.address] if configuration else []
        )
        return found[0] if found else None

    @cached_property
    def member(self) -> Server | None:
        """This node's line in the quorum's configuration."""
        return self.line(self.quorum.configuration) if self.quorum else None

    @cached_property
    def left_by_others(self) -> Server | None:
        """The member that somebody set up here before zkboot: its line is at this address, and its id in the myid beside data of
        no cluster, or a server serves by it, from there or from elsewhere; nobody else is known to hold it, and this node never
        told of a disk of ours."""
        if self.quorum is None or self.record is None or self.disk.identity is not None:
            return None
        told = self.own is not None and self.own.identity is not None and self.own.identity.cluster_id == self.record.cluster_id
        here = [s for s in self.quorum.configuration.servers if s.address == self.seen.me.address]
        mine = [s for s in here if self.holder(s) is None or self.holder(s) == self.me][:1]
        serving = [s for s in mine if s.id in self.quorum.serving and (self.holds_data or self.disk.state is DiskState.EMPTY)]
        shown = [s for s in mine if self.holds_data and s.id == self.disk.myid] or serving
        return shown[0] if shown and not told else None

    # --- who lives

    def dead(self, instance: str) -> bool:
        if self.group is None or instance == self.me:
            return False
        known = self.group.instances.get(instance)
        if known is not None:
            return known.state == "terminated"
        missing = self.seen.held.get(absent(instance))
        claims = [c.claimed for c in self.record.members.values() if c.instance_id == instance] if self.record else []
        told = [self.reports[instance].read] if instance in self.reports else []
        late = all(self.group.date > at + self.seen.limits.consistency for at in claims or told)
        return self.group.lists_me and late and missing is not None and missing.seconds > self.seen.limits.staleness

    def going(self, instance: str | None) -> bool:
        """The group is taking it, or it is gone."""
        found = self.group.instances.get(instance) if self.group and instance else None
        return found is not None and (found.lifecycle.startswith("Terminating") or found.state in ("shutting-down", "terminated"))

    def holder(self, server: Server) -> str | None:
        claim = self.record.members.get(server.id) if self.record else None
        if claim and claim.address == server.address:
            return claim.instance_id
        by_id = [r for r in self.reports.values() if (r.server_id, r.address) == (server.id, server.address)]
        return by_id[0].instance_id if by_id else self.nameless(server.address)

    def nameless(self, address: str) -> str | None:
        """Who reported from there when it had no id, where nobody who may have had one lives there by now."""
        named = [c.instance_id for c in self.record.members.values()] if self.record else []
        known = self.group.instances.values() if self.group else []
        if [i for i in known if i.address == address and i.id not in named and i.state != "terminated"]:
            return None
        told = [r.instance_id for r in self.reports.values() if (r.server_id, r.address) == (None, address)]
        return next((i for i in told if i not in named), None)

    def server_dead(self, server: Server) -> bool:
        holder = self.holder(server)
        return holder is not None and self.dead(holder)

    def nobody_leads_by(self, committed: Configuration | None, pending: Configuration) -> bool:
        """The living voters of the pending configuration elect nobody without this node, and none of its majorities, of the dead
        too, was without one of each majority of the committed one; or they elect nobody at all."""
        living = [v for v in pending.voters if not self.server_dead(v)]
        others = [v for v in living if v != self.line(pending)]
        old = {(v.id, v.address) for v in committed.voters} if committed else set()
        new = {(v.id, v.address) for v in pending.voters}
        apart = any(
            not (set(some) & set(few))
            for some in combinations(sorted(old), len(old) // 2 + 1)
            for few in combinations(sorted(new), len(new) // 2 + 1)
        )
        return 2 * len(living) <= len(new) or (2 * len(others) <= len(new) and bool(old) and not apart)

    def server_going(self, server: Server) -> bool:
        return self.going(self.holder(server))

    @cached_property
    def registered(self) -> list[Instance]:
        wanted = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")
        found = self.group.instances.values() if self.group else ()
        return sorted(i for i in found if i.lifecycle in wanted and i.state in ("pending", "running") and i.id in self.reports)

    @cached_property
    def target(self) -> int:
        assert self.group is not None
        wanted = min(self.seen.limits.max_voters, max(self.group.desired, 1))
        return wanted if wanted < 3 else wanted - (wanted + 1) % 2

    # --- the members' disks

    @cached_property
    def voters(self) -> tuple[Server, ...]:
        """Of the newest committed configuration on any disk of the generation."""
        found = [
            r.data.committed
            for i, r in self.reports.items()
            if i != self.me and r.data and r.data.committed and r.identity == self.ours
        ]
        if self.disk_is_ours and self.holds_data and self.disk.data and self.disk.data.committed:
            found.append(self.disk.data.committed)
        if self.disk_is_ours and self.fenced_creation and self.id is not None:
            found.append(Configuration(0, (Server(self.id, self.seen.me.address),)))
        best: Configuration | None = None
        for configuration in found:
            if best is None or configuration.version > best.version:
                best = configuration
        return best.voters if best else ()

    @cached_property
    def committed_voters(self) -> set[Server]:
        """The voters of every disk of the generation, not the newest alone."""
        found = [
            r.data.committed
            for i, r in self.reports.items()
            if i != self.me and r.data and r.data.committed and r.identity == self.ours
        ]
        if self.disk_is_ours and self.holds_data and self.disk.data and self.disk.data.committed:
            found.append(self.disk.data.committed)
        own = (
            {Server(self.id, self.seen.me.address)}
            if self.disk_is_ours and self.fenced_creation and self.id is not None
            else set()
        )
        return own | {v for c in found for v in c.voters}

    def says_empty(self, instance: str | None) -> bool:
        report = self.reports.get(instance) if instance else None
        return report is not None and report.holds is Holds.EMPTY

    def lost(self, server: Server) -> bool:
        holder = self.holder(server)
        return holder is not None and (self.dead(holder) or (self.says_empty(holder) and not self.before_adoption(holder)))

    def before_adoption(self, instance: str) -> bool:
        """That report was written without a record, and the record for an ensemble that served by then."""
        return self.record is not None and self.record.source == "adopt" and self.reports[instance].revision == 0

    @cached_property
    def remaining(self) -> list[Server]:
        return [v for v in self.voters if not self.lost(v)]

    @cached_property
    def judged(self) -> bool:
        """The facts that a judgement on the voters rests on are known."""
        return self.record is not None and self.group is not None and not isinstance(self.seen.reports, Unknown)

    @cached_property
    def enough(self) -> bool:
        """Enough voters remain to elect."""
        return 2 * len(self.remaining) > len(self.voters)

    @cached_property
    def living(self) -> list[str]:
        """Who is not dead of the members, by claim or as voters, and of those in the group that have something which matters."""
        assert self.record is not None
        named = {c.instance_id for c in self.record.members.values()} | {h for v in self.voters if (h := self.holder(v))}
        named |= {i.id for i in self.registered if self.ranks(i.id)} if self.group else set()
        return sorted(i for i in named if not self.dead(i))

    def has_spoken(self, instance: str) -> bool:
        """`empty`, but not of a member with data whose new generation came to nothing; or `data` written after too few were
        found, at the record's revision."""
        report, found = self.reports.get(instance), self.found_too_few
        if report is None or self.record is None:
            return False
        fresh = found is not None and report.read > found.since and report.revision == self.record.revision
        waits_for_nobody = self.record.state is not State.CREATED and self.seed_gone
        with_data = report.data is not None and self.matters(report.identity)
        if report.holds is Holds.EMPTY:
            return not (waits_for_nobody and with_data)
        return report.holds is Holds.DATA and fresh

    @cached_property
    def last_created(self) -> int:
        return max(self.record.created, default=0) if self.record else 0

    def matters(self, identity: Identity | None) -> bool:
        """Data of this cluster, and of no generation before the last created one."""
        return (
            identity is not None
            and self.record is not None
            and identity.cluster_id == self.record.cluster_id
            and identity.generation >= self.last_created
        )

    @cached_property
    def survivors(self) -> dict[str, tuple[int, int]]:
        """The highest (epoch, zxid) of each that lives; archives count while the generation was never created."""
        return {i: max(ranks) for i in self.living if (ranks := self.ranks(i))}

    def ranks(self, instance: str) -> list[tuple[int, int]]:
        """(epoch, zxid) of all that it reports to have of what matters."""
        assert self.record is not None
        report = self.reports.get(instance)
        if report is None:
            return []
        found = [rank(report.data)] if report.data and report.holds is Holds.DATA and self.matters(report.identity) else []
        if self.record.generation not in self.record.created:
            found += [(a.current_epoch, a.zxid) for a in report.archives if self.matters(a.identity)]
        return found

    @cached_property
    def own_sources(self) -> tuple[Archive, ...]:
        return tuple(a for a in self.disk.archives if self.matters(a.identity))

    @cached_property
    def found_too_few(self) -> Held | None:
        return self.seen.held.get(too_few_at(self.record.revision)) if self.record else None

    @cached_property
    def grace_over(self) -> bool:
        found = self.found_too_few
        return found is not None and found.seconds > self.seen.limits.staleness

    @cached_property
    def seed_gone(self) -> bool:
        assert self.record is not None
        report = self.reports.get(self.record.seed)
        other_disk = not self.record.started and report is not None and report.holds is Holds.DATA
        return self.dead(self.record.seed) or self.says_empty(self.record.seed) or other_disk or self.given_up

    @cached_property
    def given_up(self) -> bool:
        """A restoring generation of no backup: its seed found the one it was named with damaged."""
        return self.record is not None and (self.record.state, self.record.source) == (State.RESTORING, "")

    @cached_property
    def backup_ahead(self) -> bool:
        """A verified backup of this cluster, of no generation that was given up, goes beyond every survivor."""
        backup = self.seen.backup
        if backup is None or isinstance(backup, Unknown) or not self.matters(backup.identity):
            return False
        return (backup.epoch, backup.zxid) > max(self.survivors.values(), default=(0, 0))

    @cached_property
    def seed_is_only_voter(self) -> bool:
        assert self.record is not None
        return all(self.holder(v) == self.record.seed for v in self.committed_voters)

    @cached_property
    def beside_seed(self) -> bool:
        """Not created yet, another is the seed and not gone, and nobody else ever voted in the generation."""
        return (
            self.record is not None
            and self.record.state is not State.CREATED
            and not self.is_seed
            and not self.seed_gone
            and self.seed_is_only_voter
        )

    # --- with a quorum

    @cached_property
    def dead_voters(self) -> list[Server]:
        assert self.quorum is not None
        return [v for v in self.quorum.configuration.voters if self.server_dead(v)]

    @cached_property
    def spares(self) -> list[Server]:
        """Observers in step that the group is not taking."""
        assert self.quorum is not None
        return [o for o in self.quorum.configuration.observers if o.id in self.quorum.serving and not self.server_going(o)]

    @cached_property
    def second_claimants(self) -> list[Server]:
        assert self.quorum is not None and self.record is not None
        named = {s.id for s in self.quorum.configuration.servers}
        claims = [(i, c) for i, c in sorted(self.record.members.items()) if c.instance_id != self.me and i not in named]
        return [
            Server(i, c.address)
            for i, c in claims
            if c.address in self.quorum.synced and not self.dead(c.instance_id) and not self.going(c.instance_id)
        ]

    @cached_property
    def another_may_come(self) -> bool:
        """A living instance of the group is neither this one nor in the configuration."""
        assert self.quorum is not None and self.group is not None
        named = {s.address for s in self.quorum.configuration.servers} | {self.seen.me.address}
        living = [
            i for i in self.group.instances.values() if i.lifecycle and i.state in ("pending", "running") and not self.going(i.id)
        ]
        return any(i.address not in named for i in living)

    @cached_property
    def serving_voters(self) -> int:
        assert self.quorum is not None
        return sum(v.id in self.quorum.serving for v in self.quorum.configuration.voters)

    def after(self, change: Change) -> tuple[Server, ...]:
        """The configuration that the change makes: `leaving` first, then `joining`, as ZooKeeper does."""
        assert self.quorum is not None
        kept = {s.id: s for s in self.quorum.configuration.servers if s.id not in change.leaving}
        return tuple((kept | {s.id: s for s in change.joining}).values())

    def serves_after(self, server: Server) -> bool:
        """That server is seen to serve or to follow in step."""
        assert self.quorum is not None
        return server.id in self.quorum.serving or server.address in self.quorum.synced

    def counts_for(self, server: Server) -> bool:
        """ZooKeeper counts it for the new configuration's quorum: a voter or a non-member in step, but no observer."""
        assert self.quorum is not None
        now = self.quorum.configuration.server(server.id)
        return self.serves_after(server) and (now is None or now.role is Role.PARTICIPANT)

    @cached_property
    def staying(self) -> list[Server]:
        """The voters that are neither dead nor being taken."""
        assert self.quorum is not None
        return [v for v in self.quorum.configuration.voters if not self.server_dead(v) and not self.server_going(v)]

    @cached_property
    def promotable(self) -> bool:
        """Enough voters serve that ZooKeeper lets one observer become a voter beside them."""
        assert self.quorum is not None
        return 2 * self.serving_voters > len(self.quorum.configuration.voters) + 1

    @cached_property
    def unknown(self) -> dict[str, str]:
        """The facts that could not be learned, by name, each with its reason."""
        named = {
            name: getattr(self.seen, name) for name in ("quorum", "record", "reports", "group", "taken", "witnesses", "backup")
        }
        found = {name: fact.why for name, fact in named.items() if isinstance(fact, Unknown)}
        return found | ({"disk": self.disk.why} if self.disk.state is DiskState.UNKNOWN else {})


def rank(data: Data) -> tuple[int, int]:
    return data.current_epoch, data.zxid


def voters_of(servers: tuple[Server, ...]) -> list[Server]:
    return [s for s in servers if s.role is Role.PARTICIPANT]


def tolerance(serving: int, voters: int) -> int:
    return serving - (voters // 2 + 1)
