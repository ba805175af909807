"""Amounts as people write them."""

from __future__ import annotations

import pytest

from heaptide.budgets import parse_limit

pytestmark = pytest.mark.interpreters

BYTES, COUNT, RATIO, RATE = "bytes", "count", "ratio", "bytes/hour"


@pytest.mark.parametrize(
    ("written", "unit", "value"),
    [
        ("256 MB", BYTES, 256e6),
        ("24MiB", BYTES, 24 * 2**20),
        ("1.5 kB", BYTES, 1500),
        ("1,000 B", BYTES, 1000),
        ("2 GiB", BYTES, 2 * 2**30),
        (0, BYTES, 0),
        (1_000_000, BYTES, 1e6),
        ("1_000", COUNT, 1000),
        (12, COUNT, 12),
        ("1e5", COUNT, 1e5),
        (1e-5, RATIO, 1e-5),
        ("1,234,567.5 kB", BYTES, 1_234_567_500),
        ("50 %", RATIO, 0.5),
        ("50%", RATIO, 0.5),
        (0.25, RATIO, 0.25),
        ("1 MB/h", RATE, 1e6),
        ("1 kB/s", RATE, 3.6e6),
        ("2 MiB / min", RATE, 120 * 2**20),
        ("24 kB/d", RATE, 1000),
        (0, RATE, 0),
    ],
)
def test_amounts(written: object, unit: str, value: float) -> None:
    limit = parse_limit(written, unit)
    assert limit.value == pytest.approx(value)
    assert (limit.unit, limit.binary) == (unit, "iB" in str(written))


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("256 mega", BYTES),
        ("-1 MB", BYTES),
        (-1, BYTES),
        (True, BYTES),
        (None, BYTES),
        ([], BYTES),
        ("", BYTES),
        ("nan", BYTES),
        ("1,5 MB", BYTES),
        ("1,00 MB", BYTES),
        ("\u0663 MB", BYTES),
        ("9" * 300 + " TB", BYTES),
        (float("inf"), BYTES),
        ("9" * 400, BYTES),
        ("1 MB/h", BYTES),
        ("50 %", BYTES),
        (1.5, BYTES),
        ("1.5", BYTES),
        (10.5, COUNT),
        ("1.5", COUNT),
        ("12 MB", COUNT),
        ("50 MB", RATIO),
        ("150 %", RATIO),
        (1.5, RATIO),
        ("1 MB", RATE),
        ("1 MB/year", RATE),
    ],
)
def test_what_is_no_amount(written: object, unit: str) -> None:
    with pytest.raises(ValueError, match="is no limit: say "):
        parse_limit(written, unit)
