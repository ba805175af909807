"""A screen whose terminal goes away ends, instead of reading its end over and over."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

from tests.recording.make import example
from tests.support.strays import kill_tree

from .conftest import HEAPTIDE


def test_the_terminal_goes_away(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*HEAPTIDE, "top", path],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,  # the terminal is not its own: nobody signals it
    )
    try:
        os.close(slave)
        drawn = b""
        while b"heaptide" not in drawn and b"live heap" not in drawn:
            drawn += os.read(master, 65536)
        os.close(master)
        assert process.wait(timeout=60) == -signal.SIGHUP
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()
