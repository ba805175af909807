"""Python's garbage collector, kept from disturbing figures."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """None runs by itself, and lists of free objects are empty at the beginning: then figures do
    not depend on what ran before. What exists already is set aside, so that it costs little."""
    was_on = gc.isenabled()
    with set_aside():
        gc.collect()
        gc.disable()
        try:
            yield
        finally:
            if was_on:
                gc.enable()


# CPython 3.12 begins with some hundred objects of its own set aside.
_OWN = 1000 if sys.version_info[:2] == (3, 12) else 0


def is_frozen() -> bool:
    """Whether the program has set objects aside."""
    return gc.get_freeze_count() > _OWN


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Collections look at what is made from now on only."""
    if is_frozen():  # somebody else has, and wants it so
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
