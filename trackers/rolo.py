"""ROLO: detections, the paper's association, and an LSTM that gives the box. It runs on through misses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rolo_bench.association import best_overlap
from rolo_bench.boxes import Array, as_boxes
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect.registry import open_detector
from rolo_bench.sequence import Image


class Rolo:
    """ROLO with weights that come with rolo-bench or were trained by ``rolo-bench train tracker``.

    Args:
        detector: name of a detector, or path of a detector plugin.
        size: side of the detector's input in pixels; by default that of the network's training.
        network: a weights file, or the name of one that comes along; by default the one for the detector.
        variant: which of those for the detector: ``coordinates``, ``heatmap``, or ``steps1``, ``steps3``,
            ``steps9`` of the step-size study.
        steps: frames in a window; by default the network's own. ``streaming`` keeps one state for the whole
            video instead.
        threshold, history, iou_min, widen, size_limit, prefer, centre: of the association
            (`rolo_bench.association`); by default those of the network's training.
        device, half, weights: for the detector.
        cache: folder for detections (True: the default one), so that a second run need not detect again.
        association: ``causal``, or ``oracle``: the detection that overlaps the truth of the frame most, as the
            ROLO authors' code chose it; a study of what that is worth, never a fair result.

    What differs from the paper is named in `rolo_bench.nn.rolo.network`.
    """

    suite_defaults = {"demo": {"detector": "demo", "size": None}}

    def __init__(
        self, detector: str = "yolox-nano", size: int | None = None, network: str | None = None,
        variant: str = "coordinates", steps: int | None = None, streaming: bool = False,
        threshold: float | None = None, history: int | None = None, iou_min: float | None = None,
        widen: float | None = None, size_limit: float | None = None, prefer: float | None = None,
        centre: str | None = None, device: str = "cpu", half: bool = False, weights: str | None = None,
        cache: str | bool | None = None, association: str = "causal",
    ) -> None:  # fmt: skip
        from rolo_bench.files import digest
        from rolo_bench.nn.rolo.file import load_rolo, shipped_path

        if association not in ("causal", "oracle"):
            raise UsageError(f"association must be causal or oracle, not {association!r}")
        self.oracle = association == "oracle"
        name = network or f"rolo-{Path(detector).stem}" + ("" if variant == "coordinates" else f"-{variant}")
        path = Path(name) if Path(name).suffix == ".safetensors" else shipped_path(name)
        self.network, self.about = load_rolo(
            path, steps=0 if streaming else steps, threshold=threshold, history=history, iou_min=iou_min,
            widen=widen, size_limit=size_limit, prefer=prefer, centre=centre,
        )  # fmt: skip
        config = self.network.config
        self.detector = open_detector(
            detector, size=size or config.size, threshold=config.threshold, device=device, half=half,
            weights=weights, cache=cache,
        )  # fmt: skip
        if config.feature_size not in (0, self.detector.feature_size):
            raise WeightsError(
                f"{path.name} expects features of {config.feature_size} values, {detector} gives "
                f"{self.detector.feature_size}; choose the network for it with -o network=FILE"
            )
        self.weights_digests = {path.name: digest(path)}
        self.truth: Array = np.full(4, np.nan)

    @property
    def heatmap(self) -> NDArray[np.float32] | None:
        """The last map of the heatmap variant over the image ``(h, w)``, for overlays; None of other variants."""
        return self.follower.image_map()

    def reveal(self, box: Array) -> None:
        """Take the truth of the coming frame; called only where ``association`` is ``oracle``."""
        self.truth = as_boxes(box)[0]

    def init(self, image: Image, box: Array) -> None:
        """Start association and network at the given box."""
        from rolo_bench.nn.rolo.follower import Follower

        self.follower = Follower(self.network, (image.shape[1], image.shape[0]))
        self.follower.start(self.detector([image])[0], as_boxes(box)[0])

    def update(self, image: Image) -> Array:
        """The network's box for this frame."""
        found = self.detector([image])[0]
        if self.oracle:
            return self.follower.advance(found, best_overlap(self.truth, found.boxes))
        return self.follower.step(found)
