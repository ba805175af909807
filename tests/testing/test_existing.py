"""Tests that are no more: they leave the baseline with an update of all tests, and only then."""

from __future__ import annotations

import json

import pytest

from tests.testing.runs import mark, run

MANY = mark("", "bytes(1000)", name="test_a") + mark("", "bytes(2000)", name="test_b")
ONE = mark("", "bytes(1000)", name="test_a")


def entries(pytester: pytest.Pytester) -> set[str]:
    return set(json.loads((pytester.path / "memory-baseline.json").read_text())["tests"])


@pytest.fixture
def both(pytester: pytest.Pytester) -> set[str]:
    """A baseline of two tests in one file, of one in another and of one in a third."""
    for name in ("other", "third"):
        (pytester.path / f"test_{name}.py").write_text(
            "import pytest\n" + mark("", "bytes(3000)", name=f"test_{name}")
        )
    run(pytester, MANY, "--memory-update")
    found = entries(pytester)
    assert len(found) == 4
    return found


def test_an_update_of_all_tests_removes_them(pytester: pytest.Pytester, both: set[str]) -> None:
    """With their recordings, and says so; whether the test or its file has gone."""
    (pytester.path / "test_other.py").unlink()
    found = run(pytester, ONE, "--memory-update")
    assert found.counts == {"passed": 2}
    assert entries(pytester) == both - {"test_it.py::test_b", "test_other.py::test_other"}
    assert "2 tests removed, which are no more: test_it.py::test_b, test_other.py" in found.text
    assert len(list((pytester.path / ".heaptide").glob("*.base.tide"))) == 2


@pytest.mark.parametrize(
    "options",
    [
        ("test_it.py",),
        ("-k", "test_a or test_third"),
        ("-m", "memory", "--deselect", "test_third.py::test_third"),
        ("--ignore=test_third.py",),
        ("-x",),
        ("--lf",),
    ],
    ids=lambda options: options[0],
)
def test_an_update_of_some_removes_nothing(
    pytester: pytest.Pytester, both: set[str], options: tuple[str, ...]
) -> None:
    (pytester.path / "test_other.py").unlink()
    found = run(pytester, ONE, "--memory-update", *options)
    assert found.status == pytest.ExitCode.OK, found.text
    assert entries(pytester) == both
    assert "no more" not in found.text


def test_what_cannot_be_looked_into_stays(pytester: pytest.Pytester, both: set[str]) -> None:
    """A file with an error, one that pytest is told to leave out, or no update at all."""
    (pytester.path / "test_other.py").write_text("import nothing_of_that_name\n")
    run(pytester, ONE, "--memory-update", "--continue-on-collection-errors")
    assert entries(pytester) == both
    (pytester.path / "conftest.py").write_text("collect_ignore = ['test_other.py']\n")
    run(pytester, MANY)
    assert entries(pytester) == both
    run(pytester, ONE, "--memory-update")
    assert entries(pytester) == both - {"test_it.py::test_b"}


def test_below_the_root(pytester: pytest.Pytester, both: set[str]) -> None:
    """Where a session looks into one folder only it knows nothing of the others."""
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "test_sub.py").write_text("import pytest\n" + ONE)
    (pytester.path / "test_other.py").unlink()
    run(pytester, ONE, "--memory-update", "sub")
    assert entries(pytester) == both | {"sub/test_sub.py::test_a"}


def test_with_workers(pytester: pytest.Pytester, both: set[str]) -> None:
    """Of xdist: they say what they have found."""
    options = ("-p", "no:asyncio", "-p", "no:cov", "-n2", "--memory-update")
    run(pytester, ONE, *options, "-k", "test_a", plugins=True)
    assert entries(pytester) == both
    found = run(pytester, ONE, *options, plugins=True)
    assert found.counts == {"passed": 3}, found.text
    assert entries(pytester) == both - {"test_it.py::test_b"}
