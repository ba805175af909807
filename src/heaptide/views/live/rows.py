"""The table of a live view: sites, threads or processes, ordered as asked, with what grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.profile import FOLDS, LIVE, METRICS, Metric, groups_of, thread_name
from heaptide.profile.selection import with_location
from heaptide.views.commands import process_command
from heaptide.views.labels import Label, place_label

from .figures import Phase

if TYPE_CHECKING:
    from heaptide.profile import Fold, Profile

    from .model import Look

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHOWN = {
    "live": LIVE,
    **{name: METRICS[name] for name in ("peak", "total", "allocations", "temporary", "copied")},
}
"""The metrics of a live view, by the names that ``--metric`` takes."""

ORDERS = ("value", "change", "beside", "name")
"""What rows can be ordered by: the metric, its change a second, its companion, the name."""

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Choice:
    """What to show of a look, and how."""

    metric: str = "live"
    by: str = "function"
    order: str = "value"
    reverse: bool = False  # smallest first, or names from z to a
    search: str = ""  # a part of a name or a file, whatever its case
    most: int = 500

    def next_metric(self, step: int = 1) -> Choice:
        return replace(self, metric=_next(list(SHOWN), self.metric, step))

    def next_order(self) -> Choice:
        return replace(self, order=_next(list(ORDERS), self.order, 1), reverse=False)

    def next_fold(self) -> Choice:
        return replace(self, by=_next(list(FOLDS), self.by, 1))


def _next(all_of_them: list[str], one: str, step: int) -> str:
    return all_of_them[(all_of_them.index(one) + step) % len(all_of_them)]


@dataclass(frozen=True)
class Row:
    """One group of the fold. ``key`` tells it from all others, and stays from look to look."""

    key: str
    label: Label
    value: int
    share: float  # of the metric's total, 0 to 1
    beside: int
    change: float  # of the metric, a second; 0 where nothing is known yet
    entity: int  # row of the thread or process; -1: it is code


@dataclass(frozen=True)
class Table:
    """Rows of a look, with the words for their columns."""

    metric: Metric
    choice: Choice
    rows: list[Row]
    groups: int  # that the search found, shown or not
    total: int
    unknown: str = ""  # why there are no figures
    window: float | None = None  # seconds that changes are of; None: the metric has none


def table(look: Look, choice: Choice) -> Table:
    """The rows of ``choice``. About 50 ms for 100,000 contexts at 20,000 frames."""
    profile = look.profile
    metric = metric_of(look, choice.metric)
    if metric.by_order and look.recording.sample_interval:
        return Table(metric, choice, [], 0, 0, "not known of a recording with --sample")
    fold = profile.fold(choice.by, metric)
    changes = _changes(look, fold)
    found = _found(profile, fold, choice.search)
    if choice.by not in ("thread", "process"):
        found &= (fold.values != 0) | (changes != 0)
    chosen = np.flatnonzero(found)
    chosen = chosen[_order(profile, fold, changes, chosen, choice)]
    total = profile.total_of(metric)
    values, beside = fold.values, metric.beside_of(fold.figures)
    rows = []
    for at in chosen[: choice.most].tolist():
        value = int(values[at])
        rows.append(
            Row(
                key=_key(profile, fold, at),
                label=_label(profile, fold, at),
                value=value,
                share=value / total if total else 0.0,
                beside=int(beside[at]),
                change=float(changes[at]),
                entity=int(fold.entity[at]),
            )
        )
    return Table(metric, choice, rows, len(chosen), total, window=_window(look, metric))


def metric_of(look: Look, name: str) -> Metric:
    """The metric in the words that are true of the look."""
    metric = SHOWN[name]
    if name == "live" and look.phase in (Phase.ENDED, Phase.FINISHED):
        return look.profile.worded(METRICS["alive"])
    return metric


def _window(look: Look, metric: Metric) -> float | None:
    """The seconds that changes are of."""
    # What the heap held at its peak changes with another peak only, in one leap.
    if metric.name == "peak":
        return None
    return 0.0 if look.earlier is None else (look.time_ns - look.earlier.time_ns) / _SECOND


def _changes(look: Look, fold: Fold) -> npt.NDArray[np.float64]:
    """For each group the metric's change a second since some looks before."""
    earlier = look.earlier
    if earlier is None or earlier.time_ns >= look.time_ns or not look.going_on:
        return np.zeros(len(fold))
    if _window(look, fold.metric) is None:
        return np.zeros(len(fold))
    profile, metric = look.profile, fold.metric
    change = metric.of(profile.figures).copy()
    change[: len(earlier.figures)] -= metric.of(earlier.figures)[: len(change)]
    contexts = look.recording.contexts
    if fold.by in ("thread", "process"):
        group = (contexts.thread if fold.by == "thread" else contexts.process).astype(np.int64) + 1
        mine = fold.entity + 1
    else:
        groups = groups_of(profile, fold.by)
        group, mine = groups[profile.context_site], groups[fold.location]
    sums = np.zeros(max(int(group.max(initial=0)), int(mine.max(initial=0))) + 1, np.int64)
    np.add.at(sums, group, change)
    return np.asarray(sums[mine] * (_SECOND / (look.time_ns - earlier.time_ns)))


