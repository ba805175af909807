"""Figures as metric families of prometheus-client, under their own names and under others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample as MetricSample

from heaptide.errors import UsageError

from ._figures import COUNTER, FIGURES, Figure, Sample

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_TOTAL = "_total"
# What prometheus-client makes of the types that it has puts these behind a name.
_RESERVED = ("_created", "_bucket", "_count", "_sum", "_info")
# What a sample has behind its value. Made as any, it would be twice as expensive.
_REST = MetricSample("", {}, 0.0)[3:]


class Families:
    """Makes families of samples. ``label``: of each process's own samples, where there are several
    processes; empty: there is one."""

    def __init__(self, alias: Mapping[str, str] | None = None, label: str = "") -> None:
        """``alias``: more names, and which figure each is of. Raises UsageError: a name that cannot
        be one, or is taken; there is no such figure."""
        names = {key: [family_name(figure)] for key, figure in FIGURES.items()}
        taken = {family_name(figure): figure.metric for figure in FIGURES.values()}
        for name, key in (alias or {}).items():
            family = _checked(name, key)
            if family in taken:
                raise UsageError(f"alias {name}: there is a metric {taken[family]} already")
            taken[family] = name
            names[key].append(family)
        self._models = {
            key: [_family(FIGURES[key], name) for name in known] for key, known in names.items()
        }
        self._label = label

    def describe(self, figures: Iterable[Figure]) -> list[Metric]:
        """Without samples. Not the names of figures that prometheus-client has of its own: it may
        be registered later, and would then be refused."""
        return [
            _like(model)
            for figure in figures
            for model in self._models[figure.key][1 if figure.stock else 0 :]
        ]

    def of(
        self, samples: Iterable[tuple[str, Sample]], without: Collection[str] = ()
    ) -> list[Metric]:
        """``samples``: each with its process, which is empty for what is no process's own.
        ``without``: names of families to leave out. 2 µs for each sample."""
        families: list[Metric] = []
        found: dict[str, list[tuple[str, list[MetricSample]]]] = {}  # samples' name, and place
        for process, (figure, value, values) in samples:
            places = found.get(figure.key)
            if places is None:
                places = found[figure.key] = []
                for model in self._models[figure.key]:
                    if model.name not in without:
                        families.append(family := _like(model))
                        name = model.name + _TOTAL if figure.kind == COUNTER else model.name
                        places.append((name, family.samples))
            labels = dict(zip(figure.labels, values)) if values else {}
            if process:
                labels[self._label] = process
            for name, place in places:
                place.append(tuple.__new__(MetricSample, (name, labels, value, *_REST)))
        return families


def _like(model: Metric) -> Metric:
    """Another without samples. Made as any, its name would be checked at each scrape."""
    family = Metric.__new__(Metric)
    family.__dict__ = {**model.__dict__, "samples": []}
    return family


def family_name(figure: Figure) -> str:
    """A counter's is without ``_total``, which its samples have."""
    return figure.metric[: -len(_TOTAL)] if figure.kind == COUNTER else figure.metric


def _family(figure: Figure, name: str) -> Metric:
    # The unit is told only of a name that ends in it: it would be put behind any other.
    unit = figure.unit if figure.unit and name.endswith("_" + figure.unit) else ""
    return Metric(name, figure.help, figure.kind, unit)


def _checked(name: str, key: str) -> str:
    """The name of the family."""
    if not isinstance(name, str) or not isinstance(key, str):
        raise UsageError(f"alias {name!r}: {key!r}: say a name, and the figure that it is of")
    figure = FIGURES.get(key)
    if figure is None:
        raise UsageError(
            f"alias {name}: there is no figure {key!r}; figures are: {', '.join(FIGURES)}"
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"alias {name!r} is no name of a metric: letters, digits and _ only, no digit first"
        )
    if figure.kind == COUNTER and not name.endswith(_TOTAL):
        raise UsageError(f"alias {name}: {key} is a counter, whose name ends in _total")
    if figure.kind != COUNTER and name.endswith((_TOTAL, *_RESERVED)):
        raise UsageError(
            f"alias {name}: {key} is a gauge, whose name does not end in "
            f"{', '.join((_TOTAL, *_RESERVED))}"
        )
    return name[: -len(_TOTAL)] if figure.kind == COUNTER else name
