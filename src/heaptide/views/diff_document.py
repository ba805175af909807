"""The difference of two recordings as the JSON document of docs/json.md, and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide.profile import COLUMNS, LEAK_COLUMNS, summarize, thread_name, told
from heaptide.profile import unknown as unknown_figures
from heaptide.profile.diff import Status, compare, summary_change
from heaptide.profile.match import unnamed
from heaptide.profile.shared import Shared

from .comparable import caveats
from .rows import place_of

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile, Summary
    from heaptide.profile.diff import Diff

SCHEMA_VERSION = 1

_PLACE = ("function", "file", "line", "language", "module", "origin", "thread", "process")
_WAS = ("old_function", "old_file", "old_line", "old_module")
_FIGURES = (*COLUMNS, *LEAK_COLUMNS)
CSV_COLUMNS = (
    "status",
    "change",
    "scaled_change",
    *_PLACE,
    *_WAS,
    *(f"{side}_{name}" for name in _FIGURES for side in ("old", "new")),
)


def diff_document(
    old: Profile,
    new: Profile,
    metric: Metric,
    by: str,
    *,
    scale: str | None = None,
    top: int = 0,
) -> dict[str, Any]:
    """Everything that ``diff`` knows. ``top``: how many changes each way, 0: all.

    ``scale`` as ``compare`` takes it. Raises UsageError as that.
    """
    shared = Shared(old, new)
    # Before anything else: it reads one recording after the other, and keeps little of them.
    found = compare(old, new, by, metric, scale=scale, shared=shared, once=True)
    summaries = summarize(old), summarize(new)
    sides = [_side(*side) for side in zip((old, new), summaries)]
    return {
        "schema_version": SCHEMA_VERSION,
        "old": sides[0],
        "new": sides[1],
        "selection": {
            "metric": metric.name,
            "words": new.worded(metric).words,
            "by": by,
            "normalize": scale,
        },
        "summary_change": summary_change(sides[0]["summary"], sides[1]["summary"]),
        "total_change": int(found.change.sum()),
        "same": int((found.step == 0).sum()),
        "changes": [_change((old, new), found, row) for row in _rows(found, top)],
        "notes": [{"level": note.level, "text": note.text} for note in caveats(shared, summaries)],
    }


def _side(profile: Profile, summary: Summary) -> dict[str, Any]:
    recording = profile.recording
    started = recording.meta.get("start_time")
    return {
        "path": recording.path,
        "command": recording.command,
        "start_time": started if _is_number(started) else None,
        "summary": told(recording, asdict(summary)),
    }


def _is_number(value: object) -> bool:
    """Not so is what JSON has no name for."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _rows(found: Diff, top: int) -> list[int]:
    """Rows that differ: the largest growth first, the largest loss last."""
    step = found.step
    grew, shrank = np.flatnonzero(step > 0).tolist(), np.flatnonzero(step < 0).tolist()
    if top > 0:
        grew, shrank = grew[:top], shrank[-top:]
    return [*grew, *shrank]


def _change(profiles: tuple[Profile, Profile], found: Diff, row: int) -> dict[str, Any]:
    unknown = unknown_figures(profiles[0].recording) | unknown_figures(profiles[1].recording)
    figures = [
        {
            **dict.fromkeys(_FIGURES),
            **{
                name: None if name in unknown else value
                for name, value in zip(_FIGURES, side[row].tolist())
            },
        }
        for side in (found.old, found.new)
    ]
    before, after = (
        _place(profile, found, row, int(places[row])) if members[row] else {}
        for profile, places, members in zip(profiles, found.places, found.members)
    )
    place = after or before
    if found.function_gone[row]:
        place = {**place, "function": before["function"]}
    return {
        "status": Status(int(found.status[row])).name.lower(),
        "change": int(found.change[row]),
        "scaled_change": None if found.scale is None else float(found.step[row]),
        **dict.fromkeys(_PLACE),
        **place,
        **{name: before.get(name.removeprefix("old_")) for name in _WAS},
        "old": figures[0],
        "new": figures[1],
    }


def _place(profile: Profile, found: Diff, row: int, at: int) -> dict[str, Any]:
    """What tells a group, in one of the recordings."""
    recording = profile.recording
    if found.by == "thread":
        return {"thread": thread_name(recording, at) if at >= 0 else None}
    if found.by == "process":
        command = " ".join(recording.command_of(at)) if at >= 0 else ""
        return {"process": command or (recording.processes.exe[at] if at >= 0 else None)}
    place = place_of(profile, found.by, at)
    if found.grouped[row]:
        locations = profile.locations
        place["function"] = unnamed(locations.texts[locations.module[at]])
    return place


def diff_csv(
    old: Profile,
    new: Profile,
    metric: Metric,
    by: str,
    *,
    scale: str | None = None,
    top: int = 0,
) -> str:
    """The changes as RFC 4180 has tables: the columns of ``CSV_COLUMNS``, then the rows."""
    found = compare(old, new, by, metric, scale=scale, once=True)
    rows = []
    for row in _rows(found, top):
        change = _change((old, new), found, row)
        for side in ("old", "new"):
            change.update({f"{side}_{name}": value for name, value in change[side].items()})
        rows.append([change[name] for name in CSV_COLUMNS])
    return _written([CSV_COLUMNS, *rows])


def _written(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    """Names are data: none may move the cursor of a terminal that the output goes to."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
