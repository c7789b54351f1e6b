"""The region's one AWS endpoint: moto behind IAM, faults and a counter of calls."""

import io
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.lab import iam, monitoring
from tests.lab.errors import LabError
from tests.lab.faults import Answer, Dropped, Fault, error_answer

CONTROL = "/_lab/"  # the lab's own command line, beside AWS

Control = Callable[[str, dict[str, Any]], Any]


class QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """moto's errors come as answers; a line for each request would drown the story."""


class Gateway:
    """Serves http://ADDRESS:PORT until closed. `calls` counts (instance id or "admin", "service:Action"), refused ones too."""

    def __init__(self, address: str, port: int, control: Control) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.refused: list[str] = []  # each refusal of IAM, in words
        self.faults: list[Fault] = []
        self._control = control
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._server = make_server(address, port, self, threaded=True, request_handler=QuietHandler)
        self.url = f"http://{address}:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def thread(self) -> int:
        """The kernel's id of the thread that begins one for each request."""
        return self._thread.native_id or 0

    def close(self) -> None:
        for fault in self.faults:
            fault.end()
        self._server.shutdown()
        self._server.server_close()

    def add(self, fault: Fault) -> Fault:
        self.faults = [old for old in self.faults if not old.ended.is_set()] + [fault]
        return fault

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except Dropped:
            drop(environ)
        start_response(answer.status, answer.headers)
        return answer.pieces or [answer.body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        if environ["PATH_INFO"].startswith(CONTROL):
            return self._controlled(environ)
        if monitoring.spoken(environ):
            return monitoring.told_as_query(environ, read_body(environ), self._answer)
        try:
            call = iam.call_of(environ, read_body(environ))
        except ValueError:
            return Answer("403 Forbidden", [], b"the lab's AWS serves signed requests only (Signature Version 4)")
        try:
            caller = iam.caller_of(call)
            with self._lock:
                self.calls[caller.name, call.action] += 1
            for fault in self.faults:
                if fault.meets(caller.name, call, environ):
                    return fault.effect(fault, call, lambda: self._carry_out(environ, call, caller))
            return self._carry_out(environ, call, caller)
        except iam.Refused as refused:
            self.refused.append(str(refused))
            return error_answer(call, refused.code, str(refused))

    def _carry_out(self, environ: dict[str, Any], call: iam.Call, caller: iam.Caller) -> Answer:
        iam.authorize(call, caller)
        answer = run(self._moto, environ)
        if call.action == "s3:GetObject" and answer.status.startswith("404") and not iam.may_list(call, caller):
            return error_answer(call, "AccessDenied", "Access Denied")
        return answer

    def _controlled(self, environ: dict[str, Any]) -> Answer:
        command = environ["PATH_INFO"].removeprefix(CONTROL)
        try:
            result = self._control(command, json.loads(read_body(environ) or b"{}"))
        except (LabError, LookupError) as error:
            return Answer("400 Bad Request", [("Content-Type", "text/plain")], str(error).encode())
        return Answer("200 OK", [("Content-Type", "application/json")], json.dumps(result).encode())


def read_body(environ: dict[str, Any]) -> bytes:
    """The request's body, left readable for who comes next. Only what declares its length has one here."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def run(application: Any, environ: dict[str, Any]) -> Answer:
    """A WSGI application's answer, whole."""
    head: list[Any] = []
    parts = application(environ, lambda status, headers, error=None: head.extend((status, headers)))
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return Answer(head[0], head[1], body)


def drop(environ: dict[str, Any]) -> NoReturn:
    """End the connection without a byte; werkzeug takes this error for a client that left."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError
