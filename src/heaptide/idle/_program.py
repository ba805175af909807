"""A program from its start to its end, with all processes that it starts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from heaptide._procfs import Process
from heaptide.errors import HeaptideError
from heaptide.recorder.child import Ended
from heaptide.recorder.target import Target

from ._clock import Clock
from ._errors import StartError
from ._log import Log
from ._procfs import Procfs, members

_POLL = 0.02  # seconds
_KILLING = 10.0  # seconds; longer than the kernel takes to free anything
# A process that forks and ends while others are read is seen no more, and its child is not yet.
_LOOKS = 5
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


class Program:
    """Runs ``target`` in a session of its own, without a terminal, with an empty standard input.

    A context manager: leaving it ends every process of it, whatever has happened. Processes whose
    parents end become children of ours, so that none gets lost; nothing else may start children
    in this process meanwhile, but for those that are told to ``leave_out``.
    """

    def __init__(
        self,
        target: Target,
        environment: Mapping[str, str],
        log: Log,
        *,
        clock: Clock,
        patience: float,
    ) -> None:
        """``patience``: seconds between being asked to end and being killed."""
        self.name = target.name
        self.log = log
        self.procfs = Procfs()
        self._target = target
        self._environment = environment
        self.clock = clock
        self._patience = patience
        self._popen: subprocess.Popen[bytes] | None = None
        self._others = {one.pid for one in self.procfs.processes().values() if _is_ours(one)}

    def __enter__(self) -> Program:
        """Raises HeaptideError if the kernel will not have it."""
        try:
            self._popen = subprocess.Popen(
                self._target.argv,
                executable=self._target.path,
                stdin=subprocess.DEVNULL,
                stdout=self.log.fd,
                stderr=self.log.fd,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise HeaptideError(
                f"{self._target.path} cannot be started: {error.strerror}"
            ) from None
        except BaseException:  # interrupted: it may run already
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end()
        except BaseException:  # a second Ctrl-C: without any more patience
            with _signals_held():
                self._kill()
            raise

    @property
    def pid(self) -> int:
        """Of the process that was started; it may have gone, and left others."""
        return self._popen.pid if self._popen else 0

    def leave_out(self, pid: int) -> None:
        """A child of ours, and the session that it leads, that are none of the program."""
        self._others.add(pid)

    def processes(self) -> list[Process]:
        """Those that live; the first one first, then by age."""
        for _ in range(_LOOKS):
            found = members(self.procfs.processes(), self.pid, os.getpid(), self._others)
            for one in found:
                if one.dead and one.pid != self.pid and _is_ours(one):
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(one.pid, os.WNOHANG)
            if living := [one for one in found if not one.dead]:
                return living
        return []

    def end_session(self, leader: int) -> None:
        """Kills what is left of a session of others, and takes note of their ends."""
        deadline = self.clock.now() + _KILLING
        while self.clock.now() < deadline:
            left = [one for one in self.procfs.processes().values() if one.session == leader]
            for one in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one.pid, signal.SIGKILL)
                if _is_ours(one):
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(one.pid, os.WNOHANG)
            if not left:
                return
            self.clock.sleep(_POLL)

    def check(self, when: str) -> list[Process]:
        """The processes, if the program is well. Raises StartError: it has ended, ``when``.

        That its first process ends with status 0 and leaves others is how a daemon begins.
        """
        assert self._popen is not None
        found = self.processes()
        status = self._popen.poll()
        if status or (status == 0 and not found):
            ended = Ended(status) if status >= 0 else Ended(128 - status, -status)
            how = f"ended with status {status}" if status >= 0 else f"was ended by {ended}"
            raise StartError(f"{self.name} {how} {when}", self.log)
        return found

    def _end(self) -> None:
        """Asks all to end, and kills those that have not after a while."""
        self._send(signal.SIGTERM)
        deadline = self.clock.now() + self._patience
        while self._alive() and self.clock.now() < deadline:
            self.clock.sleep(_POLL)
        self._kill()

    def _kill(self) -> None:
        deadline = self.clock.now() + _KILLING
        while alive := self._alive():
            if self.clock.now() > deadline:
                raise StartError(
                    f"process {alive[0].pid} ({alive[0].name}) of {self.name} cannot be ended; "
                    "end it yourself before you measure again"
                )
            self._send(signal.SIGKILL)
            self.clock.sleep(_POLL)

    def _alive(self) -> list[Process]:
        if self._popen is not None:
            self._popen.poll()
        return self.processes()

    def _send(self, number: signal.Signals) -> None:
        for one in self.processes():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, number)


def _is_ours(process: Process) -> bool:
    return process.parent == os.getpid()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keeps what would interrupt us until the end of the block."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def adopting() -> Iterator[None]:
    """Makes this process the parent of those whose own has ended, for as long as it lasts."""
    prctl = ctypes.CDLL(None).prctl
    before = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)
