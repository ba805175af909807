"""Text, markdown, JSON and picture of sessions that are made up."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from heaptide.budgets import from_options
from heaptide.idle import Plan, judge
from heaptide.idle._hooks import Answered
from heaptide.recorder import Target
from heaptide.views.idle import both, markdown, print_idle
from heaptide.views.idle_document import document
from heaptide.views.idle_plot import page, picture

from .made import MB, measured, start, version

SVG = "{http://www.w3.org/2000/svg}"
GB = 1000 * MB


def text(*arguments: object, width: int = 80, **more: object) -> str:
    file = io.StringIO()
    print_idle(measured(*arguments, **more), file=file, width=width)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.fixture
def servers() -> tuple[object, object]:
    """New and base: of five processes, in three starts, one of which has not settled."""
    new = version(
        start([20 * MB, 21 * MB], processes=5),
        start([22 * MB], processes=5, converged=False, hooks=[Answered(3, 5)]),
        start([21 * MB], processes=5),
        traced=[start([30 * MB], processes=5, heap=9 * MB)],
    )
    base = version(*(start([10 * MB], processes=5) for _ in range(3)), untraced="it is static")
    return new, base


def test_units_are_both() -> None:
    assert both(256 * MB, 2) == "256.00 (244.14)"
    assert both(1 << 20, 2) == "1.05 (1.00)"


@pytest.mark.parametrize("size", [MB, 100 * MB, 999 * MB, 5 * GB, 80 * GB])
@pytest.mark.parametrize("with_base", [False, True])
def test_text_fits(size: int, with_base: bool) -> None:
    """In columns, whatever the size."""
    one = version(*(start([size + step * size // 50]) for step in range(3)))
    lines = text(one, one if with_base else None).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("MB (MiB)") for line in lines)
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40, 60])
def test_narrow_screens_lose_no_figure(width: int, servers: tuple[object, object]) -> None:
    shown = text(*servers, width=width)
    assert max(map(len, shown.splitlines())) <= width
    joined = " ".join(shown.split())
    for figure in ("105.00 (100.14)", "2.500 (2.384)", "110.00 (104.90)", "50.00 (47.68)", "grew"):
        assert figure in joined


def test_what_is_to_be_known_is_said(servers: tuple[object, object]) -> None:
    shown = " ".join(text(*servers, plan=Plan(gc=True)).split())
    assert "1 of 3 starts did not settle within 30.0 s" in shown
    assert "7.0 MB" in shown
    assert "2 of 5 processes did not take part" in shown
    assert "not measured, it is static" in shown
    assert "settled in 3 of 3, 3.00 s later" in shown  # of the base
    assert "settled in 2 of 3" in shown


def test_foreign_names_move_no_cursor() -> None:
    one = version(start([MB], processes=2))
    evil = Target("/x", ("/x", "\x1b[2J|<b>`"), "x")
    one = type(one)(evil, one.starts, one.traced)
    found = measured(one)
    assert "\x1b" not in text(one)
    assert "\\|&lt;b>'" in markdown(found)
    root = ElementTree.fromstring(picture(found))
    assert root.find(f"{SVG}title") is not None


def test_markdown(servers: tuple[object, object]) -> None:
    lines = markdown(measured(*servers)).splitlines()  # type: ignore[arg-type]
    assert lines[0].startswith("### ")
    assert any(line.startswith("| PSS | 105.00 (100.14) |") for line in lines)
    tables = [line.count("|") for line in lines if line.startswith("|")]
    assert set(tables) == {5, 6, 8}  # of processes, of figures, of changes


def test_json(servers: tuple[object, object]) -> None:
    both = measured(*servers)  # type: ignore[arg-type]
    budgets = from_options(["idle_rss=1MB"])
    found = json.loads(json.dumps(document(both, judge(both.new, budgets), budgets.source)))
    assert found["schema_version"] == 1
    new = found["new"]
    assert new["settled"] is False
    assert new["figures"]["pss"] == {
        "count": 3,
        "median": 105 * MB,
        "mad": 2.5 * MB,
        "min": 102.5 * MB,
        "max": 110 * MB,
    }
    assert new["figures"]["heap"]["median"] == 9 * MB
    assert [len(one["readings"]) for one in new["starts"]] == [2, 1, 1]
    assert len(new["traced_starts"]) == 1
    assert "heap" not in found["base"]["figures"]
    assert found["base"]["heap_reason"] == "it is static"
    assert found["changes"]["pss"]["verdict"] == "grew"
    assert found["changes"]["pss"]["difference"] == 55 * MB
    assert found["budgets"]["passed"] is False
    [result] = found["budgets"]["results"]
    assert (result["budget"], result["status"]) == ("idle_rss", "over")
    assert document(measured(both.new), [], "")["budgets"] is None


def test_the_documentation_names_every_key(servers: tuple[object, object]) -> None:
    """docs/idle.md has each key of the document, as code."""
    text = (Path(__file__).parents[2] / "docs" / "idle.md").read_text(encoding="utf-8")

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    both = measured(*servers)  # type: ignore[arg-type]
    budgets = from_options(["idle_rss=1MB"])
    found = document(both, judge(both.new, budgets), budgets.source)
    results = found["budgets"].pop("results")  # docs/budgets.md has those
    assert results
    assert [key for key in sorted(keys(found)) if f"`{key}`" not in text] == []


def test_the_picture(servers: tuple[object, object]) -> None:
    """A line for each start, with its marks; all within the picture."""
    root = ElementTree.fromstring(picture(measured(*servers)))  # type: ignore[arg-type]
    groups = [one for one in root.iter(f"{SVG}g") if one.get("data-start")]
    assert [one.get("class") for one in groups] == ["base"] * 3 + ["new"] * 3
    marks = [[child.get("class") for child in one] for one in groups]
    assert marks[3] == [None, "ready", "idle", "read", "read"]
    assert marks[4] == [None, "ready", "moving", "read"]
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for line in root.iter(f"{SVG}polyline"):
        for point in line.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_lines_rise_as_figures_do() -> None:
    """Twice the size is twice as high above the axis."""
    small, large = start([10 * MB]), start([20 * MB])
    root = ElementTree.fromstring(picture(measured(version(small, large))))
    ends = []
    for line in list(root.iter(f"{SVG}polyline"))[:2]:
        points = [tuple(map(float, p.split(","))) for p in line.get("points", "").split()]
        ends.append((points[0][1], points[-1][1]))
    (zero, low), (same, high) = ends
    assert zero == same
    assert zero - high == pytest.approx(2 * (zero - low), abs=0.3)


def test_the_page_holds_the_picture(servers: tuple[object, object]) -> None:
    both = measured(*servers)  # type: ignore[arg-type]
    assert picture(both) in page(both)
    assert "<script" not in page(both)
    assert "http" not in page(both).replace("http://www.w3.org/2000/svg", "")
