"""What a command does before it reads a recording."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heaptide.recording import Recording


class TerminatedError(BaseException):
    """Somebody has asked the command to end: what is temporary goes first."""


def prepare_to_read(*, on_screen: bool = False) -> None:
    """Keeps NumPy, not imported yet, from starting threads for linear algebra: they wait busily.
    And makes SIGTERM an exception, so that nothing temporary is left.

    ``on_screen``: SIGTERM ends the process at once, until the screen takes it and makes anything
    temporary. An exception amid imports may get lost in a callback, and nobody would ask twice.

    Not while a program is still to be started: it would inherit both.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.SIG_DFL if on_screen else _terminate)


def _terminate(*_: object) -> None:
    raise TerminatedError


def open_input(path: str | Path, *, unpickle: bool = False, quiet: bool = False) -> Recording:
    """Opens a recording, or a file of another profiler, with its progress on a terminal."""
    from heaptide.cli.progress import progress_bar
    from heaptide.formats import open_recording

    with progress_bar("reading", quiet=quiet) as progress:
        return open_recording(path, unpickle=unpickle, progress=progress)
