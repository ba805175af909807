"""ELF files: ids, links and symbols, as binutils tell them; no file makes the reader fail badly."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from heaptide.symbols._elf import ElfError, ElfFile, SymbolTable
from tests.symbols import compiling
from tests.symbols.compiling import need, run


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elf") / "program"
    return compiling.compile_program(path, "inlined.cpp", "-O2", "-g", "-Wl,--build-id")


def test_build_id_and_sections(program: Path) -> None:
    need("readelf")
    build_id = re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", program))
    assert build_id
    with ElfFile.open(program) as elf:
        assert elf.build_id == build_id[1]
        assert elf.has_debug_info
        assert elf.has_symtab
        assert elf.debug_link is None
        assert b"GCC" in elf.producer


def test_load_address(tmp_path: Path) -> None:
    """Of a program that is not position independent it is where the linker put it."""
    path = compiling.compile_program(tmp_path / "fixed", "inlined.cpp", "-no-pie")
    with ElfFile.open(path) as elf:
        assert elf.load_address == 0x400000


def test_symbols(program: Path) -> None:
    """Each function's first and last byte have its name; what is between functions has none."""
    need("nm")
    with ElfFile.open(program) as elf:
        table = elf.symbols()
    assert table is not None
    assert table.full
    seen = 0
    for line in run("nm", "--print-size", "--defined-only", program).splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[2] in "tTwW":
            start, size = int(fields[0], 16), int(fields[1], 16)
            names = table.lookup(np.array([start, start + size - 1], np.uint64))
            assert names == [fields[3]] * 2
            seen += 1
    assert seen >= 4
    assert table.lookup(np.array([1, 2**63], np.uint64)) == [None, None]


def test_stripped(program: Path, tmp_path: Path) -> None:
    """A stripped library tells its exported functions, and nothing of those between them."""
    need("strip")
    library = compiling.compile_program(tmp_path / "lib.so", "inlined.cpp", "-shared", "-fPIC")
    with ElfFile.open(library) as elf:
        full = elf.symbols()
    run("strip", library)
    with ElfFile.open(library) as elf:
        assert not elf.has_symtab
        exported = elf.symbols()
    assert full is not None
    assert exported is not None
    assert not exported.full
    [start] = compiling.calls(library, "plain_c", "malloc")
    assert exported.lookup(np.array([start], np.uint64)) == ["plain_c"]


def test_mini_debug_info(program: Path, tmp_path: Path) -> None:
    """Fedora's compressed symbol table in an otherwise stripped program."""
    need("objcopy", "xz", "strip")
    target = tmp_path / "mini"
    symbols = tmp_path / "symbols"
    run("objcopy", "--keep-file-symbols", "--only-keep-debug", program, symbols)
    run("strip", "--strip-debug", symbols)
    run("xz", symbols)
    run("strip", "-o", target, program)
    run("objcopy", f"--add-section=.gnu_debugdata={symbols}.xz", target)
    address = compiling.calls(program, "5outer", "malloc")[0]
    with ElfFile.open(target) as elf:
        assert not elf.has_symtab
        table = elf.symbols()
    assert table is not None
    assert table.lookup(np.array([address], np.uint64)) == ["_ZN4shop5outerEi"]


def test_names_for_people() -> None:
    """Of several names of one address the typed, global one with the fewest underscores is shown;
    a function without a size reaches to the next one, or to its section's end."""
    names = b"\0__libc_malloc\0malloc\0_start\0local\0$x\0"
    at = {name: names.index(name.encode()) for name in ("__libc_malloc", "malloc", "_start",
                                                        "local", "$x")}  # fmt: skip
    rows = np.array(
        [
            (at["__libc_malloc"], 0x12, 0, 1, 0x100, 0x40),
            (at["malloc"], 0x12, 0, 1, 0x100, 0x40),
            (at["local"], 0x02, 0, 1, 0x100, 0x40),
            (at["$x"], 0x00, 0, 1, 0x100, 0),
            (at["_start"], 0x10, 0, 1, 0x200, 0),
            (at["malloc"], 0x11, 0, 1, 0x300, 8),  # an object, not a function
            (at["malloc"], 0x12, 0, 0, 0x400, 8),  # not defined here
        ],
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"),
         ("size", "<u8")],
    )  # fmt: skip
    table = SymbolTable.of_rows(rows, names, [0, 0x280])
    addresses = np.array([0xFF, 0x100, 0x13F, 0x140, 0x200, 0x27F, 0x280, 0x300, 0x400], np.uint64)
    assert table.lookup(addresses) == [
        None, "malloc", "malloc", None, "_start", "_start", None, None, None,
    ]  # fmt: skip


def test_any_file(program: Path, tmp_path: Path) -> None:
    """Damaged files raise ElfError, or read as something; nothing else happens."""
    data = program.read_bytes()
    generator = random.Random(5)
    path = tmp_path / "damaged"
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 30)):
            start = generator.choice([0, 0, len(data) - 4000])
            damaged[start + generator.randrange(2000)] = generator.choice([0, 1, 0x7F, 0xFF])
        path.write_bytes(damaged[: generator.choice([len(data), generator.randrange(len(data))])])
        try:
            with ElfFile.open(path) as elf:
                _ = elf.build_id, elf.debug_link, elf.load_address, elf.has_debug_info
                table = elf.symbols()
                if table is not None:
                    table.lookup(np.arange(0, 1 << 14, 7, dtype=np.uint64))
        except ElfError:
            pass


def test_no_elf(tmp_path: Path) -> None:
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF" + bytes(100), b"\x7fELF\x01\x01" + bytes(100)):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ElfError):
            ElfFile.open(tmp_path / "x")
