"""What tells that a program is ready: options, and probes against servers of the test."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from heaptide.errors import UsageError
from heaptide.idle import Ready, StartError, parse_pattern, parse_port, parse_url
from heaptide.idle._program import Program
from heaptide.idle._ready import HttpProbe, LogProbe, PortProbe, check_free
from tests.support.network import free_port

PROGRAM: Program = None  # type: ignore[assignment]  # these probes do not look at it


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/?q=") or 200))
        self.send_header("Location", "/500")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8000", ("127.0.0.1", 8000)),
        ("localhost:1", ("localhost", 1)),
        (":65535", ("127.0.0.1", 65535)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_ports(text: str, address: tuple[str, int]) -> None:
    assert parse_port(text) == address


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80 ", "http", "host:", "٣", "9" * 5000])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="is no port"):
        parse_port(text)


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1:80", "ftp://h/", "http://", "http://h:99999/", "http://h/a b", "http://[::1/"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        parse_url(text)


@pytest.mark.parametrize("text", ["(", "a{9999999999999999999}", "[z-a]"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(UsageError, match="is no regular expression"):
        parse_pattern(text)


def test_a_port(port: int) -> None:
    assert PortProbe("127.0.0.1", port).ready(PROGRAM)
    closed = PortProbe("127.0.0.1", free_port())
    assert not closed.ready(PROGRAM)
    assert closed.said


@pytest.mark.parametrize(
    ("status", "ready"), [(200, True), (204, True), (302, True), (404, False), (503, False)]
)
def test_answers(port: int, status: int, ready: bool) -> None:
    """Where a redirection leads is not asked."""
    probe = HttpProbe(f"http://127.0.0.1:{port}/?q={status}")
    assert probe.ready(PROGRAM) is ready
    assert str(status) in probe.said


def test_what_does_not_speak_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        probe = HttpProbe(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert not probe.ready(PROGRAM)
        assert probe.said
        thread.join()


def test_lines() -> None:
    """Also when they come in pieces, and before they end."""
    probe = LogProbe(re.compile(r"^Started .* port \d+"))
    probe.see(b"not Started at port 1\nStar")
    assert not probe.ready(PROGRAM)
    probe.see(b"ted \xff at po")
    assert not probe.ready(PROGRAM)
    probe.see(b"rt 80")
    assert probe.ready(PROGRAM)
    probe.see(b"\nmore\n")
    assert probe.ready(PROGRAM)


def test_lines_without_an_end_take_no_memory() -> None:
    probe = LogProbe(re.compile("ready"))
    for _ in range(100):
        probe.see(b"x" * 100_000)
    assert len(probe._begun) <= 1 << 16
    probe.see(b"ready")
    assert probe.ready(PROGRAM)


def test_a_port_that_is_taken(port: int) -> None:
    """Another server would be taken for the program, and the program for ready."""
    for probe in (PortProbe("127.0.0.1", port), HttpProbe(f"http://127.0.0.1:{port}/404")):
        with pytest.raises(StartError, match="before the program is started"):
            check_free([probe])
    check_free([PortProbe("127.0.0.1", free_port()), LogProbe(re.compile(""))])


def test_words() -> None:
    ready = Ready(ports=[("127.0.0.1", 80), ("::1", 81)], patterns=[re.compile("up")])
    assert ready.words() == "a line with up, port 80, port [::1]:81"
    assert Ready().words() == ""
