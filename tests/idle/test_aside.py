"""What this process maps of files is let go, and comes back when it is needed."""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path

from heaptide.idle._aside import stand_aside

SIZE = 4 << 20


def resident(path: Path) -> int:
    """Bytes of the mappings of a file that are in our memory."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def test_files_that_were_only_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    flags = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ}
    with path.open("rb") as file, mmap.mmap(file.fileno(), SIZE, **flags) as mapping:
        before = bytes(mapping)
        assert resident(path) == SIZE
        stand_aside()
        assert resident(path) == 0
        assert bytes(mapping) == before


def test_what_was_written_is_kept(tmp_path: Path) -> None:
    """As relocations are, in pages that are read-only by now."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * SIZE)
    flags = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ | mmap.PROT_WRITE}
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), SIZE, **flags)
    mapping[4096:4100] = b"ours"
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), SIZE, mmap.PROT_READ) == 0
    assert f"{address:x}" in Path("/proc/self/maps").read_text()
    stand_aside()
    assert mapping[4096:4100] == b"ours"
    assert mapping[:4096] == b"x" * 4096


def test_everything_goes_on() -> None:
    """Again and again, with all that the interpreter has loaded."""
    for _ in range(20):
        stand_aside()
        assert re.fullmatch("a+", "a" * 1000)
