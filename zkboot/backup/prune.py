"""Deleting what the rules of retention no longer keep. Where versions of objects are kept (or locked) this hides a backup, and
only the bucket's own rules end it: versions are never deleted here.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from zkboot.backup import catalogue, retention, table
from zkboot.backup.manifest import ARCHIVE, CURRENT, DAMAGED, DRILLED, MANIFEST, NAME_LENGTH, VERIFIED, Manifest, is_name
from zkboot.backup.store import Store
from zkboot.backup.verify import Tell
from zkboot.errors import ZkbootError
from zkboot.settings import Settings
from zkboot.steps import step

# Without its manifest it is no backup any more; what is left when this is interrupted is deleted by the next one.
OBJECTS = (MANIFEST, VERIFIED, DAMAGED, CURRENT, DRILLED, ARCHIVE)
LEFT = 86_400.0  # seconds after which what has no manifest is known to be left over


class Plan(NamedTuple):
    """Names: what is deleted, what is kept and why, and what is left over of backups that never were, or were deleted half."""

    delete: tuple[str, ...]
    kept: Mapping[str, str]
    left: tuple[str, ...]


def plan(store: Store, settings: Settings) -> Plan:
    """Raises UnknownFact when the store does not tell, ZkbootError naming a manifest that cannot be read: then nothing may be
    deleted, as nobody knows what it would have said."""
    prefix = settings.backup.prefix
    listing = store.list(prefix)
    listed = table.of_catalogue(store, prefix, catalogue.of_listing(listing, prefix))
    whole = [(entry, manifest) for entry, manifest in listed.rows if isinstance(manifest, Manifest)]
    if listed.unreadable:
        why = "; ".join(manifest for _, manifest in listed.rows if isinstance(manifest, str))
        raise ZkbootError(
            f"no backup is deleted while a manifest cannot be read: {why}; delete that one by hand if it is of no use"
        )
    # Of two clusters that share a prefix each deletes its own; of one whose name was used before none counts for the present one.
    kept = {entry.name: f"cluster {manifest.cluster}'s" for entry, manifest in whole if manifest.cluster != settings.cluster}
    own = [(entry, manifest) for entry, manifest in whole if manifest.cluster == settings.cluster]
    for cluster_id in {manifest.cluster_id for _, manifest in own}:
        of_cluster = [entry for entry, manifest in own if manifest.cluster_id == cluster_id]
        kept |= retention.kept(of_cluster, rules(settings), listed.date)
    delete = tuple(entry.name for entry, _ in whole if entry.name not in kept)
    return Plan(delete, kept, _left(listing.objects, prefix, {entry.name for entry, _ in whole}, listing.date))


def prune(store: Store, settings: Settings, planned: Plan, confirm: Callable[[], None], tell: Tell) -> None:
    """Delete; `confirm` raises when that is no longer this node's to do. Raises UnknownFact, naming what it could not delete."""
    for name in planned.delete:
        confirm()
        _delete(store, f"{settings.backup.prefix}{name}")
        tell(f"deleted backup {name}, which no rule keeps")
    for name in planned.left:
        confirm()
        _delete(store, f"{settings.backup.prefix}{name}")
        tell(f"deleted what was left of {name}, which has no manifest")


def rules(settings: Settings) -> retention.Rules:
    backup = settings.backup
    return retention.Rules(backup.keep_count, backup.keep_days, backup.keep_daily, backup.keep_weekly, backup.keep_monthly)


def _delete(store: Store, stem: str) -> None:
    for ending in OBJECTS:
        with step("delete"):
            store.delete(f"{stem}{ending}")


def _left(objects: Mapping[str, float], prefix: str, names: set[str], date: float) -> tuple[str, ...]:
    """Names of which there are objects, but no manifest, and nothing that was written lately."""
    written: dict[str, float] = {}
    for key, modified in objects.items():
        name = key.removeprefix(prefix)[:NAME_LENGTH]
        if is_name(name) and key.removeprefix(prefix + name) in OBJECTS:
            written[name] = max(written.get(name, 0.0), modified)
    return tuple(sorted(name for name, modified in written.items() if name not in names and date - modified > LEFT))
