"""A foreign file while it is read: decompressed on the way, with places for messages."""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Optional, cast

import zstandard

from heaptide.errors import RecordingError
from heaptide.recording import open_regular

HEAD: Final = 1 << 16
"""Bytes that formats are told by."""

# Bounds. Whole files are only those of formats that summarise; logs of events are streamed, and
# a loop's log compresses a thousandfold: what grows further than that was made to.
MOST_WHOLE: Final = 2 << 30
MOST_LINE: Final = 16 << 20
_SLACK: Final = 1 << 30
_WHOLE_SLACK: Final = 256 << 20
_RATIO: Final = 1024

# Called with (done, total, what): bytes of the file.
Progress = Optional[Callable[[int, int, str], None]]

_AFTER_BLOCK: Final = 192 << 10  # more than a block of Zstandard takes
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BROKEN = (OSError, EOFError, zlib.error, zstandard.ZstdError)


class _Ended:
    """A file in Zstandard and, behind it, a frame to be skipped, of bytes that can be no part of
    another: a file that is cut within a frame, which the library takes for whole, fails there."""

    _FRAME = b"\x50\x2a\x4d\x18" + (_AFTER_BLOCK).to_bytes(4, "little") + b"\xff" * _AFTER_BLOCK

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._rest = self._FRAME

    def read(self, size: int) -> bytes:
        found = self._raw.read(size)
        if not found:
            found, self._rest = self._rest[:size], self._rest[size:]
        return found


class Source:
    """One file, opened for reading.

    Compression is told by content: gzip, Zstandard, or none. ``stream`` may be taken once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.line = 0  # of the line that `lines` gave last, from 1
        self.progress: Progress = None
        self._raw: BinaryIO = os.fdopen(open_regular(self.path), "rb")
        self.size = os.fstat(self._raw.fileno()).st_size
        magic = self._raw.read(4)
        self._raw.seek(0)
        self.compression = "gzip" if magic[:2] == _GZIP else "zstd" if magic == _ZSTD else ""
        self._plain: BinaryIO = self._opened()
        self.most = _SLACK + _RATIO * self.size
        self.most_exceeded = False  # it was refused for what it grows to
        self._given = 0
        self._unread = b""
        try:
            self.head = self._unread = self._read(HEAD)
        except BaseException:
            self.close()
            raise

    def _opened(self) -> BinaryIO:
        if self.compression == "gzip":
            return cast(BinaryIO, gzip.GzipFile(fileobj=self._raw))
        if self.compression == "zstd":
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
                cast(BinaryIO, _Ended(self._raw)), read_across_frames=True
            )
            return cast(BinaryIO, reader)
        return self._raw

    def close(self) -> None:
        self._plain.close()
        self._raw.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def done(self) -> int:
        """Bytes of the file, as it is on disk, that have been read."""
        return min(self._raw.tell(), self.size)

    def _read(self, size: int) -> bytes:
        parts = []
        while size > 0:
            try:
                part = self._plain.read(size)
            except _BROKEN as error:
                raise self.wrong(f"it cannot be decompressed ({error})") from None
            if not part:
                break
            parts.append(part)
            size -= len(part)
        found = b"".join(parts)
        self._given += len(found)
        if self.progress is not None:
            self.progress(self.done, self.size, posixpath.basename(self.path))
        if self._given > self.most:
            self.most_exceeded = True
            raise self.wrong(
                f"it decompresses to more than {self.most >> 30} GiB, which no real profile of "
                f"{self.size} bytes does"
            )
        return found

    def blocks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The decompressed content from where it was left, in pieces."""
        if self._unread:
            first, self._unread = self._unread, b""
            yield first
        while True:
            block = self._read(size)
            if not block:
                return
            yield block

    def lines(self) -> Iterator[bytes]:
        """The rest of the content by lines, without their ends. Counts them in ``line``."""
        kept = b""
        for block in self.blocks():
            pieces = (kept + block).split(b"\n")
            kept = pieces.pop()
            if len(kept) > MOST_LINE:
                self.line += len(pieces) + 1
                raise self.malformed(f"it is longer than {MOST_LINE >> 20} MiB")
            for piece in pieces:
                self.line += 1
                yield piece.rstrip(b"\r")
        if kept:
            self.line += 1
            yield kept.rstrip(b"\r")

    def whole(self) -> bytes:
        """All of the content. Refused beyond MOST_WHOLE, and by ratio long before."""
        self.most = min(MOST_WHOLE, _WHOLE_SLACK + _RATIO * self.size)
        parts = io.BytesIO()
        for block in self.blocks():
            parts.write(block)
        return parts.getvalue()

    # Errors.

    def wrong(self, reason: str) -> RecordingError:
        """The error for a file that cannot be read as what it is."""
        return RecordingError(f"{self.path} cannot be read: {reason}; make it again")

    def malformed(self, reason: str, *, line: int | None = None) -> RecordingError:
        """The error for a line: the one that ``lines`` gave last, unless another is named."""
        at = self.line if line is None else line
        return RecordingError(
            f"{self.path} is malformed at line {at}: {reason}; make the file again"
        )

    def malformed_at(self, where: str, reason: str) -> RecordingError:
        """The error for a place in a file that has no lines."""
        return RecordingError(f"{self.path} is malformed at {where}: {reason}; make the file again")
