"""Which allocators are live, and what their functions are taken to mean: of made-up libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heaptide.allocators import AllocatorStats, Reader, jemalloc
from heaptide.allocators._objects import Library
from heaptide.allocators._stats import Answer
from heaptide.allocators.glibc import parse as parse_malloc_info
from heaptide.allocators.mimalloc import parse as parse_mimalloc
from heaptide.allocators.mimalloc import version_text
from heaptide.allocators.python import parse_mimalloc as parse_cpython_mimalloc
from heaptide.allocators.python import which
from heaptide.errors import HeaptideError, UsageError

from . import fakes
from .fakes import FakeLibrary, libc, nothing


def read(*libraries: Library, **options: Any) -> list[AllocatorStats]:
    return Reader(asking="always", libraries=lambda: libraries, **options).read()


def roles(found: list[AllocatorStats]) -> list[tuple[str, str, str]]:
    return [(one.name, one.role, one.file) for one in found]


def test_the_first_malloc_is_live() -> None:
    """In the order in which names are looked up; the C library's is not live behind another."""
    found = read(FakeLibrary("/app"), fakes.jemalloc("/j.so"), libc())
    assert roles(found) == [("jemalloc", "malloc", "/j.so")]
    assert roles(read(FakeLibrary("/app"), libc(), fakes.jemalloc("/j.so"))) == [
        ("glibc", "malloc", "/lib/libc.so.6"),
        ("jemalloc", "library", "/j.so"),
    ]


def test_prefixes() -> None:
    """A jemalloc under names of its own is a library's, even of the program itself."""
    found = read(fakes.jemalloc("/app", "_rjem_"), libc(), fakes.jemalloc("/arrow.so", "je_arrow_"))
    assert roles(found) == [
        ("glibc", "malloc", "/lib/libc.so.6"),
        ("jemalloc", "library", "/app"),
        ("jemalloc", "library", "/arrow.so"),
    ]
    assert [one.prefix for one in found] == ["", "_rjem_", "je_arrow_"]


def test_a_recorder_is_no_allocator() -> None:
    recorder = FakeLibrary("/libheaptide.so", malloc=nothing, heaptide_mark=nothing)
    found = read(recorder, fakes.jemalloc("/j.so"), libc())
    assert roles(found) == [("jemalloc", "malloc", "/j.so")]


def test_an_unknown_one() -> None:
    """It is told that there is one, with no figure at all."""
    (found,) = read(FakeLibrary("/lib/librpmalloc.so", malloc=nothing), libc())
    assert (found.name, found.role) == ("unknown", "malloc")
    assert not found.told and "librpmalloc.so" in found.reason


def test_musl() -> None:
    (found,) = read(FakeLibrary("/lib/ld-musl-x86_64.so.1", malloc=nothing))
    assert (found.name, found.told, found.allocated) == ("musl", False, None)
    assert found.reason


def test_no_libraries() -> None:
    assert read() == []


def test_jemalloc_figures() -> None:
    """Free is what is freed within pages in use, and pages that nothing is in."""
    (found,) = read(fakes.jemalloc("/j.so"), arenas=True)
    assert (found.allocated, found.active, found.resident) == (600, 1000, 9000)
    assert (found.mapped, found.retained, found.metadata) == (20000, 300, 70)
    assert found.free == 400 + 2 * 4096
    assert found.fragmentation == pytest.approx(8592 / 9192)
    assert [arena.index for arena in found.arenas] == [0, 2]  # of those that are in use
    first, second = found.arenas
    assert not first.told
    assert (second.allocated, second.active, second.free) == (4400, 8192, 8192 - 4400 + 4096)


def test_jemalloc_without_statistics() -> None:
    (found,) = read(fakes.jemalloc("/j.so", "", **{"config.stats": False}))
    assert not found.told and "without statistics" in found.reason


