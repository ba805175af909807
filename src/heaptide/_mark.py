"""Names for moments of a program, in its recording."""

from __future__ import annotations

from collections.abc import Callable


def mark(name: str) -> None:
    """Gives this moment a name in the recording of the program that calls it.

    Does nothing in a program that is not recorded. Of a name, up to 400 bytes of UTF-8 are kept.
    Compiled programs call ``heaptide_mark`` (docs/budgets.md). Raises TypeError: no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"a mark's name is a str, not {type(name).__name__}")
    if _send is not None:
        _send(name.encode("utf-8", "replace"))


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
