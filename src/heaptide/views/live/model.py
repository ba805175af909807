"""What a live view shows of one recording: looked at again and again, free of any screen.

A ``Model`` belongs to one thread. A ``Look`` is what it saw at one moment, and can be shown for as
long as anybody wants: pausing is keeping one.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.profile import COLUMNS, Profile, timeline_of
from heaptide.recorder.sessions import Running, live_of, processes_of, resident
from heaptide.recording._follow import Follower

from .figures import (
    Figures,
    History,
    Phase,
    figures_of,
    history_of,
    last_rss,
    phase_of,
    with_live,
    with_points,
)
from .symbols import SymbolFinder

if TYPE_CHECKING:
    from heaptide.recorder import Live
    from heaptide.recording import Recording

Ints = npt.NDArray[np.int64]

_LATE_SECONDS = 5.0
# What grows is told by the difference to so many looks before, or less where they are seldom.
_LOOKS_BACK = 5
_BACK_NS = 4_500_000_000
_MOST_RESIDENT = 64  # processes whose RSS is read at each look
# What of a profile stays right as long as stacks, contexts and names are the same.
_STRUCTURE = (
    "locations",
    "_nodes",
    "context_node",
    "_context_site_node",
    "context_site",
    "context_imports",
    "modules",
    "module_code",
    "function_groups",
)
_ALIVE = slice(COLUMNS.index("alive_at_exit_bytes"), COLUMNS.index("alive_at_exit_allocations") + 1)


class LiveProfile(Profile):
    """A profile whose *alive* is what lives now: nothing of processes that have ended."""

    @cached_property
    def figures(self) -> Ints:
        found = super().figures
        if self.recording.end is None:
            ended = np.append(self.recording.processes.end > 0, False)
            found[ended[self.recording.contexts.process], _ALIVE] = 0
        return found


@dataclass(frozen=True)
class ProcessRow:
    """One recorded process image. ``row`` is its place in the recording's table."""

    row: int
    pid: int
    command: str
    alive: bool
    live_bytes: int
    peak_bytes: int
    rss_bytes: int
    allocations: int


@dataclass(frozen=True)
class Earlier:
    """The figures of contexts at a look before: shape (contexts of then, len(COLUMNS))."""

    time_ns: int
    figures: Ints


@dataclass(frozen=True)
class Look:
    """A recording at one moment."""

    recording: Recording
    profile: LiveProfile
    phase: Phase
    figures: Figures
    history: History
    number: int  # of the look: figures that changed have another
    path: str
    deleted: bool
    command: str
    pid: int
    file_bytes: int
    process: int | None  # the row that was chosen, if one was
    earlier: Earlier | None  # some seconds before, to tell what grows

    @property
    def time_ns(self) -> int:
        """Up to when figures of sites are known: the last checkpoint's slice."""
        slices = self.recording.slices
        return int(slices.end[-1]) if len(slices) else 0

    @property
    def going_on(self) -> bool:
        """Whether there is more to come."""
        return self.phase in (Phase.WAITING, Phase.RECORDING)

    @cached_property
    def processes(self) -> list[ProcessRow]:
        """Those alive first, each by its live heap."""
        recording = self.recording
        table = recording.processes
        rss = last_rss(recording.timeline, len(table))
        alive = (table.end == 0) & self.going_on
        order = np.lexsort((-table.peak_bytes, -table.live_bytes * alive, ~alive))
        rows = []
        for row in order.tolist():
            command = " ".join(recording.command_of(row)) or recording.processes.exe[row]
            rows.append(
                ProcessRow(
                    row,
                    int(table.pid[row]),
                    f"(exec) {command}" if int(table.image[row]) else command,
                    bool(alive[row]),
                    int(table.live_bytes[row]),
                    int(table.peak_bytes[row]),
                    int(rss[row]) if alive[row] else 0,
                    int(table.allocations[row]),
                )
            )
        return rows


