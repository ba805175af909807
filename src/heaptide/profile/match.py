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
from itertools import islice

# ---------------------------------------------------------------------------------------------
# Functions

# Rust's legacy mangling hashes the build into the name, v0 the crate; GCC and LLVM number their
# copies. Closures and lambdas are numbered in the order of the source: one more shifts the rest.
_HASH = re.compile(r"::h[0-9a-f]{16}$")
_CRATE = re.compile(r"\[[0-9a-f]{8,16}\](?=::)")
_COPY = re.compile(
    r"(?:\.(?:constprop|part|isra|cold|warm|lto_priv|localalias|llvm|clone|__uniq)(?:\.\d+)*)+$"
)
_LONGEST_END = 400  # characters: patterns at the end of a long name would try every start
_CLONE = re.compile(r"(?: \[clone [^\]]*\])+$")
_CLOSURE = re.compile(
    r"\{\{?(closure|closure_env|impl|lambda\([^{}]*\)|unnamed type)(?:#\d+)?\}?\}"
)
_CLANG_LAMBDA = re.compile(r"(?<=\$_)\d+")
_ADDRESS = re.compile(r"^0x[0-9a-f]+(?: in (.*))?$")
_MARKS = re.compile(r"[.\[{#$]|::h")  # most names have none: nothing to look for
_COMPREHENSION = re.compile(r"(?:^|(?:\.<locals>)?\.)<(?:list|set|dict)comp>")


def function_key(name: str) -> str:
    """The ``name`` of native code without what differs between two builds of one function.

    Closures of one function that only numbers tell apart are one function. So are all addresses
    without a name of one object.
    """
    address = _ADDRESS.match(name)
    if address:
        return unnamed(address.group(1) or "")
    if name.startswith("<"):
        name = _without_brackets(name)
    if not _MARKS.search(name):
        return name
    head, end = name[:-_LONGEST_END], name[-_LONGEST_END:]
    name = head + _COPY.sub("", _CLONE.sub("", end))
    name = _CRATE.sub("", _HASH.sub("", name))
    return _CLANG_LAMBDA.sub("", _CLOSURE.sub(r"{\1}", name))


def _without_brackets(name: str) -> str:
    """Rust's ``<app::Index>::add``, as v0 mangles it, like the older ``app::Index::add``."""
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">" and name[i - 1] != "-")
        if depth == 0:
            inner = name[1:i]
            plain = (
                " as " not in inner and inner[:1].isidentifier() and name[i + 1 :].startswith("::")
            )
            return inner + name[i + 1 :] if plain else name
        if depth == 1 and name.startswith(" as ", i):
            return name
    return name


def unnamed(module: str) -> str:
    """What stands for all code of ``module`` (a path; "": not known) that has no name."""
    return f"[no symbols] {posixpath.basename(module)}".rstrip()


def python_key(name: str, *, bare: bool, inlined: bool) -> str:
    """A Python function's name as two versions of Python both have it.

    ``bare``: without what it is defined in, which Python before 3.11 does not tell. ``inlined``:
    comprehensions are a part of their function, as they are from Python 3.12 on.
    """
    if inlined:
        name = _COMPREHENSION.sub("", name).removeprefix(".<locals>.") or "<module>"
    return name.rpartition(".")[2] if bare else name


def is_comprehension(name: str) -> bool:
    """Whether a Python function's name is that of a comprehension's own code."""
    return name.endswith(("<listcomp>", "<setcomp>", "<dictcomp>"))


# ---------------------------------------------------------------------------------------------
# Files

