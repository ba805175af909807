"""The leak check by repetition, on bodies of known nature."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from heaptide.inside._measuring import measuring
from heaptide.testing._body import Body
from heaptide.testing._repetition import LEAST, MOST, Course, Trend, decide, trend_of
from heaptide.testing._settings import Settings, with_options
from tests.testing.shapes import LEAKS, OTHERS

SEEDS = 20


def leaked(body: Callable[[], object]) -> float:
    """Bytes a repetition, as the check has it."""
    measuring.fresh()
    checked = Body(with_options(Settings(), {"leaked": 0}))
    checked.wrap(body)()
    assert checked.repetitions is not None
    assert checked.repetitions.decided
    return checked.repetitions.leaked


def test_leaks_are_found_and_others_are_not_accused() -> None:
    """Twelve natures, 20 seeds each: at least 95 % of the leaks, at most 5 % of the others."""
    found = {
        name: [bool(leaked(make(random.Random(seed)))) for seed in range(SEEDS)]
        for name, make in {**LEAKS, **OTHERS}.items()
    }
    right = [one for name in LEAKS for one in found[name]]
    wrong = [one for name in OTHERS for one in found[name]]
    assert len(found) == 12
    assert np.mean(right) >= 0.95, {name: sum(found[name]) for name in LEAKS}
    assert np.mean(wrong) <= 0.05, {name: sum(found[name]) for name in OTHERS}


def test_the_rate_is_that_of_the_leak() -> None:
    kept: list[bytes] = []
    assert leaked(lambda: kept.append(bytes(5000))) == pytest.approx(5033, rel=0.02)


def test_what_stays_the_same_takes_the_least_repetitions() -> None:
    runs = [0]

    def body() -> None:
        runs[0] += 1
        bytes(1000)

    assert leaked(body) == 0
    assert runs[0] == 1 + LEAST  # it is measured once before


@pytest.mark.parametrize(
    ("values", "course"),
    [
        ([0] * 64, Course.FLAT),
        (list(range(64)), Course.GROWING),
        ([min(i, 20) for i in range(64)], Course.FLAT),
        ([0] * 45 + [100] * 19, Course.OPEN),
        ([0] * 30 + [100] * 98, Course.FLAT),
        ([i % 10 for i in range(64)], Course.FLAT),
        ([100 - i for i in range(64)], Course.FLAT),
        ([1] * 10, Course.OPEN),
    ],
)
def test_courses(values: list[int], course: Course) -> None:
    assert trend_of(values).course is course


def test_growth_has_to_be_seen_three_times() -> None:
    """Or at the last look."""
    growing, flat = {"a": Trend(Course.GROWING, 8.0)}, {"a": Trend(Course.FLAT)}
    assert not decide([growing], last=False).decided
    assert not decide([growing, growing], last=False).decided
    assert decide([growing, growing, growing], last=False).growing == {"a": 8.0}
    assert not decide([growing, flat, growing], last=False).decided
    assert decide([growing, flat], last=False).decided
    assert decide([growing], last=True).growing == {"a": 8.0}
    assert MOST == LEAST * 8
