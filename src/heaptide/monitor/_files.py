"""Files in a folder that others may write too: whatever lies there under a name of ours, a pipe, a
link or far too much, nobody waits for it, and nothing else is read or written in its place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_MOST = 4 << 20  # bytes: 1,000 times what a worker leaves
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # else who opens a pipe waits for its end
BROKEN = (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError)
"""What reading JSON of a shape that is not known may raise."""


def open_regular(path: Path, flags: int) -> int:
    """A descriptor. Raises OSError; also if it is no file, or a link to one."""
    descriptor = os.open(path, flags | _FLAGS, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def read_regular(path: Path) -> bytes:
    """Raises OSError."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        raw = part = os.read(descriptor, _MOST + 1)
        while part and len(raw) <= _MOST:
            part = os.read(descriptor, _MOST + 1)
            raw += part
    finally:
        os.close(descriptor)
    if len(raw) > _MOST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return raw


def write_regular(path: Path, content: bytes, *, flags: int = 0) -> None:
    """Over what is there, in one call. Raises OSError; also if there is room for a part only."""
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | flags)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)
