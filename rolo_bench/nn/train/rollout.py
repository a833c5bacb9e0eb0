"""ROLO over many runs at once, and its score there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.nn.rolo.coding import relative_iou
from rolo_bench.nn.rolo.network import Choice, Rolo, begin, step
from rolo_bench.nn.train.footage import Chooser
from rolo_bench.nn.train.runs import Runs


@dataclass
class Fed:
    """What a network is fed over runs: boxes ``(R, T, 4)``, frames since a detection ``(R, T)``, its outputs; where
    that was asked for, what it would have put out had nothing been accepted, and what it said of the detections
    ``(R, T)``: logits of their being the target.
    """

    boxes: Tensor
    missed: Tensor
    outputs: Tensor
    accepted: Tensor
    predictions: Tensor | None = None
    verdicts: Tensor | None = None


@torch.no_grad()
def rollout(network: Rolo, runs: Runs, features: Tensor | None = None) -> Fed:
    """Run a network over all runs at once, each frame's missing box filled by its own last output."""
    return unroll(network.eval(), runs, features)


def unroll(
    network: Rolo,
    runs: Runs,
    features: Tensor | None = None,
    predict: bool = False,
    chooser: Chooser | None = None,
) -> Fed:
    """As `rollout`, in the mode that the network is in, with gradients from every output to those before.

    With ``predict`` also what the network would put out at each frame if nothing were accepted there. A ``chooser``
    chooses the detections of the frames after the first, where the network's predictions let it look.
    """
    values = runs.accepted, runs.given, runs.drawn, runs.rows, runs.scores, runs.likeness
    device = next(network.parameters()).device
    accepted, given, drawn, rows, scores, likeness = (torch.from_numpy(v).to(device) for v in values)

    def choose(t: int, predicted: Tensor) -> Choice:
        if chooser is None:
            return accepted[:, t], scores[:, t], likeness[:, t]
        box, score, like = chooser.choose(t, predicted.cpu())
        return box.to(device), score.to(device), like.to(device)

    frames = []
    for t in range(accepted.shape[1]):
        seen = shown_features(features, rows[:, t], network)
        if t == 0:
            s = begin(network, given, (accepted[:, 0], scores[:, 0], likeness[:, 0]), drawn, seen)
        else:
            s = step(network, s, seen, partial(choose, t), predict or chooser is not None)
            if chooser:
                chooser.take(s)
        frames.append((s.shown, s.missed, s.output, s.chosen, s.predicted, s.said[:, -1]))
    fed, missed, outputs, chosen, predictions, verdicts = (torch.stack(v, dim=1) for v in zip(*frames))
    return Fed(
        fed, missed, outputs, chosen, predictions if predict else None, verdicts if network.config.judge else None
    )  # fmt: skip


def fed_as_zeros(runs: Runs) -> tuple[Tensor, Tensor]:
    """Boxes ``(R, T, 4)`` and frames since a detection ``(R, T)`` that a network is fed which is shown zeros (here NaN)
    where nothing is accepted: they do not depend on it, and need no rollout.
    """
    boxes = torch.from_numpy(runs.accepted).clone()
    boxes[:, 0] = torch.where(boxes[:, 0].isnan(), torch.from_numpy(runs.given), boxes[:, 0])
    missed = torch.zeros(boxes.shape[:2])
    for t in range(1, boxes.shape[1]):
        missed[:, t] = torch.where(boxes[:, t, 0].isnan(), missed[:, t - 1] + 1, 0.0)
    return boxes, missed


def shown_features(table: Tensor | None, rows: Tensor, network: Rolo) -> Tensor | None:
    """Features ``(..., F)`` of rows; a row of -1 is a frame without: a constant, normalised to zeros.

    None where there is no table or the network takes none.
    """
    if table is None or not network.config.feature_size:
        return None
    device, rows = next(network.parameters()).device, rows.cpu()
    values = table[rows.clamp(min=0)].float()
    return torch.where((rows >= 0)[..., None], values, torch.zeros(())).to(device)


@torch.no_grad()
def score(network: Rolo, runs: Runs, features: Tensor | None = None) -> NDArray[np.float64]:
    """Mean IoU of each run ``(R,)`` over the frames with truth, the first left out."""
    outputs = rollout(network, runs, features).outputs.cpu()
    truth = torch.from_numpy(runs.truth)
    values = torch.nan_to_num(relative_iou(outputs, truth), nan=0.0)[:, 1:]
    known = ~torch.isnan(truth[:, 1:, 0])
    return ((values * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)).double().numpy()
