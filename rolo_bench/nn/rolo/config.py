"""What a ROLO network is: its form, sizes and association, and what was chosen for each detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rolo_bench.association import Association
from rolo_bench.errors import UsageError
from rolo_bench.nn.rolo.heatmap import CELLS

FORMS = ("offset", "absolute", "heatmap")
# What the offset form is told beside feature and box: was a detection accepted, for how many frames was none,
# movement of the fed box since the frame before (4), given box against the first detection (4).
MOTION = 10
# With ``motion`` "output" also the movement of the last output (4), and movements up to MOST of the box are told
# apart, not up to half of it.
PACE, MOST = 4, 3.0
PLACE = 2  # with ``place`` also how far the fed box is from the middle of the image, in box sizes
LEAST_FIRST_IOU = 0.5  # below, the first detection says nothing about how the given box was drawn
# Association (and place) that networks of a detector are trained with and carry, beside `RoloConfig`'s own values;
# that of others was chosen by cross-validation on 18 training videos with yolox-nano and yolo-nano-voc alike
# (docs/results.md), the demo detector's on 70 scenes of the generator's domain `valid`.
CHOSEN: dict[str, dict[str, Any]] = {
    "demo": {
        "iou_min": 0.05,
        "widen": 0.1,
        "size_limit": 0.0,
        "prefer": 0.5,
        "centre": "prediction",
        "place": True,
    },
    "others": {"threshold": 0.05, "widen": 0.05, "size_limit": 1.2, "prefer": 0.3},
}
# A streaming network of the offset form is also told the score, judges, and moves up to three box sizes a frame.
STREAMING: dict[str, Any] = {"motion": "output", "confidence": True, "judge": True, "limit": MOST}


@dataclass(frozen=True)
class RoloConfig:
    """Everything needed to build the network and to use it as it was trained.

    Attributes:
        form: ``offset``, ``absolute`` or ``heatmap``.
        feature_size: length of the detector's feature; 0 leaves features out.
        projection: features are normalised and projected to this many; 0 feeds them as they are (the paper).
        hidden: size of the LSTM's state; 4102 is the paper's.
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
        history, iou_min, threshold, widen, size_limit, prefer: the association's.
        centre: centre of the association's reference: ``history`` (the paper) or, as a deviation, ``prediction``,
            where the network would put the target in this frame if no detection were accepted.
        detector, size: the detector whose detections it was trained on, and its input side.
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
    size_limit: float = 0.0
    prefer: float = 0.0
    centre: str = "history"
    detector: str = "yolox-nano"
    size: int | None = 416

    def __post_init__(self) -> None:
        for name, known in (
            ("form", FORMS),
            ("missing", ("output", "last", "zero")),
            ("centre", ("history", "prediction")),
            ("motion", ("fed", "output")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("hidden", "steps", "feature_size", "projection", "history"):
            if not isinstance(getattr(self, name), int):
                raise UsageError(f"{name} must be a whole number, not {getattr(self, name)!r}")
        if self.hidden < 1 or self.steps < 0 or self.feature_size < 0 or self.projection < 0:
            raise UsageError("hidden must be 1 or more; steps, feature_size and projection 0 or more")
        if (self.judge or self.motion == "output") and (self.steps or self.form != "offset"):
            raise UsageError(
                "motion from the output and judging need the offset form and steps 0 (streaming)"
            )

    def association(self) -> Association:
        """A fresh association with these settings."""
        return Association(self.history, self.iou_min, self.threshold, self.widen, size_limit=self.size_limit,
                           prefer=self.prefer, joins=LEAST_FIRST_IOU)  # fmt: skip

    @property
    def box_inputs(self) -> int:
        """Inputs beside the feature."""
        motion = MOTION + PACE * (self.motion == "output") + PLACE * self.place
        return {"offset": 6 + motion, "absolute": 6, "heatmap": CELLS * CELLS}[self.form]

    @property
    def outputs(self) -> int:
        """Values that the network puts out."""
        return CELLS * CELLS if self.form == "heatmap" else 4 + self.judge


def paper_config(feature_size: int = 4096, steps: int = 6, form: str = "absolute") -> RoloConfig:
    """The paper's own size: 4096 + 6 inputs, a state of the same 4102, features fed as they are."""
    inputs = feature_size + (CELLS * CELLS if form == "heatmap" else 6)
    return RoloConfig(form=form, feature_size=feature_size, projection=0, hidden=inputs, steps=steps, widen=0.0,
                      missing="zero", dropout=0.0)  # fmt: skip
