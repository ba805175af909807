"""The little that must be known of an ELF file: build id, links to debug files, symbols.

DWARF is `symbolic`'s business. Names from a symbol table are looked up here, with NumPy: a table
of 30,000 symbols takes 5 ms, and `symbolic`, 80 MB of library, need not be loaded for it.
64-bit little-endian files only, as the recorder's machines are.
"""

from __future__ import annotations

import errno
import lzma
import mmap
import os
import struct
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM: Final = struct.Struct("<IIQQQQQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_NOTE: Final = struct.Struct("<III")
_SYMBOL: Final = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"),
     ("size", "<u8")]
)  # fmt: skip
_PT_LOAD: Final = 1
_PT_NOTE: Final = 4
_SHT_NOBITS: Final = 8
_SHF_COMPRESSED: Final = 0x800
_STT_NOTYPE: Final = 0
_STT_FUNC: Final = 2
_STT_IFUNC: Final = 10
_NT_GNU_BUILD_ID: Final = 3
_MAX_MINI_DEBUG: Final = 64 << 20


class ElfError(Exception):
    """The file is no ELF file of this kind, or is broken."""


class Section(NamedTuple):
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int


class DebugLink(NamedTuple):
    """`.gnu_debuglink`: the base name of the debug file and its CRC-32."""

    name: str
    crc: int


# Of .debug_info: length, version, and from DWARF 5 on the kind; of these two the rest is elsewhere.
_UNIT: Final = struct.Struct("<IHB")
_UNIT_LENGTH: Final = 4
_SKELETONS: Final = (4, 5)
_GNU_DWO_NAME: Final = b"\xb0\x42"  # DW_AT_GNU_dwo_name, as the abbreviations of DWARF 4 have it


