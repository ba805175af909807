"""What the figures were measured on and with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.building import build


def processor() -> str:
    """The processor's name, and how many of them."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = found.group(1) if found else platform.machine()
    return f"{name}, {os.cpu_count()} CPUs"


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def handover_ns(directory: Path) -> float | None:
    """How long a cache line takes from one processor to another just now, nanoseconds. What a
    program's threads write is read on another processor; and a virtual machine's may be neighbours
    at one moment and far from each other at the next. None with one processor, or no compiler."""
    program = build("handover.c", directory)
    if program is None:
        return None
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    return float(done.stdout) if done.returncode == 0 else None


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def _distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def versions() -> dict[str, str]:
    """Of everything that took part and is here; by name."""
    found = {
        "heaptide": _distribution("heaptide"),
        "Linux": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "CPython": sys.version.split()[0],
        "NumPy": _distribution("numpy"),
        "gcc": _first_line("gcc", "-dumpfullversion"),
        "rustc": _first_line("rustc", "--version"),
        "memray": _distribution("memray"),
        "heaptrack": _first_line("heaptrack", "--version"),
    }
    return {name: version for name, version in found.items() if version}
