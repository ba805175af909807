"""Coverage-guided fuzzing of the readers of foreign formats; ``scripts/fuzz`` runs it.

heaptrack's is native: native/collector/tests/test_heaptrack_log.cpp changes files under the
sanitizers.

usage: python -m tests.formats.fuzz FOLDER [OPTIONS OF LIBFUZZER]...
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["heaptide.formats"]):
    from heaptide.formats import open_recording
    from tests.formats import mutate
    from tests.formats.seeds import seeds
    from tests.support.fuzzing import fuzz, reading

MOST_MEMORY = 4 << 30
MOST_BYTES = 60_000


def read(data: bytes) -> None:
    if data[:2] == b"v ":
        return
    reading(data, _read)


def _read(path: str) -> None:
    with open_recording(path, unpickle=True) as recording:
        assert recording.summary.peak_bytes >= 0


def change(data: bytes, most: int, seed: int) -> bytes:
    if random.Random(seed).random() < 0.3:
        return bytes(atheris.Mutate(data, most))
    return mutate.mutated(data, seed, most)


def main() -> None:
    folder = Path(sys.argv[1])
    if not folder.exists():
        folder.mkdir(parents=True)
        for name, data in seeds().items():
            if "heaptrack" not in name and len(data) <= MOST_BYTES:
                (folder / name).write_bytes(data)
    fuzz(folder, read, change, most_memory=MOST_MEMORY, most_bytes=MOST_BYTES)


if __name__ == "__main__":
    main()
