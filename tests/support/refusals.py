"""What a command does that cannot do what was asked."""

from __future__ import annotations

import subprocess


def refused(result: subprocess.CompletedProcess[bytes], status: int, *words: str) -> None:
    """One line on stderr that holds ``words``, nothing on stdout, this exit status."""
    text = result.stderr.decode()
    assert result.returncode == status, text
    assert result.stdout == b""
    assert text.startswith("heaptide: ") and text.count("\n") == 1 and text.endswith("\n"), text
    for word in words:
        assert word in text
