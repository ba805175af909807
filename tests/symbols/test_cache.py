"""The cache of resolved functions: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from heaptide.symbols._cache import Functions, SymbolCache, default_directory

BUILD = "ab" * 20
FOUND: dict[int, Functions] = {
    0x10: (("inner()", "/src/a.cpp", 3, 3), ("outer()", "/src/a.cpp", 9, 3)),
    0x20: (),
    2**63: (("größe", "", 0, 2),),
}


def test_round_trip(tmp_path: Path) -> None:
    cache = SymbolCache(tmp_path / "new" / "directory")
    assert cache.load(BUILD, "source") == {}
    cache.store(BUILD, "source", FOUND)
    assert cache.load(BUILD, "source") == FOUND
    assert cache.load(BUILD, "another source") == {}
    assert cache.load("cd" * 20, "source") == {}


@pytest.mark.parametrize("key", ["", "../../x", "AB" * 20, "ab" * 65])
def test_keys_that_are_no_build_ids(tmp_path: Path, key: str) -> None:
    cache = SymbolCache(tmp_path / "cache")
    cache.store(key, "source", FOUND)
    assert cache.load(key, "source") == {}
    assert not (tmp_path / "cache").exists()


def test_damage(tmp_path: Path) -> None:
    """A damaged file is an absent one."""
    cache = SymbolCache(tmp_path)
    cache.store(BUILD, "source", FOUND)
    path = tmp_path / BUILD
    data = path.read_bytes()
    generator = random.Random(1)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged[: generator.choice([len(data), generator.randrange(len(data))])])
        assert cache.load(BUILD, "source") in ({}, FOUND)
    path.write_bytes(b"heaptide symbols 1\n\0\0\0\0")
    assert cache.load(BUILD, "source") == {}


def test_writers_at_once(tmp_path: Path) -> None:
    """Readers see one writer's whole work, whoever it is."""
    cache = SymbolCache(tmp_path)
    answers: list[dict[int, Functions]] = []

    def work(line: int) -> None:
        for _ in range(50):
            cache.store(BUILD, "source", dict.fromkeys(range(100), (("f", "a.c", line, 2),)))
            answers.append(cache.load(BUILD, "source"))

    threads = [threading.Thread(target=work, args=(line,)) for line in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    for answer in answers:
        assert len({names[0][2] for names in answer.values()}) == 1
        assert len(answer) == 100
    assert [path.name for path in tmp_path.iterdir()] == [BUILD]


def test_size_is_bounded(tmp_path: Path) -> None:
    """The least recently used go first."""
    cache = SymbolCache(tmp_path, max_total=3000)
    for number in range(20):
        build = f"{number:02d}" * 20
        cache.store(build, "source", {n: ((os.urandom(20).hex(), "", 0, 0),) for n in range(20)})
        os.utime(tmp_path / build, (number, number))
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert sum((tmp_path / name).stat().st_size for name in kept) <= 3000
    assert kept[-1] == "19" * 20
    assert kept == [f"{n:02d}" * 20 for n in range(20 - len(kept), 20)]


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = SymbolCache(tmp_path / "file" / "below")
    cache.store(BUILD, "source", FOUND)
    assert cache.load(BUILD, "source") == {}


def test_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "heaptide" / "symbols"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "heaptide" / "symbols"
