"""Copies in a second bucket, of another region, by another account's credentials."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.ensemble import PREFIX, Place, client, prove
from tests.integration.aws import Node, node
from tests.integration.servers import Machine, machines
from tests.lab.iam import ADMIN_KEY, ADMIN_SECRET
from zkboot import steps
from zkboot.aws.backups import S3Backups
from zkboot.backup import catalogue, turn
from zkboot.backup.manifest import ARCHIVE, MANIFEST, VERIFIED, name_of
from zkboot.errors import UnknownFact

SECOND = "copies-of-another-account"
KEY = "alias/copies"


@pytest.fixture(scope="module")
def aws() -> Iterator[Node]:
    with node() as found:
        there = {"LocationConstraint": "us-west-2"}
        found.region.client("s3", "us-west-2").create_bucket(Bucket=SECOND, CreateBucketConfiguration=there)
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machines(tmp_path_factory.mktemp("one"), 1) as (machine,):
        machine.create()
        prove(machine)
        yield machine


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The profile's file."""
    path = tmp_path / "credentials"
    path.write_text(f"[vault]\naws_access_key_id = {ADMIN_KEY}\naws_secret_access_key = {ADMIN_SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return path


@pytest.fixture
def place(aws: Node, server: Machine, vault: Path) -> Iterator[Place]:
    more = {"copy_bucket": SECOND, "copy_region": "us-west-2", "copy_profile": "vault", "sse": "aws:kms", "copy_kms_key": KEY}
    found = Place(aws, server, **more)
    found.remove_all()
    for key in copied(found):
        found._admin.delete_object(Bucket=SECOND, Key=PREFIX + key)
    with client(server) as zk:
        zk.create("/n-", sequence=True)
    yield found
    steps.hook = lambda when, name: None


def copied(place: Place) -> set[str]:
    listed = place._admin.list_objects_v2(Bucket=SECOND, Prefix=PREFIX).get("Contents", ())
    return {entry["Key"].removeprefix(PREFIX) for entry in listed}


def whole(name: str) -> set[str]:
    return {name + ARCHIVE, name + MANIFEST, name + VERIFIED}


def test_each_backup_is_copied_and_read_back_there(place: Place, server: Machine) -> None:
    place.typed()
    name = place.newest().name
    assert copied(place) == whole(name)
    assert re.fullmatch(rf"copied {name} to s3://{SECOND}/{PREFIX}: .* in .* s \(.*/s\)", place.said[-2]), place.said
    assert place.said[-1].startswith(f"in {SECOND}: verified {name} to its last record")
    for ending in (ARCHIVE, MANIFEST):
        assert place._admin.get_object(Bucket=SECOND, Key=PREFIX + name + ending)["Body"].read() == place.get(name + ending)
        head = place._admin.head_object(Bucket=SECOND, Key=PREFIX + name + ending)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KEY)
    place.typed()
    assert place.said[-1] == f"nothing was written since backup {name}: it is still current", "nothing is copied twice"
    assert S3Backups.of_copies(place.settings._replace(backup=place.settings.backup._replace(copy_bucket=""))) is None


def test_a_second_bucket_that_denies_costs_the_backup_nothing_and_gets_it_later(
    place: Place, server: Machine, vault: Path
) -> None:
    good = vault.read_text()
    vault.write_text(good.replace(ADMIN_SECRET, "x").replace(ADMIN_KEY, "AKIANOBODY"))
    place.second = S3Backups.of_copies(place.settings)
    place.scheduled()
    name = place.newest().name
    assert place.listed().newest and place.listed().newest.verified and not copied(place)
    assert any(said.startswith(f"not copied to {SECOND}, which is tried again: ") for said in place.said), place.said
    place.said.clear()
    vault.write_text(good)
    place.second = S3Backups.of_copies(place.settings)
    # Who made it may still be at it; a look later anyone sees to it.
    place.scheduled()
    assert place.said == ["no backup is due: the next one in 24 h"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turn, "LOOK", -1.0)
        place.scheduled()
    assert copied(place) == whole(name), place.said


