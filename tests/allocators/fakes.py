"""Libraries that are made up: their functions are Python's, and get ctypes's arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any


class FakeLibrary:
    """A loaded object with these functions."""

    def __init__(self, path: str, **functions: Callable[..., Any]) -> None:
        self.path = path
        self._functions = functions

    def function(
        self, name: str, result: Any = None, *arguments: Any, gil: bool = False
    ) -> Callable[..., Any] | None:
        return self._functions.get(name)


def nothing(*_: object) -> int:
    """A function that nobody calls."""
    raise AssertionError("called")


def mallctl(values: Mapping[str, Any]) -> Callable[..., int]:
    """jemalloc's: these values, the epoch, and ENOENT for all others."""
    epoch = ctypes.c_uint64(1)

    def call(name: bytes, old: Any, size: Any, new: Any, new_size: int) -> int:
        if name == b"epoch":
            epoch.value += 1
            old._obj.value = epoch.value
            return 0
        if name.decode() not in values:
            return 2
        old._obj.value = values[name.decode()]
        return 0

    return call


def jemalloc(path: str, prefix: str = "", **more: Any) -> FakeLibrary:
    """A jemalloc that has allocated 600 of 1000 active bytes, with two pages unused."""
    values = {
        "version": b"5.3.0-0-gabc",
        "config.stats": True,
        "stats.allocated": 600,
        "stats.active": 1000,
        "stats.resident": 9000,
        "stats.mapped": 20000,
        "stats.retained": 300,
        "stats.metadata": 70,
        "arenas.page": 4096,
        "arenas.narenas": 3,
        "stats.arenas.4096.pdirty": 1,
        "stats.arenas.4096.pmuzzy": 1,
        "arena.0.initialized": True,
        "arena.1.initialized": False,
        "arena.2.initialized": True,
        "stats.arenas.2.small.allocated": 400,
        "stats.arenas.2.large.allocated": 4000,
        "stats.arenas.2.pactive": 2,
        "stats.arenas.2.pdirty": 0,
        "stats.arenas.2.pmuzzy": 1,
        **more,
    }
    functions: dict[str, Any] = {
        f"{prefix}mallctl": mallctl(values),
        f"{prefix}malloc": nothing,
    }
    return FakeLibrary(path, **functions)


def libc(path: str = "/lib/libc.so.6", **more: Callable[..., Any]) -> FakeLibrary:
    """A glibc without statistics, unless ``more`` has them."""
    functions: dict[str, Any] = {"malloc": nothing, "gnu_get_libc_version": lambda: b"2.36", **more}
    return FakeLibrary(path, **functions)
