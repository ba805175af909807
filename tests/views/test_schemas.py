"""The JSON of recordings of every kind, held against its schemas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from tests.formats.files import DATA, GOLDEN
from tests.formats.seeds import seeds
from tests.profile.test_leaks import SHAPES, recorded
from tests.recording.make import Builder, example

from heaptide import views
from heaptide.cli.diff import command as diff
from heaptide.cli.show import show
from heaptide.formats import open_recording
from heaptide.profile import FOLDS, known_metrics

_VIEWS = Path(views.__file__).parent
SHOW, DIFF = (
    Draft202012Validator(json.loads((_VIEWS / f"{name}.schema.json").read_text()))
    for name in ("show", "diff")
)
MADE = ("folded", "symbolized", "ours.pprof", "ours.massif", "ours.dhat")


def sampled(path: Path) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    build.write(path)


def unfinished(path: Path) -> None:
    build = example()
    build.end = None
    build.write(path, finished=False)


def nothing(path: Path) -> None:
    build = Builder()
    build.process()
    build.finish(1)
    build.write(path)


OWN: dict[str, Callable[[Path], object]] = {
    "example": lambda path: example().write(path),
    "growing": lambda path: recorded(path, *SHAPES.values()).close(),
    "sampled": sampled,
    "unfinished": unfinished,
    "nothing": nothing,
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    found = {name: DATA / name for name in GOLDEN}
    made = seeds()
    for name in MADE:
        found[name] = folder / name
        found[name].write_bytes(made[name])
    for name, write in OWN.items():
        found[name] = folder / f"{name}.tide"
        write(found[name])
    return found


def shown(path: Path, *options: str) -> Any:
    done = CliRunner().invoke(show, [str(path), "--json", *options], catch_exceptions=False)
    found = json.loads(done.stdout)
    SHOW.validate(found)
    return found


@pytest.mark.parametrize("name", [*GOLDEN, *MADE, *OWN])
def test_every_recording_keeps_to_the_schema(paths: dict[str, Path], name: str) -> None:
    path = paths[name]
    shown(path, "--timeline", "--tree", "callees")
    for by in FOLDS:
        shown(path, "--by", by)
    with open_recording(path) as recording:
        metrics = [metric.name for metric in known_metrics(recording)]
    for metric in metrics:
        shown(path, "--metric", metric)


@pytest.mark.parametrize("name", [*GOLDEN, *MADE, *OWN])
def test_what_a_recording_does_not_tell_is_null(paths: dict[str, Path], name: str) -> None:
    found = shown(paths[name])
    lacking = set(found["recording"]["unknown"])
    for figures in (found["summary"], *found["sites"], *found["processes"], *found["threads"]):
        assert {figures[key] for key in lacking & set(figures)} <= {None}
    assert not lacking & {row["histogram"] for row in found["histograms"]}


@pytest.mark.parametrize("name", ["example", "growing", "sampled", "cpp.massif.out"])
def test_parts_keep_to_the_schema(paths: dict[str, Path], name: str) -> None:
    path = paths[name]
    for options in (["--from", "0.1"], ["--at", "0.1"], ["--function", "/./"]):
        shown(path, *options, "--timeline", "--tree", "callers")


def test_growth_is_among_what_was_validated(paths: dict[str, Path]) -> None:
    assert "growth" in {verdict["name"] for verdict in shown(paths["growing"])["verdicts"]}
    shown(paths["growing"], "--metric", "leaked")
    shown(paths["growing"], "--from", "25", "--metric", "leaked")


@pytest.mark.parametrize("name", [*MADE, *OWN, "cpp.massif.out", "tcm.0001.heap", "cpp.dhat.json"])
def test_comparisons_keep_to_the_schema(paths: dict[str, Path], name: str) -> None:
    path = str(paths[name])
    with open_recording(path) as recording:
        metric = next(iter(known_metrics(recording)), None)
    for other in (path, str(paths["growing"])):
        options = ["--json", "--metric", metric.name if metric else "total"]
        done = CliRunner().invoke(diff, [path, other, *options], catch_exceptions=False)
        found = json.loads(done.stdout)
        DIFF.validate(found)
        lacking = {key for key, figure in found["old"]["summary"].items() if figure is None}
        assert {found["summary_change"][key] for key in lacking} <= {None}
