"""What only the recording itself tells: whole stacks, columns, histograms, threads, processes."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heaptide.profile import (
    Profile,
    Selection,
    age_histogram,
    is_estimate,
    lifetime_histogram,
    size_histogram,
)
from heaptide.recording import ALL_PROCESSES, Recording
from tests.conftest import Record
from tests.support.building import PROGRAMS, Builder
from tests.support.recorded import Recorded


def contexts_of(recording: Recording, function: str) -> npt.NDArray[np.bool_]:
    """True for the contexts whose innermost frame, of those with symbols, is ``function``."""
    names = recording.frame_names()
    contexts = recording.contexts
    found = np.zeros(len(contexts), bool)
    for context, stack in enumerate(contexts.stack):
        for frame in recording.stack_frames(int(stack)):
            shown = [name.function for name in names[frame]]
            if shown[0] != "malloc":
                found[context] = shown[0] == function
                break
    return found


def test_size_histogram(build: Builder, record: Record) -> None:
    """Every bucket has exactly the sizes between its bounds."""
    recorded = record([build("sizes.c", "-g")])
    with Recording.open(recorded.path) as recording:
        wanted = contexts_of(recording, "take")[recording.sizes.context]
        counts = recording.sizes.counts[wanted].sum(axis=0)
    assert counts.tolist() == [i + 2 for i in range(11)] + [12]


def test_lifetime_histogram(build: Builder, record: Record) -> None:
    """Lives of 0, 1, 7, 8 and 63 further allocations, ten of each."""
    recorded = record([build("lifetimes.c", "-g")])
    with Recording.open(recorded.path) as recording:
        wanted = contexts_of(recording, "subject")[recording.lifetimes.context]
        by_allocations = recording.lifetimes.by_allocations[wanted].sum(axis=0)
        by_time = recording.lifetimes.by_time[wanted].sum(axis=0)
    assert by_allocations.tolist() == [10, 10, 10, 20, 0, 0, 0, 0]
    assert by_time.sum() == 50


def test_histograms_of_phases(build: Builder, record: Record) -> None:
    """Exact between marks, though one place allocates all; of another thread, which may be on
    either side of a mark that is near, by thread."""
    recorded = record([build("spreads.c", "-g", "-pthread")])
    with Recording.open(recorded.path) as recording:
        names = list(recording.marks.name)
        times = (recording.marks.time / 1e9).tolist()
        phases = zip(["start", *names], [None, *times], [*times, None])
        found: dict[str, list[list[int]]] = {}
        for name, start, end in phases:
            profile = Profile(recording, Selection(start=start, end=end))
            assert not is_estimate(profile)
            ages, lives = age_histogram(profile), lifetime_histogram(profile)
            assert ages is not None and lives.total == ages.total
            found[name] = [size_histogram(profile).counts.tolist(), ages.counts.tolist()]
        assert found["small"] == [[1000, *[0] * 11], [1000, *[0] * 7]]
        assert found["held"] == [[0, 0, 0, 10, *[0] * 8], [0] * 8]
        assert found["freed"] == [[0] * 12, [1, 1, 6, 2, *[0] * 4]]
        assert (found["large"][0][11], found["end"][0][11]) == (7, 0)
        assert found["large"][0][8] + found["end"][0][8] == 300
        tables = (
            (recording.sizes.context, recording.sizes.counts),
            (recording.lifetimes.context, recording.lifetimes.by_allocations),
        )
        for kind, (context, counts) in enumerate(tables):
            counted = recording.contexts.counted[context]
            sums = np.sum([phase[kind] for phase in found.values()], axis=0)
            assert sums.tolist() == counts[counted].sum(axis=0).tolist()
        [row] = np.flatnonzero(recording.threads.allocations == 300).tolist()
        spreads = recording.spreads()
        own = spreads.thread == row
        assert spreads.blocks[own].tolist() == [300] * 3


def test_threads_are_told_apart(build: Builder, record: Record) -> None:
    """Each of four threads has exactly its own allocations."""
    recorded = record([build("threads.c", "-g")])
    with Recording.open(recorded.path) as recording:
        own = contexts_of(recording, "worker")
        threads = recording.contexts.thread[own]
        blocks = recording.totals.blocks_in[own]
        assert len(set(threads.tolist())) == 4
        assert blocks.tolist() == [5000] * 4
        live = recording.threads.live_bytes[threads]
        assert (live >= 5000 * 32).all()
        # main, 4, 4, the freeing one, the mortal ones, 2, 20 and the detached one.
        assert len(recording.threads) == 1 + 4 + 4 + 1 + 300 + 2 + 20 + 1


def test_processes_are_told_apart(build: Builder, record: Record) -> None:
    """Each child has what it allocated, and the parent does not lose what a child freed."""
    recorded = record([build("forks.c", "-g")])
    shown = recorded.show("process")
    parent = shown["processes"][0]
    expected = {"in_child": 70, "in_raw_child": 71, "in_bare_child": 72, "in_grandchild": 73}
    with Recording.open(recorded.path) as recording:
        contexts = recording.contexts
        for function, count in expected.items():
            own = contexts_of(recording, function)
            assert len(set(contexts.process[own].tolist())) == 1, function
            process = int(contexts.process[own][0])
            assert recording.totals.blocks_in[own].sum() == count
            assert recording.processes.parent[process] == (
                0
                if function != "in_grandchild"
                else contexts.process[contexts_of(recording, "in_child")][0]
            )
        before = contexts_of(recording, "before_fork") & (contexts.process == 0)
        assert recording.totals.live_blocks[before].sum() == 100
        assert recording.totals.blocks_in[before].sum() == 100
        pids = recording.processes.pid.tolist()
    assert parent["pid"] == pids[0]
    assert recorded.summary["processes"] == len(set(pids)) == 5


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_five_hundred_short_lived_processes(shell: str, build: Builder, record: Record) -> None:
    """Each command of a script appears, under the shell that ran it, with what it did."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    leaf = build("leaf.c", "-g", "-O0")
    recorded = record([shell, PROGRAMS / "many.sh", leaf])
    assert recorded.status == 0, recorded.stderr
    with Recording.open(recorded.path) as recording:
        processes, contexts, totals = recording.processes, recording.contexts, recording.totals
        own = contexts_of(recording, "leaf_wrapper")
        runs = sorted(set(contexts.process[own].tolist()))
        assert len(runs) == 500
        for column, figure in ((totals.blocks_in, 30), (totals.bytes_in, 30 * 1010)):
            by_process = np.bincount(contexts.process[own], weights=column[own])
            assert by_process[runs].tolist() == [figure] * 500
        assert processes.unmatched_frees[runs].tolist() == [0] * 500
        rows = np.arange(len(processes))
        is_run = np.isin(rows, runs)
        parent = processes.parent
        # Parents come first, and the first is the script's shell, from which all others stem.
        assert (parent < rows).all() and (parent[1:] >= 0).all() and parent[0] == -1
        # Each command is the child of a process of the script, not of another command.
        assert not is_run[parent[1:]].any()
        assert (processes.ppid[1:] == processes.pid[parent[1:]]).all()
        # What a shell has forked goes on as the command, with the same parent.
        pids = processes.pid.tolist()
        for run in runs:
            former = [row for row in range(run) if pids[row] == pids[run]]
            assert processes.image[run] == len(former)
            assert all(parent[row] == parent[run] for row in former)
        assert recording.summary.lost_events == 0


