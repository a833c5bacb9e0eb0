"""Programs that speak TraX, the protocol of VOT's toolkit, through that protocol's own library (``vot-trax``).

Boxes go out and come in as rectangles; a program that knows polygons or masks alone is given those, and the box around
what it answers counts. Its ``confidence`` is the score.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.masks import box_of
from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.run.external import Command
from rolo_bench.sequence import Image

LACKING = "protocol=trax needs the package vot-trax: pip install 'rolo-bench[trax]'"


class Trax(Command):
    """A program behind the tracker contract that is spoken to in TraX.

    Raises:
        UsageError: the package of the protocol is not installed.
    """

    def __init__(self, command: str, timeout: float) -> None:
        super().__init__(command, timeout)
        try:
            import trax.client
        except ImportError:
            raise UsageError(LACKING) from None
        self.trax = trax

    def init(self, image: Image, box: Array) -> None:
        """Start the program and its target.

        Raises:
            TrackerError: it is no TraX tracker, or wants what is not at hand: another image than a colour one.
        """
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        with self._within():
            streams = process.stdin.fileno(), process.stdout.fileno()
            self.client = self.trax.client.Client(streams, log=lambda *_: None)  # it fails without a log
            if "color" not in self.client.channels:
                raise TrackerError(
                    f"{self.words[0]} wants images of {', '.join(self.client.channels)}, not of colour"
                )
            region = self._region(box, image)
            self.client.initialize({"color": self._image(image)}, [(region, {})], {})

    def update(self, image: Image) -> Array | tuple[Array, float]:
        """The program's box, with its confidence if it gives one; NaN for an empty or special region."""
        with self._within():
            objects, _ = self.client.frame({"color": self._image(image)}, {}, [])
        if not objects:
            return np.full(4, np.nan)
        region, properties = objects[0]
        box, score = self._box(region), properties.get("confidence")
        return box if score is None else (box, float(score))

    @contextmanager
    def _within(self) -> Iterator[None]:
        """A request: the program is ended if it takes longer than it may.

        Raises:
            TrackerError: it did, it ended, or it answered with something else.
        """
        process, late = self.process, threading.Event()
        assert process is not None

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.timeout, stop)
        timer.start()
        try:
            yield
        except self.trax.TraxException as error:
            with suppress(Exception):
                process.wait(1)
            if late.is_set():
                raise self.late() from None
            if process.poll() is not None:
                raise self.ended(process.returncode) from None
            raise TrackerError(f"{self.words[0]}: {error}") from None
        finally:
            timer.cancel()

    def _image(self, image: Image) -> Any:
        """An image in a form that the program takes: a file, pixels, or the contents of a file."""
        formats = self.client.image_formats
        if "path" in formats:
            return self.trax.image.FileImage.create(str(self.picture(image)))
        if "memory" in formats:
            return self.trax.image.MemoryImage.create(image)
        return self.trax.image.BufferImage.create(self.picture(image).read_bytes())

    def _region(self, box: Array, image: Image) -> Any:
        """A box ``(4,)`` as a region that the program takes."""
        x, y, w, h = (float(v) for v in box)
        formats, kinds = self.client.region_formats, self.trax.region
        if "rectangle" in formats:
            return kinds.Rectangle.create(x, y, w, h)
        if "polygon" in formats:
            return kinds.Polygon.create([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
        mask = np.zeros(image.shape[:2], dtype=np.uint8)
        mask[max(round(y), 0) : round(y + h), max(round(x), 0) : round(x + w)] = 1
        return kinds.Mask.create(mask)

    def _box(self, region: Any) -> Array:
        """The box around a region."""
        if region.type == "rectangle":
            return np.array(region.bounds(), dtype=np.float64)
        if region.type == "polygon":
            points = np.array([region.get(k) for k in range(region.size())])
            return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])
        if region.type == "mask":
            return box_of(region.array()) + [*region.offset(), 0, 0]
        return np.full(4, np.nan)

    def close(self) -> None:
        """End the program, after the library's end of the line, which needs its log to the last."""
        client = self.__dict__.pop("client", None)
        if client is not None:
            client._handle = None
        super().close()
