"""The rule of the leak check, on series that are made up."""

from __future__ import annotations

import random

import numpy as np
import pytest

from heaptide.testing._repetition import Course, trend_of, trend_of_place

COUNT = 512


def table(entries: int) -> int:
    """Bytes of a table that is made four times as large whenever it is three fifths full."""
    size = 8
    while entries * 5 >= size * 3:
        size *= 4
    return size * 16


@pytest.mark.parametrize("size", [8, 32, 100, 10_000])
def test_steady_growth(size: int) -> None:
    trend = trend_of([size * turn for turn in range(COUNT)])
    assert trend.course is Course.GROWING
    assert trend.rate == pytest.approx(size, rel=0.02)


def test_growth_under_noise() -> None:
    """Of a tenth of what comes and goes."""
    noise = random.Random(1)
    values = [100 * turn + noise.randrange(1000) for turn in range(COUNT)]
    assert trend_of(values).rate == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize(
    "values",
    [
        [0] * COUNT,
        [min(turn, 50) * 1000 for turn in range(COUNT)],  # a cache that fills
        [turn % 7 * 1000 for turn in range(COUNT)],  # a saw-tooth
        [5000 if turn > 100 else 0 for turn in range(COUNT)],  # a buffer that grows once
    ],
)
def test_what_is_flat(values: list[int]) -> None:
    assert trend_of(values).course is Course.FLAT


def test_small_things_in_a_table() -> None:
    """Their table's steps hide them in bytes; in blocks they show."""
    live = np.array([32 * turn + table(turn) for turn in range(COUNT)])
    blocks = np.array([turn + 1 for turn in range(COUNT)])
    assert trend_of(live).course is Course.OPEN
    trend = trend_of_place(live, blocks)
    assert trend.course is Course.GROWING
    assert trend.rate >= 32
    assert trend_of_place(live, np.minimum(blocks, 50)).course is not Course.GROWING
