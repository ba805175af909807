"""The page in headless Chromium: how large it is, how soon it answers, how long a frame takes."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.building import build
from benchmarks.measure import run_once
from benchmarks.variants import HEAPTIDE
from benchmarks.wide import write_wide

Say = Callable[[str], None]

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_SEARCHES = ("handle_1", "part_77", "package", "request_part_123", "/part_[0-9]5$/")


@dataclass(frozen=True)
class PageFigure:
    """One figure of a page, and what it is to stay within."""

    page: str
    what: str
    value: float
    goal: float | None
    unit: str  # "MB", "s" or "ms"


def measure_page(
    directory: Path, quick: bool, rounds: int, say: Say, skipped: list[str]
) -> list[PageFigure]:
    """Pages of 500,000 stack nodes and of 100 million allocations (quick: a tenth, a fiftieth)."""
    found: list[PageFigure] = []
    nodes = 50_000 if quick else 500_000
    wide = directory / "wide.tide"
    write_wide(wide, nodes)
    found += _report(wide, f"{nodes:,} stack nodes", 5.0)
    found += _browse(wide.with_suffix(".html"), f"{nodes:,} stack nodes", rounds, skipped)
    program = build("many.c", directory)
    if program is None:
        skipped.append("the page of a long run: no C compiler")
    else:
        count = 2_000_000 if quick else 100_000_000
        long = directory / "long.tide"
        run_once([*HEAPTIDE, "run", "-q", "-f", "-o", str(long), str(program), str(count)])
        found += _report(long, f"{count:,} allocations", 10.0)
    for figure in found:
        say(f"page of {figure.page}, {figure.what}: {figure.value:.3g} {figure.unit}")
    return found


def _report(recording: Path, page: str, goal: float) -> list[PageFigure]:
    run = run_once([*HEAPTIDE, "report", "-q", "-f", str(recording)])
    size = recording.with_suffix(".html").stat().st_size / 1e6
    return [
        PageFigure(page, "size", size, goal, "MB"),
        PageFigure(page, "time to make it", run.wall, None, "s"),
        PageFigure(page, "memory to make it", run.max_rss / 1e6, 300.0, "MB"),
    ]


def _browse(path: Path, page: str, rounds: int, skipped: list[str]) -> list[PageFigure]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        skipped.append("the page in a browser: Chromium or playwright is not installed")
        return []
    from playwright.sync_api import sync_playwright

    ready, zooms, searches = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        for _ in range(rounds):
            opened = browser.new_page(viewport={"width": 1400, "height": 900})
            opened.goto(path.as_uri())
            opened.evaluate("window.__heaptide.interactive")
            # From the end of loading the file to the first picture that answers.
            ready.append(
                opened.evaluate(
                    """() => performance.now() -
                      performance.getEntriesByType('navigation')[0].responseEnd"""
                )
                / 1000
            )
            opened.evaluate("window.__heaptide.ready")
            zooms += _zoom(opened)
            searches += _search(opened)
            opened.close()
        browser.close()
    return [
        PageFigure(page, "until it answers", statistics.median(ready), 1.0, "s"),
        PageFigure(page, "a zoom, until it is drawn", statistics.median(zooms), 16.0, "ms"),
        PageFigure(page, "a search, until it is drawn", statistics.median(searches), 16.0, "ms"),
    ]


def _zoom(page: Any) -> list[float]:
    """Zooms in along the widest frames, and out again."""
    flame = page.get_by_role("application").nth(1)
    for row in range(1, 6):
        flame.click(position={"x": 30, "y": 8 + 18 * row})
        page.wait_for_timeout(60)
        flame.focus()
        page.keyboard.press("Escape")
        page.wait_for_timeout(60)
    return _times(page, "zoom")


def _search(page: Any) -> list[float]:
    field = page.get_by_role("searchbox")
    for text in _SEARCHES:
        field.fill(text)
        page.wait_for_timeout(150)
    field.fill("")
    return _times(page, "search")


def _times(page: Any, what: str) -> list[float]:
    found: list[float] = page.evaluate(
        "what => window.__heaptide.frameTimes.filter(t => t.what === what).map(t => t.ms)", what
    )
    if not found:
        raise SystemExit(f"the page told no times of what is called {what!r}")
    return found
