"""Run a tracker on a video file or camera, frame by frame, without an annotation."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from glob import glob
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array, as_boxes, valid
from rolo_bench.boxfiles import NUMBER, format_boxes
from rolo_bench.datasets.place import frame_paths, number_frames
from rolo_bench.errors import DataError, TrackerError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.run.film import captioned, film
from rolo_bench.run.job import given_scores
from rolo_bench.run.live import View
from rolo_bench.run.window import Window
from rolo_bench.run.worker import track_frames
from rolo_bench.sequence import Image, ImageFiles
from rolo_bench.tracker import LOST

Progress = Callable[[int, int | None, float], None]
"""Told how many frames are done, of how many where that is known, and the seconds inside the tracker so far."""


def parse_box(text: str) -> Array:
    """``x,y,w,h`` in 0-based pixels as a box ``(4,)``.

    Raises:
        UsageError: not four numbers, or no positive size.
    """
    cells = [c.strip() for c in text.split(",")]
    box = np.array([float(c) if NUMBER.fullmatch(c) else np.nan for c in cells])
    if box.shape != (4,) or not valid(box)[0]:
        raise UsageError(
            f"--init {text[:60]!r}: write four numbers x,y,w,h with a positive size, for instance 120,80,40,60"
        )
    return box


@dataclass(frozen=True)
class Footage:
    """A video that is being read.

    Attributes:
        frames: RGB uint8 ``(H, W, 3)`` each, images in the order of their numbers.
        rate: frames per second.
        count: number of frames as the file states it, None of a camera.
        times: of each frame read so far, when the file has it shown, in seconds; empty of images.
    """

    frames: Generator[Image, None, None]
    rate: float
    count: int | None
    times: list[float] = field(default_factory=list)


def image_files(source: str) -> tuple[Path, ...] | None:
    """The images of a folder or of a pattern such as ``frames/*.png`` by their numbers; None of any other source.

    Raises:
        DataError: there are none.
    """
    if Path(source).is_dir():
        return tuple(frame_paths(Path(source)).values())
    if any(c in source for c in "*?[") and not Path(source).is_file():
        return tuple(number_frames((Path(p) for p in glob(source)), Path(source)).values())
    return None


def open_video(source: str) -> Footage:
    """Frames of a video file, of a folder or pattern of images, or of a camera given by its number.

    Raises:
        DataError: it cannot be opened or holds no frame.
    """
    if (files := image_files(source)) is not None:
        images = ImageFiles(files)
        return Footage((images.image(i) for i in range(len(images))), 25.0, len(images))
    camera = source.isdigit()
    if not camera and not Path(source).is_file():
        raise DataError(f"{source}: no such video file or folder of images")
    capture = cv2.VideoCapture(int(source) if camera else source)
    if not capture.isOpened():
        raise DataError(f"{source}: cannot be opened as a video; OpenCV reads MP4, AVI and most cameras")
    rate, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    times: list[float] = []

    def frames() -> Generator[Image, None, None]:
        try:
            while True:
                found, image = capture.read()
                if not found:
                    return
                times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
        finally:
            capture.release()

    rate = rate if rate and np.isfinite(rate) and 1 <= rate <= 1000 else 25.0
    return Footage(frames(), rate, count if count > 0 and not camera else None, times)


def select_box(image: Image) -> Array:
    """Let the user draw the first box with the mouse.

    Raises:
        UsageError: there is no display, or nothing was drawn.
    """
    check_display()
    box = cv2.selectROI("draw the target, then press Enter", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.destroyAllWindows()
    if box[2] <= 0 or box[3] <= 0:
        raise UsageError("no box was drawn; draw one, or give it as --init x,y,w,h")
    return np.asarray(box, dtype=np.float64)


def check_display() -> None:
    """Find out whether a box can be drawn.

    Raises:
        UsageError: there is no display.
    """
    Window("give the first box as --init x,y,w,h").close()


def _check_start(boxes: Array, image: Image, source: str) -> None:
    """Refuse a first box ``(K, 4)`` that is not in the picture at all."""
    height, width = image.shape[:2]
    for x, y, w, h in boxes:
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise UsageError(
                f"--init {x:g},{y:g},{w:g},{h:g}: outside the first frame of {source}, which is {width} x {height}"
            )


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
    view: View | None = None,
    progress: Progress | None = None,
) -> tuple[Array, Array, TrackerError | None]:
    """Track through a video; optionally write the boxes, and the video with the boxes drawn in.

    Args:
        tracker: a fresh tracker, or a list of one for each target.
        source: path of a video file, a folder or pattern of images, or the number of a camera.
        init: first box ``(4,)``, of several targets ``(K, 4)``, or None to draw it with the mouse.
        boxes, video: text file, and film, to write; of several targets a text file each, ``_1`` ….
        label: what to write on the frames.
        limit: stop after so many frames.
        view: shown each frame; tracking ends when it is closed.
        progress: called after each frame.

    Returns:
        boxes ``(N, 4)``, of several targets ``(N, K, 4)``, seconds of tracker time ``(N,)``, and why a tracker failed
        in the frame after them, or None.
        What was tracked before a failure or an interruption is returned, and written as if the video ended there.

    Raises:
        UsageError: one of the files to write is the video itself, or a first box is outside the picture.
        DataError: the video cannot be read or written.
        TrackerError: the tracker failed before it had any box.
    """
    boxes, video = _target(boxes, source), _target(video, source)
    footage = open_video(source)
    frames, times = footage.frames, footage.times
    count = limit if footage.count is None else min(footage.count, limit or footage.count)
    trackers = tracker if isinstance(tracker, list) else [tracker]
    found: list[Array] = []
    scores: list[Array] = []
    seconds: list[float] = []
    error = None
    with closing(frames), film(video, footage.rate) if video else nullcontext() as add:
        first = next(frames, None)
        if first is None:
            raise DataError(f"{source}: holds no readable frame")
        start = as_boxes(select_box(first) if init is None else init)
        _check_start(start, first, source)
        images = islice(chain([first], frames), limit)
        try:
            for image, rows, sure, spent in _in_step(trackers, images, start, source, bool(add or view)):
                number = len(found) + 1
                text = f"{label} {number}  {1 / max(spent, 1e-6):.0f} fps{_sure(rows, sure)}"
                if add:
                    add(captioned(image, rows, text), times[number - 1] if times else None)
                found.append(rows)  # when it is in the film, which may not be empty
                scores.append(sure)
                seconds.append(spent)
                if progress:
                    progress(number, count, sum(seconds))
                if view and not view(image, rows, text):
                    break
        except (KeyboardInterrupt, TrackerError) as stop:
            if not found:
                raise
            error = stop if isinstance(stop, TrackerError) else None
        table = np.stack(found)  # (N, K, 4)
        _write_boxes(boxes, table, np.stack(scores))  # before the film is closed, which can fail
    return table[:, 0] if len(trackers) == 1 else table, np.array(seconds), error


def _sure(boxes: Array, scores: Array) -> str:
    """Scores ``(K,)`` of boxes ``(K, 4)`` in words, ``lost`` for those that are too low; empty where there are none."""
    words = [
        "lost" if score < LOST or np.isnan(box[0]) else f"{score:.2f}" if score == score else ""
        for box, score in zip(boxes, scores)
    ]
    return "  " + " ".join(filter(None, words)) if any(words) else ""


def box_files(path: Path, targets: int) -> list[Path]:
    """Where the boxes of each target go: the file, of several targets ``_1``, ``_2`` … beside it."""
    return [path] if targets == 1 else [path.with_stem(f"{path.stem}_{i + 1}") for i in range(targets)]


def _write_boxes(path: Path | None, table: Array, scores: Array) -> None:
    """Write boxes ``(N, K, 4)``, with scores ``(N, K)`` of trackers that give any; of several targets a file each."""
    for i in range(table.shape[1] if path else 0):
        assert path is not None
        one = box_files(path, table.shape[1])[i]
        write_atomic(one, format_boxes(table[:, i], scores=given_scores(scores[:, i])))


def _in_step(
    trackers: list[Any], images: Iterable[Image], starts: Array, source: str, copies: bool
) -> Iterator[tuple[Image, Array, Array, float]]:
    """Each image with boxes ``(K, 4)`` and scores ``(K,)`` of all trackers, and the seconds inside them together."""
    current: list[Image] = []

    def feed() -> Iterator[Image]:
        while current:
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
        boxes, scores = (
            np.stack([box for _, box, *_ in answers]),
            np.array([score for _, _, score, _ in answers]),
        )
        yield image, boxes, scores, sum(spent for *_, spent in answers)
    current.clear()
    for loop in loops:  # to its end, which may show that the answers were wrong
        next(loop, None)
