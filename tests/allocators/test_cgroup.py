"""Control groups: of files that are made up for version 2 and for containers, and of a real
version 1 where the machine has one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heaptide.allocators import Cgroup, CgroupReader, Pressure, Stall, read_cgroup, read_pressure

MB = 1_000_000
PSI = """some avg10=12.50 avg60=3.00 avg300=0.10 total=4500000
full avg10=2.00 avg60=0.00 avg300=0.00 total=500000
"""
PRESSURE = Pressure(Stall(0.125, 0.03, 0.001, 4.5), Stall(0.02, 0.0, 0.0, 0.5))


class System:
    """A directory like /, with one process, 7."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, groups: str, mounts: str) -> None:
        for name in ("7", "self"):
            folder = self.root / "proc" / name
            folder.mkdir(parents=True)
            (folder / "cgroup").write_text(groups)
            (folder / "mountinfo").write_text(mounts)

    def group(self, folder: str, **files: str | int) -> None:
        """Files by their names, without ``memory.``; ``__`` stands for a dot."""
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (place / f"memory.{name.replace('__', '.')}").write_text(f"{content}\n")

    def read(self) -> Cgroup | None:
        return read_cgroup(7, self.root)


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
STAT = f"anon {30 * MB}\nfile {60 * MB}\ninactive_file {40 * MB}\n"


def test_version_2(system: System) -> None:
    """All that a service's group tells; the limit is the nearer one of the slice above it."""
    system.process("0::/app.slice/web.service\n", V2)
    system.group("sys/fs/cgroup", stat="anon 1\ninactive_file 0\n", pressure=PSI)
    system.group(
        "sys/fs/cgroup/app.slice", max=300 * MB, current=280 * MB, stat=f"inactive_file {45 * MB}"
    )
    system.group(
        "sys/fs/cgroup/app.slice/web.service",
        max=400 * MB,
        high=350 * MB,
        current=100 * MB,
        peak=120 * MB,
        stat=STAT,
        events="low 0\nhigh 3\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n",
        swap__current=7,
        swap__max="max",
        pressure=PSI,
    )
    assert system.read() == Cgroup(
        version=2,
        path="/app.slice/web.service",
        limit=300 * MB,
        high=350 * MB,
        current=100 * MB,
        peak=120 * MB,
        working_set=60 * MB,
        anon=30 * MB,
        file=60 * MB,
        swap=7,
        swap_limit=None,
        headroom=(300 - 280 + 45) * MB,
        events={"low": 0, "high": 3, "max": 5, "oom": 1, "oom_kill": 1, "oom_group_kill": 0},
        pressure=PRESSURE,
    )


def test_version_2_without_limit(system: System) -> None:
    """No limit is no limit, not 0, and no headroom; a kernel before 5.19 has no peak."""
    system.process("0::/a\n", V2)
    system.group("sys/fs/cgroup/a", max="max", current=5, stat="anon 2\ninactive_file 9\n")
    found = system.read()
    assert found is not None
    assert (found.limit, found.headroom, found.peak, found.high) == (None, None, None, None)
    assert (found.current, found.working_set, found.pressure, found.events) == (5, 0, None, {})


def test_own_namespace(system: System) -> None:
    """In a container: the group is the root of what is seen, and has a limit of its own."""
    system.process("0::/\n", V2)
    system.group("sys/fs/cgroup", max=64 * MB, current=60 * MB, stat=STAT)
    found = system.read()
    assert found is not None
    assert (found.path, found.limit, found.headroom) == ("/", 64 * MB, 44 * MB)


@pytest.mark.parametrize("path", ["/docker/0123", "/../sibling", "/docker/0123/gone"])
def test_only_a_part_is_mounted(system: System, path: str) -> None:
    """Without a namespace the path is the machine's: what is mounted is the container's group."""
    mount = "30 23 0:26 /docker/0123 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    system.process(f"0::{path}\n", mount)
    system.group("sys/fs/cgroup", max=64 * MB, current=MB, stat="anon 1\ninactive_file 0\n")
    found = system.read()
    assert found is not None and (found.limit, found.current) == (64 * MB, MB)


