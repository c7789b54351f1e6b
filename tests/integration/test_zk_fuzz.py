"""Mutated real files: a log or a snapshot that was changed anywhere is found so, at an offset; nothing hangs.

What a reader may still call whole is what ZooKeeper's own format leaves open, and no more: a log that ends earlier, where a
length of 0, -1 or a missing end byte remains, as after a power cut; then its records are a beginning of the true ones.

FUZZ=100 in the environment tries so many times more.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kazoo.client import KazooClient

from tests.integration.servers import machines
from zkboot.backup import archive, survey
from zkboot.backup.archive import Written
from zkboot.errors import Damaged, UnknownFact
from zkboot.zookeeper import formats, tree

LARGEST = 2 * 1_048_575
AT_AN_OFFSET = re.compile(r"offset \d+")
TIMES = int(os.environ.get("FUZZ", "1"))
EXAMPLES = settings(max_examples=300 * TIMES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Real(NamedTuple):
    """What a server wrote: folder, a log in the middle, the newest snapshot."""

    folder: Path
    log: Path
    snapshot: Path


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes to these files: waiting for more of them is in vain."""
    monkeypatch.setattr(survey, "PAUSE", 0.0)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    extra = {"admin.enableServer": False, "preAllocSize": 64}
    with machines(tmp_path_factory.mktemp("made"), 1, snap_count=40, extra=extra) as (machine,):
        machine.create()
        client = KazooClient(f"{machine.address}:2181")
        client.start()
        for number in range(90):
            client.create(f"/node-{number}", bytes(range(number)))
            if number % 3 == 0:
                client.delete(f"/node-{number}")
        many = client.transaction()
        many.create("/m")
        many.set_data("/node-1", b"B" * 40)
        many.commit()
        machine.kill()
        client.stop()
        kept = tmp_path_factory.mktemp("kept") / "version-2"
        shutil.copytree(machine.data / "version-2", kept)
    logs = formats.named(str(kept), formats.LOG)
    snapshots = formats.named(str(kept), formats.SNAPSHOT)
    yield Real(kept, Path(logs[-2].path), Path(snapshots[-1].path))


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    """What happens where (a part of the file's length), one after the other."""
    kinds = st.sampled_from(["replace", "insert", "cut", "end", "zero", "swap"])
    where = st.floats(0, 1, exclude_max=True)
    return draw(st.lists(st.tuples(kinds, where, st.binary(min_size=1, max_size=40)), min_size=1, max_size=3))


def mutated(body: bytes, steps: list[tuple[str, float, bytes]], used: int) -> bytes:
    """Only what is `used` of a preallocated log is worth changing."""
    for kind, where, data in steps:
        at = int(where * min(len(body), used))
        if kind == "replace":
            body = body[:at] + data + body[at + len(data) :]
        elif kind == "insert":
            body = body[:at] + data + body[at:]
        elif kind == "cut":
            body = body[:at] + body[at + len(data) :]
        elif kind == "end":
            body = body[:at]
        elif kind == "zero":
            body = body[:at] + bytes(len(data)) + body[at + len(data) :]
        else:
            middle = body[at : at + len(data)]
            body = body[:at] + middle[::-1] + body[at + len(data) :]
    return body


@EXAMPLES
@given(steps=mutations())
def test_a_log(real: Real, tmp_path: Path, steps: list[tuple[str, float, bytes]]) -> None:
    true = list(formats.read_log(str(real.log), LARGEST))
    path = tmp_path / real.log.name
    body = mutated(real.log.read_bytes(), steps, true[-1].end)
    path.write_bytes(body)
    try:
        found = list(formats.read_log(str(path), LARGEST))
    except Damaged as damage:
        assert AT_AN_OFFSET.search(str(damage)) and str(path) in str(damage)
        return
    known = {record.payload for record in true}
    assert all(record.payload in known for record in found), "a transaction that nobody made"
    order = [record.zxid for record in found]
    if order == sorted(set(order)) and order[:1] == [true[0].zxid] and order == list(range(order[0], order[0] + len(order))):
        assert [record.payload for record in found] == [record.payload for record in true[: len(found)]]


@EXAMPLES
@given(steps=mutations())
def test_a_snapshot(real: Real, tmp_path: Path, steps: list[tuple[str, float, bytes]]) -> None:
    good = real.snapshot.read_bytes()
    path = tmp_path / real.snapshot.name
    body = mutated(good, steps, len(good))
    path.write_bytes(body)
    if body == good:
        return
    with pytest.raises(Damaged, match=AT_AN_OFFSET) as raised:
        formats.read_snapshot(str(path))
    assert str(path) in str(raised.value)


@settings(EXAMPLES, max_examples=80 * TIMES)
@given(steps=mutations(), newest=st.booleans())
def test_what_a_backup_makes_of_a_folder(real: Real, tmp_path: Path, steps: list[tuple[str, float, bytes]], newest: bool) -> None:
    """A set that is whole (of this folder, an older snapshot at worst) and can be counted, or damage; never a wrong one."""
    folder = tmp_path / "version-2"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(real.folder, folder)
    victim = folder / (real.snapshot.name if newest else real.log.name)
    victim.write_bytes(mutated(victim.read_bytes(), steps, 8000))
    try:
        with survey.survey(survey.Source(str(folder), str(folder), LARGEST), 0) as found:
            written: Written = archive.write(found, 1.7e9, LARGEST, lambda data: None)
    except (Damaged, UnknownFact) as error:
        assert AT_AN_OFFSET.search(str(error)) or isinstance(error, UnknownFact), error
        return
    paths = [str(folder / Path(file.path).name) for file in written.files]
    true = formats.read_snapshot(str(real.folder / Path(paths[0]).name))
    assert formats.read_snapshot(paths[0]) == true
    last = {
        record.zxid: record.payload
        for log in formats.named(str(real.folder), formats.LOG)
        for record in formats.read_log(log.path, LARGEST)
    }
    for path in paths[1:]:
        assert all(last[record.zxid] == record.payload for record in formats.read_log(path, LARGEST))


def test_a_log_of_no_bytes(real: Real, tmp_path: Path) -> None:
    """As a power cut leaves one that was just begun; a server starts from such files."""
    folder = tmp_path / "version-2"
    shutil.copytree(real.folder, folder)
    with survey.survey(survey.Source(str(folder), str(folder), LARGEST), 0) as found:
        last = found.last
    (folder / f"log.{last + 1:x}").touch()
    with survey.survey(survey.Source(str(folder), str(folder), LARGEST), last) as found:
        written = archive.write(found, 1.7e9, LARGEST, lambda data: None)
    assert written.last == last and f"version-2/log.{last + 1:x}" not in [file.path for file in written.files]


def test_no_snapshot_yet(real: Real, tmp_path: Path) -> None:
    folder = tmp_path / "version-2"
    shutil.copytree(real.folder, folder, ignore=shutil.ignore_patterns("snapshot.*"))
    with (
        pytest.raises(UnknownFact, match="holds no snapshot yet, without which no server starts"),
        survey.survey(survey.Source(str(folder), str(folder), LARGEST), 0),
    ):
        pass


@EXAMPLES
@given(body=st.binary(max_size=200))
def test_a_transaction_that_is_none(real: Real, body: bytes) -> None:
    """The reader of transactions, given anything behind a right header."""
    (first, *_) = formats.read_log(str(real.log), LARGEST)
    record = first._replace(payload=first.payload[:32] + body)
    try:
        effect = tree._effect(record, "log.1")
    except Damaged as damage:
        assert "log.1, offset" in str(damage)
    else:
        assert all(isinstance(path, str) for path, _ in effect.paths)
