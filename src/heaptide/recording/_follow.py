"""Reading a recording while it is written: each look costs what is new since the one before.

The writer appends whole chunks, then turns those that they supersede into voids. So what has been
read stays right until a later chunk says otherwise, and only what comes after it has to be looked
at. A chunk that is given up before its payload was read has a successor further on.

The file is read, not mapped: a file that is cut back under a mapping kills whoever touches it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from heaptide.errors import RecordingError
from heaptide.recording._chunks import (
    CHUNK_HEADER,
    CHUNK_MAGIC,
    CODEC_RAW,
    FILE_HEADER,
    FLAG_SUPERSEDES,
    MAX_ROWS_PER_BYTE,
    MAX_ROWS_SLACK,
    Chunk,
    ChunkFile,
    flags_of,
    open_regular,
)
from heaptide.recording._crc import crc32c
from heaptide.recording._growing import GROWING, Accumulated, GrowingLoader
from heaptide.recording._recording import Recording
from heaptide.recording._schema import FLAG_COMPACTED, FLAG_FINISHED, KINDS, Kind
from heaptide.recording._writer import Writer

_BLOCK: Final = 1 << 16
_REMEMBERED: Final = 4096  # chunks to step back to
_MOST_STEPS_BACK: Final = 8
_TRIES: Final = 8
_PAUSE_SECONDS: Final = 0.005  # until a writer that is in the middle of it may have got further


class GoneError(RecordingError):
    """A chunk was given up before it was read: look again."""


class _GrowingFile:
    """The open file: finds the chunks behind those found before, and checks each once."""

    def __init__(self, path: str, descriptor: int) -> None:
        """Takes `descriptor` over. Raises RecordingError if it is no recording's."""
        self.path = path
        self.fd = descriptor
        self._dead_end = 0  # where no chunk follows, also when read from the beginning
        try:
            self._read_head()
        except BaseException:
            self.close()
            raise
        self.restart()

    def restart(self) -> None:
        """Chunks are found from the first on."""
        self.end = FILE_HEADER.size  # of the chunks found
        self._taken = 0
        self._found: deque[int] = deque(maxlen=_REMEMBERED)  # offsets of headers
        self._stuck_at = self._limit = 0
        self._block, self._block_at = b"", 0

    def _read_head(self) -> None:
        self.size = os.fstat(self.fd).st_size
        self.flags = flags_of(self.path, os.pread(self.fd, FILE_HEADER.size, 0))

    @property
    def identity(self) -> tuple[int, int]:
        status = os.fstat(self.fd)
        return status.st_dev, status.st_ino

    def new(self) -> Iterator[tuple[Chunk, bytes]]:
        """Chunks that are whole and no voids, each with its payload."""
        self._read_head()
        steps = 0
        self._limit = self.size
        self._block = b""
        while True:
            found = self._next()
            if found is None:
                known = self.size
                self._read_head()
                self._block = b""
                # What superseded a chunk that is gone may have been appended meanwhile.
                if self.size != known:
                    continue
                if steps == _MOST_STEPS_BACK or not self._step_back(first=steps == 0):
                    break
                steps += 1
                continue
            chunk, payload = found
            header = chunk.offset - CHUNK_HEADER.size
            self.end = chunk.offset + chunk.stored + (-chunk.stored & 7)
            self._found.append(header)
            if chunk.kind != Kind.VOID and header > self._taken:
                self._taken = header
                yield chunk, payload
        self._block = b""

    def _next(self) -> tuple[Chunk, bytes] | None:
        """The chunk at the end of those found; None if there is no whole one (yet)."""
        for _ in range(2):
            chunk, crc = _parsed(self._at(self.end, CHUNK_HEADER.size), self.end)
            if chunk is None or chunk.offset + chunk.stored > self.size:
                return None
            if chunk.kind == Kind.VOID:
                return chunk, b""
            payload = self._at(chunk.offset, chunk.stored)
            if len(payload) == chunk.stored and crc32c(payload) == crc:
                return chunk, payload
            self._block = b""  # given up since its header was read? Then that says so now
        return None

    def _at(self, offset: int, size: int) -> bytes:
        """Bytes of the file; small ones from a block that is read as a whole."""
        if size > _BLOCK // 2:
            return os.pread(self.fd, size, offset)
        start = offset - self._block_at
        if start < 0 or start + size > len(self._block):
            self._block, self._block_at, start = os.pread(self.fd, _BLOCK, offset), offset, 0
        return self._block[start : start + size]

    def _step_back(self, *, first: bool) -> bool:
        """Begins again at the last chunk whose header still is one: neighbouring voids become one,
        and leave none where they met. Each step goes further back than the one before, for what
        looks like a header may be the remains of one. False: nothing new is to be had."""
        if self.end + CHUNK_HEADER.size > self.size:
            return False
        if first:
            if self._stuck_at == self.end:
                if self._dead_end == self.end:
                    return False
                self._dead_end = self.end
                raise GoneError(f"{self.path} has chunks that cannot be found from the last one")
            self._stuck_at = self.end
        while self._found:
            header = self._found.pop()
            if header < self._limit:
                chunk, _ = _parsed(os.pread(self.fd, CHUNK_HEADER.size, header), header)
                if chunk is not None:
                    self.end = self._limit = header
                    return True
        return False

    def read_again(self, chunk: Chunk) -> bytes:
        """The payload of a chunk that was whole before. Raises GoneError."""
        start = chunk.offset - CHUNK_HEADER.size
        with contextlib.suppress(OSError):
            data = os.pread(self.fd, CHUNK_HEADER.size + chunk.stored, start)
            now, crc = _parsed(data[: CHUNK_HEADER.size], start)
            payload = data[CHUNK_HEADER.size :]
            if now == chunk and len(payload) == chunk.stored and crc32c(payload) == crc:
                return payload
        raise GoneError(f"{self.path} has changed while it was read; look again")

    def close(self) -> None:
        os.close(self.fd)


