"""What a program prints: into a file, so that it never waits for us, and of bounded size."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

_MOST = 64 << 20  # bytes; then the file is begun anew
_KEPT = 64 << 10  # of what was there before
_TAIL_LINES = 15


class Log:
    """``fd`` is for the program to write to: what it appends goes to the end, wherever that is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self.fd = os.open(path, flags, 0o600)
        self._at = 0
        self._kept = b""

    def read(self) -> bytes:
        """What is new since the last call."""
        parts = []
        while part := os.pread(self.fd, 1 << 20, self._at):
            self._at += len(part)
            parts.append(part)
            if self._at >= _MOST:
                self._kept = part[-_KEPT:]
                self._begin_anew()
                break
        return b"".join(parts)

    def tidy(self) -> None:
        """Keeps the end of what is too much, unread or not."""
        size = os.fstat(self.fd).st_size
        if size >= _MOST:
            self._kept = os.pread(self.fd, _KEPT, max(size - _KEPT, 0))
            self._begin_anew()

    def _begin_anew(self) -> None:
        os.ftruncate(self.fd, 0)
        self._at = 0

    def tail(self) -> list[str]:
        """Its last lines."""
        size = os.fstat(self.fd).st_size
        end = self._kept + os.pread(self.fd, _KEPT, max(size - _KEPT, 0))
        return end.decode(errors="replace").splitlines()[-_TAIL_LINES:]

    def keep(self, name: str) -> Path | None:
        """A copy that outlives this one's directory; None: nothing was printed, or no room."""
        size = os.fstat(self.fd).st_size
        if not size:
            return None
        word = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "program"
        with contextlib.suppress(OSError):
            handle, path = tempfile.mkstemp(prefix=f"heaptide-idle-{word}-", suffix=".log")
            os.close(handle)
            shutil.copyfile(self.path, path)
            return Path(path)
        return None

    def close(self) -> None:
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            self.fd = -1
