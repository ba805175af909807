"""Numbers for places that two recordings share: what is one, and what never is."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.programs import Line, Native, native_program, python_program
from tests.profile.random_recording import random_recording
from tests.recording.make import Builder

from heaptide.errors import UsageError
from heaptide.profile import Profile, groups_of
from heaptide.profile.shared import SHARED_FOLDS, shared_keys
from heaptide.recording import Language, Recording

Pair = tuple[Profile, Profile]


def names(pair: Pair, by: str) -> list[tuple[str, str]]:
    """What has one number in both: names (of functions, or files and lines), sorted."""
    found: list[dict[int, str]] = []
    for profile, keys in zip(pair, shared_keys(*pair, by)[:2]):
        at = profile.locations
        told: dict[int, str] = {}
        for row, key in enumerate(keys.tolist()):
            file, function = at.texts[at.file[row]], at.texts[at.function[row]]
            text = {
                "function": function,
                "line": f"{file.rpartition('/')[2]}:{at.line[row]}" if file else function,
                "file": file or function,
                "module": profile.module_of(row) or function,
            }[by]
            told.setdefault(key, text)
        found.append(told)
    return sorted(
        (found[0][key], found[1][key])
        for key in found[0].keys() & found[1].keys()
        if not found[0][key].startswith("[interpreter")
    )


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_groups_stay_together_and_files_apart(one: int, other: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.tide", "new.tide")]
        recordings = [random_recording(seed, path) for seed, path in zip((one, other), paths)]
        pair = Profile(recordings[0]), Profile(recordings[1])
        for by in SHARED_FOLDS:
            *both, count = shared_keys(*pair, by)
            assert set(np.concatenate(both).tolist()) == set(range(count))
            for profile, keys in zip(pair, both):
                groups = groups_of(profile, by)
                assert len(np.unique(np.stack([groups, keys]), axis=1)[0]) == groups.max() + 1
                files = defaultdict(set)
                for key, file in zip(keys.tolist(), profile.locations.file.tolist()):
                    files[key].add(file)
                assert by == "module" or all(len(found) == 1 for found in files.values())
        for recording in recordings:
            recording.close()


@given(st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_a_recording_matches_itself(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with random_recording(seed, Path(folder) / "a.tide") as recording:
            profile = Profile(recording)
            for by in SHARED_FOLDS:
                ours, theirs, _ = shared_keys(profile, profile, by)
                assert ours.tolist() == theirs.tolist()


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_which_is_the_older_makes_no_difference(one: int, other: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.tide", "new.tide")]
        recordings = [random_recording(seed, path) for seed, path in zip((one, other), paths)]
        pair = Profile(recordings[0]), Profile(recordings[1])
        for by in ("function", "file"):
            there = np.concatenate(shared_keys(*pair, by)[:2])
            back = np.concatenate(shared_keys(*pair[::-1], by)[1::-1])
            assert len(np.unique(np.stack([there, back]), axis=1)[0]) == there.max() + 1
        for recording in recordings:
            recording.close()


def test_unknown_folds_are_refused(tmp_path: Path) -> None:
    profile = Profile(Recording.open(Builder().write(tmp_path / "a.tide")))
    with pytest.raises(UsageError, match="function, line, file, module"):
        shared_keys(profile, profile, "thread")


def test_copies_that_compilers_make_are_one(tmp_path: Path) -> None:
    pair = (
        native_program(tmp_path / "a", [Native("grow.part.0", 1), Native("grow.cold", 2)]),
        native_program(tmp_path / "b", [Native("grow", 1), Native("shrink", 1)]),
    )
    assert names(pair, "function") == [("grow.part.0", "grow")]
    assert len(set(shared_keys(*pair, "function")[0].tolist())) == 2  # and the interpreter


def test_methods_of_python_are_no_copies_of_their_class(tmp_path: Path) -> None:
    lines = [Line("Tensor", 1, 1), Line("Tensor.clone", 2, 1), Line("Tensor.part", 3, 1)]
    pair = python_program(tmp_path / "a", lines), python_program(tmp_path / "b", lines)
    assert [a for a, _ in names(pair, "function")] == ["Tensor", "Tensor.clone", "Tensor.part"]


def test_addresses_of_one_build_are_told_apart(tmp_path: Path) -> None:
    nameless = [Native("", 1, address=0x10), Native("", 1, address=0x20)]
    same = (
        native_program(tmp_path / "a", nameless, module="/a/libx.so", build_id="0123"),
        native_program(tmp_path / "b", nameless, module="/b/libx.so", build_id="0123"),
    )
    assert names(same, "function") == [
        ("0x10 in libx.so", "0x10 in libx.so"),
        ("0x20 in libx.so", "0x20 in libx.so"),
    ]


@pytest.mark.parametrize("build_ids", [("0123", "4567"), ("", ""), ("0123", "")])
def test_addresses_of_other_builds_are_one(tmp_path: Path, build_ids: tuple[str, str]) -> None:
    nameless = [Native("", 1, address=0x10), Native("", 1, address=0x20)]
    pair = (
        native_program(tmp_path / "a", nameless, build_id=build_ids[0]),
        native_program(tmp_path / "b", nameless[1:], build_id=build_ids[1]),
    )
    assert names(pair, "function") == [("0x10 in app", "0x20 in app")]


def test_a_build_without_debug_information_matches_by_module(tmp_path: Path) -> None:
    with_files = [Native("app::load()", 1, "/s/load.cpp", 3), Native("start", 1, "/s/a.c", 1)]
    pair = (
        native_program(tmp_path / "a", with_files),
        native_program(tmp_path / "b", [Native("app::load()", 2), Native("start", 2)]),
    )
    assert names(pair, "function") == [("app::load()", "app::load()"), ("start", "start")]


def test_a_function_that_went_to_another_file(tmp_path: Path) -> None:
    """If its name is qualified: every file of C may have a ``reset`` of its own."""
    for folder, name, found in (("x", "app::Pool::reset()", 1), ("y", "reset", 0)):
        (tmp_path / folder).mkdir()
        kept = Native("app::main()", 1, "/s/main.cpp", 3)
        there, here = Native(name, 1, "/s/a.cpp", 3), Native(name, 1, "/s/sub/b.cpp", 3)
        rest = [(there._replace(name="p"), here._replace(name="q"))]
        rest.append((there._replace(name="r"), here._replace(name="s")))
        pair = (
            native_program(tmp_path / folder / "a", [there, kept, *(one for one, _ in rest)]),
            native_program(tmp_path / folder / "b", [here, kept, *(other for _, other in rest)]),
        )
        assert len(names(pair, "function")) == 1 + found


def test_python_before_3_11_does_not_say_where_a_function_is_defined(tmp_path: Path) -> None:
    older = [Line("run", 3, 1), Line("<lambda>", 4, 1)]
    newer = [Line("Server.run", 3, 1), Line("Server.run.<locals>.<lambda>", 4, 1)]
    pair = (
        python_program(tmp_path / "a", older, version=0x030A00F0),
        python_program(tmp_path / "b", newer, version=0x030D00F0),
    )
    assert names(pair, "function") == sorted(
        zip((line.function for line in older), (line.function for line in newer))
    )


def test_comprehensions_are_in_their_function_from_python_3_12_on(tmp_path: Path) -> None:
    older = [Line("load.<locals>.<listcomp>", 3, 1), Line("load", 4, 1)]
    pair = (
        python_program(tmp_path / "a", older, version=0x030B00F0),
        python_program(tmp_path / "b", [Line("load", 3, 2)], version=0x030C00F0),
    )
    keys = shared_keys(*pair, "function")[0]
    assert keys[0] == keys[1]
    assert [b for _, b in names(pair, "function")] == ["load"]
    assert names(pair, "line") == [("app.py:3", "app.py:3")]


def test_a_renamed_file_is_known_by_its_functions(tmp_path: Path) -> None:
    functions = [Native("load()", 1), Native("save()", 2)]
    pair = (
        native_program(tmp_path / "a", [f._replace(file="/s/v1.cpp", line=3) for f in functions]),
        native_program(tmp_path / "b", [f._replace(file="/s/v2.cpp", line=3) for f in functions]),
    )
    assert names(pair, "function") == [("load()", "load()"), ("save()", "save()")]
    assert names(pair, "file") == [("/s/v1.cpp", "/s/v2.cpp")]


def test_programs_match_whatever_they_are_called(tmp_path: Path) -> None:
    pair = (
        native_program(tmp_path / "a", [Native("load()", 1)], module="/b/before"),
        native_program(tmp_path / "b", [Native("load()", 1)], module="/b/after"),
    )
    assert names(pair, "module") == [("/b/before", "/b/after")]
    assert names(pair, "function") == [("load()", "load()")]


def test_versions_of_rust_and_its_closures(tmp_path: Path) -> None:
    before = [Native("app::run::{{closure}}", 1), Native("app[0123456789abcdef]::go", 1)]
    after = [Native("app::run::{closure#1}", 1), Native("app[fedcba9876543210]::go", 1)]
    pair = (
        native_program(tmp_path / "a", [f._replace(language=Language.RUST) for f in before]),
        native_program(tmp_path / "b", [f._replace(language=Language.RUST) for f in after]),
    )
    assert names(pair, "function") == sorted(zip(*([f.name for f in s] for s in (before, after))))


def test_own_modules_of_python_are_one_by_their_files(tmp_path: Path) -> None:
    """Their names depend on which others were recorded."""
    profiles = []
    for name, files in (("a", ["/a/app/main.py"]), ("b", ["/b/app/main.py", "/b/main.py"])):
        build = Builder()
        build.process()
        build.thread()
        for file in files:
            build.python("f", file, 1)
        profiles.append(Profile(Recording.open(build.write(tmp_path / name))))
    assert names((profiles[0], profiles[1]), "module") == [("main", "app.main")]