class Model:
    """Follows one recording. ``session``: how it was found, if it is being made here."""

    def __init__(self, path: str | os.PathLike[str], session: Running | None = None) -> None:
        """Raises RecordingError if there is nothing to follow."""
        self.follower = Follower(path)
        self.finder = SymbolFinder()
        self.cost_seconds = 0.0  # CPU time of the last look
        self._collector = 0 if session is None else session.collector
        self._command = () if session is None else session.command
        self._root = 0 if session is None else session.root
        self._number = 0
        self._before: Look | None = None
        self._key: tuple[object, ...] = ()
        self._points: list[tuple[int, int, int]] = []  # of the shared memory: time, live, RSS
        self._earlier: deque[Earlier] = deque(maxlen=_LOOKS_BACK)

    def close(self) -> None:
        self.finder.stop()
        self.follower.close()

    def look(self, process: int | None = None) -> Look:
        """What there is now. ``process``: only this row of the processes.

        Raises RecordingError if the recording is none any more.
        """
        begun = time.thread_time()
        recording = self.follower.look()
        live = live_of(self._collector) if self._collector else None
        if not self._follows(recording):
            self.finder.forget()
            self._points.clear()
            self._earlier.clear()
            self._before = None
            process = None
        elif self._before is not None and self._before.process != process:
            self._earlier.clear()
        self.finder.attach(recording)
        if not recording.compacted:
            self.finder.offer(recording)
        if live is not None and not recording.finished:
            self._add_point(live)
        profile = self._profile(recording, process)
        look = self._look(recording, profile, live, process)
        if not self._earlier or self._earlier[-1].time_ns < look.time_ns:
            self._earlier.append(Earlier(look.time_ns, profile.figures))
        self._before = look
        self.cost_seconds = time.thread_time() - begun
        return look

    def _follows(self, recording: Recording) -> bool:
        """Whether it is the recording of the look before, with more in it."""
        if self._before is None:
            return True
        before = self._before.recording
        return recording.meta.get("start_time") == before.meta.get("start_time")

    def _add_point(self, live: Live) -> None:
        self._points.append((live.elapsed_ns, live.live_bytes, live.rss_bytes))
        if len(self._points) > 1 << 12:
            self._points = self._points[::2]

    def _profile(self, recording: Recording, process: int | None) -> LiveProfile:
        rows = None if process is None else images_of(recording, process)
        profile = LiveProfile(recording, rows)
        key = (
            len(recording.frames),
            len(recording.stacks),
            len(recording.contexts),
            len(recording.modules),
            len(recording.processes),
            self.finder.version,
            recording.compacted,
        )
        if self._before is not None:
            old = self._before
            if key[-2:] == self._key[-2:]:
                recording.frame_names().take_over(old.recording.frame_names())
            if key == self._key:
                kept = vars(old.profile)
                vars(profile).update({name: kept[name] for name in _STRUCTURE if name in kept})
        self._key = key
        return profile

    def _look(
        self, recording: Recording, profile: LiveProfile, live: Live | None, process: int | None
    ) -> Look:
        self._number += 1
        phase = phase_of(recording, live)
        if phase is Phase.ABANDONED and not self._collector and self._grows():
            phase = Phase.RECORDING  # by somebody whose processes cannot be looked into
        timeline = timeline_of(profile)
        figures = figures_of(profile, timeline, phase)
        history = history_of(timeline)
        if live is not None and process is None and not recording.finished:
            figures = with_live(figures, live, self._rss(live))
            history = with_points(history, self._points)
        elif live is not None and not recording.finished:
            alive = [row for row in profile.processes or () if recording.processes.end[row] == 0]
            rss = resident(int(recording.processes.pid[alive[-1]])) if alive else 0
            figures = replace(figures, elapsed_ns=live.elapsed_ns, rss_bytes=rss)
        command = " ".join(self._command) or " ".join(recording.command)
        table = recording.processes
        return Look(
            recording=recording,
            profile=profile,
            phase=phase,
            figures=figures,
            history=history,
            number=self._number,
            path=self.follower.path,
            deleted=self.follower.deleted,
            command=command,
            pid=self._root or (int(table.pid[0]) if len(table) else 0),
            file_bytes=live.file_bytes if live is not None else recording.file_bytes,
            process=process,
            earlier=self._base(recording),
        )

    def _base(self, recording: Recording) -> Earlier | None:
        """What changes are told from: the last look that was long enough ago, else the first."""
        if not self._earlier:
            return None
        slices = recording.slices
        since = (int(slices.end[-1]) if len(slices) else 0) - _BACK_NS
        old = [look for look in self._earlier if look.time_ns <= since]
        return old[-1] if old else self._earlier[0]

    def _grows(self) -> bool:
        """Whether the file was written of late."""
        try:
            written = os.stat(self.follower.path).st_mtime  # noqa: PTH116
        except OSError:
            return False
        return abs(time.time() - written) < _LATE_SECONDS

    def _rss(self, live: Live) -> int:
        """Of all processes, read anew: the collector reads less and less often as time goes on."""
        if live.processes_live > _MOST_RESIDENT:
            return live.rss_bytes
        return sum(map(resident, processes_of(self._collector))) or live.rss_bytes


def images_of(recording: Recording, row: int) -> list[int]:
    """Rows of the images of the process in ``row``: what it was before an exec, and after."""
    found: list[int] = np.flatnonzero(
        recording.processes.pid == recording.processes.pid[row]
    ).tolist()
    return found
