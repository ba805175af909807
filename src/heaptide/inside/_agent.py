"""The recorder's library in this process: loaded when it is first needed, and never unloaded.

Its functions are those of ``native/agent/late.c``. They are called with the GIL held.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from enum import IntEnum
from types import TracebackType

from heaptide._mark import use
from heaptide._procfs import runs
from heaptide.errors import LaunchError, UsageError
from heaptide.recorder.child import Ended
from heaptide.recorder.collector import Errors, environment_of_collector
from heaptide.recorder.native import agent_path

# HT_SYNC_...
WRITE = 1 << 1
PEAK_OF_THREAD = 1 << 2
PEAK_OF_PROCESS = 1 << 3
WRITE_PEAK = 1 << 5


class State(IntEnum):
    """What becomes of what this process allocates."""

    NOT_RECORDED = 0
    RECORDED = 1  # by heaptide run
    RECORDS_ITSELF = 2
    PAUSED = 3


class Figures(ctypes.Structure):
    """``ht_figures``: of a process or thread since its recording began. Blocks and bytes."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "allocations",
            "reallocations",
            "deallocations",
            "bytes",
            "live_bytes",
            "live_blocks",
            "peak_bytes",
            "temporary",
            "copied_bytes",
        )
    ]
    allocations: int
    reallocations: int
    deallocations: int
    bytes: int
    live_bytes: int
    live_blocks: int
    peak_bytes: int
    temporary: int
    copied_bytes: int