class _Snapshot(ChunkFile):
    """The chunks that counted at one moment, but for those that are decoded already. Payloads that
    were not kept are read when asked for: GoneError then, if the writer has given them up."""

    def __init__(
        self, file: _GrowingFile, current: dict[int, list[Chunk]], payloads: dict[int, bytes]
    ) -> None:
        self.path = file.path
        self.file_bytes = file.size
        self.flags = file.flags
        self.truncated_at = None
        self.warnings = []
        self.most_rows = MAX_ROWS_SLACK + MAX_ROWS_PER_BYTE * file.size
        self.chunks = []
        self._current = {kind: list(chunks) for kind, chunks in current.items()}
        self._payloads = dict(payloads)
        self._file = file

    def of_kind(self, kind: Kind) -> list[Chunk]:
        return self._current.get(kind, [])

    def stored_payload(self, chunk: Chunk) -> memoryview:
        kept = self._payloads.get(chunk.offset)
        return memoryview(self._file.read_again(chunk) if kept is None else kept)

    def payload(self, chunk: Chunk) -> memoryview:
        return self.stored_payload(chunk)

    def payload_head(self, chunk: Chunk, size: int) -> memoryview:
        return self.payload(chunk)[:size]

    def close(self) -> None:
        """The file is the follower's."""


