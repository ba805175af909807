"""Programs to be measured when idle; the first argument says how this one behaves.

    plain [BYTES]    says "ready" and waits, holding so many bytes
    port PORT        answers HTTP on a port, a second late
    forks COUNT      forks so many children, which wait; each has written to a MB of its own
    daemon           leaves a grandchild in a session of its own, and ends
    grows            says "ready" and takes ever more
    stubborn         ignores SIGTERM
    loud             prints without an end
    later            says "ready", and ends with status 4 when a file appears: its second argument
    garbage          leaves 20 MB in a cycle that nobody collects
    ends STATUS      ends with that status at once
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time


def wait():
    print("ready", flush=True)
    while True:
        time.sleep(60)


def plain(size="0"):
    held = bytearray(b"x" * int(size))
    wait()
    del held


def port(number):
    import http.server

    time.sleep(1)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response({"/ok": 204, "/moved": 302}.get(self.path, 404))
            self.end_headers()

    http.server.HTTPServer(("127.0.0.1", int(number)), Handler).serve_forever()


def forks(count, *_):
    shared = bytearray(b"s" * 8_000_000)
    for _ in range(int(count)):
        if os.fork() == 0:
            own = bytearray(b"x" * 1_000_000)
            time.sleep(10_000)
            del own
    wait()
    del shared


def daemon(*_):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            plain("10000000")
        os._exit(0)
    os._exit(0)


def grows():
    print("ready", flush=True)
    held = []
    while True:
        held.append(bytearray(b"x" * 500_000))
        time.sleep(0.02)


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait()


def loud():
    print("ready", flush=True)
    while True:
        print("x" * 1000)


def later(path):
    print("ready", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    print("the last line")
    sys.exit(4)


def garbage():
    gc.disable()
    cycle = [bytearray(b"x" * 20_000_000)]
    cycle.append(cycle)
    del cycle
    wait()


def ends(status):
    print("the last line")
    sys.exit(int(status))


globals()[sys.argv[1]](*sys.argv[2:])
