"""What to change so that frames without a name get one: one line for each file that mattered."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from heaptide.symbols._native import Known, Module

# Below this share of the allocations a file is not worth a line.
WORTH_A_LINE: Final = 0.01
_MOST_LINES: Final = 5

_PACKAGED: Final = re.compile(r"/(?:usr/)?(?:lib|lib64|bin|sbin|libexec)/")
_RUST: Final = b"rustc version"


class Nameless(NamedTuple):
    """A file whose frames have no names, or no lines."""

    module: Module
    known: Known
    producer: bytes
    share: float  # of all allocations, those with such a frame of it in their stack
    names: bool = False  # its frames have names but no lines
    split: bool = False  # its lines are in .dwo files, which are not read


def advise(files: list[Nameless]) -> list[str]:
    """Lines for the files that mattered, those of the largest share first."""
    worth = sorted((f for f in files if f.share >= WORTH_A_LINE), key=lambda f: -f.share)
    lines = [_line(f) for f in worth[:_MOST_LINES]]
    left = len(worth) - len(lines)
    if left:
        lines.append(f"{left} more file{'s' * (left > 1)} with frames without names")
    return lines


def _line(file: Nameless) -> str:
    path = file.module.shown
    what = "line" if file.names else "name"
    share = f"{file.share * 100:.0f} % of allocations have a frame without a {what} in it"
    if file.known is Known.CHANGED:
        return (
            f"{path} has been rebuilt since it was recorded: {share}; record it again, or put its"
            " old debug file where its build id leads"
        )
    if file.known is Known.MISSING:
        return (
            f"{path} is gone: {share}; put it back, or give its debug file by build id"
            f" ({file.module.build_id or 'none recorded'}), then run heaptide symbolize"
        )
    state = "has no debug information" if file.names else "is stripped"
    if file.split:
        state = "has its debug information in .dwo files, which heaptide does not read"
    return f"{path} {state}: {share}; {_remedy(file, path)}"


def _remedy(file: Nameless, path: str) -> str:
    if file.split and not _PACKAGED.match(path):
        rust = _RUST in file.producer
        option = 'split-debuginfo = "off"' if rust else "-g and without -gsplit-dwarf"
        return f"build it with {option}"
    if _RUST in file.producer and not _PACKAGED.match(path):
        return (
            'in Cargo.toml under [profile.release] set strip = false and debug = "line-tables-only"'
            ", and build again"
        )
    if "/site-packages/" in path or "/dist-packages/" in path:
        return "its wheel ships without symbols: build the package from source with CFLAGS=-g"
    if _PACKAGED.match(path):
        return (
            "install its debug symbols (-dbgsym or -debuginfo package) or set DEBUGINFOD_URLS, then"
            " run heaptide symbolize"
        )
    return "build it with -g and do not strip it"
