"""Training of rolo-plus: the LSTM on true trajectories, the judge on what the tracker met on training video.

The tracker runs on each training video while its state is pushed off at random, so that the judge learns what
brings it back; where it is lost it is set on the truth again. Every candidate it met is one example, labelled
with its overlap with the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.nn.plus.networks import LIMIT, Expectation, Judge, Motion
from rolo_bench.sequence import Sequence as Video
from rolo_bench.sequence import prefetch


@dataclass(frozen=True)
class PlusRecipe:
    """How rolo-plus is trained.

    Attributes:
        frames: of each video that are recorded, from its start.
        push: share of frames before which the state is pushed off.
        lost: frames without overlap of 0.1 after which the tracker is set on the truth again.
        epochs, batch, rate, decay: of the judge (AdamW, one cycle), over recorded frames.
        ranking: weight of the loss that asks for the best candidate of a frame.
        sharpness: of the wanted choice in that loss, per unit of overlap.
        rounds, windows, length: of the LSTM: passes, windows drawn in each, movements in a window.
        noise: largest error of simulated boxes, in target sizes.
        seed: of everything random.
    """

    frames: int = 220
    push: float = 0.3
    lost: int = 10
    epochs: int = 12
    batch: int = 64
    rate: float = 3e-3
    decay: float = 1e-2
    ranking: float = 0.2
    sharpness: float = 12.0
    rounds: int = 25
    windows: int = 1500
    length: int = 40
    noise: float = 0.08
    seed: int = 0


@dataclass(frozen=True)
class Record:
    """What the tracker met on one frame: evidence ``(N, F)`` and overlap with the truth ``(N,)`` of candidates."""

    video: str
    table: NDArray[np.float32]
    overlap: NDArray[np.float32]


def record(tracker: Any, video: Video, recipe: PlusRecipe) -> list[Record]:
    """Run a `RoloPlus` over a video, pushed off at random, and keep what it met."""
    rng = np.random.default_rng([recipe.seed, len(video), *video.name.encode()])
    stop = min(len(video), recipe.frames)
    records: list[Record] = []
    away = 0
    for t, image in enumerate(prefetch(video.frames, 0, stop)):
        truth = video.truth[t]
        if t == 0:
            tracker.init(image, truth)
            continue
        if rng.random() < recipe.push:
            tracker.centre = tracker.centre + rng.normal(size=2) * 0.08 * tracker.size
            tracker.size = tracker.size * np.exp(rng.normal(size=2) * 0.12 + rng.normal() * 0.1)
        box = tracker.update(image)
        if not valid(truth)[0]:
            continue
        overlap = np.nan_to_num(iou(tracker.candidates, truth)).astype(np.float32)
        records.append(Record(video.name, tracker.table, overlap))
        away = away + 1 if np.nan_to_num(iou(box, truth))[0] < 0.1 else 0
        if away > recipe.lost:
            tracker.centre, tracker.size = truth[:2] + truth[2:] / 2, truth[2:].copy()
            tracker.expectation, away = Expectation.start(tracker.motion), 0
    return records


def packed(records: Sequence[Record]) -> tuple[Tensor, Tensor, Tensor]:
    """Evidence ``(T, N, F)``, overlaps ``(T, N)`` and weights ``(T, N)``, 0 where a frame has fewer candidates.

    A video counts by the root of its length.
    """
    most, width = max(len(r.table) for r in records), records[0].table.shape[1]
    lengths: dict[str, int] = {}
    for r in records:
        lengths[r.video] = lengths.get(r.video, 0) + 1
    x = np.zeros((len(records), most, width), dtype=np.float32)
    y, w = np.zeros((2, len(records), most), dtype=np.float32)
    for k, r in enumerate(records):
        n = len(r.table)
        x[k, :n], y[k, :n], w[k, :n] = r.table, r.overlap, lengths[r.video] ** -0.5
    return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(w / w[w > 0].mean())


def judge_loss(logits: Tensor, overlap: Tensor, weights: Tensor, recipe: PlusRecipe) -> Tensor:
    """Cross-entropy with the overlap as soft label, and of the choice within each frame."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, overlap, reduction="none")
    there = weights > 0
    chosen = torch.log_softmax(logits.masked_fill(~there, -1e4), dim=1)
    goal = torch.softmax((overlap * recipe.sharpness).masked_fill(~there, -1e4), dim=1)
    frame = (overlap * there).amax(dim=1)  # frames without any good candidate teach no choice
    ranking = -((goal * chosen).sum(dim=1) * frame).mean()
    return (each * weights).sum() / weights.sum() + recipe.ranking * ranking


