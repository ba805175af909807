"""Real programs: such as are as they should be, and all others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.network import free_port

from .running import IDLE, ONE, QUICK, READY, SERVER, environment, idle, measured, running

MB = 1_000_000


def test_a_program_that_waits(tmp_path: Path) -> None:
    """20 MB more is 20 MB more, in each figure."""
    options = [*QUICK, *READY, "-n", "3", "--base", f"{SERVER} plain"]
    found = measured(tmp_path, *options, "--", SERVER, "plain", "20000000")
    assert found["new"]["settled"]
    for figure in ("rss", "pss", "uss", "heap"):
        change = found["changes"][figure]
        assert change["difference"] == pytest.approx(20 * MB, rel=0.1), figure
        assert change["verdict"] == "grew"
    assert len(found["new"]["starts"]) == len(found["base"]["starts"]) == 3
    for start in found["new"]["starts"]:
        times = [reading["time"] for reading in start["readings"]]
        assert len(times) == 5
        assert start["ready"] < start["idle"] <= times[0]
        assert times == sorted(times)
    figures = found["new"]["figures"]
    assert figures["swap"]["count"] == 3
    # Of one process nearly each page is in one place only.
    assert figures["alone"]["median"] == pytest.approx(figures["rss"]["median"], rel=0.01)


def test_children_are_summed_by_pss(tmp_path: Path) -> None:
    """8 MB that all share count once; RSS has them for each. So do blocks of the heap."""
    found = measured(tmp_path, *ONE, *READY, "--traced", "1", "--", SERVER, "forks", "3")
    reading = found["new"]["starts"][0]["readings"][-1]
    assert len(reading["processes"]) == 4
    parent = reading["processes"][0]
    assert [one["parent"] for one in reading["processes"][1:]] == [parent["pid"]] * 3
    figures = found["new"]["figures"]
    for name in ("rss", "pss", "uss"):
        assert figures[name]["median"] == pytest.approx(
            sum(one[name] for one in reading["processes"]), rel=0.02
        )
    assert figures["rss"]["median"] - figures["pss"]["median"] > 3 * 7 * MB
    assert figures["pss"]["median"] > figures["uss"]["median"] + 7 * MB
    assert figures["pss"]["median"] <= figures["alone"]["median"]
    assert figures["alone"]["median"] < figures["rss"]["median"] - 3 * 7 * MB
    assert 11 * MB < figures["heap"]["median"] < 16 * MB


def test_ready_by_an_answer(tmp_path: Path) -> None:
    """All that is asked for has to be seen; a start takes as long as that."""
    port = free_port()
    options = ["--ready-port", str(port), "--ready-http", f"http://127.0.0.1:{port}/ok"]
    command = f"test -e /proc/$HEAPTIDE_PID && echo $HEAPTIDE_PIDS > {tmp_path}/pids"
    found = measured(
        tmp_path, *ONE, *options, "--ready-command", command, "--", SERVER, "port", str(port)
    )
    [start] = found["new"]["starts"]
    assert start["ready"] >= 1
    assert (tmp_path / "pids").read_text().split() == [
        str(start["readings"][0]["processes"][0]["pid"])
    ]


def test_loads_and_readings(tmp_path: Path) -> None:
    """In their order, with the processes' ids."""
    log = tmp_path / "log"
    found = measured(
        tmp_path,
        *ONE,
        *READY,
        "--load",
        f"echo load $HEAPTIDE_PID >> {log}",
        "--cool-down",
        "300ms",
        "--before-reading",
        f"echo reading $HEAPTIDE_PID >> {log}",
        "--",
        SERVER,
        "plain",
    )
    [start] = found["new"]["starts"]
    pid = start["readings"][0]["processes"][0]["pid"]
    assert log.read_text().splitlines() == [f"load {pid}", f"reading {pid}", f"reading {pid}"]
    assert len(start["settled"]) == 2
    assert start["readings"][0]["time"] >= start["idle"] + 0.3 + start["settled"][1]["seconds"]


