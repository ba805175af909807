"""Notes: read from JSON, rendered as HTML, found by words."""

from __future__ import annotations

import functools
import html
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Note(NamedTuple):
    number: int
    title: str
    body: str


def read(lines: Iterable[str]) -> Iterator[Note]:
    """A note a line: as many of them are in memory as the caller keeps."""
    for line in lines:
        yield Note(**json.loads(line))


@functools.lru_cache(maxsize=64)
def render(note: Note, query: str = "") -> str:
    """The page of a note; the last 64 are kept."""
    body = html.escape(note.body)
    if query:
        body = body.replace(html.escape(query), f"<mark>{html.escape(query)}</mark>")
    return f"<h1>{html.escape(note.title)}</h1><p>{body}</p>"


class Index:
    """Numbers of notes by the words in them."""

    def __init__(self) -> None:
        self._numbers: dict[str, set[int]] = {}

    def add(self, note: Note) -> None:
        for word in note.body.lower().split():
            self._numbers.setdefault(word, set()).add(note.number)

    def remove(self, note: Note) -> None:
        for word in note.body.lower().split():
            numbers = self._numbers.get(word, set())
            numbers.discard(note.number)
            if not numbers:
                self._numbers.pop(word, None)

    def find(self, word: str) -> list[int]:
        return sorted(self._numbers.get(word.lower(), ()))