class ElfFile:
    """An ELF file, mapped. Every property that the file contradicts raises ElfError."""

    def __init__(self, data: mmap.mmap | bytes, path: Path | None = None) -> None:
        self.path = Path() if path is None else path
        self._data = data
        self._header = self._read_header()

    @classmethod
    def open(cls, path: Path) -> ElfFile:
        """Maps `path`; raises OSError or ElfError."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except ValueError as error:  # no name that a file can have
            raise OSError(errno.ENOENT, str(error)) from None
        try:
            data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # empty
            raise ElfError(str(error)) from None
        finally:
            os.close(descriptor)
        return cls(data, path)

    def close(self) -> None:
        if isinstance(self._data, mmap.mmap):
            self._data.close()

    def __enter__(self) -> ElfFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_header(self) -> tuple[int, ...]:
        try:
            ident, *rest = _HEADER.unpack_from(self._data)
        except struct.error:
            raise ElfError("too short") from None
        if ident[:4] != b"\x7fELF" or ident[4] != 2 or ident[5] != 1:
            raise ElfError("not a 64-bit little-endian ELF file")
        return tuple(rest)

    def _bytes(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > len(self._data):
            raise ElfError("a part lies outside of the file")
        return bytes(self._data[offset : offset + size])

    @cached_property
    def section_list(self) -> list[Section]:
        offset, entry, count, names = (self._header[i] for i in (5, 10, 11, 12))
        if offset == 0 or entry != _SECTION.size:
            return []
        rows = list(_SECTION.iter_unpack(self._bytes(offset, count * entry)))
        if not names < len(rows):
            return []
        table = self._bytes(rows[names][4], rows[names][5])
        return [
            Section(_text(table, name), kind, flags, address, start, size)
            for name, kind, flags, address, start, size, *_ in rows
        ]

    @cached_property
    def sections(self) -> dict[str, Section]:
        """By name; of several with one name the first."""
        return {section.name: section for section in reversed(self.section_list)}

    @cached_property
    def programs(self) -> list[tuple[int, ...]]:
        offset, entry, count = self._header[4], self._header[8], self._header[9]
        if offset == 0 or entry != _PROGRAM.size:
            return []
        return list(_PROGRAM.iter_unpack(self._bytes(offset, count * entry)))

    @property
    def load_address(self) -> int:
        """Address of the first loaded segment: what `symbolic` counts addresses from."""
        return next((p[3] for p in self.programs if p[0] == _PT_LOAD), 0)

    def has_data(self, name: str) -> bool:
        section = self.sections.get(name)
        return section is not None and section.type != _SHT_NOBITS and section.size > 0

    @property
    def has_debug_info(self) -> bool:
        return self.has_data(".debug_info") or self.has_data(".zdebug_info")

    @property
    def has_split_debug_info(self) -> bool:
        """Whether functions and lines are in `.dwo` files beside it (`-gsplit-dwarf`)."""
        section = self.sections.get(".debug_info")
        if section is None or section.type == _SHT_NOBITS or section.flags & _SHF_COMPRESSED:
            return False
        if _GNU_DWO_NAME in self.content(".debug_abbrev"):
            return True
        at, end = section.offset, min(section.offset + section.size, len(self._data))
        while at + _UNIT.size <= end:
            size, version, kind = _UNIT.unpack_from(self._data, at)
            if version == 5 and kind in _SKELETONS:
                return True
            at += max(_UNIT_LENGTH + size, _UNIT.size)
        return False

    @property
    def has_symtab(self) -> bool:
        return self.has_data(".symtab")

    def content(self, name: str) -> bytes:
        """The bytes of a section; empty if it is absent, or compressed (none that is read is)."""
        section = self.sections.get(name)
        if section is None or section.type == _SHT_NOBITS or section.flags & _SHF_COMPRESSED:
            return b""
        return self._bytes(section.offset, section.size)

    @cached_property
    def build_id(self) -> str:
        """Lower-case hex, or empty."""
        notes = [self.content(".note.gnu.build-id")]
        notes += [self._bytes(p[2], p[5]) for p in self.programs if p[0] == _PT_NOTE]
        for note in notes:
            found = _build_id(note)
            if found:
                return found
        return ""

    @cached_property
    def debug_link(self) -> DebugLink | None:
        content = self.content(".gnu_debuglink")
        name, _, _ = content.partition(b"\0")
        if not name or len(content) < 8:
            return None
        return DebugLink(os.fsdecode(name), int.from_bytes(content[-4:], "little"))

    @property
    def producer(self) -> bytes:
        """What compilers wrote into `.comment`, which `strip` leaves alone."""
        return self.content(".comment")

    def symbols(self) -> SymbolTable | None:
        """Functions of `.symtab`, else of `.gnu_debugdata` and `.dynsym`, else None."""
        if self.has_symtab:
            return self._table(".symtab", ".strtab")
        tables = [self._mini_debug()]
        if self.has_data(".dynsym"):
            tables.append(self._table(".dynsym", ".dynstr"))
        found = [table for table in tables if table is not None]
        return SymbolTable.joined(found) if found else None

    def _table(self, kind: str, names: str) -> SymbolTable:
        data = np.frombuffer(self.content(kind), np.uint8)
        rows = data[: len(data) // _SYMBOL.itemsize * _SYMBOL.itemsize].view(_SYMBOL)
        ends = [section.address + section.size for section in self.section_list]
        return SymbolTable.of_rows(rows, self.content(names), ends if kind == ".symtab" else None)

    def _mini_debug(self) -> SymbolTable | None:
        """Fedora's MiniDebugInfo: an ELF file with a `.symtab`, compressed with xz."""
        packed = self.content(".gnu_debugdata")
        if not packed:
            return None
        try:
            unpacked = lzma.LZMADecompressor(memlimit=_MAX_MINI_DEBUG).decompress(
                packed, _MAX_MINI_DEBUG
            )
            inner = ElfFile(unpacked)
            return inner._table(".symtab", ".strtab") if inner.has_symtab else None
        except (lzma.LZMAError, ElfError):
            return None


