"""A hot backup of real servers, and what is read back of it."""

import contextlib
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.backup.ensemble import Place, client, held, prove
from tests.integration.aws import CLUSTER, Node, node, node_of
from tests.integration.servers import SMALL_JVM, Machine, machines, wait_for
from tests.lab import faults, processes
from zkboot import backups, cli, restores, steps
from zkboot import record as records
from zkboot.backup import making, seen, turn
from zkboot.backup import manifest as manifests
from zkboot.backup.lease import Held
from zkboot.backup.manifest import name_of
from zkboot.backup.survey import Source, Survey
from zkboot.errors import Damaged, UnknownFact
from zkboot.model import Configuration, Identity, Mode, Record, Scope, State
from zkboot.zookeeper.disk import NodeDisk
from zkboot.zookeeper.server import NodeServer


@pytest.fixture(scope="module")
def aws() -> Iterator[Node]:
    with node(2) as found:
        yield found


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Machine]]:
    """Two voters with few transactions from one snapshot to the next."""
    with machines(tmp_path_factory.mktemp("two"), 2, snap_count=300) as (first, second):
        first.create()
        prove(first)
        second.join(first)
        yield [first, second]


@pytest.fixture
def place(aws: Node, ensemble: list[Machine]) -> Iterator[Place]:
    """The follower's node, and an empty bucket."""
    found = Place(aws, ensemble[1])
    found.remove_all()
    yield found
    found.remove_all()


@pytest.fixture
def hook() -> Iterator[None]:
    before = steps.hook
    yield
    steps.hook = before


def write(machine: Machine, count: int = 20) -> None:
    with client(machine) as zk:
        for _ in range(count):
            zk.create("/n-", b"x" * 100, sequence=True)


class Writer:
    """Writes through one server until it ends; `acknowledged` are the names of the nodes that were."""

    def __init__(self, machine: Machine) -> None:
        self.acknowledged: list[str] = []
        self._ended = threading.Event()
        self._machine = machine
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with client(self._machine) as zk:
            while not self._ended.is_set():
                self.acknowledged.append(zk.create("/w-", b"x" * 500, sequence=True).lstrip("/"))

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(20)


def unpack(archive: bytes, folder: Path) -> None:
    """As a person would."""
    folder.mkdir(parents=True)
    subprocess.run(["tar", "xzf", "-"], input=archive, cwd=folder, check=True)


def test_every_write_acknowledged_before_it_is_in_it(place: Place, ensemble: list[Machine], tmp_path: Path) -> None:
    with Writer(ensemble[0]) as writer:
        wait_for("some snapshots", lambda: len(writer.acknowledged) > 1000)
        before = list(writer.acknowledged)
        place.typed()
    manifest = place.newest()
    assert place.said[-1].startswith(f"verified {manifest.name} to its last record, 0x{manifest.last:x}")
    assert manifest.had_quorum and manifest.zookeeper == "3.9.5" and not place.unfinished()

    unpack(place.get(f"{manifest.name}.tar.gz"), tmp_path / "1/zookeeper/data")
    found = held(tmp_path / "1/zookeeper/data")
    assert (found.zxid, found.damage) == (manifest.last, "")
    with machines(tmp_path, 1) as [scratch]:
        identity = Identity(manifest.cluster_id, manifest.generation)
        scratch.disk.build_from_own(identity, 1, Configuration(0, (scratch.line(),)), manifest.epoch + 1)
        scratch.start()
        scratch.wait_for(Mode.LEADER)
        with client(scratch) as zk:
            there = set(zk.get_children("/"))
    assert set(before) - there == set()


