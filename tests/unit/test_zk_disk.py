"""The node's disk: what it says, and that a build, an archive or a start killed at any step is finished or begun anew."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.zk_data import write_epochs, write_log, write_snapshot
from zkboot import documents
from zkboot.errors import NewerSchema, UnknownFact, ZkbootError
from zkboot.model import Configuration, Data, Disk, DiskState, Holds, Identity, Report, Role, Server
from zkboot.settings_keys import Aws, Node, Settings
from zkboot.zookeeper import configuration, files
from zkboot.zookeeper.disk import NodeDisk

E1 = 1 << 32
OLD = Identity("c0ffee", 1)
NEW = Identity("c0ffee", 2)
ME = Server(1, "10.0.0.1")
OTHERS = (Server(2, "10.0.0.2"), Server(3, "10.0.0.3"))
THREE = Configuration(E1 + 3, (ME, *OTHERS))
FOUR = Configuration(E1 + 9, (ME, *OTHERS, Server(4, "10.0.0.4")))
EPOCH = 65_540
ALONE = Configuration((EPOCH + 1) << 32, (ME,))
DIGEST = "super:digest="


class Folders(NamedTuple):
    """A node's folders; the transaction logs in one of their own when `split`."""

    root: Path
    split: bool = False

    @property
    def settings(self) -> Settings:
        data, log = f"{self.root}/volume/data", f"{self.root}/logs/log"
        node = Node(
            conf_dir=f"{self.root}/conf",
            data_dir=data,
            data_log_dir=log if self.split else data,
            state_dir=f"{self.root}/state",
            volume=f"{self.root}/volume",
        )
        return Settings("test", Aws("bucket"), node)

    @property
    def disk(self) -> NodeDisk:
        """As a new process finds it."""
        return NodeDisk(self.settings)

    @property
    def data(self) -> Path:
        return Path(self.settings.node.data_dir)

    @property
    def log(self) -> Path:
        return Path(self.settings.node.data_log_dir)

    @property
    def conf(self) -> Path:
        return Path(self.settings.node.conf_dir)


@pytest.fixture(params=["together", "split"])
def folders(tmp_path: Path, request: pytest.FixtureRequest) -> Folders:
    made = Folders(tmp_path / "node", request.param == "split")
    (made.root / "volume").mkdir(parents=True)
    (made.root / "volume/.zkboot-volume").touch()
    return made


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost without a sync a test cannot see; hundreds of them it can feel."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def fill(at: Folders) -> Folders:
    """A member of a generation of three, with a pending configuration of four."""
    at.disk.build_joiner(OLD, 1, THREE)
    write_snapshot(at.data / "version-2", 0)
    write_log(at.log / "version-2", range(E1 + 1, E1 + 10))
    write_epochs(at.data / "version-2", 1, 1)
    configuration.write(str(at.conf), THREE)
    text = configuration.text_of(FOUR) + f"version={FOUR.version:x}\n"
    Path(configuration.next_file(str(at.conf))).write_text(text)
    at.disk.prepare_start(DIGEST, aside=False)
    return at


FULL = Disk(DiskState.DATA, identity=OLD, server_id=1, data=Data(1, 1, E1 + 9, THREE, FOUR))


# --- what it says


def test_a_missing_volume_is_unknown_and_touches_nothing(folders: Folders) -> None:
    (folders.root / "volume/.zkboot-volume").unlink()
    disk = folders.disk.read()
    assert disk.state is DiskState.UNKNOWN and "is not mounted" in disk.why
    for act in (
        folders.disk.archive,
        lambda: folders.disk.build_empty(OLD, 1, ALONE, 0),
        lambda: folders.disk.build_joiner(OLD, 1, THREE),
        lambda: folders.disk.build_from_own(NEW, 1, ALONE, EPOCH),
        lambda: folders.disk.prepare_start(DIGEST, False),
    ):
        with pytest.raises(UnknownFact, match="not mounted"):
            act()
    assert os.listdir(folders.root / "volume") == []


def test_nothing_is_empty_and_a_promise_is_remembered(folders: Folders) -> None:
    assert folders.disk.read() == Disk(DiskState.EMPTY)
    folders.disk.promise()
    assert folders.disk.read() == Disk(DiskState.EMPTY, promised=True)
    folders.disk.release()
    folders.disk.release()
    assert folders.disk.read() == Disk(DiskState.EMPTY)


def test_the_small_state_is_kept(folders: Folders) -> None:
    assert folders.disk.load() == {}
    folders.disk.save({"boot": "b", "since": 1.5})
    assert folders.disk.load() == {"boot": "b", "since": 1.5}


