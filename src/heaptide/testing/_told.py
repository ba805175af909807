"""What the process of one test tells whoever asked for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from warnings import WarningMessage

import pytest

from heaptide.testing._results import PROPERTY, TestResult


@dataclass
class Warned:
    """A warning of a test; ``category`` with its ``module``."""

    text: str
    category: str
    module: str
    file: str
    line: int

    def message(self) -> WarningMessage:
        """As pytest takes it; the category is one of this name, which need not exist here."""
        kind = type(self.category, (Warning,), {"__module__": self.module})
        return WarningMessage(kind(self.text), kind, self.file, self.line)


@dataclass
class Told:
    """``failed``: texts of reports. ``skipped``: file, line and reason. ``xfailed``: the reason.

    ``sections``: titles and texts of what was captured.
    """

    result: dict[str, Any] | None = None
    failed: list[str] = field(default_factory=list)
    skipped: tuple[str, int, str] | None = None
    xfailed: str | None = None
    sections: list[tuple[str, str]] = field(default_factory=list)
    properties: list[tuple[str, Any]] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)

    def add(self, report: pytest.TestReport) -> None:
        """Each report of an item has the sections and properties of those before it."""
        self.sections = list(report.sections)
        self.properties = [one for one in report.user_properties if one[0] != PROPERTY]
        longrepr = report.longrepr
        if hasattr(report, "wasxfail"):
            if report.skipped:
                self.xfailed = report.wasxfail.removeprefix("reason: ")
        elif report.skipped and isinstance(longrepr, tuple):
            file, line, reason = longrepr
            self.skipped = file, line, reason.removeprefix("Skipped: ")
        elif report.failed and not str(longrepr).startswith("[XPASS(strict)]"):
            self.failed.append(report.longreprtext)  # who asked knows itself what had to fail

    def warn(self, one: WarningMessage) -> None:
        kind = one.category
        self.warnings.append(
            Warned(str(one.message), kind.__name__, kind.__module__, one.filename, one.lineno)
        )

    def write(self, path: Path, results: list[TestResult]) -> None:
        if results:
            self.result = asdict(results[-1])
            if results[-1].status != "ok":  # its problems are told by who asked
                self.failed, self.xfailed = [], None
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Told | None:
        """None: there is nothing whole."""
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None
        found.warnings = [Warned(**one) for one in found.warnings]  # type: ignore[arg-type]
        return found
