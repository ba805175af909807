"""Shows where a program's memory goes, in one stack from Python through Rust, C and C++."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heaptide._mark import mark
from heaptide._version import __version__
from heaptide.errors import HeaptideError

if TYPE_CHECKING:
    from heaptide.recording import Recording

__all__ = ["HeaptideError", "Recording", "__version__", "mark"]


def __getattr__(name: str) -> object:
    # NumPy takes a tenth of a second to import; `heaptide --version` needs none of it.
    if name == "Recording":
        from heaptide.recording import Recording

        return Recording
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