def test_data_is_told_whole(folders: Folders) -> None:
    assert fill(folders).disk.read() == FULL


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_an_error_of_the_disk_is_unknown(folders: Folders, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folders)
    stat = os.stat

    def fails(path: object, **kinds: object) -> os.stat_result:
        if "version-2" in str(path):
            raise OSError(error, os.strerror(error), str(path))
        return stat(path, **kinds)

    monkeypatch.setattr(os, "stat", fails)
    disk = folders.disk.read()
    assert disk.state is DiskState.UNKNOWN and os.strerror(error) in disk.why and "version-2" in disk.why


def test_a_full_disk_is_unknown(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/file")

    fill(folders)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnknownFact, match="/a/file: No space left"):
        folders.disk.archive()
    monkeypatch.undo()
    assert folders.disk.read()[:4] == FULL[:4]


def test_a_newer_schema_is_unknown(folders: Folders) -> None:
    fill(folders)
    path = folders.data / "zkboot.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    disk = folders.disk.read()
    assert disk.state is DiskState.UNKNOWN and "upgrade" in disk.why
    with pytest.raises(UnknownFact):
        folders.disk.archive()
    assert issubclass(NewerSchema, UnknownFact)


def test_data_that_zkboot_never_named_has_no_identity(folders: Folders) -> None:
    fill(folders)
    (folders.data / "zkboot.json").unlink()
    assert folders.disk.read() == FULL._replace(identity=None, server_id=None, myid=1)
    (folders.data / "myid").unlink()
    assert folders.disk.read() == FULL._replace(identity=None, server_id=None)


def test_a_pending_configuration_ends_when_committed_or_overtaken(folders: Folders) -> None:
    fill(folders)
    Path(configuration.next_file(str(folders.conf))).unlink()  # as a start does
    assert folders.disk.read() == FULL
    configuration.write(str(folders.conf), FOUR)
    assert folders.disk.read().data == Data(1, 1, E1 + 9, FOUR)
    configuration.write(str(folders.conf), THREE)
    write_log(folders.log / "version-2", [(2 << 32) + 1])
    write_epochs(folders.data / "version-2", 2, 2)
    assert folders.disk.read().data == Data(2, 2, (2 << 32) + 1, THREE)
    folders.disk.prepare_start(None, aside=False)
    assert not Path(configuration.kept_file(str(folders.conf))).exists()


# --- building


def test_builders_refuse_data_in_the_way(folders: Folders) -> None:
    fill(folders)
    for act in (
        lambda: folders.disk.build_empty(OLD, 1, ALONE, 0),
        lambda: folders.disk.build_joiner(NEW, 1, THREE),
    ):
        with pytest.raises(ZkbootError, match="archive it first"):
            act()
    assert folders.disk.read() == FULL
    with pytest.raises(ZkbootError, match="below"):
        folders.disk.build_from_own(NEW, 1, ALONE, 0)
    assert folders.disk.read() == FULL


def test_a_joiner_built_again_keeps_its_data_and_loses_a_marker(folders: Folders) -> None:
    fill(folders)
    (folders.log / "initialize").touch()
    watching = Configuration(0, (ME._replace(role=Role.OBSERVER), *OTHERS))
    folders.disk.build_joiner(OLD, 1, watching)
    disk = folders.disk.read()
    assert disk.data is not None and not disk.marked
    assert (disk.data.zxid, disk.data.committed) == (E1 + 9, watching)


def test_only_a_seed_is_fenced(folders: Folders) -> None:
    with pytest.raises(ZkbootError):
        folders.disk.fence()
    folders.disk.build_empty(OLD, 1, Configuration(0, (ME,)), 0)
    assert folders.disk.read() == Disk(DiskState.EMPTY, identity=OLD, server_id=1, seeded=True, marked=True)
    folders.disk.fence()
    assert folders.disk.read().fenced
    assert (folders.log / "initialize").exists()


def test_a_generation_that_is_over_is_marked_until_the_next_is_built(folders: Folders) -> None:
    def look(at: Folders) -> None:
        assert at.disk.read() in (FULL, marked)

    marked = FULL._replace(over=True)
    with pytest.raises(ZkbootError, match="no generation"):
        folders.disk.mark_over()
    assert at_every_step(folders, fill, lambda at: at.disk.mark_over(), look) > 0
    folders.disk.prepare_start(None, aside=False)
    assert folders.disk.read() == marked
    for build in (
        lambda: folders.disk.build_from_own(NEW, 1, ALONE, EPOCH),
        lambda: (folders.disk.archive(), folders.disk.build_joiner(NEW, 1, THREE)),
    ):
        folders.disk.mark_over()
        assert folders.disk.read().over
        build()
        assert folders.disk.read().identity == NEW and not folders.disk.read().over


