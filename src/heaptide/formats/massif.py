"""Profiles of Valgrind's Massif (``massif.out.PID``), and those that ``--xtree-memory=full`` makes.

Snapshots have sizes; some have a tree too, of who called the allocation functions. The format is
described by ms_print, which comes with Valgrind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

import numpy as np
import numpy.typing as npt

from heaptide.profile import (
    COLUMNS,
    LEAK_COLUMNS,
    Origin,
    composed_at,
    compositions,
    stack_tree,
    summarize,
    timeline_of,
)

from ._builder import Builder, Function
from ._names import one_line

if TYPE_CHECKING:
    from ._export import Export
    from ._source import Source

Ints = npt.NDArray[np.int64]

_KNOWN = ("peak_bytes", "alive_at_exit_bytes")
LACKS: Final = (
    *(name for name in (*COLUMNS, *LEAK_COLUMNS) if name not in _KNOWN),
    "sizes",
    "lifetimes",
    "threads",
)
_NS_OF: Final = {"ms": 1_000_000, "i": 1, "B": 1}
_UNITS: Final = {"i": "instructions", "B": "bytes allocated and freed"}
_MOST = 1 << 62
_MOST_DEPTH = 4096

_NODE = re.compile(rb"( *)n(\d{1,18}): (\d{1,19}) (.*)")
_BELOW = re.compile(r"in (\d+) places?, (?:all )?below massif's threshold")
_NO_DETAILS = "[snapshot without details]"

# ------------------------------------------------------------------------------------ reading


@dataclass
class _Snapshot:
    time: int
    heap: int
    extra: int
    stacks: int
    peak: bool = False
    held: dict[int, int] | None = None  # bytes by context; None: no tree
    label: str = ""  # of the tree's root


def read(source: Source) -> Builder:
    builder = Builder("massif", "a profile of Valgrind's Massif", LACKS)
    reading = _Reading(source, builder)
    snapshots = reading.snapshots()
    if not snapshots:
        raise source.wrong("it has no snapshot; the program ended before the first")
    if reading.cut_off:
        builder.note("the file ends within a snapshot: what is before that is shown")
    if any(_TABLE.match(one.label) for one in snapshots):
        _put_tables(builder, snapshots)
        return builder
    if reading.unit != "ms":
        builder.lacks.add("time")
        builder.note(
            f"its time is in {_UNITS[reading.unit]}: a second on screens is 1,000,000,000 of them"
        )
    _put(builder, snapshots, _NS_OF[reading.unit])
    return builder


class _Reading:
    """One pass over the lines."""

    def __init__(self, source: Source, builder: Builder) -> None:
        self._source, self._builder = source, builder
        self._lines = self._wanted()
        self._frames: dict[bytes, int] = {}
        self.unit = "i"
        self.cut_off = False

    def _wanted(self) -> Iterator[bytes]:
        for line in self._source.lines():
            if line.strip() and not line.startswith(b"#"):
                yield line

    def snapshots(self) -> list[_Snapshot]:
        found: list[_Snapshot] = []
        last: bytes | None = None
        in_command = False
        while True:
            line = next(self._lines, None) if last is None else last
            last = None
            if line is None:
                return found
            key, colon, value = line.partition(b":")
            if line.startswith(b"snapshot="):
                one, last = self._snapshot()
                if one is None:
                    self.cut_off = True
                    return found
                found.append(one)
            elif colon and key in (b"desc", b"cmd", b"time_unit"):
                self._header(key, value.strip().decode("utf-8", "backslashreplace"))
                in_command = key == b"cmd"
            elif in_command:  # its arguments may have line ends in them
                self._builder.command.append(line.decode("utf-8", "backslashreplace"))
            else:
                raise self._source.malformed("it is no line of a massif.out file")

    def _header(self, key: bytes, value: str) -> None:
        if key == b"cmd":
            self._builder.command = value.split()
            self._builder.exe = value.split()[0] if value.split() else ""
        elif key == b"time_unit":
            if value not in _NS_OF:
                raise self._source.malformed(f"the time unit {value!r} is none of i, ms and B")
            self.unit = value

    def _number(self, name: bytes) -> int | None:
        line = next(self._lines, None)
        if line is None:
            return None
        key, _, value = line.partition(b"=")
        if key != name:
            raise self._source.malformed(f"{name.decode()} is missing")
        try:
            number = int(float(value)) if b"." in value else int(value)
        except (ValueError, OverflowError):
            raise self._source.malformed(f"{name.decode()} is no number") from None
        if not 0 <= number < _MOST:
            raise self._source.malformed(f"{name.decode()} is out of range")
        return number

    def _snapshot(self) -> tuple[_Snapshot | None, bytes | None]:
        """A snapshot, None if the file ends within it, and the line behind it."""
        numbers = []
        for name in (b"time", b"mem_heap_B", b"mem_heap_extra_B", b"mem_stacks_B"):
            number = self._number(name)
            if number is None:
                return None, None
            numbers.append(number)
        one = _Snapshot(numbers[0], numbers[1], numbers[2], numbers[3])
        line = next(self._lines, None)
        if line is None:
            return None, None
        key, _, kind = line.partition(b"=")
        if key != b"heap_tree" or kind not in (b"empty", b"detailed", b"peak"):
            raise self._source.malformed("heap_tree is missing")
        one.peak = kind == b"peak"
        if kind == b"empty":
            return one, None
        return one, self._tree(one)

    def _tree(self, snapshot: _Snapshot) -> bytes | None:
        """Reads the tree of a snapshot; the line behind it."""
        held: dict[int, int] = {}
        path: list[int] = []  # frames, innermost first
        open_: list[int] = []  # bytes of each node on the path that no child has yet, root first
        wanted = 0  # subtrees that are still to come
        depth = -1
        line = next(self._lines, None)
        while line is not None:
            match = _NODE.fullmatch(line)
            if match is None:
                break
            at, children, size = len(match[1]), int(match[2]), int(match[3])
            if at > depth + 1 or at > _MOST_DEPTH or (at == 0 and depth >= 0):
                raise self._source.malformed("its depth does not follow from the line before")
            if size >= _MOST or children >= _MOST:
                raise self._source.malformed("its figure is out of range")
            wanted += children - (at > 0)
            while depth >= at:
                self._close(held, path, open_)
                depth -= 1
            if at > 0:
                open_[-1] -= size
                path.append(self._frame(match[4]))
            else:
                snapshot.label = match[4].decode("utf-8", "backslashreplace")
            open_.append(size)
            depth = at
            line = next(self._lines, None)
        while open_:
            self._close(held, path, open_)
        if line is None and wanted > 0:
            self.cut_off = True
        snapshot.held = {context: size for context, size in held.items() if size > 0}
        return line

    def _close(self, held: dict[int, int], path: list[int], open_: list[int]) -> None:
        """The innermost open node ends: what none of its callers has is its own."""
        own = open_.pop()
        if own > 0:
            context = self._builder.context(self._builder.stack(reversed(path)))
            held[context] = held.get(context, 0) + own
        if path:
            path.pop()

    def _frame(self, label: bytes) -> int:
        found = self._frames.get(label)
        if found is None:
            found = self._frames[label] = self._new_frame(label.decode("utf-8", "backslashreplace"))
        return found

    def _new_frame(self, label: str) -> int:
        builder = self._builder
        below = _BELOW.match(label)
        if below is not None:
            return builder.frame((Function("[below massif's threshold]"),))
        return builder.place(label)


_TABLE = re.compile(r"(\w+) : (.*)")
_TABLES: Final = frozenset({"totB", "totBk", "curB", "curBk"})
_TABLES_TELL: Final = (
    "total_bytes",
    "allocations",
    "alive_at_exit_bytes",
    "alive_at_exit_allocations",
)


def _put_tables(builder: Builder, snapshots: list[_Snapshot]) -> None:
    """What ``--xtree-memory=full`` writes: a figure of each stack for a snapshot, of one moment."""
    builder.title = "a table of stacks that Valgrind has made (--xtree-memory)"
    tables: dict[str, tuple[str, dict[int, int]]] = {}
    for one in snapshots:
        match = _TABLE.match(one.label)
        if match and one.held is not None:
            tables[match[1]] = match[2], one.held
    contexts = sorted({context for _, held in tables.values() for context in held})
    columns = {
        name: np.array([held.get(context, 0) for context in contexts], np.int64)
        for name, (_, held) in tables.items()
    }
    builder.end_reason = "snapshot"
    builder.lacks |= {"peak_bytes", "time"}
    if columns.keys() >= _TABLES:
        builder.lacks -= set(_TABLES_TELL)
        builder.totals(
            contexts,
            blocks=columns.pop("totBk"),
            bytes=columns.pop("totB"),
            live_blocks=columns.pop("curBk"),
            live_bytes=columns.pop("curB"),
        )
    else:
        builder.lacks |= set(_TABLES_TELL)
    for name, column in columns.items():
        words = tables[name][0]
        unit = "bytes" if "bytes" in words.lower() else "blocks"
        builder.extra(name, words[:1].lower() + words[1:], unit, contexts, column)


def _put(builder: Builder, snapshots: list[_Snapshot], ns: int) -> None:
    """Figures of all snapshots: sizes as the timeline, trees as what lived between them."""
    before: dict[int, int] = {}
    start = 0
    for one in snapshots:
        builder.moment(one.time * ns, one.heap, overhead_bytes=one.extra, stack_bytes=one.stacks)
        held = one.held
        if held is None and not one.heap:
            held = {}
        if held is None and one is snapshots[-1]:
            # What is alive at the end is known as a sum, then.
            function = builder.frame((Function(_NO_DETAILS),))
            held = {builder.context(builder.stack([function])): one.heap}
        if held is None or not (held or before):
            continue
        changed = sorted({*before, *held})
        old = np.array([before.get(context, 0) for context in changed], np.int64)
        new = np.array([held.get(context, 0) for context in changed], np.int64)
        builder.slice(
            start,
            one.time * ns,
            changed,
            bytes_in=np.maximum(new - old, 0),
            bytes_out=np.maximum(old - new, 0),
        )
        before, start = held, one.time * ns
    detailed = [one for one in snapshots if one.held is not None]
    if not detailed:
        builder.lacks.add("peak_bytes")
        return
    peak = max(detailed, key=lambda one: (one.heap, one.peak))
    assert peak.held is not None
    held, highest = dict(peak.held), max(snapshots, key=lambda one: one.heap)
    if highest.heap > peak.heap:
        context = builder.context(builder.stack([builder.frame((Function(_NO_DETAILS),))]))
        held[context] = held.get(context, 0) + highest.heap - peak.heap
        peak = highest
        builder.note(
            "the highest snapshot has no details: the peak is made of those of the highest that "
            f"has, and of what it has more, as {_NO_DETAILS}"
        )
    zero = np.zeros(len(held), np.int64)
    builder.peak(list(held), zero, list(held.values()), peak.time * ns)


# ------------------------------------------------------------------------------------ writing

SNAPSHOTS: Final = 100
DETAILED: Final = 10  # every so many
THRESHOLD: Final = 0.01
DEPTH: Final = 30


def write(export: Export) -> list[str]:
    export.need("massif.out", "peak_bytes", "alive_at_exit_bytes")
    profile = export.profile
    moments = [
        (time, held, False) for time, held in compositions(profile, SNAPSHOTS - 2) if time >= 0
    ]
    if "peak_bytes" not in export.unknown:
        when = composed_at(profile, summarize(profile))
        at = sum(time < when for time, _, _ in moments)
        moments.insert(at, (when, export.column("peak_bytes"), True))
    first = 0 if profile.time is None else profile.time.start
    if not moments or moments[0][0] > first:
        moments.insert(0, (first, np.zeros(len(export.recording.contexts), np.int64), False))
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        command = one_line(" ".join(export.command))
        file.write(f"desc: --time-unit=ms --threshold={THRESHOLD * 100:.1f}\n")
        file.write(f"cmd: {command}\ntime_unit: ms\n")
        rows = timeline_of(profile)
        for number, (time, held, is_peak) in enumerate(moments):
            row = int(np.searchsorted(rows.time, time, side="right")) - 1
            beside = (0, 0) if row < 0 else (rows.overhead_bytes[row], rows.stack_bytes[row])
            _write_snapshot(export, file, number, time, held, is_peak, beside)
    said = [
        (
            "massif.out carries sizes over time and what the heap held: totals, lifetimes and "
            "threads are left out"
        )
    ]
    if "peak_bytes" in export.unknown:
        said.append("the peak is not known: what is alive is its last snapshot")
    return said


def _write_snapshot(
    export: Export,
    file: TextIO,
    number: int,
    time: int,
    held: Ints,
    is_peak: bool,
    beside: tuple[int, int],
) -> None:
    """``beside``: bytes of overhead and of stacks."""
    total = int(held.sum())
    detailed = is_peak or number % DETAILED == DETAILED - 1
    kind = "peak" if is_peak else "detailed" if detailed and total else "empty"
    file.write(f"#-----------\nsnapshot={number}\n#-----------\ntime={time // 1_000_000}\n")
    file.write(f"mem_heap_B={total}\nmem_heap_extra_B={beside[0]}\n")
    file.write(f"mem_stacks_B={beside[1]}\nheap_tree={kind}\n")
    if kind != "empty":
        _write_tree(export, file, held, total)


def _write_tree(export: Export, file: TextIO, held: Ints, total: int) -> None:
    least = max(int(total * THRESHOLD), 1)
    tree = stack_tree(
        export.profile,
        "place",
        figures=held[:, np.newaxis],
        inverted=True,
        hide=(Origin.ALLOCATOR,),
        deepest=DEPTH,
        least=least,
    )
    size = tree.inclusive[:, 0].tolist()
    parent, depth, location = tree.parent.tolist(), tree.depth.tolist(), tree.location.tolist()
    children: dict[int, list[int]] = {}
    for node in range(1, len(tree)):
        children.setdefault(parent[node], []).append(node)
    shown = {node: [n for n in found if size[n] >= least] for node, found in children.items()}
    # Depth first; a parent's small callers become one leaf, in the order of sizes.
    todo: list[int | tuple[int, int, int]] = [0]
    while todo:
        one = todo.pop()
        if isinstance(one, tuple):
            level, bytes_, places = one
            words = f"{places} places, all" if places > 1 else "1 place,"
            below = f"below massif's threshold ({THRESHOLD:.2%})"
            file.write(f"{' ' * level}n0: {bytes_} in {words} {below}\n")
            continue
        all_, large = children.get(one, []), shown.get(one, [])
        small = [node for node in all_ if size[node] < least]
        rows: list[int | tuple[int, int, int]] = list(large)
        if small:
            merged = sum(size[node] for node in small)
            place = sum(size[node] >= merged for node in large)
            rows.insert(place, (depth[one] + 1, merged, len(small)))
        label = _ROOT if one == 0 else _label(export, location[one])
        file.write(f"{' ' * depth[one]}n{len(rows)}: {size[one]} {label}\n")
        todo.extend(reversed(rows))


_ROOT = "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."


def _label(export: Export, location: int) -> str:
    """A place as Massif has it. Places of Python have no address: the number is the place's own."""
    one = export.function(location)
    name = one_line(one.name).replace("#", " ") or "???"  # ms_print takes # for a comment
    if one.file:
        file = one_line(one.file).replace("#", " ")
        return f"0x{location + 1:X}: {name} ({file}:{one.line})"
    module = one_line(export.module(location)).replace("#", " ")
    if module:
        return f"0x{location + 1:X}: {name} (in {module})"
    return f"0x{location + 1:X}: {name}"
