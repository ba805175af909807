"""A profile as one page of HTML that needs nothing else: its data, and the file.

``build(profile).html()`` is the file; ``build(profile, most=...)`` keeps it below a size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heaptide.profile.shared import Shared

from . import html
from .bins import Focus, edges_of
from .blob import Blob, Encoder
from .columns import columns_of
from .gather import tables_of
from .header import header_of, own_metrics
from .matched import shared_names
from .merge import with_base
from .order import compact
from .owners import only_chosen
from .shrink import shrink
from .sources import changed_since, embedded, source_text

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.recording import Recording

    from .tables import Tables

__all__ = ["DEFAULT_MOST", "Focus", "Page", "build", "empty_page", "is_finer"]

DEFAULT_MOST = 20_000_000  # bytes of the file
_BINS = 240
# More than a browser has memory for, and time, however small they are packed.
_MOST_SAMPLES = 1_000_000
_MOST_CHANGES = 4_000_000

Progress = Callable[[int, int, str], None]


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
    served: bool = False,
    live: bool = False,
    focus: Focus | None = None,
    progress: Progress | None = None,
) -> Page:
    """The page of what ``profile`` selects; with ``base``, of the difference to that older one.

    ``most``: bytes of the file, for which small stacks are folded. ``sources``: with the text of
    the source files, as far as they are here; ``served``: these are shown when they are asked for.
    ``focus``: where time is finer than it is elsewhere.
    ``progress(done, steps, what comes now)``.
    """

    def step(done: int, what: str) -> None:
        if progress is not None:
            progress(done, _STEPS, what)

    step(0, "names")
    header = header_of(profile, base, live=live)
    step(1, "stacks and changes")
    was, now = (None, None) if base is None else shared_names(Shared(base, profile))
    extras = [metric.name for metric in own_metrics(profile, base)]
    tables, together = tables_of(
        profile, bins=_BINS, samples=_MOST_SAMPLES, names=now, extras=extras, focus=focus
    )
    tables = only_chosen(header, tables, profile)
    said = []
    if base is None:
        said = together.said()
        together.extend(header, profile.recording)
    else:  # of two recordings, owners are not told apart anyhow
        step(2, "the older recording")
        older, _ = tables_of(
            base, bins=_BINS, samples=_MOST_SAMPLES, names=was, extras=extras, focus=focus
        )
        tables = compact(with_base(tables, older))
    texts: dict[str, str] = {}
    if sources:
        texts, notes = embedded(tables, header["recording"]["started"], most // 2)
        header["notes"] = [*notes, *header["notes"]]
    elif served:
        notes = changed_since(tables, header["recording"]["started"])
        header["notes"] = [*notes, *header["notes"]]
    encoder = Encoder()

    def blob(tables: Tables, said: list[str], *, fast: bool = False) -> Blob:
        numbers = {text: number for number, text in enumerate(tables.texts)} if texts else {}
        found = {str(numbers[name]): text for name, text in texts.items() if name in numbers}
        full = {**header, "sources": found, "folded": said}
        columns = columns_of(tables, profile, base, focus)
        return encoder.encode(full, columns, tables.texts, fast=fast)

    room = (most - html.overhead()) * 3 // 4 - 512  # base64, and the sentences to come

    def rows_of(tables: Tables) -> float:
        changes = sum(len(side.changes.sample) + len(side.exits.bin) for side in tables.sides)
        return max(tables.samples / _MOST_SAMPLES, changes / _MOST_CHANGES)

    def size_of(tables: Tables) -> int:
        least = int(rows_of(tables) * room)
        return least if least > 2 * room else max(least, len(blob(tables, [], fast=True).data))

    step(3, "the page")
    if rows_of(tables) <= 1:
        blob(tables, [])  # mostly that is it
    shrunk = shrink(tables, room, size_of)
    said += shrunk.said
    done = blob(shrunk.tables, said)
    return Page(
        header["title"],
        done.data,
        done.raw_bytes,
        len(shrunk.tables.parent),
        said,
        shrunk.tables.texts,
    )


def is_finer(focus: Focus, *recordings: Recording) -> bool:
    """Whether a page with that ``focus`` has other spans of time than one without."""
    return any(
        not np.array_equal(edges_of(one, _BINS, focus), edges_of(one, _BINS)) for one in recordings
    )


_STEPS = 4
