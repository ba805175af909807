"""Median, deviation, and what counts as a change."""

from __future__ import annotations

import pytest

from heaptide.budgets._spread import change, spread, unpaired


def test_spread_of_readings() -> None:
    """The deviation is the median distance from the median: one wild one changes little."""
    found = spread([10.0, 12.0, 11.0, 500.0, 13.0])
    assert (found.count, found.median, found.mad) == (5, 12.0, 1.0)
    assert (found.minimum, found.maximum) == (10.0, 500.0)


def test_no_readings_are_refused() -> None:
    with pytest.raises(ValueError, match="no readings"):
        spread([])


def test_growth_needs_both_a_part_and_deviations() -> None:
    """6 % with readings that do not stray is growth; so is it not where they stray by as much, nor
    when it is 4 %."""
    assert change([100, 100, 100], [106, 106, 106]).grew()
    assert not change([100, 100, 100], [104, 104, 104]).grew()
    assert change([100, 100, 100], [104, 104, 104]).grew(relative=0.03)
    straying = change([90, 100, 110], [96, 106, 116])
    assert not straying.grew()
    assert straying.grew(mads=0.1)


def test_pairs_see_through_drift() -> None:
    """Both rise together: the difference of each pair is the same."""
    drifting = change([100, 200, 300], [110, 210, 310])
    assert (drifting.difference, drifting.difference_mad) == (10, 0)


def test_shrinking_is_the_mirror_of_growing() -> None:
    assert change([100, 100], [90, 90]).shrank()
    assert not change([100, 100], [90, 90]).grew()
    assert change([0, 0], [1, 1]).grew()
    assert change([0, 0], [1, 1]).relative is None


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 readings of the base, 1 of the new"):
        change([1, 2], [1])


def test_readings_that_were_not_taken_in_turn() -> None:
    """The medians are compared, however many there are of each, and drift is not seen through."""
    found = unpaired([100, 200, 300], [110, 110, 150, 110])
    assert (found.difference, found.base.mad, found.new.mad) == (-90, 100, 0)
    assert found.difference_mad == found.combined_mad == 100
    with pytest.raises(ValueError, match="no readings"):
        unpaired([], [1])
