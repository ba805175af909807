"""Heap profiles with names: what ``pprof --raw`` and ``jeprof --raw`` print, a profile of
gperftools or jemalloc behind a table of its addresses."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from . import gperftools, jemalloc
from ._builder import Builder

if TYPE_CHECKING:
    from ._source import Source

_SYMBOL = re.compile(rb"(0x[0-9a-fA-F]{1,16})\s+(.*)")
_KIND = re.compile(rb"--- ?(heap|growth|heapz|profile)\s*")


def read(source: Source) -> Builder:
    lines = source.lines()
    next(lines, b"")  # what tells the format
    names: dict[int, str] = {}
    binary = ""
    for line in lines:
        if line.rstrip() == b"---":
            break
        if line.startswith(b"binary="):
            binary = line.partition(b"=")[2].decode("utf-8", "backslashreplace").strip()
            continue
        match = _SYMBOL.fullmatch(line)
        if match is None:
            raise source.malformed("it is no address with a name")
        names[int(match[1], 16)] = match[2].decode("utf-8", "backslashreplace").strip()
    line = next(lines, b"")
    match = _KIND.fullmatch(line)
    if match is None:
        raise source.malformed("no heap profile follows the names")
    if match[1] == b"profile":
        raise source.wrong("it is a profile of the CPU: heaptide reads those of memory")
    first = next(lines, b"")
    if not first:
        raise source.wrong("it ends behind its names: there is no profile in it")
    read_lines = jemalloc.read_lines if first.startswith(b"heap_v2/") else gperftools.read_lines
    builder = read_lines(source, chain([first], lines), names)
    builder.exe = binary
    builder.command = [binary] if binary else []
    return builder
