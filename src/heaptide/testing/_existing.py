"""Which tests there are: known only where a session has looked for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

WORKER_OUTPUT = "heaptide_tests"
# Options by which a session leaves out tests, or does not come to its end.
_CHOOSING = (
    "keyword",
    "deselect",
    "ignore",
    "ignore_glob",
    "lf",
    "stepwise",
    "maxfail",
    "pyargs",
    "collectonly",
)


class Existing:
    """A plugin of the session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._found: set[str] = set()  # node ids of tests, and of files that have been looked into
        # What is asked for is who distributes tests to know, not their workers.
        self._whole = hasattr(config, "workerinput") or _asks_for_whole(config)

    def gone(self, tests: Iterable[str]) -> list[str]:
        """Those of node ids that are no more: not found in their files, or without one. None, if
        the session may not have looked for all, or has ended early."""
        if not self._whole or not self._found:
            return []
        return [
            test
            for test in tests
            if test not in self._found and self._knows(test.partition("::")[0])
        ]

    def _knows(self, file: str) -> bool:
        return file in self._found or not (self._config.rootpath / file).exists()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._found.update(item.nodeid for item in items)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._whole = self._whole and not items

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._whole = self._whole and not report.failed
        self._found.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Also called where it was interrupted."""
        if session.shouldstop or session.shouldfail:
            self._whole = False
        if hasattr(self._config, "workeroutput"):
            found = sorted(self._found) if self._whole else None
            self._config.workeroutput[WORKER_OUTPUT] = found

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Of xdist: each worker has looked for all tests."""
        found = getattr(node, "workeroutput", {}).get(WORKER_OUTPUT)
        self._found.update(found or ())
        self._whole = self._whole and found is not None


def _asks_for_whole(config: pytest.Config) -> bool:
    """Whether nothing on the command line chooses some of the tests."""
    option = config.option
    if any(getattr(option, name, None) for name in _CHOOSING):
        return False
    source = getattr(config, "args_source", None)
    if source is None or source.name == "ARGS":
        return all(config.rootpath == _absolute(config, argument) for argument in config.args)
    return source.name == "TESTPATHS" or config.invocation_params.dir == config.rootpath


def _absolute(config: pytest.Config, argument: str) -> object:
    return (config.invocation_params.dir / argument).resolve()
