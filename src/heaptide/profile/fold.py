"""Figures folded by the code, the thread or the process they belong to: one row a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError

from .metrics import COLUMNS, Metric

if TYPE_CHECKING:
    from .profile import Profile

Ints = npt.NDArray[np.int64]

FOLDS = ("function", "line", "file", "module", "thread", "process")
"""What figures can be folded by, as ``--by`` takes it."""


@dataclass(frozen=True)
class Fold:
    """Figures of groups, one row each, largest first by the metric asked for.

    ``figures`` has the shape (groups, len(COLUMNS)). ``location`` is the row of the profile's
    locations that stands for a group: its heaviest line, of the function with most there.
    ``entity`` is the row of the recording's threads or processes (-1: not known). The one that
    says nothing about ``by`` is -1 throughout.
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


def groups_of(profile: Profile, by: str, functions: Ints | None = None) -> Ints:
    """For each location the number of the group it belongs to, by function, line, file or module;
    by place: a function with its line.

    ``functions``: numbers of the functions' names to go by, instead of those of the locations.
    """
    at = profile.locations
    names = at.function if functions is None else functions
    # A function without a file is told from its namesakes by the module that it is in.
    function = combine(names, at.file, np.where(at.file == 0, at.module, 0))
    if by == "function":
        return function
    if by == "place":
        return combine(function, at.line)
    if by == "module":
        # A place without a module, special or made at run time, stays by itself.
        number, texts = profile.modules
        empty = texts.index("")
        return combine(number, np.where(number == empty, function + 1, 0))
    if by == "line":
        known = (at.file > 0) & (at.line > 0)
        return combine(at.file, np.where(known, at.line, 0), np.where(known, 0, function + 1))
    module = np.where(at.file == 0, at.module, 0)
    nowhere = (at.file == 0) & (at.module == 0)
    return combine(at.file, module, np.where(nowhere, function + 1, 0))


def fold(profile: Profile, by: str, metric: Metric, *, inclusive: bool = False) -> Fold:
    """See ``Profile.fold``."""
    if by not in FOLDS:
        raise UsageError(f"cannot fold by {by!r}; choose one of {', '.join(FOLDS)}")
    contexts = profile.recording.contexts
    whole = profile.figures_for(metric)
    used = np.flatnonzero(whole.any(axis=1))
    figures = whole[used]
    if by in ("thread", "process"):
        rows = (contexts.thread if by == "thread" else contexts.process)[used]
        entity, sums = sum_by(rows.astype(np.int64), figures)
        location = np.full(len(entity), -1, np.int64)
        around = metric.of(sums) if inclusive else None
        imports = np.zeros(len(entity), np.int64)
    else:
        groups = profile.function_groups if by == "function" else groups_of(profile, by)
        site, at_site = sum_by(profile.context_site[used], figures)
        group, sums = sum_by(groups[site], at_site)
        location = _heaviest(profile, groups, site, metric.of(at_site))
        entity = np.full(len(group), -1, np.int64)
        around = _inclusive(profile, groups, metric.of(whole))[group] if inclusive else None
        imports = np.zeros(len(groups), np.int64)
        importing = profile.context_imports[used]
        np.add.at(
            imports,
            groups[profile.context_site[used[importing]]],
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
        None if around is None else around[order],
        imports[order],
    )


def _heaviest(profile: Profile, groups: Ints, site: Ints, values: Ints) -> Ints:
    """For each group (ascending) the first location of its line with the largest value, and there
    of the function with the largest."""
    line = combine(groups[site], profile.locations.line[site])
    function = combine(line, profile.function_groups[site])
    order = np.lexsort(
        (site, -_weights(function, values), line, -_weights(line, values), groups[site])
    )
    chosen: Ints = site[order]
    starts: Ints = chosen[np.append(True, np.diff(groups[chosen]) != 0)[: len(chosen)]]
    return starts


def _weights(number: Ints, values: Ints) -> Ints:
    """For each row the sum of ``values`` of all rows with its number, dense from 0."""
    found = np.zeros(int(number.max(initial=-1)) + 1, np.int64)
    np.add.at(found, number, values)
    return found[number]


def _inclusive(profile: Profile, groups: Ints, values: Ints) -> Ints:
    """For each group the sum of ``values`` of all memory with the group anywhere in its stack."""
    node, location = profile.context_node, profile.node_location
    own = np.zeros(len(profile.tree), np.int64)
    # What no Python frame made has a row of its own, and is not what else has no stack.
    nowhere = profile.context_site == profile.locations.outside_python
    np.add.at(own, node[~nowhere], values[~nowhere])
    below = profile.tree.inclusive(own)
    result = np.zeros(int(groups.max(initial=-1)) + 1, np.int64)
    once = profile.tree.outermost(groups[location])
    np.add.at(result, groups[location[once]], below[once])
    np.add.at(result, groups[profile.context_site[nowhere]], values[nowhere])
    return result


def combine(*columns: Ints) -> Ints:
    """Number the distinct rows that ``columns`` (not negative) make, densely from 0."""
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        key = number * (int(column.max(initial=0)) + 1) + column
        number = np.unique(key, return_inverse=True)[1]
    return number


def sum_by(key: Ints, figures: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and the sums of the rows of ``figures`` with each key."""
    order = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[order], return_index=True)
    if not len(distinct):
        return distinct, figures[:0]
    return distinct, np.add.reduceat(figures[order], first, axis=0)
