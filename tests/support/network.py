"""Loopback servers under test: a free port, waiting until it answers."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request

from tests.support.recorded import Running


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, server: Running) -> None:
    """Returns when the port accepts connections.

    Raises:
        AssertionError: the server ended before.
    """
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.process.poll() is None, server.finish().stderr
        time.sleep(0.02)


def fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of a request; an error status is no exception."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
