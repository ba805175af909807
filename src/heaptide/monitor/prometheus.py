"""A service's memory for Prometheus, through prometheus-client: ``heaptide[prometheus]``.

    from heaptide.monitor import prometheus

    prometheus.register()

After that what the service exports already has it too. Where it exports nothing, one of
``make_wsgi_app``, ``make_asgi_app``, ``start_http_server`` and ``start_pushing`` does.
docs/monitoring-prometheus.md has all metrics, and says what they cost.

With ``PROMETHEUS_MULTIPROC_DIR``, prometheus-client's multi-process mode, the worker that is asked
tells the figures of all workers, each with its ``pid``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

from heaptide.allocators import ProcessReader
from heaptide.allocators.process import INTERVAL
from heaptide.errors import HeaptideError, UsageError

from ._figures import FIGURES, Sample
from ._logger import say
from ._push import Pusher
from ._source import PATIENCE, Source

try:
    import prometheus_client
    from prometheus_client import (
        REGISTRY,
        CollectorRegistry,
        GCCollector,
        ProcessCollector,
        push_to_gateway,
    )
    from prometheus_client.metrics_core import Metric
    from prometheus_client.multiprocess import MultiProcessCollector
except ImportError:
    raise HeaptideError(
        "metrics for Prometheus need prometheus-client: pip install 'heaptide[prometheus]', or "
        "pip install prometheus-client"
    ) from None

from ._crew import crew_of
from ._families import Families, family_name
from ._sums import has_sum, sums

__all__ = [
    "Collector",
    "Pusher",
    "Server",
    "default_registry",
    "make_asgi_app",
    "make_wsgi_app",
    "register",
    "start",
    "start_http_server",
    "start_pushing",
]

_OBJECTS = "python.tracked_objects"
_MOST_PORTS, _DIGITS = 65535, 5
_STOCK = {family_name(figure) for figure in FIGURES.values() if figure.stock}


class Collector:
    """The figures of this process, or of all workers, whenever a registry asks for them.

    It may be registered in several registries, be made anew for each scrape, be used from several
    threads, and in forked children: what costs is kept once for the process.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        objects: bool = False,
        alias: Mapping[str, str] | None = None,
        sum_workers: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        """Does not register itself: `register` does.

        ``registry``: where it will be. What prometheus-client's own collectors export there, such
        as ``process_resident_memory_bytes``, it leaves to them, and exports if they do not. None:
        it is not known, and left to them, but for multi-process mode, which they do not have.

        ``objects``: the number of objects that Python's collector of garbage tracks as well, which
        takes 10 ms for a million. ``alias``: more names, and the figure that each is of, such as
        ``{"misskey_memory_bytes": "process.rss"}``. ``sum_workers``: of workers not each, but their
        sums. ``interval``: seconds between two readings of PSS and USS, at least.

        Raises UsageError: a name of ``alias`` cannot be one, or there is no such figure;
        ``interval`` is no number of seconds. HeaptideError: the folder for all workers may not be
        written.
        """
        _check_seconds("interval", interval)
        if not isinstance(alias, (Mapping, type(None))):
            example = '{"app_rss": "process.rss"}'
            raise UsageError(f"alias={alias!r}: say name and figure, as {example}")
        folder = _multiprocess_folder()
        if not objects and _OBJECTS in (alias or {}).values():
            raise UsageError(f"an alias of {_OBJECTS} needs objects=True: counting them takes time")
        self._families = Families(alias, label="pid")
        self._sum = sum_workers and folder is not None
        self._objects, self._registry = objects, registry
        self._read: Callable[[], Iterable[tuple[str, Sample]]]
        if folder is None:
            source = _source(objects, interval)
            self._source = source
            self._read = lambda: [("", one) for one in source.read()]
            self._left = frozenset(_STOCK if registry is None else ())
        else:
            crew = crew_of(folder, objects=objects, interval=interval)
            self._source = crew.source
            # (Another collector of this process may have asked for its objects.)
            self._read = lambda: [
                one for one in crew.read() if objects or one[1].figure.key != _OBJECTS
            ]
            self._left = frozenset()

    def describe(self) -> Iterable[Metric]:
        """Names and types, for which nothing is read."""
        return self._families.describe(
            figure
            for key, figure in FIGURES.items()
            if (self._objects or key != _OBJECTS)
            and (not self._sum or has_sum(figure) or _alone(key))
        )

    def refresh(self) -> None:
        """Reads now what is read rarely of this process, PSS and what allocators tell, whatever it
        costs: the next that asks gets that."""
        self._source.refresh()

    def collect(self) -> Iterable[Metric]:
        """0.4 to 0.9 ms, and 0.6 ms for each other worker, with the text that is made of it."""
        samples = self._read()
        if self._sum:
            samples = sums(samples)
        return self._families.of(samples, self._left | _exported(self._registry))