def test_what_a_load_leaves_behind_is_ended(tmp_path: Path) -> None:
    """And not counted."""
    load = "sleep 4321 & exit 0"
    found = measured(tmp_path, *ONE, *READY, "--load", load, "--", SERVER, "plain")
    [start] = found["new"]["starts"]
    assert [len(reading["processes"]) for reading in start["readings"]] == [1, 1]
    assert running("4321") == []


def test_a_daemon_is_found(tmp_path: Path) -> None:
    """Its parents have ended, and it leads a session of its own."""
    found = measured(tmp_path, *ONE, *READY, "--", SERVER, "daemon")
    assert found["new"]["figures"]["uss"]["median"] > 10 * MB
    assert running(SERVER) == []


def test_a_program_that_grows(tmp_path: Path) -> None:
    """It is read all the same, what is said of it is that it has not settled, and it keeps no
    budget."""
    options = [*ONE, *READY, "--settle-timeout", "1s"]
    found = measured(tmp_path, *options, "--", SERVER, "grows")
    assert found["new"]["settled"] is False
    [start] = found["new"]["starts"]
    assert start["settled"][0]["converged"] is False
    assert start["settled"][0]["seconds"] >= 1
    judged = measured(tmp_path, *options, "-b", "idle_pss=10GB", "--", SERVER, "grows", status=2)
    assert judged["budgets"]["results"][0]["status"] == "unknown"


@pytest.mark.parametrize("way", ["stubborn", "loud"])
def test_difficult_programs(tmp_path: Path, way: str) -> None:
    """One that does not end when asked, and one whose output nobody could read in time."""
    found = measured(tmp_path, *ONE, *READY, "--stop-timeout", "200ms", "--", SERVER, way)
    assert found["new"]["figures"]["pss"]["median"] > MB
    assert running(SERVER) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ends", "3"], "start 1: idle_server ended with status 3 before it was ready"),
        (["ends", "0"], "ended with status 0 before it was ready"),
    ],
)
def test_programs_that_end(tmp_path: Path, words: list[str], said: str) -> None:
    done = idle(tmp_path, *ONE, *READY, "--", SERVER, *words, status=2)
    *shown, kept, last = done.stderr.splitlines()
    assert last.startswith("heaptide: ")
    assert said in last
    assert shown == ["  | the last line"]
    [log] = tmp_path.iterdir()  # and nothing else is left
    assert str(log) in kept
    assert log.read_text() == "the last line\n"
    assert done.stdout == ""


def test_last_words_move_no_cursor(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(r"print('\x1b]0;a\x07 b'); raise SystemExit(5)")
    done = idle(tmp_path, *ONE, "--", "p.py", status=2)
    assert done.stderr.splitlines()[0] == r"  | \x1b]0;a\x07 b"


@pytest.mark.parametrize("option", ["--load", "--before-reading"])
def test_programs_that_end_later(tmp_path: Path, option: str) -> None:
    flag = tmp_path / "flag"
    command = f"touch {flag}; sleep 20"
    done = idle(tmp_path, *ONE, *READY, option, command, "--", SERVER, "later", str(flag), status=2)
    assert "ended with status 4" in done.stderr.splitlines()[-1]
    assert "  | the last line" in done.stderr
    assert running(str(flag)) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ready-log", "never said"], "a line with never said"),
        (["--ready-command", "echo not yet; false"], "its status was 1"),
        (["--ready-command", "sleep 4322"], "it took too long"),
    ],
)
def test_programs_that_are_never_ready(tmp_path: Path, options: list[str], said: str) -> None:
    done = idle(
        tmp_path, *ONE, *options, "--ready-timeout", "500ms", "--", SERVER, "plain", status=2
    )
    assert "was not ready within 0.5 s" in done.stderr.splitlines()[-1]
    assert said in done.stderr
    assert running(SERVER) == running("4322") == []


def test_commands_that_fail(tmp_path: Path) -> None:
    done = idle(
        tmp_path, *ONE, *READY, "--load", "echo no server; exit 7", "--", SERVER, "plain", status=2
    )
    assert "status 7" in done.stderr.splitlines()[-1]
    assert "  | no server" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("way", ["daemon", "forks 2"])
