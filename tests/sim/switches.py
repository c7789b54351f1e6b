"""Clauses switched off in the real code: each switch is a list of patches, laid on by a test alone.

What the product does in one place is replaced there; what observe's order of reading rests on is undone by a store that answers
with what was read at another moment.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from tests.patching import everywhere
from tests.sim.files import NodeDisk
from zkboot import actions, commands, observe, policy, reconcile, words
from zkboot import record as records
from zkboot.actions import configurations, members, server, writing
from zkboot.actions.given import Act
from zkboot.model import Action, Backup, Configuration, Decision, DiskState, Holds, Observation, Record, Report, Server, Unknown
from zkboot.notes import Notes
from zkboot.observe import Seen
from zkboot.policy import alone, beginning, leaving, lost
from zkboot.reconcile import Say, Turn
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import TOO_FEW, Words, absent
from zkboot.world import Listed, Stored, World

Switch = list[tuple[object, str, Any]]
ORIGINAL: dict[str, Any] = {
    "amend_record": writing.amend_record,
    "claim": writing.claim,
    "with_me_watching": configurations.with_me_watching,
    "write_report": writing.write_report,
    "observe": observe.observe,
    "dead": Words.dead,
    "refreshed": reconcile.refreshed,
    "valid": Words.valid,
    "voters": vars(Words)["voters"].func,
    "prepare_start": NodeDisk.prepare_start,
    "to_zero": leaving.to_zero,
    "record_lets": alone.record_lets,
    "remains": beginning.remains,
}


@contextmanager
def off(switch: Switch) -> Iterator[None]:
    with ExitStack() as stack:
        for target, name, new in switch:
            stack.enter_context(patch.object(target, name, new))
        yield


# --- the fence, `joining` and the raise


def amending_without(*names: str) -> Switch:
    """The named compare-and-sets of the record are not made."""

    def amend(a: Act, change: Callable[[Record], Record], name: str) -> Record:
        return a.record if name in names else ORIGINAL["amend_record"](a, change, name)

    return everywhere(actions, "amend_record", amend)


def claim_held(a: Act) -> tuple[Record, int]:
    """Whoever holds an id claims nothing, promise or not."""
    held = writing.id_of(a.me.instance_id, a.record)
    return (a.record, held) if held is not None else ORIGINAL["claim"](a)


def joining_after(a: Act) -> str | None:
    """The record is raised first, `joining` reported then."""
    writing.amend_record(a, lambda record: record, "raise")
    writing.report_joining(a)
    if a.words.of_generation:
        server.release(a)
    return None


def unless_it_joins(a: Act, holds: Holds) -> Report | None:
    """No joiner reports `joining`."""
    joins = holds is Holds.JOINING and a.decision.action in (Action.JOIN, Action.REJOIN)
    return None if joins else ORIGINAL["write_report"](a, holds)


def fenced_or_not(w: Words) -> bool:
    """While the record cannot be read, a seed's disk is started as any other."""
    unasked = isinstance(w.seen.record, Unknown) and w.seen.disk.identity is not None
    return unasked or bool(ORIGINAL["record_lets"](w))


def gone_if_dead_or_empty(w: Words) -> bool:
    """A seed that reports another disk than it was to build still is the one to wait for."""
    report = w.reports.get(w.record.seed) if w.record else None
    promised = report is not None and report.holds is Holds.EMPTY
    return promised or w.given_up or (w.record is not None and w.dead(w.record.seed))


SEED_OF_ANOTHER_DISK: Switch = [(Words, "seed_gone", property(gone_if_dead_or_empty))]
NO_FENCE_ON_DISK: Switch = everywhere(policy, "record_lets", fenced_or_not)
JOINED_UNREPORTED: Switch = everywhere(actions, "write_report", unless_it_joins)
NO_FENCE = amending_without("fence")
NO_RAISE = [*amending_without("raise"), *everywhere(actions, "claim", claim_held)]
JOINING_AFTER: Switch = [(actions, "EFFECTS", actions.EFFECTS | {Action.WITHDRAW: joining_after})]


# --- the judge's order of reading


def replace_what_is_there(a: Act, new: Record, name: str) -> None:
    """Compare-and-set on the revision that is there by now."""
    with step(name):
        found = records.read(a.world.store, a.settings.cluster)
        assert found is not None
        records.replace(a.world.store, a.settings.cluster, new._replace(revision=found[0].revision), found[1])


class OneReading:
    """The store of one turn in which the reports are read once, at a moment of its own."""

    def __init__(self, world: World, cluster: str) -> None:
        self.world, self._reports = world, f"control/{cluster}/reports/"
        self._listed: tuple[Listed, ...] | None = None
        self._got: dict[str, Stored | None] = {}

    def read(self) -> None:
        self._listed = self.world.store.list(self._reports)
        self._got = {entry.key: self.world.store.get(entry.key) for entry in self._listed}

    def get(self, key: str) -> Stored | None:
        return self._got[key] if key in self._got else self.world.store.get(key)

    def list(self, prefix: str) -> tuple[Listed, ...]:
        if not prefix.startswith(self._reports):
            return self.world.store.list(prefix)
        if self._listed is None:
            self.read()
        assert self._listed is not None
        return self._listed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.store, name)


