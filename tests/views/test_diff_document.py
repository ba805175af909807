"""Differences for programs: JSON with its schema, CSV, and the page that explains both."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.profile.programs import Line, python_program
from tests.profile.random_recording import random_recording
from tests.profile.test_diff import pair
from tests.recording.make import SECOND, Builder, Change, example
from tests.recording.mutate import mutated, random_change

from heaptide.errors import HeaptideError
from heaptide.profile import COLUMNS, EVERY_METRIC, FOLDS, METRICS, Profile
from heaptide.recording import Recording
from heaptide.views import diff_document as module
from heaptide.views.diff_document import CSV_COLUMNS, diff_csv, diff_document

__all__ = ["pair"]  # the fixture

Pair = tuple[Profile, Profile]
SCHEMA = json.loads(Path(module.__file__).with_name("diff.schema.json").read_text())
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "json.md").read_text().partition("# The JSON of `heaptide diff`")[2]


def document(pair: Pair, metric: str = "peak", by: str = "function", **options: Any) -> Any:
    found = json.loads(json.dumps(diff_document(*pair, EVERY_METRIC[metric], by, **options)))
    Draft202012Validator(SCHEMA).validate(found)
    return found


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {"const": module.SCHEMA_VERSION}


@pytest.mark.parametrize("by", FOLDS)
@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_json_keeps_to_its_schema(pair: Pair, by: str, metric: str) -> None:
    found = document(pair, metric, by)
    assert found["total_change"] == sum(change["change"] for change in found["changes"])


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_differences_of_any_two_recordings(one: int, other: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.tide", "new.tide")]
        recordings = [random_recording(seed, path) for seed, path in zip((one, other), paths)]
        pair = Profile(recordings[0]), Profile(recordings[1])
        for by in FOLDS:
            found = document(pair, "total", by)
            change = found["summary_change"]["total_bytes"]
            assert found["total_change"] == change
            assert sum(row["change"] for row in found["changes"]) == change
            for row in found["changes"]:
                assert row["new"]["total_bytes"] - row["old"]["total_bytes"] == row["change"] != 0
        for recording in recordings:
            recording.close()


def test_a_change(pair: Pair) -> None:
    found = document(pair)
    assert [(row["status"], row["change"]) for row in found["changes"]] == [
        ("grew", 200),
        ("new", 9),
        ("gone", -7),
        ("shrank", -30),
    ]
    assert found["same"] == 1
    first = found["changes"][0]
    assert {name: first[name] for name in first if name not in ("old", "new")} == {
        "status": "grew",
        "change": 200,
        "scaled_change": None,
        "function": "a::load::hfedcba9876543210",
        "file": "/home/u/a/src/a::load.rs",
        "line": 5,
        "language": "rust",
        "module": "/home/u/a/bin/app",
        "origin": "own",
        "thread": None,
        "process": None,
        "old_function": "a::load::h0123456789abcdef",
        "old_file": "/ci/1/src/a::load.rs",
        "old_line": 3,
        "old_module": "/ci/1/bin/app",
    }
    assert first["old"]["peak_bytes"] == 100
    assert found["changes"][1]["old_file"] is None
    assert found["changes"][2]["file"] == found["changes"][2]["old_file"] is not None


def test_the_largest_changes_each_way(pair: Pair) -> None:
    changes = document(pair, top=1)["changes"]
    assert [row["change"] for row in changes] == [200, -30]
    assert [row["change"] for row in document(pair, top=0)["changes"]] == [200, 9, -7, -30]


def test_scaled(pair: Pair) -> None:
    found = document(pair, "total", scale="allocations")
    assert found["selection"]["normalize"] == "allocations"
    # Four allocations in both: 300 / 4 - 100 / 4.
    assert found["changes"][0]["scaled_change"] == 50.0
    assert found["changes"][0]["change"] == 200


def test_samples_do_not_tell_what_came_next(tmp_path: Path) -> None:
    profiles = []
    for name, interval in (("a", 0), ("b", 4096)):
        build = example()
        build.meta["config"]["sample_interval"] = interval
        profiles.append(Profile(Recording.open(build.write(tmp_path / name))))
    found = document((profiles[0], profiles[1]))
    assert found["summary_change"]["temporary_allocations"] is None
    assert found["summary_change"]["allocations"] == 0
    assert [note["level"] for note in found["notes"]] == ["warning", "note"]
    grown = python_program(tmp_path / "c", [Line("load", 3, 5)])
    rows = document((profiles[1], grown))["changes"]
    assert all(row["old"]["temporary_allocations"] is None for row in rows)
    assert all(row["new"]["short_lived_allocations"] is None for row in rows)


def test_what_a_recording_says_of_itself_is_data(tmp_path: Path) -> None:
    build = example()
    build.meta.update(start_time=float("nan"), command="no list")
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide")))
    found = document((profile, profile))
    assert (found["old"]["start_time"], found["old"]["command"]) == (None, [])


def test_csv_has_the_rows_of_json(pair: Pair) -> None:
    text = diff_csv(*pair, METRICS["peak"], "function")
    assert text.count("\r\n") == 5
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    changes = document(pair)["changes"]
    assert [row["change"] for row in rows] == [str(change["change"]) for change in changes]
    for row, change in zip(rows, changes):
        assert list(row) == list(CSV_COLUMNS)
        assert row["function"] == change["function"]
        assert row["old_line"] == ("" if change["old_line"] is None else str(change["old_line"]))
        for name in COLUMNS:
            assert int(row[f"new_{name}"]) == change["new"][name]


def test_csv_moves_no_cursor(tmp_path: Path) -> None:
    pair = (
        python_program(tmp_path / "a", [Line("f\x1b[2J", 1, 1)]),
        python_program(tmp_path / "b", [Line("f\x1b[2J", 1, 2)]),
    )
    assert "\x1b" not in diff_csv(*pair, METRICS["peak"], "function")
    assert "f\\x1b[2J" in diff_csv(*pair, METRICS["peak"], "function")


def _keys(schema: dict[str, Any], name: str) -> set[str]:
    return set(schema["properties"] if name == "" else schema["$defs"][name]["properties"])


def test_the_page_explains_every_key() -> None:
    documented = set(re.findall(r"`(\w+)`", PAGE))
    keys = _keys(SCHEMA, "") | _keys(SCHEMA, "change") | _keys(SCHEMA, "side")
    keys |= set(SCHEMA["properties"]["selection"]["properties"])
    assert keys <= documented, keys - documented


def test_the_page_lists_the_columns_of_csv() -> None:
    page = (DOCS / "cli.md").read_text()
    listed = re.search(r"```text\n(status,change.*?)```", page, re.DOTALL)
    assert listed
    assert "".join(listed[1].split()) == ",".join(CSV_COLUMNS)


def test_recordings_that_somebody_changed(tmp_path: Path) -> None:
    """They are compared, or refused in words."""
    whole = example().write(tmp_path / "whole.tide")
    data, path = Path(whole).read_bytes(), tmp_path / "changed.tide"
    compared = 0
    for seed in range(120):
        chance = random.Random(seed)
        path.write_bytes(mutated(data, seed, random_change(chance)))
        by, metric = chance.choice(FOLDS), chance.choice(list(METRICS))
        try:
            with Recording.open(path) as changed, Recording.open(whole) as other:
                for old, new in ((changed, other), (other, changed)):
                    found = diff_document(Profile(old), Profile(new), METRICS[metric], by)
                    json.dumps(found, allow_nan=False)
                compared += 1
        except HeaptideError as error:
            assert error.message.isprintable()
    assert compared > 60


def test_a_stack_of_ten_thousand_frames(tmp_path: Path) -> None:
    profiles = []
    for name, down in (("a", 0), ("b", 3)):
        build = Builder()
        build.process()
        build.thread()
        frames = [build.python(f"f{i}", "/deep.py", 1 + i + down) for i in range(10_000)]
        context = build.context(stack=build.stack(*frames))
        build.slice(0, SECOND, {context: Change(1, 100 + down)})
        build.finish(SECOND)
        profiles.append(Profile(Recording.open(build.write(tmp_path / name))))
    (change,) = document((profiles[0], profiles[1]), "total", "line")["changes"]
    assert (change["function"], change["old_line"], change["line"], change["change"]) == (
        "f9999",
        10_000,
        10_003,
        3,
    )
