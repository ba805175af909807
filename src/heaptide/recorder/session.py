"""One recording as it is being made: the shared memory, the collector, their live figures."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from heaptide._procfs import runs
from heaptide.errors import LaunchError
from heaptide.recorder import _wire
from heaptide.recorder._wire import ConfigFlag, Error, ProcessState, State
from heaptide.recorder.child import Ended
from heaptide.recorder.collector import Collector, CollectorProcess
from heaptide.recorder.native import Preload, collector_path
from heaptide.recorder.output import Claim, claim

_POLL_SECONDS = 0.002
_START_SECONDS = 0.0003
# Longer than any disk keeps a write waiting that will still succeed.
_PATIENCE_SECONDS = 60.0
_RECORDER_FAILED = 125


@dataclass(frozen=True)
class Config:
    """What to record. ``sample_interval`` in bytes, 0: every allocation; times in seconds."""

    python_objects: bool = True
    native: str = "auto"  # auto, all or off
    sample_interval: int = 0
    follow: bool = True
    usable_sizes: bool = False
    thread_peaks: bool = False  # what heaptide.measure asks for of a thread
    start_after: float = 0.0
    duration: float | None = None
    max_size: int | None = None  # bytes of the recording

    def flags(self) -> ConfigFlag:
        """As the agent reads them."""
        flags = ConfigFlag(0)
        if self.python_objects:
            flags |= ConfigFlag.PYTHON_OBJECTS
        if self.native == "auto":
            flags |= ConfigFlag.NATIVE_AUTO
        elif self.native == "all":
            flags |= ConfigFlag.NATIVE_ALL
        if self.follow:
            flags |= ConfigFlag.FOLLOW
        if self.usable_sizes:
            flags |= ConfigFlag.USABLE_SIZE
        if self.thread_peaks:
            flags |= ConfigFlag.THREAD_PEAKS
        return flags


@dataclass(frozen=True)
class Live:
    """The collector's figures of the moment: bytes, nanoseconds, counts since the start."""

    state: State
    live_bytes: int
    live_blocks: int
    peak_bytes: int
    peak_time_ns: int
    allocations: int
    deallocations: int
    reallocations: int
    total_bytes: int
    elapsed_ns: int
    file_bytes: int
    rss_bytes: int
    collector_rss_bytes: int
    processes_live: int
    threads_live: int
    lost_events: int
    processes_refused: int
    rings_refused: int


