"""The three protocols of OTB: where a tracker is started, and with which box.

OPE starts once on the first frame; TRE starts at 20 places in time; SRE starts with 12 perturbed boxes.

Source: Wu, Lim, Yang 2013 and 2015, ``splitSeqTRE`` and ``shiftInitBB``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import dataclass

import numpy as np

from rolo_bench.boxes import Array, as_boxes, valid
from rolo_bench.errors import DataError, UsageError, did_you_mean

TRE_SEGMENTS = 20
TRE_LEAST_FRAMES = 20
SRE_SHIFTS = (
    "left", "right", "up", "down", "top-left", "top-right", "bottom-left", "bottom-right",
    "scale-0.8", "scale-0.9", "scale-1.1", "scale-1.2",
)  # fmt: skip

Size = tuple[float, float]
Omit = Rows[tuple[int, int]]


@dataclass(frozen=True)
class Protocol:
    """A protocol: what it is called, how many starts it usually has, and where they are.

    Attributes:
        starts: of truth ``(N, 4)``, size of the first image and ranges to leave out: index of the first frame and
            first box ``(4,)`` of each start.
    """

    title: str
    usual: int
    starts: Callable[[Array, Callable[[], Size], Omit], list[tuple[int, Array]]]


PROTOCOLS = {
    "ope": Protocol("one-pass evaluation (OPE)", 1, lambda truth, size, omit: [(0, truth[0])]),
    "tre": Protocol(
        "temporal robustness (TRE)",
        TRE_SEGMENTS,
        lambda truth, size, omit: [(i, truth[i]) for i in tre_starts(truth, omit)],
    ),
    "sre": Protocol(
        "spatial robustness (SRE)",
        len(SRE_SHIFTS),
        lambda truth, size, omit: [
            (0, sre_box(truth[0], shift, wide)) for wide in [size()] for shift in SRE_SHIFTS
        ],
    ),
}


@dataclass(frozen=True)
class Segment:
    """One start of a tracker: index of its first frame, its first box ``(4,)``, and a label for files."""

    start: int
    box: Array
    label: str | None = None


def check_protocol(name: str) -> None:
    """Refuse what is none of `PROTOCOLS`.

    Raises:
        UsageError: such a name.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol {name!r}{did_you_mean(name, PROTOCOLS)}")


def segments(
    protocol: str, truth: Array, size: Callable[[], Size] = lambda: (math.inf, math.inf), omit: Omit = ()
) -> tuple[Segment, ...]:
    """The starts that a protocol asks for on one sequence; those of ``ope`` have no label.

    Args:
        protocol: of `PROTOCOLS`.
        truth: ``(N, 4)`` 0-based.
        size: gives (width, height) of the first image, which SRE keeps its boxes inside.
        omit: ranges (first, last) of indices at which TRE must not start.

    Raises:
        DataError: the first truth row is not a box, or TRE finds no frame to start at.
        UsageError: unknown protocol.
    """
    truth = as_boxes(truth)
    check_protocol(protocol)
    if not valid(truth[0])[0]:
        raise DataError("the first frame has no valid truth box, so no tracker can be started")
    found = PROTOCOLS[protocol].starts(truth, size, omit)
    labels = [None] if protocol == "ope" else [f"{protocol}{i:02d}" for i in range(1, len(found) + 1)]
    return tuple(Segment(start, box, label) for (start, box), label in zip(found, labels))


def tre_starts(truth: Array, omit: Omit = ()) -> list[int]:
    """Indices of the 20 starts of temporal robustness evaluation.

    Allowed are frames outside ``omit`` whose truth is valid (in OTB's 1-based pixels all four values above
    zero) and that leave at least 20 frames. Nineteen starts are spaced evenly over the allowed frames, the
    last is the last allowed one. A video with fewer allowed frames gets as many starts as it has.
    """
    truth = as_boxes(truth)
    count = len(truth)
    raw = truth + np.array([1.0, 1.0, 0.0, 0.0])  # 1-based, as the rule is written
    allowed = np.isfinite(raw).all(axis=1) & np.asarray(raw > 0).all(axis=1)
    for first, last in omit:
        allowed[max(first, 0) : max(last + 1, 0)] = False
    allowed &= count - np.arange(count) >= TRE_LEAST_FRAMES
    index = np.flatnonzero(allowed)
    if not len(index):
        raise DataError(
            f"TRE needs a frame with valid truth and {TRE_LEAST_FRAMES} frames left; none of {count}"
        )
    step = len(index) / (TRE_SEGMENTS - 1)
    places = [math.floor(1 + k * step + 1e-9) for k in range(TRE_SEGMENTS - 1)]
    chosen = [int(index[min(p, len(index)) - 1]) for p in places] + [int(index[-1])]
    return list(dict.fromkeys(chosen))


def sre_box(box: Array, shift: str, size: Size) -> Array:
    """One perturbed first box ``(4,)`` of spatial robustness evaluation, rounded and inside the image.

    The Python OTB toolkit's "down" changes the width instead of y; that is a bug and is not copied here.

    Raises:
        UsageError: unknown shift.
    """
    if shift not in SRE_SHIFTS:
        raise UsageError(f"unknown SRE shift {shift!r}; known: {', '.join(SRE_SHIFTS)}")
    x, y, w, h = np.asarray(box, dtype=np.float64) + np.array([1, 1, 0, 0])  # OTB rounds 1-based numbers
    dx, dy = math.floor(0.1 * w + 1.0), math.floor(0.1 * h + 1.0)  # round half up of 0.1 side + 0.5
    if shift.startswith("scale-"):
        scale = float(shift.removeprefix("scale-"))
        x, y, w, h = x + w / 2 - scale * w / 2, y + h / 2 - scale * h / 2, scale * w, scale * h
    elif "-" in shift:
        vertical, horizontal = shift.split("-")
        x, w = (x - dx, w + dx) if horizontal == "left" else (x, w + dx)
        y, h = (y - dy, h + dy) if vertical == "top" else (y, h + dy)
    else:
        x += {"left": -dx, "right": dx}.get(shift, 0)
        y += {"up": -dy, "down": dy}.get(shift, 0)
    x, y, w, h = (math.floor(v + 0.5) for v in (x, y, w, h))
    x, y = min(max(x, 1), size[0]), min(max(y, 1), size[1])
    w, h = max(1, min(w, size[0] - x + 1)), max(1, min(h, size[1] - y + 1))
    return np.array([x - 1, y - 1, w, h], dtype=np.float64)
