"""The pytest plugin: what it writes for machines."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.testing.runs import ALONE, mark, run


def test_junit(pytester: pytest.Pytester) -> None:
    found = run(pytester, mark('peak="1 MB"', "bytes(500_000)"), "--junitxml=junit.xml")
    assert found.counts == {"passed": 1}
    root = ElementTree.parse(pytester.path / "junit.xml").getroot()
    properties = {one.get("name"): one.get("value") for one in root.iter("property")}
    assert 500_000 <= float(properties["memory.peak"] or 0) < 510_000
    assert properties["memory.limit.peak"] == "1000000"
    assert properties["memory.status"] == "ok"
    assert "heaptide" not in properties


def test_files_that_cannot_be_written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are told; what the tests have to say is not lost for it."""
    source = mark("", "bytes(1000)")
    (pytester.path / "test_it.py").write_text("import pytest\n" + source)
    (pytester.path / "folder").mkdir()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "none" / "summary.md"))
    for options in ((), ("--memory-json=folder",), ("--memory-update", "--memory-baseline=no/b")):
        result = pytester.runpytest_subprocess(*ALONE, *options)
        assert result.parseoutcomes() == {"passed": 1}
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        text = result.stdout.str()
        assert text.count("cannot be written") == (2 if options else 1)
        assert "Traceback" not in text + result.stderr.str()


def test_github(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in the summary, and a warning at the line that allocates."""
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    source = "def make():\n    return bytes(2_000_000)\n" + mark('peak="1 MB"', "make()")
    run(pytester, source + mark("", "bytes(1000)", name="test_ok"))
    text = summary.read_text()
    assert text.count("| OVER | test_it.py::test_it | 2.0 MB |") == 1
    assert text.count("| ok | test_it.py::test_ok |") == 1
    found = run(pytester, source)
    [line] = [one for one in found.text.splitlines() if one.startswith("::warning")]
    assert "file=test_it.py,line=3," in line
    assert "limit 1.0 MB" in line
    found = run(pytester, mark("", "pass"))
    [line] = [one for one in found.text.splitlines() if one.startswith("::warning")]
    assert "file=test_it.py,line=3," in line
    assert "nothing was measured" in line
