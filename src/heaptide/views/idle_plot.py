"""A picture of the starts of an idle program: PSS over time, as SVG or a page with it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heaptide._printable import printable

from . import units
from .idle import command_of

if TYPE_CHECKING:
    from heaptide.idle import Measured, Start

_WIDTH, _HEIGHT = 900, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 20, 62, 74
_TICKS = 6
_STYLE = """\
.heaptide-idle{--ink:#1b1f24;--soft:#5f6b7a;--rule:#d8dee6;--paper:#fff;--new:#0b6bcb;--base:#b4540a;
font-family:system-ui,sans-serif;font-size:12px}
@media (prefers-color-scheme:dark){.heaptide-idle{--ink:#e6e9ee;--soft:#9aa5b3;--rule:#333b46;
--paper:#14181d;--new:#5fb0ff;--base:#f0a35e}}
.heaptide-idle text{fill:var(--soft)}.heaptide-idle .title{fill:var(--ink);font-size:15px}
.heaptide-idle .paper{fill:var(--paper)}.heaptide-idle .rule{stroke:var(--rule)}
.heaptide-idle .new{--hue:var(--new)}.heaptide-idle .base{--hue:var(--base)}
.heaptide-idle polyline{fill:none;stroke:var(--hue);stroke-width:1.4;stroke-linejoin:round;
opacity:.75}
.heaptide-idle .ready{fill:var(--paper);stroke:var(--hue);stroke-width:1.5}
.heaptide-idle .idle{fill:var(--hue);stroke:none}
.heaptide-idle .moving{fill:none;stroke:var(--hue);stroke-width:2}
.heaptide-idle .read{stroke:var(--hue);stroke-width:1.5}
"""


def picture(measured: Measured) -> str:
    """One SVG: a line for each start that was not traced, marked where it was ready, where it had
    settled (a cross: where that was given up), and where it was read."""
    versions = [("new", measured.new)]
    if measured.base is not None:
        versions.insert(0, ("base", measured.base))
    starts = [(name, start) for name, version in versions for start in version.starts]
    axes = _Axes([start for _, start in starts])
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="heaptide-idle" role="img" {size}>',
        f"<style>{_STYLE}</style>",
        f"<title>PSS over time of {_text(command_of(measured.new))}</title>",
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="24">{_text(_head(command_of(measured.new)))}</text>',
        f'<text x="{_LEFT}" y="44">PSS of all processes, {len(measured.new.starts)} starts</text>',
        *axes.lines(),
        *(
            line
            for number, (name, start) in enumerate(starts)
            for line in _start(axes, name, start, number)
        ),
        *_legend(len(versions) > 1),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def page(measured: Measured) -> str:
    """The picture in a page of HTML."""
    title = _text(f"Idle memory of {command_of(measured.new)}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="color-scheme" content="light dark">'
        "<style>body{margin:0}svg{max-width:100%;height:auto}</style></head>\n"
        f"<body>\n{picture(measured)}</body></html>\n"
    )


class _Axes:
    """From seconds and bytes to places on the picture."""

    def __init__(self, starts: Sequence[Start]) -> None:
        times = [sample.time for start in starts for sample in start.series]
        sizes = [sample.pss for start in starts for sample in start.series]
        self._seconds = _nice(max(times, default=1.0) or 1.0)
        top = max(sizes, default=0) or 1
        self._factor, self._unit = units.size_unit(top)
        self._size = _nice(top / self._factor)

    def x(self, seconds: float) -> float:
        whole = self._seconds * _TICKS
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(seconds / whole, 1.0)

    def y(self, size: float) -> float:
        whole = self._size * _TICKS * self._factor
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(size / whole, 1.0)

    def lines(self) -> list[str]:
        """Rules and figures."""
        found = []
        for tick in range(_TICKS + 1):
            y = self.y(tick * self._size * self._factor)
            found.append(
                f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
                f'y2="{y:.1f}"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
                f"{tick * self._size:g} {self._unit}</text>"
            )
            x = self.x(tick * self._seconds)
            found.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">'
                f"{tick * self._seconds:g} s</text>"
            )
        return found


def _nice(top: float) -> float:
    """A round step, of which _TICKS reach to ``top``."""
    step = top / _TICKS
    scale = 10.0 ** math.floor(math.log10(step))
    return next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= step * 0.9999)


def _start(axes: _Axes, name: str, start: Start, number: int) -> list[str]:
    points = " ".join(f"{axes.x(s.time):.1f},{axes.y(s.pss):.1f}" for s in start.series)
    found = [f'<g class="{name}" data-start="{number}"><polyline points="{points}"/>']
    x, y = axes.x(start.ready), axes.y(_at(start, start.ready))
    found.append(
        f'<circle class="ready" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>ready after '
        f"{units.duration(start.ready)}</title></circle>"
    )
    x, y = axes.x(start.idle), axes.y(_at(start, start.idle))
    if start.settled[0].converged:
        found.append(
            f'<rect class="idle" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"><title>'
            f"settled after {units.duration(start.idle)}</title></rect>"
        )
    else:
        found.append(
            f'<path class="moving" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"><title>not '
            f"settled after {units.duration(start.idle)}</title></path>"
        )
    for reading in start.readings:
        x, y = axes.x(reading.time), axes.y(reading.value("pss") or 0)
        found.append(
            f'<line class="read" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 6:.1f}" y2="{y + 6:.1f}">'
            f"<title>{units.both_sizes(reading.value('pss') or 0)}</title></line>"
        )
    return [*found, "</g>"]


def _at(start: Start, time: float) -> int:
    """The PSS that was seen nearest to a moment."""
    return min(start.series, key=lambda sample: abs(sample.time - time)).pss


def _legend(two: bool) -> list[str]:
    y = _HEIGHT - 24
    x = _LEFT
    found = []
    marks = [
        (f'<circle class="ready" cx="{{x}}" cy="{y - 4}" r="4"/>', "ready"),
        (f'<rect class="idle" x="{{left}}" y="{y - 8}" width="8" height="8"/>', "settled"),
        (f'<path class="moving" d="M{{left}} {y - 8}l8 8m0 -8l-8 8"/>', "not settled"),
        (f'<line class="read" x1="{{x}}" x2="{{x}}" y1="{y - 10}" y2="{y + 2}"/>', "read"),
    ]
    for mark, word in marks:
        drawn = mark.format(x=x + 4, left=x)
        found.append(f'<g class="new">{drawn}</g><text x="{x + 14}" y="{y}">{word}</text>')
        x += 110
    for name in ("base", "new") if two else ():
        found.append(
            f'<g class="{name}"><polyline points="{x},{y - 4} {x + 22},{y - 4}"/></g>'
            f'<text x="{x + 28}" y="{y}">{name}</text>'
        )
        x += 90
    return found


def _head(command: str) -> str:
    return command if len(command) <= 100 else command[:99] + "…"


def _text(text: str) -> str:
    """As XML has it: nothing that cannot be shown, and no markup."""
    plain = printable(text).encode("utf-8", "backslashreplace").decode()
    return html.escape(plain)
