"""Two recordings in one set of tables: stacks match by the names of their functions and lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.profile.match import function_key, match_paths
from heaptide.profile.recorded_lines import ONLY_OLD
from heaptide.profile.shared import Shared

from .tables import PLACE, Histogram, Tables

if TYPE_CHECKING:
    from heaptide.profile import Profile

_LOST = ("column", "end_line", "end_column")  # of one line, columns differ between two programs


Moved = dict[tuple[str, str, int], int]


def moved_places(old: Profile, new: Profile) -> Moved:
    """Lines of ``old`` that an edit has moved: (function, file, line) to the line in ``new``."""
    shared = Shared(old, new)
    at = old.locations
    line = shared.split(shared.line)[0]
    rows = np.flatnonzero((line > 0) & (line < ONLY_OLD) & (line != at.line))
    return {
        (at.texts[function], at.texts[file], number): there
        for function, file, number, there in zip(
            at.function[rows].tolist(),
            at.file[rows].tolist(),
            at.line[rows].tolist(),
            line[rows].tolist(),
        )
    }


def with_base(new: Tables, old: Tables, moved: Moved | None = None) -> Tables:
    """Tables with the side of ``new`` and, as ``base``, that of ``old``. Sizes and lifetimes are
    not compared.

    ``moved``: where lines of ``old`` are in ``new``. To be made compact: then nodes of the same
    place below the same node are one.
    """
    if moved:
        old = _moved(old, moved)
    joined = list(new.texts)
    texts = {text: number for number, text in enumerate(joined)}
    partner = _partners(old, new)
    places = {}
    for name in PLACE:
        column = old.places[name]
        if name in partner:
            column = _numbers(column, old.texts, partner[name], texts, joined)
        places[name] = np.concatenate([new.places[name], column])
        if name in _LOST:
            places[name] = np.zeros(len(places[name]), np.int64)
    nodes, spots = len(new.parent), len(new.places["line"])
    return Tables(
        texts=joined,
        places=places,
        parent=np.concatenate([new.parent, np.where(old.parent < 0, -1, old.parent + nodes)]),
        place=np.concatenate([new.place, old.place + spots]),
        node=np.concatenate([new.node, old.node + nodes]),
        site=np.concatenate([new.site, old.site + nodes]),
        # Threads and processes of two runs have nothing in common but their order.
        thread=np.zeros(new.samples + old.samples, np.int64),
        process=np.zeros(new.samples + old.samples, np.int64),
        kind=np.concatenate([new.kind, old.kind]),
        new=new.new.among(0, old.samples),
        base=old.new.among(new.samples, 0),
        sizes=Histogram.none(),
        lifetimes=Histogram.none(),
        ages=Histogram.none(),
    )


Ints = npt.NDArray[np.int64]


def _moved(old: Tables, moved: Moved) -> Tables:
    texts, places = old.texts, old.places
    line = places["line"].copy()
    rows = zip(places["function"].tolist(), places["file"].tolist(), line.tolist())
    for row, (function, file, number) in enumerate(rows):
        line[row] = moved.get((texts[function], texts[file], number), number)
    return replace(old, places={**places, "line": line})


def _partners(old: Tables, new: Tables) -> dict[str, dict[str, str]]:
    """For each column of texts: what the text of ``old`` is called in ``new``."""

    def used(tables: Tables, name: str) -> set[str]:
        return {tables.texts[number] for number in np.unique(tables.places[name]).tolist()}

    found = {name: match_paths(used(old, name), used(new, name)) for name in ("file", "module")}
    by_key = {function_key(text): text for text in sorted(used(new, "function"), reverse=True)}
    found["function"] = {
        text: by_key.get(function_key(text), text) for text in used(old, "function")
    }
    # A name that both have is its own partner, whatever else has its key.
    found["function"].update({t: t for t in used(old, "function") & used(new, "function")})
    return found


def _numbers(
    column: Ints,
    texts: list[str],
    partner: dict[str, str],
    known: dict[str, int],
    joined: list[str],
) -> Ints:
    """``column``, numbers of ``texts``, as numbers of ``joined``, to which new ones are added."""
    distinct, inverse = np.unique(column, return_inverse=True)
    numbers = []
    for number in distinct.tolist():
        text = partner.get(texts[number], texts[number])
        if known.setdefault(text, len(joined)) == len(joined):
            joined.append(text)
        numbers.append(known[text])
    return np.array(numbers, np.int64)[inverse.reshape(-1)]
