"""Boxes drawn into images, and images written as a film that plays in browsers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Items
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Picture

from rolo_bench.boxes import Array, as_boxes, valid
from rolo_bench.errors import DataError, UsageError
from rolo_bench.sequence import Image

TICKS = 90_000
"""Steps of a film's clock in a second; whole numbers of them make 24, 25, 29.97, 30, 50 and 60 frames a second."""
LEAST = 0.002
"""Seconds between two frames; nearer ones might be the same to a file whose clock counts milliseconds."""
BT709 = 1
"""The number by which H.264 and VP9 call the colours that browsers take a film to have."""
CODECS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    ".mp4": (
        "libx264", {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}, {"movflags": "+faststart"},
    ),
    ".webm": (
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "lag-in-frames": "0", "crf": "30", "b": "0"},
        {},
    ),
}  # fmt: skip
"""Encoder, its options and those of the file. Neither keeps frames back, so that none is at work while the clock of a
tracker runs."""
ENDINGS = (*CODECS, ".gif")
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Of targets, told apart with every kind of colour vision (Okabe and Ito)."""

WHITE = (255, 255, 255)


def draw_box(
    image: Image,
    box: Array,
    colour: tuple[int, int, int],
    width: int = 2,
    border: bool = True,
    dash: Items[float] = (),
) -> None:
    """Draw one box into an image, in place, with a border of the opposite brightness or none; NaN draws nothing.

    ``dash`` holds lengths of dash and gap in line widths; empty is solid.
    """
    if not valid(box)[0]:
        return
    limit = 4 * max(image.shape)
    x, y, w, h = (float(v) for v in box)
    ends = np.clip([x, y, x + w - 1, y + h - 1], -limit, limit).round().astype(int)
    a, b = (int(ends[0]), int(ends[1])), (int(ends[2]), int(ends[3]))
    if border:
        _outline(image, a, b, (255, 255, 255) if sum(colour) < 330 else (0, 0, 0), width + 2, [])
    _outline(image, a, b, colour, width, [d * max(width, 1.5) for d in dash])


def _outline(
    image: Image, a: tuple[int, int], b: tuple[int, int], colour: tuple[int, int, int], width: int,
    dash: list[float],
) -> None:  # fmt: skip
    """A rectangle between two corners; its dashes, in pixels, run around it."""
    corners = [a, (b[0], a[1]), b, (a[0], b[1]), a]
    along = 0.0
    for start, end in itertools.pairwise(corners):
        draw_line(image, start, end, colour, width, dash, along)
        along += abs(end[0] - start[0]) + abs(end[1] - start[1])


def draw_line(
    image: Image, start: tuple[int, int], end: tuple[int, int], colour: tuple[int, int, int], width: int,
    dash: Items[float] = (), along: float = 0.0,
) -> None:  # fmt: skip
    """Draw an upright or level line into an image, in place: ``dash`` in pixels, from ``along`` pixels into it on."""
    length = float(abs(end[0] - start[0]) + abs(end[1] - start[1]))
    way = np.sign(np.subtract(end, start))
    across = way == 0 if dash else np.array([True, True])  # a solid line has whole corners
    ends = np.cumsum([*dash] * int(2 + (along + length) / sum(dash))) - along if dash else [length]
    for stop, size in zip(ends[::2], itertools.cycle(dash[::2] or [length])):
        p, q = round(max(stop - size, 0.0)), round(min(stop, length)) - bool(dash)
        if p <= q:
            corners = np.array([start + way * p, start + way * q])
            low = corners.min(axis=0) - across * (width // 2)
            high = corners.max(axis=0) + across * ((width - 1) // 2)
            cv2.rectangle(image, low.tolist(), high.tolist(), colour, -1)


def captioned(image: Image, boxes: Array, text: str, truth: Array | None = None) -> Image:
    """A copy of the image with boxes ``(K, 4)``, the truth ``(4,)`` thin in white, and a label in a corner without box.

    A NaN box is not drawn; lines are thin on small targets.
    """
    picture = image.copy()
    extent, boxes = max(image.shape[:2]), as_boxes(boxes)
    if truth is not None:
        draw_box(picture, truth, WHITE, 1)
    for i, box in enumerate(boxes):
        width = max(round(extent / 320), 2)
        if valid(box)[0]:
            width = min(width, max(round(min(box[2:]) / 12), 1))
        draw_box(picture, box, COLOURS[i % len(COLOURS)], width)
    font, size, thick = cv2.FONT_HERSHEY_SIMPLEX, max(0.45, extent / 1000), max(round(extent / 1000), 1)
    size *= min(1, (image.shape[1] - 8) / cv2.getTextSize(text, font, size, thick)[0][0])
    (width, height), base = cv2.getTextSize(text, font, size, thick)
    high = height + base + 10
    covered = valid(boxes) & (boxes[:, 0] < width + 12) & (boxes[:, 1] < high)
    top = image.shape[0] - high if covered.any() and 2 * high < image.shape[0] else 0
    cv2.rectangle(picture, (0, top), (width + 12, top + high), (20, 20, 20), -1)
    cv2.putText(picture, text, (6, top + height + 6), font, size, WHITE, thick, cv2.LINE_AA)
    return picture


def check_film(path: Path) -> Path:
    """The path of a film to write, if its ending is one of `ENDINGS`.

    Raises:
        UsageError: it is another one.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path}: films are written as {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    return path


@contextmanager
def film(path: Path, rate: float = 25.0) -> Iterator[Callable[..., None]]:
    """Gives ``add(image, at=None)`` for a new film, which is there, whole, at the end; after an exception it is not.

    An image is shown from ``at`` seconds on; without it, or where that is not later than the one before, a frame of
    ``rate`` after that. A film has the size of its first image; the codecs take even ones, so that the last row or
    column of an odd one stands there twice. ``.mp4`` is H.264, ``.webm`` is VP9; in a ``.gif`` an image lasts 0.02 s
    at least.

    Raises:
        UsageError: another ending, or no image was added.
        DataError: the film cannot be written there.
    """
    kind = check_film(path).suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{kind}")
    step, times = 1 / rate, list[float]()
    writer: _Gif | _Video | None = None

    def add(image: Image, at: float | None = None) -> None:
        if at is None or (times and at < times[-1] + LEAST):
            at = times[-1] + step if times else 0.0
        times.append(at)
        assert writer is not None
        writer.add(image, at - times[0])

    try:
        writer = _Gif(part) if kind == ".gif" else _Video(part, *CODECS[kind], rate)
        yield add
        if not times:
            raise UsageError(f"{path}: no frames to write")
        writer.finish(step)
        part.replace(path)
    except OSError as error:  # FFmpeg's are such
        raise DataError(
            f"{path}: {error.strerror or error}; check the folder, rights and free space"
        ) from None
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)


