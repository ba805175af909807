"""The session behind ``heaptide.measure``: begun with the first measurement, paused between them.

Its recording is a file without a name, read only where somebody asks for stacks.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakSet

from heaptide.errors import OutputError, UsageError
from heaptide.inside._agent import WRITE, WRITE_PEAK, Apart, State, agent
from heaptide.inside._changing import changing
from heaptide.inside._session import OwnSession
from heaptide.recorder.session import Config

# Each measurement after a pause is another image of this process in the recording, of which there
# are not endlessly many.
_MOST_PARTS = 1000

_NAME = "measured.tide"
_CONFIG = Config(follow=False, thread_peaks=True)


class Measuring:
    """At most one in a process. Use ``begin`` and ``end`` in pairs, from any thread."""

    def __init__(self) -> None:
        self._session: OwnSession | None = None
        self._file: int | None = None  # a descriptor: the recording has no name
        self._users: WeakSet[object] = WeakSet()
        self._parts = 0

    def begin(self, user: object) -> bool:
        """Makes sure that this process is recorded. False: somebody else records it already.

        ``user`` is one until ``end``, or as long as it lives: no exception of a signal's handler
        can make it stay for ever.
        """
        with changing.beginning():
            self._forget_parents()
            give_up_orphan()
            if self._session is None or not self._is_recording():
                if agent().state is not State.NOT_RECORDED:
                    return False
                self._start()
            elif not self._used() and not self._resume():
                self._stop()
                self._start()
            with Apart():  # it goes while others are measured
                self._users.add(user)
            return True

    def _resume(self) -> bool:
        """False: it takes another session."""
        assert self._session is not None
        if self._parts >= _MOST_PARTS or not self._session.goes_on or not agent().resume():
            return False
        self._parts += 1
        return True

    def end(self, user: object) -> None:
        """One user less, if it was one; the last one pauses the recording."""
        with changing:
            if user not in self._users:
                return
            self._users.discard(user)
            if not self._used() and self._is_recording():
                agent().pause()

    def _used(self) -> bool:
        """A set of weak references counts those that have died as well, if a handler's exception
        came out of what takes them away."""
        return any(True for _ in self._users)

    @property
    def active(self) -> bool:
        """Whether a measurement goes on; or one that an exception cut off as it began, which holds
        on to itself until garbage is collected."""
        return self._is_recording() and self._used()

    def goes_on(self) -> bool:
        """Whether a measurement goes on. Collects garbage if it seems so."""
        if self.active:
            gc.collect()
        return self.active

    def owns(self, session: OwnSession) -> bool:
        return self._session is session

    def fresh(self) -> None:
        """The next measurement begins a session of its own, for who is going to read it."""
        with changing:
            if self._is_recording() and not self._used():
                self._stop()

    def stop(self) -> None:
        """Ends the session: what follows begins another."""
        with changing:
            if self._is_recording():
                self._stop()

    @contextlib.contextmanager
    def into(self, path: Path) -> Iterator[None]:
        """What is measured meanwhile is a recording of its own, at ``path``, whole at the end.

        Raises OutputError, LaunchError; UsageError: a measurement goes on, or somebody else records
        this process.
        """
        with changing.beginning():
            self._forget_parents()
            if self.active or (
                not self._is_recording() and agent().state is not State.NOT_RECORDED
            ):
                raise UsageError("this process is recorded already")
            if self._is_recording():
                self._stop()
            self._start(path)
            self._users.add(self)
        try:
            yield
        finally:
            with changing:
                if self._is_recording():
                    self._stop()

    @contextlib.contextmanager
    def written(self, *, peak: bool = False) -> Iterator[Path | None]:
        """The recording as of now, for reading, with what lived at the ``peak``; None: there is
        none."""
        flags = WRITE | WRITE_PEAK if peak else WRITE
        with changing:
            if self._file is None or not self._is_recording() or not agent().sync(flags):
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
            self._users.clear()
            self._parts = 0
            agent().detach()

    def _start(self, path: Path | None = None) -> None:
        if path is None:
            folder = _private_folder()
            try:
                self._start(folder / _NAME)
            finally:
                # Not rmtree: an exception in the middle of that closes a descriptor twice.
                with contextlib.suppress(OSError):
                    (folder / _NAME).unlink()
                with contextlib.suppress(OSError):
                    folder.rmdir()
            return
        session = OwnSession(path, _CONFIG, force=True)
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            session.abandon()
            raise OutputError(f"{path}: {error.strerror}") from error
        self._session = session
        self._users.clear()
        self._parts = 1

    def _stop(self) -> None:
        # Taken first: a signal's handler may come to this, or its exception out of it.
        session, self._session = self._session, None
        assert session is not None
        try:
            session.end()
        finally:
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


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
        except BaseException:  # a signal's, after it has been made
            with contextlib.suppress(OSError):
                path.rmdir()
            raise
        else:
            return path
    reasons = "; ".join(f"{base}: {why}" for base, why in tried.items())
    raise OutputError(f"no folder for what is measured ({reasons}); set TMPDIR to one")


measuring = Measuring()


def give_up_orphan() -> None:
    """Ends a session that nobody has: an exception came between its beginning and that."""
    session = OwnSession.latest
    if session is not None and session.is_own and not any(owns(session) for owns in owners):
        session.abandon()


# Whether a session is theirs.
owners: list[Callable[[OwnSession], bool]] = [measuring.owns]
