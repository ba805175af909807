"""The page from a server: fetched data, sources on demand, and a recording that grows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from heaptide.recording import Recording
from heaptide.views.page.served import Served
from heaptide.views.server import PageServer
from tests.browser.conftest import Open, until
from tests.recording.make import SECOND, Builder, Change


class Growing:
    """A recording that has one more block each time it is looked at, until a test ends it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self.source = source
        self.blocks = 0
        self.ended = False
        self.looked = threading.Event()

    def look(self) -> Recording:
        self.blocks += 1
        made = Builder()
        made.process(1, "/bin/x")
        made.thread()
        context = made.context(0, made.stack(made.python("grow", str(self.source), 2)))
        made.slice(0, SECOND, {context: Change(self.blocks, 1000 * self.blocks)})
        made.peak({context: (self.blocks, 1000 * self.blocks)})
        if self.ended:
            made.finish(SECOND)
        path = self.folder / f"{self.blocks}.tide"
        made.write(path, finished=self.ended)
        self.looked.set()
        return Recording.open(path)


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    source = tmp_path / "program.py"
    source.write_text("def grow():\n    return bytes(1000)\n")
    return Growing(tmp_path, source)


@pytest.fixture
def served(growing: Growing) -> Iterator[str]:
    content = Served(growing.look, live=True)
    with PageServer(content).in_background() as url:
        yield url
    content.close()


def test_it_follows_a_recording_and_notices_its_end(
    open_page: Open, served: str, growing: Growing
) -> None:
    page = open_page(served)
    expect(page.get_by_role("heading", level=1).locator("..")).to_contain_text("recording now")
    first = page.evaluate("window.__heaptide.data.column('sample.total_bytes')[0]")
    until(page, f"window.__heaptide.data.column('sample.total_bytes')[0] > {first}")
    growing.ended = True
    until(page, "!window.__heaptide.data.header.live")
    expect(page.locator("#app")).not_to_contain_text("recording now")


def test_a_drag_goes_on_while_data_come(open_page: Open, served: str, growing: Growing) -> None:
    page = open_page(served)
    total = "window.__heaptide.data.column('sample.total_bytes')[0]"
    area = page.locator(".chart .u-over").bounding_box()
    assert area
    middle = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + area["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.4, middle)
    before = page.evaluate(total)
    until(page, f"{total} > {before}")
    page.mouse.move(area["x"] + area["width"] * 0.6, middle)
    page.mouse.up()
    until(page, "window.__heaptide.state.range !== null")
    expect(page.locator(".chart canvas")).to_have_count(1)
    growing.ended = True
    until(page, "!window.__heaptide.data.header.live")


def test_sources_come_from_the_server(open_page: Open, served: str, growing: Growing) -> None:
    page = open_page(served, fragment="#tab=lines")
    page.get_by_role("grid").get_by_role("row").nth(1).click()
    panel = page.get_by_role("region", name=re.compile("^Source of"))
    if not panel.is_visible():
        page.get_by_role("button", name=re.compile("source", re.IGNORECASE)).first.click()
    expect(panel).to_contain_text("return bytes(1000)")
