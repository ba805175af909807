"""A test in a process of its own: another pytest that runs this one test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heaptide.testing._results import TestResult
from heaptide.testing._told import Told

if TYPE_CHECKING:
    from heaptide.testing._project import Project

OPTION = "--memory-isolated"
SKIPPED_AT = pytest.StashKey[tuple[str, int]]()
"""File and line that a test was skipped at, there."""

# With their values, of the whole session and not of one of its tests.
_VALUED = frozenset(
    [
        "-n",
        "--numprocesses",
        "--dist",
        "--maxprocesses",
        "--junitxml",
        "--junit-xml",
        "--memory-json",
        "-k",
        "-m",
        "--deselect",
        "--reruns",
        "--log-file",
        "--basetemp",
        "--capture",
        "--maxfail",
    ]
)
_ALONE = frozenset(
    [
        "--lf",
        "--last-failed",
        "--ff",
        "--failed-first",
        "--nf",
        "--new-first",
        "-x",
        "--sw",
        "--stepwise",
        "--exitfirst",
        "--pdb",
        "--trace",
        "-s",
        "--memory-update",
        "-v",
        "-vv",
    ]
)
_BEGINNINGS = ("--cov", "--html", "--memory-top")


def recording_beside(answer: Path) -> Path:
    """Where the test's own process records to, by where it answers."""
    return answer.with_name("recording.tide")


def run_apart(item: pytest.Item, project: Project, kept: Path | None) -> TestResult:
    """Runs the test there and gives its result; its recording goes to ``kept``. Skips, or fails
    with its report, as it does."""
    __tracebackhide__ = True
    with tempfile.TemporaryDirectory(prefix="heaptide-") as folder:
        answer = Path(folder) / "result.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            *_arguments(project.arguments, item.config),
            item.nodeid,
            f"--rootdir={item.config.rootpath}",
            OPTION,
            os.fspath(answer),
            "--color=no",
            "-q",
        ]
        done = subprocess.run(
            command,
            cwd=item.config.invocation_params.dir,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        told = Told.read(answer)
        if kept is not None and recording_beside(answer).exists():
            shutil.move(os.fspath(recording_beside(answer)), kept)
    if told is None:
        pytest.fail(
            f"memory: the test's own process ended with status {done.returncode} and no result:\n"
            + (done.stdout + done.stderr)[-4000:],
            pytrace=False,
        )
    _pass_on(item, told)
    if told.failed:
        pytest.fail("\n".join(["in a process of its own:", *told.failed]), pytrace=False)
    if told.skipped is not None:
        item.stash[SKIPPED_AT] = told.skipped[0], told.skipped[1]
        pytest.skip(told.skipped[2])
    if told.xfailed is not None:
        pytest.xfail(told.xfailed)
    if told.result is None:
        pytest.fail("memory: the test's own process has measured nothing", pytrace=False)
    return TestResult(**told.result)


def set_up_nothing(item: pytest.Function) -> None:
    """Fixtures are those of the test's own process."""
    item.setup = item.teardown = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    pass


def _pass_on(item: pytest.Item, told: Told) -> None:
    """What was captured there is in the reports here, and so are properties and warnings."""
    live = item.config.getoption("capture", None) == "no"
    for title, text in told.sections:
        what, _, when = title.partition("Captured ")[2].rpartition(" ")
        item.add_report_section(when, what, text)
        if live and what in ("stdout", "stderr"):
            getattr(sys, what).write(text)
    item.user_properties += [(name, value) for name, value in told.properties]
    for one in told.warnings:
        item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": one.message(),
                "nodeid": item.nodeid,
                "when": "runtest",
                "location": None,
            }
        )


def _arguments(arguments: Sequence[str], config: pytest.Config) -> list[str]:
    """Those of this session but for what is about all its tests, and which they are."""
    chosen = set(map(str, config.option.file_or_dir or ()))
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name = word.partition("=")[0]
        if name in _VALUED:
            if "=" not in word:
                next(words, None)
        elif word.startswith("-n") and word[2:].isdigit():
            continue
        elif word not in chosen and word not in _ALONE and not word.startswith(_BEGINNINGS):
            kept.append(word)
    if config.pluginmanager.hasplugin("xdist"):
        kept += ["-n0"]
    return kept


def _environment() -> dict[str, str]:
    """Sets and strings in the same order each time; no bytecode written."""
    hidden = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    kept.setdefault("PYTHONHASHSEED", "0")
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}
