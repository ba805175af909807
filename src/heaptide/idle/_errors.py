"""The error of a start that could not be measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.errors import HeaptideError

if TYPE_CHECKING:
    from ._log import Log


class StartError(HeaptideError):
    """A program did not become ready, ended, or could not be ended.

    ``tail``: the last lines that it, or the command that failed, has printed; ``kept``: the file
    with all of it, once there is one.
    """

    def __init__(self, message: str, output: Log | None = None) -> None:
        super().__init__(message)
        self.output = output
        self.tail = output.tail() if output is not None else []
        self.kept: Path | None = None

    def place(self, where: str) -> None:
        """Says in which start it was."""
        self.message = f"{where}: {self.message}"
