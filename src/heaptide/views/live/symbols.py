"""Names for native frames while a recording grows: found in a thread of their own, kept.

A look at the screen never waits for them. The thread has the lowest priority, and rests after each
search for as long as it took.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide.recording import FrameKind, Symbols
from heaptide.symbols._native import Module, NativeResolver, Resolved

if TYPE_CHECKING:
    from heaptide.recording import FrameName, Recording
    from heaptide.symbols._debugfiles import DebugFiles
    from heaptide.symbols._elf import ElfFile

_NICE = 19
_LEAST_REST_SECONDS = 1.0
_KEPT_DEBUG_BYTES = 512 << 20  # of files whose converted debug information is kept


class _Remembering(NativeResolver):
    """Asks for each address once, and converts each debug file once."""

    def __init__(self, debug_files: DebugFiles | None = None) -> None:
        super().__init__(debug_files)
        self._known: dict[Module, dict[int, tuple[FrameName, ...]]] = {}
        self._last: dict[Module, Resolved] = {}
        self._debug: dict[str, Any] = {}
        self._debug_bytes = 0

    def resolve(self, module: Module, addresses: Iterable[int]) -> Resolved:
        known = self._known.setdefault(module, {})
        wanted = set(addresses)
        fresh = wanted - known.keys()
        if fresh or module not in self._last:
            found = self._last[module] = super().resolve(module, fresh)
            known.update({address: found.functions.get(address, ()) for address in fresh})
        functions = {address: known[address] for address in wanted if known[address]}
        return self._last[module]._replace(functions=functions)

    def _open_debug(self, debug: ElfFile) -> Any:
        status = debug.path.stat()
        key = f"{debug.path} {status.st_size} {status.st_mtime_ns}"
        if key not in self._debug:
            self._debug_bytes += status.st_size
            if self._debug_bytes > _KEPT_DEBUG_BYTES:
                self._debug.clear()
                self._debug_bytes = status.st_size
            self._debug[key] = super()._open_debug(debug)
        return self._debug[key]


class SymbolFinder:
    """``offer`` it each look; ``attach`` gives a recording the names found so far."""

    def __init__(self) -> None:
        self.version = 0  # counts up when there are more names
        self.cpu_seconds = 0.0
        self.failure: Exception | None = None
        self._resolver = _Remembering()
        self._condition = threading.Condition()
        self._offered: Recording | None = None
        self._done = 0  # native frames that were looked for
        self._table: tuple[Symbols, int] | None = None  # and the number of frames it is about
        self._stopped = False
        self._thread: threading.Thread | None = None

    def offer(self, recording: Recording) -> None:
        """Looks for names of frames that are new. Returns at once."""
        native = int((recording.frames.kind == FrameKind.NATIVE).sum())
        with self._condition:
            if native <= self._done or (recording.symbols is not None and self._table is None):
                return
            self._offered = recording
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="symbols", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def forget(self) -> None:
        """The frames are those of another recording from here on."""
        with self._condition:
            self._table, self._offered, self._done = None, None, 0
            self.version += 1

    def attach(self, recording: Recording) -> None:
        """Gives a recording without names of its own those that were found, in their stead."""
        with self._condition:
            found = self._table
        if found is None or found[1] > len(recording.frames) or recording.compacted:
            return
        table, frames = found
        more = len(recording.frames) - frames
        offsets = np.append(table.offsets, np.full(more, table.offsets[-1]))
        columns = {name: column for name, column in vars(table).items() if name != "offsets"}
        vars(recording)["symbols"] = Symbols(offsets=offsets, **columns)

    def wait_until_idle(self, patience: float = 60.0) -> bool:
        """Waits until everything offered was looked for; whether that came true."""
        deadline = time.monotonic() + patience
        with self._condition:
            while self._offered is not None:
                if not self._condition.wait(max(deadline - time.monotonic(), 0)):
                    return False
        return True

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            with self._condition:
                while self._offered is None and not self._stopped:
                    self._condition.wait()
                if self._stopped:
                    return
                recording, version = self._offered, self.version
            assert recording is not None
            before, begun = time.thread_time(), time.monotonic()
            try:
                table = recording.named(self._resolver).symbols
            except Exception as error:  # the view lives on without names
                self.failure = error
                table = None
            self.cpu_seconds += time.thread_time() - before
            with self._condition:
                if self.version == version:
                    self._done = int((recording.frames.kind == FrameKind.NATIVE).sum())
                    if table is not None:
                        self._table = (table, len(recording.frames))
                        self.version += 1
                if self._offered is recording:
                    self._offered = None
                self._condition.notify_all()
                if not self._stopped:
                    rest = max(time.monotonic() - begun, _LEAST_REST_SECONDS)
                    self._condition.wait_for(lambda: self._stopped, rest)
