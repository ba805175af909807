"""A profile as the tables of the page: its contexts become samples, in the order they are kept in.

Contexts are many where programs fork: columns are made one by one, and never all of one figure a
context at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from heaptide.profile import COLUMNS

from .bins import Changes, Focus, changes_of, edges_of
from .exits import Exits, exits_of, gone_at
from .matched import Names, own_names
from .order import arranged
from .owners import Together, few_samples
from .rows import Column, Groups, Ints, grouped, narrow
from .spreads import spreads_of
from .tables import (
    EXTRA,
    FIGURES,
    PLACE,
    TEXTS,
    Births,
    Histogram,
    Side,
    Tables,
    summed_histogram,
)

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.recording import Recording


def tables_of(
    profile: Profile,
    *,
    bins: int,
    samples: int,
    names: Names | None = None,
    extras: Sequence[str] = (),
    focus: Focus | None = None,
) -> tuple[Tables, Together]:
    """The tables of what ``profile`` selects, compact (``order``), in at most ``bins`` spans of
    time; and which processes and threads are not told apart, for more than ``samples`` of them.
    ``names``: for a comparison, which does not tell processes apart, what places are called in it:
    with what processes left behind, and without sizes and lifetimes. ``extras``: names of metrics
    that the format alone has. ``focus``: where spans are finer.

    Contexts without any figure are left out: they did nothing.
    """
    own = [profile.extra(name)[:, 0] for name in extras]
    rows = np.flatnonzero(np.logical_or.reduce([profile.figures.any(axis=1), *own]))
    compared = names is not None
    shape, number = arranged(_shape(profile, rows, names or own_names(profile)))
    shape, number, together = few_samples(profile, rows, shape, number, samples)
    sample = np.full(len(profile.recording.contexts), -1, np.int32)
    sample[rows] = number
    recording = profile.recording
    edges = edges_of(recording, bins, focus)
    changes = changes_of(recording, sample, edges)
    found = replace(
        shape,
        new=Side(
            _figures(profile, own, rows, grouped([number])),
            changes,
            _births(recording, sample),
            exits_of(recording, sample, changes) if compared else Exits.none(),
        ),
        extras=tuple(EXTRA + name for name in extras),
    )
    if compared:
        return found, together
    sizes, lifetimes, ages = _histograms(recording, sample)
    spreads = spreads_of(profile, edges, together)
    found = replace(found, sizes=sizes, lifetimes=lifetimes, ages=ages, spreads=spreads)
    return found, together


def _shape(profile: Profile, rows: Ints, names: Names) -> Tables:
    """All but the figures of the contexts ``rows``."""
    locations, contexts = profile.locations, profile.recording.contexts
    named = (*TEXTS, "line", "old_line")
    places = {
        name: getattr(names if name in named else locations, name).astype(np.int64)
        for name in PLACE
    }
    # What the interpreter made for itself has no stack, but is no unknown one: a root of its own.
    outside = locations.outside_python
    nowhere = profile.context_site[rows] == outside
    return Tables(
        texts=names.texts,
        places=places,
        parent=np.append(_parents(profile, names), -1),
        place=np.append(profile.node_location, outside),
        node=np.where(nowhere, len(profile.tree), profile.context_node[rows]),
        site=np.where(nowhere, len(profile.tree), profile._context_site_node[rows]),
        thread=contexts.thread[rows].astype(np.int64) + 1,
        process=np.maximum(contexts.process[rows].astype(np.int64), 0),
        kind=contexts.kind[rows].astype(np.int64),
        new=Side(np.zeros((len(rows), 0), np.int64), Changes.none(), Births.none(), Exits.none()),
        sizes=Histogram.none(),
        lifetimes=Histogram.none(),
        ages=Histogram.none(),
    )


def _parents(profile: Profile, names: Names) -> Ints:
    """Of each node, those of ``names.inlined`` in the place of the function they are a part of."""
    parent, location = profile.tree.parent, profile.node_location
    if not names.inlined.any():
        return parent
    caller = location[parent]
    within = names.inlined[location] & (parent >= 0)
    for column in (names.function, names.file, profile.locations.origin):
        within &= column[location] == column[caller]
    return np.where(within, parent[profile.tree.nearest(~within)], parent)


def _figures(profile: Profile, own: list[Ints], rows: Ints, groups: Groups) -> Ints:
    """FIGURES of each sample, and ``own`` ones behind: contexts ``rows`` in ``groups``."""
    found = np.empty((len(groups), len(FIGURES) + len(own)), np.int64, order="F")
    for index, column in enumerate((*profile.figures.T, *profile.leaked.T, *own)):
        found[:, index] = groups.sum(column[rows])
    assert len(COLUMNS) + profile.leaked.shape[1] == len(FIGURES)
    return narrow(found)


def _births(recording: Recording, sample: Column) -> Births:
    """What a process holds when it ends dies with it."""
    births, slices = recording.births, recording.slices
    of = sample[births.context].astype(np.int64)
    kept = np.flatnonzero(of >= 0)
    last = np.searchsorted(slices.end, births.times, side="right") - 1  # -1: before all
    gone = gone_at(recording, np.append(slices.start, 0)[last])
    died = np.minimum(births.died, gone[births.context])
    columns = (births.born, died, births.blocks, births.bytes)
    whole = Births(births.times, of[kept], *(column[kept] for column in columns))
    return whole.regrouped(np.arange(int(of.max(initial=-1)) + 1))


def _histograms(recording: Recording, sample: Column) -> tuple[Histogram, Histogram, Histogram]:
    """Sizes, lifetimes by time, and by further allocations."""
    sizes = _histogram(sample, recording.sizes.context, recording.sizes.counts)
    del recording.sizes  # large matrices that nothing else asks for: read again if it does
    table = recording.lifetimes
    lifetimes = _histogram(sample, table.context, table.by_time)
    # The order of samples says nothing of that of allocations.
    known = not recording.sample_interval
    ages = _histogram(sample, table.context, table.by_allocations) if known else Histogram.none()
    del recording.lifetimes
    return sizes, lifetimes, ages


def _histogram(sample: Column, context: Column, counts: Ints) -> Histogram:
    parts = list(_by_bucket(sample[context], counts))
    columns = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return summed_histogram(*columns)


def _by_bucket(sample: Column, counts: Ints) -> Iterator[tuple[Column, Column, Column]]:
    for bucket in range(counts.shape[1]):
        column = counts[:, bucket]
        rows = np.flatnonzero((column != 0) & (sample >= 0))
        yield sample[rows], np.full(len(rows), bucket, np.int8), narrow(column[rows])
