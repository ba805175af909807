"""Differences as text: signs, what they are said to be of, and that they fit."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.profile.programs import Line, Native, native_program, python_program
from tests.profile.random_recording import random_recording
from tests.profile.test_diff import pair
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.profile import EVERY_METRIC, FOLDS, METRICS, Profile, summarize
from heaptide.profile.shared import Shared
from heaptide.recording import Recording
from heaptide.views import units
from heaptide.views.changes import Scale, part, signed
from heaptide.views.comparable import caveats
from heaptide.views.diff_text import show_diff

__all__ = ["pair"]  # the fixture

Pair = tuple[Profile, Profile]


def text(
    pair: Pair,
    by: str = "function",
    metric: str = "peak",
    width: int = 80,
    encoding: str = "utf-8",
    **options: Any,
) -> list[str]:
    """The lines, as bytes in ``encoding`` would hold them."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    show_diff(*pair, EVERY_METRIC[metric], by, file=file, width=width, **options)
    file.flush()
    return raw.getvalue().decode(encoding).split("\n")


def table(lines: Sequence[str], verb: str) -> list[list[str]]:
    """The rows below ``What verb``, split where two spaces are."""
    start = next(i for i, line in enumerate(lines) if line.startswith(f"What {verb}: "))
    rows = []
    for line in lines[start + 2 :]:
        if not line:
            break
        rows.append(re.split("  +", line.strip()))
    return rows


def said(pair: Pair) -> list[tuple[str, str]]:
    """Level and text of each note."""
    summaries = summarize(pair[0]), summarize(pair[1])
    return [(note.level, note.text) for note in caveats(Shared(*pair), summaries)]


def test_what_grew_and_what_shrank(pair: Pair) -> None:
    lines = text(pair, width=120)
    after, before = "::hfedcba9876543210", "::h0123456789abcdef"
    assert table(lines, "grew") == [
        ["+200 B", "100 B → 300 B", f"a::load{after}", "/home/u/a/src/a::load.rs:5"],
        ["+9 B", "new →", "9 B", f"a::fresh{after}", "/home/u/a/src/a::fresh.rs:1"],
    ]
    assert table(lines, "shrank") == [
        ["-30 B", "50 B → 20 B", f"a::save{after}", "/home/u/a/src/a::save.rs:9"],
        ["-7 B", "7 B → gone", f"a::gone{before}", "/ci/1/src/a::gone.rs:1"],
    ]
    assert [line for line in lines if line.startswith("What")] == [
        "What grew: at peak, by function (+209 B)",
        "What shrank: at peak, by function (-37 B)",
    ]
    assert not any("a::same" in line for line in lines)


def test_key_figures_with_signs(pair: Pair) -> None:
    lines = [" ".join(line.split()) for line in text(pair)]
    assert "peak heap: 162 B → 334 B +172 B +106.2 %" in lines


def test_files_and_programs_head_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # from where no other way to write a path is shorter
    paths = [example().write(tmp_path / name) for name in ("a.tide", "b.tide")]
    recordings = [Recording.open(path) for path in paths]
    lines = text((Profile(recordings[0]), Profile(recordings[1])), width=300)
    assert [re.split("  +", line)[:2] for line in lines[:2]] == [
        ["old", paths[0].lstrip("/")],
        ["new", paths[1].lstrip("/")],
    ]
    assert all(line.endswith("python3 app.py") for line in lines[:2])


def test_a_line_that_moved(pair: Pair) -> None:
    rows = table(text(pair, "line", width=120), "grew")
    assert rows[0] == [
        "+200 B",
        "100 B → 300 B",
        "/home/u/a/src/a::load.rs:3→5",
        "a::load::hfedcba9876543210",
    ]
    rows = table(text(pair, "line", width=120, encoding="ascii"), "grew")
    assert rows[0][1:3] == ["100 B -> 300 B", "/home/u/a/src/a::load.rs:3->5"]


def test_a_file_that_was_renamed(tmp_path: Path) -> None:
    functions = [Native("load()", 1, "/s/v1.cpp", 3), Native("save()", 2, "/s/v1.cpp", 9)]
    renamed = [f._replace(file="/s/v2.cpp", size=f.size + 5) for f in functions]
    pair = native_program(tmp_path / "a", functions), native_program(tmp_path / "b", renamed)
    assert table(text(pair, "file"), "grew")[0][2:] == ["/s/v2.cpp", "(was /s/v1.cpp)"]


def test_code_without_symbols_is_one_row(tmp_path: Path) -> None:
    pair = (
        native_program(tmp_path / "a", [Native("", 1, address=0x10), Native("", 2, address=0x20)]),
        native_program(tmp_path / "b", [Native("", 7, address=0x30)]),
    )
    assert table(text(pair), "grew") == [
        ["+4 B", "3 B → 7 B", "[no symbols] app", "/home/u/app/app"]
    ]


