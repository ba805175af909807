"""Data files of heaptrack, versions 0 to 3: read by the collector's own aggregation, written as 3.

The log has an event for each allocation and free. It is read natively, and may be interpreted or
raw (``heaptrack --raw``); what is written is interpreted.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt
import zstandard

from heaptide._version import __version__
from heaptide.errors import RecordingError

from . import _heaptrack_events
from ._builder import Built

if TYPE_CHECKING:
    from ._export import Export
    from ._source import Source

Ints = npt.NDArray[np.int64]

LACKS: Final = (
    "reallocations",  # a free and an allocation there
    "copied_bytes",
    "temporary_allocations",
    "short_lived_allocations",
    "lifetimes",
    "threads",
)
_MALFORMED, _NAMELESS = 3, 4  # statuses of the collector
_CUT_OFF = b"\n#heaptide-note the file is damaged or cut off: what is before that is shown\n"

# ------------------------------------------------------------------------------------ reading


class Log:
    """A log that is still to be read, into a recording."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def write(self, path: str | os.PathLike[str]) -> Built:
        """Reads the log into a recording at `path`, which must not exist."""

        from heaptide.recorder.native import collector_path

        meta = {
            "writer": f"heaptide {__version__}",
            "config": {"sample_interval": 0},
            "source": {"format": "heaptrack", "title": "a recording of heaptrack"},
            "lacks": sorted(LACKS),
            "start_time": None,
        }
        command = [str(collector_path()), "--import", "heaptrack", "--output", os.fspath(path)]
        with tempfile.TemporaryFile() as errors:
            with subprocess.Popen(
                [*command, "--meta", json.dumps(meta)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                bufsize=0,
            ) as process:
                assert process.stdin is not None
                try:
                    self._feed(cast(BinaryIO, process.stdin))
                except BaseException:
                    process.kill()
                    raise
            errors.seek(0)
            said = errors.read(4096).decode("utf-8", "backslashreplace").strip()
        return self._ended(process.returncode, said)

    def _feed(self, pipe: BinaryIO) -> None:
        """Everything that is in the file; of a damaged one all before that."""
        with contextlib.suppress(BrokenPipeError):  # it has seen enough, and says what is wrong
            with pipe:
                blocks = self._source.blocks()
                while True:
                    try:
                        block = next(blocks, b"")
                    except RecordingError:
                        # heaptrack itself reads what there is of a file that was cut.
                        if self._source.most_exceeded:
                            raise
                        pipe.write(_CUT_OFF)
                        return
                    if not block:
                        return
                    pipe.write(block)

    def _ended(self, status: int, said: str) -> Built:
        if status == _MALFORMED:
            where, _, reason = said.partition(": ")
            if where.startswith("line "):
                raise self._source.malformed(reason, line=int(where[5:]))
            raise self._source.wrong(said)
        if status not in (0, _NAMELESS):
            reason = said or f"its reader ended with status {status}"
            raise RecordingError(
                f"{self._source.path} cannot be read: {reason} (in {tempfile.gettempdir()}); free "
                "some space there, or set TMPDIR to another directory"
            )
        return Built(int(status == _NAMELESS))


def read(source: Source) -> Log:
    return Log(source)


# ------------------------------------------------------------------------------------ writing


def write(export: Export) -> list[str]:
    export.need("heaptrack's format", "peak_bytes", "alive_at_exit_bytes")
    with _opened(export) as file:
        _heaptrack_events.write(export, file)
    said = [
        (
            "heaptrack's format has no threads and no lifetimes; sizes of single blocks are "
            "averages, so that what is live at the peak and at the end is exact"
        )
    ]
    if export.profile.time is not None and export.profile.time.first:
        said.append("what was alive when the range begins is in it as allocations of the range")
    if "allocations" in export.unknown:
        said.append("how many allocations there were is not known: those in it are made up")
    if "peak_bytes" in export.unknown:
        said.append("the peak is not known: it is taken to be what is alive")
    return said


@contextlib.contextmanager
def _opened(export: Export) -> Iterator[IO[bytes]]:
    """The file, compressed as its name says: heaptrack goes by that."""
    with export.path.open("xb") as file:
        if export.shown.endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
                yield cast("IO[bytes]", packed)
        elif export.shown.endswith(".zst"):
            with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as packed:
                yield cast("IO[bytes]", packed)
        else:
            yield file
