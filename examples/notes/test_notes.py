"""What the library may do with memory, said beside what it has to do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from notes import Index, Note, read, render

COUNT = 10_000
NOTE = Note(1, "Shopping", "bread butter " * 100)
numbers = itertools.count(COUNT)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten thousand notes, 14 MB. Making them is not measured."""
    path = tmp_path / "notes.jsonl"
    with path.open("w") as out:
        for number in range(COUNT):
            line = {"number": number, "title": f"Note {number}", "body": "words " * 230}
            out.write(json.dumps(line) + "\n")
    return path


@pytest.mark.memory("100 kB")
def test_reading_keeps_one_note(file: Path) -> None:
    with file.open() as lines:
        assert sum(1 for note in read(lines) if note.title) == COUNT


@pytest.mark.memory(leaked=0)
def test_rendering_does_not_leak() -> None:
    """A hundred queries that were never asked before: more than are kept."""
    for number in itertools.islice(numbers, 100):
        assert render(NOTE, f"query {number}")


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    for number in range(100):
        index.add(Note(number, "", f"a word and number{number}"))
    yield index
    assert index.find("number7") == [7]


@pytest.mark.memory(leaked=0, growth=0)
def test_what_is_removed_is_gone(index: Index) -> None:
    number = next(numbers)  # each repetition adds words that were never there
    note = Note(number, "", f"a word and number{number}")
    index.add(note)
    assert index.find(f"number{number}") == [number]
    index.remove(note)


def test_a_page_is_made_of_few_pieces(memory_benchmark: Callable[..., str]) -> None:
    """Held to memory-baseline.json, once there is one: pytest --memory-update."""
    page = memory_benchmark(render.__wrapped__, NOTE, "butter")
    assert page.count("<mark>") == 100
