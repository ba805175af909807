"""Any readable file as a recording."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from heaptide.errors import RecordingError, UsageError
from heaptide.recording import Recording
from heaptide.recording import symbolize as find_names

from . import _registry
from ._registry import Format
from ._source import Progress, Source


def open_recording(
    path: str | os.PathLike[str], *, unpickle: bool = False, progress: Progress = None
) -> Recording:
    """Opens a recording, or a file of any format that can be read as one.

    A foreign file is turned into a recording in a temporary file, which goes with the last use of
    it. ``unpickle``: read formats too that are pickles (see ``Format.flag``).

    Raises:
        RecordingError: the path does not exist, cannot be read, is of no format that is known, or
            is malformed: the message names the line or the place.
        UsageError: the format is not read without an option that allows it.
    """
    if _is_recording(path):
        return Recording.open(path)
    with Source(path) as source:
        format = format_of(source)
        if format is None:
            raise RecordingError(
                f"{source.path} is of no format that is known; heaptide reads {readable()}"
            )
        if format.flag and not unpickle:
            raise UsageError(
                f"{source.path} is {format.title}, which is a pickle: reading one can run what is "
                f"hidden in it; if you trust the file, say {format.flag}"
            )
        source.progress = progress
        return _imported(source, format, progress)


def _is_recording(path: str | os.PathLike[str]) -> bool:
    """Whether it is one of heaptide's, or nothing that another reader could make sense of."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            head = file.read(8)
    except (OSError, ValueError):
        return True  # whose reader says best what is wrong
    return len(head) == 0 or b"heaptide".startswith(head)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def format_of(source: Source) -> Format | None:
    return _registry.detect(source.head)


def readable() -> str:
    """The formats that can be read, in a sentence."""
    names = [format.name for format in _registry.FORMATS if format.reads]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _imported(source: Source, format: Format, progress: Progress) -> Recording:
    try:
        directory = Path(tempfile.mkdtemp(prefix="heaptide-import-"))
    except OSError as error:
        raise _no_room(source, error) from None
    try:
        target = directory / "imported.tide"
        try:
            builder = format.reader.read(source)
            built = builder.write(target)
        except MemoryError:
            raise RecordingError(
                f"{source.path} cannot be read: there is not enough memory for it"
            ) from None
        except OSError as error:
            raise _no_room(source, error) from None
        if built.nameless:
            with contextlib.suppress(OSError):
                find_names(target, progress=progress)
        return Recording.open(target, shown=source.path)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _no_room(source: Source, error: OSError) -> RecordingError:
    reason = error.strerror or str(error)
    return RecordingError(
        f"{source.path} cannot be read: no recording can be made of it in {tempfile.gettempdir()} "
        f"({reason}); free some space there, or set TMPDIR to another directory"
    )
