"""Training of rolo-plus: the LSTM on true trajectories, both judges on what the tracker met on training video.

The tracker runs on each training video while its state is pushed off at random, so that the judge learns what
brings it back; where it is lost it is set on the truth again. Every candidate it met is one example, labelled
with its overlap with the truth; so is every fine one, for the judge that measures the target.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.errors import UsageError
from rolo_bench.nn.detect.registry import size_for
from rolo_bench.nn.plus.evidence import FINE, around
from rolo_bench.nn.plus.file import save_plus
from rolo_bench.nn.plus.networks import LIMIT, Expectation, Judge, Motion
from rolo_bench.nn.train.loop import Schedule, Stream, read_checkpoint, run, write_checkpoint
from rolo_bench.nn.train.tracks import motion_paths, paths_digest, video_group
from rolo_bench.run.plugins import find_plugin
from rolo_bench.sequence import Sequence as Video
from rolo_bench.sequence import prefetch

WINDOWS = 64  # of a step of the LSTM
EVERY = 100  # steps between checkpoints


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

    frames: int = 300
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
    fine: Record | None = None  # the same of fine candidates


def record(tracker: Any, video: Video, recipe: PlusRecipe) -> list[Record]:
    """Run a `RoloPlus` over a video, pushed off at random, and keep what it met."""
    rng = np.random.default_rng([recipe.seed, len(video), *video.name.encode()])
    stop = min(len(video), recipe.frames)
    records: list[Record] = []
    away = 0
    tracker.measures = True
    for t, image in enumerate(prefetch(video.frames, 0, stop)):
        truth = video.truth[t]
        if t == 0:
            tracker.init(image, truth)
            continue
        if rng.random() < recipe.push:
            tracker.centre = tracker.centre + rng.normal(size=2) * 0.08 * tracker.size
            tracker.size = tracker.size * np.exp(rng.normal(size=2) * 0.12 + rng.normal() * 0.1)
        tracker.update(image)
        if not valid(truth)[0]:
            continue
        coarse, fine = (
            np.nan_to_num(iou(boxes, truth)).astype(np.float32)
            for boxes in (tracker.candidates, tracker.fine_candidates)
        )
        records.append(
            Record(video.name, tracker.table, coarse, Record(video.name, tracker.fine_table, fine))
        )
        carried = around(tracker.centre, tracker.size)
        away = away + 1 if np.nan_to_num(iou(carried, truth))[0] < 0.1 else 0
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


def train_judge(
    records: Sequence[Record], recipe: PlusRecipe, folder: Path | None = None,
    identity: dict[str, Any] | None = None,
) -> Judge:  # fmt: skip
    """A judge fitted to records, in evaluation mode; checkpoint and curves go to a folder."""
    torch.manual_seed(recipe.seed)
    x, y, w = packed(records)
    judge = Judge(x.shape[-1])
    judge.mean = x[w > 0].mean(0)
    judge.scale = x[w > 0].std(0) + 1e-3

    def objective(network: nn.Module, step: int) -> dict[str, Tensor]:
        rows = torch.randint(0, len(x), (recipe.batch,))
        noisy = x[rows] + 0.05 * judge.scale * torch.randn_like(x[rows])
        return {"loss": judge_loss(network(noisy), y[rows], w[rows], recipe)}

    schedule = Schedule(
        steps=max(recipe.epochs * len(x) // recipe.batch, 1), rate=recipe.rate, decay=recipe.decay, vectors=True,
        average=0, clip=0, every=EVERY, seed=recipe.seed,
    )  # fmt: skip
    run(
        judge, objective, schedule, folder, pace=lambda step: one_cycle(step, schedule.steps, recipe.rate),
        stream=Stream(np.random.default_rng(recipe.seed)),
        config={"recipe": asdict(recipe), "videos": sorted({r.video for r in records}), **(identity or {})},
    )  # fmt: skip
    return judge.requires_grad_(False)


def one_cycle(step: int, steps: int, rate: float) -> dict[str, Any]:
    """Rate and momentum of a step: up and down once; the same numbers as torch's ``OneCycleLR``."""
    turn = 0.3 * (steps + 1) - 1
    rises = step <= turn
    done = step / turn if rises else (step - turn) / (steps - turn)

    def between(first: float, last: float) -> float:
        return last + (first - last) / 2.0 * (math.cos(math.pi * done) + 1)

    lr = between(rate / 25, rate) if rises else between(rate, rate / 25 / 1e4)
    momentum = between(0.95, 0.85) if rises else between(0.85, 0.95)
    return {"lr": lr, "betas": (momentum, 0.999)}


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