@pytest.mark.parametrize(
    "at",
    [
        "before:write manifest of copy",
        pytest.param("before:complete upload", marks=pytest.mark.long),
        pytest.param("after:write manifest of copy", marks=pytest.mark.long),
    ],
)
def test_interrupted_while_copying(place: Place, server: Machine, at: str) -> None:
    when, step = at.split(":")
    uploads: list[str] = []

    def fail(now: str, name: str) -> None:
        if name == "complete upload" and now == "before":
            uploads.append(name)
        if (now, name) == (when, step) and (step != "complete upload" or len(uploads) == 2):
            raise KeyboardInterrupt

    steps.hook = fail
    with pytest.raises(KeyboardInterrupt):
        place.typed()
    steps.hook = lambda when, name: None
    name = place.newest().name
    assert (name + MANIFEST in copied(place)) == (when == "after"), "the manifest comes last there too"
    assert not place._admin.list_multipart_uploads(Bucket=SECOND).get("Uploads")
    place.typed()
    assert copied(place) == whole(name)


@pytest.mark.long
def test_a_new_bucket_begins_with_the_newest_and_misses_none_from_then_on(place: Place, server: Machine) -> None:
    second, place.second = place.second, None
    names = []
    for round_ in range(4):
        with client(server) as zk:
            zk.create("/more-", sequence=True)
        if round_ == 1:
            place.second = second
        place.typed()
        names.append(place.newest().name)
        if round_ == 1:
            place.second = None
    place.second = second
    place.typed()  # still current; what is lacking is copied all the same
    assert {key for key in copied(place) if key.endswith(MANIFEST)} == {name + MANIFEST for name in names[1:]}


def test_retention_holds_there_too(place: Place, server: Machine) -> None:
    place.typed()
    name = place.newest().name
    old = name_of(place.listed().entries[0].began - 90 * 86_400)
    for ending in (ARCHIVE, MANIFEST, VERIFIED):
        body = place.get(name + ending).replace(name.encode(), old.encode())
        place.put(old + ending, body)
        place._admin.put_object(Bucket=SECOND, Key=PREFIX + old + ending, Body=body)
    rules = place.settings.backup._replace(keep_count=1, keep_days=7, interval=3600)
    place.settings = place.settings._replace(backup=rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turn, "LOOK", 3600.0 + 60)  # due at once
        place.scheduled()
    assert copied(place) == whole(name) and {entry.name for entry in place.listed().entries} == {name}, place.said


def test_an_archive_that_is_damaged_meanwhile_is_not_copied(place: Place, server: Machine) -> None:
    second, place.second = place.second, None
    place.typed()
    name = place.newest().name
    body = place.get(name + ARCHIVE)
    place.put(name + ARCHIVE, body[:-20] + bytes([body[-20] ^ 1]) + body[-19:])
    place.second = second
    place.typed()
    assert any("fail their SHA-256" in said for said in place.said), place.said
    assert not copied(place) and not place._admin.list_multipart_uploads(Bucket=SECOND).get("Uploads")
    (entry,) = place.listed().entries
    assert entry.damaged and not entry.verified, "who copies has read it back"
    with client(server) as zk:
        zk.create("/later-", sequence=True)
    place.typed()
    assert copied(place) == whole(place.newest().name), "a damaged one does not hold up those after it"


def test_copies_that_cannot_be_listed_are_said(place: Place) -> None:
    place.second = S3Backups.of_copies(place.settings._replace(backup=place.settings.backup._replace(copy_profile="none")))
    place.scheduled()
    assert any("The config profile (none) could not be found" in said for said in place.said)
    with pytest.raises(UnknownFact):
        assert place.second and catalogue.read(place.second, PREFIX)
