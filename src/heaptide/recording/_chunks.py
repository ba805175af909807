"""Chunks of a recording file: finding them, checking them, and reading their payloads."""

from __future__ import annotations

import mmap
import os
import stat
import struct
from typing import BinaryIO, Final, NamedTuple

import zstandard

from heaptide.errors import RecordingError
from heaptide.recording._crc import crc32c
from heaptide.recording._schema import FORMAT_VERSION, KINDS, MAGIC, Kind

FILE_HEADER: Final = struct.Struct("<8sII")
CHUNK_HEADER: Final = struct.Struct("<IHBBQQQIIII")
CHUNK_MAGIC: Final = 0x4B4E4843
CODEC_RAW: Final = 0
CODEC_ZSTD: Final = 1
FLAG_SUPERSEDES: Final = 1
FLAG_FINAL: Final = 2

# Bounds against decompression bombs. Zstandard reaches 1:30000 on zeros; of real recordings no
# chunk was seen beyond 1:20, since columns of zeros are left out.
MAX_CHUNK_RAW: Final = 1 << 30
MAX_RATIO: Final = 256
MAX_RATIO_SLACK: Final = 64 << 20

# A row costs a reader up to 300 bytes, however little it takes in the file. Even ids that count up
# by one take a third of a byte each when compressed.
MAX_ROWS_SLACK: Final = 1 << 16
MAX_ROWS_PER_BYTE: Final = 16


class Chunk(NamedTuple):
    kind: int
    codec: int
    flags: int
    rows: int
    offset: int  # of the payload in the file
    stored: int
    raw: int

    @property
    def supersedes(self) -> bool:
        return bool(self.flags & FLAG_SUPERSEDES)

    @property
    def final(self) -> bool:
        return bool(self.flags & FLAG_FINAL)


