"""Each alert fires when it should, alone, and is silent when all is well: by promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from heaptide.monitor._figures import FIGURES
from heaptide.rules import Settings, Watched, as_yaml, document

from .make import (
    HEALTHY,
    HOUR,
    MB,
    Course,
    Service,
    flat,
    names,
    one_series,
    run_promtool,
    saw_tooth,
    try_rules,
    write_rules,
)

Changes = Mapping[tuple[str, ...], Course]
GROWTH = ("process.rss_anon",)
ALL_BUDGETS = (
    "peak_rss=400MB",
    "peak_heap=400MB",
    "idle_rss=300MB",
    "idle_pss=300MB",
    "idle_uss=300MB",
)


@pytest.fixture(params=[(), ("7", "8")], ids=["one process", "two workers"])
def pids(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def rising(course: Course, by: float, since: int = 0) -> Course:
    """By so much a minute on top of it."""

    def added(minute: int) -> float:
        value = course(minute)
        assert value is not None
        return value + max(minute - since, 0) * by

    return added


def after(minute: int, then: Course, before: Course) -> Course:
    return lambda now: then(now) if now >= minute else before(now)


TOOTH = saw_tooth(100 * MB, 200 * MB)
FREE = HEALTHY["allocator.free", "glibc", "malloc"]
SILENT: dict[str, Changes] = {
    "a saw-tooth": {},
    "a saw-tooth whose teeth grow": {
        GROWTH: lambda minute: (100 + (minute % 20) * minute / 60) * MB
    },
    "one step": {GROWTH: after(3 * HOUR, saw_tooth(160 * MB, 260 * MB), TOOTH)},
    "two steps within a window": {
        GROWTH: after(210, flat(300 * MB), after(185, flat(250 * MB), TOOTH))
    },
    "a step and a leak that is mended": {
        GROWTH: lambda minute: (TOOTH(minute) or 0) + min(max(minute - 180, 0), 50) * MB
    },
    "what starts, and fills its caches for long": {
        ("process.start_time",): flat(0),
        GROWTH: lambda minute: (30 + 2.5 * min(minute, 110)) * MB,
    },
    "files that are mapped": {("process.rss",): rising(flat(150 * MB), 0.5 * MB)},
    "creeping": {GROWTH: rising(TOOTH, 0.01 * MB)},
    "kills of long ago": {("cgroup.events", "oom_kill"): flat(17)},
    "the counter of kills begins anew": {
        ("cgroup.events", "oom_kill"): after(200, flat(0), flat(3))
    },
    "a restart": {("process.start_time",): after(200, flat(200 * 60), flat(-1e6))},
    "near the limit for a moment": {
        ("cgroup.headroom",): lambda minute: 50 * MB if minute % 30 < 3 else 500 * MB
    },
    "no limit": {("cgroup.headroom",): lambda _: None, ("cgroup.limit",): lambda _: None},
    "fragmented for a while": {
        ("allocator.free", "glibc", "malloc"): after(230, FREE, after(200, flat(900 * MB), FREE))
    },
    "fragmented, of little": {("allocator.free", "pymalloc", "python"): flat(50 * MB)},
    "no figures of allocators": {
        ("allocator.free", "glibc", "malloc"): lambda _: None,
        ("allocator.allocated", "glibc", "malloc"): lambda _: None,
    },
}


@pytest.mark.parametrize("what", SILENT)
def test_silent(what: str, pids: tuple[str, ...], tmp_path: Path) -> None:
    """In six hours, at no minute."""
    rules = write_rules(tmp_path, *ALL_BUDGETS)
    try_rules(rules, Service(SILENT[what], pids).series(6 * HOUR), 6 * HOUR, ())


FIRING: dict[str, tuple[Changes, str, int]] = {
    "a leak": ({GROWTH: rising(flat(100 * MB), 0.2 * MB)}, "MemoryGrowing", 4 * HOUR),
    "a leak under a saw-tooth": ({GROWTH: rising(TOOTH, 0.2 * MB)}, "MemoryGrowing", 4 * HOUR),
    "a leak that goes into swap": (
        {("process.swap",): rising(flat(0), 0.2 * MB)},
        "MemoryGrowing",
        4 * HOUR,
    ),
    "a leak that begins late": (
        {GROWTH: rising(TOOTH, MB / 2, since=3 * HOUR)},
        "MemoryGrowing",
        6 * HOUR + 20,
    ),
    "near the limit": (
        {("cgroup.headroom",): after(200, flat(90 * MB), flat(500 * MB))},
        "ContainerNearLimit",
        210,
    ),
    "a kill": (
        {("cgroup.events", "oom_kill"): after(200, flat(4), flat(3))},
        "OutOfMemoryKills",
        201,
    ),
    "two restarts of the counter, and a kill": (
        {("cgroup.events", "oom_kill"): after(210, flat(1), after(200, flat(0), flat(3)))},
        "OutOfMemoryKills",
        215,
    ),
    "fragmented": (
        {
            ("allocator.free", "glibc", "malloc"): after(200, flat(900 * MB), FREE),
            ("allocator.allocated", "glibc", "malloc"): flat(100 * MB),
        },
        "HeapFragmented",
        200 + HOUR + 5,
    ),
    "pressure in the container": (
        {("pressure.stalled", "cgroup", "some"): lambda minute: 12.0 * minute},
        "MemoryPressure",
        20,
    ),
    "pressure of the machine, of which alone is told": (
        {("pressure.stalled", "cgroup", "some"): lambda _: None},
        "MemoryPressure",
        20,
    ),
    "nobody tells": (
        {GROWTH: after(100, lambda _: None, flat(MB))},
        "MemoryFiguresMissing",
        110,
    ),
    "nobody tells when it was started": (
        {("process.start_time",): lambda _: None},
        "MemoryFiguresMissing",
        10,
    ),
    "over idle_rss": (
        {("process.rss",): after(60, saw_tooth(301 * MB, 350 * MB), flat(200 * MB))},
        "IdleRssOverBudget",
        150,
    ),
    "over idle_pss": ({("process.pss",): flat(301 * MB)}, "IdlePssOverBudget", 20),
    "over idle_uss": ({("process.uss",): flat(301 * MB)}, "IdleUssOverBudget", 20),
    "near peak_rss": (
        {("process.rss",): lambda minute: (100 if minute % 40 == 0 else 370) * MB},
        "RssNearBudget",
        30,
    ),
    "near peak_heap": (
        {
            ("allocator.allocated", "glibc", "malloc"): flat(40 * MB),
            ("allocator.allocated", "pymalloc", "python"): flat(330 * MB),
        },
        "HeapNearBudget",
        30,
    ),
}


@pytest.mark.parametrize("what", FIRING)
def test_firing(what: str, pids: tuple[str, ...], tmp_path: Path) -> None:
    """This alert, and no other one at any time."""
    changes, alert, at = FIRING[what]
    rules = write_rules(tmp_path, *ALL_BUDGETS)
    try_rules(rules, Service(changes, pids).series(at), at, {alert})


def test_over_is_near_too(pids: tuple[str, ...], tmp_path: Path) -> None:
    """The one says how bad it is."""
    rules = write_rules(tmp_path, "peak_rss=200MB", "peak_heap=180MB")
    course = flat(201 * MB)
    series = Service({("process.rss",): course}, pids).series(10)
    firing = {"RssNearBudget", "RssOverBudget", "HeapNearBudget", "HeapOverBudget"}
    heap = Service(
        {("process.rss",): course, ("allocator.allocated", "glibc", "malloc"): flat(160 * MB)}, pids
    )
    try_rules(rules, series, 9, firing - {"HeapNearBudget", "HeapOverBudget"})
    try_rules(rules, heap.series(10), 9, firing)


def test_idle_at_the_limit(pids: tuple[str, ...], tmp_path: Path) -> None:
    """A figure equal to its limit keeps it; so does one that comes below it now and then."""
    rules = write_rules(tmp_path, "idle_rss=130MB", "peak_rss=250MB", "peak_heap=180MB")
    try_rules(rules, Service({}, pids).series(3 * HOUR), 3 * HOUR, ())


def test_busy_since_the_start(tmp_path: Path) -> None:
    """Of what has not had the time to be idle, nobody says that it is over its budget."""
    rules = write_rules(tmp_path, "idle_rss=120MB")
    young: Changes = {("process.start_time",): flat(0)}
    try_rules(rules, Service(young).series(55), 55, ())
    try_rules(rules, Service(young).series(70), 70, {"IdleRssOverBudget"})


def test_a_restart_near_the_limit(pids: tuple[str, ...], tmp_path: Path) -> None:
    """Nobody tells of a kill: the container has gone with its process."""
    changes: Changes = {
        ("process.start_time",): after(200, flat(200 * 60), flat(-1e6)),
        ("cgroup.headroom",): after(200, flat(500 * MB), after(180, flat(20 * MB), flat(500 * MB))),
    }
    series = Service(changes, pids).series(300)
    rules = write_rules(tmp_path)
    try_rules(rules, series, 210, {"RestartedNearLimit"}, {"ContainerNearLimit"})
    try_rules(rules, series, 270, (), {"ContainerNearLimit", "RestartedNearLimit"})


def test_a_kill_is_told_for_a_window(pids: tuple[str, ...], tmp_path: Path) -> None:
    changes: Changes = {("cgroup.events", "oom_kill"): after(100, flat(4), flat(3))}
    series, rules = Service(changes, pids).series(170), write_rules(tmp_path)
    try_rules(rules, series, 155, {"OutOfMemoryKills"})
    try_rules(rules, series, 165, (), {"OutOfMemoryKills"})


@pytest.mark.parametrize(
    ("budget", "firing"),
    [
        ("growth=5MB/h", {"MemoryGrowing"}),
        ("growth=7MB/h", set()),
        ("growth=0", {"MemoryGrowing"}),
        ("growth=120MB/d", {"MemoryGrowing"}),
    ],
)
def test_growth_is_held_to_its_budget(
    budget: str, firing: set[str], pids: tuple[str, ...], tmp_path: Path
) -> None:
    """6 MB/h, under a saw-tooth of 100 MB."""
    series = Service({GROWTH: rising(TOOTH, 0.1 * MB)}, pids).series(5 * HOUR)
    try_rules(write_rules(tmp_path, budget), series, 5 * HOUR, firing)


def replaced(minutes: int, grows: float) -> list[dict[str, str]]:
    """Of two workers each is replaced after an hour, in turn; each grows by 0.4 MB a minute, and
    begins with ``grows`` MB more for each minute that has passed."""
    found = Service({GROWTH: lambda _: None, ("process.swap",): lambda _: None}, ("0",)).series(
        minutes
    )
    for number in range(2 * minutes // HOUR + 2):
        start = (number - 1) * HOUR // 2
        held = [
            (50 + 0.4 * (minute - start) + grows * start) * MB
            if start <= minute < start + HOUR
            else None
            for minute in range(minutes + 1)
        ]
        labels = {"job": "web", "instance": "a:1", "pid": str(100 + number)}
        zero = [None if one is None else 0.0 for one in held]
        found.append(one_series(FIGURES["process.rss_anon"].metric, labels, held))
        found.append(one_series(FIGURES["process.swap"].metric, labels, zero))
    return found


def test_workers_that_are_replaced(tmp_path: Path) -> None:
    """Those that have gone count no more, nor is their successors' growth one; but what each begins
    with is."""
    rules = write_rules(tmp_path)
    try_rules(rules, replaced(6 * HOUR, 0), 6 * HOUR, ())
    try_rules(rules, replaced(6 * HOUR, 0.1), 6 * HOUR, {"MemoryGrowing"})


def test_figures_of_the_container_from_each_worker_or_once(tmp_path: Path) -> None:
    """They are the same in each, and no sum."""
    changes: Changes = {("cgroup.headroom",): flat(110 * MB)}
    rules = write_rules(tmp_path)
    try_rules(rules, Service(changes, ("1", "2", "3")).series(20), 20, ())


def test_each_instance_for_itself(tmp_path: Path) -> None:
    leak, well = Service({GROWTH: rising(TOOTH, MB)}), Service(more={"instance": "b:1"})
    rules = write_rules(tmp_path)
    series = [*leak.series(5 * HOUR), *well.series(5 * HOUR)]
    try_rules(rules, series, 5 * HOUR, {"MemoryGrowing"})


def test_other_services(tmp_path: Path) -> None:
    """With another job, or without the labels, whatever they do; one alert: ours is not there."""
    leak: Changes = {GROWTH: rising(TOOTH, MB), ("cgroup.headroom",): flat(0)}
    other = Service(leak, job="batch").series(5 * HOUR)
    staging = Service(leak, more={"env": "staging"}).series(5 * HOUR)
    ours = Service(more={"env": "prod"}).series(5 * HOUR)
    rules = write_rules(tmp_path, matchers=('env="prod"',))
    try_rules(rules, [*other, *staging, *ours], 5 * HOUR, ())
    try_rules(rules, [*other, *staging], 5 * HOUR, {"MemoryFiguresMissing"})


def test_jobs_beside_each_other(tmp_path: Path) -> None:
    """No rule of one is another's to promtool, which tells them apart by their labels."""
    path = tmp_path / "rules.yml"
    jobs = [Watched("web"), Watched("batch"), Watched("")]
    path.write_text(as_yaml(document(jobs, Settings())))
    check = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings(tmp_path: Path) -> None:
    """A window shorter than the saw-tooth takes its rise for growth, but not twice in a row;
    what is near, and for how long, is as it was said."""
    settings = Settings(window=600.0, hold=0.0, near=0.5)
    rules = write_rules(tmp_path, settings=settings)
    tidy: Changes = {("allocator.free", "glibc", "malloc"): flat(0)}
    series = Service({**tidy, GROWTH: rising(flat(100 * MB), MB)}).series(60)
    try_rules(rules, series, 50, {"MemoryGrowing"})
    half = Service(
        {**tidy, ("cgroup.headroom",): after(30, flat(499 * MB), flat(501 * MB))}
    ).series(60)
    try_rules(rules, half, 29, ())
    try_rules(rules, half, 30, {"ContainerNearLimit"})