class _Gif:
    """A GIF, which is written at its end."""

    def __init__(self, part: Path) -> None:
        self.part, self.pictures, self.starts = part, list[Any](), list[int]()  # in hundredths of a second

    def add(self, image: Image, at: float) -> None:
        self.pictures.append(Picture.fromarray(image).quantize(128, dither=Picture.Dither.NONE))
        self.starts.append(max(round(100 * at), self.starts[-1] + 2 if self.starts else 0))

    def finish(self, step: float) -> None:
        last = max(round(100 * step), 2)
        lasts = [10 * (b - a) for a, b in zip(self.starts, [*self.starts[1:], self.starts[-1] + last])]
        first, *others = self.pictures
        first.save(self.part, save_all=True, append_images=others, duration=lasts, loop=0)

    def close(self) -> None:
        """Nothing is held."""


class _Video:
    """An MP4 or WebM, written as its images come."""

    def __init__(
        self, part: Path, codec: str, options: dict[str, str], file_options: dict[str, str], rate: float
    ) -> None:
        import av  # 36 MB, and only for films

        self.step = round(TICKS / rate)
        self.file = av.open(str(part), "w", options=file_options)
        stream: Any = self.file.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        self.stream = stream
        self.stream.options = options
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.time_base = Fraction(1, TICKS)
        self.size: tuple[int, int] | None = None

    def add(self, image: Image, at: float) -> None:
        import av

        if self.size is None:
            self.size = (image.shape[1], image.shape[0])
            self.stream.width, self.stream.height = (n + n % 2 for n in self.size)
            context = self.stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = BT709
        if image.shape[1::-1] != self.size:
            image = cv2.resize(image, self.size)  # type: ignore[assignment]
        even = np.pad(image, ((0, self.size[1] % 2), (0, self.size[0] % 2), (0, 0)), "edge")
        frame = av.VideoFrame.from_ndarray(even, "rgb24").reformat(
            format="yuv420p", dst_colorspace=BT709, dst_color_range=BT709
        )
        frame.pts, frame.time_base = round(at * TICKS), Fraction(1, TICKS)
        self._write(frame)

    def _write(self, frame: Any) -> None:
        for packet in self.stream.encode(frame):
            packet.duration = self.step
            self.file.mux(packet)

    def finish(self, step: float) -> None:
        self._write(None)
        self.file.close()

    def close(self) -> None:
        self.file.close()


def write_film(path: Path, images: Iterable[Image], rate: float = 25.0) -> Path:
    """Write images as a film; raises what `film` raises."""
    with film(path, rate) as add:
        for image in images:
            add(image)
    return path
