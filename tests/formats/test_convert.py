"""``heaptide convert``, and the other commands with files of other formats."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heaptide.formats import by_name, speedscope, write
from heaptide.formats._pprof_proto import profile_class
from heaptide.profile import METRICS, Profile
from heaptide.recording import Recording
from tests.formats.files import DATA, GOLDEN
from tests.recording.make import example
from tests.support.refusals import refused

Result = subprocess.CompletedProcess[bytes]


def run(*words: str | Path, cwd: Path | None = None) -> Result:
    return subprocess.run(
        [sys.executable, "-m", "heaptide", *map(str, words)], capture_output=True, cwd=cwd
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.tide"
    example().write(path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "b.tide",
        "heaptrack.b.1.zst",
        "b.massif.out",
        "b.dhat.json",
        "b.pb.gz",
        "b.pprof",
        "b.folded",
        "b.speedscope.json",
        "b.firefox.json",
        "b.csv",
        "b.json",
        "b.parquet",
    ],
)
def test_the_name_tells_the_format(recording: Path, tmp_path: Path, name: str) -> None:
    done = run("convert", recording, tmp_path / name)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / name).exists()
    assert f"{name} is written" in done.stderr.decode()
    # Once more: not over what is there, but with --force.
    refused(run("convert", recording, tmp_path / name), 1, "exists", "--force")
    done = run("convert", "-f", "-q", recording, tmp_path / name)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list(tmp_path.glob(".heaptide-*"))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_command_takes_a_file_of_another_format(tmp_path: Path, name: str) -> None:
    done = run("show", DATA / name)
    assert done.returncode == 0, done.stderr.decode()
    done = run("show", DATA / name, "--json")
    made = json.loads(done.stdout)
    assert made["recording"]["format"] == GOLDEN[name]
    page = tmp_path / "page.html"
    done = run("report", DATA / name, "-o", page)
    assert done.returncode == 0, done.stderr.decode()
    assert page.stat().st_size > 10_000
    done = run("diff", DATA / name, DATA / name)
    if "adhoc" not in name and "copy" not in name:  # which have no metric to compare by
        assert done.returncode == 0, done.stderr.decode()
        assert b"No difference" in done.stdout
    done = run("convert", DATA / name, tmp_path / "a.tide", "-q")
    assert done.returncode == 0, done.stderr.decode()
    before = json.loads(run("show", DATA / name, "--json").stdout)
    after = json.loads(run("show", tmp_path / "a.tide", "--json").stdout)
    assert after["summary"] == before["summary"]
    assert after["sites"] == before["sites"]


def test_figures_that_are_not_known_are_null_and_not_shown() -> None:
    text = run("show", DATA / "mb.massif.out").stdout.decode()
    assert "calls to allocation functions" not in text
    assert "temporary" not in text.partition("note:")[0]
    made = json.loads(run("show", DATA / "mb.massif.out", "--json").stdout)
    assert made["summary"]["allocations"] is None
    assert made["summary"]["peak_bytes"] == 10_000
    assert {site["total_bytes"] for site in made["sites"]} == {None}
    refused(
        run("show", DATA / "mb.massif.out", "--metric", "total"),
        2,
        "allocated in total is not known",
        "known are: peak, alive",
    )


def test_figures_of_a_formats_own() -> None:
    done = run("show", DATA / "cpp.dhat.json", "--metric", "reads", "--json")
    made = json.loads(done.stdout)
    points = json.loads((DATA / "cpp.dhat.json").read_text())["pps"]
    assert sum(site["value"] for site in made["sites"]) == sum(point["rb"] for point in points)
    text = run("show", DATA / "cpp.dhat.json", "--metric", "reads").stdout.decode()
    assert "Bytes read, by function" in text
    refused(run("show", DATA / "cpp.dhat.json", "--metric", "units"), 2, "no metric 'units'")


def test_selections_are_converted(recording: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.folded", tmp_path / "part.folded"
    assert run("convert", recording, whole, "--metric", "total", "-q").returncode == 0
    done = run("convert", recording, part, "--metric", "total", "-q", "--until", "1s")
    assert done.returncode == 0, done.stderr.decode()

    def total(path: Path) -> int:
        return sum(int(line.rsplit(" ", 1)[1]) for line in path.read_text().splitlines())

    assert 0 < total(part) < total(whole)
    refused(
        run("convert", recording, tmp_path / "part.tide", "--until", "1s"), 2, "whole recording"
    )


def test_standard_output(recording: Path) -> None:
    done = run("convert", recording, "-", "--to", "pprof", "-q")
    assert done.returncode == 0
    assert gzip.decompress(done.stdout)
    refused(run("convert", recording, "-"), 2, "give --to")
    refused(run("convert", recording, "-", "--to", "parquet"), 2, "directory of files")
    closed = subprocess.run(
        [sys.executable, "-m", "heaptide", "convert", recording, "-", "--to", "json"],
        capture_output=True,
        preexec_fn=lambda: os.close(1),
    )
    assert closed.returncode == 1 and closed.stderr.count(b"\n") == 1


def test_where_standard_output_leads_to(recording: Path, tmp_path: Path) -> None:
    """A shell's redirection: the file gets it, and nothing is replaced."""
    target = tmp_path / "out"
    before = Path("/dev/stdout").readlink()
    with target.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "heaptide", "convert", recording, "-", "--to", "csv", "-q"],
            stdout=out,
            stderr=subprocess.PIPE,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert target.read_bytes().startswith(b"function,file,line")
    assert Path("/dev/stdout").readlink() == before
    assert not list(Path("/dev").glob(".heaptide*"))


