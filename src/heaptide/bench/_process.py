"""Running a command as it is, and what the kernel says that it took.

The largest resident size that the kernel keeps of a process begins with that of the process that
it was forked from: a small program started by a large one seems large. So it is started by setsid,
which is small, forks, and ends; we adopt the program as its subreaper, and its figures are its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Optional, Union

from heaptide.errors import HeaptideError

NO_RSS = "it needs the program setsid, which is part of util-linux"
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_GRACE_SECONDS = 3.0  # for a program that is told to end
_LOOK_SECONDS = 0.01

Stream = Optional[Union[int, IO[bytes], IO[str]]]


@dataclass(frozen=True)
class Took:
    """What one run took: seconds, and bytes. ``status``: below 0, a signal's number."""

    status: int
    wall: float  # from before it was started, which takes some 2 ms
    cpu: float  # of the program, and of the children that it waited for
    peak_rss: int | None  # of the largest of these processes; None: not known, see NO_RSS


def run_once(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Stream, err: Stream
) -> Took:
    """Runs a command to its end, in a session of its own, its standard input empty.

    What ends us ends it too. Raises HeaptideError: it cannot be started.
    """
    begun = time.perf_counter()
    with ending_with_us():
        pid, adopted = _started(argv, cwd, env, out, err)
        _, how, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - begun
    status = os.WEXITSTATUS(how) if os.WIFEXITED(how) else -os.WTERMSIG(how)
    rss = usage.ru_maxrss * 1024 if adopted else None
    return Took(status, wall, usage.ru_utime + usage.ru_stime, rss)


def _started(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], out: Stream, err: Stream
) -> tuple[int, bool]:
    """The program's process id, and whether its figures are its own."""
    setsid = shutil.which("setsid")
    if setsid is None:
        process = start(argv, cwd=cwd, env=env, out=out, err=err)
        process.returncode = 0  # nobody waits by this object
        return process.pid, False
    with _adopting():
        before = children()
        # Leader of a group, as it is, setsid cannot but fork.
        start([setsid, *argv], cwd=cwd, env=env, out=out, err=err).wait()
        new = children() - before
    if not new:
        raise HeaptideError(f"{argv[0]} cannot be started: there is no room for a process")
    return min(new), True


def start(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Stream, err: Stream
) -> subprocess.Popen[bytes]:
    """Starts a command in a session of its own. Raises HeaptideError."""
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except OSError as error:
        where = "" if cwd.is_dir() else f" in {cwd}"
        raise HeaptideError(
            f"{argv[-1]} cannot be started{where}: {error.strerror or error}"
        ) from None


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """What loses its parent becomes our child."""
    libc = ctypes.CDLL(None)
    former = ctypes.c_int()
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(former), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, former.value, 0, 0, 0)


@contextlib.contextmanager
def ending_with_us() -> Iterator[None]:
    """Ends the processes that were started within it, should an exception leave it."""
    before = children()
    try:
        yield
    except BaseException:
        for pid in children() - before:
            _end(pid)
        raise


def children() -> set[int]:
    """The process ids of our children."""
    if os.path.exists("/proc/thread-self/children"):  # noqa: PTH110 - asked for often
        found: set[int] = set()
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended
                found.update(map(int, (thread / "children").read_text().split()))
        return found
    return {int(entry.name) for entry in Path("/proc").iterdir() if _is_ours(entry)}


def _is_ours(entry: Path) -> bool:
    if not entry.name.isdigit():
        return False
    try:
        behind = (entry / "stat").read_text(errors="replace").rpartition(") ")[2]
    except OSError:
        return False
    return int(behind.split()[1]) == os.getpid()


def _end(pid: int) -> None:
    """Ends a child with its group, gently at first."""
    _signal(pid, signal.SIGTERM)
    end = time.monotonic() + _GRACE_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end and os.waitpid(pid, os.WNOHANG)[0] == 0:
            time.sleep(_LOOK_SECONDS)
        _signal(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _signal(pid: int, number: signal.Signals) -> None:
    """To its group; before it leads one, to it alone."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    except PermissionError:  # of a program that has changed its user
        pass
