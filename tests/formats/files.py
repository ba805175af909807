"""Files of other profilers: golden ones made by the real tools, and those that tests make."""

from __future__ import annotations

import gzip
from pathlib import Path

import zstandard

DATA = Path(__file__).parent / "data"

GOLDEN = {
    "demo.heaptrack": "heaptrack",
    "edge.heaptrack": "heaptrack",
    "minimal.heaptrack": "heaptrack",
    "embedded-suppressions.zst": "heaptrack",
    "heaptrack.cpp.small.zst": "heaptrack",
    "cpp.massif.out": "massif",
    "mb.massif.out": "massif",
    "pages.massif.out": "massif",
    "adhoc.dhat.json": "dhat",
    "copy.dhat.json": "dhat",
    "cpp.dhat.json": "dhat",
    "mb.dhat.json": "dhat",
    "jeprof.7438.0.f.heap": "jemalloc",
    "tcm.0001.heap": "gperftools",
}
"""Each file and the format that it has."""


def plain(name: str) -> bytes:
    """A golden file, decompressed."""
    data = (DATA / name).read_bytes()
    if name.endswith(".zst"):
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return bytes(reader.read())
    return gzip.decompress(data) if name.endswith(".gz") else data
