"""The page's data: whatever is merged, folded or left out, nothing is lost of any total."""

from __future__ import annotations

import base64
import hashlib
import html as escaping
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.profile import COLUMNS, LEAKED, Profile
from heaptide.recording import Language, Recording
from heaptide.views.page import build, html
from heaptide.views.page.blob import decode, encode

FIGURES = (*COLUMNS, "leaked_bytes", "leaked_allocations")
CHANGES = {
    "bytes_in": "bytes_in",
    "bytes_out": "bytes_out",
    "blocks_in": "blocks_in",
    "blocks_out": "blocks_out",
    "reallocations": "reallocations",
    "copied_bytes": "copied_bytes",
    "temporary": "temporary",
    "short_lived": "short_lived",
}


SUMS = {
    "total_bytes": ("bytes_in",),
    "allocations": ("blocks_in", "reallocations"),
    "reallocations": ("reallocations",),
    "copied_bytes": ("copied_bytes",),
    "temporary_allocations": ("temporary",),
    "short_lived_allocations": ("short_lived",),
    "alive_at_exit_bytes": ("bytes_in", "bytes_out"),
    "alive_at_exit_allocations": ("blocks_in", "blocks_out"),
}


def figure(columns: dict[str, Any], name: str, prefix: str = "sample") -> Any:
    """A figure of each sample; those that are sums of changes may be left to the reader."""
    if f"{prefix}.{name}" in columns:
        return columns[f"{prefix}.{name}"]
    found = np.zeros(len(columns["sample.node"]), np.int64)
    own = "base." if prefix == "base" else ""
    for sign, change in zip((1, -1), SUMS[name]):
        sample, column = columns[f"{own}change.sample"], columns[f"{own}change.{change}"]
        np.add.at(found, sample, sign * column)
    return found


def sums(columns: dict[str, Any], prefix: str = "sample") -> dict[str, int]:
    return {name: int(figure(columns, name, prefix).sum()) for name in FIGURES}


def expected(profile: Profile) -> dict[str, int]:
    return dict(zip(FIGURES, profile.figures_for(LEAKED).sum(axis=0).tolist()))


