"""The timeline looked at closely: a server gives spans as fine as the recording has them there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from heaptide.profile import METRICS, Profile, Selection
from heaptide.recording import Recording
from heaptide.views import units
from heaptide.views.page import build
from heaptide.views.page.served import Served
from heaptide.views.server import PageServer
from tests.browser.conftest import Open, drag, until
from tests.recording.make import Builder, Change

SLICES = 1500
LONG = 10_000_000  # ns, of a slice


def recorded(path: Path, extra: int = 0) -> Recording:
    """Each slice has a figure of its own, and a highest moment within it."""
    make = Builder()
    make.process(1, "/bin/x", end=SLICES * LONG)
    make.thread()
    contexts = [
        make.context(0, make.stack(make.python(name, "/home/u/a.py", line)))
        for line, name in enumerate(("even", "odd"), 1)
    ]
    live = 0
    for row in range(SLICES):
        came = 100 + row % 17 + extra
        changes = {contexts[row % 2]: Change(1, came)}
        if row % 3 == 0:
            changes[contexts[(row + 1) % 2]] = Change(2, 40, 1, 30)
            live += 10
        live += came
        make.slice(row * LONG, (row + 1) * LONG, changes)
        make.timeline((row + 1) * LONG, live_bytes=live, peak_bytes=live + 5000 * (row % 11))
    make.peak({contexts[0]: (SLICES, live + 60_000)})
    make.finish(SLICES * LONG)
    return Recording.open(make.write(path))


@pytest.fixture
def recordings(tmp_path: Path) -> Iterator[tuple[Recording, Recording]]:
    with recorded(tmp_path / "a.tide") as one, recorded(tmp_path / "b.tide", 9) as other:
        yield one, other


def plot(page: Page, nth: int = 0) -> Locator:
    return page.locator(".chart").nth(nth)


def bins(page: Page, which: str = "new") -> list[list[int]]:
    found: list[list[int]] = page.evaluate(
        """which => {
          const { bins, tops } = window.__heaptide.data.sides[which];
          return Array.from(tops, (top, i) => [bins.start[i], bins.end[i], top]);
        }""",
        which,
    )
    return found


def within(found: list[list[int]], span: list[int]) -> list[list[int]]:
    return [row for row in found if row[1] > span[0] and row[0] < span[1]]


def allocated(recording: Recording, span: list[int]) -> str:
    profile = Profile(recording, Selection(start=span[0] / 1e9, end=span[1] / 1e9))
    assert profile.time is not None
    assert [profile.time.start, profile.time.end] == span
    return units.size(profile.total_of(METRICS["total"]))


def test_it_is_as_fine_as_the_recording(
    open_page: Open, recordings: tuple[Recording, Recording], screenshot: Any
) -> None:
    recording, _ = recordings
    content = Served(lambda: recording)
    with PageServer(content).in_background() as url:
        page = open_page(url, viewport={"width": 1280, "height": 900})
        coarse = bins(page)
        span = drag(page, plot(page), 0.4, 0.5)
        page.get_by_role("button", name="zoom in").click()
        until(page, f"window.__heaptide.data.bins.count > {len(coarse)}")
        fine = within(bins(page), span)
        assert [row[:2] for row in fine] == [
            [start, start + LONG] for start in range(span[0], span[1], LONG)
        ]
        rows = recording.timeline
        tops = dict(zip(rows.time.tolist(), rows.peak_bytes.tolist()))
        assert [row[2] for row in fine] == [tops[row[1]] for row in fine]
        screenshot(page, "timeline-zoomed")
        chosen = drag(page, plot(page), 0.31, 0.52)
        assert span[0] < chosen[0] < chosen[1] < span[1]
        assert chosen not in [[row[0], row[1]] for row in coarse]
        said = page.get_by_role("status").first
        expect(said).to_contain_text(f"allocated {allocated(recording, chosen)} in")
        page.get_by_role("button", name="as table").first.click()
        grid = page.get_by_role("grid", name="Live heap over time")
        assert grid.get_attribute("aria-rowcount") == str(len(fine) + 1)
        page.get_by_role("button", name="as table").first.click()
        again = open_page(url, fragment="#" + page.url.partition("#")[2])
        expect(again.get_by_role("status").first).to_have_text(said.text_content() or "?")
        # All is seen again: the range stays exact, and so does a link to it.
        page.get_by_role("button", name="whole time").click()
        until(page, f"window.__heaptide.data.bins.count <= {len(coarse) + 3}")
        expect(said).to_contain_text(f"allocated {allocated(recording, chosen)} in")
        assert page.evaluate("window.__heaptide.state.range") == chosen
        page.go_back()
        until(page, f"window.__heaptide.data.bins.count > {len(coarse) + 3}")
    content.close()


def test_both_sides_of_a_comparison_are(
    open_page: Open, recordings: tuple[Recording, Recording]
) -> None:
    new, old = recordings
    content = Served(lambda: new, old)
    with PageServer(content).in_background() as url:
        page = open_page(url, viewport={"width": 1280, "height": 900})
        coarse = len(bins(page))
        span = drag(page, plot(page), 0.2, 0.3)
        page.get_by_role("button", name="zoom in").click()
        until(page, f"window.__heaptide.data.bins.count > {coarse}")
        for which in ("new", "base"):
            fine = within(bins(page, which), span)
            assert len(fine) == (span[1] - span[0]) // LONG
        chosen = drag(page, plot(page, 1), 0.2, 0.7)
        totals = " and ".join(allocated(one, chosen) for one in (old, new))
        expect(page.get_by_role("status").first).to_contain_text(f"allocated {totals}")
    content.close()


def test_a_file_shows_the_spans_that_it_has(
    open_page: Open, recordings: tuple[Recording, Recording], tmp_path: Path
) -> None:
    """Without a server it is only larger. Keys stay in it."""
    path = tmp_path / "page.html"
    path.write_bytes(build(Profile(recordings[0])).html())
    page = open_page(path)
    span = drag(page, plot(page), 0.4, 0.5)
    page.get_by_role("button", name="zoom in").click()
    chart = page.get_by_role("application", name=re.compile("Live heap from [56]"))
    expect(chart).to_be_visible()
    page.keyboard.press("Escape")
    chart.focus()
    for key in ("Escape", "Home", "Shift+ArrowRight"):
        page.keyboard.press(key)
    until(page, "window.__heaptide.state.range !== null")
    chosen = page.evaluate("window.__heaptide.state.range")
    assert span[0] <= chosen[0] < chosen[1] <= span[1]
