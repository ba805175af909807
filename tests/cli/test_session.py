"""What the collector is started with, and what the program is told."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from heaptide.recorder import Config, Session, _wire, session
from heaptide.recorder._wire import ConfigFlag
from heaptide.recorder.native import Preload

from .conftest import FakeCollector

pytestmark = pytest.mark.interpreters


@pytest.fixture
def made(tmp_path: Path, fake_collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``made(config)``: a session with a collector that reports, and its report."""
    monkeypatch.setenv("FAKE_COLLECTOR", "report")
    monkeypatch.setattr(session, "collector_path", lambda: fake_collector.collector)
    monkeypatch.setattr(session, "Preload", lambda: Preload(fake_collector.agent))
    sessions = []

    def made(config: Config) -> tuple[Session, dict[str, Any]]:
        one = Session(tmp_path / "r.tide", config, ["program", "--its", "argument"], force=True)
        sessions.append(one)
        one.finish()
        one.wait_finished()
        return one, json.loads((tmp_path / "r.tide").read_text())

    yield made
    for one in sessions:
        one.close()


def test_collector_is_apart(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a session of its own, has the four descriptors and blocks no signal."""
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("HEAPTIDE_SESSION", "/proc/1/fd/3")
    inherited = os.dup(0)
    os.set_inheritable(inherited, True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        _, report = made(Config())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        os.close(inherited)
    descriptors = report["descriptors"]
    assert [descriptors[fd] for fd in "01"] == ["/dev/null", "/dev/null"]
    assert descriptors["2"].startswith("pipe:")
    assert descriptors["3"].startswith("/memfd:heaptide")
    # The interpreter has its script open, and mmap a copy of the descriptor.
    assert {path for fd, path in descriptors.items() if int(fd) > 3} <= {
        report["program"],
        descriptors["3"],
    }
    assert report["leader"]
    assert report["blocked"] == 0
    assert not {"LD_PRELOAD", "HEAPTIDE_SESSION"} & set(report["environment"])


def test_arguments(made: Any, tmp_path: Path) -> None:
    """The collector learns the file, the limits, and the program's command line."""
    config = Config(start_after=1.5, duration=600.0, max_size=10_000_000)
    _, report = made(config)
    assert report["arguments"] == [
        "--output",
        str(tmp_path / "r.tide"),
        *("--start-after", "1.500000000", "--duration", "600.000000000", "--max-size", "10000000"),
        *("--", "program", "--its", "argument"),
    ]


@pytest.mark.parametrize(
    ("config", "flags", "interval"),
    [
        (
            Config(),
            ConfigFlag.PYTHON_OBJECTS | ConfigFlag.NATIVE_AUTO | ConfigFlag.FOLLOW,
            0,
        ),
        (Config(python_objects=False, native="off", follow=False), ConfigFlag(0), 0),
        (
            Config(native="all", usable_sizes=True, sample_interval=1 << 19),
            ConfigFlag.PYTHON_OBJECTS
            | ConfigFlag.NATIVE_ALL
            | ConfigFlag.FOLLOW
            | ConfigFlag.USABLE_SIZE,
            1 << 19,
        ),
    ],
)
def test_header(made: Any, config: Config, flags: ConfigFlag, interval: int) -> None:
    """The configuration is in the shared memory before the collector looks, all else is zero."""
    _, report = made(config)
    header = {name: value for name, value in report["header"].items() if value}
    expected = {
        "magic": _wire.MAGIC,
        "version": _wire.VERSION,
        "config": int(flags),
        "sample_interval": interval,
    }
    assert header == {name: value for name, value in expected.items() if value}
    assert report["bytes"] == _wire.SESSION_BYTES


def test_environment(made: Any, fake_collector: FakeCollector) -> None:
    """The agent comes before what was preloaded already; nothing else is changed."""
    one, _ = made(Config())
    base = {"HOME": "/home", "LD_PRELOAD": "/a.so:/b.so"}
    changed = one.environment(base)
    assert changed.pop("LD_PRELOAD") == f"{fake_collector.agent}:/a.so:/b.so"
    assert changed.pop("HEAPTIDE_SESSION").endswith("/fd/3")
    assert changed == {"HOME": "/home"}


def test_descriptors_are_given_back(made: Any) -> None:
    """A closed session leaves no descriptor and no mapping behind."""
    before = sorted(Path("/proc/self/fd").iterdir())
    mapped = Path("/proc/self/maps").read_text().count("memfd:heaptide")
    one, _ = made(Config())
    one.close()
    one.close()
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert Path("/proc/self/maps").read_text().count("memfd:heaptide") == mapped


def test_file_size_limit(tmp_path: Path, made: Any) -> None:
    """A limit on file sizes, which covers shared memory too, is named."""
    import resource

    from heaptide.errors import LaunchError

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(LaunchError, match="ulimit -f"):
            made(Config())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert not (tmp_path / "r.tide").exists()


def test_stuck_collector_is_killed(
    tmp_path: Path, fake_collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that gets nowhere is not waited for for ever."""
    monkeypatch.setenv("FAKE_COLLECTOR", "deaf")
    monkeypatch.setattr(session, "collector_path", lambda: fake_collector.collector)
    monkeypatch.setattr(session, "Preload", lambda: Preload(fake_collector.agent))
    with Session(tmp_path / "r.tide", Config(), ["program"]) as one:
        one.finish()
        assert one.wait_finished(patience=0.5).signal == signal.SIGKILL
