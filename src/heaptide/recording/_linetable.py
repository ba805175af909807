"""Line tables of CPython code objects: from bytecode offsets to lines and columns.

Three formats: pairs of `co_lnotab` (3.9; Objects/lnotab_notes.txt), pairs of `co_linetable`
(3.10; PEP 626), and location entries (3.11 and later; PEP 657, Objects/locations.md). Tables come
from other processes and may be cut: an entry that is not whole ends the table.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class Position(NamedTuple):
    """Where an instruction is. Columns count from 1 in bytes of UTF-8, the end column is one past
    the last byte; 0 stands for what is not known."""

    line: int = 0
    end_line: int = 0
    column: int = 0
    end_column: int = 0


UNKNOWN = Position()
_Entry = tuple[int, Position]  # offset of the first byte, position up to the next entry


class LineTable:
    """One decoded table; a lookup is a binary search."""

    def __init__(self, table: bytes, first_line: int, python_version: int) -> None:
        """`python_version` is PY_VERSION_HEX of the interpreter that made `table`."""
        minor = python_version >> 16
        if minor >= 0x030B:
            entries = _locations(table, first_line)
        elif minor == 0x030A:
            entries = _pairs_310(table, first_line)
        else:
            entries = _pairs_39(table, first_line)
        found = list(entries)
        self._starts = [start for start, _ in found]
        self._positions = [position for _, position in found]

    def at(self, offset: int) -> Position:
        """Position of the instruction that the byte at `offset` of the bytecode belongs to."""
        index = bisect_right(self._starts, offset) - 1
        return self._positions[index] if index >= 0 else UNKNOWN


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _pairs_39(table: bytes, line: int) -> Iterator[_Entry]:
    # (bytes of code, signed lines): the line changes after the code.
    start = 0
    for index in range(0, len(table) - 1, 2):
        if table[index]:
            yield start, Position(line, line)
            start += table[index]
        line += _signed(table[index + 1])
    yield start, Position(line, line)


def _pairs_310(table: bytes, line: int) -> Iterator[_Entry]:
    # (bytes of code, signed lines): the line changes before the code; -128: code without a line.
    start = 0
    for index in range(0, len(table) - 1, 2):
        delta = _signed(table[index + 1])
        if delta != -128:
            line += delta
        if table[index]:
            yield start, Position(line, line) if delta != -128 else UNKNOWN
            start += table[index]
    yield start, UNKNOWN


def _locations(table: bytes, line: int) -> Iterator[_Entry]:
    # An entry starts with a byte that has its top bit set: form in bits 3-6, code units less one
    # in bits 0-2; a unit is two bytes.
    start = 0
    index = 0
    while index < len(table):
        head = table[index]
        form = head >> 3 & 15
        reader = _Reader(table, index + 1)
        position, line = _location(reader, form, line)
        if reader.index > len(table):
            break
        yield start, position
        start += 2 * ((head & 7) + 1)
        index = reader.index
    yield start, UNKNOWN


def _location(reader: _Reader, form: int, line: int) -> tuple[Position, int]:
    """The position of an entry, and the line that the next one counts from."""
    if form == 15:
        return UNKNOWN, line
    if form == 14:
        line += reader.signed_varint()
        end_line = line + reader.varint()
        # Columns are stored plus one, 0 for none: as Position has them.
        column = reader.varint()
        return Position(line, end_line, column, reader.varint()), line
    if form == 13:
        line += reader.signed_varint()
        return Position(line, line), line
    if form >= 10:
        line += form - 10
        column = reader.byte()
        return Position(line, line, column + 1, reader.byte() + 1), line
    second = reader.byte()
    column = form << 3 | second >> 4
    return Position(line, line, column + 1, column + (second & 15) + 1), line


class _Reader:
    """Reads bytes in order; past the end they are zeros and `index` tells."""

    def __init__(self, table: bytes, index: int) -> None:
        self.table = table
        self.index = index

    def byte(self) -> int:
        index = self.index
        self.index += 1
        return self.table[index] if index < len(self.table) else 0

    def varint(self) -> int:
        value = 0
        shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 63) << shift
            shift += 6
            # A line or a column has 31 bits: what is longer is no table.
            if not byte & 64 or shift > 36:
                return value

    def signed_varint(self) -> int:
        value = self.varint()
        return -(value >> 1) if value & 1 else value >> 1
