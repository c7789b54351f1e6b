"""The light turn on a real server: it ends healthy without an AWS call, and without importing what a full turn needs."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.servers import DEADLINE, new_address
from tests.lab.imds import Imds
from zkboot import figures, settings
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
        for folder in ("conf", "data", "state", "run"):
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
        notes = {"created": 1, "generation": 1, "let_in": True, "healthy": True, "server_id": 1, "address": self.address}
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

    def recover(self, *options: str, journal: str = "/nowhere") -> tuple[bool, str, set[str]]:
        """Whether a light turn ended the command, what it printed, and the top-level modules imported on the way; `journal` is a
        socket for its figures."""
        code = (
            "import sys\nfrom zkboot import figures, light\n"
            f"figures.JOURNAL = {journal!r}\nended = light.ends_here(sys.argv[1:])\n"
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


def test_its_figures_are_one_line_to_the_journal_and_as_light(node: Node, tmp_path: Path) -> None:
    node.leave("state/state.json", me=["i-1", node.address, "eu-west-1a", ["1", "eu-west-1", "vpc-1", "zk"]])
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        path = f"{folder}/journal"  # pytest's own folders are too deep for a socket's name
        journal.bind(path)
        journal.settimeout(10)
        options = ["--set", "aws.log_group=/zkboot/demo", "--set", f"node.run_dir={tmp_path}/run"]
        told = []
        for _ in range(2):
            ended, _, modules = node.recover(*options, journal=path)
            assert ended and modules & DEAR == set()
            told.append(dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines()))
    assert [(entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"]) for entry in told] == [("zkboot-metrics", "7")] * 2
    first, second = (json.loads(entry["MESSAGE"]) for entry in told)
    assert first["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Cluster"]]
    assert first["_aws"]["CloudWatchMetrics"][1]["Dimensions"] == [["Cluster"], ["Cluster", "Instance"]]
    known = {name: value for name, value in second.items() if name not in ("_aws", "DiskUsed", "Connections", "Latency")}
    assert known == {
        "Cluster": "demo",
        "Instance": "i-1",
        "Decision": "healthy",
        "Row": 6,
        "Quorum": 1,
        "Halted": 0,
        "Znodes": second["Znodes"],
        "ZxidLag": 0,
        "Voters": 1,
        "Tolerance": 0,
        "Spares": 0,
    }
    assert "Latency" not in second, "nobody asked for anything between the two"
    assert 0 < second["DiskUsed"] <= 100 and second["Znodes"] >= 5


def test_a_server_that_serves_tells_of_no_quorum_where_the_turn_could_not_learn_of_one(node: Node) -> None:
    """A leader may lead on and commit nothing: the alarm must hear of it."""
    loaded = settings.load(str(node.config))

    def told(quorum: bool | None) -> dict[str, float | None]:
        return dict(figures.measure(loaded, figures.Verdict(11, "wait", quorum, halted=False), node.address))

    assert told(None)["Voters"] == 1 and told(None)["Quorum"] is None
    assert told(False)["Quorum"] == 1, "it serves since"


def test_a_journal_that_is_full_keeps_no_turn_waiting(node: Node, tmp_path: Path) -> None:
    node.leave("state/state.json", me=["i-1", node.address, "eu-west-1a", ["1", "eu-west-1", "vpc-1", "zk"]])
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(f"{folder}/journal")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other, pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"x" * 4096, f"{folder}/journal")
        assert node.recover("--set", "aws.log_group=/zkboot/demo", journal=f"{folder}/journal")[0]
