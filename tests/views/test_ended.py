"""What leaked says nothing of processes that had ended: ``show`` tells that it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.recording.make import SECOND, Builder, Change

from heaptide.cli.show import show
from heaptide.profile import Profile
from heaptide.recording import Recording
from heaptide.views.page.header import header_of

SLICES = 100
PARENT, CHILD = 10, 11
NOTE = (
    "memory of processes that had ended is not among the leaked: 1 process held 4.0 kB at the end; "
    "--metric alive has it"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Two processes that leak alike, one of which ends early."""
    build = Builder()
    build.process(PARENT, end=SLICES * SECOND)
    build.process(CHILD, end=40 * SECOND, start=SECOND)
    stack = build.stack(build.python("leak", "/home/u/app.py", 3))
    contexts = []
    for process in (0, 1):
        build.thread(process)
        contexts.append(build.context(process, stack, thread=process))
    for second in range(SLICES):
        alive = contexts if second < 40 else contexts[:1]
        changes = {context: Change(1, 100) for context in alive}
        build.slice(second * SECOND, (second + 1) * SECOND, changes)
    build.peak({contexts[0]: (SLICES, SLICES * 100)})
    build.finish(SLICES * SECOND)
    return build.write(tmp_path / "a.tide")


def told(path: str, *options: str) -> bool:
    """Whether it is noted: in text as in JSON."""
    run = CliRunner()
    text = run.invoke(show, [path, *options], catch_exceptions=False).stdout
    document = run.invoke(show, [path, "--json", *options], catch_exceptions=False).stdout
    found = NOTE in [note["text"] for note in json.loads(document)["notes"]]
    assert found == (NOTE in " ".join(text.split()))
    return found


def test_the_page_tells_it_too(path: str) -> None:
    """With the verdict, and where leaks are chosen, which it names in words."""
    note = NOTE.replace("--metric alive has it", "it is part of what is alive at exit")
    with Recording.open(path) as recording:
        profile = Profile(recording)
        alone, compared = (header_of(profile, base, live=False) for base in (None, profile))
    assert note in [one["text"] for one in alone["notes"]]
    assert note not in [one["text"] for one in compared["notes"]]  # there are no verdicts
    for header, notes in ((alone, [note]), (compared, [note, f"before: {note}"])):
        told = {one["name"]: one["notes"] for one in header["metrics"]}
        assert told.pop("leaked") == told.pop("leaked-blocks") == notes
        assert not any(told.values())


@pytest.mark.parametrize("options", [(), ("--process", str(CHILD)), ("--by", "line")])
def test_leaks_are_of_processes_that_lasted(path: str, options: tuple[str, ...]) -> None:
    assert told(path, "--metric", "leaked", *options)


def test_so_is_the_verdict(path: str) -> None:
    assert told(path)


@pytest.mark.parametrize(
    "options", [("leaked", "--process", str(PARENT)), ("alive", "--process", str(CHILD))]
)
def test_where_it_is_not_so_nothing_is_said(path: str, options: tuple[str, ...]) -> None:
    assert not told(path, "--metric", *options)
