"""What the page says once for the whole recording."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.recording.make import Builder, example

from heaptide.profile import Profile
from heaptide.recording import Recording
from heaptide.views.page.header import header_of


def unfinished() -> Builder:
    build = example()
    build.end = None
    return build


@pytest.mark.parametrize("live", [False, True])
def test_nothing_is_said_of_an_end_that_is_to_come(tmp_path: Path, live: bool) -> None:
    with Recording.open(unfinished().write(tmp_path / "a.tide", finished=False)) as recording:
        header = header_of(Profile(recording), None, live=live)
    said = [note["text"] for note in header["notes"]]
    assert any("the recording has no end" in text for text in said) != live
    assert any(verdict["name"] == "alive_at_exit" for verdict in header["verdicts"]) != live


def test_code_of_modules_and_where_paths_are_seen_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        header = header_of(Profile(recording), None, live=False)
    assert header["modules"] == {"/home/user/app.py": "app.py"}
    assert header["here"] == os.fspath(tmp_path)
