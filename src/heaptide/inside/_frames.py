"""Stacks of a measured block, as they are handed out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A place in code. Of native code without symbols, ``function`` is an address."""

    function: str
    file: str  # "": not known
    line: int  # from 1; 0: not known
    own: bool  # the user's own code, not a library's or the interpreter's

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.function} ({where})" if where else self.function


@dataclass(frozen=True)
class Stack:
    """What came from one stack. ``frames``: innermost first; blocks and bytes."""

    frames: tuple[Frame, ...]
    bytes: int  # allocated in total
    allocations: int
    live: int  # of these (below 0: what was there before and has gone)
    live_blocks: int

    @property
    def place(self) -> Frame | None:
        """The innermost frame of the user's own code, else the innermost with a line."""
        lined = [frame for frame in self.frames if frame.line]
        return next((frame for frame in lined if frame.own), lined[0] if lined else None)
