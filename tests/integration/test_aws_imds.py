"""The instance metadata over real sockets: a strict service of version 2, and services that answer in every wrong way."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.lab.imds import Imds as Service
from zkboot.aws import imds
from zkboot.aws.imds import Imds
from zkboot.errors import SettingsError, UnknownFact
from zkboot.model import Me, Scope

DOCUMENT = {
    "instanceId": "i-1",
    "accountId": "123456789012",
    "region": "eu-west-1",
    "privateIp": "10.0.0.4",
    "availabilityZone": "eu-west-1a",
    "kernelId": None,
}
STATE = "/latest/meta-data/autoscaling/target-lifecycle-state"
IDENTITY = "/latest/dynamic/instance-identity/document"
GROUP = "/latest/meta-data/tags/instance/aws:autoscaling:groupName"
TREE = {
    IDENTITY: json.dumps(DOCUMENT),
    "/latest/meta-data/mac": "02:00:00:00:00:01",
    "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/vpc-id": "vpc-1",
    GROUP: "zk",
    "/latest/meta-data/tags/instance/zkboot:cluster": "a",
    STATE: "InService",
}


@pytest.fixture
def service() -> Iterator[Service]:
    tree = dict(TREE)
    found = Service("127.0.0.1", 0, lambda: tree)
    yield found
    found.close()


def without(service: Service, *paths: str) -> None:
    tree = {path: text for path, text in service.tree().items() if path not in paths}
    service.tree = lambda: tree


def with_(service: Service, path: str, text: str) -> None:
    tree = service.tree() | {path: text}
    service.tree = lambda: tree


def test_who_this_node_is(service: Service) -> None:
    assert Imds(service.url).me() == Me("i-1", "10.0.0.4", "eu-west-1a", Scope("123456789012", "eu-west-1", "vpc-1", "zk"))
    assert Imds(service.url).region() == "eu-west-1"


def test_who_this_node_is_stays_known(service: Service) -> None:
    metadata = Imds(service.url)
    me = metadata.me()
    service.down = True
    assert metadata.me() == me


def test_the_group_is_the_settings_else_the_tags_else_asked_for(service: Service) -> None:
    assert Imds(service.url, "set", lambda instance_id: "found").me().scope.group == "set"
    assert Imds(service.url, "", lambda instance_id: "found").me().scope.group == "zk"
    without(service, GROUP)
    assert Imds(service.url, "", lambda instance_id: f"found of {instance_id}").me().scope.group == "found of i-1"
    with pytest.raises(UnknownFact, match=r"the Auto Scaling group of i-1 is not known: .*aws\.group"):
        Imds(service.url).me()


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        ("InService", False),
        ("Terminated", True),
        ("Detached", False),
        ("Standby", False),
        ("Warmed:Hibernated", True),
        ("Warmed:Running", True),
        ("Warmed:Stopped", True),
        ("Warmed:Terminated", True),
    ],
)
def test_who_is_taken(service: Service, state: str, taken: bool) -> None:
    with_(service, STATE, state)
    assert Imds(service.url).taken() is taken


def test_outside_a_group_nobody_is_taken(service: Service) -> None:
    without(service, STATE)
    assert Imds(service.url).taken() is False


def test_tags(service: Service) -> None:
    metadata = Imds(service.url)
    assert metadata.tag("zkboot:cluster") == "a"
    assert metadata.tag("zkboot:bucket") is None


def test_one_token_serves_a_process(service: Service) -> None:
    metadata = Imds(service.url)
    for _ in range(3):
        metadata.taken()
    assert service.calls == {"/latest/api/token": 1, STATE: 3}


def test_a_token_that_is_no_longer_taken_is_replaced(service: Service) -> None:
    metadata = Imds(service.url)
    metadata.taken()
    service.tokens.clear()
    assert metadata.taken() is False
    assert service.calls["/latest/api/token"] == 2


def test_a_service_that_takes_no_token_is_unknown(service: Service) -> None:
    metadata = Imds(service.url)
    service.tokens = type("Forgetful", (dict,), {"__setitem__": lambda *_: None})()
    with pytest.raises(UnknownFact, match="answered with status 401"):
        metadata.taken()


def test_a_service_that_is_down_is_unknown(service: Service) -> None:
    service.down = True
    with pytest.raises(UnknownFact, match=r"gave no answer: .*aws\.metadata_endpoint must be its address"):
        Imds(service.url).taken()


@pytest.mark.parametrize("field", imds.IDENTITY)
@pytest.mark.parametrize("bad", [None, "", 7])
def test_an_identity_document_is_checked(service: Service, field: str, bad: object) -> None:
    with_(service, IDENTITY, json.dumps({**DOCUMENT, field: bad}))
    with pytest.raises(UnknownFact, match="is not an identity document"):
        Imds(service.url).me()


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}"])
def test_what_is_no_identity_document_is_unknown(service: Service, text: str) -> None:
    with_(service, IDENTITY, text)
    with pytest.raises(UnknownFact, match="identity/document"):
        Imds(service.url).region()


@pytest.mark.parametrize(
    "path", [IDENTITY, "/latest/meta-data/mac", "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/vpc-id"]
)
def test_what_every_instance_has_is_never_absent(service: Service, path: str) -> None:
    without(service, path)
    with pytest.raises(UnknownFact, match="holds nothing"):
        Imds(service.url).me()


# --- wrong answers

TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken"


class Wrong:
    """A service that gives each connection the next of these answers, and then closes it (or keeps it, silent)."""

    def __init__(self, answers: list[bytes], silent: bool = False) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._answers = answers
        self._silent = silent
        self._ended = threading.Event()
        self.url = "http://{}:{}".format(*self._listening.getsockname())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for answer in self._answers:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                with suppress(ConnectionError):  # who has read enough leaves
                    connection.sendall(answer)
                if self._silent:
                    self._ended.wait(30)

    def close(self) -> None:
        self._ended.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "ends after 0 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "within its head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nInServ", "holds 6 bytes of 10"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nInService", "holds 9 bytes of 2"),
        (b"HTTP/1.1 200 OK\r\n\r\nInService", "holds 9 bytes of -1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nInService", "invalid literal"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xff", "utf-8"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, "more than 1048576 bytes|reset"),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "status 403"),
    ],
)
def test_a_wrong_answer_is_unknown(answer: bytes, says: str) -> None:
    """At each of the two requests: the service that is disabled on an instance answers 403 to both."""
    for answers in ([answer], [TOKEN, answer]):
        service = Wrong(answers)
        try:
            with pytest.raises(UnknownFact, match=says):
                Imds(service.url).taken()
        finally:
            service.close()


def test_version_1_is_never_asked() -> None:
    """A service that knows no tokens answers their PUT with 404: nothing is asked without one."""
    service = Wrong(
        [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nTerminated"]
    )
    try:
        with pytest.raises(UnknownFact, match="gave no token: status 404"):
            Imds(service.url).taken()
    finally:
        service.close()


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nto"])
def test_a_service_that_falls_silent_is_unknown(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(imds, "TIMEOUT", 0.2)
    service = Wrong([beginning], silent=True)
    try:
        with pytest.raises(UnknownFact, match="timed out"):
            Imds(service.url).taken()
    finally:
        service.close()


# --- the endpoint


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("http://169.254.169.254", ("169.254.169.254", 80)),
        ("http://169.254.169.254/", ("169.254.169.254", 80)),
        ("http://127.0.0.1:1338", ("127.0.0.1", 1338)),
        ("http://[fd00:ec2::254]", ("fd00:ec2::254", 80)),
        ("http://[fd00:ec2::254]:8080", ("fd00:ec2::254", 8080)),
        ("http://metadata.local:80", ("metadata.local", 80)),
    ],
)
def test_addresses(endpoint: str, address: tuple[str, int]) -> None:
    assert imds._address(endpoint) == address


@pytest.mark.parametrize(
    "endpoint", ["https://169.254.169.254", "169.254.169.254", "http://", "http://host:port", "http://host/path"]
)
def test_endpoints_that_cannot_be(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"aws\.metadata_endpoint"):
        Imds(endpoint)


def test_nothing_dear_is_imported() -> None:
    """A light turn imports it."""
    program = "import sys, zkboot.aws.imds; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert not {"boto3", "botocore", "http.client", "urllib.request", "email", "ssl", "asyncio", "logging"} & set(loaded)
