"""A recording, opened: typed tables of NumPy columns, read when first asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from heaptide.recording import _births, _load, _spreads, _totals
from heaptide.recording._chunks import ChunkFile
from heaptide.recording._names import FrameNames
from heaptide.recording._rows import Rows
from heaptide.recording._schema import ALL_PROCESSES, FLAG_COMPACTED, FLAG_FINISHED, Kind
from heaptide.recording._strings import Strings
from heaptide.recording._tables import (
    Accesses,
    Births,
    Codes,
    Composition,
    Contexts,
    Deltas,
    End,
    Extras,
    Frames,
    Lifetimes,
    Marks,
    Modules,
    Notes,
    Peak,
    Processes,
    Sizes,
    Slices,
    Spreads,
    Stacks,
    Summary,
    Symbols,
    Threads,
    Timeline,
    Totals,
)

if TYPE_CHECKING:
    from heaptide.symbols._native import NativeResolver

_LOOKS: Final = 8


class Recording:
    """An opened `.tide` file.

    Opening maps the file, scans the chunk headers and checks every checksum; tables are decoded at
    their first use and kept. Figures per context are computed slice by slice, so that memory stays
    proportional to contexts, not to slices. A recording is read-only and safe to share between
    threads; close it, or use it as a context manager, to unmap the file.
    """

    def __init__(self, chunks: ChunkFile) -> None:
        self._chunks = chunks
        self._loader = _load.Loader(chunks)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, shown: str | os.PathLike[str] | None = None
    ) -> Recording:
        """Opens `path`, or as much of it as is whole.

        `shown`: the path that messages name, for a file that stands for another one.

        Raises:
            RecordingError: the path does not exist, cannot be read, is no recording, or was written
                by a newer heaptide.
        """
        chunks = ChunkFile.open(path)
        if shown is not None:
            chunks.path = os.fspath(shown)
        return cls(chunks)

    def close(self) -> None:
        self._chunks.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the file is.

    @property
    def path(self) -> str:
        return self._chunks.path

    @property
    def file_bytes(self) -> int:
        return self._chunks.file_bytes

    def save(self, file: BinaryIO) -> None:
        """Writes the file as it is."""
        self._chunks.save(file)

    @property
    def finished(self) -> bool:
        """True if the recording ended cleanly."""
        return bool(self._chunks.flags & FLAG_FINISHED)

    @property
    def compacted(self) -> bool:
        return bool(self._chunks.flags & FLAG_COMPACTED)

    @property
    def truncated_at(self) -> int | None:
        """Offset of the first byte that could not be read, or None for a whole file."""
        return self._chunks.truncated_at

    @property
    def warnings(self) -> list[str]:
        """One readable line for each thing wrong with the file, found so far, and for each that was
        wrong with the raw recording it was made from."""
        before = self.meta.get("warnings", [])
        carried = [str(text) for text in before] if isinstance(before, list) else []
        return [*carried, *self._chunks.warnings, *self._loader.warnings]

    # Tables.

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The JSON object of the `meta` chunk; empty if there is none."""
        return self._loader.meta()

    @property
    def sample_interval(self) -> int:
        """Mean bytes between samples; 0: every allocation was recorded.

        In a sampled recording figures are estimates without bias, lifetimes by time included; but
        `temporary`, `short_lived` and `by_allocations` count further *samples* where they say
        allocations, and mean nothing.
        """
        config = self.meta.get("config")
        interval = config.get("sample_interval") if isinstance(config, dict) else 0
        return interval if isinstance(interval, int) and interval > 1 else 0

    @property
    def source(self) -> dict[str, Any]:
        """Of a recording that was imported: `format`, its name on the command line, and `title`,
        that in sentences. Empty for one that heaptide made."""
        found = self.meta.get("source")
        return found if isinstance(found, dict) else {}

    @property
    def lacks(self) -> frozenset[str]:
        """Figures that the imported file did not tell, by their names in JSON, and whole tables:
        `sizes`, `lifetimes`, `threads`, `time`. Their zeros mean nothing."""
        found = self.meta.get("lacks")
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    @property
    def strings(self) -> Strings:
        return self._loader.strings

    @cached_property
    def processes(self) -> Processes:
        return self._loader.processes()

    @cached_property
    def threads(self) -> Threads:
        return self._loader.threads()

    @cached_property
    def modules(self) -> Modules:
        return self._loader.modules()

    @cached_property
    def codes(self) -> Codes:
        return self._loader.codes()

    @cached_property
    def frames(self) -> Frames:
        return self._loader.frames()

    @cached_property
    def stacks(self) -> Stacks:
        return self._loader.stacks()

    @cached_property
    def contexts(self) -> Contexts:
        return self._loader.contexts()

    @cached_property
    def slices(self) -> Slices:
        return self._loader.slices()

    def deltas(self, first: int = 0, stop: int | None = None) -> Deltas:
        """Changes in slices `first` to `stop` (exclusive; None: all), concatenated.

        Memory is that of the rows asked for. For sums use `totals_between`, which streams.
        """
        return self._loader.deltas(self._range(first, stop))

    def spreads(self, first: int = 0, stop: int | None = None) -> Spreads:
        """How large the blocks of slices `first` to `stop` (exclusive; None: all) were and how long
        they lived: sums, by thread and bucket."""
        wanted = self._range(first, stop)
        return _spreads.summed([self._loader.slice_spread(index) for index in wanted])

    def _range(self, first: int, stop: int | None) -> range:
        count = len(self.slices)  # which the loader has to know before it is asked for one
        return range(first, count if stop is None else stop)

    @cached_property
    def has_spreads(self) -> bool:
        """Whether `spreads` knows anything: not of what some foreign formats tell."""
        first = range(min(len(self.slices), _LOOKS))  # some change arenas only
        return any(len(self._loader.slice_spread(index)) for index in first)

    @cached_property
    def delta_rows(self) -> int:
        """Rows of all slices: what passing over them costs. Of headers only."""
        return sum(chunk.rows for chunk in self._chunks.of_kind(Kind.DELTAS))

    @cached_property
    def timeline(self) -> Timeline:
        return self._loader.timeline()

    @cached_property
    def peaks(self) -> Peak:
        return self._loader.peak()

    @cached_property
    def lifetimes(self) -> Lifetimes:
        return self._loader.lifetimes()

    @cached_property
    def sizes(self) -> Sizes:
        return self._loader.sizes()

    @cached_property
    def extras(self) -> Extras:
        """Figures that only some foreign formats know."""
        return self._loader.extras()

    @cached_property
    def accesses(self) -> Accesses:
        return self._loader.accesses()

    @cached_property
    def births(self) -> Births:
        """When what lived for some time was born and died; empty where that was not recorded."""
        tables = self._chunks.of_kind(Kind.BIRTHS)
        if tables:
            return _births.read(self._loader, tables[-1])
        return _births.load(self._loader, self._chunks.of_kind(Kind.CENSUS))

    @cached_property
    def marks(self) -> Marks:
        return self._loader.marks()

    @cached_property
    def notes(self) -> Notes:
        return self._loader.notes()

    @cached_property
    def symbols(self) -> Symbols | None:
        """Resolved functions, or None if the recording has not been symbolized."""
        return self._loader.symbols()

    def named(self, resolver: NativeResolver | None = None) -> Recording:
        """The same recording with every frame named that can be named on this machine, in memory.

        What `heaptide symbolize` would write; the file stays as it is. Takes seconds for native
        code with much debug information that was not looked up before. `resolver`: one that has
        been asked before, perhaps.
        """
        from heaptide.symbols import resolve

        found = resolve(self, resolver=resolver)
        named = Recording(self._chunks)
        named._loader = self._loader
        rows = Rows(len(found.columns["frame"]), found.columns)
        strings = self.strings.extended(found.strings)
        named.__dict__["symbols"] = self._loader.symbols_of(rows, strings)
        return named

    @cached_property
    def end(self) -> End | None:
        """How the recording ended, or None if its collector was killed or still runs."""
        return self._loader.end()

    # Figures.

    @cached_property
    def totals(self) -> Totals:
        """Figures of the whole recording, for each context.

        A finished recording has them written down; of another they are summed up here.
        """
        written = self._loader.totals()
        return self.totals_between(0, len(self.slices)) if written is None else written

    def totals_between(self, first: int, stop: int) -> Totals:
        """Figures of slices `first` to `stop` (exclusive), for each context."""
        return _totals.sum_slices(self._loader, range(first, stop))

    def live_at(self, time_ns: int) -> Composition:
        """The live heap at the end of the last slice that ends at or before `time_ns`."""
        return _totals.live_at(self, time_ns)

    def peak_of(self, process: int = ALL_PROCESSES) -> Composition:
        """The live heap at the highest sum over all processes, or at the peak of one process.

        Without a recorded peak (the recording was cut before its first checkpoint) it is the
        highest of the slices' ends, and `exact` is False.
        """
        return _totals.peak_of(self, process)

    @cached_property
    def summary(self) -> Summary:
        return _totals.summarize(self)

    def threads_of(self, processes: Sequence[int]) -> int:
        """How many threads ran in these rows of `processes`; one that calls exec stays one."""
        chosen = np.zeros(len(self.processes), np.bool_)
        chosen[list(processes)] = True
        return _totals.count_threads(self, chosen)

    # Names.

    @property
    def command(self) -> list[str]:
        """What was recorded, in words; empty where that is not known, as of an imported file."""
        words = self.meta.get("command")
        return [str(word) for word in words] if isinstance(words, list) else []

    def command_of(self, process: int) -> list[str]:
        """The arguments of a process; empty if they were not recorded."""
        joined = self.processes.command[process]
        return joined.split("\x1f") if joined else []

    def stack_frames(self, stack: int) -> list[int]:
        """Rows of `frames` of a stack, innermost first."""
        parents, frames = self.stacks.parent, self.stacks.frame
        found = []
        while stack >= 0:
            found.append(int(frames[stack]))
            stack = int(parents[stack])
        return found

    def frame_names(self) -> FrameNames:
        """Names of frames: `frame_names()[frame]` is a tuple of `FrameName`, innermost inlined
        function first, never empty. Without symbols Python frames are decoded on the spot, and
        native ones read like ``0x1234 in libfoo.so``."""
        return self._frame_names

    @cached_property
    def _frame_names(self) -> FrameNames:
        return FrameNames(self)
