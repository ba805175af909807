"""A picture of a page in Chromium: ``photograph.py PAGE FILE``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def main(page: str, path: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("photograph.py: there is no Chromium; install it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        context = browser.new_context(
            offline=True, viewport={"width": 1240, "height": 860}, color_scheme="light"
        )
        opened = context.new_page()
        opened.goto(Path(page).resolve().as_uri())
        opened.evaluate("window.__heaptide.ready")
        opened.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
