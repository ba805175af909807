"""Rules on disk, and services made up minute by minute for promtool to try them on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from heaptide.budgets import from_options
from heaptide.monitor._figures import FIGURES
from heaptide.rules import Settings, Watched, as_yaml, document

MB = 1e6
HOUR = 60  # minutes
Course = Callable[[int], Optional[float]]  # what a figure is in each minute; None: nobody tells it


def flat(value: float) -> Course:
    return lambda _minute: value


def saw_tooth(low: float, high: float, period: int = 20) -> Course:
    """Garbage, and a collection of it each ``period`` minutes."""
    return lambda minute: low + (high - low) * (minute % period) / period


HEALTHY: Mapping[tuple[str, ...], Course] = {
    ("process.rss",): saw_tooth(130 * MB, 230 * MB),
    ("process.rss_anon",): saw_tooth(100 * MB, 200 * MB),
    ("process.swap",): flat(0),
    ("process.pss",): saw_tooth(110 * MB, 210 * MB),
    ("process.uss",): saw_tooth(100 * MB, 200 * MB),
    ("process.start_time",): flat(-1e6),
    ("allocator.allocated", "glibc", "malloc"): saw_tooth(40 * MB, 140 * MB),
    ("allocator.free", "glibc", "malloc"): lambda minute: (150 - 5 * (minute % 20)) * MB,
    ("allocator.allocated", "pymalloc", "python"): flat(30 * MB),
    ("allocator.free", "pymalloc", "python"): flat(2 * MB),
    ("cgroup.limit",): flat(1000 * MB),
    ("cgroup.headroom",): flat(500 * MB),
    ("cgroup.events", "oom_kill"): flat(3),
    ("cgroup.events", "max"): lambda minute: minute,
    ("pressure.stalled", "cgroup", "some"): lambda minute: 0.6 * minute,
    ("pressure.stalled", "machine", "some"): lambda minute: 30.0 * minute,  # of somebody else
}
"""Figures by key and their labels' values; several in one process: shares of a sum."""

_SUMMED = ("process.", "allocator.")  # over processes; what is of the container each tells alike


@dataclass
class Service:
    """``changes``: what is not as in HEALTHY. ``pids``: of its processes; none: it has one, and no
    label for it."""

    changes: Mapping[tuple[str, ...], Course] = field(default_factory=dict)
    pids: Sequence[str] = ()
    job: str = "web"
    more: Mapping[str, str] = field(default_factory=dict)

    def series(self, minutes: int) -> list[dict[str, str]]:
        found = []
        for (key, *values), course in {**HEALTHY, **self.changes}.items():
            figure = FIGURES[key]
            labels = {"job": self.job, "instance": "a:1", **self.more}
            labels.update(zip(figure.labels, values))
            shared = key.startswith(_SUMMED) and key != "process.start_time"
            for pid in self.pids or ("",):
                part = len(self.pids or "1") if shared else 1
                told = [course(minute) for minute in range(minutes + 1)]
                found.append(
                    one_series(
                        figure.metric,
                        {**labels, **({"pid": pid} if pid else {})},
                        [None if value is None else value / part for value in told],
                    )
                )
        return found


def one_series(
    metric: str, labels: Mapping[str, str], values: Sequence[float | None]
) -> dict[str, str]:
    """As promtool has it; what is missing is stale, as of a target that has gone."""
    inside = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    told = " ".join("stale" if value is None else f"{value:.15g}" for value in values)
    return {"series": f"{metric}{{{inside}}}", "values": told}


def write_rules(
    folder: Path,
    *budgets: str,
    preset: str = "",
    settings: Settings | None = None,
    matchers: tuple[str, ...] = (),
) -> Path:
    """Of a job ``web`` with these budgets; they have passed promtool's check."""
    given = from_options(budgets, (preset,) if preset else ())
    watched = [Watched("web", given, matchers)]
    path = folder / "rules.yml"
    path.write_text(as_yaml(document(watched, settings or Settings())))
    check_rules(path)
    return path


def check_rules(path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def names(rules: Path) -> list[str]:
    found = [line.split()[-1] for line in rules.read_text().splitlines() if "- alert:" in line]
    assert found
    return found


def try_rules(
    rules: Path,
    series: Sequence[Mapping[str, str]],
    at: int,
    firing: Collection[str],
    before: Collection[str] = (),
) -> None:
    """At that minute the alerts of ``firing`` do, each once; of all others none has ever fired, but
    those of ``before`` may have, and no longer do."""
    asked: list[dict[str, Any]] = []
    for name in names(rules):
        alert = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
        expr = (
            f"count({alert})"
            if name in {*firing, *before}
            else f"sum(count_over_time({alert}[1d]))"
        )
        asked.append(
            {
                "expr": f"({expr}) or vector(0)",
                "eval_time": f"{at}m",
                "exp_samples": [{"labels": "{}", "value": 1 if name in firing else 0}],
            }
        )
    assert set(firing) <= set(names(rules))
    run_promtool(rules, series, promql_expr_test=asked)


def run_promtool(
    rules: Path, series: Sequence[Mapping[str, str]], **asked: list[dict[str, Any]]
) -> None:
    test = {
        "rule_files": [rules.name],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": list(series), **asked}],
    }
    path = rules.with_name("test.yml")
    path.write_text(json.dumps(test))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
