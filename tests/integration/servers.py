"""Raw machines for tests: zkboot's disk and server on real ZooKeeper processes, each on a loopback address of its own."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from zkboot.model import Change, Configuration, Identity, Mode, Role, Server
from zkboot.settings_keys import Aws, Node, Settings, Timing, Zookeeper
from zkboot.world import DiskApi, ServerApi
from zkboot.zookeeper import zoo_cfg
from zkboot.zookeeper.disk import NodeDisk
from zkboot.zookeeper.server import NodeServer

T = TypeVar("T")
DEADLINE = 150.0  # seconds that a condition may take to come true; on an idle machine a few
PASSWORD = "a-super-password"
IDENTITY = Identity("c0ffee", 1)
SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:CICompilerCount=1")
_numbers = itertools.count(1)


def zookeeper_home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = Path(os.environ.get("ZOOKEEPER_HOME") or f"{cache}/zkboot/zookeeper-3.9.5")
    if not (home / "lib").is_dir():
        pytest.skip(f"no ZooKeeper in {home}: run `make zookeeper`")
    return home


def new_address() -> str:
    """A loopback address that no other test run on this machine is likely to use, outside the lab's (127.77.0.0 and up)."""
    return f"127.{1 + os.getpid() // 250 % 63}.{os.getpid() % 250}.{next(_numbers)}"


class Member:
    """A machine's disk and server, and what tests do with them."""

    number: int
    address: str
    disk: DiskApi
    server: ServerApi

    def line(self, role: Role = Role.PARTICIPANT) -> Server:
        return Server(self.number, self.address, role)

    def start(self, aside: bool = False) -> None:
        self.disk.prepare_start(zoo_cfg.super_digest(PASSWORD), aside)
        self.server.start()

    def create(self, identity: Identity = IDENTITY) -> None:
        """This machine as the seed of a first creation, until it leads."""
        self.disk.build_empty(identity, self.number, Configuration(0, (self.line(),)), 0)
        self.disk.fence()
        self.start()
        self.wait_for(Mode.LEADER)

    def follow(self, members: Configuration, identity: Identity = IDENTITY) -> None:
        """This machine as a joiner beside those members, until it follows."""
        self.disk.build_joiner(identity, self.number, Configuration(0, (*members.servers, self.line(Role.OBSERVER))))
        self.start()
        self.wait_for(Mode.FOLLOWER)

    def join(self, through: "Member", role: Role = Role.PARTICIPANT, leaving: tuple[int, ...] = ()) -> Configuration:
        """Follow, then be let in through that server."""
        now = through.server.view(through.address).configuration
        self.follow(now)
        return through.server.reconfigure(through.address, PASSWORD, Change((self.line(role),), leaving, now.version))

    def wait_for(self, *modes: Mode) -> Mode:
        return self.wait(f"server {self.number} to be {' or '.join(modes)}", lambda: m if (m := self.mode()) in modes else None)

    def mode(self) -> Mode:
        return self.server.process().mode

    def wait(self, what: str, ask: Callable[[], T | None]) -> T:
        return wait_for(what, ask)


class Machine(Member):
    """One machine with real servers, and its folders."""

    def __init__(self, root: Path, number: int, client_timeout: float = 15, **zookeeper: object) -> None:
        home = zookeeper_home()
        archive = home / "zookeeper.jsa"
        values = {
            "tick_time": 200,
            "sync_limit": 25,  # 5 s: a busy machine must not have them elect anew
            "heap": "128m",
            "jvm_flags": SMALL_JVM,
            "shared_archive": str(archive) if archive.exists() else "",
            "extra": {"admin.enableServer": False},
        }
        node = Node(
            conf_dir=f"{root}/{number}/conf",
            data_dir=f"{root}/{number}/zookeeper/data",
            data_log_dir=f"{root}/{number}/zookeeper/data",
            state_dir=f"{root}/{number}/state",
            service="process",
            zookeeper_home=str(home),
            run_dir=f"{root}/{number}/run",
        )
        self.settings = Settings(
            "test",
            Aws("bucket"),
            node,
            zookeeper=Zookeeper(**{**values, **zookeeper}),
            timing=Timing(client_timeout=client_timeout, ask_timeout=3),
        )
        self.root = root / str(number)
        self.number = number
        self.address = new_address()
        self.disk = NodeDisk(self.settings)
        self.server = NodeServer(self.settings)

    @property
    def data(self) -> Path:
        return Path(self.settings.node.data_dir)

    @property
    def conf(self) -> Path:
        return Path(self.settings.node.conf_dir)

    def kill(self) -> None:
        """KILL, as a power cut does."""
        pid = int((self.root / "run/zookeeper.pid").read_text().split()[0])
        os.kill(pid, 9)
        wait_for(f"process {pid} to end", lambda: not self.server.process().running)

    def log(self) -> str:
        return (self.root / "state/zookeeper.log").read_text()


@contextmanager
def machines(root: Path, count: int, **settings: object) -> Iterator[list[Machine]]:
    """So many machines, with those settings; what still runs is stopped at the end."""
    made = [Machine(root, number, **settings) for number in range(1, count + 1)]
    try:
        yield made
    finally:
        for machine in made:
            if machine.server.process().running:
                machine.kill()


def wait_for(what: str, ask: Callable[[], T | None]) -> T:
    """The first answer that is true, asked again and again until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while True:
        if answer := ask():
            return answer
        assert time.monotonic() < deadline, f"waited {DEADLINE:g} s in vain for {what}"
        time.sleep(0.02)
