"""Where the debug information of a module is: in the file itself, in a split debug file, or on a
debuginfod server."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from heaptide.symbols._elf import ElfError, ElfFile

SYSTEM_DIRECTORIES: Final = (Path("/usr/lib/debug"),)
_PIECE: Final = 1 << 20


class DebugFiles:
    """Finds files with DWARF for modules; `fetch` asks a server for a build id."""

    def __init__(
        self,
        directories: tuple[Path, ...] = SYSTEM_DIRECTORIES,
        fetch: Callable[[str], Path | None] | None = None,
    ) -> None:
        self._directories = directories
        self._fetch = fetch

    def find(self, module: ElfFile | None, build_id: str) -> ElfFile | None:
        """An open ELF file with DWARF for the module, or None. The caller closes it.

        `module` is None where the module's own file is gone or has changed; then its build id alone
        leads to the debug file. Order: the file itself, build-id directories, debug link, server.
        """
        if module is not None and module.has_debug_info:
            return module
        for path in self._candidates(module, build_id):
            found = _usable(path, build_id)
            if found is not None:
                return found
        if build_id and self._fetch is not None:
            fetched = self._fetch(build_id)
            if fetched:
                return _usable(fetched, build_id)
        return None

    def _candidates(self, module: ElfFile | None, build_id: str) -> Iterator[Path]:
        if len(build_id) > 2:
            for directory in self._directories:
                yield directory / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
        link = module.debug_link if module is not None else None
        # A name with directories in it would lead out of them.
        if module is None or link is None or "/" in link.name:
            return
        real = module.path.resolve()
        places = [real.parent, real.parent / ".debug"]
        places += [d / real.parent.relative_to("/") for d in self._directories]
        for place in places:
            path = place / link.name
            if path != real and path.is_file() and _belongs(path, build_id, link.crc):
                yield path


def _belongs(path: Path, build_id: str, crc: int) -> bool:
    """By build id where both have one, which costs nothing; else by CRC-32 (1 GB/s)."""
    try:
        with ElfFile.open(path) as found:
            if build_id and found.build_id:
                return found.build_id == build_id
        return file_crc(path) == crc
    except (OSError, ElfError):
        return False


def file_crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            if not piece:
                return crc
            crc = zlib.crc32(piece, crc)


def _usable(path: Path, build_id: str) -> ElfFile | None:
    try:
        found = ElfFile.open(path)
        # A file without a build id came by its debug link, whose checksum was right.
        same = not build_id or not found.build_id or found.build_id == build_id
        if found.has_debug_info and same:
            return found
        found.close()
    except (OSError, ElfError):
        pass
    return None
