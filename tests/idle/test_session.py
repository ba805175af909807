"""Figures of starts, verdicts, and the order of starts; of sessions that are made up."""

from __future__ import annotations

import pytest

from heaptide.budgets import Budgets, exit_status, from_options
from heaptide.errors import LaunchError
from heaptide.idle import Plan, Start, StartError, _session, idle_only, judge, measure
from heaptide.idle._session import _order
from heaptide.recorder import Target

from .made import MB, measured, start, version


def test_a_start_is_the_median_of_its_readings() -> None:
    one = start([10 * MB, 30 * MB, 11 * MB], processes=3)
    assert one.value("pss") == 33 * MB
    assert one.value("rss") == 66 * MB
    assert one.value("heap") is None


def test_figures_are_over_starts() -> None:
    """However many readings each has."""
    found = version(start([10 * MB] * 9), start([14 * MB]), start([11 * MB] * 3)).spread("pss")
    assert found is not None
    assert (found.count, found.median, found.mad) == (3, 11 * MB, 1 * MB)
    assert (found.minimum, found.maximum) == (10 * MB, 14 * MB)


def test_the_heap_is_that_of_traced_starts() -> None:
    found = version(start([10 * MB]), traced=[start([50 * MB], heap=5 * MB)])
    assert found.values("heap") == [5 * MB]
    assert found.values("pss") == [10 * MB]
    assert "heap" not in version(start([10 * MB])).spreads()


def test_the_typical_start_has_the_median() -> None:
    starts = [start([size * MB]) for size in (10, 30, 12)]
    assert version(*starts).typical() is starts[2]


@pytest.mark.parametrize(
    ("new", "grew", "relative"),
    [
        ([20, 20, 20], ["rss", "pss", "uss"], 1.0),
        ([10.4, 10.4, 10.4], [], 0.04),  # less than a twentieth
        ([5, 5, 5], [], -0.5),
    ],
)
def test_two_versions(new: list[float], grew: list[str], relative: float) -> None:
    base = version(*(start([size * MB]) for size in (10, 10, 9)))
    both = measured(version(*(start([round(size * MB)]) for size in new)), base)
    assert both.grown() == grew
    assert both.changes()["pss"].relative == pytest.approx(relative)


def test_versions_that_stray() -> None:
    """What lies within three deviations is no growth, however large a part it is."""
    base = version(*(start([size * MB]) for size in (8, 10, 12)))
    new = version(*(start([size * MB]) for size in (10, 12, 14)))
    both = measured(new, base)
    assert both.changes()["pss"].relative == pytest.approx(0.2)
    assert both.grown() == []


def budgets(*options: str) -> Budgets:
    return from_options(options)


def test_budgets() -> None:
    found = version(*(start([size * MB]) for size in (10, 12, 11)))
    kept, over = judge(found, budgets("idle_pss=11MB", "idle_rss=21MB"))
    assert (kept.status, kept.value, kept.margin) == ("ok", 11 * MB, 0)
    assert (over.status, over.value, over.margin) == ("over", 22 * MB, -1 * MB)
    assert exit_status([kept, over]) == 1
    [private] = judge(found, budgets("idle_uss=11MiB"))
    assert (private.value, private.binary) == (5.5 * MB, True)


def test_a_program_that_is_not_idle_keeps_no_budget() -> None:
    """What is over already is over."""
    found = version(start([10 * MB]), start([10 * MB], converged=False))
    unknown, over = judge(found, budgets("idle_pss=11MB", "idle_rss=1MB"))
    assert (unknown.status, unknown.value) == ("unknown", None)
    assert "1 of 2" in unknown.reason
    assert over.status == "over"


def test_budgets_of_other_things_are_left_out() -> None:
    found = idle_only(from_options(["peak_heap=1MB", "modules.numpy=10%"], ["guide"]))
    assert set(found.limits) == {"idle_rss"}
    assert not found.modules


def test_versions_take_turns() -> None:
    """Who begins changes; traced starts come last."""
    names = [(name, traced) for _, name, traced in _order(["new", "base"], 3, 1)]
    plain = ["base", "new", "new", "base", "base", "new"]
    assert names == [(name, False) for name in plain] + [("base", True), ("new", True)]


TARGET = Target("/bin/x", ("x",), "x")


def test_what_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fake(target: Target, plan: Plan, env: object, *, traced: bool, **_: object) -> Start:
        seen.append((target.name, traced))
        return start([10 * MB], heap=MB if traced else None)

    monkeypatch.setattr(_session, "measure_start", fake)
    other = Target("/bin/y", ("y",), "y")
    found = measure(TARGET, Plan(), {}, base=other, starts=2, traced=1)
    assert seen == [
        ("y", False),
        ("x", False),
        ("x", False),
        ("y", False),
        ("y", True),
        ("x", True),
    ]
    assert found.base is not None
    assert len(found.base.starts) == len(found.new.starts) == 2
    assert found.changes()["heap"].difference == 0


def test_a_program_that_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its other figures stand."""

    def fake(target: Target, plan: Plan, env: object, *, traced: bool, **_: object) -> Start:
        if traced:
            raise LaunchError("x is a static program")
        return start([10 * MB])

    monkeypatch.setattr(_session, "measure_start", fake)
    found = measure(TARGET, Plan(), {}, starts=1, traced=2).new
    assert found.untraced == "x is a static program"
    assert found.values("heap") == []
    assert found.values("pss") == [10 * MB]


def test_a_start_that_fails_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fake(*_: object, **__: object) -> Start:
        calls.append(1)
        if len(calls) == 3:
            raise StartError("it has ended")
        return start([10 * MB])

    monkeypatch.setattr(_session, "measure_start", fake)
    with pytest.raises(StartError) as caught:
        measure(TARGET, Plan(), {}, base=TARGET, starts=2, traced=0)
    assert caught.value.message == "new, start 2: it has ended"