def test_no_difference(pair: Pair) -> None:
    lines = text((pair[0], pair[0]))
    assert "No difference: at peak, by function" in lines
    assert not any(line.startswith("What") for line in lines)
    assert {line.split()[-1] for line in lines[3:7]} == {"same"}


def test_the_rest_is_summed_up(pair: Pair) -> None:
    lines = text(pair, top=1)
    assert "and 1 other grew by 9 B in all: see --top 0" in lines
    assert "and 1 other shrank by 7 B in all: see --top 0" in lines
    assert len(table(lines, "grew")) == 2  # one of them the rest


def test_what_hardly_changed_is_summed_up(tmp_path: Path) -> None:
    def program(name: str, extra: int) -> Profile:
        lines = [Line(f"f{i}", 10 * i, 100 + extra) for i in range(1, 6)]
        return python_program(tmp_path / name, [*lines, Line("big", 90, 10**6 + extra * 10**4)])

    lines = text((program("a", 0), program("b", 1)), least=0.001)
    assert [row[-2] for row in table(lines, "grew")[:3]] == ["big", "f1", "f2"]
    assert table(lines, "grew")[3] == ["and 3 others grew by 3 B in all: see --top 0"]


def test_per_second_and_per_allocation(tmp_path: Path) -> None:
    """The newer run lasted twice as long and allocated twice as much: nothing has changed."""
    profiles = []
    for name, times in (("a", 1), ("b", 2)):
        build = Builder()
        build.process()
        build.thread()
        contexts = [
            build.context(stack=build.stack(build.python(f, "/a.py", 1))) for f in ("f", "g")
        ]
        grown = 3 * (times - 1)
        build.slice(
            0,
            times * SECOND,
            {
                contexts[0]: Change(4 * times, 400 * times, 4 * times, 400 * times),
                contexts[1]: Change(times, times + grown, times, times + grown),
            },
        )
        build.finish(times * SECOND)
        profiles.append(Profile(Recording.open(build.write(tmp_path / name))))
    pair = profiles[0], profiles[1]
    plain = text(pair, metric="total")
    assert [row[0] for row in table(plain, "grew")] == ["+400 B", "+4 B"]
    per_second = text(pair, metric="total", scale="time")
    assert "What grew: allocated in total per second, by function (+2 B/s)" in per_second
    assert [row[:3] for row in table(per_second, "grew")] == [["+2 B/s", "1 B/s → 2 B/s", "g"]]
    per_call = text(pair, metric="total", scale="allocations")
    assert [row[:3] for row in table(per_call, "grew")] == [["+300 B", "200 B → 500 B", "g"]]
    assert "No difference: allocations per second, by function" in text(
        pair, metric="allocations", scale="time"
    )


def test_ends_of_two_kinds_have_one_name(pair: Pair, tmp_path: Path) -> None:
    """What is alive as of the last checkpoint is alive at no exit."""
    assert any(line.startswith("alive at exit:") for line in text(pair))
    build = example()
    build.end = None
    killed = Profile(Recording.open(build.write(tmp_path / "killed", finished=False)))
    lines = text((killed, pair[1]))
    assert any(line.startswith("alive at the end:") for line in lines)
    assert not any(line.startswith("alive at exit") for line in lines)


def test_other_runs_are_said_to_be_so(tmp_path: Path) -> None:
    def run(name: str, seconds: int, allocations: int, **meta: Any) -> Profile:
        build = Builder()
        build.meta.update(meta)
        build.process()
        build.thread()
        context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
        build.slice(0, seconds * SECOND, {context: Change(allocations, 9 * allocations)})
        build.finish(seconds * SECOND)
        return Profile(Recording.open(build.write(tmp_path / name)))

    base = run("base", 10, 100)
    assert said((base, base)) == []
    (longer,) = said((base, run("longer", 31, 300)))
    assert longer[1].startswith(
        "the new run lasted 3.1 times as long and made 3.0 times as many allocations: totals are "
        "not comparable, what is alive and the peak are"
    )
    assert said((base, run("slower", 31, 100))) == []  # with as much work, totals tell
    (shorter,) = said((base, run("shorter", 5, 45)))
    assert "lasted 0.50 times as long and made 0.45 times as many" in shorter[1]
    (more,) = said((base, run("more", 10, 500)))
    assert more[1].startswith("the new run made 5.0 times as many allocations: ")
    (order,) = said((base, run("earlier", 10, 100, start_time=1_600_000_000)))
    assert order[1].startswith("what is given as the older recording was made after the other")


