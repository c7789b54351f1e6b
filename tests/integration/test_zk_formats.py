"""What zkboot says a data directory holds is what a real server loads from it: cut, flipped, emptied and missing files."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kazoo.client import KazooClient

from tests.integration.servers import DEADLINE, IDENTITY, Machine, machines, wait_for
from zkboot.model import Configuration, DiskState, Mode
from zkboot.zookeeper import formats

NODES = 120
EXTRA = {"admin.enableServer": False, "preAllocSize": 64}  # KiB: logs that are quickly copied
LARGEST = 2 * 1_048_575


class Made(NamedTuple):
    """A directory that a real server filled and left, and the zxid of its last transaction."""

    version_2: Path
    zxid: int


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Several snapshots and logs, the last snapshot well before the last transaction."""
    with machines(tmp_path_factory.mktemp("made"), 1, snap_count=25, extra=EXTRA) as (machine,):
        machine.create()
        client = KazooClient(f"{machine.address}:2181")
        client.start(DEADLINE)
        for number in range(NODES):
            client.create(f"/node-{number}", b"x" * number)
        machine.kill()
        client.stop()
        disk = machine.disk.read()
        assert disk.state is DiskState.DATA and disk.data is not None and disk.why == ""
        yield Made(machine.data / "version-2", disk.data.zxid)


def logs(folder: Path) -> list[Path]:
    return [Path(path) for _, path in formats.named(str(folder), formats.LOG)]


def snapshots(folder: Path) -> list[Path]:
    return [Path(path) for _, path in formats.named(str(folder), formats.SNAPSHOT)]


def records(log: Path) -> list[formats.Record]:
    return list(formats.read_log(str(log), LARGEST))


def flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def cut(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.truncate(offset)


def zero(path: Path, start: int, end: int) -> None:
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))


# Each does something to a copy, and returns the zxid that is left.


def nothing(folder: Path, zxid: int) -> int:
    return zxid


def last_record_cut(folder: Path, zxid: int) -> int:
    last = records(logs(folder)[-1])[-1]
    cut(logs(folder)[-1], last.end - 10)
    return zxid - 1


def last_record_zeroed(folder: Path, zxid: int) -> int:
    last = records(logs(folder)[-1])[-1]
    zero(logs(folder)[-1], last.offset, last.end)
    return zxid - 1


def last_payload_zeroed(folder: Path, zxid: int) -> int:
    last = records(logs(folder)[-1])[-1]
    zero(logs(folder)[-1], last.offset + formats.RECORD_HEADER.size, last.end)
    return zxid - 1


