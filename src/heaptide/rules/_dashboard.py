"""A dashboard for Grafana: every figure of memory that a service exports, and its budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ._promql import Watched, number, select

_SCHEMA = 39  # of Grafana 10.4 and 11; later ones read it
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3  # of a panel, in the grid's units of 24 a line
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_RATE = "$__rate_interval"
_LIMITED: Final = {
    "peak_rss": "process.rss",
    "idle_rss": "process.rss",
    "idle_pss": "process.pss",
    "idle_uss": "process.uss",
    "peak_heap": "allocator.allocated",
}

_Query = tuple[str, str]  # and what its lines are called


class _Asked:
    """Selectors of whatever jobs and instances are chosen on the screen."""

    def __init__(self, jobs: Sequence[Watched]) -> None:
        self._matchers = ['job=~"$job"', 'instance=~"$instance"', *jobs[0].matchers]
        self._jobs = jobs

    def of(self, key: str, *more: str) -> str:
        return select(key, [*self._matchers, *more])

    def sum(self, key: str) -> str:
        return f"sum without (pid) ({self.of(key)})"

    def most(self, asked: str) -> str:
        return f"max without (pid) ({asked})"

    def rate(self, key: str, *more: str) -> str:
        return f"rate({self.of(key, *more)}[{_RATE}])"

    def budgets(self, *keys: str) -> list[_Query]:
        """Lines for limits of budgets, those of each job."""
        return [
            (f"vector({number(limits[name].value)})", f"budget {name} {job.job}".rstrip())
            for job in self._jobs
            for limits in [job.budgets.limits]
            for name, key in _LIMITED.items()
            if key in keys and name in limits
        ]


def dashboard(jobs: Sequence[Watched]) -> dict[str, Any]:
    """The document that Grafana imports. Of ``jobs`` all have the same matchers."""
    asked = _Asked(jobs)
    panels: list[dict[str, Any]] = []
    row = 0
    for title, content in _rows(asked):
        panels.append(_row(len(panels) + 1, title, row))
        row += 1
        for place, (name, unit, help, queries) in enumerate(content):
            line, column = divmod(place, _COLUMNS)
            at = {"x": column * _WIDTH, "y": row + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_panel(len(panels) + 1, name, unit, help, queries, at))
        row += -(-len(content) // _COLUMNS) * _HEIGHT
    return {
        "uid": "heaptide-memory",
        "title": "Memory",
        "description": "What processes hold, what their allocators keep, what containers have left",
        "tags": ["heaptide", "memory"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "templating": {"list": _variables(jobs)},
        "panels": panels,
    }


_Content = list[tuple[str, str, str, list[_Query]]]


def _rows(of: _Asked) -> list[tuple[str, _Content]]:
    return [
        ("Processes", _processes(of)),
        ("Allocators", _allocators(of)),
        ("Python", _python(of)),
        ("Container and machine", _container(of)),
    ]


def _processes(of: _Asked) -> _Content:
    each = "{{instance}} {{pid}}"
    kinds = ("rss_anon", "rss_file", "rss_shmem", "swap")
    return [
        (
            "RSS by worker",
            "bytes",
            "Resident memory of each process. What processes share counts once for each.",
            [(of.of("process.rss"), each)],
        ),
        (
            "PSS by worker",
            "bytes",
            "Resident memory, each shared page divided among those who have it: this adds up.",
            [(of.of("process.pss"), each)],
        ),
        (
            "Sum over the workers",
            "bytes",
            "Of each instance, and what its budgets allow.",
            [
                *(
                    (of.sum(f"process.{one}"), f"{one.upper()} {{{{instance}}}}")
                    for one in ("rss", "pss", "uss")
                ),
                *of.budgets("process.rss", "process.pss", "process.uss"),
            ],
        ),
        (
            "Kinds of memory",
            "bytes",
            "Of no file, of files, shared, in swap. Memory of files can be dropped.",
            [(of.sum(f"process.{one}"), f"{one} {{{{instance}}}}") for one in kinds],
        ),
        (
            "Page faults",
            "cps",
            "Minor: memory is got anew. Major: a disk was read, memory is short.",
            [
                (
                    f"sum without (pid) ({of.rate('process.page_faults')})",
                    "{{type}} {{instance}}",
                )
            ],
        ),
        (
            "Threads",
            "short",
            "Each has a stack, and perhaps an arena of the allocator.",
            [(of.of("process.threads"), each)],
        ),
    ]


def _allocators(of: _Asked) -> _Content:
    named = "{{allocator}} {{instance}}"
    free, allocated = of.sum("allocator.free"), of.sum("allocator.allocated")
    return [
        (
            "Allocated and free",
            "bytes",
            "In blocks that live, and freed but not given back to the system.",
            [
                (allocated, f"allocated {named}"),
                (free, f"free {named}"),
                *of.budgets("allocator.allocated"),
            ],
        ),
        (
            "Fragmentation",
            "percentunit",
            "What part is free of what is allocated or free.",
            [(f"{free} / ({free} + {allocated})", named)],
        ),
        (
            "Resident and mapped",
            "bytes",
            "By the allocators' own counts. Of what is retained the system has the pages back.",
            [
                (of.sum(f"allocator.{one}"), f"{one} {named}")
                for one in ("resident", "mapped", "retained", "metadata")
            ],
        ),
    ]


def _python(of: _Asked) -> _Content:
    named = "generation {{generation}} {{instance}}"
    return [
        (
            "Garbage collections",
            "cps",
            "How often each generation is collected.",
            [(f"sum without (pid) ({of.rate('python.gc_collections')})", named)],
        ),
        (
            "Objects collected",
            "cps",
            "Garbage in cycles. Uncollectable objects stay for ever.",
            [
                (f"sum without (pid) ({of.rate('python.gc_collected')})", f"collected, {named}"),
                (
                    f"sum without (pid) ({of.rate('python.gc_uncollectable')})",
                    f"uncollectable, {named}",
                ),
            ],
        ),
        (
            "Objects",
            "short",
            "Tracked by the collector of garbage, where that is asked for; blocks that live.",
            [
                (of.sum("python.tracked_objects"), "tracked {{instance}}"),
                (of.sum("allocator.blocks"), "blocks of {{allocator}} {{instance}}"),
            ],
        ),
    ]


def _container(of: _Asked) -> _Content:
    kinds = ("working_set", "limit", "headroom", "current", "anon", "file", "swap")
    events = of.most(f"increase({of.of('cgroup.events')}[{_RATE}])")
    return [
        (
            "Container against its limit",
            "bytes",
            "The working set cannot be dropped: at the limit the kernel kills.",
            [(of.most(of.of(f"cgroup.{one}")), f"{one} {{{{instance}}}}") for one in kinds],
        ),
        (
            "Events",
            "short",
            "By the kernel's names. oom_kill: something was killed.",
            [(f"{events} > 0", "{{event}} {{instance}}")],
        ),
        (
            "Pressure",
            "percentunit",
            "Part of the time in which some task, or all (full), waits for memory.",
            [(of.most(of.rate("pressure.stalled")), "{{kind}}, {{scope}} {{instance}}")],
        ),
    ]


def _row(number: int, title: str, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
        "panels": [],
    }


def _panel(
    number: int, title: str, unit: str, help: str, queries: Sequence[_Query], at: dict[str, int]
) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": help,
        "datasource": _SOURCE,
        "gridPos": at,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "range": True,
            }
            for place, (expr, legend) in enumerate(queries)
        ],
    }


def _variables(jobs: Sequence[Watched]) -> list[dict[str, Any]]:
    """Where to ask, and what is shown: of jobs those that were named, else whichever there are."""
    rss = "process.rss_anon"
    source = {"name": "datasource", "label": "Data source", "type": "datasource"}
    return [
        {**source, "query": "prometheus", "refresh": 1},
        _job(jobs, select(rss, jobs[0].matchers)),
        _variable("instance", select(rss, ['job=~"$job"', *jobs[0].matchers])),
    ]


def _job(jobs: Sequence[Watched], any_job: str) -> dict[str, Any]:
    names = [watched.job for watched in jobs if watched.job]
    if not names:
        return _variable("job", any_job)
    return {
        **_variable("job", any_job),
        "type": "custom",
        "query": ",".join(name.replace("\\", "\\\\").replace(",", "\\,") for name in names),
    }


def _variable(name: str, selector: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.title(),
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values({selector}, {name})",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "sort": 1,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }
