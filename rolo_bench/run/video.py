"""Run a tracker on a video file or camera, frame by frame, without an annotation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array, valid
from rolo_bench.errors import DataError, UsageError
from rolo_bench.sequence import Image


def parse_box(text: str) -> Array:
    """``x,y,w,h`` in 0-based pixels as a box ``(4,)``.

    Raises:
        UsageError: not four numbers, or no positive size.
    """
    try:
        box = np.array([float(v) for v in text.split(",")])
    except ValueError:
        box = np.empty(0)
    if box.shape != (4,) or not valid(box)[0]:
        raise UsageError(
            f"--init {text!r}: write four numbers x,y,w,h with a positive size, for instance 120,80,40,60"
        )
    return box


def open_video(source: str) -> tuple[Iterator[Image], float]:
    """Frames of a video file, or of a camera given by its number, as RGB uint8; and the frame rate.

    Raises:
        DataError: it cannot be opened or holds no frame.
    """
    if not source.isdigit() and not Path(source).is_file():
        raise DataError(f"{source}: no such video file")
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise DataError(f"{source}: cannot be opened as a video; OpenCV reads MP4, AVI and most cameras")
    rate = capture.get(cv2.CAP_PROP_FPS)

    def frames() -> Iterator[Image]:
        try:
            while True:
                found, image = capture.read()
                if not found:
                    return
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
        finally:
            capture.release()

    return frames(), rate if rate and np.isfinite(rate) and 1 <= rate <= 1000 else 25.0


def select_box(image: Image) -> Array:
    """Let the user draw the first box with the mouse.

    Raises:
        UsageError: there is no display, or nothing was drawn.
    """
    try:
        box = cv2.selectROI("draw the target, then press Enter", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cv2.destroyAllWindows()
    except cv2.error:
        raise UsageError("no display to draw the first box on; give it as --init x,y,w,h") from None
    if box[2] <= 0 or box[3] <= 0:
        raise UsageError("no box was drawn; draw one, or give it as --init x,y,w,h")
    return np.asarray(box, dtype=np.float64)


def draw_box(image: Image, box: Array, text: str) -> Image:
    """A copy of the image with one box and a label on a dark ground; a NaN box draws the label alone."""
    picture = image.copy()
    thick = max(2, round(max(image.shape[:2]) / 320))
    size = max(0.45, max(image.shape[:2]) / 1000)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    cv2.rectangle(picture, (0, 0), (width + 12, height + base + 10), (20, 20, 20), -1)
    cv2.putText(
        picture, text, (6, height + 6), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA
    )
    if valid(box)[0]:
        x, y, w, h = (round(float(v)) for v in box)
        cv2.rectangle(picture, (x, y), (x + w, y + h), (230, 159, 0), thick, cv2.LINE_AA)
    return picture


def track_video(
    tracker: Any,
    source: str,
    init: Array | None,
    video: Path | None = None,
    label: str = "",
    limit: int | None = None,
    show: Callable[[Image], bool] | None = None,
) -> tuple[Array, Array]:
    """Track through a video; optionally write it with the boxes drawn in.

    Args:
        tracker: a fresh tracker.
        source: path of a video file, or the number of a camera.
        init: first box ``(4,)``, or None to draw it with the mouse.
        video: where to write the annotated MP4.
        label: what to write on the frames.
        limit: stop after so many frames.
        show: called with each annotated frame; tracking ends when it returns False.

    Returns:
        boxes ``(N, 4)`` and seconds of tracker time ``(N,)``; what was tracked before an interruption is returned.

    Raises:
        DataError: the video cannot be read or written.
    """
    frames, rate = open_video(source)
    boxes: list[Array] = []
    seconds: list[float] = []
    writer = None
    try:
        for i, image in enumerate(frames):
            if limit is not None and i >= limit:
                break
            if i == 0 and init is None:
                init = select_box(image)
            begin = time.perf_counter()
            if i == 0:
                assert init is not None
                tracker.init(image, init.copy())
                box = init
            else:
                box = np.asarray(tracker.update(image), dtype=np.float64).reshape(4)
            seconds.append(time.perf_counter() - begin)
            boxes.append(box)
            if video is None and show is None:
                continue
            picture = draw_box(image, box, f"{label} {i + 1}  {1 / max(seconds[-1], 1e-6):.0f} fps")
            if video is not None:
                if writer is None:
                    writer = _writer(video, rate, image)
                writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            if show is not None and not show(picture):
                break
    except KeyboardInterrupt:
        pass  # what is there is kept and written
    finally:
        frames.close()  # type: ignore[attr-defined]
        if writer is not None:
            writer.release()
    if not boxes:
        raise DataError(f"{source}: holds no readable frame")
    return np.stack(boxes), np.array(seconds)


def _writer(path: Path, rate: float, image: Image) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), fourcc, rate, (image.shape[1], image.shape[0]))
    if not writer.isOpened():
        raise DataError(f"{path}: cannot write a video there; choose a path that ends in .mp4")
    return writer
