"""``heaptide.measure``: figures of programs whose allocations are known."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import heaptide
from heaptide import HeaptideError, Measured
from heaptide.inside._agent import Apart
from tests.inside.running import run
from tests.support.building import Builder

pytestmark = pytest.mark.interpreters

TIMES = 20


@pytest.fixture(autouse=True)
def without_collections() -> Iterator[None]:
    """What the garbage collector frees in the middle is nobody's business here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def counted(build: Builder) -> ctypes.CDLL:
    return ctypes.CDLL(str(build("counted.c", "-O1", "-fPIC", "-shared")))


def of(function: Callable[[int], object], count: int, scope: str = "thread") -> Measured:
    with heaptide.measure(scope) as m:
        function(count)
    return m.figures


def test_nothing_is_nothing() -> None:
    """An empty block has no allocation, no byte, no peak: 20 times of 20."""
    with heaptide.measure():
        pass
    for scope in ("process", "thread"):
        for _ in range(TIMES):
            with heaptide.measure(scope) as m:
                pass
            assert m.figures == Measured(0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("function", "calls", "reallocs", "bytes_", "peak"),
    [
        ("blocks", 1000, 0, 100_000, 100),
        ("chain", 1001, 1000, sum(16 * (i + 1) for i in range(1001)), 16 * 1001),
    ],
)
def test_c(
    counted: ctypes.CDLL, function: str, calls: int, reallocs: int, bytes_: int, peak: int
) -> None:
    """malloc, realloc and free of a library that is called through ctypes, 20 times of 20."""
    of(counted.nothing, 1000)
    found = [of(getattr(counted, function), 1000) for _ in range(TIMES)]
    own = of(counted.nothing, 1000)  # what ctypes allocates for a call
    for one in found:
        assert one.allocations - own.allocations == calls
        assert one.reallocs - own.reallocs == reallocs
        assert one.bytes - own.bytes == bytes_
        assert one.peak - own.peak <= peak <= one.peak
        assert one.live == own.live


def test_temporary(counted: ctypes.CDLL) -> None:
    """Each block is freed before the thread's next one."""
    of(counted.blocks, 10)
    assert of(counted.blocks, 1000).temporary >= 999


def test_live_and_what_was_there_before(counted: ctypes.CDLL) -> None:
    """What stays is live; what another block left behind and this one frees goes below 0 only if
    it was seen to be allocated."""
    of(counted.nothing, 1)
    with heaptide.measure("thread") as outer:
        kept = of(counted.keep, 500)
        dropped = of(counted.drop, 500)
    assert abs(kept.live - 500_000) < 1000 > abs(kept.live_blocks - 500) * 100
    assert abs(dropped.live + 500_000) < 1000 > abs(dropped.live_blocks + 500) * 100
    assert outer.live < 50_000 < 499_000 < outer.peak


def test_rust(build: Builder) -> None:
    """A library in Rust: a box each, and the vector that holds them."""
    library = ctypes.CDLL(
        str(build("counted.rs", "--crate-type", "cdylib", "-O", name="libcounted_rs.so"))
    )
    library.boxes.argtypes = [ctypes.c_size_t]
    of(library.boxes, 1000)
    found = {of(library.boxes, 1000) for _ in range(TIMES)}
    assert len(found) == 1
    [one] = found
    few = of(library.boxes, 500)
    assert one.allocations - few.allocations == 500
    assert one.bytes - few.bytes == 500 * (64 + 8)
    assert 1000 * 72 <= one.peak < 1000 * 72 + 1000
    assert one.live == 0


def test_python_objects() -> None:
    """A bytes object each; the list grows by reallocation. The same 20 times of 20."""

    def make(count: int) -> None:
        [bytes(1000) for _ in range(count)]

    of(make, 200)
    found = {of(make, 200) for _ in range(TIMES)}
    assert len(found) == 1
    [one] = found
    per_block = sys.getsizeof(bytes(1000))
    assert 200 * per_block <= one.bytes < 200 * per_block + 20_000
    assert one.allocations - one.reallocs in range(200, 210)
    assert one.live == 0


