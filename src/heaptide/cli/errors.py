"""Any exception as one line for a person."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from heaptide.errors import HeaptideError


def describe(error: Exception) -> str:
    """What to print for ``error`` after ``heaptide: ``.

    An exception that is none of ours is a defect; the line says where. With HEAPTIDE_TRACEBACK set
    in the environment its traceback is printed too.
    """
    if isinstance(error, HeaptideError):
        return error.message
    if os.environ.get("HEAPTIDE_TRACEBACK"):
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())
    return (
        f"internal error: {type(error).__name__}: {text}{where}; this is a defect, please report "
        "it (HEAPTIDE_TRACEBACK=1 prints more)"
    )
