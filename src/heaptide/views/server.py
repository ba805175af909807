"""A page served to the browser of whoever sits at this machine, and to nobody else.

It listens on the loopback address only, below a path that cannot be guessed. Pages of other origins
can neither name the path nor, by a name that resolves to this machine, pass the check of the host.
"""

from __future__ import annotations

import hmac
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from heaptide.errors import OutputError

_ADDRESS = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_KEEP_ALIVE_SECONDS = 15.0
_NUMBER = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(r"[0-9]{1,18}")


def _times(query: dict[str, list[str]]) -> tuple[int, int, list[int]]:
    """What `data` is asked for; what is no time is left out."""

    def read(name: str, most: int) -> list[int]:
        return [int(text) for text in query.get(name, [])[:most] if _TIME.fullmatch(text)]

    start, end = read("from", 1), read("to", 1)
    span = (start[0], end[0]) if start and end else (0, 0)
    return (*span, read("cut", 2))


class Content(Protocol):
    """What is served. Called from several threads."""

    def page(self) -> bytes:
        """The HTML, which fetches its data."""
        ...

    def data(self, start: int = 0, end: int = 0, cuts: Sequence[int] = ()) -> bytes:
        """The columns of the page, compressed (`heaptide.views.page`). Times in ns: from `start` to
        `end` as fine as it is known, and exact at `cuts`."""
        ...

    def source(self, file: int) -> str | None:
        """The text of a source file, by the number of its name in the data; None: there is none."""
        ...

    def wait(self, version: int, seconds: float) -> int:
        """The number of the present data, which counts up: at once if it is not `version`, else
        when it changes, or after `seconds`."""
        ...

    def complete(self) -> bool:
        """Whether the data will not change any more."""
        ...


class PageServer:
    """Serves `content` from when it is made until `close`."""

    def __init__(self, content: Content, port: int = 0) -> None:
        """Raises OutputError if the port is taken or not allowed. 0: any that is free."""
        self._token = secrets.token_urlsafe(24)
        handler = type("Handler", (_Handler,), {"content": content, "token": self._token})
        try:
            self._server = _Server((_ADDRESS, port), handler)
        except OSError as error:
            raise OutputError(
                f"cannot listen on port {port} ({error.strerror}); choose another --port"
            ) from None

    @property
    def url(self) -> str:
        return f"http://{_ADDRESS}:{self._server.server_address[1]}/{self._token}/"

    def serve(self) -> None:
        """Answers until another thread closes it, or KeyboardInterrupt."""
        self._server.serve_forever(poll_interval=0.2)

    @contextmanager
    def in_background(self) -> Iterator[str]:
        """Answers in a thread of its own; yields the URL."""
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            self._server.shutdown()
            thread.join()
            self.close()

    def close(self) -> None:
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a page that waits for events may be open

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone away is none of our errors; others are told to whoever asked."""


class _Handler(BaseHTTPRequestHandler):
    content: Content
    token: str
    server_version = "heaptide"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the person's."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if not self._from_here():
            self._send(HTTPStatus.FORBIDDEN, b"", "text/plain")
            return
        target = urlsplit(self.path)
        _, token, *rest = target.path.split("/", 2)
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")
            return
        if not rest:  # what the page asks for is relative to it
            self._send(HTTPStatus.PERMANENT_REDIRECT, b"", "text/plain", f"/{self.token}/")
            return
        name = rest[0]
        if name == "":
            self._send(HTTPStatus.OK, self.content.page(), "text/html; charset=utf-8")
        elif name == "data":
            body = self.content.data(*_times(parse_qs(target.query)))
            self._send(HTTPStatus.OK, body, "application/octet-stream")
        elif name == "source":
            self._source(parse_qs(target.query))
        elif name == "events":
            self._events()
        else:
            self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def _from_here(self) -> bool:
        """Whether the request names this server, and not another that resolves to it."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        return host in (_ADDRESS, "localhost")

    def _source(self, query: dict[str, list[str]]) -> None:
        number = query.get("file", [""])[0]
        known = _NUMBER.fullmatch(number)
        text = self.content.source(int(number)) if known else None
        if text is None:
            self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")
            return
        body = text.encode("utf-8", "replace")
        self._send(HTTPStatus.OK, body, "text/plain; charset=utf-8")

    def _events(self) -> None:
        """Server-sent events, one for each new version of the data; `end` behind the last one."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self._send_headers()
        self.end_headers()
        version = self.content.wait(-1, 0)
        while True:
            try:
                self.wfile.write(b": here\n\n")
                now = self.content.wait(version, _KEEP_ALIVE_SECONDS)
                if now != version:
                    self.wfile.write(b"data: %d\n\n" % now)
                    version = now
                elif self.content.complete():
                    self.wfile.write(b"event: end\ndata: %d\n\n" % now)
                    return
                self.wfile.flush()
            except (ConnectionError, socket.timeout):
                return

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str, location: str | None = None
    ) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self._send_headers()
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
