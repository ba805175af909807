"""From a recording's frames to the columns of its `symbols` chunk."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from numpy.typing import NDArray

from heaptide.recording._schema import FrameKind
from heaptide.symbols._perfmap import PerfMap
from heaptide.symbols._shares import processes_of_frames, share_of_frames

if TYPE_CHECKING:
    from heaptide.recording._names import FrameName
    from heaptide.recording._recording import Recording
    from heaptide.symbols._advice import Nameless
    from heaptide.symbols._native import Module, NativeResolver, Resolved

# Called with (done, total, what): frames done of all, and the name of the file being read.
Progress = Optional[Callable[[int, int, str], None]]

_NUMBERS = ("line", "column", "end_line", "end_column", "language")


@dataclass
class Symbols:
    """`columns` of the `symbols` chunk; its string ids count on from the recording's own, by
    `strings`. `advice`: one line for each thing that would make more names appear."""

    columns: dict[str, NDArray[Any]]
    strings: list[str]
    advice: list[str] = field(default_factory=list)


class _Interner:
    """String ids for the chunk: those of the recording where it has the string."""

    def __init__(self, recording: Recording) -> None:
        self._known = {text: number for number, text in enumerate(recording.strings)}
        self._first = max(1, len(recording.strings))
        self._known.setdefault("", 0)
        self.added: list[str] = []

    def __call__(self, text: str) -> int:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._first + len(self.added)
            self.added.append(text)
        return found


def resolve(
    recording: Recording, progress: Progress = None, *, resolver: NativeResolver | None = None
) -> Symbols:
    """Names every frame that can be named.

    Python frames from their line tables (2 µs each); native ones from debug information, symbol
    tables and perf maps. `symbolic` is loaded only if a native frame is in a module with DWARF
    that the cache does not know. Raises nothing for files that are missing or broken: their frames
    stay without names, and `advice` says what to do.
    """
    names: dict[int, tuple[FrameName, ...]] = _python_names(recording)
    native = np.flatnonzero(recording.frames.kind == FrameKind.NATIVE)
    if recording.source:
        # What the imported file names was found where it was made, in the programs as they were.
        kept = _previous_names(recording, native)
        names.update(kept)
        native = native[~np.isin(native, list(kept))]
    advice: list[str] = []
    if native.size:
        found, advice = _native_names(recording, native, progress, resolver)
        names.update(_richer(found, _previous_names(recording, native)))
    intern = _Interner(recording)
    rows = [(frame, name) for frame in sorted(names) for name in names[frame]]
    columns: dict[str, NDArray[Any]] = {
        "frame": np.array([frame for frame, _ in rows], np.int64),
        "function": np.array([intern(name.function) for _, name in rows], np.int64),
        "file": np.array([intern(name.file) for _, name in rows], np.int64),
    }
    for number in _NUMBERS:
        columns[number] = np.array([getattr(name, number) for _, name in rows], np.int64)
    return Symbols(columns, intern.added, advice)


def _previous_names(
    recording: Recording, native: NDArray[np.intp]
) -> dict[int, tuple[FrameName, ...]]:
    """Names that the recording has already."""
    if recording.symbols is None:
        return {}
    offsets, names = recording.symbols.offsets, recording.frame_names()
    has = native[offsets[native + 1] > offsets[native]]
    return {int(frame): names[int(frame)] for frame in has}


def _richer(
    found: dict[int, tuple[FrameName, ...]], previous: dict[int, tuple[FrameName, ...]]
) -> dict[int, tuple[FrameName, ...]]:
    """New names, but previous ones where they are missing now or have lost their lines."""
    kept = {
        frame: names
        for frame, names in previous.items()
        if frame not in found
        or (any(name.line for name in names) and not any(name.line for name in found[frame]))
    }
    return {**found, **kept}


def _python_names(recording: Recording) -> dict[int, tuple[FrameName, ...]]:
    frames, names = recording.frames, recording.frame_names()
    python = np.flatnonzero(frames.kind == FrameKind.PYTHON)
    return {
        int(frame): (names.python(int(frames.ref[frame]), int(frames.offset[frame])),)
        for frame in python
    }


def _native_names(
    recording: Recording,
    native: NDArray[np.intp],
    progress: Progress,
    resolver: NativeResolver | None,
) -> tuple[dict[int, tuple[FrameName, ...]], list[str]]:
    from heaptide.symbols._advice import advise
    from heaptide.symbols._native import NativeResolver

    if resolver is None:
        resolver = NativeResolver(recorded_until=_recorded_until(recording))
    by_module, alone = _grouped(recording, native)
    names = _jit_names(recording, alone)
    results: dict[Module, Resolved] = {}
    done = len(alone)
    for module, group in by_module.items():
        if progress is not None:
            progress(done, native.size, module.name)
        result = results[module] = resolver.resolve(module, group.keys())
        for address, members in group.items():
            functions = result.functions.get(address)
            if functions:
                names.update(dict.fromkeys(members, functions))
        done += sum(map(len, group.values()))
    if progress is not None:
        progress(native.size, native.size, "")
    nameless = _nameless(recording, by_module, results, names)
    return names, [*resolver.warnings, *advise(nameless)]


def _recorded_until(recording: Recording) -> float:
    """Unix seconds; two more for the granularity of file systems' clocks."""
    start = recording.meta.get("start_time")
    if not isinstance(start, (int, float)):
        return math.inf
    return start + recording.summary.duration_ns / 1e9 + 2


