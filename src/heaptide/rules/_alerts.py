"""What is watched of a job: one function an alert. docs/rules.md says what each means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from heaptide.budgets import Limit
from heaptide.views import units

from ._promql import Watched, duration, floor, least, most, number, summed

CRITICAL, WARNING, INFO = "critical", "warning", "info"

_HOUR = 3600.0
_RATES = 300.0  # seconds: over which rates are taken, where the window is no shorter
_CREEP = 0.02  # part of a floor: no budget for growth, and less a window is no growth
_FREE_PART = 0.5  # of an allocator's memory
_FREE_LEAST = 64 << 20  # bytes: below, fragmentation costs nobody anything
_WAITING = 0.1  # part of the time
_SOME: Final = 'kind="some"'

# Budgets that a running service can be held to; those of a whole run only a recording tells.
_PEAKS: Final = ("peak_rss", "peak_heap")
_IDLE: Final = {"idle_rss": "process.rss", "idle_pss": "process.pss", "idle_uss": "process.uss"}
_FOLLOWED: Final = (*_PEAKS, *_IDLE, "growth")


@dataclass(frozen=True)
class Settings:
    """``window``: seconds over which floors are taken, longer than a saw-tooth of garbage;
    ``hold``: seconds that something has to last; ``near``: part of a limit."""

    window: float = _HOUR
    hold: float = 300.0
    near: float = 0.9


@dataclass(frozen=True)
class Alert:
    """``hold`` in seconds. Texts are templates of Prometheus; ``description`` ends with what to do
    next."""

    name: str
    expr: str
    hold: float
    severity: str
    summary: str
    description: str


def alerts(watched: Watched, settings: Settings) -> list[Alert]:
    """Of one job: those that need no budget, and those of its budgets."""
    return [
        _near_limit(watched, settings),
        _killed(watched, settings),
        _restarted(watched, settings),
        *_budgets(watched, settings),
        _growing(watched, settings),
        _fragmented(watched, settings),
        _pressure(watched, settings),
        _missing(watched, settings),
    ]


def not_watched(watched: Watched) -> list[str]:
    """Keys of budgets that nothing here holds the job to."""
    budgets = watched.budgets
    return [
        *(key for key in budgets.limits if key not in _FOLLOWED),
        *(f"modules.{name}" for name in budgets.modules),
        *(f"phases.{name}" for name in budgets.phases),
    ]


def _near_limit(of: Watched, settings: Settings) -> Alert:
    headroom, limit = least(of.of("cgroup.headroom")), least(of.of("cgroup.limit"))
    left = number(1 - settings.near)
    return Alert(
        "ContainerNearLimit",
        f"{headroom}\n  < {left} * {limit}",
        settings.hold,
        CRITICAL,
        "{{ $labels.instance }} is near the memory limit of its container",
        "{{ $value | humanize1024 }}B are left to the limit; at 0 the kernel kills. Next: "
        "`heaptide stats PID` shows what holds the memory; raise the limit, or run fewer workers.",
    )


def _killed(of: Watched, settings: Settings) -> Alert:
    events = of.of("cgroup.events", 'event="oom_kill"')
    before = least(f"min_over_time({events}[{duration(settings.window)}])")
    return Alert(
        "OutOfMemoryKills",
        f"{most(events)}\n  - {before}\n  > 0",
        0,
        CRITICAL,
        "the kernel has killed in the container of {{ $labels.instance }}",
        "{{ $value }} processes were killed for want of memory in the last "
        f"{duration(settings.window)}. Next: raise the limit, or find what grew: `heaptide run "
        "--max-size 1GB -o oom.tide COMMAND`, then `heaptide show oom.tide`.",
    )


def _restarted(of: Watched, settings: Settings) -> Alert:
    """Of a container that ends with its process nobody sees the count of kills rise."""
    started, window = of.of("process.start_time"), settings.window
    lowest = least(f"min_over_time({of.of('cgroup.headroom')}[{duration(2 * window)}])")
    limit = least(of.of("cgroup.limit"))
    return Alert(
        "RestartedNearLimit",
        f"{least(started)}\n  > {least(f'{started} offset {duration(window)}')}\n"
        f"and\n{lowest}\n  < {number(1 - settings.near)} * {limit}",
        0,
        CRITICAL,
        "{{ $labels.instance }} was near its memory limit, and began anew",
        "It may have been killed for want of memory: see `kubectl describe pod` or the kernel's "
        "log. Next: raise the limit, or find what grew: `heaptide run --max-size 1GB -o oom.tide "
        "COMMAND`, then `heaptide show oom.tide`.",
    )


def _budgets(of: Watched, settings: Settings) -> Iterator[Alert]:
    limits = of.budgets.limits
    for key in _PEAKS:
        if key in limits:
            yield from _peak(of, settings, key, limits[key])
    for key in _IDLE:
        if key in limits:
            yield _idle(of, settings, key, limits[key])


def _peak(of: Watched, settings: Settings, key: str, limit: Limit) -> Iterator[Alert]:
    if key == "peak_rss":
        name, held = "Rss", summed(of.of("process.rss"))
    else:
        name = "Heap"
        held = f"sum without (pid, allocator, role) ({of.of('allocator.allocated')})"
    said = f"{{{{ $value | {_humanized(limit)} }}}}B, and its budget {key} is {_amount(limit)}"
    advice = (
        "Next: `heaptide run -o peak.tide COMMAND`, then `heaptide show peak.tide` has the stacks "
        "of the peak."
    )
    yield Alert(
        f"{name}NearBudget",
        f"{held}\n  > {number(limit.value * settings.near)}",
        settings.hold,
        INFO,
        f"{{{{ $labels.instance }}}} is near its memory budget {key}",
        f"It holds {said}. {advice}",
    )
    yield Alert(
        f"{name}OverBudget",
        f"{held}\n  > {number(limit.value)}",
        settings.hold,
        WARNING,
        f"{{{{ $labels.instance }}}} is over its memory budget {key}",
        f"It holds {said}. {advice}",
    )


def _idle(of: Watched, settings: Settings, key: str, limit: Limit) -> Alert:
    """What a service holds when it is idle is the least that it held in a while."""
    lowest = floor(summed(of.of(_IDLE[key])), settings.window)
    return Alert(
        f"Idle{key[-3:].title()}OverBudget",
        f"{lowest}\n  > {number(limit.value)}\nand\n{_age(of)}\n  > {number(settings.window)}",
        settings.hold,
        WARNING,
        f"{{{{ $labels.instance }}}} is over its memory budget {key}",
        f"In the last {duration(settings.window)} it never held less than {{{{ $value | "
        f"{_humanized(limit)} }}}}B, and its budget {key} is {_amount(limit)}. Next: `heaptide "
        "idle -- COMMAND` measures it; `heaptide run -o idle.tide COMMAND`, then `heaptide show "
        "idle.tide --metric alive` has the stacks.",
    )


def _growing(of: Watched, settings: Settings) -> Alert:
    """Steadily: for a whole window, floors had risen over one window and over the one before.

    A saw-tooth has a flat floor. A step rises once; where it cuts a tooth, twice, but for less than
    a window. What fills its caches has two windows for it.
    """
    window = settings.window
    held = f"sum without (pid) ({of.of('process.rss_anon')} + {of.of('process.swap')})"
    now, before, long_before = (floor(held, window, back=back * window) for back in range(3))
    limit = of.budgets.limits.get("growth")
    if limit is not None and limit.value:
        first = second = number(limit.value * window / _HOUR)
    else:  # less than some part of it is nothing that floors could tell
        first, second = (f"{number(_CREEP)} * {one}" for one in (before, long_before))
    said = f"; its budget growth is {_amount(limit)}/h" if limit else ""
    return Alert(
        "MemoryGrowing",
        f"(\n  {now}\n  - {before}\n  > {first}\n) * {number(_HOUR / window)}\n"
        f"and\n{before}\n  - {long_before}\n  > {second}\n"
        f"and\n{_age(of)}\n  > {number(3 * window)}",
        max(settings.hold, window),
        WARNING,
        "the memory of {{ $labels.instance }} grows steadily",
        f"By {{{{ $value | {_humanized(limit)} }}}}B an hour, by its lowest points{said}. "
        "Next: `heaptide run --duration 10min -o grows.tide COMMAND`, then `heaptide show "
        "grows.tide --metric leaked` has the stacks that grow.",
    )


def _fragmented(of: Watched, settings: Settings) -> Alert:
    free, allocated = summed(of.of("allocator.free")), summed(of.of("allocator.allocated"))
    return Alert(
        "HeapFragmented",
        f"{free}\n  / ({free} + {allocated})\n  > {number(_FREE_PART)}\n"
        f"and\n{free}\n  > {_FREE_LEAST}",
        max(settings.hold, settings.window),
        WARNING,
        "most of what {{ $labels.allocator }} of {{ $labels.instance }} holds is free",
        "{{ $value | humanizePercentage }} of its memory was freed and is not given back. Next: "
        "`heaptide run -o kept.tide COMMAND`, then `heaptide show kept.tide --metric kept` has the "
        "blocks that live among many that do not; or try jemalloc, or MALLOC_ARENA_MAX=2.",
    )


def _pressure(of: Watched, settings: Settings) -> Alert:
    """Of the container; of the machine where the kernel tells no other."""
    over = duration(min(settings.window, _RATES))
    group, machine = (
        most(f"rate({of.of('pressure.stalled', one, _SOME)}[{over}])")
        for one in ('scope="cgroup"', 'scope="machine"')
    )
    return Alert(
        "MemoryPressure",
        f"(\n  {group}\n  or ignoring (scope)\n  {machine}\n)\n  > {number(_WAITING)}",
        settings.hold,
        WARNING,
        "tasks wait for memory where {{ $labels.instance }} runs",
        "{{ $value | humanizePercentage }} of the time some task of the {{ $labels.scope }} waits "
        "for memory. Next: `heaptide stats PID` shows what holds it; raise the limit, or run less "
        "beside it.",
    )


def _missing(of: Watched, settings: Settings) -> Alert:
    """Rules whose labels are wrong are silent for ever; so are some of them if nobody tells the
    start, which prometheus-client tells for us, or not."""
    figures, start = of.of("process.rss_anon"), of.of("process.start_time")
    return Alert(
        "MemoryFiguresMissing",
        f"absent({figures})\nor\nabsent({start})",
        settings.hold,
        WARNING,
        "nobody tells the memory that these rules watch",
        "No figures of heaptide, or no process_start_time_seconds, have these labels: the service "
        "does not run, is not scraped, exports no such figures, or the labels are others. Next: "
        "see docs/monitoring.md, and `heaptide rules --job JOB --label NAME=VALUE`.",
    )


def _age(of: Watched) -> str:
    """Of an instance: of the oldest of its processes, in seconds."""
    return f"time() - {least(of.of('process.start_time'))}"


def _humanized(limit: Limit | None) -> str:
    """In the unit that the limit was given in: MB and MiB differ."""
    return "humanize1024" if limit is not None and limit.binary else "humanize"


def _amount(limit: Limit) -> str:
    return (units.binary_size if limit.binary else units.size)(round(limit.value))
