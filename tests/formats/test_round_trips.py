"""A recording into a format and back: what the format carries is the same then."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.formats import by_name, open_recording, write
from heaptide.profile import COLUMNS, METRICS, Profile, metric_of, stack_tree
from heaptide.recording import Recording
from tests.profile.random_recording import random_recording

SEEDS = st.integers(0, 1 << 20)
LIMITS = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def totals(recording: Recording) -> dict[str, int]:
    return dict(zip(COLUMNS, Profile(recording).totals.tolist()))


def stacks(recording: Recording, column: str, words: str) -> Counter[tuple[str, ...]]:
    """What each stack has of a figure, by the names of its functions, outermost first; words:
    "function", or "place" for functions with their lines."""
    profile = Profile(recording)
    figures = profile.figures[:, [COLUMNS.index(column)]]
    tree = stack_tree(profile, words, figures=figures)
    at, found = profile.locations, Counter[tuple[str, ...]]()
    path: list[str] = []
    for node in range(len(tree)):
        if node:
            row = int(tree.location[node])
            del path[int(tree.depth[node]) - 1 :]
            path.append(at.texts[int(at.function[row])])
        if tree.own[node, 0]:
            found[tuple(path) or ("?",)] += int(tree.own[node, 0])
    return found


def there_and_back(recording: Recording, format: str, directory: Path, suffix: str) -> Recording:
    target = directory / f"{len(list(directory.iterdir()))}{suffix}"
    write(Profile(recording), by_name(format), target)
    return open_recording(target)


@given(seed=SEEDS)
@LIMITS
def test_heaptrack(tmp_path: Path, seed: int) -> None:
    with random_recording(seed, tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}.tide") as first:
        with there_and_back(first, "heaptrack", tmp_path, ".zst") as second:
            before, after = totals(first), totals(second)
            calls = before["allocations"] + before["reallocations"]
            assert after["peak_bytes"] == before["peak_bytes"]
            assert after["alive_at_exit_bytes"] == before["alive_at_exit_bytes"]
            assert after["allocations"] == calls
            for figure in ("peak_bytes", "alive_at_exit_bytes"):
                assert _shapes(stacks(second, figure, "place")) == _shapes(
                    stacks(first, figure, "place")
                )


def _shapes(found: Counter[tuple[str, ...]]) -> Counter[int]:
    return Counter({len(path): 0 for path in found}) + Counter(
        {depth: sum(v for p, v in found.items() if len(p) == depth) for depth in map(len, found)}
    )


@given(seed=SEEDS)
@LIMITS
def test_dhat(tmp_path: Path, seed: int) -> None:
    with random_recording(seed, tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}.tide") as first:
        with there_and_back(first, "dhat", tmp_path, ".dhat.json") as second:
            before, after = totals(first), totals(second)
            for figure in (
                "total_bytes",
                "peak_bytes",
                "peak_blocks",
                "alive_at_exit_bytes",
                "alive_at_exit_allocations",
            ):
                assert after[figure] == before[figure], figure
            assert after["allocations"] == before["allocations"] + before["reallocations"]
            assert _shapes(stacks(second, "total_bytes", "place")) == _shapes(
                stacks(first, "total_bytes", "place")
            )


@given(seed=SEEDS)
@LIMITS
def test_pprof(tmp_path: Path, seed: int) -> None:
    with random_recording(seed, tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}.tide") as first:
        with there_and_back(first, "pprof", tmp_path, ".pb.gz") as second:
            before, after = totals(first), totals(second)
            for figure in ("total_bytes", "alive_at_exit_bytes", "alive_at_exit_allocations"):
                assert after[figure] == before[figure], figure
            assert after["allocations"] == before["allocations"] + before["reallocations"]
            assert stacks(second, "total_bytes", "function") == stacks(
                first, "total_bytes", "function"
            )


@given(seed=SEEDS)
@LIMITS
def test_massif(tmp_path: Path, seed: int) -> None:
    with random_recording(seed, tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}.tide") as first:
        with there_and_back(first, "massif", tmp_path, ".massif.out") as second:
            before, after = totals(first), totals(second)
            assert after["peak_bytes"] == before["peak_bytes"]


@pytest.mark.parametrize("metric", ["peak", "alive", "total", "copied"])
@given(seed=SEEDS)
@LIMITS
def test_folded(tmp_path: Path, metric: str, seed: int) -> None:
    with random_recording(seed, tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}.tide") as first:
        profile = Profile(first)
        target = tmp_path / f"{len(list(tmp_path.iterdir()))}.folded"
        write(profile, by_name("folded"), target, METRICS[metric])
        if target.stat().st_size == 0:
            return
        with open_recording(target) as second:
            total = metric_of(second, "total")
            assert Profile(second).total_of(total) == profile.total_of(METRICS[metric])


@given(seed=SEEDS)
@LIMITS
def test_a_recording_itself(tmp_path: Path, seed: int) -> None:
    with random_recording(seed, tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}.tide") as first:
        with there_and_back(first, "tide", tmp_path, ".tide") as second:
            assert totals(second) == totals(first)
            for by in ("function", "line", "thread"):
                folds = [Profile(one).fold(by, METRICS["total"]) for one in (first, second)]
                assert folds[0].figures.tolist() == folds[1].figures.tolist()


def test_imported_figures_survive_a_recording(tmp_path: Path) -> None:
    """From DHAT to a recording, and from that to DHAT: reads, writes, lifetimes, accesses."""
    import json

    from tests.formats.files import DATA, plain

    with open_recording(DATA / "cpp.dhat.json") as first:
        with there_and_back(first, "tide", tmp_path, ".tide") as second:
            target = tmp_path / "again.dhat.json"
            write(Profile(second), by_name("dhat"), target)
    wanted, found = json.loads(plain("cpp.dhat.json")), json.loads(target.read_text())
    keys = ("tb", "tbk", "tl", "mb", "mbk", "gb", "gbk", "eb", "ebk", "rb", "wb", "acc")

    def rows(document: dict[str, object]) -> list[list[object]]:
        points = document["pps"]
        assert isinstance(points, list)
        return sorted(([str(point.get(key)) for key in keys] for point in points), key=str)

    assert rows(found) == rows(wanted)
    assert found["bkacc"] is found["bklt"] is True
