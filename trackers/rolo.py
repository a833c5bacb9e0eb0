"""ROLO: detections, the paper's association, and an LSTM that gives the box. It runs on through misses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.association import Association, best_overlap
from rolo_bench.boxes import Array, as_boxes
from rolo_bench.detection import look_at
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect.options import side_of
from rolo_bench.nn.detect.registry import open_detector
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.sequence import Image

log = logging.getLogger(__name__)


class Rolo:
    """ROLO with weights that come with rolo-bench or were trained by ``rolo-bench train tracker``.

    Args:
        detector: name of a detector, or path of a detector plugin. The network takes nothing that only one detector
            has; it was trained with ``yolox-nano`` (``demo`` has its own), and says so with another.
        size: side of the detector's input in pixels; by default that of the network's training; with another
            detector 544 for ``yolox-nano``, 416 for ``yolo-nano-voc``, else the detector's own.
        network: a weights file, or the name of one that comes along; by default the one for the detector.
        variant: which of those: ``default``; ``paper``, the network as the paper prints it, which does not come along
            since it holds 135 million numbers (``rolo-bench train tracker --paper-size`` makes it); ``heatmap``; or
            ``steps1``, ``steps3``, ``steps9`` of the step-size study.
        steps: frames in a window; by default the network's own. ``streaming`` keeps one state for the whole
            video instead.
        device, half, weights: for the detector; ``device`` is the network's, too, and so is ``half`` for a network of
            the paper's size on a processor.
        cache: folder for detections (True: the default one), so that a second run need not detect again.
        association: ``causal``, or ``oracle``: the detection that overlaps the truth of the frame most, as the
            ROLO authors' code chose it; a study of what that is worth, never a fair result.
        without: a study of what is worth what: ``feature`` compares nothing with the first frame, ``network``
            leaves the box uncorrected.
        settings: of the association (`rolo_bench.association`) and ``centre``, ``share``, ``correction``, ``vote``
            (`rolo_bench.nn.rolo.config.RoloConfig`), such as ``alike=0``; by default those of the network's training.

    What differs from the paper is named in `rolo_bench.nn.rolo.network`.
    """

    suite_defaults = {"demo": {"detector": "demo", "size": None}}
    settings_of = (
        (Association, "history iou_min threshold widen buffer floor size_limit size_cost prefer alike least"),
        (RoloConfig, "centre share correction vote"),
    )
    """For ``rolo-bench list trackers rolo``: whose docstrings describe the ``settings``."""

    def __init__(
        self, detector: str = "yolox-nano", size: int | None = None, network: str | None = None,
        variant: str = "default", steps: int | None = None, streaming: bool = False, device: str = "cpu",
        half: bool = False, weights: str | None = None, cache: str | bool | None = None,
        association: str = "causal", without: str = "", **settings: Any,
    ) -> None:  # fmt: skip
        import torch

        from rolo_bench.files import digest
        from rolo_bench.nn.rolo.file import load_rolo, network_path
        from rolo_bench.nn.rolo.network import pack

        if association not in ("causal", "oracle"):
            raise UsageError(f"association must be causal or oracle, not {association!r}")
        if without not in ("", "feature", "network"):
            raise UsageError(f"without must be feature or network, not {without!r}")
        self.without = without
        self.oracle = association == "oracle"
        path = network_path(network, Path(detector).stem, variant)
        self.network, self.about = load_rolo(path, steps=0 if streaming else steps, **settings)
        self.trained_on = tuple(self.about.get("videos", ()))
        config = self.network.config
        own = config.detector == detector
        if not own and network is None:
            log.warning(
                "%s: trained with %s; `rolo-bench train tracker --detector %s` makes one for this detector",
                path.stem, config.detector, detector,
            )  # fmt: skip
        self.detector = open_detector(
            detector, size=config.size if size is None and own else side_of(detector, size), device=device, half=half,
            vote=config.vote if own else settings.get("vote"), threshold=config.threshold, weights=weights,
            cache=cache, appearance=config.alike > 0 and without != "feature",
        )  # fmt: skip
        if config.feature_size not in (0, self.detector.feature_size):
            raise WeightsError(
                f"{path.name} expects features of {config.feature_size} values, {detector} gives "
                f"{self.detector.feature_size}; choose the network for it with -o network=FILE"
            )
        if without == "network":
            for parameter in self.network.head.parameters():
                torch.nn.init.zeros_(parameter)
        self.network.to(device)
        pack(self.network, half)
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
        looks = None if self.without == "feature" else look_at(self.detector, image, as_boxes(box))
        self.follower.start(self.detector([image])[0], as_boxes(box)[0], looks)

    def update(self, image: Image) -> Array:
        """The network's box for this frame."""
        found = self.detector([image])[0]
        if self.oracle:
            return self.follower.advance(found, best_overlap(self.truth, found.boxes))
        return self.follower.step(found)
