"""Sizes and times on the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

import click

from heaptide._sizes import BYTES_IN
from heaptide._times import SECONDS_IN

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]  # generic only in the newest click
else:
    _ParamType = click.ParamType

_Parameter = Optional[click.Parameter]
_Context = Optional[click.Context]

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)")
_BYTES = {**BYTES_IN, "k": 10**3, "m": 10**6, "g": 10**9}


class _Quantity(_ParamType):
    """A number with a unit behind it."""

    units: Mapping[str, float]
    examples: str

    def _scaled(self, value: object, param: _Parameter, ctx: _Context) -> float:
        match = _NUMBER.fullmatch(str(value).strip())
        if match is None or match[2].lower() not in self.units:
            self.fail(f"{value!r} is not a {self.name}: say {self.examples}", param, ctx)
        return float(match[1]) * self.units[match[2].lower()]


class SizeType(_Quantity):
    """Bytes: ``512KiB``, ``1MB``, ``4096``. Decimal and binary units; an integer above 0."""

    name = "size"
    units = _BYTES
    examples = "4096, 512KiB or 1.5MB"
    most = 1 << 60

    def convert(self, value: object, param: _Parameter, ctx: _Context) -> int:
        scaled = self._scaled(value, param, ctx)
        if scaled > self.most:
            self.fail("must be at most 1 EiB", param, ctx)
        size = round(scaled)
        if size < 1:
            self.fail("must be at least 1 byte", param, ctx)
        return size


class DurationType(_Quantity):
    """Seconds: ``90``, ``500ms``, ``10s``, ``5min``, ``2h``.

    Thirty years stand for all that is longer: it is as good as no limit, and in nanoseconds there
    is room for it.
    """

    name = "time"
    units = SECONDS_IN
    examples = "90, 500ms, 10s, 5min or 2h"
    most = 1e9
    least = 1e-9

    def __init__(self, *, above_zero: bool = False) -> None:
        self.above_zero = above_zero

    def convert(self, value: object, param: _Parameter, ctx: _Context) -> float:
        seconds = min(self._scaled(value, param, ctx), self.most)
        if self.above_zero and seconds < self.least:
            self.fail("must be more than 0", param, ctx)
        return seconds


class PercentType(click.FloatRange):
    """A number from 0 to 100, which ``nan`` is not."""

    def __init__(self) -> None:
        super().__init__(0, 100)

    def convert(self, value: Any, param: _Parameter, ctx: _Context) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number from 0 to 100", param, ctx)
        return number
