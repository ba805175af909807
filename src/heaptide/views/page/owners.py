"""Programs of very many processes or threads: the small ones are told together.

Each process and each thread has samples of its own, of the same stacks as its siblings. So many of
them would fill a browser's memory; folding stacks instead would lose more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import units
from .order import same_samples
from .rows import Ints
from .tables import Tables

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.recording import Recording


@dataclass(frozen=True)
class Together:
    """Rows that were told apart and are one now, behind all others of their table.

    They are rows of the recording.
    """

    processes: Ints
    threads: Ints

    @classmethod
    def none(cls) -> Together:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def said(self) -> list[str]:
        """A sentence, if there are any."""
        rows = ((self.processes, "processes"), (self.threads, "threads"))
        parts = [f"{len(which):,} {what}" for which, what in rows if len(which)]
        if not parts:
            return []
        each = " each" if len(parts) > 1 else ""
        return [f"the {' and '.join(parts)} with the least memory are shown as one{each}"]

    def extend(self, header: dict[str, Any], recording: Recording) -> None:
        """Appends the rows that stand for them to the header's tables."""
        if len(self.processes):
            table, rows = recording.processes, self.processes
            header["processes"].append(
                {
                    "pid": 0,
                    "image": 0,
                    "command": f"[{units.some(len(rows), 'process', 'processes')} more]",
                    "start_ns": int(table.start[rows].min()),
                    "end_ns": int(table.end[rows].max()) if table.end[rows].all() else None,
                    "peak_bytes": int(table.peak_bytes[rows].max()),
                }
            )
        if len(self.threads):
            starts, ends = recording.threads.start[self.threads], recording.threads.end
            name = f"[{units.some(len(self.threads), 'thread', 'threads')} more]"
            header["threads"].append(
                {
                    "process": -1,
                    "tid": 0,
                    "name": name,
                    "like": len(header["alike"]),
                    "start_ns": int(starts.min()),
                    "end_ns": int(ends[self.threads].max()) if ends[self.threads].all() else None,
                }
            )
            header["alike"].append(name)


def only_chosen(header: dict[str, Any], tables: Tables, profile: Profile) -> Tables:
    """Leaves out of header and tables the processes that are not selected, and what is theirs.

    A page of one process may be passed on: the command lines of the others are not to be in it.
    """
    if profile.processes is None:
        return tables
    recording = profile.recording
    rows = sorted(profile.processes)
    threads = np.flatnonzero(np.isin(recording.threads.process, rows)).tolist()
    process = {-1: -1, **{row: number for number, row in enumerate(rows)}}
    groups = dict.fromkeys(header["threads"][row]["like"] for row in threads)
    like = {old: number for number, old in enumerate(groups)}
    header["processes"] = [header["processes"][row] for row in rows]
    header["threads"] = [
        {**one, "process": process[one["process"]], "like": like[one["like"]]}
        for one in (header["threads"][row] for row in threads)
    ]
    header["alike"] = [header["alike"][old] for old in like]
    for name in ("marks", "forks"):
        header[name] = [
            {**one, "process": process[one["process"]]}
            for one in header[name]
            if one["process"] in process
        ]
    header["forks"] = [one for one in header["forks"] if one["process"] > 0]  # but the first
    of_process = np.maximum(_renumbered(rows, len(recording.processes)), 0)
    of_thread = np.append(0, _renumbered(threads, len(recording.threads)) + 1)
    return replace(
        tables,
        process=of_process[tables.process],
        thread=of_thread[tables.thread],
        spreads=tables.spreads.renumbered(of_process, of_thread),
    )


def _renumbered(rows: list[int], count: int) -> Ints:
    """For each of ``count`` rows its place among ``rows`` (-1: none), and for the one that stands
    for others the place behind them."""
    found = np.full(count + 1, -1, np.int64)
    found[rows] = np.arange(len(rows))
    found[count] = len(rows)
    return found


def few_samples(
    profile: Profile, rows: Ints, shape: Tables, number: Ints, most: int
) -> tuple[Tables, Ints, Together]:
    """``shape`` (``order.arranged`` of contexts ``rows``) with at most about ``most`` samples, as
    far as that is a matter of processes and threads; and what each context has become."""
    together = Together.none()
    if shape.samples <= most:
        return shape, number, together
    recording = profile.recording
    count = len(recording.processes)
    weight = _weights(profile, rows, shape.process[number], count)
    small = _smallest(shape.process, weight, most)
    threads = len(recording.threads) + 1
    # A thread of a process that is not told apart is not either.
    shape = replace(
        shape,
        process=np.where(small[shape.process], count, shape.process),
        thread=np.where(small[shape.process], threads, shape.thread),
    )
    gone = small[np.append(recording.threads.process, -1)][:-1] & (recording.threads.process >= 0)
    shape, number = _again(shape, number)
    together = replace(together, processes=np.flatnonzero(small))
    if shape.samples > most:
        weight = _weights(profile, rows, shape.thread[number], threads + 1)
        weight[threads] = 0.0  # together already
        less = _smallest(shape.thread, weight, most)
        less[0] = False  # those that nobody knows
        shape = replace(shape, thread=np.where(less[shape.thread], threads, shape.thread))
        gone = gone | less[1:threads]
        shape, number = _again(shape, number)
    return shape, number, replace(together, threads=np.flatnonzero(gone))


def _again(shape: Tables, number: Ints) -> tuple[Tables, Ints]:
    shape, became = same_samples(shape)
    return shape, became[number]


def _weights(profile: Profile, rows: Ints, owner: Ints, owners: int) -> npt.NDArray[np.float64]:
    """For each owner the largest part, 0 to 1, of any figure that it has."""
    found = np.zeros(owners, np.float64)
    for column in profile.figures.T:
        sums = np.bincount(owner, column[rows], owners)
        np.maximum(found, sums / max(sums.sum(), 1), out=found)
    return found


def _smallest(owner: Ints, weight: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.bool_]:
    """The owners to be one, so that those that are left have half of ``most`` samples."""
    counts = np.bincount(owner, minlength=len(weight))
    order = np.argsort(-weight, kind="stable")
    small = np.zeros(len(weight), np.bool_)
    small[order] = np.cumsum(counts[order]) > most // 2
    small[order[0]] = False
    return small & (counts > 0)
