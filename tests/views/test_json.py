"""``show --json``: the document, its schema, and the page that explains both."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.cli.show import show
from heaptide.errors import UsageError
from heaptide.profile import COLUMNS, FOLDS, METRICS, Profile
from heaptide.recording import Recording
from heaptide.views import document as views_document
from heaptide.views.document import document

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(views_document.__file__).with_name("show.schema.json").read_text())
APP = "/home/user/app.py"
PAGE = (ROOT / "docs" / "json.md").read_text().partition("# The JSON of `heaptide diff`")[0]


def shown(path: str, *options: str) -> Any:
    done = CliRunner().invoke(show, [path, "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


@pytest.fixture
def path(tmp_path: Path) -> str:
    return example().write(tmp_path / "a.tide")


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {"const": views_document.SCHEMA_VERSION}


def test_the_summary(path: str) -> None:
    assert shown(path)["summary"] == {
        "duration_seconds": 3.0,
        "allocations": 30,
        "deallocations": 24,
        "reallocations": 3,
        "total_bytes": 3300,
        "copied_bytes": 100,
        "peak_bytes": 2000,
        "peak_blocks": 20,
        "peak_time_seconds": 1.5,
        "peak_rss_bytes": 50 << 20,
        "alive_at_exit_bytes": 600,
        "alive_at_exit_allocations": 6,
        "temporary_allocations": 5,
        "short_lived_allocations": 8,
        "processes": 1,
        "threads": 2,
    }


def test_samples_do_not_tell_which_allocation_came_next(tmp_path: Path) -> None:
    """Null in all places, and no verdict; what else a document says stays as it is."""
    build = example()
    whole = shown(build.write(tmp_path / "whole.tide"))
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    sampled = shown(build.write(tmp_path / "sampled.tide"))
    figures = ("temporary_allocations", "short_lived_allocations")
    for before, after in zip(
        (whole["summary"], *whole["sites"], *whole["processes"]),
        (sampled["summary"], *sampled["sites"], *sampled["processes"]),
    ):
        assert [before[name] for name in figures] == [5, 8]
        assert after == {**before, **dict.fromkeys(figures)}
    assert sampled["verdicts"] == whole["verdicts"][1:]
    assert whole["verdicts"][0]["name"] == "temporary_allocations"


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("metric", ["temporary", "short-lived"])
def test_metrics_that_samples_lack_are_refused(
    tmp_path: Path, metric: str, options: list[str]
) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    path = build.write(tmp_path / "a.tide")
    with pytest.raises(UsageError, match=f"^{metric} allocations are not known of .*--sample"):
        CliRunner().invoke(show, [path, "--metric", metric, *options], catch_exceptions=False)


def test_a_site(path: str) -> None:
    figures = (2000, 20, 600, 6, 3300, 30, 3, 100, 5, 8)
    assert shown(path)["sites"] == [
        {
            "function": "load",
            "file": "/home/user/app.py",
            "line": 12,
            "language": "python",
            "module": "app",
            "origin": "own",
            "thread": None,
            "process": None,
            "share": 1.0,
            "inclusive": 2000,
            "imports": 0,
            **dict(zip(COLUMNS, figures)),
            "leaked_bytes": None,
            "leaked_allocations": None,
        }
    ]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (
            "function",
            {"function": "load", "file": APP, "line": 12, "module": "app"},
        ),
        ("line", {"function": "load", "file": APP, "line": 12, "module": "app"}),
        ("file", {"function": None, "file": APP, "line": None, "module": "app"}),
        ("module", {"function": None, "file": None, "line": None, "module": "app"}),
        ("thread", {"thread": {"pid": 4711, "tid": 4711, "name": "MainThread"}, "module": None}),
        ("process", {"process": {"pid": 4711, "image": 0, "command": ["python3", "app.py"]}}),
    ],
)
def test_a_site_is_told_by_what_it_is_folded_by(
    path: str, by: str, expected: dict[str, Any]
) -> None:
    found = shown(path, "--by", by)
    assert found["selection"] == {
        "metric": "peak",
        "by": by,
        "processes": [4711],
        "words": "at peak",
        "from_seconds": None,
        "to_seconds": None,
        "peak_exact": True,
        "threads": [],
        "functions": [],
        "modules": [],
        "without_functions": [],
        "without_modules": [],
        "sizes": None,
    }
    assert {key: found["sites"][0][key] for key in expected} == expected


def test_metric_orders_and_top_limits(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    big, many = (build.context(stack=build.stack(build.python(f, "/a.py", 1))) for f in ("b", "m"))
    build.slice(0, SECOND, {big: Change(1, 1000), many: Change(50, 100)})
    build.peak({big: (1, 1000), many: (50, 100)})
    build.finish(SECOND)
    path = build.write(tmp_path / "a.tide")
    by_bytes, by_count = shown(path), shown(path, "--metric", "allocations")
    assert [site["function"] for site in by_bytes["sites"]] == ["b", "m"]
    assert [site["function"] for site in by_count["sites"]] == ["m", "b"]
    assert by_count["sites"][0]["share"] == 50 / 51
    assert len(shown(path, "--top", "1")["sites"]) == 1
    assert len(shown(path, "--top", "0")["sites"]) == 2


def test_one_process(tmp_path: Path) -> None:
    build = Builder()
    for pid, peak in ((10, 5), (11, 7)):
        process = build.process(pid, peak_bytes=peak)
        build.thread(process, pid)
    stack = build.stack(build.python("f", "/a.py", 1))
    contexts = [build.context(process, stack, thread=process) for process in (0, 1)]
    build.slice(0, SECOND, {contexts[0]: Change(1, 5), contexts[1]: Change(1, 7)})
    build.peak({contexts[0]: (1, 5), contexts[1]: (1, 7)})
    for process, size in ((0, 5), (1, 7)):
        build.peak({contexts[process]: (1, size)}, process)
    build.finish(SECOND)
    path = build.write(tmp_path / "a.tide")
    both, one = shown(path), shown(path, "--process", "11")
    assert (both["summary"]["peak_bytes"], one["summary"]["peak_bytes"]) == (12, 7)
    assert [process["pid"] for process in both["processes"]] == [10, 11]
    assert [process["pid"] for process in one["processes"]] == [11]
    assert [thread["tid"] for thread in one["threads"]] == [11]
    assert one["selection"]["processes"] == [11]
    assert one["sites"][0]["total_bytes"] == 7


def test_an_unfinished_recording_tells_so(tmp_path: Path) -> None:
    build = example()
    build.end = None
    found = shown(build.write(tmp_path / "a.tide", finished=False))["recording"]
    assert (found["complete"], found["end_reason"], found["truncated_at"]) == (False, None, None)


@given(st.integers(0, 10**9))
@settings(deadline=None, max_examples=30)
def test_any_recording_keeps_to_the_schema(seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        for by in FOLDS:
            fold = profile.fold(by, METRICS["total"], inclusive=True)
            found = document(profile, fold)
            jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), SCHEMA)
            for name in set(COLUMNS) & set(found["summary"]):
                assert sum(site[name] for site in found["sites"]) == found["summary"][name]


def keys(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", ())
    for part in (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()):
        yield from keys(part)
    if "items" in schema:
        yield from keys(schema["items"])


def test_every_key_is_explained_and_no_other() -> None:
    explained = set()
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            explained |= set(re.findall(r"`(\w+)`", line.split("|")[1]))
    assert explained == set(keys(SCHEMA))


def test_the_files_strange_settings_do_not_break_the_document(tmp_path: Path) -> None:
    build = example()
    build.meta.update(start_time="yesterday", command="app", config={"native": None, "x": [1]})
    found = shown(build.write(tmp_path / "a.tide"))["recording"]
    assert (found["start_time"], found["command"], found["config"]) == (None, [], {})


def test_the_recording_is_read_by_reading(path: str) -> None:
    with Recording.open(path) as recording:
        profile = Profile(recording)
        fold = profile.fold("function", METRICS["peak"], inclusive=True)
        assert json.loads(json.dumps(document(profile, fold))) == shown(path)


def test_a_part_says_what_it_is(path: str) -> None:
    found = shown(
        path,
        *("--from", "1.2", "--to", "1.8", "--thread", "worker", "--function", "load"),
        *("--exclude", "nothing", "--module", "app", "--exclude-module", "numpy"),
    )
    selection = found["selection"]
    expected = {
        "from_seconds": 1.0,
        "to_seconds": 2.0,
        "threads": ["worker"],
        "functions": ["load"],
        "modules": ["app"],
        "without_functions": ["nothing"],
        "without_modules": ["numpy"],
        "sizes": None,
    }
    assert {key: selection[key] for key in expected} == expected
    assert found["sites"][0]["total_bytes"] == found["summary"]["total_bytes"] == 1000
    assert found["verdicts"] == []
    assert any("slices of time" in note["text"] for note in found["notes"])


def test_a_moment(path: str) -> None:
    found = shown(path, "--at", "2")
    assert found["selection"]["metric"] == "live"
    assert found["selection"]["words"] == "live at 2 s"
    assert found["sites"][0]["alive_at_exit_bytes"] == 1700


def test_sizes_and_leaks(path: str) -> None:
    found = shown(path, "--size", "100", "--metric", "allocations")
    assert found["selection"]["sizes"] == {"from_bytes": 65, "to_bytes": 128}
    assert found["sites"][0]["allocations"] == 33
    assert shown(path, "--size", "1MiB..")["selection"]["sizes"] == {
        "from_bytes": 65537,
        "to_bytes": None,
    }
    leaks = shown(path, "--metric", "leaked")
    assert (leaks["sites"][0]["leaked_bytes"], leaks["sites"][0]["leaked_allocations"]) == (0, 0)
    assert any("too short" in note["text"] for note in leaks["notes"])


def test_snapshots_tell_what_the_heap_was_made_of(path: str) -> None:
    snapshots = shown(path)["snapshots"]
    assert [(s["time_seconds"], s["live_bytes"], s["peak"]) for s in snapshots] == [
        (1.0, 800, False),
        (1.5, 2000, True),
        (2.0, 1700, False),
        (3.0, 600, False),
    ]
    assert snapshots[1]["sites"] == [
        {
            "function": "load",
            "file": APP,
            "line": 12,
            "language": "python",
            "module": "app",
            "origin": "own",
            "bytes": 2000,
        }
    ]
    assert {s["rss_bytes"] for s in snapshots} == {40 << 20}


def test_histograms(path: str) -> None:
    rows = shown(path)["histograms"]
    counts = {(r["histogram"], r["above"], r["up_to"]): r["count"] for r in rows if r["count"]}
    assert counts == {
        ("sizes", 64, 128): 33,
        ("lifetimes", None, 0.001): 14,
        ("lifetimes", 0.001, 0.01): 10,
        ("lifetimes in allocations", None, 0): 5,
        ("lifetimes in allocations", 0, 1): 5,
        ("lifetimes in allocations", 1, 7): 6,
        ("lifetimes in allocations", 7, 63): 4,
        ("lifetimes in allocations", 63, 511): 4,
    }
    # Classes of a histogram follow one another.
    for before, after in zip(rows, rows[1:]):
        if before["histogram"] == after["histogram"]:
            assert before["up_to"] == after["above"]


def test_the_timeline(path: str) -> None:
    assert shown(path)["timeline"] is None
    rows = shown(path, "--timeline")["timeline"]
    assert [(row["time_seconds"], row["live_bytes"], row["peak_bytes"]) for row in rows] == [
        (1.0, 800, 900),
        (2.0, 1700, 2000),
        (3.0, 600, 1700),
    ]
    assert rows[0]["rss_bytes"] == 40 << 20
    part = shown(path, "--timeline", "--thread", "worker")["timeline"]
    assert [(row["live_bytes"], row["rss_bytes"]) for row in part] == [
        (0, None),
        (700, None),
        (300, None),
    ]


def test_a_long_timeline_keeps_its_highest_rows(tmp_path: Path) -> None:
    build = example()
    for row in range(5000):
        build.timeline(4 * SECOND + row, live_bytes=row, peak_bytes=10**9 if row == 1777 else row)
    rows = shown(build.write(tmp_path / "a.tide"), "--timeline")["timeline"]
    assert len(rows) == 2000
    assert max(row["peak_bytes"] for row in rows) == 10**9
    times = [row["time_seconds"] for row in rows]
    assert times == sorted(times)


def test_a_tree(path: str) -> None:
    assert shown(path)["tree"] is None
    tree = shown(path, "--tree", "callees", "--merge", "templates")["tree"]
    assert (tree["direction"], tree["by"], tree["recursion"]) == ("callees", "function", "direct")
    assert tree["hide"] == ["interpreter", "allocator"]
    assert tree["merge"] == ["templates"]
    found = [
        (n["node"], n["parent"], n["depth"], n["function"], n["own"], n["inclusive"])
        for n in tree["nodes"]
    ]

    def both(size: int, blocks: int) -> dict[str, int]:
        return {"peak_bytes": size, "peak_blocks": blocks}

    assert found == [
        (0, None, 0, None, both(0, 0), both(2000, 20)),
        (1, 0, 1, "<module>", both(0, 0), both(2000, 20)),
        (2, 1, 2, "load", both(1200, 12), both(2000, 20)),
        (3, 2, 3, "work::grow()", both(0, 0), both(800, 8)),
        (4, 3, 4, "std::vector<>::push_back", both(800, 8), both(800, 8)),
    ]
    merged = shown(path, "--tree", "callees", "--merge", "library")["tree"]["nodes"]
    assert [n["module"] for n in merged if n["function"] is None][1:] == ["/usr/lib/libwork.so"]


def test_a_tree_s_largest_nodes_keep_their_parents(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    main = build.python("main", "/a.py", 1)
    held = {}
    for i in range(20):
        leaf = build.python(f"f{i}", "/a.py", i + 2)
        held[build.context(stack=build.stack(main, leaf))] = (1, 100 + i)
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    path = build.write(tmp_path / "a.tide")
    nodes = shown(path, "--tree", "callees", "--top", "4")["tree"]["nodes"]
    assert [(n["function"], n["parent"]) for n in nodes] == [
        (None, None),
        ("main", 0),
        ("f19", 1),
        ("f18", 1),
        ("f17", 1),
    ]
    callers = shown(path, "--tree", "callers", "--function", "/f1[89]/", "--least", "0")["tree"]
    assert [n["function"] for n in callers["nodes"]] == [None, "f19", "main", "f18", "main"]
