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
    for metric in [export.metric, *others]:
        made, frames = _profile(export, metric, places)
        if frames > room and profiles:
            left.append(metric.words)
            continue
        room -= frames
        profiles.append(made)
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
    if left:
        said.append(f"for its size the file is without {', '.join(left)}")
    return said


def _profile(export: Export, metric: Metric, places: Places) -> tuple[dict[str, Any], int]:
    """Stacks from the outermost inwards, each with what it has by itself."""
    figures = metric_figures(export.profile, metric)[:, :1]
    tree = stack_tree(export.profile, "place", figures=figures)
    own, depth, location = tree.own[:, 0].tolist(), tree.depth.tolist(), tree.location.tolist()
    path: list[int] = []
    samples: list[list[int]] = []
    weights: list[int] = []
    frames = 0
    if own[0]:
        samples.append([])
        weights.append(own[0])
    for node in range(1, len(tree)):
        del path[depth[node] - 1 :]
        path.append(places.number(location[node]))
        if own[node] > 0:
            samples.append(list(path))
            weights.append(own[node])
            frames += len(path)
            if frames > _MOST_FRAMES:
                break
    words = export.profile.worded(metric).words
    return {
        "type": "sampled",
        "name": words,
        "unit": "bytes" if metric.unit == "bytes" else "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }, frames


def _frame(name: str, file: str, line: int, column: int) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if file:
        found["file"] = file
    if line:
        found["line"] = line
    if column:
        found["col"] = column
    return found
