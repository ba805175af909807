"""Measurements and recordings of programs whose other threads do not wait for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inside.running import run
from tests.support.building import Builder

pytestmark = pytest.mark.interpreters

BUSY = """\
import ctypes, heaptide, sys, threading
library = ctypes.CDLL(sys.argv[1])
library.blocks.restype = None
going = True
turns_make = 4 if sys.version_info < (3, 11) else 0

def noise():
    while going:
        library.blocks(30_000)

threads = [threading.Thread(target=noise) for _ in range(4)]
for thread in threads:
    thread.start()
wrong = []
with heaptide.measure("thread") as m:  # the first makes room for m, and what ctypes wants
    library.blocks(500)
for _ in range(1500):
    with heaptide.measure("thread") as m:
        library.blocks(500)
    # Up to 3.10 the interpreter now and then makes an object when it takes turns: a frame, say.
    made = m.allocations - 500
    if not (0 <= made <= turns_make and 0 <= m.bytes - 50_000 <= 512 * made):
        wrong.append(str(m))
going = False
for thread in threads:
    thread.join()
print(*wrong, sep="\\n")
"""


def test_threads_in_the_middle_of_allocating(tmp_path: Path, build: Builder) -> None:
    """Those that are about to write an event when a part of the recording ends, or to begin a
    block of them, do so into no ring that another thread has by then."""
    library = build("counted.c", "-O1", "-fPIC", "-shared")
    done = run(BUSY, tmp_path, [str(library)])
    assert done.stdout == "\n"


LOADING = """\
import ctypes, heaptide, sys, threading
loader = ctypes.CDLL(sys.argv[1])
thread = threading.Thread(target=loader.load_again, args=[sys.argv[2].encode()])
thread.start()
for turn in range(40):
    heaptide.record("a.tide", force=True, symbols=False).start().stop()
    for _ in range(5):
        with heaptide.measure():
            pass
loader.stop_loading()
thread.join()
library = ctypes.CDLL(sys.argv[2])
library.call.restype = None
with heaptide.measure("thread") as m:
    library.call(10)
print(m.allocations)
"""


def test_a_library_that_the_loader_is_filling_in(tmp_path: Path, build: Builder) -> None:
    """Its tables are the loader's until they are locked: nothing is written, nor locked too
    early; it is seen to afterwards."""
    loader = build("loader.c", "-O1", "-fPIC", "-shared")
    library = build("many_relocations.c", "-O1", "-fPIC", "-shared", "-Wl,-z,now")
    done = run(LOADING, tmp_path, [str(loader), str(library)])
    assert done.stdout == "10\n"
