"""Profiles whose stacks are addresses, with the mappings that they lay in at the end."""

from __future__ import annotations

import bisect
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ._builder import Builder, Function
from ._names import language_of

if TYPE_CHECKING:
    from ._source import Source

_MAPPING = re.compile(
    rb"\s*([0-9a-f]{1,16})-([0-9a-f]{1,16})\s+(\S{4})\s+([0-9a-f]{1,16})\s+\S+\s+\d+\s*(.*)"
)
_DELETED: Final = " (deleted)"
MOST_FRAMES: Final = 1 << 16


class _Mapping(NamedTuple):
    start: int
    end: int
    offset: int  # in the file
    path: str


class Addresses:
    """Frames of addresses: by the names that the file has, else for the search for symbols."""

    def __init__(
        self, builder: Builder, maps: Iterable[bytes], names: Mapping[int, str] | None = None
    ) -> None:
        self._builder = builder
        self._names = {} if names is None else names
        self._mappings = sorted(_mappings(maps))
        self._starts = [mapping.start for mapping in self._mappings]
        self._modules: dict[_Mapping, tuple[int, int]] = {}  # row, and what addresses are from
        self._frames: dict[int, int] = {}

    def frame(self, address: int) -> int:
        """Of a return address: its call is before it."""
        found = self._frames.get(address)
        if found is None:
            found = self._frames[address] = self._new(address)
        return found

    def stack(self, addresses: Iterable[int]) -> int:
        """Of addresses, innermost first."""
        return self._builder.stack(reversed([self.frame(address) for address in addresses]))

    def _new(self, address: int) -> int:
        call = max(address - 1, 0)
        module, bias = self._module(call)
        name = self._names.get(address, self._names.get(call))
        functions = () if name is None else tuple(_inlined(name))
        if not functions and module < 0:
            functions = (Function(f"0x{address:x}"),)
        return self._builder.frame(functions, module, call - bias)

    def _module(self, address: int) -> tuple[int, int]:
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0 or address >= self._mappings[at].end or not self._mappings[at].path:
            return -1, 0
        base = self._base(at)
        found = self._modules.get(base)
        if found is None:
            path = base.path
            bias = base.start - base.offset
            if base.offset == 0:
                bias -= _first_address(path, base.start)
            end = max(one.end for one in self._mappings if one.path == path)
            row = self._builder.module(path, bias=bias, start=base.start, end=end)
            found = self._modules[base] = row, bias
        return found

    def _base(self, at: int) -> _Mapping:
        """The mapping of the file's beginning that a mapping goes with: the nearest one below. The
        file may be mapped elsewhere too, by who reads it."""
        mapping = self._mappings[at]
        for other in reversed(self._mappings[: at + 1]):
            if other.path == mapping.path and other.offset == 0:
                return other
        return mapping


def _mappings(lines: Iterable[bytes]) -> Iterator[_Mapping]:
    """Those of files, from lines of /proc/PID/maps; others are passed over."""
    for line in lines:
        match = _MAPPING.fullmatch(line)
        if match is not None:
            path = match[5].decode("utf-8", "backslashreplace").strip()
            path = path[: -len(_DELETED)] if path.endswith(_DELETED) else path
            if path.startswith(("/", "[")):
                start, end, offset = (int(match[i], 16) for i in (1, 2, 4))
                yield _Mapping(start, end, offset, path)


def _first_address(path: str, start: int) -> int:
    """The address in the file that is mapped first. Programs at fixed addresses begin at their own;
    where the file is not here, 0x400000 tells one."""
    from heaptide.symbols import load_address

    with contextlib.suppress(OSError, ValueError):
        found = load_address(Path(path))
        if found is not None:
            return found
    return start if start == 0x400000 else 0


def _inlined(name: str) -> Iterator[Function]:
    """``inner--outer``, as symbolised profiles join what is inlined."""
    for part in name.split("--"):
        part = part.strip() or "?"
        yield Function(part, language=language_of(part, ""))


class Row(NamedTuple):
    """One line of figures: alive, and allocated until now."""

    live_blocks: int
    live_bytes: int
    blocks: int
    bytes: int

    def plus(self, other: Row) -> Row:
        return Row(*map(sum, zip(self, other)))


_ROW = re.compile(rb"\s*(-?\d{1,19}):\s*(-?\d{1,19})\s*\[\s*(-?\d{1,19}):\s*(-?\d{1,19})\s*\]")
_MOST: Final = 1 << 62


def row_of(source: Source, text: bytes) -> tuple[Row, bytes]:
    """The figures that `text` begins with, and what is behind them."""
    match = _ROW.match(text)
    if match is None:
        raise source.malformed("it does not begin with the figures of a heap profile")
    row = Row(*(int(match[i]) for i in range(1, 5)))
    if not all(0 <= figure < _MOST for figure in row):
        raise source.malformed("its figures are out of range")
    return row, text[match.end() :]


def addresses_of(source: Source, text: bytes) -> tuple[int, ...]:
    """Hexadecimal addresses, parted by blanks."""
    words = text.split()
    if len(words) > MOST_FRAMES:
        raise source.malformed(f"it has more than {MOST_FRAMES:,} frames")
    try:
        found = tuple(int(word, 16) for word in words)
    except ValueError:
        raise source.malformed("its stack has a word that is no address") from None
    if not all(0 <= address < 1 << 64 for address in found):
        raise source.malformed("its stack has a word that is no address")
    return found


def unsampled(row: Row, period: float) -> Row:
    """What a row of samples stands for: a block of its size is sampled with 1 - exp(-size/period).

    Rows are scaled one by one, and never their sums: sizes differ. (jemalloc 5.3 writes rows so
    that just this makes sums without bias.)
    """
    if period <= 1:
        return row
    return Row(
        *_scaled(row.live_blocks, row.live_bytes, period), *_scaled(row.blocks, row.bytes, period)
    )


def _scaled(blocks: int, size: int, period: float) -> tuple[int, int]:
    from math import expm1

    if blocks <= 0 or size <= 0:
        return blocks, size
    seen = -expm1(-(size / blocks) / period)
    if seen <= 0:
        return blocks, size
    return min(round(blocks / seen), _MOST), min(round(size / seen), _MOST)
