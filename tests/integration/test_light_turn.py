"""The light turn on a real server: it ends healthy without an AWS call, and without importing what a full turn needs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.servers import DEADLINE, new_address
from tests.lab.imds import Imds
from zkboot.clock import NodeClock
from zkboot.model import Mode
from zkboot.zookeeper import configuration, fourletter

PORTS = (2181, 2888, 3888)  # of the client, the quorum and the election
DEAR = {
    "boto3",
    "botocore",
    "kazoo",
    "jinja2",
    "argparse",
    "logging",
    "dataclasses",
    "inspect",
    "subprocess",
    "http",
    "urllib",
    "ssl",
}


STATE = "/latest/meta-data/autoscaling/target-lifecycle-state"


@pytest.fixture
def tree() -> dict[str, str]:
    """What the instance metadata says."""
    return {STATE: "InService"}


@pytest.fixture
def metadata(tree: dict[str, str]) -> Iterator[str]:
    service = Imds("127.0.0.1", 0, lambda: tree)
    yield service.url
    service.close()


class Node:
    """One voter, alone in its ensemble, with what full turns leave on its disk."""

    def __init__(self, root: Path, metadata: str) -> None:
        self.root = root
        self.address = new_address()  # ports that were free could be another's by the time
        self.server: subprocess.Popen[bytes] | None = None
        for folder in ("conf", "data", "state"):
            (root / folder).mkdir()
        client, quorum, election = PORTS
        self.config = root / "zkboot.toml"
        self.config.write_text(f"""
            cluster = "demo"
            [aws]
            bucket = "demo-bucket"
            metadata_endpoint = "{metadata}"
            endpoint_url = "http://127.0.0.1:1"  # nothing answers there
            [node]
            service = "process"
            conf_dir = "{root}/conf"
            data_dir = "{root}/data"
            state_dir = "{root}/state"
            [zookeeper]
            client_port = {client}
            quorum_port = {quorum}
            election_port = {election}
            [timing]
            ask_timeout = 30  # for a busy machine
            """)
        (root / "conf/zoo.cfg").write_text(
            f"tickTime=200\ninitLimit=20\nsyncLimit=10\ndataDir={root}/data\nstandaloneEnabled=false\nreconfigEnabled=true\n"
            "admin.enableServer=false\n4lw.commands.whitelist=srvr,mntr\n"
            f"dynamicConfigFile={root}/conf/zoo.cfg.dynamic\n"
        )
        (root / "conf/zoo.cfg.dynamic").write_text(
            f"server.1={self.address}:{quorum}:{election}:participant;{self.address}:{client}\n"
        )
        (root / "data/myid").write_text("1")
        self.leave("data/zkboot.json", schema=1, cluster_id="c", generation=1, server_id=1, seeded=True)
        clock = NodeClock()
        notes = {"created": 1, "generation": 1, "let_in": True, "server_id": 1, "address": self.address}
        self.leave("state/state.json", boot=clock.boot_id(), audited=clock.monotonic(), **notes)

    def leave(self, name: str, **content: object) -> None:
        path = self.root / name
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(old | content))

    def start(self) -> None:
        home = Path(
            os.environ.get("ZOOKEEPER_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "zkboot/zookeeper-3.9.5"
        )
        jars = sorted(str(jar) for jar in (home.expanduser() / "lib").glob("*.jar"))
        assert jars, f"no ZooKeeper at {home}: make zookeeper"
        java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-cp", ":".join(jars)]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with (self.root / "zookeeper.log").open("wb") as log:
            self.server = subprocess.Popen([*java, main, str(self.root / "conf/zoo.cfg")], stdout=log, stderr=log)
        self.until(lambda: (peer := self.ask()) is not None and peer.mode is Mode.LEADER)
        self.leave("state/state.json", version=self.version())

    def version(self) -> int:
        """The version of the configuration that ZooKeeper has put beside zoo.cfg."""
        committed = configuration.committed(str(self.root / "conf"))
        assert committed is not None
        return committed.version

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def ask(self) -> fourletter.Peer | None:
        server = (self.address, PORTS[0])
        return fourletter.ask([server], 1)[server]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, (self.root / "zookeeper.log").read_text()[-4000:]
            time.sleep(0.05)

    def recover(self, *options: str) -> tuple[bool, str, set[str]]:
        """Whether a light turn ended the command, what it printed, and the top-level modules imported on the way."""
        code = (
            "import sys\nfrom zkboot import light\nended = light.ends_here(sys.argv[1:])\n"
            "print(ended, *{name.partition('.')[0] for name in sys.modules})"
        )
        command = [sys.executable, "-c", code, "recover", "--config", str(self.config), *options]
        *said, last = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout.splitlines()
        ended, *modules = last.split()
        return ended == "True", "\n".join(said), set(modules)


@pytest.fixture
def node(tmp_path: Path, metadata: str) -> Iterator[Node]:
    node = Node(tmp_path, metadata)
    node.start()
    yield node
    node.stop()


def test_a_healthy_node_needs_no_aws_and_no_dear_import(node: Node, tree: dict[str, str]) -> None:
    ended, said, modules = node.recover()
    assert ended and said.endswith(" healthy: server 1 serves as leader in generation 1")
    assert modules & DEAR == set()
    assert json.loads(node.recover("--json")[1])["message"] == "healthy: server 1 serves as leader in generation 1"

    command = [sys.executable, "-m", "zkboot", "recover", "--config", str(node.config)]
    whole = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (whole.returncode, whole.stderr) == (0, "") and whole.stdout.endswith("in generation 1\n")

    tree[STATE] = "Terminated"
    assert node.recover()[:2] == (False, "")
    tree[STATE] = "InService"
    assert node.recover()[0]
    node.leave("state/state.json", audited=NodeClock().monotonic() - 601)
    assert node.recover()[:2] == (False, "")
    node.leave("state/state.json", audited=NodeClock().monotonic())
    assert node.recover()[0]
    node.leave("state/state.json", version=node.version() + 1)
    assert node.recover()[:2] == (False, "")
    node.leave("state/state.json", version=node.version())
    assert node.recover()[0]
    node.stop()
    assert node.recover()[:2] == (False, "")
