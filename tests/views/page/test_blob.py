"""The bytes of the page's data: columns of any integers, packed again only where they differ."""

from __future__ import annotations

import json
import math
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import Profile
from heaptide.recording import Recording
from heaptide.views.page import build
from heaptide.views.page.blob import STEPS, Encoder, decode, encode

WIDE = st.integers(-(2**53), 2**53)


@given(st.lists(st.lists(WIDE, max_size=20), min_size=1, max_size=4))
@settings(deadline=None)
def test_an_encoder_forgets_nothing_and_keeps_nothing(versions: list[list[int]]) -> None:
    """One blob after the other, of columns some of which differ, or are negative."""
    encoder = Encoder()
    for number, values in enumerate(versions):
        columns: dict[str, Any] = {
            "sample.node": np.array(sorted(values), np.int64),
            "sample.peak_bytes": np.array(values, np.int64),
            "sample.kind": np.array([7, 7], np.int8),
        }
        blob = encoder.encode({"number": number}, columns, ["", str(number)], fast=number % 2 == 1)
        header, found, texts = decode(blob.data)
        assert header == {"number": number}
        assert texts == ["", str(number)]
        assert {name: column.tolist() for name, column in found.items()} == {
            name: column.tolist() for name, column in columns.items()
        }
        assert blob.raw_bytes == len(zlib.decompress(blob.data))


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8])
def test_narrow_columns_are_the_same(kind: type[Any]) -> None:
    column = np.array([0, 1, 100], kind)
    wide = column.astype(np.int64)
    assert encode({}, {"a": column}, [""]) == encode({}, {"a": wide}, [""])


def test_the_header_is_aligned_and_counts_bytes() -> None:
    raw = zlib.decompress(
        encode({}, {"a": np.arange(300), "node.depth": np.arange(300)}, [""]).data
    )
    size = int.from_bytes(raw[:4], "little")
    assert (4 + size) % 8 == 0
    texts, plain, steps = json.loads(raw[4 : 4 + size])["columns"]
    assert texts == {"name": "texts", "rows": 0, "width": 1, "offset": 0, "delta": False}
    assert plain == {"name": "a", "rows": 300, "width": 2, "offset": 0, "delta": False}
    assert steps == {"name": "node.depth", "rows": 300, "width": 1, "offset": 600, "delta": True}
    assert "node.depth" in STEPS
    # Byte planes: all low bytes, then all high ones.
    assert (
        raw[4 + size : 4 + size + 600]
        == bytes(i % 256 for i in range(300)) + bytes(256) + b"\1" * 44
    )
    assert raw[4 + size + 600 :] == b"\0" + b"\2" * 299  # zigzag


def odd(**meta: Any) -> Builder:
    make = Builder()
    make.process()
    make.thread()
    make.meta.update(meta)
    context = make.context(0, make.stack(make.python("f", "/home/u/a.py", 1)))
    make.slice(0, SECOND, {context: Change(1, 10)})
    make.finish(SECOND)
    return make


@pytest.mark.parametrize("started", [math.nan, math.inf, 1e300, "yesterday", None, [1], 10**400])
def test_no_time_is_no_number(tmp_path: Path, started: Any) -> None:
    """What JavaScript would not parse is not in the header."""
    with Recording.open(odd(start_time=started).write(tmp_path / "a.tide")) as recording:
        header, _, _ = decode(build(Profile(recording)).data)
    assert header["recording"]["started"] is None


@given(st.lists(st.text(st.characters(), max_size=6), max_size=3))
@settings(max_examples=30, deadline=None)
def test_any_command_is_a_title(words: list[str]) -> None:
    """Also one with halves of surrogate pairs, which UTF-8 cannot say."""
    with tempfile.TemporaryDirectory() as folder:
        path = odd(command=words).write(Path(folder) / "a.tide")
        with Recording.open(path) as recording:
            page = build(Profile(recording))
        assert decode(page.data)[0]["recording"]["command"] == words
        assert page.html().decode().count("<title>") == 1


def test_a_name_of_a_megabyte(tmp_path: Path) -> None:
    make = odd()
    name = "std::pair<" * 100_000
    context = make.context(0, make.stack(make.python(name, "/home/u/a.py", 2)))
    make.slice(SECOND, 2 * SECOND, {context: Change(1, 10)})
    with Recording.open(make.write(tmp_path / "a.tide")) as recording:
        page = build(Profile(recording))
    assert name in decode(page.data)[2]
    assert len(page.data) < 20_000


def test_what_was_freed_too_often(tmp_path: Path) -> None:
    """Of a recording whose beginning is lost: less than nothing lives, and the page says so."""
    make = odd()
    make.slice(SECOND, 2 * SECOND, {0: Change(0, 0, 3, 50)})
    with Recording.open(make.write(tmp_path / "a.tide")) as recording:
        _, columns, _ = decode(build(Profile(recording)).data)
    assert int((columns["change.bytes_in"]).sum() - columns["change.bytes_out"].sum()) == -40
