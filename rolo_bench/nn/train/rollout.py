"""ROLO over many runs at once, and its score there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.nn.rolo.coding import decode, encode, relative_iou
from rolo_bench.nn.rolo.network import Recurrence, Rolo
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
    config = network.config
    accepted, given = torch.from_numpy(runs.accepted), torch.from_numpy(runs.given)
    drawn, rows, scores = map(torch.from_numpy, (runs.drawn, runs.rows, runs.scores))
    count, length = accepted.shape[:2]
    recurrence = Recurrence(network.lstm, config.steps, count)
    fed, missed, outputs, predictions, verdicts = [], [], [], [], []
    chosen = []
    none = torch.isnan(accepted[:, 0, :1])
    last = before = torch.where(none, given, accepted[:, 0])
    older = output = given
    since, nothing = torch.zeros(count), torch.zeros(count)

    def advance(t: int, now: Tensor, since: Tensor, sure: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Box shown to the network, its output and all that it says, with the frame's box, misses and score."""
        shown = now
        if config.missing == "zero" and config.form != "offset":
            shown = torch.where((since > 0)[:, None], torch.full_like(now, float("nan")), now)
        inputs = encode(config, shown, before, since, drawn, (older, output), sure)
        said = network.head(
            recurrence.push(network.inputs(shown_features(features, rows[:, t], network), inputs))
        )
        box = decode(config, said, shown, before)
        good = torch.isfinite(box).all(dim=1, keepdim=True) & (box[:, 2:] > 0).all(dim=1, keepdim=True)
        return shown, torch.where(good, box, output), said

    for t in range(length):
        start = recurrence.h, recurrence.c
        if predict or config.judge or chooser:  # the frame as if nothing were accepted
            predicted = advance(t, output, since + 1, nothing)[1] if t else given
            without = recurrence.h, recurrence.c
            recurrence.h, recurrence.c = start
            predictions.append(predicted)
        new, sure = accepted[:, t], scores[:, t]
        if chooser and t:
            new, sure = chooser.choose(t, predicted.detach())
        none = torch.isnan(new[:, 0])
        gone = none & (t > 0)
        last = torch.where(none[:, None], last, new)
        now = torch.where(gone[:, None], output, last) if config.missing == "output" else last
        shown, box, said = advance(t, now, torch.where(gone, since + 1, nothing), sure)
        if config.judge:
            verdicts.append(said[:, 4])
            refused = (said[:, 4] < 0) & ~none & (t > 0)
            gone = gone | refused
            pick = refused[:, None]
            shown, box = torch.where(pick, output, shown), torch.where(pick, predicted, box)
            if t:
                recurrence.h = torch.where(pick[:, None], without[0], recurrence.h)
                recurrence.c = torch.where(pick[:, None], without[1], recurrence.c)
        since = torch.where(gone, since + 1, nothing)
        older, output = output, given if t == 0 else box
        before = shown if config.judge else now
        if chooser and t:
            chooser.take(new, ~gone)
        chosen.append(new)
        fed.append(shown)
        missed.append(since)
        outputs.append(output)
    return Fed(
        torch.stack(fed, dim=1),
        torch.stack(missed, dim=1),
        torch.stack(outputs, dim=1),
        torch.stack(chosen, dim=1),
        torch.stack(predictions, dim=1) if predict else None,
        torch.stack(verdicts, dim=1) if config.judge else None,
    )


def shown_features(table: Tensor | None, rows: Tensor, network: Rolo) -> Tensor | None:
    """Features ``(..., F)`` of rows; a row of -1 is a frame without: a constant, normalised to zeros.

    None where there is no table or the network takes none.
    """
    if table is None or not network.config.feature_size:
        return None
    values = table[rows.clamp(min=0)].float()
    return torch.where((rows >= 0)[..., None], values, torch.zeros(()))


@torch.no_grad()
def score(network: Rolo, runs: Runs, features: Tensor | None = None) -> NDArray[np.float64]:
    """Mean IoU of each run ``(R,)`` over the frames with truth, the first left out."""
    outputs = rollout(network, runs, features).outputs
    truth = torch.from_numpy(runs.truth)
    values = torch.nan_to_num(relative_iou(outputs, truth), nan=0.0)[:, 1:]
    known = ~torch.isnan(truth[:, 1:, 0])
    return ((values * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)).double().numpy()