@pytest.mark.parametrize("program", ["calls.py", "lifetimes.c", "reallocs.c"])
def test_children_are_recorded_as_alone(program: str, build: Builder, record: Record) -> None:
    """Three runs of a program by a shell, two of them at a time: each as if it had run alone."""
    if program.endswith(".py"):
        command = [sys.executable, str(PROGRAMS / program)]
    else:
        command = [str(build(program, "-g"))]
    env = {"PYTHONHASHSEED": "0"}
    alone = record(command, env=env)
    script = '"$@" >/dev/null; "$@" >/dev/null & "$@" >/dev/null; wait'
    together = record(["sh", "-c", script, "sh", *command], env=env)
    assert alone.status == together.status == 0, together.stderr

    def lines(recorded: Recorded, *options: str) -> dict[tuple[str, int], list[int]]:
        shown = recorded.show("line", *options)["sites"]
        figures = ("allocations", "total_bytes", "alive_at_exit_bytes", "temporary_allocations")
        return {
            (site["function"], site["line"]): [site[name] for name in figures]
            for site in shown
            if site["file"]
            and Path(site["file"]).name == program
            and site["function"] != "<module>"
        }

    # Not "<module>": what imports allocate depends on what the disk holds.
    expected = lines(alone)
    assert expected
    with Recording.open(together.path) as recording:
        processes = recording.processes
        runs = [
            str(processes.pid[row])
            for row in range(len(processes))
            if Path(processes.exe[row]).resolve() == Path(command[0]).resolve()
        ]
    assert len(runs) == 3
    for pid in runs:
        assert lines(together, "--process", pid) == expected


