"""Files of other profilers: read as recordings, and written of them. One module a format.

``open_recording(path)`` opens anything that can be read; ``write(profile, by_name("pprof"), path)``
writes.
"""

from __future__ import annotations

from ._builder import Builder, Function
from ._convert import check_target, write
from ._open import open_recording, readable
from ._registry import FORMATS, Format, by_name, by_suffix, detect, writable

__all__ = [
    "FORMATS",
    "Builder",
    "Format",
    "Function",
    "by_name",
    "by_suffix",
    "check_target",
    "detect",
    "open_recording",
    "readable",
    "writable",
    "write",
]
