"""Bodies of tests of a known nature: what a run of each leaves behind, by its seed."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Callable

Body = Callable[[], object]


def _slow(random: random.Random) -> Body:
    """A block in every few runs."""
    kept: list[bytes] = []
    every, turn, size = random.randint(2, 12), [0], random.randint(50, 3000)

    def body() -> None:
        turn[0] += 1
        if turn[0] % every == 0:
            kept.append(bytes(size))

    return body


def _fast(random: random.Random) -> Body:
    kept: list[list[bytes]] = []
    count, size = random.randint(1, 20), random.randint(10, 2000)

    def body() -> None:
        kept.append([bytes(size) for _ in range(count)])

    return body


def _bursts(random: random.Random) -> Body:
    """Much, in one run of some, by chance."""
    kept: list[bytes] = []
    chance, count, size = random.uniform(0.08, 0.25), random.randint(5, 30), 500

    def body() -> None:
        if random.random() < chance:
            kept.extend(bytes(size) for _ in range(count))

    return body


def _leak_on_saw_tooth(random: random.Random) -> Body:
    """A buffer that is given back now and then, and a block that is not."""
    buffer: list[bytes] = []
    kept: list[bytes] = []
    most, size = random.randint(4, 15), random.randint(100, 2000)

    def body() -> None:
        buffer.append(bytes(size * 3))
        if len(buffer) >= most:
            buffer.clear()
            kept.append(bytes(size))

    return body


def _plateau(random: random.Random) -> Body:
    """A pool that grows to its size and stays."""
    pool: list[bytes] = []
    most, size = random.randint(5, 120), random.randint(50, 3000)

    def body() -> None:
        if len(pool) < most:
            pool.append(bytes(size))

    return body


def _cache(random: random.Random) -> Body:
    """Keys by chance, more and more of them known."""
    keys, size = random.randint(10, 60), random.randint(50, 2000)
    cache: dict[int, bytes] = {}

    def body() -> None:
        key = random.randrange(keys)
        if key not in cache:
            cache[key] = bytes(size)

    return body


def _lru(random: random.Random) -> Body:
    """Filled by a new key each run, up to its size."""

    @functools.lru_cache(maxsize=random.choice([16, 64, 128]))
    def load(key: int) -> bytes:
        return bytes(1000)

    turn = [0]

    def body() -> None:
        turn[0] += 1
        load(turn[0])

    return body


def _warm_up(random: random.Random) -> Body:
    """Much in the first runs, nothing afterwards."""
    kept: list[bytes] = []
    runs, turn, size = random.randint(1, 25), [0], random.randint(1000, 20_000)

    def body() -> None:
        turn[0] += 1
        if turn[0] <= runs:
            kept.append(bytes(size))

    return body


def _steps(random: random.Random) -> Body:
    """Twice, at some run, more for good."""
    kept: list[bytes] = []
    at, turn, size = random.sample(range(2, 60), 2), [0], random.randint(1000, 50_000)

    def body() -> None:
        turn[0] += 1
        if turn[0] in at:
            kept.append(bytes(size))

    return body


def _spikes(random: random.Random) -> Body:
    """Held for a run or two."""
    held: deque[bytes] = deque(maxlen=random.randint(1, 3))
    chance = random.uniform(0.1, 0.4)

    def body() -> None:
        size = random.randint(10_000, 100_000) if random.random() < chance else 100
        held.append(bytes(size))

    return body


def _saw_tooth(random: random.Random) -> Body:
    buffer: list[bytes] = []
    most, size = random.randint(3, 16), random.randint(100, 3000)

    def body() -> None:
        buffer.append(bytes(size))
        if len(buffer) >= most:
            buffer.clear()

    return body


def _leak_behind_warm_up(random: random.Random) -> Body:
    """Much in the first runs, and a little in each."""
    kept: list[bytes] = []
    runs, turn, size = random.randint(3, 25), [0], random.randint(100, 500)

    def body() -> None:
        turn[0] += 1
        kept.append(bytes(size * 10 if turn[0] <= runs else size))

    return body


LEAKS = {
    "slow": _slow,
    "fast": _fast,
    "bursts": _bursts,
    "on a saw-tooth": _leak_on_saw_tooth,
    "behind a warm-up": _leak_behind_warm_up,
}
OTHERS = {
    "plateau": _plateau,
    "cache": _cache,
    "lru": _lru,
    "warm-up": _warm_up,
    "steps": _steps,
    "spikes": _spikes,
    "saw-tooth": _saw_tooth,
}
