"""What golden files of the real tools say, against what these tools say of them."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from heaptide.formats import open_recording
from heaptide.profile import Profile, metric_of, summarize
from heaptide.views.document import document
from tests.formats.files import DATA, plain

pytestmark = pytest.mark.interpreters


def summary(name: str) -> dict[str, Any]:
    with open_recording(DATA / name) as recording:
        profile = Profile(recording)
        made = document(profile, profile.fold("function", metric_of(recording, "total")))
        found: dict[str, Any] = made["summary"]
        return found


# ---------------------------------------------------------------------------------- heaptrack


def test_heaptrack_file_has_the_figures_that_heaptrack_print_has() -> None:
    text = (DATA / "heaptrack.cpp.small.print.txt").read_text()
    found = summary("heaptrack.cpp.small.zst")
    calls = int(re.findall(r"calls to allocation functions: (\d+)", text)[-1])
    assert found["allocations"] == calls == 178343
    peak = float(re.findall(r"peak heap memory consumption: ([\d.]+)M", text)[-1])
    assert round(found["peak_bytes"] / 1e6, 2) == peak
    leaked = float(re.findall(r"total memory leaked: ([\d.]+)M", text)[-1])
    assert round(found["alive_at_exit_bytes"] / 1e6, 2) == leaked
    rss = float(re.findall(r"peak RSS .*: ([\d.]+)M", text)[-1])
    assert round(found["peak_rss_bytes"] / 1e6, 2) == rss


def test_temporary_by_the_definition_of_heaptrack_are_apart() -> None:
    text = (DATA / "heaptrack.cpp.small.print.txt").read_text()
    known = int(re.findall(r"temporary memory allocations: (\d+)", text)[-1])
    with open_recording(DATA / "heaptrack.cpp.small.zst") as recording:
        profile = Profile(recording)
        assert profile.total_of(metric_of(recording, "heaptrack-temporary")) == known
        assert summarize(profile).temporary_allocations is None


def test_inlined_functions_of_a_heaptrack_file() -> None:
    with open_recording(DATA / "demo.heaptrack") as recording:
        names = recording.frame_names()
        inlined = [names[frame] for frame in range(len(recording.frames)) if len(names[frame]) > 1]
        assert inlined
        assert inlined[0][0].function == "inlined_leaf"


def test_lines_that_heaptrack_passes_over_are_told_of() -> None:
    with open_recording(DATA / "edge.heaptrack") as recording:
        texts = [recording.notes.text[row] for row in range(len(recording.notes))]
        assert any("line 17" in text for text in texts)
        assert summarize(Profile(recording)).peak_bytes == 48


# ------------------------------------------------------------------------------------- massif


def massif_table(name: str) -> list[tuple[float, int]]:
    """Times and heap sizes of the table that ms_print makes of a file."""
    ms_print = shutil.which("ms_print")
    assert ms_print, "ms_print comes with Valgrind; scripts/setup installs it"
    text = subprocess.run(
        [ms_print, str(DATA / name)], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(r"^ +\d+ +([\d,.]+) +([\d,]+) +([\d,]+) +[\d,]+ +[\d,]+$", text, re.M)
    return [(float(t.replace(",", "")), int(heap.replace(",", ""))) for t, _, heap in rows]


@pytest.mark.parametrize("name", ["cpp.massif.out", "mb.massif.out", "pages.massif.out"])
def test_massif_snapshots_are_those_of_ms_print(name: str) -> None:
    table = massif_table(name)
    with open_recording(DATA / name) as recording:
        live = recording.timeline.live_bytes.tolist()
        assert [heap for _, heap in table] == live
        assert recording.timeline.time.tolist() == [int(time) for time, _ in table]
        assert recording.summary.peak_bytes == max(live)
        assert recording.summary.alive_at_exit_bytes == live[-1]


def test_massif_trees_add_up_to_their_snapshots() -> None:
    """The slices are made of the trees: at each detailed snapshot what lives is its size."""
    text = plain("cpp.massif.out").decode()
    blocks = re.split(r"#-+\nsnapshot=", text)[1:]
    detailed = [
        int(match[1])
        for block in blocks
        if (match := re.search(r"mem_heap_B=(\d+).*heap_tree=(?:detailed|peak)", block, re.S))
    ]
    with open_recording(DATA / "cpp.massif.out") as recording:
        sizes = []
        for stop in range(len(detailed)):
            sums = recording.totals_between(0, stop + 1)
            sizes.append(int(sums.live_bytes.sum()))
    assert sizes == detailed


def test_massif_of_every_option(tmp_path: Any) -> None:
    """Several desc lines, --stacks, a truncated last tree, threshold 0."""
    text = (
        "desc: --massif-out-file=a\ndesc: --stacks=yes --threshold=0.0\ncmd: ./a b\n"
        "time_unit: ms\n#-----------\nsnapshot=0\n#-----------\ntime=0\nmem_heap_B=0\n"
        "mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=empty\n#-----------\nsnapshot=1\n"
        "#-----------\ntime=7\nmem_heap_B=30\nmem_heap_extra_B=16\nmem_stacks_B=400\n"
        "heap_tree=peak\nn2: 30 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n"
        " n1: 20 0x10: f(int) (a.cpp:3)\n  n0: 20 0x20: main (a.cpp:9)\n"
        " n0: 10 0x30: g (in /usr/lib/libg.so)\n"
    )
    file = tmp_path / "a"
    file.write_text(text)
    with open_recording(file) as recording:
        assert recording.meta["command"] == ["./a", "b"]
        assert recording.timeline.stack_bytes.tolist() == [0, 400]
        assert recording.timeline.overhead_bytes.tolist() == [0, 16]
        assert recording.timeline.time.tolist() == [0, 7_000_000]
        profile = Profile(recording)
        fold = profile.fold("function", metric_of(recording, "peak"))
        at = profile.locations
        found = {at.texts[at.function[row]]: int(v) for row, v in zip(fold.location, fold.values)}
        assert found == {"f(int)": 20, "g": 10}
    file.write_text(text.partition("  n0: 20")[0])
    with open_recording(file) as recording:
        texts = [recording.notes.text[row] for row in range(len(recording.notes))]
        assert any("ends within" in one for one in texts)
        assert recording.summary.peak_bytes == 30


# --------------------------------------------------------------------------------------- DHAT


@pytest.mark.parametrize("name", ["cpp.dhat.json", "mb.dhat.json"])
def test_dhat_sums(name: str) -> None:
    points = json.loads(plain(name))["pps"]
    found = summary(name)
    for key, figure in (
        ("tb", "total_bytes"),
        ("tbk", "allocations"),
        ("gb", "peak_bytes"),
        ("gbk", "peak_blocks"),
        ("eb", "alive_at_exit_bytes"),
        ("ebk", "alive_at_exit_allocations"),
    ):
        assert found[figure] == sum(point[key] for point in points), figure
    with open_recording(DATA / name) as recording:
        profile = Profile(recording)
        for key, metric in (("rb", "reads"), ("wb", "writes"), ("tl", "lifetime"), ("mb", "max")):
            wanted = sum(point[key] for point in points)
            if wanted:
                assert profile.total_of(metric_of(recording, metric)) == wanted


def test_dhat_access_counts() -> None:
    """``-n, v`` stands for n times v."""
    points = json.loads(plain("cpp.dhat.json"))["pps"]
    wanted = sorted(
        sum(abs(a) * b if a < 0 else 0 for a, b in zip(point["acc"], point["acc"][1:]))
        + sum(
            a for i, a in enumerate(point["acc"]) if a >= 0 and (i == 0 or point["acc"][i - 1] >= 0)
        )
        for point in points
        if "acc" in point
    )
    with open_recording(DATA / "cpp.dhat.json") as recording:
        table = recording.accesses
        sums = np.bincount(table.context, weights=table.run * table.count)
    assert wanted
    assert sorted(int(one) for one in sums[sums > 0]) == [one for one in wanted if one]


def test_dhat_modes_without_a_heap() -> None:
    for name, metric, key in (
        ("copy.dhat.json", "copied-bytes", "tb"),
        ("copy.dhat.json", "copies", "tbk"),
        ("adhoc.dhat.json", "units", "tb"),
    ):
        points = json.loads(plain(name))["pps"]
        with open_recording(DATA / name) as recording:
            profile = Profile(recording)
            total = profile.total_of(metric_of(recording, metric))
            assert total == sum(point[key] for point in points)
            assert {"total_bytes", "peak_bytes"} <= recording.lacks


# ------------------------------------------------------------------------- gperftools, jemalloc


def test_gperftools_totals() -> None:
    header = plain("tcm.0001.heap").split(b"\n")[0].decode()
    live_blocks, live, blocks, total = map(int, re.findall(r"\d+", header)[:4])
    found = summary("tcm.0001.heap")
    assert (found["alive_at_exit_allocations"], found["alive_at_exit_bytes"]) == (live_blocks, live)
    assert (found["allocations"], found["total_bytes"]) == (blocks, total)


def test_jemalloc_rows_are_scaled_one_by_one() -> None:
    """Against an independent sum over the rows of threads, by the formula of pprof."""
    text = plain("jeprof.7438.0.f.heap").decode().partition("\nMAPPED_LIBRARIES")[0]
    period = 4096
    live = total = 0
    for stack in text.split("@ ")[1:]:
        for row in re.findall(r"^  t\d+: (\d+): (\d+) \[(\d+): (\d+)\]", stack, re.M):
            count, size, calls, size_all = map(int, row)
            if count:
                live += round(size / (1 - math.exp(-size / count / period)))
            if calls:
                total += round(size_all / (1 - math.exp(-size_all / calls / period)))
    found = summary("jeprof.7438.0.f.heap")
    assert found["alive_at_exit_bytes"] == live
    assert found["total_bytes"] == total
    with open_recording(DATA / "jeprof.7438.0.f.heap") as recording:
        assert sorted(recording.threads.tid.tolist())[-1] == 4
        assert recording.sample_interval == period


def test_jemalloc_against_jeprof() -> None:
    """jeprof's own total of what is live."""
    jeprof = shutil.which("jeprof")
    assert jeprof, "jeprof comes with libjemalloc-dev; scripts/setup installs it"
    text = subprocess.run(
        [jeprof, "--text", "--inuse_space", "/bin/true", str(DATA / "jeprof.7438.0.f.heap")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    megabytes = float(re.findall(r"Total: ([\d.]+) MB", text)[0])
    found = summary("jeprof.7438.0.f.heap")
    assert round(found["alive_at_exit_bytes"] / (1 << 20), 1) == megabytes


def test_a_symbolised_profile(tmp_path: Any) -> None:
    file = tmp_path / "a"
    file.write_text(
        "--- symbol\nbinary=/bin/app\n0x0000000000001001 inner(int)--outer\n0x2001 main\n---\n"
        "--- heap\nheap profile:      2:       64 [     4:      128] @ heapprofile\n"
        "     2:       64 [     4:      128] @ 0x1001 0x2001\n\nMAPPED_LIBRARIES:\n"
    )
    with open_recording(file) as recording:
        frames = recording.stack_frames(int(recording.contexts.stack[0]))
        names = recording.frame_names()
        path = [one.function for frame in frames for one in names[frame]]
        assert path == ["inner(int)", "outer", "main"]
        assert recording.summary.total_bytes == 128


@pytest.mark.parametrize(
    ("kind", "scaled"),
    [("heapprofile", False), ("heap_v2/1000", True), ("heap/2000", True), ("growth", False)],
)
def test_kinds_of_heap_profiles(tmp_path: Any, kind: str, scaled: bool) -> None:
    file = tmp_path / "a"
    file.write_text(f"heap profile: 4: 400 [4: 400] @ {kind}\n 4: 400 [4: 400] @ 0x10 0x20\n")
    with open_recording(file) as recording:
        live = recording.summary.alive_at_exit_bytes
        factor = 1 / (1 - math.exp(-100 / 1000)) if scaled else 1
        assert live == round(400 * factor)
        assert ("total_bytes" in recording.lacks) is (kind != "heapprofile")


def test_a_massif_file_that_ends_with_nothing_alive(tmp_path: Any) -> None:
    head = "desc: (none)\ncmd: ./a\ntime_unit: ms\n"
    snapshot = (
        "#-----------\nsnapshot={}\n#-----------\ntime={}\nmem_heap_B={}\nmem_heap_extra_B=0\n"
        "mem_stacks_B=0\nheap_tree={}\n"
    )
    tree = "n1: 100 (heap allocation functions) malloc\n n0: 100 0x1: main (a.c:1)\n"
    file = tmp_path / "a"
    file.write_text(
        head + snapshot.format(0, 1, 100, "peak") + tree + snapshot.format(1, 2, 0, "empty")
    )
    with open_recording(file) as recording:
        assert recording.summary.peak_bytes == 100
        assert recording.summary.alive_at_exit_bytes == 0


def test_a_file_that_is_mapped_twice(tmp_path: Any) -> None:
    """Once as a library, and once, below that, by somebody who reads it."""
    file = tmp_path / "a"
    file.write_text(
        "heap profile: 1: 8 [1: 8] @ heapprofile\n 1: 8 [1: 8] @ 0x7f0000003011\n\n"
        "MAPPED_LIBRARIES:\n"
        "7e0000000000-7e0000009000 r--p 00000000 08:01 7   /none/lib.so\n"
        "7f0000000000-7f0000002000 r--p 00000000 08:01 7   /none/lib.so\n"
        "7f0000002000-7f0000005000 r-xp 00002000 08:01 7   /none/lib.so\n"
    )
    with open_recording(file) as recording:
        native = recording.frames.ref >= 0
        assert recording.frames.offset[native].tolist() == [0x3010]
