"""Which of a network's boxes are detections: threshold and non-maximum suppression."""

from __future__ import annotations

import torch
from torch import Tensor

VOTES = 0.01  # least score of a box that has a say in another's


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor | None, overlap: float) -> Tensor:
    """Greedy non-maximum suppression: indices ``(K,)`` of the boxes kept, best score first.

    A box goes when a kept one with a higher score (of the same class, if ``classes`` is given) overlaps it by
    IoU > ``overlap``. Equal scores keep the order of the input. All pairs are compared at once; the sweep
    over the pair table then settles in as many steps as the longest chain of boxes, usually two or three.

    Args:
        boxes: ``(N, 4)`` left, top, right, bottom.
        scores: ``(N,)``.
        classes: ``(N,)`` or None for one common class.
        overlap: IoU in 0 … 1.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    if len(order) < 2:
        return order
    left, top, right, bottom = boxes[order].float().T.contiguous()
    area = (right - left).clamp(min=0) * (bottom - top).clamp(min=0)
    width = torch.minimum(right[:, None], right).sub_(torch.maximum(left[:, None], left)).clamp_(min=0)
    height = torch.minimum(bottom[:, None], bottom).sub_(torch.maximum(top[:, None], top)).clamp_(min=0)
    inter = width.mul_(height)  # (N, N)
    hits = inter > (area[:, None] + area).sub_(inter).mul_(overlap)
    if classes is not None:
        c = classes[order]
        hits &= c[:, None] == c
    hits = hits.triu_(diagonal=1).float()  # row suppresses column
    kept = torch.ones(len(order), device=boxes.device)
    while True:
        settled = ((kept @ hits) == 0).float()
        if torch.equal(settled, kept):
            return order[kept.bool()]
        kept = settled


def select(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None = None,
    *,
    threshold: float,
    nms: float,
    agnostic: bool,
    vote: float = 1.0,
    limit: int = 1000,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and classes of one image after threshold and suppression, best first.

    Each candidate counts once, with its best class. Of more than ``limit`` candidates the best are taken.

    Args:
        boxes: ``(N, 4)`` centre x, centre y, width, height.
        scores: ``(N, C)``, or ``(N,)`` with ``classes`` ``(N,)`` where the best class is already known.
        vote: IoU above which candidates have a say in a kept one's box, see `voted`; 1 leaves boxes as they are.
    """
    best, classes = scores.max(dim=1) if classes is None else (scores, classes)
    index = torch.nonzero(best >= (min(threshold, VOTES) if vote < 1 else threshold)).squeeze(1)
    if len(index) > limit:
        index = index[torch.topk(best[index], limit).indices]
    b, s, c = boxes[index].float(), best[index].float(), classes[index]
    corners = torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], dim=1)
    kept = suppress(corners, s, None if agnostic else c, nms)
    kept = kept[s[kept] >= threshold]
    if vote < 1:
        corners[kept] = voted(corners, s, None if agnostic else c, kept, vote)
    return corners[kept], s[kept], c[kept]


def voted(boxes: Tensor, scores: Tensor, classes: Tensor | None, kept: Tensor, overlap: float) -> Tensor:
    """Boxes ``(K, 4)`` of those kept: for each the mean, by score, of itself and the candidates that overlap it.

    A box that is not finite has no say, and stays what it is.

    Args:
        boxes, scores, classes: as in `suppress`; where classes are given, each has a say in its own alone.
        kept: ``(K,)`` indices.
        overlap: IoU in 0 … 1 above which a candidate has a say.

    Source: box voting (Gidaris and Komodakis 2015).
    """
    finite = boxes.isfinite().all(dim=1)
    given, boxes = boxes[kept], torch.where(finite[:, None], boxes, 0.0)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    one = boxes[kept][:, None]
    low, high = torch.maximum(one[..., :2], boxes[:, :2]), torch.minimum(one[..., 2:], boxes[:, 2:])
    inter = (high - low).clamp(min=0).prod(dim=2)  # (K, N)
    says = inter > (area[kept][:, None] + area - inter) * overlap
    if classes is not None:
        says &= classes[kept][:, None] == classes
    weights = says * scores.clamp(min=1e-9)
    weights[torch.arange(len(kept)), kept] = scores[kept].clamp(min=1e-9)  # also where a box has no area
    return torch.where(finite[kept][:, None], weights @ boxes / weights.sum(dim=1, keepdim=True), given)
