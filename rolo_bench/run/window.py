"""A window, in a process of its own: any thread may show pictures there, and its end is nobody else's."""

from __future__ import annotations

import queue
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

import cv2
import numpy as np

from rolo_bench.errors import UsageError
from rolo_bench.sequence import Image

TITLE = "rolo-bench"
OPEN = b"open\n"
SIZE = struct.Struct("<II")


class Window:
    """A window that shows RGB pictures ``(H, W, 3)``.

    Raises:
        UsageError: there is no display.
    """

    def __init__(self, instead: str = "--serve shows it in a browser") -> None:
        command = [sys.executable, "-m", "rolo_bench.run.window"]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self.child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True
        )
        assert self.child.stdin is not None and self.child.stdout is not None
        self.input = self.child.stdin
        with self.child.stdout as answer:
            if answer.readline() != OPEN:  # Qt ends the process where there is no display
                self.close()
                raise UsageError(f"no display for a window; {instead}")

    def __call__(self, picture: Image) -> bool:
        """Show a picture; False once the window was closed, or q pressed."""
        try:
            self.input.write(SIZE.pack(*picture.shape[:2]) + picture.tobytes())
            self.input.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the window."""
        with suppress(OSError):
            self.input.close()
        self.child.terminate()
        self.child.wait()


def serve(source: BinaryIO) -> None:
    """Show the pictures that come in, always the last, until there are no more, or q is pressed."""
    pictures: queue.Queue[Image | None] = queue.Queue(2)

    def read() -> None:
        while len(header := source.read(SIZE.size)) == SIZE.size:
            height, width = SIZE.unpack(header)
            content = source.read(3 * height * width)
            pictures.put(np.frombuffer(content, np.uint8).reshape(height, width, 3))
        pictures.put(None)

    cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    sys.stdout.buffer.write(OPEN)
    sys.stdout.buffer.flush()
    threading.Thread(target=read, daemon=True).start()
    size = None
    while True:
        with suppress(queue.Empty):
            picture = pictures.get(timeout=0.03)
            if picture is None:
                return
            if picture.shape != size:
                size = picture.shape
                most = min(1280 / size[1], 800 / size[0], 1 if size[1] > 480 else 2)
                cv2.resizeWindow(TITLE, round(size[1] * most), round(size[0] * most))
            cv2.imshow(TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        closed = size is not None and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        if cv2.waitKey(1) & 0xFF == ord("q") or closed:
            return


if __name__ == "__main__":
    with suppress(cv2.error, KeyboardInterrupt):
        serve(sys.stdin.buffer)
