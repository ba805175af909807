"""Names of frames: resolved ones from the symbols, the others as well as can be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from heaptide.recording._linetable import LineTable, Position
from heaptide.recording._schema import FrameKind, Language, SpecialFrame
from heaptide.recording._tables import Codes

if TYPE_CHECKING:
    from heaptide.recording._recording import Recording


class FrameName(NamedTuple):
    """A function and the place in it. Lines and columns count from 1; 0 and "": not known."""

    function: str
    file: str = ""
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    language: Language = Language.UNKNOWN
    resolved: bool = True


# Python takes any number for a line, and stores it in 32 bits. Editors and pages count further than
# to here, but no file has as many lines.
_LINES = range(1, 1 << 31)


def known_line(line: int) -> int:
    """``line``, or column, where there can be one of that number; 0: it is not known."""
    return line if line in _LINES else 0


CUT_OFF = FrameName("[stack cut off here]", resolved=False)
NO_STACK = FrameName("[no stack recorded]", resolved=False)


class CodePositions:
    """Positions in code objects; each line table is decoded once."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self._tables: dict[int, LineTable] = {}

    def at(self, code: int, offset: int) -> Position:
        table = self._tables.get(code)
        if table is None:
            codes = self._codes
            table = self._tables[code] = LineTable(
                codes.table(code), int(codes.firstlineno[code]), int(codes.python_version[code])
            )
        return table.at(offset)


class FrameNames:
    """A sequence: for each frame a tuple of names, innermost inlined function first.

    Names are made at the first access and kept.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._positions = CodePositions(recording.codes)
        self._known: dict[int, tuple[FrameName, ...]] = {}

    def __len__(self) -> int:
        return len(self._recording.frames)

    def __getitem__(self, frame: int) -> tuple[FrameName, ...]:
        found = self._known.get(frame)
        if found is None:
            if not 0 <= frame < len(self):
                raise IndexError(frame)
            found = self._known[frame] = self._resolved(frame) or (self._unresolved(frame),)
        return found

    def __iter__(self) -> Iterator[tuple[FrameName, ...]]:
        return (self[frame] for frame in range(len(self)))

    def take_over(self, older: FrameNames) -> None:
        """Keeps the names that `older` has made: of the same recording when it was shorter, with
        the same symbols."""
        self._known = dict(older._known)

    def _resolved(self, frame: int) -> tuple[FrameName, ...]:
        symbols = self._recording.symbols
        if symbols is None:
            return ()
        return tuple(
            FrameName(
                symbols.function[row],
                symbols.file[row],
                known_line(int(symbols.line[row])),
                known_line(int(symbols.column[row])),
                known_line(int(symbols.end_line[row])),
                known_line(int(symbols.end_column[row])),
                language_of(int(symbols.language[row])),
            )
            for row in range(int(symbols.offsets[frame]), int(symbols.offsets[frame + 1]))
        )

    def _unresolved(self, frame: int) -> FrameName:
        frames = self._recording.frames
        kind, ref, offset = int(frames.kind[frame]), int(frames.ref[frame]), frames.offset[frame]
        if kind == FrameKind.PYTHON:
            return self.python(ref, int(offset))
        if kind == FrameKind.SPECIAL:
            return CUT_OFF if ref == SpecialFrame.CUT_OFF else NO_STACK
        module = self._recording.modules.path[ref].rpartition("/")[2] if ref >= 0 else ""
        place = f" in {module}" if module else ""
        return FrameName(f"{int(offset):#x}{place}", resolved=False)

    def python(self, code: int, offset: int) -> FrameName:
        """The name of the instruction at `offset` of row `code` of `codes`."""
        codes = self._recording.codes
        at = self._positions.at(code, offset)
        return FrameName(
            codes.qualname[code],
            codes.filename[code],
            known_line(at.line) or known_line(int(codes.firstlineno[code])),
            known_line(at.column),
            known_line(at.end_line),
            known_line(at.end_column),
            Language.PYTHON,
        )


def language_of(number: int) -> Language:
    """A language of a later format is shown as another one."""
    return Language(number) if number <= Language.OTHER else Language.OTHER
