"""Recordings with known figures, held to budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from heaptide.budgets import MEASURES, Budgets, Result, check, exit_status, parse_limit
from heaptide.formats import open_recording
from heaptide.profile import Profile, summarize
from heaptide.recording import Recording
from heaptide.views.growth import growth_of
from heaptide.views.verdicts import verdicts
from tests.formats.files import DATA
from tests.profile.test_leaks import line, recorded
from tests.recording.make import SECOND, Builder, Change, example

pytestmark = pytest.mark.interpreters


def budgets(**limits: object) -> Budgets:
    return Budgets({name: parse_limit(text, MEASURES[name].unit) for name, text in limits.items()})


def values(recording: Recording, *names: str) -> dict[str, float | None]:
    results = check(Profile(recording), budgets(**dict.fromkeys(names, 0)))
    return {result.budget: result.value for result in results}


def test_every_measure_of_a_recording(tmp_path: Path) -> None:
    """The figures that the example says of itself."""
    build = example()
    for second in range(31):
        late = second >= 28
        build.timeline(
            second * SECOND // 10,
            rss=(30 if late else 40) << 20,
            pss=(20 if late else 30) << 20,
            uss=(10 if late else 20) << 20,
        )
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        found = values(recording, *MEASURES)
        summary = {
            "peak_heap": 2000,
            "peak_rss": 50 << 20,
            "startup": None,
            "idle_rss": 30 << 20,
            "idle_pss": 20 << 20,
            "idle_uss": 10 << 20,
            "alive": 600,
            "alive_blocks": 6,
            "total": 3300,
            "allocations": 33,
            "reallocations": 3,
            "copied": 100,
            "temporary": 5 / 33,
            "short_lived": 8 / 33,
            "leaked": None,
            "growth": None,
        }
        assert set(found) == set(summary)
        for name, value in summary.items():
            assert found[name] == pytest.approx(value), name


def test_limits_are_kept_to_the_byte(tmp_path: Path) -> None:
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording)
        [kept] = check(profile, budgets(peak_heap=2000))
        [over] = check(profile, budgets(peak_heap=1999))
        [unknown] = check(profile, budgets(leaked=0))
    assert (kept.status, kept.margin) == ("ok", 0)
    assert (over.status, over.margin) == ("over", -1)
    assert (unknown.status, unknown.margin) == ("unknown", None)
    assert "too short" in unknown.reason
    assert exit_status([kept]) == 0
    assert exit_status([kept, over]) == 1
    assert exit_status([over, unknown, kept]) == 2


def test_leaks_and_growth(tmp_path: Path) -> None:
    """Ten bytes a second, after ten thousand at once."""
    series = [10_000 + step for step in line(10)]
    with recorded(tmp_path / "a.tide", series) as recording:
        found = values(recording, "leaked", "growth")
    assert found["leaked"] == 470
    assert found["growth"] == pytest.approx(36_000, rel=0.02)
    with recorded(tmp_path / "b.tide", [10_000] * 100) as recording:
        assert values(recording, "leaked", "growth") == {"leaked": 0, "growth": 0}


@pytest.mark.parametrize("name", ["leaked", "growth"])
def test_what_may_be_warm_up_exceeds_nothing(tmp_path: Path, name: str) -> None:
    """In less than 10 s it is not measured, unless it is within the limit; then it is a leak."""
    much = {"leaked": "1 kB", "growth": "1 MB/h"}[name]
    for period, expected in ((SECOND // 20, "unknown"), (SECOND // 10, "over")):
        with recorded(tmp_path / f"{period}.tide", line(10), period=period) as recording:
            profile = Profile(recording)
            [found] = check(profile, budgets(**{name: 0}))
            [large] = check(profile, budgets(**{name: much}))
            said = verdicts(summarize(profile), exited=True, growth=growth_of(profile))
        [shown] = [one for one in said if one.name == "growth"]
        assert (found.status, large.status) == (expected, "ok")
        if expected == "over":
            assert shown.status == "over"
            continue
        assert found.value is None
        for words in ("more than 10 s", "memory(leaked=0)"):
            assert words in found.reason
        assert shown.status == "note"
        assert "warm-up still" in shown.text
    with recorded(tmp_path / "flat.tide", [10_000] * 100, period=SECOND // 100) as recording:
        [found] = check(Profile(recording), budgets(**{name: 0}))
    assert (found.status, found.value) == ("ok", 0)


def test_leaks_of_a_phase_are_those_of_its_own_time(tmp_path: Path) -> None:
    """A long run has short phases, in which a leak cannot be told."""
    build = Builder()
    build.process(end=30 * SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    for turn in range(120):
        start = turn * SECOND // 4
        build.slice(start, start + SECOND // 4, {context: Change(1, 100)})
    build.mark(10 * SECOND, "ready")
    build.mark(25 * SECOND, "closing")
    build.finish(30 * SECOND)
    phases = {"ready": budgets(leaked=0), "closing": budgets(leaked=0)}
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        found = check(Profile(recording), Budgets(budgets(leaked=0).limits, phases=phases))
    assert [one.status for one in found] == ["over", "over", "unknown"]


def test_phases_last_from_mark_to_mark(tmp_path: Path) -> None:
    build = Builder()
    build.process(end=9 * SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    for second in range(9):
        build.slice(second * SECOND, (second + 1) * SECOND, {context: Change(second + 1, 100)})
    build.mark(3 * SECOND, "serving")
    build.mark(6 * SECOND, "closing")
    build.finish(9 * SECOND)
    phases = {
        "serving": budgets(total=300),
        "closing": budgets(allocations=23, total=300),
        "never": budgets(total="1 MB"),
    }
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        whole, *found = check(Profile(recording), Budgets(budgets(total=899).limits, phases=phases))
    assert (whole.phase, whole.value, whole.status) == ("", 900, "over")
    assert [(r.phase, r.budget, r.value, r.status) for r in found] == [
        ("serving", "total", 300, "ok"),
        ("closing", "allocations", 24, "over"),
        ("closing", "total", 300, "ok"),
        ("never", "total", None, "unknown"),
    ]
    assert found[-1].reason == "the recording has no mark 'never'"


def starting(*marks: tuple[int, str], ends: str = "finished") -> Builder:
    """A hundred bytes a second for nine seconds, in two processes of which one has ended after two;
    marks at these seconds."""
    build = Builder()
    build.process(end=9 * SECOND)
    brief = build.process(pid=2, end=2 * SECOND)
    build.thread()
    build.thread(process=brief, tid=2)
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    gone = build.context(process=brief, stack=build.stack(build.python("g", "/a.py", 2)))
    for second in range(9):
        build.slice(
            second * SECOND,
            (second + 1) * SECOND,
            {context: Change(1, 100), **({gone: Change(1, 1000)} if second == 0 else {})},
        )
    for second, name in marks:
        build.mark(second * SECOND, name)
    build.finish(9 * SECOND, ends)
    return build


@pytest.mark.parametrize(
    ("marks", "value"),
    [
        ([(4, "started")], 400),
        ([(4, "ready"), (6, "started"), (2, "loading")], 400),
        ([(7, "started"), (5, "started")], 500),
        ([(1, "started")], 1100),
        ([(9, "started")], 900),
        ([(4, "Started"), (5, "started up")], None),
        ([(0, "started")], None),
        ([(20, "started")], None),
        ([], None),
    ],
)
def test_what_is_live_when_it_has_started(
    tmp_path: Path, marks: list[tuple[int, str]], value: int | None
) -> None:
    """At the first such mark; of a process that has ended by then nothing."""
    with Recording.open(starting(*marks).write(tmp_path / "a.tide")) as recording:
        [found] = check(Profile(recording), budgets(startup=450))
    assert found.value == value
    if value is None:
        assert found.status == "unknown"
        assert 'heaptide.mark("started")' in found.reason
    else:
        assert found.status == ("over" if value > 450 else "ok")


def test_starting_is_of_the_whole_run(tmp_path: Path) -> None:
    path = starting((4, "started"), (6, "serving")).write(tmp_path / "a.tide")
    phases = {"serving": budgets(startup="1 MB")}
    with Recording.open(path) as recording:
        [found] = check(Profile(recording), Budgets(phases=phases))
    assert (found.status, found.reason) == ("unknown", "it is of the whole run, not of a phase")


def test_starting_is_known_of_a_run_that_was_cut(tmp_path: Path) -> None:
    path = starting((4, "started"), ends="disk-full").write(tmp_path / "a.tide")
    with Recording.open(path) as recording:
        found = check(Profile(recording), budgets(startup=400, alive="1 MB"))
    assert [(result.value, result.status) for result in found] == [(400, "ok"), (None, "unknown")]


def test_phases_at_odd_times(tmp_path: Path) -> None:
    """Two marks at one moment, the same name again, other processes, the last moment of all."""
    build = Builder()
    build.process(end=9 * SECOND)
    other = build.process(pid=2, end=9 * SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    for second in range(9):
        build.slice(second * SECOND, (second + 1) * SECOND, {context: Change(1, 100)})
    build.mark(2 * SECOND, "serving")
    build.mark(2 * SECOND, "tie")
    build.mark(3 * SECOND, "serving", process=other)
    build.mark(4 * SECOND, "elsewhere", process=other)
    build.mark(5 * SECOND, "twice")
    build.mark(6 * SECOND, "twice")
    build.mark(8 * SECOND, "late")
    build.mark(9 * SECOND, "last")
    build.finish(9 * SECOND)
    names = ["serving", "tie", "elsewhere", "twice", "late", "last"]
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        found = check(
            Profile(recording), Budgets(phases=dict.fromkeys(names, budgets(total="1 GB")))
        )
    assert {result.phase: result.value for result in found} == {
        "serving": None,  # ends when it begins
        "tie": 300,
        "elsewhere": 500,
        "twice": 300,
        "late": 100,
        "last": None,
    }
    assert all(
        (result.status, result.reason) == ("unknown", "nothing happened in this phase")
        for result in found
        if result.value is None
    )


@pytest.mark.parametrize("reason", ["max-size", "disk-full", "error", "cut off", "no end"])
def test_a_part_of_a_run_keeps_no_budget(tmp_path: Path, reason: str) -> None:
    """What has been exceeded already stays so; of the rest nobody knows."""
    build = example()
    build.mark(SECOND, "early")
    build.mark(2 * SECOND, "late")
    path = tmp_path / "a.tide"
    if reason == "no end":
        build.end = None
        build.write(path, finished=False)
    else:
        build.finish(3 * SECOND, "finished" if reason == "cut off" else reason)
        build.write(path)
    if reason == "cut off":
        path.write_bytes(path.read_bytes()[:-3])
    small, large = budgets(total=1, alive=1), budgets(total="1 GB", alive="1 GB")
    phases = {"early": budgets(total="1 GB"), "late": budgets(total="1 GB")}
    with Recording.open(path) as recording:
        profile = Profile(recording)
        assert [result.status for result in check(profile, small)] == ["over", "unknown"]
        found = check(profile, Budgets(large.limits, phases=phases))
    assert [result.status for result in found] == ["unknown", "unknown", "ok", "unknown"]
    assert found[0].reason


@pytest.mark.parametrize("reason", ["finished", "stopped", "duration"])
def test_whole_runs(tmp_path: Path, reason: str) -> None:
    build = example()
    build.finish(3 * SECOND, reason)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        assert [r.status for r in check(Profile(recording), budgets(alive="1 kB"))] == ["ok"]


def test_nothing_recorded_is_not_kept(tmp_path: Path) -> None:
    build = Builder()
    build.process(end=SECOND)
    build.thread()
    build.finish(SECOND)
    phases = {"serving": budgets(total=1)}
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        found = check(Profile(recording), Budgets(budgets(peak_heap=1).limits, phases=phases))
    assert [(r.status, r.reason) for r in found] == [("unknown", "nothing was recorded")] * 2


def test_shares_of_modules(tmp_path: Path) -> None:
    """All that goes through a module, once, whoever calls it and whatever it calls."""
    build = Builder()
    build.process(end=SECOND, peak_bytes=1000, peak_time=SECOND // 2)
    build.thread()
    packages = "/usr/lib/python3/site-packages/"
    app = build.python("main", "/home/user/app.py", 1)
    numpy = build.python("ones", packages + "numpy/core/a.py", 1)
    again = build.python("full", packages + "numpy/lib/b.py", 1)
    numpyro = build.python("f", packages + "numpyro/a.py", 1)
    library = build.native(build.module(0, "/usr/lib/libblas.so.3"), 0x10)
    held = {}
    for frames, size in (
        ((app, numpy), 200),
        ((app, numpy, again, library), 100),
        ((app, numpyro), 100),
        ((app,), 600),
    ):
        context = build.context(stack=build.stack(*frames))
        held[context] = (1, size)
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording)

        def share(name: str, limit: str, unit: str) -> Result:
            [result] = check(profile, Budgets(modules={name: parse_limit(limit, unit)}))
            return result

        assert share("numpy", "30 %", "ratio").status == "ok"
        assert share("numpy", "29 %", "ratio").status == "over"
        assert share("numpy", "299 B", "bytes").margin == -1
        assert share("libblas", "1 MB", "bytes").value == 100
        assert share("app", "1 MB", "bytes").value == 1000
        missing = share("scipy", "1 B", "bytes")
        assert (missing.status, missing.reason) == ("unknown", "the recording has no such module")


@pytest.mark.parametrize(
    ("name", "known", "unknown"),
    [
        ("heaptrack.cpp.small.zst", ["peak_heap", "allocations"], ["temporary"]),
        (
            "mb.massif.out",
            ["peak_heap"],
            ["allocations", "temporary", "leaked", "total"],
        ),
        ("cpp.dhat.json", ["peak_heap", "allocations", "total"], ["temporary", "leaked"]),
    ],
)
def test_foreign_files(name: str, known: list[str], unknown: list[str]) -> None:
    """What a format does not tell is not measured, and never passes."""
    with open_recording(DATA / name) as recording:
        found = values(recording, *known, *unknown)
    assert all(found[measure] is not None for measure in known), found
    assert all(found[measure] is None for measure in unknown), found
    with open_recording(DATA / name) as recording:
        [startup] = check(Profile(recording), budgets(startup=0))
    assert (startup.status, startup.reason) == ("unknown", "this recording does not tell")
