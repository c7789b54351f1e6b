"""An ensemble as a client sees it. Written apart from the product's own reading, so that one can be held against the other."""

import logging
import re
import socket
from typing import Any, NamedTuple

CLIENT_PORT = 2181

QUIET = logging.getLogger("zkboot-lab-kazoo")  # a lost connection is no news here
QUIET.disabled = True


class Answer(NamedTuple):
    """What a server says to `srvr`."""

    mode: str  # leader, follower, observer, standalone
    zxid: int
    nodes: int  # znodes in its tree


class Member(NamedTuple):
    """One `server.N=` line of the live configuration."""

    id: int
    address: str
    role: str


def ask(address: str, timeout: float = 1.0, port: int = CLIENT_PORT) -> Answer | None:
    """`srvr` of one server; None when it does not answer or does not serve."""
    try:
        with socket.create_connection((address, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(b"srvr")
            text = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace")
    except OSError:
        return None
    found = {name: re.search(rf"^{name}: (.*)$", text, re.MULTILINE) for name in ("Mode", "Zxid", "Node count")}
    mode, zxid, nodes = found["Mode"], found["Zxid"], found["Node count"]
    return Answer(mode[1], int(zxid[1], 16), int(nodes[1])) if mode and zxid and nodes else None


def configuration(address: str, port: int = CLIENT_PORT) -> tuple[int, tuple[Member, ...]]:
    """The version and members that a serving server shows in /zookeeper/config. Raises kazoo's errors."""
    with client(address, 5.0, port) as session:
        return parse(session.get("/zookeeper/config")[0].decode())


def parse(text: str) -> tuple[int, tuple[Member, ...]]:
    version = re.search(r"^version=(\w+)$", text, re.MULTILINE)
    lines = re.findall(r"^server\.(\d+)=([^:]+):\d+:\d+:(\w+);", text, re.MULTILINE)
    members = tuple(sorted(Member(int(number), address, role) for number, address, role in lines))
    return int(version[1], 16) if version else 0, members


class client:
    """`with client(address) as session:` a kazoo client of one server alone."""

    def __init__(self, address: str, timeout: float = 10.0, port: int = CLIENT_PORT) -> None:
        from kazoo.client import KazooClient

        self._client = KazooClient(f"{address}:{port}", timeout=timeout, logger=QUIET)
        self._timeout = timeout

    def __enter__(self) -> Any:
        try:
            self._client.start(timeout=self._timeout)
        except BaseException:
            self._client.close()
            raise
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.stop()
        self._client.close()
