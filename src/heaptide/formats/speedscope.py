"""Profiles for speedscope (https://www.speedscope.app): a sampled profile for each figure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from heaptide._version import __version__
from heaptide.profile import Metric, known_metrics, stack_tree
from heaptide.profile.trees import metric_figures

from ._places import Places

if TYPE_CHECKING:
    from ._export import Export

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_MOST_FRAMES = 20_000_000  # in all samples of all profiles: more is refused by its memory


def write(export: Export) -> list[str]:
    """The metric that was asked for comes first, and is the one that opens."""
    others = [one for one in known_metrics(export.recording) if one.name != export.metric.name]
    places = Places(export)
    profiles: list[dict[str, Any]] = []
    left: list[str] = []
    room = _MOST_FRAMES
    folded = 0.0
    for metric in [export.metric, *others]:
        made, frames, least = _profile(export, metric, places, room)
        if made is None:
            left.append(metric.words)
            continue
        room -= frames
        profiles.append(made)
        folded = max(folded, least)
    document = {
        "$schema": _SCHEMA,
        "exporter": f"heaptide {__version__}",
        "name": " ".join(export.command),
        "activeProfileIndex": 0,
        "shared": {"frames": places.rows(_frame)},
        "profiles": profiles,
    }
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(document, file, separators=(",", ":"))
    said = ["speedscope shows stacks by one figure at a time: time and threads are left out"]
    if folded:
        said.append(f"for its size, stacks below {folded:.2g} % of a figure are in who called them")
    if left:
        said.append(f"for its size the file is without {', '.join(left)}")
    return said


def _profile(
    export: Export, metric: Metric, places: Places, room: int
) -> tuple[dict[str, Any] | None, int, float]:
    """Stacks from the outermost inwards, each with what it has by itself: the profile, how many
    frames that takes, and the part (in percent) that smaller stacks are folded below, to stay
    within ``room`` frames. None: it would be folded into nothing."""
    figures = metric_figures(export.profile, metric)[:, :1]
    total = int(figures.sum())
    least = 0
    while True:
        tree = stack_tree(export.profile, "place", figures=figures, least=least)
        frames = int(tree.depth[tree.own[:, 0] > 0].sum())
        if frames <= room:
            break
        least = max(least * 4, total // 1_000_000, 1)
        if least > total:
            return None, 0, 0.0
    own, depth, location = tree.own[:, 0].tolist(), tree.depth.tolist(), tree.location.tolist()
    path: list[int] = []
    samples: list[list[int]] = []
    weights: list[int] = []
    if own[0]:
        samples.append([])
        weights.append(own[0])
    for node in range(1, len(tree)):
        del path[depth[node] - 1 :]
        path.append(places.number(location[node]))
        if own[node] > 0:
            samples.append(list(path))
            weights.append(own[node])
    made = {
        "type": "sampled",
        "name": export.profile.worded(metric).words,
        "unit": "bytes" if metric.unit == "bytes" else "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    return made, frames, 100 * least / total if total else 0.0


def _frame(name: str, file: str, line: int, column: int) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if file:
        found["file"] = file
    if line:
        found["line"] = line
    if column:
        found["col"] = column
    return found
