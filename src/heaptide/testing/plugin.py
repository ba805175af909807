"""The plugin that pytest loads: options, and which tests are measured.

Nothing but this file is imported, and no test runs in another way, as long as none asks for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from heaptide.testing._benchmark import MemoryBenchmark
    from heaptide.testing._session import Session

_MARKER = (
    "memory(peak=None, *, total=None, allocations=None, reallocations=None, copied=None, "
    "temporary=None, live=None, live_blocks=None, live_objects=None, leaked=None, growth=None, "
    "rss=None, warmup=0, repeats=1, isolate=False, threads=False, gc=False, baseline=True, vary=0, "
    "suppress=(), suppress_objects=()): what the test may do with "
    "memory, and how it is measured (heaptide)"
)
_INI = {
    "memory_limits": ("linelist", "limits of all tests: NAME = LIMIT, or FOLDER: NAME = LIMIT"),
    "memory_warmup": ("string", "how often the body of a measured test runs before it is measured"),
    "memory_repeats": ("string", "how often it is measured; the least counts"),
    "memory_threads": ("bool", "count what other threads do too"),
    "memory_isolate": ("bool", "run each measured test in a process of its own"),
    "memory_suppress": ("linelist", "leaks that are allowed: FUNCTION, FILE or FILE:FUNCTION"),
    "memory_suppress_objects": ("linelist", "types of objects that may stay alive"),
    "memory_baseline": ("string", "the file of baselines (default: memory-baseline.json)"),
    "memory_recordings": ("string", "the folder of recordings that are kept (default: .heaptide)"),
    "memory_growth": (
        "linelist",
        "how much more is too much: same: PART, BYTES, PART, CALLS (environment), or other: ...",
    ),
}


# Those of _INI that the command line has too, with what they take.
_OPTIONS: dict[str, dict[str, Any]] = {
    "warmup": {"type": int, "metavar": "N"},
    "repeats": {"type": int, "metavar": "N"},
    "threads": {"action": "store_true"},
    "isolate": {"action": "store_true"},
    "baseline": {"metavar": "FILE"},
    "recordings": {"metavar": "FOLDER"},
}


class Hooks:
    """What conftest files may define."""

    def pytest_heaptide_limits(self, item: pytest.Item) -> Mapping[str, Any] | None:
        """Limits and options for the tests below the folder of a conftest file, by the names of
        the marker; the test's own marks go before them."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memory", "memory of tests (heaptide)")
    group.addoption(
        "--memory-limit",
        action="append",
        default=[],
        metavar="NAME=LIMIT",
        help="a limit for all tests: peak=100MB, allocations=1000, leaked=0; repeatable",
    )
    group.addoption("--memory-all", action="store_true", help="measure all tests, and show them")
    for option, more in _OPTIONS.items():
        words = _INI[f"memory_{option}"][1]
        group.addoption(f"--memory-{option}", help=words, **more)
    group.addoption(
        "--memory-update",
        action="store_true",
        help="take over the figures of the tests that run into the baseline",
    )
    group.addoption("--memory-json", metavar="FILE", help="write the results there, as JSON")
    group.addoption(
        "--memory-top",
        type=int,
        default=10,
        metavar="N",
        help="tests in the summary: all that failed, then the largest peaks (default 10)",
    )
    group.addoption("--memory-isolated", metavar="FILE", help=argparse.SUPPRESS)
    for name, (kind, words) in _INI.items():
        parser.addini(name, words, type=kind, default=None)  # type: ignore[arg-type]


_SESSION = pytest.StashKey["Session"]()


def _session(config: pytest.Config) -> Session:
    """What the tests of this session share, made when it is first needed. Raises
    pytest.UsageError: an option makes no sense."""
    if _SESSION not in config.stash:
        from heaptide.testing._session import Session

        config.stash[_SESSION] = session = Session(config)
        config.pluginmanager.register(session, "heaptide-session")
    return config.stash[_SESSION]


def _asks_for_all(config: pytest.Config) -> bool:
    """Whether an option concerns every test, or files that are written at the end."""
    option = config.option
    return bool(
        option.memory_limit
        or option.memory_all
        or option.memory_update
        or option.memory_json
        or option.memory_isolated
        or config.getini("memory_limits")
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    distributes = getattr(config.option, "dist", "no") != "no" and not hasattr(
        config, "workerinput"
    )
    # Who distributes tests collects none, and gets their reports.
    if distributes or _asks_for_all(config):
        _session(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    by_folder = bool(config.hook.pytest_heaptide_limits.get_hookimpls())
    everything = by_folder or _asks_for_all(config)
    for item in items:
        benchmark = isinstance(item, pytest.Function) and "memory_benchmark" in item.fixturenames
        if everything or benchmark or item.get_closest_marker("memory") is not None:
            _session(config).take(item)


@pytest.fixture
def memory_benchmark(request: pytest.FixtureRequest) -> MemoryBenchmark:
    """Measures a function, by the iteration: ``memory_benchmark(function, *args, **kwargs)`` gives
    what it returns; bytes and allocations an iteration and the peak are in the summary, in the
    report's properties, and held to the baseline."""
    from heaptide.testing._benchmark import MemoryBenchmark

    return MemoryBenchmark(request.node, _session(request.config).project)


def pytest_report_header(config: pytest.Config, start_path: Path) -> str | None:
    if _SESSION not in config.stash or hasattr(config, "workerinput"):
        return None
    return config.stash[_SESSION].header()
