"""Demangling of Rust names, legacy and v0 (RFC 2603).

Written here because rust-demangler 1.0, the package on PyPI, fails on `dyn for<'a>` and nested
constants (1 % of the names in rustc itself) and prints to stdout as it does so. Names are given as
rustc's own short form: no hashes, no types of constants.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_LEGACY: Final = re.compile(r"_{1,3}ZN(?:\d+[^\s]*?)17h[0-9a-f]{16}E")
_V0: Final = re.compile(r"_{0,2}R(?=[A-Z])")
_ESCAPE: Final = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,6})\$|\.\.")
_ESCAPES: Final = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")"}

# Bounds of one name: hostile back references would grow it without end.
_MAX_DEPTH: Final = 200
_MAX_LENGTH: Final = 1 << 16


def is_rust(symbol: str) -> bool:
    """Whether `symbol` is a mangled Rust name. A legacy one differs from C++ by its hash alone."""
    return bool(_V0.match(symbol) or _LEGACY.match(symbol))


def demangle(symbol: str) -> str | None:
    """The Rust path that `symbol` stands for, or None if it is no mangled Rust name."""
    if _LEGACY.match(symbol):
        return _legacy(symbol)
    start = _V0.match(symbol)
    if not start:
        return None
    # Compilers and linkers append ".llvm.123" and the like, after the name's own characters.
    body = re.split(r"[.$]", symbol[start.end() :], maxsplit=1)[0]
    try:
        return _V0Parser(body).path(in_value=True)
    except (_NameError, ValueError, RecursionError):
        return None


def _legacy(symbol: str) -> str | None:
    index = symbol.index("ZN") + 2
    parts = []
    while symbol[index : index + 1].isdigit():
        digits = re.match(r"\d+", symbol[index:])
        assert digits
        index += digits.end()
        length = int(digits[0])
        parts.append(symbol[index : index + length])
        index += length
    # The last part is the hash.
    return "::".join(_unescape(part) for part in parts[:-1]) or None


def _unescape(part: str) -> str:
    if part.startswith("_$"):
        part = part[1:]
    return _ESCAPE.sub(_unescaped, part)


def _unescaped(match: re.Match[str]) -> str:
    name = match[1]
    if name is None:
        return "::"
    if name == "C":
        return ","
    if name[0] == "u":
        code = int(name[1:], 16)
        return chr(code) if code < 0x110000 and chr(code).isprintable() else match[0]
    return _ESCAPES[name]


class _NameError(Exception):
    """The name does not follow the grammar."""


_BASIC: Final = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "s": "i16",
    "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!", "p": "_",
}  # fmt: skip
_SIGNED: Final = frozenset("aislxn")
_UNSIGNED: Final = frozenset("htmyoj")


class _V0Parser:
    """A recursive descent through the grammar of RFC 2603; each method consumes one production."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.index = 0
        self.depth = 0
        self.length = 0
        self.bound_lifetimes = 0

    # Characters and numbers.

    def next(self) -> str:
        if self.index >= len(self.text):
            raise _NameError
        self.index += 1
        return self.text[self.index - 1]

    def eat(self, character: str) -> bool:
        if self.text[self.index : self.index + 1] == character:
            self.index += 1
            return True
        return False

    def base62(self) -> int:
        if self.eat("_"):
            return 0
        value = 0
        while not self.eat("_"):
            character = self.next()
            if character.isdigit():
                digit = int(character)
            elif "a" <= character <= "z":
                digit = ord(character) - ord("a") + 10
            elif "A" <= character <= "Z":
                digit = ord(character) - ord("A") + 36
            else:
                raise _NameError
            value = value * 62 + digit
        return value + 1

    def optional62(self, tag: str) -> int:
        return self.base62() + 1 if self.eat(tag) else 0

    def identifier(self) -> str:
        """An identifier without its disambiguator."""
        punycode = self.eat("u")
        digits = re.compile(r"0|[1-9][0-9]*").match(self.text, self.index)
        if not digits:
            raise _NameError
        self.index = digits.end()
        length = int(digits[0])
        self.eat("_")
        name = self.text[self.index : self.index + length]
        if len(name) != length:
            raise _NameError
        self.index += length
        if punycode:
            # The last underscore stands for punycode's hyphen.
            head, _, tail = name.rpartition("_")
            name = (
                f"{head}-{tail}".encode("ascii").decode("punycode")
                if head
                else (tail.encode("ascii").decode("punycode"))
            )
        return name

    # Bounds.

    def enter(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _NameError

    def bounded(self, text: str) -> str:
        self.depth -= 1
        self.length += len(text)
        if len(text) > _MAX_LENGTH or self.length > 64 * _MAX_LENGTH:
            raise _NameError
        return text

    def back(self, start: int) -> int:
        """The place that a back reference, whose tag is at `start`, leads to."""
        target = self.base62()
        if target >= start:
            raise _NameError
        return target

    # Paths.

    def path(self, in_value: bool = False) -> str:
        """A path; in a value, generic arguments are written with `::<`."""
        self.enter()
        start = self.index
        tag = self.next()
        if tag == "C":
            self.optional62("s")
            return self.bounded(self.identifier())
        if tag == "N":
            return self.bounded(self._nested(in_value))
        if tag in "MX":
            self.optional62("s")
            self.path()  # where the impl stands
            return self.bounded(f"<{self.type()}{self._as_trait(tag == 'X')}>")
        if tag == "Y":
            return self.bounded(f"<{self.type()}{self._as_trait(True)}>")
        if tag == "I":
            base = self.path(in_value)
            arguments = ", ".join(self._until_end(self._generic_argument))
            return self.bounded(f"{base}{'::' if in_value else ''}<{arguments}>")
        if tag == "B":
            return self.bounded(self._at(self.back(start), lambda: self.path(in_value)))
        raise _NameError

    def _as_trait(self, named: bool) -> str:
        return f" as {self.path()}" if named else ""

    def _nested(self, in_value: bool) -> str:
        space = self.next()
        base = self.path(in_value)
        number = self.optional62("s")
        name = self.identifier()
        if space.isupper():
            kind = {"C": "closure", "S": "shim"}.get(space, space)
            return f"{base}::{{{kind}{':' * bool(name)}{name}#{number}}}"
        return f"{base}::{name}" if name else base

    def _at(self, target: int, parse: Callable[[], str]) -> str:
        """What `parse` makes of the text at `target`."""
        saved, self.index = self.index, target
        try:
            return parse()
        finally:
            self.index = saved

    def _until_end(self, parse: Callable[[], str]) -> list[str]:
        parts = []
        while not self.eat("E"):
            parts.append(parse())
        return parts

    def _generic_argument(self) -> str:
        if self.eat("L"):
            return self._lifetime(self.base62())
        if self.eat("K"):
            return self.constant()
        return self.type()

    def _lifetime(self, number: int) -> str:
        if number == 0:
            return "'_"
        depth = self.bound_lifetimes - number
        if depth < 0:
            raise _NameError
        return f"'{chr(ord('a') + depth)}" if depth < 26 else f"'_{depth}"

    # Types.

    def type(self) -> str:
        self.enter()
        start = self.index
        tag = self.next()
        if tag in _BASIC:
            return self.bounded(_BASIC[tag])
        if tag == "A":
            return self.bounded(f"[{self.type()}; {self.constant()}]")
        if tag == "S":
            return self.bounded(f"[{self.type()}]")
        if tag == "T":
            parts = self._until_end(self.type)
            return self.bounded(f"({', '.join(parts)}{',' * (len(parts) == 1)})")
        if tag in "RQ":
            lifetime = ""
            if self.eat("L"):
                number = self.base62()
                lifetime = self._lifetime(number) + " " if number else ""
            return self.bounded(f"&{lifetime}{'mut ' * (tag == 'Q')}{self.type()}")
        if tag in "PO":
            return self.bounded(f"*{'const' if tag == 'P' else 'mut'} {self.type()}")
        if tag == "F":
            return self.bounded(self._with_binder(self._function))
        if tag == "D":
            bounds = self._with_binder(self._bounds)
            if not self.eat("L"):
                raise _NameError
            number = self.base62()
            return self.bounded(
                f"dyn {bounds}" + (f" + {self._lifetime(number)}" if number else "")
            )
        if tag == "W":
            return self.bounded(f"{self.type()} is {self._pattern()}")
        if tag == "B":
            return self.bounded(self._at(self.back(start), self.type))
        self.index = start
        return self.bounded(self.path())

    def _with_binder(self, parse: Callable[[], str]) -> str:
        count = self.optional62("G")
        if count > 64:
            raise _NameError
        self.bound_lifetimes += count
        names = [self._lifetime(count - i) for i in range(count)]
        text = (f"for<{', '.join(names)}> " if names else "") + parse()
        self.bound_lifetimes -= count
        return text

    def _function(self) -> str:
        unsafe = "unsafe " * self.eat("U")
        abi = ""
        if self.eat("K"):
            name = "C" if self.eat("C") else self.identifier().replace("_", "-")
            abi = f'extern "{name}" '
        arguments = ", ".join(self._until_end(self.type))
        result = self.type()
        return f"{unsafe}{abi}fn({arguments})" + (f" -> {result}" if result != "()" else "")

    def _bounds(self) -> str:
        return " + ".join(self._until_end(self._dyn_trait))

    def _dyn_trait(self) -> str:
        trait = self.path()
        bindings = []
        while self.eat("p"):
            name = self.identifier()
            bindings.append(f"{name} = {self.type()}")
        if not bindings:
            return trait
        if trait.endswith(">") and "<" in trait and not trait.startswith("<"):
            return f"{trait[:-1]}, {', '.join(bindings)}>"
        return f"{trait}<{', '.join(bindings)}>"

    def _pattern(self) -> str:
        tag = self.next()
        if tag == "R":
            return f"{self.constant()}..={self.constant()}"
        if tag == "N":
            return "!null"
        if tag == "O":
            return " | ".join(self._until_end(self._pattern))
        raise _NameError

    # Constants.

    def constant(self) -> str:
        self.enter()
        start = self.index
        tag = self.next()
        if tag == "p":
            return self.bounded("_")
        if tag in _UNSIGNED or tag in _SIGNED:
            sign = "-" if tag in _SIGNED and self.eat("n") else ""
            return self.bounded(f"{sign}{self._hex()}")
        if tag == "b":
            return self.bounded("true" if self._hex() else "false")
        if tag == "c":
            code = self._hex()
            if code >= 0x110000:
                raise _NameError
            return self.bounded(_quoted(chr(code), "'"))
        if tag == "e":
            return self.bounded("*" + _quoted(self._string(), '"'))
        if tag in "RQ":
            if tag == "R" and self.eat("e"):
                return self.bounded(_quoted(self._string(), '"'))
            return self.bounded(f"&{'mut ' * (tag == 'Q')}{self.constant()}")
        if tag == "A":
            return self.bounded(f"[{', '.join(self._until_end(self.constant))}]")
        if tag == "T":
            parts = self._until_end(self.constant)
            return self.bounded(f"({', '.join(parts)}{',' * (len(parts) == 1)})")
        if tag == "V":
            return self.bounded(self._structure())
        if tag == "B":
            return self.bounded(self._at(self.back(start), self.constant))
        raise _NameError

    def _structure(self) -> str:
        name = self.path(in_value=True)
        form = self.next()
        if form == "U":
            return name
        if form == "T":
            return f"{name}({', '.join(self._until_end(self.constant))})"
        if form == "S":
            return f"{name} {{ {', '.join(self._until_end(self._field))} }}"
        raise _NameError

    def _field(self) -> str:
        self.optional62("s")
        name = self.identifier()
        return f"{name}: {self.constant()}"

    def _nibbles(self) -> str:
        end = self.text.find("_", self.index)
        nibbles = self.text[self.index : end]
        if end < 0 or not re.fullmatch(r"[0-9a-f]*", nibbles):
            raise _NameError
        self.index = end + 1
        return nibbles

    def _hex(self) -> int:
        return int(self._nibbles() or "0", 16)

    def _string(self) -> str:
        return bytes.fromhex(self._nibbles()).decode("utf-8")


def _quoted(text: str, quote: str) -> str:
    inner = "".join(
        c
        if c.isprintable() and c not in "\\" + quote
        else c.encode("unicode_escape").decode()
        if not c.isprintable()
        else "\\" + c
        for c in text
    )
    return f"{quote}{inner}{quote}"
