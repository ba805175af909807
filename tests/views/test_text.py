"""Text: what it shows, that it fits, and that nothing but text reaches a pipe."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.profile.random_recording import random_recording
from tests.recording.make import ALL, SECOND, Builder, Change, example

from heaptide.profile import FOLDS, METRICS, Profile, rows_of_pid
from heaptide.recording import Language, Recording
from heaptide.views import text
from heaptide.views.console import ASCII, UNICODE, Screen


def rendered(recording: Recording, width: int = 80, encoding: str = "utf-8") -> list[str]:
    """The lines of the whole view, as bytes in ``encoding`` would hold them."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    text.print_summary(recording, file=file, width=width)
    file.flush()
    return raw.getvalue().decode(encoding).split("\n")


def table(recording: Recording, by: str, metric: str = "peak", width: int = 80) -> list[str]:
    file = io.StringIO()
    profile = Profile(recording)
    text.show(profile, METRICS[metric], by, only_table=True, file=file, width=width)
    return file.getvalue().split("\n")


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording.open(example().write(tmp_path / "a.tide"))


def figures(lines: list[str]) -> dict[str, str]:
    """``name: figure`` lines at the top."""
    found = (re.match(r"([a-zA-Z' -]+):  +(\S+(?: [kMG]?B| s)?)", line) for line in lines[:14])
    return {match.group(1): match.group(2) for match in found if match}


def test_the_guides_figures(recording: Recording) -> None:
    expected = {
        "total runtime": "3.00 s",
        "calls to allocation functions": "33",
        "reallocations of these": "3",
        "temporary allocations": "5",
        "short-lived allocations": "8",
        "peak heap": "2.0 kB",
        "peak RSS": "52.4 MB",
        "alive at exit": "600 B",
        "allocated in total": "3.3 kB",
        "processes": "1",
    }
    assert figures(rendered(recording)) == expected


def test_a_sampled_recording_knows_no_temporaries(tmp_path: Path) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    lines = rendered(Recording.open(build.write(tmp_path / "a.tide")))
    said = [line for line in lines if "temporary" in line or "short-lived" in line]
    assert [re.sub(" +", " ", line) for line in said] == [
        "temporary allocations: not known when sampling: only samples are seen",
        "short-lived allocations: not known when sampling: only samples are seen",
    ]


def launched() -> Builder:
    """A shell that starts `env server` (an exec) and `small`, the first and the last small."""
    build = Builder()
    rows = [
        build.process(10, "/bin/sh", ["sh", "start.sh"], peak_bytes=5, end=SECOND),
        build.process(11, "/bin/env", ["env", "server"], peak_bytes=7, end=SECOND),
        build.process(11, "/srv/server", ["server"], image=1, peak_bytes=90, end=SECOND),
        build.process(12, "/srv/small", ["small"], peak_bytes=6, end=SECOND),
    ]
    stack = build.stack(build.python("f", "/a.py", 1))
    changes = {}
    for row, (pid, size) in zip(rows, ((10, 5), (11, 7), (11, 90), (12, 6))):
        build.thread(row, pid)
        context = build.context(row, stack, thread=row)
        changes[context] = Change(1, size)
        build.peak({context: (1, size)}, row)
        build.timeline(SECOND, row, live_bytes=size, peak_bytes=size)
    build.slice(0, SECOND, changes)
    build.peak({context: (1, change.bytes_in) for context, change in changes.items()})
    build.timeline(SECOND, ALL, live_bytes=108, peak_bytes=108)
    build.finish(SECOND)
    return build


def test_what_a_process_became_heads_its_page(tmp_path: Path) -> None:
    recording = Recording.open(launched().write(tmp_path / "a.tide"))
    file = io.StringIO()
    profile = Profile(recording, rows_of_pid(recording, 11))
    text.show(profile, METRICS["peak"], "function", file=file, width=80)
    assert file.getvalue().startswith("process 11: server ")
    # Its run time is its own, moments are the recording's.
    assert re.search("peak heap: .*, after .* of the recording\n", file.getvalue())
    lines = rendered(recording)
    assert figures(lines)["processes"] == "3"
    assert any(line.endswith("with 3 threads") for line in lines)


