"""A small ASGI application without a framework, served by uvicorn, or by gunicorn's workers of it."""

from __future__ import annotations

import json

CACHE = {number: {"id": number, "name": f"item {number}", "tags": ["a", "b"] * 3} for number in range(2000)}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = json.dumps(list(CACHE.values())[:50]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
