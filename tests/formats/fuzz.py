"""Coverage-guided fuzzing of the readers of foreign formats; ``scripts/fuzz`` runs it.

heaptrack's is native: native/collector/tests/test_heaptrack_log.cpp changes files under the
sanitizers.

usage: python -m tests.formats.fuzz FOLDER [OPTIONS OF LIBFUZZER]...
"""

from __future__ import annotations

import os
import random
import resource
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["heaptide.formats"]):
    from heaptide.errors import HeaptideError
    from heaptide.formats import open_recording
    from tests.formats import mutate
    from tests.formats.seeds import seeds

MOST_MEMORY = 4 << 30
MOST_BYTES = 60_000


def read(data: bytes) -> None:
    if data[:2] == b"v ":
        return
    descriptor = os.memfd_create("foreign")
    try:
        os.write(descriptor, data)
        try:
            with open_recording(f"/proc/self/fd/{descriptor}", unpickle=True) as recording:
                assert recording.summary.peak_bytes >= 0
        except HeaptideError as error:
            assert error.message.isprintable(), error.message
    finally:
        os.close(descriptor)


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
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    limits = [f"-max_len={MOST_BYTES}", "-timeout=120", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], str(folder)], read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
