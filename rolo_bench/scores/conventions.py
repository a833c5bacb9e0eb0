"""Named scoring conventions: the same boxes get different scores from different toolkits, so the rule has a name.

Each convention is a pure function of boxes ``(N, 4)`` and truth ``(N, 4)``, both 0-based, that gives `Curves`.
Rules that look at raw numbers (is x above zero, round, truncate) look at OTB's 1-based numbers, as the
toolkits do with OTB files. A frame whose output is no box (NaN) is a failure in every convention, except
where a rule says otherwise; ``docs/conventions.md`` explains each deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rolo_bench.boxes import Array, as_boxes, centers, iou, valid
from rolo_bench.errors import UsageError

OVERLAP_THRESHOLDS: Array = np.arange(21) / 20
STEPPED_THRESHOLDS: Array = np.arange(0, 1.05, 0.05)  # as two toolkits have them; the last bit differs
ERROR_THRESHOLDS: Array = np.arange(51, dtype=np.float64)
NORM_THRESHOLDS: Array = np.arange(51) / 100
ONE_BASED: Array = np.array([1.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Curves:
    """The scores of one run on one sequence under one convention.

    Attributes:
        success: ``(21,)`` share of frames that overlap the truth by more than 0, 0.05 … 1.
        precision: ``(51,)`` share of frames with a centre error of at most 0 … 50 pixels.
        norm_precision: ``(51,)`` the same with the error divided by the truth's width and height, 0 … 0.5.
        mean_iou: mean overlap, 0 … 1, over the frames that the convention counts.
        failures: number of frames with a true box that the output does not touch at all.
    """

    success: Array
    precision: Array
    norm_precision: Array
    mean_iou: float
    failures: int

    @property
    def auc(self) -> float:
        """Area under the success curve: the mean of its 21 values."""
        return float(self.success.mean())

    @property
    def precision20(self) -> float:
        """Precision at 20 pixels."""
        return float(self.precision[20])

    @property
    def norm_auc(self) -> float:
        """Area under the normalised precision curve: the mean of its 51 values."""
        return float(self.norm_precision.mean())

    @property
    def success50(self) -> float:
        """Success at an overlap of 0.5."""
        return float(self.success[10])

    @property
    def success75(self) -> float:
        """Success at an overlap of 0.75."""
        return float(self.success[15])


@dataclass(frozen=True)
class Convention:
    """A rule with a name: how it scores, how it counts speed, where it comes from, how it differs from `otb`."""

    name: str
    score: Callable[[Array, Array], Curves]
    fps: Callable[[Array], float]
    rule: str
    source: str


def share_above(values: Array, thresholds: Array, count: int | None = None) -> Array:
    """Share of values above each threshold: ``(T,)``. NaN counts as below; ``count`` is the denominator."""
    ordered = np.sort(values)  # NaN comes last
    above = len(ordered) - np.isnan(ordered).sum() - np.searchsorted(ordered, thresholds, side="right")
    return np.maximum(above, 0) / (count or len(ordered))


def share_within(values: Array, thresholds: Array, count: int | None = None) -> Array:
    """Share of values at or below each threshold: ``(T,)``. NaN counts as above; ``count`` as above."""
    return np.searchsorted(np.sort(values), thresholds, side="right") / (count or len(values))


def errors(boxes: Array, truth: Array) -> tuple[Array, Array]:
    """Centre error ``(N,)`` in pixels, and normalised: x divided by the truth's width, y by its height.

    Where the truth has no size the normalised error is NaN.

    Source: Wu, Lim, Yang 2013; Müller et al. 2018 (TrackingNet), equation 1.
    """
    (bx, by, bw, bh), (tx, ty, tw, th) = boxes.T, truth.T
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        across, down = (bx + bw / 2) - (tx + tw / 2), (by + bh / 2) - (ty + th / 2)
        scaled = np.where((tw > 0) & (th > 0), np.hypot(across / tw, down / th), np.nan)
        return np.hypot(across, down), scaled


def _overlap(boxes: Array, truth: Array, counted: NDArray[np.bool_] | None = None) -> Array:
    """Overlap ``(N,)``; 0 where one side is not a box or the frame does not count."""
    values = iou(boxes, truth)
    good = values > 0 if counted is None else (values > 0) & counted
    return np.where(good, values, 0.0)


def _pair(boxes: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    b, t = as_boxes(boxes), as_boxes(truth)
    if len(b) != len(t) or not len(t):
        raise ValueError(f"{len(b)} boxes for {len(t)} truth boxes")
    return b, t


def _first_true(boxes: Array, truth: Array) -> Array:
    return np.vstack([truth[:1], boxes[1:]])


def _positive(truth: Array) -> NDArray[np.bool_]:
    """Rows whose four 1-based numbers are all above zero: OTB's test of a valid annotation."""
    x, y, w, h = truth.T
    return (x > -1) & (y > -1) & (w > 0) & (h > 0)


