"""The same by hand: raw servers whose files somebody wrote, started with the flags that the lab's machines have."""

import base64
import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab import ensemble
from tests.lab.errors import LabError
from tests.lab.region import LAB
from tests.lab.settings import settings, zookeeper_home

PASSWORD = "by-hand"
DIGEST = base64.b64encode(hashlib.sha1(f"super:{PASSWORD}".encode()).digest()).decode()
DEADLINE = 300.0  # seconds
LOOK_EVERY = 0.01  # seconds
EPOCH_MARGIN = 65536  # what the product leaves too
_hosts = itertools.count(1)

# What the product writes too, whatever its values.
ZOO_CFG = """\
tickTime={tick_time}
initLimit=10
syncLimit=5
dataDir={data}
reconfigEnabled=true
standaloneEnabled=false
4lw.commands.whitelist=srvr, mntr
admin.serverAddress=127.0.0.1
autopurge.purgeInterval=1
DigestAuthenticationProvider.superDigest=super:{digest}
"""


class Server:
    """One raw server: its folder, its address, its process."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.address = f"127.{20 + os.getpid() % 40}.{os.getpid() // 40 % 250}.{next(_hosts)}"
        self.folder = folder / str(number)
        self.process: subprocess.Popen[bytes] | None = None
        self.zookeeper = settings("by-hand", {}, folder, {})["zookeeper"]
        self.archive: str = self.zookeeper["shared_archive"]

    def line(self, role: str = "participant") -> str:
        return f"server.{self.number}={self.address}:2888:3888:{role};{self.address}:2181"

    def prepare(self, lines: Sequence[str], dynamic: bool = False) -> None:
        """Write its files, on an empty disk. `lines` go into zoo.cfg, or into a dynamic file that may change."""
        shutil.rmtree(self.folder, ignore_errors=True)
        data = self.folder / "data"
        data.mkdir(parents=True)
        (data / "myid").write_text(str(self.number))
        servers = "\n".join(lines) + "\n"
        if dynamic:
            (self.folder / "zoo.cfg.dynamic").write_text(servers)
            servers = f"dynamicConfigFile={self.folder}/zoo.cfg.dynamic\n"
        self.configure(servers)

    def configure(self, servers: str) -> None:
        text = ZOO_CFG.format(tick_time=self.zookeeper["tick_time"], data=self.folder / "data", digest=DIGEST)
        (self.folder / "zoo.cfg").write_text(text + servers)

    def prepare_alone(self) -> None:
        """Rewrite the stopped survivor's files: its epochs above all, and a configuration of itself with a version that wins."""
        logs = self.folder / "data/version-2"
        epoch = int((logs / "acceptedEpoch").read_text()) + EPOCH_MARGIN
        for name in ("acceptedEpoch", "currentEpoch"):
            (logs / name).write_text(str(epoch))
        dynamic = self.folder / f"zoo.cfg.dynamic.{(epoch + 1) << 32:x}"
        dynamic.write_text(f"{self.line()}\n")
        self.configure(f"dynamicConfigFile={dynamic}\n")

    def start(self) -> None:
        home = zookeeper_home()
        jars = ":".join(str(jar) for jar in sorted(home.glob("lib/*.jar")))
        shared = [f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto"] if self.archive else []
        flags = [f"-Xmx{self.zookeeper['heap']}", *shared, *self.zookeeper["jvm_flags"]]
        logging = f"-Dlogback.configurationFile={home}/conf/logback.xml"
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with open(self.folder / "log", "ab") as log:
            # It dies with this process, however that ends (prctl(2), PR_SET_PDEATHSIG).
            command = ["setpriv", "--pdeathsig", "KILL", "java", *flags, logging, "-cp", jars, main, str(self.folder / "zoo.cfg")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def servers(*numbers: int) -> Iterator[list[Server]]:
    """Not started yet; whatever runs of them at the end is killed."""
    LAB.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=LAB) as folder:
        made = [Server(Path(folder), number) for number in numbers]
        try:
            yield made
        finally:
            for server in made:
                server.kill()


def start_static(three: Sequence[Server]) -> None:
    """Empty disks and static files, all at once, until every one serves."""
    for server in three:
        server.prepare([other.line() for other in three])
    for server in three:
        server.start()
    wait_for(lambda: all_serve([server.address for server in three]))


def join(newcomer: Server, members: Sequence[Server], leaving: Sequence[Server] = ()) -> None:
    """Start beside the others, follow, be let in: until it is a voter that serves."""
    newcomer.prepare([*(member.line() for member in [*members, *leaving]), newcomer.line("observer")], dynamic=True)
    newcomer.start()
    wait_for(lambda: all_serve([newcomer.address]))
    reconfigure(members[0], joining=newcomer.line(), leaving=",".join(str(server.number) for server in leaving) or None)


def lead_alone(survivor: Server) -> None:
    """Start what `prepare_alone` prepared, until it leads and has acknowledged a write."""
    survivor.start()
    wait_for(lambda: (answer := ensemble.ask(survivor.address)) and answer.mode == "leader")
    with ensemble.client(survivor.address) as client:
        client.create("/alone")


def reconfigure(through: Server, joining: str | None, leaving: str | None) -> None:
    with ensemble.client(through.address) as client:
        client.add_auth("digest", f"super:{PASSWORD}")
        client.reconfig(joining=joining, leaving=leaving, new_members=None)


def all_serve(addresses: Sequence[str]) -> bool:
    return all(ensemble.ask(address) for address in addresses)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"what is measured was not reached within {DEADLINE:g} s")
        time.sleep(LOOK_EVERY)
