"""One run of one program under one session, from its start to a recording on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from heaptide.recorder._wire import Error
from heaptide.recorder.child import Child, Ended
from heaptide.recorder.session import Config, Live, Session
from heaptide.recorder.target import Target

_TICK_SECONDS = 0.2


# For a collector that could not put it into words.
_ERRORS = {
    Error.DISK_FULL: "the disk became full",
    Error.MAX_SIZE: "the recording reached --max-size",
    Error.IO: "the recording could not be written on",
    Error.INTERNAL: "the collector failed",
}


@dataclass(frozen=True)
class Outcome:
    """How the program ended, and what became of the recording."""

    ended: Ended
    live: Live  # the last figures
    error: Error
    error_text: str
    collector: Ended
    processes: int  # recorded; 0: the agent never came up
    still_running: int  # processes of the recording alive when the program ended
    in_place: bool = True  # the recording is where it was to be
    over: bool = False  # --duration had ended before the program had

    @property
    def complete(self) -> bool:
        """Whether the recording holds all it was asked to hold."""
        return (
            self.error in (Error.NONE, Error.MAX_SIZE)
            and self.collector.status == 0
            and self.processes > 0
            and self.in_place
        )

    def problem(self) -> str | None:
        """One line about a recording that is not what was asked for; None for a good one."""
        after = f"after {self.live.elapsed_ns / 1e9:.1f} s"
        if not self.in_place:
            return (
                "the recording was moved, deleted or replaced while it was made: what was recorded "
                "is where it was moved to, or lost"
            )
        if self.error is not Error.NONE:
            text = self.error_text or f"{_ERRORS[self.error]} {after}"
            return f"{text} (the program ran on unrecorded)"
        if self.collector.status != 0:
            return (
                f"the collector ended early ({self.collector}) {after}; "
                "the recording holds what was written until then, the program ran on unrecorded"
            )
        if self.processes == 0 and self.over:
            return (
                "nothing was recorded: the program had not begun before --duration was over, "
                "or it did not load the agent; make --duration longer"
            )
        if self.processes == 0:
            return (
                "nothing was recorded: the program did not load the agent "
                "(does it clear LD_PRELOAD, or change its user?)"
            )
        return None


def record(
    target: Target,
    config: Config,
    output: Path,
    *,
    force: bool = False,
    started: Callable[[], None] | None = None,
    tick: Callable[[Live], None] | None = None,
    finishing: Callable[[], None] | None = None,
    child_of: Callable[[Target, Mapping[str, str]], Child] = Child,
    other_ended: Callable[[int, Ended], None] | None = None,
) -> Outcome:
    """Runs ``target`` to its end and gives back what happened.

    ``started`` is called when the program runs, ``tick`` five times a second from then on,
    ``finishing`` when it has ended, ``other_ended`` with the end of any other child of this
    process. ``child_of`` makes what runs the program. Raises LaunchError or OutputError if the
    program could not be started; the file is then removed again.
    """
    with Session(output, config, target.argv, force=force) as session:
        collector = session.collector
        assert collector is not None

        def another(pid: int, how: Ended) -> None:
            if pid == collector.pid:
                collector.ended = how
            elif other_ended is not None:
                other_ended(pid, how)

        child = child_of(target, session.environment(os.environ))
        begun = time.monotonic()
        child.start()
        session.started(child.pid)
        if started is not None:
            started()
        ended = child.wait(
            None if tick is None else lambda: tick(session.live()), _TICK_SECONDS, another
        )
        took = time.monotonic() - begun
        still_running = len(session.running())
        session.finish()
        if finishing is not None:
            finishing()
        collector_ended = session.wait_finished()
        error, text = session.error()
        return Outcome(
            ended=ended,
            live=session.live(),
            error=error,
            error_text=text or collector.message(),
            collector=collector_ended,
            processes=session.processes_seen(),
            still_running=still_running,
            in_place=session.in_place(),
            over=config.duration is not None and took > config.start_after + config.duration,
        )