def test_the_largest_process_is_proposed(tmp_path: Path) -> None:
    lines = rendered(Recording.open(launched().write(tmp_path / "a.tide")), width=200)
    assert [line.split()[4] for line in lines if "--process " in line] == ["11"]


def test_the_site_is_shown_with_its_line(recording: Recording) -> None:
    row = next(line for line in rendered(recording) if "load" in line)
    assert row.split() == ["100.0", "%", "█" * 8, "2.0", "kB", "20", "load", "/home/user/app.py:12"]


def test_what_to_try_next_exists(recording: Recording) -> None:
    """Each command that is suggested runs."""
    lines = rendered(recording, width=200)
    commands = [line.split("  ")[1] for line in lines if line.startswith("  heaptide ")]
    assert len(commands) >= 4
    for command in commands:
        words = [sys.executable, "-m", "heaptide", *command.split()[1:]]
        if words[3] == "open":
            _opens(words)
            continue
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def _opens(words: list[str]) -> None:
    """It serves until it is interrupted, and ends well then."""
    command = [*words, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_what_a_command_is_for_is_said_in_80_columns_too(tmp_path: Path) -> None:
    """With the names that recordings have by default, and whole commands."""
    name = "heaptide-a_program_with_a_name.1234567.tide"
    recording = Recording.open(example().write(tmp_path / name))
    wide, narrow = (rendered(recording, width) for width in (250, 80))
    expected = []
    for line in wide[wide.index("Next") + 1 : -1]:
        command, why = line.split("  ")[1], line.split("  ")[-1].strip()
        expected += [f"  {why}:", f"    {command}"]
    assert narrow[narrow.index("Next") + 1 : -1] == expected
    assert len(expected) >= 8


@pytest.mark.parametrize(
    ("by", "metric", "expected"),
    [
        (
            "thread",
            "peak",
            [
                ["1.2", "kB", "12", "MainThread", "4711"],
                ["800", "B", "8", "worker", "4712,", "runs"],
            ],
        ),
        ("process", "total", [["3.3", "kB", "30", "4711", "python3", "app.py"]]),
        ("module", "alive", [["600", "B", "6", "app"]]),
        ("line", "copied", [["100", "B", "3", "/home/user/app.py:12", "load"]]),
        ("file", "temporary", [["5", "30", "/home/user/app.py"]]),
        ("function", "allocations", [["30", "3.3", "kB", "load", "/home/user/app.py:12"]]),
        ("function", "short-lived", [["8", "30", "load", "/home/user/app.py:12"]]),
    ],
)
def test_tables(recording: Recording, by: str, metric: str, expected: list[list[str]]) -> None:
    lines = [line for line in table(recording, by, metric) if "%" in line]
    found = [re.sub(r"^.*% +\S+ +", "", line).split() for line in lines]
    assert [row[: len(wanted)] for row, wanted in zip(found, expected)] == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_lines_fit(recording: Recording, width: int, encoding: str) -> None:
    # A suggested command is left whole, to be copied.
    lines = [line for line in rendered(recording, width, encoding) if "  heaptide " not in line]
    assert len(lines) > 30
    assert max(map(cell_len, lines)) <= width
    assert not [line for line in lines if line != line.rstrip()]


@given(st.integers(0, 10**9), st.sampled_from(["utf-8", "ascii", "latin-1"]))
@settings(deadline=None, max_examples=30)
def test_any_recording_fits_80_columns(seed: int, encoding: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = random_recording(seed, Path(directory) / "a.tide")
        lines = [x for x in rendered(recording, encoding=encoding) if "heaptide s" not in x]
        for by in FOLDS:
            lines += table(recording, by)
        assert max(map(cell_len, lines)) <= 80


def hostile() -> Builder:
    """Names that would clear the screen, open tags, or take more columns than characters."""
    build = Builder()
    names = ("\x1b[2J\x1b]0;owned\x07", "[bold red]x[/]", "漢字" * 60, "a\nb\rc", ":smile:")
    build.process(exe=names[0], command=list(names))
    build.thread(name=names[0])
    changes = {}
    for index, name in enumerate(names):
        frame = build.python(name, f"/{name}/{name}.py", 1)
        build.symbol(frame, name, f"/{name}/{name}.py", 10**9, Language.CPP)
        changes[build.context(stack=build.stack(frame))] = Change(1, 1000 + index)
    build.slice(0, SECOND, changes)
    build.peak({context: (1, change.bytes_in) for context, change in changes.items()})
    build.note(0, "\x1b[31m" + "note " * 40)
    build.meta["command"] = list(names)
    build.timeline(SECOND, ALL, live_bytes=6015, peak_bytes=6015)
    build.finish(SECOND)
    return build


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_are_data(tmp_path: Path, encoding: str) -> None:
    recording = Recording.open(hostile().write(tmp_path / "a.tide"))
    lines = [line for line in rendered(recording, 80, encoding) if "  heaptide " not in line]
    whole = "\n".join(lines)
    assert max(map(cell_len, lines)) <= 80
    assert not set(whole) & set(map(chr, [*range(10), *range(11, 32), 127]))
    assert "\\x1b" in whole
    assert "[bold red]x[/]" in whole
    assert ":smile:" in whole


def test_plain_characters_where_the_encoding_has_no_others() -> None:
    ascii_ = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert Screen(ascii_).glyphs is ASCII
    assert Screen(utf8).glyphs is UNICODE


@pytest.mark.parametrize(
    ("share", "bar"), [(0, "    "), (0.5, "██  "), (0.53, "██▏ "), (1, "████"), (2, "████")]
)
def test_bars(share: float, bar: str) -> None:
    assert Screen(io.StringIO()).bar(share, 4) == bar


def test_long_names_keep_the_end_that_tells_them_apart() -> None:
    screen = Screen(io.StringIO())
    assert screen.tail("/home/user/app/views.py", 12) == "…pp/views.py"
    assert screen.tail("漢字漢字", 5) == "…漢字"
    assert screen.head("python3 app.py --verbose", 10) == "python3 a…"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "heaptide", "show", *arguments],
        capture_output=True,
        env={**env, **environment},
        check=False,
    )


