"""From addresses and bytecode offsets to functions, files and lines."""

from __future__ import annotations

from pathlib import Path

from heaptide.symbols._defined import defined
from heaptide.symbols._elf import ElfError, ElfFile
from heaptide.symbols._resolve import Progress, Symbols, resolve

__all__ = ["Progress", "Symbols", "build_id", "defined", "load_address", "resolve"]


def load_address(path: Path) -> int | None:
    """The address that the first segment of an ELF file is linked at, a page's; None: it is none.

    Raises OSError.
    """
    try:
        with ElfFile.open(path) as elf:
            return elf.load_address & ~0xFFF
    except ElfError:
        return None


def build_id(path: Path) -> str:
    """The build id of an ELF file in lower-case hex; "" where there is none.

    Raises OSError.
    """
    try:
        with ElfFile.open(path) as elf:
            return elf.build_id
    except ElfError:
        return ""