class ChunkFile:
    """The chunks of one file, in order, up to the first that is not whole."""

    def __init__(self, path: str, data: mmap.mmap, flags: int) -> None:
        self.path = path
        self.flags = flags
        self.file_bytes = len(data)
        self.truncated_at: int | None = None
        self.warnings: list[str] = []
        self._data = data
        self._view = memoryview(data)
        self.most_rows = MAX_ROWS_SLACK + MAX_ROWS_PER_BYTE * self.file_bytes  # of one kind
        self.chunks = self._scan()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ChunkFile:
        """Maps and scans the file; raises RecordingError if it is no recording."""
        name = os.fspath(path)
        descriptor = open_regular(name)
        try:
            if os.fstat(descriptor).st_size == 0:
                raise RecordingError(
                    f"{name} is empty: its recording never began; record the program again"
                )
            # Before the size is taken: a file that says that it is finished grows no more.
            flags = flags_of(name, os.pread(descriptor, FILE_HEADER.size, 0))
            data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise RecordingError(_open_failed(name, error)) from None
        finally:
            os.close(descriptor)
        return cls(name, data, flags)

    def close(self) -> None:
        """Unmaps the file, unless arrays still refer to it: then its mapping goes with them."""
        try:
            self._view.release()
            self._data.close()
        except BufferError:
            pass

    def save(self, file: BinaryIO) -> None:
        """Writes all of the file."""
        file.write(self._view)

    def of_kind(self, kind: Kind) -> list[Chunk]:
        """Chunks of a kind that are not superseded as a whole."""
        found: list[Chunk] = []
        for chunk in self.chunks:
            if chunk.kind == kind:
                if chunk.supersedes and kind != Kind.DELTAS:
                    found = [earlier for earlier in found if earlier.final]
                found.append(chunk)
        return found

    def payload(self, chunk: Chunk) -> memoryview:
        """The decoded payload. A raw one is a view of the mapping."""
        stored = self._view[chunk.offset : chunk.offset + chunk.stored]
        if chunk.codec == CODEC_RAW:
            return stored
        try:
            size = zstandard.get_frame_parameters(stored).content_size
            if size not in (chunk.raw, zstandard.CONTENTSIZE_UNKNOWN):
                raise self.malformed(chunk, "it decompresses to another size than it says")
            data = zstandard.ZstdDecompressor().decompress(stored, max_output_size=chunk.raw)
        except zstandard.ZstdError as error:
            raise self.malformed(chunk, str(error)) from None
        if len(data) != chunk.raw:
            raise self.malformed(chunk, "it decompresses to another size than it says")
        return memoryview(data)

    def payload_head(self, chunk: Chunk, size: int) -> memoryview:
        """The first `size` bytes of the decoded payload, or all of a shorter one."""
        stored = self._view[chunk.offset : chunk.offset + chunk.stored]
        if chunk.codec == CODEC_RAW:
            return stored[:size]
        try:
            with zstandard.ZstdDecompressor().stream_reader(stored) as reader:
                return memoryview(reader.read(min(size, chunk.raw)))
        except zstandard.ZstdError as error:
            raise self.malformed(chunk, str(error)) from None

    def stored_payload(self, chunk: Chunk) -> memoryview:
        """The payload as it is in the file."""
        return self._view[chunk.offset : chunk.offset + chunk.stored]

    def malformed(self, chunk: Chunk, reason: str) -> RecordingError:
        """The error for a chunk whose checksum is right and whose content is not."""
        kind = Kind(chunk.kind).name.lower() if chunk.kind in KINDS else str(chunk.kind)
        return RecordingError(
            f"{self.path} is malformed: the {kind} chunk at byte {chunk.offset} cannot be read"
            f" ({reason}); record the program again, and report this if it happens again"
        )

    def _scan(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        offset = FILE_HEADER.size
        budget = MAX_RATIO_SLACK + MAX_RATIO * self.file_bytes
        while offset < self.file_bytes:
            chunk = self._read_header(offset)
            if chunk is None:
                break
            if chunk.kind != Kind.VOID:
                if chunk.codec == CODEC_ZSTD:
                    budget -= chunk.raw
                    if chunk.raw > MAX_CHUNK_RAW or budget < 0:
                        self._stop_at(offset, "damaged")
                        break
                if chunk.codec in (CODEC_RAW, CODEC_ZSTD):
                    chunks.append(chunk)
                else:
                    self.warnings.append(
                        f"{self.path}: skipped a chunk at byte {offset} in an unknown encoding;"
                        " upgrade heaptide to read it"
                    )
            offset = chunk.offset + chunk.stored + (-chunk.stored & 7)
        return chunks

    def _read_header(self, offset: int) -> Chunk | None:
        """The chunk whose header is at `offset`; None, and a note of it, if it is not whole."""
        start = offset + CHUNK_HEADER.size
        if start > self.file_bytes:
            self._stop_at(offset, "cut off")
            return None
        header = bytes(self._view[offset:start])
        magic, kind, codec, flags, rows, stored, raw, crc, _, _, header_crc = CHUNK_HEADER.unpack(
            header
        )
        if magic != CHUNK_MAGIC or header_crc != crc32c(header[:-4]):
            self._stop_at(offset, "damaged")
            return None
        if stored > self.file_bytes - start:
            self._stop_at(offset, "cut off")
            return None
        if kind != Kind.VOID:
            if codec == CODEC_RAW and raw != stored:
                self._stop_at(offset, "damaged")
                return None
            if crc != crc32c(self._view[start : start + stored]):
                self._stop_at(offset, "damaged")
                return None
        return Chunk(kind, codec, flags, rows, start, stored, raw)

    def _stop_at(self, offset: int, what: str) -> None:
        self.truncated_at = offset
        self.warnings.append(
            f"{self.path} is {what} at byte {offset} of {self.file_bytes}: what was recorded"
            " before it is shown"
        )


def open_regular(name: str) -> int:
    """A descriptor of the file, to read; raises RecordingError if there is none to be had."""
    try:
        # Without O_NONBLOCK the opening of a FIFO would wait for its writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise RecordingError(_open_failed(name, error)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise RecordingError(f"{name} is a directory; name the .tide file in it")
    raise RecordingError(f"{name} is not a regular file; save the recording to a file first")


def flags_of(path: str, header: bytes) -> int:
    """The flags in a file's header; raises RecordingError if it is none of a recording."""
    foreign = f"{path} is not a heaptide recording; name a file made by 'heaptide run'"
    if len(header) < FILE_HEADER.size:
        if MAGIC.startswith(header[: len(MAGIC)]):
            raise RecordingError(
                f"{path} is cut off within its first {FILE_HEADER.size} bytes: nothing"
                " was recorded; record the program again"
            )
        raise RecordingError(foreign)
    magic, version, flags = FILE_HEADER.unpack(header)
    if magic != MAGIC or version == 0:
        raise RecordingError(foreign)
    if version > FORMAT_VERSION:
        raise RecordingError(
            f"{path} was written by a newer heaptide (format {version}; this one reads up"
            f" to {FORMAT_VERSION}); upgrade heaptide to read it"
        )
    return int(flags)


def _open_failed(name: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name or repr(name)} does not exist; record a program first: heaptide run PROGRAM"
    if isinstance(error, PermissionError):
        return f"{name} may not be read by this user; change its owner or its mode"
    if isinstance(error, OSError) and error.strerror:
        return f"{name} cannot be opened ({error.strerror}); check the path"
    return f"{name!r} cannot be opened ({error}); check the path"
