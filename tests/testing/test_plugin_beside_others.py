"""The pytest plugin beside others."""

from __future__ import annotations

import re

import pytest

from tests.testing.runs import mark, run

on_each = pytest.mark.interpreters


def test_xdist(pytester: pytest.Pytester) -> None:
    """Workers measure, the results come together; baselines are written and read."""
    source = """
@pytest.mark.parametrize("turn", range(6))
@pytest.mark.memory(peak="1 MB")
def test_it(turn):
    kept = bytes(200_000 * (turn + 1))
"""
    options = ("-p", "no:asyncio", "-p", "no:cov", "-n2")
    found = run(pytester, source, *options, plugins=True)
    assert found.counts == {"passed": 4, "failed": 2}, found.text
    assert len(found.results) == 6
    assert "memory of tests" in found.text
    source = source.replace('peak="1 MB"', "")
    run(pytester, source, *options, "--memory-update", plugins=True)
    found = run(pytester, source, *options, plugins=True)
    assert {test["baseline"] for test in found.results.values()} == {"same"}


@on_each
def test_asyncio(pytester: pytest.Pytester) -> None:
    """A coroutine is measured from its first step to its end, not the loop around it."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    source = """
import asyncio
@pytest.fixture
async def large():
    return bytes(9_000_000)
@pytest.mark.memory(peak="1 MB", repeats=3, warmup=1, vary="20 %")
async def test_it(large):
    await asyncio.sleep(0)
    return None
@pytest.mark.memory(peak="1 MB")
async def test_over():
    await asyncio.sleep(0)
    bytes(2_000_000)
kept = []
@pytest.mark.memory(leaked=0)
async def test_leaks():
    kept.append(bytes(1000))
"""
    found = run(pytester, source, "-p", "no:xdist", plugins=True)
    assert found.counts == {"passed": 1, "failed": 2}, found.text
    figures = found.results["test_it"]["figures"]
    assert isinstance(figures, dict)
    assert figures["allocations"] < 30


@on_each
def test_cov(pytester: pytest.Pytester) -> None:
    """Lines are covered as ever; after a warm-up its own allocations are not counted."""
    (pytester.path / "module.py").write_text("def make(n):\n    return [bytes(1000)] * n\n")
    source = "from module import make\n" + mark("warmup=1", "make(10)")
    found = run(pytester, source, "-p", "no:xdist", "--cov=module", plugins=True)
    assert found.counts == {"passed": 1}, found.text
    assert re.search(r"module\.py\s+2\s+0\s+100%", found.text)
    covered = found.results["test_it"]["figures"]
    assert run(pytester, source).results["test_it"]["figures"] == covered


def test_reruns_and_classes(pytester: pytest.Pytester) -> None:
    """Run again, a test is measured again; methods, class fixtures, unittest."""
    source = """
import unittest
runs = []
@pytest.mark.memory(peak="1 MB")
def test_again():
    runs.append(1)
    bytes(2_000_000 if len(runs) == 1 else 1000)
class TestIt:
    @pytest.fixture(autouse=True, scope="class")
    def large(self):
        yield bytes(5_000_000)
    @pytest.mark.memory(peak="1 MB")
    def test_method(self):
        bytes(1000)
@pytest.mark.memory(peak="1 MB")
class TestCase(unittest.TestCase):
    def setUp(self):
        self.large = bytes(5_000_000)
    def test_ok(self):
        for n in range(3):
            with self.subTest(n=n):
                bytes(1000 * n)
    def test_over(self):
        bytes(2_000_000)
"""
    found = run(pytester, source, "-p", "no:xdist", "-p", "no:asyncio", "--reruns=1", plugins=True)
    assert found.counts["passed"] == 3, found.text
    assert found.counts["failed"] == 1
    assert found.results["test_again"]["status"] == "ok"
    assert found.results["test_over"]["status"] == "over"


def test_coroutines_of_unittest(pytester: pytest.Pytester) -> None:
    """Are measured from their first step to their end, without what the loop does around them."""
    source = """
import asyncio
import unittest
@pytest.mark.memory(peak="1 MB")
class TestCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.large = bytes(5_000_000)
    async def test_ok(self):
        await asyncio.sleep(0)
        assert bytes(500_000)
    async def test_over(self):
        await asyncio.sleep(0)
        assert bytes(2_000_000)
    def test_plain(self):
        assert bytes(600_000)
    async def test_skipped(self):
        self.skipTest("not today")
    async def test_fails(self):
        self.assertEqual(len(bytes(1000)), 1)
    @pytest.mark.memory(leaked=0)
    async def test_leaks(self):
        self.large += bytes(1000)
"""
    found = run(pytester, source, "-rs")
    assert found.counts == {"passed": 2, "failed": 3, "skipped": 1}, found.text
    assert "1000 != 1" in found.text
    results = found.results
    peaks = {name: one["figures"]["peak"] for name, one in results.items()}  # type: ignore[index]
    assert 500_000 <= peaks["test_ok"] < 600_000 <= peaks["test_plain"] < 700_000
    assert results["test_over"]["status"] == results["test_leaks"]["status"] == "over"
    assert 1000 <= results["test_leaks"]["figures"]["leaked"] < 1100  # type: ignore[index]
