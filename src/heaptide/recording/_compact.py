"""The finishing pass: a raw recording becomes a small one with names in it.

Superseded chunks and voids go, slices merge pairwise until there are at most MAX_SLICES, frames get
their names, and every chunk is compressed. The new file takes the old one's place in one step, so
at each moment the path is a whole recording. Chunks and columns that this version does not know are
carried over.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Optional

import numpy as np
from numpy.typing import NDArray

from heaptide._version import __version__
from heaptide.errors import OutputError
from heaptide.recording import _births, _spreads
from heaptide.recording._columns import Column
from heaptide.recording._recording import Recording
from heaptide.recording._rows import Rows, join
from heaptide.recording._schema import BLOBS, KINDS, METRICS, Kind
from heaptide.recording._writer import Writer
from heaptide.symbols import Symbols, resolve

MAX_SLICES: Final = 1000

# Of Zstandard. On deltas 9 is 4 % smaller than 3 at 40 MB/s; 19 gains 5 % more at 3 MB/s.
_LEVEL: Final = 9

# Rows of slices for each context from which on their sums are written down: where summing takes
# long. They are a twentieth of the file then, at most.
_WORTH_TOTALS: Final = 16

# Rows of births: so many are cheap; of more, at most one to so many of the slices'.
_FEW_BIRTHS: Final = 1 << 14
_BIRTHS_SHARE: Final = 4

# Called with (done, total, what).
Progress = Optional[Callable[[int, int, str], None]]

# Kinds in the order in which a prefix of the file makes sense: what is referred to comes first.
_ORDER: Final = (
    Kind.PROCESSES,
    Kind.THREADS,
    Kind.MODULES,
    Kind.CODES,
    Kind.FRAMES,
    Kind.STACKS,
    Kind.CONTEXTS,
    Kind.SYMBOLS,
    Kind.DELTAS,
    Kind.TOTALS,
    Kind.TIMELINE,
    Kind.BIRTHS,
    Kind.PEAK,
    Kind.LIFETIMES,
    Kind.SIZES,
    Kind.EXTRAS,
    Kind.ACCESSES,
    Kind.MARKS,
    Kind.NOTES,
    Kind.END,
)


@dataclass(frozen=True)
class Finished:
    """What a finishing pass did."""

    path: str
    compacted: bool  # False: the raw recording was kept as it was, and `warnings` says why
    bytes_before: int
    bytes_after: int
    frames_named: int = 0
    advice: list[str] = field(default_factory=list)  # what to change so that more names appear
    warnings: list[str] = field(default_factory=list)
    former: str | None = None  # where the file is now that had more in it, behind some damage


def finish(
    path: str | os.PathLike[str], *, symbols: bool = True, progress: Progress = None
) -> Finished:
    """Finishes the recording at `path` in place.

    With `symbols` False names are left for `symbolize`. If the new file cannot be written (a full
    disk, a directory that is read-only) the raw recording stays, whole and readable, and the result
    says so.

    Raises:
        RecordingError: `path` is no recording.
    """
    try:
        return _rewrite(path, symbols, progress)
    except OSError as error:
        size = Path(path).stat().st_size
        return Finished(
            os.fspath(path), False, size, size, warnings=[_not_written(os.fspath(path), error)]
        )


def symbolize(path: str | os.PathLike[str], *, progress: Progress = None) -> Finished:
    """Resolves the frames of an existing recording again, and compacts it.

    Names that it has already are kept where they cannot be found any more. Of a file that cannot be
    read to its end the old one is put aside, for the new one lacks what is behind the damage.

    Raises:
        RecordingError: `path` is no recording.
        OutputError: the new file cannot be written; the old one stays as it is.
    """
    try:
        return _rewrite(path, True, progress, keep_damaged=True)
    except OSError as error:
        raise OutputError(_not_written(os.fspath(path), error)) from None


def _not_written(path: str, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause, remedy = "no space for a second copy", "free some"
    elif error.errno == errno.EBUSY:
        cause, remedy = "it was written to meanwhile", "wait until whoever writes it has ended"
    else:
        cause, remedy = error.strerror or str(error), "make its directory writable"
    return (
        f"{path} could not be rewritten with symbols ({cause}); it is whole and readable as it is:"
        f" {remedy}, then run heaptide symbolize"
    )


def _rewrite(
    path: str | os.PathLike[str],
    symbols: bool,
    progress: Progress,
    *,
    keep_damaged: bool = False,
) -> Finished:
    real = Path(path).resolve()
    former = None
    partial = real.with_name(f".{real.name}.{os.getpid()}.partial")
    with Recording.open(real) as recording:
        found = resolve(recording, progress) if symbols else None
        try:
            with Writer(
                partial, level=_LEVEL, finished=recording.finished, compacted=True
            ) as writer:
                _write(recording, writer, found)
                writer.sync()
                state = real.stat()
                os.fchmod(writer.fileno(), stat.S_IMODE(state.st_mode))
            if (
                state.st_size != recording.file_bytes
            ):  # its writer would go on in a file without name
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            if keep_damaged and recording.truncated_at is not None:
                former = _put_aside(real)
            partial.replace(real)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return Finished(
            os.fspath(path),
            compacted=True,
            bytes_before=recording.file_bytes,
            bytes_after=real.stat().st_size,
            frames_named=len(np.unique(found.columns["frame"])) if found else 0,
            advice=found.advice if found else [],
            warnings=recording.warnings,
            former=former,
        )


def _put_aside(real: Path) -> str:
    """A second name, or copy, of the file; returns where."""
    number = 0
    while True:
        aside = real.with_name(f"{real.name}.damaged{number or ''}")
        try:
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            number += 1
            continue
        try:
            shutil.copy2(real, aside)
        except OSError:
            aside.unlink()
            raise
        return os.fspath(aside)


def _write(recording: Recording, writer: Writer, symbols: Symbols | None) -> None:
    writer.chunk(Kind.META, {"json_bytes": _meta(recording, symbols)})
    _write_strings(recording, writer, symbols.strings if symbols else [])
    deltas = 0
    for kind in _ORDER:
        if kind == Kind.DELTAS:
            deltas = _write_slices(recording, writer)
        elif kind == Kind.TOTALS:
            continue  # with the slices: those of the file may be of other ones
        elif kind == Kind.BIRTHS:
            _write_births(recording, writer, deltas)
        elif kind == Kind.SYMBOLS and symbols is not None:
            writer.chunk(kind, symbols.columns)
        else:
            columns = _carried(recording, kind)
            if columns:
                writer.chunk(kind, columns)
    chunks = recording._chunks
    for chunk in chunks.chunks:
        if chunk.kind not in KINDS:
            writer.copy(chunk, chunks.stored_payload(chunk))


def _meta(recording: Recording, symbols: Symbols | None) -> bytes:
    meta = dict(recording.meta)
    meta["finished_by"] = f"heaptide {__version__}"
    if symbols is not None:
        meta["advice"] = symbols.advice
    # What was wrong with the raw file is still missing from this one.
    if recording.warnings:
        meta["warnings"] = recording.warnings
    return json.dumps(meta, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def _write_strings(recording: Recording, writer: Writer, added: list[str]) -> None:
    loader = recording._loader
    starts, joined = loader.blob(Kind.STRINGS, "s_bytes", "s_len")
    lengths = np.diff(starts)
    if not lengths.size:
        lengths = np.zeros(1, np.int64)
    more = [text.encode("utf-8", "backslashreplace") for text in added]
    lengths = np.concatenate([lengths, np.array([len(text) for text in more], np.int64)])
    writer.chunk(Kind.STRINGS, {"s_len": lengths, "s_bytes": joined + b"".join(more)})


def _carried(recording: Recording, kind: Kind) -> dict[str, Column]:
    """All columns of a kind as they are in the file, joined over its chunks."""
    loader = recording._loader
    columns: dict[str, Column] = dict(loader.rows(kind).columns)
    if columns:
        for name, lengths in BLOBS.get(kind, {}).items():
            if lengths is not None:
                columns[name] = loader.blob(kind, name, lengths)[1]
    return columns


def _write_slices(recording: Recording, writer: Writer) -> int:
    """Returns how many rows all slices had before they were merged."""
    slices, loader = recording.slices, recording._loader
    group = 1
    read = written = 0
    while len(slices) > MAX_SLICES * group:
        group *= 2
    for number, (first, stop) in enumerate(_groups(recording, group)):
        times = {
            "slice": np.array([number]),
            "start": slices.start[first : first + 1],
            "end": slices.end[stop - 1 : stop],
        }
        parts, spreads = zip(*(loader.slice_parts(index) for index in range(first, stop)))
        read += sum(part.count for part in parts)
        rows = merged(list(parts))
        spread = _spreads.write(_spreads.summed(spreads))
        writer.chunk(Kind.DELTAS, {**times, **rows, **spread})
        written += len(rows["context"])
    if written > _WORTH_TOTALS * len(recording.contexts):
        _write_totals(recording, writer)
    return read


def _groups(recording: Recording, size: int) -> Iterator[tuple[int, int]]:
    """Up to `size` slices each, first and behind the last; none goes over a mark between two."""
    slices, marks = recording.slices, recording.marks.time
    behind = np.searchsorted(slices.end, marks, side="right")
    # A slice in which nothing changed is not in the file: a mark need not be where one ends.
    between = np.append(slices.start, np.iinfo(np.int64).max)[behind] >= marks
    begin = 0
    for end in (*np.unique(behind[between]).tolist(), len(slices)):
        for first in range(begin, end, size):
            yield first, min(first + size, end)
        begin = end


def _write_births(recording: Recording, writer: Writer, deltas: int) -> None:
    most = max(_FEW_BIRTHS, deltas // _BIRTHS_SHARE)
    births = _births.coarser(recording.births, most)
    if len(births):
        writer.chunk(Kind.BIRTHS, _births.write(births))


def _write_totals(recording: Recording, writer: Writer) -> None:
    """What readers need most, so that they need not decode every slice for it."""
    columns: dict[str, NDArray[Any]] = {name: getattr(recording.totals, name) for name in METRICS}
    used = np.flatnonzero(np.any([column != 0 for column in columns.values()], axis=0))
    if len(used):
        columns = {name: column[used] for name, column in columns.items()}
        writer.chunk(Kind.TOTALS, {"context": used, **columns})


def merged(parts: list[Rows]) -> dict[str, NDArray[Any]]:
    """The sums of `parts` for each context, in ascending order of contexts."""
    rows = join(parts)
    contexts, place = np.unique(rows.figures("context"), return_inverse=True)
    sums: dict[str, NDArray[Any]] = {"context": contexts}
    for name in rows.columns:
        if name != "context":
            column = np.zeros(len(contexts), np.int64)
            np.add.at(column, place, rows.figures(name))
            sums[name] = column
    return sums
