"""One recording of this process by itself: its collector, and this process's part in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

from heaptide.inside._agent import Agent, OwnCollector, agent
from heaptide.inside._changing import changing
from heaptide.recorder._wire import Error
from heaptide.recorder.session import Config, Session


class OwnSession:
    """Records this process into ``path`` from its making to ``end``. In a child by fork it is void.

    Raises OutputError: the file cannot be had; LaunchError: the recorder cannot be.
    """

    latest: ClassVar[OwnSession | None] = None  # the one that goes on

    def __init__(self, path: Path, config: Config, *, force: bool = False) -> None:
        self.path = path
        self._pid = os.getpid()
        self._left = False
        self._agent: Agent = agent()
        with changing:
            self._session = Session(
                path, config, _command(), force=force, start=OwnCollector, root=self._pid
            )
            collector = self._session.collector
            assert isinstance(collector, OwnCollector)
            collector.found(self._session.collector_pid())
            OwnSession.latest = self
            try:
                self._session.started(self._pid)
                self._agent.attach(self._session.memory_path())
            except BaseException:
                self.abandon()
                raise

    @property
    def is_own(self) -> bool:
        """Whether it is this process that it records, not a parent's."""
        return self._pid == os.getpid()

    @property
    def goes_on(self) -> bool:
        """Whether its collector still runs."""
        return not self._session.collector_ended()

    def forget(self) -> None:
        """In a child by fork: gives back what it has inherited of its parent's."""
        self._session.forget()

    def leave(self) -> None:
        """Records no more; the collector is to come to an end."""
        with changing:
            if not self._left:
                self._left = True
                OwnSession.latest = None
                self._agent.detach()
                self._session.finish()

    def end(self) -> str | None:
        """Ends the recording; a line about it if it is not what was asked for."""
        if not self.is_own:
            return None
        self.leave()
        session = self._session
        try:
            session.wait_finished()
            error, text = session.error()
            whole = session.is_whole()
        finally:
            with changing:
                self._agent.clear()
                session.close()
        if error is Error.NONE and whole:
            return None
        if error is Error.NONE:
            return (
                f"{self.path}: the recorder was killed; the last part of the recording is missing"
            )
        return text or f"{self.path}: the recording ended early"

    def abandon(self) -> None:
        """Ends it and throws it away."""
        if self.is_own:
            OwnSession.latest = None
            self._agent.detach()
            self._session.abandon()
            self._agent.clear()


def _command() -> list[str]:
    """This process's own command line, as the recording is to show it."""
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        words = []
    return [os.fsdecode(word) for word in words] or [sys.executable or "python"]
