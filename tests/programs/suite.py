"""Runs tests of the standard library and writes what became of each.

    suite.py OUTCOMES.json NAME... [--without PREFIX...] [--only ID...]

Names are below the package ``test``. Where a prefix or an ID is given, it is one of a test's id.
"""

from __future__ import annotations

import argparse
import json
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Outcomes(unittest.TextTestResult):
    """Keeps the worst that happened to each test: of its subtests and its cleaning up too."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.by_id: dict[str, str] = {}

    def _note(self, test: unittest.TestCase, outcome: str) -> None:
        if self.by_id.get(test.id()) not in ("failure", "error"):
            self.by_id[test.id()] = outcome

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._note(test, "success")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "failure")

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "error")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, f"skipped: {reason}")

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failure")


def each_test(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each_test(test)
        else:
            yield test


def chosen(suite: unittest.TestSuite, without: list[str], only: list[str]) -> unittest.TestSuite:
    left_out = tuple(f"test.{prefix}" for prefix in without)
    tests = (test for test in each_test(suite) if not test.id().startswith(left_out))
    return unittest.TestSuite(test for test in tests if not only or test.id() in only)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--without", nargs="+", default=[])
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    outcomes = options.outcomes.resolve()
    suite = unittest.defaultTestLoader.loadTestsFromNames(f"test.{name}" for name in options.names)
    suite = chosen(suite, options.without, options.only)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Outcomes).run(suite)
    assert isinstance(result, Outcomes)
    outcomes.write_text(json.dumps(result.by_id))
    return 0 if result.wasSuccessful() else 1


# Worker processes that are spawned import this file.
if __name__ == "__main__":
    raise SystemExit(main())
