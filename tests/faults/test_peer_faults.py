"""Where other profilers are wrong (each was seen to be), this one must be right."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Record
from tests.support.building import PROGRAMS, Builder
from tests.support.marks import (
    differences_by_function,
    differences_by_line,
    printed_figures,
    read_marks,
)
from tests.support.recorded import HEAPTIDE, Recorded

MIB = 1024 * 1024
# What the program's start-up and libc's buffers may add to a figure of the whole process.
START_UP = 200_000


def probe(build: Builder, record: Record, name: str) -> Recorded:
    recorded = record([build("peers.c", "-g", "-O1"), name])
    assert recorded.status == 0, recorded.stderr
    return recorded


def check_marks(recorded: Recorded, source: str) -> None:
    assert recorded.status == 0, recorded.stderr
    marks = read_marks(PROGRAMS / source)
    figures = printed_figures(recorded.stdout)
    wrong = differences_by_line(marks, recorded.sites("line"), figures)
    wrong += differences_by_function(marks, recorded.sites("function"), figures)
    assert not wrong, "\n".join(wrong)


@pytest.mark.interpreters
def test_refused_objects_are_no_memory(record: Record) -> None:
    """Objects of 64 TiB that were not to be had: memray reports a peak of 422 TB."""
    plain = record([sys.executable, "-c", "pass"])
    recorded = record([sys.executable, PROGRAMS / "refused.py"])
    assert recorded.status == 0, recorded.stderr
    assert recorded.summary["peak_bytes"] < plain.summary["peak_bytes"] + MIB
    assert recorded.summary["total_bytes"] < plain.summary["total_bytes"] + 2 * MIB


def test_realloc_to_zero_frees(build: Builder, record: Record) -> None:
    """memray: peak 100 MB and leaks; heaptrack: a leak."""
    recorded = probe(build, record, "realloc_to_zero")
    assert 1_000_000 <= recorded.summary["peak_bytes"] < 1_000_000 + START_UP
    site = recorded.site("realloc_to_zero")
    assert site["allocations"] == 100
    assert site["total_bytes"] == 100_000_000
    assert site["peak_bytes"] == 1_000_000
    assert site["alive_at_exit_bytes"] == 0


def test_mremap_is_seen(build: Builder, record: Record) -> None:
    """memray: 1 MiB."""
    recorded = probe(build, record, "remap_to_200_mib")
    assert recorded.site("remap_to_200_mib")["alive_at_exit_bytes"] == 200 * MIB
    assert recorded.site("remap_to_200_mib")["peak_bytes"] == 200 * MIB


def test_map_fixed_replaces(build: Builder, record: Record) -> None:
    """memray: 600 MiB."""
    recorded = probe(build, record, "replace_100_mib")
    assert recorded.site("replace_100_mib")["alive_at_exit_bytes"] == 100 * MIB
    assert 100 * MIB <= recorded.summary["peak_bytes"] < 100 * MIB + START_UP


@pytest.mark.parametrize("round", range(3))
def test_order_of_realloc_between_threads(round: int, build: Builder, record: Record) -> None:
    """memray: 99,972 of 100,000 leaks, a different number each time."""
    recorded = record([build("reuse.c", "-g", "-O2")], env={"MALLOC_ARENA_MAX": "1"})
    assert recorded.site("leaker")["alive_at_exit_bytes"] == 100_000 * 64
    assert recorded.site("swapper")["alive_at_exit_bytes"] == 0


def test_allocations_of_threads_add_up(build: Builder, record: Record) -> None:
    """memray: a quarter of them when threads are merged."""
    recorded = record([build("threads.c", "-g", "-O2")])
    assert recorded.site("worker")["allocations"] == 4 * 5000


@pytest.mark.interpreters
def test_calls_are_not_charged(record: Record) -> None:
    """memray: 2,001,999 allocations and 176 MB, its own."""
    check_marks(record([sys.executable, PROGRAMS / "calls.py"]), "calls.py")


@pytest.mark.interpreters
def test_stacks_survive_cprofile(record: Record) -> None:
    """memray: empty stacks while and after the program uses cProfile."""
    check_marks(record([sys.executable, PROGRAMS / "watched.py"]), "watched.py")


@pytest.mark.interpreters
def test_fork_from_c(record: Record) -> None:
    """memray: the child hangs for ever, and is not recorded."""
    check_marks(record([sys.executable, PROGRAMS / "own_fork.py"]), "own_fork.py")


def test_constructors_during_dlopen(build: Builder, record: Record) -> None:
    """memray: 0."""
    flags = ("-g", "-O1", "-fPIC", "-shared")
    libraries = [build("plugin.c", *flags, f"-DPLUGIN={x}", name=f"plugin_{x}.so") for x in "ab"]
    recorded = record([build("loads.c", "-g"), *libraries])
    assert recorded.status == 0, recorded.stderr
    assert recorded.site("load_a")["total_bytes"] == 5 * 5_000_000


@pytest.mark.interpreters
def test_malloc_by_dlsym(record: Record) -> None:
    """memray: 0."""
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc.restype = None\n"
        "size = ctypes.c_size_t(5_000_000)\n"
        "def by_pointer():\n"
        "    libc.malloc(size)\n"
        "by_pointer()\n"
    )
    recorded = record([sys.executable, "-c", code], "--no-python-objects")
    assert recorded.site("by_pointer")["alive_at_exit_bytes"] == 5_000_000


@pytest.mark.interpreters
def test_objects_not_arenas(record: Record) -> None:
    """memray by default: whoever happened to need an arena has the memory."""
    check_marks(record([sys.executable, PROGRAMS / "pools.py"]), "pools.py")


@pytest.mark.interpreters
def test_spawned_children(record: Record) -> None:
    """memray: nothing, and no word about it."""
    check_marks(record([sys.executable, PROGRAMS / "children.py"]), "children.py")


@pytest.mark.parametrize(
    ("name", "want"), [("break_10_mb", 10_000_000), ("call_the_kernel", 10 * MIB)]
)
def test_memory_not_from_malloc(name: str, want: int, build: Builder, record: Record) -> None:
    """sbrk and system calls made by hand; memray: 0."""
    assert probe(build, record, name).site(name)["alive_at_exit_bytes"] == want


def test_target_pays_nothing_for_live_blocks(build: Builder, record: Record) -> None:
    """A million live blocks; memray keeps 208 bytes for each inside the target.

    The agent's share is its rings and tables: 5 MB and half a MB a thread.
    """
    program = build("peers.c", "-g", "-O1")
    code = (
        "import os, resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print('rss', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
    )
    plain = subprocess.run(
        [sys.executable, "-c", code, str(program), "million"],
        capture_output=True,
        text=True,
        check=True,
    )
    recorded = probe(build, record, "million")
    without = int(plain.stdout.split()[-1])
    assert recorded.summary["peak_rss_bytes"] < without + 6 * MIB
    assert recorded.site("million")["alive_at_exit_bytes"] == 24_000_000


@pytest.mark.parametrize("name", ["million", "million_temporary"])
def test_reader_is_small(name: str, build: Builder, record: Record) -> None:
    """A million live or temporary blocks; memray's reporter takes over 200 bytes for each."""
    recorded = probe(build, record, name)
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
    )
    few = probe(build, record, "apart")
    sizes = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, *HEAPTIDE, "show", str(recording.path)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for recording in (few, recorded)
    ]
    assert sizes[1] < sizes[0] + 5 * MIB


