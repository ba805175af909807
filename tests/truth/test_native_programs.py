"""Compiled programs whose allocations are known by construction: every marked line and function of
tests/programs must come out exactly, whatever the optimisation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Record
from tests.support.building import PROGRAMS, Builder
from tests.support.marks import (
    differences_by_function,
    differences_by_line,
    printed_figures,
    read_marks,
)
from tests.support.recorded import Recorded

PLAIN = ("-g", "-O0")
OPTIMISED = ("-g", "-O2")
RUST_PLAIN = ("-g", "-C", "opt-level=0")
RUST_OPTIMISED = ("-g", "-C", "opt-level=3", "-C", "codegen-units=1")
RUST_V0 = (*RUST_OPTIMISED, "-C", "symbol-mangling-version=v0")

WHOLE = [
    "functions.c",
    "failures.c",
    "lifetimes.c",
    "reallocs.c",
    "mappings.c",
    "threads.c",
    "edges.c",
    "deep.c",
    "forks.c",
    "objects.cpp",
]


def check(recorded: Recorded, source: str, *, but: frozenset[str] = frozenset()) -> None:
    """Everything marked in a source is as marked, except the functions ``but``."""
    marks = [mark for mark in read_marks(PROGRAMS / source) if mark.function not in but]
    assert marks
    figures = printed_figures(recorded.stdout)
    wrong = differences_by_line(marks, recorded.sites("line"), figures)
    wrong += differences_by_function(marks, recorded.sites("function"), figures)
    assert not wrong, "\n".join([*wrong, recorded.stderr])


@pytest.mark.parametrize("flags", [PLAIN, OPTIMISED], ids=["O0", "O2"])
@pytest.mark.parametrize("source", WHOLE)
def test_program(source: str, flags: tuple[str, ...], build: Builder, record: Record) -> None:
    """A C or C++ program comes out as marked in its source."""
    recorded = record([build(source, *flags)])
    if recorded.status == 77:
        pytest.skip("no address space for blocks of 5 GiB")
    assert recorded.status == 0, recorded.stderr
    check(recorded, source)


@pytest.mark.parametrize("flags", [RUST_PLAIN, RUST_OPTIMISED, RUST_V0], ids=["O0", "O3", "v0"])
def test_rust(flags: tuple[str, ...], build: Builder, record: Record) -> None:
    """A Rust program comes out as marked; both manglings are understood."""
    recorded = record([build("truth.rs", *flags)])
    assert recorded.status == 0, recorded.stderr
    check(recorded, "truth.rs")


def test_inlined_functions(build: Builder, record: Record) -> None:
    """A function merged into its caller is still told apart, by its own name and line."""
    recorded = record([build("inlined.cpp", "-g", "-O2")])
    assert recorded.status == 0, recorded.stderr
    check(recorded, "inlined.cpp")


def test_native_all_is_the_same(build: Builder, record: Record) -> None:
    """`--native all` changes nothing for a program without Python."""
    recorded = record([build("lifetimes.c", *OPTIMISED)], "--native", "all")
    check(recorded, "lifetimes.c")


def test_without_frame_pointers_or_asynchronous_tables(build: Builder, record: Record) -> None:
    """Frame pointers alone are enough where a program has no unwind tables."""
    flags = ("-g", "-O1", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables")
    recorded = record([build("lifetimes.c", *flags, "-fno-exceptions")])
    check(recorded, "lifetimes.c")


@pytest.mark.parametrize("round", range(3))
def test_addresses_taken_by_another_thread(round: int, build: Builder, record: Record) -> None:
    """The leaks are exact although three threads free and reallocate the same addresses."""
    recorded = record([build("reuse.c", *OPTIMISED)], env={"MALLOC_ARENA_MAX": "1"})
    assert recorded.status == 0, recorded.stderr
    check(recorded, "reuse.c")


def test_programs_started_in_every_way(build: Builder, record: Record) -> None:
    """Each way of starting a program is followed, with and without the recorder's environment."""
    recorded = record([build("execs.c", *PLAIN), build("leaf.c", *PLAIN)])
    assert recorded.status == 0, recorded.stderr
    check(recorded, "execs.c")
    check(recorded, "leaf.c", but=frozenset({"leaf_wrapper"}))


@pytest.mark.parametrize(
    "option",
    [["env"], ["env", "-i"], ["sh", "-c", 'exec "$0" "$@"'], ["nice"], ["setsid", "-w"]],
    ids=" ".join,
)
def test_wrappers(option: list[str], build: Builder, record: Record) -> None:
    """A program started through a wrapper is the one that is recorded."""
    recorded = record([*option, build("leaf.c", *PLAIN), "wrapper"])
    assert recorded.status == 0, recorded.stderr
    site = recorded.site("leaf_wrapper")
    assert (site["allocations"], site["total_bytes"]) == (30, 30 * 1010)


def test_script_with_an_interpreter_line(build: Builder, record: Record, tmp_path: Path) -> None:
    """A shell script is a wrapper too."""
    script = tmp_path / "wrapper"
    script.write_text(f'#!/bin/sh\n"{build("leaf.c", *PLAIN)}" wrapper\nexit 9\n')
    script.chmod(0o755)
    recorded = record([script])
    assert recorded.status == 9, recorded.stderr
    assert recorded.site("leaf_wrapper")["allocations"] == 30


def test_no_follow(build: Builder, record: Record) -> None:
    """`--no-follow` records the program itself and no child."""
    recorded = record([build("forks.c", *PLAIN)], "--no-follow")
    assert recorded.status == 0, recorded.stderr
    assert recorded.site("in_parent")["allocations"] == 30
    assert recorded.site("in_child")["allocations"] == 0
    assert recorded.summary["processes"] == 1


def plugins(build: Builder) -> list[Path]:
    flags = ("-g", "-O1", "-fPIC", "-shared")
    return [build("plugin.c", *flags, f"-DPLUGIN={x}", name=f"plugin_{x}.so") for x in "ab"]


def test_loaded_libraries(build: Builder, record: Record) -> None:
    """Libraries that come and go: what their constructors, functions and destructors allocate is
    theirs, also when one has taken the addresses of the other."""
    recorded = record([build("loads.c", *PLAIN), *plugins(build)])
    assert recorded.status == 0, recorded.stderr
    check(recorded, "loads.c")
    for x in "ab":
        for function, count, size in (("load", 5, 5000000), ("call", 200, 700), ("unload", 5, 900)):
            site = recorded.site(f"{function}_{x}")
            assert (site["allocations"], site["total_bytes"]) == (count, count * size), site
            assert Path(site["file"]).name == "plugin.c"


ENDS = {
    "return": 6,
    "exit": 3,
    "_exit": 4,
    "quick_exit": 5,
    "abort": -6,
    "kill": -9,
    "term": -15,
    "segv": -11,
}


@pytest.mark.parametrize("how", ENDS)
def test_ends(how: str, build: Builder, record: Record) -> None:
    """However a program ends, all that it allocated is there, and its status is passed on."""
    recorded = record([build("ends.c", *PLAIN), how])
    assert recorded.status in (ENDS[how], 128 - ENDS[how]), recorded.stderr
    check(recorded, "ends.c")


def test_timer_signals(build: Builder, record: Record) -> None:
    """Signals that interrupt the recorder itself change no figure of the program."""
    recorded = record([build("storm.c", *PLAIN)])
    assert recorded.status == 0, recorded.stderr
    check(recorded, "storm.c")
    handled = printed_figures(recorded.stdout)["handled"]
    assert 0 < recorded.site("on_timer")["allocations"] <= handled