def _check_seconds(name: str, written: object) -> None:
    """Raises UsageError: it is no positive number."""
    number = isinstance(written, (int, float)) and not isinstance(written, bool)
    if not number or not written > 0:  # type: ignore[operator]
        raise UsageError(f"{name}={written!r} is no positive number of seconds")


def _alone(key: str) -> bool:
    """Whether it is no worker's own."""
    return key.startswith(("cgroup.", "pressure."))


def _multiprocess_folder() -> Path | None:
    """As prometheus-client has it, which also knows the older name."""
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        if os.environ.get(name):
            return Path(os.environ[name])
    return None


@functools.cache
def _source(objects: bool, interval: float) -> Source:
    return Source(objects=objects, process=ProcessReader(interval=interval, patience=PATIENCE))


_names: weakref.WeakKeyDictionary[object, frozenset[str]] = weakref.WeakKeyDictionary()


def _exported(registry: CollectorRegistry | None) -> frozenset[str]:
    """Which of the figures that prometheus-client has of its own a registry has from it by now,
    described or not."""
    found: set[str] = set()
    for one in _collectors(registry):
        if isinstance(one, (GCCollector, ProcessCollector)):
            if one not in _names:
                _names[one] = frozenset(metric.name for metric in one.collect())
            found |= _names[one]
    return frozenset(found)


def _place(registry: CollectorRegistry | None) -> CollectorRegistry:
    """The default one if there is none. Raises UsageError: it is no registry."""
    if registry is None:
        return default_registry()
    if not hasattr(registry, "register"):
        raise UsageError(f"registry={registry!r} is no registry of prometheus-client")
    return registry


def _collectors(registry: CollectorRegistry | None) -> list[object]:
    """A registry has no public way to ask; where it has not this one, nothing is known."""
    return list(getattr(registry, "_collector_to_names", ()))


