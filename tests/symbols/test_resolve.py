"""A whole recording's frames: names, progress, advice, and what symbolize makes of a file."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from heaptide.recording import ContextKind, Language, Recording, symbolize
from heaptide.symbols import _perfmap, resolve
from heaptide.symbols._cache import SymbolCache
from heaptide.symbols._debugfiles import DebugFiles
from heaptide.symbols._elf import ElfFile
from heaptide.symbols._native import NativeResolver
from heaptide.symbols._shares import processes_of_frames, share_of_frames
from tests.recording import make
from tests.recording.make import SECOND, Builder, Change
from tests.symbols import compiling
from tests.symbols.compiling import calls, marked, need, run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)


def module(build: Builder, path: Path, process: int = 0) -> int:
    with ElfFile.open(path) as elf:
        return build.module(process, str(path), elf.build_id)


def test_mixed_recording(tmp_path: Path) -> None:
    """Native, inlined, Python, generated and unknown frames in one recording."""
    program = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2")
    address = calls(program, "5outer", "malloc")[0]
    build = Builder()
    process = build.process()
    python = build.python("load", "app.py", 12)
    native = build.native(module(build, program), address)
    unknown = build.native(None, 0x1234)
    build.context(process, build.stack(python, native, unknown))
    path = build.write(tmp_path / "a.tide")
    steps: list[tuple[int, int, str]] = []
    done = symbolize(path, progress=lambda *step: steps.append(step))
    assert done.frames_named == 2
    assert [step[1] for step in steps] == [2] * len(steps)
    assert steps[-1] == (2, 2, "")
    assert "p" in [step[2] for step in steps]
    recording = Recording.open(path)
    names = recording.frame_names()
    assert [(n.function, n.line, n.language) for n in names[python]] == [
        ("load", 12, Language.PYTHON)
    ]
    assert [(n.function, n.line) for n in names[native]] == [
        ("shop::inner(int)", marked("inlined.cpp", "inner")),
        ("shop::middle(int)", marked("inlined.cpp", "middle")),
        ("shop::outer(int)", marked("inlined.cpp", "outer")),
    ]
    assert names[native][0].file.endswith("/inlined.cpp")
    assert [n.function for n in names[unknown]] == ["0x1234"]
    assert recording.symbols is not None
    assert len(recording.symbols) == 4


def test_names_survive_their_files(tmp_path: Path) -> None:
    """On another machine, or after a rebuild, symbolize keeps what it once found."""
    program = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2")
    build = Builder()
    build.process()
    frame = build.native(module(build, program), calls(program, "5outer", "malloc")[0])
    build.context(0, build.stack(frame))
    path = build.write(tmp_path / "a.tide")
    symbolize(path)
    program.unlink()
    symbolize(path)
    assert Recording.open(path).frame_names()[frame][-1].function == "shop::outer(int)"


def test_generated_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames in no module are named by the perf map of the process they were seen in."""
    build = Builder()
    build.meta["start_time"] = time.time() - 10
    build.process(pid=11)
    build.process(pid=22)
    ours = build.native(None, 0x1008)
    outer = build.native(None, 0x2008)
    other = build.native(None, 0x1010)
    build.context(1, build.stack(outer, ours))
    build.context(0, build.stack(other))
    (tmp_path / "perf-22.map").write_text("1000 20 jitted\n2000 20 caller\n")
    real = _perfmap.PerfMap.of_process
    monkeypatch.setattr(
        _perfmap.PerfMap, "of_process", lambda pid, since: real(pid, since, tmp_path)
    )
    path = build.write(tmp_path / "a.tide")
    symbolize(path)
    names = Recording.open(path).frame_names()
    found = [names[frame][0].function for frame in (ours, outer, other)]
    assert found == ["jitted", "caller", "0x1010"]


def test_advice_for_a_stripped_program(tmp_path: Path) -> None:
    """One line for a file whose nameless frames are in a share of the allocations worth it."""
    need("strip")
    program = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-O2")
    library = compiling.compile_program(tmp_path / "l.so", "inlined.cpp", "-shared", "-fPIC")
    address = calls(program, "5outer", "malloc")[0]
    inner = calls(library, "main", "")[0]
    for path in (program, library):
        run("strip", path)
    build = Builder()
    build.process(exe=str(program))
    ours, theirs = module(build, program), module(build, library)
    stripped = build.native(ours, address)
    rare = build.native(theirs, inner - 4096)
    mine = build.context(0, build.stack(stripped, build.python("f", "a.py", 1)))
    alone = build.context(0, build.stack(build.python("g", "a.py", 2)))
    seldom = build.context(0, build.stack(rare), ContextKind.NEW)
    build.slice(
        0,
        SECOND,
        {mine: Change(750, 1), alone: Change(249, 1), seldom: Change(1, 1)},
    )
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    resolver = NativeResolver(DebugFiles((tmp_path,)), SymbolCache(tmp_path / "c"))
    [line] = resolve(recording, resolver=resolver).advice
    assert str(program) in line
    assert "75 % of allocations" in line
    assert "-g" in line
    assert "\n" not in line


def test_advice_for_rust(tmp_path: Path) -> None:
    """A Cargo project is told which settings of its profile to change."""
    program = compiling.compile_program(
        tmp_path / "p", "generic.rs", "-O", "-C", "strip=symbols", "-C", "link-arg=-Wl,--build-id"
    )
    if b"rustc version" not in program.read_bytes():
        pytest.skip("this rustc does not write its version into what it makes")
    build = Builder()
    build.process(exe=str(program))
    frame = build.native(module(build, program), 0x14000)
    context = build.context(0, build.stack(frame))
    build.slice(0, SECOND, {context: Change(5, 5)})
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    [line] = resolve(recording).advice
    assert "[profile.release]" in line
    assert "strip = false" in line
    assert "100 % of allocations" in line


