"""The instance metadata service, version 2 only.

Strict as EC2 with `HttpTokens: required` (EC2 User Guide, "Use the Instance Metadata Service"): a token by PUT with its
lifetime in a header, 401 for a GET without a valid one, 404 for what does not exist.
"""

import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
VERSION = re.compile(r"^/20\d\d-\d\d-\d\d/")  # of the service; the lab's tree is the same in each
LONGEST = 21600  # seconds a token may live

Tree = dict[str, str]  # "/latest/meta-data/instance-id" -> "i-0abc"


class Service:
    """What one machine is told. `tree` is asked at each request, so that it tells what is true now.

    `calls` counts requests by path; while `down`, connections are closed without an answer.
    """

    def __init__(self, tree: Callable[[], Tree]) -> None:
        self.calls: Counter[str] = Counter()
        self.down = False
        self.tree = tree
        self.tokens: dict[str, float] = {}  # token -> monotonic end

    def close(self) -> None:
        """The machine is gone."""

    def handle(self, request: BaseHTTPRequestHandler, answer: Callable[[BaseHTTPRequestHandler], tuple[int, str]]) -> None:
        if self.down:
            request.close_connection = True
            return
        self.calls[request.path] += 1
        status, text = answer(request)
        body = text.encode()
        request.send_response(status)
        request.send_header("Content-Type", "text/plain")
        request.send_header("Content-Length", str(len(body)))
        if request.command == "PUT" and status == 200:
            request.send_header(TTL, request.headers[TTL])
        try:
            request.end_headers()
            request.wfile.write(body)
        except ConnectionError:
            request.close_connection = True  # who asked is gone: killed, or out of patience

    def put(self, request: BaseHTTPRequestHandler) -> tuple[int, str]:
        seconds = request.headers.get(TTL, "")
        if request.path != "/latest/api/token":
            return 404, ""
        if not seconds.isdigit() or not 1 <= int(seconds) <= LONGEST or "X-Forwarded-For" in request.headers:
            return 400, "Bad Request"
        token = secrets.token_urlsafe(40)
        self.tokens[token] = time.monotonic() + int(seconds)
        return 200, token

    def get(self, request: BaseHTTPRequestHandler) -> tuple[int, str]:
        if self.tokens.get(request.headers.get(TOKEN, ""), 0.0) <= time.monotonic():
            return 401, "Unauthorized"
        tree = self.tree()
        path = VERSION.sub("/latest/", request.path).rstrip("/")
        if path in tree:
            return 200, tree[path]
        listing = children(tree, path + "/")
        return (200, "\n".join(listing)) if listing else (404, "Not Found")


class Server:
    """Serves http://ADDRESS:PORT until closed; `service_of` says by the address that asks who is asking, None is nobody's."""

    def __init__(self, address: str, port: int, service_of: Callable[[str], Service | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_PUT(self) -> None:
                if service := service_of(self.client_address[0]):
                    service.handle(self, service.put)

            def do_GET(self) -> None:
                if service := service_of(self.client_address[0]):
                    service.handle(self, service.get)

            def log_message(self, format: str, *args: object) -> None:
                """Silent: `calls` tells."""

        self._server = ThreadingHTTPServer((address, port), Handler)
        self.url = f"http://{address}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Imds(Service):
    """One machine's own, at http://ADDRESS:PORT until closed."""

    def __init__(self, address: str, port: int, tree: Callable[[], Tree]) -> None:
        super().__init__(tree)
        self._server = Server(address, port, lambda asking: self)
        self.url = self._server.url

    def close(self) -> None:
        self._server.close()


def children(tree: Tree, folder: str) -> list[str]:
    """What a folder of the tree holds, subfolders with a slash behind."""
    parts = [name.removeprefix(folder).partition("/") for name in tree if name.startswith(folder)]
    folders = {head for head, slash, _ in parts if slash}
    return sorted({f"{head}/" if head in folders else head for head, _, _ in parts})
