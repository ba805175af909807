"""Processes and their children: of a /proc that is made up, and of real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heaptide import _procfs
from heaptide._procfs import Procfs
from heaptide.allocators import Family, ProcessReader, ProcessStats, read_family, read_process
from heaptide.allocators._limit import Clock
from heaptide.errors import HeaptideError

STATUS = """Name:\tweb (1)
VmPeak:\t  9000 kB
VmSize:\t  8000 kB
VmHWM:\t  3000 kB
VmRSS:\t  2000 kB
RssAnon:\t  1500 kB
RssFile:\t   400 kB
RssShmem:\t   100 kB
VmSwap:\t    30 kB
Threads:\t5
"""
ROLLUP = """Rss:  {rss} kB
Pss:  {pss} kB
Private_Clean:  100 kB
Private_Dirty:  300 kB
Swap: 20 kB
SwapPss: 10 kB
"""


class FakeProc:
    """A directory like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.procfs = Procfs(root)
        (root / "self").mkdir()
        (root / "self" / "smaps_rollup").touch()

    def add(self, pid: int, parent: int, pss: int = 1000, state: str = "S") -> None:
        folder = self.root / str(pid)
        folder.mkdir()
        fields = f"{parent} {pid} {pid} 0 0 0 111 0 222 0 0 0 0 0 0 0 0 0 4444 0 0"
        (folder / "stat").write_text(f"{pid} (web (1) S 3) {state} {fields}\n")
        (folder / "status").write_text(STATUS)
        self.set_pss(pid, pss)

    def set_pss(self, pid: int, pss: int) -> None:
        text = ROLLUP.format(rss=2 * pss, pss=pss)
        (self.root / str(pid) / "smaps_rollup").write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_a_process(proc: FakeProc) -> None:
    """In bytes, faults from behind a name that looks like figures."""
    proc.add(7, 1)
    assert read_process(7, proc.procfs) == ProcessStats(
        pid=7,
        name="web (1)",
        rss=2000 << 10,
        peak_rss=3000 << 10,
        rss_anon=1500 << 10,
        rss_file=400 << 10,
        rss_shmem=100 << 10,
        virtual=8000 << 10,
        swap=30 << 10,
        threads=5,
        minor_faults=111,
        major_faults=222,
        pss=1000 << 10,
        uss=400 << 10,
        age=0.0,
    )


def test_a_kernel_thread(proc: FakeProc) -> None:
    """It has no memory of its own: absent, not 0."""
    proc.add(7, 1)
    (proc.root / "7" / "status").write_text("Name:\tkthreadd\nThreads:\t1\n")
    (proc.root / "7" / "smaps_rollup").write_text("")
    found = read_process(7, proc.procfs)
    assert (found.rss, found.swap, found.pss, found.uss, found.age) == (None,) * 5
    assert found.reason and found.threads == 1


def test_one_that_is_not_there(proc: FakeProc) -> None:
    for read in (read_process, read_family):
        with pytest.raises(HeaptideError, match="no process 7"):
            read(7, proc.procfs)


def test_family(proc: FakeProc) -> None:
    """Children and theirs, by PSS; not those that are dead, nor anyone else's."""
    proc.add(7, 1, pss=1000)
    proc.add(8, 7, pss=200)
    proc.add(9, 8, pss=30)
    proc.add(10, 7, pss=5, state="Z")
    proc.add(11, 1, pss=7000)
    assert read_family(7, proc.procfs) == Family(
        processes=3, rss=2460 << 10, pss=1230 << 10, uss=1200 << 10, swap=30 << 10
    )


def test_a_child_that_may_not_be_read(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and said to be in no sum. PSS of such a process has a reason."""
    proc.add(7, 1, pss=1000)
    proc.add(8, 7, pss=200)
    original = _procfs.read_whole

    def refuse(path: Path | str, *, at_once: bool = False) -> bytes:
        if Path(path) == proc.root / "8" / "smaps_rollup":
            raise PermissionError(13, "Permission denied")
        return original(path, at_once=at_once)

    monkeypatch.setattr(_procfs, "read_whole", refuse)
    family = read_family(7, proc.procfs)
    assert (family.processes, family.unread, family.pss) == (2, 1, 1000 << 10)
    assert read_family(8, proc.procfs) == Family(1, None, None, None, None, unread=1)
    found = read_process(8, proc.procfs)
    assert (found.pss, found.rss) == (None, 2000 << 10)
    assert "Permission denied" in found.reason


def test_reading_again_and_again(proc: FakeProc) -> None:
    """What is cheap is read each time, PSS and the family once a minute."""
    time = [100.0]
    reader = ProcessReader(7, procfs=proc.procfs, clock=Clock(now=lambda: time[0]))
    proc.add(7, 1, pss=1000)
    assert (reader.read().pss, reader.family().value) == (1000 << 10, read_family(7, proc.procfs))
    proc.set_pss(7, 2000)
    (proc.root / "7" / "status").write_text(STATUS.replace("2000 kB", "2500 kB"))
    time[0] += 59.0
    found = reader.read()
    assert (found.rss, found.pss, found.age) == (2500 << 10, 1000 << 10, 59.0)
    assert reader.family().age == 59.0
    time[0] += 1.0
    assert reader.read().pss == 2000 << 10
    family = reader.family().value
    assert family is not None and family.pss == 2000 << 10


def test_the_real_one() -> None:
    """Of this process: what must hold between figures, and 30 MB that are touched."""
    before = read_process()
    kept = bytearray(b"x") * (30 << 20)
    after = read_process()
    assert after.pid == os.getpid()
    figures = (before.rss, after.rss, after.peak_rss, after.pss, after.uss, after.minor_faults)
    rss, rss_after, peak, pss, uss, faults = (one or 0 for one in figures)
    assert rss_after - rss >= 28 << 20 and len(kept) == 30 << 20
    assert 0 < uss <= pss <= peak and rss_after <= peak * 1.01
    assert faults > (before.minor_faults or 0)


def test_real_children() -> None:
    """A child's memory is in the family's PSS, and not in the parent's."""
    code = "kept = bytearray(b'x') * (60 << 20); print('ok', flush=True); input()"
    alone = read_family()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout and child.stdin
        child.stdout.readline()
        both, own = read_family(), read_process()
        child.communicate(b"\n")
    assert both.processes == alone.processes + 1
    assert both.pss is not None and alone.pss is not None
    assert 60 << 20 <= both.pss - alone.pss < 90 << 20
    assert own.pss is not None and both.pss - own.pss >= 60 << 20
