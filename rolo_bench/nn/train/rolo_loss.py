"""What ROLO is trained with: the recipe, windows and stretches drawn from runs, and their losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rolo_bench.nn.rolo.coding import add_offset, box_offset, decode, encode, relative_iou, to_map
from rolo_bench.nn.rolo.network import Rolo
from rolo_bench.nn.train.footage import Chooser
from rolo_bench.nn.train.rollout import unroll
from rolo_bench.nn.train.runs import Runs, moved

RIGHT = 0.3  # IoU with the truth from which a detection is the target
FAR = 5.0  # in target sizes: where an output is further off, the loss of a stretch has no slope


@dataclass(frozen=True)
class RoloRecipe:
    """How to train.

    Attributes:
        pretrain, finetune: steps of the optimiser on simulated runs alone, and on real runs with simulated.
        batch: windows a step. rate: of Adam, falling to a twentieth along a cosine.
        real_share: share of real windows in fine-tuning.
        feature_dropout: share of windows whose features are dropped whole (an option that the paper tried).
        box_jitter: random offset of fed boxes in box sizes (an option that the paper tried).
        auxiliary: weight of an extra cost that draws the output to the fed detection (the third).
        loss: ``iou`` (1 - IoU and a smooth L1 on the offset) or ``mse``, the paper's.
        refresh: after so many steps the fed boxes of missed frames are made anew from the network's outputs.
        context: frames of a stretch in streaming mode, which is trained with the outputs fed back at once.
        drop: share of the frames of a stretch whose detection is dropped, so that every next frame is learnt to
            be predicted; in a closed loop only of guided stretches.
        guided: share of the stretches in a closed loop on which the truth tells the association where to look.
        predict: weight, in streaming mode, of the loss of what the network would say of every frame if nothing
            were accepted there: that is the centre of the association's reference.
        check: after so many steps the held-out score is taken; patience: checks without a better one.
    """

    pretrain: int = 600
    finetune: int = 900
    batch: int = 128
    rate: float = 2e-3
    real_share: float = 0.6
    feature_dropout: float = 0.7
    box_jitter: float = 0.0
    auxiliary: float = 0.0
    loss: str = "iou"
    refresh: int = 300
    context: int = 60
    drop: float = 0.25
    guided: float = 0.3
    predict: float = 0.0
    check: int = 300
    patience: int = 2
    weight_decay: float = 1e-4
    seed: int = 0


@dataclass
class Window:
    """A batch of windows: fed boxes, boxes fed before, truth ``(B, n, 4)``, and the rest of the input."""

    fed: Tensor
    before: Tensor
    truth: Tensor
    missed: Tensor
    drawn: Tensor
    rows: Tensor
    scores: Tensor
    likeness: Tensor
    weight: Tensor


def draw_windows(
    runs: Runs, fed: Tensor, missed: Tensor, count: int, steps: int, rng: np.random.Generator, recipe: RoloRecipe,
    move: bool,
) -> Window:  # fmt: skip
    """Random windows, moved as a whole: mirrored, shifted and scaled, so that place carries no identity.

    Boxes ``(R, T, 4)`` and frames since a detection ``(R, T)`` are what a rollout fed.
    A window at the start of a run counts at all its frames; others mostly at the last, which saw all of it.
    """
    length = runs.accepted.shape[1]
    run = rng.integers(len(runs), size=count)
    known = (~np.isnan(runs.truth[run, :, 0])).cumsum(axis=1).argmax(axis=1) + 1
    start = (rng.random(count) * np.maximum(known - steps + 1, 1)).astype(np.int64)
    start[rng.random(count) < 0.08] = 0
    at = np.minimum(start[:, None] + np.arange(steps), length - 1)  # (B, n)
    r = torch.from_numpy(run)[:, None]
    t = torch.from_numpy(at)
    weight = torch.full((count, steps), 0.1)
    weight[:, -1] = 1.0
    weight[torch.from_numpy(start == 0)] = 1.0
    boxes = fed[r, t]
    before = fed[r, (t - 1).clamp(min=0)]
    truth = torch.from_numpy(runs.truth)[r, t]
    rows = torch.from_numpy(runs.rows)[r, t]
    drawn = torch.from_numpy(runs.drawn)[r].expand(count, steps, 4)
    if recipe.box_jitter:
        wobble = torch.from_numpy(rng.normal(0, recipe.box_jitter, (count, steps, 2)).astype(np.float32))
        boxes = torch.cat([boxes[..., :2] + wobble * boxes[..., 2:], boxes[..., 2:]], dim=-1)
    if move:
        boxes, before, truth, drawn = moved((boxes, before, truth, drawn), rng)
    scores, likeness = torch.from_numpy(runs.scores)[r, t], torch.from_numpy(runs.likeness)[r, t]
    return Window(boxes, before, truth, missed[r, t], drawn, rows, scores, likeness, weight)


def window_loss(network: Rolo, window: Window, features: Tensor | None, recipe: RoloRecipe) -> Tensor:
    """The loss of a batch of windows; frames whose truth is unknown or out of reach do not count."""
    config, device = network.config, next(network.parameters()).device
    window = Window(*(value.to(device) for value in vars(window).values()))
    boxes = encode(
        config, window.fed, window.before, window.missed, window.drawn, score=window.scores, likeness=window.likeness
    )  # fmt: skip
    x = network.inputs(features, boxes)
    raw = network(x)
    known = ~torch.isnan(window.truth[..., 0])
    truth = torch.where(known[..., None], window.truth, torch.full((), 0.5))
    fed = torch.nan_to_num(window.fed, nan=0.5)
    near = relative_iou(fed, truth) > 0.02 if config.form != "absolute" else known
    weight = window.weight * known * near

    def boxes_of(output: Tensor) -> Tensor:
        return decode(config, output, fed, window.before, window.missed, window.drawn)

    if config.form == "heatmap":
        # the map before it is cut to 0 … 1, so that gradients pass
        map_ = to_map(config, window.fed, window.before) + raw
        each = ((map_ - to_map(config, truth, window.before)) ** 2).sum(dim=-1)
    elif recipe.loss == "mse" or config.form == "absolute":
        each = ((boxes_of(raw) - truth) ** 2).sum(dim=-1)
    else:
        box = boxes_of(raw)
        start = boxes_of(torch.zeros_like(raw))  # what the network corrects
        wanted = add_offset(start, box_offset(truth, start).clamp(-config.limit, config.limit))
        slack = F.smooth_l1_loss(
            box_offset(box, fed), box_offset(wanted, fed), reduction="none", beta=0.1
        ).sum(dim=-1)
        each = 1 - relative_iou(box, truth) + 0.25 * slack
    if recipe.auxiliary and config.form != "heatmap":
        each = each + recipe.auxiliary * ((boxes_of(raw) - fed) ** 2).sum(dim=-1)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def draw_stretches(
    runs: Runs, count: int, frames: int, rng: np.random.Generator, recipe: RoloRecipe, stay: bool = False
) -> Runs:
    """Random stretches of runs, moved as a whole like windows, each as if a tracker were started at its beginning.

    Every third stretch is the beginning of its run.
    """
    run = rng.integers(len(runs), size=count)
    known = (~np.isnan(runs.truth[run, :, 0])).cumsum(axis=1).argmax(axis=1) + 1
    start = (rng.random(count) * np.maximum(known - frames + 1, 1)).astype(np.int64)
    start[rng.random(count) < 1 / 3] = 0
    start[np.isnan(runs.truth[run, start, 0])] = 0  # the box given at the beginning is the truth
    r, at = (
        run[:, None],
        np.minimum(start[:, None] + np.arange(frames), runs.accepted.shape[1] - 1),
    )  # (B, frames)
    accepted = runs.accepted[r, at]
    if recipe.box_jitter:
        wobble = rng.normal(0, recipe.box_jitter, (count, frames, 2)).astype(np.float32)
        accepted[..., :2] += wobble * accepted[..., 2:]
    accepted[:, 1:][rng.random((count, frames - 1)) < recipe.drop] = np.nan
    scores = np.where(np.isnan(accepted[..., 0]), 0, runs.scores[r, at])
    parts = (accepted, runs.truth[run, start][:, None], runs.truth[r, at], runs.drawn[run][:, None])
    shown, given, truth, drawn = moved(tuple(map(torch.from_numpy, parts)), rng, stay)  # type: ignore[arg-type]
    return Runs(
        shown.numpy(), truth.numpy(), drawn[:, 0].numpy(), given[:, 0].numpy(), runs.rows[r, at], scores,
        runs.likeness[r, at],
    )  # fmt: skip


def stretch_loss(
    network: Rolo, runs: Runs, features: Tensor | None, recipe: RoloRecipe, chooser: Chooser | None = None
) -> Tensor:
    """The loss of whole stretches, the network's outputs fed back where nothing was accepted: a streaming network
    learns to go on through misses. The first frame does not count, nor those without truth.
    """
    config = network.config
    fed = unroll(network, runs, features, recipe.predict > 0, chooser)
    truth = torch.from_numpy(runs.truth).to(fed.outputs.device)
    known = ~torch.isnan(truth[..., 0])
    weight = known.float()
    weight[:, 0] = 0
    truth = torch.where(known[..., None], truth, torch.full((), 0.5))

    def errors(boxes: Tensor) -> Tensor:
        if recipe.loss == "mse" or config.form == "absolute":
            return ((boxes - truth) ** 2).sum(dim=-1)
        miss = box_offset(boxes, truth).clamp(-FAR, FAR)
        slack = F.smooth_l1_loss(miss, torch.zeros_like(miss), reduction="none", beta=0.1).sum(dim=-1)
        return 1 - relative_iou(boxes, truth) + 0.25 * slack

    each = errors(fed.outputs)
    if fed.predictions is not None:
        each = each + recipe.predict * errors(fed.predictions)
    if fed.verdicts is not None:
        detected = fed.accepted
        label = (
            torch.nan_to_num(
                relative_iou(detected, torch.from_numpy(runs.truth).to(detected.device)), nan=0.0
            )
            >= RIGHT
        )
        doubt = F.binary_cross_entropy_with_logits(fed.verdicts, label.float(), reduction="none")
        asked = ~torch.isnan(detected[..., 0])
        asked[:, 0] = False
        verdict_loss = (doubt * asked).sum() / asked.sum().clamp(min=1)
    if recipe.auxiliary:
        each = each + recipe.auxiliary * ((fed.outputs - torch.nan_to_num(fed.boxes, nan=0.5)) ** 2).sum(
            dim=-1
        )
    loss = (each * weight).sum() / weight.sum().clamp(min=1)
    return loss if fed.verdicts is None else loss + verdict_loss
