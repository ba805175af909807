"""Whatever logger a program has: one of logging, an adapter of one, or structlog's."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol

from ._stderr import has_room, is_full

NAME = "heaptide.monitor"
EVENT = "memory"
_WORDS = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class KeyValues(Protocol):
    """What structlog's loggers have, whatever they are bound to."""

    def info(self, event: str, **values: Any) -> Any: ...
    def warning(self, event: str, **values: Any) -> Any: ...


def can_be(logger: object) -> bool:
    """Whether `write` can write to it. One that makes its methods when they are asked for, as
    structlog's do, is not asked: that could settle how it is configured."""
    if isinstance(logger, ModuleType):  # logging itself: its functions take no values
        return False
    return logger is None or hasattr(type(logger), "__getattr__") or hasattr(logger, "info")


def warn(words: str, *values: object) -> None:
    """From threads of ours, or while the program reads figures. What a handler raises is no concern
    of either."""
    with contextlib.suppress(Exception):
        logging.getLogger(NAME).warning(words, *values)


def say(words: str, *values: object) -> None:
    """What is no reason to worry, likewise."""
    with contextlib.suppress(Exception):
        logging.getLogger(NAME).info(words, *values)


def write(logger: object, level: int, message: str, values: Mapping[str, Any]) -> None:
    """To loggers of logging goes the message with the values as ``extra``; to others an event with
    values, for their processors to make something of. None: the program's own, as `_own` has it.

    Raises what the logger raises.
    """
    if logger is None:
        logger = _own()
        if isinstance(logger, logging.Logger) and not logger.hasHandlers():
            _without_handlers(logger, level, message, values)
            return
    if isinstance(logger, logging.Logger):
        if not _would_wait(logger):
            logger.log(level, message, extra=dict(values))
    elif isinstance(logger, logging.LoggerAdapter):
        _through_adapters(logger, level, message, values)
    else:
        _tell(logger, level, values)  # type: ignore[arg-type]


def _would_wait(logger: logging.Logger) -> bool:
    """For a stream of the program that is full; 5 µs for each."""
    here: logging.Logger | None = logger
    while here is not None:
        for handler in here.handlers:
            stream = getattr(handler, "stream", None)
            if stream is not None and stream in (sys.stderr, sys.stdout) and is_full(stream):
                return True
        here = here.parent if here.propagate else None
    return False


def _tell(logger: KeyValues, level: int, values: Mapping[str, Any]) -> None:
    tell = logger.warning if level >= logging.WARNING else logger.info
    tell(EVENT, **values)


def _own() -> object:
    """structlog's where the program has set that up, else logging's; asked for at each record, as
    a program may set up either long after the monitor was started."""
    structlog = sys.modules.get("structlog")  # of which the program may be importing the rest
    if structlog is not None and getattr(structlog, "is_configured", bool)():
        return structlog.get_logger(NAME)
    logger = logging.getLogger(NAME)
    if logger.level == logging.NOTSET:  # who asks for records wants to see them
        logger.setLevel(logging.INFO)
    return logger


def _through_adapters(
    adapter: logging.LoggerAdapter[Any], level: int, message: str, values: Mapping[str, Any]
) -> None:
    """An adapter puts its own ``extra`` in the place of ours: here both are kept."""
    extra = dict(values)
    inner: Any = adapter
    words: Any = message
    while isinstance(inner, logging.LoggerAdapter):
        words, more = inner.process(words, {"extra": extra})
        extra = {**extra, **(more.get("extra") or {})}
        inner = inner.logger
    inner.log(level, words, extra=extra)


def _without_handlers(
    logger: logging.Logger, level: int, message: str, values: Mapping[str, Any]
) -> None:
    """To stderr, where logging itself would write warnings only."""
    if not logger.isEnabledFor(level) or not has_room():
        return
    record = logger.makeRecord(NAME, level, __file__, 0, message, (), None, "write", dict(values))
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s" if message[:1] == "{" else _WORDS))
    handler.handle(record)
