"""Which formats there are, and how each is told from the others: by its content, never its name."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from heaptide.errors import UsageError

if TYPE_CHECKING:
    import os

    from ._builder import Built
    from ._export import Export
    from ._source import Source


class Read(Protocol):
    """What a reader makes of a file."""

    def write(self, path: str | os.PathLike[str]) -> Built:
        """Writes the recording to `path`, which must not exist."""


class Reader(Protocol):
    """What a module of a format that can be read has."""

    def read(self, source: Source) -> Read:
        """The recording that a file is. Raises RecordingError, naming the line or offset; so may
        the writing of it."""


class Writer(Protocol):
    """What a module of a format that can be written has."""

    def write(self, export: Export) -> list[str]:
        """Writes what `export` has of a profile to its file; lines on what the format lost."""


@dataclass(frozen=True)
class Format:
    """A file format. `name`: on the command line; `title`: in sentences."""

    name: str
    title: str
    suffixes: tuple[str, ...] = ()  # of files to be written, the usual one first
    matches: Callable[[bytes], bool] | None = None  # by the first 64 KiB; None: not read
    writes: bool = False
    needs: str = ""  # an extra of heaptide's
    flag: str = ""  # an option without which it is not read, for it can do harm
    whole: bool = False  # written as a directory of files

    @property
    def reads(self) -> bool:
        return self.matches is not None

    def _module(self) -> object:
        return importlib.import_module(f"heaptide.formats.{self.name.replace('-', '_')}")

    @property
    def reader(self) -> Reader:
        return cast(Reader, self._module())

    @property
    def writer(self) -> Writer:
        return cast(Writer, self._module())


def _starts(pattern: bytes) -> Callable[[bytes], bool]:
    compiled = re.compile(pattern)
    return lambda head: compiled.match(head) is not None


def _is_folded(head: bytes) -> bool:
    """Each of the first lines ends with a blank and a whole number."""
    lines = head.split(b"\n")
    if len(head) >= 1 << 16:
        lines = lines[:-1]  # perhaps cut
    lines = [line.rstrip(b"\r") for line in lines if line.strip()][:100]
    known = re.compile(rb"\S.* -?\d+(?:\.\d+)?")
    return bool(lines) and all(known.fullmatch(line) and b"\0" not in line for line in lines)


def _is_dhat(head: bytes) -> bool:
    return head.lstrip()[:1] == b"{" and b'"dhatFileVersion"' in head


def _is_memray(head: bytes) -> bool:
    """As it is, or in a frame of LZ4, which begins with what it cannot compress yet."""
    lz4 = head.startswith(b"\x04\x22\x4d\x18")
    return head.startswith(b"memray\0") or (lz4 and b"memray\0" in head[:64])


def _is_pprof(head: bytes) -> bool:
    """Fields of a Profile, in their wire types, as far as they go; the first is a sample type, or
    whatever else a writer puts first."""
    at, fields = 0, 0
    while at < len(head) and fields < 64:
        tag, at = _varint(head, at)
        number, wire = tag >> 3, tag & 7
        either = number == _COMMENTS and wire in (0, 2)  # packed or not
        known = 1 <= number <= 15 and wire == (0 if number in _NUMBERS else 2)
        if tag < 0 or not (known or either):
            return False
        value, at = _varint(head, at)
        if value < 0:
            break
        if wire == 2:
            at += value
        fields += 1
    return fields > 0


_COMMENTS: Final = 13
_NUMBERS: Final = frozenset({7, 8, 9, 10, 12, 14})  # not messages nor strings


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return -1, at


FORMATS: Final = (
    Format("tide", "a heaptide recording", (".tide",), _starts(rb"heaptide"), writes=True),
    Format(
        "heaptrack",
        "a heaptrack recording",
        (".zst", ".gz", ".heaptrack"),
        _starts(rb"v [0-9a-f]{1,8}(?: [0-9a-f]{1,8})?\r?\n"),
        writes=True,
    ),
    Format(
        "massif",
        "a profile of Valgrind's Massif",
        (".massif.out", ".massif"),
        _starts(rb"desc: ?.*\r?\n(?:desc:.*\r?\n)*cmd:"),
        writes=True,
    ),
    Format("dhat", "a profile of DHAT", (".dhat.json",), _is_dhat, writes=True),
    Format("gperftools", "a heap profile of gperftools", (), _starts(rb"heap profile: *\d")),
    Format("jemalloc", "a heap profile of jemalloc", (), _starts(rb"heap_v2/\d")),
    Format("symbolized", "a symbolised heap profile", (), _starts(rb"--- ?symbol\r?\n")),
    Format("memray", "a capture of memray", (), _is_memray, needs="memray"),
    Format(
        "tracemalloc",
        "a snapshot of tracemalloc",
        (),
        lambda head: head[:1] == b"\x80" and b"tracemalloc" in head[:256],
        flag="--unpickle",
    ),
    Format("folded", "folded stacks", (".folded", ".collapsed"), _is_folded, writes=True),
    Format(
        "pprof",
        "a profile for pprof",
        (".pb.gz", ".pprof", ".pb"),
        _is_pprof,
        writes=True,
        needs="pprof",
    ),
    Format("speedscope", "a profile for speedscope", (".speedscope.json",), writes=True),
    Format("firefox", "a profile for the Firefox Profiler", (".firefox.json",), writes=True),
    Format(
        "parquet",
        "tables in Parquet",
        (".parquet",),
        writes=True,
        needs="parquet",
        whole=True,
    ),
    Format("csv", "a table of sites in CSV", (".csv",), writes=True),
    Format("json", "the JSON of heaptide show", (".json",), writes=True),
)
"""Readable ones in the order in which they are asked whether a file is theirs: the surest first."""


def detect(head: bytes) -> Format | None:
    """The format of a file that begins so."""
    for format in FORMATS:
        if format.matches is not None and format.matches(head):
            return format
    return None


def by_name(name: str) -> Format:
    """The format to write. Raises UsageError, naming those there are."""
    for format in FORMATS:
        if format.name == name and format.writes:
            return format
    raise UsageError(f"there is no format {name!r} to write; choose one of {writable()}")


def by_suffix(path: str) -> Format:
    """The format that a file of this name is to have. Raises UsageError for others."""
    lower = path.lower()
    found = [
        (len(suffix), format)
        for format in FORMATS
        if format.writes
        for suffix in format.suffixes
        if lower.endswith(suffix)
    ]
    if not found:
        raise UsageError(f"the name {path!r} tells no format; give --to with one of {writable()}")
    best = max(found, key=lambda pair: pair[0])[1]
    plain = lower.removesuffix(".gz").removesuffix(".zst")
    if best.name == "heaptrack" and any(
        plain.endswith(suffix)
        for format in FORMATS
        for suffix in format.suffixes
        if format.writes and format.name != "heaptrack"
    ):
        raise UsageError(
            f"{path!r} is the name of a compressed file of another format, which is not written: "
            "leave out the last part, or give --to heaptrack"
        )
    return best


def writable() -> str:
    return ", ".join(format.name for format in FORMATS if format.writes)
