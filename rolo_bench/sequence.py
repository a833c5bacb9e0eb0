"""A video with its truth, and images decoded ahead of whoever reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, as_boxes
from rolo_bench.errors import DataError

Image = NDArray[np.uint8]


class FrameSource(Protocol):
    """Where images come from: a count and random access."""

    def __len__(self) -> int:
        """Number of frames."""

    def image(self, index: int) -> Image:
        """Frame ``index`` (from 0) as RGB uint8 ``(H, W, 3)``."""


def decode(content: bytes, what: str) -> Image:
    """An image file's content as RGB uint8 ``(H, W, 3)``: the pixels as they are stored, whatever EXIF says of turning.

    Raises:
        DataError: it is not an image; the message begins with ``what``.
    """
    import cv2

    data = np.frombuffer(content, dtype=np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    except cv2.error:  # a header that says more pixels than it decodes
        image = None
    if image is None:
        raise DataError(f"{what}: not a readable image ({len(data)} bytes); fetch the sequence again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def unreadable(path: Path, error: OSError, kind: type[DataError] = DataError) -> DataError:
    """The error of a frame whose file the system does not give."""
    return kind(f"{path}: cannot read the frame ({error.strerror}); fetch the sequence again")


def read_frame(path: Path) -> bytes:
    """Contents of a frame's file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


@dataclass(frozen=True)
class ImageFiles:
    """Frames stored as image files, one path each."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Image:
        """One file's image, as `decode` reads it.

        Raises:
            DataError: the file is missing or is not an image.
        """
        path = self.paths[index]
        return decode(read_frame(path), str(path))


@dataclass(frozen=True)
class ArrayFrames:
    """Frames held in memory, each RGB uint8 ``(H, W, 3)``."""

    images: tuple[Image, ...]

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Image:
        """Frame ``index`` as it was given."""
        return self.images[index]


@dataclass(frozen=True)
class _Part:
    """Frames ``start`` up to ``stop`` of another source."""

    source: FrameSource
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def image(self, index: int) -> Image:
        return self.source.image(self.start + index)


@dataclass(frozen=True, repr=False)
class Sequence:
    """A video, its truth and what is known about it.

    Attributes:
        name: the benchmark's own spelling.
        frames: the images.
        truth: ``(N, 4)`` x, y, w, h in 0-based pixels; NaN rows where the target has no box.
        attributes: challenge flags such as ``OCC`` and ``SV``.
        first_frame: the number in the video of the first frame (BlurCar1 starts at 247).
        visibility: ``(N,)`` share of the target that is seen, 0 … 1, where that is known.
        absent: ``(N,)`` True where the annotation says that the target is not to be seen, where it says so.
        annotated: ``(N,)`` False on frames that nobody annotated, which are then not scored; None for all.
        extent: width and height of the images as the data set states them.

    Raises:
        DataError: the number of frames differs from the number of truth rows, or there are none.
    """

    name: str
    frames: FrameSource
    truth: Array
    attributes: tuple[str, ...] = ()
    first_frame: int = 1
    visibility: Array | None = None
    absent: NDArray[np.bool_] | None = None
    annotated: NDArray[np.bool_] | None = None
    extent: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        truth = as_boxes(self.truth).copy()
        truth.setflags(write=False)
        object.__setattr__(self, "truth", truth)
        if len(self.frames) != len(truth):
            raise DataError(
                f"{self.name}: {len(self.frames)} frames but {len(truth)} truth boxes; fetch the sequence again"
            )
        if not len(truth):
            raise DataError(f"{self.name}: the sequence has no frames")

    def size(self) -> tuple[int, int]:
        """Width and height of the first image in pixels."""
        height, width = self.frames.image(0).shape[:2]
        return width, height

    def __repr__(self) -> str:
        x, y, w, h = (f"{v:g}" for v in self.truth[0])
        flags = f"attributes {' '.join(self.attributes)}" if self.attributes else "no attributes"
        return f"Sequence {self.name}: {len(self):,} frames, {flags}, first box {x}, {y}, {w} × {h}"

    def __len__(self) -> int:
        return len(self.truth)

    def slice(self, start: int, stop: int) -> Sequence:
        """Frames ``start`` up to ``stop`` (indices from 0) as a sequence of its own."""
        part = slice(start, stop)
        return replace(
            self,
            frames=_Part(self.frames, start, stop),
            truth=self.truth[part],
            first_frame=self.first_frame + start,
            visibility=None if self.visibility is None else self.visibility[part],
            absent=None if self.absent is None else self.absent[part],
            annotated=None if self.annotated is None else self.annotated[part],
        )

    def truth_digest(self) -> str:
        """SHA-256 of the truth ``(N, 4)`` as little-endian float64: which annotation a result belongs to."""
        return hashlib.sha256(np.ascontiguousarray(self.truth, dtype="<f8").tobytes()).hexdigest()


def prefetch(
    frames: FrameSource, start: int = 0, stop: int | None = None, depth: int = 4
) -> Generator[Image, None, None]:
    """Frames ``start`` up to ``stop`` in order, decoded up to ``depth`` ahead in one background thread."""
    stop = len(frames) if stop is None else stop
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="frames") as pool:
        ahead = [pool.submit(frames.image, i) for i in range(start, min(start + depth, stop))]
        try:
            for i in range(start, stop):
                image = ahead.pop(0).result()
                if i + depth < stop:
                    ahead.append(pool.submit(frames.image, i + depth))
                yield image
        finally:
            for future in ahead:
                future.cancel()