def train_judge(records: Sequence[Record], recipe: PlusRecipe) -> Judge:
    """A judge fitted to records, in evaluation mode."""
    torch.manual_seed(recipe.seed)
    x, y, w = packed(records)
    judge = Judge(x.shape[-1])
    judge.mean = x[w > 0].mean(0)
    judge.scale = x[w > 0].std(0) + 1e-3
    steps = max(recipe.epochs * len(x) // recipe.batch, 1)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps + 1)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (recipe.batch,))
        noisy = x[rows] + 0.05 * judge.scale * torch.randn_like(x[rows])
        loss = judge_loss(judge(noisy), y[rows], w[rows], recipe)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval().requires_grad_(False)


def movements(before: Array, after: Array) -> Array:
    """From each box ``(T, 4)`` to the next, ``after`` being the true ones: ``(T - 1, 4)``."""
    side = np.sqrt(before[:-1, 2] * before[:-1, 3])[:, None]
    shift = after[1:, :2] + after[1:, 2:] / 2 - before[:-1, :2] - before[:-1, 2:] / 2
    return np.hstack([shift / side, np.log(after[1:, 2:] / before[:-1, 2:])])


def motion_windows(
    trajectories: Sequence[Array], recipe: PlusRecipe, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Movements of boxes with errors ``(B, L, 4)`` and, for each, the true movement that follows ``(B, L, 4)``.

    Stretches are mirrored, reversed in time and taken at double speed at random.
    """
    seen, wanted = [], []
    span = recipe.length + 2
    for _ in range(recipe.windows):
        path = trajectories[int(rng.integers(len(trajectories)))]
        stride = 2 if rng.random() < 0.3 and len(path) >= 2 * span else 1
        start = rng.integers(0, len(path) - span * stride + 1)
        piece = path[start : start + span * stride : stride].copy()
        if rng.random() < 0.3:
            piece = piece[::-1].copy()
        for axis, chance in ((0, 0.5), (1, 0.3)):
            if rng.random() < chance:
                piece[:, axis] = -piece[:, axis] - piece[:, axis + 2]
        error = recipe.noise * rng.random()
        noisy = piece.copy()
        noisy[:, 2:] *= np.exp(rng.normal(size=(span, 2)) * error)
        noisy[:, :2] += rng.normal(size=(span, 2)) * error * 0.7 * np.sqrt(piece[:, 2:].prod(axis=1))[:, None]
        seen.append(movements(noisy, noisy)[: recipe.length])
        wanted.append(movements(noisy, piece)[1 : recipe.length + 1])
    return tuple(torch.tensor(np.array(v), dtype=torch.float32).clamp(-LIMIT, LIMIT) for v in (seen, wanted))  # type: ignore[return-value]


def train_motion(trajectories: Iterable[Array], recipe: PlusRecipe) -> Motion:
    """The LSTM fitted to true trajectories ``(N, 4)``, in evaluation mode.

    Raises:
        ValueError: none has enough boxes.
    """
    kept = [t[valid(t)] for t in trajectories]
    kept = [t for t in kept if len(t) >= recipe.length + 2]
    if not kept:
        raise ValueError(f"no trajectory has {recipe.length + 2} boxes")
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    motion = Motion()
    optimiser = torch.optim.Adam(motion.parameters(), lr=3e-3)
    for turn in range(recipe.rounds):
        if turn == recipe.rounds * 3 // 4:
            optimiser.param_groups[0]["lr"] = 1e-3
        seen, wanted = motion_windows(kept, recipe, rng)
        for a in range(0, len(seen), 64):
            out, _ = motion(seen[a : a + 64])
            error = (out - wanted[a : a + 64])[:, 3:].abs()  # the first movements say little
            loss = error.clamp(max=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return motion.eval().requires_grad_(False)


def motion_error(motion: Motion | None, seen: Tensor, wanted: Tensor) -> float:
    """Mean distance of the expected centre in target sizes; without a network, of standing still."""
    with torch.inference_mode():
        out = torch.zeros_like(wanted) if motion is None else motion(seen)[0]
    return float((out - wanted)[:, 5:, :2].norm(dim=2).mean())


def choice(judge: Judge, records: Sequence[Record]) -> tuple[float, float, float]:
    """Mean overlap, over videos, of the candidate chosen by the judge, of the prior box and of the best one."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    with torch.inference_mode():
        for r in records:
            best = int(judge(torch.from_numpy(r.table)).argmax())
            rows.setdefault(r.video, []).append(
                (float(r.overlap[best]), float(r.overlap[0]), float(r.overlap.max()))
            )
    means = np.mean([np.mean(v, axis=0) for v in rows.values()], axis=0)
    return float(means[0]), float(means[1]), float(means[2])


def fold_of(groups: Sequence[str], count: int) -> dict[str, int]:
    """Each group of videos in one of ``count`` folds, dealt out in alphabetical order."""
    return {group: k % count for k, group in enumerate(sorted(set(groups)))}


def record_all(
    make: Callable[[], Any], videos: Sequence[Video], recipe: PlusRecipe, report: Callable[[str], None]
) -> list[Record]:
    """Records of all videos, each with a fresh tracker."""
    out: list[Record] = []
    for video in videos:
        found = record(make(), video, recipe)
        report(f"{video.name}: {len(found)} frames")
        out += found
    return out
