"""Taking a demangled function name apart, as far as the rules of ``origin`` need it."""

from __future__ import annotations

import re

from heaptide.recording import Language

_OPEN = "<([{"
_CLOSE = ">)]}"
_OPERATOR = re.compile(r"(?:^|[\s:&*])operator\b")


def _operator_symbol(name: str, start: int) -> int:
    """End of the symbol that makes up an operator's name (``operator<<``, ``operator()``)."""
    stop = start + len("operator")
    while stop < len(name) and name[stop] == " ":
        stop += 1
    if name.startswith("()", stop) or name.startswith("[]", stop):
        return stop + 2
    while stop < len(name) and name[stop] in "<>=!+-*/%^&|~,":
        stop += 1
    return stop


_ARGUMENTS = re.compile(r"<[^<>]*>")


def bare(name: str) -> str:
    """``qualified`` without template arguments, for rules: 1.5 µs for most names."""
    if "operator" in name or "->" in name:
        return qualified(name)
    name = name.replace("(anonymous namespace)", "{anonymous}")
    while True:
        shorter = _ARGUMENTS.sub("", name)
        if shorter == name:
            break
        name = shorter
    return name.partition("(")[0].rpartition(" ")[2].lstrip("*&") or name


def qualified(name: str) -> str:
    """The qualified name in a demangled C++ signature: no return type, no parameters.

    Templates are demangled with their return type, so that ``std::vector<int> mine<int>()``
    begins with ``std::`` though it is the user's. Unbalanced text comes back as it is.
    """
    found = _OPERATOR.search(name)
    skip_from = skip_to = -1
    if found:
        skip_from = found.end() - len("operator")
        skip_to = _operator_symbol(name, skip_from)
    depth = 0
    start = 0
    i = 0
    while i < len(name):
        if i == skip_from:
            # `operator new`, `operator int`: what follows is part of the name, up to "(".
            rest = name.find("(", skip_to) if depth == 0 else -1
            return name[start:rest] if rest >= 0 else name[start:] if depth == 0 else name
        c = name[i]
        if c in _OPEN:
            if c == "(" and depth == 0 and i > start and not _is_name_part(name, i):
                return name[start:i]
            depth += 1
        elif c in _CLOSE and not (c == ">" and i and name[i - 1] == "-"):
            depth -= 1
        elif c == " " and depth == 0:
            start = i + 1
        i += 1
    return name[start:].lstrip("*&") if depth == 0 and start < len(name) else name


def _is_name_part(name: str, i: int) -> bool:
    """Whether the parenthesis at ``i`` opens ``(anonymous namespace)`` and the like."""
    close = name.find(")", i)
    return close >= 0 and name.startswith("::", close + 1)


def merged_name(name: str, language: Language) -> str:
    """The name that all instances of a template have: no template arguments, nor parameters, which
    follow from them. Functions that are none keep their whole name."""
    if language is Language.PYTHON or "<" not in name:
        return name
    if language is Language.RUST:
        return without_arguments(name)
    bare_name = qualified(name)
    return without_arguments(bare_name) if "<" in bare_name else name


def without_arguments(name: str) -> str:
    """``std::map<int, std::string>::find`` as ``std::map<>::find``; odd text as it is.

    A leading ``<`` is no argument: it is Rust's way to name a type's implementation.
    """
    start = _closing(name) if name.startswith("<") else 0
    if start < 0:
        return name
    out = [name[:start]]
    depth = 0
    for i, c in enumerate(name[start:], start):
        if c == "<" and "operator" not in name[max(0, i - 9) : i]:
            depth += 1
            if depth == 1:
                out.append("<>")
        elif c == ">" and depth and name[i - 1] != "-":
            depth -= 1
        elif depth == 0:
            out.append(c)
    return "".join(out) if depth == 0 else name


def _closing(name: str) -> int:
    """Just behind the ``>`` that closes the ``<`` at the start; -1: none does."""
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">" and name[i - 1 : i] != "-")
        if depth == 0:
            return i + 1
    return -1
