"""The difference of two recordings as the JSON document of docs/json.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heaptide.profile import BY_ORDER, COLUMNS, Origin, summarize, thread_name
from heaptide.profile.diff import Status, compare

from .comparable import caveats
from .document import LANGUAGES

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile

SCHEMA_VERSION = 1

_TELLS = {
    "function": ("function", "file", "line", "module"),
    "line": ("function", "file", "line", "module"),
    "file": ("file", "module"),
    "module": ("module",),
}


def diff_document(
    old: Profile, new: Profile, metric: Metric, by: str, *, top: int = 0
) -> dict[str, Any]:
    """Everything that ``diff`` knows. ``top``: how many changes, the largest either way; 0: all."""
    profiles = (old, new)
    summaries = tuple(asdict(summarize(profile)) for profile in profiles)
    found = compare(old, new, by, metric)
    change = found.change
    rows = [row for row in range(len(found)) if change[row]]
    if top > 0:
        rows = sorted(rows, key=lambda row: -abs(int(change[row])))[:top]
        rows.sort(key=lambda row: -int(change[row]))
    unknown = {name for name in BY_ORDER if any(p.recording.sample_interval for p in profiles)}
    status = found.status
    changes = []
    for row in rows:
        place = int(found.place[row])
        figures = (found.old[row].tolist(), found.new[row].tolist())
        changes.append(
            {
                "status": Status(int(status[row])).name.lower(),
                "change": int(change[row]),
                **_place(profiles[int(found.in_new[row])], by, place),
                "old": _figures(figures[0], unknown),
                "new": _figures(figures[1], unknown),
            }
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "old": {"path": old.recording.path, "summary": summaries[0]},
        "new": {"path": new.recording.path, "summary": summaries[1]},
        "selection": {"metric": metric.name, "by": by},
        "summary_change": {
            name: None if None in (value, summaries[0][name]) else value - summaries[0][name]
            for name, value in summaries[1].items()
        },
        "total_change": int(change.sum()),
        "changes": changes,
        "notes": caveats((old.recording, new.recording), (summarize(old), summarize(new))),
    }


def _figures(values: list[int], unknown: set[str]) -> dict[str, int | None]:
    return {name: None if name in unknown else value for name, value in zip(COLUMNS, values)}


def _place(profile: Profile, by: str, place: int) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        ("function", "file", "line", "language", "module", "origin", "thread", "process")
    )
    recording = profile.recording
    if by == "thread":
        found["thread"] = thread_name(recording, place) if place >= 0 else None
    elif by == "process":
        command = " ".join(recording.command_of(place)) if place >= 0 else ""
        found["process"] = command or (recording.processes.exe[place] if place >= 0 else None)
    else:
        at = profile.locations
        told = {
            "function": at.texts[at.function[place]] or None,
            "file": at.texts[at.file[place]] or None,
            "line": int(at.line[place]) or None,
            "module": profile.module_of(place) or None,
        }
        found.update({name: told[name] for name in _TELLS[by]})
        found["language"] = LANGUAGES.get(at.language[place], "other")
        found["origin"] = Origin(int(at.origin[place])).name.lower()
    return found
