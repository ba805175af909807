"""A screen goes when its terminal does, and when it is told to, whatever it waits for."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.recording.make import example
from tests.support.strays import kill_tree

pytestmark = pytest.mark.interpreters

Start = Callable[[str], "Started"]

_PATIENCE = 60.0  # only for what would never end

# What a screen is that waits for ever, from the moment at which it says so.
_STUCK = """
import threading
from heaptide.views.live.ending import Ending
with Ending(seconds={seconds}) as ending:
    ending.on_end(lambda number: None)
    print("ready", flush=True)
    {stuck}
"""
_WAITS = "threading.Event().wait()"

# The real screen; once it is drawn, ``then`` happens in it.
_SCREEN = """
import select, sys, threading, time
from heaptide.views.live import app
from heaptide.views.live.ending import Ending

class Screen(app.LiveApp):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.ending = Ending(seconds={seconds})

    def on_ready(self):
        self.set_timer(0.01, self.then)

    def then(self):
        print("ready", file=sys.__stdout__, flush=True)
        {then}

app.LiveApp = Screen
app.watch({recording!r}, None, metric="live", by="function")
"""
# Draws, for as long as it takes to find out that nobody sees it, and then more than is queued.
_DRAWS_ON = """
        poll = select.poll()
        poll.register(0, 0)
        poll.poll()
        for _ in range(100):
            self.bell()
            time.sleep(0.001)
"""


class Started:
    """A Python script on a terminal that is not its own: nobody signals it when that goes."""

    def __init__(self, code: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(slave)

    def until_ready(self) -> Started:
        seen = b""
        while b"ready" not in seen:
            seen += os.read(self.master, 65536)
        return self

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def wait(self) -> int:
        return self.process.wait(_PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            kill_tree(self.process.pid)
            self.process.wait()
        if self.master >= 0:
            self.hang_up()


@pytest.fixture
def start() -> Iterator[Start]:
    """``start(code)``: a script, once it has said that it is ready."""
    started: list[Started] = []

    def start(code: str) -> Started:
        started.append(Started(code))
        return started[-1].until_ready()

    yield start
    for one in started:
        one.close()


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return str(example().write(tmp_path / "a.tide"))


def test_waits_for_ever(start: Start) -> None:
    """Who does not end when asked is ended."""
    one = start(_STUCK.format(seconds=0.1, stuck=_WAITS))
    one.hang_up()
    assert one.wait() == 128 + signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_while_it_waits_for_ever(start: Start, number: signal.Signals) -> None:
    """The same on a signal, which the main thread does not get to see."""
    one = start(_STUCK.format(seconds=0.1, stuck=_WAITS))
    one.process.send_signal(number)
    assert one.wait() == 128 + number


def test_python_stands_still(start: Start) -> None:
    """No thread of Python runs any more: the kernel ends the process."""
    stuck = """
    from heaptide.views.live import ending as module
    module._ALARM_SECONDS = 0.0
    import ctypes, os, signal
    os.kill(os.getpid(), signal.SIGTERM)
    while not ending.number:
        pass
    ctypes.PyDLL(None).sleep(1000)
    """
    one = start(_STUCK.format(seconds=0.5, stuck=stuck))
    assert one.wait() == -signal.SIGALRM


def test_asked(start: Start) -> None:
    """Who is to be asked is asked once, and at once if the end has come before."""
    stuck = """
    asked, numbers = threading.Event(), []
    ending.on_end(lambda number: (numbers.append(number), asked.set()))
    asked.wait()
    ending.on_end(lambda number: numbers.append(10 * number))
import os
os._exit(sum(numbers))
"""
    one = start(_STUCK.format(seconds=1000, stuck=stuck))
    one.hang_up()
    assert one.wait() == 11 * signal.SIGHUP


def test_goes_while_it_is_left(start: Start) -> None:
    """Whoever leaves for another reason, before the thread has looked, knows it as well."""
    stuck = """
    begin, main = ending._begin, threading.current_thread()
    ending._begin = lambda number: threading.current_thread() is main and begin(number)
    poll = select.poll()
    poll.register(0, 0)
    poll.poll()
import os
os._exit(ending.number)
"""
    one = start("import select\n" + _STUCK.format(seconds=1000, stuck=stuck))
    one.hang_up()
    assert one.wait() == signal.SIGHUP


def test_left(start: Start) -> None:
    """All is as before when the screen was left: threads, descriptors, what signals do."""
    code = """
import os, signal, threading
from heaptide.views.live.ending import SIGNALS, Ending
def state():
    handlers = [signal.getsignal(one) for one in (*SIGNALS, signal.SIGALRM)]
    return threading.active_count(), os.listdir("/proc/self/fd"), handlers
before = state()
with Ending() as ending:
    pass
assert state() == before and ending.number == 0
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGHUP)
"""
    assert start(code).wait() == -signal.SIGHUP


def test_draws_when_the_terminal_has_gone(start: Start, recording: str) -> None:
    """What cannot be drawn holds nothing up: the screen ends in order."""
    one = start(_SCREEN.format(seconds=1000, then=_DRAWS_ON, recording=recording))
    one.hang_up()
    assert one.wait() == -signal.SIGHUP


@pytest.mark.parametrize("number", [0, signal.SIGTERM])
def test_screen_that_waits_for_ever(start: Start, recording: str, number: int) -> None:
    """The screen is ended as well, whatever it waits for."""
    one = start(_SCREEN.format(seconds=0.1, then=_WAITS, recording=recording))
    if number:
        one.process.send_signal(number)
    else:
        one.hang_up()
    assert one.wait() == 128 + (number or signal.SIGHUP)