def test_names_with_spaces(system: System) -> None:
    """They are octal in mountinfo, and as they are in the process's file."""
    system.process("0::/a b\n", r"30 23 0:26 / /cg\040roup rw - cgroup2 cgroup2 rw" + "\n")
    system.group("cg roup/a b", max=9, current=1, stat="anon 1\ninactive_file 0\n")
    found = system.read()
    assert found is not None and found.limit == 9


UNLIMITED = 9223372036854771712


def test_version_1(system: System) -> None:
    """Beside a version 2 without memory, as systemd mounts both."""
    system.process("4:memory:/docker/0123\n1:cpu:/\n0::/docker/0123\n", V1)
    (system.root / "sys/fs/cgroup/unified/docker/0123").mkdir(parents=True)
    stat = (
        f"rss 1\ntotal_rss {30 * MB}\ntotal_cache {60 * MB}\ntotal_inactive_file {40 * MB}\n"
        f"total_swap 5\nhierarchical_memory_limit {90 * MB}\n"
    )
    system.group(
        "sys/fs/cgroup/memory",
        limit_in_bytes=UNLIMITED,
        usage_in_bytes=9000 * MB,
        stat="total_inactive_file 0\n",
    )
    system.group("sys/fs/cgroup/memory/docker")
    system.group(
        "sys/fs/cgroup/memory/docker/0123",
        limit_in_bytes=100 * MB,
        usage_in_bytes=80 * MB,
        max_usage_in_bytes=95 * MB,
        failcnt=12,
        oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        stat=stat,
    )
    assert system.read() == Cgroup(
        version=1,
        path="/docker/0123",
        limit=90 * MB,
        current=80 * MB,
        peak=95 * MB,
        working_set=40 * MB,
        anon=30 * MB,
        file=60 * MB,
        swap=5,
        headroom=50 * MB,
        events={"oom_kill_disable": 0, "under_oom": 0, "oom_kill": 2, "failcnt": 12},
    )


def test_version_1_without_a_limit(system: System) -> None:
    """How often none was hit is not told."""
    system.process("4:memory:/\n", V1)
    system.group(
        "sys/fs/cgroup/memory",
        usage_in_bytes=80 * MB,
        failcnt=0,
        oom_control="oom_kill 0\n",
        stat=f"hierarchical_memory_limit {UNLIMITED}\n",
    )
    found = system.read()
    assert found is not None
    assert (found.limit, found.headroom, found.events) == (None, None, {"oom_kill": 0})


def test_no_groups(system: System) -> None:
    """None at all, none that count memory, no such process."""
    assert system.read() is None
    system.process("4:memory:/a\n0::/b\n", "broken\n1 2 3 - \n")
    assert system.read() is None
    assert read_cgroup(8, system.root) is None


@pytest.mark.parametrize("content", [b"", b"max", b"-1", b"\xff\xfe", b"12 34", b"1e9"])
def test_nonsense_in_files(system: System, content: bytes) -> None:
    """What is no number is not told."""
    system.process("0::/\n", V2)
    system.group("sys/fs/cgroup", stat="anon\nfile x\ninactive_file 1 2\n")
    (system.root / "sys/fs/cgroup/memory.current").write_bytes(content)
    found = system.read()
    assert found is not None
    assert (found.current, found.anon, found.file, found.working_set) == (None,) * 4


def test_reading_again_follows_the_process(system: System) -> None:
    """Into another group, and to what can be seen when its folder has gone; figures are new each
    time, and what is mounted is looked up no more."""
    system.process("0::/a\n", V2)
    for name, current in (("", 1), ("/a", 2), ("/b", 3)):
        system.group(f"sys/fs/cgroup{name}", current=current, stat="anon 1\n")
    reader = CgroupReader(7, system.root)

    def told() -> tuple[str, int | None]:
        found = reader.read()
        assert found is not None
        return found.path, found.current

    assert told() == ("/a", 2)
    (system.root / "proc/self/mountinfo").rename(system.root / "mountinfo")
    system.group("sys/fs/cgroup/a", current=5)
    assert told() == ("/a", 5)
    (system.root / "mountinfo").rename(system.root / "proc/self/mountinfo")
    (system.root / "proc/7/cgroup").write_text("0::/b\n")
    assert told() == ("/b", 3)
    shutil.rmtree(system.root / "sys/fs/cgroup/b")
    assert told() == ("/b", 1)
    (system.root / "proc/7/cgroup").write_text("")
    assert reader.read() is None
    (system.root / "proc/7/cgroup").write_text("0::/a\n")
    assert told() == ("/a", 5)


