"""What is left to the limit, as the short way has it, which is to be what the long way has."""

from __future__ import annotations

from pathlib import Path

import pytest

from heaptide.allocators import Headroom, HeadroomReader, read_cgroup

MOUNT = {
    1: "35 31 0:32 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n",
    2: "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
}
LINE = {1: "4:memory:{}\n1:cpu:/\n", 2: "0::{}\n"}
FILES = {
    1: ("limit_in_bytes", "usage_in_bytes", "total_inactive_file"),
    2: ("max", "current", "inactive_file"),
}
NO_LIMIT = {1: "9223372036854771712", 2: "max"}


class System:
    """A directory like /, with this process in a control group of a version."""

    def __init__(self, root: Path, version: int) -> None:
        self.root, self.version = root, version
        (root / "proc" / "self").mkdir(parents=True)
        (root / "proc" / "self" / "mountinfo").write_text(MOUNT[version])

    def enter(self, path: str) -> None:
        (self.root / "proc" / "self" / "cgroup").write_text(LINE[self.version].format(path))

    def group(
        self,
        path: str,
        limit: int | None,
        used: int | None = None,
        unused: int = 0,
        whole: int | None = None,
    ) -> None:
        """``used`` None: it does not tell. ``whole``: as version 1 has it, of all groups above."""
        folder = self.root / "sys" / "fs" / "cgroup" / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        limits, current, inactive = FILES[self.version]
        written = NO_LIMIT[self.version] if limit is None else str(limit)
        (folder / f"memory.{limits}").write_text(f"{written}\n")
        if used is not None:
            (folder / f"memory.{current}").write_text(f"{used}\n")
        stat = f"anon 1\n{inactive} {unused}\nx{inactive} 5\n"
        if whole is not None:
            stat += f"hierarchical_memory_limit {whole}\n"
        (folder / "memory.stat").write_text(stat)

    def read(self, reader: HeadroomReader) -> tuple[int, int] | None:
        """As both have it."""
        left, found = reader.read(), read_cgroup(root=self.root)
        if found is None or found.headroom is None:
            assert left is None
            return None
        assert left == Headroom(found.limit or 0, found.headroom)
        return left.limit, left.headroom


@pytest.fixture(params=[1, 2])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> System:
    return System(tmp_path, request.param)


def test_the_nearest_limit(system: System) -> None:
    """Its own, or that of a group above it; pages that can be dropped are not in use."""
    system.enter("/a/b")
    system.group("/", None, 900)
    system.group("/a", 300, 280, 45)
    system.group("/a/b", 400, 100, 40)
    assert system.read(HeadroomReader(system.root)) == (300, 65)
    system.group("/a/b", 90, 100, 40)
    assert system.read(HeadroomReader(system.root)) == (90, 30)
    system.group("/a/b", 50, 100, 40)
    assert system.read(HeadroomReader(system.root)) == (50, 0)


def test_no_limit(system: System) -> None:
    system.enter("/a")
    system.group("/", None, 900)
    system.group("/a", None, 50)
    assert system.read(HeadroomReader(system.root)) is None


def test_it_does_not_tell(system: System) -> None:
    """There is a limit, and nobody knows what is used; and there is no group at all."""
    system.enter("/a")
    reader = HeadroomReader(system.root)
    assert reader.read() is None
    if system.version == 2:
        system.group("/a", 100)
        assert system.read(reader) is None


def test_limits_that_cannot_be_seen(tmp_path: Path) -> None:
    """Version 1 tells the least of all groups, those outside a container too; or that there is
    none, and then nothing else is read."""
    system = System(tmp_path, 1)
    system.enter("/a")
    system.group("/a", None, 50, 10, whole=80)
    assert system.read(HeadroomReader(tmp_path)) == (80, 40)
    system.group("/a", None, 50, 10, whole=int(NO_LIMIT[1]))
    assert system.read(HeadroomReader(tmp_path)) is None


def test_again_and_again(system: System) -> None:
    """What is used, the limit, and the group itself are those of the moment."""
    system.enter("/a")
    system.group("/", None, 900)
    system.group("/a", 100, 60, 10)
    system.group("/b", 30, 20)
    reader = HeadroomReader(system.root)
    assert system.read(reader) == (100, 50)
    system.group("/a", 100, 90, 10)
    assert system.read(reader) == (100, 20)
    system.group("/a", 200, 90, 10)
    assert system.read(reader) == (200, 120)
    system.group("/a", None, 90, 10)
    assert system.read(reader) is None
    system.enter("/b")
    assert system.read(reader) == (30, 10)
