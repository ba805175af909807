"""Profiles for the Firefox Profiler (https://profiler.firefox.com), in its processed format.

A track for each figure, its stacks weighted by bytes, and the live heap over time as the counter of
memory. Version 48 of the format; later viewers upgrade it.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heaptide._version import __version__
from heaptide.profile import Metric, known_metrics, stack_tree, timeline_of
from heaptide.profile.trees import metric_figures

from ._places import Places

if TYPE_CHECKING:
    from ._export import Export

_GECKO_VERSION: Final = 30
_VERSION: Final = 48
_LIBRARY: Final = 1  # a type of resource


class _Strings:
    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        found = self._numbers.setdefault(text, len(self.all))
        if found == len(self.all):
            self.all.append(text)
        return found


def write(export: Export) -> list[str]:
    metrics = [one for one in known_metrics(export.recording) if one.unit == "bytes"]
    metrics = metrics or [export.metric]
    libraries: list[dict[str, Any]] = []
    threads = [_thread(export, metric, index, libraries) for index, metric in enumerate(metrics)]
    document = {
        "meta": _meta(export),
        "libs": libraries,
        "pages": [],
        "counters": _counters(export),
        "threads": threads,
    }
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(document, file, separators=(",", ":"))
    return [
        (
            "the Firefox Profiler shows figures in bytes, a track each, and the live heap: counts, "
            "threads and what was live when are left out"
        )
    ]


def _meta(export: Export) -> dict[str, Any]:
    started = export.recording.meta.get("start_time")
    return {
        "interval": 1,
        "startTime": started * 1000 if isinstance(started, (int, float)) else 0,
        "abi": "",
        "misc": "",
        "oscpu": "",
        "platform": "",
        "processType": 0,
        "extensions": {"id": [], "name": [], "baseURL": [], "length": 0},
        "categories": [{"name": "Other", "color": "grey", "subcategories": ["Other"]}],
        "product": f"{' '.join(export.command)} (heaptide)",
        "importedFrom": f"heaptide {__version__}",
        "stackwalk": 0,
        "toolkit": "",
        "version": _GECKO_VERSION,
        "preprocessedProfileVersion": _VERSION,
        "appBuildID": "",
        "sourceURL": "",
        "physicalCPUs": 0,
        "logicalCPUs": 0,
        "symbolicated": True,
        "markerSchema": [],
    }


def _counters(export: Export) -> list[dict[str, Any]]:
    """The live heap as the counter that the memory track shows: changes, in milliseconds."""
    rows = timeline_of(export.profile)
    if not len(rows):
        return []
    live = rows.live_bytes
    return [
        {
            "name": "malloc",
            "category": "Memory",
            "description": "Live heap",
            "pid": str(export.pid),
            "mainThreadIndex": 0,
            "samples": {
                "time": (rows.time / 1e6).tolist(),
                "count": np.diff(live, prepend=0).tolist(),
                "length": len(rows),
            },
        }
    ]


def _thread(
    export: Export, metric: Metric, index: int, libraries: list[dict[str, Any]]
) -> dict[str, Any]:
    figures = metric_figures(export.profile, metric)[:, :1]
    tree = stack_tree(export.profile, "place", figures=figures)
    places, strings = Places(export), _Strings()
    frame = [places.number(row) for row in tree.location[1:].tolist()]
    own = tree.own[1:, 0]
    held = np.flatnonzero(own)
    resources = _Resources(export, strings, libraries)
    funcs, of_place = _functions(export, places, strings, resources)
    count = len(places.locations)
    lines = places.rows(lambda _, __, line, ___: line or None)
    columns = places.rows(lambda _, __, ___, column: column or None)
    zeros, nothing = [0] * count, [None] * count
    stacks = len(frame)
    return {
        "processType": "default",
        "processStartupTime": 0,
        "processShutdownTime": None,
        "registerTime": 0,
        "unregisterTime": None,
        "pausedRanges": [],
        "name": export.profile.worded(metric).words,
        "isMainThread": index == 0,
        "pid": str(export.pid),
        "tid": index,
        "samples": {
            "weightType": "samples",
            "weight": None,
            "eventDelay": [],
            "stack": [],
            "time": [],
            "length": 0,
        },
        "markers": {
            "data": [],
            "name": [],
            "startTime": [],
            "endTime": [],
            "phase": [],
            "category": [],
            "length": 0,
        },
        "stackTable": {
            "frame": frame,
            "prefix": [row - 1 if row > 0 else None for row in tree.parent[1:].tolist()],
            "category": [0] * stacks,
            "subcategory": [0] * stacks,
            "length": stacks,
        },
        "frameTable": {
            "address": [-1] * count,
            "inlineDepth": zeros,
            "category": zeros,
            "subcategory": zeros,
            "func": of_place,
            "nativeSymbol": nothing,
            "innerWindowID": nothing,
            "implementation": nothing,
            "line": lines,
            "column": columns,
            "length": count,
        },
        "funcTable": funcs,
        "resourceTable": resources.table(),
        "nativeSymbols": {
            "libIndex": [],
            "address": [],
            "name": [],
            "functionSize": [],
            "length": 0,
        },
        "nativeAllocations": {
            "time": [0] * len(held),
            "weight": own[held].tolist(),
            "weightType": "bytes",
            "stack": held.tolist(),
            "length": len(held),
        },
        "stringArray": strings.all,
    }


class _Resources:
    """Shared objects, by which the viewer groups and colours."""

    def __init__(self, export: Export, strings: _Strings, libraries: list[dict[str, Any]]) -> None:
        self._export, self._strings, self._libraries = export, strings, libraries
        self._rows: dict[str, int] = {}
        self._library: list[int] = []
        self._name: list[int] = []

    def row(self, location: int) -> int:
        path = self._export.module(location)
        if not path:
            return -1
        found = self._rows.get(path)
        if found is None:
            found = self._rows[path] = len(self._library)
            paths = [library["path"] for library in self._libraries]
            if path not in paths:
                name = posixpath.basename(path)
                self._libraries.append(
                    {
                        "arch": "",
                        "name": name,
                        "path": path,
                        "debugName": name,
                        "debugPath": path,
                        "breakpadId": "",
                        "codeId": None,
                    }
                )
                paths.append(path)
            self._library.append(paths.index(path))
            self._name.append(self._strings(posixpath.basename(path)))
        return found

    def table(self) -> dict[str, Any]:
        count = len(self._library)
        return {
            "lib": self._library,
            "name": self._name,
            "host": [None] * count,
            "type": [_LIBRARY] * count,
            "length": count,
        }


def _functions(
    export: Export, places: Places, strings: _Strings, resources: _Resources
) -> tuple[dict[str, Any], list[int]]:
    """The table of functions, and the row of each place's function."""
    rows: dict[tuple[str, str], int] = {}
    of_place = []
    name: list[int] = []
    resource: list[int] = []
    file: list[int | None] = []
    keys = places.rows(lambda function, file, _, __: (function, file))
    for location, key in zip(places.locations, keys):
        found = rows.setdefault(key, len(rows))
        if found == len(name):
            name.append(strings(key[0]))
            resource.append(resources.row(location))
            file.append(strings(key[1]) if key[1] else None)
        of_place.append(found)
    count = len(name)
    return {
        "name": name,
        "isJS": [False] * count,
        "relevantForJS": [False] * count,
        "resource": resource,
        "fileName": file,
        "lineNumber": [None] * count,
        "columnNumber": [None] * count,
        "length": count,
    }, of_place
