"""Rules as YAML that people read: mappings, lists and text, and nothing else.

Own code since PyYAML would be a dependency of every installation for these few lines. Tests read
what it writes with PyYAML and with Prometheus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Union

Node = Union[str, Mapping[str, "Node"], Sequence["Node"]]

# Text that needs no quotes: words that YAML 1.1 takes for something else are not among them.
_PLAIN = re.compile(r"(?!(?:y|yes|n|no|on|off|true|false|null)$)[a-z][a-z0-9_-]*", re.IGNORECASE)
_DURATION = re.compile(r"\d+(?:ms|[smhd])")


def as_yaml(node: Mapping[str, Node], *, comments: Sequence[str] = ()) -> str:
    """A document, with ``comments`` above it, a line each. Keys have to be plain words."""
    return "".join(f"{line}\n" for line in [*(f"# {text}" for text in comments), *_lines(node)])


def _lines(node: Node) -> list[str]:
    """The first of a text is to stand behind what has it, and the others two columns further in."""
    if isinstance(node, str):
        return _text(node)
    if not node:
        return ["{}" if isinstance(node, Mapping) else "[]"]
    if isinstance(node, Mapping):
        return [line for key, value in node.items() for line in _of_key(key, _lines(value), value)]
    return [line for value in node for line in _indented(_lines(value), "- ")]


def _of_key(key: str, lines: list[str], value: Node) -> Iterator[str]:
    if isinstance(value, str):
        yield f"{key}: {lines[0]}"
        yield from lines[1:]
    elif not value:
        yield f"{key}: {lines[0]}"
    else:
        yield f"{key}:"
        yield from _indented(lines, "  ")


def _indented(lines: Sequence[str], first: str) -> Iterator[str]:
    for place, line in enumerate(lines):
        yield ("  " if place else first) + line


def _text(text: str) -> list[str]:
    if _PLAIN.fullmatch(text) or _DURATION.fullmatch(text):
        return [text]
    lines = text.split("\n")
    as_it_is = all(line.isprintable() and line.strip() for line in lines) and text[0] != " "
    if as_it_is and (len(lines) > 1 or '"' in text or "\\" in text):
        return ["|-", *(f"  {line}" for line in lines)]
    return ['"' + "".join(map(_escaped, text)) + '"']


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
