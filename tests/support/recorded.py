"""Recording a command with ``heaptide run``, and what the recording says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from heaptide.recording import Recording

HEAPTIDE = (sys.executable, "-m", "heaptide")


@dataclass(frozen=True)
class Recorded:
    """A command that was recorded: how it ended, and its recording."""

    path: Path
    status: int  # as subprocess has it: negative for a signal
    stdout: str
    stderr: str

    @cached_property
    def summary(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.show("function")["summary"]
        return shown

    def sites(self, by: str = "function") -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = self.show(by)["sites"]
        return shown

    def site(self, function: str) -> dict[str, Any]:
        """The figures of a function, by its whole name; zeros where the recording has none."""
        found = [row for row in self.sites() if row["function"] == function]
        assert len(found) <= 1, found
        return found[0] if found else dict.fromkeys(NUMBERS, 0)

    def show(self, by: str, *options: str) -> dict[str, Any]:
        return _show(self.path, by, options)

    def stacks(self, function: str) -> list[list[str]]:
        """The whole stacks whose innermost named function is ``function``, as lists of function
        names from there outwards, without the allocator's own."""
        found = []
        with Recording.open(self.path) as recording:
            names = recording.frame_names()
            for stack in sorted({int(stack) for stack in recording.contexts.stack}):
                frames = recording.stack_frames(stack)
                path = [name.function for frame in frames for name in names[frame]]
                if path and path[0] == function:
                    found.append(path)
        return found


NUMBERS = (
    "allocations",
    "total_bytes",
    "peak_bytes",
    "alive_at_exit_bytes",
    "temporary_allocations",
)


@lru_cache(maxsize=16)
def _show(path: Path, by: str, options: tuple[str, ...]) -> dict[str, Any]:
    command = [*HEAPTIDE, "show", str(path), "--json", "--by", by, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def record(
    directory: Path,
    command: Sequence[str | Path],
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: str | None = None,
) -> Recorded:
    """Records a command. ``env`` is added to this process's environment."""
    output = directory / f"{len(list(directory.iterdir()))}.tide"
    done = subprocess.run(
        [*HEAPTIDE, "run", "-o", str(output), *options, *map(str, command)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=input,
    )
    return Recorded(output, done.returncode, done.stdout, done.stderr)


class Running:
    """A command under ``heaptide run`` (``output`` given) or plainly (None), in the background.

    A context manager; what is still running at its end is killed.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        output: Path | None,
        options: Sequence[str] = (),
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.output = output
        # Files: nobody reads while a server runs, and a full pipe would stop it.
        self._files = contextlib.ExitStack()
        new = self._files.enter_context
        self._stdout = new(tempfile.TemporaryFile("w+", errors="replace"))  # noqa: SIM115 - entered
        self._stderr = new(tempfile.TemporaryFile("w+", errors="replace"))  # noqa: SIM115 - entered
        prefix = [] if output is None else [*HEAPTIDE, "run", "-o", str(output), *options]
        self.process = subprocess.Popen(
            [*prefix, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._files.close()

    def finish(self) -> Recorded:
        """Waits for its end."""
        status = self.process.wait()
        said = []
        for file in (self._stdout, self._stderr):
            file.seek(0)
            said.append(file.read())
        return Recorded(self.output or Path(), status, said[0], said[1])


def children_of(pid: int, name: str) -> list[int]:
    """Process ids of the direct children of ``pid`` whose name begins with ``name``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            before, _, after = (entry / "stat").read_text().rpartition(") ")
            command = before.partition(" (")[2]
            if int(after.split()[1]) == pid and command.startswith(name[:15]):
                found.append(int(entry.name))
    return found
