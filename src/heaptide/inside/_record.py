"""``heaptide.record``: this process into a file, from a moment of its own choice to another."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from pathlib import Path
from types import TracebackType

from heaptide.errors import HeaptideError, LaunchError, OutputError, UsageError
from heaptide.inside._agent import State, agent, run_apart
from heaptide.inside._changing import changing
from heaptide.inside._measuring import give_up_orphan, measuring, owners
from heaptide.inside._session import OwnSession
from heaptide.recorder.output import default_output
from heaptide.recorder.session import Config

_current: Recorder | None = None


class Recorder:
    """A recording of this process: ``start`` and ``stop``, or a ``with`` block. For one time.

    All threads are recorded, and child processes too unless ``follow`` is false. What was
    allocated before is not known: its frees are none. In a child by ``fork`` it is void.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        force: bool = False,
        python_objects: bool = True,
        native: str = "auto",
        sample: int = 0,
        follow: bool = True,
        max_size: int | None = None,
        symbols: bool = True,
    ) -> None:
        """Options as of ``heaptide run``; sizes in bytes. Without ``path``, a name is made up.

        ``symbols``: function names of native code are found when it stops, by another process.
        Raises UsageError: ``native`` is none of auto, all, off, or a size is negative.
        """
        if native not in ("auto", "all", "off"):
            raise UsageError(f"native={native!r}: it is one of auto, all, off")
        if sample < 0 or (max_size is not None and max_size <= 0):
            raise UsageError("sample and max_size are numbers of bytes, above 0")
        self.path = default_output(_program()) if path is None else Path(path)
        self._force = force
        self._symbols = symbols
        self._config = Config(
            python_objects=python_objects,
            native=native,
            sample_interval=sample,
            follow=follow,
            max_size=max_size,
        )
        self._session: OwnSession | None = None
        self._ended = False

    @property
    def recording(self) -> bool:
        """Whether it goes on, in this process."""
        return self._session is not None and self._session.is_own

    def start(self) -> Recorder:
        """Begins. Raises UsageError: it has begun before, or this process is recorded already;
        OutputError: the file exists (without ``force``) or cannot be written; LaunchError."""
        global _current
        with changing.beginning():
            if self.recording:
                raise UsageError(f"{self.path} is being recorded already: stop it first")
            if self._ended:
                raise UsageError(f"{self.path} has been recorded: make another recorder")
            _refuse_second()
            if not self._force and self.path.is_file():
                raise OutputError(
                    f"{self.path} exists; choose another name, or overwrite it with force=True"
                )
            measuring.stop()
            self._session = OwnSession(self.path.absolute(), self._config, force=self._force)
            _current = self
            atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Ends the recording, and makes it whole. Does nothing if it has not begun or has ended.

        A recording that ends early (a full disk, ``max_size``) is told by a RuntimeWarning.
        """
        global _current
        with changing:
            session, self._session = self._session, None
            if session is None:
                return
            if not session.is_own:
                session.forget()
                return
            self._ended = True
            _current = None
            atexit.unregister(self.stop)
            session.leave()
        # Others need not wait for that, and an interrupt does not undo it.
        problem = session.end()
        if self._symbols:
            _find_names(self.path.absolute())
        if problem:
            warnings.warn(f"heaptide: {problem}", RuntimeWarning, stacklevel=2)

    def __enter__(self) -> Recorder:
        try:
            return self.start()
        except HeaptideError:
            raise
        except BaseException:  # a signal's, perhaps after it has begun
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def record(
    path: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    python_objects: bool = True,
    native: str = "auto",
    sample: int = 0,
    follow: bool = True,
    max_size: int | None = None,
    symbols: bool = True,
) -> Recorder:
    """A recorder of this process: ``with heaptide.record("x.tide"):``, or ``.start()`` and
    ``.stop()``. Options as of ``heaptide run``; see ``Recorder``."""
    return Recorder(
        path,
        force=force,
        python_objects=python_objects,
        native=native,
        sample=sample,
        follow=follow,
        max_size=max_size,
        symbols=symbols,
    )


def _owns(session: OwnSession) -> bool:
    return _current is not None and _current._session is session


owners.append(_owns)


def _refuse_second() -> None:
    give_up_orphan()
    state = agent().state
    if state is State.RECORDED:
        raise UsageError(
            "this process is recorded by heaptide run already: mark moments of that recording "
            "with heaptide.mark"
        )
    if measuring.goes_on():
        raise UsageError(
            "a measurement of this process goes on: a recording cannot begin in the middle"
        )
    latest = OwnSession.latest
    if state is State.RECORDS_ITSELF and (latest is None or not latest.is_own):
        raise UsageError("this process is part of its parent's recording already")
    if _current is not None and _current.recording:
        raise UsageError(
            f"this process is being recorded into {_current.path} already: stop that first, or "
            "mark moments of it with heaptide.mark"
        )


def _find_names(path: Path) -> None:
    """A recording without them is readable all the same, so nothing here is worth an error."""
    if not sys.executable:
        return
    try:
        run_apart([sys.executable, "-m", "heaptide", "symbolize", "--quiet", os.fspath(path)])
    except LaunchError:
        return


def _program() -> str:
    name = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    return name or "python"