def test_links_and_modes_of_targets_stay(recording: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    assert run("convert", "-f", "-q", recording, link).returncode == 0
    assert link.is_symlink() and real.read_text().startswith("function,")
    assert real.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("format", ["dhat", "heaptrack", "massif"])
def test_what_would_be_made_of_nothing_is_refused(tmp_path: Path, format: str) -> None:
    result = run("convert", DATA / "jeprof.7438.0.f.heap", tmp_path / "a", "--to", format)
    assert result.returncode == 0, result.stderr  # what is live is known
    for name in ("copy.dhat.json", "adhoc.dhat.json"):
        result = run("convert", DATA / name, tmp_path / f"{name}.{format}", "--to", format)
        if format == "dhat":
            assert result.returncode == 0, result.stderr
            before = json.loads((DATA / name).read_text())
            after = json.loads((tmp_path / f"{name}.{format}").read_text())
            for key in ("mode", "verb"):
                assert after[key] == before[key]
            for key in ("tb", "tbk"):
                assert sum(p[key] for p in after["pps"]) == sum(p[key] for p in before["pps"])
        else:
            refused(result, 2, "does not tell", "--to folded")
    if format == "dhat":
        result = run("convert", DATA / "cpp.massif.out", tmp_path / "b", "--to", format)
        refused(result, 2, "does not tell", "peak, alive")


def test_pprof_of_what_knows_less_has_fewer_types(tmp_path: Path) -> None:
    target = tmp_path / "a.pb"
    for name, types in (
        ("mb.massif.out", ["inuse_space"]),
        ("adhoc.dhat.json", ["units", "events"]),
        ("tcm.0001.heap", ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]),
    ):
        assert run("convert", "-f", "-q", DATA / name, target).returncode == 0
        message = profile_class()()
        message.ParseFromString(target.read_bytes())
        found = [message.string_table[one.type] for one in message.sample_type]
        assert found == types


def test_bad_targets(recording: Path, tmp_path: Path) -> None:
    refused(run("convert", recording, tmp_path / "none" / "a.csv"), 1, "not a directory")
    refused(run("convert", recording, tmp_path / "a.xyz"), 2, "--to")
    refused(run("convert", recording, tmp_path, "--to", "csv"), 1, "is a directory")
    refused(run("convert", recording, recording, "-f", "--to", "tide"), 2, "to be converted")
    refused(run("convert", tmp_path / "none", tmp_path / "a.csv"), 1, "does not exist")
    other = tmp_path / "tables"
    other.mkdir()
    (other / "mine.txt").write_text("keep me")
    refused(run("convert", "-f", recording, other, "--to", "parquet"), 1, "holds other files")
    assert (other / "mine.txt").read_text() == "keep me"
    full = Path("/dev/full")
    refused(run("convert", "-f", "-q", recording, full, "--to", "json"), 1, "cannot be written")


