"""Where text goes: its width, its colours, and the characters that it can show.

Names in a recording are data: they are cleaned of control characters, and never read as markup.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import IO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from heaptide._printable import printable

_FIGURE = re.compile(r"(?<!\S)[+-]?[0-9.,]+(?: (\S{0,3}))?\Z")


@dataclass(frozen=True)
class Glyphs:
    """Characters for the plain and the rich case."""

    bar: str  # eighths of a cell, from none to full; or none and full
    ellipsis: str
    good: str
    bad: str
    neutral: str
    dot: str
    blocks: bool


UNICODE = Glyphs(" ▏▎▍▌▋▊▉█", "…", "✓", "✗", "·", "·", True)
ASCII = Glyphs(" =", "...", "ok", "OVER", "-", "-", False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The caller's to decide, where rich ends the process."""
        raise


class Screen:
    """A rich console with what it can show worked out. Colour only on terminals (NO_COLOR)."""

    def __init__(self, file: IO[str] | None = None, width: int | None = None) -> None:
        self.console = _Console(
            file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False
        )
        self.encoding = self.console.encoding
        try:
            sample = "".join(vars_of(UNICODE)) + "─┤│┼▂█µ"
            sample.encode(self.encoding)
            self.glyphs = UNICODE
        except (UnicodeEncodeError, LookupError):
            self.glyphs = ASCII

    @property
    def width(self) -> int:
        return self.console.width

    def clean(self, text: str) -> str:
        """``text`` without anything that moves the cursor, and in characters that can be shown."""
        text = printable(text)
        if self.glyphs is ASCII:
            text = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return text

    def tail(self, text: str, width: int) -> str:
        """The end of ``text`` in ``width`` cells: what tells paths and functions apart."""
        if cell_len(text) <= width:
            return text
        mark = self.glyphs.ellipsis
        room = width - len(mark)
        if room <= 0:
            return mark[:width]
        kept = 0
        for start in range(len(text) - 1, -1, -1):
            kept += cell_len(text[start])
            if kept > room:
                return mark + text[start + 1 :]
        return text

    def head(self, text: str, width: int) -> str:
        """The beginning of ``text`` in ``width`` cells."""
        if cell_len(text) <= width:
            return text
        mark = self.glyphs.ellipsis
        return set_cell_size(text, max(width - len(mark), 0)).rstrip() + mark[:width]

    def line(self, text: Text | str = "", style: str = "") -> None:
        """Print one line. It is cut at the width, never wrapped, and has no spaces at its end.

        Where it was cut there is an ellipsis, and no beginning of a figure: it would be another.
        """
        line = text if isinstance(text, Text) else Text(text, style)
        line.rstrip()
        if line.cell_len > self.width:
            line = _cut(line, max(self.width - cell_len(self.glyphs.ellipsis), 0))
            line.append(self.glyphs.ellipsis[: self.width])
        self.console.print(line, no_wrap=True, overflow="crop", crop=True)

    def paragraph(self, mark: Text, text: str, style: str = "") -> None:
        """Print ``text`` wrapped, behind ``mark`` on its first line and as far in on the others."""
        room = max(self.width - mark.cell_len, 10)
        for line in Text(text, style).wrap(self.console, room, overflow="fold"):
            self.line(mark + line)
            mark = Text(" " * mark.cell_len)

    def grid(self, rows: list[list[Text]], justify: str, *, gap: int = 2) -> None:
        """Print rows of cells in columns; ``justify`` has an ``l`` or ``r`` for each column."""
        widths = [max(cell.cell_len for cell in column) for column in zip(*rows)]
        for row in rows:
            line = Text()
            for cell, width, side in zip(row, widths, justify):
                space = " " * (width - cell.cell_len)
                line.append_text(Text(space) + cell if side == "r" else cell + Text(space))
                line.append(" " * gap)
            self.line(line)

    def bar(self, share: float, width: int) -> str:
        """``share`` (0 to 1) of a bar ``width`` cells long."""
        steps = len(self.glyphs.bar) - 1
        eighths = round(min(max(share, 0.0), 1.0) * width * steps)
        full, rest = divmod(eighths, steps)
        text = self.glyphs.bar[-1] * full + (self.glyphs.bar[rest] if rest else "")
        return text.ljust(width)


def _cut(line: Text, width: int) -> Text:
    """The beginning of a line that is longer, without a figure or unit that is not whole."""
    cut = line.copy()
    cut.truncate(width, overflow="crop")
    begun, behind = _FIGURE.search(cut.plain), line.plain[len(cut.plain) :]
    whole = begun is not None and behind.startswith(" " if begun[1] else "  ")
    if begun is not None and not whole:
        cut.right_crop(len(begun[0]))
    cut.rstrip()
    return cut


def print_section(screen: Screen, title: str) -> None:
    """A title, apart from what is above it."""
    screen.line()
    screen.line(title, "bold")


def vars_of(glyphs: Glyphs) -> list[str]:
    """The strings among the glyphs."""
    return [value for value in vars(glyphs).values() if isinstance(value, str)]


def display_path(path: str) -> str:
    """A recording's path as a person would type it here."""
    here = os.path.relpath(path)
    return here if len(here) < len(path) and not here.startswith("../..") else path
