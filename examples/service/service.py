"""A small web service that tells its memory to Prometheus, and leaks when it is asked to.

    python service.py [PORT]               the standard library's server, on 127.0.0.1
    gunicorn -w 4 service:app
    uvicorn --interface wsgi service:app

``/`` renders a page, ``/leak?bytes=N`` keeps N bytes for good, ``/metrics`` is for Prometheus. With
``SERVICE_LEAK=N`` in the environment each page keeps N bytes too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import Counter

from heaptide.monitor.prometheus import make_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REQUESTS = Counter("service_requests", "Pages that were rendered")
LEAK = int(os.environ.get("SERVICE_LEAK", "0"))
MOST = 100_000_000  # bytes that one request can make it keep

kept: list[bytearray] = []  # never emptied: the fault
metrics = make_wsgi_app()


def keep(size: int) -> bool:
    """Memory that is written to is resident. False: it is too much."""
    if size > MOST:
        return False
    kept.append(bytearray(b"x") * size)
    return True


def render(number: int) -> bytes:
    """Some work: a few hundred objects that live as long as the request."""
    rows = [{"id": row, "text": f"row {row} of page {number}"} for row in range(300)]
    return "\n".join(str(row) for row in rows).encode()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    path = environ.get("PATH_INFO", "/")
    if path == "/metrics":
        return metrics(environ, start_response)
    asked = parse_qs(environ.get("QUERY_STRING", ""))
    status = "200 OK"
    if path == "/":
        REQUESTS.inc()
        keep(LEAK)
        page = render(len(asked))
    elif path == "/leak" and asked.get("bytes", [""])[0].isdecimal():
        if keep(int(asked["bytes"][0])):
            page = f"{sum(map(len, kept))} bytes are kept\n".encode()
        else:
            status, page = "400 Bad Request", f"ask for {MOST} bytes at most\n".encode()
    else:
        status, page = "404 Not Found", b"ask for /, /leak?bytes=N or /metrics\n"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(page)))])
    return [page]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    port = sys.argv[1] if len(sys.argv) > 1 else "8000"
    if not port.isdecimal() or int(port) > 65535:
        sys.exit(f"service.py: {port!r} is no port: say a number up to 65535")
    try:
        server = make_server("127.0.0.1", int(port), app, _Server, _Quiet)
    except OSError as error:
        sys.exit(f"service.py: port {port} cannot be had: {error.strerror}; say another one")
    with server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
