"""Subtests of measured tests, by the fixture of pytest or of pytest-subtests and by unittest."""

from __future__ import annotations

import re

import pytest

from tests.testing.runs import ALONE, Outcome
from tests.testing.runs import run as run_by

SOURCE = """
import unittest
runs, kept = [0], []

@pytest.mark.memory({limits})
def test_fixture(subtests):
    runs[0] += 1
    held = bytes(20_000)
    for i in range(3):
        with subtests.test("number", i=i):
            assert {holds}

@pytest.mark.memory({limits})
class TestCase(unittest.TestCase):
    def test_case(self):
        runs[0] += 1
        held = bytes(20_000)
        for i in range(3):
            with self.subTest("number", i=i):
                assert {holds}
"""


def run(pytester: pytest.Pytester, limits: str, holds: str, *options: str) -> Outcome:
    source = SOURCE.replace("{limits}", limits).replace("{holds}", holds)
    found = run_by(pytester, source, "-rA", *options, plugins=True)
    if "fixture 'subtests' not found" in found.text:
        pytest.skip("this pytest has no subtests")
    return found


def test_reports_are_not_counted(pytester: pytest.Pytester) -> None:
    for options in (ALONE, ("-p", "no:asyncio", "-p", "no:cov", "-n2")):
        found = run(pytester, "", "bytes(10)", *options)
        assert found.counts["passed"] == 2, found.text
        assert found.counts.get("subtests passed", 6) == 6
        for test in found.results.values():
            figures = test["figures"]
            assert isinstance(figures, dict)
            assert 20_033 <= figures["peak"] < 28_000


def test_they_are_no_leaks(pytester: pytest.Pytester) -> None:
    """Skipped ones neither."""
    found = run(pytester, "leaked=0", "bytes(10) if i else pytest.skip('no')", *ALONE)
    assert found.counts["passed"] == 2, found.text
    assert "leaked by" not in found.text
    found = run(pytester, "leaked=0", "kept.append(bytes(1000)) or True", *ALONE)
    told = re.findall(r"^memory: leaked by each repetition: (\d\.\d)", found.text, re.M)
    assert len(told) == 2
    assert all(3.1 <= float(one) <= 3.4 for one in told), told  # with the list, which grows too


@pytest.mark.parametrize("holds", ["i != 1", "i != 1 or runs[0] not in (3, 6)"])
def test_a_failure_is_the_end(pytester: pytest.Pytester, holds: str) -> None:
    """In the first run, or in a repetition; it is not judged then."""
    found = run(pytester, "leaked=0", holds, *ALONE)
    assert found.status == pytest.ExitCode.TESTS_FAILED
    failures = [line for line in found.text.splitlines() if line.startswith("SUBFAIL")]
    assert len(failures) == 2, found.text
    assert found.results == {}


def test_the_first_failure_of_a_session(pytester: pytest.Pytester) -> None:
    found = run(pytester, "leaked=0", "i != 1", *ALONE, "-x")
    assert found.status == pytest.ExitCode.TESTS_FAILED
    assert found.results == {}
    assert "INTERNALERROR" not in found.text
