"""``heaptide bench``: a command many times, beside another version of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from heaptide._write import add_to_job_summary, write_file
from heaptide.cli.benching import (
    Asked,
    base_words,
    deviations,
    environment_changes,
    places,
    relative_part,
)
from heaptide.cli.budgeting import BehindDashes
from heaptide.cli.output import print_json
from heaptide.cli.params import SizeType
from heaptide.cli.progress import progress_bar
from heaptide.cli.reading import prepare_to_read
from heaptide.errors import HeaptideError, UsageError

if TYPE_CHECKING:
    from heaptide.bench import Base, Bench, Side
    from heaptide.budgets import Result

FIGURES = (  # as the package has them; a test keeps them equal
    *("peak_heap", "total", "allocations", "reallocations", "copied", "temporary", "alive"),
    *("peak_rss", "wall", "cpu"),
)
_HASH_SEED = "PYTHONHASHSEED"


class _Bench(BehindDashes):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
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
    asked = Asked(words=tuple(words or ()), **given)
    if sys.stdout is None and asked.save is None and asked.markdown_file is None:
        raise HeaptideError("standard output is closed: there is nowhere to show the result")
    environment = dict(os.environ)  # what follows changes ours for NumPy's sake
    environment.setdefault(_HASH_SEED, "0")
    with ExitStack() as stack:
        prepare_to_read()
        _prepare_for_children()
        bench, results = _bench(asked, environment, stack)
    _tell(bench, results, asked)
    raise click.exceptions.Exit(bench.status)


def _bench(
    asked: Asked, environment: dict[str, str], stack: ExitStack
) -> tuple[Bench, list[Result]]:
    """All of it, but for telling."""
    from heaptide import bench
    from heaptide.views.budgets import as_json

    figures = bench.chosen(asked.metrics, recording=not asked.no_recording)
    budgets = bench.budgets_for(asked.budgets, figures)
    thresholds = bench.Thresholds(relative_part(asked.relative), deviations(asked.mads))
    changes = environment_changes(asked.changes)
    seed = {**environment, **changes}[_HASH_SEED]
    saved = None
    if asked.compare is not None:
        saved = bench.load(asked.compare, sample=asked.sample, hash_seed=seed)
    sides, base = _sides(asked, changes, stack)
    recordings = places(asked, sides)
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
    asked: Asked, changes: dict[str, str], stack: ExitStack
) -> tuple[list[Side], Base | None]:
    """What runs, the base first, and what the base is called."""
    from heaptide import bench

    sides = [bench.Side(bench.NEW, asked.words, Path(), changes)]
    if asked.base is not None:
        words = base_words(asked.base)
        return [bench.Side(bench.BASE, words, Path(), changes), *sides], bench.Base(words)
    if asked.base_rev is not None:
        tree = stack.enter_context(bench.checked_out(asked.base_rev, Path.cwd()))
        there = bench.Side(bench.BASE, asked.words, tree.cwd, changes)
        return [there, *sides], bench.Base(asked.words, commit=tree.commit)
    return sides, None


def _prepare_for_children() -> None:
    """They are waited for, whoever has started us; and a hang-up ends us as SIGTERM does: what is
    temporary goes first."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))


def _tell(bench: Bench, results: list[Result], asked: Asked) -> None:
    from heaptide.bench import document
    from heaptide.views import bench as view

    # Files first: of the screen nobody knows whether it takes anything.
    if asked.save is not None:
        data = json.dumps(document(bench), indent=1) + "\n"
        write_file(asked.save, data)
    text = view.markdown(bench, results)
    if asked.markdown_file is not None:
        write_file(asked.markdown_file, text)
    add_to_job_summary(text)
    if sys.stdout is None:
        return
    if asked.as_json:
        print_json(document(bench))
    elif asked.markdown == "-":
        click.echo(text, nl=False)
    else:
        view.print_bench(bench, results)
