"""The page's data as bytes: a header in JSON and columns of integers, packed to compress well.

A column's numbers are unsigned, of as many bytes as the largest needs, byte plane by byte plane:
all lowest bytes, then all second ones. Columns that grow slowly hold the zigzag-coded steps from
row to row instead. web/src/model reads it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]

_LEVEL = 9
_FAST_LEVEL = 6  # a few percent larger, three times as fast
_MUCH = 16_000_000  # bytes of a column, for which that is good enough
_ZLIB_HEADER = b"\x78\xda"
_LAST_BLOCK = b"\x03\x00"  # an empty one
_MODULUS = 65521  # of Adler-32


@dataclass(frozen=True)
class Blob:
    """``data`` is what the page gets."""

    data: bytes
    raw_bytes: int


_RECORDED = (
    "bin.start",
    "bin.end",
    "change.sample",
    "birth.time",
    "birth.sample",
    "exit.sample",
    "time.time",
    "time.live",
    "time.peak",
    "time.rss",
    "time.pss",
)
STEPS = frozenset(
    {
        "location.function",
        "location.file",
        "location.line",
        "location.end_line",
        "node.depth",
        "sample.node",
        "size.sample",
        "life.sample",
        "age.sample",
        *_RECORDED,
        *(f"base.{name}" for name in _RECORDED),
    }
)
"""Columns that are kept as steps: on real recordings they take a tenth to two thirds so."""


@dataclass(frozen=True)
class _Packed:
    """A piece of the stream of zlib, which can be joined to others."""

    data: bytes
    raw_bytes: int
    checksum: int  # Adler-32 of what was packed


def _pack(raw: bytes, level: int) -> _Packed:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    data = packer.compress(raw) + packer.flush(zlib.Z_FULL_FLUSH)
    return _Packed(data, len(raw), zlib.adler32(raw))


def _join(pieces: Iterable[_Packed]) -> Blob:
    """One stream of zlib (RFC 1950)."""
    data = [_ZLIB_HEADER]
    size, low, high = 0, 1, 0
    for piece in pieces:
        data.append(piece.data)
        size += piece.raw_bytes
        # Adler-32 of the whole from those of its parts.
        first = piece.checksum & 0xFFFF
        high = (high + (piece.checksum >> 16) + (low - 1) * piece.raw_bytes) % _MODULUS
        low = (low + first - 1) % _MODULUS
    data += [_LAST_BLOCK, struct.pack(">I", high << 16 | low)]
    return Blob(b"".join(data), size)


@dataclass(frozen=True)
class _Kept:
    """A column as it was packed last time."""

    column: Column
    packed: _Packed
    width: int
    delta: bool
    level: int


class Encoder:
    """Makes blobs, one after the other, of much the same columns: only what differs is packed."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def encode(
        self,
        header: Mapping[str, Any],
        columns: Mapping[str, Column],
        texts: list[str],
        *,
        fast: bool = False,
    ) -> Blob:
        """The blob of ``columns`` (integers), ``texts`` and what else the page says.

        ``fast``: to see how large it will be, about.
        """
        level = _FAST_LEVEL if fast else _LEVEL
        joined = "\0".join(text.replace("\0", "\\0") for text in texts)
        words = np.frombuffer(joined.encode("utf-8", "backslashreplace"), np.uint8)
        whole = {"texts": words, **columns}
        # zlib lets other threads run while it packs.
        levels = [level] * len(whole)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for name, kept in zip(whole, pool.map(self._packed, whole, whole.values(), levels)):
                self._kept[name] = kept
        infos, offset = [], 0
        for name, column in whole.items():
            rows, kept = len(column), self._kept[name]
            width, delta = kept.width, kept.delta
            infos.append(
                {"name": name, "rows": rows, "width": width, "offset": offset, "delta": delta}
            )
            offset += rows * width
        text = json.dumps({**header, "columns": infos}, allow_nan=False, separators=(",", ":"))
        head = text.encode()
        head += b" " * (-(4 + len(head)) % 8)
        first = _pack(struct.pack("<I", len(head)) + head, level)
        return _join([first, *(self._kept[name].packed for name in whole)])

    def _packed(self, name: str, column: Column, level: int) -> _Kept:
        kept = self._kept.get(name)
        if column.nbytes > _MUCH:
            level = _FAST_LEVEL
        if kept is not None and kept.level >= level and np.array_equal(kept.column, column):
            return kept
        # What should never be negative may be so in a damaged recording: steps can say that.
        delta = name in STEPS or int(column.min(initial=0)) < 0
        data, width = _planes(_steps(column) if delta else column)
        return _Kept(column, _pack(data, level), width, delta, level)


def encode(header: Mapping[str, Any], columns: Mapping[str, Column], texts: list[str]) -> Blob:
    """The blob of ``columns`` (integers), ``texts`` and what else the page says."""
    return Encoder().encode(header, columns, texts)


def _steps(column: Column) -> Column:
    steps = np.diff(column.astype(np.int64), prepend=np.int64(0))
    return np.where(steps < 0, -2 * steps - 1, 2 * steps)


def _planes(column: Column) -> tuple[bytes, int]:
    """The bytes of ``column``, and how many a row has."""
    largest = int(column.max(initial=0))
    width = max((largest.bit_length() + 7) // 8, 1)
    rows = column.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return np.ascontiguousarray(rows.T).tobytes(), width


def decode(data: bytes) -> tuple[dict[str, Any], dict[str, Column], list[str]]:
    """Header, columns and texts of a blob, as ``encode`` got them. For tests."""
    raw = zlib.decompress(data)
    (size,) = struct.unpack_from("<I", raw)
    header = json.loads(raw[4 : 4 + size])
    columns: dict[str, Column] = {}
    texts: list[str] = []
    for info in header.pop("columns"):
        start = 4 + size + info["offset"]
        rows, width = info["rows"], info["width"]
        planes = np.frombuffer(raw, np.uint8, rows * width, start).reshape(width, rows)
        if info["name"] == "texts":
            texts = planes.tobytes().decode().split("\0")
            continue
        whole = np.zeros((rows, 8), np.uint8)
        whole[:, :width] = planes.T
        values = whole.reshape(-1).view("<u8").astype(np.int64)
        if info["delta"]:
            values = np.cumsum(np.where(values % 2 == 1, -(values + 1) // 2, values // 2))
        columns[info["name"]] = values
    return header, columns, texts
