"""Which functions of given names an ELF file defines."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

from heaptide.symbols._elf import ElfError, ElfFile

_SYMBOL = struct.Struct("<IBBHQQ")
_TABLES = ((".dynsym", ".dynstr"), (".symtab", ".strtab"))


def defined(path: Path, names: Collection[str]) -> frozenset[str]:
    """Those of ``names`` that the file defines, for the linker or in its symbol table.

    0.1 ms for a file with none of them. Empty for what is no ELF file; raises OSError.
    """
    try:
        with ElfFile.open(path) as elf:
            return frozenset().union(
                *(_in(elf.content(table), elf.content(texts), names) for table, texts in _TABLES)
            )
    except ElfError:
        return frozenset()


def _in(table: bytes, texts: bytes, names: Collection[str]) -> frozenset[str]:
    places = {}
    for name in names:
        # Also at the end of a longer name: linkers keep one text for both.
        wanted = name.encode() + b"\0"
        place = texts.find(wanted)
        while place >= 0:
            places[place] = name
            place = texts.find(wanted, place + 1)
    if not places:
        return frozenset()
    whole = len(table) // _SYMBOL.size * _SYMBOL.size
    return frozenset(
        places[name]
        for name, _, _, section, *_ in _SYMBOL.iter_unpack(table[:whole])
        if section and name in places
    )
