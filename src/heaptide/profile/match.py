"""Which file and which function of one recording are which of another: by names alone.

Two programs, or two builds of one, are compared. So a file may lie in another directory (two
checkouts, two virtual environments, two versions of Python), and a function's name may end
differently (Rust's hashes, the copies that compilers make).
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Set

# ---------------------------------------------------------------------------------------------
# Functions

# Rust's legacy mangling hashes the build into the name, v0 the crate; GCC and LLVM number their
# copies. Closures and lambdas are numbered in the order of the source: one more shifts the rest.
_HASH = re.compile(r"::h[0-9a-f]{16}$")
_CRATE = re.compile(r"\[[0-9a-f]{8,16}\](?=::)")
_COPY = re.compile(
    r"(?:\.(?:constprop|part|isra|cold|warm|lto_priv|localalias|llvm|clone|__uniq)(?:\.\d+)*)+$"
)
_CLONE = re.compile(r"(?: \[clone [^\]]*\])+$")
_CLOSURE = re.compile(
    r"\{\{?(closure|closure_env|impl|lambda\([^{}]*\)|unnamed type)(?:#\d+)?\}?\}"
)
_CLANG_LAMBDA = re.compile(r"(?<=\$_)\d+")
_ADDRESS = re.compile(r"^0x[0-9a-f]+(?: in (.*))?$")
_MARKS = re.compile(r"[.\[{#$]|::h")  # most names have none: nothing to look for
_COMPREHENSION = re.compile(r"(?:\.<locals>)?\.<(?:list|set|dict)comp>")


def function_key(name: str) -> str:
    """The ``name`` of native code without what differs between two builds of one function.

    Closures of one function that only numbers tell apart are one function. So are all addresses
    without a name of one object.
    """
    address = _ADDRESS.match(name)
    if address:
        return unnamed(address.group(1) or "")
    if not _MARKS.search(name):
        return name
    name = _COPY.sub("", _CLONE.sub("", name))
    name = _CRATE.sub("", _HASH.sub("", name))
    return _CLANG_LAMBDA.sub("", _CLOSURE.sub(r"{\1}", name))


def unnamed(module: str) -> str:
    """What stands for all code of ``module`` (a path; "": not known) that has no name."""
    return f"[no symbols] {posixpath.basename(module)}".rstrip()


def python_key(name: str, *, bare: bool, inlined: bool) -> str:
    """A Python function's name as two versions of Python both have it.

    ``bare``: without what it is defined in, which Python before 3.11 does not tell. ``inlined``:
    comprehensions are a part of their function, as they are from Python 3.12 on.
    """
    if inlined:
        name = _COMPREHENSION.sub("", name)
    return name.rpartition(".")[2] if bare else name


# ---------------------------------------------------------------------------------------------
# Files

_FORMS = (
    (re.compile(r"(?<![a-z])((?:lib)?(?:python|pypy))\d+(?:\.\d+)?t?(?=[/.]|$)"), r"\1"),
    (re.compile(r"(\.(?:cpython|pypy|abi))-?\d+\w*(?:-[\w-]+)?(?=\.so$)"), r"\1"),
    (re.compile(r"(\.so)(?:\.\d+)+$"), r"\1"),
    (re.compile(r"/(c\+\+|gcc|gcc/[\w-]+|clang|llvm)/\d[\d.]*(?=/)"), r"/\1"),
    (re.compile(r"^/(nix|gnu)/store/\w{32}-"), r"/\1/store/"),
)
# Where code is installed. What is behind says which it is; versions of crates are a part of it.
_INSTALLED = (
    re.compile(r"^.*/(?:site|dist)-packages/"),
    re.compile(r"^.*/(?:python|pypy)/"),  # after the versions have gone
    re.compile(r"^.*/\.?cargo/(?:registry/src|git/checkouts)/[^/]+/"),
    re.compile(r"^/rustc/[0-9a-f]+/|^.*/rustlib/src/rust/"),
    re.compile(r"^.*/include/c\+\+/"),
)
_CRATE_VERSION = re.compile(r"^([\w-]+?)-\d[\w.+-]*/")
_MOST_PAIRS = 40_000  # of namesakes: beyond that a directory has to be equal too


def match_paths(old: Iterable[str], new: Iterable[str]) -> dict[str, str]:
    """For paths of ``old`` the path in ``new`` that is the same file.

    Equal ones match first; then those that differ in versions or in where their package is
    installed; others by the longest common end of their names. Among ends of one tree the way to
    another is the same for as many files as can be. What could be either of two is neither, and no
    two paths of one recording get the same partner.
    """
    left, right = set(old), set(new)
    found = {path: path for path in left & right}
    for form in (_form, _installed):
        found.update(_unique(left - found.keys(), right - set(found.values()), form))
    found.update(_by_ends(left - found.keys(), right - set(found.values())))
    return found


def _form(path: str) -> str:
    """``path`` without versions of interpreters, compilers and libraries."""
    for pattern, plain in _FORMS:
        path = pattern.sub(plain, path)
    return path


def _installed(path: str) -> str:
    """Which kind of place it is installed in, and the path from there on."""
    path = _form(path)
    for kind, pattern in enumerate(_INSTALLED):
        found = pattern.match(path)
        if found:
            behind = _CRATE_VERSION.sub(r"\1/", path[found.end() :])
            return f"{kind}:{behind}"
    return path


def _unique(left: Set[str], right: Set[str], form: Callable[[str], str]) -> dict[str, str]:
    """Paths of one form, if no other of their recording has it."""
    sides = []
    for paths in (left, right):
        by_form: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            by_form[form(path)].append(path)
        sides.append({key: found[0] for key, found in by_form.items() if len(found) == 1})
    return {a: sides[1][key] for key, a in sides[0].items() if key in sides[1]}


def _by_ends(left: Set[str], right: Set[str]) -> dict[str, str]:
    """Matches by common ends: what most files have in common in front of them decides."""
    scores = _scores(left, right)
    found: dict[str, str] = {}
    while scores:
        best: tuple[dict[str, Score], dict[str, Score]] = ({}, {})
        ties: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        for pair, score in scores.items():
            for side, path in enumerate(pair):
                if score > best[side].get(path, (0, 0)):
                    best[side][path], ties[side][path] = score, 1
                elif score == best[side][path]:
                    ties[side][path] += 1
        chosen = {
            (a, b)
            for (a, b), score in scores.items()
            if best[0][a] == best[1][b] == score and ties[0][a] == ties[1][b] == 1
        }
        if not chosen:
            break
        found.update(chosen)
        used = {path for pair in chosen for path in pair}
        scores = {(a, b): s for (a, b), s in scores.items() if a not in used and b not in used}
    return found


Score = tuple[int, int]  # files with the same difference in front, components in common


def _scores(left: Set[str], right: Set[str]) -> dict[tuple[str, str], Score]:
    """The score of each pair that may be one file."""
    buckets: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    ends = {}
    for side, paths in enumerate((left, right)):
        for path in paths:
            if path and not path.startswith(("<", "[")):
                ends[path] = _form(path).split("/")[::-1]
                buckets[ends[path][0]][side].append(path)
    lengths: dict[tuple[str, str], int] = {}
    alone = set()
    for olds, news in buckets.values():
        if len(olds) * len(news) > _MOST_PAIRS:
            pairs = _in_equal_directories(olds, news, ends)
        else:
            pairs = [(a, b) for a in olds for b in news]
        lengths.update({(a, b): _common(ends[a], ends[b]) for a, b in pairs})
        if len(olds) == len(news) == 1:
            alone.add((olds[0], news[0]))
    fronts = {pair: tuple(_front(ends[p], n) for p in pair) for pair, n in lengths.items()}
    votes = Counter(fronts.values())
    return {
        pair: (votes[fronts[pair]], length)
        for pair, length in lengths.items()
        # With one file of the name on each side, the name will do; else a directory has to agree.
        if length > 1 or pair in alone
    }


def _in_equal_directories(
    olds: list[str], news: list[str], ends: Mapping[str, list[str]]
) -> list[tuple[str, str]]:
    by_directory: dict[str, list[str]] = defaultdict(list)
    for b in news:
        by_directory["/".join(ends[b][1:3])].append(b)
    pairs = ((a, b) for a in olds for b in by_directory.get("/".join(ends[a][1:3]), ()))
    return [pair for pair, _ in zip(pairs, range(_MOST_PAIRS))]


def _common(a: list[str], b: list[str]) -> int:
    length = 0
    for one, other in zip(a, b):
        if one != other:
            break
        length += 1
    return length


def _front(end: list[str], length: int) -> str:
    return "/".join(end[length:])


def match_renamed(
    old: Mapping[str, Collection[str]], new: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """For files that have no namesake, with the functions in each: those with the same functions.

    At least half of the functions of both together are in both, and no other file fits as well.
    Files that have only such functions as every file has (``main``) match if they are the only
    ones on both sides.
    """
    sizes: dict[tuple[str, str], float] = {}
    by_function: dict[str, list[str]] = defaultdict(list)
    for b, functions in new.items():
        for name in functions:
            by_function[name].append(b)
    for a, functions in old.items():
        shared = Counter(
            b
            for name in functions
            if name not in _EVERYWHERE or len(old) == len(new) == 1
            for b in by_function.get(name, ())
        )
        for b, count in shared.items():
            part = count / len(set(functions) | set(new[b]))
            if part >= 0.5 and posixpath.splitext(a)[1] == posixpath.splitext(b)[1]:
                sizes[a, b] = part
    found = {}
    for (a, b), part in sizes.items():
        rivals = [p for (c, d), p in sizes.items() if (c == a) != (d == b)]
        if all(rival < part for rival in rivals):
            found[a] = b
    return found


_EVERYWHERE = frozenset(("<module>", "main", "main()", "main(int, char**)", "__init__", "<lambda>"))
