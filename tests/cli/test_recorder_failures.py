"""When recording fails, the program does not: it runs on, and its end stays its own."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from .conftest import Run, Start

FAILURES = {
    "disk-full": "the disk became full",
    "io": "the cable is out",
    "die": "the collector ended early (SIGKILL)",
}


@pytest.mark.parametrize(("way", "words"), FAILURES.items())
def test_failure_of_a_good_program(run_fake: Run, way: str, words: str) -> None:
    """The program has succeeded, the recording has not: a line, and status 125."""
    result = run_fake(way, "sh", "-c", "sleep 0.3; echo done", options=("-q",))
    assert result.stdout == b"done\n"
    assert words in result.stderr.decode()
    assert result.returncode == 125


@pytest.mark.parametrize("way", FAILURES)
def test_failure_of_a_failing_program(run_fake: Run, way: str) -> None:
    """The program's own failure is what the caller learns."""
    assert run_fake(way, "sh", "-c", "sleep 0.3; exit 7", options=("-q",)).returncode == 7
    killed = run_fake(way, "sh", "-c", "sleep 0.3; kill -ABRT $$", options=("-q", "-f"))
    assert killed.returncode == -signal.SIGABRT


def test_max_size_is_no_failure(run_fake: Run) -> None:
    """Reaching --max-size was asked for; it is said."""
    result = run_fake("max-size", "true", options=("-q",))
    assert result.returncode == 0
    assert "--max-size" in result.stderr.decode()


@pytest.mark.parametrize("how", ["rm {0}", "mv {0} {0}.moved", "cp {0} {0}.2; mv {0}.2 {0}"])
def test_a_recording_that_is_gone(run_fake: Run, tmp_path: Path, how: str) -> None:
    """What stands at its path is not taken for it, nor touched."""
    script = how.format(tmp_path / "r.tide")
    result = run_fake("ready", "sh", "-c", f"sleep 0.2; {script}")
    assert result.returncode == 125
    [line] = result.stderr.decode().splitlines()
    assert line.startswith("heaptide: the recording was moved, deleted or replaced")
    result = run_fake("ready", "sh", "-c", f"sleep 0.2; {script}; exit 3", options=("-f",))
    assert result.returncode == 3


def test_collector_that_refuses(run_fake: Run, tmp_path: Path) -> None:
    """Its last line is ours; the program is not run and no file is left."""
    ran = tmp_path / "ran"
    result = run_fake("refuse", "touch", ran)
    assert result.stderr == b"heaptide: the collector cannot do this; try that\n"
    assert result.returncode == 125
    assert not ran.exists()
    assert not (tmp_path / "r.tide").exists()


def test_an_old_recording_comes_back(run_fake: Run, tmp_path: Path) -> None:
    """--force costs nothing if there is no new recording."""
    old = tmp_path / "old.tide"
    old.write_bytes(b"heaptide, an old one")
    result = run_fake("refuse", "true", options=("-f", "-o", str(old)))
    assert result.returncode == 125
    assert old.read_bytes() == b"heaptide, an old one"
    assert list(tmp_path.glob(".*.old")) == []


def test_interrupted_before_the_start(start_fake: Start, tmp_path: Path) -> None:
    """SIGINT while the collector is getting ready ends everything and leaves nothing."""
    ran = tmp_path / "ran"
    with start_fake("stuck", "touch", ran) as process:
        while not (tmp_path / "r.tide").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == -signal.SIGINT
    assert not ran.exists()
    assert not (tmp_path / "r.tide").exists()