def test_a_mark_stands_while_a_build_is_unfinished(folders: Folders) -> None:
    marked = FULL._replace(over=True)

    def prepare(at: Folders) -> None:
        fill(at).disk.mark_over()

    def look(at: Folders) -> None:
        assert at.disk.read() == marked or (at.disk.read().identity == NEW and not at.disk.read().over)

    assert at_every_step(folders, prepare, lambda at: at.disk.build_from_own(NEW, 1, ALONE, EPOCH), look) > 6


def test_versions_read_each_others_generation_files(folders: Folders) -> None:
    """Of one schema: what the other did not write is false, and what it wrote besides is passed over."""
    fill(folders)
    path = folders.data / "zkboot.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in fields.items() if key not in ("fenced", "over")}))
    assert folders.disk.read() == FULL
    path.write_text(json.dumps(fields | {"unheard_of": True}))
    assert folders.disk.read() == FULL


def test_a_start_without_any_digest_is_not_made(folders: Folders) -> None:
    folders.disk.build_empty(OLD, 1, Configuration(0, (ME,)), 0)
    with pytest.raises(UnknownFact, match="super digest"):
        folders.disk.prepare_start(None, aside=False)
    folders.disk.prepare_start(DIGEST, aside=False)
    folders.disk.prepare_start(None, aside=False)
    assert f"superDigest={DIGEST}\n" in (folders.conf / "zoo.cfg").read_text()


# --- killed at any step


class Cut(BaseException):
    """The node loses its power here."""


def cut_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Lose power before the step-th change to the disk."""
    done = 0

    def counting(change: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: object) -> None:
            nonlocal done
            done += 1
            if done > step:
                raise Cut
            change(*arguments)

        return counted

    for name in ("write", "rename", "remove"):
        monkeypatch.setattr(files, name, counting(getattr(files, name)))


def at_every_step(
    folders: Folders,
    prepare: Callable[[Folders], object],
    act: Callable[[Folders], object],
    look: Callable[[Folders], None],
) -> int:
    """Prepare, act and lose power before the first, second, … change; look; act again, and see the very same end."""
    prepare(folders)
    kept = folders.root.with_name("kept")
    shutil.copytree(folders.root, kept)
    act(folders)
    end = folders.disk.read()
    for step in range(1000):
        shutil.rmtree(folders.root)
        shutil.copytree(kept, folders.root)
        with pytest.MonkeyPatch.context() as patch:
            cut_at(patch, step)
            try:
                act(folders)
            except Cut:
                pass
            else:
                return step
        look(folders)
        act(folders)
        assert unnamed(folders.disk.read()) == unnamed(end), f"after a cut before step {step}"
    raise AssertionError("never ends")


def unnamed(disk: Disk) -> Disk:
    """Without the times in the archives' names."""
    return disk._replace(archives=tuple(a._replace(name="") for a in disk.archives))


def whole_logs(folders: Folders) -> int:
    """How many logs and snapshots there are anywhere."""
    return sum(p.stat().st_size > 0 for p in folders.root.rglob("*") if p.name.startswith(("log.", "snapshot.")))


def test_an_archive_is_made_or_not_begun(folders: Folders) -> None:
    def look(at: Folders) -> None:
        disk = at.disk.read()
        assert disk == FULL or (disk.state is DiskState.EMPTY and [a.zxid for a in disk.archives] == [E1 + 9])
        assert whole_logs(at) == 2

    assert at_every_step(folders, fill, lambda at: at.disk.archive(), look) > 5
    disk = folders.disk.read()
    assert disk.archives[0].identity == OLD and disk.archives[0].current_epoch == 1
    assert DIGEST in (folders.conf / "zoo.cfg").read_text()
    assert not any(DIGEST in p.read_text() for p in (folders.root / "volume/archive").rglob("zoo.cfg"))
    assert configuration.dynamic_names(str(folders.conf)) == []
    assert folders.disk.archive() is None


def test_a_joiner_is_built_over_an_interrupted_archive(folders: Folders) -> None:
    def prepare(at: Folders) -> None:
        fill(at)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
            cut_at(patch, 4)
            at.disk.archive()
        assert at.disk.read().state is DiskState.EMPTY

    def look(at: Folders) -> None:
        disk = at.disk.read()
        assert disk.state is DiskState.EMPTY and disk.identity in (None, NEW) and len(disk.archives) == 1

    at_every_step(folders, prepare, lambda at: at.disk.build_joiner(NEW, 1, THREE), look)
    assert folders.disk.read().identity == NEW and whole_logs(folders) == 2


