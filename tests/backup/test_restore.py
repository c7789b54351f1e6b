"""A backup comes back to a disk: whole or not at all, and the disk itself is not touched before it is."""

import io
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backup.ensemble import PREFIX, Place, client, held, prove
from tests.integration.aws import BUCKET, Node, node
from tests.integration.servers import PASSWORD, Machine, machines
from zkboot.backup import manifest as manifests
from zkboot.backup import progress, restore
from zkboot.backup.manifest import ARCHIVE, DAMAGED, MANIFEST, VERIFIED, Manifest
from zkboot.backup.restore import NodeBackups, expect_room
from zkboot.errors import Damaged, NoRoom, Unfit, ZkbootError
from zkboot.model import Configuration, DiskState, Identity, Mode
from zkboot.zookeeper.disk import NodeDisk
from zkboot.zookeeper.server import NodeServer

NEXT, NAME = Identity("c0ffee", 2), "restore-2"
FLOOR = 70_000  # above the epoch of any server here
ZNODES = 40


@pytest.fixture(scope="module")
def aws() -> Iterator[Node]:
    with node() as found:
        yield found


@pytest.fixture(scope="module")
def place(aws: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server with some megabytes that do not compress, and a backup of it."""
    with machines(tmp_path_factory.mktemp("one"), 1) as (machine,):
        machine.create()
        prove(machine)
        with client(machine) as zk:
            for number in range(ZNODES):
                zk.create(f"/n{number}", random.Random(number).randbytes(50_000))
        found = Place(aws, machine)
        found.remove_all()
        found.typed()
        yield found
        found.remove_all()


class Other:
    """Another machine, which sees that place's backups."""

    def __init__(self, place: Place, root: Path, *, logs: bool = False) -> None:
        self.machine = Machine(root, 1)
        aside = f"{root}/logs/log" if logs else self.machine.settings.node.data_dir
        whole = self.machine.settings._replace(
            cluster=place.settings.cluster,
            aws=place.settings.aws,
            backup=place.settings.backup,
            node=self.machine.settings.node._replace(data_log_dir=aside),
        )
        self.settings = self.machine.settings = whole
        self.disk, self.machine.server = NodeDisk(whole), NodeServer(whole)
        self.machine.disk = self.disk
        self.backups = NodeBackups(place.store, whole, lambda tell: None)
        self.said: list[str] = []

    def unpack(self, manifest: Manifest) -> None:
        self.backups.unpack(self.settings.backup.prefix + manifest.name, NAME, NEXT, 1, self.said.append, lambda: None)

    def hold(self) -> tuple[object, list[str]]:
        """What the disk holds now, of its own making, and where."""
        self.disk.build_empty(Identity("c0ffee", 1), 1, Configuration(0, (self.machine.line(),)), 0)
        return self.disk.read(), self.files()

    def files(self) -> list[str]:
        above = self.machine.root / "zookeeper"
        return sorted(str(path) for path in above.rglob("*") if path.is_file())


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Other:
    return Other(place, tmp_path)


@pytest.mark.parametrize("logs", [False, True], ids=["one-folder", "logs-apart"])
def test_a_server_goes_on_from_it_and_above_all_that_was_seen(place: Place, tmp_path: Path, logs: bool) -> None:
    other, manifest = Other(place, tmp_path, logs=logs), place.newest()
    other.unpack(manifest)
    disk = other.disk.read()
    assert disk.state is DiskState.EMPTY and [archive.name for archive in disk.archives] == [NAME]
    started, ended_with = other.said
    assert started.startswith(f"restoring {manifest.name}: an archive of ")
    assert f"is whole: verified to 0x{manifest.last:x}, {restore.mib(manifest.bytes)}, an archive of " in ended_with
    assert ended_with.endswith("/s)")
    other.disk.bring_back(NAME)
    between = other.disk.read()
    assert (between.state, between.identity, between.seeded, between.fenced) == (DiskState.DATA, NEXT, True, False)
    alone = Configuration((FLOOR + 1) << 32, (other.machine.line(),))
    other.disk.build_from_own(NEXT, 1, alone, FLOOR)
    assert held(Path(other.settings.node.data_dir), Path(other.settings.node.data_log_dir)).zxid == manifest.last
    other.disk.fence()
    with ended(other.machine):
        other.machine.start()
        other.machine.wait_for(Mode.LEADER)
        with client(other.machine) as zk:
            assert all(zk.get(f"/n{number}")[0] == random.Random(number).randbytes(50_000) for number in range(ZNODES))
            assert zk.create("/after", b"").startswith("/after") and zk.exists("/after").czxid >> 32 > FLOOR
        expect_taken_over(other.machine)


def test_a_person_sees_how_far_it_is_and_a_log_does_not(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, manifest = io.StringIO(), place.newest()
    monkeypatch.setattr(progress, "screen", terminal)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    seen = Other(place, tmp_path)
    seen.unpack(manifest)
    drawn = terminal.getvalue()
    assert f"restoring {manifest.name} [#" in drawn and "100%" in drawn and drawn.endswith(progress.CLEARED)
    assert len(seen.said) == 2


def expect_taken_over(machine: Machine) -> None:
    """Another cluster's identity is overwritten only where this was restored from that cluster's backup."""
    server, taker, was = machine.server, Identity("dec0de", 3), Identity("c0ffee", 1)
    with pytest.raises(ZkbootError, match="is cluster c0ffee, this node's data cluster dec0de"):
        server.prove(machine.address, PASSWORD, taker)
    server.prove(machine.address, PASSWORD, taker, was)
    assert server.view(machine.address).identity == taker


@contextmanager
def ended(machine: Machine) -> Iterator[None]:
    """Its server runs no longer than this."""
    try:
        yield
    finally:
        if machine.server.process().running:
            machine.kill()


def test_the_newest_is_the_last_verified_of_this_cluster(place: Place, other: Other) -> None:
    """What was never verified, is damaged, cannot be read, has lost its archive or is another's is passed over."""
    manifest = place.newest()
    fields = json.loads(place.get(manifest.name + MANIFEST))
    later = {
        "20300101T000000Z": {ARCHIVE: {}, MANIFEST: {}},
        "20300101T000001Z": {ARCHIVE: {}, MANIFEST: {"cluster_id": "another"}, VERIFIED: {}},
        "20300101T000002Z": {ARCHIVE: {}, MANIFEST: {}, VERIFIED: {}, DAMAGED: {}},
        "20300101T000003Z": {ARCHIVE: {}, MANIFEST: {"files": []}, VERIFIED: {}},
        "20300101T000004Z": {MANIFEST: {}, VERIFIED: {}},
    }
    for name, objects in later.items():
        for ending, change in objects.items():
            place.put(name + ending, json.dumps(fields | {"name": name} | change).encode())
    found = other.backups.newest("c0ffee")
    assert found is not None and (found.name, found.identity, found.zxid) == (manifest.name, Identity("c0ffee", 1), manifest.last)
    assert 0 <= found.age < 3600
    assert (another := other.backups.newest("another")) is not None and another.name == "20300101T000001Z"
    place.remove(*(name + ending for name, objects in later.items() for ending in objects))


def test_what_lies_under_the_prefix_of_the_settings_is_a_trace(place: Place, tmp_path: Path) -> None:
    """Wherever a person keeps the backups: their cluster's record is lost, where it is missing."""
    elsewhere = place.settings._replace(backup=place.settings.backup._replace(prefix=f"{PREFIX}elsewhere-"))
    backups = NodeBackups(place.store, elsewhere, lambda tell: None)
    assert backups.traces() == ""
    place.put("elsewhere-20300101T000000Z.manifest.json", b"{}")
    assert backups.traces() == f"1 objects under s3://{BUCKET}/{PREFIX}elsewhere-"
    place.remove("elsewhere-20300101T000000Z.manifest.json")


def test_what_a_kill_left_is_begun_anew(place: Place, other: Other) -> None:
    left = other.machine.root / "zookeeper/archive" / NAME / "data/version-2"
    left.mkdir(parents=True)
    (left / "snapshot.0").write_bytes(b"half")
    (left / "log.ffff").write_bytes(b"half")
    other.unpack(place.newest())
    assert sorted(path.name for path in left.iterdir()) == sorted(Path(f.path).name for f in place.newest().files)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_corrupted_byte_anywhere_is_found_and_the_disk_is_as_it_was(place: Place, other: Other, share: float) -> None:
    manifest = place.newest()
    body = place.get(manifest.name + ARCHIVE)
    at = min(int(share * len(body)), len(body) - 1)
    spoilt = bytes([*body[:at], body[at] ^ 1, *body[at + 1 :]])
    before = other.hold()
    with swapped(place, manifest.name + ARCHIVE, spoilt), pytest.raises(Damaged, match="fail their SHA-256"):
        other.unpack(manifest)
    assert (other.disk.read(), other.files()) == before
    keys = place.keys()
    assert manifest.name + DAMAGED in keys and other.backups.newest("c0ffee") is None
    place.remove(manifest.name + DAMAGED)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda fields: fields | {"files": [fields["files"][0] | {"path": "version-2/../../x"}]}, "files cannot be so"),
        (lambda fields: fields | {"files": fields["files"][:1]}, "more in it than the manifest's|holds transactions"),
        (lambda fields: fields | {"size": fields["size"] - 1}, "ends or goes on here|pieces"),
        (lambda fields: fields | {"last": "0x1"}, "by its manifest"),
    ],
    ids=["a-name-that-leaves-the-folder", "a-file-too-many", "another-size", "another-end"],
)
def test_a_manifest_that_says_otherwise(
    place: Place, other: Other, change: Callable[[dict[str, object]], object], match: str
) -> None:
    manifest, before = place.newest(), other.hold()
    fields = json.loads(place.get(manifest.name + MANIFEST))
    with swapped(place, manifest.name + MANIFEST, json.dumps(change(fields)).encode()), pytest.raises(Damaged, match=match):
        other.unpack(manifest)
    assert (other.disk.read(), other.files()) == before
    place.remove(manifest.name + DAMAGED)


