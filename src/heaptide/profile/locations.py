"""The places in code that a recording's frames stand for, as columns.

A frame stands for one place, or for several where functions were inlined: one row each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.recording import FrameKind, Language

from . import origin
from .origin import Origin

if TYPE_CHECKING:
    from heaptide.recording import Recording, StringColumn

Ints = npt.NDArray[np.int64]

OUTSIDE_PYTHON = "[interpreter itself]"


class Texts:
    """Distinct strings, numbered: equal text has one number, wherever it comes from."""

    def __init__(self) -> None:
        self.all: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        found = self._numbers.setdefault(text, len(self.all))
        if found == len(self.all):
            self.all.append(text)
        return found


_POSITION = ("line", "column", "end_line", "end_column")


@dataclass(frozen=True)
class Locations:
    """Rows ``first[f]`` to ``first[f] + count[f]`` are frame f's, innermost inlined first.

    ``function``, ``file`` and ``module`` index ``texts``; 0 is "" (not known). A row after all
    frames', ``outside_python``, stands for objects that no Python frame made.
    """

    texts: list[str]
    first: Ints
    count: Ints
    function: Ints
    file: Ints
    line: Ints  # from 1; 0: unknown
    column: Ints  # from 1, in bytes of UTF-8; 0: unknown. So for the ends, which are one past
    end_line: Ints
    end_column: Ints
    language: npt.NDArray[np.uint8]  # Language
    module: Ints  # path of the shared object or executable; 0 for Python
    kind: npt.NDArray[np.uint8]  # FrameKind
    resolved: npt.NDArray[np.bool_]  # False: `function` is an address for want of symbols
    origin: npt.NDArray[np.uint8]  # Origin

    def __len__(self) -> int:
        return len(self.line)

    @property
    def outside_python(self) -> int:
        return len(self) - 1


def locate(recording: Recording) -> Locations:
    """Name every frame of ``recording`` and tell whose code it is.

    Works on columns where frames were resolved when the recording ended. Others cost Python time
    each (an address is formatted, a line table decoded), about 5 µs.
    """
    frames = recording.frames
    texts = Texts()
    n = len(frames)
    symbols = recording.symbols
    if symbols is not None:
        rows_of = np.diff(symbols.offsets).astype(np.int64)[:n]
        rows_of = np.append(rows_of, np.zeros(n - len(rows_of), np.int64))
        start = np.append(symbols.offsets[:-1], np.zeros(n, np.int64))[:n].astype(np.int64)
    else:
        rows_of = start = np.zeros(n, np.int64)
    resolved_frame = rows_of > 0
    count = np.maximum(rows_of, 1)
    first = np.cumsum(count) - count
    total = int(count.sum()) + 1

    function = np.zeros(total, np.int64)
    file = np.zeros(total, np.int64)
    position = {name: np.zeros(total, np.int64) for name in _POSITION}
    language = np.zeros(total, np.uint8)
    resolved = np.zeros(total, np.bool_)
    frame = np.repeat(np.arange(n), count)
    if symbols is not None:
        from_symbols = np.flatnonzero(resolved_frame[frame])
        owner = frame[from_symbols]
        row = start[owner] + from_symbols - first[owner]
        function[from_symbols] = _numbers(texts, symbols.function, row)
        file[from_symbols] = _numbers(texts, symbols.file, row)
        for part, column in position.items():
            numbers = getattr(symbols, part)[row].astype(np.int64)
            column[from_symbols] = np.where(numbers < 1 << 31, np.maximum(numbers, 0), 0)
        language[from_symbols] = np.minimum(symbols.language[row], Language.OTHER)
        resolved[from_symbols] = True

    kind = np.full(total, FrameKind.SPECIAL, np.uint8)
    kind[:-1] = frames.kind[frame]
    resolved |= kind != FrameKind.NATIVE
    names = recording.frame_names()
    for unnamed in np.flatnonzero(~resolved_frame):
        name = names[int(unnamed)][0]
        at = first[unnamed]
        function[at] = texts.number(name.function)
        file[at] = texts.number(name.file)
        for part, column in position.items():
            column[at] = getattr(name, part)
        language[at] = name.language
    function[-1] = texts.number(OUTSIDE_PYTHON)
    language[kind == FrameKind.PYTHON] = Language.PYTHON

    module = np.zeros(total, np.int64)
    native = np.flatnonzero((kind[:-1] == FrameKind.NATIVE) & (frames.ref[frame] >= 0))
    if len(native):
        module[native] = _numbers(
            texts, recording.modules.path, frames.ref[frame[native]].astype(np.int64)
        )
    columns = (function, file, language, module, kind)
    whose = _origins(texts.all, *columns, executables=set(recording.processes.exe))
    whose[-1] = Origin.INTERPRETER
    return Locations(
        texts.all,
        first,
        count,
        function,
        file,
        **position,
        language=language,
        module=module,
        kind=kind,
        resolved=resolved,
        origin=whose,
    )


def _numbers(texts: Texts, column: StringColumn, rows: Ints) -> Ints:
    """Numbers in ``texts`` of the strings in ``rows`` of a column; each string is read once."""
    distinct, inverse = np.unique(column.ids[rows], return_inverse=True)
    numbers = np.array([texts.number(column.strings[int(i)]) for i in distinct], np.int64)
    return numbers[inverse]


def _origins(
    texts: list[str],
    function: Ints,
    file: Ints,
    language: npt.NDArray[np.uint8],
    module: Ints,
    kind: npt.NDArray[np.uint8],
    executables: set[str],
) -> npt.NDArray[np.uint8]:
    """Whose code each location is. Each rule runs once for each distinct text."""
    result = np.full(len(function), Origin.UNKNOWN, np.uint8)
    python = np.flatnonzero(kind == FrameKind.PYTHON)
    pairs, inverse = np.unique(file[python] * len(texts) + function[python], return_inverse=True)
    result[python] = np.array(
        [origin.of_python(texts[p // len(texts)], texts[p % len(texts)]) for p in pairs], np.uint8
    )[inverse]

    native = np.flatnonzero(kind == FrameKind.NATIVE)
    paths, of_path = np.unique(module[native], return_inverse=True)
    found = [origin.interpreter_prefix(texts[p]) for p in paths]
    prefixes = {prefix for prefix in found if prefix is not None}
    by_module = np.array(
        [origin.of_module(texts[p], executables, prefixes) for p in paths], np.uint8
    )[of_path]
    files, of_file = np.unique(file[native], return_inverse=True)
    by_source = np.array([origin.of_source(texts[f]) for f in files], np.uint8)[of_file]
    names, of_name = np.unique(function[native] * 256 + language[native], return_inverse=True)
    by_name = np.array(
        [origin.of_native(texts[n // 256], Language(n % 256)) for n in names], np.uint8
    )[of_name]
    # An allocator is one wherever it is linked in; otherwise the module decides, and within the
    # user's own modules the source file and the name tell what was compiled in from libraries.
    inside = np.where(by_source == Origin.OWN, by_name, by_source)
    whose = np.where(by_module == Origin.OWN, inside, by_module)
    runtime = by_name == Origin.INTERPRETER  # the way to main, in whatever module
    whose = np.where(runtime & (by_module != Origin.ALLOCATOR), Origin.INTERPRETER, whose)
    result[native] = np.where(by_name == Origin.ALLOCATOR, Origin.ALLOCATOR, whose)
    return result
