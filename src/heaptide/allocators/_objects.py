"""The program and the libraries that are loaded in this process, and the functions that each has.

The linker's own list is walked (``struct link_map``, in the order in which it looks names up):
neither a lock nor a callback of the linker is involved, which could wait for Python's.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, Protocol, cast

Function = Callable[..., Any]
_MOST = 100_000  # of objects: a list that does not end is none


class Library(Protocol):
    """A loaded object. Tests make some up."""

    @property
    def path(self) -> str: ...

    def function(
        self, name: str, result: Any = None, *arguments: Any, gil: bool = False
    ) -> Function | None:
        """One that it defines itself, of these ctypes; None: it has none of this name.

        ``gil``: it is called with Python's lock held, as functions of Python must be.
        """


class _LinkMap(ctypes.Structure):
    """The part of ``struct link_map`` that is public, in glibc and in musl."""


_LinkMap._fields_ = [
    ("base", ctypes.c_void_p),
    ("name", ctypes.c_char_p),
    ("dynamic", ctypes.c_void_p),
    ("next", ctypes.POINTER(_LinkMap)),
    ("previous", ctypes.POINTER(_LinkMap)),
]


class _DlInfo(ctypes.Structure):
    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


_linker = ctypes.PyDLL(None)
_dladdr, _dlsym, _dlclose = _linker.dladdr, _linker.dlsym, _linker.dlclose
_dladdr.argtypes = [ctypes.c_void_p, ctypes.POINTER(_DlInfo)]
_dlsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_dlsym.restype = ctypes.c_void_p
_dlclose.argtypes = [ctypes.c_void_p]


def _base_of(address: int | None) -> int | None:
    """Where the object begins that an address is in."""
    info = _DlInfo()
    there = bool(address) and _dladdr(address, ctypes.byref(info))
    return info.base if there else None


class Loaded:
    """A loaded object. What it is asked for is looked up in it alone.

    It cannot be unloaded as long as this, or a function that it gave, is kept.
    """

    def __init__(self, name: str, dynamic: int | None) -> None:
        """``name``: as the linker has it, empty for the program; ``dynamic``: an address in it."""
        self._handle: int | None = None
        self._base = _base_of(dynamic)
        self.path = name or _program()
        try:
            mode = os.RTLD_NOLOAD | os.RTLD_LAZY
            self._handle = ctypes.CDLL(name or None, mode=mode)._handle
        except OSError:  # the kernel's own, or unloaded by now
            pass

    def __del__(self, close: Function = _dlclose) -> None:
        if self._handle is not None:
            close(self._handle)

    def function(
        self, name: str, result: Any = None, *arguments: Any, gil: bool = False
    ) -> Function | None:
        address = None if self._handle is None else _dlsym(self._handle, name.encode())
        if not address or _base_of(address) != self._base:
            return None  # or of a library that it needs
        kind = ctypes.PYFUNCTYPE if gil else ctypes.CFUNCTYPE
        function: Any = kind(result, *arguments)(address)
        function.library = self
        return cast(Function, function)


def loaded() -> list[Loaded]:
    """The program first, then libraries in the order in which names are looked up."""
    found: list[Loaded] = []
    place = ctypes.cast(ctypes.c_void_p(ctypes.CDLL(None)._handle), ctypes.POINTER(_LinkMap))
    while place and len(found) < _MOST:
        entry = place.contents
        found.append(Loaded(os.fsdecode(entry.name or b""), entry.dynamic))
        place = entry.next
    return found


def _program() -> str:
    try:
        return os.readlink("/proc/self/exe")  # noqa: PTH115 (a name, whatever it is of)
    except OSError:
        return ""