def test_interrupted(tmp_path: Path, number: signal.Signals, way: str) -> None:
    """Nothing is left: no process, no file."""
    options = ["--traced", "0", "--settle-window", "60s", "--settle-timeout", "60s"]
    process = subprocess.Popen(
        [*IDLE, *options, "--no-config", "--", SERVER, *way.split(), str(tmp_path)],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ours = 1 if way == "daemon" else 2
    while process.poll() is None and len(set(running(str(tmp_path))) - {process.pid}) < ours:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate()
    expected = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
    assert process.returncode == -expected, errors
    assert running(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_two_interrupts_end_what_does_not_end(tmp_path: Path) -> None:
    """The first asks the program to end; the second waits for nothing."""
    options = ["--traced", "0", "--settle-window", "60s", "--stop-timeout", "10min"]
    process = subprocess.Popen(
        [*IDLE, *options, "--no-config", "--", SERVER, "stubborn"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not _ignores_sigterm(running(SERVER), process.pid):
        time.sleep(0.02)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    process.communicate()
    assert process.returncode == -signal.SIGINT
    assert running(SERVER) == []


def _ignores_sigterm(pids: list[int], besides: int) -> bool:
    for pid in pids:
        if pid != besides:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("SigIgn:"):
                    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def test_the_program_runs_plainly(tmp_path: Path) -> None:
    """In a session of its own, with nothing to read, our environment and no more."""
    (tmp_path / "p.py").write_text(
        "import json, os, sys, time\n"
        "env = dict(os.environ)\n"
        "said = [os.getsid(0) == os.getpid(), sys.stdin.read(), env, sys.argv[1:]]\n"
        "open('said', 'w').write(json.dumps(said))\n"
        "print('ready', flush=True); time.sleep(1000)\n"
    )
    idle(tmp_path, *ONE, *READY, "--", "p.py", "--json", "a b", OPENBLAS_NUM_THREADS="7")
    leads, read, env, words = json.loads((tmp_path / "said").read_text())
    assert (leads, read, words) == (True, "", ["--json", "a b"])
    assert env["OPENBLAS_NUM_THREADS"] == "7"
    ours = environment(tmp_path, OPENBLAS_NUM_THREADS="7")
    assert {k: v for k, v in env.items() if k not in ("PWD", "OLDPWD", "SHLVL", "_")} == {
        k: v for k, v in ours.items() if k not in ("PWD", "OLDPWD", "SHLVL", "_")
    }


def test_what_cannot_be_recorded_is_measured(tmp_path: Path) -> None:
    """A static program has no traced heap, and all other figures."""
    source = tmp_path / "s.c"
    source.write_text(
        "#include <unistd.h>\n#include <string.h>\nstatic char held[10000000];\n"
        'int main(void) { memset(held, 1, sizeof held); write(1, "ready\\n", 6); pause(); }\n'
    )
    program = tmp_path / "static"
    built = subprocess.run(["gcc", "-static", "-o", program, source], capture_output=True)
    if built.returncode:
        pytest.skip("no static C library")
    found = measured(tmp_path, *ONE, *READY, "--traced", "1", "--", str(program))["new"]
    assert found["figures"]["uss"]["median"] == pytest.approx(10 * MB, rel=0.1)
    assert "heap" not in found["figures"]
    assert "static" in found["heap_reason"]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = idle(tmp_path, *ONE, "--ready-port", port, "--", SERVER, "plain", status=2)
    assert "something else has the port" in done.stderr


def test_others_of_the_caller_are_not_counted(tmp_path: Path) -> None:
    """Children that the shell had before it became heaptide."""
    words = " ".join([*IDLE, *ONE, *READY, "--json", "--", SERVER, "plain"])
    done = subprocess.run(
        ["sh", "-c", f"sleep 4323 >/dev/null 2>&1 & exec {words}"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    try:
        found = json.loads(done.stdout)
        [start] = found["new"]["starts"]
        assert [len(reading["processes"]) for reading in start["readings"]] == [1, 1]
        assert len(running("4323")) == 1
    finally:
        for pid in running("4323"):
            os.kill(pid, signal.SIGKILL)
