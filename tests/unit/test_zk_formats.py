"""Logs and snapshots: whole, cut, flipped, padded."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.zk_data import record, write_epochs, write_log, write_snapshot
from zkboot.errors import Damaged, UnknownFact
from zkboot.zookeeper import contents, formats
from zkboot.zookeeper.contents import Contents

LARGEST = 2_000_000
E1 = 1 << 32
E2 = 2 << 32


def zxids(path: Path) -> list[int]:
    return [r.zxid for r in formats.read_log(str(path), LARGEST)]


def read(folder: Path) -> Contents:
    return contents.Reader(str(folder), str(folder), LARGEST).read()


@pytest.mark.parametrize("padding", [0, 11, 5000, 3 << 20])
def test_a_log_is_read_to_its_padding(tmp_path: Path, padding: int) -> None:
    assert zxids(write_log(tmp_path, range(E1 + 1, E1 + 9), padding)) == list(range(E1 + 1, E1 + 9))


@pytest.mark.parametrize("cut", [1, 5, 20, 40])
def test_an_unfinished_last_record_is_dropped(tmp_path: Path, cut: int) -> None:
    path = write_log(tmp_path, range(E1 + 1, E1 + 4), padding=0)
    os.truncate(path, path.stat().st_size - cut)
    assert zxids(path) == [E1 + 1, E1 + 2]


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_flipped_bit_passes_for_another_log(tmp_path: Path, data: st.DataObject) -> None:
    path = write_log(tmp_path, range(E1 + 1, E1 + 6), padding=64)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    if at in range(8, 16):  # the database id, which nothing reads
        return
    try:
        found = zxids(path)
    except Damaged as error:
        assert str(error).startswith(f"{path}, offset ")
    else:  # after the records it is the torn beginning of another
        assert found == list(range(E1 + 1, E1 + 6)) and at >= len(content) - 64


def test_bytes_after_the_end_are_damage(tmp_path: Path) -> None:
    path = write_log(tmp_path, [E1 + 1], padding=3 << 20)
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(size - 100)
        file.write(b"x")
    with pytest.raises(Damaged, match=f"offset {size - 100}: bytes after the end"):
        zxids(path)


def test_a_whole_record_that_is_longer_than_a_server_reads_is_no_damage(tmp_path: Path) -> None:
    """Of what is whole, only a setting keeps a server: to lower it, on all nodes, must not archive every disk."""
    folder = tmp_path / "version-2"
    write_snapshot(folder, 0)
    path = write_log(folder, [E1 + 1])
    longer = record(E1 + 2, bytes(LARGEST))
    path.write_bytes(path.read_bytes().rstrip(b"\0") + longer + bytes(1000))
    with pytest.raises(UnknownFact, match=rf"{path}, offset \d+: a record of 2000032 bytes .*_maxbuffer to 1000016 or more"):
        read(tmp_path)
    assert contents.Reader(str(tmp_path), str(tmp_path), 2 * 1_000_016).read().zxid == E1 + 2
    path.write_bytes(path.read_bytes().replace(longer, longer[:-2] + b"xB"))
    assert f"{len(longer) - 13} bytes" in read(tmp_path).damage


@pytest.mark.parametrize("version", ["3.4", "3.6", "3.9"])
@pytest.mark.parametrize("tree", [b"t", b"tree" * 700_000])
def test_a_snapshot_tells_the_end_of_its_fuzzy_range(tmp_path: Path, version: str, tree: bytes) -> None:
    path = write_snapshot(tmp_path, E1 + 5, E1 + 9, tree, version)
    end, digest = (E1 + 5, None) if version == "3.4" else (E1 + 9, (E1 + 9, 2, 99))
    assert formats.read_snapshot(str(path)) == formats.Snapshot(E1 + 5, end, path.stat().st_size, digest)
    compressed = path.with_name(path.name + ".gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert formats.read_snapshot(str(compressed))[:2] == (E1 + 5, end)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_flipped_bit_passes_for_a_snapshot(tmp_path: Path, data: st.DataObject) -> None:
    path = write_snapshot(tmp_path, E1 + 5)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(Damaged, match="offset"):
        formats.read_snapshot(str(path))


def test_no_cut_snapshot_passes_but_where_an_older_version_ends(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path, E1 + 5)
    whole = path.stat().st_size
    after_each_seal = {whole - 21, whole - 21 - 33}
    for size in reversed(range(whole)):
        os.truncate(path, size)
        if size in after_each_seal:
            assert formats.read_snapshot(str(path)).zxid == E1 + 5
        else:
            with pytest.raises(Damaged):
                formats.read_snapshot(str(path))


def test_a_cut_compressed_snapshot_is_damaged_and_snappy_is_unknown(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path, E1 + 5, tree=os.urandom(5000))
    compressed = path.with_name(path.name + ".gz")
    compressed.write_bytes(gzip.compress(path.read_bytes())[:3000])
    with pytest.raises(Damaged, match="gzip"):
        formats.read_snapshot(str(compressed))
    with pytest.raises(UnknownFact, match="Snappy"):
        formats.read_snapshot(str(path.rename(path.with_name(path.name + ".snappy"))))


@pytest.mark.parametrize(
    ("name", "zxid"),
    [("log.1f", 31), ("log.1f.gz", 31), ("log.zz", -1), ("log", -1), ("snapshot.1f", -1), ("log.", -1), ("logs.1f", -1)],
)
def test_names(name: str, zxid: int) -> None:
    assert formats.zxid_of_name(name, formats.LOG) == zxid


# --- what a directory holds


def test_nothing_and_epoch_files_alone_are_empty(tmp_path: Path) -> None:
    assert read(tmp_path).empty
    folder = tmp_path / "version-2"
    folder.mkdir()
    assert read(tmp_path).empty
    write_epochs(folder, -1, -1)
    assert read(tmp_path).empty
    (folder / "snapshot.0").write_bytes(b"half written")
    assert read(tmp_path).empty


def made(tmp_path: Path) -> Path:
    """Two snapshots, four logs, two epochs, up to transaction 0x200000003."""
    folder = tmp_path / "version-2"
    write_snapshot(folder, 0)
    write_log(folder, range(E1 + 1, E1 + 5))
    write_log(folder, range(E1 + 5, E1 + 11))
    write_snapshot(folder, E1 + 7, E1 + 8)
    write_log(folder, range(E1 + 11, E1 + 14))
    write_log(folder, range(E2 + 1, E2 + 4))
    write_epochs(folder, 2, 3)
    return folder


def test_the_state_is_the_newest_snapshot_and_what_follows_it(tmp_path: Path) -> None:
    folder = made(tmp_path)
    held = read(tmp_path)
    assert held.snapshot is not None and held.snapshot[:2] == (E1 + 7, E1 + 8)
    assert held == Contents(E2 + 3, 2, 3, held.snapshot)
    (folder / f"log.{E1 + 1:x}").unlink()  # older than any state that would be loaded
    assert read(tmp_path).damage == ""


@pytest.mark.parametrize("gone", [E1 + 5, E1 + 11])
def test_a_missing_log_is_damage(tmp_path: Path, gone: int) -> None:
    folder = made(tmp_path)
    (folder / f"log.{gone:x}").unlink()
    held = read(tmp_path)
    assert "those between are missing" in held.damage or gone == E1 + 11
    assert held.zxid in (E1 + 7, E2 + 3)


def test_an_epoch_whose_first_transactions_are_missing_is_damage(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / f"log.{E2 + 1:x}").unlink()
    write_log(folder, range(E2 + 2, E2 + 4))
    assert read(tmp_path).damage.endswith("follows 0x10000000d: those between are missing")


def test_transactions_seen_twice_are_no_damage(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / f"log.{E1 + 11:x}").unlink()
    write_log(folder, [E1 + 9, E1 + 10, E1 + 11, E1 + 11, E1 + 12, E1 + 13])
    assert (read(tmp_path).zxid, read(tmp_path).damage) == (E2 + 3, "")


def test_a_damaged_newest_snapshot_falls_back_to_an_older_one(tmp_path: Path) -> None:
    folder = made(tmp_path)
    path = folder / f"snapshot.{E1 + 7:x}"
    path.write_bytes(path.read_bytes().replace(b"tree", b"ants"))
    held = read(tmp_path)
    assert (held.zxid, held.damage, held.snapshot and held.snapshot.zxid) == (E2 + 3, "", 0)
    (folder / f"log.{E1 + 1:x}").unlink()
    assert "follows 0x0" in read(tmp_path).damage


def test_an_empty_log_is_damage_unless_it_is_the_newest(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / f"log.{E2 + 4:x}").touch()
    assert read(tmp_path).damage == ""
    (folder / f"log.{E1 + 11:x}").write_bytes(b"")
    assert "an empty log" in read(tmp_path).damage


@pytest.mark.parametrize(("current", "accepted", "words"), [(1, 3, "older than the last"), (2, 1, "below the current epoch")])
def test_epoch_files_that_no_server_starts_from(tmp_path: Path, current: int, accepted: int, words: str) -> None:
    write_epochs(made(tmp_path), current, accepted)
    assert words in read(tmp_path).damage


def test_an_epoch_that_was_being_written_counts(tmp_path: Path) -> None:
    folder = made(tmp_path)
    write_epochs(folder, 1, 3)
    (folder / "currentEpoch.tmp").write_text("2")
    assert read(tmp_path)[:3] == (E2 + 3, 2, 3) and read(tmp_path).damage == ""


def test_what_was_read_before_the_damage_is_said(tmp_path: Path) -> None:
    folder = made(tmp_path)
    for path in folder.glob("snapshot.*"):
        path.write_bytes(path.read_bytes().replace(b"tree", b"ants"))
    held = read(tmp_path)
    assert "seal" in held.damage and held.zxid == E2 + 3


def test_a_file_is_verified_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path)
    read_snapshot, times = formats.read_snapshot, []
    monkeypatch.setattr(formats, "read_snapshot", lambda path: times.append(path) or read_snapshot(path))
    reader = contents.Reader(str(tmp_path), str(tmp_path), LARGEST)
    first = reader.read()
    write_log(folder, range(E2 + 4, E2 + 6))
    assert (first.zxid, reader.read().zxid, len(times)) == (E2 + 3, E2 + 5, 1)


def test_a_folder_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "version-2").write_text("not a folder")
    with pytest.raises(UnknownFact, match="version-2"):
        read(tmp_path)
