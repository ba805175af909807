"""``heaptide rules``: which rules of which budgets, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import HEAPTIDE

pytestmark = pytest.mark.interpreters

DOCS = Path(__file__).parents[2] / "docs"
FILE = """\
[budgets]
preset = "guide"

[budgets.programs.web]
idle_rss = "100 MiB"
growth = "2 MB/h"

[budgets.programs.worker]
peak_rss = "1 GB"
modules = { numpy = "40 %" }

[budgets.programs.worker.phases.serving]
growth = "1 MB/h"
"""


def rules(*words: Any, cwd: Path, status: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*HEAPTIDE, "rules", *map(str, words)], capture_output=True, text=True, cwd=cwd, **more
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "heaptide.toml").write_text(FILE)
    return tmp_path


def alerts(text: str) -> dict[str, dict[str, str]]:
    """Of each group: name and expression of each alert."""
    return {
        group["name"]: {rule["alert"]: rule["expr"] for rule in group["rules"]}
        for group in yaml.safe_load(text)["groups"]
    }


def check(path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_group_for_each_program(project: Path) -> None:
    """With its own budgets, over those of all; what nobody can see from outside is said."""
    done = rules(cwd=project)
    found = alerts(done.stdout)
    assert list(found) == ["heaptide-web", "heaptide-worker"]
    web, worker = found.values()
    assert "> 104857600" in web["IdleRssOverBudget"]
    assert "> 2000000" in web["MemoryGrowing"]
    assert "> 256000000" in worker["IdleRssOverBudget"]
    assert "> 1000000000" in worker["RssOverBudget"]
    assert "RssOverBudget" not in web
    assert 'job="web"' in web["MemoryGrowing"]
    head = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert head[1].endswith("of web, see heaptide check: temporary, leaked")
    assert head[2].endswith(
        "of worker, see heaptide check: temporary, leaked, modules.numpy, phases.serving"
    )


def test_a_job_without_budgets_is_told(tmp_path: Path) -> None:
    """Its file has no alert on a budget, for want of one, and says so where one reads it."""
    done = rules("--job", "shop", cwd=tmp_path)
    assert done.stdout.splitlines()[1].startswith("# There are no budgets for shop:")
    [found] = alerts(done.stdout).values()
    assert not any("Budget" in name for name in found)
    done = rules("--job", "shop", "-b", "peak_rss=1GB", cwd=tmp_path)
    assert "There are no budgets" not in done.stdout


def test_jobs_and_programs(project: Path) -> None:
    """A job has the budgets of the program of its name, of --program, or else those of all."""
    found = alerts(rules("--job", "web", "--job", "other", "--job", "web", cwd=project).stdout)
    assert list(found) == ["heaptide-web", "heaptide-other"]
    assert "> 256000000" in found["heaptide-other"]["IdleRssOverBudget"]
    [named] = alerts(rules("--job", "b", "--program", "web", cwd=project).stdout).values()
    assert "> 104857600" in named["IdleRssOverBudget"] and 'job="b"' in named["IdleRssOverBudget"]
    assert list(alerts(rules("--program", "web", cwd=project).stdout)) == ["heaptide-web"]


def test_without_a_file(tmp_path: Path) -> None:
    """What needs no budget, and those of options and presets."""
    [plain] = alerts(rules("--job", "x", cwd=tmp_path).stdout).values()
    assert not [name for name in plain if "Budget" in name]
    assert {"ContainerNearLimit", "MemoryGrowing", "OutOfMemoryKills"} <= set(plain)
    words = ["--job", "x", "--preset", "guide", "-b", "idle_rss=1MB"]
    [given] = alerts(rules(*words, cwd=tmp_path).stdout).values()
    assert "> 1000000" in given["IdleRssOverBudget"]
    assert "> 256000000" in given["HeapOverBudget"]


def test_pyproject(tmp_path: Path) -> None:
    text = FILE.replace("[budgets", "[tool.heaptide.budgets")
    (tmp_path / "pyproject.toml").write_text(text)
    assert list(alerts(rules(cwd=tmp_path).stdout)) == ["heaptide-web", "heaptide-worker"]
    other = tmp_path / "other.toml"
    other.write_text("[budgets]\npeak_rss = 5\n")
    [found] = alerts(rules("--config", other, "--job", "x", cwd=tmp_path).stdout).values()
    assert found["RssOverBudget"].endswith("> 5")
    [found] = alerts(rules("--no-config", "--job", "x", cwd=tmp_path).stdout).values()
    assert "RssOverBudget" not in found


@pytest.mark.parametrize("name", ["web", "über uns", 'a"b\\c', "{{ $x }}", "a\nb", "true", "-"])
def test_any_name(name: str, tmp_path: Path) -> None:
    """Prometheus takes what is written of it, in YAML and in JSON, and both say the same."""
    words = ["--job", name, "--label", f"env!={name}", "--runbook", "https://x/{{y}}"]
    rules(*words, "-o", tmp_path / "r.yml", cwd=tmp_path)
    rules(*words, "--json", "-o", tmp_path / "r.json", cwd=tmp_path)
    check(tmp_path / "r.yml")
    check(tmp_path / "r.json")
    as_json = json.loads((tmp_path / "r.json").read_text())
    assert yaml.safe_load((tmp_path / "r.yml").read_text()) == as_json
    [group] = as_json["groups"]
    assert group["name"] == f"heaptide-{name}"


def test_a_screen_that_is_no_utf8(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*HEAPTIDE, "rules", "--job", "über"], stdout=subprocess.PIPE, cwd=tmp_path, env=env
    )
    assert list(alerts(done.stdout.decode())) == ["heaptide-über"]


def test_labels_alone(tmp_path: Path) -> None:
    words = ["--label", "app=shop", "--label", "pod=~web-.*", "--label", "zone!~a|b"]
    [(name, found)] = alerts(rules(*words, cwd=tmp_path).stdout).items()
    assert name == "heaptide"
    assert '{app="shop",pod=~"web-.*",zone!~"a|b"}' in found["MemoryFiguresMissing"]


@pytest.mark.parametrize("label", [r"pod=~\Qweb(\E.*", r"pod=~\pN+", "pod=~[[:alpha:]]+", "pod=("])
def test_expressions_that_are_not_pythons(label: str, tmp_path: Path) -> None:
    """What Prometheus takes is not refused, nor warned of."""
    done = rules("--job", "x", "--label", label, "-o", "x.yml", cwd=tmp_path)
    assert done.stderr == ""
    check(tmp_path / "x.yml")


def test_settings(tmp_path: Path) -> None:
    words = ["--job", "x", "--window", "90min", "--for", "0", "--near", "0.75", "--json"]
    words += ["-b", "peak_rss=333333333", "-b", "growth=1MB/d"]
    [group] = json.loads(rules(*words, cwd=tmp_path).stdout)["groups"]
    by_name = {rule["alert"]: rule for rule in group["rules"]}
    assert "0.25 *" in by_name["ContainerNearLimit"]["expr"]
    assert "> 250000000" in by_name["RssNearBudget"]["expr"]
    assert "> 62500" in by_name["MemoryGrowing"]["expr"]
    assert "for" not in by_name["ContainerNearLimit"]
    assert "[90m:90s] offset 180m" in by_name["MemoryGrowing"]["expr"].replace("3h", "180m")
    assert by_name["HeapFragmented"]["for"] == "90m"
    assert {rule["labels"]["severity"] for rule in group["rules"]} == {
        "critical",
        "warning",
        "info",
    }
    assert all("runbook_url" not in rule["annotations"] for rule in group["rules"])


def test_runbook(tmp_path: Path) -> None:
    """Its anchors are those of the page that describes the alerts."""
    words = ["--job", "x", "-b", "peak_rss=1", "-b", "peak_heap=1", "-b", "idle_rss=1"]
    words += ["-b", "idle_pss=1", "-b", "idle_uss=1", "--runbook", "https://x/rules.md", "--json"]
    [group] = json.loads(rules(*words, cwd=tmp_path).stdout)["groups"]
    page = (DOCS / "rules.md").read_text().splitlines()
    for rule in group["rules"]:
        name = rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"https://x/rules.md#{name.lower()}"
        assert f"### {name}" in page
    headings = [line[4:] for line in page if line.startswith("### ")]
    assert headings == [rule["alert"] for rule in group["rules"]]


def test_dashboard(project: Path) -> None:
    document = json.loads(rules("--dashboard", cwd=project).stdout)
    assert document["templating"]["list"][1]["query"] == "web,worker"
    rules("--dashboard", "-o", "d.json", cwd=project)
    assert json.loads((project / "d.json").read_text()) == document


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--job JOB"),
        (["--job", ""], "needs a name"),
        (["--job", "x", "--label", "env"], "'env' is no label"),
        (["--job", "x", "--label", "en-v=1"], "is no label"),
        (["--job", "x", "--label", "pid=1"], "pid"),
        (
            ["--job", "x", "--label", "pod=~web-("],
            "'pod=~web-(' is no label that Prometheus reads: missing )",
        ),
        (["--job", "x", "--label", "pod!~[a-"], "is no label that Prometheus reads: unterminated"),
        (
            ["--job", "x", "--label", "pod=~*"],
            "is no label that Prometheus reads: nothing to repeat",
        ),
        (["--job", "x", "--dashboard", "--window", "3h"], "--window is for rules"),
        (["--job", "x", "--dashboard", "--near", "90%"], "--near is for rules"),
        (["--job", "x", "--dashboard", "--for", "5min"], "--for is for rules"),
        (["--job", "x", "--dashboard", "--runbook", "http://x"], "--runbook is for rules"),
        (["--label", "job=x"], "say --job"),
        (["--job", "x", "--window", "10ms"], "--window"),
        (["--job", "x", "--window", "soon"], "time"),
        (["--job", "x", "--window", "366d"], "--window"),
        (["--job", "x", "--for", "366d"], "--for"),
        (["--job", "x", "--label", "__name__=up"], "__name__"),
        (["--job", "x", "--label", "pod=~web-("], "missing )"),
        (["--job", "x", "--label", "pod!~(?!web).*"], "looks around"),
        (["--job", "x", "--near", "0"], "--near"),
        (["--job", "x", "--near", "100%"], "--near"),
        (["--job", "x", "--near", "close"], "--near"),
        (["--job", "x", "--runbook", "a b"], "--runbook"),
        (["--job", "x", "-b", "idle_rs=1"], "idle_rss is meant"),
        (["--job", "x", "--preset", "mine"], "there is no preset"),
        (["--job", "x", "--program", "web"], "--program web: no file"),
        (["--job", "x", "--config", "none.toml"], "none.toml"),
        (["--job", "x", "--no-config", "--config", "a"], "exclude each other"),
        (["--job", b"\xff"], "UTF-8"),
        (["x"], "see heaptide rules --help"),
    ],
)
def test_nonsense(words: list[Any], says: str, tmp_path: Path) -> None:
    """One line, nothing written."""
    done = subprocess.run([*HEAPTIDE, "rules", *words], capture_output=True, cwd=tmp_path)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout, said.count("\n")) == (2, b"", 1), said
    assert says in said and "internal error" not in said


def test_a_key_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "heaptide.toml").write_text("[budgets]\nidle_rs = 5\n")
    said = rules("--job", "x", cwd=tmp_path, status=2).stderr
    assert "heaptide.toml, line 2: budgets.idle_rs: there is no such budget" in said


def test_a_program_that_is_not_there(project: Path) -> None:
    said = rules("--program", "wroker", cwd=project, status=2).stderr
    assert "heaptide.toml has no budgets of a program so called; it has web, worker" in said


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    said = rules("--job", "x", "-o", tmp_path, cwd=tmp_path, status=1).stderr
    assert said.startswith(f"heaptide: {tmp_path} cannot be written")


def test_options_are_documented() -> None:
    from heaptide.cli.rules import command

    page = (DOCS / "cli.md").read_text()
    section = page[page.index("## `heaptide rules") :].partition("\n## ")[0]
    for option in command.params:
        assert f"`{option.opts[-1]}" in section, option.opts
    named = [word for word in section.replace("`", " ").split() if word.startswith("--")]
    assert {word.rstrip(",;.:") for word in named} <= {
        name for option in command.params for name in option.opts
    }
