"""``heaptide.budget``: limits in code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import heaptide
from heaptide import BudgetError, HeaptideError

pytestmark = pytest.mark.interpreters


def test_a_block_that_keeps_it() -> None:
    with heaptide.budget(peak="1 MB", total="2 MB", live="1 MB", scope="thread") as held:
        kept = bytes(500_000)
    assert held.measured is not None
    assert len(kept) <= held.measured.peak < 510_000


def test_a_block_that_exceeds_it() -> None:
    """Each limit that was exceeded is told, with the place that most came from."""
    with (
        pytest.raises(BudgetError) as told,
        heaptide.budget(peak="1 MB", allocations=1_000_000, total="1 MiB"),
    ):
        bytes(2_000_000)
    assert isinstance(told.value, AssertionError)
    assert [result.status for result in told.value.results] == ["over", "ok", "over"]
    assert "test_a_block_that_exceeds_it" in str(told.value)
    assert "limit 1.0 MiB" in str(told.value)


def test_what_fails_is_not_judged() -> None:
    with pytest.raises(ZeroDivisionError), heaptide.budget(total=0):
        print(len(bytes(1000)) / 0)


def test_functions() -> None:
    """Each call by itself; recursion and results as ever."""

    @heaptide.budget(peak="1 MB", scope="thread")
    def make(count: int) -> bytes:
        """What it says."""
        if count > 100:
            make(count // 10)
        return bytes(count)

    assert make(1000) == bytes(1000)
    assert make.__doc__ == "What it says."
    with pytest.raises(BudgetError):
        make(2_000_000)
    assert make(1000) == bytes(1000)


def test_coroutines() -> None:
    """From the call to its end, with what else happens on the way."""

    @heaptide.budget(total="1 MB")
    async def make(count: int) -> int:
        await asyncio.sleep(0)
        return len(bytes(count))

    assert asyncio.run(make(1000)) == 1000

    async def several() -> list[int | BaseException]:
        return list(await asyncio.gather(make(10), make(3_000_000), return_exceptions=True))

    assert any(isinstance(one, BudgetError) for one in asyncio.run(several()))

    async def block() -> None:
        async with heaptide.budget(peak="1 MB"):
            await asyncio.sleep(0)
            bytes(1_500_000)

    with pytest.raises(BudgetError):
        asyncio.run(block())


def test_a_failing_budget_within_another() -> None:
    """What telling about it takes is not the outer one's, nor that of others that go on."""
    with heaptide.budget(peak="100 kB", allocations=1000):
        for _ in range(2):
            with pytest.raises(BudgetError), heaptide.budget(peak="1 kB"):
                bytes(2000)

    @heaptide.budget(peak="3 MB")
    async def make() -> None:
        await asyncio.sleep(0.01)
        block = bytes(200_000)
        await asyncio.sleep(0.01)
        del block

    @heaptide.budget(peak="100 kB")
    async def exceed() -> None:
        await make()

    async def several() -> list[object]:
        return list(
            await asyncio.gather(exceed(), *(make() for _ in range(9)), return_exceptions=True)
        )

    first, *others = asyncio.run(several())
    assert isinstance(first, BudgetError)
    assert others == [None] * 9


def test_wrong_budgets_are_told() -> None:
    with pytest.raises(HeaptideError, match=r"did you mean peak\?"):
        heaptide.budget(peek="1 MB")
    with pytest.raises(HeaptideError, match="peak: '1 XB' is no limit"):
        heaptide.budget(peak="1 XB")
    with pytest.raises(HeaptideError, match="needs a limit"):
        heaptide.budget()
    with pytest.raises(HeaptideError, match="generator"):

        @heaptide.budget(peak="1 MB")
        def numbers() -> object:
            yield 1


@pytest.mark.parametrize("wrap", [property, staticmethod, classmethod, lambda f: type("C", (), {})])
def test_what_is_no_function(wrap: Callable[[Callable[[object], int]], Any]) -> None:
    """Not what would be something else behind a function; below them it is held as any other."""
    with pytest.raises(HeaptideError, match="is no function to hold to a budget"):
        heaptide.budget(peak="1 MB")(wrap(lambda _: 1))

    class Held:
        @property
        @heaptide.budget(peak="1 MB")
        def value(self) -> int:
            return 1

        @staticmethod
        @heaptide.budget(peak="1 MB")
        def made() -> int:
            return 2

    assert (Held().value, Held().made()) == (1, 2)
