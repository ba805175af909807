"""What can be told of another process's allocators without attaching to it: which libraries it has
loaded."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from heaptide._procfs import Procfs
from heaptide.errors import HeaptideError

from . import glibc, jemalloc, mimalloc, musl, python, tcmalloc
from ._stats import LIBRARY, MALLOC, PYTHON

_CODE = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ ..x. \S+ \S+ [1-9]\d* +(/.*)$", re.MULTILINE)
_SIGNS = (
    *((f"{prefix}mallctl", jemalloc.NAME, prefix) for prefix in jemalloc.PREFIXES),
    ("MallocExtension_GetNumericProperty", tcmalloc.NAME, ""),
    ("mi_process_info", mimalloc.NAME, ""),
)
_GLIBC, _CPYTHON = "gnu_get_libc_version", "_PyObject_DebugMallocStats"
_MALLOC, _USABLE = "malloc", "malloc_usable_size"  # all allocators have the second
_RECORDER = "heaptide_mark"  # it calls the next malloc
_WANTED = (_MALLOC, _USABLE, _RECORDER, _GLIBC, _CPYTHON, *(sign for sign, _, _ in _SIGNS))
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Outside:
    """An allocator of another process: no figures, for those are in its memory."""

    name: str
    role: str  # malloc, python, library
    file: str
    prefix: str = ""


def read_outside(pid: int, procfs: Procfs | None = None) -> list[Outside]:
    """The allocators that a process has, by the files that it has mapped: those with the functions
    of one. What is linked in without names for the linker is not found.

    A file that defines ``malloc`` is taken for what malloc is, before the C library: one that has
    such functions before one that has not, which is ``unknown``. 0.1 s for 50 files. Raises
    HeaptideError: it may not be read.
    """
    procfs = procfs or Procfs()
    folder = procfs.root / str(pid)
    found: list[Outside] = []
    others: list[Outside] = []  # that may be what malloc is, the best guess first
    program = _program(folder)
    for file in mapped(pid, procfs):
        for one in _of_file(file, folder / "root" / file.lstrip("/"), file == program):
            if one.name == _UNKNOWN:
                others.insert(0, one)
            else:
                (others if one.name in (glibc.NAME, musl.NAME) else found).append(one)
    if others and not any(one.role == MALLOC for one in found):
        found.append(others[0])
    order = (MALLOC, PYTHON, LIBRARY)
    return sorted(found, key=lambda one: order.index(one.role))


def mapped(pid: int, procfs: Procfs | None = None) -> tuple[str, ...]:
    """Files that it has code of. Raises as `read_outside`."""
    procfs = procfs or Procfs()
    maps = procfs.read(procfs.root / str(pid) / "maps")
    if maps is None:
        raise HeaptideError(f"there is no process {pid}")
    names = dict.fromkeys(_CODE.findall(maps))
    return tuple(name.decode(errors="surrogateescape") for name in names)


def _program(folder: Path) -> str:
    """Empty: it cannot be told."""
    try:
        return os.readlink(folder / "exe")  # noqa: PTH115 (it may have gone)
    except OSError:
        return ""


def _of_file(file: str, path: Path, is_program: bool) -> list[Outside]:
    from heaptide.symbols import defined  # NumPy, which services that read themselves do without

    try:
        has = defined(path, _WANTED) if path.is_file() else ()  # to open a device may do anything
    except OSError:
        return []
    found = []
    for sign, name, prefix in _SIGNS:
        if sign in has:
            role = MALLOC if not prefix and "malloc" in has else LIBRARY
            found.append(Outside(name, role, file, prefix))
    if _GLIBC in has:
        found.append(Outside(glibc.NAME, MALLOC, file))
    elif musl.is_musl(file):
        found.append(Outside(musl.NAME, MALLOC, file))
    elif not found and _RECORDER not in has and _MALLOC in has and (is_program or _USABLE in has):
        found.append(Outside(_UNKNOWN, MALLOC, file))
    if _CPYTHON in has:
        found.append(Outside(python.PYMALLOC, PYTHON, file))
    return found