def check(profile: Profile, columns: dict[str, Any]) -> None:
    """References are sound, the order is depth-first, and all sums are the recorder's."""
    recording = profile.recording
    nodes, samples = len(columns["node.depth"]), len(columns["sample.node"])
    places = len(columns["location.line"])
    depth = columns["node.depth"]
    assert nodes == 0 or depth[0] == 0
    assert np.all(np.diff(depth) <= 1)
    for name, most in (("node.location", places), ("sample.site", places), ("sample.node", nodes)):
        assert columns[name].min(initial=0) >= 0 and columns[name].max(initial=-1) < most
    assert np.all(np.diff(columns["sample.node"]) >= 0)
    assert sums(columns) == expected(profile)
    used = profile.figures.any(axis=1)
    for column, figure in CHANGES.items():
        changed = int(columns[f"change.{column}"].sum())
        assert changed == int(getattr(recording.totals, figure)[used].sum()), column
    assert int(columns["bin.changes"].sum()) == len(columns["change.sample"])
    if samples:
        assert columns["change.sample"].max(initial=0) < samples


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_totals_are_the_recorders(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = random_recording(seed, Path(folder) / "a.tide")
        profile = Profile(recording)
        page = build(profile)
        check(profile, decode(page.data)[1])
        recording.close()


@given(st.integers(0, 10**9), st.integers(0, 12_000))
@settings(max_examples=40, deadline=None)
def test_folding_loses_nothing(seed: int, room: int) -> None:
    """However small the page has to be."""
    with tempfile.TemporaryDirectory() as folder:
        recording = random_recording(seed, Path(folder) / "a.tide")
        profile = Profile(recording)
        whole = build(profile)
        page = build(profile, most=html.overhead() + room)
        header, columns, texts = decode(page.data)
        check(profile, columns)
        assert len(page.data) <= len(whole.data) + 500
        assert header["folded"] == page.folded
        if "[folded]" in texts:
            assert any("[folded]" in line for line in page.folded)
        recording.close()


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_a_difference_has_both_recordings(new: int, old: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recordings = [
            random_recording(s, Path(folder) / f"{i}.tide") for i, s in enumerate((new, old))
        ]
        profiles = [Profile(recording) for recording in recordings]
        _, columns, _ = decode(build(*profiles).data)
        assert sums(columns) == expected(profiles[0])
        assert sums(columns, "base") == expected(profiles[1])
        for recording in recordings:
            recording.close()


def test_equal_recordings_share_all_nodes(tmp_path: Path) -> None:
    """Matched by names, not by rows: the difference to itself is nowhere."""
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording)
        alone = decode(build(profile).data)[1]
        _, columns, _ = decode(build(profile, profile).data)
        assert len(columns["node.depth"]) <= len(alone["node.depth"])
        figures = [
            np.bincount(columns["sample.node"], columns[f"{p}.peak_bytes"])
            for p in ("sample", "base")
        ]
        assert figures[0].tolist() == figures[1].tolist()


def test_the_timeline_keeps_how_high_it_rose(tmp_path: Path) -> None:
    """Of more rows than it has room for, and where a row tells no more than what lived then."""
    make = Builder()
    make.process()
    for row in range(1, 9001):
        make.timeline(row * 10, live_bytes=row % 7, peak_bytes=105 * (row % 900 == 0))
    with Recording.open(make.write(tmp_path / "a.tide")) as recording:
        _, columns, _ = decode(build(Profile(recording)).data)
    assert len(columns["time.time"]) == 1800
    assert np.flatnonzero(columns["time.peak"] == 105).tolist() == list(range(179, 1800, 180))
    assert set(columns["time.peak"].tolist()) == {4, 5, 6, 105}


def test_equal_texts_are_one(tmp_path: Path) -> None:
    """A module may be called like a file: the reader knows both by one number."""
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        texts = decode(build(Profile(recording)).data)[2]
    assert len(set(texts)) == len(texts)


def test_a_build_in_another_place_shares_nodes(tmp_path: Path) -> None:
    """The same file of another checkout, and a function whose name has another hash."""
    profiles = []
    for root, ending in (("/ci/1", "::h0123456789abcdef"), ("/home/u", "::hfedcba9876543210")):
        build_ = Builder()
        build_.process(1, f"{root}/app")
        build_.thread()
        frame = build_.native(build_.module(0, f"{root}/app"), 16)
        build_.symbol(frame, f"a::load{ending}", f"{root}/src/load.rs", 3, Language.RUST)
        context = build_.context(0, build_.stack(frame))
        build_.slice(0, SECOND, {context: Change(1, 10)})
        build_.finish(SECOND)
        path = tmp_path / root.replace("/", "_")
        profiles.append(Profile(Recording.open(build_.write(path))))
    _, columns, texts = decode(build(profiles[1], profiles[0]).data)
    assert len(columns["node.depth"]) == 1
    assert [figure(columns, "total_bytes", p).tolist() for p in ("sample", "base")] == [[10], [10]]
    assert "/home/u/src/load.rs" in texts


def test_what_lives_through_a_span_is_in_the_births(tmp_path: Path) -> None:
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        births = recording.births
        _, columns, _ = decode(build(Profile(recording)).data)
        assert columns["birth.time"].tolist() == births.times.tolist()


def hostile() -> Builder:
    build = Builder()
    build.process(1, "/bin/x")
    build.thread()
    names = (
        "</script><script>alert(1)</script>",
        "<!--",
        "a\0b",
        "x" * 100_000,
        "\u202eevil",
        "é\x1b[31m",
    )
    for number, name in enumerate(names):
        stack = build.stack(build.python(name, "/home/u/</style>.py", number + 1))
        context = build.context(0, stack)
        build.slice(number * SECOND, (number + 1) * SECOND, {context: Change(1, 10)})
    build.meta["command"] = ["</title><script>"]
    build.finish(9 * SECOND)
    return build


def test_names_are_data(tmp_path: Path) -> None:
    """Nothing in a recording can end the element that it is in, or begin another."""
    with Recording.open(hostile().write(tmp_path / "a.tide")) as recording:
        text = build(Profile(recording), sources=True).html().decode()
    markup = re.sub(r'(<script type="application/octet-stream"[^>]*>)[^<]*', r"\1", text)
    assert markup.lower().count("<script") == 2
    assert "alert(1)" not in markup
    assert "</title><script>" not in markup
    assert text.count("<title>") == 1


@pytest.mark.parametrize("named", [False, True])
def test_lines_that_no_file_has(tmp_path: Path, named: bool) -> None:
    """Python takes any number for a line; the page reads none that is below 0 or beyond 31 bits."""
    lines = {5: 5, 0: 0, (1 << 31) - 1: (1 << 31) - 1, 1 << 31: 0, (1 << 32) - 5: 0}
    make = Builder()
    make.process()
    make.thread()
    changes = {}
    for line in lines:
        frame = make.python("f", "gen.py", line)
        if named:
            make.symbol(frame, "f", "gen.py", line, Language.PYTHON, column=line)
        changes[make.context(0, make.stack(frame))] = Change(1, 10)
    make.slice(0, SECOND, changes)
    make.finish(SECOND)
    with Recording.open(make.write(tmp_path / "a.tide")) as recording:
        _, columns, _ = decode(build(Profile(recording)).data)
        names = [names[0].line for names in recording.frame_names()]
    assert names == list(lines.values())
    assert set(columns["location.line"].tolist()) == set(lines.values())


def test_only_its_own_script_may_run(tmp_path: Path) -> None:
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        text = build(Profile(recording)).html().decode()
    policy = escaping.unescape(re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', text)[0])
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    for part in (script, style):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=", text.split("<script")[0])
    assert not re.search(r'(?:src|href)="?https?:', text)


@pytest.mark.parametrize("size", [0, 1, 300])
def test_recordings_of_few_allocations(tmp_path: Path, size: int) -> None:
    build_ = Builder()
    build_.process(1, "/bin/x")
    build_.thread()
    if size:
        context = build_.context(0, build_.stack(build_.python("f", "/home/u/a.py", 1)))
        build_.slice(0, SECOND, {context: Change(1, size)})
    build_.finish(SECOND)
    with Recording.open(build_.write(tmp_path / "a.tide")) as recording:
        header, columns, _ = decode(build(Profile(recording)).data)
    assert int(figure(columns, "total_bytes").sum()) == size
    assert header["summary"]["total_bytes"] == size


def test_a_stack_of_ten_thousand_frames(tmp_path: Path) -> None:
    build_ = Builder()
    build_.process(1, "/bin/x")
    build_.thread()
    frames = [build_.python(f"f{i % 7}", "/home/u/a.py", i + 1) for i in range(10_000)]
    context = build_.context(0, build_.stack(*frames))
    build_.slice(0, SECOND, {context: Change(1, 64)})
    build_.finish(SECOND)
    with Recording.open(build_.write(tmp_path / "a.tide")) as recording:
        _, columns, _ = decode(build(Profile(recording)).data)
    assert columns["node.depth"].tolist() == list(range(10_000))


@given(
    st.lists(st.integers(0, 2**53), max_size=30),
    st.lists(st.text(max_size=8), max_size=5),
)
def test_blobs_round_trip(values: list[int], texts: list[str]) -> None:
    """Columns of any size, kept as they are or as steps; texts with any characters but NUL."""
    column = np.array(values, np.int64)
    names = ("sample.peak_bytes", "sample.node")
    blob = encode({"version": 1, "title": "é"}, dict.fromkeys(names, column), ["", *texts])
    header, columns, found = decode(blob.data)
    assert header == {"version": 1, "title": "é"}
    assert all(columns[name].tolist() == values for name in names)
    clean = [t.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode() for t in texts]
    assert found == ["", *clean]
