"""Functions of native addresses, one module at a time."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from heaptide.recording._names import FrameName, language_of
from heaptide.symbols._cache import Functions, SymbolCache
from heaptide.symbols._debugfiles import DebugFiles
from heaptide.symbols._debuginfod import Debuginfod
from heaptide.symbols._demangle import demangle, language
from heaptide.symbols._elf import ElfError, ElfFile

# `symbolic` turns the whole of a file's DWARF into its own form, at 60 MB/s and with two to three
# times the file in memory (an uncompressed one; ten times a compressed one).
_MEMORY_FACTOR: Final = 10

_DELETED: Final = b" (deleted)"
# Mappings of what is no file on a disk.
_NO_FILES: Final = (b"/memfd:", b"/dev/", b"/SYSV", b"/anon_hugepage")


class Known(Enum):
    """What could be found out about a module."""

    DEBUG = "functions, inlined ones too, with files and lines"
    SYMBOLS = "functions without lines"
    EXPORTS = "exported functions only: the file is stripped"
    MISSING = "the file is gone"
    CHANGED = "the file is of another build now"
    FOREIGN = "not an ELF file, or none at all, such as the vDSO"


class Module(NamedTuple):
    """What a recording tells of a file that was mapped; the key for grouping addresses."""

    path: bytes
    build_id: str

    @property
    def file(self) -> Path:
        deleted = self.path.endswith(_DELETED)
        return Path(os.fsdecode(self.path[: -len(_DELETED)] if deleted else self.path))

    @property
    def shown(self) -> str:
        """The path for people."""
        return os.fsencode(self.file).decode("utf-8", "backslashreplace")

    @property
    def name(self) -> str:
        return self.shown.rpartition("/")[2]


class Resolved(NamedTuple):
    """`functions` has the addresses that a function was found for."""

    known: Known
    functions: dict[int, tuple[FrameName, ...]]
    producer: bytes = b""  # the compilers' words in the file
    split: bool = False  # its lines are in .dwo files, which are not read


def has_line(names: Sequence[FrameName]) -> bool:
    """Whether it is known where a frame is; nobody asks it of the C library's first function."""
    return any(name.line or name.function == "_start" for name in names)


