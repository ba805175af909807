"""Python whose allocations are known by line, the same on every version of CPython.

The marks are explained in truth.h. `unit * size` makes one bytes object and nothing else; the
sizes of objects come from sys.getsizeof of one of them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import repeat

unit = b"x"
header = sys.getsizeof(b"")
letter = "y"


def figure(name: str, value: int) -> None:
    print("figure", name, value)


def hold(kept: list[object], size: int) -> None:
    #@ hold partly
    for i in range(len(kept)):
        #= allocations=200 total_bytes=200*(1000+$header) alive_at_exit_bytes=200*(1000+$header)
        #= alive_at_exit_allocations=200 temporary_allocations=0
        kept[i] = unit * size


def churn(times: int, size: int) -> None:
    #@ churn partly
    for _ in repeat(None, times):
        #= allocations=300 total_bytes=300*(700+$header) alive_at_exit_bytes=0
        #= temporary_allocations=300 short_lived_allocations=300
        unit * size


def text(kept: list[object], size: int) -> None:
    #@ text partly
    for i in range(len(kept)):
        #= allocations=50 total_bytes=50*$text_size alive_at_exit_bytes=50*$text_size
        kept[i] = letter * size


def objects(kept: list[object]) -> None:
    #@ objects partly
    for i in range(len(kept)):
        #= allocations=80 total_bytes=80*16 alive_at_exit_bytes=80*16
        kept[i] = object()


# Two blocks each: the object, and its bytes with a zero behind them.
def arrays(kept: list[object], size: int) -> None:
    #@ arrays partly
    for i in range(len(kept)):
        #= allocations=2*40 total_bytes=40*($array_header+601)
        #= alive_at_exit_bytes=40*($array_header+601)
        kept[i] = bytearray(size)


def grown(times: int) -> list[None]:
    #@ grown partly
    result: list[None] = []
    for _ in repeat(None, times):
        #= allocations=1 reallocations=$grown_steps-1 total_bytes=$grown_bytes
        #= alive_at_exit_bytes=$grown_alive
        result.append(None)
    return result


def expect_growth(times: int) -> None:
    """CPython's rule: room for an eighth more and six, rounded down to a multiple of four."""
    room = steps = total = 0
    for n in range(1, times + 1):
        if n > room:
            room = (n + (n >> 3) + 6) & ~3
            steps += 1
            total += 8 * room
    figure("grown_steps", steps)
    figure("grown_bytes", total)
    figure("grown_alive", 8 * room)


class Shelf:
    def __init__(self) -> None:
        self.kept: list[object] = [None] * 25

    def fill(self, size: int) -> None:
        #@ fill partly
        for i in range(25):
            #= allocations=25 total_bytes=25*(310+$header) alive_at_exit_bytes=25*(310+$header)
            self.kept[i] = unit * size

    @classmethod
    def make(cls) -> Shelf:
        return cls()


def generate(times: int, size: int) -> Iterator[bytes]:
    #@ generate partly
    for _ in repeat(None, times):
        #= allocations=60 total_bytes=60*(320+$header) alive_at_exit_bytes=60*(320+$header)
        yield unit * size


async def produce(size: int) -> bytes:
    #@ produce partly
    await asyncio.sleep(0)
    #= allocations=30 total_bytes=30*(330+$header) alive_at_exit_bytes=30*(330+$header)
    return unit * size


async def gather(times: int) -> list[bytes]:
    return list(await asyncio.gather(*(produce(330) for _ in range(times))))


make_one = lambda size: unit * size  # noqa: E731
#@ <lambda> partly
make_two = lambda size: (  # noqa: E731
    #= allocations=35 total_bytes=35*(340+$header) alive_at_exit_bytes=35*(340+$header)
    unit * size
)


def several_lines(kept: list[object], size: int, larger: int) -> None:
    #@ several_lines partly
    for i in range(len(kept)):
        kept[i] = (
            #= allocations=15 total_bytes=15*(350+$header)
            unit * size,
            letter,
            #= allocations=15 total_bytes=15*(360+$header)
            unit * larger,
        )


def descend(depth: int, kept: list[object]) -> None:
    #@ descend partly
    if depth == 0:
        #= allocations=1 total_bytes=370+$header alive_at_exit_bytes=370+$header
        kept[0] = unit * 370
    else:
        descend(depth - 1, kept)


def warm(kept: list[object]) -> None:
    """Fills the interpreter's free lists and caches, and specialises what it specialises."""
    shelf: list[object] = [None]
    for size in range(20):
        unit * size, letter * size, object(), bytearray(size), make_one(size), (size,)
        shelf[0] = bytearray(size)
    kept.append(shelf)


def main() -> None:
    kept: list[object] = []
    warm(kept)
    kept.append([None] * 200)
    hold(kept[-1], 1000)  # type: ignore[arg-type]
    churn(300, 700)
    kept.append([None] * 50)
    text(kept[-1], 444)  # type: ignore[arg-type]
    kept.append([None] * 80)
    objects(kept[-1])  # type: ignore[arg-type]
    kept.append([None] * 40)
    arrays(kept[-1], 600)  # type: ignore[arg-type]
    kept.append(grown(1000))
    shelf = Shelf.make()
    shelf.fill(310)
    kept.append(shelf)
    kept.append(list(generate(60, 320)))
    kept.append(asyncio.run(gather(30)))
    kept.append([make_two(340) for _ in range(35)])
    kept.append([None] * 15)
    several_lines(kept[-1], 350, 360)  # type: ignore[arg-type]
    kept.append([None])
    descend(500, kept[-1])  # type: ignore[arg-type]
    figure("header", header)
    figure("text_size", sys.getsizeof(letter * 444))
    figure("array_header", sys.getsizeof(bytearray()))
    expect_growth(1000)
    sys.stdout.flush()
    # What is kept must be alive at the very end: not freed by the interpreter's own tidying up.
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
