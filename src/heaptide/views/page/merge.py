"""Two recordings in one set of tables: what has one name in both is one, see ``matched``."""

from __future__ import annotations

import numpy as np

from .tables import PLACE, TEXTS, Histogram, Tables

_LOST = ("column", "end_line", "end_column")  # of one line, columns differ between two programs


def with_base(new: Tables, old: Tables) -> Tables:
    """Tables with the side of ``new`` and, as ``base``, that of ``old``, named as ``shared_names``
    has them. Sizes and lifetimes are not compared.

    To be made compact: then nodes of the same place below the same node are one.
    """
    joined = list(new.texts)
    numbers = {text: number for number, text in enumerate(joined)}
    for text in old.texts:
        if numbers.setdefault(text, len(joined)) == len(joined):
            joined.append(text)
    of_text = np.array([numbers[text] for text in old.texts], np.int64)
    places = {}
    for name in PLACE:
        column = old.places[name]
        if name in TEXTS:
            column = of_text[column]
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
        extras=new.extras,
    )