def test_json_costs_no_rich_and_nothing_costs_symbols(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    code = (
        "import sys; from heaptide.cli.main import run; status = run(sys.argv[1:]); "
        "print(status, *sorted({'rich', 'symbolic'} & set(sys.modules)), file=sys.stderr)"
    )
    for options, expected in (["--json"], "0\n"), ([], "0 rich\n"):
        done = subprocess.run(
            [sys.executable, "-c", code, "show", path, *options],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == expected


def test_a_pipe_gets_no_codes_and_80_columns(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    done = run(path, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    lines = done.stdout.decode().splitlines()
    assert max(len(line) for line in lines if "  heaptide " not in line) <= 80


def test_an_ascii_pipe_gets_ascii(tmp_path: Path) -> None:
    done = run(example().write(tmp_path / "a.tide"), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def terminal(path: str, **environment: str) -> bytes:
    """What a terminal of 80 columns receives."""
    import pty

    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    env.update(TERM="xterm-256color", PYTHONIOENCODING="utf-8", **environment)
    master, slave = pty.openpty()
    try:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        child = subprocess.Popen(
            [sys.executable, "-m", "heaptide", "show", path],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
        )
        os.close(slave)
        received = b""
        try:
            while chunk := os.read(master, 65536):
                received += chunk
        except OSError:
            pass  # the other end is closed: how a terminal ends
        assert child.wait() == 0
    finally:
        os.close(master)
    return received


def test_a_terminal_gets_colours_unless_told_not_to(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    colour = re.compile(rb"\x1b\[[0-9;]*3[0-9]m")
    assert colour.search(terminal(path))
    plain = terminal(path, NO_COLOR="1")
    assert not colour.search(plain)
    assert b"peak heap" in plain


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["missing.tide"], 1, b"missing.tide"),
        (["a.tide", "--process", "1"], 2, b"no process 1"),
        (["a.tide", "--metric", "colour"], 2, b"peak"),
        (["a.tide", "--by", "colour"], 2, b"function"),
        (["a.tide", "--top", "-1"], 2, b"--top"),
        (["text.tide"], 1, b"text.tide"),
        ([], 2, b"heaptide: name a recording, a .tide file that heaptide run wrote; see heaptide "),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, arguments: list[str], status: int, part: bytes
) -> None:
    example().write(tmp_path / "a.tide")
    (tmp_path / "text.tide").write_text("not a recording")
    done = run(*(str(tmp_path / word) if word.endswith(".tide") else word for word in arguments))
    assert (done.returncode, done.stdout) == (status, b"")
    assert done.stderr.count(b"\n") == 1
    assert part in done.stderr


def test_a_stack_of_10000_frames(tmp_path: Path) -> None:
    """It opens, and is charged to its innermost function; inclusive figures too."""
    build = Builder()
    build.process(peak_bytes=8)
    build.thread()
    outer = build.python("main", "/a.py", 1)
    frames = [build.python("deep", "/a.py", 2), build.python("deeper", "/a.py", 3)] * 5000
    build.slice(0, SECOND, {build.context(stack=build.stack(outer, *frames)): Change(1, 8)})
    build.peak({0: (1, 8)})
    build.finish(SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert any("deeper" in line for line in rendered(recording))
    fold = Profile(recording).fold("function", METRICS["peak"], inclusive=True)
    assert fold.inclusive is not None
    assert fold.inclusive.tolist() == [8]


def test_an_empty_recording_says_what_it_is(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.finish(SECOND)
    lines = rendered(Recording.open(build.write(tmp_path / "a.tide")))
    assert "no allocation was recorded" in " ".join(lines)
    assert "nothing" in lines


@pytest.mark.parametrize(("most", "told"), [(10**6, True), (0, False)])
def test_each_moment_says_what_the_heap_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, told: bool
) -> None:
    """Where it does not take long to find out; else that it can be asked for."""
    monkeypatch.setattr("heaptide.views.moments.MOST_ROWS", most)
    lines = rendered(Recording.open(example().write(tmp_path / "a.tide")))
    head = next(at for at, line in enumerate(lines) if "most of it in" in line)
    moments = [line for line in lines[head + 1 :][:4] if " s  " in line]
    assert len(moments) == 4
    assert all("load" in line for line in moments) == told
    assert any("see --timeline" in line for line in moments) != told


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("up to 64 B  16,778", "up to 64 B…"),
        ("a  34,348  6.34 ms", "a  34,348…"),
        ("a   34,348  6.34 ms", "a   34,348…"),
        ("run time: 390 ms of it", "run time:…"),
        ("run     390 ms of it", "run     390 ms…"),
        ("run         39 ms  ", "run…"),
        ("load/vec_a17/b22.py:1", "load/vec_a17/b…"),
        ("15 characters.", "15 characters."),
        ("15 characters.     ", "15 characters."),
        ("wide: 行行行行行行", "wide: 行行行行…"),
    ],
)
def test_no_beginning_of_a_figure_is_taken_for_it(line: str, cut: str) -> None:
    """A line that does not fit says so; 16,7 of 16,778 would be another figure."""
    file = io.StringIO()
    Screen(file, 15).line(line)
    assert file.getvalue() == cut + "\n"


def test_a_line_is_cut_in_what_can_be_shown() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Screen(file, 15).line("up to 64 B  16,778")
    file.flush()
    assert raw.getvalue() == b"up to 64 B...\n"