def test_advice_for_lines(tmp_path: Path) -> None:
    """The program's own file with names and no lines is worth a line; a library's is not."""
    program = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-O2")
    address = calls(program, "5outer", "malloc")[0]
    for exe, lines in ((str(program), 1), ("/bin/other", 0)):
        build = Builder()
        build.process(exe=exe)
        frame = build.native(module(build, program), address)
        build.slice(0, 1, {build.context(0, build.stack(frame)): Change(5, 5)})
        path = tmp_path / f"{lines}.tide"
        recording = Recording.open(build.write(path))
        assert len(resolve(recording).advice) == lines


def advice_for(path: Path, address: int, recording: Path) -> list[str]:
    """Of a program that allocates at one address."""
    build = Builder()
    build.process(exe=str(path))
    frame = build.native(module(build, path), address)
    build.slice(0, SECOND, {build.context(0, build.stack(frame)): Change(5, 5)})
    return resolve(Recording.open(build.write(recording))).advice


@pytest.mark.parametrize("version", ["-gdwarf-4", "-gdwarf-5"])
def test_advice_for_split_dwarf(version: str, tmp_path: Path) -> None:
    """Lines that are in .dwo files are not found; it is said why, and how they will be."""
    flags = ("-g", "-O2", version)
    whole = compiling.compile_program(tmp_path / "w", "inlined.cpp", *flags)
    split = compiling.compile_program(tmp_path / "s", "inlined.cpp", *flags, "-gsplit-dwarf")
    assert advice_for(whole, calls(whole, "5outer", "malloc")[0], tmp_path / "w.tide") == []
    [line] = advice_for(split, calls(split, "5outer", "malloc")[0], tmp_path / "s.tide")
    assert ".dwo files" in line
    assert line.endswith("without -gsplit-dwarf")


def test_advice_for_split_dwarf_of_rust(tmp_path: Path) -> None:
    """Its standard library has lines, which is no reason to be silent of the program's."""
    program = compiling.compile_program(
        tmp_path / "p", "generic.rs", "-g", "-C", "split-debuginfo=unpacked"
    )
    address = calls(program, "main")[0]
    [line] = advice_for(program, address, tmp_path / "a.tide")
    assert ".dwo" in line
    assert 'split-debuginfo = "off"' in line


def test_changed_and_missing_files(tmp_path: Path) -> None:
    program = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-Wl,--build-id")
    build = Builder()
    build.process()
    changed = build.native(build.module(0, str(program), "00" * 20), 0x1000)
    missing = build.native(build.module(0, "/not/there.so", "11" * 20), 0x1000)
    for frame in (changed, missing):
        context = build.context(0, build.stack(frame))
        build.slice(0, 1, {context: Change(5, 5)})
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    lines = resolve(recording).advice
    assert sorted("rebuilt" in line for line in lines) == [False, True]
    assert sorted("is gone" in line for line in lines) == [False, True]


def test_shares(tmp_path: Path) -> None:
    """Against a plain walk over every stack, on a random tree."""
    generator = np.random.default_rng(4)
    build = Builder()
    for pid in range(3):
        build.process(pid=pid)
    frames = [build.native(None, number) for number in range(40)]
    stacks = []
    for _ in range(60):
        depth = int(generator.integers(1, 30))
        stacks.append(build.stack(*generator.choice(frames, depth).tolist()))
    change = {
        build.context(int(generator.integers(0, 3)), stack, thread=number): Change(number + 1, 1)
        for number, stack in enumerate(stacks)
    }
    build.slice(0, 1, change)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    walks = [recording.stack_frames(int(stack)) for stack in recording.contexts.stack]
    allocations = recording.totals.allocations.tolist()
    for wanted in ([0], [1, 2, 3], [39], []):
        has = [bool(set(walk) & set(wanted)) for walk in walks]
        expected = sum(n for n, h in zip(allocations, has) if h) / sum(allocations)
        assert share_of_frames(recording, wanted) == pytest.approx(expected)
        leaf = sum(n for n, w in zip(allocations, walks) if w[0] in wanted) / sum(allocations)
        assert share_of_frames(recording, wanted, innermost_only=True) == pytest.approx(leaf)
    seen: dict[int, int] = {}
    for walk, process in zip(walks, recording.contexts.process.tolist()):
        for frame in walk:
            seen[frame] = max(seen.get(frame, -1), process)
    found = processes_of_frames(recording)
    assert {f: int(found[f]) for f in range(len(frames)) if found[f] >= 0} == seen


def test_nothing_native_loads_nothing(tmp_path: Path) -> None:
    """A recording of Python frames alone is resolved without the native machinery."""
    import subprocess
    import sys

    build = Builder()
    build.process()
    build.context(0, build.stack(build.python("f", "a.py", 3)))
    path = build.write(tmp_path / "a.tide")
    code = (
        "import sys; from heaptide.recording import symbolize\n"
        f"assert symbolize({path!r}).frames_named == 1\n"
        "assert not {'symbolic', 'cxxfilt', 'heaptide.symbols._native'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_example(tmp_path: Path) -> None:
    """Strings that the recording has already are not written again."""
    path = make.example().write(tmp_path / "a.tide")
    recording = Recording.open(path)
    found = resolve(recording)
    assert found.strings == []
    assert found.columns["frame"].tolist() == [0, 1, 2, 2]
