"""The live heap of a program: a recording is made for it, and thrown away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from heaptide.recorder import Config, Session, Target
from heaptide.recorder._wire import Error, State
from heaptide.recorder.preflight import check_recordable


class Tracing:
    """Records a program with all its Python objects, for the sum of bytes that it holds."""

    def __init__(self, target: Target, folder: Path) -> None:
        """``folder``: for the recording. Raises LaunchError or OutputError."""
        check_recordable(Path(target.path))
        self._output = folder / "traced.tide"
        self._session = Session(self._output, Config(), target.argv)
        collector = self._session.collector
        assert collector is not None
        self.collector_pid = collector.pid

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        return self._session.environment(base)

    def started(self, pid: int) -> None:
        self._session.started(pid)

    def live_bytes(self) -> int | None:
        """Of all processes at this moment; None: nothing is recorded, or no longer."""
        live = self._session.live()
        error, _ = self._session.error()
        if self._session.processes_seen() == 0 or error is not Error.NONE:
            return None
        return live.live_bytes if live.state is State.RECORDING else None

    def close(self) -> None:
        """After the program's end: what it has done is of no interest."""
        self._session.abandon()
        self._output.unlink(missing_ok=True)
