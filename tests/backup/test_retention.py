"""`zkboot prune` on the lab's S3: what is deleted, and when nothing is."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.aws import BUCKET, CLUSTER, Node, node
from tests.lab import faults
from tests.lab.iam import ADMIN_KEY, ADMIN_SECRET
from zkboot import backups
from zkboot.aws.backups import S3Backups
from zkboot.backup import catalogue, prune, table
from zkboot.backup import manifest as manifests
from zkboot.backup.manifest import ARCHIVE, DRILLED, MANIFEST, VERIFIED, File, Manifest
from zkboot.clock import NodeClock
from zkboot.errors import UnknownFact, ZkbootError
from zkboot.settings_keys import Backup
from zkboot.world import World

PREFIX = f"backups/{CLUSTER}/"
DAY = 86_400.0


@pytest.fixture(scope="module")
def aws() -> Iterator[Node]:
    with node() as found:
        yield found


class Shelf:
    """Backups of chosen ages in the bucket, and retention over them as the node does it."""

    def __init__(self, aws: Node, **rules: Any) -> None:
        self.settings = aws.settings._replace(backup=Backup(prefix=PREFIX, bucket=BUCKET, **rules))
        self.store = S3Backups(self.settings)
        self.admin = aws.region.client("s3")
        self.said: list[str] = []
        server: Any = None  # no server, disk or group is asked
        self.world = World(aws.store, server, aws.metadata, server, server, NodeClock(), server)
        for key in self.keys():
            self.admin.delete_object(Bucket=BUCKET, Key=PREFIX + key)

    def add(self, days: float, *marks: str, cluster: str = CLUSTER, cluster_id: str = "c", body: bytes = b"") -> str:
        name = manifests.name_of(time.time() - days * DAY)
        about = {
            "cluster": cluster,
            "cluster_id": cluster_id,
            "generation": 1,
            "server_id": 1,
            "instance_id": "i-1",
            "mode": "hot",
        }
        more = {
            "had_quorum": True,
            "epoch": 1,
            "seconds": 1.0,
            "zkboot": "1",
            "zookeeper": "3.9.5",
            "first": 1,
            "last": 2,
            "largest": 2 << 20,
        }
        files = (File("version-2/snapshot.1", 1, "0" * 64),)
        made = Manifest(name=name, **about, **more, size=0, sha256="0" * 64, pieces=(), files=files)  # type: ignore[arg-type]
        self.put(name + ARCHIVE, b"")
        self.put(name + MANIFEST, body or manifests.to_json(made))
        for mark in marks:
            self.put(name + mark, b"{}")
        return name

    def put(self, key: str, body: bytes) -> None:
        self.admin.put_object(Bucket=BUCKET, Key=PREFIX + key, Body=body)

    def keys(self) -> set[str]:
        listed = self.admin.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", ())
        return {entry["Key"].removeprefix(PREFIX) for entry in listed}

    def names(self) -> list[str]:
        return [entry.name for entry in catalogue.read(self.store, PREFIX).entries]

    def prune(self) -> None:
        backups.pruned(self.world, self.store, self.settings, self.said.append)


def test_what_no_rule_keeps_is_deleted_with_all_that_is_of_it(aws: Node) -> None:
    shelf = Shelf(aws, keep_count=2, keep_days=7)
    old = [shelf.add(days, VERIFIED, DRILLED) for days in (60, 50, 40)]
    young = [shelf.add(days, VERIFIED) for days in (6, 5, 4)]
    planned = prune.plan(shelf.store, shelf.settings)
    assert planned.delete == tuple(old)
    assert table.plan_as_text(planned).splitlines() == [
        *(f"{name}  deleted: no rule keeps it" for name in old),
        f"{young[0]}  kept: not older than 7 d",
        f"{young[1]}  kept: one of the newest 2",
        f"{young[2]}  kept: the newest verified one",
    ]
    told = [json.loads(line) for line in table.plan_as_json(planned).splitlines()]
    assert [(row["name"], row["kept"] is None) for row in told] == [*((n, True) for n in old), *((n, False) for n in young)]
    assert shelf.names() == [*old, *young], "a plan deletes nothing"
    shelf.prune()
    assert shelf.keys() == {name + ending for name in young for ending in (ARCHIVE, MANIFEST, VERIFIED)}
    assert shelf.said == [f"deleted backup {name}, which no rule keeps" for name in old]
    shelf.prune()
    assert shelf.said[-1] == "nothing is to be deleted: the rules keep every backup"


def test_the_newest_verified_one_outlives_every_rule_and_those_after_it_too(aws: Node) -> None:
    shelf = Shelf(aws, keep_count=0, keep_days=1)
    oldest, newest = shelf.add(400, VERIFIED), shelf.add(300, VERIFIED)
    unread = shelf.add(200)
    shelf.prune()
    assert shelf.names() == [newest, unread] and f"deleted backup {oldest}, which no rule keeps" in shelf.said


def test_nothing_is_deleted_while_a_manifest_cannot_be_read(aws: Node) -> None:
    shelf = Shelf(aws, keep_count=1, keep_days=0)
    for days, body in ((3, b""), (2, b"{}"), (1, b"")):
        shelf.add(days, VERIFIED, body=body)
    before = shelf.keys()
    with pytest.raises(ZkbootError, match=r"no backup is deleted while a manifest cannot be read: .*not a manifest of schema 1"):
        shelf.prune()
    assert shelf.keys() == before


@pytest.mark.parametrize("call", ["s3:ListBucket", "s3:GetObject"])
def test_nothing_is_deleted_while_the_bucket_does_not_tell(aws: Node, call: str) -> None:
    shelf = Shelf(aws, keep_count=1, keep_days=0)
    for days in (3, 2, 1):
        shelf.add(days, VERIFIED)
    before = shelf.keys()
    with aws.fault(faults.deny, call), pytest.raises(UnknownFact, match=call):
        shelf.prune()
    assert shelf.keys() == before


def test_a_denied_delete_is_said(aws: Node) -> None:
    shelf = Shelf(aws, keep_count=1, keep_days=0)
    for days in (3, 2, 1):
        shelf.add(days, VERIFIED)
    before = shelf.keys()
    with (
        aws.fault(faults.deny, "s3:DeleteObject"),
        pytest.raises(UnknownFact, match="the instance role needs s3:DeleteObject there"),
    ):
        shelf.prune()
    assert shelf.keys() == before
    # Half of one is deleted when it is denied, and the rest of it by a later one.
    with aws.fault(faults.deny, "s3:DeleteObject") as fault:
        fault.only = lambda environ: environ["PATH_INFO"].endswith(ARCHIVE)
        with pytest.raises(UnknownFact):
            shelf.prune()
    assert len(before - shelf.keys()) == 2 and len(shelf.names()) == 2
    shelf.prune()
    assert len(shelf.names()) == 1, "and what is left of a day ago will be deleted as well"


def test_what_was_left_by_a_killed_copy_is_deleted_a_day_later(aws: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(aws)
    whole = shelf.add(0.1, VERIFIED)
    left = manifests.name_of(time.time() - 5 * DAY)
    shelf.put(left + ARCHIVE, b"half")
    shelf.put("notes.txt", b"a person's")
    shelf.prune()
    before = shelf.keys()
    assert left + ARCHIVE in before, "it may be in the making"
    monkeypatch.setattr("zkboot.backup.prune.LEFT", -1.0)
    shelf.prune()
    assert shelf.keys() == {whole + ARCHIVE, whole + MANIFEST, whole + VERIFIED, "notes.txt"}


def test_another_clusters_backups_under_the_same_prefix_do_not_count(aws: Node) -> None:
    shelf = Shelf(aws, keep_count=1, keep_days=0)
    others = [shelf.add(days, VERIFIED, cluster_id="before") for days in (30, 20)]
    own = [shelf.add(days, VERIFIED) for days in (3, 2)]
    shelf.prune()
    assert shelf.names() == [others[1], own[1]]


def test_of_clusters_that_share_a_prefix_each_deletes_its_own(aws: Node) -> None:
    shelf = Shelf(aws, keep_count=1, keep_days=0)
    others = [shelf.add(days, VERIFIED, cluster="another", cluster_id="a") for days in (30, 20)]
    own = [shelf.add(days, VERIFIED) for days in (3, 2)]
    assert prune.plan(shelf.store, shelf.settings).kept.keys() == {*others, own[1]}
    shelf.prune()
    assert shelf.names() == [*others, own[1]]


def test_of_versions_none_is_deleted(aws: Node) -> None:
    """A versioned bucket: a deletion is a marker, and the backup can be brought back."""
    shelf = Shelf(aws, keep_count=1, keep_days=0)
    shelf.admin.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    old, _ = shelf.add(3, VERIFIED), shelf.add(2, VERIFIED)
    shelf.prune()
    assert old not in shelf.names()
    found = shelf.admin.list_object_versions(Bucket=BUCKET, Prefix=PREFIX + old)
    assert {v["Key"] for v in found["Versions"]} == {PREFIX + old + ending for ending in (ARCHIVE, MANIFEST, VERIFIED)}
    markers = {m["Key"] for m in found["DeleteMarkers"]}
    assert {v["Key"] for v in found["Versions"]} <= markers
    for marker in found["DeleteMarkers"]:
        shelf.admin.delete_object(Bucket=BUCKET, Key=marker["Key"], VersionId=marker["VersionId"])
    assert old in shelf.names()


def test_a_locked_bucket_takes_backups_and_hides_them_when_they_are_deleted(
    aws: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another account's, with Object Lock: by a profile that may write there."""
    bucket = "locked-backups"
    shelf = Shelf(aws, keep_count=1, keep_days=0, profile="vault")
    shelf.admin.create_bucket(
        Bucket=bucket, ObjectLockEnabledForBucket=True, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    shelf.admin.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[vault]\naws_access_key_id = {ADMIN_KEY}\naws_secret_access_key = {ADMIN_SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    store = S3Backups(shelf.settings._replace(backup=shelf.settings.backup._replace(bucket=bucket)))

    names = [shelf.add(days, VERIFIED) for days in (3, 2)]
    for key in sorted(shelf.keys()):
        upload = store.upload(PREFIX + key, 1)
        upload.send(shelf.admin.get_object(Bucket=BUCKET, Key=PREFIX + key)["Body"].read())
        upload.complete()
    planned = prune.plan(store, shelf.settings)
    prune.prune(store, shelf.settings, planned, lambda: None, shelf.said.append)
    assert [entry.name for entry in catalogue.read(store, PREFIX).entries] == names[1:]
    kept = shelf.admin.list_object_versions(Bucket=bucket, Prefix=PREFIX + names[0])["Versions"]
    assert len(kept) == 3