def _failures(overlap: Array, truth: Array) -> int:
    return int((valid(truth) & ~(overlap > 0)).sum())


def _curves(
    truth: Array,
    overlap: Array,
    error: Array,
    scaled: Array,
    thresholds: Array = OVERLAP_THRESHOLDS,
    count: int | None = None,
) -> Curves:
    """What a rule's overlaps, centre errors and scaled ones come to over ``count`` frames, by default all."""
    return Curves(
        share_above(overlap, thresholds, count),
        share_within(error, ERROR_THRESHOLDS, count),
        share_within(scaled, NORM_THRESHOLDS, count),
        float(overlap.mean() if count is None else overlap.sum() / count),
        _failures(overlap, truth),
    )


def otb(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """The benchmark authors' rule; the default.

    Overlap above the threshold; first output replaced by the truth; a frame without valid truth (a number of
    its 1-based box is not above zero) is a failure and stays in the denominator, also in precision and mean IoU.

    Source: Wu, Lim, Yang 2013 and 2015; ``calc_seq_err_robust`` and ``calc_result`` of the Python OTB toolkit.
    Deviation: there the centre error of a frame without valid truth is -1 and counts as a hit in precision.
    """
    b, t = _pair(boxes, truth)
    b = _first_true(b, t)
    good = _positive(t)
    overlap = _overlap(b, t, good)
    error, scaled = errors(b, t)
    return _curves(t, overlap, np.where(good, error, np.inf), np.where(good, scaled, np.inf))


def otb_matlab(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """As `otb`, and an output that is no box is replaced by the output before it.

    A frame without valid truth has a centre error of -1, so it is a hit in precision.

    Source: ``calcSeqErrRobust.m`` and ``genPerfMat.m`` of the MATLAB OTB toolkit.
    """
    b, t = _pair(boxes, truth)
    lost = (np.isnan(b).all(axis=1) | (b[:, 2:] <= 0).any(axis=1)) & ~np.isnan(t).any(axis=1)
    b = _first_true(_held(b, np.asarray(lost)), t)
    good = _positive(t)
    overlap = _overlap(b, t, good)
    error, scaled = errors(b, t)
    return _curves(t, overlap, np.where(good, error, -1.0), np.where(good, scaled, -1.0))


def got10k(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """The OTB experiment of the GOT-10k toolkit.

    First output replaced; nothing is masked: a frame with a zero-sized truth overlaps by 0 and is measured from
    that box's centre, and a truth box that starts left of or above the image is an ordinary one.

    Source: ``ExperimentOTB.report`` and ``utils/metrics.py`` of the GOT-10k toolkit 0.1.3. It has no
    normalised precision for OTB; here it is TrackingNet's on the same frames.
    """
    b, t = _pair(boxes, truth)
    b = _first_true(b, t)
    overlap = _overlap(b, t)
    error, scaled = errors(b, t)
    return _curves(t, overlap, error, scaled, np.linspace(0, 1, 21))


def pysot(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """The OPE benchmark of the PySOT toolkit.

    The first output is scored as it is. A truth box with a 1-based number not above zero is a failure in
    success; one whose centre is not above zero has a centre error of -1 and so is a hit in both precisions.

    Source: ``OPEBenchmark``, ``success_overlap`` and ``success_error`` of pysot-toolkit.
    """
    b, t = _pair(boxes, truth)
    overlap = _overlap(b, t, _positive(t))
    error, _ = errors(b, t)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        middle = t[:, :2] + 1 + (t[:, 2:] - 1) / 2  # the toolkit's 1-based centre
        centred = (middle > 0).all(axis=1)
        scaled = np.linalg.norm((centers(b) - centers(t)) / (t[:, 2:] + 1e-16), axis=1)
        centred_norm = (middle / (t[:, 2:] + 1e-16) > 0).all(axis=1)
    error, scaled = np.where(centred, error, -1.0), np.where(centred_norm, scaled, -1.0)
    return _curves(t, overlap, error, scaled, STEPPED_THRESHOLDS)


def pytracking(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """PyTracking's analysis of OTB results.

    First output replaced; an output of zero size is replaced by the one before it; a frame whose truth has no
    size leaves the denominator (so it is neither success nor failure), but is a hit in normalised precision,
    which can therefore exceed 1.

    Source: ``calc_seq_err_robust`` and ``extract_results`` of PyTracking. Deviation: outputs with NaN or
    negative sizes, which PyTracking refuses, are failures; with no valid truth at all every value is 0.
    """
    b, t = _pair(boxes, truth)
    b = _first_true(_held(b, (b[:, 2:] == 0).any(axis=1) & ~np.isnan(t).any(axis=1)), t)
    good = np.asarray((t[:, 2:] > 0).all(axis=1))
    count = max(int(good.sum()), 1)
    overlap = _overlap(b, t, good)
    error, scaled = errors(b, t)
    error, scaled = np.where(good, error, np.inf), np.where(good, scaled, -1.0)
    return _curves(t, overlap, error, scaled, STEPPED_THRESHOLDS, count)


def pytracking_int(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """As `pytracking`, with the outputs rounded to the nearest whole 1-based pixels first (halves to even).

    Source: PyTracking's result files hold whole pixels. Deviation: its own writer cuts the fraction off
    (``astype(int)``); here it is rounded, as in files that were converted for it.
    """
    b, t = _pair(boxes, truth)
    return pytracking(np.rint(b + ONE_BASED) - ONE_BASED, t)


def rolo2016(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """The evaluation of the ROLO authors; the rule behind the numbers in the paper's figure 5.

    1-based numbers are cut to integers; x and y, which are a corner, are taken for the centre; the first output
    is scored as it is; NaN becomes 0; a frame counts at overlap >= t + 0.0001 for the 20 thresholds 0 … 0.95,
    and a 0 is appended for the 21st. The legends print `Curves.mean_iou` of this rule, not an area.

    Source: ``ROLO_evaluation.py`` (``evaluate_benchmark_avg_IOU``, ``evaluate_benchmark_AUC_OPE``) and
    ``iou`` in ``ROLO_utils.py`` of the authors' code. It has no precision: those curves are NaN.
    """
    b, t = _pair(boxes, truth)
    overlap = _overlap(_corner_as_centre(b), _corner_as_centre(t))
    at_least = np.nextafter(np.arange(20) * 5 / 100 + 0.0001, -np.inf)  # >= t is > the number below t
    success, unknown = np.append(share_above(overlap, at_least), 0.0), np.full(51, np.nan)
    return Curves(success, unknown, unknown, float(overlap.mean()), _failures(overlap, t))


def _corner_as_centre(boxes: Array) -> Array:
    """Boxes ``(N, 4)`` whose corner, cut to whole 1-based pixels, stands where their centre should."""
    whole = np.trunc(np.where(np.isnan(boxes), 0.0, boxes + ONE_BASED))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.hstack([whole[:, :2] - whole[:, 2:] / 2, whole[:, 2:]])


def _held(boxes: Array, lost: NDArray[np.bool_]) -> Array:
    """Boxes with each lost row replaced by the last row before it that is not lost; row 0 is kept."""
    index = np.where(lost, 0, np.arange(len(boxes)))
    return boxes[np.maximum.accumulate(index)]


def throughput(seconds: ArrayLike) -> float:
    """Frames per second of one run: updates divided by their total time; NaN where no time is known.

    The first frame, which only starts the tracker, is left out.
    """
    times = np.asarray(seconds, dtype=np.float64)[1:]
    total = times.sum()
    return float(len(times) / total) if total > 0 else float("nan")


def mean_rate(seconds: ArrayLike) -> float:
    """Frames per second as the GOT-10k toolkit counts it: the mean of 1 / t over all frames with t above zero.

    Source: ``ExperimentOTB.report`` of the GOT-10k toolkit. One fast frame lifts it; never below `throughput`
    on the same frames.
    """
    times = np.asarray(seconds, dtype=np.float64)
    times = times[times > 0]
    return float((1 / times).mean()) if len(times) else float("nan")


CONVENTIONS: dict[str, Convention] = {
    c.name: c
    for c in (
        Convention(
            "otb", otb, throughput,
            "overlap > t; first output replaced by the truth; a frame without valid truth is a failure",
            "Wu, Lim, Yang 2013 and 2015; Python OTB toolkit",
        ),
        Convention(
            "otb-matlab", otb_matlab, throughput,
            "otb, but an output that is no box repeats the one before it, and a frame without valid truth is a "
            "hit in precision",
            "MATLAB OTB toolkit 1.1",
        ),
        Convention(
            "got10k", got10k, mean_rate,
            "otb, but no truth is masked; its fps is the mean of 1/t",
            "GOT-10k toolkit 0.1.3, ExperimentOTB",
        ),
        Convention(
            "pysot", pysot, throughput,
            "first output not replaced; a frame without valid truth is a failure in success, a hit in precision",
            "pysot-toolkit, OPEBenchmark",
        ),
        Convention(
            "pytracking", pytracking, throughput,
            "otb, but a frame without valid truth leaves the denominator and a zero-sized output repeats the one "
            "before it",
            "PyTracking, extract_results",
        ),
        Convention(
            "pytracking-int", pytracking_int, throughput,
            "pytracking on boxes rounded to whole pixels",
            "PyTracking, result files",
        ),
        Convention(
            "rolo2016", rolo2016, throughput,
            "corner taken for the centre, cut to integers, overlap >= t + 0.0001 at 20 thresholds, a 0 appended; "
            "no precision",
            "ROLO authors' evaluation code, 2016",
        ),
    )
}  # fmt: skip


def find_convention(name: str) -> Convention:
    """A convention by name.

    Raises:
        UsageError: unknown name; the message lists the known ones.
    """
    key = name.lower().replace("_", "-")
    if key not in CONVENTIONS:
        raise UsageError(f"unknown convention {name!r}; known: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[key]