def test_an_archive_comes_back_whole(folders: Folders) -> None:
    def prepare(at: Folders) -> None:
        fill(at)
        at.disk.archive()
        at.disk.build_joiner(NEW, 1, THREE)

    def act(at: Folders) -> None:
        for archive in at.disk.read().archives:
            at.disk.bring_back(archive.name)
        at.disk.archive() if not at.disk.read().archives and at.disk.read().state is DiskState.EMPTY else None

    def look(at: Folders) -> None:
        disk = at.disk.read()
        back = disk.state is DiskState.DATA and not disk.archives
        assert back or (disk.state is DiskState.EMPTY and len(disk.archives) == 1)
        assert whole_logs(at) == 2

    at_every_step(folders, prepare, act, look)
    disk = folders.disk.read()
    assert disk.data is not None and (disk.identity, disk.data.zxid, disk.archives) == (OLD, E1 + 9, ())


def test_an_empty_seed_is_built_or_is_no_ones(folders: Folders) -> None:
    def prepare(at: Folders) -> None:
        at.disk.build_joiner(OLD, 2, Configuration(0, OTHERS))
        (at.data / "version-2").mkdir()
        write_epochs(at.data / "version-2", -1, -1)

    def look(at: Folders) -> None:
        disk = at.disk.read()
        assert disk.state is DiskState.EMPTY and disk.identity in (None, OLD, NEW)
        assert disk.identity != NEW or disk == seed

    seed = Disk(DiskState.EMPTY, identity=NEW, server_id=1, seeded=True, marked=True)
    at_every_step(folders, prepare, lambda at: at.disk.build_empty(NEW, 1, ALONE, EPOCH), look)
    assert folders.disk.read() == seed
    assert (folders.data / "version-2/acceptedEpoch").read_text() == f"{EPOCH}\n"


def test_a_build_from_the_own_data_is_what_was_until_it_is_whole(folders: Folders) -> None:
    seed = Disk(DiskState.DATA, identity=NEW, server_id=1, seeded=True, data=Data(EPOCH, EPOCH, E1 + 9, ALONE))

    def look(at: Folders) -> None:
        disk = at.disk.read()
        assert disk in (FULL, seed)
        if disk == FULL:  # should it be started as it was instead, it is as it was
            beside = Folders(at.root.with_name("beside") / "node", at.split)
            shutil.copytree(at.root, beside.root)
            relocated = str(beside.root)
            for path in beside.conf.glob("zoo.cfg*"):
                path.write_text(path.read_text().replace(str(at.root), relocated))
            beside.disk.prepare_start(None, aside=False)
            assert beside.disk.read() == FULL
            assert Path(configuration.next_file(str(beside.conf))).exists()
            assert not (beside.data / "zkboot-build.json").exists()
            assert (beside.data / "version-2/currentEpoch").read_text() == "1\n"
            shutil.rmtree(beside.root.parent)

    assert at_every_step(folders, fill, lambda at: at.disk.build_from_own(NEW, 1, ALONE, EPOCH), look) > 6
    assert folders.disk.read() == seed
    assert not Path(configuration.next_file(str(folders.conf))).exists()


@pytest.mark.parametrize("aside", [False, True])
def test_a_start_prepared_at_any_step_keeps_the_pending_configuration(folders: Folders, aside: bool) -> None:
    def prepare(at: Folders) -> None:
        fill(at)
        Path(configuration.next_file(str(at.conf))).unlink()  # as a start does

    def look(at: Folders) -> None:
        data = at.disk.read().data
        assert data is not None and data.committed == THREE
        assert data.pending == FOUR or (aside and data.pending is None)

    at_every_step(folders, prepare, lambda at: at.disk.prepare_start(None, aside=aside), look)
    assert Path(configuration.next_file(str(folders.conf))).exists() is not aside
    if aside:
        assert "server.4" in Path(configuration.kept_file(str(folders.conf)) + ".aside").read_text()


def test_a_damaged_disk_without_one_whole_transaction_is_archived_and_told(folders: Folders) -> None:
    write_log(folders.log / "version-2", [E1 + 1]).write_bytes(b"no log at all" * 9)
    assert folders.disk.read().state is DiskState.DAMAGED
    made = folders.disk.archive()
    assert made is not None and made.damaged
    after = folders.disk.read()
    assert after.state is DiskState.EMPTY and after.archives == (made,)
    report = Report("i-1", "10.0.0.1", Holds.EMPTY, None, None, 0, None, after.archives)
    assert documents.report_of_json(documents.report_to_json(report), "a report").archives == (made,)
