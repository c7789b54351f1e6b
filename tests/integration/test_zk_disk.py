"""Disks that zkboot builds, and how real servers start from them."""

import os
import time
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.integration.servers import DEADLINE, IDENTITY, PASSWORD, Machine, machines, wait_for
from tests.lab import processes
from zkboot.errors import UnknownFact, ZkbootError
from zkboot.model import Change, Configuration, DiskState, Mode, Role
from zkboot.zookeeper import configuration

MARGIN = 65_536


def fill(machine: Machine, nodes: int) -> None:
    with_client(machine, lambda client: [client.create(f"/node-{n}") for n in range(nodes)])


def count(machine: Machine) -> int:
    return with_client(machine, lambda client: sum(name.startswith("node-") for name in client.get_children("/")))


def with_client(machine: Machine, use):
    client = KazooClient(f"{machine.address}:2181")
    client.start(DEADLINE)
    try:
        return use(client)
    finally:
        client.stop()
        client.close()


def test_the_survivor_of_three_leads_again_with_all_it_had_and_the_others_join_it(tmp_path: Path) -> None:
    with machines(tmp_path, 3) as (one, two, three):
        one.create()
        two.join(one)
        three.join(one)
        one.server.prove(one.address, PASSWORD, IDENTITY)
        fill(one, 50)
        for lost in (two, three):
            lost.kill()
        one.kill()
        before = one.disk.read()
        assert before.data is not None and before.data.committed is not None
        assert [s.id for s in before.data.committed.voters] == [1, 2, 3]

        epoch = before.data.accepted_epoch + MARGIN
        next_generation = IDENTITY._replace(generation=2)
        alone = Configuration((epoch + 1) << 32, (one.line(),))
        one.disk.build_from_own(next_generation, 1, alone, epoch)
        built = one.disk.read()
        assert built.data is not None
        assert (built.identity, built.seeded, built.fenced) == (next_generation, True, False)
        assert (built.data.current_epoch, built.data.accepted_epoch, built.data.zxid) == (epoch, epoch, before.data.zxid)
        assert built.data.committed == alone

        one.disk.fence()
        assert one.disk.read().fenced
        one.start()
        one.wait_for(Mode.LEADER)
        one.server.prove(one.address, PASSWORD, next_generation)
        assert count(one) == 50
        assert one.server.view(one.address).configuration == alone

        archive = two.disk.archive()
        assert archive is not None and archive.identity == IDENTITY and archive.zxid >> 32 == 1
        assert two.disk.read()[:3] == (DiskState.EMPTY, "", None)
        two.join(one)
        assert count(two) == 50


def test_two_empty_disks_without_a_marker_elect_nobody(tmp_path: Path) -> None:
    with machines(tmp_path, 3) as some:
        everyone = Configuration(0, tuple(m.line() for m in some))
        for machine in some[:2]:
            machine.disk.build_joiner(IDENTITY, machine.number, everyone)
            machine.start()
        for machine in some[:2]:
            wait_for("two rounds of an election", lambda m=machine: m.log().count("Notification time out") >= 3)
        assert [machine.mode() for machine in some[:2]] == [Mode.NONE, Mode.NONE]
        assert [machine.disk.read().state for machine in some[:2]] == [DiskState.EMPTY, DiskState.EMPTY]


def test_a_marked_disk_whose_marker_was_used_up_is_built_again(tmp_path: Path) -> None:
    with machines(tmp_path, 1) as (one,):
        one.disk.build_empty(IDENTITY, 1, Configuration(0, (one.line(),)), 0)
        assert one.disk.read().marked
        (one.data / "initialize").unlink()
        one.start()
        for name in ("currentEpoch", "acceptedEpoch"):
            wait_for(f"{name} of -1", (one.data / "version-2" / name).exists)
        one.kill()
        assert (one.disk.read().state, one.disk.read().marked) == (DiskState.EMPTY, False)

        alone = Configuration((MARGIN + 1) << 32, (one.line(),))
        one.disk.build_empty(IDENTITY, 1, alone, MARGIN)
        assert one.disk.read().state is DiskState.EMPTY
        one.start()
        one.wait_for(Mode.LEADER)
        view = one.server.view(one.address)
        assert view.configuration == alone
        after = one.server.reconfigure(one.address, PASSWORD, Change((one.line(),), (), alone.version))
        assert after.version > alone.version