@functools.cache
def _workers_registry(folder: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


def default_registry() -> CollectorRegistry:
    """prometheus-client's ``REGISTRY``; in multi-process mode one that tells the metrics of all
    workers, those of the service as well. Raises HeaptideError: their folder does not exist."""
    folder = _multiprocess_folder()
    if folder is None:
        return REGISTRY
    try:
        return _workers_registry(folder)
    except ValueError:
        raise HeaptideError(
            f"{folder}, the value of PROMETHEUS_MULTIPROC_DIR, is no folder: make it before the "
            "service starts"
        ) from None


def register(
    registry: CollectorRegistry | None = None,
    *,
    objects: bool = False,
    alias: Mapping[str, str] | None = None,
    sum_workers: bool = False,
    interval: float = INTERVAL,
) -> Collector:
    """Registers a `Collector`, with the same parameters; in `default_registry` if there is none.

    Raises as `Collector`, and UsageError: the registry has one, or metrics of the same names.
    """
    place = _place(registry)
    if _has_collector(place):
        raise UsageError("this registry has heaptide's collector: unregister it before another")
    collector = Collector(
        place, objects=objects, alias=alias, sum_workers=sum_workers, interval=interval
    )
    try:
        place.register(collector)
    except ValueError as error:  # which names them
        raise UsageError(f"heaptide's collector cannot be registered: {error}") from None
    return collector


def _has_collector(registry: CollectorRegistry) -> bool:
    return any(isinstance(one, Collector) for one in _collectors(registry))


def _ready(registry: CollectorRegistry | None) -> CollectorRegistry:
    """Registers a collector where there is none."""
    place = _place(registry)
    if not _has_collector(place):
        register(place)
    return place


def make_wsgi_app(registry: CollectorRegistry | None = None) -> Callable[..., Any]:
    """prometheus-client's WSGI application for a registry, to be mounted at ``/metrics``. Where the
    registry has no `Collector`, that is registered first. Raises as `register`."""
    app: Callable[..., Any] = prometheus_client.make_wsgi_app(_ready(registry))
    return app


def make_asgi_app(registry: CollectorRegistry | None = None) -> Callable[..., Any]:
    """The same for ASGI."""
    app: Callable[..., Any] = prometheus_client.make_asgi_app(_ready(registry))
    return app


class Server:
    """A server in a thread, which does not keep the program from ending."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server, self._thread = server, thread
        self._process = os.getpid()
        _servers.add(self)

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        """Returns when it no longer listens. In a forked child it never did."""
        _servers.discard(self)
        if self._process == os.getpid():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _leave(self) -> None:
        """In a forked child: it would keep the port when its parent has ended, and not answer."""
        with contextlib.suppress(OSError):
            self._server.socket.close()


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _after_in_child() -> None:
    for one in list(_servers):
        one._leave()
    _servers.clear()


os.register_at_fork(after_in_child=_after_in_child)


def start_http_server(
    port: int, addr: str = "127.0.0.1", registry: CollectorRegistry | None = None
) -> Server:
    """Serves a registry's metrics at any path, by prometheus-client's server. ``port`` 0: a free
    one. ``addr`` ``"0.0.0.0"``: on all interfaces. Raises as `register`; UsageError: ``port`` is
    none; HeaptideError: it cannot listen there."""
    if not isinstance(port, int) or not 0 <= port <= _MOST_PORTS:
        raise UsageError(f"port={port!r} is no port: say a number up to {_MOST_PORTS}")
    place = _ready(registry)
    try:
        return Server(*prometheus_client.start_http_server(port, addr, place))
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        # ValueError: no name of a host; RuntimeError: no more threads, or the interpreter ends.
        raise HeaptideError(
            f"metrics cannot be served on port {port} of {addr}: {_reason(error)}; say another "
            "port or address"
        ) from None


def _reason(error: Exception) -> str:
    """In words, without numbers of the system and what urllib puts around them."""
    while isinstance(reason := getattr(error, "reason", None), Exception):
        error = reason
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def start(
    target: int | str | bool | CollectorRegistry,
    *,
    objects: bool = False,
    alias: str | None = None,
) -> Callable[[], None]:
    """What ``heaptide.monitor(prometheus=target)`` does: a port, or ``"host:port"``, on which the
    default registry is served; True, or a registry: a collector in it. ``alias``: one more name of
    RSS. Gives what ends it.

    Where the registry has a collector already, that stays as it is. Raises as `register` and
    `start_http_server`, and UsageError: ``target`` is none of these.
    """
    address = None if target is True else _address(target)
    if not isinstance(alias, (str, type(None))):
        raise UsageError(
            f"alias={alias!r} is no name: say one, or call prometheus.register(alias=...)"
        )
    given = target if isinstance(target, CollectorRegistry) else None
    registry = default_registry() if given is None else given
    names = {alias: "process.rss"} if alias else None
    collector = None
    if not _has_collector(registry):
        collector = register(registry, objects=objects, alias=names)

    def leave() -> None:
        with contextlib.suppress(KeyError):  # somebody else has unregistered it
            if collector is not None:
                registry.unregister(collector)

    if address is None:
        return leave
    host, port = address
    try:
        server = start_http_server(port, host, registry)
    except BaseException:
        leave()
        raise
    if not port:
        say("metrics are served on port %d", server.port)

    def stop() -> None:
        server.close()
        leave()

    return stop


def _address(target: object) -> tuple[str, int] | None:
    """Host and port; None: it is a registry. Raises UsageError."""
    if isinstance(target, CollectorRegistry):
        return None
    host, _, port = str(target).rpartition(":")
    if not port.isdecimal() or len(port) > _DIGITS or int(port) > _MOST_PORTS:
        raise UsageError(
            f"prometheus={target!r} is no port (9100, '0.0.0.0:9100'), no registry, and not True"
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def start_pushing(
    gateway: str,
    job: str,
    *,
    every: float | None = 60.0,
    grouping_key: Mapping[str, str] | None = None,
    timeout: float = 10.0,
    registry: CollectorRegistry | None = None,
) -> Pusher:
    """Pushes a registry's metrics to a pushgateway, by PUT, every so many seconds and when the
    `Pusher` is closed; ``every`` None: only then, and when it is called. Then, and when it is
    closed, PSS and what allocators tell are read anew, as `Collector.refresh` does.

    ``gateway``: its address, with or without ``http://``. ``grouping_key``: labels that tell this
    one from others of the same job. ``timeout``: seconds. A push that fails is a warning of the
    logger ``heaptide.monitor``, once, until one succeeds. Raises as `register`, and UsageError:
    ``every`` or ``timeout`` is no positive number, ``gateway`` or ``job`` no text.
    """
    if every is not None:
        _check_seconds("every", every)
    _check_seconds("timeout", timeout)
    for name, written in (("gateway", gateway), ("job", job)):
        if not isinstance(written, str) or not written:
            raise UsageError(f"{name}={written!r} is no text: say where to push, and a job's name")
    place = _ready(registry)
    key = dict(grouping_key or {})

    def push(fresh: bool) -> None:
        for one in _collectors(place) if fresh else ():
            if isinstance(one, Collector):
                one.refresh()
        try:
            push_to_gateway(gateway, job, place, key, timeout)
        except (OSError, HTTPException, ValueError) as error:
            raise HeaptideError(
                f"metrics cannot be pushed to {gateway}: {_reason(error)}; is a pushgateway there?"
            ) from None

    return Pusher(push, every)
