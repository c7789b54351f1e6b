"""`zkboot restore`: which backup a person means, and that it may and can be restored from here. The rest is as with every
command that replaces what there is (`commands`)."""

import datetime
import os
from typing import NamedTuple

from zkboot import commands
from zkboot import record as records
from zkboot.backup import catalogue
from zkboot.backup.catalogue import Catalogue, Entry
from zkboot.backup.manifest import Manifest
from zkboot.backup.restore import expect_room
from zkboot.backup.sizes import mib, span
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell, load, verify
from zkboot.commands import Refused
from zkboot.errors import DONE, FAILED, UsageError
from zkboot.reconcile import Say, Turn
from zkboot.settings import Settings
from zkboot.world import World


class Asked(NamedTuple):
    """What was typed: a name or None, an instant (seconds since 1970) or None, and whether another cluster's will do."""

    name: str | None
    before: float | None
    adopt: bool


class Chosen(NamedTuple):
    """The backup to be restored; `age` in seconds by S3's clock."""

    source: str
    manifest: Manifest
    age: float

    @property
    def told(self) -> str:
        return f"backup {self.manifest.name} ({span(self.age)} old, {mib(self.manifest.bytes)})"


def instant_of(text: str | None) -> float | None:
    """A time as it is typed, UTC unless it says otherwise. Raises UsageError."""
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--before {text}: {error}; write a time such as 2026-11-22T10:47:00Z") from error
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def choose(world: World, store: Store, settings: Settings, asked: Asked, tell: Tell) -> Chosen:
    """The backup that is meant, verified now if it never was, and fit for this cluster and this node's disks.

    Raises Refused, UsageError, NoRoom, Damaged, UnknownFact; nothing was changed.
    """
    by = os.uname().nodename
    listed = catalogue.read(store, settings.backup.prefix)
    entry, manifest = pick(store, settings, listed, asked, by)
    found = records.read(world.store, settings.cluster)
    if found is None:
        raise Refused(f"cluster {settings.cluster} has no record: nothing was done. Start its instances first, or put it back")
    if manifest.cluster_id != found[0].cluster_id and not asked.adopt:
        raise Refused(
            f"backup {manifest.name} is of cluster {manifest.cluster} ({manifest.cluster_id}), this one is "
            f"{found[0].cluster_id}: nothing was done. To take its data in all the same add --adopt-cluster-id"
        )
    expect_room(manifest, settings)
    if entry.verified is None:
        tell(f"backup {manifest.name} was {'found damaged' if entry.damaged else 'never verified'}: it is verified now")
        verify(store, settings, manifest, by, tell)
    return Chosen(settings.backup.prefix + manifest.name, manifest, listed.date - entry.as_of)


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


def restore(world: World, settings: Settings, say: Say, chosen: Chosen, live: bool) -> int:
    """Raises Refused before anything was changed, Halted when members do not follow in time."""
    latest: list[Turn] = []

    def tell(turn: Turn) -> None:
        latest[:] = [turn]
        say(turn)

    code = commands.replace(world, settings, tell, "restore", live, chosen.source)
    if code != DONE:
        return code
    found = records.read(world.store, settings.cluster)
    if found is None or found[0].source != chosen.source:
        goes_on = "the ensemble goes on with the most that any member held"
        say(latest[0]._replace(sentence=f"not restored: {chosen.told} was given up, and {goes_on}"))
        return FAILED
    say(latest[0]._replace(sentence=f"restored at 0x{chosen.manifest.last:x} from {chosen.told}"))
    return DONE
