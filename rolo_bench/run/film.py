"""Boxes drawn into images, and images written as a film."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Picture

from rolo_bench.boxes import Array, valid
from rolo_bench.errors import DataError, UsageError
from rolo_bench.sequence import Image

ENDINGS = (".mp4", ".gif")


def draw_box(
    image: Image, box: Array, colour: tuple[int, int, int], width: int = 2, border: bool = True
) -> None:
    """Draw one box into an image, in place, with a border of the opposite brightness or none; NaN draws nothing."""
    if not valid(box)[0]:
        return
    limit = 4 * max(image.shape)
    x, y, w, h = (float(v) for v in box)
    ends = np.clip([x, y, x + w - 1, y + h - 1], -limit, limit).round().astype(int)
    a, b = (int(ends[0]), int(ends[1])), (int(ends[2]), int(ends[3]))
    if border:
        around = (255, 255, 255) if sum(colour) < 330 else (0, 0, 0)
        cv2.rectangle(image, a, b, around, width + 2, cv2.LINE_8)
    cv2.rectangle(image, a, b, colour, width, cv2.LINE_8)


@contextmanager
def film(path: Path, rate: float = 25.0) -> Iterator[Callable[[Image], None]]:
    """Gives a function that adds an image to a new ``.mp4`` or ``.gif``, which is there, whole, at the end.

    An MP4 has the size of its first image, less an odd row or column. After an exception nothing is written.

    Raises:
        UsageError: another ending, or no image was added.
        DataError: an MP4 cannot be written there.
    """
    kind = path.suffix.lower()
    if kind not in ENDINGS:
        raise UsageError(f"{path}: videos are written as .mp4 or .gif")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{kind}")
    pictures: list[Any] = []  # of a GIF, which is written at its end
    writer, size = cv2.VideoWriter(), (0, 0)

    def add(image: Image) -> None:
        nonlocal size
        if kind == ".gif":
            pictures.append(Picture.fromarray(image).quantize(128, dither=Picture.Dither.NONE))
            return
        even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2, ::-1])
        if not writer.isOpened():
            size = (even.shape[1], even.shape[0])
            if not writer.open(str(part), cv2.VideoWriter.fourcc(*"mp4v"), rate, size):
                raise DataError(f"{path}: cannot write an MP4 there; check the folder, or write a .gif")
        writer.write(even if even.shape[1::-1] == size else cv2.resize(even, size))

    try:
        yield add
        if not (pictures or writer.isOpened()):
            raise UsageError(f"{path}: no frames to write")
        if pictures:
            step = max(round(1000 / rate), 20)
            pictures[0].save(part, save_all=True, append_images=pictures[1:], duration=step, loop=0)
        writer.release()
        part.replace(path)
    finally:
        writer.release()
        part.unlink(missing_ok=True)


def write_film(path: Path, images: Iterable[Image], rate: float = 25.0) -> Path:
    """Write images as ``.mp4`` or ``.gif``; raises what `film` raises."""
    with film(path, rate) as add:
        for image in images:
            add(image)
    return path