def test_pressure(tmp_path: Path) -> None:
    """A file of the kernel's form; a system without PSI has none."""
    path = tmp_path / "memory"
    assert read_pressure(path) is None
    path.write_text(PSI)
    assert read_pressure(path) == PRESSURE
    path.write_text(PSI.splitlines()[0])
    assert read_pressure(path) == Pressure(PRESSURE.some, None)


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A group of version 1 below ours, with a limit of 200 MB and this test's children in it."""
    root = Path("/sys/fs/cgroup/memory")
    path = root / f"heaptide-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("needs a control group of version 1 that may be written")
    if not (path / "memory.limit_in_bytes").exists():
        path.rmdir()
        pytest.skip("needs a memory controller of version 1")
    (path / "memory.limit_in_bytes").write_text(str(200 << 20))
    yield path
    with contextlib.suppress(OSError):
        path.rmdir()


def test_a_real_group_of_version_1(real_group: Path) -> None:
    """50 MB that a process in it touches are in its current and its peak, and gone from its
    headroom; when they are given back, from its current only."""
    code = (
        "import mmap, sys\n"
        "for line in sys.stdin:\n"
        "    if line == 'g\\n':\n"
        "        m = mmap.mmap(-1, 50 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "        m.write(bytes(50 << 20))\n"
        "    if line == 'd\\n': m.close()\n"
        "    print('ok', flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin and child.stdout

    def after(letter: str) -> Cgroup:
        assert child.stdin and child.stdout
        child.stdin.write(f"{letter}\n")
        child.stdin.flush()
        assert child.stdout.readline() == "ok\n"
        found = read_cgroup(child.pid)
        assert found is not None
        return found

    with child:
        assert child.stdout is not None
        (real_group / "cgroup.procs").write_text(str(child.pid))
        before, full, empty = after("x"), after("g"), after("d")
        child.stdin.close()
    assert before.version == 1 and before.path == f"/{real_group.name}"
    assert before.limit == 200 << 20
    sizes = [(one.current, one.peak, one.headroom) for one in (before, full, empty)]
    (current, _, left), (current_full, peak_full, left_full), (current_empty, peak, _) = sizes
    assert current is not None and current_full is not None and current_empty is not None
    assert left is not None and left_full is not None
    assert peak is not None and peak_full is not None
    assert 49 << 20 <= current_full - current < 110 << 20  # the bytes to write are a copy
    assert left - left_full >= 45 << 20
    assert current_empty <= current_full - (45 << 20)
    assert peak >= peak_full >= current_full
    assert full.events["oom_kill"] == 0 and full.anon is not None and full.anon >= 49 << 20


HUGE = "9" * 5000


def test_garbage(system: System) -> None:
    """Numbers of thousands of digits, which Python refuses to read, and what is no number."""
    system.process("0::/\n", V2)
    psi = PSI.replace("avg10=12.50", "avg10=1.2.3").replace("total=500000", f"total={HUGE}")
    system.group(
        "sys/fs/cgroup",
        stat=f"anon {HUGE}\nfile -5\ninactive_file 3\n",
        current=HUGE,
        max="1e9",
        events=f"oom {HUGE}\noom_kill ٣\nlow\nhigh 1 2\nmax 4",
        pressure=psi,
    )
    found = system.read()
    assert found == Cgroup(2, "/", events={"max": 4})


def test_a_folder_that_may_not_be_entered(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then what is mounted has to do."""
    system.process("0::/a\n", V2)
    system.group("sys/fs/cgroup", stat="anon 5")

    def stat(path: object, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", stat)
    found = system.read()
    assert found is not None
    assert found.anon == 5
