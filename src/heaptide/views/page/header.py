"""What the page says once for the whole recording."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heaptide.profile import BLOCKS, LEAKED, METRICS, summarize, told, unknown
from heaptide.profile.actors import like_threads
from heaptide.profile.known import extra_metrics
from heaptide.recording import LIFETIME_BOUNDS, LIFETIME_TIME_BOUNDS_NS, SIZE_BOUNDS

from ..commands import process_command, recorded_command
from ..growth import growth_of
from ..notes import exited, notes
from ..selected import about_ended, too_short
from ..verdicts import verdicts
from .tables import EXTRA
from .words import DEFINITIONS, NEEDED, RANGES

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile, Summary
    from heaptide.profile.actors import LikeThreads
    from heaptide.recording import Recording

    from ..notes import Note

VERSION = 2
_MOST_MARKS = 1000  # that the page shows: a program may set one in every turn of a loop
_NO_END = "the recording has no end"  # how that note begins, which says nothing while it is made


def header_of(profile: Profile, base: Profile | None, *, live: bool) -> dict[str, Any]:
    """All of the header but what depends on the tables' size."""
    recording = profile.recording
    summary = summarize(profile)
    like = like_threads(profile)
    found = verdicts(
        summary,
        exited=exited(recording),
        unknown=unknown(recording),
        growth=growth_of(profile),
    )
    grown = base is None and any(verdict.name == "growth" for verdict in found)
    sides = [profile] if base is None else [profile, base]
    return {
        "version": VERSION,
        "live": live,
        "title": _title(recording),
        "recording": _recording(recording),
        "summary": _summary(recording, summary),
        "timeline": all(_has_timeline(side.recording) for side in sides),
        "verdicts": [
            asdict(verdict) for verdict in found if not (live and verdict.name == "alive_at_exit")
        ],
        "notes": [
            {"level": note.level, "text": note.text}
            for note in (*notes(profile), *(_about_ended(profile) if grown else []))
            if not (live and note.text.startswith(_NO_END))
        ],
        "metrics": _metrics(profile, base),
        "ranges": _ranges(profile, base),
        "processes": _processes(recording),
        "threads": _threads(recording, like),
        "alike": like.names,
        "here": os.getcwd(),  # noqa: PTH109 - a string is wanted
        "modules": {**({} if base is None else _older_modules(profile, base)), **_modules(profile)},
        "marks": _marks(recording),
        "forks": _forks(recording),
        "size_bounds": list(SIZE_BOUNDS),
        "lifetime_bounds": list(LIFETIME_BOUNDS),
        "lifetime_time_bounds_ns": list(LIFETIME_TIME_BOUNDS_NS),
        "diff": None if base is None else _base(base),
    }


def _base(base: Profile) -> dict[str, Any]:
    return {
        "title": _title(base.recording),
        "recording": _recording(base.recording),
        "summary": _summary(base.recording, summarize(base)),
    }


def _summary(recording: Recording, summary: Summary) -> dict[str, float | None]:
    """What is not known is null, and what an imported file's format does not tell is left out."""
    found: dict[str, float | None] = told(recording, asdict(summary))
    found["peak_rss_bytes"] = found["peak_rss_bytes"] or None  # 0: not read
    if recording.source:
        return {name: figure for name, figure in found.items() if figure is not None}
    return found


def _has_timeline(recording: Recording) -> bool:
    return len(recording.timeline) > 0 or "time" not in unknown(recording)


def _title(recording: Recording) -> str:
    return recorded_command(recording) or recording.path


def _recording(recording: Recording) -> dict[str, Any]:
    started = recording.meta.get("start_time")
    writer = recording.meta.get("writer")
    return {
        "path": recording.path,
        "command": recording.command,
        "started": started if _is_time(started) else None,
        "complete": recording.finished and recording.truncated_at is None,
        "duration_ns": recording.summary.duration_ns,
        "peak_ns": recording.summary.peak_time_ns,
        "sample_interval": recording.sample_interval,
        "writer": writer if isinstance(writer, str) else None,
    }


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 1e12  # no NaN, which is no JSON


def own_metrics(profile: Profile, base: Profile | None) -> list[Metric]:
    """Metrics that only the format has that the file is of; in a difference, of both files."""
    found = extra_metrics(profile.recording)
    if base is None:
        return found
    others = {metric.name for metric in extra_metrics(base.recording)}
    return [metric for metric in found if metric.name in others]


