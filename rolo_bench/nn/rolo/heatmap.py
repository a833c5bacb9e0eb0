"""Boxes as heatmaps and back: the alternative input and output of section III.C of the ROLO paper.

A map has 32 × 32 cells that span the image. Deviation: the paper writes 1 inside the box and 0 elsewhere;
here a cell holds the share of it that the box covers, so that a box comes back to a fraction of a cell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rolo_bench.nn.rolo.config import CELLS


def coverage(low: Tensor, high: Tensor, cells: int = CELLS) -> Tensor:
    """Share of each cell of a unit interval that ``low`` … ``high`` covers: ``(..., cells)``.

    Args:
        low, high: ``(...)`` ends of the interval, 0 … 1 across the image; parts outside are cut off.
    """
    left = torch.arange(cells, dtype=low.dtype, device=low.device)
    inside = torch.minimum(high[..., None] * cells, left + 1) - torch.maximum(low[..., None] * cells, left)
    return inside.clamp(0, 1)


def to_heatmap(boxes: Tensor, cells: int = CELLS) -> Tensor:
    """Maps ``(..., cells * cells)`` of boxes ``(..., 4)``, row by row; NaN boxes give empty maps.

    Args:
        boxes: relative centre x, centre y, width, height, as in the paper's equation 3.
    """
    b = torch.nan_to_num(boxes, nan=0.0)
    half = b[..., 2:] / 2
    x = coverage(b[..., 0] - half[..., 0], b[..., 0] + half[..., 0], cells)  # (..., cells)
    y = coverage(b[..., 1] - half[..., 1], b[..., 1] + half[..., 1], cells)  # (..., cells)
    return (y[..., :, None] * x[..., None, :]).flatten(-2)  # (..., cells * cells)


def from_heatmap(maps: Tensor, cells: int = CELLS) -> Tensor:
    """Relative boxes ``(..., 4)`` of maps ``(..., cells * cells)`` with values 0 … 1.

    The sums over rows and over columns are profiles of the box. Scaled so that the larger value is 1 their sum
    is the extent and their centroid the centre. This inverts `to_heatmap` exactly for a box inside the image
    that covers at least one whole row and one whole column of cells; a smaller one comes back at its place,
    with the size of a cell at least. An empty map gives NaN.
    """
    grid = maps.unflatten(-1, (cells, cells)).clamp(min=0)
    place = (torch.arange(cells, dtype=maps.dtype, device=maps.device) + 0.5) / cells
    ends = []
    for axis in (-2, -1):
        profile = grid.sum(dim=axis)  # (..., cells): along x, then along y
        scaled = profile / profile.amax(dim=-1, keepdim=True)
        extent = scaled.sum(dim=-1) / cells
        ends.append((_middle(scaled, place), extent))
    (x, w), (y, h) = ends
    return torch.stack([x, y, w, h], dim=-1)


def _middle(profile: Tensor, place: Tensor) -> Tensor:
    """Middle of an interval from its coverage of cells.

    With partial end cells a and b and k whole ones between, the centroid of the coverage is not quite the
    middle of the interval; the two ends are: the first cell's right side minus a, the last one's left plus b.
    For soft maps of a network the centroid is the steadier choice, and the difference is below half a cell.
    """
    total = profile.sum(dim=-1)
    mass = (profile * place).sum(dim=-1) / total
    inside = (profile > 0.999).to(profile.dtype)
    whole = inside.sum(dim=-1)
    middle_whole = (inside * place).sum(dim=-1) / whole.clamp(min=1)
    cells = profile.shape[-1]
    after = (profile * (place > middle_whole[..., None]) * (1 - inside)).sum(dim=-1)
    before = (profile * (place < middle_whole[..., None]) * (1 - inside)).sum(dim=-1)
    exact = middle_whole + (after - before) / 2 / cells
    crisp = (((profile > 0.001) & (profile < 0.999)).sum(dim=-1) <= 2) & (whole > 0)
    return torch.where(crisp, exact, mass)


def into_window(boxes: Tensor, centre: Tensor, sides: float) -> Tensor:
    """Boxes ``(..., 4)`` relative to a window around ``centre`` ``(..., 4)`` with ``sides`` times its sides."""
    scale = centre[..., 2:] * sides
    return torch.cat([(boxes[..., :2] - centre[..., :2]) / scale + 0.5, boxes[..., 2:] / scale], dim=-1)


def out_of_window(boxes: Tensor, centre: Tensor, sides: float) -> Tensor:
    """The inverse of `into_window`."""
    scale = centre[..., 2:] * sides
    return torch.cat([boxes[..., :2] * scale + centre[..., :2] - scale / 2, boxes[..., 2:] * scale], dim=-1)
