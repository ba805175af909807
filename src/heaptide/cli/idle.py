"""``heaptide idle``: what a program takes when it is idle, over fresh starts."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from heaptide._printable import printable
from heaptide._write import add_to_job_summary, write_file
from heaptide.cli.budgeting import BehindDashes, budget_options, read_budgets
from heaptide.cli.output import print_json, say
from heaptide.cli.params import DurationType, PercentType
from heaptide.cli.progress import progress_bar
from heaptide.cli.reading import TerminatedError
from heaptide.errors import HeaptideError, LaunchError, OutputError, UsageError

if TYPE_CHECKING:
    from heaptide.budgets import Budgets
    from heaptide.idle import Measured, Plan
    from heaptide.recorder import Target

_TIME = DurationType()
_MOST_STARTS = 1000


class _Idle(BehindDashes):
    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "-- COMMAND..."]


@click.command("idle", cls=_Idle, short_help="Measure what a program takes when it is idle.")
@click.option(
    "-n",
    "--starts",
    type=click.IntRange(1, _MOST_STARTS),
    default=5,
    show_default=True,
    metavar="N",
    help="Fresh starts of the program.",
)
@click.option(
    "--readings",
    type=click.IntRange(1, 10_000),
    default=5,
    show_default=True,
    metavar="N",
    help="Readings in each start; their median is the start's figure.",
)
@click.option(
    "--interval",
    type=_TIME,
    default="500ms",
    show_default=True,
    metavar="TIME",
    help="Between readings.",
)
@click.option(
    "--traced",
    type=click.IntRange(0, _MOST_STARTS),
    default=1,
    show_default=True,
    metavar="N",
    help="More starts, recorded, for the bytes that the heap holds; 0: none.",
)
@click.option("--base", metavar="CMD", help="Another version, started in turn, to compare with.")
@click.option(
    "--ready-port",
    "ports",
    multiple=True,
    metavar="[HOST:]PORT",
    help="Ready when this TCP port takes connections.",
)
@click.option(
    "--ready-http", "urls", multiple=True, metavar="URL", help="Ready when a GET gets 2xx or 3xx."
)
@click.option(
    "--ready-log",
    "patterns",
    multiple=True,
    metavar="REGEX",
    help="Ready when a line of its output has this.",
)
@click.option(
    "--ready-command",
    "commands",
    multiple=True,
    metavar="CMD",
    help="Ready when this command of the shell ends with status 0.",
)
@click.option(
    "--ready-timeout",
    type=_TIME,
    default="60s",
    show_default=True,
    metavar="TIME",
    help="How long to wait for that.",
)
@click.option(
    "--settle-window",
    type=_TIME,
    default="3s",
    show_default=True,
    metavar="TIME",
    help="Settled when PSS and private dirty stay for so long ...",
)
@click.option(
    "--settle-tolerance",
    type=PercentType(),
    default=0.5,
    show_default=True,
    metavar="PERCENT",
    help="... within this part of themselves, or 64 KiB.",
)
@click.option(
    "--settle-timeout",
    type=_TIME,
    default="30s",
    show_default=True,
    metavar="TIME",
    help="How long to wait for that; read is then all the same, and it is said.",
)
@click.option(
    "--load", metavar="CMD", help="Run this when it has settled, then let it settle again."
)
@click.option("--cool-down", type=_TIME, default=0.0, metavar="TIME", help="Wait after the load.")
@click.option(
    "--before-reading",
    metavar="CMD",
    help="Run this before each reading, with HEAPTIDE_PID and HEAPTIDE_PIDS.",
)
@click.option("--gc", is_flag=True, help="Have Python processes collect garbage before a reading.")
@click.option("--trim", is_flag=True, help="Have them give free memory back: malloc_trim(0).")
@click.option(
    "--stop-timeout",
    type=_TIME,
    default="10s",
    show_default=True,
    metavar="TIME",
    help="From asking it to end to killing it.",
)
@budget_options("idle_rss, idle_pss or idle_uss=256MB", default="as for heaptide check")
@click.option("--fail-on-growth", is_flag=True, help="Status 1 if a figure grew against --base.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/idle.md has it.")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, allow_dash=True),
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Write markdown; without FILE print it in place of text.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw PSS over time: FILE.svg or FILE.html.",
)
@click.pass_obj
def command(
    words: list[str] | None,
    /,
    starts: int,
    traced: int,
    base: str | None,
    options: tuple[str, ...],
    presets: tuple[str, ...],
    config: Path | None,
    no_config: bool,
    program: str | None,
    fail_on_growth: bool,
    as_json: bool,
    markdown: Path | None,
    plot: Path | None,
    **steps: object,
) -> NoReturn:
    """Start a program several times, and measure it when it is ready and has settled.

    RSS, PSS, USS, swap and the traced heap of all its processes: median and MAD over the starts, in
    MB and MiB. The status is 0; 1 if a budget is exceeded, 2 if something could not be measured.
    """
    env = dict(os.environ)  # what follows changes it for NumPy's sake
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not words:
        raise UsageError("name a program behind --, as in heaptide idle -- server.py")
    if as_json and markdown == Path("-"):
        raise UsageError("--json and --markdown both print: give --markdown a file")
    if fail_on_growth and base is None:
        raise UsageError("--fail-on-growth compares with --base CMD: name that too")
    if plot is not None and plot.suffix not in (".svg", ".html"):
        raise UsageError(f"{plot} is no name of a picture: say FILE.svg or FILE.html")
    for path in (plot, markdown):
        if path is not None and path != Path("-"):
            _check_place(path)
    plan = _plan(steps)
    try:
        target = _resolve(words)
        other = None if base is None else _resolve(_split(base))
        budgets = _budgets(options, presets, config, no_config, program, target)
        measured = _measure(target, other, plan, env, starts, traced, quiet=as_json)
    except LaunchError as error:  # its statuses are those of a program that is run, not judged
        raise HeaptideError(error.message) from None
    raise click.exceptions.Exit(
        _tell(
            measured,
            budgets,
            fail_on_growth,
            as_json=as_json,
            to=markdown,
            plot=plot,
        )
    )


def _check_place(path: Path) -> None:
    """Raises OutputError: better before minutes of measuring than behind them."""
    place = path if path.exists() else path.parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        reason = "a directory" if path.is_dir() else "no such directory, or not ours to write to"
        raise OutputError(f"{path} cannot be written: {reason}; choose another place")


def _plan(steps: dict[str, object]) -> Plan:
    """Of the options that say what is done in a start."""
    from heaptide.idle import Plan, Ready, Rule, parse_pattern, parse_port, parse_url

    def strings(name: str) -> list[str]:
        found = steps[name]
        assert isinstance(found, tuple)
        return [str(one) for one in found]

    def number(name: str) -> float:
        found = steps[name]
        assert isinstance(found, (int, float))
        return float(found)

    return Plan(
        ready=Ready(
            ports=[parse_port(text) for text in strings("ports")],
            urls=[parse_url(text) for text in strings("urls")],
            patterns=[parse_pattern(text) for text in strings("patterns")],
            commands=strings("commands"),
            timeout=number("ready_timeout"),
        ),
        settle=Rule(
            window=number("settle_window"),
            tolerance=number("settle_tolerance") / 100,
            timeout=number("settle_timeout"),
        ),
        load=str(steps["load"] or ""),
        cool_down=number("cool_down"),
        before_reading=str(steps["before_reading"] or ""),
        gc=bool(steps["gc"]),
        trim=bool(steps["trim"]),
        readings=int(number("readings")),
        interval=number("interval"),
        stop_timeout=number("stop_timeout"),
    )


def _split(command: str) -> list[str]:
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--base {command!r} is no command: {error}") from None
    if not found:
        raise UsageError("--base names no command: say --base 'server.py --old'")
    return found


def _resolve(words: list[str]) -> Target:
    from heaptide.recorder import resolve

    if words[0].startswith("-") and words[0][:2] not in ("-m", "-c"):
        raise UsageError(f"{words[0]} stands behind --, where the command begins: say it before")
    return resolve(words, recorded=False)


def _budgets(
    options: tuple[str, ...],
    presets: tuple[str, ...],
    config: Path | None,
    no_config: bool,
    program: str | None,
    target: Target,
) -> Budgets:
    """Those that are about an idle program; perhaps none, if none were asked for."""
    from heaptide.budgets import program_of
    from heaptide.idle import BUDGETS, idle_only
    from heaptide.recorder.wrappers import program_meant

    given, project = read_budgets(options, presets, config, no_config)
    strangers = [option for option in options if _name(option) not in BUDGETS]
    if strangers:
        raise UsageError(
            f"the budget {_name(strangers[0])} is one for heaptide check: idle has "
            f"{', '.join(BUDGETS)}"
        )
    name = program or program_of(list(program_meant(target.argv)))
    found = idle_only(given if project is None else given.over(project.of(name)))
    if config is not None and not found:
        raise UsageError(
            f"{config} has no budget for an idle {name}: there are {', '.join(BUDGETS)}"
        )
    return found


def _name(option: str) -> str:
    return option.partition("=")[0].strip().replace("-", "_")


def _measure(
    target: Target,
    base: Target | None,
    plan: Plan,
    env: dict[str, str],
    starts: int,
    traced: int,
    *,
    quiet: bool,
) -> Measured:
    from heaptide.idle import StartError, measure

    try:
        with _ends_cleanly(), progress_bar("idle", quiet=False) as progress:
            return measure(
                target,
                plan,
                env,
                base=base,
                starts=starts,
                traced=traced,
                **({} if progress is None else {"progress": progress}),
            )
    except StartError as error:
        for line in error.tail:
            click.echo(f"  | {printable(line)}", err=True)
        if error.kept is not None:
            say(f"all that it printed is in {error.kept}")
        raise


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """What is sent to end us ends the program first."""

    def terminate(*_: object) -> None:
        raise TerminatedError

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(
    measured: Measured,
    budgets: Budgets,
    fail_on_growth: bool,
    *,
    as_json: bool,
    to: Path | None,
    plot: Path | None,
) -> int:
    """Writes and prints it all; the exit status."""
    from heaptide.budgets import exit_status
    from heaptide.idle import judge
    from heaptide.views import budgets as budget_view
    from heaptide.views import idle as view
    from heaptide.views.idle_document import document
    from heaptide.views.idle_plot import page, picture

    results = judge(measured.new, budgets)
    # Files first: of the screen nobody knows whether it takes anything.
    if plot is not None:
        drawn = page(measured) if plot.suffix == ".html" else picture(measured)
        write_file(plot, drawn)
    text = view.markdown(measured)
    if results:
        text += "\n" + budget_view.markdown(results, title=view.command_of(measured.new))
    add_to_job_summary(text)
    if to is not None and to != Path("-"):
        write_file(to, text)
    if as_json:
        print_json(document(measured, results, budgets.source))
    elif to == Path("-"):
        click.echo(text, nl=False)
    else:
        view.print_idle(measured)
        if results:
            print()
            title = f"Budgets of {view.command_of(measured.new)}"
            budget_view.print_results(results, title=title, source=budgets.source)
    grown = measured.grown() if fail_on_growth else []
    if grown:
        names = ", ".join(view.WORDS[name] for name in grown)
        say(f"{names} grew by more than chance explains")
    return max(exit_status(results), 1 if grown else 0)
