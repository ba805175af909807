"""What a command does before it reads a recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heaptide.recording import Recording


def prepare_to_read() -> None:
    """Keeps NumPy, not imported yet, from starting threads for linear algebra: they wait busily.

    Not while a program is still to be started: it would inherit the variable.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def open_input(path: str | Path, *, unpickle: bool = False, quiet: bool = False) -> Recording:
    """Opens a recording, or a file of another profiler, with its progress on a terminal."""
    from heaptide.cli.progress import progress_bar
    from heaptide.formats import open_recording

    with progress_bar("reading", quiet=quiet) as progress:
        return open_recording(path, unpickle=unpickle, progress=progress)
