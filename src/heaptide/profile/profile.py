"""A recording's figures on the tree of places in code: what every view starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.recording import ContextKind, FrameKind, Spreads

from .figures import Peak, alive_contexts, context_figures, range_figures, range_peak
from .fold import Fold, fold, groups_of
from .known import known_metrics, unknown
from .leaks import leaked
from .locations import Locations, locate
from .metrics import COLUMNS, EXTRA, KEPT, LEAK_COLUMNS, Metric
from .modules import MODULE_CODE, module_code, python_modules, scripts_of
from .origin import Origin, is_import_system
from .selection import Selection, TimeRange, chosen_contexts, in_seconds, sized, snap
from .survivors import kept, kept_span
from .tree import Tree, expand

if TYPE_CHECKING:
    from heaptide.recording import Recording

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Profile:
    """Contexts of a recording, their figures, and the tree of places in code that they hang on.

    Memory is charged to its site: the innermost frame that is the user's own code; where a stack
    has none, the innermost of a library, else of the interpreter, else the innermost frame.
    Everything is computed at first use and kept. Nothing loops over stacks or contexts.
    """

    def __init__(
        self, recording: Recording, selection: Selection | Sequence[int] | None = None
    ) -> None:
        """``selection``: what to count; a sequence: rows of processes; None: everything."""
        self.recording = recording
        if selection is None:
            selection = Selection()
        elif not isinstance(selection, Selection):
            selection = Selection(processes=tuple(selection))
        self.selection = selection

    @property
    def processes(self) -> Sequence[int] | None:
        """Rows of the processes that count; None: all."""
        return self.selection.processes

    @property
    def whole(self) -> bool:
        """Whether it is all that its processes did, over the whole time."""
        return not (self.selection.ranged or self.selection.narrowed)

    @cached_property
    def time(self) -> TimeRange | None:
        """The slices of the selection's range of time; None: the whole time was asked for.

        Raises UsageError where the range begins behind the recording's end.
        """
        chosen = self.selection
        return snap(self.recording, chosen.start, chosen.end) if chosen.ranged else None

    @property
    def covered(self) -> TimeRange:
        """The slices that count: those of ``time``, or all."""
        return snap(self.recording, None, None) if self.time is None else self.time

    @cached_property
    def chosen(self) -> Bools | None:
        """For each context whether the selection keeps it (processes aside); None: all are."""
        return chosen_contexts(self)

    @cached_property
    def range_peak(self) -> Peak | None:
        """The highest moment of the range of time; None: of the whole time, the recording's."""
        return None if self.time is None else range_peak(self.recording, self.processes, self.time)

    @property
    def composed_ns(self) -> int | None:
        """When the range's heap was what *at peak* tells, where it rose higher at another moment,
        of which that is not kept; None: it is of the highest."""
        peak = self.range_peak
        return None if peak is None or peak.exact else peak.time_ns

    @cached_property
    def spreads(self) -> Spreads | None:
        """How the blocks of the range of time are spread over sizes and lifetimes. None: of the
        whole time, or not known: only some contexts are chosen, or it was not recorded."""
        recording, time = self.recording, self.time
        if time is None or self.chosen is not None or not recording.has_spreads:
            return None
        found = recording.spreads(time.first, time.stop)
        if self.processes is None:
            return found
        rows = np.isin(recording.threads.process[found.thread], self.processes)
        return Spreads(found.thread[rows], found.bucket[rows], found.blocks[rows])

    @cached_property
    def figures(self) -> Ints:
        """Shape (contexts, len(COLUMNS)).

        *At peak* is at the highest moment of the processes' whole heap, whatever else is selected.
        """
        recording, rows = self.recording, self.processes
        if self.time is not None and self.range_peak is not None:
            to_exit = self.selection.end is None
            return range_figures(
                recording, rows, self.chosen, self.time, self.range_peak, to_exit=to_exit
            )
        found = context_figures(recording, rows, self.chosen)
        if self.selection.sizes is not None:
            calls = found[:, _ALLOCATIONS] + found[:, _ALLOCATIONS + 1]
            found[:, _ALLOCATIONS] = np.where(calls > 0, sized(recording, self.selection.sizes), 0)
            found[:, _ALLOCATIONS + 1] = 0
        return found

    @cached_property
    def leaked(self) -> Ints:
        """Bytes and blocks that each context leaked: shape (contexts, 2). One pass over slices."""
        used: Bools = np.asarray(self.figures.any(axis=1))
        found: Ints = leaked(self.recording, self.covered) * used[:, np.newaxis]
        return found

    def figures_for(self, metric: Metric) -> Ints:
        """``figures``, with the columns of leaks behind where ``metric`` needs them.

        Raises UsageError for a metric that a sampled recording does not know.
        """
        if metric.column in unknown(self.recording):
            raise self._not_known(metric)
        if metric.column == "reallocations" and self.selection.sizes is not None:
            raise UsageError(
                "how many blocks were resized to a size is not known by itself: with --size, "
                "--metric allocations counts them too"
            )
        if metric.leaks:
            return np.concatenate([self.figures, self.leaked], axis=1)
        if metric.column == EXTRA:
            none = np.zeros((len(self.figures), len(LEAK_COLUMNS)), np.int64)
            return np.concatenate([self.figures, none, self._extra_columns(metric)], axis=1)
        return self.figures

    def _extra_columns(self, metric: Metric) -> Ints:
        if metric.name == KEPT.name:
            return kept(self)
        return np.append(
            self.extra(metric.name), np.zeros((len(self.figures), 1), np.int64), axis=1
        )

    def _not_known(self, metric: Metric) -> UsageError:
        recording = self.recording
        if metric.by_order and recording.sample_interval:
            return UsageError(
                f"{metric.words} are not known of {recording.path}, which was recorded with "
                "--sample: only samples are seen, not which allocation came next; record again "
                "without it"
            )
        title = recording.source.get("title", "an imported file")
        known = ", ".join(one.name for one in known_metrics(recording)) or "none"
        return UsageError(
            f"what is {metric.words} is not known of {recording.path}: {title} does not tell it; "
            f"known are: {known}"
        )

    def extra(self, name: str) -> Ints:
        """A figure of a foreign format's own, for each context: shape (contexts, 1)."""
        table = self.recording.extras
        texts = table.metric.strings
        ids = [number for number in np.unique(table.metric.ids) if texts[int(number)] == name]
        rows = np.isin(table.metric.ids, ids)
        found = np.zeros(len(self.recording.contexts), np.int64)
        np.add.at(found, table.context[rows], table.value[rows])
        if self.chosen is not None:
            found *= self.chosen
        return found[:, np.newaxis]

    @cached_property
    def totals(self) -> Ints:
        """Sums of the figures over all contexts: shape (len(COLUMNS),)."""
        return np.asarray(self.figures.sum(axis=0))

    def total_of(self, metric: Metric) -> int:
        """The metric of everything that is selected."""
        if metric.column in COLUMNS:
            return int(metric.of(self.totals[np.newaxis, :])[0])
        return int(metric.of(self.figures_for(metric)).sum())

    def worded(self, metric: Metric) -> Metric:
        """``metric`` under the words that are true of this selection and this recording."""
        if metric.name == KEPT.name:
            found = kept_span(self)
            if found is None:
                return metric
            start, end = (in_seconds(time / 1e9) for time in (found.start, found.end))
            return replace(metric, words=f"came from {start} to {end} and stayed")
        if metric.column not in ("alive_at_exit_bytes", "alive_at_exit_allocations"):
            return metric
        what = "" if metric.unit == "bytes" else "blocks "
        return replace(metric, words=what + self._alive_when())

    def _alive_when(self) -> str:
        if self.time is not None and self.selection.end is not None:
            return f"live at {in_seconds(self.time.end / 1e9)}"
        if self.recording.end is None:
            return "live as of the last checkpoint"
        if self.recording.end.reason == "snapshot":  # of an imported file, at one moment
            return "live at the snapshot"
        finished = self.recording.end.reason == "finished"
        return "alive at exit" if finished else "alive at the recording's end"

    def live_at(self, seconds: float) -> tuple[Ints, Ints]:
        """Bytes and blocks of each context, live ``seconds`` after the recording's start.

        As of the end of the last slice of time before that moment.
        """
        recording = self.recording
        stop = int(np.searchsorted(recording.slices.end, int(seconds * 1e9), side="right"))
        sums = recording.totals_between(0, stop)
        counted = recording.contexts.counted & alive_contexts(recording, stop)
        if self.processes is not None:
            counted = counted & np.isin(recording.contexts.process, self.processes)
        if self.chosen is not None:
            counted = counted & self.chosen
        return sums.live_bytes * counted, sums.live_blocks * counted

    @cached_property
    def locations(self) -> Locations:
        return locate(self.recording)

    @cached_property
    def _nodes(self) -> tuple[Tree, Ints, Ints]:
        stacks, locations = self.recording.stacks, self.locations
        return expand(
            stacks.parent.astype(np.int64),
            stacks.frame.astype(np.int64),
            locations.first,
            locations.count,
        )

    @property
    def tree(self) -> Tree:
        """Stack nodes, inlined functions included."""
        return self._nodes[0]

    @property
    def node_location(self) -> Ints:
        """The row of ``locations`` of each node."""
        return self._nodes[1]

    @cached_property
    def context_node(self) -> Ints:
        """The innermost node of each context."""
        node: Ints = self._nodes[2][self.recording.contexts.stack]
        return node

    @cached_property
    def _context_site_node(self) -> Ints:
        """The node that each context is charged to."""
        locations, node = self.locations, self.context_node
        whose = locations.origin[self.node_location]
        site = np.full(len(node), -1, np.int64)
        for wanted in (Origin.OWN, Origin.LIBRARY, Origin.INTERPRETER):
            if (site >= 0).all():
                break
            site = np.where(site < 0, self.tree.nearest(whose == wanted)[node], site)
        return np.where(site < 0, node, site)

    @cached_property
    def context_site(self) -> Ints:
        """The row of ``locations`` that each context is charged to."""
        contexts, locations = self.recording.contexts, self.locations
        site = self.node_location[self._context_site_node]
        # Of the interpreter's own allocators only Python frames may have been asked for. Without
        # one it was at work for itself: starting up, shutting down, in a thread of C code.
        objects = (contexts.kind >= ContextKind.PY_RAW) & (contexts.kind <= ContextKind.PY_OBJECT)
        nowhere = locations.kind[site] == FrameKind.SPECIAL
        return np.where(objects & nowhere, locations.outside_python, site)

    @cached_property
    def context_imports(self) -> Bools:
        """True where the place charged was importing a module: the import system is between it
        and the allocation."""
        machinery = np.array([is_import_system(text) for text in self.locations.texts])
        within = self.tree.nearest(machinery[self.locations.file[self.node_location]])
        within = within[self.context_node]
        depth = self.tree.depth
        deeper = depth[within] > depth[self._context_site_node]
        found: Bools = (within >= 0) & deeper
        return found

    @cached_property
    def modules(self) -> tuple[Ints, list[str]]:
        """For each location the number of its module, and the names by number."""
        locations = self.locations
        python = np.flatnonzero(locations.kind == FrameKind.PYTHON)
        files, first, inverse = np.unique(
            locations.file[python], return_index=True, return_inverse=True
        )
        whose = locations.origin[python[first]]
        names = python_modules(
            (locations.texts[f], Origin(o)) for f, o in zip(files.tolist(), whose.tolist())
        )
        numbers = {name: i for i, name in enumerate(dict.fromkeys([*names, ""]))}
        paths, of_path = np.unique(locations.module, return_inverse=True)
        by_path = np.array(
            [numbers.setdefault(locations.texts[p], len(numbers)) for p in paths.tolist()],
            np.int64,
        )
        module = by_path[of_path]
        module[python] = np.array([numbers[name] for name in names], np.int64)[inverse]
        return module, list(numbers)

    @cached_property
    def function_groups(self) -> Ints:
        """For each location the number of its function."""
        return groups_of(self, "function")

    @cached_property
    def module_code(self) -> dict[int, str]:
        """What the module-level code of each file is called, by the number of the file's text."""
        at, (number, names) = self.locations, self.modules
        code = at.texts.index(MODULE_CODE) if MODULE_CODE in at.texts else -1
        rows = np.flatnonzero((at.kind == FrameKind.PYTHON) & (at.function == code))
        files, first = np.unique(at.file[rows], return_index=True)
        found = dict(zip(files.tolist(), number[rows[first]].tolist()))
        processes = self.recording.processes
        commands = {tuple(self.recording.command_of(row)) for row in range(len(processes))}
        scripts = scripts_of((at.texts[file] for file in found), commands)
        return {
            file: module_code(at.texts[file], names[module], scripts)
            for file, module in found.items()
        }

    def function_of(self, location: int) -> str:
        """What the function of a location is called; module-level code by what it is of."""
        at = self.locations
        name = at.texts[int(at.function[location])]
        if name != MODULE_CODE or at.kind[location] != FrameKind.PYTHON:
            return name
        return self.module_code.get(int(at.file[location]), name)

    def module_of(self, location: int) -> str:
        """The path of a native location's object; for Python the name of its module; or ""."""
        number, names = self.modules
        return names[int(number[location])]

    def fold(self, by: str, metric: Metric, *, inclusive: bool = False) -> Fold:
        """Sum the figures by function, line, file, module, thread or process.

        Groups without any figure are left out. ``inclusive`` costs a walk of the whole tree.
        Raises UsageError for another ``by``, and for a metric that a sampled recording lacks.
        """
        return fold(self, by, metric, inclusive=inclusive)


_ALLOCATIONS = COLUMNS.index("allocations")  # reallocations are the column behind it
