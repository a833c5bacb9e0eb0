"""Runs of a simulated detector over true trajectories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rolo_bench.boxes import Array, to_relative, valid
from rolo_bench.nn.rolo.coding import box_offset
from rolo_bench.nn.train.runs import Runs, join, padded


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
    trajectories: list[Array], count: int, length: int, rng: np.random.Generator, noise: Noise | None = None,
    size: tuple[int, int] | None = None,
) -> Runs:  # fmt: skip
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
        drawn = box_offset(torch.from_numpy(relative[0]), torch.from_numpy(seen[0])).numpy()
        scores = np.full(len(piece), float(np.mean(noise.score)))
        if noise.covers:
            scores = _cover(seen, rng, noise)
        seen[_misses(len(piece), rng, noise)] = np.nan
        scores[np.isnan(seen[:, 0])] = 0
        parts.append(
            padded(seen, relative, drawn, np.full(len(piece), -1), scores, np.zeros((len(piece), 2)), length)
        )
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
