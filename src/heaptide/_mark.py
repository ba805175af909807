"""Names for moments of a program, in its recording."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache


def mark(name: str) -> None:
    """Gives this moment a name in the recording of the program that calls it.

    Does nothing in a program that is not recorded. Of a name, up to 400 bytes of UTF-8 are kept.
    Compiled programs call ``heaptide_mark`` (docs/budgets.md).
    """
    function = _recorder()
    if function is not None:
        function(name.encode("utf-8", "replace"))


@cache
def _recorder() -> Callable[[bytes], None] | None:
    """The recorder's function in this process; a child by fork has it too."""
    try:
        import ctypes

        function = ctypes.CDLL(None).heaptide_mark
    except (AttributeError, ImportError, OSError):  # not recorded, or a Python without ctypes
        return None
    function.argtypes = [ctypes.c_char_p]
    function.restype = None
    found: Callable[[bytes], None] = function
    return found
