"""A small server with its load, and with a common fault: a cache that nothing bounds.

    heaptide run examples/note_server.py [REQUESTS]

It serves itself so many requests on the loopback interface, then ends.
"""

from __future__ import annotations

import json
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RENDERED: dict[str, bytes] = {}  # never emptied: the fault


def load(number: int) -> dict[str, object]:
    """A note, as a database would return it."""
    return {"id": number, "text": f"note {number} " * 40, "tags": ["a", "b", "c"]}


def render(number: int) -> bytes:
    """The page of a note. Whoever asks with another query gets another page."""
    note = load(number)
    lines = [f"<p>{word}</p>" for word in str(note["text"]).split()]
    return "\n".join([json.dumps(note), *lines]).encode()


class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer is one packet

    def do_GET(self) -> None:
        page = RENDERED.get(self.path)
        if page is None:
            page = RENDERED[self.path] = render(int(self.path.rpartition("=")[2]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    server = ThreadingHTTPServer(("127.0.0.1", 0), Notes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = HTTPConnection("127.0.0.1", server.server_port)
    received = 0
    for number in range(requests):
        connection.request("GET", f"/note?session={number % 97}&id={number}")
        received += len(connection.getresponse().read())
    connection.close()
    server.shutdown()
    print(f"{requests} requests, {received / 1e6:.1f} MB sent, {len(RENDERED)} pages kept")


if __name__ == "__main__":
    main()
