"""The page as one HTML file: bundle, style and data under a strict Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_DATA = '<script type="application/octet-stream" id="heaptide-data">{}</script>'


@cache
def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def page(title: str, data: bytes | None) -> bytes:
    """The file. ``data``: the blob; None: the page asks its server for it."""
    style, script = _part("page.css"), _part("page.js")
    parts = {
        "title": html.escape(title.encode("utf-8", "backslashreplace").decode()),
        "csp": html.escape(_policy(script, style)),
        "style": style,
        "script": script,
        "data": "" if data is None else _DATA.format(base64.b64encode(data).decode("ascii")),
    }
    pieces = _part("page.html").split("{{")
    out = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        out += [parts[name], rest]
    return "".join(out).encode("utf-8")


def overhead() -> int:
    """Bytes of a page without data."""
    return len(page("", None))


def _policy(script: str, style: str) -> str:
    """Nothing is fetched but from where the page is, and nothing runs but what is in it."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