class NativeResolver:
    """Resolves addresses of modules, with a cache on disk.

    Costs a module with DWARF its conversion by `symbolic` (about 60 MB/s) once, unless the cache
    knows every address; then 15 µs an address. One with a symbol table only: 1 µs an address.
    """

    def __init__(
        self,
        debug_files: DebugFiles | None = None,
        cache: SymbolCache | None = None,
        recorded_until: float = math.inf,
    ) -> None:
        """`recorded_until` (Unix seconds): a file without a build id that was written later is
        another build's."""
        self._recorded_until = recorded_until
        self._debuginfod = Debuginfod()
        fetch = self._debuginfod.fetch if self._debuginfod.enabled else None
        self._debug_files = DebugFiles(fetch=fetch) if debug_files is None else debug_files
        self._cache = SymbolCache() if cache is None else cache
        self._warnings: list[str] = []

    @property
    def warnings(self) -> list[str]:
        return [*self._debuginfod.warnings, *self._warnings]

    def resolve(self, module: Module, addresses: Iterable[int]) -> Resolved:
        """Functions at `addresses`, which are those in the module's ELF file (its bias taken off).

        An address must lie inside of the instruction meant: for a caller, the call.
        """
        wanted = sorted(set(addresses))
        if not module.file.is_absolute() or module.path.startswith(_NO_FILES):
            return Resolved(Known.FOREIGN, {})
        own: ElfFile | None = None
        try:
            own = ElfFile.open(module.file)
            known = Known.SYMBOLS if own.has_symtab else Known.EXPORTS
            producer = own.producer
            if self._changed(module, own):
                own.close()
                own, known, producer = None, Known.CHANGED, b""
        except FileNotFoundError:
            known, producer = Known.MISSING, b""
        except (OSError, ElfError):
            known, producer = Known.FOREIGN, b""
        try:
            return self._resolve(module, own, known, wanted)._replace(producer=producer)
        except ElfError:
            return Resolved(Known.FOREIGN, {})
        finally:
            if own is not None:
                own.close()

    def _changed(self, module: Module, own: ElfFile) -> bool:
        if module.build_id and own.build_id:
            return own.build_id != module.build_id
        return own.path.stat().st_mtime > self._recorded_until

    def _resolve(
        self, module: Module, own: ElfFile | None, known: Known, wanted: list[int]
    ) -> Resolved:
        functions: dict[int, tuple[FrameName, ...]] = {}
        split = False
        debug = self._debug_files.find(own, module.build_id)
        if debug is not None:
            try:
                found = self._from_debug(module, debug, wanted)
                if found is not None and sum(map(has_line, found.values())) < len(wanted):
                    split = debug.has_split_debug_info
            finally:
                if debug is not own:
                    debug.close()
            if found is not None:
                known, functions = Known.DEBUG, found
        left = [address for address in wanted if address not in functions]
        if left and own is not None:
            functions.update(_from_symbols(own, left))
        return Resolved(known, functions, split=split)

    def _from_debug(
        self, module: Module, debug: ElfFile, wanted: list[int]
    ) -> dict[int, tuple[FrameName, ...]] | None:
        """None if the debug information cannot be read."""
        status = debug.path.stat()
        source = f"{debug.path} {status.st_size} {status.st_mtime_ns}"
        cached = self._cache.load(module.build_id, source)
        if any(address not in cached for address in wanted):
            if status.st_size * _MEMORY_FACTOR > available_memory():
                self._warnings.append(
                    f"{debug.path} has {status.st_size >> 20} MB of debug information, too much for"
                    " the free memory: its functions are shown without lines;"
                    " run heaptide symbolize where there is more"
                )
                return None
            cache = self._open_debug(debug)
            if cache is None:
                return None
            base = debug.load_address
            for address in wanted:
                if address not in cached:
                    cached[address] = _lookup(cache, address - base)
            self._cache.store(module.build_id, source, cached)
        return {
            address: tuple(
                FrameName(function, file, line, language=language_of(code))
                for function, file, line, code in cached[address]
            )
            for address in wanted
            if cached[address]
        }

    def _open_debug(self, debug: ElfFile) -> Any:
        """`symbolic`'s SymCache of a file, or None (and a warning) if it cannot be made."""
        from symbolic.debuginfo import Archive
        from symbolic.exceptions import SymbolicError

        try:
            for entry in Archive.open(os.fsencode(debug.path)).iter_objects():
                return entry.make_symcache()
        except (SymbolicError, LookupError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._warnings.append(
                f"debug information in {debug.path} cannot be read ({reason}): its functions are"
                " shown without lines"
            )
        return None


def available_memory() -> int:
    """Bytes that a process may take without others being swapped out."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        found = None
    return int(found[1]) << 10 if found else sys.maxsize


def _lookup(cache: Any, address: int) -> Functions:
    """Functions at `address` by a SymCache, innermost inlined one first; empty if none is known."""
    if not 0 <= address < 1 << 32:
        return ()
    found = []
    for place in cache.lookup(address):
        # Inlined functions whose names dwz moved to a common file have none here: left out.
        if place.symbol and place.symbol != "?":
            name, mangling = demangle(place.symbol)
            file = place.full_path or ""
            found.append((name, file, int(place.line), int(language(place.lang, mangling, file))))
    return tuple(found)


def _from_symbols(own: ElfFile, wanted: list[int]) -> dict[int, tuple[FrameName, ...]]:
    table = own.symbols()
    if table is None:
        return {}
    functions: dict[int, tuple[FrameName, ...]] = {}
    for address, symbol in zip(wanted, table.lookup(np.array(wanted, np.uint64))):
        if symbol is not None:
            name, mangling = demangle(symbol)
            functions[address] = (FrameName(name, language=mangling),)
    return functions