_ORDER = ("peak", "alive", "leaked", "total", "allocations", "temporary", "short-lived", "copied")


def _offered() -> list[Metric]:
    """What can be chosen, blocks behind their bytes."""
    known = {**METRICS, LEAKED.name: LEAKED}
    found = []
    for name in _ORDER:
        found.append(known[name])
        found += [one for one in BLOCKS.values() if one.beside == known[name].column]
    return found


def _lacking(profile: Profile, base: Profile | None) -> frozenset[str]:
    """Figures that are not known; in a difference, of one of the two."""
    found = unknown(profile.recording)
    return found if base is None else found | unknown(base.recording)


def _metrics(profile: Profile, base: Profile | None) -> list[dict[str, Any]]:
    lacking, own = _lacking(profile, base), own_metrics(profile, base)
    known = [metric for metric in _offered() if metric.column not in lacking]
    if not known and not own:
        known = [METRICS["total"]]
    found = []
    for metric in (*known, *own):
        beside = metric not in own and metric.beside not in lacking
        found.append(
            {
                "name": metric.name,
                "words": profile.worded(metric).words,
                "unit": metric.unit,
                "column": EXTRA + metric.name if metric in own else metric.column,
                "beside": metric.beside if beside else "",
                "beside_words": metric.beside_words if beside else "",
                "definition": DEFINITIONS.get(metric.name) or _as_told(profile.recording),
                "notes": _about_leaks(profile, base) if metric.leaks else [],
            }
        )
    return found


def _about_leaks(profile: Profile, base: Profile | None) -> list[str]:
    """What to know where leaks are shown, as ``show`` has it."""
    found = [note.text for note in (*too_short(profile), *_about_ended(profile))]
    if base is not None:
        found += [f"before: {note.text}" for note in (*too_short(base), *_about_ended(base))]
    return found


def _about_ended(profile: Profile) -> list[Note]:
    words = profile.worded(METRICS["alive"]).words
    return about_ended(profile, see=f"it is part of what is {words}")


def _as_told(recording: Recording) -> str:
    return f"a figure of the file's own, which is {recording.source.get('title', 'imported')}"


def _ranges(profile: Profile, base: Profile | None) -> list[dict[str, Any]]:
    """Metrics of a range of time; in a difference those that both recordings know."""
    lacking = _lacking(profile, base)
    return [one for one in RANGES if NEEDED[one["name"]] not in lacking] or RANGES[:1]


def _modules(profile: Profile) -> dict[str, str]:
    """What module-level code is called, by file, where that is not by the rule."""
    texts = profile.locations.texts
    return {
        texts[file]: name
        for file, name in profile.module_code.items()
        if not name.startswith("import ")
    }


def _older_modules(profile: Profile, base: Profile) -> dict[str, str]:
    """The same of files that only the older recording has module-level code of."""
    texts = profile.locations.texts
    known = {texts[file] for file in profile.module_code}
    return {file: name for file, name in _modules(base).items() if file not in known}


def _processes(recording: Recording) -> list[dict[str, Any]]:
    table = recording.processes
    return [
        {
            "pid": int(table.pid[row]),
            "image": int(table.image[row]),
            "command": process_command(recording, row),
            "start_ns": int(table.start[row]),
            "end_ns": int(table.end[row]) or None,
            "peak_bytes": int(table.peak_bytes[row]),
        }
        for row in range(len(table))
    ]


def _threads(recording: Recording, like: LikeThreads) -> list[dict[str, Any]]:
    table = recording.threads
    return [
        {
            "process": int(table.process[row]),
            "tid": int(table.tid[row]),
            "name": like.each[row],
            "like": int(like.group[row]),
            "start_ns": int(table.start[row]),
            "end_ns": int(table.end[row]) or None,
        }
        for row in range(len(table))
    ]


def _marks(recording: Recording) -> list[dict[str, Any]]:
    table = recording.marks
    return [
        {
            "time_ns": int(table.time[row]),
            "name": table.name[row],
            "process": int(table.process[row]),
        }
        for row in range(min(len(table), _MOST_MARKS))
    ]


def _forks(recording: Recording) -> list[dict[str, Any]]:
    """When processes began, but the first; an exec begins none."""
    table = recording.processes
    return [
        {"time_ns": int(table.start[row]), "process": row}
        for row in range(1, len(table))
        if table.image[row] == 0
    ]
