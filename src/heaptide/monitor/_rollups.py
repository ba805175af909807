"""PSS and USS of all workers, read by one of them for all, and at one time, so that they add up.

A page that five workers share counts a fifth in each. Read at different times, while workers come
and go, the parts would not be of one whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from heaptide._procfs import Procfs
from heaptide.allocators._limit import SHARE, Reading, start_apart
from heaptide.allocators.process import INTERVAL
from heaptide.errors import HeaptideError

from ._files import BROKEN, open_regular, read_regular, write_regular
from ._workers import Folder, Worker, finite

_LONGEST = 3600.0  # seconds: no reading takes so much
_SOON = 1.0  # seconds between two readings, at least, while workers come and go


@dataclass(frozen=True)
class Rollups:
    """``sizes``: PSS and USS in bytes, ``age`` seconds ago; a worker that was not there, or that
    may not be read, is not in it."""

    sizes: dict[Worker, tuple[int, int]] = field(default_factory=dict)
    age: float = 0.0


@dataclass(frozen=True)
class _Read:
    ended: float
    took: float  # of a processor's time
    asked: frozenset[Worker]
    sizes: dict[Worker, tuple[int, int]]

    def due(self, workers: Sequence[Worker], interval: float, now: float) -> bool:
        """No worker's share in the cost may be more than a thousandth of the time."""
        if now < self.ended:  # of before the machine was started anew
            return True
        wait = interval if self.asked.issuperset(workers) else min(_SOON, interval)
        return now >= self.ended + max(wait, self.took / SHARE / max(len(workers), 1))


class Sweep(Reading):
    """Reads smaps_rollup of all workers: once in ``interval`` seconds at most, or when there is a
    new one; in a thread, so that nobody waits. What was read is in a file, for all of them."""

    def __init__(
        self,
        folder: Folder,
        interval: float = INTERVAL,
        procfs: Procfs | None = None,
        clock: Callable[[], float] = time.monotonic,  # of the whole machine
    ) -> None:
        self._interval, self._procfs, self._clock = interval, procfs or Procfs(), clock
        self._path = folder.path / f"heaptide_pss_{folder.namespace}.json"
        super().__init__()

    def _begin(self) -> None:
        self._reading = threading.Lock()

    def get(self, workers: Sequence[Worker]) -> Rollups:
        """What was read last. None of it is waited for."""
        last = self._last()
        now = self._clock()
        if last is None or last.due(workers, self._interval, now):
            self._start(workers)
        if last is None:
            return Rollups()
        return Rollups(last.sizes, max(now - last.ended, 0.0))

    def _start(self, workers: Sequence[Worker]) -> None:
        lock = self._reading
        if not lock.acquire(blocking=False):
            return

        def read() -> None:
            try:
                # A traceback on stderr would be the program's.
                with contextlib.suppress(Exception), self._alone() as alone:
                    last = self._last() if alone else None
                    if alone and (last is None or last.due(workers, self._interval, self._clock())):
                        self._write(workers)
            finally:
                lock.release()

        try:
            start_apart(read)
        except RuntimeError:  # no more threads, or the interpreter ends
            lock.release()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other worker is reading. The kernel gives the lock back when one is killed,
        and a child that was forked has none."""
        file = open_regular(self._path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT)
        try:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(file)

    def _write(self, workers: Sequence[Worker]) -> None:
        begun = time.thread_time()  # the kernel walks pages in this thread
        rows = [[one.pid, one.started, *(self._sizes(one) or ())] for one in workers]
        content = {"ended": self._clock(), "took": time.thread_time() - begun, "workers": rows}
        new = self._path.with_suffix(".new")
        write_regular(new, json.dumps(content).encode(), flags=os.O_TRUNC)
        new.replace(self._path)

    def _sizes(self, worker: Worker) -> tuple[int, int] | None:
        try:
            memory = self._procfs.memory(worker.pid)
        except HeaptideError:
            return None
        return None if memory is None else (memory.pss, memory.uss)

    def _last(self) -> _Read | None:
        try:
            content = json.loads(read_regular(self._path))
            ended, took = finite(content["ended"]), finite(content["took"])
            rows = [(Worker(pid, started), sizes) for pid, started, *sizes in content["workers"]]
            return _Read(
                ended,
                min(took, _LONGEST),
                frozenset(worker for worker, _ in rows),
                {
                    worker: (int(finite(sizes[0])), int(finite(sizes[1])))
                    for worker, sizes in rows
                    if sizes
                },
            )
        except BROKEN:
            return None
