"""``heaptide run`` as a whole: where the recording goes and what is said about it."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heaptide.recording import Recording

from .conftest import HEAPTIDE, Result

pytestmark = pytest.mark.interpreters


def run(folder: Path, *words: str, **environment: str) -> Result:
    return subprocess.run(
        [*HEAPTIDE, "run", *words],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["-c", "pass"], "python"),
        (["-m", "this"], "this"),
        (["sh", "-c", "true"], "sh"),
        (["env", "A=1", "python3", "my script.py"], "my_script"),
        (["/bin/true"], "true"),
        (["my script.py"], "my_script"),
    ],
)
def test_default_name(tmp_path: Path, words: list[str], name: str) -> None:
    """Without -o the recording is in the current directory, named after program and process."""
    (tmp_path / "my script.py").write_text("pass\n")
    assert run(tmp_path, "-q", *words).returncode == 0
    (found,) = tmp_path.glob("*.tide")
    assert re.fullmatch(rf"heaptide-{name}\.\d+\.tide", found.name)


def test_two_runs_do_not_meet(tmp_path: Path) -> None:
    for _ in range(2):
        assert run(tmp_path, "-q", "true").returncode == 0
    assert len(list(tmp_path.glob("*.tide"))) == 2


def test_force_leaves_readers_alone(tmp_path: Path) -> None:
    """--force makes a new file: whoever has the old one open goes on reading it."""
    assert run(tmp_path, "-q", "-o", "r.tide", "-c", "old = bytearray(2_000_000)").returncode == 0
    with Recording.open(tmp_path / "r.tide") as old:
        assert run(tmp_path, "-q", "-f", "-o", "r.tide", "true").returncode == 0
        assert old.summary.peak_bytes > 2_000_000
    with Recording.open(tmp_path / "r.tide") as new:
        assert new.summary.peak_bytes < 2_000_000


def test_summary_goes_to_stderr(tmp_path: Path) -> None:
    """Stdout is the program's alone; the summary is on stderr, plain text in 80 columns."""
    result = run(tmp_path, "-o", "r.tide", "-c", "print('out'); x = bytearray(3_000_000)")
    assert result.stdout == b"out\n"
    text = result.stderr.decode()
    assert "peak heap:" in text and "heaptide show r.tide" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_nobody_reads_the_summary(tmp_path: Path) -> None:
    """The exit status is the program's, whoever reads stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    for stderr in (writing, full):
        for status in (0, 3):
            words = [*HEAPTIDE, "run", "-f", "-o", "r.tide", "sh", "-c", f"exit {status}"]
            assert subprocess.run(words, cwd=tmp_path, stderr=stderr).returncode == status
        with Recording.open(tmp_path / "r.tide") as recording:
            assert recording.finished
        os.close(stderr)


def test_few_descriptors(tmp_path: Path) -> None:
    """A low limit is enough, also where the caller has passed on a descriptor above it."""
    with open(os.devnull) as null:
        high = fcntl.fcntl(null, fcntl.F_DUPFD, 200)
        script = 'ulimit -n 64; exec "$@"'
        words = ["sh", "-c", script, "sh", *HEAPTIDE, "run", "-q", "-o", "r.tide"]
        code = f"import os; os.fstat({high})"
        done = subprocess.run(
            [*words, sys.executable, "-c", code], cwd=tmp_path, pass_fds=(high,), check=False
        )
        os.close(high)
    assert done.returncode == 0


def test_long_times(tmp_path: Path) -> None:
    """More time than can be counted is as good as no limit."""
    result = run(tmp_path, "-q", "-o", "r.tide", "--duration", "9999999h", "-c", "pass")
    assert result.returncode == 0, result.stderr


def test_recording_is_finished_and_named(tmp_path: Path) -> None:
    """The recording is rewritten with names; --no-symbols leaves that to symbolize."""
    for options in ([], ["--no-symbols"]):
        assert run(tmp_path, "-q", "-f", "-o", "r.tide", *options, "-c", "pass").returncode == 0
        with Recording.open(tmp_path / "r.tide") as recording:
            assert recording.finished and recording.compacted
            assert (recording.symbols is None) == bool(options)
    subprocess.run([*HEAPTIDE, "symbolize", "-q", tmp_path / "r.tide"], check=True)
    with Recording.open(tmp_path / "r.tide") as recording:
        assert recording.symbols is not None and len(recording.symbols) > 0


def test_command_is_recorded(tmp_path: Path) -> None:
    """The recording knows what was run, byte for byte where it is text."""
    words = ["-c", "pass", "ä", "a b", ""]
    assert run(tmp_path, "-q", "-o", "r.tide", *words).returncode == 0
    with Recording.open(tmp_path / "r.tide") as recording:
        assert recording.meta["command"] == [sys.executable, *words]
        assert recording.command_of(0) == [sys.executable, *words]


BACKGROUND = """
import subprocess, sys
code = "import sys; print('up', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
assert child.stdout.readline() == b"up\\n"
sys.stderr.close()
import os; os._exit(3)
"""


def test_processes_that_live_on(tmp_path: Path) -> None:
    """A child in the background does not hold up the end; it is said that it lives."""
    reading, writing = os.pipe()
    try:
        with (tmp_path / "stderr").open("wb") as stderr:
            status = subprocess.call(
                [*HEAPTIDE, "run", "-o", tmp_path / "r.tide", "-c", BACKGROUND],
                stdin=reading,
                stderr=stderr,
            )
    finally:
        os.close(reading)
        os.close(writing)
    assert status == 3
    assert "1 process was still running" in (tmp_path / "stderr").read_text()


def test_preload_of_others_is_kept(tmp_path: Path) -> None:
    """A library that was preloaded before is preloaded after us too."""
    library = tmp_path / "other.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-xc", "-", "-o", library], input=b"int other;", check=True
    )
    code = "print('other.so' in open('/proc/self/maps').read())"
    result = run(tmp_path, "-q", "-c", code, LD_PRELOAD=str(library))
    assert result.stdout == b"True\n"


def test_below_a_directory_with_a_space(tmp_path: Path) -> None:
    """Installed where LD_PRELOAD cannot name it, it records all the same."""
    import heaptide

    folder = tmp_path / "a b:c"
    folder.mkdir()
    subprocess.run(["cp", "-r", Path(heaptide.__file__).parent, folder / "heaptide"], check=True)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from heaptide.cli.main import main; import heaptide\n"
        f"assert heaptide.__file__.startswith({str(folder)!r})\n"
        "main(['run', '-q', '-o', 'r.tide', 'sh', '-c', 'true & wait; exit 6'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert (result.returncode, result.stdout, result.stderr) == (6, b"", b"")
    with Recording.open(tmp_path / "r.tide") as recording:
        assert len(recording.processes) >= 2


ASKING = "kept = bytearray(1_234_567); print('up', flush=True); input(); raise SystemExit(3)"


def test_stopped_collector_is_continued(tmp_path: Path) -> None:
    """A collector that somebody stopped does not hold up the program's end, nor the recording's."""
    with subprocess.Popen(
        [*HEAPTIDE, "run", "-q", "-o", tmp_path / "r.tide", "-c", ASKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (collector,) = (
            int(pid) for pid in children if "heaptide-coll" in Path(f"/proc/{pid}/comm").read_text()
        )
        os.kill(collector, signal.SIGSTOP)
        process.communicate(b"\n")
    assert process.returncode == 3
    with Recording.open(tmp_path / "r.tide") as recording:
        assert recording.finished
        assert recording.summary.peak_bytes > 1_234_567
