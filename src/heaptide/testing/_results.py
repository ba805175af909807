"""What became of a measured test, on its way through reports, workers and files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

PROPERTY = "heaptide"
"""The user property of a report that holds a result, as JSON; the others are for people."""


@dataclass
class TestResult:
    """``figures``: by the names of measures, of what was measured. ``limits``: as amounts in the
    same units. ``status``: ok, over, or error (nothing, or nothing certain, was measured)."""

    __test__ = False  # no test, whatever its name

    test: str  # node id
    status: str
    figures: dict[str, float]
    limits: dict[str, float] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)  # of other threads
    repeats: int = 1
    repetitions: int = 0
    baseline: str = ""  # same, new, higher, lower; "": not compared
    base: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    place: list[Any] = field(default_factory=list)  # file and line that most came from
    recordings: list[str] = field(default_factory=list)  # the base's and this test's, kept
    benchmark: dict[str, float] = field(default_factory=dict)  # figures an iteration

    def to_json(self) -> str:
        found = asdict(self)
        for name in ("figures", "limits", "others", "base", "benchmark"):
            found[name] = {measure: whole(value) for measure, value in found[name].items()}
        return json.dumps(found)

    @classmethod
    def from_json(cls, text: str) -> TestResult:
        return cls(**json.loads(text))


def whole(value: float) -> float:
    """Bytes and calls as integers; others are parts, and averages."""
    return int(value) if float(value).is_integer() else value


def plain(value: float) -> float:
    """For people, and for files that are compared."""
    return round(whole(value), 3)


def results_of(properties: Iterable[tuple[str, object]]) -> list[TestResult]:
    """Those in a report's user properties."""
    return [
        TestResult.from_json(value)
        for name, value in properties
        if name == PROPERTY and isinstance(value, str)
    ]
