"""A service that tells its memory to Prometheus, makes garbage in the shape of a saw-tooth, and
keeps so many bytes a second of it: ``service.py PORT BYTES``."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric

from heaptide.monitor._figures import COUNTER
from heaptide.monitor._source import Source

TICK = 0.1  # seconds
BLOCK = 3_000_000  # bytes that are garbage soon, each tick of the first half of a second


class Figures:
    def __init__(self) -> None:
        self._source = Source()

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for one in self._source.read():
            figure, name = one.figure, one.figure.metric
            bare = name[: -len("_total")] if figure.kind == COUNTER else name
            family = found.setdefault(name, Metric(bare, figure.help, figure.kind))
            family.add_sample(name, dict(zip(figure.labels, one.labels)), one.value)
        yield from found.values()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def work(leak: int) -> None:
    kept, garbage = [], []
    for tick in range(1 << 60):
        if tick % 10 < 5:
            garbage.append(b"x" * BLOCK)
        else:
            garbage.clear()
        if leak:
            kept.append(b"x" * int(leak * TICK))
        time.sleep(TICK)


def main() -> None:
    registry = CollectorRegistry()
    registry.register(Figures())
    port, leak = map(int, sys.argv[1:])
    with make_server("127.0.0.1", port, make_wsgi_app(registry), handler_class=Quiet) as server:
        threading.Thread(target=work, args=(leak,), daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main()
