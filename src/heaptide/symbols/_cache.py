"""Resolved functions kept between runs, one file for each build id.

Under $XDG_CACHE_HOME/heaptide/symbols. A file says which debug file its names came from and is
void once that file is another one. Files are replaced as a whole, so readers never see half of
one; of two writers the last wins, which costs the other's names their place in the cache and
nothing else. A file that is damaged counts as absent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_MAGIC: Final = b"heaptide symbols 1\n"
_KEY: Final = re.compile(r"[0-9a-f]{8,128}")
_MAX_FILE: Final = 64 << 20
MAX_TOTAL: Final = 256 << 20

# A resolved address: (function, file, line, language), innermost inlined function first.
Functions = tuple[tuple[str, str, int, int], ...]


def default_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path("~/.cache").expanduser()) / "heaptide" / "symbols"


class SymbolCache:
    """The cache in one directory. Raises nothing: a cache that cannot be used is empty."""

    def __init__(self, directory: Path | None = None, max_total: int = MAX_TOTAL) -> None:
        self._directory = default_directory() if directory is None else directory
        self._max_total = max_total

    def load(self, build_id: str, source: str) -> dict[int, Functions]:
        """What is known of `build_id` from the debug file that `source` describes."""
        if not _KEY.fullmatch(build_id):
            return {}
        path = self._path(build_id)
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_FILE + 1)
            if len(content) > _MAX_FILE or not content.startswith(_MAGIC):
                return {}
            checksum, packed = content[len(_MAGIC) :][:4], content[len(_MAGIC) + 4 :]
            if zlib.crc32(packed).to_bytes(4, "little") != checksum:
                return {}
            inflate = zlib.decompressobj()
            found = json.loads(inflate.decompress(packed, 16 * _MAX_FILE))
            if found["source"] != source:
                return {}
            names: list[str] = found["names"]
            os.utime(path)  # the least recently used are dropped first
            return {
                int(address): tuple((names[f], names[p], line, code) for f, p, line, code in rows)
                for address, rows in found["addresses"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, zlib.error):
            return {}

    def store(self, build_id: str, source: str, functions: Mapping[int, Functions]) -> None:
        """Replaces what is known of `build_id`."""
        if not _KEY.fullmatch(build_id):
            return
        names: dict[str, int] = {}
        addresses: dict[str, Any] = {
            str(address): [
                (names.setdefault(f, len(names)), names.setdefault(p, len(names)), line, code)
                for f, p, line, code in rows
            ]
            for address, rows in functions.items()
        }
        content = {"source": source, "names": list(names), "addresses": addresses}
        packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
        if len(packed) + len(_MAGIC) + 4 > _MAX_FILE:
            return
        data = _MAGIC + zlib.crc32(packed).to_bytes(4, "little") + packed
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path(build_id), data)
            self._prune()

    def _path(self, build_id: str) -> Path:
        return self._directory / build_id

    def _prune(self) -> None:
        """Drops the least recently used files while all together are too large."""
        entries = []
        for path in self._directory.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._max_total:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


def replace_file(path: Path, data: bytes) -> None:
    """Makes `data` the content of `path` in one step; raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