# What stands for a template, and labels beside those of the service; "": that one is not there.
FILLED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "near the limit": ({"$value | humanize1024": "85.83Mi"}, {}),
    "a kill": ({"$value": "1"}, {"event": "oom_kill"}),
    "near peak_rss": ({"$value | humanize": "370M"}, {}),
    "over idle_rss": ({"$value | humanize": "301M"}, {}),
    "a leak": ({"$value | humanize": "12M"}, {}),
    "fragmented": (
        {"$value | humanizePercentage": "90%", "$labels.allocator": "glibc"},
        {"allocator": "glibc", "role": "malloc"},
    ),
    "pressure in the container": (
        {"$value | humanizePercentage": "20%", "$labels.scope": "cgroup"},
        {"scope": "cgroup", "kind": "some"},
    ),
    "nobody tells": ({}, {"instance": ""}),
}


@pytest.mark.parametrize("what", FILLED)
def test_texts(what: str, pids: tuple[str, ...], tmp_path: Path) -> None:
    """What Prometheus makes of the templates: figures and names stand where they should."""
    changes, name, at = FIRING[what]
    filled, more = FILLED[what]
    path = write_rules(tmp_path, *ALL_BUDGETS)
    [group] = yaml.safe_load(path.read_text())["groups"]
    [rule] = (one for one in group["rules"] if one["alert"] == name)
    texts = dict(rule["annotations"])
    for template, words in {"$labels.instance": "a:1", **filled}.items():
        texts = {key: text.replace(f"{{{{ {template} }}}}", words) for key, text in texts.items()}
    assert "{{" not in "".join(texts.values())
    labels = {"job": "web", "instance": "a:1", **rule["labels"], **more}
    told = {
        "exp_labels": {key: value for key, value in labels.items() if value},
        "exp_annotations": texts,
    }
    asked = {"eval_time": f"{at}m", "alertname": name, "exp_alerts": [told]}
    run_promtool(path, Service(changes, pids).series(at), alert_rule_test=[asked])


def test_names_and_texts(tmp_path: Path) -> None:
    """Each once, in CamelCase; templates are whole."""
    text = write_rules(tmp_path, *ALL_BUDGETS, "growth=1MB/h").read_text()
    found = names(tmp_path / "rules.yml")
    assert len(set(found)) == len(found) == 14
    assert all(name.isalnum() and name[0].isupper() for name in found)
    assert text.count("heaptide ") >= len(found)
    assert text.count("{{") == text.count("}}")