class Snapshot(ctypes.Structure):
    """``snapshot`` of late.c: the figures of a moment, ``ns`` after the recording's start."""

    _fields_ = [
        ("process", Figures),
        ("thread", Figures),
        ("ns", ctypes.c_uint64),
        ("peak_bytes", ctypes.c_uint64),
        ("tid", ctypes.c_uint32),
        ("generation", ctypes.c_uint32),
        ("is_open", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]
    process: Figures
    thread: Figures
    ns: int
    peak_bytes: int
    tid: int
    generation: int


_MOST = 256


class Agent:
    """The library's functions."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self.open = library.heaptide_open
        self.read = library.heaptide_read
        self.finish = library.heaptide_finish
        self.apart = library.heaptide_apart
        self.back = library.heaptide_back
        self.back.restype = None
        self._state = library.heaptide_state
        self._attach = library.heaptide_attach
        self._attach.argtypes = [ctypes.c_char_p]
        self._library = library
        self.mark = library.heaptide_mark
        self.mark.argtypes = [ctypes.c_char_p]
        self.mark.restype = None
        self._peak_of = ctypes.c_uint32.in_dll(library, "heaptide_peak_of")
        self._opened = ctypes.c_int.in_dll(library, "heaptide_opened")
        self._windows = (Snapshot * _MOST).in_dll(library, "heaptide_windows")
        self._snapshots = (Snapshot * _MOST).in_dll(library, "heaptide_snapshots")

    @property
    def state(self) -> State:
        return State(self._state())

    def attach(self, memory_path: str) -> None:
        """Records from here on into the session. Raises LaunchError if it cannot be joined."""
        if self._attach(os.fsencode(memory_path)) != 0:
            raise LaunchError(
                "this process cannot take part in the recording: its memory cannot be mapped "
                "(is there a limit, ulimit -v?)"
            )

    def detach(self) -> None:
        self._library.heaptide_detach()

    def pause(self) -> None:
        self._library.heaptide_pause()

    def resume(self) -> bool:
        """False: the session has ended."""
        return bool(self._library.heaptide_resume() == 0)

    def clear(self) -> None:
        """Gives back the memory of a session that has ended."""
        self._library.heaptide_clear()

    def sync(self, flags: int = 0) -> bool:
        """Waits until the collector has counted all that came before; False: it does not answer."""
        return bool(self._library.heaptide_sync(flags) == 0)

    def window(self, number: int) -> Snapshot:
        """The figures when window ``number`` was opened; ``peak_bytes`` is up to date."""
        return Snapshot.from_buffer_copy(self._windows[number])

    def snapshot(self, number: int) -> Snapshot:
        """What ``read`` or ``finish`` has read."""
        return Snapshot.from_buffer_copy(self._snapshots[number])

    def about_to_open(self, peak_of: int) -> None:
        """``peak_of``: whose peak begins anew with the next window, if no other is open then:
        PEAK_OF_..., or 0."""
        self._peak_of.value = peak_of
        self._opened.value = -1

    def opened(self) -> int:
        """The window opened since then, even if nobody has got its number; below 0: none."""
        return self._opened.value

    def close(self, window: int) -> None:
        self._library.heaptide_close(window)

    def spawn(self, command: Sequence[str], memory: int, errors: int) -> None:
        """Starts a program that is no child of this process. Raises LaunchError."""
        words = [os.fsencode(word) for word in command]
        environment = [os.fsencode(f"{k}={v}") for k, v in environment_of_collector().items()]
        argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
        envp = (ctypes.c_char_p * (len(environment) + 1))(*environment, None)
        number = self._library.heaptide_spawn(argv, envp, memory, errors)
        if number != 0:
            raise LaunchError(
                f"{command[0]} cannot be started: {os.strerror(number)}; "
                "is the installation whole?",
                exit_status=125,
            )


_agent: Agent | None = None


def agent() -> Agent:
    """The library, loaded. Raises UsageError where it cannot be."""
    global _agent
    if _agent is None:
        if not sys.platform.startswith("linux"):
            raise UsageError("heaptide records on Linux only")
        _agent = _preloaded() or Agent(ctypes.PyDLL(str(agent_path()), mode=ctypes.RTLD_LOCAL))
        use(_agent.mark)
    return _agent


class Apart:
    """For ``with``, also within itself: what this thread allocates meanwhile is heaptide's own, in
    no measurement, and in no recording but one that samples. What it frees counts."""

    __slots__ = ("_began",)

    def __enter__(self) -> None:
        self._began = _agent is not None and _agent.apart() != 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._began and _agent is not None:
            _agent.back()


def _preloaded() -> Agent | None:
    """That of ``heaptide run``, if it is in this process."""
    try:
        return Agent(ctypes.PyDLL(None))
    except (AttributeError, ValueError):
        return None


def _errors() -> Errors:
    try:
        return Errors()
    except OSError as error:
        raise LaunchError(
            f"no pipe for the recorder's words: {error.strerror}; allow more files (ulimit -n)"
        ) from error


def run_apart(command: Sequence[str]) -> str:
    """Runs a program that is no child of this process to its end; the last line of its stderr."""
    errors = _errors()
    try:
        try:
            agent().spawn(command, errors.writing, errors.writing)
        finally:
            os.close(errors.writing)
        return errors.wait()
    finally:
        errors.close()


class OwnCollector:
    """The collector of a process that records itself: none of its children."""

    def __init__(self, command: Sequence[str], session_fd: int) -> None:
        """Starts ``command``. Raises LaunchError if that fails."""
        self.ended: Ended | None = None
        self.pid = 0
        self._errors = _errors()
        try:
            agent().spawn(command, session_fd, self._errors.writing)
        except BaseException:
            self._errors.close()
            raise
        finally:
            os.close(self._errors.writing)

    def found(self, pid: int) -> None:
        """It has said what its process id is."""
        self.pid = pid

    def poll(self) -> Ended | None:
        """How it ended (with which status is not known), None while it runs."""
        if self.ended is None and (
            self._errors.is_over() or (self.pid != 0 and not runs(self.pid))
        ):
            self.ended = Ended(0)
        return self.ended

    def message(self) -> str:
        """The last line it wrote to its stderr, empty if none."""
        return self._errors.message()

    def resume(self) -> None:
        """Continues it if somebody has stopped it: it could not end."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once: nothing has been recorded that anybody wants."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.pid != 0 and self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        self._errors.close()
