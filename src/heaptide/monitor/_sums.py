"""Sums over the workers of a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ._figures import FIGURES, GAUGE, Figure, Sample

_OTHER: dict[str, Callable[[list[float]], float]] = {
    "process.start_time": min,
    "process.pss_age": max,
    "allocator.age": max,
}
# Each worker's peak is of another moment; the fragmentation of all is made of their sums.
_NONE = ("process.rss_peak", "allocator.fragmentation")
_ALL = "process."  # of these a sum is told only if no worker lacks it


def has_sum(figure: Figure) -> bool:
    """A sum of counters falls when a worker ends, which looks as if it had begun anew."""
    return figure.kind == GAUGE and figure.key != "process.rss_peak"


def sums(samples: Iterable[tuple[str, Sample]]) -> Iterator[tuple[str, Sample]]:
    """Of samples with their processes; those without one are left as they are, counters too."""
    processes: set[str] = set()
    values: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    alone = []
    for process, sample in samples:
        if not process:
            alone.append(sample)
            continue
        processes.add(process)
        if sample.figure.kind == GAUGE and sample.figure.key not in _NONE:
            values.setdefault((sample.figure.key, sample.labels), []).append(sample.value)
    total = {
        (key, labels): _OTHER.get(key, sum)(found)
        for (key, labels), found in values.items()
        if len(found) == len(processes) or not key.startswith(_ALL)
    }
    for (key, labels), value in total.items():
        yield "", Sample(FIGURES[key], value, labels)
        if key == "allocator.free" and ("allocator.allocated", labels) in total:
            held = value + total["allocator.allocated", labels]
            yield (
                "",
                Sample(FIGURES["allocator.fragmentation"], value / held if held else 0.0, labels),
            )
    for sample in alone:
        yield "", sample
