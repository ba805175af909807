"""Profiles of pprof (https://github.com/google/pprof): a protobuf message, mostly compressed.

Go's runtime, ddtrace, jeprof and others write them; ``go tool pprof``, Pyroscope, Speedscope and
Grafana read them.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from heaptide.profile import COLUMNS, LEAK_COLUMNS, METRICS
from heaptide.profile.known import extra_metrics
from heaptide.recording import FrameKind

from ._builder import Builder, Function
from ._names import language_of
from ._pprof_proto import profile_class

if TYPE_CHECKING:
    from ._export import Export
    from ._source import Source

Ints = npt.NDArray[np.int64]

_MOST_FILE: Final = 1 << 30
_MOST: Final = 1 << 62

# Figures by the names that writers give them: (type, unit) -> a figure of a Row.
_ALIVE, _ALIVE_BLOCKS, _TOTAL, _BLOCKS = "live_bytes", "live_blocks", "bytes", "blocks"
_KNOWN: Final = {
    ("alloc_objects", "count"): _BLOCKS,
    ("alloc_space", "bytes"): _TOTAL,
    ("inuse_objects", "count"): _ALIVE_BLOCKS,
    ("inuse_space", "bytes"): _ALIVE,
    ("objects", "count"): _ALIVE_BLOCKS,
    ("space", "bytes"): _ALIVE,
    # ddtrace
    ("heap-space", "bytes"): _ALIVE,
    ("heap-live-size", "bytes"): _ALIVE,
    ("heap-live-samples", "count"): _ALIVE_BLOCKS,
    ("alloc-space", "bytes"): _TOTAL,
    ("alloc-size", "bytes"): _TOTAL,
    ("alloc-samples", "count"): _BLOCKS,
}
_COLUMN_OF: Final = {
    _ALIVE: "alive_at_exit_bytes",
    _ALIVE_BLOCKS: "alive_at_exit_allocations",
    _TOTAL: "total_bytes",
    _BLOCKS: "allocations",
}
_UNITS: Final = {
    **dict.fromkeys(("byte", "bytes"), 1),
    **dict.fromkeys(("kilobytes", "kb", "kib"), 1 << 10),
    **dict.fromkeys(("megabytes", "mb", "mib"), 1 << 20),
    "gb": 1 << 30,
}
_COMMAND: Final = "command: "
_THREADS: Final = ("thread", "thread name", "thread_name", "thread id", "thread_id")

# ------------------------------------------------------------------------------------ reading


def read(source: Source) -> Builder:
    source.most = min(source.most, _MOST_FILE)
    message = profile_class()()
    try:
        message.ParseFromString(source.whole())
    except Exception as error:  # DecodeError, whose module differs between runtimes
        raise source.wrong(f"it is no profile of pprof ({error})") from None
    return _Reading(source, message).builder()


class _Reading:
    def __init__(self, source: Source, message: Any) -> None:
        self._source, self._message = source, message
        self._strings = list(message.string_table)
        if not message.sample_type:
            raise source.wrong("it has no type of samples")
        if self._strings and self._strings[0]:
            raise source.wrong("its table of strings does not begin with an empty one")
        self._types = [(self._text(one.type), self._text(one.unit)) for one in message.sample_type]
        self._builder = Builder("pprof", "a profile of pprof", self._lacking())
        self._frames: dict[int, list[int]] = {}
        self._without_id: dict[str, int] = {}  # threads without an id, by their names

    def _text(self, number: int) -> str:
        if 0 <= number < len(self._strings):
            return str(self._strings[number])
        if not self._strings and number == 0:
            return ""
        raise self._source.malformed_at(f"string {number}", "there is no such string")

    def _lacking(self) -> list[str]:
        told = {_KNOWN[one] for one in self._types if one in _KNOWN}
        known = {_COLUMN_OF[figure] for figure in told}
        lacks = [name for name in (*COLUMNS, *LEAK_COLUMNS) if name not in known]
        # A stack may have more alive than it allocated: of the time that the profile is of.
        return [*lacks, "deallocations", "sizes", "lifetimes", "threads"]

    def builder(self) -> Builder:
        message, builder = self._message, self._builder
        builder.end_reason = "snapshot"
        builder.end_ns = max(0, min(int(message.duration_nanos), _MOST))
        if not builder.end_ns:
            builder.lacks.add("time")
        if 0 < message.time_nanos < 1 << 62:
            builder.start_time = message.time_nanos / 1e9
        if self._text(message.period_type.unit) == "bytes" and 1 < message.period < _MOST:
            builder.sample_interval = int(message.period)
        for number in message.comment:
            text = self._text(number)
            if text.startswith(_COMMAND):  # one of heaptide's
                builder.command = text[len(_COMMAND) :].split()
            else:
                builder.note(text)
        self._locations()
        self._samples()
        return builder

    # Places.

    def _locations(self) -> None:
        message, builder = self._message, self._builder
        functions = {one.id: one for one in message.function}
        modules, starts = {}, {}
        for number, one in enumerate(message.mapping):
            path = self._text(one.filename)
            bias = (one.memory_start - one.file_offset) & 0xFFFFFFFFFFFFFFFF
            modules[one.id] = builder.module(
                path,
                self._text(one.build_id),
                bias=bias,
                start=one.memory_start,
                end=one.memory_limit,
            )
            starts[one.id] = bias
            if number == 0:
                builder.exe = path
                builder.command = builder.command or ([path] if path else [])
        for one in message.location:
            module = modules.get(one.mapping_id, -1)
            lines = [self._function(functions, line) for line in one.line]
            offset = one.address - starts.get(one.mapping_id, 0)
            if not lines and module < 0:
                lines = [Function(f"0x{one.address:x}")]
            if lines and lines[0].file.endswith(".py"):
                # Of Python functions none is inlined: each is a frame.
                self._frames[one.id] = [builder.frame((line,)) for line in reversed(lines)]
            else:
                address = offset if offset >= 0 else one.address
                self._frames[one.id] = [builder.frame(tuple(lines), module, address)]

    def _function(self, functions: dict[int, Any], line: Any) -> Function:
        one = functions.get(line.function_id)
        if one is None:
            raise self._source.malformed_at(
                f"function {line.function_id}", "there is no such function"
            )
        name, system = self._text(one.name), self._text(one.system_name)
        if system and (not name or _unbracketed(system) == name):
            name = system
        name = name or "?"
        file = self._text(one.filename)
        number = max(0, min(int(line.line), _MOST))
        return Function(name, file, number, max(0, int(line.column)), language_of(name, file))

    # Figures.

    def _samples(self) -> None:
        builder, known = self._builder, [_KNOWN.get(one) for one in self._types]
        scales = [_UNITS.get(unit.lower(), 1) for _, unit in self._types]
        rows: dict[int, list[int]] = {}
        for number, sample in enumerate(self._message.sample):
            if len(sample.value) != len(self._types):
                raise self._source.malformed_at(
                    f"sample {number}", f"it has not {len(self._types)} values"
                )
            frames: list[int] = []
            for location in reversed(sample.location_id):
                found = self._frames.get(location)
                if found is None:
                    raise self._source.malformed_at(
                        f"sample {number}", f"there is no location {location}"
                    )
                frames += found
            context = builder.context(builder.stack(frames), thread=self._thread(sample.label))
            row = rows.setdefault(context, [0] * len(self._types))
            for i, value in enumerate(sample.value):
                row[i] += value * scales[i]
        if any(value < 0 for row in rows.values() for value in row):
            raise self._source.wrong("it is a difference of profiles: convert the two of them")
        if any(sum(row[i] for row in rows.values()) >= _MOST for i in range(len(self._types))):
            raise self._source.wrong("the sum of its figures is larger than any memory")
        contexts = np.fromiter(rows, np.int64, len(rows))
        table = np.array(list(rows.values()), np.int64).reshape(-1, len(self._types))
        figures = {name: np.zeros(len(rows), np.int64) for name in _COLUMN_OF}
        for i, (kind, unit) in enumerate(self._types):
            figure = known[i]
            if figure is not None:
                figures[figure] = table[:, i]
            else:
                size = unit.lower() in _UNITS
                name = kind.replace("_", "-") or "value"
                builder.extra(name, kind, "bytes" if size else unit, contexts, table[:, i])
        if any(figure is not None for figure in known):
            builder.totals(
                contexts,
                blocks=figures[_BLOCKS],
                bytes=figures[_TOTAL],
                live_blocks=figures[_ALIVE_BLOCKS],
                live_bytes=figures[_ALIVE],
                end_ns=builder.end_ns,
            )

    def _thread(self, labels: Iterable[Any]) -> int | None:
        """The row of the thread that a sample's labels name."""
        tid, name = 0, ""
        for label in labels:
            if self._text(label.key) in _THREADS:
                tid = int(label.num) or tid
                name = self._text(label.str) or name
        if not tid and not name:
            return None
        self._builder.lacks.discard("threads")
        if not tid:
            tid = -1 - self._without_id.setdefault(name, len(self._without_id))
        return self._builder.thread(tid & 0x7FFFFFFF, name)


