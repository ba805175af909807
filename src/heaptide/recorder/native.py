"""Where the two native files of the package are, and how the loader is told of the agent."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from heaptide.errors import LaunchError

_FOLDER = Path(__file__).resolve().parent.parent / "_native"


def agent_path() -> Path:
    """The agent's shared library. Raises LaunchError if the installation lacks it."""
    return _existing(_FOLDER / "libheaptide.so")


def collector_path() -> Path:
    """The collector program. Raises LaunchError if the installation lacks it."""
    return _existing(_FOLDER / "heaptide-collector")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise LaunchError(
            f"{path} is missing: this heaptide was not installed but run from its sources; "
            "pip install it",
            exit_status=125,
        )
    return path


class Preload:
    """The agent under a name that ``LD_PRELOAD`` can hold.

    The loader splits the variable at spaces and colons and knows no quotes, so an agent installed
    below such a directory gets a link elsewhere for as long as this object is open.
    """

    def __init__(self, agent: Path | None = None) -> None:
        self.path = agent or agent_path()
        self._folder: str | None = None
        if any(character in str(self.path) for character in " :\t"):
            self._folder = tempfile.mkdtemp(prefix="heaptide-")
            link = Path(self._folder) / self.path.name
            link.symlink_to(self.path)
            self.path = link

    def variable(self, existing: str | None) -> str:
        """The value of ``LD_PRELOAD``: the agent before whatever was there."""
        return f"{self.path}:{existing}" if existing else os.fspath(self.path)

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
