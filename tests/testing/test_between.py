"""What pytest keeps for a test that is repeated: not the test's, and there once for the report."""

from __future__ import annotations

import re

import pytest

from tests.testing.runs import ALONE, Outcome
from tests.testing.runs import run as run_by

BEFORE = """
import logging, os, warnings
kept = []

@pytest.fixture
def patched(monkeypatch):
    monkeypatch.setenv("OF_FIXTURE", "1")
    monkeypatch.setattr(os, "sep", os.sep)
    return monkeypatch

"""
BODIES = {
    "": "logging.getLogger('svc').warning('slow request %d', len('abc'))",
    "caplog": "logging.warning('slow'); assert caplog.messages == ['slow']",
    "capsys": "print('hello there')",
    "capfd": "print('hello there'); os.system('echo from below')",
    "monkeypatch": "monkeypatch.setenv('OF_TEST', 'x'); monkeypatch.setattr(os, 'curdir', 'x')",
    "patched": "assert 'OF_TEST' not in os.environ; patched.setenv('OF_TEST', 'x')\n"
    "    assert os.environ['OF_FIXTURE'] == '1'",
    "recwarn": "warnings.simplefilter('always'); warnings.warn('x')\n    assert len(recwarn) == 1",
    "record_property": "record_property('name', 1)",
}


def run(pytester: pytest.Pytester, source: str, *options: str) -> Outcome:
    """In a process of its own: the pytest that runs these tests keeps what is logged here too."""
    return run_by(pytester, source, *ALONE, *options, plugins=True)


def each_with(body_of_each: str) -> str:
    """A test for each of the bodies, with more in it."""
    found = BEFORE
    for number, (fixture, body) in enumerate(BODIES.items()):
        found += f"@pytest.mark.memory(leaked=0)\ndef test_{number}({fixture}):\n"
        found += f"    bytes(10)\n    {body}\n    {body_of_each}\n"
    return found


def test_it_is_no_leak(pytester: pytest.Pytester) -> None:
    found = run(pytester, each_with("pass"))
    assert found.counts == {"passed": len(BODIES)}, found.text


def test_leaks_beside_it_are_found(pytester: pytest.Pytester) -> None:
    found = run(pytester, each_with("kept.append(bytes(1000))"))
    assert found.counts == {"failed": len(BODIES)}, found.text
    told = re.findall(r"FAILED .* memory: leaked by each repetition: (\d\.\d) kB", found.text)
    assert len(told) == len(BODIES)
    assert all(1.0 <= float(one) <= 1.3 for one in told), told  # with the list, which grows too


@pytest.mark.parametrize("capture", ["fd", "sys"])
def test_what_was_captured_is_shown_once(pytester: pytest.Pytester, capture: str) -> None:
    body = "print('pri' 'nted'); logging.warning('lo' 'gged'); warnings.warn('war' 'ned')"
    source = f"{BEFORE}@pytest.mark.memory(leaked=0)\ndef test_it():\n    {body}\n"
    found = run(pytester, source + "    kept.append(bytes(1000))\n", f"--capture={capture}")
    assert found.counts == {"failed": 1, "warnings": 1}, found.text
    for word in ("printed", "logged", "UserWarning: warned"):
        assert found.text.count(word) == 1, found.text


def test_that_of_the_run_which_fails_is_shown(pytester: pytest.Pytester) -> None:
    source = f"""{BEFORE}
@pytest.mark.memory(leaked=0)
def test_it():
    kept.append(bytes(10))
    print("in run", len(kept))
    assert len(kept) < 10
"""
    found = run(pytester, source)
    assert found.counts == {"failed": 1}
    assert "in run 10\n" in found.text
    assert "in run 9\n" not in found.text


def test_without_these_plugins(pytester: pytest.Pytester) -> None:
    source = f"{BEFORE}@pytest.mark.memory(leaked=0)\ndef test_it():\n    bytes(10)\n"
    options = ("-p", "no:logging", "-p", "no:capture", "-p", "no:warnings", "-p", "no:monkeypatch")
    found = run(pytester, source, *options)
    assert found.counts == {"passed": 1}, found.text