def _found(profile: Profile, fold: Fold, search: str) -> Bools:
    """Which groups the search finds: in the name of a function, file, module, thread, command.

    Threads and processes also by the functions in whose stacks they have some of the metric.
    """
    if not search:
        return np.ones(len(fold), np.bool_)
    wanted = search.casefold()
    at = profile.locations
    fits = np.array([wanted in text.casefold() for text in at.texts], np.bool_)
    if fold.by in ("thread", "process"):
        labels = [_label(profile, fold, at) for at in range(len(fold))]
        named = np.array(
            [wanted in f"{one.name} {one.place}".casefold() for one in labels], np.bool_
        )
        return named | _holds(profile, fold, fits)
    mine = fold.location
    found: Bools = fits[at.file[mine]] | fits[at.module[mine]]
    if fold.by not in ("file", "module"):
        found |= fits[at.function[mine]]
    if fold.by == "module":
        number, names = profile.modules
        found |= np.array([wanted in name.casefold() for name in names], np.bool_)[number[mine]]
    return found


def _holds(profile: Profile, fold: Fold, fits: Bools) -> Bools:
    """Which threads or processes have some of the metric in stacks with a function that fits."""
    held = with_location(profile, fits[profile.locations.function])
    held &= fold.metric.of(profile.figures) != 0
    contexts = profile.recording.contexts
    owner = contexts.thread if fold.by == "thread" else contexts.process
    return np.isin(fold.entity, owner[held])


def _order(
    profile: Profile,
    fold: Fold,
    changes: npt.NDArray[np.float64],
    chosen: npt.NDArray[np.intp],
    choice: Choice,
) -> npt.NDArray[np.intp]:
    """Places in ``chosen``, first to last. The fold is in descending order of the metric."""
    if choice.order == "value":
        order = np.arange(len(chosen))
    elif choice.order == "change":
        order = np.argsort(-changes[chosen], kind="stable")
    elif choice.order == "beside":
        order = np.argsort(-fold.metric.beside_of(fold.figures)[chosen], kind="stable")
    else:
        names = [_label(profile, fold, at).name.casefold() for at in chosen.tolist()]
        order = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    return order[::-1] if choice.reverse else order


def _key(profile: Profile, fold: Fold, row: int) -> str:
    """What the group is, in texts: numbers of places differ from look to look."""
    if fold.entity[row] >= 0 or fold.by in ("thread", "process"):
        return f"{fold.by} {int(fold.entity[row])}"
    at, texts = int(fold.location[row]), profile.locations.texts
    locations = profile.locations
    function, file = texts[locations.function[at]], texts[locations.file[at]]
    module = profile.module_of(at)
    if fold.by == "module" and module:
        return module
    if fold.by == "file" and (file or module):
        return file or module
    if fold.by == "line" and file and locations.line[at]:
        return f"{file}:{int(locations.line[at])}"
    return f"{function}\n{file or module}"


def _label(profile: Profile, fold: Fold, row: int) -> Label:
    if fold.by not in ("thread", "process"):
        return place_label(profile, fold.by, int(fold.location[row]))
    recording, entity = profile.recording, int(fold.entity[row])
    if entity < 0:
        return Label(f"[unknown {fold.by}]")
    if fold.by == "process":
        command = process_command(recording, entity)
        executed = "(exec) " if int(recording.processes.image[entity]) else ""
        return Label(str(int(recording.processes.pid[entity])), executed + command)
    place = str(int(recording.threads.tid[entity]))
    process = int(recording.threads.process[entity])
    if process >= 0 and len(np.unique(recording.processes.pid)) > 1:
        place += f" of process {int(recording.processes.pid[process])}"
    if recording.threads.end[entity]:
        place += ", ended"
    return Label(thread_name(recording, entity), place)
