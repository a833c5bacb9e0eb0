"""ROLO over a video: association, network and what is fed where nothing is detected."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.association import centred
from rolo_bench.boxes import Array, as_boxes, from_relative, iou, to_relative, valid
from rolo_bench.detection import Detections
from rolo_bench.nn.rolo.coding import decode, encode, first_offset, heat
from rolo_bench.nn.rolo.config import LEAST_FIRST_IOU
from rolo_bench.nn.rolo.heatmap import CELLS
from rolo_bench.nn.rolo.network import Recurrence, Rolo


class Follower:
    """A trained network with its association on one video: what the tracker is without its detector.

    ``start`` and ``step`` take `Detections`; ``step`` gives the box ``(4,)`` in pixels. After each step
    ``accepted`` tells which detection was accepted, or None.
    """

    def __init__(self, network: Rolo, size: tuple[int, int]) -> None:
        self.network, self.config, self.size = network, network.config, size
        self.recurrence = Recurrence(network.lstm, self.config.steps)
        self.association = self.config.association()
        self.accepted: int | None = None
        self.chosen: int | None = None  # by the association, before the network judges
        self.verdict = 0.0
        self.map: Tensor | None = None

    def start(self, found: Detections, box: Array) -> None:
        """Begin at the given box ``(4,)`` in pixels."""
        self.box = as_boxes(box)[0].astype(np.float64)
        self.accepted = self.chosen = self.association.start(self.box, found)
        given = self._relative(self.box)
        first = given
        self.drawn = torch.zeros_like(given)
        if self.accepted is not None:
            detection = found.boxes[self.accepted]
            first = self._relative(detection)
            if iou(detection, self.box)[0] >= LEAST_FIRST_IOU:
                self.drawn = first_offset(given, first)
                self.association.recent.append(detection)
        self.last = self.fed = first
        self.older = self.output = given
        self.missed = 0
        self._push(found, first, 0.0, self._score(found))

    def step(self, found: Detections) -> Array:
        """The box ``(4,)`` of the next frame in pixels."""
        reference = self.association.reference()
        if self.config.centre == "prediction" and (predicted := self._predict(found)) is not None:
            reference = centred(reference, predicted)
        self.chosen = self.association.choose(found, reference)
        box = self.advance(found, self.chosen)
        self.association.take(found, self.accepted)
        return box

    def _predict(self, found: Detections) -> Array | None:
        """The box ``(4,)`` of the coming frame as if no detection were accepted; nothing is kept of it."""
        kept = self.recurrence.h, self.recurrence.c, self.fed
        output = self._push(found, self.output, self.missed + 1.0)
        self.recurrence.h, self.recurrence.c, self.fed = kept
        box = from_relative(output.double().numpy(), self.size)[0]
        return box if valid(box)[0] else None

    def advance(self, found: Detections, index: int | None) -> Array:
        """As `step`, with the detection chosen by someone else (None: none)."""
        kept = self.recurrence.h, self.recurrence.c, self.fed, self.last, self.missed
        output = self._take(found, index)
        if index is not None and self.config.judge and self.verdict < 0:  # not the target: as if not detected
            self.recurrence.h, self.recurrence.c, self.fed, self.last, self.missed = kept
            output = self._take(found, None)
        box = from_relative(output.double().numpy(), self.size)[0]
        self.older = self.output
        if valid(box)[0]:
            self.output, self.box = output, box
        return self.box

    def _take(self, found: Detections, index: int | None) -> Tensor:
        """The network's output ``(4,)`` with that detection accepted, or none."""
        self.accepted = index
        self.missed = 0 if index is not None else self.missed + 1
        if index is not None:
            fed = self.last = self._relative(found.boxes[index])
        elif self.config.missing == "output":
            fed = self.output
        else:
            fed = self.last
        return self._push(found, fed, float(self.missed), self._score(found))

    def image_map(self) -> NDArray[np.float32] | None:
        """The last map of the heatmap form over the whole image ``(h, w)``, for overlays; None in other forms."""
        import cv2

        if self.map is None:
            return None
        low, sides = np.zeros(2), np.array(self.size, dtype=np.float64)
        if self.config.window:
            x, y, w, h = from_relative(self.map_centre.double().numpy(), self.size)[0]
            sides = np.array([w, h]) * self.config.window
            low = np.array([x + w / 2, y + h / 2]) - sides / 2
        scale = sides / CELLS  # image pixels per cell; pixel and cell centres lie at halves
        move = np.array(
            [[scale[0], 0, low[0] + scale[0] / 2 - 0.5], [0, scale[1], low[1] + scale[1] / 2 - 0.5]]
        )
        cells = self.map.numpy().reshape(CELLS, CELLS)
        return cv2.warpAffine(cells, move, self.size)  # type: ignore[return-value]

    def _score(self, found: Detections) -> float:
        return float(found.scores[self.accepted]) if self.accepted is not None else 0.0

    def _push(self, found: Detections, fed: Tensor, missed: float, score: float = 0.0) -> Tensor:
        with torch.inference_mode():
            blank = missed > 0 and self.config.missing == "zero" and self.config.form != "offset"
            shown = torch.full_like(fed, float("nan")) if blank else fed
            outputs = self.older[None], self.output[None]
            box_inputs = encode(
                self.config, shown[None], self.fed[None], torch.tensor([missed]), self.drawn[None], outputs,
                torch.tensor([score]),
            )  # fmt: skip
            features = torch.from_numpy(np.array(found.feature, dtype=np.float32))[None]
            x = self.network.inputs(features, box_inputs)
            raw = self.network.head(self.recurrence.push(x))
            before, self.fed = self.fed[None], fed
            if self.config.judge:
                self.verdict = float(raw[0, 4])
            if self.config.form == "heatmap":
                self.map = heat(self.config, raw, shown[None], before)[0]
                self.map_centre = before[0]
            return decode(self.config, raw, shown[None], before)[0]

    def _relative(self, box: Array) -> Tensor:
        return torch.from_numpy(to_relative(box, self.size)[0]).float()


def follow(network: Rolo, found: list[Detections], box: Array, size: tuple[int, int]) -> Array:
    """Boxes ``(N, 4)`` of a whole video whose detections are at hand; row 0 is the given box."""
    network.eval()
    follower = Follower(network, size)
    follower.start(found[0], box)
    return np.stack([as_boxes(box)[0]] + [follower.step(f) for f in found[1:]])
