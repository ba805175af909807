"""What was measured as JSON: printed, saved, and read again as the base of a later one."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heaptide._version import __version__
from heaptide.errors import HeaptideError

from ._figures import FIGURES, Reading
from ._readings import Readings
from ._results import Compared, Thresholds, Values

SCHEMA_VERSION = 1
# What makes figures of two machines hard to compare, in words.
_DIFFER = {
    "machine": "on another kind of machine",
    "kernel": "under another kernel",
    "libc": "with another C library",
    "python": "with another Python",
    "cpus": "with another number of CPUs",
    "heaptide": "by another version of heaptide",
}


@dataclass(frozen=True)
class Base:
    """What the new version was compared with: a command, at a git ``commit`` perhaps, or what
    ``file`` says of an earlier one; ``differs``: in what else that was otherwise."""

    words: tuple[str, ...]
    commit: str | None = None
    file: str | None = None
    differs: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        return self.file is None


@dataclass(frozen=True)
class Bench:
    """A whole one: what was run and how, and what came of it."""

    words: tuple[str, ...]
    base: Base | None
    runs: int
    warmup: int
    sample: int | None
    thresholds: Thresholds
    hash_seed: str
    compared: Sequence[Compared]
    budgets: Sequence[dict[str, Any]]  # as heaptide check --json has its results
    recordings: dict[str, str]  # by side; those that were kept
    status: int  # of the command


def environment() -> dict[str, Any]:
    """What figures depend on beside the program."""
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
        "heaptide": __version__,
    }


def document(bench: Bench) -> dict[str, Any]:
    """The document of docs/bench.md."""
    base = bench.base
    return {
        "schema_version": SCHEMA_VERSION,
        "command": list(bench.words),
        "base": None
        if base is None
        else {
            "command": list(base.words),
            "commit": base.commit,
            "file": base.file,
            "paired": base.paired,
            "differs": list(base.differs),
        },
        "runs": bench.runs,
        "warmup": bench.warmup,
        "sample": bench.sample,
        "hash_seed": bench.hash_seed,
        "environment": environment(),
        "thresholds": asdict(bench.thresholds),
        "status": ("ok", "regression", "unknown")[bench.status],
        "figures": [_figure(one) for one in bench.compared],
        "budgets": list(bench.budgets),
        "recordings": bench.recordings,
    }


def _figure(one: Compared) -> dict[str, Any]:
    between = one.change
    return {
        "name": one.figure.name,
        "words": one.figure.words,
        "unit": one.figure.unit,
        "judged": one.judged,
        "base": _side(one.base),
        "new": _side(one.new),
        "difference": None if between is None else between.difference,
        "difference_mad": None if between is None else between.difference_mad,
        "relative": None if between is None else between.relative,
        "combined_mad": None if between is None else between.combined_mad,
        "pairs_higher": None if between is None else one.higher,
        "verdict": one.verdict or None,
        "reason": one.reason or None,
    }


def _side(values: Values | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {**asdict(values.spread), "same": values.same, "readings": list(values.readings)}


@dataclass(frozen=True)
class Saved:
    """An earlier bench: the readings of its new version, and how they were made."""

    base: Base
    readings: Readings


def load(path: Path, *, sample: int | None, hash_seed: str) -> Saved:
    """Reads a document that was saved. ``sample``, ``hash_seed``: of the new bench.

    Raises HeaptideError: it cannot be read, or is none.
    """
    try:
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise HeaptideError(
            f"{path} cannot be read: {error.strerror}; --compare takes what --save has written"
        ) from None
    except (ValueError, RecursionError):
        raise _none(path, "it is no JSON") from None
    try:
        version = told["schema_version"]
        if version != SCHEMA_VERSION:
            raise _none(path, f"its schema_version is {version!r}, not {SCHEMA_VERSION}")
        readings = {
            figure["name"]: _readings(figure) for figure in told["figures"] if _is_known(figure)
        }
        words = tuple(map(str, told["command"]))
        now = {**environment(), "sample": sample, "seed": hash_seed}
        then = {**told["environment"], "sample": told["sample"], "seed": told["hash_seed"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _none(path, f"{type(error).__name__}: {error}") from None
    if not readings:
        raise _none(path, "there are no figures in it")
    said = {**_DIFFER, "sample": "with another --sample", "seed": "with another PYTHONHASHSEED"}
    differs = tuple(word for name, word in said.items() if then.get(name) != now[name])
    return Saved(Base(words, file=str(path), differs=differs), readings)


def _is_known(figure: dict[str, Any]) -> bool:
    """Whether we measure it, in this unit: a later version may have more."""
    known = FIGURES.get(figure["name"])
    return known is not None and known.unit == figure["unit"]


def _readings(figure: dict[str, Any]) -> list[Reading]:
    if figure["new"] is None:
        return [Reading(None, str(figure["reason"]))]
    found = [Reading(_number(value)) for value in figure["new"]["readings"]]
    if not found:
        raise ValueError(f"{figure['name']} has no readings")
    return found


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no figure")
    if value < 0:
        raise ValueError(f"{value!r} is less than nothing")
    return value


def _none(path: Path, why: str) -> HeaptideError:
    return HeaptideError(
        f"{path} is no result of heaptide bench: {why}; --compare takes what --save has written"
    )
