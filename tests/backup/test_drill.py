"""A drill: a server is started from a backup, and its tree is what the ensemble's was, or the drill fails."""

import json
import os
import signal
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from tests.backup.ensemble import Place, client, prove
from tests.backup.test_hot import Writer
from tests.integration.aws import Node, node
from tests.integration.servers import SMALL_JVM, Machine, machines, wait_for
from zkboot import steps
from zkboot.backup import archive, drill, scratch, survey
from zkboot.backup import manifest as manifests
from zkboot.backup.manifest import ARCHIVE, DRILLED, MANIFEST, Manifest
from zkboot.errors import Damaged, UnknownFact, ZkbootError
from zkboot.zookeeper import formats, sizing, tree

TTL = "-Dzookeeper.extendedTypesEnabled=true"


@pytest.fixture(scope="module")
def aws() -> Iterator[Node]:
    with node() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One with everything that a tree may hold."""
    with machines(tmp_path_factory.mktemp("one"), 1, snap_count=500, jvm_flags=(*SMALL_JVM, TTL)) as (machine,):
        machine.create()
        prove(machine)
        yield machine


@pytest.fixture
def place(aws: Node, server: Machine) -> Iterator[Place]:
    found = Place(aws, server)
    found.remove_all()
    yield found
    found.remove_all()
    assert not Path(f"{found.settings.node.state_dir}/drill").exists(), "nothing of a drill is left"
    steps.hook = lambda when, name: None


def drilled(place: Place, manifest: Manifest | None = None) -> Manifest:
    found = manifest or place.newest()
    drill.drill(place.store, place.settings, found, "a test", place.said.append)
    return found


def fill(zk: KazooClient) -> None:
    """Every type of transaction."""
    zk.ensure_path("/a/b/c")
    zk.create("/a/seq-", b"x" * 50, sequence=True)
    zk.create("/a/mine", b"secret", acl=[make_digest_acl("me", "pw", all=True)])
    zk.create("/a/ephemeral", ephemeral=True)
    zk.set_acls("/a/b", zk.get_acls("/a/b")[0])
    zk.set("/a/b/c", "ünïcödé".encode())
    many = zk.transaction()
    for number in range(5):
        many.create(f"/a/m{number}")
    many.delete("/a/m1")
    many.set_data("/a/m2", b"two")
    assert all(not isinstance(answer, Exception) for answer in many.commit())
    failed = zk.transaction()
    failed.create("/a/never")
    failed.delete("/a/not-there")
    assert any(isinstance(answer, Exception) for answer in failed.commit())
    zk.delete("/a/m3")
    zk.delete("/a/b/c")


def test_every_kind_of_znode_is_counted_and_its_digest_is_the_ensembles(place: Place, server: Machine) -> None:
    with client(server) as zk:
        fill(zk)
        home = server.settings.node.zookeeper_home
        for line in ("create -c /a/container", "create -t 86400000 /a/ttl", "setquota -n 100 /a/b"):
            main = (
                "-cp",
                f"{home}/lib/*",
                "org.apache.zookeeper.ZooKeeperMain",
                "-server",
                f"{server.address}:2181",
                *line.split(),
            )
            done = subprocess.run(["java", *SMALL_JVM, *main], check=True, capture_output=True, text=True)
            assert "Created" in done.stderr + done.stdout or "setquota" in line, done
        place.typed()  # with a session, and an ephemeral node
    manifest = drilled(place)
    mark = json.loads(place.get(manifest.name + DRILLED))
    assert mark["nodes"] > 15 and mark["digest"] and mark["seconds"] >= mark["start"] > 0 and mark["age"] >= 0
    assert place.said[-1].startswith(f"drilled {manifest.name}: a server started from it holds {mark['nodes']} znodes, digest ")
    entry = place.listed().named(manifest.name)
    assert entry.drilled and entry.verified


def test_while_it_is_written_to(place: Place, server: Machine) -> None:
    """Snapshots that are fuzzy: transactions that are in them already."""
    with Writer(server) as writer, client(server) as zk:
        for number in range(3):
            sofar = len(writer.acknowledged)
            wait_for("some more writes", lambda sofar=sofar: len(writer.acknowledged) > sofar + 600)
            zk.delete("/" + writer.acknowledged[number])
            place.typed()
            drilled(place)
    assert sum(sentence.startswith("drilled ") for sentence in place.said) == 3


def rebuilt(place: Place, folder: Path, largest: int) -> Manifest:
    """A backup whose manifest and every checksum are right, of the files in that folder."""
    old = place.newest()
    name = manifests.name_of(manifests.instant_of(old.name) + 1)
    sent: list[bytes] = []
    with survey.survey(survey.Source(str(folder), str(folder), largest), 0) as found:
        written = archive.write(found, 1.7e9, largest, sent.append)
    made = old._replace(name=name, **written._asdict())
    place.put(name + ARCHIVE, b"".join(sent))
    place.put(name + MANIFEST, manifests.to_json(made))
    return made


def unpacked(place: Place, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "xzf", "-"], input=place.get(place.newest().name + ARCHIVE), cwd=folder, check=True)
    return folder / "version-2"


def change(log: Path, found: bytes, other: bytes) -> None:
    """One record's content, with its checksum made right again: whole by every seal, and not what was written."""
    body = bytearray(log.read_bytes())
    (record,) = [r for r in formats.read_log(str(log), 2 << 20) if found in r.payload]
    payload = record.payload.replace(found, other)
    body[record.offset : record.offset + 12] = struct.pack(">qi", zlib.adler32(payload), len(payload))
    body[record.offset + 12 : record.end - 1] = payload
    log.write_bytes(body)


