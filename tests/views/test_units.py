"""Figures as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.views import units


@pytest.mark.parametrize(
    ("amount", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.0 kB", "1000 B"),
        (1024, "1.0 kB", "1.0 KiB"),
        (999_949, "999.9 kB", "976.5 KiB"),
        (999_950, "1.0 MB", "976.5 KiB"),
        (256_000_000, "256.0 MB", "244.1 MiB"),
        (1 << 40, "1.1 TB", "1.0 TiB"),
        (1 << 62, "4.6 EB", "4.0 EiB"),
        (-1500, "-1.5 kB", "-1.5 KiB"),
    ],
)
def test_sizes(amount: int, decimal: str, binary: str) -> None:
    assert (units.size(amount), units.binary_size(amount)) == (decimal, binary)


@given(st.integers(0, 1 << 63))
def test_sizes_stay_short_and_within_half_of_the_last_digit(amount: int) -> None:
    text = units.size(amount)
    assert len(text) <= 8
    value, unit = text.split()
    factor = 1000 ** ("B", "kB", "MB", "GB", "TB", "PB", "EB").index(unit)
    slack = 0.5 if factor == 1 else 0.05
    assert abs(float(value) * factor - amount) <= factor * slack * 1.001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0000042, "4.20 µs"),
        (0.35, "350 ms"),
        (3.2, "3.20 s"),
        (10.5, "10.5 s"),
        (59.99, "1 min 00 s"),
        (65, "1 min 05 s"),
        (3 * 3600 + 25 * 60, "3 h 25 min"),
        (-2, "-2.00 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0.0 %"), (0.37, "37.0 %"), (1, "100.0 %"), (0.00001, "<0.1 %")]
)
def test_percentages_never_call_something_nothing(part: float, text: str) -> None:
    assert units.percent(part) == text


def test_counts() -> None:
    assert units.count(1234567) == "1,234,567"
    assert [units.some(n, "block", "blocks") for n in (1, 2)] == ["1 block", "2 blocks"]


@pytest.mark.parametrize(
    ("largest", "expected"), [(0, (1, "B")), (999, (1, "B")), (122_300_000, (10**6, "MB"))]
)
def test_axis_units(largest: int, expected: tuple[int, str]) -> None:
    assert units.size_unit(largest) == expected
