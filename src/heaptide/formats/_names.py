"""Names as foreign files write them: what is in them besides the function."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from heaptide.recording import Language

_BY_SUFFIX = {
    ".py": Language.PYTHON,
    ".pyx": Language.PYTHON,
    ".c": Language.C,
    ".cc": Language.CPP,
    ".cpp": Language.CPP,
    ".cxx": Language.CPP,
    ".c++": Language.CPP,
    ".hpp": Language.CPP,
    ".hh": Language.CPP,
    ".hxx": Language.CPP,
    ".inl": Language.CPP,
    ".tcc": Language.CPP,
    ".rs": Language.RUST,
    ".go": Language.OTHER,
    ".s": Language.OTHER,
    ".js": Language.OTHER,
    ".ts": Language.OTHER,
    ".java": Language.OTHER,
}
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


def one_line(text: str) -> str:
    """``text`` with a blank for each character that is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def language_of(name: str, file: str) -> Language:
    """By the source file's suffix, else by how the name is written."""
    found = _BY_SUFFIX.get(posixpath.splitext(file)[1].lower())
    if found is not None:
        return found
    if file.startswith("<frozen ") or file in ("<string>", "<stdin>"):
        return Language.PYTHON
    if _RUST_HASH.search(name) or name.startswith(("core::", "alloc::", "std::rt::", "<alloc::")):
        return Language.RUST
    if "(" in name and name.endswith((")", "const", "]")) and not name.startswith("("):
        return Language.CPP
    if file.endswith(".h"):
        return Language.C
    return Language.UNKNOWN


class Place(NamedTuple):
    """A line of a stack, as Valgrind's tools and dhat-rs write it."""

    address: int
    function: str  # "" where only the address is known
    file: str
    line: int
    column: int
    module: str


_ADDRESS = re.compile(r"0x([0-9A-Fa-f]{1,16}): ?(.*)")
_LINE = re.compile(r"(.*?):(\d{1,9})(?::(\d{1,9}))?")
_IN = re.compile(r"(?:in|within) (.*)")


def place(label: str) -> Place:
    """Takes ``0x1234: function (file:line:column)`` or ``… (in object)`` apart."""
    match = _ADDRESS.fullmatch(label)
    address, text = (int(match[1], 16), match[2]) if match else (0, label)
    function, where = _parted(text)
    function = "" if function == "???" else function
    at, inside = _LINE.fullmatch(where), _IN.fullmatch(where)
    if inside is not None:
        return Place(address, function, "", 0, 0, inside[1])
    if at is not None:
        return Place(address, function, at[1], int(at[2]), int(at[3] or 0), "")
    return Place(address, "" if text == "???" else text, "", 0, 0, "")


def _parted(text: str) -> tuple[str, str]:
    """A name and what stands behind it in parentheses, in which there may be others."""
    if not text.endswith(")"):
        return text, ""
    depth = 0
    for at in range(len(text) - 1, 0, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0 and text[at - 1] == " ":
            return text[: at - 1], text[at + 1 : -1]
        if depth == 0:
            break
    return text, ""
