"""The survey of a data directory and the archive made of it: whole, or an error that names file and offset."""

import gzip
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.zk_data import record, write_log, write_snapshot
from zkboot.backup import archive, survey
from zkboot.backup import manifest as manifests
from zkboot.backup.archive import Checksums
from zkboot.backup.manifest import Manifest
from zkboot.errors import Damaged, NewerSchema, UnknownFact

LARGEST = 2 << 20
NAME = "20261122T104700Z"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A whole directory: a snapshot, the log that it begins in, and a later one."""
    folder = tmp_path / "version-2"
    write_snapshot(folder, 3)
    write_snapshot(folder, 6, fuzzy_end=7)
    write_log(folder, range(1, 9))
    write_log(folder, range(9, 12))
    return folder


def source(folder: Path) -> survey.Source:
    return survey.Source(str(folder), str(folder), LARGEST)


def written(folder: Path, wanted: int = 0) -> tuple[Manifest, bytes]:
    with survey.survey(source(folder), wanted) as found:
        return send(found)


def send(found: survey.Survey) -> tuple[Manifest, bytes]:
    sent: list[bytes] = []
    made = archive.write(found, 1.7e9, LARGEST, sent.append)
    return manifest_of(made._asdict()), b"".join(sent)


def manifest_of(made: dict[str, object]) -> Manifest:
    about = {"cluster": "a", "cluster_id": "c", "generation": 1, "server_id": 1, "instance_id": "i-1", "mode": "hot"}
    more = {"had_quorum": True, "epoch": 1, "seconds": 1.0, "zkboot": "1", "zookeeper": "3.9.5", "largest": LARGEST}
    return Manifest(name=NAME, **about, **more, **made)  # type: ignore[arg-type]


def check(manifest: Manifest, body: bytes) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}

    def keep(path: str, data: bytes) -> None:
        kept[path] = kept.get(path, b"") + data

    pieces = iter([body[at : at + 100] for at in range(0, len(body), 100)])
    archive.check(manifest, pieces, keep)
    return kept


# --- what is copied


def test_how_long_a_record_may_be_is_said_by_the_manifest_and_not_by_the_reader(data: Path) -> None:
    manifest, body = written(data, wanted=11)
    with pytest.raises(Damaged, match=r"a record of \d+ bytes \(at most 16 are possible\)"):
        check(manifest._replace(largest=16), body)


def test_the_newest_snapshot_and_the_logs_after_it_cut_at_their_last_record(data: Path) -> None:
    manifest, body = written(data, wanted=11)
    kept = check(manifest, body)
    assert list(kept) == ["version-2/snapshot.6", "version-2/log.1", "version-2/log.9"]
    assert (manifest.first, manifest.last) == (6, 11)
    assert kept["version-2/log.9"] == (data / "log.9").read_bytes()[:-1000]
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        assert tar.getnames() == list(kept)
    assert manifests.of_json(manifests.to_json(manifest), f"backups/a/{NAME}.manifest.json") == manifest


def test_split_folders(data: Path, tmp_path: Path) -> None:
    logs = tmp_path / "log/version-2"
    logs.mkdir(parents=True)
    for path in data.glob("log.*"):
        path.rename(logs / path.name)
    with survey.survey(survey.Source(str(data), str(logs), LARGEST), 11) as found:
        manifest, body = send(found)
    assert len(check(manifest, body)) == 3


def test_a_compressed_snapshot_is_kept_as_it_is(data: Path) -> None:
    (data / "snapshot.6.gz").write_bytes(gzip.compress((data / "snapshot.6").read_bytes()))
    (data / "snapshot.6").unlink()
    manifest, body = written(data)
    assert "version-2/snapshot.6.gz" in check(manifest, body)


def test_a_snapshot_half_written_gives_way_to_the_one_before(data: Path) -> None:
    (data / "snapshot.a").write_bytes((data / "snapshot.6").read_bytes()[:-9])
    (data / "snapshot.b.tmp").write_bytes((data / "snapshot.6").read_bytes())
    assert written(data)[0].first == 6


def test_an_empty_log_is_left_out(data: Path) -> None:
    (data / "log.c").touch()
    write_log(data, [12], padding=0)
    (data / "log.d").touch()
    assert written(data)[0].last == 12


def test_a_record_cut_by_a_power_cut_is_left_out(data: Path) -> None:
    whole = (data / "log.9").read_bytes()[:-1000]
    (data / "log.9").write_bytes(whole + record(12)[:20])
    assert written(data)[0].last == 11
    (data / "log.9").write_bytes(whole + record(12)[:20] + bytes(1000))
    assert written(data)[0].last == 11


def test_no_snapshot_yet(data: Path) -> None:
    for path in data.glob("snapshot.*"):
        path.unlink()
    with pytest.raises(UnknownFact, match="holds no snapshot yet, without which no server starts"):
        written(data)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnknownFact, match="holds no snapshot yet"):
        written(tmp_path / "none")


def test_a_missing_log_is_a_gap(data: Path) -> None:
    write_log(data, [14])
    with pytest.raises(Damaged, match=r"log\.e, offset 16: transaction 0xe follows 0xb: those between are missing"):
        written(data)


def test_the_logs_must_reach_what_the_snapshot_may_hold(data: Path) -> None:
    write_snapshot(data, 8, fuzzy_end=20)
    with pytest.raises(Damaged, match="the snapshot reaches into 0x14, the logs end with 0xb"):
        written(data)


def test_a_broken_record_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "TAIL_ATTEMPTS", 2)
    for name in ("log.1", "log.9"):
        path = data / name
        good = path.read_bytes()
        path.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        with pytest.raises(Damaged, match=rf"{name}, offset 16: a record fails its checksum"):
            written(data)
        path.write_bytes(good)


def test_a_server_that_is_behind(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "AHEAD_SECONDS", 0.2)
    with pytest.raises(
        UnknownFact, match=r"ends with transaction 0xb after 0\.2 s; the ensemble is at 0xc: this server is behind"
    ):
        written(data, wanted=12)


# --- a server at work meanwhile


def test_files_that_are_purged_after_the_survey_are_copied_all_the_same(data: Path) -> None:
    with survey.survey(source(data), 11) as found:
        for path in data.iterdir():
            path.unlink()
        assert len(check(*send(found))) == 3


def test_a_log_truncated_after_the_survey_is_no_backup(data: Path) -> None:
    with survey.survey(source(data), 11) as found:
        os.truncate(data / "log.9", 60)
        with pytest.raises(Damaged, match=r"version-2/log\.9, offset \d+: cut short"):
            send(found)


def test_a_log_rewritten_after_the_survey_is_no_backup(data: Path) -> None:
    with survey.survey(source(data), 11) as found:
        body = (data / "log.9").read_bytes()
        (data / "log.9").write_bytes(body[:50] + b"??" + body[52:])
        with pytest.raises(Damaged, match=r"version-2/log\.9, offset 16: a record fails its checksum"):
            send(found)


def test_a_log_that_grows_all_the_time(data: Path) -> None:
    ended = threading.Event()

    def grow() -> None:
        with (data / "log.9").open("r+b", buffering=0) as file:
            file.seek(-1000, os.SEEK_END)
            for zxid in range(12, 20_000):
                if ended.is_set():
                    return
                for part in (record(zxid)[:15], record(zxid)[15:]):
                    file.write(part)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        for _ in range(20):
            check(*written(data, wanted=12))
    finally:
        ended.set()
        thread.join()


# --- reading back


@pytest.fixture
def whole(data: Path) -> Iterator[tuple[Manifest, bytes]]:
    yield written(data)


def test_a_wrong_byte_anywhere_is_found_with_its_offset(whole: tuple[Manifest, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, body = whole
    for at in range(len(body)):
        with pytest.raises(Damaged, match=rf"^{NAME}\.tar\.gz, offset 0: the {len(body)} bytes from here fail their SHA-256"):
            check(manifest, body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1 :])


def test_the_piece_is_named(whole: tuple[Manifest, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PIECE", 64)
    monkeypatch.setattr(manifests, "PIECE", 64)
    manifest, body = whole
    sums = Checksums()
    sums.add(body)
    size, sha256, pieces = sums.end()
    manifest = manifest._replace(size=size, sha256=sha256, pieces=pieces)
    check(manifest, body)
    with pytest.raises(Damaged, match="offset 128: the 64 bytes from here fail"):
        check(manifest, body[:150] + b"?" + body[151:])


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_truncated_archive(whole: tuple[Manifest, bytes], cut: int) -> None:
    manifest, body = whole
    with pytest.raises(Damaged, match=rf"offset {len(body[:cut])}: the archive ends"):
        check(manifest, body[:cut])


def test_a_longer_archive(whole: tuple[Manifest, bytes]) -> None:
    manifest, body = whole
    with pytest.raises(Damaged, match=rf"offset {len(body)}: the archive ends or goes on here"):
        check(manifest, body + b"x")


def forged(manifest: Manifest, *members: tuple[tarfile.TarInfo, bytes]) -> tuple[Manifest, bytes]:
    """An archive with other content, and the manifest with its checksums: what somebody with write access could put there."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for about, data in members:
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return resealed(manifest, body.getvalue())


