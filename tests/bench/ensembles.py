"""Ensembles: three machines start, one joins, one is replaced, a leader dies. zkboot in the lab, and raw servers by hand.

Both sides are seen by the same questions at the same pace, in turns (by hand, zkboot, by hand…), each beside the other's idle
ensemble, so that what else the machine does meanwhile meets both. Of zkboot there are two beginnings: the launch of the
instance, and its first zkboot call (what lies between is the lab's own machine, which has no counterpart by hand).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from tests.bench import hand
from tests.bench.figures import Figure, Step
from tests.lab import ensemble
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import record

ANSWER = 2.0  # seconds until a write without an answer is tried again


class Took(NamedTuple):
    """Seconds from the launch, and from the first zkboot call."""

    launch: float
    call: float


def start(samples: int, step: Step) -> Iterator[Figure]:
    ours, since_record, with_archive, without = [], [], [], []
    for _ in range(samples):
        step("three machines become an ensemble")
        took, ensemble_alone = start_ours()
        ours.append(took)
        since_record.append(ensemble_alone)
        step("three raw servers with static files")
        with_archive.append(start_by_hand(archive=True))
        step("three raw servers without a class-data archive")
        without.append(start_by_hand(archive=False))
    launch, call = tuple(took.launch for took in ours), tuple(took.call for took in ours)
    what, against = "3 machines to an ensemble where all serve", "3 raw servers, static files"
    yield Figure(f"{what}, from the launch", "s", launch, tuple(with_archive), against)
    yield Figure(f"{what}, from the first zkboot call", "s", call, tuple(with_archive), against)
    yield Figure(f"{what}, from the first zkboot call", "s", call, tuple(without), f"{against}, no class-data archive")
    yield Figure(f"{what}, from the record's creation", "s", tuple(since_record), tuple(with_archive), against)


def start_ours() -> tuple[Took, float]:
    """And the ensemble's own part: from the record's creation, when all are registered."""
    with Region() as region:
        zk = region.group(size=3)
        hand.wait_for(lambda: record(zk))
        created = time.monotonic()
        wait_voting(zk, 3)
        seconds = time.monotonic() - created
        return since(list(zk.machines.values()), time.time()), seconds


def start_by_hand(archive: bool) -> float:
    with hand.servers(1, 2, 3) as three:
        for server in three:
            server.archive = server.archive if archive else ""
        began = time.monotonic()
        hand.start_static(three)
        return time.monotonic() - began


def join(samples: int, step: Step) -> Iterator[Figure]:
    by_hand, ours = [], []
    with hand.servers(1, 2, 3) as (first, second, third), Region() as region:
        hand.start_static([first, second])
        zk = region.group(size=2)
        zk.wait_serving(2)
        for _ in range(samples):
            step("a raw server joins two")
            began = time.monotonic()
            hand.join(third, [first, second])
            by_hand.append(time.monotonic() - began)
            hand.reconfigure(first, joining=None, leaving=str(third.number))
            third.kill()
            step("a machine joins two")
            ours.append(launched(zk, 3, lambda: zk.scale(3)))
            zk.wait_serving(3)
            zk.scale(2)
            zk.wait_serving(2)
    yield from two_rows("one joins two", ours, by_hand, "a raw start, a reconfig by kazoo")


def replace(samples: int, step: Step) -> Iterator[Figure]:
    by_hand, ours = [], []
    with hand.servers(*range(1, samples + 4)) as all_of_them, Region() as region:
        living, spare = all_of_them[:3], all_of_them[3:]
        hand.start_static(living)
        zk = region.group(size=3)
        zk.wait_serving(3)
        for newcomer in spare:
            step("a raw server takes a dead one's place")
            dead = living.pop(0)
            dead.kill()
            hand.wait_for(lambda: hand.all_serve([server.address for server in living]))
            began = time.monotonic()
            hand.join(newcomer, living, leaving=[dead])
            by_hand.append(time.monotonic() - began)
            living.append(newcomer)
            step("a terminated instance is replaced")
            lost = zk.followers()[0]
            ours.append(launched(zk, 3, partial(region.terminate, lost)))
            zk.wait_serving(3)
    yield from two_rows("a dead one's replacement votes", ours, by_hand, "a raw start, one reconfig by kazoo")


def leader(samples: int, step: Step) -> Iterator[Figure]:
    by_hand, ours = [], []
    with hand.servers(1, 2, 3) as three, Region() as region:
        hand.start_static(three)
        zk = region.group(size=3)
        zk.wait_serving(3)
        for _ in range(samples):
            step("a raw leader is killed")
            (leading,) = [s for s in three if (answer := ensemble.ask(s.address)) and answer.mode == "leader"]
            others = [server for server in three if server is not leading]
            with writing([server.address for server in [*others, leading]]) as write:
                began = time.monotonic()
                leading.kill()
                by_hand.append(write() - began)
            leading.start()
            hand.wait_for(lambda: hand.all_serve([server.address for server in three]))
            step("a leader is killed")
            machine = zk.leader()
            with writing([other.address for other in zk.followers()] + [machine.address]) as write:
                began = time.monotonic()
                machine.kill_server()
                ours.append(write() - began)
            zk.wait_serving(3)
    yield Figure("leader killed to the next acknowledged write", "s", tuple(ours), tuple(by_hand), "raw servers")


# What the measurements are made of


def two_rows(what: str, ours: Sequence[Took], by_hand: Sequence[float], against: str) -> Iterator[Figure]:
    yield Figure(f"{what}, from the launch", "s", tuple(took.launch for took in ours), tuple(by_hand), against)
    yield Figure(f"{what}, from the first zkboot call", "s", tuple(took.call for took in ours), tuple(by_hand), against)


def launched(zk: Group, voters: int, cause: Callable[[], None]) -> Took:
    """From the launch of the instance that `cause` brings about, until that many vote, it among them."""
    before = set(zk.machines)
    cause()
    hand.wait_for(lambda: set(zk.machines) - before)
    (machine,) = [zk.machines[key] for key in set(zk.machines) - before]
    hand.wait_for(lambda: ensemble.ask(machine.address))
    wait_voting(zk, voters)
    return since([machine], time.time())


def wait_voting(zk: Group, size: int) -> None:
    """Until the living serve, and they, and nobody else, are the voters."""

    def voting() -> bool:
        living = {machine.address for machine in zk.living}
        return len(living) == size and hand.all_serve(sorted(living)) and {voter.address for voter in zk.voters()} == living

    hand.wait_for(voting)


def since(machines: Sequence[Machine], now: float) -> Took:
    """A machine's folder is made at its launch; its init notes the first boot right before the first zkboot call."""
    hand.wait_for(lambda: all((machine.root / "booted").exists() for machine in machines))
    launch = min((machine.root / "machine.json").stat().st_mtime for machine in machines)
    call = min((machine.root / "booted").stat().st_mtime for machine in machines)
    return Took(now - launch, now - call)


@contextmanager
def writing(addresses: Sequence[str]) -> Iterator[Callable[[], float]]:
    """A client of the first address that falls back on the next; `write()` is when its next write is acknowledged (monotonic)."""
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError
    from kazoo.retry import KazooRetry

    again = KazooRetry(max_tries=-1, delay=0.01, backoff=1, max_delay=0.02)
    hosts = ",".join(f"{address}:{ensemble.CLIENT_PORT}" for address in addresses)
    client = KazooClient(hosts, timeout=4.0, connection_retry=again, randomize_hosts=False)

    def write() -> float:
        while True:
            try:
                client.create_async("/bench-", b"", sequence=True).get(timeout=ANSWER)
                return time.monotonic()
            except (KazooException, KazooTimeoutError):
                time.sleep(hand.LOOK_EVERY)

    client.start(timeout=60)
    try:
        write()
        yield write
    finally:
        client.stop()
        client.close()
