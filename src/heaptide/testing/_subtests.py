"""Subtests of a measured test: reported when it has been measured, and once if it is repeated.

A report takes more memory than most bodies, and more still where it goes to another process.
"""

from __future__ import annotations

import contextlib
import unittest
from types import TracebackType
from typing import Any

import pytest

_ENDS_SUBTEST = (
    Exception,
    pytest.skip.Exception,
    pytest.fail.Exception,
    pytest.xfail.Exception,
)
_NO_FAILURE = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)


class Subtests:
    """``with`` it, the fixture ``subtests`` and ``unittest``'s ``subTest`` tell this how they end;
    at its end those of the last run are reported."""

    def __init__(self, item: pytest.Item) -> None:
        self._ended: list[_Subtest | tuple[Any, Any, Any]] = []
        self._fixture: Any = getattr(item, "funcargs", {}).get("subtests")
        self._case: Any = item
        self._instance: Any = getattr(getattr(item, "obj", None), "__self__", None)

    def __enter__(self) -> None:
        for owner, name, instead in self._replaced():
            with contextlib.suppress(AttributeError):
                setattr(owner, name, instead)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        for owner, name, _ in self._replaced():
            with contextlib.suppress(AttributeError):
                delattr(owner, name)
        ended, self._ended = self._ended, []
        for one in ended:
            if isinstance(one, tuple):
                self._case.addSubTest(*one)
            else:
                one.report(self._fixture)

    def _replaced(self) -> list[tuple[Any, str, Any]]:
        found = [(self._fixture, "test", self._test), (self._case, "addSubTest", self._add)]
        return [one for one in found if hasattr(one[0], one[1])]

    @property
    def failed(self) -> bool:
        """Whether one of the last run has."""
        errors = [one[2] for one in self._ended if isinstance(one, tuple)]
        errors += [one[1] for one in self._of_outcome("errors")]
        found = [one.error for one in self._ended if isinstance(one, _Subtest)]
        found += [error[1] for error in errors if isinstance(error, tuple)]
        return any(error is not None and not isinstance(error, _NO_FAILURE) for error in found)

    def forget(self) -> None:
        """There is to be another run."""
        self._ended.clear()
        for name in ("errors", "skipped"):
            for one in self._of_outcome(name):
                getattr(self._instance._outcome, name).remove(one)
        raised = getattr(self._case, "_excinfo", None)
        if raised:  # subtests of unittest that were skipped
            raised.clear()

    def _of_outcome(self, name: str) -> list[Any]:
        """What unittest collects of subtests until the test has ended, before Python 3.11."""
        listed = getattr(getattr(self._instance, "_outcome", None), name, ())
        return [one for one in listed if one[0] is not self._instance]

    def _test(self, msg: str | None = None, **kwargs: Any) -> _Subtest:
        return _Subtest(self._ended, msg, kwargs)

    def _add(self, case: object, subtest: object, error: object) -> None:
        self._ended.append((case, subtest, error))


class _Subtest:
    """What the fixture's ``test`` gives."""

    __slots__ = ("_ended", "_kwargs", "_msg", "error")

    def __init__(self, ended: list[Any], msg: str | None, kwargs: dict[str, Any]) -> None:
        self._ended = ended
        self._msg = msg
        self._kwargs = kwargs
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None and (
            isinstance(error, pytest.exit.Exception) or not isinstance(error, _ENDS_SUBTEST)
        ):
            return False
        self.error = error
        self._ended.append(self)
        return True

    def report(self, fixture: Any) -> None:
        """As the fixture does, after the body. Raises what ended it, if one failure is to be the
        last of the session."""
        __tracebackhide__ = True
        context = fixture.test(self._msg, **self._kwargs)
        context.__enter__()
        error = self.error
        if error is None:
            context.__exit__(None, None, None)
        elif not context.__exit__(type(error), error, error.__traceback__):
            raise error
