"""Programs with an allocator linked in: their calls pass no hook of the dynamic linker's, and
come out as exactly as those to the C library."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Record
from tests.support.building import Builder
from tests.support.recorded import Recorded
from tests.truth.test_native_programs import (
    OPTIMISED,
    PLAIN,
    RUST_OPTIMISED,
    RUST_PLAIN,
    check,
)


def library(name: str) -> Path:
    """A static library of the system; the test is skipped where there is none."""
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    path = Path(found.stdout.strip())
    if not path.is_absolute():
        pytest.skip(f"needs {name}")
    return path


def with_library(name: str, *more: str) -> tuple[str, ...]:
    """Flags that link it whole, wherever they stand."""
    return (f"-Wl,--whole-archive,{library(name)},--no-whole-archive", *more, "-lm")


LIBRARIES = {
    "jemalloc": ("libjemalloc_pic.a", "-lstdc++"),
    "tcmalloc": ("libtcmalloc_minimal.a", "-lstdc++"),
}


def process(recorded: Recorded, row: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = recorded.show("function")["processes"][row]
    return found


def said(recorded: Recorded) -> list[str]:
    """Its notes about allocators."""
    notes = recorded.show("function")["notes"]
    return [note["text"] for note in notes if "linked into" in note["text"]]


# ------------------------------------------------------------------------------ the real ones


WHOLE = ["lifetimes.c", "reallocs.c", "threads.c", "deep.c", "forks.c", "objects.cpp"]


@pytest.mark.parametrize(
    ("source", "allocator"),
    # jemalloc has no pvalloc: it would be libc's, and its free jemalloc's.
    [*product(WHOLE, LIBRARIES), ("functions.c", "tcmalloc")],
)
def test_whole_programs(source: str, allocator: str, build: Builder, record: Record) -> None:
    """The truth programs come out as marked with another allocator, too."""
    name, *more = LIBRARIES[allocator]
    program = build(
        source, "-g", "-O1", *with_library(name, *more), name=f"{Path(source).stem}_{allocator}"
    )
    recorded = record([program])
    assert recorded.status == 0, recorded.stderr
    check(recorded, source)
    assert process(recorded)["allocator"] == allocator
    assert process(recorded)["lost_events"] == 0


@pytest.mark.parametrize("flags", [("-no-pie", "-g", "-O2"), ("-g", "-O2", "-s")], ids=" ".join)
@pytest.mark.parametrize("allocator", LIBRARIES)
def test_fixed_address_and_stripped(
    allocator: str, flags: tuple[str, ...], build: Builder, record: Record
) -> None:
    """A program at a fixed address is hooked, and a stripped one whose malloc libraries call."""
    name, *more = LIBRARIES[allocator]
    where = f"lifetimes_{allocator}_{flags[0].strip('-')}_{flags[-1].strip('-')}"
    program = build("lifetimes.c", *flags, *with_library(name, *more), name=where)
    recorded = record([program])
    assert recorded.status == 0, recorded.stderr
    by_libc = record([build("lifetimes.c", *OPTIMISED)])
    for key in ("allocations", "total_bytes", "peak_bytes", "alive_at_exit_bytes"):
        # A C++ runtime and tcmalloc itself make a few blocks before main. Without symbols what
        # jemalloc maps as it starts is not told from mappings by the program.
        slack = 20 if key == "allocations" else 20_000_000 if "-s" in flags else 100_000
        assert 0 <= recorded.summary[key] - by_libc.summary[key] < slack, key
    assert said(recorded) == []


@pytest.fixture(scope="session")
def rust_jemalloc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with librjem.a: jemalloc's public names with the prefix of the Rust bindings."""
    directory = tmp_path_factory.mktemp("rjem")
    source = library("libjemalloc_pic.a")
    listed = subprocess.run(
        ["nm", "-g", "--defined-only", source], capture_output=True, text=True, check=True
    ).stdout
    names = {
        parts[2]
        for parts in (line.split() for line in listed.splitlines())
        if len(parts) == 3 and parts[1] == "T" and not parts[2].startswith(("je_", "_Z"))
    }
    assert {"malloc", "mallocx", "sdallocx"} <= names
    renamed = directory / "names"
    renamed.write_text("".join(f"{name} _rjem_{name}\n" for name in sorted(names)))
    subprocess.run(
        ["objcopy", f"--redefine-syms={renamed}", source, directory / "librjem.a"], check=True
    )
    return directory