def test_a_target_is_whole_or_what_it_was(recording: Path, tmp_path: Path) -> None:
    """A file size limit in the middle of the writing."""
    target = tmp_path / "b.json"
    target.write_text("before")
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$@"', "-", sys.executable, "-m", "heaptide", "convert",
         "-f", str(recording), str(target)],
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.count(b"\n") == 1 and b"cannot be written" in done.stderr
    assert target.read_text() == "before"
    assert not list(tmp_path.glob(".heaptide-*"))


def test_what_is_malformed_names_the_line(tmp_path: Path, recording: Path) -> None:
    data = (DATA / "demo.heaptrack").read_bytes().splitlines(keepends=True)
    broken = tmp_path / "a"
    for number, line in ((3, b"t 1 99\n"), (5, b"s zz x\n"), (4, b"q 1\n")):
        broken.write_bytes(b"".join([*data[:number], line, *data[number:]]))
        refused(run("show", broken), 1, f"malformed at line {number + 1}:")
    broken.write_text("desc: (none)\ncmd: ./a\ntime_unit: i\nsnapshot=0\ntime=x\n")
    refused(run("show", broken), 1, "malformed at line 5: time is no number")
    broken.write_text('{"dhatFileVersion": 2,\n "mode": }\n')
    refused(run("show", broken), 1, "malformed at line 2:")
    broken.write_text("heap profile: 1: 2 [3: 4] @ heapprofile\n 1: x [3: 4] @ 0x1\n")
    refused(run("show", broken), 1, "malformed at line 2:")
    broken.write_text("a;b 1\nmain;b c\n")
    refused(run("show", broken), 1, "of no format")


def test_the_first_recording_is_not_touched(recording: Path, tmp_path: Path) -> None:
    before = recording.read_bytes()
    assert run("convert", recording, tmp_path / "b.dhat.json").returncode == 0
    assert recording.read_bytes() == before
    with Recording.open(recording) as opened:
        assert opened.source == {}


def test_nobody_elses_name_is_taken(recording: Path, tmp_path: Path) -> None:
    """Of two that write beside each other, in containers with equal process ids, say."""
    done = subprocess.run(
        ["bash", "-c", 'touch .heaptide-$$.partial; exec "$@"', "-", sys.executable, "-m",
         "heaptide", "convert", "-q", str(recording), "b.csv"],
        capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list(tmp_path.glob(".heaptide-*.partial"))) == 1


def test_no_room_for_what_is_read(tmp_path: Path) -> None:
    for name in ("cpp.massif.out", "heaptrack.cpp.small.zst"):
        done = subprocess.run(
            ["bash", "-c", 'ulimit -f 1; exec "$@"', "-", sys.executable, "-m", "heaptide", "show",
             str(DATA / name)],
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1 and b"TMPDIR" in done.stderr


def test_differences_of_folded_stacks_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("main;a 10 20\nmain;b 5 1\n")
    refused(run("show", file), 1, "it is a difference")


def test_speedscope_of_many_stacks_keeps_the_sum(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.speedscope.json"
    monkeypatch.setattr(speedscope, "_MOST_FRAMES", 8)
    with Recording.open(recording) as opened:
        profile = Profile(opened)
        said = write(profile, by_name("speedscope"), target, METRICS["total"])
        total = profile.total_of(METRICS["total"])
    made = json.loads(target.read_text())
    assert sum(map(len, made["profiles"][0]["samples"])) <= 8
    assert made["profiles"][0]["endValue"] == total
    assert any("for its size" in line for line in said)


def test_nothing_is_left_when_it_is_ended(tmp_path: Path) -> None:
    """By SIGTERM, in the middle of reading: no temporary recording, no part of the new file."""
    events = tmp_path / "events"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with events.open("wb") as file:
        file.write(b"v 10400 3\nX app\nI 1000 10\ns 4 main\ni 10 0 1\nt 1 0\na 8 1\n")
        for _ in range(400):
            file.write(b"+ 0\n- 0\n" * 50_000)
    with subprocess.Popen(
        [sys.executable, "-m", "heaptide", "convert", events, tmp_path / "a.tide", "-q"],
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        deadline = time.monotonic() + 30
        while not list(temporary.glob("heaptide-import-*/*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "tmp"]
