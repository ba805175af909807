"""CSV: columns that stay, in the form that RFC 4180 has, with names that cannot do harm."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.cli.show import show
from heaptide.errors import UsageError
from heaptide.views.csv import HISTOGRAM_COLUMNS, SITE_COLUMNS, TIMELINE_COLUMNS, TREE_COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return example().write(tmp_path / "a.tide")


def raw(path: str, *options: str) -> str:
    done = CliRunner().invoke(show, [path, "--csv", *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout_bytes.decode()


def rows(path: str, *options: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw(path, *options), newline="")))


def test_lines_end_as_the_standard_says(path: str) -> None:
    text = raw(path)
    assert text.count("\n") == text.count("\r\n") == 2
    assert text.endswith("\r\n")


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ([], SITE_COLUMNS),
        (["--by", "thread"], SITE_COLUMNS),
        (["--threads"], SITE_COLUMNS),
        (["--tree", "callers"], TREE_COLUMNS),
        (["--timeline"], TIMELINE_COLUMNS),
        (["--histogram", "sizes"], HISTOGRAM_COLUMNS),
    ],
)
def test_columns_are_those_of_the_page(
    path: str, options: list[str], columns: tuple[str, ...]
) -> None:
    assert tuple(rows(path, *options)[0]) == columns
    documented = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert ",".join(columns) in {re.sub(r"\s", "", text) for text in documented}


def test_a_table(path: str) -> None:
    (row,) = rows(path)
    assert (row["function"], row["file"], row["line"]) == ("load", "/home/user/app.py", "12")
    assert (row["peak_bytes"], row["total_bytes"], row["share"]) == ("2000", "3300", "1.0")
    assert (row["pid"], row["thread"], row["leaked_bytes"]) == ("", "", "")


def test_threads_and_processes(path: str) -> None:
    main, worker = rows(path, "--threads")
    assert (main["pid"], main["tid"], main["thread"]) == ("4711", "4711", "MainThread")
    assert (worker["thread"], worker["peak_bytes"]) == ("worker", "800")
    (process,) = rows(path, "--by", "process")
    assert (process["pid"], process["image"], process["command"]) == ("4711", "0", "python3 app.py")


def test_a_tree(path: str) -> None:
    found = rows(path, "--tree", "callees")
    assert [
        (r["node"], r["parent"], r["function"], r["itself"], r["inclusive"]) for r in found
    ] == [
        ("0", "", "", "0", "2000"),
        ("1", "0", "<module>", "0", "2000"),
        ("2", "1", "load", "1200", "2000"),
        ("3", "2", "work::grow()", "0", "800"),
        ("4", "3", "std::vector<int>::push_back(int&&)", "800", "800"),
    ]
    assert [r["beside"] for r in found] == ["20", "20", "20", "8", "8"]


def test_the_timeline(path: str) -> None:
    found = rows(path, "--timeline")
    assert [(r["time_seconds"], r["live_bytes"], r["rss_bytes"]) for r in found] == [
        ("1.0", "800", "41943040"),
        ("2.0", "1700", "41943040"),
        ("3.0", "600", "41943040"),
    ]


def test_histograms(path: str) -> None:
    found = rows(path, "--histogram", "sizes", "--histogram", "lifetimes")
    assert {r["histogram"] for r in found} == {"sizes", "lifetimes", "lifetimes in allocations"}
    assert [r["count"] for r in found if (r["above"], r["up_to"]) == ("64", "128")] == ["33"]


def test_names_are_data(tmp_path: Path) -> None:
    """Quotes, commas and lines come back as they are, or can be told; nothing moves a cursor."""
    build = Builder()
    build.process()
    build.thread()
    names = ['say "hi", twice', "a\r\nb", "\x1b[2J", "ü漢", "=1+1"]
    held = {
        build.context(stack=build.stack(build.python(name, "/a.py", i + 1))): (1, 100 - i)
        for i, name in enumerate(names)
    }
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    path = build.write(tmp_path / "a.tide")
    expected = ['say "hi", twice', "a\\r\\nb", "\\x1b[2J", "ü漢", "=1+1"]
    assert [row["function"] for row in rows(path)] == expected
    assert [row["function"] for row in rows(path, "--tree", "callers")][1:] == expected
    assert '"say ""hi"", twice"' in raw(path)


@pytest.mark.parametrize(
    "options", [["--json"], ["--timeline", "--tree", "callers"], ["--threads", "--timeline"]]
)
def test_one_table_at_a_time(path: str, options: list[str]) -> None:
    with pytest.raises(UsageError, match="prints one table"):
        CliRunner().invoke(show, [path, "--csv", *options], catch_exceptions=False)