# ------------------------------------------------------------------------------------ writing

_ALIVE_COLUMNS: Final = ("alive_at_exit_allocations", "alive_at_exit_bytes")
_TYPES: Final = (
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
)


def write(export: Export) -> list[str]:
    """The four types of Go's heap profiles in order, of which viewers show the last. In use is
    what was alive at the end, or what was live at the peak, where that metric was asked for."""
    message = profile_class()()
    writing = _Writing(export, message)
    writing.all()
    with export.path.open("xb") as file:
        data = message.SerializeToString()
        if export.shown.endswith(".pb"):
            file.write(data)
        else:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
                packed.write(data)
    return [
        (
            "pprof carries what was allocated and what was alive at the end, by stack and thread: "
            "time, sizes and lifetimes are left out"
        )
    ]


def _unbracketed(name: str) -> str:
    """Without <>: of ``<lambda>`` pprof shows nothing, it takes it for template arguments."""
    return name.translate(_BRACKETS) if _PYTHON_PART.search(name) else name


_BRACKETS: Final = str.maketrans("<>", "[]")
_PYTHON_PART: Final = re.compile(r"(?:^|\.)<[a-z]+>(?:\.|$)")


class _Writing:
    def __init__(self, export: Export, message: Any) -> None:
        self._export, self._message = export, message
        self._profile, self._recording = export.profile, export.recording
        self._numbers: dict[str, int] = {"": 0}
        message.string_table.append("")
        self._functions: dict[Function, int] = {}
        self._locations: dict[int, int] = {}
        self._mappings: dict[str, int] = {}

    def _text(self, text: str) -> int:
        found = self._numbers.setdefault(text, len(self._numbers))
        if found == len(self._message.string_table):
            self._message.string_table.append(
                text.encode("utf-8", "backslashreplace").decode("utf-8")
            )
        return found

    def all(self) -> None:
        message, recording = self._message, self._recording
        peak = self._in_use_at_peak()
        values = self._values(peak)
        if not values:
            self._export.need("pprof", "total_bytes", "alive_at_exit_bytes", "peak_bytes")
        for kind, unit, _ in values:
            message.sample_type.add(type=self._text(kind), unit=self._text(unit))
        if any(kind == "inuse_space" for kind, _, _ in values):
            message.default_sample_type = self._text("inuse_space")
        message.period_type.type = self._text("space")
        message.period_type.unit = self._text("bytes")
        message.period = recording.sample_interval or 1
        started = recording.meta.get("start_time")
        if isinstance(started, (int, float)) and 0 < started < 1e11:
            message.time_nanos = round(started * 1e9)
        message.duration_nanos = recording.summary.duration_ns
        message.comment.append(self._text(_COMMAND + " ".join(self._export.command)))
        words = "at the peak" if peak else self._profile.worded(METRICS["alive"]).words
        message.comment.append(self._text(f"in use: {words}"))
        self._main_mapping()
        self._samples(np.stack([column for _, _, column in values], axis=1))

    def _in_use_at_peak(self) -> bool:
        unknown = self._export.unknown
        wanted = self._export.given and self._export.metric.column == "peak_bytes"
        return "peak_bytes" not in unknown and (wanted or "alive_at_exit_bytes" in unknown)

    def _values(self, peak: bool) -> list[tuple[str, str, Ints]]:
        """Types of samples with their figures of each context: Go's four, as far as they are
        known, and what only the format knows that the recording came from."""
        blocks, size = ("peak_blocks", "peak_bytes") if peak else _ALIVE_COLUMNS
        export = self._export
        columns = (("allocations",), ("total_bytes",), (blocks,), (size,))
        found = []
        for (kind, unit), (name,) in zip(_TYPES, columns):
            if name not in export.unknown:
                column = export.column(name)
                if kind == "alloc_objects":  # Go has no reallocations apart
                    column = column + export.column("reallocations")
                found.append((kind, unit, column))
        for one in extra_metrics(self._recording):
            unit = "bytes" if one.unit == "bytes" else "count"
            found.append((one.name.replace("-", "_"), unit, self._profile.extra(one.name)[:, 0]))
        return found

    def _main_mapping(self) -> None:
        """The executable's comes first."""
        table = self._recording.processes
        if len(table) and table.exe[0]:
            self._mapping(table.exe[0], "")

    def _mapping(self, path: str, build_id: str) -> int:
        found = self._mappings.get(path)
        if found is None:
            found = self._mappings[path] = len(self._mappings) + 1
            self._message.mapping.add(
                id=found,
                filename=self._text(path),
                build_id=self._text(build_id),
                # Without these pprof looks for symbols itself, in files that may be others now.
                has_functions=True,
                has_filenames=True,
                has_line_numbers=True,
                has_inline_frames=True,
            )
        elif build_id and not self._message.mapping[found - 1].build_id:
            self._message.mapping[found - 1].build_id = self._text(build_id)
        return found

    def _samples(self, table: Ints) -> None:
        contexts, profile = self._recording.contexts, self._profile
        used = np.flatnonzero(table.any(axis=1))
        # One sample for each stack and thread, whatever the kinds of allocators.
        key = contexts.stack[used].astype(np.int64) * (len(self._recording.threads) + 1)
        key = (key + contexts.thread[used] + 1) * 2
        key += profile.context_site[used] == profile.locations.outside_python
        distinct, first, place = np.unique(key, return_index=True, return_inverse=True)
        sums = np.zeros((len(distinct), table.shape[1]), np.int64)
        np.add.at(sums, place, table[used])
        threads = self._recording.threads
        for row, context in enumerate(used[first].tolist()):
            sample = self._message.sample.add()
            sample.location_id.extend(self._stack(context))
            sample.value.extend(sums[row].tolist())
            thread = int(contexts.thread[context])
            if thread >= 0 and int(threads.tid[thread]):
                sample.label.add(key=self._text("thread_id"), num=int(threads.tid[thread]))
                name = threads.name[thread]
                if name:
                    sample.label.add(key=self._text("thread"), str=self._text(name))

    def _stack(self, context: int) -> list[int]:
        """Ids of locations, innermost first. What has no stack is a place of its own."""
        profile = self._profile
        if int(profile.context_site[context]) == profile.locations.outside_python:
            return [self._location(-1)]
        stack = int(self._recording.contexts.stack[context])
        return [self._location(frame) for frame in self._recording.stack_frames(stack)]

    def _location(self, frame: int) -> int:
        found = self._locations.get(frame)
        if found is not None:
            return found
        found = self._locations[frame] = len(self._locations) + 1
        at = self._profile.locations
        location = self._message.location.add(id=found)
        if frame < 0:
            rows = [at.outside_python]
        else:
            first = int(at.first[frame])
            rows = list(range(first, first + int(at.count[frame])))
            self._place(location, frame)
        for row in rows:
            one = self._export.function(row)
            location.line.add(function_id=self._function(one), line=one.line, column=one.column)
        return found

    def _place(self, location: Any, frame: int) -> None:
        frames, modules = self._recording.frames, self._recording.modules
        if int(frames.kind[frame]) != FrameKind.NATIVE:
            return
        location.address = int(frames.offset[frame])
        module = int(frames.ref[frame])
        if module >= 0 and modules.path[module]:
            location.mapping_id = self._mapping(modules.path[module], modules.build_id[module])

    def _function(self, one: Function) -> int:
        key = one._replace(line=0, column=0)
        found = self._functions.get(key)
        if found is None:
            found = self._functions[key] = len(self._functions) + 1
            self._message.function.add(
                id=found,
                name=self._text(_unbracketed(one.name) or "?"),
                system_name=self._text(one.name or "?"),
                filename=self._text(one.file),
            )
        return found
