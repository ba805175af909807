"""What a server gives of a recording that grows: new data when there is any, until its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.recording.make import SECOND, Builder, Change

from heaptide.recording import Recording
from heaptide.views.page import served
from heaptide.views.page.served import Served


class Written:
    """A recording that is written anew when a test says so, and whether it still is being made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.alive = True
        self.looks = 0
        self.write(1)

    def write(self, blocks: int, *, ended: bool = False) -> None:
        make = Builder()
        make.process(1, "/bin/x")
        make.thread()
        frame = make.python("f", "/a.py", 1)
        make.symbol(frame, "f", "/a.py", 1)
        make.slice(0, SECOND, {make.context(0, make.stack(frame)): Change(blocks, 10 * blocks)})
        if ended:
            make.finish(SECOND)
        partial = self.path.with_name("partial")
        make.write(partial, finished=ended)
        partial.replace(self.path)

    def look(self) -> Recording:
        self.looks += 1
        return Recording.open(self.path)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setattr(served, "_LEAST_SECONDS", 0.01)
    monkeypatch.setattr(served, "_SHARE", 0.0)
    return Written(tmp_path / "a.tide")


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def test_nothing_new_is_not_sent_again(written: Written) -> None:
    content = Served(written.look, live=True, alive=lambda: written.alive)
    until(lambda: written.looks > 5)
    assert content.wait(-1, 0) == 0
    written.write(2)
    assert content.wait(0, 60) == 1
    looks = written.looks
    until(lambda: written.looks > looks + 5)
    assert (content.wait(1, 0), content.complete()) == (1, False)
    written.write(3, ended=True)
    until(content.complete)
    assert content.wait(1, 0) == 2
    content.close()


def test_it_ends_with_whoever_makes_the_recording(written: Written) -> None:
    """A collector that was killed writes no end."""
    content = Served(written.look, live=True, alive=lambda: written.alive)
    written.alive = False
    until(content.complete)
    assert written.looks >= 2  # one more after it was gone
    content.close()
