"""json.dumps and json.loads in a loop. usage: py_json.py ITERATIONS"""

from __future__ import annotations

import json

from bench_clock import timed


def run(iterations: int) -> None:
    users = [
        {"id": i, "name": f"user-{i}", "tags": ["a", "b", f"c{i}"], "score": i * 1.5}
        for i in range(40)
    ]
    document = {"users": users}
    kept = []
    for i in range(iterations):
        text = json.dumps(document)
        again = json.loads(text)
        if i % 500 == 0:
            kept.append(again)


if __name__ == "__main__":
    for arguments in timed():
        run(*arguments)
