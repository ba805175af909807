"""What a wheel installs: one tag for every Python, two native files, nothing else compiled."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import heaptide
from heaptide.recorder import elf
from heaptide.recorder.native import Preload, agent_path, collector_path

PACKAGE = Path(heaptide.__file__).parent
SOURCES = Path(__file__).resolve().parents[2]


def test_tag() -> None:
    """The wheel serves every Python on this platform."""
    lines = (metadata.distribution("heaptide").read_text("WHEEL") or "").splitlines()
    tags = [line.split()[1] for line in lines if line.startswith("Tag:")]
    assert tags and all(tag.startswith("py3-none-") for tag in tags), lines
    assert "Root-Is-Purelib: false" in lines


def test_version_is_one() -> None:
    """Metadata, package and command line agree."""
    assert metadata.version("heaptide") == heaptide.__version__


def test_native_files() -> None:
    """The agent and the collector are there, and no extension module of CPython."""
    found = sorted(
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.read_bytes()[:4] == elf.MAGIC
    )
    assert found == ["_native/heaptide-collector", "_native/libheaptide.so"]
    assert os.access(collector_path(), os.X_OK)


@pytest.mark.parametrize("path", [agent_path(), collector_path()], ids=lambda path: path.name)
def test_needed_libraries(path: Path) -> None:
    """Both need only what every system with glibc has."""
    allowed = ("libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "ld-linux")
    assert all(name.startswith(allowed) for name in elf.read(path).needed), elf.read(path).needed


def test_agent_exports() -> None:
    """The agent puts no name into programs but those it interposes, and its own."""
    text = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", agent_path()],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[0].split("@")[0] for line in text.splitlines()}
    assert {"malloc", "free", "calloc", "realloc"} <= names
    assert not {name for name in names if name.startswith("ht_")}


def test_python_of_this_version() -> None:
    """Every module is in the oldest Python's grammar."""
    for path in PACKAGE.rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("name", ["page.html", "page.js", "page.css", "NOTICE"])
def test_the_page_is_in_the_package(name: str) -> None:
    """Installed, a report needs nothing from elsewhere."""
    assert (PACKAGE / "views" / "page" / name).stat().st_size > 100


def test_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_console_script(tmp_path: Path) -> None:
    """The command is installed beside the interpreter and is the module's."""
    command = Path(sys.executable).with_name("heaptide")
    for words in ([command], [sys.executable, "-m", "heaptide"]):
        result = subprocess.run(
            [*words, "--version"], stdout=subprocess.PIPE, text=True, check=True
        )
        assert result.stdout == f"heaptide {heaptide.__version__}\n"


@pytest.mark.parametrize("name", ["with space", "with:colon", "plain"])
def test_preload_below_odd_directories(tmp_path: Path, name: str) -> None:
    """LD_PRELOAD knows no quotes: an agent below such a directory gets another name."""
    folder = tmp_path / name
    folder.mkdir()
    agent = folder / "libheaptide.so"
    agent.write_bytes(b"")
    preload = Preload(agent)
    try:
        value = preload.variable("/other.so")
        assert value == f"{preload.path}:/other.so"
        assert value.count(":") == 1 and " " not in value
        assert preload.path.resolve() == agent.resolve()
    finally:
        preload.close()
    assert preload.path == agent or not preload.path.exists()
    assert agent.exists()


def test_no_local_paths() -> None:
    """Nothing that ships names a directory of the machine it was made on."""
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert str(SOURCES).encode() not in path.read_bytes(), path