def rust_with(directory: Path, *flags: str) -> tuple[str, ...]:
    links = ("-L", str(directory), "-l", "static=rjem", "-l", "m")
    return (*flags, *links, "-C", "link-arg=-Wl,--as-needed")


@pytest.mark.parametrize("flags", [RUST_PLAIN, RUST_OPTIMISED], ids=["O0", "O3"])
def test_rust(flags: tuple[str, ...], rust_jemalloc: Path, build: Builder, record: Record) -> None:
    """A Rust program with jemalloc as its global allocator comes out as marked."""
    name = f"rust_jemalloc_{flags[2].replace('=', '')}"
    program = build("linked_jemalloc.rs", *rust_with(rust_jemalloc, *flags), name=name)
    recorded = record([program])
    assert recorded.status == 0, recorded.stderr
    check(recorded, "truth.rs")
    assert process(recorded)["allocator"] == "jemalloc"
    assert process(recorded)["arena_bytes"] > 0
    assert said(recorded) == []


def test_stripped_rust(rust_jemalloc: Path, build: Builder, record: Record) -> None:
    """What cannot be seen without symbols is said, with the setting that keeps them; and with that
    setting it is seen."""
    bare = build(
        "linked_jemalloc.rs",
        *rust_with(rust_jemalloc, "-O", "-C", "strip=symbols"),
        name="rust_bare",
    )
    recorded = record([bare])
    assert recorded.status == 0, recorded.stderr
    (text,) = said(recorded)
    assert "jemalloc is linked into rust_bare, which has no symbols" in text
    assert 'strip = "debuginfo"' in text
    assert process(recorded)["allocator"] == "static"
    kept = build(
        "linked_jemalloc.rs",
        *rust_with(rust_jemalloc, "-O", "-C", "strip=debuginfo"),
        name="rust_kept",
    )
    seen = record([kept])
    assert process(seen)["allocator"] == "jemalloc"
    assert process(seen)["allocations"] > process(recorded)["allocations"] + 500
    assert said(seen) == []


# -------------------------------------------------------------------------------- made for this

VARIANTS = [
    PLAIN,
    OPTIMISED,
    ("-g", "-O2", "-no-pie"),
    ("-g", "-O1", "-falign-functions", "-fcf-protection=full"),
    ("-g", "-O2", "-Wl,-z,now", "-fno-plt"),
]


@pytest.mark.parametrize("flags", VARIANTS, ids=" ".join)
@pytest.mark.parametrize("source", ["linked_jemalloc.c", "linked_mimalloc.c"])
def test_prefixed(source: str, flags: tuple[str, ...], build: Builder, record: Record) -> None:
    """Functions with the prefixes of jemalloc and mimalloc: each is recorded once, however they
    call each other, by the line that called it; threads and a forked child are seen."""
    program = build(source, *flags)
    plain = subprocess.run([program], capture_output=True, text=True, check=False)
    recorded = record([program])
    assert recorded.status == plain.returncode, recorded.stderr
    assert recorded.stdout == plain.stdout
    check(recorded, source)
    assert process(recorded)["allocator"] == source[len("linked_") : -len(".c")]
    assert process(recorded)["arena_bytes"] == 1 << 28
    assert process(recorded)["deallocations"] > 0
    assert said(recorded) == []


