"""The collector process: started apart from the program's terminal and descriptors."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Sequence
from typing import Protocol

from heaptide.errors import LaunchError
from heaptide.recorder._wire import SESSION_FD
from heaptide.recorder.child import Ended
from heaptide.recorder.descriptors import inheritable

# Above what file actions below move things to.
_LOWEST_SPARE_FD = SESSION_FD + 1
_MAX_MESSAGE_BYTES = 4096


def environment_of_collector() -> dict[str, str]:
    """This process's, without what is the program's: what loads libraries, and tunes its malloc."""
    hidden = ("LD_PRELOAD", "HEAPTIDE_SESSION")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    # Large pages for its memory, from glibc 2.35 on: with a million live blocks it takes in a
    # quarter more events a second (collector_bench); a small program's takes 2 MB more.
    environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    return environment


class CollectorProcess(Protocol):
    """The collector of a session, however it was started."""

    pid: int
    ended: Ended | None

    def poll(self) -> Ended | None: ...
    def message(self) -> str: ...
    def resume(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


class Errors:
    """What a program writes to its stderr: ``writing`` is its end, to be closed once it has it."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._said = b""

    def message(self) -> str:
        """The last line, empty if none."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._reading, 65536):
                self._said = (self._said + chunk)[-_MAX_MESSAGE_BYTES:]
        lines = self._said.decode(errors="replace").splitlines()
        return lines[-1].strip().removeprefix("heaptide-collector: ") if lines else ""

    def wait(self) -> str:
        """Waits until nobody is left who could write to it; the last line."""
        waiting = select.poll()
        waiting.register(self._reading, select.POLLIN)
        text = self.message()
        while not self.is_over():
            waiting.poll()
            text = self.message()
        return self.message() or text

    def is_over(self) -> bool:
        """Whether nobody is left who could write to it."""
        waiting = select.poll()
        waiting.register(self._reading, 0)  # the other end's being closed is told anyway
        return bool(waiting.poll(0))

    def close(self) -> None:
        reading, self._reading = self._reading, -1
        if reading >= 0:
            os.close(reading)


class Collector:
    """``heaptide-collector`` in a session of its own, with the shared memory as descriptor 3.

    It holds none of the program's descriptors: a reader at the other end of the program's stdout
    must see its end when the program ends, not when the collector does.
    """

    def __init__(self, command: Sequence[str], session_fd: int) -> None:
        """Starts ``command``. Raises LaunchError if that fails."""
        self.ended: Ended | None = None
        # It must not find our descriptors where its own are to go.
        try:
            memory = fcntl.fcntl(session_fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_SPARE_FD)
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            self._errors = Errors()
            errors = fcntl.fcntl(self._errors.writing, fcntl.F_DUPFD_CLOEXEC, _LOWEST_SPARE_FD)
            os.close(self._errors.writing)
        except OSError as error:
            raise LaunchError(
                "there are not enough file descriptors to start the collector; "
                "allow more (ulimit -n)",
                exit_status=125,
            ) from error
        actions: list[tuple[int, ...]] = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, null, 1),
            (os.POSIX_SPAWN_DUP2, errors, 2),
            (os.POSIX_SPAWN_DUP2, memory, SESSION_FD),
        ]
        # Not closed by file actions: those cannot name one above a limit that has been lowered.
        for_program = [fd for fd in inheritable() if fd > SESSION_FD]
        environment = environment_of_collector()
        try:
            for fd in for_program:
                os.set_inheritable(fd, False)
            self.pid = os.posix_spawn(
                command[0],
                list(command),
                environment,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
            )
        except OSError as error:
            self._errors.close()
            raise LaunchError(
                f"{command[0]} cannot be started: {error.strerror}; is the installation whole?",
                exit_status=125,
            ) from error
        finally:
            for fd in (memory, null, errors):
                os.close(fd)
            for fd in for_program:
                os.set_inheritable(fd, True)

    def poll(self) -> Ended | None:
        """How it ended, None while it runs."""
        if self.ended is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid == self.pid:
                    self.ended = Ended.of(status)
        return self.ended

    def message(self) -> str:
        """The last line it wrote to its stderr, empty if none."""
        return self._errors.message()

    def resume(self) -> None:
        """Continues it if somebody has stopped it: it could not end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once: nothing has been recorded that anybody wants."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.ended = Ended.of(status)

    def close(self) -> None:
        self._errors.close()