def resealed(manifest: Manifest, body: bytes) -> tuple[Manifest, bytes]:
    sums = Checksums()
    sums.add(body)
    size, sha256, pieces = sums.end()
    return manifest._replace(size=size, sha256=sha256, pieces=pieces), body


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, link
    return about


@pytest.mark.parametrize(
    "about",
    [
        member("../../etc/passwd"),
        member("/etc/passwd"),
        member("version-2/snapshot.6", tarfile.SYMTYPE, "/etc/passwd"),
        member("version-2/snapshot.6", tarfile.LNKTYPE, "/etc/passwd"),
        member("version-2/snapshot.6", tarfile.CHRTYPE),
        member("version-2/log.1"),
    ],
    ids=lambda about: f"{about.name}-{about.type!r}",
)
def test_what_the_manifest_does_not_name_is_refused_before_a_byte_is_kept(
    whole: tuple[Manifest, bytes], about: tarfile.TarInfo
) -> None:
    manifest = whole[0]
    kept: list[str] = []
    forgery, body = forged(manifest, (about, b""))
    with pytest.raises(Damaged, match=rf"{NAME}\.tar\.gz: holds "):
        archive.check(forgery, iter([body]), lambda path, data: kept.append(path))
    assert not kept


def test_a_bomb_is_not_unpacked(whole: tuple[Manifest, bytes], data: Path) -> None:
    manifest = whole[0]
    snapshot = (data / "snapshot.6").read_bytes()
    forgery, body = forged(manifest, (member("version-2/snapshot.6"), snapshot + bytes(50 << 20)))
    with pytest.raises(Damaged, match=f"holds 'version-2/snapshot.6' \\({len(snapshot) + (50 << 20)} bytes\\) where"):
        check(forgery, body)


