"""What a command does before it reads a recording."""

from __future__ import annotations

import os


def prepare_to_read() -> None:
    """Keeps NumPy, not imported yet, from starting threads for linear algebra: they wait busily.

    Not while a program is still to be started: it would inherit the variable.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