_FORMS = (
    (re.compile(r"(?<![a-z])((?:lib)?(?:python|pypy))\d+(?:\.\d+)?t?(?=[/.]|$)"), r"\1"),
    (re.compile(r"(\.(?:cpython|pypy|abi))-?\d\w*(?:-[\w-]+)?(?=\.so$)"), r"\1"),
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
_FROZEN = re.compile(r"^<frozen ([\w.]+)>$")  # the same modules, where they are built in
_STANDARD_LIBRARY = 1  # in the order of _INSTALLED
_CRATE_VERSION = re.compile(r"^([\w-]+?)-\d[\w.+-]*/")
_MOST_PAIRS = 10_000  # of namesakes: beyond that a directory has to be equal too


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
    frozen = _FROZEN.match(path)
    if frozen:
        return f"{_STANDARD_LIBRARY}:{frozen.group(1).replace('.', '/')}.py"
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


Pair = tuple[str, str]
Score = tuple[int, int]  # files with the same difference in front, components in common


def _by_ends(left: Set[str], right: Set[str]) -> dict[str, str]:
    """Matches by common ends: what most files have in common in front of them decides."""
    buckets, ends = _namesakes(left, right)
    lengths = [
        {(a, b): _common(ends[a], ends[b]) for a, b in _pairs(olds, news, ends)}
        for olds, news in buckets
    ]
    fronts = {
        (a, b): ("/".join(ends[a][length:]), "/".join(ends[b][length:]))
        for bucket in lengths
        for (a, b), length in bucket.items()
    }
    votes = Counter(fronts.values())
    found: dict[str, str] = {}
    for (olds, news), bucket in zip(buckets, lengths):
        alone = len(olds) == len(news) == 1
        # With one file of the name on each side, the name will do; else a directory has to agree.
        scores = {
            pair: (votes[fronts[pair]], length)
            for pair, length in bucket.items()
            if alone or length > 1
        }
        found.update(_mutual(scores))
    return found


def _namesakes(
    left: Set[str], right: Set[str]
) -> tuple[list[tuple[list[str], list[str]]], dict[str, list[str]]]:
    """Files of one name on each side; and the components of each path, the last first."""
    buckets: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    ends = {}
    for side, paths in enumerate((left, right)):
        for path in paths:
            if path and not path.startswith(("<", "[")):
                ends[path] = _form(path).split("/")[::-1]
                buckets[ends[path][0]][side].append(path)
    return [bucket for bucket in buckets.values() if all(bucket)], ends


def _pairs(olds: list[str], news: list[str], ends: Mapping[str, list[str]]) -> Iterable[Pair]:
    if len(olds) * len(news) <= _MOST_PAIRS:
        return [(a, b) for a in olds for b in news]
    by_directory: dict[str, list[str]] = defaultdict(list)
    for b in sorted(news):
        by_directory["/".join(ends[b][1:3])].append(b)
    pairs = ((a, b) for a in sorted(olds) for b in by_directory.get("/".join(ends[a][1:3]), ()))
    return islice(pairs, _MOST_PAIRS)


def _mutual(scores: dict[Pair, Score]) -> dict[str, str]:
    """The pairs that are the only best one for both; then those among the rest, and so on."""
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
        used = {a for a, _ in chosen}, {b for _, b in chosen}
        scores = {
            (a, b): score
            for (a, b), score in scores.items()
            if a not in used[0] and b not in used[1]
        }
    return found


def _common(a: list[str], b: list[str]) -> int:
    length = 0
    for one, other in zip(a, b):
        if one != other:
            break
        length += 1
    return length


def match_renamed(
    old: Mapping[str, Collection[str]], new: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """For files that have no namesake, with the functions in each: those with the same functions.

    At least half of the functions of both together are in both, and no other file fits as well.
    Files that have only such functions as every file has (``main``) match if they are the only
    ones on both sides.
    """
    by_function: dict[str, list[str]] = defaultdict(list)
    for b, functions in new.items():
        for name in functions:
            by_function[name].append(b)
    only = len(old) == len(new) == 1
    scores: dict[Pair, Score] = {}
    for a, functions in old.items():
        telling = (name for name in functions if only or name not in _EVERYWHERE)
        files = (by_function.get(name, ()) for name in telling)
        shared = Counter(b for found in files if len(found) <= _MOST_FILES for b in found)
        for b, count in shared.items():
            every = len(set(functions) | set(new[b]))
            if 2 * count >= every and posixpath.splitext(a)[1] == posixpath.splitext(b)[1]:
                scores[a, b] = (count * _WHOLE // every, count)
    return _mutual(scores)


_MOST_FILES = 20  # that a function's name may be in, and still tell one from another
_WHOLE = 1 << 20
_EVERYWHERE = frozenset(("<module>", "main", "main()", "main(int, char**)", "__init__", "<lambda>"))