def test_names_that_are_local(build: Builder, record: Record, tmp_path: Path) -> None:
    """Functions that the linker made local are found in the symbol table, too."""
    program = tmp_path / "local"
    source = build("linked_jemalloc.c", *OPTIMISED)
    subprocess.run(["objcopy", "--wildcard", "-L", "_rjem_*", source, program], check=True)
    recorded = record([program])
    assert recorded.status == 5, recorded.stderr
    check(recorded, "linked_jemalloc.c")


def test_unfit_function(build: Builder, record: Record) -> None:
    """An allocator of which one function cannot be hooked is left alone as a whole; said once."""
    program = build("linked_jemalloc.c", "-g", "-O1", "-DUNFIT", name="unfit")
    recorded = record([program])
    assert (recorded.status, recorded.stdout) == (5, "done\n")
    (text,) = said(recorded)
    assert "jemalloc is linked into unfit and cannot be hooked (_rjem_sdallocx: " in text
    assert recorded.site("made_and_freed")["allocations"] == 0
    assert process(recorded)["allocator"] == "static"


def test_addresses_of_its_own(build: Builder, record: Record) -> None:
    """A program with a symbol for malloc, as Debian's Python has it, need not have an allocator."""
    recorded = record([build("malloc_address.c", "-g", "-fno-pie", "-no-pie")])
    assert recorded.site("main")["allocations"] == 100
    assert process(recorded)["allocator"] == "libc"
    assert said(recorded) == []


def test_usable_sizes(build: Builder, record: Record) -> None:
    """With `--usable-sizes` the allocator itself says what it set aside."""
    recorded = record([build("linked_jemalloc.c", *PLAIN)], "--usable-sizes")
    assert recorded.status == 5, recorded.stderr
    site = recorded.site("made_and_freed")
    assert site["total_bytes"] == 100 * (1008 + 304 + 32)
    name, *more = LIBRARIES["jemalloc"]
    program = build("lifetimes.c", *PLAIN, *with_library(name, *more), name="lifetimes_jemalloc")
    recorded = record([program], "--usable-sizes")
    assert recorded.status == 0, recorded.stderr
    assert recorded.site("subject")["total_bytes"] == 50 * 112


def test_sampling(build: Builder, record: Record) -> None:
    """Sampled figures are near the exact ones, and nested calls are not charged twice."""
    recorded = record([build("linked_jemalloc.c", *PLAIN)], "--sample", "4096")
    assert recorded.status == 5, recorded.stderr
    exact = 20_399_741 + 11_100
    # Of the 20 MB in one block nothing is left to chance; the rest makes about 100 samples.
    assert abs(recorded.summary["total_bytes"] - exact) < 250_000


# -------------------------------------------------------------------------------------- libraries

LOAD = "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); sys.exit(library.run())"
LOAD_WITH_THREAD = (
    "import threading; e = threading.Event(); threading.Thread(target=e.wait).start()"
)


def plugin(build: Builder) -> Path:
    flags = ("-g", "-O2", "-fPIC", "-shared", "-Dmain=run")
    return build("linked_jemalloc.c", *flags, name="linked_plugin.so")


def test_loaded_library(build: Builder, record: Record) -> None:
    """An allocator inside a library that is loaded later is hooked when it is."""
    recorded = record([sys.executable, "-c", LOAD, plugin(build)])
    assert recorded.status == 5, recorded.stderr
    check(recorded, "linked_jemalloc.c")
    assert process(recorded)["allocator"] == "libc"
    assert said(recorded) == []


def test_library_loaded_beside_threads(build: Builder, record: Record) -> None:
    """Code that another thread may be running is not changed; said instead."""
    code = (
        f"{LOAD_WITH_THREAD}\n{LOAD.replace('sys.exit(', 'status = (')}\ne.set()\nsys.exit(status)"
    )
    recorded = record([sys.executable, "-c", code, plugin(build)])
    assert recorded.status == 5, recorded.stderr
    (text,) = said(recorded)
    assert "jemalloc is linked into linked_plugin.so and cannot be hooked (threads" in text
    assert recorded.site("made_and_freed")["allocations"] == 0