@contextmanager
def swapped(place: Place, name: str, body: bytes) -> Iterator[None]:
    """Another object in its place for a while."""
    was = place.get(name)
    place.put(name, body)
    try:
        yield
    finally:
        place.put(name, was)


@pytest.fixture
def small(place: Place, tmp_path: Path) -> Iterator[Other]:
    """Its volume is smaller than the backup."""
    volume = tmp_path / "1/zookeeper"
    volume.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "zkboot-test", str(volume)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"SKIPPED, NOT PROVED: a volume of its own size needs root and mount(8): {done.stderr.strip()}")
    yield Other(place, tmp_path)
    subprocess.run(["umount", "--lazy", str(volume)], check=True)


def test_a_backup_of_servers_with_larger_records_is_whole_and_names_the_setting_that_it_needs(
    place: Place, tmp_path: Path
) -> None:
    made, other = place.newest(), Other(place, tmp_path)
    place.put(made.name + MANIFEST, manifests.to_json(made._replace(largest=8 << 20)))
    try:
        with pytest.raises(Unfit, match=r"jute\.maxbuffer 4194304, .* Set zookeeper\.jute_maxbuffer = 4194304 or more"):
            other.unpack(made)
    finally:
        place.put(made.name + MANIFEST, manifests.to_json(made))
    assert not place.keys() & {made.name + DAMAGED}


def test_too_little_room_is_told_before_anything_is_written(place: Place, small: Other) -> None:
    before = small.hold()
    with pytest.raises(NoRoom, match=r"it needs 1[23]\d\.\d MiB in .*/zookeeper, where \d+\.\d KiB are free"):
        expect_room(place.newest(), small.settings)
    with pytest.raises(NoRoom):
        small.unpack(place.newest())
    assert (small.disk.read(), small.files()) == before


def test_a_disk_that_fills_up_in_the_middle_keeps_what_it_held(
    place: Place, small: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = small.hold()
    monkeypatch.setattr(restore, "expect_room", lambda manifest, settings: None)  # there was room a moment ago
    with pytest.raises(NoRoom, match=r"cannot be restored here: it needs 1[23]\d\.\d MiB .* What the disk holds is not touched"):
        small.unpack(place.newest())
    assert (small.disk.read(), small.files()) == before
    free = os.statvfs(small.machine.root / "zookeeper")
    assert free.f_bavail * free.f_frsize > 800_000, "what was written of it is still there"
