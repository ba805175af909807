"""The tables of a recording: frozen sets of NumPy columns, one row an entity.

References are rows of the table they name, `int32`, -1 for none, and are checked on loading: each
is a valid row, and a stack's parent lies before the stack. Figures are `int64`; times are
nanoseconds since the recording's start; sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from heaptide.recording._schema import ALL_PROCESSES, METRICS, ContextKind

if TYPE_CHECKING:
    from heaptide.recording._strings import StringColumn

Ids = NDArray[np.int32]
Figures = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Processes:
    """Process images: a fork and an exec each make a row of their own."""

    pid: Figures
    ppid: Figures
    parent: Ids  # row of the recorded parent, or -1
    image: Figures  # 0 for the first image of this pid, +1 for each exec
    start: Figures
    end: Figures  # 0 while alive
    exe: StringColumn
    command: StringColumn  # arguments joined by U+001F; see Recording.command_of
    peak_bytes: Figures
    peak_time: Figures
    peak_rss: Figures
    live_bytes: Figures
    live_blocks: Figures
    allocations: Figures
    deallocations: Figures
    reallocations: Figures
    bytes: Figures  # requested in total
    copied_bytes: Figures
    temporary: Figures
    short_lived: Figures
    unmatched_frees: Figures
    arena_bytes: Figures
    arena_peak_bytes: Figures
    wait_ns: Figures
    lost_events: Figures
    fp_fallbacks: Figures
    truncated: Figures
    python_version: Figures  # PY_VERSION_HEX, 0: no interpreter
    python_status: Figures  # ht_python_status
    allocator: Figures  # ht_allocator_provider
    off_reason: Figures  # ht_off_reason

    def __len__(self) -> int:
        return len(self.pid)


@dataclass(frozen=True)
class Threads:
    process: Ids
    tid: Figures
    name: StringColumn
    start: Figures
    end: Figures
    allocations: Figures
    deallocations: Figures
    reallocations: Figures
    bytes: Figures
    live_bytes: Figures

    def __len__(self) -> int:
        return len(self.tid)


@dataclass(frozen=True)
class Modules:
    """Executables and shared objects, once for each process that mapped them."""

    process: Ids
    bias: NDArray[np.uint64]
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    path: StringColumn
    build_id: StringColumn  # lower-case hex, or empty

    def __len__(self) -> int:
        return len(self.bias)


@dataclass(frozen=True)
class Codes:
    """Python code objects. `table(i)` is the raw line table of row `i`."""

    filename: StringColumn
    qualname: StringColumn
    firstlineno: Figures
    python_version: Figures
    table_start: Figures  # rows + 1 offsets into table_bytes
    table_bytes: bytes

    def __len__(self) -> int:
        return len(self.firstlineno)

    def table(self, row: int) -> bytes:
        return self.table_bytes[int(self.table_start[row]) : int(self.table_start[row + 1])]


@dataclass(frozen=True)
class Frames:
    kind: NDArray[np.uint8]  # FrameKind
    ref: Ids  # native: row of modules or -1; Python: row of codes; special: SpecialFrame
    offset: NDArray[np.uint64]  # native: address in the module's ELF; Python: bytes into the code

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class Stacks:
    """Stacks as a tree: a stack is its parent (outwards) plus one innermost frame."""

    parent: Ids  # row, smaller than the stack's own, or -1
    frame: Ids

    def __len__(self) -> int:
        return len(self.parent)


@dataclass(frozen=True)
class Contexts:
    """Where memory comes from, told apart by process, thread, stack and kind of allocator."""

    process: Ids
    thread: Ids  # row, or -1 where the thread is not known
    stack: Ids
    kind: NDArray[np.uint8]  # ContextKind

    def __len__(self) -> int:
        return len(self.stack)

    @property
    def counted(self) -> Mask:
        """True for the contexts that count in totals: all but those of arenas."""
        return np.asarray(self.kind != ContextKind.ARENA)


@dataclass(frozen=True)
class Slices:
    """Slices of time in order. `rows[i]`: contexts that changed in slice `i`."""

    start: Figures
    end: Figures

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Deltas:
    """Changes in one slice, or in several, concatenated in order of time.

    Slice `i` owns rows `offsets[i]:offsets[i + 1]`. Columns have the narrowest integer type that
    was stored; convert before adding them up.
    """

    offsets: Figures
    context: Ids
    blocks_in: NDArray[np.integer[Any]]
    bytes_in: NDArray[np.integer[Any]]
    blocks_out: NDArray[np.integer[Any]]
    bytes_out: NDArray[np.integer[Any]]
    reallocations: NDArray[np.integer[Any]]
    copied_bytes: NDArray[np.integer[Any]]
    temporary: NDArray[np.integer[Any]]
    short_lived: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Spreads:
    """How large blocks were and how long they lived in a range of slices: a row for each thread and
    bucket (`SPREAD_AGES`, `SPREAD_TIMES`, `SPREAD_SIZES`) with any. Without those of arenas."""

    thread: Figures
    bucket: Figures
    blocks: Figures

    def __len__(self) -> int:
        return len(self.blocks)

    @classmethod
    def none(cls) -> Spreads:
        return cls(*(np.zeros(0, np.int64) for _ in range(3)))


@dataclass(frozen=True)
class Totals:
    """Sums of deltas over a range of slices: each column has one figure for each context."""

    blocks_in: Figures
    bytes_in: Figures
    blocks_out: Figures
    bytes_out: Figures
    reallocations: Figures
    copied_bytes: Figures
    temporary: Figures
    short_lived: Figures

    def __len__(self) -> int:
        return len(self.blocks_in)

    @property
    def allocations(self) -> Figures:
        """New blocks: `blocks_in` less the reallocations of blocks that existed."""
        return self.blocks_in - self.reallocations

    @property
    def live_blocks(self) -> Figures:
        """Blocks that came less those that went: alive at the end of the range."""
        return self.blocks_in - self.blocks_out

    @property
    def live_bytes(self) -> Figures:
        return self.bytes_in - self.bytes_out

    @classmethod
    def zeros(cls, contexts: int) -> Totals:
        return cls(**{name: np.zeros(contexts, np.int64) for name in METRICS})


@dataclass(frozen=True)
class Composition:
    """What a heap consists of at one moment: one figure for each context."""

    blocks: Figures
    bytes: Figures
    exact: bool = True  # False: taken at the nearest slice's end instead

    def __len__(self) -> int:
        return len(self.blocks)


@dataclass(frozen=True)
class Timeline:
    time: Figures
    process: Ids  # row, or ALL_PROCESSES for the sum of all
    live_bytes: Figures
    live_blocks: Figures
    peak_bytes: Figures  # highest live heap since the previous row of this process
    rss: Figures  # 0: not read; so for pss and uss
    pss: Figures
    uss: Figures
    allocations: Figures  # since the previous row
    bytes: Figures
    overhead_bytes: Figures  # of the allocator's own; of imported recordings that know it
    stack_bytes: Figures  # of the threads' stacks, likewise

    def __len__(self) -> int:
        return len(self.time)

    def of(self, process: int = ALL_PROCESSES) -> Timeline:
        """The rows of one process, or of the sum of all."""
        rows = self.process == process
        return Timeline(**{name: column[rows] for name, column in vars(self).items()})


@dataclass(frozen=True)
class Peak:
    """Exact compositions of the live heap at its peaks, of each process and of all."""

    process: Ids  # row, or ALL_PROCESSES
    context: Ids
    blocks: Figures
    bytes: Figures

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Lifetimes:
    """Freed blocks by how long they lived; matrices of rows by LIFETIME_BUCKETS."""

    context: Ids
    by_allocations: Figures
    by_time: Figures

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Births:
    """Blocks that lived at some of the moments `times` (ns, ascending), by when they were born and
    died, of all contexts but those of arenas.

    Born in cell j: from times[j - 1] (0: the start) to times[j]. Died in k: alive at times[k - 1]
    and not at times[k]; k == len(times): alive at the last one, the recording's end. born < died:
    what lived between two moments only is in no row. Rows of one context, birth and death add up.
    """

    times: Figures
    context: Figures
    born: Figures
    died: Figures
    blocks: Figures
    bytes: Figures

    def __len__(self) -> int:
        return len(self.context)

    @classmethod
    def empty(cls) -> Births:
        return cls(*(np.zeros(0, np.int64) for _ in range(6)))

    def survivors(self, contexts: int, first: int, last: int) -> Composition:
        """What was born in cells `first` to `last` and is alive at times[last], for each of
        `contexts` contexts."""
        rows = (self.born >= first) & (self.born <= last) & (self.died > last)
        found = Composition(np.zeros(contexts, np.int64), np.zeros(contexts, np.int64))
        np.add.at(found.blocks, self.context[rows], self.blocks[rows])
        np.add.at(found.bytes, self.context[rows], self.bytes[rows])
        return found


@dataclass(frozen=True)
class Sizes:
    """Allocations by size; a matrix of rows by SIZE_BUCKETS."""

    context: Ids
    counts: Figures

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Extras:
    """Figures that only some foreign formats know: a row for each context and metric.

    ``metric`` is the name on the command line, ``words`` that on screens, ``unit`` "bytes",
    "blocks", or whatever the format counts in. Rows of one metric and context add up.
    """

    context: Ids
    metric: StringColumn
    words: StringColumn
    unit: StringColumn
    value: Figures

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Accesses:
    """How often each byte of a context's blocks was read or written, from the first byte on:
    ``run`` bytes ``count`` times each, rows of a context in order."""

    context: Ids
    run: Figures
    count: Figures

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Marks:
    time: Figures
    process: Ids
    thread: Ids
    name: StringColumn

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Notes:
    time: Figures
    process: Ids
    text: StringColumn

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Symbols:
    """Functions of resolved frames: frame `f` owns rows `offsets[f]:offsets[f + 1]`, innermost
    inlined function first; no row: not resolved."""

    offsets: Figures
    function: StringColumn
    file: StringColumn
    line: Figures
    column: Figures  # from 1, in bytes of UTF-8; 0: unknown. So for the ends
    end_line: Figures
    end_column: Figures  # one past the last byte
    language: NDArray[np.uint8]  # Language

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True)
class End:
    reason: str
    time: int


@dataclass(frozen=True)
class Summary:
    """The recording in figures; contexts of arenas are in none of them."""

    duration_ns: int
    allocations: int
    deallocations: int
    reallocations: int
    total_bytes: int
    copied_bytes: int
    peak_bytes: int
    peak_blocks: int
    peak_time_ns: int
    peak_exact: bool  # False: the peak's composition was lost with the recording's end
    peak_rss_bytes: int
    alive_at_exit_bytes: int
    alive_at_exit_blocks: int
    temporary: int
    short_lived: int
    processes: int
    threads: int
    lost_events: int
