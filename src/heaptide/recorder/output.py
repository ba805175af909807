"""The file a recording goes to: claimed before anything starts, so that nothing runs in vain."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from heaptide.errors import OutputError

_FAILED = 125


def default_output(name: str) -> Path:
    """A name in the current directory that tells programs and runs apart."""
    word = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "program"
    return Path(f"heaptide-{word}.{os.getpid()}.tide")


def claim(path: Path, force: bool) -> None:
    """Creates an empty ``path``, in place of an old recording only with ``force``.

    An old file is unlinked, not truncated: whoever reads it goes on reading the old one. Raises
    OutputError.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    except OSError as error:
        raise _unwritable(path, error) from error
    if status is not None:
        if stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{path} is a directory; give -o a file name", exit_status=_FAILED)
        if not stat.S_ISREG(status.st_mode):
            raise OutputError(
                f"{path} is not a regular file, which a recording has to be", exit_status=_FAILED
            )
        if not force:
            raise OutputError(
                f"{path} exists; choose another name with -o or overwrite it with --force",
                exit_status=_FAILED,
            )
    if not path.parent.is_dir():
        raise OutputError(
            f"{path.parent} is not a directory; create it or choose another place with -o",
            exit_status=_FAILED,
        )
    try:
        if status is not None:
            path.unlink()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror}; choose another place with -o",
        exit_status=_FAILED,
    )
