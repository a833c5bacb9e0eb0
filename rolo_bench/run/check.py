"""Looking over a suite or a tracker before a long night: what is wrong with it, in sentences."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.datasets.alignment import like_corners
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError, RoloBenchError, counted
from rolo_bench.protocols import segments
from rolo_bench.run.job import Job, Limits, Setup, Tracked
from rolo_bench.run.plugins import find_plugin, locate
from rolo_bench.run.process import Process, WorkerError
from rolo_bench.run.runner import speed
from rolo_bench.run.worker import guarded
from rolo_bench.sequence import FrameSource, Image, ImageFiles, Sequence, prefetch

FRAMES = 20


@dataclass(frozen=True)
class Remark:
    """What was looked at, whether it is as it should be, and what was found."""

    about: str
    fine: bool
    words: str


def check_suite(suite: Suite, tick: Callable[[str], None] | None = None) -> Iterator[Remark]:
    """Every image of a suite decoded, every row of truth looked at: one remark a fault, one a sequence without any."""
    for name, words in suite.faults:
        yield Remark(name, False, words)
    for name in suite.missing:
        yield Remark(name, False, "is not there")
    for sequence in suite.sequences:
        if tick is not None:
            tick(sequence.name)
        faults = list(_faults(sequence))
        yield from (Remark(sequence.name, False, words) for words in faults)
        if not faults:
            yield Remark(sequence.name, True, counted(len(sequence), "frame"))


def _faults(sequence: Sequence) -> Iterator[str]:
    try:
        segments("ope", sequence.truth)
    except DataError as error:
        yield str(error)
    sizes = []
    for i in range(len(sequence)):
        try:
            sizes.append(sequence.frames.image(i).shape[1::-1])
        except DataError as error:
            yield str(error)
            continue
        if isinstance(sequence.frames, ImageFiles) and _is_cut(sequence.frames.paths[i]):
            yield f"{sequence.frames.paths[i]}: the end of the file is missing"
        box = sequence.truth[i]
        width, height = sizes[-1]
        if valid(box)[0] and (box[0] >= width or box[1] >= height or (box[:2] + box[2:] <= 0).any()):
            yield f"frame {sequence.first_frame + i}: its truth box lies outside the image"
    if sizes and like_corners(sequence.truth, sizes[0]):
        yield "its truth boxes look like corners x1, y1, x2, y2: as x, y, w, h most reach beyond the image"
    if len(set(sizes)) > 1:
        yield f"images of {len(set(sizes))} sizes, the first {sizes[0][0]} × {sizes[0][1]}"


def _is_cut(path: Path) -> bool:
    """Whether a JPEG lacks its end, which decoders fill with grey without a word."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return False
    data = path.read_bytes()
    return data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-4096:]


@dataclass(frozen=True)
class _Swapped:
    """The same frames with red and blue exchanged."""

    source: FrameSource

    def __len__(self) -> int:
        return len(self.source)

    def image(self, index: int) -> Image:
        return np.ascontiguousarray(self.source.image(index)[:, :, ::-1])


def check_tracker(
    tracker: str, sequence: Sequence, suite: str = "demo", options: dict[str, Any] | None = None
) -> Iterator[Remark]:
    """A tracker on the first frames of a sequence: contract, determinism, speed, and mistakes that are often made."""
    place = locate(tracker)
    part = sequence.slice(0, min(FRAMES, len(sequence)))
    setup = Setup(place.tracker, suite, options or {}, libraries=place.code().libraries)
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name in ("first", "second"):
            worker = Process(setup, Limits(), Path(folder) / name, Path(folder) / "log", threading.Event())
            try:
                worker.open()
                found += [worker.track(_job(part)), worker.track(_job(part))]
                swapped = worker.track(_job(replace(part, frames=_Swapped(part.frames))))
            except RoloBenchError as error:
                lines = error.output if isinstance(error, WorkerError) else ()
                yield Remark("contract", False, "; ".join([str(error), *lines]))
                return
            finally:
                worker.close()
    yield Remark("contract", True, f"{len(part)} frames of {part.name}")
    yield _determinism([f.boxes for f in found])
    times = speed(found[-1].seconds)
    if times:
        words = f"{times['median']:g} frames per second in the middle, {times['start']:.3f} s to start"
        yield Remark("speed", True, words)
    yield from _mistakes(part, found[0], swapped)
    yield from _objects(place.tracker, suite, options or {}, part)


def _job(part: Sequence) -> Job:
    return Job(part, segments("ope", part.truth)[0])


def _determinism(boxes: list[Array]) -> Remark:
    same = [np.array_equal(boxes[0], b, equal_nan=True) for b in boxes[1:]]
    if all(same):
        return Remark("determinism", True, "the same boxes twice in one process and in another")
    where = "its second run in one process" if not same[0] else "another process"
    return Remark(
        "determinism", False, f"other boxes in {where}; seed what is random, keep no state in the class"
    )


def _mistakes(part: Sequence, plain: Tracked, swapped: Tracked) -> Iterator[Remark]:
    """What the boxes themselves show; only rows after the first, which is given."""
    truth, boxes = part.truth[1:], plain.boxes[1:]
    got = float(np.nan_to_num(iou(boxes, truth)).mean())
    corners = boxes.copy()
    corners[:, 2:] = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    as_corners = float(np.nan_to_num(iou(corners, truth)).mean())
    if as_corners > got + 0.3:
        yield Remark(
            "boxes", False, "read as corners x1, y1, x2, y2 they fit far better; return x, y, width, height"
        )
    other = float(np.nan_to_num(iou(swapped.boxes[1:], truth)).mean())
    if other > got + 0.15:
        yield Remark("colours", False, "does better with red and blue exchanged; images are RGB, not BGR")
    if len(boxes) > 1 and not np.isfinite(boxes).any():
        yield Remark("boxes", False, "says 'not there' in every frame")


def _objects(tracker: str | type, suite: str, options: dict[str, Any], part: Sequence) -> Iterator[Remark]:
    """What only shows in one process: an array that is handed out again, an image that is written into."""
    plugin = find_plugin(tracker)
    with guarded(f"tracker {plugin.name}"):
        made = plugin.make(plugin.defaults(suite) | options)
        if getattr(made, "oracle", False):
            yield Remark("oracle", True, "asks to be shown the truth; its results are marked, and not ranked")
            return
        given: list[tuple[Array, Array]] = []  # arrays that were answered, and what they held then
        painted = False
        for i, image in enumerate(prefetch(part.frames, 0, min(5, len(part)))):
            before = image.copy()
            answer = made.update(image) if i else made.init(image, part.truth[0].copy())
            if i and isinstance(answer, np.ndarray):
                given.append((answer, answer.copy()))
            painted = painted or not np.array_equal(before, image)
    if any(a is given[0][0] and not np.array_equal(held, given[0][1]) for a, held in given[1:]):
        yield Remark("answers", True, "the same array each time; a caller who keeps it sees it change")
    if painted:
        yield Remark("images", True, "writes into the images it is given; they are its own copies")
