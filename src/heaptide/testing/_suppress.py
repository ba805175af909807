"""Leaks and surviving objects that are known and allowed: by place, by type, or by a predicate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Union

from heaptide.errors import UsageError
from heaptide.inside import Frame

Suppression = Union[str, Callable[[Any], object]]
"""A pattern with ``*`` and ``?``, or a function that is true for what is allowed."""


def parse(name: str, value: object) -> tuple[Suppression, ...]:
    """What a mark or a configuration says: one, or several. Raises UsageError, with ``name``."""
    several: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    for one in several:
        if not callable(one) and (not isinstance(one, str) or not one.strip()):
            raise UsageError(f"{name}: {one!r} is neither a pattern nor a function")
        if isinstance(one, str) and ":" in one and not all(map(str.strip, one.rsplit(":", 1))):
            raise UsageError(f"{name}: {one!r} is no pattern: say FUNCTION, FILE or FILE:FUNCTION")
    found: list[Suppression] = [one.strip() if isinstance(one, str) else one for one in several]
    return tuple(found)


def allows_stack(suppressions: Sequence[Suppression], frames: Sequence[Frame]) -> bool:
    """A pattern is FUNCTION, FILE or FILE:FUNCTION, and holds for a stack with such a frame. A
    function is called with the frames, innermost first."""
    return any(
        any(_is_at(one, frame) for frame in frames) if isinstance(one, str) else one(frames)
        for one in suppressions
    )


def _is_at(pattern: str, frame: Frame) -> bool:
    file, colon, function = pattern.rpartition(":")
    if colon:
        return _is_file(file, frame.file) and _is_function(function, frame.function)
    return _is_function(pattern, frame.function) or _is_file(pattern, frame.file)


def _is_file(pattern: str, file: str) -> bool:
    """All of the path, or its last parts."""
    return fnmatchcase(file, pattern) or fnmatchcase(file, f"*/{pattern}")


def _is_function(pattern: str, function: str) -> bool:
    """The name with those of its classes and functions, or alone."""
    return fnmatchcase(function, pattern) or fnmatchcase(function.rpartition(".")[2], pattern)


def allows_object(suppressions: Sequence[Suppression], found: object) -> bool:
    """By its type, by a pattern for the name of that (with or without the module), by a function of
    the object."""
    kind = type(found)
    names = kind.__qualname__, type_name(kind)
    for one in suppressions:
        if isinstance(one, str):
            if any(fnmatchcase(name, one) for name in names):
                return True
        elif isinstance(one, type):
            if isinstance(found, one):
                return True
        elif one(found):
            return True
    return False


def type_name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
