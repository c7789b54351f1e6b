"""The instance metadata service, version 2 only: a token by PUT, then GETs that carry it.

Protocol: "Use the Instance Metadata Service" in the EC2 User Guide. A light turn asks it each minute: a plain socket, nothing
dear is imported.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zkboot.errors import SettingsError, UnknownFact
from zkboot.model import Me, Scope

TIMEOUT = 2.0  # seconds, for one request from the connect to the last byte
TOKEN_LIFE = 300  # seconds; a token refused earlier (401) is replaced
LONGEST = 1 << 20  # bytes of an answer: what is longer is not the metadata service

# The target states are InService, Terminated, Detached, Standby and Warmed:* ("Retrieve the target lifecycle state through
# instance metadata", EC2 Auto Scaling User Guide). One detached or in standby lives on with its data: nobody takes it.
TAKEN = "Terminated"
WARMED = "Warmed:"
GROUP_TAG = "aws:autoscaling:groupName"
IDENTITY = ("instanceId", "accountId", "region", "privateIp", "availabilityZone")


class Answer(NamedTuple):
    status: int
    body: str


def no_other_source(instance_id: str) -> str:
    """Where AWS itself is not asked for the group's name."""
    raise UnknownFact(f"the Auto Scaling group of {instance_id} is not known: allow tags in its metadata, or set aws.group")


class Imds:
    """The service at `endpoint` (http://HOST[:PORT]). Every method raises UnknownFact when it does not answer.

    The group's name is `group`, else the instance's tag, else what `group_of` tells of the instance id.
    """

    def __init__(self, endpoint: str, group: str = "", group_of: Callable[[str], str] = no_other_source) -> None:
        self._endpoint = endpoint
        self._address = _address(endpoint)
        self._group = group
        self._group_of = group_of
        self._token = ""
        self._me: Me | None = None

    def me(self) -> Me:
        """This node. Nothing of it changes while the instance lives: it is asked once."""
        if self._me is None:
            document = self._document()
            instance_id = document["instanceId"]
            mac = self._required("meta-data/mac")
            scope = Scope(
                account=document["accountId"],
                region=document["region"],
                vpc=self._required(f"meta-data/network/interfaces/macs/{mac}/vpc-id"),
                group=self._group or self.tag(GROUP_TAG) or self._group_of(instance_id),
            )
            self._me = Me(instance_id, document["privateIp"], document["availabilityZone"], scope)
        return self._me

    def taken(self) -> bool:
        """Whether the group ends this instance, or puts it (back) into its warm pool. Outside a group nobody takes it."""
        state = self._get("meta-data/autoscaling/target-lifecycle-state") or ""
        return state == TAKEN or state.startswith(WARMED)

    def instance_id(self) -> str:
        return self._document()["instanceId"]

    def region(self) -> str:
        return self._document()["region"]

    def tag(self, name: str) -> str | None:
        """A tag of the instance; None when it has none of that name, or tags are not allowed in its metadata."""
        return self._get(f"meta-data/tags/instance/{name}")

    def _document(self) -> Mapping[str, str]:
        path = "dynamic/instance-identity/document"
        text = self._required(path)
        try:
            document: Any = json.loads(text)
            return {name: _text(document[name]) for name in IDENTITY}
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownFact(f"{self._name(path)} is not an identity document: {error!r}; {self._advice()}") from error

    def _required(self, path: str) -> str:
        found = self._get(path)
        if not found:
            raise UnknownFact(f"{self._name(path)} holds nothing; {self._advice()}")
        return found

    def _get(self, path: str) -> str | None:
        """The text at a path, None for a 404. A token that is no longer taken is replaced once."""
        answer = self._ask_with_token(path)
        if answer.status == 401:
            self._token = ""
            answer = self._ask_with_token(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise UnknownFact(f"{self._name(path)} answered with status {answer.status}; {self._advice()}")
        return answer.body

    def _ask_with_token(self, path: str) -> Answer:
        if not self._token:
            answer = self._ask("PUT", "api/token", f"X-aws-ec2-metadata-token-ttl-seconds: {TOKEN_LIFE}\r\nContent-Length: 0")
            if answer.status != 200 or not answer.body:
                raise UnknownFact(f"{self._name('api/token')} gave no token: status {answer.status}; {self._advice()}")
            self._token = answer.body
        return self._ask("GET", path, f"X-aws-ec2-metadata-token: {self._token}")

    def _ask(self, method: str, path: str, header: str) -> Answer:
        request = f"{method} /latest/{path} HTTP/1.1\r\nHost: {self._address[0]}\r\n{header}\r\nConnection: close\r\n\r\n"
        try:
            return _parse(_exchange(self._address, request.encode()))
        except (OSError, ValueError) as error:
            raise UnknownFact(f"{self._name(path)} gave no answer: {error}; {self._advice()}") from error

    def _name(self, path: str) -> str:
        return f"the instance metadata {self._endpoint}/latest/{path}"

    def _advice(self) -> str:
        return "the instance needs its metadata service enabled (version 2), and aws.metadata_endpoint must be its address"


def _address(endpoint: str) -> tuple[str, int]:
    """Host and port of http://HOST[:PORT], an IPv6 address in brackets."""
    authority = endpoint.removeprefix("http://").rstrip("/")
    host, _, port = authority.rpartition(":") if not authority.endswith("]") and ":" in authority else (authority, "", "80")
    if not endpoint.startswith("http://") or not host or "/" in host or not port.isdecimal():
        raise SettingsError(f"aws.metadata_endpoint: {endpoint}: must be http://HOST or http://HOST:PORT")
    return host.strip("[]"), int(port)


def _exchange(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes until the service closes the connection."""
    deadline = time.monotonic() + TIMEOUT
    received = bytearray()
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(request)
        while len(received) <= LONGEST:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = connection.recv(65536)
            if not piece:
                return bytes(received)
            received += piece
    raise ValueError(f"more than {LONGEST} bytes")


def _parse(answer: bytes) -> Answer:
    """Raises ValueError for what is not one whole HTTP answer of a known length."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError(f"the answer ends after {len(answer)} bytes, within its head")
    version, _, status = head.partition(b"\r\n")[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        raise ValueError("not an HTTP answer")
    headers = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
    length = int(headers.get(b"content-length", b"-1"))
    if len(body) != length:
        raise ValueError(f"the answer holds {len(body)} bytes of {length}")
    return Answer(int(status[:3]), body.decode())


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value
