"""The keys and what they do, in as many lines as it takes; each can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual import events
from textual.widget import Widget


class Key(NamedTuple):
    """As it is shown, what it does in a word, and the app's action."""

    shown: str
    words: str
    action: str


class KeyBar(Widget):
    DEFAULT_CSS = "KeyBar { dock: bottom; height: auto; background: $panel; }"

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = list(keys)

    def _lines(self, width: int) -> list[list[tuple[int, Key]]]:
        """Keys by line, each with the column that it begins at."""
        lines: list[list[tuple[int, Key]]] = [[]]
        at = 0
        for key in self._keys:
            length = len(key.shown) + 1 + len(key.words)
            if lines[-1] and at + length > width:
                lines.append([])
                at = 0
            lines[-1].append((at, key))
            at += length + 1
        return lines

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="crop")
        for number, line in enumerate(self._lines(self.size.width)):
            if number:
                text.append("\n")
            for at, (_, key) in enumerate(line):
                text.append(" " if at else "")
                text.append(key.shown, "bold reverse")
                text.append(f" {key.words}")
        return text

    async def on_click(self, event: events.Click) -> None:
        lines = self._lines(self.size.width)
        if event.y < len(lines):
            for at, key in lines[event.y]:
                if at <= event.x <= at + len(key.shown) + len(key.words):
                    await self.app.run_action(key.action)