def test_settings_that_differ_are_said(tmp_path: Path) -> None:
    profiles = []
    for number, (objects, interval) in enumerate([(True, 0), (False, 524288)]):
        build = example()
        build.meta["config"]["python_objects"] = objects
        build.meta["config"]["sample_interval"] = interval
        profiles.append(Profile(Recording.open(build.write(tmp_path / f"{number}.tide"))))
    found = said((profiles[0], profiles[1]))
    assert [(level, line.partition(" (")[0]) for level, line in found[:2]] == [
        ("warning", "they were recorded differently"),
        ("warning", "they were sampled differently"),
    ]
    # 2 * sqrt(2000 * 524288) bytes
    assert "at the peak, a difference below 64.8 kB may be chance" in found[2][1]
    assert said((profiles[0], profiles[0])) == []


def test_names_that_one_recording_lacks_are_said(tmp_path: Path) -> None:
    named, nameless = Native("load()", 1), Native("", 1, address=0x10)
    pair = (
        native_program(tmp_path / "a", [named]),
        native_program(tmp_path / "b", [nameless, Native("x", 1)._replace(name="")]),
    )
    other = native_program(tmp_path / "c", [named])
    assert [level for level, _ in said(pair)] == ["warning"]
    assert "heaptide symbolize" in said(pair)[0][1]
    assert said((pair[0], other)) == []


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("by", FOLDS)
def test_it_fits(pair: Pair, by: str, width: int, encoding: str) -> None:
    lines = text(pair, by, width=width, encoding=encoding)
    end = lines.index("Next")
    assert all(cell_len(line) <= width for line in lines[:end])
    assert all(line == line.rstrip() for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_names_are_data(tmp_path: Path) -> None:
    evil = "\x1b[31m[bold]f\n\u202e"
    pair = (
        python_program(tmp_path / "a", [Line(evil, 1, 1)], file="/x/\x1b]0;t\x07.py"),
        python_program(tmp_path / "b", [Line(evil, 1, 9)], file="/y/\x1b]0;t\x07.py"),
    )
    for by in FOLDS:
        whole = "\n".join(text(pair, by))
        assert not set(whole) & set("\x1b\x07\u202e")
    assert "\\x1b[31m[bold]f\\x0a" in "\n".join(text(pair))


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_any_two_recordings(one: int, other: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.tide", "new.tide")]
        recordings = [random_recording(seed, path) for seed, path in zip((one, other), paths)]
        pair = Profile(recordings[0]), Profile(recordings[1])
        for by in FOLDS:
            lines = text(pair, by, "total", top=0)
            listed = sum(
                len(table(lines, verb))
                for verb in ("grew", "shrank")
                if any(line.startswith(f"What {verb}") for line in lines)
            )
            assert (listed == 0) == any(line.startswith("No difference") for line in lines)
        for recording in recordings:
            recording.close()


def test_nothing_and_something(tmp_path: Path) -> None:
    """Of an empty recording all is new; it does not differ from itself."""
    empty = Profile(Recording.open(Builder().write(tmp_path / "empty")))
    some = python_program(tmp_path / "some", [Line("f", 1, 5)])
    assert table(text((empty, some)), "grew")[0][:2] == ["+5 B", "new → 5 B"]
    assert table(text((some, empty)), "shrank")[0][:2] == ["-5 B", "5 B → gone"]
    for by in FOLDS:
        assert any(line.startswith("No difference") for line in text((empty, empty), by))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0, 0, ""),
        (5, 5, ""),
        (0, 5, "new"),
        (100, 123, "+23.0 %"),
        (100, 77, "-23.0 %"),
        (100, 0, "-100.0 %"),
        (10**6, 10**6 + 1, "+0.0 %"),
        (10**6, 10**6 - 1, "-0.0 %"),
        (100, 999, "+899.0 %"),
        (100, 1250, "12.5 times"),
    ],
)
def test_parts(before: int, after: int, expected: str) -> None:
    assert part(before, after) == expected


def test_the_largest_change_there_can_be() -> None:
    """Damaged files have it; it has no absolute value in 64 bits."""
    assert signed(np.int64(-(1 << 63)), units.size).plain == "-9.2 EB"


@pytest.mark.parametrize(
    ("metric", "by", "amount", "expected"),
    [
        ("peak", None, 1_234_567, "1.2 MB"),
        ("allocations", None, 1_234_567, "1,234,567"),
        ("total", "time", 1234.5, "1.2 kB/s"),
        ("total", "time", 0.2, "<1 B/s"),
        ("total", "allocations", 0.2, "200 B"),
        ("allocations", "time", 1234.5, "1,234/s"),
        ("allocations", "time", 12.34, "12.3/s"),
        ("allocations", "time", 0.001, "<0.01/s"),
        ("allocations", "time", 0.0, "0/s"),
        ("temporary", "allocations", 0.5, "500"),
    ],
)
def test_scaled_figures(metric: str, by: str | None, amount: float, expected: str) -> None:
    assert Scale(METRICS[metric], by).figure(amount) == expected
