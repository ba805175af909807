"""A small Flask application, served by werkzeug (threads) or as `web_app:app` by gunicorn."""

from __future__ import annotations

import json
import sys
from typing import Any

from flask import Flask, Response, request

app = Flask(__name__)
cache: dict[int, list[dict[str, Any]]] = {}


@app.get("/items/<int:count>")
def items(count: int) -> Response:
    found = [{"id": i, "name": f"item {i}", "tags": [str(i)] * (i % 5)} for i in range(count)]
    cache[count] = found
    return Response(json.dumps(found), mimetype="application/json")


@app.post("/echo")
def echo() -> Response:
    data = request.get_json()
    return Response(json.dumps(data, sort_keys=True), mimetype="application/json")


@app.get("/fail")
def fail() -> Response:
    raise ValueError("on purpose")


if __name__ == "__main__":
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
    import signal
    import threading

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("ready", flush=True)
    server.serve_forever()
    print("served", len(cache), flush=True)
