"""Members come, go and change their role on real servers, by compare-and-set, and every call ends in time without a quorum."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

from tests.integration.servers import DEADLINE, IDENTITY, PASSWORD, Machine, machines, wait_for
from tests.lab import processes
from zkboot.errors import Stale, UnknownFact, ZkbootError
from zkboot.model import Change, Configuration, Identity, Mode, Role, Server
from zkboot.world import View

PATIENCE = 3  # seconds: what is known at once is not missed on a busy machine; what is not known takes as long


def version(machine: Machine) -> int:
    return machine.server.view(machine.address).configuration.version


@contextmanager
def frozen(*some: Machine) -> Iterator[None]:
    pids = [processes.pid_of(m.root / "run/zookeeper.pid") for m in some]
    try:
        processes.freeze(pids)
        yield
    finally:
        processes.send(pids, signal.SIGCONT)


@contextmanager
def in_time(machine: Machine) -> Iterator[None]:
    """What is known not to be known is known soon: twice the client's timeout, and more for a slow machine; it is no hanging."""
    started, threads = time.monotonic(), set(threading.enumerate())
    yield
    assert time.monotonic() - started < 2 * machine.settings.timing.client_timeout + 30
    wait_for("the threads of the call to end", lambda: not set(threading.enumerate()) - threads)


def reconfigure_when_in_step(machine: Machine, change: Change, through: Machine | None = None) -> Configuration:
    """The change, asked for again while it is refused or nobody serves, as the next turns do."""

    def ask() -> Configuration | None:
        try:
            return machine.server.reconfigure((through or machine).address, PASSWORD, change)
        except (Stale, UnknownFact):
            return None

    return wait_for("the reconfiguration", ask)


def test_an_ensemble_grows_changes_roles_and_shrinks(tmp_path: Path) -> None:
    with machines(tmp_path, 3, client_timeout=PATIENCE) as (one, two, three):
        one.create()
        assert one.server.view(one.address).identity is None
        one.server.prove(one.address, PASSWORD, IDENTITY)
        assert one.server.view(one.address).identity == IDENTITY
        created = version(one)

        two.follow(one.server.view(one.address).configuration)
        assert two.server.ask(frozenset({two.address}))[two.address].mode is Mode.FOLLOWER
        assert one.server.view(two.address).configuration.server(2) is None

        with pytest.raises(Stale, match="has changed meanwhile"):
            one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), created - 1))
        with pytest.raises(Stale, match="too few of the new voters"):
            missing = tuple(Server(n, f"127.0.0.{n}") for n in (8, 9))
            one.server.reconfigure(one.address, PASSWORD, Change(missing, (), created))
        with pytest.raises(ZkbootError, match="refuses the super password"):
            one.server.reconfigure(one.address, "wrong", Change((two.line(),), (), created))
        assert one.server.view(one.address).configuration.version == created

        after = one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), created))
        assert [s.id for s in after.voters] == [1, 2] and after.version > created

        after = three.join(one, role=Role.OBSERVER)
        assert [s.id for s in after.voters] == [1, 2] and [s.id for s in after.observers] == [3]
        three.wait_for(Mode.OBSERVER)

        two.kill()
        promote = Change((three.line(),), (), after.version)
        with pytest.raises(UnknownFact):
            one.server.view(two.address)
        wait_for("one to be without a quorum", lambda: one.mode() is Mode.NONE)
        with in_time(one), pytest.raises(UnknownFact):
            one.server.reconfigure(one.address, PASSWORD, promote)

        two.start()
        after = reconfigure_when_in_step(one, promote)
        assert [s.id for s in after.voters] == [1, 2, 3]
        demoted = reconfigure_when_in_step(one, Change((three.line(Role.OBSERVER),), (), after.version))
        assert [s.id for s in demoted.voters] == [1, 2] and [s.id for s in demoted.observers] == [3]


