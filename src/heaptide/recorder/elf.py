"""As much of an ELF file as decides whether the agent can be loaded into it.

Layouts: System V ABI, ``elf.h``. Reads the header, the program headers and the dynamic section;
never the whole file.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x7fELF"

_ET_EXEC, _ET_DYN = 2, 3
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME = 0, 1, 5, 10, 14
_DT_FLAGS_1, _DF_1_PIE = 0x6FFFFFFB, 0x08000000

_MACHINES = {
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}

# The dynamic sections of real programs stay far below; a corrupt file must not make us read more.
_MAX_SEGMENTS = 1024
_MAX_DYNAMIC_BYTES = 1 << 20
_MAX_STRINGS_BYTES = 256 << 20


class NotElfError(ValueError):
    """The file is not an ELF file, or one that is cut short or nonsense."""


@dataclass(frozen=True)
class Elf:
    """What the dynamic loader will make of a file."""

    bits: int
    little_endian: bool
    machine: str
    runnable: bool  # an executable, position independent or not; False for relocatables and cores
    interpreter: str | None  # the dynamic loader; None: static, or a shared library
    soname: str | None
    needed: tuple[str, ...]
    position_independent_executable: bool  # DF_1_PIE
    dynamic_strings: bytes  # names of dynamic symbols, zero-terminated each

    def mentions(self, symbol: str) -> bool:
        """Whether a dynamic symbol of this name is defined or wanted."""
        return b"\0" + symbol.encode() + b"\0" in self.dynamic_strings


def read(path: Path) -> Elf:
    """Reads ``path``. Raises NotElfError, or OSError if it cannot be read."""
    with path.open("rb") as file:
        try:
            return _read(file)
        except NotElfError:
            raise
        except (struct.error, ValueError, OverflowError, OSError) as error:
            raise NotElfError(f"{path} is cut short or corrupt") from error


def _read(file: BinaryIO) -> Elf:
    ident = file.read(16)
    if len(ident) < 16 or ident[:4] != MAGIC or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise NotElfError("no ELF header")
    wide = ident[4] == 2
    order = "<" if ident[5] == 1 else ">"
    kind, machine = struct.unpack(order + "HH", file.read(4))
    segments = _segments(file, wide, order)
    interpreter = None
    dynamic: list[tuple[int, int]] = []
    for segment_type, offset, _address, size in segments:
        if segment_type == _PT_INTERP:
            file.seek(offset)
            interpreter = file.read(min(size, 4096)).rstrip(b"\0").decode(errors="replace")
        elif segment_type == _PT_DYNAMIC:
            dynamic = _dynamic(file, offset, size, wide, order)
    length = file.seek(0, os.SEEK_END)
    if any(kind == _PT_LOAD and start + size > length for kind, start, _, size in segments):
        raise NotElfError("its segments lie beyond its end")
    tags = dict(dynamic)
    strings = _strings(file, tags, segments)
    return Elf(
        bits=64 if wide else 32,
        little_endian=order == "<",
        machine=_MACHINES.get(machine, f"machine {machine}"),
        runnable=kind in (_ET_EXEC, _ET_DYN),
        interpreter=interpreter,
        soname=_string(strings, tags[_DT_SONAME]) if _DT_SONAME in tags else None,
        needed=tuple(_string(strings, value) for tag, value in dynamic if tag == _DT_NEEDED),
        position_independent_executable=bool(tags.get(_DT_FLAGS_1, 0) & _DF_1_PIE),
        dynamic_strings=strings,
    )


def _segments(file: BinaryIO, wide: bool, order: str) -> list[tuple[int, int, int, int]]:
    """(type, file offset, virtual address, bytes in the file) of each program header."""
    if wide:
        file.seek(32)
        (table,) = struct.unpack(order + "Q", file.read(8))
        file.seek(54)
        layout, picked = order + "IIQQQQQQ", (0, 2, 3, 5)
    else:
        file.seek(28)
        (table,) = struct.unpack(order + "I", file.read(4))
        file.seek(42)
        layout, picked = order + "IIIIIIII", (0, 1, 2, 4)
    entry_size, count = struct.unpack(order + "HH", file.read(4))
    segments = []
    for index in range(min(count, _MAX_SEGMENTS)):
        file.seek(table + index * entry_size)
        fields = struct.unpack(layout, file.read(struct.calcsize(layout)))
        kind, offset, address, size = (fields[at] for at in picked)
        segments.append((kind, offset, address, size))
    return segments


def _dynamic(
    file: BinaryIO, offset: int, size: int, wide: bool, order: str
) -> list[tuple[int, int]]:
    """The (tag, value) pairs of the dynamic section, up to its end mark."""
    file.seek(offset)
    entry = struct.Struct(order + ("QQ" if wide else "II"))
    data = file.read(min(size, _MAX_DYNAMIC_BYTES))
    pairs = []
    for tag, value in entry.iter_unpack(data[: len(data) - len(data) % entry.size]):
        if tag == _DT_NULL:
            break
        pairs.append((tag, value))
    return pairs


def _strings(
    file: BinaryIO, tags: dict[int, int], segments: list[tuple[int, int, int, int]]
) -> bytes:
    """The dynamic string table; empty without one."""
    address, size = tags.get(_DT_STRTAB), tags.get(_DT_STRSZ, 0)
    if address is None:
        return b""
    for kind, offset, start, length in segments:
        if kind == _PT_LOAD and start <= address < start + length:
            file.seek(offset + address - start)
            return file.read(min(size, _MAX_STRINGS_BYTES))
    return b""


def _string(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    return strings[offset : end if end >= 0 else len(strings)].decode(errors="replace")