def test_an_old_jemalloc_has_no_retained() -> None:
    """What this build does not have is absent; the rest is told."""
    values = {"version": b"4.0", "config.stats": True, "stats.allocated": 5, "stats.active": 6}
    (found,) = read(FakeLibrary("/j.so", mallctl=fakes.mallctl(values), malloc=nothing))
    assert (found.allocated, found.retained, found.free) == (5, None, None)


def test_the_guides_shape_asks_what_malloc_is() -> None:
    here = jemalloc._Here(lambda: [fakes.jemalloc("/r", "_rjem_"), fakes.jemalloc("/j.so")])
    epoch, stats = jemalloc.Epoch(here), jemalloc.Stats(here)
    assert (epoch.advance(), epoch.advance()) == (2, 3)
    assert (stats.allocated.read(), stats.resident.read()) == (600, 9000)
    with pytest.raises(HeaptideError, match="no jemalloc"):
        jemalloc.Stats(jemalloc._Here(lambda: [libc()])).allocated.read()
    bare = jemalloc._Here(lambda: [FakeLibrary("/j", mallctl=fakes.mallctl({}))])
    with pytest.raises(HeaptideError, match=r"stats\.mapped"):
        jemalloc.Stats(bare).mapped.read()


def tcmalloc(values: dict[str, int], report: bytes | None) -> FakeLibrary:
    def get(name: bytes, place: Any) -> int:
        place._obj.value = values.get(name.decode(), 77)
        return int(name.decode() in values)

    def write(buffer: Any, size: int) -> None:
        assert report is not None
        buffer.value = report

    more = {} if report is None else {"MallocExtension_GetStats": write}
    return FakeLibrary("/t.so", malloc=nothing, MallocExtension_GetNumericProperty=get, **more)


TCMALLOC = {
    "generic.current_allocated_bytes": 500,
    "generic.heap_size": 1000,
    "tcmalloc.pageheap_free_bytes": 100,
    "tcmalloc.pageheap_unmapped_bytes": 200,
    "tcmalloc.central_cache_free_bytes": 50,
    "tcmalloc.transfer_cache_free_bytes": 60,
    "tcmalloc.thread_cache_free_bytes": 90,
}


def test_tcmalloc_figures() -> None:
    report = b"MALLOC: +           33 (    0.0 MiB) Bytes in malloc metadata\n"
    (found,) = read(tcmalloc(TCMALLOC, report))
    assert (found.allocated, found.free, found.active) == (500, 300, 700)
    assert (found.mapped, found.retained, found.metadata, found.resident) == (800, 200, 33, 833)


def test_tcmalloc_that_tells_less() -> None:
    less = {name: value for name, value in TCMALLOC.items() if "transfer" not in name}
    (found,) = read(tcmalloc(less, None))
    assert (found.allocated, found.free, found.metadata, found.resident) == (500, None, None, None)


def test_mimalloc_reports() -> None:
    """Of a build that counts, and of one that has the fields and leaves them 0."""
    text = (
        b'{"committed": {"current": 900}, "reserved": {"current": 1000}, '
        b'"malloc_normal": {"total": %d, "current": %d}, "malloc_huge": {"current": %d}}'
    )
    counts = parse_mimalloc(text % (700, 500, 100), 1)
    assert counts == Answer(allocated=600, mapped=900, retained=100, free=300)
    idle = parse_mimalloc(text % (700, 0, 0), 1)
    assert idle is not None and (idle.allocated, idle.free) == (0, 900)
    without = parse_mimalloc(text % (0, 0, 100), 1)
    assert without is not None and (without.allocated, without.mapped) == (None, 900)
    assert parse_mimalloc(b"{cut", 1) is None
    assert parse_mimalloc(b"[]", 1) is None
    assert (version_text(209), version_text(30403)) == ("2.0.9", "3.4.3")


def test_glibc_figures() -> None:
    """mallinfo2: in use is in the arenas and in mappings of single blocks; nothing is made up."""
    told = SimpleNamespace(arena=1000, hblkhd=5000, uordblks=700, fordblks=300)
    (found,) = read(libc(mallinfo2=lambda: told))
    assert (found.allocated, found.mapped, found.free) == (5700, 6000, 300)
    assert (found.active, found.resident, found.retained, found.metadata) == (None,) * 4
    assert found.costly


