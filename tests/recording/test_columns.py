"""Payloads: whatever is encoded decodes to the same numbers, and nothing malformed passes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.recording import _columns

names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=22)
numbers = st.one_of(
    st.lists(st.integers(0, 2**64 - 1)).map(lambda v: np.array(v, np.uint64)),
    st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda v: np.array(v, np.int64)),
    st.binary(),
)


@given(st.dictionaries(names, numbers, max_size=8))
def test_round_trip(columns: dict[str, np.ndarray | bytes]) -> None:
    """Names, order and values survive; so does every width that narrowing picks."""
    payload = b"".join(_columns.encode(columns))
    decoded = _columns.decode(memoryview(payload))
    assert list(columns) == list(decoded)
    for name, column in columns.items():
        expected = list(column)
        assert expected == decoded[name].tolist()
    assert len(payload) % 8 == 0


@given(st.dictionaries(names, numbers, min_size=1, max_size=4), st.data())
def test_part_of_a_payload(columns: dict[str, np.ndarray | bytes], data: st.DataObject) -> None:
    """A payload that ends early gives its whole columns where that is asked for, else an error."""
    payload = b"".join(_columns.encode(columns))
    cut = data.draw(st.integers(0, len(payload) - 1))
    head = memoryview(payload)[:cut]
    try:
        found = _columns.decode(head, partial=True)
    except _columns.PayloadError:
        found = {}
    for name, column in found.items():
        assert list(columns[name]) == column.tolist()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([0, 255], "u1"),
        ([0, 256], "<u2"),
        ([0, 1 << 16], "<u4"),
        ([0, 1 << 32], "<u8"),
        ([-1, 127], "i1"),
        ([-1, 128], "<i2"),
        ([-(1 << 31) - 1], "<i8"),
        ([], "u1"),
    ],
)
def test_narrowest_width(values: list[int], code: str) -> None:
    assert np.dtype(code) == _columns.narrow(np.array(values, np.int64)).dtype


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0" * 7,
        struct.pack("<II", 1, 0),
        struct.pack("<II", 0xFFFFFFFF, 0) + b"\0" * 64,
        struct.pack("<II22scBQ", 1, 0, b"a", b"Q", 0, 8),
        struct.pack("<II22scBQ", 1, 0, b"a", b"Q", 0, 1 << 63) + b"\0" * 64,
        struct.pack("<II22scBQ", 1, 0, b"a", b"Q", 0, 7) + b"\0" * 8,
    ],
)
def test_malformed(payload: bytes) -> None:
    with pytest.raises(_columns.PayloadError):
        _columns.decode(memoryview(payload))


def test_unknown_type_is_skipped() -> None:
    """A column of a type of a later version does not hide those after it."""
    known = b"".join(_columns.encode({"later": b"12345678", "known": np.array([7])}))
    payload = known[: 8 + 22] + b"?" + known[8 + 23 :]
    assert {"known"} == set(_columns.decode(memoryview(payload)))
