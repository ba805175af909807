"""``heaptide stats``: its document, its screen, watching, and words that make no sense."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heaptide.allocators import Looking
from heaptide.views.stats import print_look

from .conftest import HEAPTIDE

pytestmark = pytest.mark.interpreters

WAITS = [sys.executable, "-c", "print('ok', flush=True); input()"]


def stats(*words: str, status: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*HEAPTIDE, "stats", *words], capture_output=True, text=True, **more)
    assert done.returncode == status, done.stderr
    return done


def test_this_process() -> None:
    """The document: figures of the kernel, and of both allocators, which were asked."""
    found = json.loads(stats("--json", "--arenas").stdout)
    assert set(found) == {
        "schema_version",
        "process",
        "family",
        "cgroup",
        "pressure",
        "allocators",
        "notes",
    }
    assert found["schema_version"] == 1
    process = found["process"]
    assert process["rss"] > process["pss"] >= process["uss"] > 1 << 20
    assert process["command"][1:] == ["-m", "heaptide", "stats", "--json", "--arenas"]
    assert process["pss_reason"] is None
    malloc, python = found["allocators"]
    assert (malloc["role"], python["role"], python["name"]) == ("malloc", "python", "pymalloc")
    assert python["allocated"] > 1 << 20 and python["blocks"] > 10_000
    if malloc["name"] == "glibc":
        assert malloc["allocated"] > 100_000 and malloc["arenas"][0]["index"] == 0
    assert malloc["reason"] is None and python["reason"] is None


def test_documentation() -> None:
    """docs/monitoring.md has each key of the document, as code."""
    path = Path(__file__).parents[2] / "docs" / "monitoring.md"
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    code = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]+)`", text))))

    def keys(part: Any) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(keys, part))
        if not isinstance(part, dict):
            return set()
        return set(part).union(*(keys(part[key]) for key in part if key != "events"))

    document = json.loads(stats("--json", "--arenas").stdout)
    documented = {*code, "index", "pid", "avg10", "avg60", "avg300"}  # these speak for themselves
    assert keys(document) - documented == set()


def test_screen() -> None:
    """One screen: no line longer than the terminal, every line of text, no JSON."""
    done = stats(env={**os.environ, "COLUMNS": "60"})
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("pymalloc") for line in lines)
    assert done.stderr == ""


def test_another_process() -> None:
    """Its allocators are named, their figures absent, and it is said what they need."""
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        found = json.loads(stats("--json", str(child.pid)).stdout)
        text = stats(str(child.pid)).stdout
        child.communicate(b"\n")
    assert found["process"]["pid"] == child.pid and found["process"]["threads"] == 1
    roles = [one["role"] for one in found["allocators"]]
    assert roles[:2] == ["malloc", "python"]
    assert {one["allocated"] for one in found["allocators"]} == {None}
    assert "heaptide.allocators.read()" in found["notes"][-1]
    assert "heaptide.allocators.read()" in " ".join(text.split())


def test_watch() -> None:
    """A document a line, until the process ends; that is no failure."""
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        words = ["stats", "--json", "--watch", "--interval", "100ms", str(child.pid)]
        watching = subprocess.Popen(
            [*HEAPTIDE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert watching.stdout
        looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
        child.communicate(b"\n")
        _, said = watching.communicate()
    assert watching.returncode == 0
    assert said == f"heaptide: process {child.pid} has ended\n"
    assert [look["process"]["pid"] for look in looks] == [child.pid] * 3
    ages = [look["process"]["pss_age"] for look in looks]
    assert ages == sorted(ages) and ages[2] > ages[0]  # read once


def test_watch_is_left_by_ctrl_c() -> None:
    watching = subprocess.Popen(
        [*HEAPTIDE, "stats", "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert watching.stdout and watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate()
    assert (watching.returncode, said.strip()) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("height", [4, 10])
def test_a_screen_that_is_too_low(height: int) -> None:
    """Shows the beginning, where RSS is, and says how much is left out."""
    look = Looking().look()
    whole, screen = io.StringIO(), io.StringIO()
    print_look(look, file=whole, width=80)
    print_look(look, file=screen, width=80, height=height, clear=True)
    everything, shown = whole.getvalue().splitlines(), screen.getvalue().splitlines()
    assert len(shown) == height - 1
    assert shown[:-1] == everything[: height - 2]
    assert f"{len(everything) - height + 2} more lines" in shown[-1]


def test_a_screen_that_is_just_high_enough() -> None:
    look = Looking().look()
    whole, screen = io.StringIO(), io.StringIO()
    print_look(look, file=whole, width=80)
    height = whole.getvalue().count("\n") + 1
    print_look(look, file=screen, width=80, height=height, clear=True)
    assert screen.getvalue() == whole.getvalue()


def test_nobody_reads() -> None:
    """A closed pipe ends it without a word."""
    words = [*HEAPTIDE, "stats", "--watch", "--interval", "100ms"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout and watching.stderr
        watching.stdout.readline()
        watching.stdout.close()
        said = watching.stderr.read()
    assert (watching.returncode, said) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["4194304999"], 1),
        (["0"], 2),
        (["-5"], 2),
        (["server"], 2),
        (["1", "2"], 2),
        (["--interval", "1s"], 2),
        (["--watch", "--interval", "1ms"], 2),
        (["--watch", "--interval", "often"], 2),
        (["--arenas", "1"], 2),
        (["--jsn"], 2),
    ],
)
def test_nonsense(words: list[str], status: int) -> None:
    """One line on stderr, nothing on stdout."""
    done = stats(*words, status=status)
    assert done.stdout == ""
    assert done.stderr.startswith("heaptide: ") and done.stderr.count("\n") == 1
    assert "internal error" not in done.stderr


def test_what_is_no_process_is_called_so() -> None:
    assert "'shop' is not a valid process id" in stats("shop", status=2).stderr


def test_a_process_that_has_only_just_ended() -> None:
    """Its status is still to be collected: there is none to look at."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        stats(str(child.pid), status=1)


def test_light_start() -> None:
    """Of one's own process without NumPy: it would be most of what is shown."""
    code = (
        "import sys; from heaptide.cli import main; main.run(['stats'])\n"
        "print([name for name in ('numpy', 'symbolic', 'textual') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.endswith(b"[]\n")