def test_threads_apart_and_together(counted: ctypes.CDLL) -> None:
    """The scope of a thread leaves out what others do, and tells it."""
    of(counted.in_threads, 10)
    with heaptide.measure("thread") as m:
        counted.in_threads(1000)
    assert m.others is not None
    assert m.others.allocations >= 4000
    assert m.others.bytes >= 400_000
    assert m.bytes < 10_000
    with heaptide.measure() as whole:
        counted.in_threads(1000)
    assert whole.others is None
    assert 4000 <= whole.allocations < 4100
    assert 400_000 <= whole.bytes < 420_000


def test_threads_that_ran_before(counted: ctypes.CDLL) -> None:
    """A thread that was there before the block, and before an earlier one, is counted whole."""
    begin, done, going = threading.Semaphore(0), threading.Semaphore(0), True

    def work() -> None:
        while begin.acquire() and going:
            counted.blocks(1000)
            done.release()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(TIMES):
            with heaptide.measure() as m:
                begin.release()
                done.acquire()
            assert 1000 <= m.allocations < 1040
            assert 100_000 <= m.bytes < 110_000
            counted.blocks(7)  # not measured
    finally:
        going = False
        begin.release()
        thread.join()


def test_libraries_loaded_meanwhile(build: Builder) -> None:
    """Calls of a library that is loaded within the block, or between two, are seen."""
    path = str(build("counted.c", "-O1", "-fPIC", "-shared", name="libcounted_late.so"))
    with heaptide.measure("thread") as m:
        ctypes.CDLL(path).blocks(1000)
    assert m.temporary >= 999
    other = str(build("counted.c", "-O1", "-fPIC", "-shared", name="libcounted_later.so"))
    library = ctypes.CDLL(other)
    assert of(library.blocks, 1000).temporary >= 999


def test_coroutines() -> None:
    """With async with, and over an await."""

    async def main() -> int:
        async with heaptide.measure() as m:
            await asyncio.sleep(0)
            kept = bytes(100_000)
        return m.bytes + len(kept)

    assert 200_000 < asyncio.run(main()) < 260_000


def test_what_heaptide_does_itself_is_not_counted() -> None:
    """Around another block, its stacks, its peak and a budget that fails: a few objects, each time
    as many; none of them stays. What was there before and is freed by then counts."""

    def alone() -> None:
        bytes(2000)

    def measured() -> heaptide.Measurement:
        with heaptide.measure() as m:
            bytes(2000)
        return m

    def budgeted() -> None:
        with contextlib.suppress(heaptide.BudgetError), heaptide.budget(peak="1 kB"):
            bytes(2000)

    inner = (
        measured,
        lambda: measured().stacks(),
        lambda: measured().held(),
        budgeted,
    )
    for scope in ("process", "thread"):
        for function in inner:
            own, *_ = [of(lambda _: alone(), 0, scope) for _ in range(3)][::-1]
            found = [of(lambda _, f=function: f(), 0, scope) for _ in range(5)][2:]  # type: ignore[misc]
            for one in found:
                assert one.allocations - own.allocations <= 25
                assert one.bytes - own.bytes < 2500
                assert one.peak - own.peak < 1000
                assert one.live == 0
                assert one.live_blocks == 0


def test_what_heaptide_frees_of_others() -> None:
    """Blocks that were counted are gone where heaptide frees them; its own never were."""
    kept: list[bytes] = []
    with heaptide.measure() as outer:
        kept.append(bytes(300_000))
        with Apart():
            kept.clear()
            kept.extend(bytes(1000) for _ in range(100))
        kept.clear()
    assert outer.bytes < 310_000
    assert abs(outer.live) < 1000