def test_a_backup_that_is_whole_and_not_what_the_ensemble_had(place: Place, server: Machine, tmp_path: Path) -> None:
    with client(server) as zk:
        zk.create("/told", b"the truth")
    place.typed()
    folder = unpacked(place, tmp_path / "files")
    log = max(folder.glob("log.*"), key=lambda path: int(path.name[4:], 16))
    change(log, b"the truth", b"a falsity")
    made = rebuilt(place, folder, 2 << 20)
    place.verify(made)
    with pytest.raises(Damaged, match=r"the tree of a server that starts from it has the digest [0-9a-f]+, the ensemble's had"):
        drilled(place, made)
    found = place.listed().named(made.name)
    assert found.damaged and not found.drilled


def test_a_znode_fewer_is_found(place: Place, server: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that loses one on its way."""
    with client(server) as zk:
        zk.create("/one-more-")
    place.typed()
    of_snapshot = tree.of_snapshot
    monkeypatch.setattr(tree, "of_snapshot", lambda path: (t := of_snapshot(path))._replace(nodes=(t.nodes or 0) - 1))
    with pytest.raises(Damaged, match=r"has \d+ znodes, its files have \d+"):
        drilled(place)


def test_memory_and_disk_that_are_short_refuse_it(place: Place, server: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(server) as zk:
        zk.create("/room-", sequence=True)
    place.typed()
    monkeypatch.setattr(sizing, "available_memory", lambda: 64 * sizing.MIB)
    with pytest.raises(UnknownFact, match=r"no drill here: the scratch server needs 224.0 MiB of memory, 64.0 MiB are available"):
        drilled(place)
    monkeypatch.undo()
    monkeypatch.setattr(scratch, "BESIDE_THE_FILES", 1 << 60)
    with pytest.raises(UnknownFact, match=r"no drill here: it needs .* MiB of disk, .* has .* free"):
        drilled(place)
    entry = place.listed().latest
    assert entry and not entry.damaged and not entry.drilled


def test_a_server_that_does_not_start_is_told_and_marks_nothing(place: Place, server: Machine) -> None:
    with client(server) as zk:
        zk.create("/start-", sequence=True)
    place.typed()
    place.settings = place.settings._replace(node=place.settings.node._replace(java="false"))
    with pytest.raises(ZkbootError, match="the scratch server ended while it started from the backup: it said nothing"):
        drilled(place)
    entry = place.listed().latest
    assert entry and not entry.damaged and not entry.drilled


def test_killed_in_the_middle_the_next_one_cleans(place: Place, server: Machine) -> None:
    """KILL while the scratch server runs: its next one, or the next look, ends it."""
    with client(server) as zk:
        zk.create("/killed-", sequence=True)
    place.typed()
    manifest = place.newest()
    pid = os.fork()
    if not pid:  # as good as another process: it holds nothing of this one's but memory
        steps.hook = lambda when, name: (
            os.kill(os.getpid(), signal.SIGKILL) if (when, name) == ("after", "start scratch server") else None
        )
        try:
            drilled(place, manifest)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    left = Path(f"{place.settings.node.state_dir}/drill")
    running = int((left / "run/zookeeper.pid").read_text().split()[0])
    assert Path(f"/proc/{running}").exists()
    drilled(place, manifest)
    wait_for("the first one's end", lambda: not Path(f"/proc/{running}").exists())
