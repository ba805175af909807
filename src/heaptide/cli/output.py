"""What commands print: JSON for programs, a line on stderr for people."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

from heaptide._printable import printable

# The escapes in JSON's strings, one after the other, pairs of surrogates as one.
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([0-9a-fA-F]{4})|.)")


def say(line: str) -> None:
    """A line on stderr; names in it move no cursor."""
    click.echo(f"heaptide: {printable(line)}", err=True)


def print_json(document: Any) -> None:
    """Prints ``document`` piece by piece: as one text it may be larger than what it was made of.

    Names of files that are no UTF-8 get backslashes, as all other names have: half of a surrogate
    pair is no text, and refused by strict readers.
    """
    for piece in json.JSONEncoder(indent=1).iterencode(document):
        sys.stdout.write(_ESCAPE.sub(_whole, piece) if "\\ud" in piece else piece)
    sys.stdout.write("\n")


def _whole(escape: re.Match[str]) -> str:
    code = int(escape[1] or "0", 16)
    if not 0xD800 <= code <= 0xDFFF:
        return escape[0]
    return rf"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else rf"\\u{code:04x}"