def test_overlapping_blocks() -> None:
    """Two that do not nest, as in two tasks of a loop."""
    first, second = heaptide.measure(), heaptide.measure()
    first.__enter__()
    a = bytes(100_000)
    second.__enter__()
    b = bytes(10_000)
    first.__exit__(None, None, None)
    c = bytes(1_000_000)
    second.__exit__(None, None, None)
    assert 110_000 < first.peak < 120_000
    assert 1_010_000 < second.peak < 1_020_000
    assert (len(a), len(b), len(c)) == (100_000, 10_000, 1_000_000)


def test_stacks(tmp_path: Path) -> None:
    """Most is where it was allocated, with its line."""
    source = tmp_path / "made.py"
    source.write_text("def make(count):\n    kept = bytes(count)\n    return bytes(count * 3)\n")
    code: dict[str, Callable[[int], bytes]] = {}
    exec(compile(source.read_text(), str(source), "exec"), code)
    with heaptide.measure("thread") as m:
        kept = code["make"](100_000)
    [most, less] = m.stacks(2)
    assert (most.frames[0].function, most.frames[0].file) == ("make", str(source))
    assert (most.frames[0].line, most.allocations) == (3, 1)
    assert most.bytes == most.live == sys.getsizeof(kept)
    assert (less.frames[0].line, less.live) == (2, 0)


def test_a_child_by_fork_measures_for_itself() -> None:
    """Within a parent's block too, whose figures are not touched."""
    with heaptide.measure() as m:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with heaptide.measure() as own:
                    kept = bytes(500_000)
                status = 0 if 500_000 < own.bytes < 520_000 and kept else 2
            finally:
                os._exit(status)
        _, how = os.waitpid(child, 0)
    assert how == 0
    assert m.bytes < 100_000


def test_a_child_that_is_forked_between_two_blocks() -> None:
    """Has a session of its own, as often as it measures; the parent's goes on."""
    for _ in range(3):
        with heaptide.measure() as before:
            bytes(100_000)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for _ in range(3):
                    with heaptide.measure("thread") as own:
                        kept = bytes(500_000)
                status = 0 if 500_000 < own.bytes < 520_000 and kept else 2
            finally:
                os._exit(status)
        _, how = os.waitpid(child, 0)
        assert how == 0
        with heaptide.measure() as after:
            bytes(100_000)
        assert after.figures == before.figures


def test_wrong_uses_are_told() -> None:
    m = heaptide.measure()
    with pytest.raises(HeaptideError, match="nothing has been measured yet"):
        m.peak  # noqa: B018
    with m, pytest.raises(HeaptideError, match="going on"):
        m.__enter__()
    with pytest.raises(HeaptideError, match="process, thread"):
        heaptide.measure("everything")
    with pytest.raises(HeaptideError, match="not recorded"):
        heaptide.stats()


def test_too_many_are_told_at_once() -> None:
    """Those that go on are not touched by it."""
    with contextlib.ExitStack() as stack:
        for _ in range(256):
            stack.enter_context(heaptide.measure())
        for _ in range(2):
            with pytest.raises(HeaptideError, match="at most 256"):
                heaptide.measure().__enter__()
    with heaptide.measure() as m:
        kept = bytes(100_000)
    assert m.bytes > len(kept)


@pytest.mark.parametrize("scope", ["process", "thread"])
def test_blocks_within_blocks(scope: str) -> None:
    """An inner one counts nothing of itself, and nothing of the outer one's."""
    for _ in range(2):  # frames and the like of the first time are kept
        found = []
        with heaptide.measure() as outer:
            for _ in range(TIMES):
                found.append(of(abs, 1, scope))
            with contextlib.ExitStack() as stack:
                stack.enter_context(heaptide.measure(scope))
        assert outer.figures.allocations > 0
    assert found == [Measured(0, 0, 0, 0, 0, 0, 0, 0, 0)] * TIMES


def test_stats_within_a_block() -> None:
    with heaptide.measure():
        before = heaptide.stats()
        kept = bytes(300_000)
        after = heaptide.stats()
    assert len(kept) == 300_000
    assert 300_000 < after.total_bytes - before.total_bytes < 310_000
    assert 300_000 < after.live_bytes - before.live_bytes < 310_000
    assert after.peak_bytes >= after.live_bytes
    assert after.allocations > before.allocations


