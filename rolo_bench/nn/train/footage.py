"""The association inside the training loop: stretches of video on which the network's own predictions choose.

The batched counterpart of `rolo_bench.association.Association` and `rolo_bench.nn.rolo.follower.Follower`, on
relative boxes (centre and size): moving and scaling a whole stretch changes no IoU, so that the choices stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.association import SAME_OBJECT, Association
from rolo_bench.boxes import to_relative, valid
from rolo_bench.nn.rolo.coding import first_offset, relative_iou
from rolo_bench.nn.rolo.config import LEAST_FIRST_IOU, RoloConfig
from rolo_bench.nn.train.runs import Runs, Track, moved

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


def footage(tracks: list[Track], config: RoloConfig) -> Footage:
    """What stretches are drawn from; detections below the threshold of the configuration are left out."""
    parts: list[list[NDArray[Any]]] = [[] for _ in range(7)]
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
        near = relative_iou(torch.from_numpy(boxes), torch.from_numpy(truth)[:, None]).nan_to_num(nan=0.0)
        good = known & (near.amax(dim=1) >= SAME_OBJECT).numpy()
        first, last = np.full(count, base), np.full(count, base + count - 1)
        starts = base + np.flatnonzero(good if good.any() else known)
        columns: list[NDArray[Any]] = [boxes, scores, classes, truth, first, last, starts]
        for part, values in zip(parts, columns):
            part.append(values)
        base += count
    return Footage(*map(np.concatenate, parts))


@dataclass
class Chooser:
    """The association of B stretches at once; `choose` is called for each frame after the first.

    Attributes:
        boxes, scores, same: candidates ``(B, T, K, 4)``, their scores, and whether they are of the target's class.
        guide: ``(B, T, 4)`` centres to search at in place of the prediction, NaN for none.
        recent: the last validated boxes ``(B, history, 4)``. missed: ``(B,)`` frames since.
        usual: ``(B, 2)`` logarithms of the usual sides.
    """

    config: RoloConfig
    boxes: Tensor
    scores: Tensor
    same: Tensor
    guide: Tensor
    recent: Tensor
    missed: Tensor
    usual: Tensor

    def choose(self, t: int, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(B, 4)`` of the chosen candidates of frame ``t``, NaN where none, and their scores ``(B,)``."""
        c = self.config
        reference = self.recent.nanmean(dim=1)
        centre = reference[:, :2]
        if c.centre == "prediction":
            centre = torch.where(torch.isfinite(predicted[:, :2]), predicted[:, :2], centre)
        centre = torch.where(torch.isnan(self.guide[:, t, :2]), centre, self.guide[:, t, :2])
        factor = (1 + c.widen * self.missed).clamp(max=Association.widest)
        reference = torch.cat([centre, reference[:, 2:] * factor[:, None]], dim=1)
        boxes, scores = self.boxes[:, t], self.scores[:, t]
        overlap = relative_iou(boxes, reference[:, None]).nan_to_num(nan=0.0)  # (B, K)
        fits = (overlap > 0) & (overlap >= c.iou_min / factor[:, None])
        if c.size_limit:
            fits &= (boxes[..., 2:].log() - self.usual[:, None]).abs().sum(dim=-1) <= c.size_limit
        value = overlap * scores**c.prefer * torch.where(self.same[:, t], 1.0, 1 - c.prefer)
        best, index = torch.where(fits, value, -1.0).max(dim=1)
        row = torch.arange(len(index))
        chosen = torch.where((best < 0)[:, None], float("nan"), boxes[row, index])
        return chosen, torch.where(best < 0, 0.0, scores[row, index])

    def take(self, box: Tensor, accepted: Tensor) -> None:
        """Let boxes ``(B, 4)`` join the history where ``accepted`` ``(B,)``; elsewhere none is the target."""
        joined = torch.cat([self.recent[:, 1:], box[:, None]], dim=1)
        self.recent = torch.where(accepted[:, None, None], joined, self.recent)
        self.missed = torch.where(accepted, 0.0, self.missed + 1)
        sides = 0.9 * self.usual + 0.1 * box[:, 2:].log()
        self.usual = torch.where(accepted[:, None], sides, self.usual)


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
    boxes, scores = torch.from_numpy(source.boxes[at]), torch.from_numpy(source.scores[at])
    classes, truth = torch.from_numpy(source.classes[at]), torch.from_numpy(source.truth[at])
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
    near = relative_iou(boxes[:, 0], given[:, None]).nan_to_num(nan=0.0)
    best, index = near.max(dim=1)
    row = torch.arange(count)
    found = (best > 0) & (best >= config.iou_min)
    sure = best >= LEAST_FIRST_IOU
    first = torch.where(found[:, None], boxes[row, 0, index], float("nan"))
    drawn = torch.where(sure[:, None], first_offset(given, first), 0.0)
    kind = torch.where(best >= SAME_OBJECT, classes[row, 0, index], -1)
    same = (classes == kind[:, None, None]) | (kind < 0)[:, None, None]
    recent = torch.full((count, config.history + 1, 4), float("nan"))
    recent[:, -2] = torch.where(sure[:, None], given, float("nan"))
    recent[:, -1] = torch.where(sure[:, None], first, given)
    recent = recent[:, 1:]
    accepted = torch.full((count, frames, 4), float("nan"))
    accepted[:, 0] = first
    had = torch.zeros((count, frames))
    had[:, 0] = torch.where(found, scores[row, 0, index], 0.0)
    guide = torch.where(led[:, None, None], truth, float("nan"))
    chooser = Chooser(config, boxes, scores, same, guide, recent, torch.zeros(count), given[:, 2:].log())
    runs = Runs(accepted.numpy(), truth.numpy(), drawn.numpy(), given.numpy(), rows, had.numpy())
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
