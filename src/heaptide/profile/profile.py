"""A recording's figures, folded by the code, the thread or the process they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.recording import ContextKind, FrameKind

from .locations import Locations, locate
from .metrics import COLUMNS, Metric, context_figures
from .modules import python_modules
from .origin import Origin, is_import_system
from .tree import Tree, expand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heaptide.recording import Recording

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS = ("function", "line", "file", "module", "thread", "process")
"""What figures can be folded by, as ``--by`` takes it."""


@dataclass(frozen=True)
class Fold:
    """Figures of groups, one row each, largest first by the metric asked for.

    ``figures`` has the shape (groups, len(COLUMNS)). ``location`` is the row of the profile's
    locations that stands for a group: its heaviest line. ``entity`` is the row of the recording's
    threads or processes (-1: not known). The one that says nothing about ``by`` is -1 throughout.
    ``inclusive``, where asked for, is the metric's sum over all memory that was allocated with the
    group anywhere in its stack, counted once however deep the recursion; for threads and processes
    it equals their own. ``imports``: the part of the metric that was allocated while a module was
    imported from the place that it is charged to; 0 for threads and processes.
    """

    by: str
    metric: Metric
    figures: Ints
    location: Ints
    entity: Ints
    inclusive: Ints | None
    imports: Ints

    def __len__(self) -> int:
        return len(self.figures)

    @property
    def values(self) -> Ints:
        """The metric of each group."""
        return self.metric.of(self.figures)


class Profile:
    """Contexts of a recording, their figures, and the tree of places in code that they hang on.

    Memory is charged to its site: the innermost frame that is the user's own code; where a stack
    has none, the innermost of a library, else of the interpreter, else the innermost frame.
    Everything is computed at first use and kept. Nothing loops over stacks or contexts.
    """

    def __init__(self, recording: Recording, processes: Sequence[int] | None = None) -> None:
        """``processes``: rows of those to count; None: all."""
        self.recording = recording
        self.processes = processes

    @cached_property
    def figures(self) -> Ints:
        """Shape (contexts, len(COLUMNS))."""
        return context_figures(self.recording, self.processes)

    @cached_property
    def totals(self) -> Ints:
        """Sums of the figures over all contexts: shape (len(COLUMNS),)."""
        return np.asarray(self.figures.sum(axis=0))

    def live_at(self, seconds: float) -> tuple[Ints, Ints]:
        """Bytes and blocks of each context, live ``seconds`` after the recording's start.

        As of the end of the last slice of time before that moment.
        """
        live = self.recording.live_at(int(seconds * 1e9))
        counted = self.recording.contexts.counted
        if self.processes is not None:
            counted = counted & np.isin(self.recording.contexts.process, self.processes)
        return live.bytes * counted, live.blocks * counted

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
    def _modules(self) -> tuple[Ints, list[str]]:
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

    def module_of(self, location: int) -> str:
        """The path of a native location's object; for Python the name of its module; or ""."""
        number, names = self._modules
        return names[int(number[location])]

    def _groups(self, by: str) -> Ints:
        """For each location the number of the group it belongs to."""
        at = self.locations
        # A function without a file is told from its namesakes by the module that it is in.
        function = _combine(at.function, at.file, np.where(at.file == 0, at.module, 0))
        if by == "function":
            return function
        if by == "module":
            # A place without a module, special or made at run time, stays by itself.
            number = self._modules[0]
            empty = self._modules[1].index("")
            return _combine(number, np.where(number == empty, function + 1, 0))
        if by == "line":
            known = (at.file > 0) & (at.line > 0)
            return _combine(at.file, np.where(known, at.line, 0), np.where(known, 0, function + 1))
        module = np.where(at.file == 0, at.module, 0)
        nowhere = (at.file == 0) & (at.module == 0)
        return _combine(at.file, module, np.where(nowhere, function + 1, 0))

    def fold(self, by: str, metric: Metric, *, inclusive: bool = False) -> Fold:
        """Sum the figures by function, line, file, module, thread or process.

        Groups without any figure are left out. ``inclusive`` costs a walk of the whole tree.
        Raises UsageError for another ``by``, and for a metric that a sampled recording lacks.
        """
        if by not in FOLDS:
            raise UsageError(f"cannot fold by {by!r}; choose one of {', '.join(FOLDS)}")
        if metric.by_order and self.recording.sample_interval:
            raise UsageError(
                f"{metric.words} are not known of {self.recording.path}, which was recorded with "
                "--sample: only samples are seen, not which allocation came next; record again "
                "without it"
            )
        contexts = self.recording.contexts
        used = np.flatnonzero(self.figures.any(axis=1))
        figures = self.figures[used]
        if by in ("thread", "process"):
            rows = (contexts.thread if by == "thread" else contexts.process)[used]
            entity, sums = _sum_by(rows.astype(np.int64), figures)
            location = np.full(len(entity), -1, np.int64)
            whole = metric.of(sums) if inclusive else None
            imports = np.zeros(len(entity), np.int64)
        else:
            groups = self._groups(by)
            site, at_site = _sum_by(self.context_site[used], figures)
            group, sums = _sum_by(groups[site], at_site)
            location = self._heaviest(groups, site, metric.of(at_site))
            entity = np.full(len(group), -1, np.int64)
            whole = self._inclusive(groups, metric)[group] if inclusive else None
            imports = np.zeros(len(groups), np.int64)
            importing = self.context_imports[used]
            np.add.at(
                imports,
                groups[self.context_site[used[importing]]],
                metric.of(figures[importing]),
            )
            imports = imports[group]
        total = sums[:, COLUMNS.index("total_bytes")]
        order = np.lexsort((location, entity, -total, -metric.of(sums)))
        return Fold(
            by,
            metric,
            sums[order],
            location[order],
            entity[order],
            None if whole is None else whole[order],
            imports[order],
        )

    def _heaviest(self, groups: Ints, site: Ints, values: Ints) -> Ints:
        """For each group (ascending) the first location of its line with the largest value."""
        line = _combine(groups[site], self.locations.line[site])
        number, of_line = _sum_by(line, values[:, np.newaxis])
        weight = of_line[np.searchsorted(number, line), 0]
        order = np.lexsort((site, -weight, groups[site]))
        chosen: Ints = site[order]
        starts: Ints = chosen[np.append(True, np.diff(groups[chosen]) != 0)[: len(chosen)]]
        return starts

    def _inclusive(self, groups: Ints, metric: Metric) -> Ints:
        """For each group the metric of all memory with the group anywhere in its stack."""
        values = metric.of(self.figures)
        node, location = self.context_node, self.node_location
        own = np.zeros(len(self.tree), np.int64)
        # What no Python frame made has a row of its own, and is not what else has no stack.
        nowhere = self.context_site == self.locations.outside_python
        np.add.at(own, node[~nowhere], values[~nowhere])
        below = self.tree.inclusive(own)
        result = np.zeros(int(groups.max(initial=-1)) + 1, np.int64)
        once = self.tree.outermost(groups[location])
        np.add.at(result, groups[location[once]], below[once])
        np.add.at(result, groups[self.context_site[nowhere]], values[nowhere])
        return result


def _combine(*columns: Ints) -> Ints:
    """Number the distinct rows that ``columns`` (not negative) make, densely from 0."""
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        key = number * (int(column.max(initial=0)) + 1) + column
        number = np.unique(key, return_inverse=True)[1]
    return number


def _sum_by(key: Ints, figures: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and the sums of the rows of ``figures`` with each key."""
    order = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[order], return_index=True)
    if not len(distinct):
        return distinct, figures[:0]
    return distinct, np.add.reduceat(figures[order], first, axis=0)