def test_the_server_purges_in_the_middle(place: Place, ensemble: list[Machine], hook: None) -> None:
    """ZooKeeper's own purge of what a backup has just found."""
    follower = ensemble[1]
    write(ensemble[0], 1500)
    purged: set[str] = set()

    def snapshots() -> set[str]:
        return {path.name for path in (follower.data / "version-2").glob("snapshot.*")}

    def purge(when: str, name: str) -> None:
        if (when, name) == ("before", "begin upload"):
            folder = follower.data / "version-2"
            before, found = {path.name for path in folder.iterdir()}, snapshots()
            # A server that is busy leaves a snapshot out.
            wait_for("three newer snapshots", lambda: write(ensemble[0], 300) or len(snapshots() - found) >= 3)
            home = follower.settings.node.zookeeper_home
            main = ("-cp", f"{home}/lib/*", "org.apache.zookeeper.server.PurgeTxnLog", str(follower.data), str(follower.data))
            subprocess.run(["java", *SMALL_JVM, *main, "-n", "3"], check=True, capture_output=True)
            purged.update(before - {path.name for path in folder.iterdir()})

    steps.hook = purge
    place.typed()
    manifest = place.newest()
    assert purged & {Path(file.path).name for file in manifest.files}, purged
    assert place.said[-1].startswith(f"verified {manifest.name} ")


def test_the_server_truncates_in_the_middle(aws: Node, tmp_path: Path, hook: None) -> None:
    """A leader alone logs what the others never saw; they go on without it, and have it cut off while it is copied."""
    # No session ends meanwhile: with a write of their epoch the others would send it a snapshot instead.
    with machines(tmp_path, 3, max_session_timeout=900_000) as three:
        one, *others = three
        one.create()
        prove(one)
        for other in others:
            other.join(one)
        write(one)
        with client(one, 900) as zk:
            wait_for("the others to have it all", lambda: len({held(machine.data).zxid for machine in three}) == 1)
            common = held(one.data).zxid
            processes.freeze([int((other.root / "run/zookeeper.pid").read_text().split()[0]) for other in others])
            zk.create_async("/never-seen", b"x" * 1000)
            wait_for("the leader to have logged it", lambda: held(one.data).zxid > common)
            for machine in three:
                machine.kill()

        def go_on() -> None:
            for other in others:
                other.start()
            wait_for("the others to go on", lambda: any(other.mode() is Mode.LEADER for other in others))
            one.start()
            one.wait_for(Mode.FOLLOWER)
            write(others[0], 1)
            wait_for("it to have that too", lambda: held(one.data).zxid >> 32 > common >> 32)

        once = iter([go_on])

        def meanwhile(when: str, name: str) -> None:
            if (when, name) == ("before", "begin upload"):
                next(once, lambda: None)()

        place = Place(aws, one)
        place.remove_all()
        steps.hook = meanwhile
        place.typed()
        manifest = place.newest()
        assert f"Truncating log to get in sync with the leader 0x{common:x}" in one.log()
        again = [said for said in place.said if said.startswith("copying again, as the files changed meanwhile")]
        assert len(again) == 1 and "cut short" in again[0] and manifest.last >> 32 > common >> 32, place.said
        unpack(place.get(f"{manifest.name}.tar.gz"), tmp_path / "unpacked")
        assert b"/never-seen" not in b"".join(path.read_bytes() for path in (tmp_path / "unpacked").rglob("log.*"))
        place.remove_all()


def test_split_folders(aws: Node, tmp_path: Path) -> None:
    with machines(tmp_path, 1) as [alone]:
        node_settings = alone.settings.node._replace(data_log_dir=f"{tmp_path}/1/log/txn")
        alone.settings = alone.settings._replace(node=node_settings)
        alone.disk, alone.server = NodeDisk(alone.settings), NodeServer(alone.settings)
        alone.create()
        prove(alone)
        write(alone)
        place = Place(aws, alone)
        place.remove_all()
        place.typed()
        alone.kill()
        manifest = place.newest()
        assert {Path(file.path).name.partition(".")[0] for file in manifest.files} == {"snapshot", "log"}
        unpack(place.get(f"{manifest.name}.tar.gz"), tmp_path / "unpacked")
        at_its_end = held(alone.data, Path(node_settings.data_log_dir))
        assert held(tmp_path / "unpacked").zxid == manifest.last == at_its_end.zxid
        place.remove_all()


