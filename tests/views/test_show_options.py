"""Every option of ``show`` with every kind of recording: it opens, fits, and says what it is."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from tests.recording.make import SECOND, Builder, Change, example
from tests.views.test_text import hostile

from heaptide.cli.show import HIDE, HISTOGRAMS, MERGE, METRICS, RECURSION, TREE_FOLDS, show
from heaptide.errors import HeaptideError, UsageError
from heaptide.profile import METRICS as METRICS_BY_NAME
from heaptide.profile import RECURSION as PROFILE_RECURSION
from heaptide.profile import TREE_FOLDS as PROFILE_TREE_FOLDS
from heaptide.profile import Origin, Profile, Selection
from heaptide.recording import Recording
from heaptide.views import document as views_document
from heaptide.views import text
from heaptide.views.rows import HISTOGRAMS as VIEWS_HISTOGRAMS
from heaptide.views.treeoptions import TreeOptions

SCHEMA = json.loads(Path(views_document.__file__).with_name("show.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def output(path: str, *options: str) -> str:
    done = CliRunner().invoke(
        show, [path, *options], catch_exceptions=False, env={"COLUMNS": "80", "TERM": "dumb"}
    )
    assert done.exit_code == 0
    return done.stdout_bytes.decode()


def test_the_command_line_names_what_there_is() -> None:
    assert TREE_FOLDS == PROFILE_TREE_FOLDS
    assert RECURSION == PROFILE_RECURSION
    assert HISTOGRAMS == VIEWS_HISTOGRAMS
    origins = {origin.name.lower() for origin in Origin}
    assert set(HIDE) <= origins | {"none"}
    assert set(MERGE) <= origins | {"templates"}


def written(build: Builder, path: Path) -> str:
    return build.write(path / "a.tide")


def empty(path: Path) -> str:
    return written(Builder(), path)


def no_allocation(path: Path) -> str:
    build = Builder()
    build.process()
    build.thread()
    build.slice(0, SECOND, {})
    build.timeline(SECOND)
    build.finish(SECOND)
    return written(build, path)


def one_allocation(path: Path) -> str:
    build = Builder()
    build.process(peak_bytes=8, peak_time=SECOND // 2, end=SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("only", "/a.py", 1)))
    build.slice(0, SECOND, {context: Change(1, 8)})
    build.peak({context: (1, 8)})
    build.timeline(SECOND, live_bytes=8, live_blocks=1, peak_bytes=8)
    build.finish(SECOND)
    return written(build, path)


def deep(path: Path) -> str:
    build = Builder()
    build.process(peak_bytes=16, peak_time=SECOND, end=SECOND)
    build.thread()
    outer = build.python("main", "/a.py", 1)
    frames = [build.python("deep", "/a.py", 2), build.python("deeper", "/a.py", 3)] * 5000
    held = {build.context(stack=build.stack(outer, *frames)): (1, 8)}
    held[build.context(stack=build.stack(outer, *frames[:77]))] = (1, 8)
    build.slice(0, SECOND, {context: Change(1, 8) for context in held})
    build.peak(held)
    build.finish(SECOND)
    return written(build, path)


def truncated(path: Path) -> str:
    """As a collector leaves it that is killed: no end, and the last chunk cut."""
    build = example()
    build.end = None
    whole = Path(build.write(path / "whole.tide", finished=False)).read_bytes()
    (path / "a.tide").write_bytes(whole[:-100])
    return str(path / "a.tide")


def cut_early(path: Path) -> str:
    whole = Path(example().write(path / "whole.tide")).read_bytes()
    (path / "a.tide").write_bytes(whole[: len(whole) // 2])
    return str(path / "a.tide")


def sampled(path: Path) -> str:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    return written(build, path)


RECORDINGS: dict[str, Callable[[Path], str]] = {
    "empty": empty,
    "no allocation": no_allocation,
    "one allocation": one_allocation,
    "deep": deep,
    "truncated": truncated,
    "cut early": cut_early,
    "sampled": sampled,
    "example": lambda path: example().write(path / "a.tide"),
}
OPTIONS = [
    [],
    *(["--metric", metric] for metric in METRICS),
    *(["--tree", direction] for direction in ("callers", "callees")),
    *(["--tree", "callers", "--hide", hide] for hide in HIDE),
    *(["--tree", "callees", "--merge", merge] for merge in MERGE),
    *(["--tree", "callers", "--recursion", recursion] for recursion in RECURSION),
    ["--tree", "callees", "--by", "line", "--least", "0", "--top", "500"],
    ["--tree", "callees", "--metric", "total", "--by", "module"],
    ["--histogram", "sizes", "--histogram", "lifetimes"],
    ["--threads"],
    ["--timeline"],
    ["--tree", "callers", "--threads", "--timeline"],
    ["--to", "0.5"],
    ["--from", "0.1", "--to", "0.9", "--timeline"],
    ["--at", "0.5"],
    ["--size", "8"],
    ["--size", "..64KiB", "--metric", "allocations"],
    ["--exclude", "nothing", "--exclude-module", "/nothing/"],
    ["--exclude", "/./", "--tree", "callees"],
]
FORMS = {"text": [], "json": ["--json"], "csv": ["--csv"]}


@pytest.mark.parametrize("kind", RECORDINGS)
@pytest.mark.parametrize("form", FORMS)
def test_it_opens_with_every_option(tmp_path: Path, kind: str, form: str) -> None:
    path = RECORDINGS[kind](tmp_path)
    checks: dict[str, Callable[[str], None]] = {"text": fits, "json": keeps, "csv": parses}
    for options in OPTIONS:
        unknown = kind == "sampled" and options[-1:] in (["temporary"], ["short-lived"])
        several = form == "csv" and options[-1:] == ["--timeline"] and "--threads" in options
        if unknown or several:
            with pytest.raises(UsageError):
                output(path, *options, *FORMS[form])
            continue
        if (kind, form) == ("deep", "json") and "--top" not in options:
            options = [
                *options,
                "--top",
                "60",
            ]  # to validate a thousand times as much tells no more
        checks[form](output(path, *options, *FORMS[form]))


def fits(shown: str) -> None:
    lines = shown.split("\n")
    assert max(cell_len(line) for line in lines if "  heaptide " not in line) <= 80
    assert len(lines) > 1


def keeps(shown: str) -> None:
    VALIDATOR.validate(json.loads(shown))


def parses(shown: str) -> None:
    table = list(csv.reader(io.StringIO(shown, newline="")))
    assert {len(row) for row in table} == {len(table[0])}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_are_data_in_every_view(tmp_path: Path, encoding: str) -> None:
    """Names that would clear the screen, open tags, or take more columns than characters."""
    profile = Profile(Recording.open(hostile().write(tmp_path / "a.tide")))
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    for options in (TreeOptions("callers"), TreeOptions("callees", "line", hide=())):
        text.show_views(
            profile,
            METRICS_BY_NAME["total"],
            tree=options,
            threads=True,
            histograms=HISTOGRAMS,
            timeline=True,
            file=file,
            width=80,
        )
    file.flush()
    shown = raw.getvalue().decode(encoding)
    assert max(map(cell_len, shown.split("\n"))) <= 80
    assert not set(shown) & set(map(chr, [*range(10), *range(11, 32), 127]))
    assert "\\x1b[2J" in shown
    assert "[bold red]x[/]" in shown
    chosen = Profile(profile.recording, Selection(functions=("\x1b[2J",)))
    text.show_views(chosen, METRICS_BY_NAME["total"], tree=options, file=file, width=80)
    file.flush()
    assert b"\x1b" not in raw.getvalue()


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("empty", "no allocation was recorded"),
        ("no allocation", "no allocation was recorded"),
        ("truncated", "figures are as of its last checkpoint"),
        ("cut early", "a.tide is cut off at byte"),
        ("cut early", "no allocation is in the part of the file that can be read"),
        ("sampled", "figures are estimates"),
    ],
)
def test_it_says_what_it_is(tmp_path: Path, kind: str, part: str) -> None:
    path = RECORDINGS[kind](tmp_path)
    assert part in " ".join(output(path).split())
    if kind != "sampled":  # a warning, which every view has
        for options in (["--tree", "callees"], ["--timeline"], ["--threads"], ["--by", "line"]):
            assert part in " ".join(output(path, *options).split())


def test_without_options_it_is_what_a_person_needs_first(tmp_path: Path) -> None:
    """About a page: 60 lines, with more sites, notes and processes than fit."""
    build = example()
    for i in range(30):
        context = build.context(stack=build.stack(build.python(f"f{i}", f"/srv/{i}.py", 1)))
        build.slices[0][2][context] = Change(1, 10)  # type: ignore[index]
        build.peak({context: (1, 10)})
    shown = output(build.write(tmp_path / "a_recording_with_a_name_that_is_long.tide"))
    assert len(shown.splitlines()) <= 60


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--hide", "library"], "add --tree callers or --tree callees"),
        (["--least", "0"], "add --tree"),
        (["--merge", "templates"], "add --tree"),
        (["--recursion", "all"], "add --tree"),
        (["--tree", "callers", "--by", "thread"], "no tree is by thread"),
        (["--at", "1", "--to", "2"], "one of the two"),
        (["--at", "0"], "later --at"),
        (["--to", "0"], "later --to"),
        (["--from", "2", "--to", "1"], "give a later end"),
        (["--from", "1h"], "a.tide ends 3 s after its start"),
        (["--from", "1h"], "that begins at 3,600 s; begin earlier"),
        (["--from", "2000000", "--to", "1234567"], "ends at 1,234,567 s, which"),
        (["--to", "0.02ms", "--from", "1"], "ends at 0.02 ms, which"),
        (["--function", "nobody"], "no function in"),
        (["--thread", "nobody"], "no thread in"),
        (["--function", "nobody"], "a.tide --by function --top 0 lists those there are"),
        (["--module", "/[/"], "no regular expression"),
        (["--module", "/a{99999999999999}/"], "no regular expression"),
        (["--module", f"/{'(' * 9000}{')' * 9000}/"], "too long for a regular expression"),
        (["--tree", "callees", "--hide", "none", "--hide", "library"], "leave it out"),
        (["--size", "16", "--at", "1"], "not both"),
        (["--csv", "--json"], "prints one table"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path: Path, options: list[str], part: str) -> None:
    path = example().write(tmp_path / "a.tide")
    with pytest.raises(HeaptideError, match=re.escape(part)) as raised:
        output(path, *options)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize("size", ["..", "9..8", "x", "1KiB..x", "0"])
def test_what_is_no_size_is_told(tmp_path: Path, size: str) -> None:
    done = CliRunner().invoke(show, [example().write(tmp_path / "a.tide"), "--size", size])
    assert done.exit_code == 2


def test_what_is_not_a_regular_expression_yet(tmp_path: Path) -> None:
    """Python warns of what it may read differently one day: nothing that its user can help."""
    assert "nothing" in output(example().write(tmp_path / "a.tide"), "--exclude", "/[[a]|l/")


def test_what_is_not_known_is_said_before_anything_is_printed(tmp_path: Path) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    path = build.write(tmp_path / "a.tide")
    done = CliRunner().invoke(show, [str(path), "--metric", "temporary", "--tree", "callees"])
    assert isinstance(done.exception, HeaptideError)
    assert done.output == ""


def test_a_part_says_what_it_is_in_words(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    lines = output(path, "--from", "1", "--to", "2", "--thread", "worker", "--function", "load")
    assert lines.split("\n")[1] == (
        "only from 1.00 s to 2.00 s; threads like worker; stacks with load"
    )
    assert "verdict" not in lines
    assert "Next" not in lines.split("\n")
    table = output(path, "--at", "2")
    assert "only until 2.00 s" in table
    assert "Live at 2 s, by function" in table


def test_the_chart_marks_the_peak_and_says_what_it_was_made_of(tmp_path: Path) -> None:
    lines = output(example().write(tmp_path / "a.tide"), "--timeline").split("\n")
    marked = [line for line in lines if line.startswith("#")]
    assert [re.split("  +", line) for line in marked] == [
        ["#", "1.50 s", "2.0 kB", "41.9 MB", "load 100.0 %"]
    ]
    chart = [line for line in lines if "│" in line or "┤" in line]
    columns = {line.index("#") for line in chart}
    assert len(chart) == 16
    assert len(columns) == 1
    moments = [line for line in lines if re.match(r" .*\d s  .* [kM]?B ", line)]
    assert len(moments) == 3


def test_threads_are_told_with_their_times(tmp_path: Path) -> None:
    lines = output(example().write(tmp_path / "a.tide"), "--threads").split("\n")
    found = [re.split("  +", line.strip()) for line in lines if "47" in line]
    assert found == [
        ["1.2 kB", "300 B", "2.3 kB", "23", "0 s", "3.00 s", "MainThread, 4711"],
        ["800 B", "300 B", "1.0 kB", "7", "1.00 s", "2.00 s", "worker, 4712, runs <mo…"],
    ]


def test_a_moment_behind_the_end_is_told_from_one_that_was_snapped(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    late = output(path, "--at", "99s")
    assert "the recording is 3.00 s long" in late and "kept by slices" not in late
    assert "kept by slices" in output(path, "--at", "1.5s")


def test_notes_are_read_with_the_whole(tmp_path: Path) -> None:
    """Not again with each part, where they take more room than what was asked for."""
    build = example()
    build.note(SECOND, "something good to know")
    path = build.write(tmp_path / "a.tide")
    assert "good to know" in output(path)
    assert "good to know" not in output(path, "--function", "load")


def test_histograms_have_bars(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    lines = output(path, "--histogram", "sizes", "--histogram", "lifetimes").split("\n")
    rows = [re.split("  +", line.strip()) for line in lines if "█" in line]
    assert rows[0] == ["up to 128 B", "33", "100.0 %", "█" * 30]
    assert [row[0] for row in rows[1:3]] == ["less than 1.00 ms", "less than 10.0 ms"]
    assert [row[1] for row in rows[3:]] == ["5", "5", "6", "4", "4"]
