"""Lines of an edited program: which is which, from nothing but what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.programs import Line, python_program

from heaptide.profile.recorded_lines import ONLY_OLD
from heaptide.profile.shared import Shared


def moves(
    folder: Path,
    old: list[Line],
    new: list[Line],
    starts: tuple[dict[str, int] | None, dict[str, int] | None] = (None, None),
) -> dict[int, int]:
    """Each line of ``old`` and what it became; 0: it is gone."""
    pair = [
        python_program(folder / name, lines, starts=start)
        for name, lines, start in (("old", old, starts[0]), ("new", new, starts[1]))
    ]
    found = Shared(pair[0], pair[1]).split(Shared(pair[0], pair[1]).line)[0]
    lines = pair[0].locations.line
    return {
        int(line): 0 if became >= ONLY_OLD else int(became)
        for line, became in zip(lines.tolist(), found.tolist())
        if line
    }


def test_nothing_moved_where_the_numbers_are_those_of_before(tmp_path: Path) -> None:
    old = [Line("f", 10, 1), Line("f", 12, 1), Line("g", 20, 1)]
    assert moves(tmp_path, old, old) == {10: 10, 12: 12, 20: 20}


def test_branches_of_two_runs_are_not_one_line(tmp_path: Path) -> None:
    """The same code took another way: that is no edit."""
    old = [Line("f", 10, 1), Line("f", 20, 1)]
    new = [Line("f", 12, 1), Line("f", 20, 1)]
    start = {"f": 9}
    assert moves(tmp_path, old, new, (start, start)) == {10: 0, 20: 20}


def test_a_function_that_moved_as_a_whole(tmp_path: Path) -> None:
    old = [Line("f", 10, 1, "read"), Line("f", 12, 1, "parse"), Line("f", 14, 1, "store")]
    new = [line._replace(number=line.number + 2) for line in old]
    assert moves(tmp_path, old, new) == {10: 12, 12: 14, 14: 16}


def test_all_lines_of_a_function_by_as_many(tmp_path: Path) -> None:
    """Where neither calls nor columns nor first lines are known, as of stripped-down builds."""
    old = [Line("f", 10, 1), Line("f", 12, 1), Line("g", 30, 1)]
    new = [Line("f", 13, 1), Line("f", 15, 1), Line("g", 31, 1)]
    assert moves(tmp_path, old, new) == {10: 13, 12: 15, 30: 31}


def test_by_its_first_line_where_nothing_else_tells(tmp_path: Path) -> None:
    old, new = [Line("f", 10, 1), Line("f", 12, 1)], [Line("f", 15, 1)]
    assert moves(tmp_path, old, new, ({"f": 9}, {"f": 14})) == {10: 15, 12: 0}


def test_lines_behind_an_insertion_in_the_middle(tmp_path: Path) -> None:
    """Each line of a dense function has a namesake: what is called tells them apart."""
    old = [Line("f", 10 + i, 1, f"call{i}") for i in range(40)]
    new = [line._replace(number=line.number + (3 if line.number >= 25 else 0)) for line in old]
    new += [Line("f", 25 + i, 1, f"fresh{i}") for i in range(3)]
    assert moves(tmp_path, old, new) == {
        line.number: line.number + (3 if line.number >= 25 else 0) for line in old
    }


def test_columns_tell_where_nothing_is_called(tmp_path: Path) -> None:
    old = [Line("f", 10 + i, 1, column=1 + 4 * i) for i in range(6)]
    new = [line._replace(number=line.number + 1) for line in old[2:]]
    assert moves(tmp_path, old, new) == {10: 0, 11: 0, 12: 13, 13: 14, 14: 15, 15: 16}


def test_what_is_left_between_two_lines_is_paired_in_order(tmp_path: Path) -> None:
    old = [Line("f", 10, 1, "a"), Line("f", 11, 1, "x"), Line("f", 12, 1, "b")]
    new = [Line("f", 20, 1, "a"), Line("f", 22, 1, "y"), Line("f", 23, 1, "b")]
    assert moves(tmp_path, old, new) == {10: 20, 11: 22, 12: 23}


def test_a_line_taken_out(tmp_path: Path) -> None:
    old = [Line("f", 10, 1, "a"), Line("f", 11, 1, "x"), Line("f", 12, 1, "b")]
    new = [Line("f", 10, 1, "a"), Line("f", 11, 1, "b")]
    old, new = [*old, Line("g", 20, 1, "c")], [*new, Line("g", 19, 1, "c")]
    assert moves(tmp_path, old, new) == {10: 10, 11: 0, 12: 11, 20: 19}


def test_a_function_behind_an_edit_keeps_no_line_by_chance(tmp_path: Path) -> None:
    """All below moved by two lines; a number that both have is another line."""
    old = [Line("f", 3, 1, "a"), Line("g", 10, 1, "b"), Line("h", 20, 1, "c")]
    new = [Line("f", 5, 1, "a"), Line("g", 10, 1, "new"), Line("g", 12, 1, "b")]
    new.append(Line("h", 22, 1, "c"))
    assert moves(tmp_path, old, new) == {3: 5, 10: 12, 20: 22}


def test_a_line_of_two_functions_becomes_one_line(tmp_path: Path) -> None:
    old = [Line("f", 10, 1, "a"), Line("f.<locals>.<lambda>", 10, 1)]
    new = [Line("f", 12, 1, "a"), Line("f.<locals>.<lambda>", 12, 1)]
    starts = {"f.<locals>.<lambda>": 10}, {"f.<locals>.<lambda>": 12}
    assert moves(tmp_path, old, new, starts) == {10: 12}


_LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from("fgh"),
        st.integers(1, 30),
        st.just(1),
        st.sampled_from(["", "a", "b"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=14,
)


@given(_LINES, _LINES)
@settings(max_examples=60, deadline=None)
def test_no_two_lines_become_one(
    tmp_path_factory: pytest.TempPathFactory, old: list[Line], new: list[Line]
) -> None:
    found = moves(tmp_path_factory.mktemp("lines"), old, new)
    kept = [line for line in found.values() if line]
    assert len(set(kept)) == len(kept)
    assert set(kept) <= {line.number for line in new}
    assert set(found) == {line.number for line in old}


@given(_LINES, st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_code_that_moved_as_a_whole_is_found(
    tmp_path_factory: pytest.TempPathFactory, old: list[Line], by: int
) -> None:
    """Where its functions' first lines are known."""
    starts = dict.fromkeys("fgh", 1)
    new = [line._replace(number=line.number + by) for line in old]
    moved = {name: start + by for name, start in starts.items()}
    found = moves(tmp_path_factory.mktemp("lines"), old, new, (starts, moved))
    assert found == {line.number: line.number + by for line in old}


def test_lines_of_a_class_move_with_the_methods_above_them(tmp_path: Path) -> None:
    """A class's own code begins where it did; what is above a line tells how far that moved."""
    old = [
        Line("C", 3, 1),
        Line("C.f", 12, 1),
        Line("C", 15, 1),
        Line("C.g", 18, 1),
        Line("C", 19, 1),
    ]
    down = {3: 3, 12: 13, 15: 17, 18: 20, 19: 21}
    new = [line._replace(number=down[line.number]) for line in old]
    starts = {"C": 2, "C.f": 11, "C.g": 16}, {"C": 2, "C.f": 11, "C.g": 18}
    assert moves(tmp_path, old, new, starts) == down