@pytest.mark.parametrize("program", ["lifetimes.c", "threads.c", "reallocs.c", "forks.c"])
def test_figures_agree(program: str, build: Builder, record: Record) -> None:
    """Totals, peaks, threads and processes tell one story."""
    recorded = record([build(program, "-g")])
    with Recording.open(recorded.path) as recording:
        totals, counted = recording.totals, recording.contexts.counted
        summary, processes = recording.summary, recording.processes
        assert recording.finished and recording.compacted and not recording.warnings
        assert summary.lost_events == 0
        assert int(processes.truncated.sum()) == 0
        assert int(totals.bytes_in[counted].sum()) == summary.total_bytes
        assert int(totals.live_bytes[counted].sum()) == summary.alive_at_exit_bytes
        assert (totals.live_bytes >= 0).all() and (totals.live_blocks >= 0).all()
        assert (totals.temporary <= totals.short_lived).all()
        assert (totals.short_lived <= totals.blocks_out).all()
        peak = recording.peak_of(ALL_PROCESSES)
        assert peak.exact
        assert int(peak.bytes[counted].sum()) == summary.peak_bytes
        assert int(recording.threads.bytes.sum()) == summary.total_bytes
        assert int(recording.threads.allocations.sum()) == summary.allocations
        assert int(processes.bytes.sum()) == summary.total_bytes
        assert int(recording.timeline.of().peak_bytes.max()) == summary.peak_bytes
        assert int(recording.timeline.of().allocations.sum()) == (
            summary.allocations + summary.reallocations
        )
        assert int(recording.sizes.counts.sum()) == int(totals.blocks_in.sum())


def test_deep_stacks(build: Builder, record: Record) -> None:
    """Ten thousand frames, and main is still there."""
    recorded = record([build("deep.c", "-g", "-O2")])
    stacks = recorded.stacks("deep_leaf")
    assert {stack.count("descend") for stack in stacks} == {71, 10001}
    assert all(stack[stack.count("descend") + 1] == "main" for stack in stacks)


def only(stack: list[str], names: list[str]) -> list[str]:
    return [name for name in stack if name in names]


@pytest.mark.interpreters
@pytest.mark.parametrize("native", ["auto", "all"])
def test_python_and_c_in_one_stack(native: str, build: Builder, record: Record) -> None:
    """Frames of both worlds come in the order in which they were called."""
    library = build("bridge.c", "-g", "-O1", "-fPIC", "-shared", name="bridge.so")
    command: list[str | Path] = [sys.executable, PROGRAMS / "bridge.py", library]
    recorded = record(command, "--native", native)
    assert recorded.status == 0, recorded.stderr
    order = ["c_inner", "py_inner", "c_outer", "py_outer", "main", "<module>"]
    stacks = recorded.stacks("c_inner")
    assert stacks
    # The interpreter's own main comes outermost, after the program's.
    assert all(only(stack, order)[:6] == order for stack in stacks), stacks


@pytest.mark.interpreters
def test_python_stacks(record: Record) -> None:
    """Recursion, generators and coroutines: the whole chain of callers."""
    recorded = record([sys.executable, PROGRAMS / "lines.py"], "--native", "off")
    assert ["descend"] * 501 + ["main", "<module>"] in recorded.stacks("descend")
    for function, callers in (
        ("Shelf.fill", ["main", "<module>"]),
        ("generate", ["main", "<module>"]),
        ("produce", ["main", "<module>"]),
    ):
        if sys.version_info < (3, 11):
            function = function.rpartition(".")[2]  # no qualified names before
        stacks = recorded.stacks(function)
        assert stacks, function
        assert all(stack[-2:] == callers for stack in stacks), stacks


@pytest.mark.interpreters
@pytest.mark.skipif(sys.version_info < (3, 11), reason="columns since Python 3.11")
def test_columns(record: Record) -> None:
    """The column range of each multiplication is the one that the parser gives."""
    source = PROGRAMS / "lines.py"
    products = {
        (node.lineno, node.col_offset + 1, node.end_lineno, (node.end_col_offset or 0) + 1)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.BinOp) and ast.unparse(node) == "unit * size"
    }
    recorded = record([sys.executable, source])
    found = set()
    with Recording.open(recorded.path) as recording:
        names = recording.frame_names()
        for frame in range(len(recording.frames)):
            for name in names[frame]:
                if Path(name.file).name == "lines.py":
                    found.add((name.line, name.column, name.end_line, name.end_column))
    assert products <= found


def test_summary_of_known_program(build: Builder, record: Record) -> None:
    """The summary adds up to what the sites say."""
    recorded: Recorded = record([build("lifetimes.c", "-g")])
    for key in ("allocations", "total_bytes", "alive_at_exit_bytes", "temporary_allocations"):
        assert sum(site[key] for site in recorded.sites()) == recorded.summary[key]
    assert recorded.summary["deallocations"] == (
        recorded.summary["allocations"] - recorded.summary["alive_at_exit_allocations"]
    )
