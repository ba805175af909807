"""Coverage-guided fuzzing of the recording's reader; ``scripts/fuzz`` runs it.

Inputs are recordings changed by ``mutate``, or by the fuzzer's own means. Whatever they hold,
opening and showing them ends soon, in bounded memory, in a result or in one of heaptide's errors.

usage: python -m tests.recording.fuzz FOLDER [OPTIONS OF LIBFUZZER]...
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["heaptide.recording", "heaptide.profile"]):
    from tests.recording import make, mutate, raw, reading
    from tests.support import fuzzing

MOST_MEMORY = 3 << 30
"""Bytes of address space, libraries and fuzzer included. What a length claims before there are
bytes for it does not fit; what an input's own rows may take does."""

MOST_BYTES = 100_000


def read(data: bytes) -> None:
    """One input, in one of the ways of reading."""
    fuzzing.reading(data, lambda path: _read(path, len(data) % (len(reading.SHOWN) + 1)))


def _read(path: str, way: int) -> None:
    if way == len(reading.SHOWN):
        reading.read_all(path)
    else:
        reading.shown(path, *reading.SHOWN[way])


def change(data: bytes, most: int, seed: int) -> bytes:
    if random.Random(seed).random() < 0.2:
        return bytes(atheris.Mutate(data, most))
    changed = mutate.mutated(data, seed, lambda part: bytes(atheris.Mutate(part, len(part) + 64)))
    return changed[:most]


def make_seeds(folder: Path) -> None:
    """Recordings to begin with: one with everything a recording may have, and, unless the folder
    is called ``…fixed``, of real programs. Without these a run with a seed can be repeated."""
    if not folder.exists():
        folder.mkdir(parents=True)
        make.example().write(folder / "example.tide")
        make.example().write(folder / "example-packed.tide", level=3)
        if folder.name.endswith("fixed"):
            return
        raw.finished(folder / "family.tide")
        raw.compacted(folder / "family-packed.tide")


def main() -> None:
    folder = Path(sys.argv[1])
    make_seeds(folder)
    fuzzing.fuzz(folder, read, change, most_memory=MOST_MEMORY, most_bytes=MOST_BYTES)


if __name__ == "__main__":
    main()
