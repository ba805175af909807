"""Differences as text and as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rich.cells import cell_len
from tests.profile.test_diff import pair
from tests.recording.make import example

from heaptide.profile import FOLDS, METRICS, Profile
from heaptide.views import diff_document as module
from heaptide.views.comparable import caveats
from heaptide.views.diff_document import diff_document
from heaptide.views.diff_text import show_diff

__all__ = ["pair"]  # the fixture

Pair = tuple[Profile, Profile]


def text(
    pair: Pair, by: str = "function", metric: str = "peak", width: int = 80, **options: Any
) -> list[str]:
    file = io.StringIO()
    show_diff(*pair, METRICS[metric], by, file=file, width=width, **options)
    return file.getvalue().split("\n")


def test_what_grew_and_what_shrank(pair: Pair) -> None:
    lines = text(pair)
    grew, shrank = (
        lines.index("What grew: at peak, by function"),
        lines.index("What shrank: at peak, by function"),
    )
    table = [line.split() for line in lines[grew + 2 : grew + 4]]
    assert [row[:6] for row in table] == [
        ["+200", "B", "100", "B", "->", "300"],
        ["+9", "B", "0", "B", "->", "9"],
    ]
    assert "new" in table[1] and "a::load" in lines[grew + 2]
    assert [line.split()[0] for line in lines[shrank + 2 : shrank + 4]] == ["-30", "-7"]
    assert "gone" in lines[shrank + 3].split()
    assert not any("a::same" in line for line in lines)


def test_key_figures_with_signs(pair: Pair) -> None:
    expected = "peak heap: 162 B -> 334 B +172 B +106.2 %"
    assert text(pair)[1].split() == expected.split()


def test_no_difference(pair: Pair) -> None:
    lines = text((pair[0], pair[0]))
    assert "No difference: at peak, by function" in lines
    assert not any(line.startswith("What") for line in lines)


def test_the_rest_is_summed_up(pair: Pair) -> None:
    assert any(line.startswith("and +9 B in 1 other") for line in text(pair, top=1))


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("by", FOLDS)
def test_it_fits(pair: Pair, by: str, width: int) -> None:
    lines = text(pair, by, width=width)
    end = lines.index("Next")
    assert all(cell_len(line) <= width for line in lines[:end])
    assert not any("\x1b" in line for line in lines)


SCHEMA = json.loads((Path(module.__file__).parent / "diff.schema.json").read_text())


@pytest.mark.parametrize("by", FOLDS)
@pytest.mark.parametrize("metric", ["peak", "total", "leaked"])
def test_json_keeps_to_its_schema(pair: Pair, by: str, metric: str) -> None:
    from heaptide.profile import EVERY_METRIC

    found = json.loads(json.dumps(diff_document(*pair, EVERY_METRIC[metric], by)))
    Draft202012Validator(SCHEMA).validate(found)
    assert found["total_change"] == sum(change["change"] for change in found["changes"])


def test_json_of_the_largest_changes(pair: Pair) -> None:
    found = diff_document(*pair, METRICS["peak"], "function", top=2)
    assert [(c["status"], c["change"]) for c in found["changes"]] == [
        ("grew", 200),
        ("shrank", -30),
    ]
    assert found["changes"][0]["old"]["peak_bytes"] == 100
    assert found["summary_change"]["peak_bytes"] == 172


def test_settings_that_differ_are_said(tmp_path: Path) -> None:
    from heaptide.profile import summarize
    from heaptide.recording import Recording

    profiles = []
    for number, (objects, interval) in enumerate([(True, 0), (False, 524288)]):
        build = example()
        build.meta["config"]["python_objects"] = objects
        build.meta["config"]["sample_interval"] = interval
        profiles.append(Profile(Recording.open(build.write(tmp_path / f"{number}.tide"))))
    said = caveats(
        (profiles[0].recording, profiles[1].recording),
        (summarize(profiles[0]), summarize(profiles[1])),
    )
    assert [line.partition(" (")[0] for line in said] == [
        "they were recorded differently",
        "one is sampled differently",
    ]
    same = caveats((profiles[0].recording,) * 2, (summarize(profiles[0]),) * 2)
    assert same == []
