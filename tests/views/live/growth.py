"""A program whose recording grows step by step, for the tests of the live view."""

from __future__ import annotations

from pathlib import Path

from tests.recording.growing import Growing
from tests.recording.make import ALL, SECOND, Builder, Change, numbers

from heaptide.recording import Kind


class Growth:
    """One process (pid 100) with two threads, and a child (pid 200). All figures are known.

    A second of ``grow`` allocates 10 blocks of 1,000 bytes in ``grow`` and keeps them; a second of
    ``churn`` 100 blocks of 10 bytes and frees them; ``hold`` keeps one block of 500 once.
    """

    def __init__(self, path: Path, start_time: float = 1_700_000_000.5) -> None:
        build = self.build = Builder()
        build.meta["start_time"] = start_time
        self.path = path
        self.main = build.process(100, "/usr/bin/python3", ["python3", "/home/u/app.py"])
        self.thread = build.thread(self.main, 100, "MainThread")
        self.worker = build.thread(self.main, 101, "worker")
        outer = build.python("<module>", "/home/u/app.py", 1)
        self.grow = self._context(build, outer, "grow", "/home/u/app.py", 10, self.thread)
        self.churn = self._context(build, outer, "churn", "/home/u/churn.py", 20, self.worker)
        self.hold = self._context(build, outer, "hold", "/home/u/held.py", 5, 0)
        self.child: int | None = None
        self.seconds = 0
        self.live = {self.grow: (0, 0), self.churn: (0, 0), self.hold: (0, 0)}
        self.file = Growing(path, build)
        self.file.checkpoint()

    @staticmethod
    def _context(
        build: Builder, outer: int, function: str, file: str, line: int, thread: int
    ) -> int:
        return build.context(
            0, build.stack(outer, build.python(function, file, line)), thread=thread
        )

    def second(self, *names: str, more: dict[int, Change] | None = None) -> None:
        """One second in which functions ran, and a checkpoint."""
        changes = dict(more or {})
        for name in names:
            if name == "grow":
                changes[self.grow] = Change(10, 10_000)
            elif name == "churn":
                changes[self.churn] = Change(100, 1_000, 100, 1_000, 0, 0, 90, 95)
            elif name == "hold":
                changes[self.hold] = Change(1, 500)
        for context, change in changes.items():
            blocks, size = self.live.get(context, (0, 0))
            self.live[context] = (
                blocks + change.blocks_in - change.blocks_out,
                size + change.bytes_in - change.bytes_out,
            )
        start = self.seconds * SECOND
        self.seconds += 1
        self.build.slice(start, self.seconds * SECOND, changes)
        size = sum(size for _, size in self.live.values())
        calls = sum(change.blocks_in for change in changes.values())
        for process in (ALL, self.main):
            self.build.timeline(
                self.seconds * SECOND,
                process,
                live_bytes=size,
                peak_bytes=size,
                rss=size * 2 + 1_000_000,
                allocations=calls,
            )
        rows = self.build.tables[Kind.PROCESSES].rows
        rows[self.main].update(live_bytes=size, peak_bytes=size, peak_time=self.seconds * SECOND)
        self.build.tables[Kind.PEAK].rows.clear()
        held = {context: held for context, held in self.live.items() if held[0]}
        self.build.peak(held)
        self.build.peak({c: h for c, h in held.items() if c <= self.hold}, self.main)
        self.file.checkpoint()

    def fork(self) -> int:
        """A child begins; the context that it allocates in."""
        build = self.build
        self.child = build.process(200, "/usr/bin/tool", ["tool", "--fast"], ppid=100, parent=1)
        thread = build.thread(self.child, 200, "tool")
        stack = build.stack(build.python("work", "/home/u/tool.py", 7))
        context = build.context(self.child, stack, thread=thread)
        self.live[context] = (0, 0)
        return context

    def end_child(self) -> None:
        assert self.child is not None
        self.build.tables[Kind.PROCESSES].rows[self.child]["end"] = self.seconds * SECOND

    def finish(self, why: str = "finished") -> None:
        """The program has ended, and the collector."""
        self.build.tables[Kind.PROCESSES].rows[self.main]["end"] = self.seconds * SECOND
        reason = self.build.text(why)
        self.file.checkpoint()
        self.file.append(
            Kind.END, {"reason": numbers([reason]), "time": numbers([self.seconds * SECOND])}
        )
        self.file.finish()
