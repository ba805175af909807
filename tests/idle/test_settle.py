"""When a program counts as settled, of series that are made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from heaptide.idle import Rule, Sample, Settled
from heaptide.idle._settle import Settling

MB = 1_000_000
RULE = Rule(window=3, tolerance=0.01, timeout=30)


def settle(
    level: Callable[[float], float],
    rule: Rule = RULE,
    *,
    dirty: Callable[[float], float] = lambda _: MB,
    processes: Callable[[float], int] = lambda _: 1,
    times: Iterable[float] | None = None,
) -> Settled:
    """What comes of a program whose PSS at each time is ``level(time)``, looked at four times a
    second."""
    settling = Settling(rule)
    for time in times or (step / 4 for step in range(1000)):
        sample = Sample(100 + time, round(level(time)), round(dirty(time)), processes(time))
        if settling.add(sample) or settling.expired:
            break
    return settling.result()


def test_a_program_that_does_nothing() -> None:
    """It has settled as soon as a whole window was seen."""
    assert settle(lambda _: 50 * MB) == Settled(True, 3.0, 0.0, 0)


def test_one_that_starts_up() -> None:
    """Nothing moves from 5 s on."""
    found = settle(lambda time: min(time, 5) * 10 * MB)
    assert found.converged
    # Within one percent of 50 MB is the last tick before, 47.5 MB is not.
    assert found.steady == pytest.approx(5.0)
    assert found.seconds == pytest.approx(8.0)


def test_one_that_grows_is_given_up() -> None:
    found = settle(lambda time: 50 * MB + time * MB)
    assert not found.converged
    assert found.steady is None
    assert found.seconds == 30
    assert found.range == 3 * MB  # in the last window


def test_growth_below_the_tolerance_is_idle() -> None:
    assert settle(lambda time: 50 * MB + time * 0.1 * MB).converged


def test_small_programs_may_move_by_a_few_pages() -> None:
    assert settle(lambda time: 2 * MB + (40_000 if int(time * 4) % 2 else 0)).converged
    assert not settle(lambda time: 2 * MB + (70_000 if int(time * 4) % 2 else 0)).converged


def test_private_dirty_counts_for_itself() -> None:
    """What is written to anew shows there first, where PSS is mostly of shared pages."""
    found = settle(lambda _: 500 * MB, dirty=lambda time: 10 * MB + time * MB)
    assert not found.converged


def test_processes_that_come_and_go() -> None:
    """A worker that is started again and again leaves sums as they were."""
    assert not settle(lambda _: 50 * MB, processes=lambda time: 4 + int(time) % 2).converged
    found = settle(lambda _: 50 * MB, processes=lambda time: min(int(time), 4))
    assert (found.converged, found.steady) == (True, 4.0)


def test_few_looks_say_nothing() -> None:
    """However much time there was between them: of a large program looking takes long."""
    assert not settle(lambda _: MB, times=[0, 4, 8]).converged
    assert settle(lambda _: MB, times=[0, 4, 8, 12]) == Settled(True, 12, 0, 0)
    assert not settle(lambda time: MB + time * MB, times=range(0, 40, 4)).converged
