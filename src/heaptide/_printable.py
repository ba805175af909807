"""Foreign text, names of files above all, in characters that move no cursor and hide nothing."""

from __future__ import annotations

import shlex

_PLAIN = frozenset("\\'")


def printable(text: str) -> str:
    """``text`` with what cannot be shown as ``\\xNN`` (a byte that is no UTF-8 as well),
    ``\\uNNNN`` or ``\\UNNNNNNNN``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what os.fsdecode makes of such a byte
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shell_word(name: str) -> str:
    """The name of a file as it is typed into a shell: one argument, and no option."""
    if name.startswith("-"):
        name = f"./{name}"
    if name.isprintable():
        return shlex.quote(name)
    quoted = "".join(_in_dollar_quotes(c) for c in name)
    return f"$'{quoted}'"


def _in_dollar_quotes(character: str) -> str:
    if character in _PLAIN:
        return f"\\{character}"
    if character.isprintable():
        return character
    # Bytes, for \u means what the shell's locale says. Three digits end an octal number for sure.
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
