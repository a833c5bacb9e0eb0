"""A local server that fails, truncates, stalls and lies on demand, for tests of downloads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

PAGE = b"<!DOCTYPE html>\n<html><body>please log in</body></html>\n" * 200


class Handler(BaseHTTPRequestHandler):
    """Serves ``files``; ``script[path]`` is a list of misdeeds, one taken by each request."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    script: ClassVar[dict[str, list[str]]] = {}
    log: ClassVar[list[tuple[str, str | None]]] = []
    etag: ClassVar[str] = '"one"'
    served: ClassVar[int] = 0  # bytes of bodies

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.log.append((self.path, wanted))
        plan = self.script.get(self.path, [])
        deed, _, value = (plan.pop(0) if plan else "ok").partition(":")
        content = PAGE if deed == "page" else self.files.get(self.path)
        if content is None or deed == "404":
            self.send_error(404)
            return
        if deed in ("500", "503"):
            self.send_error(int(deed))
            return
        if deed == "hangup":
            self.close_connection = True
            return
        if deed == "redirect":
            self.send_response(302)
            self.send_header("Location", value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        same = deed == "ignore-if-range" or self.headers.get("If-Range", self.etag) == self.etag
        if match and deed != "ignore-range" and same:
            start = int(match[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            shift = 1 if deed == "wrong-range" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        if deed != "no-length":
            self.send_header("Content-Length", str(len(body) + (int(value) if deed == "announce" else 0)))
        if deed != "ignore-range" and self.etag:
            self.send_header("ETag", self.etag)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # the client may give up, as it should
            self._send(body, deed, value)

    def _send(self, body: bytes, deed: str, value: str) -> None:
        if deed == "truncate":
            self._write(body[: int(value)])
        elif deed == "stall":
            self._write(body[: int(value)])
            time.sleep(1.2)
        elif deed == "slow":
            for i in range(0, len(body), 4096):
                self._write(body[i : i + 4096])
                time.sleep(0.05)
        elif deed == "trickle":
            for i in range(40):
                self._write(body[i : i + 1])
                time.sleep(0.05)
        else:
            self._write(body)

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        Handler.served += len(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[str]:
    """The address of a server with these files, and a clean `Handler`."""
    Handler.files, Handler.script, Handler.log, Handler.etag, Handler.served = dict(files), {}, [], '"one"', 0
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()
