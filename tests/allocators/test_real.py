"""The real allocators, preloaded into Python and into C programs: figures move by known amounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from heaptide.allocators import read_outside
from tests.support.building import PROGRAMS, Builder, embed_python

pytestmark = pytest.mark.interpreters

BLOCKS, SIZE = 50_000, 2000
REQUESTED = BLOCKS * SIZE
LIBRARIES = {
    "glibc": "",
    "jemalloc": "libjemalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
    "mimalloc": "libmimalloc.so.2",
}
COUNTING = [name for name in LIBRARIES if name != "mimalloc"]
CLASS = 0.06  # of a block, at most, that rounding up to a size class costs: 2000 to 2112
NOISE = 3_000_000  # bytes that the interpreter itself may move by


def environment(name: str, **more: str) -> dict[str, str]:
    """With an allocator of Debian's preloaded; the test is skipped where it is not installed."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}
    if LIBRARIES[name]:
        env["LD_PRELOAD"] = LIBRARIES[name]
        said = subprocess.run(["/bin/true"], env=env, stderr=subprocess.PIPE).stderr
        if b"cannot be preloaded" in said:
            pytest.skip(f"needs {LIBRARIES[name]}")
    return env


def told(command: list[Any], env: Mapping[str, str]) -> Any:
    """The JSON that a command prints."""
    return json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)


