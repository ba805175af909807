"""Draws terminal output from stdin as an SVG picture: ``draw.py TITLE FILE``."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main(title: str, path: str) -> None:
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(sys.stdin.read()), no_wrap=True, crop=True)
    picture = console.export_svg(title=title)
    # No font from elsewhere: any monospaced one will do.
    picture = re.sub(r"@font-face\s*{[^}]*}", "", picture).replace("Fira Code, ", "")
    Path(path).write_text(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
