"""What was measured of an idle program as JSON: the document of docs/idle.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .idle import verdict

if TYPE_CHECKING:
    from heaptide.budgets import Change, Result, Spread
    from heaptide.idle import Measured, Plan, Reading, Start, Version

SCHEMA_VERSION = 1


def document(measured: Measured, results: Sequence[Result], source: str) -> dict[str, Any]:
    """Everything; bytes and seconds. ``results`` of budgets from ``source``, if there are any."""
    from .budgets import as_json

    budgets = as_json(results, recording=None, source=source) if results else None
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": _settings(measured.plan),
        "new": _version(measured.new),
        "base": None if measured.base is None else _version(measured.base),
        "changes": {name: _change(one) for name, one in measured.changes().items()},
        "budgets": None
        if budgets is None
        else {key: budgets[key] for key in ("budgets", "passed", "results")},
    }


def _settings(plan: Plan) -> dict[str, Any]:
    return {
        "ready": {
            "ports": [list(port) for port in plan.ready.ports],
            "urls": list(plan.ready.urls),
            "patterns": [pattern.pattern for pattern in plan.ready.patterns],
            "commands": list(plan.ready.commands),
            "timeout": plan.ready.timeout,
        },
        "settle": {
            "window": plan.settle.window,
            "tolerance": plan.settle.tolerance,
            "timeout": plan.settle.timeout,
        },
        "load": plan.load or None,
        "cool_down": plan.cool_down,
        "before_reading": plan.before_reading or None,
        "gc": plan.gc,
        "trim": plan.trim,
        "readings": plan.readings,
        "interval": plan.interval,
        "stop_timeout": plan.stop_timeout,
    }


def _version(version: Version) -> dict[str, Any]:
    return {
        "command": list(version.target.argv),
        "settled": version.unsettled == 0,
        "figures": {name: _spread(one) for name, one in version.spreads().items()},
        "heap_reason": version.untraced or None,
        "starts": [_start(start) for start in version.starts],
        "traced_starts": [_start(start) for start in version.traced],
    }


def _spread(one: Spread) -> dict[str, float]:
    return {
        "count": one.count,
        "median": one.median,
        "mad": one.mad,
        "min": one.minimum,
        "max": one.maximum,
    }


def _start(start: Start) -> dict[str, Any]:
    return {
        "ready": start.ready,
        "idle": start.idle,
        "converged": start.converged,
        "settled": [
            {
                "converged": one.converged,
                "seconds": one.seconds,
                "steady_from": one.steady,
                "range": one.range,
            }
            for one in start.settled
        ],
        "hooks": [asdict(one) for one in start.hooks],
        "readings": [_reading(reading) for reading in start.readings],
        "series": {
            "time": [round(sample.time, 4) for sample in start.series],
            "pss": [sample.pss for sample in start.series],
            "private_dirty": [sample.private_dirty for sample in start.series],
            "processes": [sample.processes for sample in start.series],
        },
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "time": reading.time,
        "heap": reading.heap,
        "alone": reading.alone,
        "processes": [
            {
                "pid": one.pid,
                "parent": one.parent,
                "command": list(one.command),
                **asdict(one.memory),
            }
            for one in reading.processes
        ],
    }


def _change(one: Change) -> dict[str, Any]:
    return {
        "base": one.base.median,
        "new": one.new.median,
        "difference": one.difference,
        "difference_mad": one.difference_mad,
        "combined_mad": one.combined_mad,
        "relative": one.relative,
        "verdict": verdict(one),
    }
