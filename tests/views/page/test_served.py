"""What a server gives of a recording that grows: new data when there is any, until its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.recording.make import SECOND, Builder, Change

from heaptide.errors import RecordingError
from heaptide.recording import Recording
from heaptide.views.page import served
from heaptide.views.page.blob import decode
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


def sliced(path: Path) -> Recording:
    """More slices than a page has spans."""
    make = Builder()
    make.process(1, "/bin/x")
    make.thread()
    frame = make.python("f", "/a.py", 1)
    make.symbol(frame, "f", "/a.py", 1)
    context = make.context(0, make.stack(frame))
    for row in range(1000):
        make.slice(row * SECOND, (row + 1) * SECOND, {context: Change(1, 10)})
    make.finish(1000 * SECOND)
    return Recording.open(make.write(path))


def ends(data: bytes) -> list[int]:
    found: list[int] = decode(data)[1]["bin.end"].tolist()
    return found


def test_time_is_finer_where_it_is_asked_for(tmp_path: Path) -> None:
    recording = sliced(tmp_path / "a.tide")
    content = Served(lambda: recording)
    until(content.complete)
    whole = content.data()
    finer = content.data(100 * SECOND, 200 * SECOND)
    assert {row * SECOND for row in range(101, 201)} <= set(ends(finer))
    assert set(ends(whole)) < set(ends(finer))
    assert content.data(100 * SECOND, 200 * SECOND) is finer  # it is kept
    assert 7 * SECOND in ends(content.data(cuts=[7 * SECOND]))
    edge = ends(whole)[3]
    assert content.data(cuts=[edge]) is whole  # it has that already
    assert content.data(5000 * SECOND, 6000 * SECOND) is whole
    content.close()


def test_finer_time_of_what_is_gone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = sliced(tmp_path / "a.tide")
    content = Served(lambda: recording)
    until(content.complete)

    def gone(*_: object, **__: object) -> None:
        raise RecordingError("a chunk was given up")

    monkeypatch.setattr(served, "build", gone)
    assert content.data(100 * SECOND, 200 * SECOND) is content.data()
    content.close()
