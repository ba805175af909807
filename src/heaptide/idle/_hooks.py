"""What is done to a program between its start and a reading: commands, garbage collection, trim."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import StartError

if TYPE_CHECKING:
    from ._log import Log
    from ._program import Program

_SITE = Path(__file__).with_name("_site")
_SIGNAL = 57  # a real-time signal that runtimes, debuggers and the C library leave alone
_POLL = 0.02  # seconds
_ANSWER = 10.0  # seconds for a process to come to its next instruction, and collect


class Commands:
    """Runs commands of the shell beside a program, with its process ids in their environment."""

    def __init__(self, environment: Mapping[str, str], log: Log) -> None:
        self._environment = environment
        self._log = log

    def run(
        self, command: str, program: Program, when: str, timeout: float | None = None
    ) -> int | None:
        """Its exit status, as a shell counts; None: it took longer than ``timeout`` seconds.

        It and what it has started are killed then, and if this is interrupted. Raises StartError if
        the program ends meanwhile.
        """
        pids = [one.pid for one in program.check(when)] or [program.pid]
        first = program.pid if program.pid in pids else pids[0]
        popen = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=self._log.fd,
            stderr=self._log.fd,
            env={
                **self._environment,
                "HEAPTIDE_PID": str(first),
                "HEAPTIDE_PIDS": " ".join(map(str, pids)),
            },
            start_new_session=True,
        )
        program.leave_out(popen.pid)
        deadline = None if timeout is None else program.clock.now() + timeout
        try:
            while (status := popen.poll()) is None:
                program.check(when)
                program.log.tidy()
                self._log.tidy()
                if deadline is not None and program.clock.now() > deadline:
                    return None
                program.clock.sleep(_POLL)
        finally:
            # What it leaves running would be counted as idle nowhere, and take the processor.
            popen.poll()
            program.end_session(popen.pid)
            popen.wait()
        return status if status >= 0 else 128 - status

    def demand(self, command: str, program: Program, when: str) -> None:
        """As ``run``. Raises StartError: it failed."""
        status = self.run(command, program, when)
        if status:
            raise StartError(
                f"the command {command} {when} ended with status {status}: mend it, nothing can "
                "be said without it",
                self._log,
            )


@dataclass(frozen=True)
class Answered:
    """Of ``processes``, how many have done what they were asked to."""

    answered: int
    processes: int


class PythonHooks:
    """Garbage collection and ``malloc_trim`` in every Python process of a program.

    They are prepared by the environment that the program is started with: a directory in front of
    PYTHONPATH whose sitecustomize installs a handler for a signal, then runs the one that it hides.
    """

    def __init__(self, folder: Path, *, gc: bool, trim: bool) -> None:
        """``folder``: an empty directory, for processes to answer in."""
        self._folder = folder
        self._words = [word for word, on in (("gc", gc), ("trim", trim)) if on]

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """``base``, changed only if anything is wanted."""
        if not self._words:
            return dict(base)
        path = [str(_SITE), *filter(None, [base.get("PYTHONPATH")])]
        return {
            **base,
            "PYTHONPATH": os.pathsep.join(path),
            "HEAPTIDE_IDLE_HOOKS": str(self._folder),
            "HEAPTIDE_IDLE_SIGNAL": str(_SIGNAL),
            "HEAPTIDE_IDLE_DO": " ".join(self._words),
        }

    def run(self, program: Program, when: str) -> Answered | None:
        """Asks all, and waits for those that can answer; None: nothing is wanted."""
        if not self._words:
            return None
        processes = program.check(when)
        asked = {}
        for one in processes:
            before = self._length(one.pid)
            # Without its handler the signal would end it: a program that was executed since then.
            if before is not None and program.procfs.catches(one.pid, _SIGNAL):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one.pid, _SIGNAL)
                    asked[one.pid] = before
        answered = 0
        deadline = time.monotonic() + _ANSWER
        while asked and time.monotonic() < deadline:
            program.check(when)
            for pid, before in list(asked.items()):
                if (self._length(pid) or 0) > before:
                    answered += 1
                    del asked[pid]
            time.sleep(_POLL)
        return Answered(answered, len(processes))

    def _length(self, pid: int) -> int | None:
        try:
            return (self._folder / str(pid)).stat().st_size
        except OSError:
            return None