def reports_first(world: World, settings: Settings, notes: Notes) -> Seen:
    reading = OneReading(world, settings.cluster)
    reading.read()
    return ORIGINAL["observe"](world._replace(store=reading), settings, notes)


def at_any_revision(revision: int) -> str:
    return TOO_FEW


REREAD: Switch = everywhere(actions, "replace_record", replace_what_is_there)
FOUND_AT_ANY_REVISION: Switch = [(words, "too_few_at", at_any_revision), *everywhere(policy, "too_few_at", at_any_revision)]
REPORTS_FIRST: Switch = [(reconcile, "observe", reports_first)]


# --- whose word counts


def at_any_age(w: Words, instance_id: str) -> bool:
    report = w.reports.get(instance_id)
    return report is not None and w.record is not None and (report.holds is Holds.EMPTY or is_current(w, report))


def is_current(w: Words, report: Report) -> bool:
    return w.record is not None and report.holds is Holds.DATA and report.revision == w.record.revision


def by_its_writing(w: Words, instance_id: str) -> bool:
    """A report's age is that of the object in the bucket."""
    report, since = w.reports.get(instance_id), w.found_too_few
    mine = instance_id == w.seen.me.instance_id
    if report is None or report.holds is Holds.EMPTY or mine:
        return bool(ORIGINAL["valid"](w, instance_id))
    return is_current(w, report) and since is not None and report.modified > since.since


def spoken(w: Words, instance_id: str) -> bool:
    report = w.reports.get(instance_id)
    return report is not None and report.holds in (Holds.EMPTY, Holds.DATA)


def fresh_even_if_empty(w: Words, instance_id: str) -> bool:
    report, since = w.reports.get(instance_id), w.found_too_few
    return report is not None and since is not None and spoken(w, instance_id) and report.read > since.since


def without_grace(w: Words) -> bool:
    """Row 18 that only awaits the reports."""
    return bool(lost.silent(w))


def any_backup(w: Words) -> bool:
    """A backup goes before the survivors, whatever they hold."""
    return isinstance(w.seen.backup, Backup)


def without_a_last_backup(w: Words, left: str) -> Decision:
    return ORIGINAL["to_zero"](w, left)._replace(back_up=False)  # type: ignore[no-any-return]


def one_turn(world: World, settings: Settings, say: Say, record: Record) -> Turn:
    """A person's command that waits for nobody."""
    return reconcile.turn(world, settings)


NOBODY_AWAITED: Switch = [(commands, "follow", one_turn)]
LEADER_UNPROVED: Switch = [(actions, "EFFECTS", actions.EFFECTS | {Action.REJOIN: members.join})]
BACKUP_FIRST: Switch = everywhere(policy, "backup_is_ahead", any_backup)
NO_LAST_BACKUP: Switch = everywhere(policy, "to_zero", without_a_last_backup)
NO_GRACE: Switch = [(policy, "ROWS", tuple(r._replace(when=without_grace) if r.number == 18 else r for r in policy.ROWS))]
REPORTS_OF_ANY_AGE: Switch = [(Words, "valid", at_any_age)]
REPORTS_BY_WRITING: Switch = [(Words, "valid", by_its_writing)]
ANY_REPORTS: Switch = [(Words, "valid", spoken)]
EMPTY_FRESH: Switch = [(Words, "valid", fresh_even_if_empty)]


def never(*_: object) -> bool:
    return False


def promised_by_report(w: Words) -> bool:
    return w.own_report is not None and w.own_report.holds is Holds.EMPTY


def ended_by_any_fence(w: Words) -> bool:
    """A seed's promise counts as over, whichever fence its disk has."""
    raised = w.is_seed and w.of_generation and w.record is not None and w.record.started
    return promised_by_report(w) or (w.seen.disk.promised and not (raised and w.own_report is not None))


def released_at_once(a: Act) -> tuple[Record, int]:
    """The copy of a joiner's promise is deleted before the joiner is set up."""
    record, server_id = ORIGINAL["claim"](a)
    if a.decision.action in (Action.JOIN, Action.REJOIN):
        server.release(a)
    return record, server_id


PROMISE_ENDED_BY_ANY_FENCE: Switch = [(Words, "promised", property(ended_by_any_fence))]
RELEASED_BEFORE_SET_UP: Switch = everywhere(actions, "claim", released_at_once)
NO_PROMISE: Switch = [(Words, "promised", property(never))]
PROMISE_IN_REPORT_ALONE: Switch = [(Words, "promised", property(promised_by_report))]


# --- who is dead, who the voters are, whose data it is


def dead_unless_seen(w: Words, instance_id: str) -> bool:
    """Whoever does not answer is given up."""
    return (w.seen.quorum is None and instance_id != w.seen.me.instance_id) or ORIGINAL["dead"](w, instance_id)