def test_a_joiner_restarts_before_it_is_let_in_and_after(tmp_path: Path) -> None:
    with machines(tmp_path, 2) as (one, two):
        one.create()
        now = one.server.view(one.address).configuration
        two.follow(now)
        two.kill()
        with pytest.raises(ZkbootError, match="in the way"):
            two.disk.build_joiner(IDENTITY._replace(generation=2), 2, Configuration(0, (*now.servers, two.line(Role.OBSERVER))))
        two.follow(now)
        one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), now.version))
        two.server.stop()
        assert not (two.root / "run/zookeeper.wanted").exists()
        two.start()
        two.wait_for(Mode.FOLLOWER, Mode.LEADER)


def test_what_zookeeper_rewrites_is_kept_and_the_static_part_follows_the_settings(tmp_path: Path) -> None:
    with machines(tmp_path, 2) as (one, two):
        one.create()
        two.join(one)
        rewritten = (two.conf / "zoo.cfg").read_text()
        two.server.stop()
        kept = configuration.pointer(str(two.conf))
        assert kept is not None and kept in rewritten and kept != f"{two.conf}/zoo.cfg.dynamic"
        two.settings.zookeeper.extra["maxResponseCacheSize"] = 100
        two.disk.prepare_start(None, aside=False)
        text = (two.conf / "zoo.cfg").read_text()
        assert "maxResponseCacheSize=100\n" in text and f"dynamicConfigFile={kept}\n" in text
        assert configuration.properties(text)["DigestAuthenticationProvider.superDigest"].startswith("super:")
        assert [os.stat(p).st_mode & 0o777 for p in (two.conf / "zoo.cfg", two.conf)] == [0o600, 0o700]
        two.server.start()
        two.wait_for(Mode.FOLLOWER, Mode.LEADER)
        assert one.server.view(two.address).configuration.server(2) is not None


def test_a_pending_configuration_outlives_starts_until_it_is_moved_aside(tmp_path: Path) -> None:
    with machines(tmp_path, 2, client_timeout=3) as (one, two):
        one.create()
        now = one.server.view(one.address).configuration
        two.follow(now)
        processes.freeze([processes.pid_of(two.root / "run/zookeeper.pid")])
        with pytest.raises(UnknownFact):
            one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), now.version))
        two.kill()
        wait_for("the proposal on the disk", (one.conf / "zoo.cfg.dynamic.next").exists)

        for _ in range(2):
            one.kill()
            data = one.disk.read().data
            assert data is not None and data.committed == now and data.pending is not None
            assert [s.id for s in data.pending.voters] == [1, 2] and data.pending.version > now.version
            one.start()
            wait_for("a start", lambda: "LOOKING" in one.log())
            wait_for("the proposal to be read", lambda: not (one.conf / "zoo.cfg.dynamic.next").exists())
            assert one.mode() is Mode.NONE

        one.kill()
        one.disk.prepare_start(None, aside=True)
        data = one.disk.read().data
        assert data is not None and data.pending is None
        one.server.start()
        one.wait_for(Mode.LEADER)


def test_the_process_is_known_detached_and_ends_when_told(tmp_path: Path) -> None:
    with machines(tmp_path, 1) as (one,):
        assert not one.server.process().running
        began = time.monotonic()
        one.create()
        one.server.start()
        pid, started = map(int, (one.root / "run/zookeeper.pid").read_text().split())
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert int(stat[1]) != os.getpid() and int(stat[3]) == pid and int(stat[19]) == started
        assert PASSWORD.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert 0 <= one.server.process().age <= time.monotonic() - began + 1
        assert (one.root / "run/zookeeper.wanted").exists()
        one.server.stop()
        one.server.stop()
        assert not one.server.process().running
        assert not processes.alive(pid)
