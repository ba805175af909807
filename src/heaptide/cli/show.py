"""``heaptide show``: what a recording says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from heaptide.cli.output import print_json
from heaptide.cli.params import DurationType, PercentType
from heaptide.cli.reading import open_input, prepare_to_read
from heaptide.cli.selecting import selection_from, selection_options, unpickle_option
from heaptide.errors import HeaptideError, UsageError

if TYPE_CHECKING:
    from click.core import ParameterSource

    from heaptide.profile import Metric, Profile
    from heaptide.views.treeoptions import TreeOptions


# Named here and not taken from the package, whose import costs NumPy's: --help must not pay for
# it. A test keeps them equal.
METRICS = (
    "peak",
    "alive",
    "total",
    "allocations",
    "temporary",
    "short-lived",
    "copied",
    "live",
    "leaked",
    "peak-blocks",
    "alive-blocks",
    "leaked-blocks",
    "reallocations",
    "live-blocks",
)
FOLDS = ("function", "line", "file", "module", "thread", "process")
TREE_FOLDS = ("function", "line", "file", "module")
RECURSION = ("keep", "direct", "all")
HISTOGRAMS = ("sizes", "lifetimes")
HIDE = ("interpreter", "allocator", "library", "none")
MERGE = ("library", "interpreter", "templates")
DEFAULT_TOP, TREE_TOP = 10, 40
# Percent of the whole that a branch of a tree has to have, in text and elsewhere.
DEFAULT_LEAST, EXACT_LEAST = 1.0, 0.1


@click.command()
@click.argument("recording", type=click.Path(readable=False), metavar="RECORDING")
@click.option(
    "--metric",
    metavar="METRIC",
    help="What to order by: bytes live at the peak, alive at exit, allocated in total; the number "
    "of allocations, of temporary or short-lived ones; bytes copied by realloc, live at the moment "
    "of --at, leaked: what grows after warm-up and stays, kept: what came in the time from --from "
    "to --to and is still alive at its end. With -blocks behind it, how many blocks these are. One "
    f"of {', '.join(METRICS)}, kept, or one that only the format has which was "
    "imported (docs/formats.md).  [default: peak, or the first that is known]",
)
@click.option(
    "--by",
    type=click.Choice(FOLDS),
    default="function",
    show_default=True,
    help="What to fold by. Memory is charged to the innermost frame that is your own code; a tree "
    "has all frames.",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"How many to list; 0: all.  [default: {DEFAULT_TOP}; of a tree {TREE_TOP} lines; with "
    "--json and --csv all]",
)
@click.option("--at", type=DurationType(), metavar="TIME", help="What was live at this time.")
@selection_options
@unpickle_option
@click.option(
    "--tree",
    type=click.Choice(("callers", "callees")),
    help="A tree of what calls what, or of who calls it; of all, or from --function on.",
)
@click.option(
    "--least",
    type=PercentType(),
    metavar="PERCENT",
    help=f"Of a tree: leave out branches with less.  [default: {DEFAULT_LEAST:g}; with --json and "
    f"--csv {EXACT_LEAST:g}]",
)
@click.option(
    "--hide",
    type=click.Choice(HIDE),
    multiple=True,
    help="Of a tree: whose frames to leave out; who called them has their memory.  [default: "
    "interpreter and allocator]",
)
@click.option(
    "--own",
    "only_own",
    is_flag=True,
    help="Of a tree: only your own code; who of it called the rest has the rest's memory.",
)
@click.option(
    "--merge",
    type=click.Choice(MERGE),
    multiple=True,
    help="Of a tree: frames that go by module, or templates without their arguments.",
)
@click.option(
    "--recursion",
    type=click.Choice(RECURSION),
    help="Of a tree: keep each frame, make those that call themselves directly one, or show each "
    "function once in a stack.  [default: direct]",
)
@click.option(
    "--histogram",
    "histograms",
    type=click.Choice(HISTOGRAMS),
    multiple=True,
    help="How large blocks were, or how long they lived.",
)
@click.option("--threads", "thread_table", is_flag=True, help="What each thread did with memory.")
@click.option("--timeline", is_flag=True, help="The live heap over time, and what it was made of.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print the table, tree, histogram or timeline as CSV."
)
@click.pass_context
def show(context: click.Context, /, recording: str, **options: Any) -> None:
    """Show where the memory of a recorded program went.

    Without --metric, --by or --at, and without a view of its own: a summary, the largest sites at
    the peak, and the live heap over time. With one of them: that alone. Figures are of all that is
    chosen by --process, --from, --to, --thread, --function, --module, --exclude and --size.
    """
    if sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to show the recording")
    _check(context, options)
    prepare_to_read()
    from heaptide.profile import LIVE, Profile, default_metric, metric_of

    if options["at"] is not None:
        options["end"] = options["at"]
    name = options["metric"]
    with open_input(recording, unpickle=options["unpickle"]) as opened:
        selection = selection_from(opened, **{key: options[key] for key in _SELECTING})
        profile = Profile(opened, selection)
        tree = _tree_options(options)
        if name is not None:
            metric = metric_of(opened, name)
            profile.figures_for(metric)  # before anything is printed: they may not be known
        else:
            metric = default_metric(opened) if options["at"] is None else LIVE
        if options["as_json"]:
            _print_json(profile, metric, tree, options)
        elif options["as_csv"]:
            _print_csv(profile, metric, tree, options)
        else:
            only_table = _given(context, "metric", "by", "at")
            _print_text(profile, metric, tree, options, only_table=only_table)


_SELECTING = (
    "process",
    "start",
    "end",
    "threads",
    "functions",
    "modules",
    "without_functions",
    "without_modules",
    "sizes",
)
_OF_TREES = ("least", "hide", "merge", "recursion", "own")


def _check(context: click.Context, options: dict[str, Any]) -> None:
    """Raises UsageError for options that exclude or need one another."""
    if options["at"] is not None and (options["start"], options["end"]) != (None, None):
        raise UsageError("--at is a moment, --from and --to are a range: give one of the two")
    if options["at"] == 0:
        raise UsageError("nothing was live at time 0: give a later --at")
    if options["tree"] is None:
        for name in _OF_TREES:
            if _given(context, "only_own" if name == "own" else name):
                raise UsageError(f"--{name} is for trees: add --tree callers or --tree callees")
    elif options["by"] not in TREE_FOLDS:
        raise UsageError(f"no tree is by {options['by']}: choose one of {', '.join(TREE_FOLDS)}")
    if options["only_own"] and options["hide"]:
        raise UsageError("--own says what is hidden: leave out --hide")
    if "none" in options["hide"] and len(set(options["hide"])) > 1:
        raise UsageError("--hide none hides nothing: leave it out, or the others")
    views = (options["tree"], options["histograms"], options["thread_table"], options["timeline"])
    if options["as_csv"] and (options["as_json"] or sum(map(bool, views)) > 1):
        raise UsageError("--csv prints one table: ask for one of them, and not for --json")


def _tree_options(options: dict[str, Any]) -> TreeOptions | None:
    if options["tree"] is None:
        return None
    from heaptide.views.treeoptions import HIDDEN, OWN, TreeOptions

    hide = tuple(dict.fromkeys(options["hide"])) or (OWN if options["only_own"] else HIDDEN)
    merge = tuple(dict.fromkeys(options["merge"]))
    return TreeOptions(
        options["tree"],
        options["by"],
        hide=() if "none" in hide else hide,
        merge=tuple(name for name in merge if name != "templates"),
        recursion=options["recursion"] or "direct",
        templates="templates" in merge,
    )


def _least(options: dict[str, Any], default: float) -> float:
    percent: float | None = options["least"]
    return (default if percent is None else percent) / 100


def _print_json(
    profile: Profile, metric: Metric, tree: TreeOptions | None, options: dict[str, Any]
) -> None:
    from heaptide.views.document import document

    fold = profile.fold(options["by"], metric, inclusive=True)
    top = options["top"] or 0
    found = None
    if tree is not None:
        found = (tree.tree(profile, metric, _least(options, EXACT_LEAST)), tree)
    made = document(profile, fold, top=top, tree=found, timeline=options["timeline"])
    print_json(made)


def _print_csv(
    profile: Profile, metric: Metric, tree: TreeOptions | None, options: dict[str, Any]
) -> None:
    from heaptide.views import csv

    top = options["top"] or 0
    if tree is not None:
        found = tree.tree(profile, metric, _least(options, EXACT_LEAST))
        text = csv.tree(profile, found, metric, tree, top=top)
    elif options["timeline"]:
        text = csv.timeline(profile)
    elif options["histograms"]:
        text = csv.histograms(profile, options["histograms"])
    else:
        by = "thread" if options["thread_table"] else options["by"]
        text = csv.table(profile, profile.fold(by, metric, inclusive=True), top=top)
    click.echo(text, nl=False)


def _print_text(
    profile: Profile,
    metric: Metric,
    tree: TreeOptions | None,
    options: dict[str, Any],
    *,
    only_table: bool,
) -> None:
    from heaptide.views import text

    top, threads, timeline = options["top"], options["thread_table"], options["timeline"]
    if tree is not None or options["histograms"] or threads or timeline:
        text.show_views(
            profile,
            metric,
            tree=tree,
            histograms=options["histograms"],
            threads=threads,
            timeline=timeline,
            top=TREE_TOP if top is None else top,
            least=_least(options, DEFAULT_LEAST),
        )
        return
    by = options["by"]
    text.show(profile, metric, by, top=DEFAULT_TOP if top is None else top, only_table=only_table)


def _given(context: click.Context, *options: str) -> bool:
    """Whether one of the options is on the command line, whatever its value."""
    sources: list[ParameterSource | None] = [
        context.get_parameter_source(option) for option in options
    ]
    return any(source is not None and source.name == "COMMANDLINE" for source in sources)


command = show  # as the main command finds it
