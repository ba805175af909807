"""Which place in one recording is which in another: by names, for addresses and rows differ.

Two programs, or two builds of one, are compared. So a file may lie in another directory (two
checkouts, two virtual environments, two versions of Python), and a function's name may end
differently (Rust's hashes, the copies that compilers make).
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable

# Rust's legacy mangling hashes the build into the name; GCC and LLVM number their copies.
_HASH = re.compile(r"::h[0-9a-f]{16}$")
_COPY = re.compile(r"(?:\.(?:constprop|part|isra|cold|lto_priv|localalias|llvm)(?:\.\d+)*)+$")
_ADDRESS = re.compile(r"^0x[0-9a-f]+(?: in (.*))?$")
_VERSION = re.compile(r"\b((?:python|pypy))\d+\.\d+t?\b")


def function_key(name: str) -> str:
    """``name`` without what differs between two builds of one function.

    Addresses without a name cannot be told apart: all of one object are one.
    """
    address = _ADDRESS.match(name)
    if address:
        return f"[no symbols] {posixpath.basename(address.group(1) or '')}".rstrip()
    return _COPY.sub("", _HASH.sub("", name))


def match_paths(old: Iterable[str], new: Iterable[str]) -> dict[str, str]:
    """For paths of ``old`` the path in ``new`` that is the same file.

    Equal ones match first; others by the longest common end of their names, if both agree that no
    other has a longer one. No two paths of one recording get the same partner.
    """
    left, right = set(old), set(new)
    same = left & right
    found = {path: path for path in same}
    by_name: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, paths in enumerate((left - same, right - same)):
        for path in paths:
            if path.startswith("/"):
                by_name[posixpath.basename(path)][side].append(path)
    for olds, news in by_name.values():
        found.update(_pairs(sorted(olds), sorted(news)))
    return found


_MOST_NAMESAKES = 300  # __init__.py of a large environment: beyond that only equal ends of paths


def _pairs(olds: list[str], news: list[str]) -> dict[str, str]:
    """The mutual best matches of files of one name, if each is the only best one."""
    if not olds or not news:
        return {}
    if max(len(olds), len(news)) > _MOST_NAMESAKES:
        return _by_whole_end(olds, news)
    ends = {path: _parts(path) for path in (*olds, *news)}
    scores = {(a, b): _common(ends[a], ends[b]) for a in olds for b in news}
    found = {}
    for a in olds:
        best = max(scores[a, b] for b in news)
        chosen = [b for b in news if scores[a, b] == best]
        if len(chosen) != 1:
            continue
        b = chosen[0]
        rivals = [c for c in olds if scores[c, b] >= best and c != a]
        # With one file of the name on each side, the name will do; else a directory has to agree.
        if not rivals and (best > 1 or len(olds) == len(news) == 1):
            found[a] = b
    return found


def _by_whole_end(olds: list[str], news: list[str]) -> dict[str, str]:
    """Matches of paths that agree behind the directory that packages are installed in."""
    ends: dict[str, list[str]] = defaultdict(list)
    for b in news:
        ends[_installed(b)].append(b)
    counts: dict[str, int] = defaultdict(int)
    for a in olds:
        counts[_installed(a)] += 1
    return {
        a: ends[_installed(a)][0]
        for a in olds
        if len(ends[_installed(a)]) == 1 and counts[_installed(a)] == 1
    }


_PACKAGES = re.compile(r"^.*/(?:(?:site|dist)-packages|(?:python|pypy)\d+\.\d+t?)/")


def _installed(path: str) -> str:
    return _PACKAGES.sub("", path)


def _parts(path: str) -> list[str]:
    """Components, the last first; versions of Python are equal."""
    return _VERSION.sub(r"\1", path).split("/")[::-1]


def _common(a: list[str], b: list[str]) -> int:
    length = 0
    for one, other in zip(a, b):
        if one != other:
            break
        length += 1
    return length
