"""Faults on the AWS side: which requests they meet, and what happens to those."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, NamedTuple
from xml.etree import ElementTree

from tests.lab.iam import Call

Environ = Mapping[str, Any]


class Answer(NamedTuple):
    """One HTTP answer, whole."""

    status: str  # "200 OK"
    headers: list[tuple[str, str]]
    body: bytes
    pieces: Iterator[bytes] | None = None  # the body as it is sent, where that is not at once


class Dropped(Exception):
    """The connection ends here, without an answer."""


class Fault:
    """What happens to the machines' requests that match, until it ends: `with region.throttle(): ...`, or `.end()`.

    `machines` are instance ids, all machines when empty (never the administration). `calls` is a pattern over
    `service:Action`. `times` is how many requests it meets before it ends by itself (0: no limit).
    `effect(fault, call, carry_out)` gives the answer, or raises Dropped; `carry_out` does what was asked.
    """

    def __init__(
        self,
        effect: "Effect",
        machines: tuple[str, ...] = (),
        calls: str = "*",
        times: int = 0,
        only: Callable[[Environ], bool] = lambda environ: True,
    ) -> None:
        self.effect = effect
        self.machines = frozenset(machines)
        self.calls = calls
        self.only = only
        self.met = 0
        self.ended = threading.Event()
        self._times = times
        self._lock = threading.Lock()

    def meets(self, who: str, call: Call, environ: Environ) -> bool:
        """Whether this request is met; counts it."""
        if who == "admin" or self.ended.is_set() or not fnmatchcase(call.action, self.calls) or not self.only(environ):
            return False
        if self.machines and who not in self.machines:
            return False
        with self._lock:
            if self.ended.is_set():
                return False
            self.met += 1
            if self.met == self._times:
                self.ended.set()
            return True

    def end(self) -> None:
        self.ended.set()

    def __enter__(self) -> "Fault":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()


Effect = Callable[[Fault, Call, Callable[[], Answer]], Answer]

NO_ANSWER_AT_MOST = 300.0  # seconds that a hanging request is kept
PIECE = 128 << 10  # bytes of a slow answer


def refuse(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    """The connection is closed at once."""
    raise Dropped


def hang(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    """No answer comes, as behind a black hole; the client's own timeout ends it."""
    fault.ended.wait(NO_ANSWER_AT_MOST)
    raise Dropped


def lose_answer(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    """What was asked is done, and nobody hears of it."""
    carry_out()
    raise Dropped


def slow(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    """The body comes in small pieces, one a second, and the rest at once when this ends."""
    answer = carry_out()
    return answer._replace(pieces=dripping(fault, answer.body))


def dripping(fault: Fault, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE):
        fault.ended.wait(1.0)
        yield body[start : start + PIECE]


def deny(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    return error_answer(call, "AccessDenied", f"not authorized to perform: {call.action} (a fault of the lab)")


def throttle(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    """Each service's own way to say "slower": their API references, "Common errors"."""
    code = {"s3": "SlowDown", "ec2": "RequestLimitExceeded", "query": "Throttling", "json": "ThrottlingException"}[call.protocol]
    return error_answer(call, code, "Rate exceeded (a fault of the lab)")


def unavailable(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    return error_answer(call, "ServiceUnavailable", "try again later (a fault of the lab)")


def conflict(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
    """S3, "Conditional writes": 409 when a concurrent operation on the same key got in the way; nothing was done."""
    return error_answer(
        call, "ConditionalRequestConflict", "a conflicting conditional operation is under way (a fault of the lab)"
    )


def leaving_out(instance_id: str) -> "Effect":
    """EC2's answers are eventually consistent: this instance is not in them yet."""

    def effect(fault: Fault, call: Call, carry_out: Callable[[], Answer]) -> Answer:
        answer = carry_out()
        tree = ElementTree.fromstring(answer.body)
        for reservations in tree.findall(".//{*}reservationSet"):
            for one in list(reservations):
                if instance_id in [name.text for name in one.findall(".//{*}instanceId")]:
                    reservations.remove(one)
        body = ElementTree.tostring(tree, default_namespace=tree.tag[1:].partition("}")[0])
        headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
        return Answer(answer.status, headers, body)

    return effect


def is_conditional(environ: Environ) -> bool:
    return "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ


STATUS = {
    "AccessDenied": "403 Forbidden",
    "InvalidClientTokenId": "403 Forbidden",
    "SlowDown": "503 Slow Down",
    "RequestLimitExceeded": "503 Service Unavailable",
    "ServiceUnavailable": "503 Service Unavailable",
    "ConditionalRequestConflict": "409 Conflict",
}
SAID_BY_EC2 = {"AccessDenied": "UnauthorizedOperation", "InvalidClientTokenId": "AuthFailure"}
SAID_IN_JSON = {"AccessDenied": "AccessDeniedException", "InvalidClientTokenId": "UnrecognizedClientException"}


def error_answer(call: Call, code: str, message: str) -> Answer:
    """An error as the service of this call says it (botocore's parsers of ec2, query, json and rest-xml)."""
    status = STATUS.get(code, "400 Bad Request")
    if call.protocol == "json":
        body = json.dumps({"__type": SAID_IN_JSON.get(code, code), "message": message})
        return Answer(status, [("Content-Type", "application/x-amz-json-1.1")], body.encode())
    if call.protocol == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>lab</RequestId></Error>"
    elif call.protocol == "ec2":
        error = f"<Error><Code>{SAID_BY_EC2.get(code, code)}</Code><Message>{message}</Message></Error>"
        text = f"<Response><Errors>{error}</Errors><RequestID>lab</RequestID></Response>"
    else:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        text = f"<ErrorResponse>{error}<RequestId>lab</RequestId></ErrorResponse>"
    return Answer(status, [("Content-Type", "text/xml")], b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode())
