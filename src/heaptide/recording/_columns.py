"""Payloads of chunks: columns to bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, Union

import numpy as np
from numpy.typing import NDArray

PAYLOAD_HEADER: Final = struct.Struct("<II")
DESCRIPTOR: Final = struct.Struct("<22scBQ")
_TYPES: Final = {code.encode(): np.dtype("<" + code) for code in "BHIQbhiqd"}
_CODES: Final = {dtype: code for code, dtype in _TYPES.items()}

Array = NDArray[Any]
Column = Union[Array, bytes, memoryview]


class PayloadError(ValueError):
    """A payload contradicts itself; the message says how."""


def decode(payload: memoryview, *, partial: bool = False) -> dict[str, Array]:
    """The columns of a payload, as views of it.

    With `partial` the payload may end early: columns that are not whole are left out.
    """
    if len(payload) < PAYLOAD_HEADER.size:
        raise PayloadError("it has no table of columns")
    count, _ = PAYLOAD_HEADER.unpack_from(payload)
    offset = PAYLOAD_HEADER.size + count * DESCRIPTOR.size
    if offset > len(payload):
        raise PayloadError("its table of columns is cut off")
    columns: dict[str, Array] = {}
    for index in range(count):
        name, code, _, size = DESCRIPTOR.unpack_from(
            payload, PAYLOAD_HEADER.size + index * DESCRIPTOR.size
        )
        if size > len(payload) - offset:
            if partial:
                break
            raise PayloadError("a column is longer than the chunk")
        dtype = _TYPES.get(code)
        if dtype is not None:
            if size % dtype.itemsize:
                raise PayloadError("a column ends within a number")
            text = name.rstrip(b"\0").decode("ascii", "backslashreplace")
            columns[text] = np.frombuffer(payload, dtype, size // dtype.itemsize, offset)
        offset += size + (-size & 7)
    return columns


def encode(columns: Mapping[str, Column]) -> list[bytes | memoryview]:
    """The payload of `columns`, in their order, as pieces to be joined.

    Integers are stored in the narrowest type that fits; bytes as `B`.
    """
    table = [PAYLOAD_HEADER.pack(len(columns), 0)]
    data: list[bytes | memoryview] = []
    for name, column in columns.items():
        array = np.ascontiguousarray(
            narrow(column) if isinstance(column, np.ndarray) else np.frombuffer(column, np.uint8)
        )
        encoded = name.encode("ascii")
        if len(encoded) > 22:
            raise ValueError(f"the column name {name!r} is longer than 22 bytes")
        table.append(DESCRIPTOR.pack(encoded, _CODES[array.dtype], 0, array.nbytes))
        if array.nbytes:
            data.append(array.data.cast("B"))
        data.append(bytes(-array.nbytes & 7))
    return [*table, *data]


def narrow(array: Array) -> Array:
    """`array` in the narrowest little-endian type that holds each of its numbers."""
    if array.dtype.kind == "f":
        return array.astype("<f8")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.size == 0:
        return array.astype(np.uint8)
    low, high = int(array.min()), int(array.max())
    for code in "BHIQ" if low >= 0 else "bhiq":
        bounds = np.iinfo(code)
        if bounds.min <= low and high <= bounds.max:
            return array.astype("<" + code, copy=False)
    raise ValueError("a column holds both negative numbers and numbers above 2**63 - 1")
