"""Files for other people's viewers, in these viewers, in a real browser: nothing goes wrong, and
their totals are ours."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from heaptide.formats import by_name, open_recording, write
from heaptide.profile import METRICS, Profile, known_metrics, stack_tree, summarize
from heaptide.recording import Recording
from tests.browser.conftest import SCREENSHOTS
from tests.support import recorded

DH_VIEW = Path("/usr/libexec/valgrind/dh_view.html")
SPEEDSCOPE = Path(__file__).parents[2] / "web/node_modules/speedscope/dist/release/index.html"
DATA = Path(__file__).parents[1] / "formats" / "data"

_PROGRAM = """
import json
kept = []
def parse(number):
    return json.loads(json.dumps({"number": number, "text": "<b>&amp;" * (number % 9)}))
for number in range(3000):
    kept.append(parse(number))
    if number % 3 == 0:
        kept.pop()
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("viewers")
    return recorded.record(directory, [sys.executable, "-c", _PROGRAM]).path


@pytest.fixture
def viewer(browser: Browser) -> Iterator[Page]:
    """A page without a network, which fails the test where anything goes wrong in it."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: wrong.append(message.text) if message.type == "error" else None,
    )
    yield page
    context.close()
    assert wrong == []


def until(page: Page, expression: str) -> None:
    page.wait_for_function(expression, timeout=30_000)


def _load_dhat(page: Page, file: Path) -> str:
    assert DH_VIEW.is_file(), "dh_view.html comes with Valgrind; scripts/setup installs it"
    page.goto(DH_VIEW.as_uri())
    page.set_input_files("input[type=file]", str(file))
    until(page, "document.body.innerText.includes('Total:')")
    return page.inner_text("body")


def _figure(text: str, name: str) -> int:
    return int(re.findall(rf"{name}:\s+([\d,]+) bytes", text)[0].replace(",", ""))


def test_dh_view_shows_a_recording(viewer: Page, recording: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.dhat.json"
    with Recording.open(recording) as opened:
        profile = Profile(opened)
        write(profile, by_name("dhat"), target)
        summary = summarize(profile)
    text = _load_dhat(viewer, target)
    assert "repeated location" not in text and "missing a field" not in text
    assert _figure(text, "Total") == summary.total_bytes
    assert _figure(text, r"At t-gmax") == summary.peak_bytes
    assert _figure(text, r"At t-end") == summary.alive_at_exit_bytes
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(path=SCREENSHOTS / "dh_view.png")


def test_dh_view_shows_what_came_from_dhat(viewer: Page, tmp_path: Path) -> None:
    """Reads, writes and counts of accesses included: the same as of the original."""
    target = tmp_path / "again.dhat.json"
    with open_recording(DATA / "cpp.dhat.json") as opened:
        write(Profile(opened), by_name("dhat"), target)
    before = _load_dhat(viewer, DATA / "cpp.dhat.json")
    after = _load_dhat(viewer, target)
    for name in ("Total", "At t-gmax", "At t-end", "Reads", "Writes"):
        assert _figure(after, name) == _figure(before, name), name


@pytest.mark.parametrize("source", ["recording", "copy.dhat.json", "adhoc.dhat.json"])
def test_dh_view_shows_what_knows_less(
    viewer: Page, recording: Path, tmp_path: Path, source: str
) -> None:
    target = tmp_path / "a.dhat.json"
    with open_recording(recording if source == "recording" else DATA / source) as opened:
        write(Profile(opened), by_name("dhat"), target)
    text = _load_dhat(viewer, target)
    assert "repeated location" not in text and "missing a field" not in text


def test_speedscope_shows_a_recording(viewer: Page, recording: Path, tmp_path: Path) -> None:
    assert SPEEDSCOPE.is_file(), "speedscope is in web/package.json: run scripts/web"
    target = tmp_path / "a.speedscope.json"
    with Recording.open(recording) as opened:
        profile = Profile(opened)
        write(profile, by_name("speedscope"), target)
        shown = f"{profile.worded(METRICS['peak']).words} (1/{len(known_metrics(opened))})"
        largest = max(_by_place(profile).values())
    viewer.goto(SPEEDSCOPE.as_uri())
    viewer.set_input_files("input[type=file]", str(target))
    until(viewer, f"document.body.innerText.includes({shown!r})")
    viewer.keyboard.press("2")  # left heavy
    viewer.wait_for_timeout(300)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(path=SCREENSHOTS / "speedscope.png")
    viewer.keyboard.press("3")  # sandwich: functions with their totals
    until(viewer, "document.body.innerText.includes('Symbol Name')")
    viewer.get_by_text("Total", exact=True).click()
    viewer.wait_for_timeout(300)
    first = viewer.inner_text("body").partition("Symbol Name\n")[2]
    number, unit = re.findall(r"([\d.]+) (B|KB|MB)\b", first)[0]
    scale = {"B": 1, "KB": 1 << 10, "MB": 1 << 20}[unit]
    assert float(number) * scale == pytest.approx(largest, abs=0.006 * scale)


def _by_place(profile: Profile) -> Counter[tuple[str, str, int]]:
    """Bytes at the peak of all stacks that a place is in, once each."""
    tree = stack_tree(profile, "place", figures=profile.figures[:, :1])
    at, found = profile.locations, Counter[tuple[str, str, int]]()
    path: list[tuple[str, str, int]] = []
    for node in range(1, len(tree)):
        row = int(tree.location[node])
        del path[int(tree.depth[node]) - 1 :]
        place = at.texts[at.function[row]], at.texts[at.file[row]], int(at.line[row])
        path.append(place)
        for one in set(path):
            found[one] += int(tree.own[node, 0])
    return found