class Session:
    """Shared memory and collector of one recording, written to ``output``.

    A context manager: leaving it with an exception before ``finish`` ends the collector and removes
    the recording that was begun.
    """

    def __init__(
        self,
        output: Path,
        config: Config,
        command: Sequence[str],
        *,
        force: bool = False,
        start: Callable[[Sequence[str], int], CollectorProcess] = Collector,
        root: int = 0,
    ) -> None:
        """Starts the collector, by ``start``, and waits until it is ready.

        ``root``: the process that is recorded, where that runs already.
        Raises OutputError if ``output`` exists (without ``force``) or cannot be written,
        LaunchError if the collector cannot be had.
        """
        self.output = output
        self.config = config
        self.collector: CollectorProcess | None = None
        program = collector_path()
        self._preload = Preload()
        try:
            self._fd, self._memory = _shared_memory(config)
        except BaseException:
            self._preload.close()
            raise
        self._claim: Claim | None = None
        try:
            self._set("root_pid", root)
            with _interrupts_held():
                self._claim = claim(output, force)
            self.collector = start(_collector_command(program, output, config, command), self._fd)
            self._wait_until_ready(self.collector)
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and not self._get("finish"):
            self.abandon()
        else:
            self.close()

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """``base`` plus what makes a program load the agent and find this session."""
        return {
            **base,
            "LD_PRELOAD": self._preload.variable(base.get("LD_PRELOAD")),
            "HEAPTIDE_SESSION": self.memory_path(),
        }

    def memory_path(self) -> str:
        """Where processes of the session find its memory."""
        return f"/proc/{self._get('collector_pid')}/fd/{_wire.SESSION_FD}"

    def collector_pid(self) -> int:
        """Its process id."""
        return self._get("collector_pid")

    def in_place(self) -> bool:
        """Whether what is recorded is in the file at ``output``."""
        return self._claim is not None and self._claim.is_there()

    def started(self, pid: int) -> None:
        """Tells the collector which process the recording is about."""
        self._set("root_pid", pid)
        if self._claim is not None:
            self._claim.keep()

    def live(self) -> Live:
        """The figures of the moment; also after the collector has ended."""
        figures = {name: self._get(name) for name in Live.__dataclass_fields__ if name != "state"}
        return Live(state=State(self._get("state")), **figures)

    def processes_seen(self) -> int:
        """How many process images have registered so far, up to the most at one time."""
        return self._get("processes_used")

    def running(self) -> list[int]:
        """Process ids of the recorded processes that run at this moment."""
        state, pid = _wire.PROCESS["state"], _wire.PROCESS["pid"]
        result = []
        for slot in range(min(self._get("processes_used"), _wire.MAX_PROCESSES)):
            base = _wire.PROCESSES_OFFSET + slot * _wire.PROCESS_BYTES
            (at,) = struct.unpack_from(state.format, self._memory, base + state.offset)
            (number,) = struct.unpack_from(pid.format, self._memory, base + pid.offset)
            if at in (ProcessState.LIVE, ProcessState.EXEC) and runs(number):
                result.append(number)
        return result

    def error(self) -> tuple[Error, str]:
        """What ended the recording early, and the collector's line about it."""
        return Error(self._get("error")), self._error_text()

    def finish(self) -> None:
        """The program has ended: the collector is to write what is left, and to end."""
        self._set("finish", 1)
        if self.collector is not None:
            self.collector.resume()

    def collector_ended(self) -> bool:
        """Whether the collector runs no more."""
        return self.collector is None or self.collector.poll() is not None

    def is_whole(self) -> bool:
        """Whether the collector came to ending the recording, whatever for."""
        return bool(self._get("state") == State.STOPPED)

    def wait_finished(self, patience: float = _PATIENCE_SECONDS) -> Ended:
        """Waits for the collector's end, as long as it gets anywhere.

        A collector that neither counts its heartbeat on nor writes for ``patience`` seconds is
        killed: the file stands as it last wrote it.
        """
        assert self.collector is not None
        last, since = self._progress(), time.monotonic()
        while (ended := self.collector.poll()) is None:
            time.sleep(_POLL_SECONDS)
            now = self._progress()
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                self.collector.kill()
        return ended

    def _progress(self) -> tuple[int, int]:
        return self._get("heartbeat"), self.output.stat().st_size if self.output.exists() else 0

    def abandon(self) -> None:
        """Throws the recording away."""
        if self.collector is not None:
            self.collector.kill()
        if self._claim is not None:
            self._claim.give_up()
        self.close()

    def close(self) -> None:
        """Gives back descriptors; a collector that still runs goes on without us."""
        if self.forget():
            self._preload.close()

    def forget(self) -> bool:
        """``close`` in a child by fork: files stay, they are the parent's. False: that is done."""
        if self._memory.closed:
            return False
        if self.collector is not None:
            self.collector.close()
        self._memory.close()
        fd, self._fd = self._fd, -1
        os.close(fd)
        return True

    def _wait_until_ready(self, collector: CollectorProcess) -> None:
        since = time.monotonic()
        while self._get("state") == State.STARTING:
            if time.monotonic() - since > _PATIENCE_SECONDS:
                raise LaunchError(
                    f"the collector has not become ready within {_PATIENCE_SECONDS:.0f} s",
                    exit_status=_RECORDER_FAILED,
                )
            if collector.poll() is not None:
                text = self._error_text() or collector.message()
                raise LaunchError(
                    text or f"the collector ended before it was ready: {collector.ended}",
                    exit_status=_RECORDER_FAILED,
                )
            time.sleep(_START_SECONDS)

    def _error_text(self) -> str:
        field = _wire.HEADER["error_text"]
        (raw,) = struct.unpack_from(field.format, self._memory, field.offset)
        return bytes(raw).split(b"\0", 1)[0].decode(errors="replace").strip()

    def _get(self, name: str) -> int:
        field = _wire.HEADER[name]
        return int(struct.unpack_from(field.format, self._memory, field.offset)[0])

    def _set(self, name: str, value: int) -> None:
        # In one piece: struct.pack_into writes zeros first, and the collector reads at any time.
        field = _wire.HEADER[name]
        raw = struct.pack(field.format, value)
        self._memory[field.offset : field.offset + len(raw)] = raw


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keeps an interrupt until the end of the block."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _shared_memory(config: Config) -> tuple[int, mmap.mmap]:
    """The session's memfd with its header filled in: its descriptor, and a mapping of header
    and process slots."""
    try:
        fd = os.memfd_create("heaptide", os.MFD_CLOEXEC)
    except OSError as error:
        raise LaunchError(
            f"no shared memory for the recording: {error.strerror}", exit_status=_RECORDER_FAILED
        ) from error
    try:
        os.ftruncate(fd, _wire.SESSION_BYTES)
        memory = mmap.mmap(fd, _wire.RING_HEADERS_OFFSET)
    except (OSError, ValueError) as error:
        os.close(fd)
        raise LaunchError(
            f"no shared memory for the recording: {error}; is there a limit (ulimit -f)?",
            exit_status=_RECORDER_FAILED,
        ) from error
    values = {
        "magic": _wire.MAGIC,
        "version": _wire.VERSION,
        "config": int(config.flags()),
        "sample_interval": config.sample_interval,
    }
    for name, value in values.items():
        field = _wire.HEADER[name]
        struct.pack_into(field.format, memory, field.offset, value)
    return fd, memory


def _seconds(value: float) -> str:
    """At most thirty years: more nanoseconds than that the collector does not count."""
    return f"{min(value, 1e9):.9f}"


def _collector_command(
    program: Path, output: Path, config: Config, command: Sequence[str]
) -> list[str]:
    """The collector's command line."""
    words = [os.fspath(program), "--output", os.fspath(output)]
    if config.start_after:
        words += ["--start-after", _seconds(config.start_after)]
    if config.duration is not None:
        words += ["--duration", _seconds(config.duration)]
    if config.max_size is not None:
        words += ["--max-size", str(config.max_size)]
    return [*words, "--", *command]
