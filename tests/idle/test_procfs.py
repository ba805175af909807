"""Processes and their memory, of a /proc that is made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from heaptide import _procfs
from heaptide._procfs import Memory, Process
from heaptide.errors import HeaptideError
from heaptide.idle._procfs import Procfs, members

ROLLUP = """\
55a4e0000000-7ffd1c5f6000 ---p 00000000 00:00 0                          [rollup]
Rss:               {rss} kB
Pss:               {pss} kB
Pss_Anon:           600 kB
Shared_Clean:      1111 kB
Private_Clean:      100 kB
Private_Dirty:      300 kB
Swap:                20 kB
SwapPss:             10 kB
"""


class FakeProc:
    """A directory like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.add(1, 0)
        (root / "self").mkdir()
        (root / "self" / "smaps_rollup").write_text("")
        (root / "meminfo").write_text("MemTotal: 1 kB\n")

    def add(
        self,
        pid: int,
        parent: int,
        *,
        name: str = "server",
        state: str = "S",
        session: int = 0,
        memory: str | None = None,
    ) -> None:
        folder = self.root / str(pid)
        folder.mkdir()
        rest = " ".join(["0"] * 15)
        stat = f"{pid} ({name}) {state} {parent} {pid} {session} {rest} {1000 + pid} 0 0\n"
        (folder / "stat").write_text(stat)
        (folder / "cmdline").write_bytes(b"/usr/bin/server\0--port\x008000\0")
        (folder / "status").write_text("Name:\tserver\nSigCgt:\t0100000000004002\n")
        (folder / "smaps_rollup").write_text(memory or "")

    def members(self, root: int, adopter: int, *others: int) -> list[int]:
        found = members(Procfs(self.root).processes(), root, adopter, others)
        return [one.pid for one in found]


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_memory_of_a_process(proc: FakeProc) -> None:
    """In bytes; USS is what is private, clean and dirty."""
    proc.add(7, 1, memory=ROLLUP.format(rss=2000, pss=1000))
    assert Procfs(proc.root).memory(7) == Memory(
        rss=2000 << 10,
        pss=1000 << 10,
        pss_anon=600 << 10,
        uss=400 << 10,
        private_dirty=300 << 10,
        swap=20 << 10,
        swap_pss=10 << 10,
    )


def test_sums() -> None:
    assert Memory(1, 2, 3, 4, 5, 6, 7) + Memory(10, 20, 30, 40, 50, 60, 70) == Memory(
        11, 22, 33, 44, 55, 66, 77
    )


def test_a_kernel_without_rollups(proc: FakeProc) -> None:
    """The same figures, mapping by mapping."""
    (proc.root / "self" / "smaps_rollup").unlink()
    proc.add(7, 1)
    (proc.root / "7" / "smaps_rollup").unlink()
    both = ROLLUP.format(rss=1500, pss=800) + ROLLUP.format(rss=500, pss=200)
    (proc.root / "7" / "smaps").write_text(both)
    memory = Procfs(proc.root).memory(7)
    assert memory is not None
    assert (memory.rss, memory.pss, memory.uss) == (2000 << 10, 1000 << 10, 800 << 10)


def test_processes_that_go_away(proc: FakeProc) -> None:
    """A zombie's file is empty; that of one that has gone does not exist."""
    proc.add(7, 1, state="Z")
    assert Procfs(proc.root).memory(7) is None
    assert Procfs(proc.root).memory(8) is None
    assert Procfs(proc.root).command(8) == [""]
    assert not Procfs(proc.root).catches(8, 2)
    proc.add(9, 1)
    (proc.root / "9" / "stat").unlink()
    assert Procfs(proc.root).processes().keys() == {1, 7}
    assert Procfs(proc.root).processes()[7].dead


def test_what_may_not_be_read(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path | str, *, at_once: bool = False) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_procfs, "read_whole", refuse)
    with pytest.raises(HeaptideError, match="another user"):
        Procfs(proc.root).memory(7)


