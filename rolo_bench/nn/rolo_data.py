"""What ROLO learns from: runs of the association over detections, and simulated ones over mere trajectories.

A run is what the association hands to the network on a stretch of video: the accepted detection of each
frame or none, beside the truth. All boxes here are relative centre and size (equation 3 of the paper), so
that mirroring, shifting and scaling a run is exact, and runs of any video stand in one array.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.association import centred
from rolo_bench.boxes import Array, iou, to_relative, valid
from rolo_bench.nn.detector import Detections
from rolo_bench.nn.rolo import LEAST_FIRST_IOU, RoloConfig


@dataclass(frozen=True)
class Track:
    """A video as the network needs it: truth ``(N, 4)`` in pixels, detections of each frame, image size.

    Attributes:
        group: videos of one group (two targets in one recording) stay on one side of a split.
        counted: ``(N,)`` frames whose truth may be learnt from; all by default.
    """

    name: str
    truth: Array
    found: tuple[Detections, ...]
    size: tuple[int, int]
    group: str = ""
    counted: NDArray[np.bool_] | None = None


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
    """

    accepted: NDArray[np.float32]
    truth: NDArray[np.float32]
    drawn: NDArray[np.float32]
    given: NDArray[np.float32]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.accepted)

    def take(self, index: NDArray[np.int64]) -> Runs:
        """Some of the runs."""
        return Runs(*(getattr(self, f.name)[index] for f in fields(Runs)))


def join(parts: Iterable[Runs]) -> Runs:
    """Runs of one length put together."""
    several = list(parts)
    return Runs(*(np.concatenate([getattr(p, f.name) for p in several]) for f in fields(Runs)))


def offset(target: Array, reference: Array) -> Array:
    """Offset ``(..., 4)`` from reference to target, in reference sizes and logarithms."""
    centre = (target[..., :2] - reference[..., :2]) / reference[..., 2:]
    return np.concatenate([centre, np.log(target[..., 2:] / reference[..., 2:])], axis=-1)


def associate(track: Track, order: NDArray[np.int64], config: RoloConfig) -> tuple[Array, Array, Array]:
    """Accepted boxes ``(T, 4)`` in pixels, their scores ``(T,)`` and the offset ``(4,)`` of the given box, on frames
    in an order.

    Where the network's prediction is to be the centre of the association's reference, the truth stands in for it.
    """
    association = config.association()
    given = track.truth[order[0]]
    accepted = np.full((len(order), 4), np.nan)
    scores, drawn = np.zeros(len(order)), np.zeros(4)
    index = association.start(given, track.found[order[0]])
    if index is not None:
        accepted[0], scores[0] = track.found[order[0]].boxes[index], track.found[order[0]].scores[index]
        if iou(accepted[0], given)[0] >= LEAST_FIRST_IOU:
            relative = to_relative(np.stack([given, accepted[0]]), track.size)
            drawn = offset(relative[0], relative[1])
            association.recent.append(accepted[0])
    for t, frame in enumerate(order[1:], 1):
        truth = track.truth[frame]
        reference = association.reference()
        if config.centre == "prediction" and valid(truth)[0]:
            reference = centred(reference, truth)
        index = association.step(track.found[frame], reference)
        if index is not None:
            accepted[t], scores[t] = track.found[frame].boxes[index], track.found[frame].scores[index]
    return accepted, scores, drawn


