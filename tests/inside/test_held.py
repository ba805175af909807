"""``Measurement.held``: what was alive at a block's peak, to the byte."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from itertools import repeat

import pytest

import heaptide
from heaptide import HeaptideError, Stack

pytestmark = pytest.mark.interpreters


def keep(count: int) -> list[bytes]:
    return list(map(bytes, repeat(1000, count)))


def churn() -> None:
    for _ in range(100):
        bytes(3000)


def held_by(stacks: list[Stack], name: str) -> int:
    return sum(stack.live for stack in stacks if any(name in one.function for one in stack.frames))


@pytest.mark.parametrize("scope", ["thread", "process"])
def test_what_held_the_peak(scope: str) -> None:
    """Not what allocated most, nor what came later; all together are the peak."""
    for count in (2, 50, 1000):
        with heaptide.measure(scope) as m:
            churn()
            mine = keep(count)
            churn()
            del mine
            churn()
        held = m.held(1000)
        assert sum(stack.live for stack in held) == m.peak
        assert held == sorted(held, key=lambda stack: -stack.live)
        assert count * 1033 <= held_by(held, "keep") <= m.peak
        assert 3033 <= held_by(held, "churn") < 4000
        assert sum(stack.bytes for stack in m.stacks(1000)) == m.bytes
        assert m.held(1)[0].live == held[0].live
    with heaptide.measure(scope) as m:
        pass
    assert m.held() == []


def test_what_is_alive_at_the_end() -> None:
    with heaptide.measure("thread") as m:
        churn()
        mine = keep(10)
    assert m.stacks(by="live")[0].live >= 10_330
    assert "keep" in m.stacks(by="live")[0].frames[0].function
    assert "churn" in m.stacks()[0].frames[0].function
    assert mine
    with pytest.raises(HeaptideError, match="bytes or live"):
        m.stacks(by="peak")


def sizes(seed: int) -> Iterator[int]:
    order = random.Random(seed)
    return (order.randrange(100, 50_000) for _ in range(300))


def test_beside_other_threads() -> None:
    """Of the thread that is measured, when that had most: whatever others do meanwhile."""
    stop = threading.Event()

    def rival() -> None:
        while not stop.is_set():
            kept = [bytes(70_000) for _ in range(50)]
            del kept[::2]

    thread = threading.Thread(target=rival)
    thread.start()
    try:
        for seed in range(20):
            kept: list[bytes] = []
            with heaptide.measure("thread") as m:
                for size in sizes(seed):
                    kept.append(bytes(size))
                    if size % 3 == 0:
                        kept.clear()
            held = m.held(1000)
            assert sum(stack.live for stack in held) == m.peak
            assert held_by(held, "rival") == 0
    finally:
        stop.set()
        thread.join()


def test_blocks_within_blocks() -> None:
    """The outer one's is known; that of an inner one, where it is the same moment."""
    with heaptide.measure("thread") as outer:
        mine = keep(100)
        del mine
        with heaptide.measure("thread") as inner:
            churn()
    assert held_by(outer.held(), "keep") >= 100_000
    with pytest.raises(HeaptideError, match="not known"):
        inner.held()
    with heaptide.measure("thread") as later:
        churn()
    assert held_by(later.held(), "churn") >= 3000


def test_budgets_tell_it() -> None:
    with pytest.raises(heaptide.BudgetError) as told, heaptide.budget(peak="50 kB"):
        churn()
        keep(100)
    assert "the peak was held by keep" in str(told.value)
    assert "churn" not in str(told.value)
