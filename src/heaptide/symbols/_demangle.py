"""From the names in symbol tables to the names in the source, and what language they are of."""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Final

from heaptide.recording._schema import Language
from heaptide.symbols import _rust

# What compilers append to the name of a copy or a part of a function. Such parts are shown as the
# function itself.
_CLONE: Final = re.compile(
    r"(?:\.(?:cold|warm|part|isra|constprop|lto_priv|localalias|llvm|__uniq|clone)(?:\.\d+)?)+$"
)
_VERSION: Final = re.compile(r"@@?[A-Za-z_][\w.]*$")
_SUFFIXES: Final = {
    ".c": Language.C,
    ".h": Language.C,
    ".rs": Language.RUST,
    ".py": Language.PYTHON,
    ".pyx": Language.OTHER,
    ".s": Language.OTHER,
    ".go": Language.OTHER,
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".tcc"), Language.CPP),
}
_DWARF: Final = {
    "c": Language.C,
    "cpp": Language.CPP,
    "rust": Language.RUST,
    "unknown": Language.UNKNOWN,
    "": Language.UNKNOWN,
}


@lru_cache(maxsize=1 << 16)
def demangle(symbol: str) -> tuple[str, Language]:
    """The readable form of a linkage name, with templates whole, and what its mangling tells.

    A name that is not mangled, or that nobody can demangle, comes back as it is but for the
    suffixes of clones. 4 µs for C++, 60 µs for Rust.
    """
    name = _CLONE.sub("", _VERSION.sub("", symbol))
    if _rust.is_rust(name):
        readable = _rust.demangle(name)
        return (readable or name), Language.RUST
    if name.startswith(("_Z", "__Z", "___Z")):
        readable = _cxx(name.lstrip("_"))
        return (readable or name), Language.CPP
    return name, Language.UNKNOWN


def language(dwarf: str, symbol: Language, file: str) -> Language:
    """The language by debug information, else by mangling, else by the suffix of the file."""
    found = _DWARF.get(dwarf, Language.OTHER)
    if found == Language.UNKNOWN:
        found = symbol
    if found == Language.UNKNOWN and file:
        found = _SUFFIXES.get(PurePosixPath(file).suffix.lower(), Language.UNKNOWN)
    return found


def _cxx(name: str) -> str | None:
    """`name`, without leading underscores, by the C++ runtime's demangler."""
    demangler = _demangler()
    if demangler is None:
        return None
    try:
        readable = demangler.demangleb(b"_" + name.encode())
    except Exception:  # cxxfilt's errors share no public base
        return None
    return readable.decode("utf-8", "replace") if readable else None


def _free_by_the_programs_allocator(demangler: Any) -> None:
    """cxxfilt frees by libc what the runtime has allocated by whatever LD_PRELOAD has brought."""
    if hasattr(demangler, "_free"):
        free = ctypes.CDLL(None).free
        free.argtypes = [ctypes.c_void_p]
        free.restype = None
        demangler._free = free


@lru_cache(maxsize=1)
def _demangler() -> Any:
    """cxxfilt's demangler, or None on a machine without a C++ runtime.

    Its default one asks the compiler and ldconfig for the runtime's name, which slim containers
    lack: then the names themselves are tried.
    """
    import cxxfilt

    choices = [cxxfilt.default_demangler]
    for library in ("libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"):
        try:
            choices.append(cxxfilt.Demangler("libc.so.6", library))
        except (OSError, AttributeError):
            continue
    for choice in choices:
        try:
            _free_by_the_programs_allocator(choice)
            if choice.demangleb(b"_Z1fv") == b"f()":
                return choice
        except Exception:  # as above
            continue
    return None