def test_what_is_wrong_in_the_bucket_is_named(place: Place, ensemble: list[Machine]) -> None:
    write(ensemble[0])
    place.typed()
    manifest = place.newest()
    name = f"{manifest.name}.tar.gz"
    good = place.get(name)
    assert place.listed().newest == place.listed().latest
    for at in range(0, len(good), len(good) // 40):
        place.put(name, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(Damaged, match=rf"^{manifest.name}\.tar\.gz, offset {at >> 20 << 20}: the \d+ bytes from here fail"):
            place.verify(manifest)
    place.put(name, good[:-100])
    with pytest.raises(Damaged, match=rf"offset {len(good) - 100}: the archive ends"):
        place.verify(manifest)
    place.remove(name)
    with pytest.raises(Damaged, match=r"\.tar\.gz has a manifest, and is not there"):
        place.verify(manifest)

    # The next backup finds that the newest one is damaged and was never verified, and makes another.
    assert place.listed().latest is not None and place.listed().newest is None
    place.put(name, good)
    # In the second of the other mark the worse one holds.
    wait_for("it to be whole again", lambda: place.verify(manifest) or place.listed().newest)
    place.remove(f"{manifest.name}.verified.json", f"{manifest.name}.damaged.json")
    place.put(name, good[:-100])
    place.said.clear()
    place.typed()
    assert place.said[0].startswith(f"backup {manifest.name} is damaged, and passed over: ")
    assert place.newest().name > manifest.name


@pytest.mark.parametrize("call", ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:PutObject", "s3:GetObject"])
def test_a_bucket_that_denies(aws: Node, place: Place, ensemble: list[Machine], call: str) -> None:
    write(ensemble[0])
    with aws.fault(faults.deny, call), pytest.raises(UnknownFact, match=f"the instance role needs {call} there"):
        place.typed()
    assert not place.keys() and not place.unfinished()


def test_an_upload_that_fails_and_cannot_be_aborted_is_aborted_by_the_next(
    aws: Node, place: Place, ensemble: list[Machine], hook: None
) -> None:
    write(ensemble[0])
    denied = contextlib.ExitStack()

    def deny(when: str, name: str) -> None:
        if (when, name) == ("before", "complete upload"):
            for call in ("s3:PutObject", "s3:AbortMultipartUpload"):
                denied.enter_context(aws.fault(faults.deny, call))

    steps.hook = deny
    with denied, pytest.raises(UnknownFact, match="s3:PutObject"):
        place.typed()
    assert len(place.unfinished()) == 1 and not place.keys()
    steps.hook = lambda when, name: None
    place.typed()
    assert not place.unfinished() and place.newest().last
    assert "aborted 1 unfinished upload of a backup that was interrupted" in place.said


def test_a_signal_in_the_middle_leaves_nothing(place: Place, ensemble: list[Machine], hook: None) -> None:
    write(ensemble[0])

    def end(when: str, name: str) -> None:
        if (when, name) == ("before", "complete upload"):
            raise cli.Ended(signal.SIGTERM)

    steps.hook = end
    with pytest.raises(cli.Ended):
        place.typed()
    assert not place.unfinished() and not place.keys()
    steps.hook = lambda when, name: None
    place.typed()  # the lease was given back
    assert place.newest().last


def test_two_nodes_at_once(aws: Node, place: Place, ensemble: list[Machine], hook: None) -> None:
    write(ensemble[0])
    other = Place(node_of(aws.region, aws.group, aws.group.living[1], {}), ensemble[0])
    refused: list[str] = []

    def meanwhile(when: str, name: str) -> None:
        if (when, name) == ("before", "upload part") and not refused:
            with pytest.raises(Held) as raised:
                other.typed()
            refused.append(str(raised.value))

    steps.hook = meanwhile
    place.typed()
    assert refused and refused[0].startswith(f"{aws.group.living[0].instance_id} is making a backup")
    assert len(place.listed().entries) == 1


def test_a_holder_that_was_silent_too_long_commits_nothing(aws: Node, place: Place, ensemble: list[Machine], hook: None) -> None:
    write(ensemble[0])
    other = Place(node_of(aws.region, aws.group, aws.group.living[1], {}), ensemble[0])
    taken: list[bool] = []

    def take_over(when: str, name: str) -> None:
        if (when, name) == ("after", "begin upload") and not taken:
            taken.append(True)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("zkboot.backup.lease.LASTS", -1.0)
                other.typed()

    steps.hook = take_over
    with pytest.raises(backups.Stale, match=r"was aborted by another node|has taken the backup over"):
        place.typed()
    assert len(place.listed().entries) == 1 and not place.unfinished()
    assert "aborted 1 unfinished upload of a backup that was interrupted" in other.said


def test_nothing_written_since(place: Place, ensemble: list[Machine]) -> None:
    write(ensemble[0])
    place.typed()
    name = place.newest().name
    for _ in range(2):
        with client(ensemble[0]) as zk:
            zk.get_children("/")
        place.typed()
        assert place.said[-1] == f"nothing was written since backup {name}: it is still current"
    assert place.listed().newest == place.listed().entries[0]._replace(name=name)
    with client(ensemble[0]) as zk:
        zk.create("/ephemeral", ephemeral=True)
    place.typed()
    assert len(place.listed().entries) == 2


def test_the_timer_makes_one_when_it_is_due_and_this_node_is_to(place: Place, ensemble: list[Machine], aws: Node) -> None:
    write(ensemble[0])
    leaders = Place(node_of(aws.region, aws.group, aws.group.living[1], {}), ensemble[0])
    leaders.scheduled()
    assert leaders.said[-1].startswith("no backup from here: it is server 2's turn; this one's comes in")
    place.scheduled()
    assert place.said[-1].startswith("verified ")
    place.scheduled()
    assert place.said[-1] == "no backup is due: the next one in 24 h"

    # Of another day: due again, and for the leader too, as the follower has not done it in time.
    newest = place.listed().newest
    assert newest is not None
    long_ago = name_of(newest.began - 86_400 - 3 * turn.LOOK)
    for ending in (".tar.gz", ".manifest.json", ".verified.json"):
        place.put(long_ago + ending, place.get(newest.name + ending).replace(newest.name.encode(), long_ago.encode()))
        place.remove(newest.name + ending)
    write(ensemble[0])
    leaders.scheduled()
    assert leaders.said[-1].startswith("verified ") and len(place.listed().entries) == 2

    # Who made the newest was killed before it was read back.
    newest = place.listed().newest
    assert newest is not None
    long_ago = name_of(newest.began - 2 * turn.LOOK)
    for ending in (".tar.gz", ".manifest.json"):
        place.put(long_ago + ending, place.get(newest.name + ending).replace(newest.name.encode(), long_ago.encode()))
    place.remove(*(newest.name + ending for ending in (".tar.gz", ".manifest.json", ".verified.json")))
    place.scheduled()
    assert place.said[-1].startswith(f"verified {long_ago} to its last record")
    newest = place.listed().newest
    assert newest is not None and newest.name == long_ago and newest.verified
    off = Place(aws, ensemble[1], interval=0)
    off.scheduled()
    assert off.said == ["no backup: backup.interval is 0, which switches them off"]


def test_the_first_backup_of_a_generation_is_due_at_once(place: Place, ensemble: list[Machine]) -> None:
    write(ensemble[0])
    place.scheduled()
    older = place.newest()
    place.put(older.name + ".manifest.json", manifests.to_json(older._replace(generation=older.generation - 1)))
    write(ensemble[0])
    place.scheduled()
    assert place.said[-1].startswith("verified ") and place.newest().generation == older.generation
    place.scheduled()
    assert place.said[-1] == "no backup is due: the next one in 24 h"


def test_what_another_cluster_keeps_under_the_prefix_is_no_backup_of_this_one(place: Place, ensemble: list[Machine]) -> None:
    """Its name was used before, or two share a prefix: neither may go without for that."""
    write(ensemble[0])
    place.scheduled()
    own = place.newest()

    as_another(place, name_of(manifests.instant_of(own.name) + 1), cluster_id="another")
    place.said.clear()
    place.scheduled()
    assert place.said == ["no backup is due: the next one in 24 h"]
    known = seen.read(place.settings.node.state_dir)
    assert known and known.name == own.name
    place.remove(*(own.name + ending for ending in (".tar.gz", ".manifest.json", ".verified.json")))
    place.scheduled()
    assert place.said[-1].startswith("verified ") and place.newest().cluster_id == own.cluster_id
    known = seen.read(place.settings.node.state_dir)
    assert known and known.name == place.newest().name


def test_the_time_that_it_took_begins_with_its_name(
    place: Place, ensemble: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written while the files were looked through may be in it: it was not whole before that."""
    passed = [0.0]
    survey = making.survey

    def slow(source: Source, wanted: int) -> contextlib.AbstractContextManager[Survey]:
        passed[0] += 1000
        return survey(source, wanted)

    monkeypatch.setattr(making, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    monkeypatch.setattr(making, "survey", slow)
    write(ensemble[0])
    place.typed()
    assert place.newest().seconds >= 1000


def test_an_epoch_that_comes_meanwhile_does_not_rank_the_copy_higher(aws: Node, hook: None, tmp_path: Path) -> None:
    """What is written in that epoch is not in it, and by the epoch who holds that is found."""
    with machines(tmp_path, 1) as [alone]:
        alone.create()
        prove(alone)
        alone.kill()
        place, epoch = Place(aws, alone), alone.data / "version-2/currentEpoch"
        before = int(epoch.read_text())

        def elect(when: str, name: str) -> None:
            if (when, name) == ("before", "begin upload"):
                epoch.write_text(f"{before + 1}")

        steps.hook = elect
        place.remove_all()
        place.typed()
        assert place.newest().epoch == before and int(epoch.read_text()) == before + 1
        place.remove_all()


def of_copy(aws: Node, machine: Machine, folder: Path) -> Place:
    """That machine with the data that it has now, whatever it is that follows."""
    shutil.copytree(machine.data, folder / "data")
    found = Place(aws, machine)
    node_settings = machine.settings.node._replace(
        data_dir=str(folder / "data"), data_log_dir="", state_dir=str(folder / "state")
    )
    found.settings = found.settings._replace(node=node_settings)
    return found


def test_without_a_quorum_a_person_still_gets_one(place: Place, ensemble: list[Machine], aws: Node, tmp_path: Path) -> None:
    """Unless one is ahead of it: what is behind would stand before it. Of a group that goes to zero two
    may each be the last, in their own eyes. What others may have written meanwhile is missing in it: it stands for none with a
    quorum."""
    leader, follower = ensemble
    write(leader)
    behind = of_copy(aws, follower, tmp_path)
    write(leader)
    place.scheduled()
    of_a_quorum = aged(place, 86_400 + 3 * turn.LOOK)
    write(leader)
    leader.kill()
    follower.wait_for(Mode.NONE)
    place.said.clear()
    place.typed()
    assert place.said[0] == "no quorum is seen to serve: this copies what this node holds, which others may be ahead of"
    name = place.newest().name
    assert not place.newest().had_quorum and place.said[-1].startswith("verified ")

    chosen = restores.choose(place.world, place.store, place.settings, restores.Asked(None, None, adopt=True), place.said.append)
    assert chosen.told.endswith(", made without a quorum: others may have held more)")

    # Nothing is ahead of it, and whether it holds all is not known.
    for _ in range(2):
        expect_as_of(place, of_a_quorum, name)
        with pytest.raises(UnknownFact, match="no quorum is seen to serve"):
            place.scheduled()
        place.typed()
        unknown = "whether others hold more is not known"
        assert place.said[-1] == f"backup {name} holds all that is here, none is made; {unknown}"
    assert not place.keys() & {f"{name}.current.json"}

    behind.typed()
    one = r"0x\w+ of generation 1"
    ahead = rf"is ahead of this node, {one}: none is made of that"
    assert re.fullmatch(rf"backup {name}, {one}, {ahead}", behind.said[-1])
    # Nor where the newest is damaged, or another cluster's.
    as_another(place, name_of(manifests.instant_of(name) + 1), cluster_id="another")
    archive = place.get(f"{name}.tar.gz")
    place.put(f"{name}.tar.gz", archive[:-100])
    place.remove(f"{name}.verified.json")
    for _ in range(2):
        behind.typed()
        assert re.fullmatch(rf"backup {of_a_quorum}, {one}, {ahead}", behind.said[-1])
        newest = place.world.backups.newest("c0ffee")
        assert newest and newest.name == of_a_quorum
    assert any(said.startswith(f"backup {name} is damaged, and passed over: ") for said in behind.said)
    assert len(place.listed().entries) == 3

    # A quorum again, which finds that nothing was written since.
    place.put(f"{name}.tar.gz", archive)
    place.remove(f"{name}.damaged.json")
    leader.start()
    for machine in ensemble:
        machine.wait_for(Mode.LEADER, Mode.FOLLOWER)
    current = f"nothing was written since backup {name}: it is still current"
    wait_for("it to be seen", lambda: place.typed() or place.said[-1] == current)
    place.scheduled()
    assert place.said[-1].startswith("no backup is due")
    known, newest = seen.read(place.settings.node.state_dir), place.world.backups.newest("c0ffee")
    assert known and newest and known.name == newest.name == name and newest.age < 3600


def aged(place: Place, seconds: float) -> str:
    """The newest backup, as if it had been made so long before; its name then."""
    newest = place.newest().name
    name = name_of(manifests.instant_of(newest) - seconds)
    for ending in (".tar.gz", ".manifest.json", ".verified.json"):
        place.put(name + ending, place.get(newest + ending).replace(newest.encode(), name.encode()))
        place.remove(newest + ending)
    return name


def as_another(place: Place, name: str, **changed: Any) -> None:
    """The newest backup once more, with that said of it."""
    own = place.newest()
    for ending in (".tar.gz", ".verified.json"):
        place.put(name + ending, place.get(own.name + ending))
    place.put(name + ".manifest.json", manifests.to_json(own._replace(name=name, **changed)))


def expect_as_of(place: Place, of_a_quorum: str, name: str) -> None:
    """The age of what is restored, and the figure, are those of the last that was made with a quorum."""
    newest, known = place.world.backups.newest("c0ffee"), seen.read(place.settings.node.state_dir)
    assert newest and newest.name == name and newest.age > 86_400
    assert known and known.name == of_a_quorum and known.seen - known.as_of > 86_400


def test_the_last_of_a_group_is_a_quorum_by_itself(aws: Node, tmp_path: Path) -> None:
    """Its server is stopped already; where it had others beside it, these may have gone on."""
    with machines(tmp_path, 2) as (last, other):
        last.create()
        prove(last)
        write(last)
        place = Place(aws, last)
        place.remove_all()
        with recorded(place):
            last.kill()
            place.typed()
            assert place.newest().had_quorum and place.said[0].startswith("copying "), place.said
            place.typed()
            assert "it is still current" in place.said[-1]
            newest = place.world.backups.newest("c0ffee")
            assert newest and newest.age < 3600

            place.remove_all()
            last.start()
            last.wait_for(Mode.LEADER)
            other.join(last)
            last.kill()
            other.kill()
            place.typed()
            assert not place.newest().had_quorum
            newest = place.world.backups.newest("c0ffee")
            assert newest and newest.age is None, "nothing is known of when it held all"
        place.remove_all()


@contextlib.contextmanager
def recorded(place: Place) -> Iterator[None]:
    """The cluster's record, for as long as that."""
    record = Record(1, "0" * 16, "c0ffee", Scope("1", "r", "v", "g"), 1, State.CREATED, "i-1", True, (1,), 0, {})
    records.create(place.world.store, CLUSTER, record)
    yield
    place.remove_record()
