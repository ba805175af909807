"""Writing recordings chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import numpy as np
import zstandard

from heaptide.recording._chunks import (
    CHUNK_HEADER,
    CHUNK_MAGIC,
    CODEC_RAW,
    CODEC_ZSTD,
    FILE_HEADER,
    FLAG_SUPERSEDES,
    MAX_CHUNK_RAW,
    MAX_RATIO,
    Chunk,
)
from heaptide.recording._columns import Column, encode
from heaptide.recording._crc import crc32c
from heaptide.recording._schema import (
    BLOBS,
    FLAG_COMPACTED,
    FLAG_FINISHED,
    FORMAT_VERSION,
    MAGIC,
    SUPERSEDING,
    Kind,
)

# Below this a frame of Zstandard saves nothing.
_WORTH_COMPRESSING = 128


class Writer:
    """Writes a recording to `path`, which must not exist.

    ``with Writer(path) as writer: writer.chunk(Kind.STRINGS, {...})``. Columns are NumPy arrays or
    bytes, in the names of docs/format.md. Columns of zeros are left out and integers narrowed; with
    `level` (of Zstandard, 1 to 22) chunks are compressed where that makes them smaller, and not
    further than the reader's bounds against decompression bombs allow.

    Raises:
        OSError: from the file system; the caller knows what the file is for.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        level: int | None = None,
        finished: bool = True,
        compacted: bool = False,
    ) -> None:
        self._level = level
        self._file: BinaryIO = open(path, "xb")  # noqa: SIM115 - closed by close()
        flags = FLAG_FINISHED * finished | FLAG_COMPACTED * compacted
        self._file.write(FILE_HEADER.pack(MAGIC, FORMAT_VERSION, flags))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def sync(self) -> None:
        """Returns once everything written is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def tell(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def copy(self, chunk: Chunk, stored: memoryview) -> None:
        """Appends a chunk of another file as it is."""
        self._append(
            chunk.kind, chunk.codec, chunk.flags, chunk.rows, chunk.raw, chunk.stored, [stored]
        )

    def chunk(
        self, kind: int, columns: Mapping[str, Column], *, supersedes: bool | None = None
    ) -> None:
        """Appends a chunk. `supersedes` defaults to what the kind's mode says."""
        if supersedes is None:
            supersedes = kind in SUPERSEDING
        blobs = BLOBS.get(kind, {})
        rows = next((len(c) for name, c in columns.items() if name not in blobs), 0)
        pieces = encode(_without_zeros(columns))
        raw = sum(len(piece) for piece in pieces)
        payload: Iterable[bytes | memoryview] = pieces
        codec, stored = CODEC_RAW, raw
        if self._level is not None and _WORTH_COMPRESSING <= raw <= MAX_CHUNK_RAW:
            packed = zstandard.ZstdCompressor(level=self._level).compress(b"".join(pieces))
            if len(packed) < raw and raw < MAX_RATIO // 2 * len(packed):
                payload, codec, stored = [packed], CODEC_ZSTD, len(packed)
        self._append(kind, codec, FLAG_SUPERSEDES * supersedes, rows, raw, stored, payload)

    def void(self, size: int) -> None:
        """Appends a chunk of `size` bytes that readers skip."""
        self._header(Kind.VOID, CODEC_RAW, 0, 0, size, size, 0)
        self._file.write(bytes(size + (-size & 7)))

    def _append(
        self,
        kind: int,
        codec: int,
        flags: int,
        rows: int,
        raw: int,
        stored: int,
        payload: Iterable[bytes | memoryview],
    ) -> None:
        data = b"".join(payload)
        self._header(kind, codec, flags, rows, raw, stored, crc32c(data))
        self._file.write(data)
        self._file.write(bytes(-stored & 7))

    def _header(
        self, kind: int, codec: int, flags: int, rows: int, raw: int, stored: int, crc: int
    ) -> None:
        header = CHUNK_HEADER.pack(
            CHUNK_MAGIC, kind, codec, flags, rows, stored, raw, crc, 0, 0, 0
        )[:-4]
        self._file.write(header + crc32c(header).to_bytes(4, "little"))


def _without_zeros(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Leaves out columns of zeros, but for the first, which carries the number of rows, and for
    lengths, without which nobody knows how many empty strings there are."""
    return {
        name: column
        for index, (name, column) in enumerate(columns.items())
        if index == 0
        or name.endswith("_len")
        or not isinstance(column, np.ndarray)
        or column.size == 0
        or column.any()
    }
