"""The page in a real browser: from disk without a network, each view, each way to move about."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Callable

import pytest
from playwright.sync_api import Page, expect

from heaptide.profile import BLOCKS, METRICS, Profile
from heaptide.recording import Recording
from heaptide.views.page import build
from tests.browser.conftest import Open, until
from tests.formats.files import DATA
from tests.recording.make import SECOND, Builder, Change, example
from tests.support.building import PROGRAMS
from tests.support.recorded import HEAPTIDE

Screenshot = Callable[[Page, str], Path]
TABS = ("Flame graph", "Lines", "Functions", "Files", "Modules", "Threads", "Processes", "Sizes",
        "Lifetimes", "Summary")  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real program with threads, a child, and memory of several ages."""
    path = tmp_path_factory.mktemp("recorded") / "generations.tide"
    program = [sys.executable, str(PROGRAMS / "generations.py")]
    subprocess.run([*HEAPTIDE, "run", "-q", "-o", str(path), *program], check=True)
    return path


@pytest.fixture(scope="module")
def report(recorded: Path) -> Path:
    subprocess.run([*HEAPTIDE, "report", "-q", "--source", str(recorded)], check=True)
    return recorded.with_suffix(".html")


def flame(page: Page) -> Any:
    return page.get_by_role("application").nth(1)


def timeline(page: Page) -> Any:
    return page.get_by_role("application").nth(0)