def dead_unless_listed(w: Words, instance_id: str) -> bool:
    """One answer of EC2's that does not know an instance is enough."""
    unlisted = w.group is not None and w.group.lists_me and instance_id not in w.group.instances
    return (unlisted and instance_id != w.seen.me.instance_id) or ORIGINAL["dead"](w, instance_id)


def dead_however_young(w: Words, instance_id: str) -> bool:
    """Whoever is not listed in two turns is dead, however young its claim."""
    held = w.seen.held.get(absent(instance_id))
    unlisted = w.group is not None and w.group.lists_me and instance_id not in w.group.instances
    lasting = unlisted and held is not None and held.seconds > w.seen.limits.staleness
    return (lasting and instance_id != w.seen.me.instance_id) or ORIGINAL["dead"](w, instance_id)


def remains_unwitnessed(w: Words) -> str:
    """What is left of a cluster, but for the witnesses of its id."""
    return str(ORIGINAL["remains"](Words(w.seen._replace(witnesses=()))))


def holder_by_address(w: Words, server: Server) -> str | None:
    """Whoever has that address now, of several a living one."""
    claims = w.record.members.values() if w.record else ()
    holders = [c.instance_id for c in claims if c.address == server.address]
    return min(holders, key=w.dead, default=None)


def voters_present(w: Words) -> Any:
    """Those of the voters that are there."""
    return tuple(v for v in ORIGINAL["voters"](w) if not w.lost(v))


def any_generation(w: Words) -> bool:
    identity = w.seen.disk.identity
    return w.record is not None and identity is not None and identity.cluster_id == w.record.cluster_id


def unmarked(disk: NodeDisk) -> None:
    """What a turn has read of the record is not written beside the data."""


def forgets_pending(disk: NodeDisk, digest: str | None, aside: bool) -> None:
    """The configuration that a start deletes is not put back before the next."""
    ORIGINAL["prepare_start"](disk, digest, aside)
    disk._files.kept = None


def own_epoch(a: Act) -> int:
    data = a.seen.disk.data
    return max(data.current_epoch, data.accepted_epoch, data.zxid >> 32) if data else 0


def of_the_first(known: Configuration, me: Server) -> Configuration:
    """A joiner's configuration is older than any of its ensemble."""
    return ORIGINAL["with_me_watching"](known, me)._replace(version=0)  # type: ignore[no-any-return]


def members_living(w: Words) -> Any:
    """Those that hold an id, or are voters of a disk."""
    claimed = {c.instance_id for c in w.record.members.values()} if w.record else set()
    return tuple(sorted({i for i in claimed if not w.dead(i)} | w.voters_living))


def damage_untold(seen: Observation, words: Words, due: bool) -> Holds | None:
    promised = words.own_report is not None and words.own_report.holds is Holds.EMPTY
    if promised and seen.disk.state is DiskState.DAMAGED:
        return None
    return ORIGINAL["refreshed"](seen, words, due)  # type: ignore[no-any-return]


OLDEST_CONFIGURATION: Switch = everywhere(actions, "with_me_watching", of_the_first)
NEWCOMERS_UNKNOWN: Switch = [(Words, "newcomer_at", lambda w, address, there: None)]
DAMAGE_UNTOLD: Switch = [(reconcile, "refreshed", damage_untold)]
EMPTY_IN_VAIN: Switch = [(Words, "stands_in_vain", never)]
MEMBERS_ALONE: Switch = [(Words, "living", property(members_living))]
SILENT_IS_DEAD: Switch = [(Words, "dead", dead_unless_seen)]
DEAD_HOWEVER_YOUNG: Switch = [(Words, "dead", dead_however_young)]
NO_WITNESS: Switch = everywhere(policy, "remains", remains_unwitnessed)
UNLISTED_IS_DEAD: Switch = [(Words, "dead", dead_unless_listed)]
BY_ADDRESS_ALONE: Switch = [(Words, "instance_of", holder_by_address)]
VOTERS_PRESENT: Switch = [(Words, "voters", property(voters_present))]
ANY_GENERATION: Switch = [(Words, "of_generation", property(any_generation))]
NO_MARK: Switch = [(NodeDisk, "mark_over", unmarked)]
OWN_CONFIGURATION: Switch = everywhere(actions, "configuration_to_take_over", lambda a, own: None)
NO_LOOK: Switch = everywhere(actions, "look_again", never)
LEADS_ON: Switch = everywhere(policy, "leads_in_vain", never)
PENDING_UNTIL_ALL_ARE_DEAD: Switch = everywhere(policy, "majorities_meet", never)
PENDING_NOT_KEPT: Switch = [(NodeDisk, "prepare_start", forgets_pending)]
OWN_EPOCH: Switch = everywhere(actions, "highest_epoch", own_epoch)
NOTHING_LEFT_BY_OTHERS: Switch = everywhere(policy, "untaken", lambda w: None)
NEXT_EPOCH: Switch = [*OWN_EPOCH, *everywhere(actions, "EPOCH_MARGIN", 0)]
