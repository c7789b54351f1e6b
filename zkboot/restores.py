"""`zkboot restore`: which backup a person means, and that it may and can be restored from here. The rest is as with every
command that replaces what there is (`commands`); where there is nothing, in a new region or a new bucket, the cluster begins
from the backup."""

import os
from typing import NamedTuple

from zkboot import commands
from zkboot import record as records
from zkboot.actions.seeding import restoring
from zkboot.actions.writing import own_claim, put_report
from zkboot.backup import catalogue
from zkboot.backup.catalogue import Catalogue, Entry
from zkboot.backup.manifest import Manifest
from zkboot.backup.restore import expect_room
from zkboot.backup.sequence import expect_buffer
from zkboot.backup.sizes import mib, span
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell, load, verify
from zkboot.commands import Refused
from zkboot.errors import DONE, FAILED, Stale, UsageError
from zkboot.model import DiskState, Holds, Identity, Observation, Quorum, Record, Report, State, Unknown
from zkboot.notes import Notes
from zkboot.observe import Seen, observe
from zkboot.reconcile import Say, Turn
from zkboot.say import of_instant
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.turns import bootstrap
from zkboot.words import Words
from zkboot.world import World


class Asked(NamedTuple):
    """What was typed: a name or None, an instant (seconds since 1970) or None, and whether another cluster's will do."""

    name: str | None
    before: float | None
    adopt: bool


class Chosen(NamedTuple):
    """The backup to be restored; `age` in seconds by S3's clock, whether it is known to have held all that had been written then,
    and whether there is a record of the cluster that it is for."""

    source: str
    manifest: Manifest
    age: float
    had_all: bool
    recorded: bool

    @property
    def told(self) -> str:
        without = "" if self.had_all else ", made without a quorum: others may have held more"
        return f"backup {self.manifest.name} ({span(self.age)} old, {mib(self.manifest.bytes)}{without})"

    @property
    def effect(self) -> str:
        if self.recorded:
            return f"stops every member and goes back to 0x{self.manifest.last:x}, {self.told}"
        return f"finds no record of the cluster, and begins it here at 0x{self.manifest.last:x}, from {self.told}"


def instant_of(text: str | None) -> float | None:
    """A time as it is typed, UTC unless it says otherwise. Raises UsageError."""
    if text is None:
        return None
    try:
        return of_instant(text)
    except ValueError as error:
        raise UsageError(f"--before {text}: {error}; write a time such as 2026-11-22T10:47:00Z") from error


def choose(world: World, store: Store, settings: Settings, asked: Asked, tell: Tell) -> Chosen:
    """The backup that is meant, verified now if it never was, and fit for this cluster and this node's disks.

    Raises Refused, UsageError, Unfit, NoRoom, Damaged, UnknownFact; nothing was changed.
    """
    by = os.uname().nodename
    listed = catalogue.read(store, settings.backup.prefix)
    entry, manifest = pick(store, settings, listed, asked, by)
    if asked.name is None and (newer := passed_over(listed, entry, asked.before)):
        tell(f"passed over, as found damaged: {', '.join(newer)}")
    found = records.read(world.store, settings.cluster)
    own = found[0].cluster_id if found else world.store.secret(settings.aws.witness)
    if manifest.cluster_id != own and not asked.adopt:
        raise Refused(foreign(manifest, settings.cluster, own))
    expect_buffer(manifest, settings)
    expect_room(manifest, settings)
    if entry.verified is None:
        tell(f"backup {manifest.name} was {'found damaged' if entry.damaged else 'never verified'}: it is verified now")
        verify(store, settings, manifest, by, tell)
    source, had_all = settings.backup.prefix + manifest.name, catalogue.has_all(entry, manifest)
    return Chosen(source, manifest, listed.date - entry.as_of, had_all, found is not None)


def foreign(manifest: Manifest, cluster: str, own: str | None) -> str:
    """Why that backup is not simply this cluster's."""
    of = f"backup {manifest.name} is of cluster {manifest.cluster} ({manifest.cluster_id})"
    if own is not None:
        return f"{of}, this one is {own}: nothing was done. To take its data in all the same add --adopt-cluster-id"
    return (
        f"{of}, and no cluster {cluster} was ever here: nothing was done. To let it go on here from that backup add "
        "--adopt-cluster-id; where its ensemble still serves elsewhere, each goes its own way from then on"
    )


def pick(store: Store, settings: Settings, listed: Catalogue, asked: Asked, by: str) -> tuple[Entry, Manifest]:
    where = f"s3://{settings.backup.bucket}/{settings.backup.prefix}"
    if asked.name is not None:
        entry = listed.named(asked.name)
        return entry, load(store, settings, entry.name, by)
    for entry in reversed(listed.entries):
        if entry.damaged is not None or (asked.before is not None and entry.began > asked.before):
            continue
        manifest = load(store, settings, entry.name, by)
        if asked.before is None or entry.began + manifest.seconds <= asked.before:
            return entry, manifest
    raise Refused(f"there is no backup under {where}{' from before then' if asked.before else ''}; zkboot backups lists them")