def of_malloc(looks: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The four looks at what malloc is, which stands first."""
    assert all(look[0]["role"] == "malloc" for look in looks)
    return [look[0] for look in looks]


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C program with an interpreter in it that reads."""
    return embed_python("grows_embedding.c", tmp_path_factory.mktemp("grows") / "grows_embedding")


@pytest.fixture(params=["python", "c"])
def program(request: pytest.FixtureRequest) -> list[Any]:
    if request.param == "python":
        return [sys.executable, PROGRAMS / "grows.py"]
    return [request.getfixturevalue("embedding"), PROGRAMS / "grows.py"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_which_is_live(name: str, program: list[Any]) -> None:
    """What malloc is, and Python's own beside it: each apart, the C library's not when another is
    before it."""
    looks = told(program, environment(name, PYTHONHOME=sys.base_prefix))["looks"]
    for look in looks:
        assert [(one["name"], one["role"]) for one in look] == [
            (name, "malloc"),
            ("pymalloc", "python"),
        ]
    assert LIBRARIES[name] in looks[0][0]["file"]


@pytest.mark.parametrize("name", COUNTING)
def test_amounts(name: str, program: list[Any]) -> None:
    """Allocated grows by what was asked for and at most a size class more, and falls by half of
    that, and by the rest; what was freed between blocks in use is held."""
    looks = told(program, environment(name, PYTHONHOME=sys.base_prefix))["looks"]
    before, full, half, empty = of_malloc(looks)
    grown = full["allocated"] - before["allocated"]
    assert grown >= REQUESTED - NOISE and grown <= REQUESTED * (1 + CLASS) + NOISE
    assert abs(full["allocated"] - half["allocated"] - grown / 2) <= NOISE
    assert abs(empty["allocated"] - before["allocated"]) <= NOISE
    assert abs(half["free"] - full["free"] - grown / 2) <= NOISE
    assert half["fragmentation"] == pytest.approx(0.5, abs=0.08)
    assert full["fragmentation"] < 0.1
    assert full["mapped"] - before["mapped"] >= REQUESTED - NOISE
    assert all(look["mapped"] >= look["allocated"] for look in (before, full, half, empty))


def test_jemalloc_tells_everything(program: list[Any]) -> None:
    """Each figure, in the order that jemalloc's manual gives, and arenas that add up."""
    looks = told(program, environment("jemalloc", PYTHONHOME=sys.base_prefix))["looks"]
    for look in of_malloc(looks):
        assert 0 < look["allocated"] <= look["active"] <= look["resident"] <= look["mapped"]
        assert look["metadata"] > 0 and look["retained"] >= 0
        assert sum(look["arenas"]) == look["allocated"]


def test_glibc_arenas(program: list[Any]) -> None:
    """What glibc does not know is absent, and the main arena is the first."""
    looks = told(program, environment("glibc", PYTHONHOME=sys.base_prefix))["looks"]
    before, full, *_ = of_malloc(looks)
    assert [full[name] for name in ("active", "resident", "retained", "metadata")] == [None] * 4
    assert full["arenas"][0] - before["arenas"][0] >= REQUESTED - NOISE


def test_mimalloc_of_debian_does_not_count(program: list[Any]) -> None:
    """Its commit grows by what is allocated, in steps of 32 MiB; what is allocated is absent, never
    0, and it says why."""
    before, full, half, empty = of_malloc(
        told(program, environment("mimalloc", PYTHONHOME=sys.base_prefix))["looks"]
    )
    assert full["mapped"] - before["mapped"] >= REQUESTED - (32 << 20)
    for look in (before, full, half, empty):
        assert [look[name] for name in ("allocated", "free", "fragmentation")] == [None] * 3
        assert "MI_STAT" in look["reason"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_psutil_asks_the_c_library(name: str) -> None:
    """psutil.heap_info() is 0 under any other allocator: the trap that asking first avoids."""
    found = told([sys.executable, PROGRAMS / "grows.py"], environment(name))
    if found["psutil"] is None:
        pytest.skip("needs psutil 7.2")
    assert (sum(found["psutil"]) > REQUESTED) == (name == "glibc")
    if name in COUNTING:
        assert of_malloc(found["looks"])[1]["allocated"] > REQUESTED


def test_objects_from_malloc() -> None:
    """PYTHONMALLOC=malloc: Python has no allocator of its own, and its objects are malloc's."""
    code = (
        "import heaptide.allocators as a, json, sys\n"
        "def look(): return [(o.role, o.allocated) for o in a.read(asking='always')]\n"
        "one = look(); kept = [bytes(100) for _ in range(100_000)]; two = look()\n"
        "print(json.dumps([one, two]))"
    )
    env = environment("jemalloc", PYTHONMALLOC="malloc")
    done = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, check=True)
    (before,), (after,) = json.loads(done.stdout)
    assert before[0] == after[0] == "malloc"
    assert after[1] - before[1] >= 100_000 * sys.getsizeof(bytes(100))


@pytest.mark.parametrize("malloc", ["pymalloc", "mimalloc", "pymalloc_debug"])
def test_objects_of_python(malloc: str) -> None:
    """pymalloc's figures, and those of CPython's mimalloc, move by the objects' sizes."""
    code = (
        "import dataclasses, json; from heaptide.allocators import Reader\n"
        "read = Reader(asking='always').read\n"
        "def look(): return next(dataclasses.asdict(o) for o in read() if o.role == 'python')\n"
        "look(); one = look(); kept = [bytes(100) for _ in range(100_000)]; two = look()\n"
        "del kept[::2]; print(json.dumps([one, two, look()]))"
    )
    env = environment("glibc", PYTHONMALLOC=malloc)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True)
    if b"unknown PYTHONMALLOC" in done.stderr or b"PYTHONMALLOC" in done.stderr:
        pytest.skip(f"this interpreter has no {malloc}")
    assert done.returncode == 0, done.stderr
    before, full, half = json.loads(done.stdout)
    assert before["name"] == ("cpython-mimalloc" if malloc == "mimalloc" else "pymalloc")
    objects = 100_000 * sys.getsizeof(bytes(100))
    grown = full["allocated"] - before["allocated"]
    assert objects <= grown
    assert full["blocks"] - before["blocks"] == pytest.approx(100_000, abs=2000)
    assert full["allocated"] - half["allocated"] == pytest.approx(grown / 2, rel=0.1)
    assert half["free"] - full["free"] == pytest.approx(grown / 2, rel=0.15)


def test_under_a_hook() -> None:
    """tracemalloc stands before pymalloc, which then tells blocks only: the rest is absent."""
    code = (
        "import heaptide.allocators as a, json, tracemalloc; tracemalloc.start()\n"
        "o = next(o for o in a.read() if o.role == 'python')\n"
        "print(json.dumps([o.name, o.allocated, o.free, o.blocks, o.reason]))"
    )
    found = told([sys.executable, "-c", code], environment("glibc"))
    name, allocated, free, blocks, reason = found
    assert (name, allocated, free) == ("pymalloc", None, None)
    assert blocks > 1000 and "hooks" in reason


def test_the_guides_shape() -> None:
    """``epoch.advance()``, then ``stats.allocated.read()``: figures stand still between epochs."""
    code = (
        "import ctypes, json; from heaptide.allocators.jemalloc import epoch, stats\n"
        "c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p\n"
        "c.malloc.argtypes = [ctypes.c_size_t]\n"
        "first = epoch.advance(); a = stats.allocated.read(); c.malloc(64 << 20)\n"
        "b = stats.allocated.read(); second = epoch.advance()\n"
        "print(json.dumps([first, second, a, b, stats.allocated.read(), stats.resident.read()]))"
    )
    found = told([sys.executable, "-c", code], environment("jemalloc"))
    first, second, before, same, after, resident = found
    assert second == first + 1
    # Of what was there before, a little may be gone.
    assert before == same and (63 << 20) <= after - before < (66 << 20)
    assert resident > 0


def test_the_guides_shape_without_jemalloc() -> None:
    """An error that says so, in place of zeroes."""
    code = (
        "from heaptide import HeaptideError; from heaptide.allocators import jemalloc\n"
        "try: print(jemalloc.stats.allocated.read())\n"
        "except HeaptideError as error: print('none:', error.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment("glibc"), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.startswith(b"none:")


@pytest.fixture(scope="module")
def archive() -> str:
    """A jemalloc to link."""
    command = ["gcc", "-print-file-name=libjemalloc_pic.a"]
    path = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if not Path(path).exists():
        pytest.skip("needs libjemalloc-dev")
    return path


def test_one_that_is_linked_in(archive: str, build: Builder) -> None:
    """It is found from outside by the program's own symbols, as what malloc is."""
    whole = f"-Wl,--whole-archive,{archive},--no-whole-archive"
    program = build("grows.c", "-g", whole, "-lstdc++", "-lm", name="grows_jemalloc")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        child.stdin.write(b"x\n")
        child.stdin.flush()
        child.stdout.readline()
        (found,) = read_outside(child.pid)
        child.stdin.close()
    assert (found.name, found.role, found.file) == ("jemalloc", "malloc", str(program))


OWN_MALLOC = """\
#include <stddef.h>
#include <unistd.h>
static char memory[8 << 20];
static size_t used;
void *malloc(size_t size) {
  size_t at = used;
  used += (size + 15) & ~(size_t)15;
  return used > sizeof memory ? NULL : memory + at;
}
void free(void *p) { (void)p; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *p, size_t size) { return p == NULL ? malloc(size) : NULL; }
"""


@pytest.mark.parametrize("where", ["library", "program"])
def test_an_unknown_one_from_outside(where: str, tmp_path: Path) -> None:
    """Not the C library's, which nobody calls."""
    sizes = "size_t malloc_usable_size(void *p) { (void)p; return 0; }\n"
    main = 'int main(void) { if (write(1, "x", 1) == 1) pause(); return 0; }\n'
    (tmp_path / "own.c").write_text(OWN_MALLOC + (sizes if where == "library" else main))
    (tmp_path / "main.c").write_text("#include <unistd.h>\n" + main)
    library, program = tmp_path / "libown.so", tmp_path / "program"
    if where == "library":
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "own.c"], check=True)
        subprocess.run(["gcc", "-o", program, tmp_path / "main.c"], check=True)
    else:
        subprocess.run(["gcc", "-rdynamic", "-s", "-o", program, tmp_path / "own.c"], check=True)
    env = {**environment("glibc"), **({"LD_PRELOAD": str(library)} if where == "library" else {})}
    with subprocess.Popen([program], env=env, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"x"
        (found,) = read_outside(child.pid)
        child.kill()
    file = library if where == "library" else program
    assert (found.name, found.role, found.file) == ("unknown", "malloc", str(file))


def test_a_prefixed_one_beside_the_c_librarys(archive: str, tmp_path: Path) -> None:
    """A jemalloc that a library has for itself, under names of its own, is told apart."""
    names = subprocess.run(
        ["nm", "-g", "--defined-only", archive], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    symbols = {line.split()[-1] for line in names.splitlines() if len(line.split()) == 3}
    renames = tmp_path / "renames"
    renames.write_text("".join(f"{one} _rjem_{one}\n" for one in symbols))
    own, library = tmp_path / "own.a", tmp_path / "libown.so"
    subprocess.run(["objcopy", f"--redefine-syms={renames}", archive, own], check=True)
    subprocess.run(
        ["g++", "-shared", "-o", library, "-Wl,--whole-archive", own, "-Wl,--no-whole-archive"],
        check=True,
    )
    code = (
        "import ctypes, json; from heaptide.allocators import Reader\n"
        "read = Reader(asking='always').read\n"
        "def look(): return [(o.name, o.role, o.prefix, o.allocated) for o in read()]\n"
        f"l = ctypes.CDLL({str(library)!r}); l._rjem_malloc.restype = ctypes.c_void_p; look()\n"
        "one = look(); l._rjem_malloc(ctypes.c_size_t(8 << 20)); two = look()\n"
        "print(json.dumps([one, two]))"
    )
    env = {**environment("glibc"), "LD_PRELOAD": str(library)}
    before, after = told([sys.executable, "-c", code], env)
    assert [one[:3] for one in after] == [
        ["glibc", "malloc", ""],
        ["pymalloc", "python", ""],
        ["jemalloc", "library", "_rjem_"],
    ]
    assert after[2][3] - before[2][3] == 8 << 20
    assert abs(after[0][3] - before[0][3]) < 1 << 20


def test_while_it_is_recorded(tmp_path: Path) -> None:
    """The recorder's malloc is none: the one behind it is live."""
    code = (
        "import heaptide.allocators as a; print([o.name for o in a.read() if o.role == 'malloc'])"
    )
    done = subprocess.run(
        [sys.executable, "-m", "heaptide", "run", "-q", "-o", tmp_path / "r.tide", "-c", code],
        env=environment("jemalloc"),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout == b"['jemalloc']\n"


@pytest.mark.parametrize("name", LIBRARIES)
def test_from_outside(name: str, build: Builder) -> None:
    """Of a C program: which allocator it has, and RSS that moves by what it allocates."""
    child = subprocess.Popen(
        [build("grows.c")], env=environment(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin and child.stdout

    def after(letter: bytes) -> dict[str, Any]:
        assert child.stdin and child.stdout
        child.stdin.write(letter + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"ok\n"
        command = [sys.executable, "-m", "heaptide", "stats", "--json", str(child.pid)]
        found: dict[str, Any] = told(command, environment("glibc"))
        return found

    with child:
        before, full = after(b"x"), after(b"g")
        child.stdin.close()
    (allocator,) = full["allocators"]
    assert (allocator["name"], allocator["role"]) == (name, "malloc")
    assert allocator["allocated"] is None and full["notes"]
    for figure in ("rss", "pss", "uss"):
        grown = full["process"][figure] - before["process"][figure]
        assert REQUESTED - NOISE <= grown <= REQUESTED * 1.25
    assert full["process"]["peak_rss"] >= full["process"]["rss"]
