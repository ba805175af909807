"""What is told of a process while it runs: one table, from which every export takes its names.

docs/monitoring.md has a line for each figure; a test keeps both equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

GAUGE, COUNTER = "gauge", "counter"
BYTES, SECONDS, RATIO, COUNT = "bytes", "seconds", "ratio", ""


@dataclass(frozen=True)
class Figure:
    """One figure, or one for each combination of its labels' values."""

    key: str  # as budgets, logs and JSON call it: process.rss
    unit: str
    help: str  # a sentence, without a full stop
    kind: str = GAUGE
    labels: tuple[str, ...] = ()
    prometheus: str = ""  # where it is not heaptide_ and the key, with the unit behind it
    stock: bool = False  # prometheus-client has it of its own, but not in multi-process mode
    otel: str = ""  # its name by OpenTelemetry's semantic conventions, if they have one

    @property
    def metric(self) -> str:
        """Its name in Prometheus; a counter's with ``_total``."""
        name = self.prometheus
        if not name:
            name = "heaptide_" + self.key.replace(".", "_")
            if self.unit and not name.endswith("_" + self.unit):
                name += "_" + self.unit
        return name + "_total" if self.kind == COUNTER else name

    @property
    def instrument(self) -> str:
        """Its name in OpenTelemetry."""
        return self.otel or "heaptide." + self.key


class Sample(NamedTuple):
    """A figure's value, with its labels' values in the order of ``figure.labels``."""

    figure: Figure
    value: float
    labels: tuple[str, ...] = ()


def _process() -> list[Figure]:
    return [
        Figure(
            "process.rss",
            BYTES,
            "Resident memory size in bytes",
            prometheus="process_resident_memory_bytes",
            stock=True,
            otel="process.memory.usage",
        ),
        Figure(
            "process.virtual",
            BYTES,
            "Virtual memory size in bytes",
            prometheus="process_virtual_memory_bytes",
            stock=True,
            otel="process.memory.virtual",
        ),
        Figure(
            "process.start_time",
            SECONDS,
            "Start time of the process since unix epoch in seconds",
            prometheus="process_start_time_seconds",
            stock=True,
        ),
        Figure("process.rss_peak", BYTES, "Most that has been resident since the start"),
        Figure("process.rss_anon", BYTES, "Resident memory of no file"),
        Figure("process.rss_file", BYTES, "Resident memory of files"),
        Figure("process.rss_shmem", BYTES, "Resident shared memory"),
        Figure("process.swap", BYTES, "Memory of the process in swap"),
        Figure("process.threads", COUNT, "Threads of the process", otel="process.thread.count"),
        Figure(
            "process.page_faults",
            COUNT,
            "Page faults since the start: major ones read a disk, minor ones did not",
            COUNTER,
            ("type",),
            otel="process.paging.faults",
        ),
        Figure(
            "process.pss",
            BYTES,
            "Resident memory, each shared page divided by the number of processes that have it",
        ),
        Figure("process.uss", BYTES, "Private memory: what would be free if the process ended"),
        Figure("process.pss_age", SECONDS, "Time since PSS and USS were read"),
    ]


_OF_ALLOCATOR = ("allocator", "role")


def _allocator() -> list[Figure]:
    def bytes_of(name: str, help: str) -> Figure:
        return Figure(f"allocator.{name}", BYTES, help, labels=_OF_ALLOCATOR)

    return [
        bytes_of("allocated", "Memory in blocks that have not been freed"),
        bytes_of("free", "Memory that was freed and is not given back to the system"),
        bytes_of("active", "Memory in pages with at least one block in use"),
        bytes_of("resident", "Physical memory by the allocator's own count"),
        bytes_of("mapped", "Addresses in use"),
        bytes_of("retained", "Addresses kept whose pages the system has back"),
        bytes_of("metadata", "Memory in the allocator's own books"),
        Figure("allocator.blocks", COUNT, "Blocks that have not been freed", labels=_OF_ALLOCATOR),
        Figure(
            "allocator.fragmentation",
            RATIO,
            "What part is free of what is allocated or free",
            labels=_OF_ALLOCATOR,
        ),
        Figure(
            "allocator.age", SECONDS, "Time since the allocator was asked", labels=_OF_ALLOCATOR
        ),
    ]


def _python() -> list[Figure]:
    def of_collector(name: str, help: str, metric: str, otel: str) -> Figure:
        return Figure(
            f"python.{name}",
            COUNT,
            help,
            COUNTER,
            ("generation",),
            prometheus=metric,
            stock=True,
            otel=otel,
        )

    return [
        of_collector(
            "gc_collections",
            "Number of times this generation was collected",
            "python_gc_collections",
            "cpython.gc.collections",
        ),
        of_collector(
            "gc_collected",
            "Objects collected during gc",
            "python_gc_objects_collected",
            "cpython.gc.collected_objects",
        ),
        of_collector(
            "gc_uncollectable",
            "Uncollectable objects found during GC",
            "python_gc_objects_uncollectable",
            "cpython.gc.uncollectable_objects",
        ),
        Figure(
            "python.gc_pending",
            COUNT,
            "What the collector of garbage has counted towards the next collection",
            labels=("generation",),
        ),
        Figure("python.tracked_objects", COUNT, "Objects that the collector of garbage tracks"),
    ]


def _cgroup() -> list[Figure]:
    return [
        Figure("cgroup.limit", BYTES, "Least memory limit of the control group and those above it"),
        Figure(
            "cgroup.headroom",
            BYTES,
            "Memory left to the nearest limit",
            otel="container.memory.available",
        ),
        Figure(
            "cgroup.current",
            BYTES,
            "Memory charged to the control group, page cache included",
            otel="container.memory.usage",
        ),
        Figure("cgroup.peak", BYTES, "Most memory that was charged to the control group"),
        Figure(
            "cgroup.working_set",
            BYTES,
            "Memory of the control group without files' pages that were not used lately",
            otel="container.memory.working_set",
        ),
        Figure("cgroup.anon", BYTES, "Memory of no file in the control group"),
        Figure("cgroup.file", BYTES, "Page cache of the control group"),
        Figure("cgroup.swap", BYTES, "Swap of the control group"),
        Figure(
            "cgroup.events",
            COUNT,
            "Events of the control group by the kernel's names, such as oom_kill",
            COUNTER,
            ("event",),
        ),
        Figure(
            "pressure.stalled",
            SECONDS,
            "Time in which some task, or all (full), waited for memory",
            COUNTER,
            ("scope", "kind"),
        ),
    ]


FIGURES: dict[str, Figure] = {
    figure.key: figure for figure in (*_process(), *_allocator(), *_python(), *_cgroup())
}