def state(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("window.__heaptide.state")
    return found


def test_figures_are_the_recorders(open_page: Open, report: Path, recorded: Path) -> None:
    """What the page computes with, and what it says at the top of its flame graph."""
    page = open_page(report)
    with Recording.open(recorded) as recording:
        profile = Profile(recording)
        for metric in (*METRICS.values(), *BLOCKS.values()):
            total = page.evaluate(
                "name => window.__heaptide.data.column(name).reduce((a, b) => a + b, 0)",
                f"sample.{metric.column}",
            )
            assert total == profile.total_of(metric), metric.name
        peak = recording.summary.peak_bytes
    expect(page.get_by_role("navigation", name="Frames above")).to_contain_text(
        f"{peak / 1e6:.1f} MB"
    )


def test_blocks_are_a_metric_of_every_view(open_page: Open, report: Path, recorded: Path) -> None:
    """In the table and in both flame graphs, of the whole time and of a range, kept in the link."""
    page = open_page(report)
    show = page.locator(".metric select")
    above = page.get_by_role("navigation", name="Frames above")
    with Recording.open(recorded) as recording:
        profile = Profile(recording)
        for name in ("peak-blocks", "alive-blocks", "reallocations"):  # too short to leak
            metric = BLOCKS[name]
            show.select_option(metric.name)
            assert show.locator("option:checked").inner_text() == metric.words
            total = f"{profile.total_of(metric):,}"
            expect(above).to_contain_text(total)
            page.get_by_role("button", name="inverted", exact=True).click()
            expect(above).to_contain_text(total)
            page.get_by_role("button", name="by stack", exact=True).click()
        show.select_option("leaked-blocks")
        note = page.locator(".definition", has_text="note: memory of processes that had ended")
        expect(note).to_have_count(1)
        show.select_option("peak-blocks")
        fold = profile.fold("function", BLOCKS["peak-blocks"])
        first = f"{int(fold.values[0]):,}"
    page.get_by_role("tab", name="Functions", exact=True).click()
    expect(page.get_by_role("grid").get_by_role("row").nth(1)).to_contain_text(first)
    again = open_page(report, fragment="#" + page.url.partition("#")[2])
    expect(again.get_by_role("grid").get_by_role("row").nth(1)).to_contain_text(first)
    timeline(page).focus()
    page.keyboard.press("Shift+ArrowRight")
    until(page, "window.__heaptide.state.range !== null")
    show.select_option("live_end_blocks")
    assert "change=live_end_blocks" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab(open_page: Open, report: Path, screenshot: Screenshot, scheme: str) -> None:
    page = open_page(report, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    names = page.get_by_role("tab").all_inner_texts()
    assert tuple(names) == TABS
    for name in names:
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute(
            "aria-selected", "true"
        )
        expect(page.get_by_role("tabpanel")).not_to_be_empty()
        screenshot(page, f"{name.lower().replace(' ', '-')}-{scheme}")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", background)[:3])) > 3 * 128
    assert light == (scheme == "light")


def test_zoom_and_back(open_page: Open, report: Path) -> None:
    page = open_page(report)
    flame(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(page, "window.__heaptide.state.zoom.length > 0")
    deep = state(page)["zoom"]
    assert "zoom=" in page.url
    page.go_back()
    until(page, "window.__heaptide.state.zoom.length === 0")
    page.go_forward()
    until(page, "window.__heaptide.state.zoom.length > 0")
    assert state(page)["zoom"] == deep
    flame(page).focus()
    page.keyboard.press("Escape")
    until(page, "window.__heaptide.state.zoom.length === 0")


def test_a_click_zooms(open_page: Open, report: Path) -> None:
    page = open_page(report)
    flame(page).click(position={"x": 40, "y": 50})
    until(page, "window.__heaptide.state.zoom.length > 0")


def test_inverted_and_sandwich_by_keys(open_page: Open, report: Path) -> None:
    page = open_page(report)
    flame(page).focus()
    page.keyboard.press("i")
    until(page, "window.__heaptide.state.view === 'inverted'")
    flame(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    until(page, "window.__heaptide.state.sandwich !== null")
    expect(page.get_by_role("heading", name="Called by")).to_be_visible()
    expect(page.get_by_role("heading", name="Calls")).to_be_visible()


def test_search_counts_and_steps(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.keyboard.press("/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    field.fill("late")
    answer = page.get_by_role("search")
    expect(answer).to_contain_text(re.compile(r"\d+ functions?, "))
    expect(answer).to_contain_text("%")
    field.press("Enter")
    expect(answer).to_contain_text(re.compile(r"1 of \d+"))
    field.fill("/(/")
    expect(answer).to_contain_text("regular expression")
    field.fill("nothing_has_this_name")
    expect(answer).to_contain_text("nothing")
    field.press("Escape")
    assert state(page)["search"] == ""


def test_brushing_recomputes_what_is_below(open_page: Open, report: Path, recorded: Path) -> None:
    """By mouse; what is said to have survived agrees with the recording to the byte."""
    page = open_page(report)
    box = timeline(page).bounding_box()
    left, right = box["x"] + box["width"] * 0.3, box["x"] + box["width"] * 0.7
    middle = box["y"] + box["height"] / 2
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(right, middle, steps=5)
    page.mouse.up()
    until(page, "window.__heaptide.state.range !== null")
    said = page.get_by_role("status").first.inner_text()
    assert re.search(r"allocated .* freed .* live heap from .* to ", said)
    assert "still alive at its end" in said
    values = page.evaluate(
        """() => {
          const { data, state } = window.__heaptide;
          return { range: state.range, births: Array.from(data.column('birth.time')) };
        }"""
    )
    with Recording.open(recorded) as recording:
        assert values["births"] == recording.births.times.tolist()
        allocated = page.evaluate(
            """() => {
              const { data, state } = window.__heaptide;
              const { bins } = data;
              const bytes = data.column('change.bytes_in');
              let sum = 0;
              for (let i = 0; i < bins.count; i++) {
                if (bins.end[i] <= state.range[0] || bins.start[i] >= state.range[1]) continue;
                for (let k = bins.first[i]; k < bins.first[i + 1]; k++) sum += bytes[k];
              }
              return sum;
            }"""
        )
        assert 0 < allocated < recording.summary.total_bytes
    timeline(page).focus()
    page.keyboard.press("Escape")
    until(page, "window.__heaptide.state.range === null")


def chosen(page: Page) -> list[int]:
    """The range of time that is chosen, once there is one."""
    until(page, "window.__heaptide.state.range !== null")
    found: list[int] = state(page)["range"]
    return found


def at(page: Page, part: float) -> tuple[float, float]:
    """A point of the timeline, at ``part`` of its width."""
    box = timeline(page).bounding_box()
    return box["x"] + box["width"] * part, box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], *ways: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    for way in ways:
        page.mouse.move(*way)
    page.mouse.up()


def area(page: Page) -> Any:
    """Where the timeline's figures are drawn, without its axes."""
    return page.locator(".chart .u-over").bounding_box()


def edges(page: Page) -> list[tuple[float, float]]:
    """Where the chosen range's edges stand."""
    left, width = page.locator(".chart .u-select").evaluate(
        "({ style }) => [parseFloat(style.left), parseFloat(style.width)]"
    )
    begin = area(page)["x"] + left
    return [(x, at(page, 0)[1]) for x in (begin, begin + width)]


def test_an_edge_of_the_range_is_dragged(open_page: Open, report: Path) -> None:
    """Also past the other edge; the edge that is not held stays."""
    page = open_page(report)
    drag(page, at(page, 0.3), at(page, 0.5))
    first = chosen(page)
    right = edges(page)[1]
    page.mouse.move(*right)
    assert timeline(page).evaluate("one => one.style.cursor") == "ew-resize"
    drag(page, right, at(page, 0.6), at(page, 0.8))
    until(page, f"window.__heaptide.state.range[1] > {first[1]}")
    wider = chosen(page)
    assert wider[0] == first[0]
    drag(page, edges(page)[0], at(page, 0.5), at(page, 0.98))
    until(page, f"window.__heaptide.state.range[0] > {first[0]}")
    assert wider[1] <= chosen(page)[0] < chosen(page)[1]
    page.mouse.move(*at(page, 0.3))
    assert timeline(page).evaluate("one => one.style.cursor") == "crosshair"


def test_a_click_keeps_the_range_and_two_clear_it(open_page: Open, report: Path) -> None:
    page = open_page(report)
    drag(page, at(page, 0.3), at(page, 0.5))
    range_before = chosen(page)
    drag(page, at(page, 0.7), at(page, 0.701))  # a pixel or so
    page.mouse.click(*at(page, 0.7))
    assert chosen(page) == range_before
    page.mouse.dblclick(*at(page, 0.7))
    until(page, "window.__heaptide.state.range === null")


def test_a_drag_may_leave_the_timeline(open_page: Open, report: Path) -> None:
    """Sideways it goes to the end; upwards it changes nothing."""
    page = open_page(report)
    x, y = at(page, 0.5)
    drag(page, (x, y), (x + 100, y), (page.viewport_size["width"] + 50, y - 300))  # type: ignore[index]
    to_end = chosen(page)
    bins = "window.__heaptide.data.bins"
    assert to_end[1] == page.evaluate(f"{bins}.end[{bins}.count - 1]")
    drag(page, at(page, 0.2), at(page, 0.25))
    until(page, f"window.__heaptide.state.range[1] !== {to_end[1]}")
    straight = chosen(page)
    x, y = at(page, 0.6)
    page.mouse.dblclick(x, y)
    until(page, "window.__heaptide.state.range === null")
    drag(page, at(page, 0.2), (at(page, 0.22)[0], y - 200), (at(page, 0.25)[0], y - 200))
    assert chosen(page) == straight


def test_a_broken_off_drag_chooses_nothing(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.mouse.move(*at(page, 0.2))
    page.mouse.down()
    page.mouse.move(*at(page, 0.4))
    timeline(page).dispatch_event("pointercancel")
    page.mouse.up()
    page.mouse.move(*at(page, 0.5))
    assert state(page)["range"] is None
    drag(page, at(page, 0.2), at(page, 0.4))
    assert chosen(page)


def test_what_is_pointed_at_is_told(open_page: Open, report: Path) -> None:
    """Beside the pointer, with what lives there; gone where the chart ends."""
    page = open_page(report)
    tip = page.locator(".tip")
    page.mouse.move(*at(page, 0.5))
    expect(tip).to_contain_text("live heap")
    expect(tip).to_contain_text("RSS")
    first = tip.inner_text()
    page.mouse.move(*at(page, 0.9))
    expect(tip).not_to_have_text(first, use_inner_text=True)
    page.mouse.move(*at(page, 0.01))  # on the axis
    expect(tip).to_have_count(0)


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_the_timeline_is_sharp_at_any_width(open_page: Open, report: Path, ratio: float) -> None:
    """A canvas pixel is a pixel of the screen; the chosen range keeps its place in time."""
    page = open_page(report, device_scale_factor=ratio, viewport={"width": 1000, "height": 800})
    drag(page, at(page, 0.3), at(page, 0.5))
    before = chosen(page)
    for width in (1000, 640):
        page.set_viewport_size({"width": width, "height": 800})
        canvas = timeline(page).locator("canvas")
        box = timeline(page).bounding_box()["width"]
        until(page, f"document.querySelector('.chart canvas').width === Math.round({box * ratio})")
        assert abs(canvas.bounding_box()["width"] - box) < 1
        [left, right] = [x for x, _ in edges(page)]
        span = page.evaluate("window.__heaptide.data.header.recording.duration_ns")
        assert right - left == pytest.approx(
            (before[1] - before[0]) / span * area(page)["width"], rel=0.1
        )
    assert chosen(page) == before


def test_touch(open_page: Open, report: Path) -> None:
    """A finger along the timeline chooses a range; a tap on a frame enters it."""
    page = open_page(report, has_touch=True, viewport={"width": 390, "height": 800})
    timeline(page).scroll_into_view_if_needed()
    box = timeline(page).bounding_box()
    y = box["y"] + box["height"] / 2
    device = page.context.new_cdp_session(page)

    def touch(kind: str, *points: float) -> None:
        at = [{"x": box["x"] + box["width"] * part, "y": y} for part in points]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    def taken_back() -> list[int]:
        found = chosen(page)
        timeline(page).focus()
        page.keyboard.press("Escape")
        until(page, "window.__heaptide.state.range === null")
        return found

    touch("touchStart", 0.3)
    for part in (0.4, 0.5, 0.6, 0.7):
        touch("touchMove", part)
    touch("touchEnd")
    by_touch = taken_back()
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, y)
    page.mouse.up()
    assert taken_back() == by_touch
    flame(page).scroll_into_view_if_needed()
    flame(page).tap(position={"x": 40, "y": 50})
    until(page, "window.__heaptide.state.zoom.length > 0")


def test_what_keys_point_at_is_said_instead_of_how_to(open_page: Open, report: Path) -> None:
    page = open_page(report, viewport={"width": 1280, "height": 900})
    section = page.get_by_role("region", name="Live heap over time")
    expect(section).to_contain_text("to choose a range")
    timeline(page).focus()
    page.keyboard.press("ArrowRight")
    expect(section.get_by_text(re.compile(r"^\S+ \S+ · live heap "))).to_be_visible()
    expect(section).not_to_contain_text("to choose a range")
    page.keyboard.press("Escape")
    expect(section).to_contain_text("to choose a range")


def test_brushing_by_keys(open_page: Open, report: Path) -> None:
    page = open_page(report)
    timeline(page).focus()
    page.keyboard.press("Shift+ArrowRight")
    until(page, "window.__heaptide.state.range !== null")
    narrow = state(page)["range"]
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    until(page, f"window.__heaptide.state.range[1] > {narrow[1]}")
    page.keyboard.press("Escape")
    until(page, "window.__heaptide.state.range === null")


def test_a_link_shows_the_same_view(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.get_by_role("tab", name="Functions", exact=True).click()
    page.get_by_role("searchbox").fill("middle")
    until(page, "window.__heaptide.state.search === 'middle'")
    fragment = page.url.partition("#")[2]
    again = open_page(report, fragment=f"#{fragment}")
    assert state(again) == state(page)
    rows = again.get_by_role("grid").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("middle")


def test_tables_sort(open_page: Open, report: Path) -> None:
    page = open_page(report, fragment="#tab=functions")
    header = page.get_by_role("grid").get_by_role("columnheader", name=re.compile("^inclusive"))
    header.get_by_role("button").or_(header).first.click()
    expect(header).to_have_attribute("aria-sort", "descending")
    first = page.get_by_role("grid").get_by_role("row").nth(1).inner_text()
    header.get_by_role("button").or_(header).first.click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert page.get_by_role("grid").get_by_role("row").nth(1).inner_text() != first


def test_every_canvas_has_a_table(open_page: Open, report: Path) -> None:
    page = open_page(report)
    for button in page.get_by_role("button", name="as table").all():
        button.click()
    expect(page.get_by_role("treegrid")).to_be_visible()
    assert page.get_by_role("application").count() == 0
    tree = page.get_by_role("treegrid")
    before = tree.get_by_role("row").count()
    tree.get_by_role("row").nth(1).click()
    tree.get_by_role("row").nth(1).press("ArrowLeft")
    until(page, f"document.querySelectorAll('[role=treegrid] [role=row]').length !== {before}")


def test_histograms_are_charts_with_tables(open_page: Open, report: Path) -> None:
    """A bar says the same as its row."""
    page = open_page(report, fragment="#tab=lifetimes", viewport={"width": 1280, "height": 1100})
    charts, tables = page.locator(".bars"), page.locator("table.histogram")
    assert charts.count() == tables.count() == 2
    for chart, table in zip(charts.all(), tables.all()):
        rows = table.locator("tbody tr")
        over: Any = chart.locator(".u-over").bounding_box()
        for row in (0, rows.count() - 1):
            x = over["x"] + over["width"] * (row + 0.5) / rows.count()
            page.mouse.move(x, over["y"] + over["height"] / 2)
            tip = page.locator(".tip")
            label, blocks, share, up_to = rows.nth(row).locator("th, td").all_inner_texts()
            for said in (label, blocks, share, up_to):
                expect(tip).to_contain_text(said)
        page.mouse.move(0, 0)
        expect(page.locator(".tip")).to_have_count(0)


def test_the_source_panel_marks_the_line(open_page: Open, report: Path) -> None:
    page = open_page(report, fragment="#tab=lines")
    page.get_by_role("searchbox").fill("generations.py")
    page.get_by_role("grid").get_by_role("row").nth(1).click()
    panel = page.get_by_role("region", name=re.compile("^Source of .*generations.py"))
    if not panel.is_visible():
        page.get_by_role("button", name=re.compile("source", re.IGNORECASE)).first.click()
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("bytearray")


def drawn(pdf: bytes) -> list[tuple[float, float]]:
    """Width and height in points of the pictures on all pages."""
    found = []
    for text in map(inflated, re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)):
        for width, height in re.findall(
            rb"([\d.]+) 0 0 -([\d.]+) \S+ \S+ cm\n(?:[^\n]*\n){,3}/\w+ Do", text
        ):
            scale = float(text.split()[0])
            found.append((float(width) * scale, float(height) * scale))
    return found


def inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error:  # of another kind
        return b""


def test_prints(open_page: Open, report: Path) -> None:
    """Charts stand on the paper as high as on the screen: nothing beside them makes all small."""
    page = open_page(report, fragment="#tab=sizes", viewport={"width": 1280, "height": 900})
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    [timeline_size, sizes_size] = drawn(page.pdf(format="A4"))
    assert timeline_size[0] < 600 and timeline_size[1] == pytest.approx(210 * 0.75, rel=0.01)
    assert sizes_size[1] == pytest.approx(150 * 0.75, rel=0.01)


def test_prints_the_timeline_as_it_is_shown(open_page: Open, tmp_path: Path) -> None:
    made = spikes()
    made.note(0, "a note that is folded on the screen")
    page = open_page(write(tmp_path, made), fragment="#time=table")
    note = page.get_by_text("a note that is folded on the screen")
    expect(note.first).not_to_be_visible()
    page.emulate_media(media="print")
    rows = page.locator(".time .rows .row")
    expect(rows.first).to_be_visible()
    expect(rows.last).to_be_visible()
    box = page.locator(".time .rows .scroll").bounding_box()
    assert box is not None and box["height"] >= 26 * (rows.count() - 1)
    expect(note.filter(visible=True)).to_have_count(1)


def test_a_long_name_leaves_room(open_page: Open, tmp_path: Path) -> None:
    name = "f" * 5000
    made = Builder()
    made.process(1, "/bin/x", peak_bytes=100)
    made.thread(0, 1)
    context = made.context(stack=made.stack(made.python(name, "/home/u/x.py", 1)))
    made.slice(0, SECOND, {context: Change(1, 100)})
    made.peak({context: (1, 100)})
    made.finish(SECOND)
    page = open_page(write(tmp_path, made), viewport={"width": 1280, "height": 900})
    answer = page.locator(".answer")
    box = answer.bounding_box()
    assert box is not None and box["height"] < 60
    expect(answer.locator(".name").first).to_have_attribute("title", f"{name}: callers and callees")


def test_narrow_screens(open_page: Open, report: Path, screenshot: Screenshot) -> None:
    page = open_page(report, viewport={"width": 420, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, "narrow")
    for choice in ("which frames", "all threads"):
        page.get_by_text(choice).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), choice
        page.keyboard.press("Escape")
    timeline(page).focus()
    page.keyboard.press("Shift+ArrowRight")
    until(page, "window.__heaptide.state.range !== null")
    for tab in ("Lines", "Functions", "Threads"):
        page.get_by_role("tab", name=tab, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
        screenshot(page, f"narrow-{tab.lower()}")


def write(tmp_path: Path, made: Builder) -> Path:
    with Recording.open(made.write(tmp_path / "made.tide")) as recording:
        path = tmp_path / "made.html"
        path.write_bytes(build(Profile(recording)).html())
    return path


def spikes() -> Builder:
    """Ten spikes of 100 MB within 5 MB, each shorter than a slice."""
    made = Builder()
    live, high, length = 5_000_000, 105_000_000, SECOND // 50
    made.process(1, "/bin/x", peak_bytes=high, peak_time=20 * length + length // 2)
    made.thread(0, 1)
    context = made.context(stack=made.stack(made.python("spike", "/home/u/x.py", 1)))
    for row in range(500):
        start, spike = row * length, row % 50 == 20
        rise, first = (high - live) * spike, live * (row == 0)
        made.slice(start, start + length, {context: Change(1, rise + first, 1, rise)})
        made.timeline(start + length, live_bytes=live, peak_bytes=high if spike else live)
    made.peak({context: (1, high)})
    made.finish(500 * length)
    return made


def test_spikes_between_the_ends_of_spans_are_told(open_page: Open, tmp_path: Path) -> None:
    """By the chart, its table, what is pointed at, and the sentence of a range."""
    page = open_page(write(tmp_path, spikes()), viewport={"width": 1280, "height": 900})
    rows = page.locator(".time .only-read tbody tr").all_inner_texts()
    assert sum("105.0 MB" in row for row in rows) == 10
    assert all("5.0 MB" in row for row in rows)
    expect(page.get_by_label("What the colours are").first).to_contain_text("highest in each span")
    box = area(page)
    page.mouse.move(box["x"] + box["width"] * 20.5 / 500, box["y"] + box["height"] / 2)
    expect(page.locator(".tip")).to_contain_text("live heap5.0 MBhighest about then105.0 MB")
    page.mouse.move(box["x"] + box["width"] * 40.5 / 500, box["y"] + box["height"] / 2)
    expect(page.locator(".tip")).not_to_contain_text("105.0 MB")
    timeline(page).focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".words")).not_to_contain_text("at its highest")
    for _ in range(20):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".words")).to_contain_text(
        "live heap from 5.0 MB to 5.0 MB (0 B), at its highest 105.0 MB."
    )
    page.get_by_role("button", name="as table").first.click()
    grid = page.get_by_role("grid", name=re.compile("^Live heap over time"))
    expect(grid.get_by_role("row").filter(has_text="105.0 MB")).to_have_count(10)


def test_threads_that_are_alike_are_one(open_page: Open, tmp_path: Path) -> None:
    """A server with a thread for each request: one row, one choice, one short link."""
    made = Builder()
    made.process(1, "/bin/x")
    main = made.thread(tid=1, name="x")
    quote, work = (made.python(name, "/home/u/a.py", 1) for name in ("quote", "work"))
    changes = {made.context(0, made.stack(work), thread=main): Change(1, 50)}
    for number in range(30):
        thread = made.thread(tid=10 + number, name="x")
        changes[made.context(0, made.stack(quote), thread=thread)] = Change(1, 10)
    for number in range(15):  # of a name each, so that there is something to search
        thread = made.thread(tid=70 + number, name="abcdefghijklmno"[number])
        changes[made.context(0, made.stack(work), thread=thread)] = Change(1, 1)
    made.slice(0, SECOND, changes)
    made.peak({context: (1, change.bytes_in) for context, change in changes.items()})
    made.finish(SECOND)
    page = open_page(write(tmp_path, made), fragment="#tab=threads")
    row = page.get_by_role("grid").get_by_role("row").filter(has_text="runs quote")
    expect(row).to_contain_text("300 B")
    expect(row).to_contain_text("30 threads")
    row.click()
    until(page, "window.__heaptide.state.threads?.length === 30")
    assert "threads=2-31" in page.url
    page.get_by_text("30 of 46 threads").click()
    page.get_by_role("searchbox", name="Search threads").fill("quote")
    expect(page.get_by_role("checkbox")).to_have_count(1)
    expect(page.get_by_role("checkbox")).to_be_checked()
    page.get_by_role("checkbox").uncheck()
    until(page, "window.__heaptide.state.threads?.length === 0")


def test_names_cannot_act(open_page: Open, tmp_path: Path) -> None:
    """Names that would be markup, that end the script, or that turn text around."""
    made = Builder()
    made.process(1, "/bin/x")
    made.thread(name="<img src=x onerror=alert(1)>")
    names = (
        "<script>alert(1)</script>",
        "</script><b>bold",
        "a\u202eb",
        "<img src=x onerror=alert(2)>",
    )
    changes = {}
    for number, name in enumerate(names):
        frame = made.python(name, f"/home/u/<i>{number}</i>.py", number + 1)
        changes[made.context(0, made.stack(frame))] = Change(1, 100 + number)
    made.slice(0, SECOND, changes)
    made.peak({context: (1, change.bytes_in) for context, change in changes.items()})
    made.mark(SECOND // 2, "<script>alert(3)</script>")
    made.note(SECOND // 2, "<b>note</b>")
    made.meta["command"] = ["<script>alert(4)</script>"]
    made.finish(SECOND)
    page = open_page(write(tmp_path, made))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    expect(page.get_by_role("heading", level=1)).to_have_text("<script>alert(4)</script>")
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.locator("#app i, #app img, #app script").count() == 0
    page.get_by_role("tab", name="Functions", exact=True).click()
    expect(page.get_by_role("grid")).to_contain_text("<script>alert(1)</script>")
    expect(page.get_by_role("grid")).to_contain_text("\\u202e")


@pytest.mark.parametrize("blocks", [0, 1])
def test_next_to_nothing(open_page: Open, tmp_path: Path, blocks: int) -> None:
    made = Builder()
    made.process(1, "/bin/x")
    made.thread()
    if blocks:
        context = made.context(0, made.stack(made.python("f", "/home/u/a.py", 1)))
        made.slice(0, SECOND, {context: Change(1, 64)})
        made.peak({context: (1, 64)})
    made.finish(SECOND)
    page = open_page(write(tmp_path, made))
    if blocks:
        expect(page.get_by_role("application").last).to_be_visible()
    else:
        expect(page.locator("#app")).to_contain_text("no allocation")


def test_ten_thousand_frames(open_page: Open, tmp_path: Path) -> None:
    made = Builder()
    made.process(1, "/bin/x")
    made.thread()
    frames = [made.python(f"f{i % 7}", "/home/u/a.py", i + 1) for i in range(10_000)]
    context = made.context(0, made.stack(*frames))
    made.slice(0, SECOND, {context: Change(1, 64)})
    made.peak({context: (1, 64)})
    made.finish(SECOND)
    page = open_page(write(tmp_path, made))
    flame(page).focus() if page.get_by_role("application").count() > 1 else None
    page.get_by_role("tab", name="Functions", exact=True).click()
    expect(page.get_by_role("grid").get_by_role("row").nth(1)).to_contain_text("64 B")


def test_a_difference_has_signs(open_page: Open, tmp_path: Path, screenshot: Screenshot) -> None:
    profiles = []
    for number, sizes in enumerate([(100, 900), (700, 200)]):
        made = Builder()
        made.process(1, "/bin/x")
        made.thread()
        changes = {
            made.context(0, made.stack(made.python(f"f{i}", "/home/u/a.py", i + 1))): Change(
                1, size
            )
            for i, size in enumerate(sizes)
        }
        made.slice(0, SECOND, changes)
        made.peak({context: (1, change.bytes_in) for context, change in changes.items()})
        made.finish(SECOND)
        profiles.append(Profile(Recording.open(made.write(tmp_path / f"{number}.tide"))))
    path = tmp_path / "diff.html"
    path.write_bytes(build(profiles[1], profiles[0]).html())
    page = open_page(path, fragment="#tab=threads")  # which are not compared
    assert page.get_by_role("tab").all_inner_texts() == [*TABS[:5], "Summary"]
    head = page.get_by_role("banner")
    expect(head).to_contain_text("before: ")
    expect(head).to_contain_text("0.tide")
    expect(head).to_contain_text("1.tide")
    expect(head).to_contain_text("\N{MINUS SIGN}100 B at peak: \N{MINUS SIGN}700 B in f1")
    page.get_by_role("tab", name="Functions", exact=True).click()
    grid = page.get_by_role("grid")
    expect(grid.get_by_role("row").nth(1)).to_contain_text("f1")
    expect(grid.get_by_role("row").filter(has_text="f0")).to_contain_text("+600 B")
    expect(grid.get_by_role("row").filter(has_text="f1")).to_contain_text("\N{MINUS SIGN}700 B")
    page.get_by_role("tab", name="Flame graph", exact=True).click()
    screenshot(page, "difference")
    for side in ("before", "after"):  # both tell of both
        page.get_by_role("application", name=f"Live heap, {side}, from 0").hover()
        for row in ("before after", "live heap 1.0 kB 900 B", "f1 900 B 200 B", "f0 100 B 700 B"):
            found = page.locator(".tip tr").filter(has_text=row.split(" ")[0])
            expect(found).to_have_count(1)
            assert re.sub(r"\s+", " ", found.inner_text()).strip() == row
    page.mouse.move(0, 0)
    expect(page.locator(".tip")).to_have_count(0)
    page.get_by_role("button", name="as table").first.click()
    table = page.get_by_role("grid", name="Live heap over time")
    expect(table.get_by_role("columnheader")).to_contain_text(
        ["live at its end, after", "before", "highest in it, after", "before"]
    )


def test_damaged_data_is_said(browser: Any, tmp_path: Path) -> None:
    """One sentence instead of the page."""
    path = write(tmp_path, example())
    text = path.read_text()
    path.write_text(re.sub(r'(id="heaptide-data">).{40}', r"\1" + "A" * 40, text))
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    expect(page.get_by_role("alert")).to_contain_text("This page cannot show its recording")
    context.close()


def figures_at_the_top(page: Page) -> dict[str, str]:
    names = page.locator("dl.figures dt").all_inner_texts()
    return dict(zip(names, page.locator("dl.figures .value").all_inner_texts()))


@pytest.mark.parametrize(
    ("name", "expected", "over_time", "first", "root"),
    [
        ("a.folded", {"allocated in total": "152 B"}, False, "allocated in total", "152 B"),
        (
            "cpp.massif.out",
            {"peak heap": "6.5 MB", "alive at exit": "6.5 MB"},
            True,
            "at peak",
            "6.5 MB",
        ),
        ("adhoc.dhat.json", {}, False, "units", "45"),
        ("copy.dhat.json", {}, False, "bytes copied by memcpy and the like", "54.4 kB"),
    ],
)
def test_what_a_format_does_not_tell_is_left_out(
    open_page: Open,
    tmp_path: Path,
    name: str,
    expected: dict[str, str],
    over_time: bool,
    first: str,
    root: str,
) -> None:
    path = DATA / name
    if not path.exists():
        path = tmp_path / name
        path.write_text("main;a;b 100\nmain;a 50\nmain;c 2\n")
    target = tmp_path / "a.html"
    subprocess.run([*HEAPTIDE, "report", "-q", "-o", str(target), str(path)], check=True)
    page = open_page(target)
    expect(page.locator("#definition b")).to_have_text(first)
    assert figures_at_the_top(page) == expected
    assert page.get_by_label("Live heap over time").count() == over_time
    expect(page.get_by_role("navigation", name="Frames above")).to_contain_text(root)
    page.get_by_role("tab", name="Functions").click()
    expect(page.get_by_role("tabpanel").get_by_role("row").nth(1)).to_be_visible()
    page.get_by_role("tab", name="Summary").click()
    rows = page.locator("table.summary tbody tr").all_inner_texts()
    assert {row.partition("\t")[2].partition(" (")[0] for row in rows} == {*expected.values(), "1"}
    text = page.inner_text("header") + page.inner_text("table.summary")
    assert not re.search("samples do not tell|1 thread|No allocation|\\b0 (blocks|B)", text)
