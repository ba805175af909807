"""What the coverage-guided fuzzers share: an input as a file, and the fuzzer's own loop."""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

from heaptide.errors import HeaptideError


def reading(data: bytes, read: Callable[[str], None]) -> None:
    """Calls ``read`` with the path of a file that holds ``data``: a result, or an error of ours."""
    descriptor = os.memfd_create("fuzzed")
    try:
        os.write(descriptor, data)
        try:
            read(f"/proc/self/fd/{descriptor}")
        except HeaptideError as error:
            assert error.message.isprintable(), error.message
    finally:
        os.close(descriptor)


def fuzz(
    folder: Path,
    read: Callable[[bytes], None],
    change: Callable[[bytes, int, int], bytes],
    *,
    most_memory: int,
    most_bytes: int,
) -> None:
    """Never returns. Takes the fuzzer's options from the command line, behind the folder."""
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))
    # The first input that is none of the seeds' takes the time of the imports too.
    limits = [f"-max_len={most_bytes}", "-timeout=120", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], str(folder)], read, custom_mutator=change)
    atheris.Fuzz()