def train_motion(
    paths: Iterable[Array], recipe: PlusRecipe, folder: Path | None = None,
    identity: dict[str, Any] | None = None,
) -> Motion:  # fmt: skip
    """The LSTM fitted to true trajectories ``(N, 4)``, in evaluation mode; checkpoint and curves go to a folder.

    Raises:
        UsageError: none has enough boxes, or a folder of another run.
    """
    kept = [t[valid(t)] for t in paths]
    kept = [t for t in kept if len(t) >= recipe.length + 2]
    if not kept:
        raise UsageError(
            f"no trajectory has {recipe.length + 2} boxes; give longer videos or annotations (--motion DIR)"
        )
    torch.manual_seed(recipe.seed)
    motion = Motion()
    stream = Stream(np.random.default_rng(recipe.seed))
    each = math.ceil(recipe.windows / WINDOWS)  # steps of a round

    def objective(network: nn.Module, step: int) -> dict[str, Tensor]:
        first = step % each * WINDOWS
        if not first:
            stream.kept["windows"] = motion_windows(kept, recipe, stream.rng)
        seen, wanted = (v[first : first + WINDOWS] for v in stream.kept["windows"])
        error = (network(seen)[0] - wanted)[:, 3:].abs()  # the first movements say little
        return {"loss": error.clamp(max=1).mean()}

    schedule = Schedule(recipe.rounds * each, decay=0, average=0, clip=0, every=EVERY, seed=recipe.seed)
    run(
        motion, objective, schedule, folder, stream=stream, config={"recipe": asdict(recipe), **(identity or {})},
        pace=lambda step: {"lr": 1e-3 if step // each >= recipe.rounds * 3 // 4 else 3e-3},
    )  # fmt: skip
    return motion.requires_grad_(False)


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
    make: Callable[[], Any], videos: Sequence[Video], recipe: PlusRecipe, folder: Path,
    identity: dict[str, Any], note: Callable[[str], None],
) -> list[Record]:  # fmt: skip
    """Records of all videos, each with a fresh tracker; those that the folder holds already are read.

    Raises:
        UsageError: the folder holds records of another run.
        WeightsError: a file there is damaged.
    """
    whole = json.dumps({"recipe": asdict(recipe), **identity}, sort_keys=True)
    out: list[Record] = []
    for video in videos:
        path = folder / f"{video.name}.pt"
        if not path.is_file():
            found = [
                tuple(map(torch.from_numpy, (r.table, r.overlap, r.fine.table, r.fine.overlap)))  # type: ignore[union-attr]
                for r in record(make(), video, recipe)
            ]
            write_checkpoint(path, whole, {"records": found})
        found = read_checkpoint(path, whole)["records"]
        note(f"{video.name}: {len(found)} frames")
        for table, overlap, *fine in (tuple(v.numpy() for v in values) for values in found):
            out.append(Record(video.name, table, overlap, Record(video.name, *fine)))
    return out


@dataclass(frozen=True)
class FoldScore:
    """Mean overlap, on the videos of a fold that the judge did not learn from, as of `choice`."""

    fold: int
    videos: list[str]
    chosen: float
    prior: float
    best: float


def train_judges(
    records: Sequence[Record], motion: Motion, folds: int, recipe: PlusRecipe, out: Path,
    identity: dict[str, Any], about: dict[str, Any],
) -> list[FoldScore]:  # fmt: skip
    """A judge of all records, and one without each fold of the videos, with its score there; files as `train_plus`."""
    groups = fold_of([video_group(r.video) for r in records], max(folds, 1))
    scores = []
    for fold in [*range(folds), None]:
        name = "plus" if fold is None else f"plus-fold{fold}"
        kept: list[Record] = []
        rest: list[Record] = []
        for r in records:
            (rest if groups[video_group(r.video)] == fold else kept).append(r)
        judge = train_judge(kept, recipe, out / name, identity)
        fine = train_judge([r.fine for r in kept if r.fine], recipe, out / f"{name}-fine", identity)
        notes = {**about, "videos": sorted({r.video for r in kept})}
        save_plus(out / f"{name}.safetensors", judge, fine, motion, notes)
        if fold is not None and rest:
            scores.append(FoldScore(fold, sorted({r.video for r in rest}), *choice(judge, rest)))
    return scores


def train_plus(
    videos: Sequence[Video], out: Path, *, detector: str = "yolox-nano", size: int | None = None,
    motion: Path | None = None, start: str = "none", folds: int = 0, recipe: PlusRecipe | None = None,
    device: str = "cpu", note: Callable[[str], None] = lambda line: None,
) -> list[FoldScore]:  # fmt: skip
    """Train rolo-plus on videos, or go on training, and write ``<out>/plus.safetensors``.

    Args:
        size: side of the detector's input; by default 320 where it takes any, else its own.
        motion: folder of annotation files for the LSTM, of which the names of OTB-30 are left out; None takes the
            truth of the videos.
        start: weights of the tracker that meets the videos; ``none`` is the hand-made judge.
        folds: also train on all but one fold of the videos, for each fold: ``plus-fold0.safetensors`` …
        device: of the detector; LSTM and judge are too small to gain from one.
        note: called with the name and length of each video once it is recorded.

    Raises:
        UsageError: too short trajectories, or a folder of another run.
    """
    if folds and min(folds, len({video_group(v.name) for v in videos})) < 2:
        raise UsageError("folds are two or more, over videos of two or more recordings")
    recipe = recipe or PlusRecipe()
    size = size_for(detector, 320) if size is None else size

    def tracker() -> Any:
        siamese = detector != "demo"  # which needs nothing that is not at hand
        return find_plugin("rolo-plus").make(
            {"detector": detector, "size": size, "network": start, "device": device, "siamese": siamese}
        )

    first = tracker()
    paths = motion_paths(motion, [v.truth for v in videos])
    identity = {
        "data": {v.name: v.truth_digest() for v in videos}, "detector": first.detector.identity,
        "start": first.weights_digests, "motion": paths_digest(paths), "evidence": FINE,
    }  # fmt: skip
    expects = train_motion(paths, recipe, out / "motion", identity)

    def expecting() -> Any:
        made = tracker()
        made.motion = expects
        return made

    records = record_all(expecting, videos, recipe, out / "records", identity, note)
    about = {
        "recipe": asdict(recipe), "detector": detector, "start": Path(start).name,
        "siamese": first.siamese is not None,
    }  # fmt: skip
    return train_judges(records, expects, folds, recipe, out, identity, about)