def test_a_file_replaced_by_a_whole_one_is_found(whole: tuple[Manifest, bytes], data: Path) -> None:
    manifest = whole[0]
    other = write_snapshot(data.parent / "other", 6, fuzzy_end=7, tree=b"eert").read_bytes()
    forgery, body = forged(manifest, (member("version-2/snapshot.6"), other))
    with pytest.raises(Damaged, match=r"version-2/snapshot\.6: its SHA-256 is"):
        check(forgery, body)


def test_what_is_no_gzip(whole: tuple[Manifest, bytes]) -> None:
    manifest = whole[0]
    with pytest.raises(Damaged, match="not gzip data"):
        check(*resealed(manifest, b"no gzip at all"))
    with pytest.raises(Damaged, match="more bytes after the end of its gzip data"):
        check(*resealed(manifest, whole[1] + b"more"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_somebody_puts_there_is_whole_or_damaged(whole: tuple[Manifest, bytes], data: st.DataObject) -> None:
    """Bytes of the tar changed, cut out or put in, under checksums that are right again: content may be told from content only by
    the checksums of the files, and nothing else is ever said than Damaged."""
    manifest, body = whole
    plain = bytearray(gzip.decompress(body))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(plain) - 1))
        plain[at : at + data.draw(st.integers(0, 600))] = data.draw(st.binary(max_size=600))
    forgery, changed = resealed(manifest, gzip.compress(bytes(plain)))
    try:
        kept = check(forgery, changed)
    except Damaged as damage:
        assert str(damage).startswith(f"{NAME}.tar.gz")
    else:
        assert kept == check(manifest, body)


# --- the manifest


def test_a_manifest_that_cannot_be_read_is_named(whole: tuple[Manifest, bytes]) -> None:
    key = f"backups/a/{NAME}.manifest.json"
    good = manifests.to_json(whole[0])
    with pytest.raises(Damaged, match=f"{key}: not JSON"):
        manifests.of_json(good[:-5], key)
    with pytest.raises(Damaged, match=f"{key}: not JSON"):
        manifests.of_json(b"[" * 100_000, key)
    with pytest.raises(NewerSchema, match="has schema 2, newer"):
        manifests.of_json(good.replace(b'"schema": 1', b'"schema": 2'), key)
    with pytest.raises(Damaged, match="the manifest of another backup"):
        manifests.of_json(good, "backups/a/20200101T000000Z.manifest.json")
    for old, new in ((b"version-2/log.1", b"../../x/log.1"), (b'"0xb"', b'"b"'), (b'"generation": 1', b'"generation": -1')):
        with pytest.raises(Damaged, match="not a manifest of schema 1"):
            manifests.of_json(good.replace(old, new), key)


def test_files_that_come_twice_or_out_of_order_are_no_manifest(whole: tuple[Manifest, bytes]) -> None:
    """A log once more would be written behind itself: no server reads that, though each of the two is whole."""
    key, good = f"backups/a/{NAME}.manifest.json", whole[0]
    snapshot, first, second = good.files
    again = first._replace(path="version-2/log.01")
    for files in (
        (snapshot, first, first, second),
        (snapshot, first, again, second),
        (snapshot, second, first),
        (first, snapshot),
    ):
        with pytest.raises(Damaged, match="not a manifest of schema 1: files cannot be so"):
            manifests.of_json(manifests.to_json(good._replace(files=files)), key)


def test_names_are_times() -> None:
    assert manifests.name_of(manifests.instant_of(NAME)) == NAME
