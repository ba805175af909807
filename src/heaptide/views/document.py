"""A profile as the JSON document of docs/json.md."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heaptide.profile import COLUMNS, LEAK_COLUMNS, snapshots, summarize, told, unknown
from heaptide.profile.metrics import EXTRA

from . import selected
from .growth import growth_of
from .marks import marks_of
from .notes import exited, notes
from .rows import (
    HISTOGRAMS,
    MOST_MOMENTS,
    histogram_rows,
    moments,
    place_of,
    snapshot_rows,
    tree_nodes,
)
from .rows import LANGUAGES as LANGUAGES
from .verdicts import verdicts

if TYPE_CHECKING:
    from heaptide.profile import Fold, Metric, Profile, StackTree
    from heaptide.recording import Recording

    from .treeoptions import TreeOptions

SCHEMA_VERSION = 1

_ALLOCATORS = ("libc", "jemalloc", "tcmalloc", "mimalloc", "other", "static")


def document(
    profile: Profile,
    fold: Fold,
    *,
    top: int = 0,
    tree: tuple[StackTree, TreeOptions] | None = None,
    timeline: bool = False,
) -> dict[str, Any]:
    """Everything that ``show`` knows, ready for ``json``.

    ``top``: how many sites, and nodes of the tree; 0: all. ``tree``: of the fold's metric.
    """
    recording = profile.recording
    summary = summarize(profile)
    rows = range(len(recording.processes)) if profile.processes is None else profile.processes
    lacking = unknown(recording)
    found = []
    if profile.whole:
        found = verdicts(
            summary,
            exited=exited(recording),
            unknown=lacking,
            growth=growth_of(profile),
        )
    grown = any(verdict.name == "growth" for verdict in found)
    said = (*notes(profile), *selected.selection_notes(profile, fold.metric, grown=grown))
    return {
        "schema_version": SCHEMA_VERSION,
        "recording": _recording(recording),
        "selection": {
            "metric": fold.metric.name,
            "by": fold.by,
            "processes": sorted({int(recording.processes.pid[row]) for row in rows}),
            "words": profile.worded(fold.metric).words,
            **selected.as_json(profile),
        },
        "summary": told(recording, asdict(summary)),
        "verdicts": [asdict(verdict) for verdict in found],
        "sites": sites(profile, fold, top=top),
        "processes": [_process(recording, row) for row in rows],
        "threads": _threads(recording, set(rows)),
        "notes": [asdict(note) for note in said],
        "marks": [asdict(mark) for mark in marks_of(profile)],
        "snapshots": snapshot_rows(profile, snapshots(profile, summary, count=10, top=3)),
        "histograms": histogram_rows(profile, [one for one in HISTOGRAMS if one not in lacking]),
        "timeline": moments(profile, MOST_MOMENTS) if timeline else None,
        "tree": None if tree is None else _tree(profile, fold.metric, *tree, top=top),
    }


def _tree(
    profile: Profile, metric: Metric, tree: StackTree, options: TreeOptions, *, top: int
) -> dict[str, Any]:
    return {
        "direction": options.direction,
        "by": options.by,
        "hide": list(options.hide),
        "merge": [*options.merge, *(["templates"] if options.templates else [])],
        "recursion": options.recursion,
        "nodes": tree_nodes(profile, tree, metric, options, top=top),
    }


def sites(profile: Profile, fold: Fold, *, top: int = 0) -> list[dict[str, Any]]:
    """The groups of ``fold`` as objects, largest first."""
    whole = profile.total_of(fold.metric)
    shown = len(fold) if top <= 0 else min(top, len(fold))
    found = []
    for row in range(shown):
        at, entity = int(fold.location[row]), int(fold.entity[row])
        value = int(fold.values[row])
        site: dict[str, Any] = dict.fromkeys(
            ("function", "file", "line", "language", "module", "origin", "thread", "process")
        )
        if at >= 0:
            site.update(place_of(profile, fold.by, at))
        elif fold.by == "thread" and entity >= 0:
            site["thread"] = _thread(profile.recording, entity)
        elif fold.by == "process" and entity >= 0:
            site["process"] = _process_id(profile.recording, entity)
        site["share"] = value / whole if whole else 0.0
        if fold.inclusive is not None:
            site["inclusive"] = int(fold.inclusive[row])
        site["imports"] = int(fold.imports[row])
        site.update(dict.fromkeys(LEAK_COLUMNS))
        figures = fold.figures[row].tolist()
        if fold.metric.column == EXTRA:
            site["value"] = figures[-2]
            del figures[len(COLUMNS) :]
        site.update(zip((*COLUMNS, *LEAK_COLUMNS), figures))
        found.append(told(profile.recording, site))
    return found


def _recording(recording: Recording) -> dict[str, Any]:
    meta = recording.meta
    config = meta.get("config")
    started = meta.get("start_time")
    return {
        "path": recording.path,
        "file_bytes": recording.file_bytes,
        "complete": recording.finished and recording.truncated_at is None,
        "truncated_at": recording.truncated_at,
        "end_reason": recording.end.reason if recording.end is not None else None,
        "symbolized": recording.symbols is not None,
        "peak_exact": recording.summary.peak_exact,
        "command": recording.command,
        "start_time": started if _is_number(started) else None,
        "writer": _text_or_none(meta.get("writer")),
        "format": str(recording.source.get("format", "tide")),
        "unknown": sorted(unknown(recording)),
        "hostname": _text_or_none(meta.get("hostname")),
        "machine": _text_or_none(meta.get("machine")),
        "config": {
            str(key): value
            for key, value in (config.items() if isinstance(config, dict) else ())
            if isinstance(value, str) or _is_number(value)
        },
    }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def python_version(hexversion: int) -> str | None:
    """``0x030b07f0`` is 3.11.7; 0: no interpreter."""
    if not hexversion:
        return None
    return f"{hexversion >> 24 & 0xFF}.{hexversion >> 16 & 0xFF}.{hexversion >> 8 & 0xFF}"


def _process_id(recording: Recording, row: int) -> dict[str, Any]:
    table = recording.processes
    return {
        "pid": int(table.pid[row]),
        "image": int(table.image[row]),
        "command": recording.command_of(row),
    }


def _process(recording: Recording, row: int) -> dict[str, Any]:
    table = recording.processes
    allocator = int(table.allocator[row])
    end = int(table.end[row])
    found = {
        **_process_id(recording, row),
        "ppid": int(table.ppid[row]),
        "executable": table.exe[row],
        "start_seconds": int(table.start[row]) / 1e9,
        "end_seconds": end / 1e9 if end else None,
        "peak_bytes": int(table.peak_bytes[row]),
        "peak_time_seconds": int(table.peak_time[row]) / 1e9,
        "peak_rss_bytes": int(table.peak_rss[row]),
        "alive_at_exit_bytes": int(table.live_bytes[row]),
        "alive_at_exit_allocations": int(table.live_blocks[row]),
        "allocations": int(table.allocations[row]),
        "deallocations": int(table.deallocations[row]),
        "reallocations": int(table.reallocations[row]),
        "total_bytes": int(table.bytes[row]),
        "copied_bytes": int(table.copied_bytes[row]),
        "temporary_allocations": int(table.temporary[row]),
        "short_lived_allocations": int(table.short_lived[row]),
        "arena_bytes": int(table.arena_bytes[row]),
        "arena_peak_bytes": int(table.arena_peak_bytes[row]),
        "lost_events": int(table.lost_events[row]),
        "wait_seconds": int(table.wait_ns[row]) / 1e9,
        "python": python_version(int(table.python_version[row])),
        "allocator": _ALLOCATORS[allocator] if allocator < len(_ALLOCATORS) else "other",
    }
    return told(recording, found)


def _thread(recording: Recording, row: int) -> dict[str, Any]:
    table = recording.threads
    process = int(table.process[row])
    return {
        "pid": int(recording.processes.pid[process]) if process >= 0 else None,
        "tid": int(table.tid[row]),
        "name": table.name[row],
    }


def _threads(recording: Recording, rows: set[int]) -> list[dict[str, Any]]:
    table = recording.threads
    lives = "alive_at_exit_bytes" not in unknown(recording)
    found = (
        {
            **_thread(recording, row),
            "start_seconds": int(table.start[row]) / 1e9,
            "end_seconds": int(table.end[row]) / 1e9 or None,
            "allocations": int(table.allocations[row]),
            "deallocations": int(table.deallocations[row]),
            "reallocations": int(table.reallocations[row]),
            "total_bytes": int(table.bytes[row]),
            "live_bytes": int(table.live_bytes[row]) if lives else None,
        }
        for row in range(len(table))
        if int(table.process[row]) in rows
    )
    return [told(recording, thread) for thread in found]
