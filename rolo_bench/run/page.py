"""A web page on this machine, for whoever sits at it: served on the loopback address alone, and to no other site."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import urlsplit

from rolo_bench.errors import RoloBenchError, UsageError

OURS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
"""Hosts under which a browser may ask; under any other it was led here by somebody else's name server."""
MOST = 1 << 24
"""Bytes that a page may send."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

Answer = tuple[str, bytes | Iterator[bytes]]
"""Content type, and the content, or its parts as they come."""
Get = Callable[[str], Answer | None]
Post = Callable[[str, bytes], Answer | None]


def template(name: str) -> bytes:
    """A page that comes with rolo-bench."""
    return files("rolo_bench.run").joinpath("pages", name).read_bytes()


class Page:
    """A server for one page, in threads of its own, until it is closed.

    Args:
        get, post: what to answer to a path, and to a path with what was sent; None is "not found". They are called in
            many threads.
        port: 0 takes one that is free.

    Raises:
        UsageError: the port is taken, or not to be had.
    """

    def __init__(self, get: Get, post: Post | None = None, port: int = 0) -> None:
        try:
            self.server = _Server(("127.0.0.1", port), _handler(get, post))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"port {port} cannot be had ({error}); leave it out to take a free one"
            ) from None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True, name="page").start()

    def close(self) -> None:
        """Serve no more."""
        self.server.shutdown()
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away in the middle of an answer is no event."""


def _handler(get: Get, post: Post | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_GET(self) -> None:
            if self._trusted():
                self._answer(get)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if post is None or not length.isdigit() or int(length) > MOST:
                self.send_error(400)
            elif self._trusted():
                content = self.rfile.read(int(length))
                self._answer(lambda path: post(path, content))

        def _trusted(self) -> bool:
            """Whether the page itself asks, or the user's own click; refused otherwise."""
            host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
            site, mode = self.headers.get("Sec-Fetch-Site"), self.headers.get("Sec-Fetch-Mode")
            opened = self.command == "GET" and mode == "navigate" and self.path == "/"
            known = OURS.fullmatch(host) and origin in (None, f"http://{host}")
            if known and (site in (None, "same-origin", "none") or opened):
                return True
            self.send_error(403, "only for the page itself, on this machine")
            return False

        def _answer(self, find: Get) -> None:
            try:
                found = find(urlsplit(self.path).path)
            except (RoloBenchError, ValueError, OSError) as error:
                self.send_error(400, explain=str(error))
                return
            if found is None:
                self.send_error(404)
                return
            kind, content = found
            self.send_response(200)
            for name, value in {"Content-Type": kind, **HEADERS}.items():
                self.send_header(name, value)
            if isinstance(content, bytes):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):  # the browser went away
                for part in [content] if isinstance(content, bytes) else content:
                    self.wfile.write(part)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal is for progress."""

    return Handler
