"""A real browser for the page: the system's Chromium, without a network, with nothing unnoticed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

SCREENSHOTS = Path(__file__).parent.parent.parent / "build" / "screenshots"
_ARGUMENTS = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Open = Callable[..., Page]


def until(page: Page, expression: str, seconds: float = 20.0) -> None:
    """Waits for ``expression`` to be true: Playwright's own way needs eval, which is forbidden."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(20)


def drag(page: Page, chart: Locator, start: float, end: float) -> list[int]:
    """From one part of a chart's width to another: the range that is chosen then."""
    page.evaluate("window.scrollTo(0, 0)")
    box = chart.locator(".u-over").bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    before = page.evaluate("JSON.stringify(window.__heaptide.state.range)")
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, y, steps=4)
    page.mouse.up()
    until(page, f"JSON.stringify(window.__heaptide.state.range) !== {before!r}")
    found: list[int] = page.evaluate("window.__heaptide.state.range")
    return found


@pytest.fixture(scope="module")  # while it lives there is an event loop, and can be no other
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "the page is tested in Chromium; scripts/setup installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """``open_page(path or url, **options of the context)``: the page, loaded and ready.

    Fails the test if a page logs an error, throws, or asks for anything that is not its own.
    """
    contexts = []
    wrong: list[str] = []

    def open_page(where: Path | str, *, fragment: str = "", **options: Any) -> Page:
        served = isinstance(where, str)
        context = browser.new_context(offline=not served, **options)
        contexts.append(context)
        page = context.new_page()
        own = str(where) if served else "file://"
        page.on("console", lambda message: _note(wrong, message))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((own, "data:", "blob:"))
                else wrong.append(f"asked for {request.url}")
            ),
        )
        page.goto((str(where) if served else Path(where).as_uri()) + fragment)
        until(page, "Boolean(window.__heaptide)")
        page.evaluate("window.__heaptide.ready")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def _note(wrong: list[str], message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        wrong.append(message.text)


@pytest.fixture
def screenshot() -> Callable[[Page, str], Path]:
    """``screenshot(page, name)`` keeps a picture below build/screenshots."""

    def screenshot(page: Page, name: str) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        page.screenshot(path=str(path), full_page=True)
        return path

    return screenshot
