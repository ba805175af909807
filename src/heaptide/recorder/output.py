"""The file a recording goes to: claimed before anything starts, so that nothing runs in vain."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from heaptide.errors import OutputError

_FAILED = 125
_MAGIC = b"heaptide"  # what recordings begin with (docs/format.md)


def default_output(name: str) -> Path:
    """A name in the current directory that tells programs and runs apart."""
    word = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "program"
    return Path(f"heaptide-{word}.{os.getpid()}.tide")


class Claim:
    """A new, empty file at ``path``, which is to become a recording."""

    def __init__(self, path: Path, former: Path | None, file: os.stat_result) -> None:
        self.path = path
        self._file = file
        self._former = former  # where the file is now that was at the path

    def is_there(self) -> bool:
        """Whether the path is that file still; it may have been moved, deleted or replaced."""
        try:
            return os.path.samestat(self.path.stat(), self._file)
        except OSError:
            return False

    def keep(self) -> None:
        """The recording has begun: what was there before goes."""
        former, self._former = self._former, None
        if former is not None:
            former.unlink(missing_ok=True)

    def give_up(self) -> None:
        """There will be no recording: what was there before is there again."""
        self.path.unlink(missing_ok=True)
        former, self._former = self._former, None
        if former is not None and former.exists():
            former.replace(self.path)


def claim(path: Path, force: bool) -> Claim:
    """Creates an empty ``path``, in place of an old recording only with ``force``.

    Nothing but a recording or an empty file is replaced: what else has that name is a slip of the
    command line (``-f -o server.py server.py``). An old file is put aside, not truncated: whoever
    reads it goes on reading the old one, and it comes back if nothing can be recorded. Raises
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
        if not _is_recording(path):
            raise OutputError(
                f"{path} exists and is no recording: it is not overwritten; "
                "choose another name with -o",
                exit_status=_FAILED,
            )
        if not force:
            raise OutputError(
                f"{path} exists; choose another name with -o or overwrite it with --force",
                exit_status=_FAILED,
            )
    elif path.is_symlink():
        raise OutputError(
            f"{path} is a symbolic link to what is not there; remove it or choose another name "
            "with -o",
            exit_status=_FAILED,
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"{path.parent} is not a directory; create it or choose another place with -o",
            exit_status=_FAILED,
        )
    former = None
    try:
        if status is not None:
            former = path.rename(path.with_name(f".{path.name}.{os.getpid()}.old"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        file = os.fstat(descriptor)
        os.close(descriptor)
    except OSError as error:
        if former is not None:
            former.rename(path)
        raise _unwritable(path, error) from error
    return Claim(path, former, file)


def _is_recording(path: Path) -> bool:
    """Whether a file is one, or has nothing in it. One that may not be read may be one."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) in (_MAGIC, b"")
    except OSError:
        return True


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror}; choose another place with -o",
        exit_status=_FAILED,
    )
