"""What pytest's own plugins keep for a test while its body is run again and again.

None of it is the test's. Attributes that a version of pytest has not are passed over.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from heaptide.testing._subtests import Subtests


class Between:
    """Made before the first run of the body of ``item``; ``forget`` before each further one: then
    what the last run has left is there at the end, for the report."""

    def __init__(self, item: pytest.Item) -> None:
        self.subtests = Subtests(item)
        plugins = item.config.pluginmanager
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        logs = plugins.get_plugin("logging-plugin")
        resets = [
            (getattr(logs, "caplog_handler", None), "clear"),
            (getattr(logs, "report_handler", None), "clear"),
            (plugins.get_plugin("capturemanager"), "read_global_capture"),
            (arguments.get("recwarn"), "clear"),
        ]
        resets += [(one, "readouterr") for one in arguments.values() if _captures(one)]
        self._resets: list[Callable[[], object]] = [
            getattr(owner, name) for owner, name in resets if hasattr(owner, name)
        ]
        self._properties = item.user_properties
        self._before = len(self._properties)
        warned = getattr(getattr(warnings, "_showwarnmsg_impl", None), "__self__", None)
        self._warned: list[object] = warned if isinstance(warned, list) else []
        self._first: int | None = None
        patched = [one for one in arguments.values() if isinstance(one, pytest.MonkeyPatch)]
        self._patches = [_Patches(one) for one in patched]

    def forget(self) -> None:
        self.subtests.forget()
        for reset in self._resets:
            reset()
        del self._properties[self._before :]
        if self._first is None:  # many a warning is given once only
            self._first = len(self._warned)
        del self._warned[self._first :]
        for patches in self._patches:
            patches.undo()


def _captures(argument: object) -> bool:
    return isinstance(argument, pytest.CaptureFixture)


class _Patches:
    """What there is of a MonkeyPatch, which stays, and how to undo what comes later."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        changed = (getattr(patch, name, None) for name in ("_setattr", "_setitem"))
        self._earlier = [(one, list(one)) for one in changed if isinstance(one, list)]
        once = {name: getattr(patch, name, None) for name in ("_cwd", "_savesyspath")}
        self._once = {name: value for name, value in once.items() if value is not None}

    def undo(self) -> None:
        for changed, earlier in self._earlier:
            del changed[: len(earlier)]
        for name in self._once:
            setattr(self._patch, name, None)
        self._patch.undo()
        for changed, earlier in self._earlier:
            changed[:] = earlier
        for name, value in self._once.items():
            setattr(self._patch, name, value)