def real_runs(
    tracks: list[Track],
    config: RoloConfig,
    length: int,
    starts: int,
    reverse: bool = True,
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
                accepted, scores, drawn = associate(track, order, config)
                truth = to_relative(track.truth[order], track.size)
                truth[~known[order]] = np.nan
                parts.append(
                    _padded(
                        to_relative(accepted, track.size),
                        truth,
                        drawn,
                        truth[0],
                        base + order,
                        scores,
                        length,
                    )
                )
                owner.append(number)
        base += count
    return join(parts), owner


def _padded(
    accepted: Array,
    truth: Array,
    drawn: Array,
    given: Array,
    rows: NDArray[np.int64],
    scores: Array,
    length: int,
) -> Runs:
    extra = length - len(accepted)

    def pad(boxes: Array) -> NDArray[np.float32]:
        return np.concatenate([boxes, np.full((extra, 4), np.nan)])[None].astype(np.float32)

    return Runs(
        pad(accepted),
        pad(truth),
        drawn[None].astype(np.float32),
        given[None].astype(np.float32),
        np.concatenate([rows, np.full(extra, -1)])[None].astype(np.int64),
        np.concatenate([scores, np.zeros(extra)])[None].astype(np.float32),
    )


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


@dataclass(frozen=True)
class Noise:
    """How a simulated detector errs, in box sizes and logarithms; ranges are drawn anew for each run.

    Attributes:
        bias, wander, jitter: a steady error, a slowly changing one, and one of each frame.
        outliers: share of frames with a large error.
        miss, found_again: how often rows of misses begin and end.
        covers: how often, per 100 frames, something slides over the target and off again on the other side; the
            detection shrinks to what is seen and its score falls.
        wrong: share of the frames of a covered target in which something else near by is detected.
        score: range of the score of a target in full view.
    """

    bias: tuple[float, ...] = (0.05, 0.06, 0.14, 0.12)
    wander: float = 0.25
    jitter: tuple[float, ...] = (0.03, 0.03, 0.06, 0.05)
    outliers: float = 0.02
    miss: float = 0.12
    found_again: tuple[float, float] = (0.04, 0.6)
    covers: float = 0.0
    wrong: float = 0.3
    score: tuple[float, float] = (0.3, 0.9)


# For the demo detector: bias and jitter as measured for its predecessor on 40 scenes of the domain `valid`; the rest
# chosen by hand.
NOISES = {
    "demo": Noise(
        bias=(0.02, 0.02, 0.07, 0.05), wander=0.5, jitter=(0.05, 0.045, 0.11, 0.09), outliers=0.08,
        covers=1.0, score=(0.3, 0.6),
    )
}  # fmt: skip


def simulated_runs(
    trajectories: list[Array],
    count: int,
    length: int,
    rng: np.random.Generator,
    noise: Noise | None = None,
    size: tuple[int, int] | None = None,
) -> Runs:
    """Runs over true trajectories ``(N, 4)`` in pixels with a simulated detector that errs and misses.

    Each run is a random stretch, forward or backward, sometimes at double speed; the detector has a steady
    and a slowly wandering bias of its own, jitter, outliers, and misses that come in rows. Boxes are relative to an
    image of that ``size`` (width, height), or to one that just holds the trajectory.
    """
    noise = noise or Noise()
    parts: list[Runs] = []
    while len(parts) < count:
        truth = trajectories[rng.integers(len(trajectories))]
        truth = truth[valid(truth)]
        stride = 2 if rng.random() < 0.25 and len(truth) > 2 * length else 1
        span = min(len(truth), length * stride)
        start = rng.integers(len(truth) - span + 1)
        piece = truth[start : start + span : stride][:: 1 if rng.random() < 0.5 else -1]
        if len(piece) < 16:
            continue
        extent = np.maximum((truth[:, :2] + truth[:, 2:]).max(axis=0), 8.0) if size is None else size
        relative = to_relative(piece, (float(extent[0]), float(extent[1])))  # type: ignore[arg-type]
        error = _detector_error(len(piece), rng, noise)
        seen = np.concatenate(
            [relative[:, :2] + error[:, :2] * relative[:, 2:], relative[:, 2:] * np.exp(error[:, 2:])], axis=1
        )
        drawn = offset(relative[0], seen[0])
        scores = np.full(len(piece), float(np.mean(noise.score)))
        if noise.covers:
            scores = _cover(seen, rng, noise)
        seen[_misses(len(piece), rng, noise)] = np.nan
        scores[np.isnan(seen[:, 0])] = 0
        parts.append(_padded(seen, relative, drawn, relative[0], np.full(len(piece), -1), scores, length))
    return join(parts)


def _cover(seen: Array, rng: np.random.Generator, noise: Noise) -> Array:
    """Slide things over the detections ``(T, 4)``, which are changed in place: cut, or NaN; gives their scores."""
    count, where, sides = len(seen), seen[:, :2].copy(), seen[:, 2:].copy()
    scores = np.full(count, rng.uniform(*noise.score)) * np.exp(rng.normal(0, 0.15, count))
    for _ in range(rng.poisson(noise.covers * count / 100)):
        ramp, hold = rng.uniform(3, 14), rng.uniform(0, 20)
        begin = rng.uniform(2, max(count - ramp, 3))
        t = np.arange(count, dtype=np.float64)
        hidden = np.clip(np.minimum((t - begin) / ramp, (begin + 2 * ramp + hold - t) / ramp), 0, 1)
        leaving = t > begin + ramp + hold / 2  # the side that was covered first is free first
        axis, side = rng.integers(2), rng.choice([-1, 1])
        cut = hidden * rng.uniform(0.2, 1)  # detectors guess a part of what they do not see
        seen[:, axis] += np.where(leaving, -side, side) * cut / 2 * seen[:, axis + 2]
        seen[:, axis + 2] *= np.maximum(1 - cut, 0.05)
        scores *= np.maximum(1 - hidden, 0.05) ** rng.uniform(0.5, 2)
        seen[rng.random(count) < (hidden - 0.4) / 0.5] = np.nan
        wrong = (rng.random(count) < noise.wrong) & (hidden > 0.5)  # something else is taken for it
        near = np.hstack(
            [where + rng.normal(0, 0.7, (count, 2)) * sides, sides * np.exp(rng.normal(0, 0.4, (count, 2)))]
        )
        seen[wrong] = near[wrong]
        scores[wrong] = rng.uniform(0.05, noise.score[1], wrong.sum())
    return scores


def _detector_error(count: int, rng: np.random.Generator, noise: Noise) -> Array:
    scale = np.exp(rng.normal(0, 0.5, 3))
    bias = rng.normal(0, noise.bias) * scale[0]
    walk = np.zeros((count, 4))
    steps = rng.normal(0, np.sqrt(1 - 0.95**2), (count, 4)) * noise.bias * noise.wander * 2 * scale[1]
    for t in range(1, count):
        walk[t] = 0.95 * walk[t - 1] + steps[t]
    jitter = rng.normal(0, noise.jitter, (count, 4)) * scale[2]
    out = rng.random((count, 1)) < noise.outliers
    jitter += out * rng.normal(0, 0.2, (count, 4))
    return np.clip(bias + walk + jitter, -0.8, 0.8)


def _misses(count: int, rng: np.random.Generator, noise: Noise) -> NDArray[np.bool_]:
    begin, end = rng.uniform(0, noise.miss), rng.uniform(*noise.found_again)
    missed = np.zeros(count, dtype=bool)
    for t in range(1, count):
        missed[t] = rng.random() < (1 - end if missed[t - 1] else begin)
    return missed
