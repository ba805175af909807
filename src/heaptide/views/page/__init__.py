"""A profile as one page of HTML that needs nothing else: its data, and the file.

``build(profile).html()`` is the file; ``build(profile, most=...)`` keeps it below a size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import html
from .blob import encode
from .columns import columns_of
from .gather import tables_of
from .header import header_of
from .merge import with_base
from .order import compact
from .shrink import shrink
from .sources import embedded, own_files, source_text

if TYPE_CHECKING:
    from heaptide.profile import Profile

    from .tables import Tables

__all__ = ["DEFAULT_MOST", "Page", "build", "empty_page"]

DEFAULT_MOST = 20_000_000  # bytes of the file
_BINS = 240


@dataclass(frozen=True)
class Page:
    """``data``: the blob. ``folded``: a sentence for each thing that the size left no room for."""

    title: str
    data: bytes
    raw_bytes: int
    nodes: int
    folded: list[str]
    files: list[str]  # texts by number: what ``source`` is asked for

    def html(self) -> bytes:
        return html.page(self.title, self.data)

    def source(self, file: int) -> str | None:
        """The text of the file whose name has that number, if it is on this machine."""
        return source_text(self.files[file]) if 0 < file < len(self.files) else None


def empty_page(title: str) -> bytes:
    """The file without data, which asks its server for them."""
    return html.page(title, None)


def build(
    profile: Profile,
    base: Profile | None = None,
    *,
    most: int = DEFAULT_MOST,
    sources: bool = False,
    live: bool = False,
) -> Page:
    """The page of what ``profile`` selects; with ``base``, of the difference to that older one.

    ``most``: bytes of the file, for which small stacks are folded. ``sources``: with the text of
    the user's own source files, as far as they are here.
    """
    header = header_of(profile, base, live=live)
    tables = tables_of(profile, bins=_BINS)
    if base is not None:
        tables = with_base(tables, tables_of(base, bins=1))
    tables = compact(tables)
    series = (profile, base)
    found: dict[str, str] = embedded(tables, own_files(tables)) if sources else {}

    def blob(tables: Tables, said: list[str]) -> Any:
        numbers = {text: number for number, text in enumerate(tables.texts)}
        names = {_name(first, n): text for n, text in found.items()}
        texts = {str(numbers[name]): text for name, text in names.items() if name in numbers}
        full = {**header, "sources": texts, "folded": said}
        return encode(full, columns_of(tables, *series), tables.texts)

    first = tables
    room = (most - html.overhead()) * 3 // 4 - 256  # base64, and the sentences to come
    shrunk = shrink(tables, room, lambda tables: len(blob(tables, []).data))
    done = blob(shrunk.tables, shrunk.said)
    return Page(
        header["title"],
        done.data,
        done.raw_bytes,
        len(shrunk.tables.parent),
        shrunk.said,
        shrunk.tables.texts,
    )


def _name(tables: Tables, number: str) -> str:
    return tables.texts[int(number)]
