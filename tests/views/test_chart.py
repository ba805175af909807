"""The chart: the right heights at the right times, in the room there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.recording import Timeline
from heaptide.views import chart


def timeline(*rows: tuple[int, int, int]) -> Timeline:
    """Rows of time, live bytes, peak bytes."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    zero = np.zeros(len(table), np.int64)
    return Timeline(
        time=table[:, 0],
        process=zero.astype(np.int32) - 1,
        live_bytes=table[:, 1],
        live_blocks=zero,
        peak_bytes=table[:, 2],
        rss=zero,
        pss=zero,
        uss=zero,
        allocations=zero,
        bytes=zero,
        overhead_bytes=zero,
        stack_bytes=zero,
    )


def test_columns_hold_the_highest_of_their_time() -> None:
    rows = timeline((5, 10, 30), (15, 20, 20), (18, 5, 25), (35, 7, 7))
    # 0-10: up to 30; 10-20: up to 25; 20-30: up to 7, as between 18 and 35; 30-40: 7.
    assert chart.levels(rows, 0, 40, 4).tolist() == [30, 25, 7, 7]


def test_before_the_first_row_nothing_is_known_and_after_the_last_all_stays() -> None:
    rows = timeline((25, 8, 9), (26, 6, 8))
    assert chart.levels(rows, 0, 50, 5).tolist() == [0, 0, 9, 6, 6]


def test_a_part_begins_with_what_was_live_before() -> None:
    rows = timeline((5, 50, 50), (19, 1, 1))
    assert chart.levels(rows, 0, 30, 3).tolist() == [50, 50, 1]
    rows = timeline((5, 50, 50), (16, 40, 50), (35, 1, 9))
    assert chart.levels(rows, 0, 40, 4).tolist() == [50, 50, 9, 40]


def test_the_row_after_the_peak_does_not_repeat_it() -> None:
    rows = timeline((5, 10, 10), (25, 20, 90))
    assert chart.levels(rows, 0, 40, 4, peak=(12, 90)).tolist() == [10, 90, 20, 20]
    assert chart.levels(rows, 0, 40, 4).tolist() == [10, 90, 90, 20]


def test_a_recording_shorter_than_a_row_of_its_timeline() -> None:
    """What a program of 14 ms shows: no rise behind the mark, and no dip between them."""
    rows = timeline((98, 59, 88))
    expected = [0, 0, 0, 0, 0, 88, 88, 88, 88, 59, 59, 59, 59, 59]
    assert chart.levels(rows, 0, 140, 14, peak=(55, 88)).tolist() == expected


def test_a_peak_whose_time_is_not_in_the_time_of_its_row() -> None:
    """Events bear their own time, rows of the timeline the one at which they were read."""
    rows = timeline((25, 10, 10), (45, 20, 90), (65, 5, 30))
    early = chart.levels(rows, 0, 80, 8, peak=(12, 90))
    assert early.tolist() == [0, 90, 90, 90, 20, 30, 30, 5]
    late = chart.levels(rows, 0, 80, 8, peak=(62, 90))
    assert late.tolist() == [0, 0, 10, 90, 90, 90, 90, 5]


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 1000),
    st.integers(1, 90),
)
def test_the_mark_stands_where_the_curve_is_highest(
    rows: list[tuple[int, int, int]], when: int, columns: int
) -> None:
    rows = sorted((time, live, max(live, above)) for time, live, above in rows)
    peak = max(above for _, _, above in rows)
    tells = min(time for time, _, above in rows if above == peak)
    heights = chart.levels(timeline(*rows), 0, 1000, columns, peak=(when, peak))
    assert heights.max() == peak
    at, told = (min(time * columns // 1000, columns - 1) for time in (when, tells))
    assert heights[at] == peak
    assert set(heights[min(at, told) : max(at, told)].tolist()) <= {peak}


def test_no_rows_no_heap() -> None:
    assert chart.levels(timeline(), 0, 40, 4).tolist() == [0, 0, 0, 0]


def test_massif_in_plain_characters() -> None:
    heights = np.array([0, 25, 50, 75, 100, 50], np.int64)
    plot = chart.draw(heights, (4, 100), 0, 6, height=4, blocks=False)
    assert [cells for _, cells in plot.rows] == ["    # ", "   :# ", "  ::#:", " :::#:"]
    assert [label for label, _ in plot.rows] == ["100.0 ^", "      |", "      |", "      |"]
    assert plot.axis == ("    0 +", "----->")
    assert plot.unit == "B"


def test_eighths_of_a_cell() -> None:
    heights = np.array([0, 1, 50, 100], np.int64)
    plot = chart.draw(heights, None, 0, 4, height=1, blocks=True)
    assert plot.rows[0][1] == " ▁▄█"


@given(
    st.lists(st.integers(0, 1 << 50), min_size=1, max_size=200),
    st.integers(1, 20),
    st.booleans(),
    st.integers(-10, 10**12),
    st.integers(0, 1 << 50),
)
def test_every_line_fits_and_the_peak_is_marked(
    values: list[int], height: int, blocks: bool, when: int, peak: int
) -> None:
    heights = np.array(values, np.int64)
    plot = chart.draw(heights, (when, peak), 0, 10**12, height=height, blocks=blocks)
    assert len(plot.rows) == height
    assert plot.margin <= 8
    assert {len(label) for label, _ in plot.rows} | {len(plot.axis[0])} == {plot.margin}
    assert {len(cells) for _, cells in plot.rows} | {len(plot.axis[1])} == {len(values)}
    assert len(plot.times) <= max(len(values), 1)
    marked = {cells.find(chart.PEAK) for _, cells in plot.rows}
    expected = min(max(when * len(values) // 10**12, 0), len(values) - 1) if peak else -1
    assert marked == {expected}


@pytest.mark.parametrize("columns", [1, 5, 20, 60])
def test_time_labels_fit(columns: int) -> None:
    plot = chart.draw(np.zeros(columns, np.int64), None, 0, 10**10, height=3, blocks=True)
    assert len(plot.times) <= columns
    assert columns < 20 or (plot.times.startswith("0 s") and plot.times.endswith("10.0 s"))