def _build_id(notes: bytes) -> str:
    offset = 0
    while offset + _NOTE.size <= len(notes):
        name_size, size, kind = _NOTE.unpack_from(notes, offset)
        name_at = offset + _NOTE.size
        at = name_at + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            return notes[at : at + size].hex()
        offset = at + (size + 3 & ~3)
    return ""


class SymbolTable:
    """Functions by address: where each starts and ends, and its name.

    `full` tells a `.symtab`, which has local functions too.
    """

    def __init__(
        self, rows: NDArray[np.void], ends: NDArray[np.uint64], names: list[str], full: bool
    ) -> None:
        self.full = full
        self._rows = rows
        self._starts = np.ascontiguousarray(rows["value"])
        self._ends = ends
        self._names = names

    @classmethod
    def of_rows(
        cls, rows: NDArray[np.void], names: bytes, section_ends: list[int] | None
    ) -> SymbolTable:
        """`rows` of an ELF symbol table. With `section_ends`, a function without a size (assembly)
        reaches to the next symbol or its section's end; without, it is left out, since the symbols
        that would end it may be missing."""
        kind = rows["info"] & 15
        wanted = (kind == _STT_FUNC) | (kind == _STT_IFUNC) | (kind == _STT_NOTYPE)
        wanted &= (rows["section"] != 0) & (rows["value"] != 0) & (rows["name"] < len(names))
        if section_ends is None:
            wanted &= rows["size"] > 0
        else:
            wanted &= rows["section"] < len(section_ends)
        rows = rows[wanted]
        rows = rows[np.argsort(rows["value"], kind="stable")]
        starts = rows["value"]
        ends = starts + rows["size"]
        if section_ends is not None and len(rows):
            limits = np.array(section_ends, np.uint64)[rows["section"]]
            following = np.append(starts, np.uint64(0xFFFFFFFFFFFFFFFF))[
                np.searchsorted(starts, starts, side="right")
            ]
            ends = np.where(rows["size"] > 0, ends, np.minimum(limits, following))
        texts = [_text(names, int(start)) for start in rows["name"]]
        return cls(rows, ends, texts, section_ends is not None)

    @classmethod
    def joined(cls, tables: list[SymbolTable]) -> SymbolTable:
        if len(tables) == 1:
            return tables[0]
        rows = np.concatenate([table._rows for table in tables])
        order = np.argsort(rows["value"], kind="stable")
        names = [name for table in tables for name in table._names]
        ends = np.concatenate([table._ends for table in tables])
        full = any(table.full for table in tables)
        return cls(rows[order], ends[order], [names[i] for i in order], full)

    def __len__(self) -> int:
        return len(self._rows)

    def lookup(self, addresses: NDArray[np.uint64]) -> list[str | None]:
        """For each address the name of the function that covers it, or None."""
        after = np.searchsorted(self._starts, addresses, side="right")
        return [self._name(int(i), int(a)) for i, a in zip(after, addresses)]

    def _name(self, after: int, address: int) -> str | None:
        # Functions nest rarely (labels in assembly), so a few steps back find the covering one.
        best: tuple[int, tuple[int, ...], str] | None = None
        for index in range(after - 1, max(-1, after - 64), -1):
            start = -int(self._starts[index])
            if best is not None and start != best[0]:
                break
            name = self._names[index]
            if address < int(self._ends[index]) and name and name[0] != "$":
                rank = (start, _rank(self._rows[index], name), name)
                best = rank if best is None else min(best, rank)
        return best[2] if best else None


def _text(names: bytes, start: int) -> str:
    return names[start : names.find(b"\0", start)].decode("utf-8", "replace")


def _rank(row: np.void, name: str) -> tuple[int, ...]:
    """Of several names of one function the one for people: typed, global, fewest underscores."""
    binding = int(row["info"]) >> 4
    typed = int(row["info"]) & 15 == _STT_NOTYPE
    order = {1: 0, 2: 1}.get(binding, 2)
    underscores = 0 if name.startswith(("_Z", "_R")) else len(name) - len(name.lstrip("_"))
    return int(typed), underscores, order, len(name)
