"""The page's data as bytes: a header in JSON and columns of integers, packed to compress well.

A column's numbers are unsigned, of as many bytes as the largest needs, byte plane by byte plane:
all lowest bytes, then all second ones. Columns that grow slowly hold the zigzag-coded steps from
row to row instead. web/src/model reads it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]

_LEVEL = 9
_FAST_LEVEL = 6  # a tenth larger, four times as fast: for much data
_MUCH = 8_000_000  # bytes


@dataclass(frozen=True)
class Blob:
    """``data`` is what the page gets."""

    data: bytes
    raw_bytes: int


STEPS = frozenset(
    {
        "sample.node",
        "bin.start",
        "bin.end",
        "change.sample",
        "birth.time",
        "birth.sample",
        "size.sample",
        "life.sample",
        "age.sample",
        "time.time",
        "time.live",
        "time.peak",
        "time.rss",
        "time.pss",
        "base.time.time",
        "base.time.live",
        "base.time.peak",
        "base.time.rss",
        "base.time.pss",
    }
)
"""Columns that are kept as steps."""


def encode(header: Mapping[str, Any], columns: Mapping[str, Column], texts: list[str]) -> Blob:
    """The blob of ``columns`` (integers, none negative), ``texts`` and what else the page says."""
    infos = []
    pieces: list[bytes] = []
    offset = 0
    joined = "\0".join(text.replace("\0", "\\0") for text in texts)
    packed = {"texts": (joined.encode("utf-8", "backslashreplace"), 1, False)}
    for name, column in columns.items():
        delta = name in STEPS
        packed[name] = (*_planes(_steps(column) if delta else column), delta)
    for name, (data, width, delta) in packed.items():
        rows = len(data) // width
        infos.append({"name": name, "rows": rows, "width": width, "offset": offset, "delta": delta})
        pieces.append(data)
        offset += len(data)
    text = json.dumps({**header, "columns": infos}, ensure_ascii=True, separators=(",", ":"))
    head = text.encode()
    head += b" " * (-(4 + len(head)) % 8)
    raw = b"".join([struct.pack("<I", len(head)), head, *pieces])
    level = _FAST_LEVEL if len(raw) > _MUCH else _LEVEL
    return Blob(zlib.compress(raw, level), len(raw))


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