def _grouped(
    recording: Recording, native: NDArray[np.intp]
) -> tuple[dict[Module, dict[int, list[int]]], list[int]]:
    """Frames by module and address, and those in no module. Processes share modules."""
    from heaptide.symbols._native import Module

    frames, modules = recording.frames, recording.modules
    keys = [
        Module(modules.path.raw(row), modules.build_id[row].lower()) for row in range(len(modules))
    ]
    by_module: dict[Module, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    alone: list[int] = []
    for frame, ref, offset in zip(
        native.tolist(), frames.ref[native].tolist(), frames.offset[native].tolist()
    ):
        if ref < 0:
            alone.append(frame)
        else:
            by_module[keys[ref]][offset].append(frame)
    return by_module, alone


def _jit_names(recording: Recording, alone: list[int]) -> dict[int, tuple[FrameName, ...]]:
    """Names of frames in no module, by the perf maps of the processes that they are of."""
    from heaptide.recording._names import FrameName

    if not alone:
        return {}
    process = processes_of_frames(recording)
    since = recording.meta.get("start_time")
    maps: dict[int, PerfMap | None] = {}
    names: dict[int, tuple[FrameName, ...]] = {}
    for frame in alone:
        pid = int(recording.processes.pid[process[frame]]) if process[frame] >= 0 else 0
        if pid not in maps:
            # A second of grace: the clock of a file system may lag by its granularity.
            start = since - 1.0 if isinstance(since, (int, float)) else 0.0
            maps[pid] = PerfMap.of_process(pid, start) if pid else None
        found = maps[pid]
        name = found.name(int(recording.frames.offset[frame])) if found else None
        if name:
            names[frame] = (FrameName(name),)
    return names


def _nameless(
    recording: Recording,
    by_module: Mapping[Module, Mapping[int, list[int]]],
    results: Mapping[Module, Resolved],
    names: Mapping[int, tuple[FrameName, ...]],
) -> list[Nameless]:
    """Files with frames that stayed without a name; and programs' own files without lines."""
    from heaptide.symbols._advice import Nameless
    from heaptide.symbols._native import Known, has_line

    processes = recording.processes
    programs = {
        processes.exe.raw(row)
        for row in range(len(processes))
        if processes.python_version[row] == 0
    }
    found = []
    for module, group in by_module.items():
        result = results[module]
        lines = module.path in programs and (result.known is Known.SYMBOLS or result.split)
        lacking = [
            frame
            for members in group.values()
            for frame in members
            if frame not in names or (lines and not (result.split and has_line(names[frame])))
        ]
        if not lacking or (result.known in (Known.DEBUG, Known.FOREIGN) and not lines):
            continue
        leaf = is_runtime(module)
        share = share_of_frames(recording, lacking, innermost_only=leaf)
        found.append(Nameless(module, result.known, result.producer, share, lines, result.split))
    return found


def is_runtime(module: Module) -> bool:
    """Whether it is a language's runtime or the loader, in which nearly every stack begins: such a
    frame matters only where it allocates."""
    name = module.name
    return name.startswith(
        ("libc.so", "libc-", "ld-linux", "ld-musl", "libpthread", "libstdc++.so", "libc++.so")
    )
