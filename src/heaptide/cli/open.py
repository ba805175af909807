"""``heaptide open``: the page of a recording, from a server on this machine, in the browser."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from heaptide.cli.reading import open_input, prepare_to_read
from heaptide.cli.selecting import unpickle_option
from heaptide.errors import HeaptideError, UsageError


@click.command("open", short_help="Look at a recording in the browser.")
@click.argument("recording", type=click.Path(readable=False, path_type=Path), metavar="RECORDING")
@click.argument(
    "base", type=click.Path(readable=False, path_type=Path), required=False, metavar="[OLD]"
)
@click.option("--process", type=int, metavar="PID", help="Only this process.")
@click.option("--live", is_flag=True, help="Follow a recording that is still being made.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any that is free.")
@unpickle_option
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def command(
    recording: Path,
    base: Path | None,
    process: int | None,
    live: bool,
    port: int,
    no_browser: bool,
    unpickle: bool,
) -> None:
    """Look at a recording in the browser; with OLD at the difference to that older one.

    The page comes from a server that answers only on this machine, and only to who knows the
    address. It runs until Ctrl-C. Source files are shown where they are found.
    """
    if live and base is not None:
        raise UsageError("--live follows one recording: name no second one")
    if sys.stdout is None and no_browser:
        raise HeaptideError("standard output is closed: there is nowhere to say the address")
    prepare_to_read()
    from contextlib import ExitStack

    from heaptide.views.page.served import Served
    from heaptide.views.server import PageServer

    with ExitStack() as stack:
        older = None if base is None else stack.enter_context(open_input(base, unpickle=unpickle))
        if live:
            from heaptide.recording._follow import Follower

            look = stack.enter_context(Follower(recording)).look
        else:
            opened = stack.enter_context(open_input(recording, unpickle=unpickle))
            look = lambda: opened  # noqa: E731 - no more than a name for it
        content = Served(look, older, pid=process, live=live, alive=_collector_of(recording))
        stack.callback(content.close)
        server = PageServer(content, port)
        stack.callback(server.close)
        try:
            if sys.stdout is not None:
                print(server.url, flush=True)
            if not no_browser and not _show(server.url):
                click.echo("heaptide: no browser found; open the address yourself", err=True)
            if sys.stderr is not None and sys.stderr.isatty():
                click.echo("heaptide: Ctrl-C ends it", err=True)
            server.serve()
        except KeyboardInterrupt:  # how it is meant to end
            return


def _collector_of(recording: Path) -> Callable[[], bool]:
    """Tells whether what makes the recording still does; for ever, if it cannot be looked into."""
    from heaptide.recorder.sessions import live_of, session_of_recording

    session = session_of_recording(recording)
    return lambda: session is None or live_of(session.collector) is not None


def _show(url: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
