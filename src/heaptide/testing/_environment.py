"""What figures of a test depend on besides the test: the fingerprint that baselines go by."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
from importlib import metadata


@functools.lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """Interpreter build, C library, allocator, hash seed and installed packages (a digest)."""
    return {
        "python": f"{sys.implementation.name} {platform.python_version()} "
        f"({' '.join(platform.python_build())}, {platform.python_compiler()})",
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "allocator": _allocator(),
        "hash seed": os.environ.get("PYTHONHASHSEED", "random"),
        "packages": _packages(),
    }


def fingerprint() -> str:
    """Twelve characters for ``environment()``: figures of equal ones are equal."""
    text = "\n".join(f"{name}: {value}" for name, value in environment().items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _allocator() -> str:
    """Of Python's objects and of C."""
    of_python = os.environ.get("PYTHONMALLOC", "default")
    names = ("jemalloc", "tcmalloc", "mimalloc")
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            text = maps.read()
    except OSError:
        text = ""
    return f"{of_python}, {next((name for name in names if f'lib{name}' in text), 'libc')}"


def _packages() -> str:
    """Of all that is installed but heaptide itself, whose parts are not measured."""
    found = sorted(
        f"{one.metadata['Name']}=={one.version}".lower()
        for one in metadata.distributions()
        if one.metadata["Name"]
    )
    lines = [line for line in dict.fromkeys(found) if not line.startswith("heaptide==")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
