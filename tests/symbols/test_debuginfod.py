"""Debug files from a server: fetched once, checked, and never waited for twice."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heaptide.symbols._cache import SymbolCache
from heaptide.symbols._debugfiles import DebugFiles
from heaptide.symbols._debuginfod import Debuginfod
from heaptide.symbols._elf import ElfFile
from heaptide.symbols._native import Known, Module, NativeResolver
from tests.symbols import compiling
from tests.symbols.compiling import calls, need, run


class Server(http.server.ThreadingHTTPServer):
    """Answers each path with a status and a body; keeps what it was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def program(tmp_path: Path) -> tuple[Path, bytes, str, int]:
    """A stripped program, its debug file's content, its build id, and an address."""
    need("objcopy", "strip")
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2", "-Wl,--build-id")
    address = calls(path, "5outer", "malloc")[0]
    debug = tmp_path / "debug"
    run("objcopy", "--only-keep-debug", path, debug)
    run("strip", path)
    with ElfFile.open(path) as elf:
        return path, debug.read_bytes(), elf.build_id, address


def client(tmp_path: Path, *urls: str, **more: str) -> Debuginfod:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "home")}
    return Debuginfod({"DEBUGINFOD_URLS": " ".join(urls), **cache, **more})


def test_fetched_once(
    tmp_path: Path, server: Server, program: tuple[Path, bytes, str, int]
) -> None:
    """The file is kept in the layout of elfutils' client, and resolves the program's addresses."""
    path, debug, build_id, address = program
    server.answers[f"/buildid/{build_id}/debuginfo"] = (200, debug)
    found = client(tmp_path, "http://127.0.0.1:9", server.url + "/")
    kept = tmp_path / "home" / "debuginfod_client" / build_id / "debuginfo"
    assert found.fetch(build_id) == kept
    assert kept.read_bytes() == debug
    assert len(found.warnings) == 1, "the first server cannot be reached"
    assert client(tmp_path, server.url).fetch(build_id) == kept
    assert server.asked == [f"/buildid/{build_id}/debuginfo"]

    files = DebugFiles((tmp_path / "none",), found.fetch)
    resolver = NativeResolver(files, SymbolCache(tmp_path / "cache"))
    result = resolver.resolve(Module(bytes(path), build_id), [address])
    assert result.known is Known.DEBUG
    assert result.functions[address][-1].function == "shop::outer(int)"


def test_unknown_build(tmp_path: Path, server: Server) -> None:
    """A server that does not know a build is asked once, silently, and about others still."""
    found = client(tmp_path, server.url)
    for build_id in ("ab" * 20, "ab" * 20, "cd" * 20):
        assert found.fetch(build_id) is None
    assert len(server.asked) == 2
    assert found.warnings == []
    assert not list((tmp_path / "home").rglob("*debuginfo"))


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (503, b"busy"), (200, b"not an ELF file"), (200, b"")]
)
def test_bad_answers(tmp_path: Path, server: Server, status: int, body: bytes) -> None:
    """An answer that is no debug file of this build is one warning, and nothing is kept."""
    build_id = "ab" * 20
    server.answers[f"/buildid/{build_id}/debuginfo"] = (status, body)
    found = client(tmp_path, server.url)
    assert found.fetch(build_id) is None
    assert found.fetch(build_id) is None
    assert len(server.asked) == 1
    [warning] = found.warnings
    assert server.url in warning
    assert [p for p in (tmp_path / "home").rglob("*") if p.is_file()] == []


def test_other_build(tmp_path: Path, server: Server, program: tuple[Path, bytes, str, int]) -> None:
    server.answers[f"/buildid/{'ab' * 20}/debuginfo"] = (200, program[1])
    found = client(tmp_path, server.url)
    assert found.fetch("ab" * 20) is None
    assert len(found.warnings) == 1


def test_too_large(tmp_path: Path, server: Server, program: tuple[Path, bytes, str, int]) -> None:
    _, debug, build_id, _ = program
    server.answers[f"/buildid/{build_id}/debuginfo"] = (200, debug)
    found = client(tmp_path, server.url, DEBUGINFOD_MAXSIZE="100")
    assert found.fetch(build_id) is None
    assert "too large" in found.warnings[0]


def test_server_that_is_not_there(tmp_path: Path) -> None:
    """It is asked once, whatever number of builds is wanted."""
    found = client(tmp_path, "http://127.0.0.1:9")
    assert found.fetch("ab" * 20) is None
    assert found.fetch("cd" * 20) is None
    assert len(found.warnings) == 1


def test_only_when_asked_for(tmp_path: Path, server: Server) -> None:
    assert not client(tmp_path).enabled
    assert client(tmp_path).fetch("ab" * 20) is None
    odd = client(tmp_path, "file:///etc")
    assert not odd.enabled
    assert len(odd.warnings) == 1
    assert client(tmp_path, server.url).fetch("../../etc/passwd") is None
    assert server.asked == []
