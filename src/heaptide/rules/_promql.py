"""What is asked of Prometheus, in its language.

Services of one process have no label ``pid``, those of several have one on the figures of each
process: whatever is asked here sums, or takes the least or the most, ``without (pid)``, which is
right for both.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from heaptide.budgets import Budgets
from heaptide.errors import UsageError
from heaptide.monitor._figures import FIGURES

_MATCHER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(=~|!~|!=|=)(.*)", re.DOTALL | re.ASCII)
_ESCAPED = re.compile(r"\\[^1-9]", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_NOT_RE2 = re.compile(r"\(\?(?:=|!|<=|<!|P=|>|#|\()|\\[1-9]")
_COMMON: Final = (  # what Python says of what is wrong in RE2 too
    *("missing )", "unbalanced parenthesis", "unterminated character set", "nothing to repeat"),
    *("multiple repeat", "bad escape (end of pattern)", "bad character range"),
    "min repeat greater than max repeat",
)
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_STEPS = 60  # of a window, in which its floor is looked for


@dataclass(frozen=True)
class Watched:
    """A job of Prometheus and the budgets that it is held to.

    ``job``: "" for whatever has the other labels; ``matchers``: those, as `matcher` gives them.
    """

    job: str
    budgets: Budgets = field(default_factory=Budgets)
    matchers: tuple[str, ...] = ()

    def of(self, key: str, *more: str) -> str:
        """The selector of a figure, by its key: ``process.rss``. ``more``: matchers of it alone."""
        return select(key, [*self._own(), *more])

    def _own(self) -> list[str]:
        return [*([matcher("job=" + self.job)] if self.job else []), *self.matchers]


def select(key: str, matchers: Sequence[str]) -> str:
    return f"{FIGURES[key].metric}{{{','.join(matchers)}}}"


def matcher(written: str) -> str:
    """``env=prod``, ``env!=test``, ``pod=~web-.*`` or ``pod!~x`` as Prometheus has it.

    Raises UsageError: it is none of these, is about the label that rules do without, or is no text.
    """
    match = _MATCHER.fullmatch(written)
    if match is None:
        raise UsageError(f"{written!r} is no label: say NAME=VALUE, as env=prod or pod=~web-.*")
    name, operator, value = match.groups()
    if name == "pid":
        raise UsageError("the label pid tells processes apart: rules are about their sums")
    if name == "__name__":
        raise UsageError("the label __name__ is the metric's own name, which rules have already")
    if operator.endswith("~"):
        wrong = _wrong_with(value)
        if wrong:
            raise UsageError(f"{written!r} is no label that Prometheus reads: {wrong}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{written!r} is no label: it is no UTF-8") from None
    return f"{name}{operator}{json.dumps(value, ensure_ascii=False)}"


def _wrong_with(pattern: str) -> str:
    """With a regular expression, as far as Python can tell of RE2's; empty: nothing."""
    bare = _CLASS.sub("x", _ESCAPED.sub("x", pattern))
    if _NOT_RE2.search(bare):
        return "it looks around or back"
    if r"\Q" in pattern:  # quotes, which Python does not have
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sets in sets, which are classes there
            re.compile(pattern)
    except re.error as error:
        # Other errors are of what only RE2 has, such as classes of Unicode.
        return error.msg if error.msg.startswith(_COMMON) else ""
    except (OverflowError, RecursionError):
        return "it is too large"
    return ""


def summed(selector: str) -> str:
    """Over the processes of an instance."""
    return f"sum without (pid) ({selector})"


def least(selector: str) -> str:
    return f"min without (pid) ({selector})"


def most(selector: str) -> str:
    return f"max without (pid) ({selector})"


def floor(asked: str, window: float, *, back: float = 0.0) -> str:
    """The least of a window in seconds that ended ``back`` seconds ago."""
    offset = f" offset {duration(back)}" if back else ""
    return f"min_over_time(({asked})[{duration(window)}:{duration(window / _STEPS)}]{offset})"


def duration(seconds: float) -> str:
    """As Prometheus writes it, to the millisecond: ``5m``, ``90s``."""
    whole = round(seconds * 1000)
    if not whole:
        return "0s"
    factor, unit = next(one for one in _UNITS if whole % one[0] == 0)
    return f"{whole // factor}{unit}"


def number(value: float) -> str:
    """Without an exponent; above 10,000 whole."""
    return f"{value:.0f}" if value == int(value) or abs(value) > 1e4 else f"{value:.6g}"
