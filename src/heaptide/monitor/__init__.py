"""Statistics of this process, out of it: what a service exports every day.

``heaptide.monitor(prometheus=9100, log="60s")`` starts what an application needs; `monitor` has the
parameters. No recording runs. docs/monitoring.md defines each figure and says what it costs.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from ._start import Monitor, monitor

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["Monitor", "monitor"]


class _Callable(ModuleType):
    """A package that is also the call: whoever has imported a part of it, ``heaptide.monitor`` is
    this, and ``heaptide.monitor(...)`` is `monitor`."""

    __call__ = staticmethod(monitor)

    @property
    def __signature__(self) -> Signature:
        """For ``help`` and editors."""
        from inspect import signature

        return signature(monitor)


sys.modules[__name__].__class__ = _Callable
