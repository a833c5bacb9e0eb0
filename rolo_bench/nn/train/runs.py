"""What ROLO learns from: runs of the association over detections, and simulated ones over mere trajectories.

A run is what the association hands to the network on a stretch of video: the accepted detection of each
frame or none, beside the truth. All boxes here are relative centre and size (equation 3 of the paper), so
that mirroring, shifting and scaling a run is exact, and runs of any video stand in one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.boxes import Array, to_relative, valid
from rolo_bench.detection import Detections
from rolo_bench.nn.rolo.coding import first_offset
from rolo_bench.nn.rolo.config import RoloConfig


@dataclass(frozen=True)
class DetectedVideo:
    """A video as the network needs it: truth ``(N, 4)`` in pixels, detections of each frame, image size.

    Attributes:
        group: videos of one group (two targets in one recording) stay on one side of a split.
        counted: ``(N,)`` frames whose truth may be learnt from; all by default.
        look: what the truth of a frame looks like ``(1, L)``, of detectors that can tell.
    """

    name: str
    truth: Array
    found: Sequence[Detections]
    size: tuple[int, int]
    group: str = ""
    counted: NDArray[np.bool_] | None = None
    look: Callable[[int], NDArray[np.float16] | None] = lambda frame: None


@dataclass(frozen=True)
class Runs:
    """R runs of T frames, padded with NaN truth.

    Attributes:
        accepted: ``(R, T, 4)`` relative boxes of accepted detections, NaN where none.
        truth: ``(R, T, 4)`` relative, NaN where unknown.
        drawn: ``(R, 4)`` offset from the first detection to the given box.
        given: ``(R, 4)`` the given box.
        rows: ``(R, T)`` row of the frame's feature in the table of features, -1 for none.
        scores: ``(R, T)`` of accepted detections, 0 where none.
        likeness: ``(R, T, 2)`` of accepted detections to the first frame and to the latest, 0 where unknown.
    """

    accepted: NDArray[np.float32]
    truth: NDArray[np.float32]
    drawn: NDArray[np.float32]
    given: NDArray[np.float32]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    likeness: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.accepted)

    def take(self, index: NDArray[np.int64]) -> Runs:
        """Some of the runs."""
        return Runs(*(getattr(self, f.name)[index] for f in fields(Runs)))


def join(parts: Iterable[Runs]) -> Runs:
    """Runs of one length put together."""
    several = list(parts)
    return Runs(*(np.concatenate([getattr(p, f.name) for p in several]) for f in fields(Runs)))


def associate(
    track: DetectedVideo, order: NDArray[np.int64], config: RoloConfig
) -> tuple[Array, Array, Array, Array]:
    """Accepted boxes ``(T, 4)`` in pixels on frames in an order, their scores ``(T,)`` and likeness ``(T, 2)``, and the
    offset ``(4,)`` of the given box.

    Where the network's prediction is to be the centre of the association's reference, the truth stands in for it.
    """
    association = config.association()
    given = track.truth[order[0]]
    accepted = np.full((len(order), 4), np.nan)
    scores, likeness = np.zeros(len(order)), np.zeros((len(order), 2))
    for t, frame in enumerate(order):
        found = track.found[frame]
        if t == 0:
            index = association.start(given, found, track.look(int(frame)) if config.alike else None)
        else:
            place = track.truth[frame][None] if config.centre == "prediction" else None
            index = association.step(found, association.reference(place))
        if index is not None:
            accepted[t], scores[t] = found.boxes[index], found.scores[index]
            likeness[t] = association.likeness[0, index]
    relative = torch.from_numpy(to_relative(np.stack([given, accepted[0]]), track.size))
    return accepted, scores, likeness, first_offset(relative[0], relative[1]).numpy()


def real_runs(
    tracks: list[DetectedVideo], config: RoloConfig, length: int, starts: int, reverse: bool = True
) -> tuple[Runs, list[int]]:
    """Runs over each track from several first frames, forward and backward in time; also each run's track.

    ``rows`` count frames through all tracks in order, as in a table of their features put together.
    """
    parts, owner, base = [], [], 0
    for number, track in enumerate(tracks):
        count = len(track.truth)
        known = valid(track.truth) & (track.counted if track.counted is not None else True)
        for way in (1, -1) if reverse else (1,):
            for start in np.linspace(0, max(count - length, 0), starts).astype(int) if starts > 1 else [0]:
                order = np.arange(start, min(start + length, count))[::way]
                first = int(np.argmax(known[order])) if known[order].any() else len(order)
                order = order[first:]
                if len(order) < 8:
                    continue
                accepted, scores, likeness, drawn = associate(track, order, config)
                truth = to_relative(track.truth[order], track.size)
                truth[~known[order]] = np.nan
                seen = to_relative(accepted, track.size)
                parts.append(padded(seen, truth, drawn, base + order, scores, likeness, length))
                owner.append(number)
        base += count
    return join(parts), owner


def padded(
    accepted: Array,
    truth: Array,
    drawn: Array,
    rows: NDArray[np.int64],
    scores: Array,
    likeness: Array,
    length: int,
) -> Runs:
    """One run, filled up to ``length`` frames; the given box is the first of the truth."""

    def pad(values: NDArray[Any], filler: float, kind: type = np.float32) -> NDArray[Any]:
        spare = np.full((length - len(values), *values.shape[1:]), filler)
        return np.concatenate([values, spare])[None].astype(kind)

    return Runs(
        pad(accepted, np.nan), pad(truth, np.nan), drawn[None].astype(np.float32),
        truth[:1].astype(np.float32), pad(rows, -1, np.int64), pad(scores, 0), pad(likeness, 0),
    )  # fmt: skip


def moved(
    parts: tuple[Tensor, Tensor, Tensor, Tensor], rng: np.random.Generator, stay: bool = False
) -> tuple[Tensor, ...]:
    """Mirror, scale and shift boxes of a batch of windows; the drawn offset is only mirrored.

    Those that are to ``stay`` are only mirrored about the middle of the image.
    """
    boxes, before, truth, drawn = parts
    count = len(boxes)
    flip = torch.from_numpy(np.where(rng.random((count, 1, 1)) < 0.5, -1.0, 1.0).astype(np.float32))
    scale = torch.from_numpy(np.exp(rng.uniform(-0.7, 0.5, (count, 1, 2))).astype(np.float32))
    target = torch.from_numpy(rng.uniform(0.1, 0.9, (count, 1, 2)).astype(np.float32))
    mirror = torch.cat([flip, torch.ones_like(flip)], dim=2)  # (B, 1, 2)
    origin = torch.nan_to_num(boxes[:, :1, :2], nan=0.5)
    if stay:
        scale, target, origin = torch.ones_like(scale), torch.tensor(0.5), torch.tensor(0.5)
    shifted = [
        torch.cat([(b[..., :2] - origin) * mirror * scale + target, b[..., 2:] * scale], dim=-1)
        for b in (boxes, before, truth)
    ]
    return (*shifted, torch.cat([drawn[..., :2] * mirror, drawn[..., 2:]], dim=-1))
