"""Addresses of real programs become the functions, files and lines of their sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heaptide.recording import FrameName, Language
from heaptide.symbols import _native
from heaptide.symbols._cache import SymbolCache
from heaptide.symbols._debugfiles import DebugFiles
from heaptide.symbols._elf import ElfFile
from heaptide.symbols._native import Known, Module, NativeResolver, Resolved
from tests.symbols import compiling
from tests.symbols.compiling import calls, marked, need, run


@pytest.fixture
def cache(tmp_path: Path) -> SymbolCache:
    return SymbolCache(tmp_path / "cache")


@pytest.fixture
def resolver(tmp_path: Path, cache: SymbolCache) -> NativeResolver:
    """One that looks for debug files below `tmp_path`/debug alone."""
    return NativeResolver(DebugFiles((tmp_path / "debug",)), cache)


def resolve(
    resolver: NativeResolver, path: Path, address: int
) -> tuple[Resolved, tuple[FrameName, ...]]:
    with ElfFile.open(path) as elf:
        build_id = elf.build_id
    result = resolver.resolve(Module(bytes(path), build_id), [address])
    return result, result.functions.get(address, ())


def places(names: tuple[FrameName, ...]) -> list[tuple[str, str, int]]:
    return [(name.function, Path(name.file).name, name.line) for name in names]


@pytest.mark.parametrize("flags", [("-O2",), ("-O2", "-no-pie"), ("-O0",), ("-O2", "-gdwarf-4")])
def test_cxx_with_debug_information(
    tmp_path: Path, resolver: NativeResolver, flags: tuple[str, ...]
) -> None:
    """Inlined functions come first, each with the line of the call that it made."""
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", *flags)
    result, names = resolve(resolver, path, calls(path, "5outer", "malloc")[0])
    assert result.known is Known.DEBUG
    assert places(names) == [
        ("shop::inner(int)", "inlined.cpp", marked("inlined.cpp", "inner")),
        ("shop::middle(int)", "inlined.cpp", marked("inlined.cpp", "middle")),
        ("shop::outer(int)", "inlined.cpp", marked("inlined.cpp", "outer")),
    ]
    assert {name.language for name in names} == {Language.CPP}


def test_templates_stay_whole(tmp_path: Path, resolver: NativeResolver) -> None:
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2")
    _, names = resolve(resolver, path, calls(path, "E4makeEl", "malloc")[0])
    assert names[0].function == (
        "shop::Shelf<long, std::map<int, double, std::less<int>,"
        " std::allocator<std::pair<int const, double> > > >::make(long)"
    )
    _, names = resolve(resolver, path, calls(path, "plain_c", "malloc")[0])
    assert places(names) == [("plain_c", "inlined.cpp", marked("inlined.cpp", "plain_c"))]


def test_symbols_alone(tmp_path: Path, resolver: NativeResolver) -> None:
    """Without debug information names come from the symbol table, and symbolic stays unloaded."""
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-O2")
    address = calls(path, "5outer", "malloc")[0]
    result, names = resolve(resolver, path, address)
    assert result.known is Known.SYMBOLS
    assert places(names) == [("shop::outer(int)", "", 0)]
    code = (
        "import sys; from heaptide.symbols._native import Module, NativeResolver\n"
        f"found = NativeResolver().resolve(Module({bytes(path)!r}, ''), [{address}])\n"
        "assert found.functions and 'symbolic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stripped(tmp_path: Path, resolver: NativeResolver) -> None:
    need("strip")
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-O2")
    address = calls(path, "5outer", "malloc")[0]
    run("strip", path)
    result, names = resolve(resolver, path, address)
    assert result.known is Known.EXPORTS
    assert names == ()


@pytest.mark.parametrize("mangling", ["v0", "default"])
def test_rust(tmp_path: Path, resolver: NativeResolver, mangling: str) -> None:
    """Generic names are demangled, hashes gone, and inlined functions told apart."""
    flags = ["-C", "symbol-mangling-version=v0"] if mangling == "v0" else []
    path = compiling.compile_program(tmp_path / "p", "generic.rs", "-O", "-g", *flags)
    found = resolver.resolve(
        Module(bytes(path), ""),
        [a for name in ("shop", "generic4main") for a in calls(path, name)],
    )
    assert found.known is Known.DEBUG
    functions = {name.function for names in found.functions.values() for name in names}
    outer = [
        [name.function for name in names]
        for names in found.functions.values()
        if any(name.function == "generic::shop::outer" for name in names)
    ]
    assert any("generic::shop::inner" in names[: names.index("generic::shop::outer")]
               for names in outer)  # fmt: skip
    assert any("generic::shop::Shelf<" in n and n.endswith("::stock") for n in functions)
    assert "generic::main" in functions
    assert not [name for name in functions if "_R" in name or "_ZN" in name or "17h" in name]
    languages = {n.language for names in found.functions.values() for n in names}
    assert languages == {Language.RUST}
    rows = [n for names in found.functions.values() for n in names if n.file.endswith("generic.rs")]
    assert all(name.line > 0 for name in rows)


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, Path, int]:
    """A stripped program with a debug link, its debug file, and an address."""
    need("objcopy", "strip")
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2", "-Wl,--build-id")
    address = calls(path, "5outer", "malloc")[0]
    debug = tmp_path / "p.debug"
    run("objcopy", "--only-keep-debug", path, debug)
    run("strip", path)
    run("objcopy", f"--add-gnu-debuglink={debug}", path)
    return path, debug, address


def place(split: tuple[Path, Path, int], where: str, root: Path) -> Path:
    path, debug, _ = split
    with ElfFile.open(path) as elf:
        build_id = elf.build_id
    target = {
        "beside": debug,
        ".debug": path.parent / ".debug" / debug.name,
        "global": root / "debug" / path.resolve().parent.relative_to("/") / debug.name,
        "build id": root / "debug" / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug",
    }[where]
    target.parent.mkdir(parents=True, exist_ok=True)
    if target != debug:
        shutil.move(debug, target)
    return target


@pytest.mark.parametrize("where", ["beside", ".debug", "global", "build id"])
def test_split_debug_file(
    tmp_path: Path, resolver: NativeResolver, split: tuple[Path, Path, int], where: str
) -> None:
    place(split, where, tmp_path)
    result, names = resolve(resolver, split[0], split[2])
    assert result.known is Known.DEBUG
    assert places(names)[-1] == (
        "shop::outer(int)",
        "inlined.cpp",
        marked("inlined.cpp", "outer"),
    )


@pytest.mark.parametrize("where", ["beside", "build id"])
def test_debug_file_of_another_build(
    tmp_path: Path, resolver: NativeResolver, split: tuple[Path, Path, int], where: str
) -> None:
    """A debug file in the right place with the wrong content is not believed."""
    target = place(split, where, tmp_path)
    compiling.compile_program(target, "inlined.cpp", "-g", "-O1", "-DOTHER", "-Wl,--build-id")
    result, names = resolve(resolver, split[0], split[2])
    assert result.known is Known.EXPORTS
    assert names == ()


def test_debug_link_by_checksum(tmp_path: Path, resolver: NativeResolver) -> None:
    """Without build ids the checksum in the link decides."""
    need("objcopy", "strip")
    path = compiling.compile_program(
        tmp_path / "p", "inlined.cpp", "-g", "-O2", "-Wl,--build-id=none"
    )
    address = calls(path, "5outer", "malloc")[0]
    debug = tmp_path / "p.debug"
    run("objcopy", "--only-keep-debug", path, debug)
    run("strip", path)
    run("objcopy", f"--add-gnu-debuglink={debug}", path)
    assert resolve(resolver, path, address)[0].known is Known.DEBUG
    debug.write_bytes(debug.read_bytes() + b"\0")
    assert resolve(resolver, path, address)[0].known is Known.EXPORTS


def test_program_that_changed(tmp_path: Path, resolver: NativeResolver) -> None:
    """A file of another build gives no names rather than wrong ones."""
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-Wl,--build-id")
    address = calls(path, "5outer")[0]
    result = resolver.resolve(Module(bytes(path), "00" * 20), [address])
    assert result.known is Known.CHANGED
    assert result.functions == {}


def test_program_without_build_id_that_changed(tmp_path: Path, cache: SymbolCache) -> None:
    """Then a file written after the recording is another build's."""
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-Wl,--build-id=none")
    address = calls(path, "5outer")[0]
    written = path.stat().st_mtime
    for until, known in ((written - 1, Known.CHANGED), (written + 1, Known.DEBUG)):
        resolver = NativeResolver(DebugFiles((tmp_path,)), cache, recorded_until=until)
        assert resolver.resolve(Module(bytes(path), ""), [address]).known is known


