"""``heaptide bench``: a command many times, beside another version of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from heaptide.cli.output import print_json
from heaptide.cli.params import SizeType
from heaptide.cli.progress import progress_bar
from heaptide.cli.reading import prepare_to_read
from heaptide.errors import OutputError, UsageError

if TYPE_CHECKING:
    from heaptide.bench import Base, Bench, Side
    from heaptide.budgets import Result

FIGURES = (  # as the package has them; a test keeps them equal
    *("peak_heap", "total", "allocations", "reallocations", "copied", "temporary", "alive"),
    *("peak_rss", "wall", "cpu"),
)
_HASH_SEED = "PYTHONHASHSEED"


@dataclass(frozen=True)
class _Asked:
    """What the command line says, by the names of its options."""

    words: tuple[str, ...]
    base: str | None
    base_rev: str | None
    setup: str | None
    compare: Path | None
    runs: int
    warmup: int
    relative: str
    mads: float
    metrics: tuple[str, ...]
    budgets: tuple[str, ...]
    sample: int | None
    no_recording: bool
    changes: tuple[str, ...]
    ignore_status: bool
    show_output: bool
    output: Path | None
    as_json: bool
    markdown: str | None
    save: Path | None

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no sense together."""
        if not any(self.words[:1]):
            raise UsageError("name the command behind --")
        _exclude({"--base": self.base, "--base-rev": self.base_rev, "--compare": self.compare})
        _exclude({"--json": self.as_json, "--markdown without a file": self.markdown == "-"})
        _exclude({"--no-recording": self.no_recording, "-o": self.output})
        _exclude({"--no-recording": self.no_recording, "--sample": self.sample})
        if self.setup is not None and self.base_rev is None:
            raise UsageError("--setup is for the trees of --base-rev: run it before, otherwise")

    @property
    def out(self) -> IO[str] | int | None:
        """Where what the programs print goes: JSON and Markdown are alone on standard output."""
        if not self.show_output:
            return subprocess.DEVNULL
        return sys.stderr if self.as_json or self.markdown == "-" else None

    @property
    def markdown_file(self) -> Path | None:
        return None if self.markdown in (None, "-") else Path(str(self.markdown))


