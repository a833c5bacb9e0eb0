"""From boxes to the network's inputs, and from its outputs to boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from rolo_bench.nn.rolo.config import LEAST_FIRST_IOU, MOST, RoloConfig
from rolo_bench.nn.rolo.heatmap import from_heatmap, into_window, out_of_window, to_heatmap


def box_offset(target: Tensor, reference: Tensor) -> Tensor:
    """Offset ``(..., 4)`` from reference to target boxes, both centre and size: in reference sizes, and logs."""
    centre = (target[..., :2] - reference[..., :2]) / reference[..., 2:]
    return torch.cat([centre, torch.log(target[..., 2:] / reference[..., 2:])], dim=-1)


def add_offset(reference: Tensor, offset: Tensor) -> Tensor:
    """The inverse of `box_offset`."""
    centre = reference[..., :2] + offset[..., :2] * reference[..., 2:]
    return torch.cat([centre, reference[..., 2:] * torch.exp(offset[..., 2:])], dim=-1)


def relative_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU ``(...)`` of boxes given as centre and size ``(..., 4)``."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    inter = (high - low).clamp(min=0).prod(dim=-1)
    area = a[..., 2:].clamp(min=0).prod(dim=-1) + b[..., 2:].clamp(min=0).prod(dim=-1)
    return inter / (area - inter + 1e-9)


def encode(
    config: RoloConfig,
    fed: Tensor,
    before: Tensor,
    missed: Tensor,
    drawn: Tensor,
    outputs: tuple[Tensor, Tensor] | None = None,
    score: Tensor | None = None,
    likeness: Tensor | None = None,
) -> Tensor:
    """Box inputs ``(..., box_inputs)`` of a frame.

    Args:
        fed: ``(..., 4)`` the box fed at this frame, relative centre and size; NaN for zeros.
        before: ``(..., 4)`` the box fed at the frame before.
        missed: ``(...)`` frames in a row without an accepted detection; 0 where there is one.
        drawn: ``(..., 4)`` offset from the first detection to the given box; 0 where unknown.
        outputs: the network's last but one and last output, each ``(..., 4)``; needed for motion from the output.
        score: ``(...)`` of the accepted detection, 0 where none is; needed where the network is told.
        likeness: ``(..., LIKENESS)`` of the accepted detection, 0 where unknown; needed where the network is told.
    """
    if config.form == "heatmap":
        return to_map(config, fed, before)
    zero = torch.zeros_like(missed)[..., None]
    sure = score[..., None] if config.confidence and score is not None else zero
    paper = torch.cat([zero, torch.nan_to_num(fed, nan=0.0), sure], dim=-1)  # equation 3: (0, x, y, w, h, 0)
    if config.form == "absolute":
        return paper
    known = torch.stack([(missed == 0).to(fed.dtype), torch.log1p(missed) / 3], dim=-1)
    if config.motion == "fed":
        moved = (box_offset(fed, before) * 4).clamp(-2, 2)
    else:
        assert outputs is not None
        older, last = outputs
        since = torch.where(missed[..., None] > 0, older, last)  # the output before that of the fed box
        moves = torch.cat([box_offset(fed, since), box_offset(last, older)], dim=-1)  # (..., 4 + PACE)
        moved = 2 * moves.clamp(-MOST, MOST)
    parts = [paper, known, moved, drawn.clamp(-1, 1)]
    if config.place:
        parts.append((fed[..., :2] - 0.5) / fed[..., 2:] / 4)
    if config.likeness:
        assert likeness is not None
        parts.append(torch.where(likeness != 0, 4 * likeness - 2, 0.0))
    return torch.cat(parts, dim=-1)


def decode(
    config: RoloConfig, output: Tensor, fed: Tensor, before: Tensor, missed: Tensor, drawn: Tensor
) -> Tensor:
    """The box ``(..., 4)``, relative centre and size, of a network output ``(..., outputs)``; the rest as `encode`."""
    if config.form == "absolute":
        return output
    if config.form == "heatmap":
        box = from_heatmap(heat(config, output, fed, before))
        return out_of_window(box, before, config.window) if config.window else box
    if config.share:
        fed = torch.where((missed == 0)[..., None], add_offset(fed, config.share * drawn), fed)
    return add_offset(fed, config.correction * config.limit * torch.tanh(output[..., :4] / config.limit))


def to_map(config: RoloConfig, box: Tensor, before: Tensor) -> Tensor:
    """The map ``(..., 1024)`` of a box, in the window that the box fed before sets."""
    return to_heatmap(into_window(box, before, config.window) if config.window else box)


def heat(config: RoloConfig, output: Tensor, fed: Tensor, before: Tensor) -> Tensor:
    """The map ``(..., 1024)`` of a heatmap network's output: the fed box's map, corrected."""
    return (to_map(config, fed, before) + output).clamp(0, 1)


def first_offset(given: Tensor, found: Tensor) -> Tensor:
    """Offset ``(..., 4)`` from the first frame's detection to the given box: how this target's box is drawn.

    0 where there is none, NaN, or the two overlap by less than `LEAST_FIRST_IOU`.
    """
    known = relative_iou(given, found)[..., None] >= LEAST_FIRST_IOU
    return torch.where(known, box_offset(given, found), 0.0)