class Follower:
    """One recording, looked at again and again while it grows. For one thread at a time.

    ``look()`` gives the recording as it is. What only grows is carried over from one look to the
    next, and the sums of slices are kept up. When the file has been replaced by its finished form,
    or by another recording, that one is looked at.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises RecordingError if there is nothing to follow."""
        self.path = os.fspath(path)
        self.deleted = False  # nothing is at the path any more; what is open is still read
        self._finished: tuple[tuple[int, ...], Recording] | None = None
        self._file = _GrowingFile(self.path, open_regular(self.path))
        self._forget()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def _forget(self) -> None:
        self._current: dict[int, list[Chunk]] = {}
        self._payloads: dict[int, bytes] = {}
        self._so_far = Accumulated()

    def look(self) -> Recording:
        """The recording as of now; the same object again if it is finished.

        Raises RecordingError if it is none (any more).
        """
        self._look_for_another_file()
        if self._file.flags & (FLAG_FINISHED | FLAG_COMPACTED) and not self.deleted:
            return self._whole()
        for _ in range(_TRIES):
            with contextlib.suppress(GoneError):
                return self._once()
            time.sleep(_PAUSE_SECONDS)
            self._restart()
        raise GoneError(f"{self.path} changes faster than it can be read; look again later")

    def save(self, path: str | os.PathLike[str]) -> int:
        """Writes what there is now as a recording of its own to `path`, which must not exist.

        Returns its size in bytes. Raises OSError if it cannot be written.
        """
        source = os.open(f"/proc/self/fd/{self._file.fd}", os.O_RDONLY | os.O_CLOEXEC)
        file = _GrowingFile(self.path, source)
        try:
            writer = Writer(
                path,
                finished=bool(file.flags & FLAG_FINISHED),
                compacted=bool(file.flags & FLAG_COMPACTED),
            )
            try:
                with writer:
                    for chunk, payload in file.new():
                        writer.copy(chunk, memoryview(payload))
                    return writer.tell()
            except BaseException:
                os.unlink(path)  # noqa: PTH108 - of whatever kind the path is
                raise
        finally:
            file.close()

    def _look_for_another_file(self) -> None:
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except OSError:
            self.deleted = True
            return
        self.deleted = False
        if (status.st_dev, status.st_ino) != self._file.identity:
            new = _GrowingFile(self.path, open_regular(self.path))
            self._file.close()
            self._file = new
            self._forget()
        elif status.st_size < self._file.end:
            self._restart()  # the last chunks did not fit on the disk, and were taken back
        else:
            self._file._read_head()

    def _restart(self) -> None:
        self._file.restart()
        self._forget()

    def _whole(self) -> Recording:
        """Of a file that nobody appends to any more."""
        status = os.fstat(self._file.fd)
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._finished is None or self._finished[0] != key:
            self._finished = (key, Recording.open(self.path))
        return self._finished[1]

    def _once(self) -> Recording:
        for chunk, payload in self._file.new():
            self._take(chunk, payload)
        snapshot = _Snapshot(self._file, self._current, self._payloads)
        loader = GrowingLoader(snapshot, self._so_far)
        self._current[Kind.DELTAS] = sorted(loader.slice_chunks, key=lambda chunk: chunk.offset)
        recording = Recording(snapshot)
        recording._loader = loader
        return recording

    def _take(self, chunk: Chunk, payload: bytes) -> None:
        if chunk.kind not in KINDS:
            return
        if chunk.codec != CODEC_RAW:
            raise RecordingError(
                f"{self.path} is compressed and cut off: it is not being recorded; "
                "look at it with heaptide show"
            )
        chunks = self._current.setdefault(chunk.kind, [])
        if chunk.flags & FLAG_SUPERSEDES and chunk.kind != Kind.DELTAS:
            for earlier in chunks:
                if not earlier.final:
                    self._payloads.pop(earlier.offset, None)
            chunks[:] = [earlier for earlier in chunks if earlier.final]
            self._so_far.begin_anew(chunk.kind)
        if chunk.kind in GROWING or chunk.kind == Kind.DELTAS:
            self._so_far.take(chunk, payload, _Snapshot(self._file, {}, {}))
        elif chunk.kind != Kind.CENSUS:  # of which there are many, and few ask for them
            self._payloads[chunk.offset] = payload
        if chunk.kind not in GROWING:
            chunks.append(chunk)


def _parsed(header: bytes, at: int) -> tuple[Chunk | None, int]:
    """The chunk that a header at offset `at` is of, and the checksum of its payload."""
    if len(header) < CHUNK_HEADER.size:
        return None, 0
    magic, kind, codec, flags, rows, stored, raw, crc, _, _, own = CHUNK_HEADER.unpack(header)
    if magic != CHUNK_MAGIC or own != crc32c(header[:-4]):
        return None, 0
    return Chunk(kind, codec, flags, rows, at + CHUNK_HEADER.size, stored, raw), crc
