"""The columns of each kind of chunk, joined."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heaptide.errors import RecordingError
from heaptide.recording import _columns
from heaptide.recording._chunks import Chunk, ChunkFile
from heaptide.recording._rows import Rows, join, without_final
from heaptide.recording._schema import BLOBS, KINDS, NUMBERED, Kind
from heaptide.recording._tables import Figures

Array = NDArray[Any]

TOO_MANY_ROWS: Final = "it has more rows than a file of this size may"


class Joined:
    """Of one file, with what does not fit together refused."""

    def __init__(self, chunks: ChunkFile) -> None:
        self._chunks = chunks
        self._cache: dict[Kind, Rows] = {}

    def rows(self, kind: Kind) -> Rows:
        """All row-wise columns of `kind`, concatenated, with blobs left out. Of a row that has been
        written for good and is in an older state as well, the final one counts."""
        found = self._cache.get(kind)
        if found is None:
            final: list[Rows] = []
            parts: list[Rows] = []
            room = self._chunks.most_rows
            chunks = self._chunks.of_kind(kind)
            for chunk in chunks:
                rows = self._row_wise(chunk)
                (final if chunk.final else parts).append(rows)
                room -= rows.count
                if room < 0:
                    raise self._chunks.malformed(chunk, TOO_MANY_ROWS)
            found = (
                join([without_final(kind, join(parts), final), *final]) if final else join(parts)
            )
            if kind in NUMBERED and "row" in found:
                found = self._numbered(chunks[-1], found)
            self._cache[kind] = found
        return found

    def _numbered(self, chunk: Chunk, rows: Rows) -> Rows:
        """Rows at the places that they name; the last of those that name the same one counts."""
        place = rows.figures("row")
        count = int(place.max()) + 1 if len(place) else 0
        if count > self._chunks.most_rows or (len(place) and int(place.min()) < 0):
            raise self._chunks.malformed(chunk, TOO_MANY_ROWS)
        columns = {}
        for name, column in rows.columns.items():
            if name != "row":
                columns[name] = np.zeros(count, column.dtype)
                columns[name][place] = column
        return Rows(count, columns)

    def columns(self, chunk: Chunk) -> dict[str, Array]:
        try:
            columns = _columns.decode(self._chunks.payload(chunk))
        except _columns.PayloadError as error:
            raise self._chunks.malformed(chunk, str(error)) from None
        if any(c.dtype.kind == "f" for c in columns.values()) and chunk.kind in KINDS:
            raise self._chunks.malformed(chunk, "it has fractions where counts belong")
        return columns

    def _row_wise(self, chunk: Chunk) -> Rows:
        blobs = BLOBS.get(chunk.kind, {})
        columns = {n: c for n, c in self.columns(chunk).items() if n not in blobs}
        return self.checked(chunk, columns)

    def malformed(self, chunk: Chunk, reason: str) -> RecordingError:
        return self._chunks.malformed(chunk, reason)

    def checked(self, chunk: Chunk, columns: dict[str, Array]) -> Rows:
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise self._chunks.malformed(chunk, "its columns differ in length")
        return Rows(lengths.pop() if lengths else 0, columns)

    def blob(self, kind: Kind, name: str, lengths: str) -> tuple[Figures, bytes]:
        """Joined bytes of all chunks and the offsets (rows + 1) of each row in them."""
        parts: list[bytes] = []
        sizes: list[Figures] = [np.zeros(1, np.int64)]
        for chunk in self._chunks.of_kind(kind):
            columns = self.columns(chunk)
            joined = columns.get(name, np.zeros(0, np.uint8)).tobytes()
            size = columns.get(lengths, np.zeros(0, np.int64)).astype(np.int64)
            # Rows are fewer than 2**30, so once each is bounded their sum cannot overflow.
            bounded = size.size == 0 or (size.min() >= 0 and size.max() <= len(joined))
            if not bounded or int(size.sum()) != len(joined):
                raise self._chunks.malformed(chunk, f"{name} and {lengths} disagree")
            parts.append(joined)
            sizes.append(size)
        return np.cumsum(np.concatenate(sizes)), b"".join(parts)
