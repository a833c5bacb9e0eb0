"""What a tracker does, while it does it: in a window, or as a page on this machine.

A picture is drawn between two frames, when the tracker's clock stands, at most `RATE` times a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2

from rolo_bench.boxes import Array
from rolo_bench.run.film import captioned
from rolo_bench.run.page import Answer, Page, template
from rolo_bench.run.window import Window
from rolo_bench.sequence import Image, Sequence

RATE = 25.0
WIDE = 960
"""Width in pixels that frames are enlarged to, about."""
BOUNDARY = "rolo-bench-frame"
Screen = Callable[[Image], bool]
"""Shows an RGB picture; False once its user has closed it."""


class Stream:
    """Pictures as a page: JPEG after JPEG, to as many browsers as look."""

    def __init__(self, port: int = 0) -> None:
        self.news = threading.Condition()
        self.picture, self.count, self.over, self.readers = b"", 0, False, 0
        self.page = Page(self._get, None, port)
        self.url = self.page.url

    def __call__(self, picture: Image) -> bool:
        """Show a picture; a page is never closed for good."""
        good, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85]
        )
        if good:
            with self.news:
                self.picture, self.count = jpeg.tobytes(), self.count + 1
                self.news.notify_all()
        return True

    def _get(self, path: str) -> Answer | None:
        if path == "/":
            return "text/html; charset=utf-8", template("live.html")
        if path == "/stream":
            return f"multipart/x-mixed-replace; boundary={BOUNDARY}", self._parts()
        return None

    def _parts(self) -> Iterator[bytes]:
        """A browser shows a picture when the line that ends it has come, so that line is sent with it."""
        line, seen = f"--{BOUNDARY}\r\n".encode(), 0
        with self.news:
            self.readers += 1
        try:
            yield line
            while True:
                with self.news:
                    while self.count == seen and not self.over:
                        self.news.wait()
                    if self.count == seen:
                        return
                    picture, seen = self.picture, self.count
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                yield head.encode() + picture + b"\r\n" + line
        finally:
            with self.news:
                self.readers -= 1
                self.news.notify_all()

    def close(self) -> None:
        """End the page, once whoever looks has the last picture."""
        with self.news:
            self.over = True
            self.news.notify_all()
            self.news.wait_for(lambda: not self.readers, timeout=1)
        self.page.close()


class View:
    """Draws what a tracker does on a screen, as often as an eye can follow."""

    def __init__(self, show: Screen) -> None:
        self.show, self.next, self.open = show, 0.0, True

    def due(self) -> bool:
        """Whether it is time for a picture."""
        return self.open and time.monotonic() >= self.next

    def __call__(self, image: Image, boxes: Array, text: str, truth: Array | None = None) -> bool:
        """Draw boxes ``(K, 4)`` and the truth ``(4,)`` on a frame, if it is time; False once the screen was closed."""
        if self.due():
            self.next = time.monotonic() + 1 / RATE
            scale = min(max(round(WIDE / image.shape[1]), 1), 4)  # lines and words stay thin on small frames
            if scale > 1:
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
            truth = None if truth is None else truth * scale
            self.open = self.show(captioned(image, boxes * scale, text, truth))
        return self.open

    def of_run(self, tracker: str | type, part: Sequence, index: int, image: Image, box: Array) -> None:
        """Draw the box ``(4,)`` that a tracker gave for frame ``index`` of a sequence, and the truth."""
        name = tracker.__name__ if isinstance(tracker, type) else Path(tracker).stem
        self(image, box, f"{name}  {part.name} {index + 1}/{len(part)}", part.truth[index])


@contextmanager
def screen(window: bool, port: int | None, tell: Callable[[str], None]) -> Iterator[View | None]:
    """A view in a window, as a page on a port (0: any), in both, or None; ``tell`` is given the page's address.

    Raises:
        UsageError: there is no display, or the port is taken.
    """
    with ExitStack() as stack:
        screens: list[Screen] = []
        if window:
            shown = Window()
            stack.callback(shown.close)
            screens.append(shown)
        if port is not None:
            stream = Stream(port)
            stack.callback(stream.close)
            screens.append(stream)
            tell(f"live at {stream.url} (this machine alone; from another: ssh -L)")
        yield View(lambda picture: all([show(picture) for show in screens])) if screens else None
