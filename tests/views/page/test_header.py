"""What the page says once for the whole recording."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.formats.files import DATA
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.cli.show import show
from heaptide.formats import open_recording
from heaptide.profile import Profile
from heaptide.recording import Recording
from heaptide.views.page.header import header_of


def unfinished() -> Builder:
    build = example()
    build.end = None
    return build


@pytest.mark.parametrize("live", [False, True])
def test_nothing_is_said_of_an_end_that_is_to_come(tmp_path: Path, live: bool) -> None:
    with Recording.open(unfinished().write(tmp_path / "a.tide", finished=False)) as recording:
        header = header_of(Profile(recording), None, live=live)
    said = [note["text"] for note in header["notes"]]
    assert any("the recording has no end" in text for text in said) != live
    assert any(verdict["name"] == "alive_at_exit" for verdict in header["verdicts"]) != live


def test_code_of_modules_and_where_paths_are_seen_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        header = header_of(Profile(recording), None, live=False)
    assert header["modules"] == {"/home/user/app.py": "app.py"}
    assert header["here"] == os.fspath(tmp_path)


def header_of_file(path: Path, base: Path | None = None) -> dict[str, Any]:
    with open_recording(path) as recording:
        if base is None:
            return header_of(Profile(recording), None, live=False)
        with open_recording(base) as older:
            return header_of(Profile(recording), Profile(older), live=False)


def test_of_an_imported_file_only_what_it_tells() -> None:
    header = header_of_file(DATA / "cpp.massif.out")
    assert set(header["summary"]) == {"peak_bytes", "alive_at_exit_bytes", "processes"}
    assert header["timeline"]  # by instructions
    assert [(one["name"], one["beside"]) for one in header["metrics"]] == [
        ("peak", ""),
        ("alive", ""),
    ]
    names = {one["name"] for one in header["ranges"]}
    assert names == {"survived", "grown", "live_end", "live_start"}  # nothing of blocks
    header = header_of_file(DATA / "tcm.0001.heap")
    assert "peak_bytes" not in header["summary"]
    assert "deallocations" not in header["summary"]
    assert not header["timeline"]


def test_what_samples_do_not_tell_is_null(tmp_path: Path) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    header = header_of_file(Path(build.write(tmp_path / "a.tide")))
    unknown = {name for name, figure in header["summary"].items() if figure is None}
    assert unknown == {"temporary_allocations", "short_lived_allocations"}
    assert header["timeline"]


@pytest.mark.parametrize("seconds", [3, 100])
@pytest.mark.parametrize("leak", [False, True])
def test_verdicts_are_those_of_show(tmp_path: Path, seconds: int, leak: bool) -> None:
    """Of what leaks, what does not, and what is too short to tell it."""
    build = Builder()
    build.process(1, end=seconds * SECOND)
    build.thread(0)
    context = build.context(0, build.stack(build.python("f", "/home/u/a.py", 1)))
    for second in range(seconds):
        change = Change(1, 100) if leak or not second else Change(1, 100, 1, 100)
        build.slice(second * SECOND, (second + 1) * SECOND, {context: change})
    build.peak({context: (seconds, seconds * 100)})
    build.finish(seconds * SECOND)
    path = build.write(tmp_path / "a.tide")
    shown = CliRunner().invoke(show, [path, "--json"], catch_exceptions=False).stdout
    header = header_of_file(Path(path))
    assert header["verdicts"] == json.loads(shown)["verdicts"]
    names = {one["name"] for one in header["verdicts"]}
    assert ("growth" in names) == (leak and seconds > 3)
    short = "too short to tell leaks: nothing can be seen to grow and grow"
    leaked = next(one for one in header["metrics"] if one["name"] == "leaked")
    assert (short in leaked["notes"]) == (seconds == 3)


def test_metrics_are_offered_in_bytes_and_in_counts(tmp_path: Path) -> None:
    path = Path(example().write(tmp_path / "a.tide"))
    for base in (None, path):
        header = header_of_file(path, base)
        found = [(one["name"], one["words"]) for one in header["metrics"]]
        assert found == [
            ("peak", "at peak"),
            ("peak-blocks", "blocks at peak"),
            ("alive", "alive at exit"),
            ("alive-blocks", "blocks alive at exit"),
            ("leaked", "leaked"),
            ("leaked-blocks", "blocks leaked"),
            ("total", "allocated in total"),
            ("allocations", "allocations"),
            ("temporary", "temporary allocations"),
            ("short-lived", "short-lived allocations"),
            ("copied", "copied by realloc"),
            ("reallocations", "reallocations"),
        ]
        assert all(one["definition"] for one in header["metrics"])
        ranges = {one["name"] for one in header["ranges"]}
        for name in ("survived", "grown", "live_end", "live_start", "freed"):
            assert {name, f"{name}_blocks"} <= ranges


def test_a_comparison_offers_what_both_know(tmp_path: Path) -> None:
    whole = Path(example().write(tmp_path / "a.tide"))
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    sampled = Path(build.write(tmp_path / "b.tide"))
    for pair in ((whole, sampled), (sampled, whole)):
        header = header_of_file(*pair)
        for part in ("metrics", "ranges"):
            names = {one["name"] for one in header[part]}
            assert "reallocations" in names
            assert not names & {"temporary", "short-lived", "short_lived"}


def test_metrics_of_a_format_s_own() -> None:
    header = header_of_file(DATA / "adhoc.dhat.json")
    found = [(one["name"], one["unit"], one["column"]) for one in header["metrics"]]
    assert found == [
        ("units", "allocations", "extra_units"),
        ("events", "allocations", "extra_events"),
    ]
    assert "DHAT" in header["metrics"][0]["definition"]
    copies = DATA / "copy.dhat.json"
    assert [one["unit"] for one in header_of_file(copies)["metrics"]] == ["bytes", "allocations"]
    both = header_of_file(DATA / "cpp.dhat.json", DATA / "mb.dhat.json")["metrics"]
    names = {one["name"] for one in both}
    assert {"peak", "writes"} <= names
    assert "reads" not in names  # which the other file has none of