def test_deep_stacks_keep_main(build: Builder, record: Record) -> None:
    """heaptrack keeps the innermost 62 frames, and loses main."""
    recorded = record([build("deep.c", "-g", "-O1")])
    stacks = recorded.stacks("deep_leaf")
    assert all("main" in stack for stack in stacks)
    assert {stack.count("descend") for stack in stacks} == {71, 10001}


def test_wrapper_is_not_the_program(build: Builder, record: Record) -> None:
    """heaptrack: 0 calls, for `env` takes the recorder and execs."""
    recorded = record(["env", "A=b", build("leaf.c", "-g"), "wrapper"])
    assert recorded.site("leaf_wrapper")["allocations"] == 30


def test_rare_functions_are_hooked(build: Builder, record: Record) -> None:
    """heaptrack misses memalign, pvalloc, reallocarray and mmap."""
    check_marks(record([build("functions.c", "-g", "-O1")]), "functions.c")
    check_marks(record([build("mappings.c", "-g", "-O1")]), "mappings.c")


def test_temporary_means_lifetime(build: Builder, record: Record) -> None:
    """heaptrack: blocks of one site pass for each other, and other threads' events count."""
    check_marks(record([build("lifetimes.c", "-g", "-O1")]), "lifetimes.c")
    recorded = record([build("threads.c", "-g", "-O1")])
    assert recorded.site("churner")["temporary_allocations"] == 4 * 5000


def test_peak_is_what_was_live_at_the_peak(build: Builder, record: Record) -> None:
    """DHAT's `mb` is a site's bytes at its greatest number of blocks; ours is one moment of all."""
    recorded = probe(build, record, "apart")
    assert recorded.site("first")["peak_bytes"] == 10_000
    assert recorded.site("second")["peak_bytes"] == 0
    assert recorded.site("second")["total_bytes"] == 1_000
    assert recorded.site("first")["alive_at_exit_bytes"] == 64
    assert 10_000 <= recorded.summary["peak_bytes"] < 10_000 + START_UP


def test_killed_program_keeps_its_recording(build: Builder, record: Record) -> None:
    """memray's aggregated captures and dhat-rs write nothing when the program is killed."""
    recorded = record([build("ends.c", "-g"), "kill"])
    assert recorded.site("last")["alive_at_exit_bytes"] == 77
