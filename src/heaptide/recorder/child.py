"""Running the program as a shell would: same terminal, same process group, same signals, same end.

While the program runs, every signal that concerns it is blocked here and taken from the queue one
by one together with who sent it. What the terminal sends has reached the program already, being in
the same process group; what was sent to this process alone is passed on.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from heaptide.errors import LaunchError
from heaptide.recorder.preflight import CANNOT_EXECUTE, NOT_FOUND
from heaptide.recorder.target import Target

# si_code of signals that processes send: kill, sigqueue, tgkill. What the kernel makes, which for
# these means the terminal, the program has got by itself.
_SENT = frozenset({0, -1, -6})
_LARGEST_PID = 1 << 22

_FORWARDED = frozenset(
    {
        signal.SIGALRM,
        signal.SIGCONT,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGTSTP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)
_WATCHED = _FORWARDED | {signal.SIGCHLD}
# Stops by job control: the shell waits for this process, so it has to stop along.
_JOB_STOPS = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
# Ignored by every Python interpreter; the program is to find them as any shell leaves them.
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True)
class Ended:
    """How a process ended: by ``signal``, or by itself with ``status`` (0-255)."""

    status: int
    signal: int | None = None

    @classmethod
    def of(cls, wait_status: int) -> Ended:
        if os.WIFSIGNALED(wait_status):
            number = os.WTERMSIG(wait_status)
            return cls(128 + number, number)
        return cls(os.WEXITSTATUS(wait_status))

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit status {self.status}"
        try:
            return signal.Signals(self.signal).name
        except ValueError:
            return f"signal {self.signal}"


class Child:
    """The program, from ``start`` to its end. One at a time: it owns this process's signals."""

    def __init__(self, target: Target, environment: Mapping[str, str]) -> None:
        self.target = target
        self.environment = environment
        self.pid = 0
        self._mask: set[int] = set()
        self._last: tuple[int, ...] = ()  # the signal that came last

    def start(self) -> None:
        """Starts the program. Raises LaunchError if the kernel will not have it."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = {int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)}
        # Not posix_spawn: glibc's leaves the signals it uses itself ignored in the program.
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._execute(writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            failure = pipe.read()  # empty once the program has been executed
        if failure:
            os.waitpid(self.pid, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            number = int(failure)
            raise LaunchError(
                f"{self.target.path} cannot be started: {os.strerror(number)}",
                exit_status=NOT_FOUND if number == errno.ENOENT else CANNOT_EXECUTE,
            )

    def _execute(self, errors: int) -> NoReturn:
        """In the forked child: becomes the program, or writes the error number to ``errors``."""
        try:
            for ignored in _PYTHON_IGNORES:
                signal.signal(ignored, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            os.execve(self.target.path, self.target.argv, self.environment)
        except OSError as error:
            os.write(errors, str(error.errno).encode())
        finally:
            os._exit(CANNOT_EXECUTE)

    def wait(
        self,
        tick: Callable[[], None] | None,
        interval: float,
        other_ended: Callable[[int, Ended], None],
    ) -> Ended:
        """Waits for the program, passing on signals, and gives back its end.

        ``tick`` is called every ``interval`` seconds and after each signal; ``other_ended(pid,
        how)`` for each other child of this process that ends meanwhile. Signals are back to what
        they were before ``start`` on return.
        """
        try:
            while True:
                ended = self._reap(other_ended)
                if ended is not None:
                    return ended
                if tick is not None:
                    tick()
                self._next_signal(interval if tick is not None else 60.0)
        finally:
            # What the terminal sent to both must not now strike only us.
            while signal.sigtimedwait(_WATCHED, 0) is not None:
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _reap(self, other_ended: Callable[[int, Ended], None]) -> Ended | None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                return None
            if os.WIFSTOPPED(status):
                if pid == self.pid and os.WSTOPSIG(status) in _JOB_STOPS:
                    _stop_self(os.WSTOPSIG(status))
            elif pid == self.pid:
                return Ended.of(status)
            else:
                other_ended(pid, Ended.of(status))

    def _next_signal(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        info = signal.sigtimedwait(_WATCHED, timeout)
        if info is None:
            return
        # Stopped and continued after the deadline, Python returns what lies on its stack: anything,
        # or the last signal once more.
        if time.monotonic() >= deadline and (tuple(info) == self._last or not _is_sound(info)):
            return
        self._last = tuple(info)
        if info.si_signo in _FORWARDED:
            self._pass_on(info.si_signo, sent=info.si_code in _SENT)

    def _pass_on(self, number: int, *, sent: bool) -> None:
        """``sent``: by a process, and not by the terminal to all in the foreground."""
        if sent:
            os.kill(self.pid, number)


def _is_sound(info: signal.struct_siginfo) -> bool:
    return info.si_signo in _WATCHED and info.si_errno == 0 and 0 <= info.si_pid <= _LARGEST_PID


def _stop_self(number: int) -> None:
    """Stops this process as the program was stopped, until the shell continues both."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def end_like(ended: Ended) -> NoReturn:
    """Ends this process as the program ended, by the same signal if it was one."""
    if ended.signal is not None:
        _forbid_core()
        if ended.signal not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(ended.signal, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {ended.signal})
        os.kill(os.getpid(), ended.signal)
    # Reached too as process 1 of a container, which no signal of its own can end.
    os._exit(ended.status)


def _forbid_core() -> None:
    """The program's core is the one that matters; ours would replace it."""
    import ctypes

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A core that is piped to a program is not limited by RLIMIT_CORE.
    pr_set_dumpable = 4
    ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)
