"""A result as JSON, and as the base of a later one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heaptide.bench import (
    FIGURES,
    Base,
    Bench,
    Reading,
    Readings,
    Thresholds,
    compare,
    document,
    load,
)
from heaptide.errors import HeaptideError


def bench(readings: Readings) -> Bench:
    thresholds = Thresholds(0.05, 3)
    figures = [FIGURES[name] for name in readings]
    return Bench(
        words=("p", "1"),
        base=Base(("p", "0")),
        runs=3,
        warmup=1,
        sample=None,
        thresholds=thresholds,
        hash_seed="0",
        compared=compare(figures, readings, readings, thresholds),
        budgets=[],
        recordings={},
        status=0,
    )


READINGS: Readings = {
    "peak_heap": [Reading(100), Reading(101), Reading(100)],
    "wall": [Reading(0.25), Reading(0.5), Reading(0.125)],
    "temporary": [Reading(None, "samples do not tell")],
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(document(bench(READINGS))))
    return path


def change(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_the_document() -> None:
    told = document(bench(READINGS))
    assert told["schema_version"] == 1
    assert told["command"] == ["p", "1"]
    assert told["base"] == {
        "command": ["p", "0"],
        "commit": None,
        "file": None,
        "paired": True,
        "differs": [],
    }
    assert told["status"] == "ok"
    assert told["thresholds"] == {"relative": 0.05, "mads": 3}
    peak, wall, temporary = told["figures"]
    side = {"count": 3, "median": 100, "mad": 0, "minimum": 100, "maximum": 101, "same": 2}
    assert peak == {
        "name": "peak_heap",
        "words": "peak heap",
        "unit": "bytes",
        "judged": True,
        "base": {**side, "readings": [100, 101, 100]},
        "new": {**side, "readings": [100, 101, 100]},
        "difference": 0,
        "difference_mad": 0,
        "relative": 0,
        "combined_mad": 0,
        "pairs_higher": 0,
        "verdict": "within",
        "reason": None,
    }
    assert (wall["judged"], wall["new"]["mad"]) == (False, 0.125)
    assert (temporary["new"], temporary["reason"]) == (None, "samples do not tell")


def test_what_was_saved_is_read(saved: Path) -> None:
    found = load(saved, sample=None, hash_seed="0")
    assert found.readings == READINGS
    assert found.base == Base(("p", "1"), file=str(saved))
    assert not found.base.paired


def test_what_was_otherwise_is_said(saved: Path) -> None:
    told = json.loads(saved.read_text())
    change(saved, environment={**told["environment"], "python": "2.7.1"}, sample=4096)
    found = load(saved, sample=None, hash_seed="random")
    assert len(found.base.differs) == 3
    assert load(saved, sample=4096, hash_seed="0").base.differs == ("with another Python",)


def test_figures_of_a_later_version_are_passed_over(saved: Path) -> None:
    told = json.loads(saved.read_text())
    told["figures"] += [{"name": "swap", "unit": "bytes", "new": 3}]
    told["figures"][1]["unit"] = "hours"
    change(saved, figures=told["figures"])
    assert set(load(saved, sample=None, hash_seed="0").readings) == {"peak_heap", "temporary"}


def number(value: object) -> dict[str, Any]:
    return {"figures": [{"name": "wall", "unit": "seconds", "new": {"readings": [value]}}]}


@pytest.mark.parametrize(
    "keys",
    [
        {"schema_version": 2},
        {"schema_version": None},
        {"figures": []},
        {"figures": 3},
        {"figures": [3]},
        {"figures": [{}]},
        {"figures": [{"name": "wall", "unit": "seconds", "new": {"readings": []}}]},
        {"figures": [{"name": ["wall"], "unit": "seconds", "new": {"readings": [1]}}]},
        {"figures": [{"name": "wall", "unit": "seconds", "new": 3}]},
        number("1"),
        number(True),
        number(None),
        number(-1),
        number(float("nan")),
        {"command": None},
        {"environment": 3},
    ],
)
def test_what_is_no_result(saved: Path, keys: dict[str, Any]) -> None:
    change(saved, **keys)
    with pytest.raises(HeaptideError, match="is no result of heaptide bench"):
        load(saved, sample=None, hash_seed="0")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"3", b"{}", b"[" * 100_000])
def test_what_is_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(HeaptideError, match="is no result of heaptide bench"):
        load(tmp_path / "a.json", sample=None, hash_seed="0")


@pytest.mark.parametrize("name", ["gone.json", "."])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(HeaptideError, match="cannot be read"):
        load(tmp_path / name, sample=None, hash_seed="0")
