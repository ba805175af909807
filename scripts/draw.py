"""Draws terminal output from stdin as an SVG picture: ``draw.py TITLE FILE``."""

from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.text import Text


def main(title: str, path: str) -> None:
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(sys.stdin.read()), no_wrap=True, crop=True)
    console.save_svg(path, title=title)


if __name__ == "__main__":
    main(*sys.argv[1:])
