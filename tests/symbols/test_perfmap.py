"""Perf maps name addresses of generated code, of the process that wrote them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from heaptide.symbols._perfmap import PerfMap


def test_names() -> None:
    found = PerfMap(
        b"1000 20 first\n"
        b"0x2000 0x10 py::f:/a b.py\n"
        b"1000 10 replaced\n"
        b"junk\n3000 zz bad\n3000 0 empty\n4000 8\n"
        b"5000 8 last \xff"
    )
    assert len(found) == 3
    assert found.name(0x1000) == "replaced"
    assert found.name(0x1010) is None
    assert found.name(0x200F) == "py::f:/a b.py"
    assert found.name(0x5000) == "last \ufffd"
    assert found.name(0) is None


def test_of_process(tmp_path: Path) -> None:
    """A map that is older than the recording is of another process."""
    path = tmp_path / "perf-12.map"
    assert PerfMap.of_process(12, directory=tmp_path) is None
    path.write_text("1000 20 f\n")
    assert PerfMap.of_process(12, time.time() - 60, tmp_path) is not None
    os.utime(path, (1000, 1000))
    assert PerfMap.of_process(12, time.time() - 60, tmp_path) is None
    path.unlink()
    os.mkfifo(path)
    assert PerfMap.of_process(12, directory=tmp_path) is None
    path.unlink()
    (tmp_path / "target").write_text("1000 20 f\n")
    path.symlink_to(tmp_path / "target")
    assert PerfMap.of_process(12, directory=tmp_path) is None
