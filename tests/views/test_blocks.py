"""What stands beside bytes can be chosen as a metric: blocks, and how often they were resized."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.recording.make import SECOND, Builder, Change

from heaptide.cli.diff import command as diff
from heaptide.cli.show import show
from heaptide.errors import UsageError
from heaptide.profile import BLOCKS, Profile
from heaptide.recording import Recording

SLICES = 100


def leaking(path: Path, small: int) -> str:
    """Many small blocks and a few large ones, of both more and more."""
    build = Builder()
    build.process(1, end=SLICES * SECOND)
    build.thread(0)
    contexts = [
        build.context(0, build.stack(build.python(name, "/home/u/app.py", line)), thread=0)
        for line, name in enumerate(("many", "large"), 1)
    ]
    for second in range(SLICES):
        changes = [Change(small, small * 10), Change(2, 20_000, 1, 10_000, 1, 500)]
        build.slice(second * SECOND, (second + 1) * SECOND, dict(zip(contexts, changes)))
    held = [(SLICES * small, SLICES * small * 10), (SLICES, SLICES * 10_000)]
    build.peak(dict(zip(contexts, held)))
    build.finish(SLICES * SECOND)
    return build.write(path)


def sites(path: str, metric: str) -> list[tuple[str, int]]:
    output = CliRunner().invoke(show, [path, "--json", "--metric", metric], catch_exceptions=False)
    document: dict[str, Any] = json.loads(output.stdout)
    column = BLOCKS[metric].column
    return [(site["function"], site[column]) for site in document["sites"]]


def test_what_has_most_blocks_comes_first(tmp_path: Path) -> None:
    path = leaking(tmp_path / "a.tide", 7)
    for metric in ("peak-blocks", "alive-blocks"):
        assert sites(path, metric) == [("many", 700), ("large", 100)]
    (many, first), (large, second) = sites(path, "leaked-blocks")
    assert (many, large) == ("many", "large")
    assert first == 7 * second > 0
    assert sites(path, "reallocations")[0] == ("large", 100)
    text = CliRunner().invoke(show, [path, "--metric", "peak-blocks"]).stdout
    assert "Blocks at peak, by function" in text
    assert "kB" in text  # bytes beside them


def test_two_recordings_are_compared_by_blocks(tmp_path: Path) -> None:
    paths = [leaking(tmp_path / f"{small}.tide", small) for small in (7, 9)]
    output = CliRunner().invoke(diff, [*paths, "--json", "--metric", "peak-blocks"])
    document = json.loads(output.stdout)
    assert document["selection"]["words"] == "blocks at peak"
    assert document["total_change"] == 200


def test_resized_to_a_size_is_not_told(tmp_path: Path) -> None:
    from heaptide.profile import Selection

    with Recording.open(leaking(tmp_path / "a.tide", 7)) as recording:
        profile = Profile(recording, Selection(sizes=(0, 3)))
        with pytest.raises(UsageError, match="--metric allocations"):
            profile.figures_for(BLOCKS["reallocations"])