class _Bench(click.Command):
    """Keeps what stands behind ``--`` apart."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.obj = args[place + 1 :]
            args = args[:place]
        ctx.allow_extra_args = True  # for a better word about them
        rest = super().parse_args(ctx, args)
        if rest:
            raise UsageError(f"{rest[0]}: the command stands behind --, as in -- {rest[0]}")
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "-- COMMAND..."]


@click.command("bench", cls=_Bench, short_help="Compare a command with another version of it.")
@click.option("--base", metavar="COMMAND", help="What to compare with, as one types it.")
@click.option(
    "--base-rev",
    metavar="REV",
    help="The same command in a git revision, checked out in a temporary directory.",
)
@click.option("--setup", metavar="CMD", help="With --base-rev: run once in both trees, by a shell.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with what --save has written; not in turn, so what drifts is not seen through.",
)
@click.option(
    "--runs",
    type=click.IntRange(3, 1000),
    default=7,
    metavar="N",
    help="How often each runs, plain and recorded; at least 3.  [default: 7]",
)
@click.option(
    "--warmup",
    type=click.IntRange(0, 100),
    default=1,
    metavar="N",
    help="Runs of each before these, which do not count.  [default: 1]",
)
@click.option(
    "--relative",
    default="5%",
    metavar="PART",
    help="A regression is more than this part of the base,  [default: 5%]",
)
@click.option(
    "--mads",
    type=float,
    default=3.0,
    metavar="N",
    help="and more than so many combined median absolute deviations.  [default: 3]",
)
@click.option(
    "--metric",
    "metrics",
    type=click.Choice(FIGURES),
    multiple=True,
    metavar="NAME",
    help=f"What to measure and to judge: {', '.join(FIGURES)}.  [default: all, but times and "
    "copied are only shown]",
)
@click.option(
    "-b",
    "--budget",
    "budgets",
    multiple=True,
    metavar="NAME=LIMIT",
    help="Hold the median to a budget, as peak_heap=256MB.",
)
@click.option(
    "--sample",
    type=SizeType(),
    metavar="BYTES",
    help="Record one allocation per BYTES on average (512KiB, 1MB) instead of every one.",
)
@click.option("--no-recording", is_flag=True, help="Measure peak RSS and times only.")
@click.option(
    "--env",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a variable for the command.",
)
@click.option("--ignore-status", is_flag=True, help="Measure runs that fail, too.")
@click.option("--show-output", is_flag=True, help="Let the command print.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the last recording of each version there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/bench.md has it.")
@click.option(
    "--markdown",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Print Markdown, or write it to a file.",
)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Write the JSON to a file."
)
@click.pass_obj
def command(words: list[str] | None, /, **given: Any) -> NoReturn:
    """Run a command many times, in turn with another version of it, and compare.

    A line for each figure: medians, their difference, what readings stray by. The status is 0
    without a regression, 1 with one, 2 if something could not be measured.
    """
    asked = _Asked(words=tuple(words or ()), **given)
    environment = dict(os.environ)  # what follows changes ours for NumPy's sake
    environment.setdefault(_HASH_SEED, "0")
    with ExitStack() as stack:
        prepare_to_read()
        _end_on_hang_up()
        bench, results = _bench(asked, environment, stack)
    _tell(bench, results, asked)
    raise click.exceptions.Exit(bench.status)


def _bench(
    asked: _Asked, environment: dict[str, str], stack: ExitStack
) -> tuple[Bench, list[Result]]:
    """All of it, but for telling."""
    from heaptide import bench
    from heaptide.views.budgets import as_json

    figures = bench.chosen(asked.metrics, recording=not asked.no_recording)
    budgets = bench.budgets_for(asked.budgets, figures)
    thresholds = bench.Thresholds(_part(asked.relative), _mads(asked.mads))
    changes = _changes(asked.changes)
    seed = {**environment, **changes}[_HASH_SEED]
    saved = None
    if asked.compare is not None:
        saved = bench.load(asked.compare, sample=asked.sample, hash_seed=seed)
    sides, base = _sides(asked, changes, stack)
    recordings = _places(asked, sides)
    plan = bench.Plan(
        figures=figures,
        runs=asked.runs,
        warmup=asked.warmup,
        environment=environment,
        sample=asked.sample,
        ignore_status=asked.ignore_status,
        output=asked.out,
        show=asked.show_output,
        keep=asked.output,
    )
    if asked.setup is not None:
        bench.set_up(
            asked.setup,
            [(side.name, side.cwd) for side in sides],
            env={**environment, **changes},
            output=asked.out,
            show=asked.show_output,
        )
    with progress_bar("measuring", quiet=asked.show_output) as progress:
        readings = bench.measure(sides, plan, progress)
    compared = bench.compare(
        figures,
        readings[bench.NEW],
        readings.get(bench.BASE) if saved is None else saved.readings,
        thresholds,
        paired=saved is None,
        asked=bool(asked.metrics),
    )
    results = bench.hold(compared, budgets)
    whole = bench.Bench(
        words=asked.words,
        base=base if saved is None else saved.base,
        runs=asked.runs,
        warmup=asked.warmup,
        sample=asked.sample,
        thresholds=thresholds,
        hash_seed=seed,
        compared=compared,
        budgets=as_json(results, recording=None, source=budgets.source)["results"],
        recordings={name: str(path) for name, path in recordings.items()},
        status=bench.exit_status(compared, results, asked=bool(asked.metrics)),
    )
    return whole, results


def _sides(
    asked: _Asked, changes: dict[str, str], stack: ExitStack
) -> tuple[list[Side], Base | None]:
    """What runs, the base first, and what the base is called."""
    from heaptide import bench

    sides = [bench.Side(bench.NEW, asked.words, Path(), changes)]
    if asked.base is not None:
        words = _words(asked.base)
        return [bench.Side(bench.BASE, words, Path(), changes), *sides], bench.Base(words)
    if asked.base_rev is not None:
        tree = stack.enter_context(bench.checked_out(asked.base_rev, Path.cwd()))
        there = bench.Side(bench.BASE, asked.words, tree.cwd, changes)
        return [there, *sides], bench.Base(asked.words, commit=tree.commit)
    return sides, None


def _exclude(options: dict[str, object]) -> None:
    """Raises UsageError: more than one of them is given, by its name."""
    given = [name for name, value in options.items() if value not in (None, False)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other")


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--base {text!r} cannot be read as a shell does: {error}") from None
    if not words:
        raise UsageError("--base needs a command, as in --base './prog.old 1000'")
    return words


def _changes(options: tuple[str, ...]) -> dict[str, str]:
    """Of the environment."""
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {option!r}: say NAME=VALUE")
        found[name] = value
    return found


def _part(text: str) -> float:
    from heaptide.budgets import parse_limit

    try:
        return parse_limit(text, "ratio").value
    except ValueError:
        raise UsageError(f'--relative {text!r}: say "5%" or 0.05') from None


def _mads(number: float) -> float:
    if not (math.isfinite(number) and number >= 0):
        raise UsageError(f"--mads {number}: say a number from 0 on, as 3")
    return number


def _places(asked: _Asked, sides: list[Side]) -> dict[str, Path]:
    """Where recordings are to stay, by side. Raises before anything runs that would be in vain."""
    for file in (asked.save, asked.markdown_file):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise OutputError(f"{file} cannot be written; choose another place")
    if asked.output is None:
        return {}
    try:
        asked.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{asked.output} cannot be created: {error.strerror}; choose another place"
        ) from None
    found = {side.name: asked.output / f"{side.name}.tide" for side in sides}
    for path in found.values():
        if path.exists():
            raise UsageError(f"{path} exists; choose another directory")
    return found


def _end_on_hang_up() -> None:
    """As SIGTERM does: what is temporary goes first."""
    with contextlib.suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))


def _tell(bench: Bench, results: list[Result], asked: _Asked) -> None:
    from heaptide.bench import document
    from heaptide.cli.check import write_file
    from heaptide.views import bench as view

    # Files first: of the screen nobody knows whether it takes anything.
    if asked.save is not None:
        data = json.dumps(document(bench), indent=1) + "\n"
        write_file(asked.save, data.encode(), "wb")
    text = view.markdown(bench, results)
    if asked.markdown_file is not None:
        write_file(asked.markdown_file, text.encode(), "wb")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        write_file(Path(summary), text.encode(), "ab")
    if asked.as_json:
        print_json(document(bench))
    elif asked.markdown == "-":
        click.echo(text, nl=False)
    else:
        view.print_bench(bench, results)
