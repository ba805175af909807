"""The server of the page: what it answers, and to whom it does not."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from heaptide.errors import OutputError
from heaptide.views.server import PageServer


class Fake:
    """Content of which a test says when it changes."""

    def __init__(self) -> None:
        self.version = 0
        self.ended = False
        self.changed = threading.Condition()
        self.asked: list[tuple[int, int, list[int]]] = []

    def page(self) -> bytes:
        return "<p>é</p>".encode()

    def data(self, start: int = 0, end: int = 0, cuts: Sequence[int] = ()) -> bytes:
        self.asked.append((start, end, list(cuts)))
        return b"\x00\x01"

    def source(self, file: int) -> str | None:
        return "x = 'é'\n" if file == 7 else None

    def wait(self, version: int, seconds: float) -> int:
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.version != version, seconds)
            return self.version

    def complete(self) -> bool:
        return self.ended

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def change(self) -> None:
        with self.changed:
            self.version += 1
            self.changed.notify_all()


@pytest.fixture
def content() -> Fake:
    return Fake()


@pytest.fixture
def url(content: Fake) -> Iterator[str]:
    with PageServer(content).in_background() as url:
        yield url


def ask(
    url: str, path: str, *, host: str | None = None, method: str = "GET"
) -> tuple[int, str, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.putrequest(method, parts.path + path, skip_host=True)
    connection.putheader("Host", parts.netloc if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers.get("Content-Type", ""), body


def test_what_it_serves(url: str) -> None:
    assert ask(url, "") == (200, "text/html; charset=utf-8", "<p>é</p>".encode())
    assert ask(url, "data") == (200, "application/octet-stream", b"\x00\x01")
    assert ask(url, "source?file=7")[2].decode() == "x = 'é'\n"
    assert ask(url, "", method="HEAD") == (200, "text/html; charset=utf-8", b"")


@pytest.mark.parametrize(
    "path",
    [
        "source?file=8",
        "source?file=-1",
        "source?file=²",
        "source?file=" + "7" * 5000,
        "source?file=7%0A",
        "source",
        "x",
        "/",
    ],
)
def test_what_there_is_not(url: str, path: str) -> None:
    path = path.replace("²", "%C2%B2")
    assert ask(url, path)[0] == 404


def test_an_address_that_was_copied_without_its_last_slash(url: str) -> None:
    """What the page asks for is relative to it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path[:-1])
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, parts.path)
    assert answer.read() == b""
    connection.close()


def test_only_on_this_machine(url: str) -> None:
    assert urlsplit(url).hostname == "127.0.0.1"


def test_without_its_token_it_tells_nothing(url: str) -> None:
    parts = urlsplit(url)
    for path in ("/", "/data", "/" + "x" * len(parts.path), parts.path[:-2] + "/data", "//"):
        assert ask(f"http://{parts.netloc}", path) == (404, "text/plain", b"")


def test_a_name_that_resolves_here_is_refused(url: str) -> None:
    assert ask(url, "data", host="evil.example")[0] == 403
    assert ask(url, "data", host="")[0] == 403
    assert ask(url, "data", host=f"localhost:{urlsplit(url).port}")[0] == 200


def test_tokens_differ(content: Fake) -> None:
    servers = [PageServer(content) for _ in range(2)]
    paths = [urlsplit(server.url).path for server in servers]
    for server in servers:
        server.close()
    assert paths[0] != paths[1]
    assert min(map(len, paths)) > 30


def test_events_say_when_data_is_new(url: str, content: Fake) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path + "events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.fp.readline() == b": here\n"
    for version in (1, 2):
        content.change()
        lines = iter(answer.fp.readline, b"")
        assert next(line for line in lines if line.startswith(b"data")) == b"data: %d\n" % version
    content.end()
    rest = answer.fp.read()
    assert b"event: end\n" in rest
    connection.close()


def test_a_listener_holds_up_nobody(url: str, content: Fake) -> None:
    parts = urlsplit(url)
    waiting = http.client.HTTPConnection(parts.netloc, timeout=10)
    waiting.request("GET", parts.path + "events")
    assert ask(url, "data")[0] == 200
    waiting.close()
    content.change()
    assert ask(url, "data")[0] == 200


def test_a_port_that_is_taken(url: str, content: Fake) -> None:
    port = urlsplit(url).port
    assert port is not None
    with pytest.raises(OutputError, match="choose another --port"):
        PageServer(content, port)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", (0, 0, [])),
        ("?from=5&to=90", (5, 90, [])),
        ("?from=5&to=90&cut=7&cut=80&cut=81", (5, 90, [7, 80])),
        ("?cut=7", (0, 0, [7])),
        ("?from=5", (0, 0, [])),
        ("?from=-5&to=1e9&cut=x", (0, 0, [])),
        (f"?from=0&to={'9' * 19}", (0, 0, [])),
    ],
)
def test_data_are_asked_for_by_time(
    content: Fake, url: str, query: str, asked: tuple[int, int, list[int]]
) -> None:
    assert ask(url, f"data{query}")[0] == 200
    assert content.asked == [asked]
