"""Frames in a report: a strip of each sequence, and clips around failures, as small JPEGs without boxes.

The page draws the boxes, of the trackers that its reader chooses, so that one picture serves all.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.plots.frames import spaced
from rolo_bench.sequence import Image, Sequence

WIDTH, LEAST = 400, 96
"""Widest and narrowest that a picture is kept, in pixels."""
BUDGET = 2_300_000
"""Most bytes of all pictures of a page; they are made smaller until they fit, but for `LEAST`."""
BEFORE, AFTER, STEP = 24, 48, 3
"""A clip goes from so many frames before a failure to so many after it, and shows each third."""


@dataclass(frozen=True)
class Loss:
    """The worst failure of a tracker: where, from which frame (an index), and for how many frames."""

    tracker: str
    sequence: str
    start: int
    frames: int


@dataclass(frozen=True)
class Reel:
    """Some frames of a sequence.

    Attributes:
        indices: of the frames.
        images: JPEGs.
        sizes: width and height of each frame before it was made smaller.
        loss: of a clip, the failure it is about.
    """

    sequence: Sequence
    indices: list[int]
    images: list[bytes]
    sizes: list[tuple[int, int]]
    loss: Loss | None = None


def longest_loss(overlaps: Array) -> tuple[int, int]:
    """Where the longest failure begins and how many frames it lasts: (index, 0) where the target is never lost.

    A failure begins where the overlap falls to 0 after a frame above 0; NaN (no truth) neither starts nor ends one.
    """
    index = np.flatnonzero(np.isfinite(overlaps))
    lost = overlaps[index] <= 0
    edges = np.flatnonzero(lost[1:] != lost[:-1]) + 1
    starts = edges[lost[edges]]
    if not len(starts):
        return 0, 0
    ends = np.append(edges[~lost[edges]], len(lost))
    lengths = ends[np.searchsorted(ends, starts, side="right")] - starts
    worst = int(lengths.argmax())
    return int(index[starts[worst]]), int(lengths[worst])


def worst_losses(overlaps: dict[tuple[str, str], Array], trackers: Iterable[str]) -> list[Loss]:
    """The longest failure of each tracker over all sequences; trackers that lose nothing are left out."""
    found = []
    for tracker in trackers:
        each = [Loss(tracker, s, *longest_loss(o)) for (s, t), o in overlaps.items() if t == tracker]
        worst = max(each, key=lambda loss: loss.frames)
        if worst.frames:
            found.append(worst)
    return found


def reels(sequences: Iterable[Sequence], frames: int, clips: Iterable[Loss] = ()) -> list[Reel]:
    """``frames`` frames of each sequence, spread evenly, and a clip of each of some failures, within `BUDGET`.

    Raises:
        DataError: the suite was loaded without images.
    """
    named = {s.name: s for s in sequences}
    made = [_reel(s, spaced(len(s), frames)) for s in named.values() if frames]
    for loss in clips:
        sequence = named[loss.sequence]
        around = range(loss.start - BEFORE, loss.start + AFTER + 1, STEP)
        made.append(_reel(sequence, [i for i in around if 0 <= i < len(sequence)], loss))
    width = WIDTH
    while (total := sum(len(i) for r in made for i in r.images)) > BUDGET and width > LEAST:
        width = max(round(width * min((BUDGET / total) ** 0.5, 0.9)), LEAST)
        made = [replace(r, images=[_smaller(i, width) for i in r.images]) for r in made]
    return made


def _reel(sequence: Sequence, indices: list[int], loss: Loss | None = None) -> Reel:
    images, sizes = [], []
    for index in indices:
        image = sequence.frames.image(index)
        sizes.append((image.shape[1], image.shape[0]))
        images.append(_jpeg(image[:, :, ::-1], WIDTH))
    return Reel(sequence, indices, images, sizes, loss)


def _jpeg(image: Image, width: int) -> bytes:
    """A BGR image as a JPEG of at most this width."""
    scale = min(width / image.shape[1], 1.0)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 72])[1].tobytes()


def _smaller(data: bytes, width: int) -> bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return _jpeg(image, width)  # type: ignore[arg-type]


def as_values(reel: Reel, boxes: Iterable[Array], trackers: Items[str]) -> dict[str, Any]:
    """A reel as plain values for JSON.

    Args:
        boxes: ``(N, 4)`` over the whole sequence: of the truth, then of each tracker; they travel as float32.
        trackers: their names.
    """
    rows = np.stack([b[reel.indices] for b in boxes], axis=1).astype("<f4")  # frames, truth and trackers, 4
    first, loss = reel.sequence.first_frame, reel.loss
    return {
        "sequence": reel.sequence.name,
        "tracker": trackers.index(loss.tracker) if loss else None,
        "start": first + loss.start if loss else None,
        "frames": [first + i for i in reel.indices],
        "sizes": reel.sizes,
        "boxes": base64.b64encode(rows.tobytes()).decode("ascii"),
        "images": [base64.b64encode(i).decode("ascii") for i in reel.images],
    }
