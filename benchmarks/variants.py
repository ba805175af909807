"""Ways to run a command: plainly, under heaptide, under the tools that do the same job."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEAPTIDE = (sys.executable, "-m", "heaptide")


@dataclass(frozen=True)
class Variant:
    """How to run a command. ``missing`` says why it cannot be, empty if it can."""

    name: str
    tool: str
    options: tuple[str, ...] = ()
    own: bool = False  # heaptide's; others are there to compare with
    goal: float | None = None  # ratio to reach, of `goal_of`
    goal_of: str = "inner_wall"
    all_cpu_goal: float | None = None

    def missing(self) -> str:
        if self.tool == "memray" and importlib.util.find_spec("memray") is None:
            return "memray is not installed beside heaptide (pip install memray)"
        if self.tool == "heaptrack" and shutil.which("heaptrack") is None:
            return "heaptrack is not installed"
        return ""

    def command(self, program: Sequence[str], output: Path) -> list[str]:
        """``program`` run in this way; what is recorded goes to ``output``."""
        if self.tool == "heaptide":
            # Symbols are looked up when the recording is over: they are not its cost.
            quiet = ("-q", "-f", "--no-symbols", "-o", str(output))
            return [*HEAPTIDE, "run", *quiet, *self.options, *program]
        if self.tool == "memray":
            options = ("run", "-q", "-f", "-o", str(output), *self.options)
            return [sys.executable, "-m", "memray", *options, *program[1:]]
        if self.tool == "heaptrack":
            return ["heaptrack", *self.options, "-o", str(output), *program]
        if self.tool == "tracemalloc":
            return [program[0], "-X", "tracemalloc=1", *program[1:]]
        return list(program)


PLAIN = Variant("plain", "plain")


def heaptide(
    *options: str,
    goal: float | None = None,
    goal_of: str = "inner_wall",
    all_cpu_goal: float | None = None,
) -> Variant:
    name = " ".join(("heaptide", *options))
    return Variant(name, "heaptide", options, True, goal, goal_of, all_cpu_goal)


def memray(*options: str) -> Variant:
    return Variant(" ".join(("memray", *options)), "memray", options)


HEAPTRACK = Variant("heaptrack", "heaptrack")
TRACEMALLOC = Variant("tracemalloc, 1 frame", "tracemalloc")
OBJECTS = "--trace-python-allocators"
