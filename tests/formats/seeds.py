"""Small files of every readable format: what fuzzing begins with."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

from heaptide.formats import by_name, write
from heaptide.profile import Profile
from heaptide.recording import Recording
from tests.formats.files import DATA, GOLDEN, plain
from tests.recording.make import example

_SYMBOLIZED = (
    b"--- symbol\nbinary=/bin/app\n0x1001 inner(int)--outer\n0x2001 main\n---\n--- heap\n"
    b"heap profile: 2: 64 [4: 128] @ heapprofile\n 2: 64 [4: 128] @ 0x1001 0x2001\n\n"
    b"MAPPED_LIBRARIES:\n00001000-00003000 r-xp 00000000 00:00 1   /bin/app\n"
)
_FOLDED = b"main;a;b 100\nmain;a 50\nmain;c 2\n"
_RAW = (
    b"v 10400 3\nx 8 /bin/app\nX app\nI 1000 1000\nm 1 x 1000 0 1000 2000 1000\nt 1010 0\n"
    b"t 1020 1\n+ 40 2 5000\n+ 8 1 6000\nc 5\n- 5000\nR 10\nc 9\n"
)
_V2 = b"v 10100 2\nX app\nI 1000 10\ns main\ni 10 0 1\nt 1 0\na 8 1\n+ 0\n- 0\nc 5\n"
_V0 = b"v 10000\nX app\ns main\ni 10 0 1\nt 1 0\n+ 8 1 500\n- 500\nc 5\n"


def seeds() -> dict[str, bytes]:
    """By name; plain where the format is text."""
    found = {
        name: plain(name)
        for name in GOLDEN
        if (DATA / name).stat().st_size < 30_000 or name.endswith(".dhat.json")
    }
    found.update(
        {
            "symbolized": _SYMBOLIZED,
            "folded": _FOLDED,
            "raw.heaptrack": _RAW,
            "v2.heaptrack": _V2,
            "v0.heaptrack": _V0,
        }
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "a.tide")
        example().write(path)
        with Recording.open(path) as recording:
            for name in ("heaptrack", "massif", "dhat", "pprof", "folded"):
                target = Path(directory, f"a.{name}.pb")  # .pb: not compressed
                write(Profile(recording), by_name(name), target)
                found[f"ours.{name}"] = target.read_bytes()
        snapshot = Path(directory, "snapshot")
        tracemalloc.start()
        snapshot_of = tracemalloc.take_snapshot()
        tracemalloc.stop()
        snapshot_of.dump(str(snapshot))
        found["tracemalloc"] = snapshot.read_bytes()[:40_000]
    return found
