"""Verdicts on readings, and what they come to."""

from __future__ import annotations

import pytest

from heaptide.bench import (
    FIGURES,
    Compared,
    Reading,
    Readings,
    Thresholds,
    budgets_for,
    chosen,
    compare,
    exit_status,
    hold,
)
from heaptide.budgets import MEASURES
from heaptide.errors import UsageError

THRESHOLDS = Thresholds(0.05, 3.0)


def readings(**values: list[float]) -> Readings:
    return {name: [Reading(value) for value in found] for name, found in values.items()}


def compared(base: list[float], new: list[float], name: str = "peak_heap", **how: bool) -> Compared:
    [found] = compare(
        [FIGURES[name]], readings(**{name: new}), readings(**{name: base}), THRESHOLDS, **how
    )
    return found


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        ([100, 100, 100], [106, 106, 106], "grew"),
        ([100, 100, 100], [94, 94, 94], "shrank"),
        ([100, 100, 100], [100, 100, 100], "same"),
        ([100, 100, 100], [105, 105, 105], "within"),
        ([100, 100, 100], [100, 100, 101], "within"),
        ([90, 100, 110], [100, 110, 120], "noise"),
        ([110, 120, 130], [100, 110, 120], "noise"),
        ([100, 100, 100, 100], [110, 110, 110, 100], "noise"),
        ([100] * 10, [110] * 9 + [90], "grew"),
        ([100] * 10, [90] * 8 + [100] * 2, "noise"),
        ([0, 0, 0], [0, 0, 0], "same"),
        ([0, 0, 0], [1, 1, 1], "grew"),
    ],
)
def test_verdicts(base: list[float], new: list[float], verdict: str) -> None:
    found = compared(base, new)
    assert found.verdict == verdict
    assert found.regressed == (verdict == "grew")


def test_agreement_is_counted() -> None:
    found = compared([7, 7, 8, 7], [7, 7, 7, 7])
    assert found.base is not None and found.new is not None
    assert (found.base.same, found.base.exact) == (3, False)
    assert (found.new.same, found.new.exact) == (4, True)


def test_time_is_judged_when_it_is_asked_for() -> None:
    slower = [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]
    assert compared(*slower, name="wall").verdict == "grew"
    assert not compared(*slower, name="wall").regressed
    assert compared(*slower, name="wall", asked=True).regressed


def test_pairs_or_medians() -> None:
    """Of readings in turn their differences count, of others the difference of the medians."""
    base, new = [100.0, 200.0, 300.0], [400.0, 210.0, 110.0]
    paired = compared(base, new).change
    alone = compared(base, new, paired=False).change
    assert paired is not None and paired.difference == 10
    assert alone is not None and alone.difference == 10
    drifting = compared([100, 150, 200, 250], [220, 120, 270, 170], paired=False).change
    assert drifting is not None and drifting.difference == 195 - 175
    assert compared([1, 2, 3], [5, 6, 7, 8, 9], paired=False).verdict == "grew"


def test_what_is_not_measured() -> None:
    figures = [FIGURES["peak_heap"], FIGURES["temporary"]]
    new = readings(peak_heap=[1, 1, 1])
    new["temporary"] = [Reading(0.5), Reading(None, "samples do not tell"), Reading(0.5)]
    found = compare(figures, new, None, THRESHOLDS)
    assert [one.new is None for one in found] == [False, True]
    assert found[1].reason == "samples do not tell"
    assert exit_status(found, [], asked=False) == 0
    assert exit_status(found, [], asked=True) == 2
    nothing = compare(figures, {}, None, THRESHOLDS)
    assert exit_status(nothing, [], asked=False) == 2


def test_a_base_that_does_not_tell() -> None:
    [found] = compare([FIGURES["total"]], readings(total=[1, 1, 1]), {}, THRESHOLDS, paired=False)
    assert (found.verdict, found.change, found.base) == ("", None, None)
    assert found.reason.startswith("of the base")


def test_budgets_are_held_by_the_median() -> None:
    figures = [FIGURES["peak_heap"], FIGURES["peak_rss"], FIGURES["temporary"]]
    new = readings(peak_heap=[100, 1, 100, 900, 100], temporary=[0.5] * 5)
    found = compare(figures, new, None, THRESHOLDS)
    kept = hold(found, budgets_for(["peak_heap=100", "temporary=50%"], figures))
    assert [(result.value, result.status) for result in kept] == [(100, "ok"), (0.5, "ok")]
    over = hold(found, budgets_for(["peak_heap=99"], figures))
    assert [(result.margin, result.status) for result in over] == [(-1, "over")]
    unknown = hold(found, budgets_for(["peak_rss=1 GB"], figures))
    assert exit_status(found, kept, asked=False) == 0
    assert exit_status(found, over, asked=False) == 1
    assert exit_status(found, [*over, *unknown], asked=False) == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("idle_rss=1MB", "heaptide check does"),
        ("modules.numpy=1MB", "heaptide check does"),
        ("total=1MB", "add --metric total"),
        ("peek=1", "there is no budget"),
        ("wall=3", "there is no budget"),
    ],
)
def test_budgets_of_what_is_not_measured(option: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        budgets_for([option], [FIGURES["peak_heap"], FIGURES["wall"]])


def test_figures_are_called_as_budgets_are() -> None:
    for figure in FIGURES.values():
        if figure.is_budget:
            assert MEASURES[figure.name].unit == figure.unit
        else:
            assert figure.name not in MEASURES


def test_chosen_figures() -> None:
    assert chosen([]) == list(FIGURES.values())
    assert [one.name for one in chosen(["wall", "total"])] == ["total", "wall"]
    assert [one.name for one in chosen([], recording=False)] == ["peak_rss", "wall", "cpu"]
    with pytest.raises(UsageError, match="only a recording tells"):
        chosen(["total"], recording=False)
