"""What a ROLO network is: its form, sizes and association, and what was chosen for each detector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rolo_bench.association import Association, check_numbers
from rolo_bench.errors import UsageError

FORMS = ("offset", "absolute", "heatmap")
CELLS = 32  # of a side of a heatmap
# What the offset form is told beside feature and box: was a detection accepted, for how many frames was none,
# movement of the fed box since the frame before (4), given box against the first detection (4).
MOTION = 10
# With ``motion`` "output" also the movement of the last output (4), and movements up to MOST of the box are told
# apart, not up to half of it.
PACE, MOST = 4, 3.0
PLACE = 2  # with ``place`` also how far the fed box is from the middle of the image, in box sizes
LIKENESS = 2  # with ``likeness`` also how like the accepted detection is to the first frame's target and to the latest
LEAST_FIRST_IOU = 0.5  # below, the first detection says nothing about how the given box was drawn
# Association (and place) that networks of a detector are trained with and carry, beside `RoloConfig`'s own values;
# that of others was chosen by cross-validation on the 43 training videos (docs/results.md), the demo detector's on 70
# scenes of the generator's domain `valid`.
CHOSEN: dict[str, dict[str, Any]] = {
    "demo": {
        "iou_min": 0.05,
        "widen": 0.1,
        "size_limit": 0.0,
        "prefer": 0.5,
        "centre": "prediction",
        "place": True,
    },
    "others": {
        "threshold": 0.02,
        "iou_min": 0.0,
        "widen": 0.1,
        "buffer": 0.5,
        "floor": 0.01,
        "size_cost": 0.47,
        "prefer": 0.33,
        "alike": 4.0,
        "least": -2.33,
        "share": 0.5,
        "correction": 0.5,
        "likeness": True,
    },
}
# A streaming network of the offset form is also told the score, judges, and moves up to three box sizes a frame.
STREAMING: dict[str, Any] = {"motion": "output", "confidence": True, "judge": True, "limit": MOST}


# What the numbers may be, from the least to the most.
RANGES: dict[str, tuple[float, float]] = {
    "hidden": (1, math.inf),
    **dict.fromkeys(("steps", "feature_size", "projection"), (0, math.inf)),
    **dict.fromkeys(("limit", "window"), (0.0, math.inf)),
    **dict.fromkeys(("dropout", "share", "correction", "vote"), (0.0, 1.0)),
}


@dataclass(frozen=True)
class RoloConfig:
    """Everything needed to build the network and to use it as it was trained.

    Attributes:
        form: ``offset``, ``absolute`` (the paper's) or ``heatmap``.
        feature_size: length of the detector's feature; 0 leaves features out.
        projection: features are normalised and projected to this many; the absolute form is fed them as they are.
        hidden: size of the LSTM's state; of the absolute form always its input's, 4096 + 6.
        steps: frames in a window, whose state starts at zero; 0 is streaming, one state for the whole video.
        missing: what is fed where no detection is accepted: ``output`` (the last output), ``last`` (the last
            accepted box) or ``zero``.
        confidence: whether the input's last value is the score of the accepted detection (0 where none is); the
            paper has that place and leaves it 0.
        judge: whether a streaming network of the offset form also says if the detection that it is fed is the target;
            one that it rejects counts as none.
        motion: what the offset form's movement is measured from: the box ``fed`` at the frame before, or the
            network's last ``output``, which is smoother; that also tells how the output moved, and is for
            streaming only.
        place: whether the offset form is told the place in the image in box sizes, and trained without moving its
            stretches about, so that it may learn how things move in an image; for training on many videos.
        limit: bound of the offset in box sizes, and of the logarithm of the change of size.
        window: sides of the heatmap in those of the box fed at the frame before; 0 is the image, the paper.
        dropout: share of projected features dropped in training.
        share: share of the first frame's offset from detection to given box that the fed box is corrected by before
            the network corrects it; the offset form's, where a detection was accepted.
        correction: share of the offset form's learnt offset that is applied; networks are trained with all of it.
        history, iou_min, threshold, widen, buffer, floor, size_limit, size_cost, prefer, alike, least: the
            association's.
        likeness: whether the offset form is told how like the accepted detection is to the target in the first frame
            and lately.
        centre: centre of the association's reference: ``history`` (the paper) or, as a deviation, ``prediction``,
            where the network would put the target in this frame if no detection were accepted.
        detector, size, vote: the detector whose detections it was trained on, its input side, and the IoU above which
            its boxes vote (`rolo_bench.nn.detect.options.DetectorOptions`).
    """

    form: str = "offset"
    feature_size: int = 4096
    projection: int = 16
    hidden: int = 64
    steps: int = 6
    missing: str = "output"
    confidence: bool = False
    judge: bool = False
    motion: str = "fed"
    place: bool = False
    limit: float = 1.0
    window: float = 0.0
    dropout: float = 0.7
    history: int = 2
    iou_min: float = 0.1
    threshold: float = 0.1
    widen: float = 0.0
    buffer: float = 0.0
    floor: float = 0.0
    size_limit: float = 0.0
    size_cost: float = 0.0
    prefer: float = 0.0
    alike: float = 0.0
    least: float | None = None
    share: float = 0.0
    correction: float = 1.0
    likeness: bool = False
    centre: str = "history"
    detector: str = "yolox-nano"
    size: int | None = 544
    vote: float = 1.0

    def __post_init__(self) -> None:
        if self.form == "absolute":  # the paper's; its state is what its input is
            for name, value in (("projection", 0), ("hidden", self.feature_size + 6)):
                object.__setattr__(self, name, value)
        for name, known in (
            ("form", FORMS),
            ("missing", ("output", "last", "zero")),
            ("centre", ("history", "prediction")),
            ("motion", ("fed", "output")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("confidence", "judge", "place", "likeness"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} is true or false, not {getattr(self, name)!r}")
        check_numbers(vars(self), RANGES)
        self.association()  # which knows the ranges of its own
        if (self.judge or self.motion == "output") and self.form != "offset":
            raise UsageError("motion from the output and judging need the offset form")

    def association(self) -> Association:
        """A fresh association with these settings."""
        return Association(
            self.history, self.iou_min, self.threshold, self.widen, self.buffer, floor=self.floor,
            size_limit=self.size_limit, size_cost=self.size_cost, prefer=self.prefer, alike=self.alike,
            least=-math.inf if self.least is None else self.least, joins=LEAST_FIRST_IOU,
        )  # fmt: skip

    @property
    def box_inputs(self) -> int:
        """Inputs beside the feature."""
        motion = MOTION + PACE * (self.motion == "output") + PLACE * self.place + LIKENESS * self.likeness
        return {"offset": 6 + motion, "absolute": 6, "heatmap": CELLS * CELLS}[self.form]

    @property
    def outputs(self) -> int:
        """Values that the network puts out."""
        return CELLS * CELLS if self.form == "heatmap" else 4 + self.judge


def paper_config(feature_size: int = 4096, steps: int = 6) -> RoloConfig:
    """The paper's own: 4096 + 6 inputs fed as they are, a state of the same 4102, absolute boxes, section II.B."""
    return RoloConfig(form="absolute", feature_size=feature_size, steps=steps, missing="zero", dropout=0.0)