def test_debug_information_beyond_the_memory(
    tmp_path: Path, resolver: NativeResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left alone, names come from the symbol table, and a line says so."""
    monkeypatch.setattr(_native, "available_memory", lambda: 1 << 10)
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2")
    _, names = resolve(resolver, path, calls(path, "5outer", "malloc")[0])
    assert places(names) == [("shop::outer(int)", "", 0)]
    assert "memory" in resolver.warnings[0]


def test_program_that_is_gone(
    tmp_path: Path, resolver: NativeResolver, split: tuple[Path, Path, int]
) -> None:
    """Its build id still leads to its debug file."""
    path, _, address = split
    with ElfFile.open(path) as elf:
        build_id = elf.build_id
    place(split, "build id", tmp_path)
    path.unlink()
    deleted = Module(bytes(path) + b" (deleted)", build_id)
    assert resolver.resolve(deleted, [address]).functions[address][-1].function == (
        "shop::outer(int)"
    )
    assert resolver.resolve(Module(b"/not/there", ""), [1]).known is Known.MISSING


@pytest.mark.parametrize(
    "path", [b"", b"[vdso]", b"anon_inode:x", b"/etc/passwd", b"/", b"/memfd:a"]
)
def test_no_program(resolver: NativeResolver, path: bytes) -> None:
    assert resolver.resolve(Module(path, ""), [1]) == Resolved(Known.FOREIGN, {})


def test_cache(tmp_path: Path, resolver: NativeResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known addresses need no debug information; a debug file that changes voids what is known."""
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2", "-Wl,--build-id")
    outer, plain = (calls(path, f, "malloc")[0] for f in ("5outer", "plain_c"))
    opened: list[ElfFile] = []
    real = NativeResolver._open_debug

    def counted(self: NativeResolver, debug: ElfFile) -> object:
        opened.append(debug)
        return real(self, debug)

    monkeypatch.setattr(NativeResolver, "_open_debug", counted)
    first = resolve(resolver, path, outer)
    assert resolve(resolver, path, outer) == first
    assert len(opened) == 1
    assert resolve(resolver, path, plain)[1]
    assert resolve(resolver, path, outer) == first
    assert len(opened) == 2
    path.touch()
    assert resolve(resolver, path, outer) == first
    assert len(opened) == 3


def test_broken_debug_information(tmp_path: Path, resolver: NativeResolver) -> None:
    """DWARF that cannot be read leaves the names of the symbol table."""
    need("objcopy")
    path = compiling.compile_program(tmp_path / "p", "inlined.cpp", "-g", "-O2")
    address = calls(path, "5outer", "malloc")[0]
    junk = tmp_path / "junk"
    junk.write_bytes(bytes(range(255, 0, -1)) * 8)
    run("objcopy", f"--update-section=.debug_info={junk}", f"--update-section=.debug_line={junk}",
        path)  # fmt: skip
    _, names = resolve(resolver, path, address)
    assert [name.function for name in names] == ["shop::outer(int)"]