PROGRAM = """\
import heaptide, sys
with heaptide.measure() as m:
    kept = bytes(200_000)
print(m.scope, 200_000 < m.peak < 260_000, heaptide.stats().live_bytes > 200_000)
with heaptide.measure("thread") as m:
    kept = bytes(200_000)
print(m.scope)
try:
    m.stacks()
except heaptide.HeaptideError as error:
    print(error)
try:
    heaptide.record("x.tide").start()
except heaptide.HeaptideError as error:
    print(error)
"""


def test_under_heaptide_run(tmp_path: Path) -> None:
    """The recording that is made already answers, for the whole process."""
    done = subprocess.run(
        [sys.executable, "-m", "heaptide", "run", "-q", "-o", "a.tide", "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["process True True", "process"]
    assert "recorded by somebody else" in lines[2]
    assert "heaptide run" in lines[3]
    assert not (tmp_path / "x.tide").exists()


CHILDREN = """\
import heaptide, os, signal, subprocess, time
seen = []
signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
with heaptide.measure() as m:
    time.sleep(0.05)
try:
    os.waitpid(-1, os.WNOHANG)
    print("a child")
except ChildProcessError:
    print("no child", seen)
before = sorted(os.listdir("/proc/self/fd"))
for _ in range(50):
    with heaptide.measure() as m:
        pass
print(before == sorted(os.listdir("/proc/self/fd")))
"""


def test_the_program_does_not_notice(tmp_path: Path) -> None:
    """No child to wait for, no SIGCHLD, no descriptor more for each block; and nothing is left."""
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TMPDIR": str(tmp_path),
        },
        check=True,
    )
    assert done.stdout.splitlines() == ["no child []", "True"]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_code_that_is_first_seen_between_two_blocks() -> None:
    """Has its name in the next one: what could not be sent then is sent when it is needed."""
    for turn in range(20):
        code: dict[str, Callable[[], bytes]] = {}
        exec(f"def make_{turn}():\n    return bytes(1_000_000 + {turn})\n", code)
        make = code[f"make_{turn}"]
        with heaptide.measure():
            bytes(10)
        make()
        with heaptide.measure() as m:
            make()
        assert m.stacks(1)[0].frames[0].function == f"make_{turn}"


INTERRUPTED = """\
import heaptide, signal, sys, time

class Interrupt(Exception):
    pass

def interrupt(*_):
    if sys.argv[1] == "raise":
        raise Interrupt
    if sys.argv[1] == "measure":
        try:
            with heaptide.measure() as m:
                kept = bytes(1000)
            assert m.bytes >= 1000, m
        except heaptide.HeaptideError as error:
            assert "about to begin" in str(error) or "has ended" in str(error), error

def work():
    with heaptide.measure() as m:
        kept = [bytes(1000) for _ in range(100)]
    return m.allocations

def record():
    recorder = heaptide.record("a.tide", force=True, symbols=False)
    try:
        with recorder:
            kept = [bytes(1000) for _ in range(100)]
    finally:
        recorder.stop()  # an exception may have come before the block's own end could begin

work()
record()
expected = work()
signal.signal(signal.SIGALRM, interrupt)
for turn in range(400):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + turn % 40 * 0.0002)
        record() if turn % 4 == 0 else work()
        while signal.getitimer(signal.ITIMER_REAL)[0]:
            time.sleep(0.001)
    except Interrupt:
        pass
signal.signal(signal.SIGALRM, signal.SIG_IGN)
record()
assert work() == expected
"""


@pytest.mark.parametrize("handler", ["raise", "measure"])
def test_signals_while_measurements_begin_and_end(tmp_path: Path, handler: str) -> None:
    """Whatever a handler does, and where: the next measurement is as good as the first."""
    run(INTERRUPTED, tmp_path, [handler])
