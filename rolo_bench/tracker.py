"""The contract of a tracker plugin: two methods, and nothing else."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import ArrayLike

from rolo_bench.boxes import Array
from rolo_bench.sequence import Image

LOST = 0.5
"""The score below which a box is drawn as one of a lost target."""


@runtime_checkable
class Tracker(Protocol):
    """What every tracker is.

    Options are keywords of the constructor, each with a default. A tracker is made afresh for each
    sequence, so that nothing leaks from one video into the next.

    Three optional class attributes:

    - ``unavailable``: what this machine lacks for the tracker and how to get it, in a line; empty where nothing;
    - ``suite_defaults``: ``{suite name: {option: value}}``, taken before the user's own options;
    - ``oracle`` (class or instance) with a method ``reveal(box)``: the runner shows the truth of a frame
      before its ``update``. Everything such a tracker makes is marked as oracle. It is for studies only.
    """

    def init(self, image: Image, box: Array) -> None:
        """Start on an RGB uint8 image ``(H, W, 3)`` with the target's box ``(4,)``: x, y, w, h, 0-based pixels."""

    def update(self, image: Image) -> ArrayLike | tuple[ArrayLike, float]:
        """The target's box ``(4,)`` on the next image; NaN values where the tracker says "not there".

        Or the pair of that box and a score: how sure the tracker is, any finite number, more is surer; below `LOST` it
        takes the target for lost where one threshold must do, NaN stands for "not there".
        """


def suite_defaults(tracker: Any, suite: str) -> dict[str, Any]:
    """Options that a tracker class asks for on one suite (for instance a detector trained for it)."""
    return dict(getattr(tracker, "suite_defaults", {}).get(suite, {}))


def is_oracle(tracker: Any) -> bool:
    """Whether a tracker is shown the truth, so that its results are no fair test."""
    return bool(getattr(tracker, "oracle", False))
