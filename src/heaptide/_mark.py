"""Names for moments of a program, and for parts of its run, in its recording."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from heaptide._async import AsyncToo

Function = TypeVar("Function", bound=Callable[..., Any])


def mark(name: str) -> None:
    """Gives this moment a name in the recording of the program that calls it.

    Does nothing in a program that is not recorded. Of a name, up to 400 bytes of UTF-8 are kept.
    Compiled programs call ``heaptide_mark`` (docs/budgets.md). Raises TypeError: no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"a mark's name is a str, not {type(name).__name__}")
    if _send is not None:
        _send(name.encode("utf-8", "replace"))


class phase(AsyncToo, contextlib.ContextDecorator):  # noqa: N801 - used like a function
    """A part of the run with a name: marks its beginning, and its end as ``NAME: end``.

    For ``with``, ``async with`` and as a decorator. Budgets for a phase of this name hold between
    the two (docs/budgets.md). Where a phase is entered again, they hold for the first time.
    """

    def __init__(self, name: str) -> None:
        """Raises TypeError: no text."""
        if not isinstance(name, str):
            raise TypeError(f"a phase's name is a str, not {type(name).__name__}")
        self.name = name

    def __enter__(self) -> phase:
        mark(self.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        mark(f"{self.name}: end")

    def __call__(self, function: Function) -> Function:
        """Each call of the function, or run of the coroutine, is a phase."""
        import inspect  # slow to import, and rarely needed

        if not inspect.iscoroutinefunction(function):
            return super().__call__(function)

        @functools.wraps(function)
        async def named(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return cast(Function, named)


def use(send: Callable[[bytes], None]) -> None:
    """``send`` is the recorder's function, in a process that has loaded it itself."""
    global _send
    _send = send


def _recorder() -> Callable[[bytes], None] | None:
    """The recorder's function in this process; a child by fork has it too."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            if not any(b"libheaptide" in line for line in maps):
                return None
        import ctypes

        function = ctypes.CDLL(None).heaptide_mark
    except (AttributeError, ImportError, OSError):  # another library; a Python without ctypes
        return None
    function.argtypes = [ctypes.c_char_p]
    function.restype = None
    found: Callable[[bytes], None] = function
    return found


# Not with the first mark: that may be set in a signal handler, where nothing can be imported.
_send = _recorder()
