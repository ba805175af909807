"""Coverage-guided fuzzing of the recording's reader; ``scripts/fuzz`` runs it.

Inputs are recordings changed by ``mutate``, or by the fuzzer's own means. Whatever they hold,
opening and showing them ends soon, in bounded memory, in a result or in one of heaptide's errors.

usage: python -m tests.recording.fuzz FOLDER [OPTIONS OF LIBFUZZER]...
"""

from __future__ import annotations

import os
import random
import resource
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["heaptide.recording", "heaptide.profile"]):
    from heaptide.errors import HeaptideError
    from tests.recording import make, mutate, raw, reading

MOST_MEMORY = 3 << 30
"""Bytes of address space, libraries and fuzzer included. What a length claims before there are
bytes for it does not fit; what an input's own rows may take does."""

MOST_BYTES = 100_000


def read(data: bytes) -> None:
    """One input, in one of the ways of reading."""
    descriptor = os.memfd_create("recording")
    try:
        os.write(descriptor, data)
        path = f"/proc/self/fd/{descriptor}"
        way = len(data) % (len(reading.SHOWN) + 1)
        try:
            if way == len(reading.SHOWN):
                reading.read_all(path)
            else:
                reading.shown(path, *reading.SHOWN[way])
        except HeaptideError as error:
            assert error.message.isprintable(), error.message
    finally:
        os.close(descriptor)


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
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    # The first input that is none of the seeds' takes the time of the imports too.
    limits = [f"-max_len={MOST_BYTES}", "-timeout=120", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], str(folder)], read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
