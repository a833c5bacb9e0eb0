"""Run a tracker on a video file or camera, frame by frame, without an annotation."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from glob import glob
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array, as_boxes, valid
from rolo_bench.boxfiles import format_boxes
from rolo_bench.datasets.place import frame_paths, number_frames
from rolo_bench.errors import DataError, TrackerError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.run.film import draw_box, film
from rolo_bench.run.worker import track_frames
from rolo_bench.sequence import Image, ImageFiles

COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Of the targets, told apart with every kind of colour vision (Okabe and Ito)."""


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


def open_video(source: str) -> tuple[Generator[Image, None, None], float]:
    """Frames of a video file, of a folder or pattern of images, or of a camera given by its number; and their rate.

    Frames are RGB uint8, images in the order of their numbers.

    Raises:
        DataError: it cannot be opened or holds no frame.
    """
    if Path(source).is_dir() or (any(c in source for c in "*?[") and not Path(source).is_file()):
        found = frame_paths(Path(source)) if Path(source).is_dir() else _matching(source)
        images = ImageFiles(tuple(found.values()))
        return (images.image(i) for i in range(len(images))), 25.0
    if not source.isdigit() and not Path(source).is_file():
        raise DataError(f"{source}: no such video file or folder of images")
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise DataError(f"{source}: cannot be opened as a video; OpenCV reads MP4, AVI and most cameras")
    rate = capture.get(cv2.CAP_PROP_FPS)

    def frames() -> Generator[Image, None, None]:
        try:
            while True:
                found, image = capture.read()
                if not found:
                    return
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
        finally:
            capture.release()

    return frames(), rate if rate and np.isfinite(rate) and 1 <= rate <= 1000 else 25.0


def _matching(pattern: str) -> dict[int, Path]:
    """Images by number whose paths match a pattern with ``*``."""
    return number_frames((Path(p) for p in glob(pattern)), Path(pattern))


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


def show_window(picture: Image) -> bool:
    """Show an image in a window; False where the user pressed q.

    Raises:
        UsageError: there is no display.
    """
    try:
        cv2.imshow("rolo-bench", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF != ord("q")
    except cv2.error:
        raise UsageError("no display for a window; leave --window out, or give --video FILE") from None


def captioned(image: Image, boxes: Array, text: str) -> Image:
    """A copy of the image with boxes ``(K, 4)`` and a label on a dark ground; a NaN box is not drawn."""
    picture = image.copy()
    size = max(0.45, max(image.shape[:2]) / 1000)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    cv2.rectangle(picture, (0, 0), (width + 12, height + base + 10), (20, 20, 20), -1)
    cv2.putText(
        picture, text, (6, height + 6), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA
    )
    for i, box in enumerate(as_boxes(boxes)):
        draw_box(picture, box, COLOURS[i % len(COLOURS)], max(2, round(max(image.shape[:2]) / 320)))
    return picture


def _target(path: Path | None, source: str) -> Path | None:
    """A file to write, wherever a tracker may change the working folder to; never the video itself."""
    if path and path.exists() and os.path.exists(source) and os.path.samefile(path, source):
        raise UsageError(f"{path}: is the video to track itself; choose another file to write")
    return path and path.absolute()


def track_video(
    tracker: Any,
    source: str,
    init: Array | None,
    boxes: Path | None = None,
    video: Path | None = None,
    label: str = "",
    limit: int | None = None,
    show: Callable[[Image], bool] | None = None,
) -> tuple[Array, Array, TrackerError | None]:
    """Track through a video; optionally write the boxes, and the video with the boxes drawn in.

    Args:
        tracker: a fresh tracker, or a list of one for each target.
        source: path of a video file, a folder or pattern of images, or the number of a camera.
        init: first box ``(4,)``, of several targets ``(K, 4)``, or None to draw it with the mouse.
        boxes, video: text file, and ``.mp4`` or ``.gif``, to write; of several targets a text file each, ``_1`` ….
        label: what to write on the frames.
        limit: stop after so many frames.
        show: called with each annotated frame; tracking ends when it returns False.

    Returns:
        boxes ``(N, 4)``, of several targets ``(N, K, 4)``, seconds of tracker time ``(N,)``, and why a tracker failed
        in the frame after them, or None.
        What was tracked before a failure or an interruption is returned, and written as if the video ended there.

    Raises:
        UsageError: one of the files to write is the video itself.
        DataError: the video cannot be read or written.
        TrackerError: the tracker failed before it had any box.
    """
    boxes, video = _target(boxes, source), _target(video, source)
    frames, rate = open_video(source)
    trackers = tracker if isinstance(tracker, list) else [tracker]
    found: list[Array] = []
    seconds: list[float] = []
    error = None
    with closing(frames), film(video, rate) if video else nullcontext() as add:
        first = next(frames, None)
        if first is None:
            raise DataError(f"{source}: holds no readable frame")
        start = select_box(first) if init is None else init
        images = islice(chain([first], frames), limit)
        try:
            for image, rows, spent in _in_step(trackers, images, as_boxes(start), source, bool(add or show)):
                found.append(rows)
                seconds.append(spent)
                if add or show:
                    picture = captioned(image, rows, f"{label} {len(found)}  {1 / max(spent, 1e-6):.0f} fps")
                if add:
                    add(picture)
                if show and not show(picture):
                    break
        except (KeyboardInterrupt, TrackerError) as stop:
            if not found:
                raise
            error = stop if isinstance(stop, TrackerError) else None
        table = np.stack(found)  # (N, K, 4)
        if boxes:  # before the film is closed, which can fail
            for i in range(len(trackers)):
                path = boxes if len(trackers) == 1 else boxes.with_stem(f"{boxes.stem}_{i + 1}")
                write_atomic(path, format_boxes(table[:, i]))
    return table[:, 0] if len(trackers) == 1 else table, np.array(seconds), error


def _in_step(
    trackers: list[Any], images: Iterable[Image], starts: Array, source: str, copies: bool
) -> Iterator[tuple[Image, Array, float]]:
    """Each image with the boxes ``(K, 4)`` of all trackers, and the seconds inside them together."""
    current: list[Image] = []

    def feed() -> Iterator[Image]:
        while True:
            yield current[0]

    several = len(trackers) > 1
    names = [f"{source}, target {i + 1}" if several else source for i in range(len(trackers))]
    loops = [
        track_frames(t, feed(), box, name, copies=copies or several)
        for t, box, name in zip(trackers, starts, names, strict=True)
    ]
    for image in images:
        current[:] = [image]
        answers = [next(loop) for loop in loops]
        yield image, np.stack([box for _, box, _ in answers]), sum(spent for _, _, spent in answers)
