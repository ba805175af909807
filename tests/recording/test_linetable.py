"""Line tables of every supported interpreter decode to what the interpreter itself says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.recording._linetable import UNKNOWN, LineTable
from tests.recording import dump_linetables

GOLDEN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "linetables.json").read_text()
)


def check(entry: dict[str, Any]) -> None:
    table = LineTable(bytes.fromhex(entry["table"]), entry["first_line"], entry["version"])
    for offset, *position in entry["positions"]:
        assert position == list(table.at(offset)), (entry["name"], offset)
        assert position == list(table.at(offset + 1)), "the second byte of the instruction"


@pytest.mark.parametrize("minor", range(9, 14))
def test_golden(minor: int) -> None:
    """Tables written by CPython 3.9 to 3.13 (dump_linetables.py)."""
    entries = [entry for entry in GOLDEN if entry["version"] >> 16 & 0xFF == minor]
    assert len(entries) >= 5
    for entry in entries:
        check(entry)


@pytest.mark.interpreters
def test_this_interpreter() -> None:
    """Code of the sample and of modules of the standard library, by the interpreter at hand."""
    import argparse
    import ast
    import asyncio.tasks
    import dataclasses
    import typing

    modules = [argparse, ast, asyncio.tasks, dataclasses, typing]
    sources = [Path(str(module.__file__)).read_bytes() for module in modules]
    for entry in dump_linetables.entries([*sources, dump_linetables.SAMPLE.encode()]):
        check(entry)


@given(
    st.binary(max_size=200),
    st.integers(0, 1 << 31),
    st.sampled_from([0x030900F0, 0x030A00F0, 0x030B00F0, 0x030D00F0, 0]),
    st.integers(0, 1 << 33),
)
def test_any_bytes(table: bytes, first_line: int, version: int, offset: int) -> None:
    """Tables come from other processes: whatever they hold, a lookup answers."""
    position = LineTable(table, first_line, version).at(offset)
    assert len(position) == 4


def test_cut_table() -> None:
    """An entry that is cut off ends the table: what follows is not known."""
    entry = next(e for e in GOLDEN if e["version"] >> 16 == 0x030B and e["name"] == "plain")
    table = bytes.fromhex(entry["table"])
    whole = LineTable(table, entry["first_line"], entry["version"])
    for size in range(len(table)):
        cut = LineTable(table[:size], entry["first_line"], entry["version"])
        for offset, *_ in entry["positions"]:
            assert cut.at(offset) in (whole.at(offset), UNKNOWN)
