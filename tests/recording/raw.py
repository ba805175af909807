"""Recordings of real programs as the collector leaves them, before the finishing pass."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.recorded import HEAPTIDE, children_of

# Forks, execs, threads; the same in every Python, and small.
FAMILY = "for i in 1 2 3; do ls / | cat | cat; done; (exec ls /); ls / & wait"

# What `heaptide run` does but for its last step.
_RECORD = """
import sys
from pathlib import Path
from heaptide.recorder import Config, record, resolve
record(resolve(sys.argv[2:]), Config(), Path(sys.argv[1]))
"""

# Says when it has allocated, over more than a second: more than one checkpoint is written.
_LONG = """
import os, sys, threading, time
def work():
    kept = []
    for i in range(14):
        kept.append([bytes(1000 + i) for _ in range(100)])
        time.sleep(0.1)
threading.Thread(target=work).start()
work()
if os.fork() == 0:
    work()
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


def finished(path: Path) -> Path:
    """A recording of several processes, ended cleanly, not compacted."""
    subprocess.run(
        [sys.executable, "-c", _RECORD, str(path), "sh", "-c", FAMILY],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return path


def sequence(path: Path) -> Path:
    """A recording of processes one after the other over several checkpoints, as `finished`."""
    loop = "for i in 1 2 3 4 5 6 7 8 9 10; do ls /; sleep 0.2; done"
    subprocess.run(
        [sys.executable, "-c", _RECORD, str(path), "sh", "-c", loop],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return path


def compacted(path: Path) -> Path:
    """The same as `heaptide run` leaves it."""
    command = [*HEAPTIDE, "run", "-q", "-o", str(path), "sh", "-c", FAMILY]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return path


def killed(path: Path) -> Path:
    """A recording of two processes and three threads, all of it killed at once: the collector, the
    launcher, and the programs."""
    # Few stacks, so that cutting it a hundred times does not take long.
    own = ("run", "-q", "--no-symbols", "--no-python-objects", "--native", "off", "-o", str(path))
    command = [*HEAPTIDE, *own, sys.executable, "-c", _LONG]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            (collector,) = children_of(process.pid, "heaptide-collector")
            # The child writes on: it is killed with the next checkpoint at hand.
            time.sleep(0.9)
            os.kill(collector, signal.SIGKILL)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    return path