MALLOC_INFO = b"""<malloc version="1">
<heap nr="0"><sizes/>
<total type="fast" count="1" size="20"/><total type="rest" count="2" size="180"/>
<system type="current" size="1000"/><system type="max" size="1200"/>
</heap>
<heap nr="1"><total type="fast" count="0" size="0"/><total type="rest" count="1" size="50"/>
<system type="current" size="500"/></heap>
<total type="fast" count="1" size="20"/><total type="rest" count="3" size="230"/>
<total type="mmap" count="1" size="4096"/>
<system type="current" size="1500"/><system type="max" size="1700"/>
</malloc>"""


def test_malloc_info() -> None:
    """Also of a glibc before mallinfo2: totals, and each arena."""
    told = parse_malloc_info(MALLOC_INFO)
    assert (told.allocated, told.mapped, told.free) == (1250 + 4096, 1500 + 4096, 250)
    assert [(one.index, one.allocated, one.mapped, one.free) for one in told.arenas] == [
        (0, 800, 1000, 200),
        (1, 450, 500, 50),
    ]
    for broken in (b"", MALLOC_INFO[:300]):
        assert not parse_malloc_info(broken).told and parse_malloc_info(broken).reason


def test_a_glibc_that_tells_nothing() -> None:
    (found,) = read(libc())
    assert not found.told and "mallinfo2" in found.reason


def test_what_objects_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """By CPython's own word; behind hooks by what it was started with."""
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: 0)
    assert which("pymalloc", 1, {}) == which("pymalloc_debug", 1, {}) == "pymalloc"
    assert which("mimalloc_debug", 1, {}) == "cpython-mimalloc"
    assert which("malloc", 0, {}) is None
    assert which(None, 9, {}) == "pymalloc"
    assert which(None, 0, {}) is None
    assert which(None, 9, {"PYTHONMALLOC": "mimalloc"}) == "cpython-mimalloc"
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: 1)
    assert which("default", 1, {}) == "cpython-mimalloc"


def test_cpythons_mimalloc() -> None:
    text = (
        "Small block threshold = 16384, in 73 size classes.\n    Allocated Blocks: 10\n"
        "    Allocated Bytes: 2000\n    Allocated Bytes w/ Overhead: 2100\n"
        "    Bytes Reserved: 9000\n    Bytes Committed: 5000\n"
    )
    assert parse_cpython_mimalloc(text, 12) == Answer(
        allocated=2000, mapped=5000, retained=4000, free=3000, blocks=12
    )


def test_asking() -> None:
    """``never`` leaves out what is expensive, and says so."""
    reader = Reader(asking="never", libraries=lambda: [libc(mallinfo2=nothing)])
    (found,) = reader.read()
    assert not found.told and "never" in found.reason
    with pytest.raises(UsageError, match="sometimes"):
        Reader(asking="sometimes")


def test_a_forked_child_asks_anew() -> None:
    """What its parent was told is not its own; a lock that a thread of the parent held is none."""
    code = """
import os, signal
from heaptide.allocators import ProcessReader, Reader
from tests.allocators import fakes
values = {"stats.allocated": 5}
library = fakes.FakeLibrary("/j.so", mallctl=fakes.mallctl(values), malloc=fakes.nothing)
reader = Reader(interval=1e9, libraries=lambda: [library])
process = ProcessReader(interval=1e9)
told = [reader.read()[0].allocated, process.read().pid == os.getpid(), process.read().age > 0]
values["stats.allocated"] = 6
kept = bytearray(b"x") * (40 << 20)
with reader._lock:
    child = os.fork()
if child == 0:
    signal.alarm(60)  # only against a hang
    told = [reader.read()[0].allocated, process.read().pid == os.getpid()]
    told.append(process.read().pss > 20 << 20)
    print(told, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(told)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout == "[6, True, True]\n[5, True, True]\n", done.stderr
