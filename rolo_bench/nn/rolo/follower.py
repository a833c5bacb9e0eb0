"""ROLO over a video: association, network and what is fed where nothing is detected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.association import alone, box_of, looks_of, one
from rolo_bench.boxes import Array, as_boxes, from_relative, to_relative
from rolo_bench.detection import Detections
from rolo_bench.nn.rolo.coding import first_offset, heat
from rolo_bench.nn.rolo.config import CELLS, LIKENESS
from rolo_bench.nn.rolo.network import Choice, Rolo, begin, step


class Follower:
    """A trained network with its association on one video: what the tracker is without its detector.

    ``start`` and ``step`` take `Detections`; ``step`` gives the box ``(4,)`` in pixels. After each step
    ``accepted`` tells which detection was accepted, or None.
    """

    def __init__(self, network: Rolo, size: tuple[int, int]) -> None:
        self.network, self.config, self.size = network, network.config, size
        self.device = next(network.parameters()).device
        self.association = self.config.association()
        self.accepted: int | None = None

    @torch.inference_mode()
    def start(self, found: Detections, box: Array, looks: NDArray[np.float16] | None = None) -> None:
        """Begin at the given box ``(4,)`` in pixels, with its appearance ``(1, L)`` where that is known."""
        self.accepted = self.association.start(box, found, looks)
        given, choice = self._relative(as_boxes(box)), self._detection(found)
        drawn = first_offset(given, choice[0])
        self.state = begin(self.network, given, choice, drawn, self._features(found))

    def step(self, found: Detections) -> Array:
        """The box ``(4,)`` of the next frame in pixels."""
        return self._step(found, lambda reference: one(self.association.choose(alone(found), reference)))

    def advance(self, found: Detections, index: int | None) -> Array:
        """As `step`, with the detection chosen by someone else (None: none)."""
        self.association.see(alone(found))
        return self._step(found, lambda reference: index)

    @torch.inference_mode()
    def _step(self, found: Detections, choose: Callable[[Array], int | None]) -> Array:
        predict = self.config.centre == "prediction"

        def chosen(predicted: Tensor) -> Choice:
            place = self._pixels(predicted) if predict else None
            self.accepted = choose(self.association.reference(place))
            return self._detection(found)

        self.state = step(self.network, self.state, self._features(found), chosen, predict)
        if self.state.missed > 0:
            self.accepted = None  # also where the network refused
        self.association.take(box_of(found, self.accepted), looks_of(found, self.accepted))
        return self._pixels(self.state.output)[0]

    def image_map(self) -> NDArray[np.float32] | None:
        """The last map of the heatmap form over the whole image ``(h, w)``, for overlays; None in other forms."""
        import cv2

        if self.config.form != "heatmap":
            return None
        state = self.state
        cells = (
            heat(self.config, state.said, state.shown, state.before)[0].cpu().numpy().reshape(CELLS, CELLS)
        )
        low, sides = np.zeros(2), np.array(self.size, dtype=np.float64)
        if self.config.window:
            x, y, w, h = self._pixels(state.before)[0]
            sides = np.array([w, h]) * self.config.window
            low = np.array([x + w / 2, y + h / 2]) - sides / 2
        scale = sides / CELLS  # image pixels per cell; pixel and cell centres lie at halves
        move = np.array(
            [[scale[0], 0, low[0] + scale[0] / 2 - 0.5], [0, scale[1], low[1] + scale[1] / 2 - 0.5]]
        )
        return cv2.warpAffine(cells, move, self.size)  # type: ignore[return-value]

    def _detection(self, found: Detections) -> Choice:
        box = self._relative(box_of(found, self.accepted))
        if self.accepted is None:
            return box, torch.zeros(1, device=self.device), torch.zeros(1, LIKENESS, device=self.device)
        likeness = torch.from_numpy(self.association.likeness[:, self.accepted])
        return box, box.new_tensor([found.scores[self.accepted]]), likeness.to(self.device)

    def _relative(self, box: Array) -> Tensor:
        return torch.from_numpy(to_relative(box, self.size)).float().to(self.device)

    def _pixels(self, box: Tensor) -> Array:
        return from_relative(box.double().cpu().numpy(), self.size)

    def _features(self, found: Detections) -> Tensor:
        return torch.from_numpy(np.array(found.feature, dtype=np.float32))[None].to(self.device)


def follow(
    network: Rolo, found: Sequence[Detections], box: Array, size: tuple[int, int],
    looks: NDArray[np.float16] | None = None,
) -> Array:  # fmt: skip
    """Boxes ``(N, 4)`` of a whole video whose detections are at hand; row 0 is the given box, which looks like that."""
    network.eval()
    follower = Follower(network, size)
    follower.start(found[0], box, looks)
    return np.stack([as_boxes(box)[0]] + [follower.step(f) for f in found[1:]])