def passed_over(listed: Catalogue, chosen: Entry, before: float | None) -> list[str]:
    """The damaged ones that would have been taken otherwise, the newest first."""
    wanted = (e for e in reversed(listed.entries) if before is None or e.began <= before)
    return [e.name for e in wanted if e.name > chosen.name and e.damaged is not None]


def restore(world: World, settings: Settings, say: Say, chosen: Chosen, live: bool) -> int:
    """Raises Refused before anything was changed, Halted when members do not follow in time."""
    latest: list[Turn] = []

    def tell(turn: Turn) -> None:
        latest[:] = [turn]
        say(turn)

    if chosen.recorded:
        code = commands.replace(world, settings, tell, "restore", live, chosen.source)
    else:
        begin(world, settings, chosen.source)
        code = bootstrap(world, settings, tell)
    if code != DONE:
        return code
    found = records.read(world.store, settings.cluster)
    if found is None or found[0].source != chosen.source:
        goes_on = "the ensemble goes on with the most that any member held"
        say(latest[0]._replace(sentence=f"not restored: {chosen.told} was given up, and {goes_on}"))
        return FAILED
    say(latest[0]._replace(sentence=f"restored at 0x{chosen.manifest.last:x} from {chosen.told}"))
    return DONE


# --- where there is no record


def begin(world: World, settings: Settings, source: str) -> None:
    """The cluster's first record here: this node is the seed, which the backup `source` is restored to.

    Only where nothing is left of the cluster but what the dead have reported. Raises Refused before anything was changed.
    """
    seen = observe(world, settings, Notes(world)).observation
    reports = Words(seen).reports
    refusal = going_on(seen) or held(world, seen, reports)
    if refusal:
        raise Refused(f"cluster {settings.cluster} has no record, and {refusal}: nothing was done")
    identities = [i for r in reports.values() for i in (r.identity, *(a.identity for a in r.archives)) if i is not None]
    backup = world.backups.backup(source)
    former = Record(
        revision=max((r.revision for r in reports.values()), default=0),
        nonce="",
        cluster_id=cluster_id(world, settings, identities) or backup.identity.cluster_id,
        scope=seen.me.scope,
        generation=max((i.generation for i in identities), default=0),
        state=State.RESTORING,
        seed="",
        started=False,
        created=(),
        zk_epoch=0,
        members={},
    )
    act = commands.acting(world, settings, Seen(seen._replace(record=former), ""))
    new = restoring(act, backup, source)
    with step("report joining"):
        put_report(world, settings, seen, Words(seen), Holds.JOINING)
    try:
        with step("begin"):
            records.create(world.store, settings.cluster, new._replace(members={settings.ensemble.id_offset + 1: own_claim(act)}))
    except Stale as error:
        raise Refused(f"another node wrote the record this moment: nothing was done; run the command again ({error})") from error


def going_on(seen: Observation) -> str:
    """What speaks against a beginning in what is going on; "" for nothing."""
    if seen.record is not None:
        return "it is unknown whether that holds; run the command again"
    if isinstance(seen.quorum, Quorum):
        return "an ensemble serves, whose members write it again"
    unknown = [fact.why for fact in (seen.quorum, seen.reports, seen.group, seen.taken) if isinstance(fact, Unknown)]
    if unknown:
        return f"what else there is is unknown ({unknown[0]})"
    return "the group takes this instance" if seen.taken else ""


def held(world: World, seen: Observation, reports: dict[str, Report]) -> str:
    """What the living hold, or may hold; "" where all that lives is empty."""
    me, back = seen.me.instance_id, "put the record back, as `zkboot plan` says"
    if seen.disk.state is not DiskState.EMPTY or seen.disk.archives:
        return f"this node's disk is {seen.disk.state}{', with archives' if seen.disk.archives else ''} ({back})"
    group = world.group.describe(frozenset({me, *reports}))
    living = {i.id for i in group.instances.values() if i.state != "terminated"} - {me}
    holders = [r for r in reports.values() if r.instance_id in living and (r.holds is not Holds.EMPTY or r.data or r.archives)]
    if holders:
        names = ", ".join(sorted(f"{r.instance_id} ({r.holds})" for r in holders))
        return f"{names} may hold data of it ({back}; or terminate what holds nothing)"
    silent = sorted(living - reports.keys())
    return f"{', '.join(silent)} has not said yet what its disk holds (wait for it, or terminate it)" if silent else ""


def cluster_id(world: World, settings: Settings, identities: list[Identity]) -> str | None:
    """The one that is known here. Raises Refused when there are two."""
    witness = world.store.secret(settings.aws.witness)
    known = {i.cluster_id for i in identities} | ({witness} if witness else set())
    if len(known) > 1:
        raise Refused(
            f"two clusters were here, {' and '.join(sorted(known))}: nothing was done. Remove the reports of one under "
            f"control/{settings.cluster}/reports/, or the parameter {settings.aws.witness}"
        )
    return next(iter(known), None)
