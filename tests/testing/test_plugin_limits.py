"""The pytest plugin: limits, and what is counted against them."""

from __future__ import annotations

import re
import sys

import pytest

from tests.testing.runs import mark, run

on_each = pytest.mark.interpreters


@pytest.mark.parametrize(
    ("arguments", "body", "keeps"),
    [
        ('peak="1 MB"', "bytes(900_000)", True),
        ('peak="1 MB"', "bytes(1_100_000)", False),
        ('"1 MiB"', "bytes(1_040_000)", True),
        ('"1 MB"', "bytes(1_040_000)", False),
        ('total="1 MB"', "for _ in range(9): bytes(100_000)", True),
        ('total="1 MB"', "for _ in range(11): bytes(100_000)", False),
        ("allocations=60", "for _ in range(50): bytes(2000)", True),
        ("allocations=60", "for _ in range(70): bytes(2000)", False),
        ("reallocations=5", "bytes(10)", True),
        ("reallocations=5", "x = []\nfor i in range(1000): x.append(i)", False),
        ('copied="1 kB"', "bytes(10)", True),
        ('copied="1 kB"', "x = bytearray()\nfor i in range(9999): x += b'x'", False),
        ('temporary="50 %"', "x = [bytes(2000) for _ in range(100)]", True),
        ('temporary="50 %"', "for _ in range(100): bytes(2000)", False),
        ('live="10 kB"', "bytes(100_000)", True),
        ('live="10 kB"', "global kept\nkept = bytes(100_000)", False),
        ("live_blocks=10", "x = [bytes(100) for _ in range(50)]", True),
        ("live_blocks=10", "global kept\nkept = [bytes(1000) for _ in range(50)]", False),
    ],
)
def test_limits(pytester: pytest.Pytester, arguments: str, body: str, keeps: bool) -> None:
    """Each is kept by what keeps it, and fails what does not, with the line in the report."""
    found = run(pytester, mark(arguments, body))
    assert found.counts == ({"passed": 1} if keeps else {"failed": 1}), found.text
    [test] = found.results.values()
    assert test["status"] == ("ok" if keeps else "over")
    figures, limits = test["figures"], test["limits"]
    assert isinstance(figures, dict)
    assert isinstance(limits, dict)
    whole = [value for name, value in {**figures, **limits}.items() if name != "temporary"]
    assert all(isinstance(value, int) for value in whole)
    if not keeps:
        assert "memory: " in found.text
        assert re.search(r"test_it \(.*test_it\.py:\d+\)", found.text)


@on_each
def test_figures_are_those_of_the_body(pytester: pytest.Pytester) -> None:
    """Not of fixtures, of other tests, or of what runs them; the same each time."""
    source = """
@pytest.fixture
def large():
    yield bytes(50_000_000)
    bytes(40_000_000)

@pytest.mark.parametrize("turn", range(20))
@pytest.mark.memory(peak="2 MB")
def test_it(turn, large, tmp_path):
    kept = [bytes(1000) for _ in range(1000)]

def test_other():
    bytes(70_000_000)
"""
    found = run(pytester, source)
    assert found.counts == {"passed": 21}, found.text
    figures = [test["figures"] for test in found.results.values()]
    assert len(figures) == 20
    assert all(one == figures[0] for one in figures)
    assert isinstance(figures[0], dict)
    assert 1_033_000 <= figures[0]["peak"] < 1_060_000


def test_nothing_but_the_body_is_counted(pytester: pytest.Pytester) -> None:
    """To the byte: a body that gives back all it takes leaves nothing, and its peak is whole."""
    body = "n = 9000\nx = b'x' * n"  # no list of free objects gives or takes any of it
    source = mark("live=0, live_blocks=0", body, name="test_one")
    source += mark("live=0, live_blocks=0, repeats=3", body, name="test_many")
    found = run(pytester, source)
    assert found.counts == {"passed": 2}, found.text
    size = sys.getsizeof(bytes(9000))
    for test in found.results.values():
        assert test["figures"] == {
            "peak": size,
            "total": size,
            "allocations": 1,
            "live": 0,
            "live_blocks": 0,
        }


def test_lines_are_shown_once(pytester: pytest.Pytester) -> None:
    """What differs by its column only is one place; files as they are called from here."""
    body = "x = [bytes(n) for n in (1000, 2000, 3000)], [bytes(n) for n in (1000, 2000, 3000)]"
    found = run(pytester, mark('total="1 kB"', body))
    [test] = found.results.values()
    problems = test["problems"]
    assert isinstance(problems, list)
    places = [line for line in problems if line.startswith("    ")]
    assert "    test_it (test_it.py:5)" in places
    heads = [n for n, line in enumerate(problems) if re.match(r"  \S", line)]
    shown = [tuple(problems[a + 1 : b]) for a, b in zip(heads, [*heads[1:], len(problems)])]
    assert len(shown) == len(set(shown))


def test_a_failing_test_is_not_judged(pytester: pytest.Pytester) -> None:
    source = mark("allocations=0", "bytes(1000)\nassert not 1, 'for itself'")
    found = run(pytester, source)
    assert found.counts == {"failed": 1}
    assert "for itself" in found.text
    assert "memory: calls" not in found.text
    source = mark("allocations=0", "bytes(1000)\npytest.skip('not here')")
    assert run(pytester, source).counts == {"skipped": 1}
    source = "@pytest.mark.xfail(strict=True)" + mark('peak="1 kB"', "bytes(5000)")
    assert run(pytester, source).counts == {"xfailed": 1}


def test_nothing_measured_is_an_error(pytester: pytest.Pytester) -> None:
    """Never a pass; unless that is what is asked for."""
    found = run(pytester, mark('peak="1 MB"', "pass"))
    assert found.counts == {"failed": 1}
    assert "nothing was measured" in found.text
    assert run(pytester, mark("allocations=0", "pass")).counts == {"passed": 1}
    source = """
import unittest.mock
@pytest.mark.memory(peak="1 MB")
def test_it():
    bytes(1000)
"""
    (pytester.path / "conftest.py").write_text(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
    )
    found = run(pytester, source)
    assert found.counts == {"failed": 1}
    assert "did not run where it could be seen" in found.text


def test_wrong_marks_are_told(pytester: pytest.Pytester) -> None:
    """Before any test runs, with the test's name."""
    for arguments, words in (
        ('peek="1 MB"', "did you mean peak"),
        ('peak="1 XB"', "is no limit"),
        ("repeats=0", "at least 1"),
        ("isolate=1", "True or False"),
        ('rss="1 MB"', "isolate=True"),
        ('"1 MB", "2 MB"', "one amount"),
    ):
        found = run(pytester, mark(arguments, "bytes(1000)") + "def test_other(): pass\n")
        assert found.status == pytest.ExitCode.USAGE_ERROR, found.text
        assert words in found.errors
        assert "test_it.py::test_it" in found.errors
        assert "Traceback" not in found.errors + found.text
