"""``heaptide rules``: alerts for Prometheus and a dashboard for Grafana, made of budgets."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from heaptide._write import write_file
from heaptide.cli.budgeting import budget_options, read_budgets
from heaptide.cli.params import DurationType
from heaptide.cli.reading import prepare_to_read
from heaptide.errors import HeaptideError, UsageError

if TYPE_CHECKING:
    from heaptide.budgets import Budgets, Project
    from heaptide.rules import Settings, Watched

_YEAR = 365 * 86400  # seconds: Prometheus knows no times of centuries


_FOR_RULES: Final = {
    "window": "--window",
    "hold": "--for",
    "near": "--near",
    "runbook": "--runbook",
}
"""Options by the names of their parameters."""


@click.command("rules", short_help="Write alerts for Prometheus, or a dashboard for Grafana.")
@budget_options("A budget, as idle_rss=256MB", default="as for heaptide check")
@click.option(
    "--job",
    "jobs",
    multiple=True,
    metavar="JOB",
    help="What Prometheus calls the service; repeatable.  [default: programs of the budgets]",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="A label that it has, also with !=, =~ or !~; repeatable.",
)
@click.option(
    "--window",
    type=DurationType(),
    default="1h",
    metavar="TIME",
    help="How long a saw-tooth of garbage lasts at most: floors are of this time.  [default: 1h]",
)
@click.option(
    "--for",
    "hold",
    type=DurationType(),
    default="5min",
    metavar="TIME",
    help="How long something has to last before it is an alert.  [default: 5min]",
)
@click.option(
    "--near", default="90%", metavar="PART", help="What part of a limit is near.  [default: 90%]"
)
@click.option("--runbook", metavar="URL", help="A page with an anchor for each alert.")
@click.option("--dashboard", "as_dashboard", is_flag=True, help="Write a dashboard for Grafana.")
@click.option("--json", "as_json", is_flag=True, help="Write rules as JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write there.  [default: standard output]",
)
@click.pass_context
def command(
    context: click.Context,
    options: tuple[str, ...],
    presets: tuple[str, ...],
    config: Path | None,
    no_config: bool,
    program: str | None,
    jobs: tuple[str, ...],
    labels: tuple[str, ...],
    window: float,
    hold: float,
    near: str,
    runbook: str | None,
    as_dashboard: bool,
    as_json: bool,
    output: Path | None,
) -> None:
    """Write alerts on memory for Prometheus, as YAML, or a dashboard for Grafana.

    Of each job that is named: near the limit of its container or its budgets, killed for want of
    memory, growing steadily, fragmented, waiting for memory. A job has the budgets of the program
    of its name, or those of --program. docs/rules.md says what each alert means.
    """
    if as_dashboard:
        _no_rules(context)
    if output is None and sys.stdout is None:
        raise HeaptideError("standard output is closed: say -o FILE")
    prepare_to_read()
    from heaptide import rules

    given, project = read_budgets(options, presets, config, no_config)
    settings = _settings(window, hold, near)
    watched = _watched(given, project, program, jobs, labels)
    if as_dashboard:
        text = _json(rules.dashboard(watched))
    else:
        document = rules.document(watched, settings, runbook=_address(runbook))
        text = (
            _json(document) if as_json else rules.as_yaml(document, comments=rules.header(watched))
        )
    if output is None:
        sys.stdout.buffer.write(text.encode())  # YAML and JSON are UTF-8, whatever a screen is
        sys.stdout.buffer.flush()
    else:
        write_file(output, text)


def _no_rules(context: click.Context) -> None:
    """Raises UsageError: an option is there that does nothing for a dashboard."""
    for name, option in _FOR_RULES.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{option} is for rules: leave it out of --dashboard")


def _json(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"


def _settings(window: float, hold: float, near: str) -> Settings:
    from heaptide.budgets import parse_limit
    from heaptide.rules import Settings

    if window < 1:
        raise UsageError("--window must be at least 1s")
    for option, seconds in (("--window", window), ("--for", hold)):
        if seconds > _YEAR:
            raise UsageError(f"{option} must be at most 365d")
    try:
        part = parse_limit(near, "ratio").value
    except ValueError:
        part = 0.0
    if not 0 < part < 1:
        raise UsageError(f'--near {near!r}: say a part above 0 and below 1, as "90%" or 0.9')
    return Settings(window, hold, part)


def _watched(
    given: Budgets,
    project: Project | None,
    program: str | None,
    jobs: tuple[str, ...],
    labels: tuple[str, ...],
) -> Sequence[Watched]:
    """Of each job once. Raises UsageError."""
    from heaptide.rules import Watched, matcher

    programs = () if project is None else tuple(project.programs)
    if program is not None and program not in programs:
        where = "no file has" if project is None else f"{project.source} has no"
        known = f"; it has {', '.join(programs)}" if programs else ""
        raise UsageError(f"--program {program}: {where} budgets of a program so called{known}")
    matchers = tuple(map(matcher, labels))
    if any(one.startswith("job=") for one in matchers):
        raise UsageError("--label job=...: say --job JOB")
    named = jobs or ((program,) if program else programs)
    if not named and not matchers:
        raise UsageError(
            "which service is it? Say --job JOB, as it is called in the configuration of "
            "Prometheus (job_name), or write [budgets.programs.JOB] into heaptide.toml"
        )
    for name in named:
        matcher(f"job={name}")
    if "" in named:
        raise UsageError("--job needs a name")

    def budgets(name: str) -> Budgets:
        return given if project is None else given.over(project.of(program or name))

    return [Watched(name, budgets(name), matchers) for name in dict.fromkeys(named or ("",))]


def _address(runbook: str | None) -> str | None:
    if runbook is not None and (not runbook.isprintable() or " " in runbook or not runbook):
        raise UsageError(f"--runbook {runbook!r} is no address: say https://...")
    return runbook
