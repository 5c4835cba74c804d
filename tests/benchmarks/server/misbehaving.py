"""A server of a few lines whose faults are known."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[[str], tuple[int, bytes]]
"""Return the status and the body for a path."""


@contextmanager
def answering(behaviour: Behaviour) -> Iterator[int]:
    """Serve on a free port, which is given, as a function says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, body = behaviour(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-request-id", self.headers.get("x-request-id", ""))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 the name is that of the library

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that leaves is no error

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Counted:
    """A behaviour that counts its requests; `enough` is set once there were so many of each path."""

    def __init__(self, behaviour: Behaviour, n_enough: int, n_paths: int = 2) -> None:
        self._behaviour, self._n_enough, self._n_paths = behaviour, n_enough, n_paths
        self.n_requests: Counter[str] = Counter()
        self.enough = threading.Event()

    def __call__(self, path: str) -> tuple[int, bytes]:
        self.n_requests[path] += 1
        if len(self.n_requests) >= self._n_paths and min(self.n_requests.values()) >= self._n_enough:
            self.enough.set()
        return self._behaviour(path)


class SlowOnce:
    """A behaviour that is slow for the fifth request of a path, and quick otherwise."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._n_requests = 0

    def __call__(self, path: str) -> tuple[int, bytes]:
        self._n_requests += path == self._path
        if path == self._path and self._n_requests == 5:
            time.sleep(self._seconds)
        return 200, b"{}"
