"""Small files that are written whole, and the summary of a job on GitHub."""

from __future__ import annotations

import os
from pathlib import Path

from heaptide.errors import OutputError


def write_file(path: Path, data: bytes | str, *, append: bool = False) -> None:
    """Text as UTF-8; what cannot be in it gets backslashes. Raises OutputError."""
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace")
    try:
        with path.open("ab" if append else "wb") as file:
            file.write(raw)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} cannot be written: {reason}; choose another place") from None


def add_to_job_summary(markdown: str) -> None:
    """In a workflow on GitHub to what its page shows; nothing elsewhere. Raises OutputError."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        write_file(Path(path), markdown, append=True)
