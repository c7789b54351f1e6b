"""A forward proxy for apt in the builder: Debian's packages, from wherever this machine's own apt takes them.

The only way out of the region's network, and to Debian's archive alone. Packages are kept in the cache: their files never change.
"""

import hashlib
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.lab.full import apt

PORT = 3128
PASSED_ON = ("Range", "If-Range", "If-Modified-Since", "Cache-Control")
TOLD = ("Content-Length", "Content-Range", "Content-Type", "Last-Modified")
SECONDS = 60.0  # without a byte from the mirror


class Proxy:
    """Serves http://ADDRESS:3128 until closed. `outside()` puts the calling thread into this machine's own network."""

    def __init__(self, address: str, outside: Callable[[], AbstractContextManager[None]], kept: Path) -> None:
        self.mirrors = apt.mirrors()
        self.outside = outside
        self.kept = kept
        kept.mkdir(parents=True, exist_ok=True)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 300

            def do_GET(self) -> None:
                proxy.handle(self)

            def log_message(self, format: str, *args: object) -> None:
                """apt tells."""

        self._server = ThreadingHTTPServer((address, PORT), Handler)
        self.url = f"http://{address}:{PORT}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        place = self.mirrors.place_of(request.path)
        if not request.path.startswith((apt.DEBIAN + "/", apt.SECURITY + "/")):
            request.send_error(403, "the lab's proxy leads to Debian's archive only")
        elif place.endswith(".deb"):
            self.send_package(request, place)
        else:
            self.pass_on(request, place)

    def send_package(self, request: BaseHTTPRequestHandler, place: str) -> None:
        file = self.kept / hashlib.sha256(place.encode()).hexdigest()
        if not file.exists():
            try:
                with self.ask(request, place, {}) as answer, open(f"{file}.{threading.get_ident()}", "wb") as part:
                    shutil.copyfileobj(answer, part)
            except OSError as error:
                request.send_error(error.code if isinstance(error, urllib.error.HTTPError) else 502, str(error))
                return
            os.rename(part.name, file)
        with open(file, "rb") as package:
            request.send_response(200)
            request.send_header("Content-Length", str(file.stat().st_size))
            request.end_headers()
            shutil.copyfileobj(package, request.wfile)

    def pass_on(self, request: BaseHTTPRequestHandler, place: str) -> None:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        try:
            answer = self.ask(request, place, headers)
        except urllib.error.HTTPError as error:
            request.send_response(error.code)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        except OSError as error:
            request.send_error(502, str(error))
            return
        with answer:
            request.send_response(answer.status)
            for name in TOLD:
                if answer.headers[name]:
                    request.send_header(name, answer.headers[name])
            if not answer.headers["Content-Length"]:
                request.send_header("Connection", "close")
                request.close_connection = True
            request.end_headers()
            shutil.copyfileobj(answer, request.wfile)

    def ask(self, request: BaseHTTPRequestHandler, place: str, headers: dict[str, str]) -> Any:
        with self.outside():
            return urllib.request.urlopen(urllib.request.Request(place, headers=headers), timeout=SECONDS)