def mapped(proc: FakeProc, pid: int, maps: str, pages: dict[int, int]) -> None:
    """``pages``: flags of pagemap by the number of the page of addresses."""
    folder = proc.root / str(pid)
    (folder / "maps").write_text(maps)
    with (folder / "pagemap").open("wb") as file:
        for page, flags in pages.items():
            file.seek(page * 8)
            file.write(flags.to_bytes(8, "little"))


def test_each_page_once(proc: FakeProc) -> None:
    """Pages of a file by their places in it, wherever they are mapped; not own copies of them, nor
    what is not in memory."""
    there, file = 1 << 63, 1 << 61
    anonymous = Memory(rss=1, pss_anon=1000)
    for pid in (7, 8):
        proc.add(pid, 1)
    mapped(
        proc,
        7,
        "10000-14000 r-xp 00002000 fe:01 55    /lib/a b.so\n"
        "20000-21000 rw-p 00000000 00:00 0     [heap]\n",
        # 2, 3 of the file; then a copy that it has written to, and one that was swapped out.
        {0x10: there | file, 0x11: there | file, 0x12: there, 0x13: 1 << 62, 0x20: there},
    )
    mapped(
        proc,
        8,
        "30000-32000 r--p 00003000 fe:01 55    /lib/a b.so\n"
        "40000-41000 r--p 00003000 fe:02 55    /another\n"
        "50000-51000 rw-s 00000000 00:05 9     /dev/shm/x (deleted)\n",
        # 3, 4 of the file; the same place of another one; shared memory.
        {0x30: there | file, 0x31: there | file, 0x40: there | file, 0x50: there | file},
    )
    procfs = Procfs(proc.root)
    assert procfs.alone({7: anonymous}) == 2 * 4096 + 1000
    assert procfs.alone({7: anonymous, 8: anonymous}) == 5 * 4096 + 2000
    assert procfs.alone({7: anonymous, 99: anonymous}) == 2 * 4096 + 2000
    assert procfs.alone({7: Memory(rss=1)}) is None


def test_names_may_hold_anything(proc: FakeProc) -> None:
    proc.add(7, 3, name="a) S 1 (b", session=5)
    assert Procfs(proc.root).processes()[7] == Process(7, "a) S 1 (b", "S", 3, 7, 5, 1007)


def test_signals_with_a_handler(proc: FakeProc) -> None:
    """Bits of the mask count from 1."""
    proc.add(7, 1)
    caught = [number for number in range(1, 65) if Procfs(proc.root).catches(7, number)]
    assert caught == [2, 15, 57]


def test_the_command(proc: FakeProc) -> None:
    proc.add(7, 1)
    assert Procfs(proc.root).command(7) == ["/usr/bin/server", "--port", "8000"]


def test_children_and_grandchildren(proc: FakeProc) -> None:
    """The first process first, then by age; not its parent, nor others of that."""
    proc.add(50, 1)  # who measures
    proc.add(60, 50)
    proc.add(61, 60)
    proc.add(59, 61)
    proc.add(70, 1)
    assert proc.members(60, 50) == [60, 59, 61]


def test_orphans_belong_to_it(proc: FakeProc) -> None:
    """A daemon's parents have ended: it is a child of who measures, in a session of its own."""
    proc.add(50, 1)
    proc.add(62, 50, session=61)
    proc.add(63, 62, session=61)
    assert proc.members(60, 50) == [62, 63]


def test_what_is_left_out(proc: FakeProc) -> None:
    """A command that runs beside it, what that has left running, and what was there before."""
    proc.add(50, 1)
    proc.add(60, 50, session=60)
    proc.add(65, 50, session=65)
    proc.add(66, 65, session=65)
    proc.add(67, 50, session=65)
    proc.add(40, 50, session=50)
    assert proc.members(60, 50, 65, 40) == [60]