def test_beside_a_single_voter_an_observer_cannot_be_promoted_until_it_has_left(tmp_path: Path) -> None:
    with machines(tmp_path, 2, client_timeout=PATIENCE) as (one, two):
        one.create()
        after = two.join(one, role=Role.OBSERVER)
        two.wait_for(Mode.OBSERVER)
        with pytest.raises(Stale, match="an observer does not count"):
            one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), after.version))
        without = one.server.reconfigure(one.address, PASSWORD, Change((), (2,), after.version))
        both = reconfigure_when_in_step(one, Change((two.line(),), (), without.version))
        assert [s.id for s in both.voters] == [1, 2]


def test_the_leaders_own_removal_and_a_role_changed_through_its_own_server_are_seen_to_have_happened(tmp_path: Path) -> None:
    with machines(tmp_path, 3, client_timeout=PATIENCE) as (one, two, three):
        one.create()
        two.join(one)
        after = three.join(one)
        through_itself = two.server.reconfigure(two.address, PASSWORD, Change((two.line(Role.OBSERVER),), (), after.version))
        assert [s.id for s in through_itself.observers] == [2]
        back = one.server.reconfigure(one.address, PASSWORD, Change((two.line(),), (), through_itself.version))
        assert len(back.voters) == 3
        without = reconfigure_when_in_step(one, Change((), (1,), back.version), through=three)
        assert [s.id for s in without.voters] == [2, 3]


def test_answers_count_followers_that_vote(tmp_path: Path) -> None:
    with machines(tmp_path, 3, client_timeout=PATIENCE) as (one, two, three):
        one.create()
        two.join(one)
        three.follow(one.server.view(one.address).configuration)
        addresses = frozenset({one.address, two.address, three.address, "127.0.0.99"})
        peers = one.server.ask(addresses)
        assert peers.keys() == addresses and peers["127.0.0.99"] is None
        # A voter that has just been let in follows anew.
        leader = wait_for("two to be in step", lambda: (p := one.server.ask(addresses)[one.address]) and p.synced_followers and p)
        assert (leader.mode, leader.synced_followers, leader.quorum_size) == (Mode.LEADER, 1, 2)
        assert leader.zxid >> 32 == 1
        with frozen(two):
            with in_time(one):
                assert one.server.ask(addresses)[two.address] is None
            with in_time(one), pytest.raises(UnknownFact):
                one.server.view(two.address)
        one.wait_for(Mode.LEADER, Mode.FOLLOWER)
        two.wait_for(Mode.LEADER, Mode.FOLLOWER)


def test_a_leader_whose_followers_are_frozen_proves_nothing(tmp_path: Path) -> None:
    with machines(tmp_path, 2, client_timeout=PATIENCE, sync_limit=300) as (one, two):
        one.create()
        two.join(one)
        one.server.prove(one.address, PASSWORD, IDENTITY)
        with frozen(two):
            assert one.mode() is Mode.LEADER
            for call in (
                lambda: one.server.prove(one.address, PASSWORD, IDENTITY),
                lambda: one.server.reconfigure(one.address, PASSWORD, Change((), (2,), 1)),
            ):
                with in_time(one), pytest.raises(UnknownFact):
                    call()


def test_the_identity_is_world_readable_and_the_super_users_to_write_and_never_goes_back(tmp_path: Path) -> None:
    with machines(tmp_path, 1) as (one,):
        one.create()
        one.server.prove(one.address, PASSWORD, IDENTITY)
        newer = IDENTITY._replace(generation=2)
        one.server.prove(one.address, PASSWORD, newer)
        one.server.prove(one.address, PASSWORD, newer)
        assert one.server.view(one.address) == View(one.server.view(one.address).configuration, newer)
        with pytest.raises(Stale, match="generation 2"):
            one.server.prove(one.address, PASSWORD, IDENTITY)
        with pytest.raises(ZkbootError, match=r"c0ffee.*another"):
            one.server.prove(one.address, PASSWORD, Identity("another", 9))
        anyone = KazooClient(f"{one.address}:2181")
        anyone.start(DEADLINE)
        assert b"c0ffee" in anyone.get("/zkboot")[0]
        with pytest.raises(NoAuthError):
            anyone.set("/zkboot", b"")
        anyone.stop()
        anyone.close()