def newest_snapshot_flipped(folder: Path, zxid: int) -> int:
    flip(snapshots(folder)[-1], snapshots(folder)[-1].stat().st_size // 2)
    return zxid


def newest_snapshot_half_written(folder: Path, zxid: int) -> int:
    cut(snapshots(folder)[-1], snapshots(folder)[-1].stat().st_size // 2)
    return zxid


def newest_snapshot_compressed(folder: Path, zxid: int) -> int:
    newest = snapshots(folder)[-1]
    newest.with_name(newest.name + ".gz").write_bytes(gzip.compress(newest.read_bytes()))
    newest.unlink()
    return zxid


def newest_log_empty(folder: Path, zxid: int) -> int:
    """A server that was killed between creating a log and writing its header."""
    (folder / f"log.{zxid + 1:x}").touch()
    return zxid


def epoch_files_gone(folder: Path, zxid: int) -> int:
    (folder / "currentEpoch").unlink()
    (folder / "acceptedEpoch").unlink()
    return zxid


LOADABLE = (
    nothing,
    last_record_cut,
    last_record_zeroed,
    last_payload_zeroed,
    newest_snapshot_flipped,
    newest_snapshot_half_written,
    newest_snapshot_compressed,
    newest_log_empty,
    epoch_files_gone,
)


def test_a_server_loads_the_zxid_that_zkboot_reads(made: Made, tmp_path: Path) -> None:
    left, read, loaded = {}, {}, {}
    with machines(tmp_path, len(LOADABLE), extra=EXTRA) as some:
        for machine, change in zip(some, LOADABLE, strict=True):
            left[change.__name__] = change(copy(made, machine), made.zxid)
            disk = machine.disk.read()
            read[change.__name__] = disk.data.zxid if disk.state is DiskState.DATA and disk.data else disk.why
            machine.start()
        for machine, change in zip(some, LOADABLE, strict=True):
            machine.wait_for(Mode.LEADER)
            loaded[change.__name__] = loaded_by_server(machine)
    assert read == left
    assert loaded == left


def newest_log_flipped(folder: Path) -> Path:
    log = logs(folder)[-1]
    middle = records(log)[len(records(log)) // 2]
    flip(log, middle.end - 3)
    return log


def newest_log_header_zeroed(folder: Path) -> Path:
    zero(logs(folder)[-1], 0, 16)
    return logs(folder)[-1]


def stray_compressed_log(folder: Path) -> Path:
    log = logs(folder)[-1]
    stray = log.with_name(log.name + "0.gz")
    stray.write_bytes(gzip.compress(log.read_bytes()))
    return stray


def logs_without_snapshot(folder: Path) -> Path:
    for snapshot in snapshots(folder):
        snapshot.unlink()
    return logs(folder)[0]


def epoch_too_old(folder: Path) -> Path:
    (folder / "currentEpoch").write_text("0")
    return folder / "currentEpoch"


def accepted_epoch_empty(folder: Path) -> Path:
    (folder / "acceptedEpoch").write_text("")
    return folder / "acceptedEpoch"


def middle_log_missing(folder: Path) -> Path:
    for snapshot in snapshots(folder)[1:]:
        snapshot.unlink()
    logs(folder)[1].unlink()
    return logs(folder)[1]


FATAL = (
    newest_log_flipped,
    newest_log_header_zeroed,
    stray_compressed_log,
    logs_without_snapshot,
    epoch_too_old,
    accepted_epoch_empty,
    middle_log_missing,
)


def test_what_zkboot_calls_damaged_no_server_starts_from(made: Made, tmp_path: Path) -> None:
    with machines(tmp_path, len(FATAL), extra=EXTRA) as some:
        for machine, change in zip(some, FATAL, strict=True):
            named = change(copy(made, machine))
            disk = machine.disk.read()
            assert disk.state is DiskState.DAMAGED and disk.why.startswith(str(named)), change.__name__
            machine.start()
        for machine, change in zip(some, FATAL, strict=True):
            wait_for(f"the server to give up: {change.__name__}", lambda m=machine: not m.server.process().running)


def test_transactions_missing_right_after_the_snapshot_are_damage_though_a_server_starts_without_them(
    made: Made, tmp_path: Path
) -> None:
    with machines(tmp_path, 1, extra=EXTRA) as (machine,):
        folder = copy(made, machine)
        for snapshot in snapshots(folder)[1:]:
            snapshot.unlink()
        missing, after = logs(folder)[:2]
        missing.unlink()
        disk = machine.disk.read()
        assert disk.state is DiskState.DAMAGED and disk.data is not None
        assert disk.why.startswith(f"{after}, offset 16: transaction 0x{records(after)[0].zxid:x} follows 0x0")
        assert disk.data.zxid == 0
        machine.start()
        machine.wait_for(Mode.LEADER)


def test_a_log_cut_in_the_middle_of_the_way_is_damage(made: Made, tmp_path: Path) -> None:
    with machines(tmp_path, 1, extra=EXTRA) as (machine,):
        folder = copy(made, machine)
        for snapshot in snapshots(folder)[1:]:
            snapshot.unlink()
        cut(logs(folder)[1], records(logs(folder)[1])[-1].end - 1)
        assert machine.disk.read().why.startswith(str(logs(folder)[2]))


def copy(made: Made, machine: Machine) -> Path:
    """The made data on that machine, as a generation of it alone."""
    members = Configuration(0, (machine.line(),))
    machine.disk.build_empty(IDENTITY, machine.number, members, 0)
    (machine.data / "initialize").unlink()
    return shutil.copytree(made.version_2, machine.data / "version-2")


def loaded_by_server(machine: Machine) -> int:
    """A leader begins with a snapshot of what it has loaded."""
    loaded = [line.rpartition("snapshot.")[2].split()[0] for line in machine.log().splitlines() if "Snapshotting: 0x" in line]
    return int(loaded[0], 16)
