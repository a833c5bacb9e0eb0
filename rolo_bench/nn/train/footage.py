"""The association inside the training loop: stretches of video on which the network's own predictions choose.

Boxes are relative (centre and size): moving and scaling a whole stretch changes no IoU, so that the choices stay the
same as in use.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.association import SAME_OBJECT, Association, Candidates, overlaps
from rolo_bench.boxes import Array, from_relative, to_relative, valid
from rolo_bench.nn.rolo.coding import first_offset
from rolo_bench.nn.rolo.config import LIKENESS, RoloConfig
from rolo_bench.nn.rolo.network import Choice, State
from rolo_bench.nn.train.runs import DetectedVideo, Runs, moved

MOST_CANDIDATES = 48  # of a frame, those with the best scores


@dataclass(frozen=True)
class Footage:
    """Truth and candidates of F frames of several videos, one after the other.

    Attributes:
        boxes: ``(F, K, 4)`` relative, NaN where there are fewer.
        scores: ``(F, K)``, classes: ``(F, K)``.
        truth: ``(F, 4)`` relative, NaN where unknown.
        first, last: ``(F,)`` rows of the first and the last frame of each frame's video.
        starts: rows where a stretch may begin: the truth is known and, where the video has such frames, a detection
            overlaps it by `SAME_OBJECT`.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    truth: NDArray[np.float32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    starts: NDArray[np.int64]


def corners(boxes: NDArray[np.float32]) -> Array:
    """Relative centres and sizes ``(..., 4)`` as x, y, w, h of an image of 1 × 1."""
    return from_relative(boxes.reshape(-1, 4), (1, 1)).reshape(boxes.shape)


def footage(tracks: list[DetectedVideo], config: RoloConfig, leave_out: Collection[str] = ()) -> Footage:
    """What stretches are drawn from; detections below the threshold of the configuration are left out.

    No stretch begins in the videos to ``leave_out``; they keep their rows, since features are found by row.
    """
    parts: list[tuple[NDArray[Any], ...]] = []
    base = 0
    for track in tracks:
        count = len(track.truth)
        boxes = np.full((count, MOST_CANDIDATES, 4), np.nan, dtype=np.float32)
        scores = np.zeros((count, MOST_CANDIDATES), dtype=np.float32)
        classes = np.full((count, MOST_CANDIDATES), -1, dtype=np.int64)
        for t, found in enumerate(track.found):
            n = min(int((found.scores >= config.threshold).sum()), MOST_CANDIDATES)
            boxes[t, :n] = to_relative(found.boxes[:n], track.size)
            scores[t, :n], classes[t, :n] = found.scores[:n], found.classes[:n]
        known = valid(track.truth) & (track.counted if track.counted is not None else True)
        truth = to_relative(track.truth, track.size).astype(np.float32)
        truth[~known] = np.nan
        good = known & (overlaps(corners(truth), corners(boxes)) >= SAME_OBJECT).any(axis=1)
        first, last = np.full(count, base), np.full(count, base + count - 1)
        starts = base + np.flatnonzero(good if good.any() else known)
        starts = starts[:0] if track.name in leave_out else starts
        parts.append((boxes, scores, classes, truth, first, last, starts))
        base += count
    return Footage(*map(np.concatenate, zip(*parts)))


@dataclass
class Chooser:
    """The association of B stretches at once; `choose` is called for each frame after the first.

    Attributes:
        boxes, scores, classes: candidates ``(B, T, K, 4)``, their scores and classes ``(B, T, K)``.
        guide: ``(B, T, 4)`` boxes at whose centres to search in place of the prediction, NaN for none.
        predicted: whether to search at the prediction, not at the history.
    """

    association: Association
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    guide: NDArray[np.float32]
    predicted: bool

    def begin(self, given: NDArray[np.float32]) -> Choice:
        """As `choose`, of the first frame with its given boxes ``(B, 4)``."""
        return self._chosen(0, self.association.begin(corners(given), self._candidates(0)))

    def choose(self, t: int, predicted: Tensor) -> Choice:
        """Boxes ``(B, 4)`` of the chosen candidates of frame ``t``, NaN where none, and their scores ``(B,)``."""
        place = self.guide[:, t]
        if self.predicted:
            place = np.where(np.isnan(place), predicted.numpy(), place)
        reference = self.association.reference(corners(place))
        return self._chosen(t, self.association.choose(self._candidates(t), reference))

    def take(self, state: State) -> None:
        """Let what a step accepted join the history."""
        box = torch.where((state.missed > 0)[:, None], float("nan"), state.chosen)
        self.association.take(corners(box.cpu().numpy()))

    def _candidates(self, t: int) -> Candidates:
        return corners(self.boxes[:, t]), self.scores[:, t], self.classes[:, t], None  # likeness is not asked

    def _chosen(self, t: int, index: NDArray[np.int64]) -> Choice:
        row, none = np.arange(len(index)), index < 0
        box = np.where(none[:, None], np.float32(np.nan), self.boxes[row, t, index])
        score = np.where(none, np.float32(0), self.scores[row, t, index])
        return torch.from_numpy(box), torch.from_numpy(score), torch.zeros(len(index), LIKENESS)


def draw_footage(
    source: Footage,
    config: RoloConfig,
    rows: NDArray[np.int64],
    guided: float = 0.0,
    drop: float = 0.0,
    jitter: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Runs, Chooser]:
    """Stretches over given rows ``(B, T)`` of footage, -1 behind a video's end, and the association that goes over
    them; the runs know the detection of the first frame only.

    Args:
        guided: share of the stretches on which the truth tells the association where to look.
        drop: share of the frames of those whose detections are dropped.
        jitter: random offset of all detections in box sizes.
        rng: None takes the video as it is: nothing moved, guided, dropped or jittered.
    """
    count, frames = rows.shape
    at = np.maximum(rows, 0)
    boxes, truth = torch.from_numpy(source.boxes[at]), torch.from_numpy(source.truth[at])
    gone = torch.from_numpy(rows < 0)
    boxes[gone], truth[gone] = float("nan"), float("nan")
    led = torch.zeros(count, dtype=torch.bool)
    if rng is not None:
        led = torch.from_numpy(rng.random(count) < guided)
        dropped = torch.from_numpy(rng.random((count, frames)) < drop) & led[:, None]
        dropped[:, 0] = False
        boxes[dropped] = float("nan")
        if jitter:
            wobble = rng.normal(0, jitter, boxes[..., :2].shape).astype(np.float32)
            boxes[..., :2] += torch.from_numpy(wobble) * boxes[..., 2:]
        # the first part is the origin of the move; the given box is always known
        parts = truth[:, :1], boxes.flatten(1, 2), truth, torch.zeros(count, 1, 4)
        _, flat, truth, _ = moved(parts, rng, config.place)
        boxes = flat.view(count, frames, -1, 4)
    given = truth[:, 0]
    guide = torch.where(led[:, None, None], truth, float("nan"))
    chooser = Chooser(
        config.association(), boxes.numpy(), source.scores[at], source.classes[at], guide.numpy(),
        config.centre == "prediction",
    )  # fmt: skip
    accepted, scores = torch.full((count, frames, 4), float("nan")), torch.zeros((count, frames))
    accepted[:, 0], scores[:, 0], _ = chooser.begin(given.numpy())
    drawn = first_offset(given, accepted[:, 0])
    likeness = np.zeros((count, frames, LIKENESS), dtype=np.float32)
    runs = Runs(accepted.numpy(), truth.numpy(), drawn.numpy(), given.numpy(), rows, scores.numpy(), likeness)
    return runs, chooser


def draw_rows(source: Footage, count: int, frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows ``(count, frames)`` of random stretches, forward or backward in time, -1 behind a video's end."""
    start = source.starts[rng.integers(len(source.starts), size=count)]
    way = np.where(rng.random(count) < 0.5, 1, -1)
    room = np.where(way > 0, source.last[start] - start, start - source.first[start])
    way = np.where(room < frames // 2, -way, way)
    rows = start[:, None] + way[:, None] * np.arange(frames)
    inside = (rows >= source.first[start][:, None]) & (rows <= source.last[start][:, None])
    return np.where(inside, rows, -1)
