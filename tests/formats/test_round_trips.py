"""A recording into a format and back: what the format carries is the same then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.formats import by_name, open_recording, write
from heaptide.profile import COLUMNS, METRICS, Profile, metric_of, stack_tree
from heaptide.recording import Recording
from tests.profile.random_recording import random_recording

pytestmark = pytest.mark.interpreters

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


def made(seed: int, directory: Path) -> Recording:
    return random_recording(seed, directory / f"{seed}-{len(list(directory.iterdir()))}.tide")


@contextmanager
def made_and_back(
    seed: int, format: str, directory: Path, suffix: str
) -> Iterator[tuple[Recording, Recording]]:
    with made(seed, directory) as first:
        with there_and_back(first, format, directory, suffix) as second:
            yield first, second


@given(seed=SEEDS)
@LIMITS
def test_heaptrack(tmp_path: Path, seed: int) -> None:
    with made_and_back(seed, "heaptrack", tmp_path, ".zst") as (first, second):
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
    with made_and_back(seed, "dhat", tmp_path, ".dhat.json") as (first, second):
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
    with made_and_back(seed, "pprof", tmp_path, ".pb.gz") as (first, second):
        before, after = totals(first), totals(second)
        for figure in ("total_bytes", "alive_at_exit_bytes", "alive_at_exit_allocations"):
            assert after[figure] == before[figure], figure
        assert after["allocations"] == before["allocations"] + before["reallocations"]
        assert stacks(second, "total_bytes", "function") == stacks(first, "total_bytes", "function")


@given(seed=SEEDS)
@LIMITS
def test_massif(tmp_path: Path, seed: int) -> None:
    with made_and_back(seed, "massif", tmp_path, ".massif.out") as (first, second):
        before, after = totals(first), totals(second)
        assert after["peak_bytes"] == before["peak_bytes"]


@pytest.mark.parametrize("metric", ["peak", "alive", "total", "copied"])
@given(seed=SEEDS)
@LIMITS
def test_folded(tmp_path: Path, metric: str, seed: int) -> None:
    with made(seed, tmp_path) as first:
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
    with made_and_back(seed, "tide", tmp_path, ".tide") as (first, second):
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


def test_each_format_of_others_into_itself(tmp_path: Path) -> None:
    """What is the format's own comes back: units of time, overhead and stacks, temporary ones."""
    import json

    from tests.formats.files import DATA

    def again(name: str, format: str, suffix: str) -> Path:
        target = tmp_path / f"again{suffix}"
        with open_recording(DATA / name) as recording:
            write(Profile(recording), by_name(format), target)
        return target

    before = json.loads((DATA / "cpp.dhat.json").read_text())
    after = json.loads(again("cpp.dhat.json", "dhat", ".dhat.json").read_text())
    for key in ("tu", "Mtu", "tuth", "te", "tg"):
        assert after[key] == before[key], key
    with open_recording(again("pages.massif.out", "massif", ".massif.out")) as recording:
        assert recording.timeline.live_bytes.max() > 0
    with open_recording(DATA / "cpp.massif.out") as first:
        with open_recording(again("cpp.massif.out", "massif", "2.massif.out")) as second:
            overhead = first.timeline.overhead_bytes
            assert set(second.timeline.overhead_bytes.tolist()) <= {0, *overhead.tolist()}
            assert second.timeline.overhead_bytes.max() > 0
    with open_recording(DATA / "heaptrack.cpp.small.zst") as first:
        metric = metric_of(first, "heaptrack-temporary")
        wanted = Profile(first).total_of(metric)
    with open_recording(again("heaptrack.cpp.small.zst", "heaptrack", ".zst")) as second:
        found = Profile(second).total_of(metric_of(second, "heaptrack-temporary"))
    assert found == pytest.approx(wanted, rel=0.02)


def test_too_many_allocations_for_a_line_each(tmp_path: Path) -> None:
    import json

    from heaptide.errors import UsageError

    file = tmp_path / "a"
    file.write_text(
        json.dumps(
            {
                "dhatFileVersion": 2, "mode": "heap", "verb": "Allocated", "bklt": True,
                "bkacc": False, "tu": "instrs", "Mtu": "Minstr", "cmd": "a", "pid": 1, "te": 5,
                "tg": 3, "tuth": 500, "ftbl": ["[root]", "0x1: main (a.c:1)"],
                "pps": [{"tb": 10**13, "tbk": 10**12, "tl": 1, "mb": 1, "mbk": 1, "gb": 1,
                         "gbk": 1, "eb": 0, "ebk": 0, "fs": [1]}],
            }
        )
    )  # fmt: skip
    with open_recording(file) as recording:
        with pytest.raises(UsageError, match="a line for each"):
            write(Profile(recording), by_name("heaptrack"), tmp_path / "b.zst")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
