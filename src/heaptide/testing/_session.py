"""The plugin at work: which tests are measured and how, and what is said of them at the end."""

from __future__ import annotations

import functools
import json
import os
import warnings
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from heaptide._write import add_to_job_summary, write_file
from heaptide.budgets import parse_limit
from heaptide.errors import HeaptideError, UsageError
from heaptide.testing._baseline import Growth, Tolerance
from heaptide.testing._environment import environment, fingerprint
from heaptide.testing._existing import Existing
from heaptide.testing._isolate import SKIPPED_AT, set_up_nothing
from heaptide.testing._project import Project
from heaptide.testing._results import PROPERTY, TestResult, results_of
from heaptide.testing._settings import Settings, limits_of_lines, settings_of, with_options
from heaptide.testing._summary import markdown, print_summary, workflow_warnings
from heaptide.testing._told import Told
from heaptide.testing._words import figures_of_entry

JSON_VERSION = 1
_NAMED = 5  # tests in a line


class Session:
    """A plugin of its own, registered when a test is measured, or results may come from workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        self._results: dict[str, TestResult] = {}
        self._told = Told()  # in a process for one test
        self._updated = ""  # what has become of the baseline
        self._failures: list[str] = []  # of writing files
        self._existing = Existing(config)
        config.pluginmanager.register(self._existing, "heaptide-existing")
        try:
            self.project = _project(config)
            len(self.project.baseline)  # read, so that it is told now if it cannot be
        except UsageError as error:
            raise pytest.UsageError(f"memory: {error}") from None

    def header(self) -> str | None:
        """A line about the baseline, where there is one."""
        path = self.project.baseline_path
        if not (self.project.updating or path.exists()):
            return None
        count = 0 if self.project.updating else len(self.project.baseline)
        what = "to be written" if self.project.updating else f"{count} tests"
        shown = os.path.relpath(path, self._config.rootpath)
        return f"memory: baseline {shown} ({what}), environment {fingerprint()}"

    def take(self, item: pytest.Item) -> None:
        """Measures the item, if anything is asked of it. Raises pytest.UsageError."""
        marked = item.get_closest_marker("memory") is not None
        try:
            settings = settings_of(item, self._defaults(item))
        except UsageError as error:
            raise pytest.UsageError(f"memory: {error}") from None
        if not isinstance(item, pytest.Function):
            if marked:
                raise pytest.UsageError(f"memory: {item.nodeid} is no function: it has no body")
            return
        from heaptide.testing import _benchmark
        from heaptide.testing._run import MeasuredTest

        if _benchmark.FIXTURE in item.fixturenames:
            try:
                _benchmark.take(item, settings, marked=marked)
            except UsageError as error:
                raise pytest.UsageError(f"memory: {error}") from None
            return
        if not (marked or settings.limits or self.project.all):
            return
        test = MeasuredTest(item, settings, self.project, item.runtest)
        item.runtest = functools.partial(test)  # type: ignore[method-assign]
        if settings.isolate and self.project.isolated is None:
            set_up_nothing(item)

    def _defaults(self, item: pytest.Item) -> Settings:
        """What the project says of the item, its conftest files included. Raises UsageError."""
        own: dict[str, Any] = {}
        where = "--memory-limit" if self._config.option.memory_limit else "memory_limits"
        hook = f"pytest_heaptide_limits for {item.nodeid}"
        for found in reversed(item.ihook.pytest_heaptide_limits(item=item)):
            if not isinstance(found, Mapping):
                raise UsageError(f"{hook}: {found!r} is no dictionary of limits")
            own.update(found)
        try:
            return self.project.defaults_for(item.path, own)
        except UsageError as error:
            raise UsageError(f"{hook if own else where}: {error.message}") from None

    # ----------------------------------------------------------------------------- reports

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for result in results_of(report.user_properties):
            self._results[result.test] = result
        if not self._is_worker:  # what else writes properties is to write those for people only
            report.user_properties[:] = [
                one for one in report.user_properties if one[0] != PROPERTY
            ]
        if self.project.isolated is not None:
            self._told.add(report)

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str) -> None:
        if when == "runtest":
            self._told.warn(warning_message)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A test that was skipped in its own process was so at a line of its own."""
        report = yield
        where = item.stash.get(SKIPPED_AT, None)
        if where is not None and report.when == "call" and isinstance(report.longrepr, tuple):
            report.longrepr = (*where, report.longrepr[2])
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes files. What cannot be written is told beside the reports of the tests."""
        if self._is_worker:
            return
        results = list(self._results.values())
        if self.project.isolated is not None:
            self._told.write(self.project.isolated, results)
            return
        option = self._config.option
        if self.project.updating:
            self._try(self._update, results)
        if option.memory_json:
            self._try(_write_json, Path(option.memory_json), results)
        if results:
            self._try(add_to_job_summary, markdown(results))
        if self._failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _try(self, write: Callable[..., None], *arguments: object) -> None:
        try:
            write(*arguments)
        except HeaptideError as error:
            self._failures.append(f"memory: {error}")

    def _update(self, results: list[TestResult]) -> None:
        taken = {
            one.test: figures_of_entry(one)
            for one in results
            if one.status == "ok" and one.baseline != "off"
        }
        gone = self._existing.gone(self.project.baseline)
        self.project.forget(gone)
        changed = self.project.baseline.update(taken)
        path = os.path.relpath(self.project.baseline_path, Path.cwd())
        self._updated = f"baseline written: {path}, {_tests(len(taken))}, {changed} of them changed"
        left = sum(one.status != "ok" for one in results)
        if left:
            self._updated += f"; of {_tests(left)} that failed the old figures stay"
        if gone:
            self._updated += f"; {_tests(len(gone))} removed, which are no more: {_some(gone)}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._is_worker or self.project.isolated is not None:
            return
        results = list(self._results.values())
        if results:
            print_summary(terminalreporter, results, self._config.option.memory_top)
        project = self.project
        if project.baseline_named and not project.updating and not project.baseline_path.exists():
            path = os.path.relpath(project.baseline_path, Path.cwd())
            terminalreporter.write_line(
                f"memory: there is no baseline {path}: nothing is compared; --memory-update writes "
                "it",
                red=True,
            )
        if self._updated:
            terminalreporter.write_line(self._updated)
        for line in self._failures:
            terminalreporter.write_line(line, red=True)
        if os.environ.get("GITHUB_ACTIONS"):
            for line in workflow_warnings(results, self._config.rootpath):
                terminalreporter.write_line(line)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _tests(count: int) -> str:
    return f"{count:,} test{'s' * (count != 1)}"


def _write_json(path: Path, results: list[TestResult]) -> None:
    document = {
        "schema_version": JSON_VERSION,
        "environment": {"fingerprint": fingerprint(), **environment()},
        "passed": all(one.status == "ok" for one in results),
        "tests": [json.loads(one.to_json()) for one in results],
    }
    write_file(path, json.dumps(document, indent=1) + "\n")


# ------------------------------------------------------------------------------------ options


def _project(config: pytest.Config) -> Project:
    option, root = config.option, config.rootpath
    said: dict[str, Any] = {}
    for name in ("warmup", "repeats"):
        value = getattr(option, f"memory_{name}")
        written = config.getini(f"memory_{name}")
        if value is None and written:
            if not str(written).strip().isdigit():
                raise UsageError(f"memory_{name} = {written}: it is a number")
            value = int(written)
        if value is not None:
            said[name] = value
    for name in ("threads", "isolate"):
        said[name] = bool(getattr(option, f"memory_{name}") or _truth(config, f"memory_{name}"))
    if option.memory_top < 0:
        raise UsageError(f"--memory-top={option.memory_top}: it is a number, at least 0")
    for name in ("suppress", "suppress_objects"):
        said[name] = config.getini(f"memory_{name}") or []
    limits = _limits(root, "memory_limits", config.getini("memory_limits") or [])
    limits += _limits(root, "--memory-limit", option.memory_limit)
    defaults = Settings()
    for name, value in said.items():
        try:
            defaults = with_options(defaults, {name: value})
        except UsageError as error:
            raise UsageError(f"memory_{error.message}") from None
    return Project(
        root=root,
        baseline_path=_path(config, "memory_baseline", "memory-baseline.json"),
        recordings=_path(config, "memory_recordings", ".heaptide"),
        defaults=defaults,
        limits=limits,
        tolerance=_tolerance(config.getini("memory_growth") or []),
        baseline_named=bool(option.memory_baseline or config.getini("memory_baseline")),
        updating=option.memory_update,
        all=option.memory_all,
        isolated=Path(option.memory_isolated) if option.memory_isolated else None,
        arguments=tuple(map(str, config.invocation_params.args)),
    )


def _truth(config: pytest.Config, name: str) -> object:
    try:
        return config.getini(name)
    except (ValueError, pytest.UsageError) as error:
        raise UsageError(f"{name}: {error}: it is true or false") from None


def _limits(root: Path, where: str, lines: list[str]) -> list[tuple[str, str, str]]:
    try:
        found = limits_of_lines(lines)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}") from None
    for folder, name, limit in found:
        if not (root / folder).exists():
            raise UsageError(f"{where}: {folder}: {name} = {limit}: no {folder} is in {root}")
    return found


def _path(config: pytest.Config, name: str, default: str) -> Path:
    """As an option relative to the working directory, as an ini value to the project's root."""
    given = getattr(config.option, name)
    if given:
        return Path(given).absolute()
    return config.rootpath / (config.getini(name) or default)


_GROWTHS = {
    "same": ("same_bytes", "same_counts"),
    "other": ("other_bytes", "other_counts"),
}


def _tolerance(lines: list[str]) -> Tolerance:
    """``same: 0.1 %, 1 kB, 0 %, 0`` or ``other: ...``: part and bytes, then part and calls."""
    found: dict[str, Growth] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        parts = [part.strip() for part in rest.split(",")]
        if name.strip() not in _GROWTHS or len(parts) != 4:
            raise UsageError(
                f"memory_growth: {line!r}: say same: 0.1 %, 1 kB, 0 %, 0 (of figures of the same "
                "environment: part and bytes, part and calls), or other: ..."
            )
        units = ("ratio", "bytes", "ratio", "count")
        try:
            values = [parse_limit(part, unit).value for part, unit in zip(parts, units)]
        except ValueError as error:
            raise UsageError(f"memory_growth: {line!r}: {error}") from None
        in_bytes, in_counts = _GROWTHS[name.strip()]
        found[in_bytes] = Growth(values[0], values[1])
        found[in_counts] = Growth(values[2], values[3])
    return Tolerance(**found)
