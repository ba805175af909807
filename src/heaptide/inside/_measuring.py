"""The session behind ``heaptide.measure``: begun with the first measurement, paused between them.

Its recording is a file without a name, read only where somebody asks for stacks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from heaptide.errors import OutputError, UsageError
from heaptide.inside._agent import WRITE, State, agent
from heaptide.inside._session import OwnSession
from heaptide.recorder.session import Config

# Each measurement after a pause is another image of this process in the recording, of which there
# are not endlessly many.
_MOST_PARTS = 1000

_CONFIG = Config(follow=False, thread_peaks=True)


class Measuring:
    """At most one in a process. Use ``begin`` and ``end`` in pairs, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._session: OwnSession | None = None
        self._file: int | None = None  # a descriptor: the recording has no name
        self._users = 0
        self._parts = 0

    def begin(self) -> bool:
        """Makes sure that this process is recorded. False: somebody else records it already."""
        with self._lock:
            self._forget_parents()
            if self._session is None or not self._is_recording():
                if agent().state is not State.NOT_RECORDED:
                    return False
                self._start()
            elif self._users == 0 and not self._resume():
                self._stop()
                self._start()
            self._users += 1
            return True

    def _resume(self) -> bool:
        """False: it takes another session."""
        assert self._session is not None
        if self._parts >= _MOST_PARTS or not self._session.goes_on or not agent().resume():
            return False
        self._parts += 1
        return True

    def end(self) -> None:
        """One user less; the last one pauses the recording."""
        with self._lock:
            if not self._is_recording():
                return
            self._users -= 1
            if self._users == 0:
                agent().pause()

    @property
    def active(self) -> bool:
        """Whether a measurement goes on."""
        return self._is_recording() and self._users > 0

    def fresh(self) -> None:
        """The next measurement begins a session of its own, for who is going to read it."""
        with self._lock:
            if self._is_recording() and self._users == 0:
                self._stop()

    def stop(self) -> None:
        """Ends the session: what follows begins another."""
        with self._lock:
            if self._is_recording():
                self._stop()

    @contextlib.contextmanager
    def into(self, path: Path) -> Iterator[None]:
        """What is measured meanwhile is a recording of its own, at ``path``, whole at the end.

        Raises OutputError, LaunchError; UsageError: a measurement goes on, or somebody else records
        this process.
        """
        with self._lock:
            self._forget_parents()
            if self.active or (
                not self._is_recording() and agent().state is not State.NOT_RECORDED
            ):
                raise UsageError("this process is recorded already")
            if self._is_recording():
                self._stop()
            self._start(path)
            self._users = 1
        try:
            yield
        finally:
            with self._lock:
                if self._is_recording():
                    self._stop()

    @contextlib.contextmanager
    def written(self) -> Iterator[Path | None]:
        """The recording as of now, for reading; None: there is none."""
        with self._lock:
            if self._file is None or not self._is_recording() or not agent().sync(WRITE):
                yield None
            else:
                yield Path(f"/proc/self/fd/{self._file}")

    def _is_recording(self) -> bool:
        return self._session is not None and self._session.is_own

    def _forget_parents(self) -> None:
        """After a fork, what the parent measures is not this process's."""
        if self._session is not None and not self._session.is_own:
            self._session.forget()
            self._session = None
            self._close_file()
            self._users = self._parts = 0
            agent().detach()

    def after_fork(self) -> None:
        """In the child: what another thread of the parent has locked stays so."""
        self._lock = threading.RLock()

    def _start(self, path: Path | None = None) -> None:
        if path is None:
            folder = _private_folder()
            try:
                self._start(folder / "measured.tide")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return
        session = OwnSession(path, _CONFIG, force=True)
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            session.abandon()
            raise OutputError(f"{path}: {error.strerror}") from error
        self._session = session
        self._users, self._parts = 0, 1

    def _stop(self) -> None:
        assert self._session is not None
        self._session.end()
        self._session = None
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _private_folder() -> Path:
    """A new one that nobody else can look into. Without the tempfile module, whose lock a child by
    fork may find held for ever. Raises OutputError."""
    tried: dict[str, str] = {}
    for base in (os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp", "/dev/shm"):
        path = Path(base) / f"heaptide-{os.urandom(8).hex()}"
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            tried[base] = error.strerror or str(error)
        else:
            return path
    reasons = "; ".join(f"{base}: {why}" for base, why in tried.items())
    raise OutputError(f"no folder for what is measured ({reasons}); set TMPDIR to one")


measuring = Measuring()
os.register_at_fork(after_in_child=measuring.after_fork)
