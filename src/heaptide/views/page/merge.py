"""Two recordings in one set of tables: stacks match by the names of their functions and lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .tables import PLACE, Tables

_LOST = ("column", "end_line", "end_column")  # of one line, columns differ between two programs


def with_base(new: Tables, old: Tables) -> Tables:
    """Tables with the figures of ``new`` and, as ``base``, those of ``old``; without time.

    To be made compact: then nodes of the same place below the same node are one.
    """
    texts = {text: number for number, text in enumerate(new.texts)}
    joined = list(new.texts)
    for text in old.texts:
        if texts.setdefault(text, len(joined)) == len(joined):
            joined.append(text)
    number = np.array([texts[text] for text in old.texts], np.int64)
    places = {}
    for name in PLACE:
        column = number[old.places[name]] if name in PLACE[:3] else old.places[name]
        places[name] = np.concatenate([new.places[name], column])
        if name in _LOST:
            places[name] = np.zeros(len(places[name]), np.int64)
    nodes, spots = len(new.parent), len(new.places["line"])
    nothing = np.zeros_like(new.figures), np.zeros_like(old.figures)
    none = np.zeros(0, np.int64)
    return Tables(
        texts=joined,
        places=places,
        parent=np.concatenate([new.parent, np.where(old.parent < 0, -1, old.parent + nodes)]),
        place=np.concatenate([new.place, old.place + spots]),
        node=np.concatenate([new.node, old.node + nodes]),
        site=np.concatenate([new.site, old.site + spots]),
        # Threads and processes of two runs have nothing in common but their order.
        thread=np.zeros(new.samples + old.samples, np.int64),
        process=np.zeros(new.samples + old.samples, np.int64),
        kind=np.concatenate([new.kind, old.kind]),
        figures=np.concatenate([new.figures, nothing[1]]),
        changes=new.changes.none(),
        births=replace(new.births, **dict.fromkeys(vars(new.births), none)),
        sizes=new.sizes,
        lifetimes=new.lifetimes,
        ages=new.ages,
        base=np.concatenate([nothing[0], old.figures]),
    )
