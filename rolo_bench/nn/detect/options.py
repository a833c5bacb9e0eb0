"""What can be set of a detector, and what trackers set for which detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_type_hints

from rolo_bench.errors import UsageError
from rolo_bench.run.options import check_options

THRESHOLD, NMS = 0.1, 0.45  # of built-in detectors where nothing else is said
# Sides of the input in pixels with which trackers and training see whole images; of other detectors their own.
SIDES = {"yolox-nano": 544, "yolo-nano-voc": 416}


@dataclass(frozen=True)
class DetectorOptions:
    """What can be set of a detector, whichever it is; None leaves the choice to the detector.

    Attributes:
        size: side of the square network input in pixels, a multiple of 32.
        threshold: least score of a detection, `THRESHOLD` by default. Trackers that want many candidates use 0.01.
        nms: IoU above which the weaker of two boxes goes, `NMS` by default.
        vote: IoU above which boxes that the network gives, with a score of 0.01 or more, have a say in the box of a
            detection, which is their mean by score; 1 is none. By default 0.6 for YOLOX, else none.
        agnostic: suppress across classes, too.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        half: float16 on CUDA, bfloat16 on a processor.
        weights: a file to use in place of the registry's.
        keep_maps: True for all feature maps or names of those to hand out in `Detections.maps`.
        appearance: also say what each box looks like, where the detector can (`Detections.appearance`).

    Raises:
        UsageError: a size, threshold, nms or vote out of its range.
    """

    size: int | None = None
    threshold: float | None = None
    nms: float | None = None
    vote: float | None = None
    agnostic: bool = False
    device: str = "cpu"
    half: bool = False
    weights: str | Path | None = None
    keep_maps: bool | Sequence[str] = ()
    appearance: bool = False

    def __post_init__(self) -> None:
        size = self.size
        if size is not None and (not isinstance(size, Integral) or size < 32 or size % 32):
            raise UsageError(f"detector size must be a multiple of 32, not {size}")
        for name, value in (("threshold", self.threshold), ("nms", self.nms), ("vote", self.vote)):
            if value is not None and not (isinstance(value, Real) and 0 <= value <= 1):
                raise UsageError(f"detector {name} must lie in 0 … 1, not {value}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DetectorOptions:
        """The options of these names.

        Raises:
            UsageError: a name that is no option, or a value out of its range.
        """
        check_options("detector", get_type_hints(cls), given)
        return cls(**given)

    def given(self) -> dict[str, Any]:
        """Those that are not at their defaults."""
        return {k: v for k, v in vars(self).items() if v is not False and v != getattr(DetectorOptions, k)}


def side_of(detector: str, size: int | None = None) -> int | None:
    """The side that is given, else that of `SIDES`; None leaves it to the detector."""
    return SIDES.get(detector) if size is None else size


def chosen_for(table: Mapping[str, dict[str, Any]], detector: str, **given: Any) -> dict[str, Any]:
    """What is given and not None, else what a table says of the detector, else what it says of ``others``."""
    return table["others"] | table.get(detector, {}) | {k: v for k, v in given.items() if v is not None}
