"""This process's memory for Prometheus, through prometheus-client: ``heaptide[prometheus]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from heaptide.errors import HeaptideError

from ._figures import COUNTER, FIGURES, Sample
from ._source import Source

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client import make_wsgi_app as _make_wsgi_app
    from prometheus_client.metrics_core import Metric
except ImportError:
    raise HeaptideError(
        "metrics for Prometheus need prometheus-client: pip install 'heaptide[prometheus]', or "
        "pip install prometheus-client"
    ) from None


class Collector:
    """Figures of this process, each time they are asked for. To be registered in a registry."""

    def __init__(self, *, objects: bool = False) -> None:
        self._source = Source(objects=objects)

    def describe(self) -> Iterable[Metric]:
        """Names and types, without reading anything."""
        return [_family(key) for key, figure in FIGURES.items() if not figure.stock]

    def collect(self) -> Iterable[Metric]:
        return _families(self._source.read())


def _families(samples: Sequence[Sample]) -> list[Metric]:
    found: dict[str, Metric] = {}
    for one in samples:
        figure = one.figure
        if figure.stock:
            continue
        if figure.key not in found:
            found[figure.key] = _family(figure.key)
        found[figure.key].add_sample(figure.metric, dict(zip(figure.labels, one.labels)), one.value)
    return list(found.values())


def _family(key: str) -> Metric:
    figure = FIGURES[key]
    name = figure.metric[: -len("_total")] if figure.kind == COUNTER else figure.metric
    return Metric(name, figure.help, figure.kind, figure.unit)


def register(registry: CollectorRegistry = REGISTRY, *, objects: bool = False) -> Collector:
    collector = Collector(objects=objects)
    registry.register(collector)
    return collector


def make_wsgi_app() -> Callable[..., Any]:
    register()
    app: Callable[..., Any] = _make_wsgi_app()
    return app
