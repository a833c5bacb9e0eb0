"""Annotating a video: boxes at key frames, what lies between them, and a page to draw them on.

The outcome is a sequence in OTB layout. Beside frames and truth lies `KEYS`, which holds what was drawn, so that the
work can be taken up again; both files are replaced whole with every change.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock, Timeout

from rolo_bench.boxes import Array, valid
from rolo_bench.boxfiles import format_boxes
from rolo_bench.datasets.place import frame_paths
from rolo_bench.errors import DataError, UsageError, counted
from rolo_bench.files import check_name, write_atomic
from rolo_bench.run.page import Answer, Page, template
from rolo_bench.run.video import image_files, open_video

KEYS = "annotation.json"
TRUTH = "groundtruth_rect.txt"
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
KINDS = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}

Keys = dict[int, tuple[float, float, float, float] | None]
"""What was drawn, by frame from 1: a box ``x, y, w, h`` in 0-based pixels, or None for "no target from here on"."""


def between(keys: Keys, count: int) -> Array:
    """Boxes ``(N, 4)`` of all frames: drawn ones, and straight lines between them.

    Before the first key and after the last box there is none (NaN): what nobody looked at is not annotated. From a key
    without a target to the next box there is none either; before it the last box stands still.
    """
    boxes = np.full((count, 4), np.nan)
    order = sorted(keys)
    for frame, after in zip(order, [*order[1:], 0]):
        start, end = keys[frame], keys.get(after)
        if start is None:
            continue
        boxes[frame - 1] = start
        steps = after - frame
        if steps > 0:
            line = np.linspace(start, start if end is None else end, steps, endpoint=False)
            boxes[frame - 1 : after - 1] = line
    return boxes


@dataclass
class Annotation:
    """A sequence that is being annotated.

    Attributes:
        folder: of the sequence; its name is the sequence's.
        source: name of the video that it was made from.
        rate: of the video, frames a second.
        frames: the images, in order.
        keys: what was drawn.
        version: counts the changes since it was opened.
    """

    folder: Path
    source: str
    rate: float
    frames: tuple[Path, ...]
    keys: Keys = field(default_factory=dict)
    version: int = 0

    def boxes(self) -> Array:
        """Boxes ``(N, 4)``, NaN where there is none."""
        return between(self.keys, len(self.frames))

    def change(self, keys: Keys) -> None:
        """Take other keys, and write them and the truth that follows from them before this returns.

        Where they cannot be written they are not taken, so that what a page is told is on disk.
        """
        before, self.keys = self.keys, keys
        try:
            self.save()
        except BaseException:
            self.keys = before
            raise
        self.version += 1

    def save(self) -> None:
        """Write what was drawn, then the truth; of a video without any box there is no truth."""
        kept = {"source": self.source, "rate": self.rate, "frames": len(self.frames)}
        kept["keys"] = {str(frame): self.keys[frame] for frame in sorted(self.keys)}
        write_atomic(self.folder / KEYS, json.dumps(kept, indent=1) + "\n")
        boxes = self.boxes()
        if valid(boxes).any():
            write_atomic(self.folder / TRUTH, format_boxes(boxes))
        else:
            (self.folder / TRUTH).unlink(missing_ok=True)

    def summary(self) -> str:
        """How far it has come, in words."""
        there = valid(self.boxes())
        drawn = sum(box is not None for box in self.keys.values())
        words = f"{counted(drawn, 'key box', 'key boxes')}, {there.sum()} of {counted(len(there), 'frame')} with a box"
        first = (
            ""
            if not drawn or there[0]
            else "; frame 1 has none, and trackers start on the first frame that has"
        )
        return words + first


def open_annotation(
    source: str,
    folder: Path,
    name: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Annotation:
    """Begin to annotate a video in ``folder/name``, or take up again what was begun there.

    Frames of a video file become JPEG of quality 95, images are copied as they are.

    Args:
        source: a video file, a folder or pattern of images, or the folder of a sequence that was begun.
        name: of the sequence; by default that of the video.
        progress: told how many frames are there, and of how many.

    Raises:
        UsageError: another video is annotated under that name, or the source is a camera.
        DataError: the video cannot be read, or what was begun is damaged.
    """
    if (Path(source) / KEYS).is_file():
        return _resumed(Path(source))
    if source.isdigit():
        raise UsageError("a camera cannot be annotated; record a video first")
    path = Path(source)
    stem = path.parent.name if path.name in ("img", "color") or "*" in path.name else path.stem
    place = folder / check_name("sequence", name or re.sub(r"[^\w.+\-() ]", "_", stem) or "video")
    stopped = _stopped(place)
    if (place / KEYS).is_file() and not stopped:
        found = _resumed(place)
        if found.source != path.name:
            raise UsageError(
                f"{place}: annotates {found.source}, not {path.name}; choose another name with --name"
            )
        return found
    if place.exists() and not stopped and any(not p.name.startswith(".") for p in place.iterdir()):
        raise UsageError(
            f"{place}: is there already, and was not begun by annotate; choose another name with --name"
        )
    rate, part = _take_frames(source, place, progress)
    made = Annotation(place, path.name, rate, tuple(frame_paths(part).values()))
    made.save()  # first, as a folder of images alone would be somebody else's
    part.replace(place / "img")
    made.frames = tuple(frame_paths(place / "img").values())
    return made


def _stopped(place: Path) -> bool:
    """Whether `open_annotation` ended there before the frames were in their place."""
    with suppress(OSError, ValueError, RecursionError):
        kept = json.loads((place / KEYS).read_text(encoding="utf-8"))
        return not (place / "img").exists() and isinstance(kept, dict) and kept.get("keys") == {}
    return False


def _take_frames(
    source: str, place: Path, progress: Callable[[int, int | None], None] | None
) -> tuple[float, Path]:
    """The rate of a video, and the folder beside ``img`` into which its frames were put."""
    part = place / ".img.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    files, rate, number = image_files(source), 25.0, 0
    if files is not None:
        for number, path in enumerate(files, 1):
            shutil.copyfile(path, part / f"{number:04d}{path.suffix.lower()}")
    else:
        footage = open_video(source)
        rate = footage.rate
        for number, image in enumerate(footage.frames, 1):
            target = part / f"{number:04d}.jpg"
            if not cv2.imwrite(str(target), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), JPEG):
                raise DataError(f"{target}: cannot be written; check the folder and free space")
            if progress:
                progress(number, footage.count)
    if not number:
        raise DataError(f"{source}: holds no readable frame")
    return rate, part


def _resumed(place: Path) -> Annotation:
    try:
        kept = json.loads((place / KEYS).read_text(encoding="utf-8"))
        frames = tuple(frame_paths(place / "img").values())
        if len(frames) != kept["frames"]:
            raise ValueError(f"{kept['frames']} frames, but {len(frames)} images")
        return Annotation(
            place, str(kept["source"]), float(kept["rate"]), frames, _checked(kept["keys"], len(frames))
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{place / KEYS}: damaged ({error}); mend it, or begin anew under another --name"
        ) from None


def _checked(keys: Any, count: int) -> Keys:
    """Keys as they come from a file or a page.

    Raises:
        ValueError, TypeError, AttributeError: they are none.
    """
    found: Keys = {}
    for frame, box in keys.items():
        if not 1 <= int(frame) <= count:
            raise ValueError(f"frame {frame} of {count}")
        if box is not None:
            x, y, w, h = (round(float(v), 2) for v in box)
            if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
                raise ValueError(f"box {box} of frame {frame}")
            box = (x, y, w, h)
        found[int(frame)] = box
    return found


class Annotator:
    """The page on which an `Annotation` is drawn; ``done`` is set when its user says so.

    Raises:
        UsageError: another process is at it, or the port is not to be had.
    """

    def __init__(self, annotation: Annotation, port: int = 0) -> None:
        self.held = FileLock(annotation.folder / ".lock", timeout=0)
        try:
            self.held.acquire()
        except Timeout:
            raise UsageError(
                f"{annotation.folder}: is annotated by another process; end that first"
            ) from None
        self.annotation, self.done, self.lock = annotation, threading.Event(), threading.Lock()
        self.page = Page(self._get, self._post, port)
        self.url = self.page.url

    def close(self) -> None:
        """Serve no more."""
        self.page.close()
        self.held.release()

    def _get(self, path: str) -> Answer | None:
        if path == "/":
            return "text/html; charset=utf-8", template("annotate.html")
        if path == "/state":
            with self.lock:
                return "application/json", self._state()
        frame = re.fullmatch(r"/frame/(\d+)", path)
        if not frame or not 1 <= int(frame[1]) <= len(self.annotation.frames):
            return None
        image = self.annotation.frames[int(frame[1]) - 1]
        if image.suffix.lower() in KINDS:
            return KINDS[image.suffix.lower()], image.read_bytes()
        return "image/png", cv2.imencode(".png", cv2.imread(str(image)))[1].tobytes()  # type: ignore[arg-type]

    def _post(self, path: str, content: bytes) -> Answer | None:
        if path == "/done":
            return "application/json", self._bye()
        if path != "/keys":
            return None
        try:
            sent = json.loads(content)
            keys, version = _checked(sent["keys"], len(self.annotation.frames)), sent["version"]
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"not keys: {error}") from None
        with self.lock:
            if version == self.annotation.version:  # else another window has changed them since
                self.annotation.change(keys)
            return "application/json", self._state()

    def _bye(self) -> Iterator[bytes]:
        """The last answer; the program may end when it is sent, not before."""
        try:
            yield b"{}"
        finally:
            self.done.set()

    def _state(self) -> bytes:
        own = self.annotation
        boxes = [None if math.isnan(row[0]) else row for row in own.boxes().round(2).tolist()]
        state = {
            "name": own.folder.name, "rate": own.rate, "version": own.version, "keys": own.keys, "boxes": boxes,
        }  # fmt: skip
        return json.dumps(state).encode()
