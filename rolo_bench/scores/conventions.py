"""Named scoring conventions: the same boxes get different scores from different toolkits, so the rule has a name.

Each convention is a pure function of boxes ``(N, 4)`` and truth ``(N, 4)``, both 0-based, that gives `Curves`.
Rules that look at raw numbers (is x above zero, round, truncate) look at OTB's 1-based numbers, as the
toolkits do with OTB files. A frame whose output is no box (NaN) is a failure in every convention, except
where a rule says otherwise; ``docs/conventions.md`` explains each deviation.

Some rules of other data sets also look at which frames show the target (``absent``, ``(N,)``) and at the size of
the image; `Convention.needs` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rolo_bench.boxes import Array, as_boxes, centers, iou, valid
from rolo_bench.errors import find_name

OVERLAP_THRESHOLDS: Array = np.arange(21) / 20
STEPPED_THRESHOLDS: Array = np.arange(0, 1.05, 0.05)  # as two toolkits have them; the last bit differs
EVEN_THRESHOLDS: Array = np.linspace(0, 1, 21)  # as a third one has them
ERROR_THRESHOLDS: Array = np.arange(51, dtype=np.float64)
NORM_THRESHOLDS: Array = np.arange(51) / 100
SLACK = 1e-4
"""How far below a threshold an overlap still reaches it under `plain`: files round boxes to six decimals."""
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
        dropped: number of frames on which the rule lets no output win or lose: it takes their truth for none.
        area: the headline number where the rule has another than the mean of its success curve.
    """

    success: Array
    precision: Array
    norm_precision: Array
    mean_iou: float
    failures: int
    dropped: int = 0
    area: float | None = None

    @property
    def auc(self) -> float:
        """Area under the success curve: the mean of its 21 values, unless the rule defines it otherwise."""
        return float(self.success.mean()) if self.area is None else self.area

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
    """A rule with a name: how it scores, how it counts speed, where it comes from, how it differs from `otb`.

    Attributes:
        suites: families of data sets (`rolo_bench.datasets.suites.Suite.family`) whose official rule it is.
        needs: what ``score`` takes beside boxes and truth, by keyword: ``absent`` ``(N,)``, ``size`` of the image.
        headline: what the column ``auc`` holds.
        pooled: means weigh a sequence by its frames instead of counting each alike.
    """

    name: str
    score: Callable[..., Curves]
    fps: Callable[[Array], float]
    rule: str
    source: str
    suites: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    headline: str = "AUC"
    pooled: bool = False


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
    good: NDArray[np.bool_] | None = None,
) -> Curves:
    """What a rule's overlaps, centre errors and scaled ones come to over ``count`` frames, by default all.

    ``good`` are the frames whose truth the rule accepts, by default those with a real box.
    """
    there = valid(truth)
    return Curves(
        share_above(overlap, thresholds, count),
        share_within(error, ERROR_THRESHOLDS, count),
        share_within(scaled, NORM_THRESHOLDS, count),
        float(overlap.mean() if count is None else overlap.sum() / count),
        int(np.count_nonzero(there & ~(overlap > 0))),
        int(len(truth) - np.count_nonzero(there if good is None else good)),
    )


def plain(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """Overlap as it is: the default where no data set has a rule of its own.

    A frame counts when it has a true box, wherever that lies; others leave the denominator. An overlap of at
    least t counts (to `SLACK`, above 0), so results that equal the truth score 1. The first output is replaced.
    """
    b, t = _pair(boxes, truth)
    good = valid(t)
    count = max(int(good.sum()), 1)
    overlap = _overlap(_first_true(b, t), t)
    error, scaled = (np.where(good, e, np.inf) for e in errors(_first_true(b, t), t))
    at_least = np.append(0.0, OVERLAP_THRESHOLDS[1:] - SLACK)
    return _curves(t, overlap, error, scaled, at_least, count)


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
    return _curves(t, overlap, np.where(good, error, np.inf), np.where(good, scaled, np.inf), good=good)


def otb_matlab(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """As `otb`, and an output that is no box is replaced by the output before it.

    A frame without valid truth has a centre error of -1, so it is a hit in precision.

    Source: ``calcSeqErrRobust.m`` and ``genPerfMat.m`` of the MATLAB OTB toolkit.
    """
    b, t = _pair(boxes, truth)
    b, good = _matlab(b, t), _positive(t)
    overlap = _overlap(b, t, good)
    error, scaled = errors(b, t)
    return _curves(t, overlap, np.where(good, error, -1.0), np.where(good, scaled, -1.0), good=good)


def _matlab(boxes: Array, truth: Array) -> Array:
    """Outputs as the MATLAB code scores them: a row that is no box repeats the one before, row 0 is the truth."""
    lost = (np.isnan(boxes).all(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)) & ~np.isnan(truth).any(axis=1)
    return _first_true(_held(boxes, np.asarray(lost)), truth)


def lasot(boxes: ArrayLike, truth: ArrayLike, absent: NDArray[np.bool_] | None = None) -> Curves:
    """LaSOT's rule: `otb_matlab`, and frames without the target are a failure of everybody.

    Its code removes them and still divides by all frames of the sequence, in success and in precision alike, so
    that a perfect tracker scores the share of frames that show the target.

    Source: ``calc_seq_err_robust.m`` and ``eval_tracker.m`` of the LaSOT evaluation toolkit; pysot-toolkit's LaSOT
    does the same, but for the first output and for outputs that are no box.
    """
    b, t = _pair(boxes, truth)
    shown = np.ones(len(t), dtype=bool) if absent is None else ~absent
    b, good = _matlab(b, t), _positive(t)
    error, scaled = (np.where(shown, np.where(good, e, -1.0), np.inf) for e in errors(b, t))
    return _curves(t, _overlap(b, t, good & shown), error, scaled, good=good & shown)


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
    return _curves(t, overlap, error, scaled, EVEN_THRESHOLDS)


def uav123(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """As `got10k`, and frames without a true box (NaN) leave the denominator.

    Source: ``ExperimentUAV123`` of the GOT-10k toolkit 0.1.3. (The MATLAB code of UAV123 is OTB's, where they are
    failures: `otb_matlab`.)
    """
    b, t = _pair(boxes, truth)
    known = ~np.isnan(t).any(axis=1)
    if not known.any():
        return _curves(t, np.zeros(len(t)), np.full(len(t), np.inf), np.full(len(t), np.inf))
    return replace(got10k(_first_true(b, t)[known], t[known]), dropped=int((~valid(t)).sum()))


def got10k_ao(
    boxes: ArrayLike,
    truth: ArrayLike,
    absent: NDArray[np.bool_] | None = None,
    size: tuple[float, float] | None = None,
) -> Curves:
    """GOT-10k's own measure: AO is the mean overlap, SR the share of frames with an overlap above 0.5 and 0.75.

    The first frame and frames that do not show the target (cover 0) are left out, and output and truth are cut
    to the image. It has no precision: those curves are NaN.

    Means over sequences weigh each by its frames, since the toolkit pools them.

    Source: ``ExperimentGOT10k.report`` and ``rect_iou`` of the GOT-10k toolkit 0.1.3. Deviation: an output that is
    no box is a failure here, where it makes the toolkit's number NaN.
    """
    b, t = _pair(boxes, truth)
    shown = np.ones(len(t), dtype=bool) if absent is None else ~absent
    dropped = int((~shown[1:]).sum())
    b, t = b[1:][shown[1:]] + ONE_BASED, t[1:][shown[1:]] + ONE_BASED
    if size is not None:
        b, t = _inside(b, size), _inside(t, size)
    unknown, overlap = np.full(51, np.nan), _overlap(b, t)
    mean = float(overlap.sum() / max(len(t), 1))
    success = share_above(overlap, EVEN_THRESHOLDS, max(len(t), 1))
    return Curves(success, unknown, unknown, mean, _failures(overlap, t), dropped, mean)


def _inside(boxes: Array, size: tuple[float, float]) -> Array:
    """Boxes cut to ``0 … size`` as ``rect_iou`` cuts them, in the numbers of the file."""
    low = np.clip(boxes[:, :2], 0, size)
    return np.hstack([low, np.clip(boxes[:, 2:], 0, np.asarray(size, dtype=np.float64) - low)])


def trackingnet(boxes: ArrayLike, truth: ArrayLike) -> Curves:
    """TrackingNet's rule: whole pixels, overlap >= t, AUC by the trapezoidal rule, first output replaced.

    Every output counts at t = 0, so a tracker that never touches its target has an AUC of 0.025.

    Source: ``metrics.py`` of the TrackingNet devkit. Deviation: precision is at 0, 1 … 50 pixels here, as in the
    paper, where that file averages it over 21 thresholds of 2.5 pixels.
    """
    b, t = _pair(boxes, truth)
    b, t = np.rint(_first_true(b, t)), np.rint(t)
    overlap = np.where(np.isnan(b).any(axis=1) | ~valid(t), np.nan, _overlap(b, t))
    error, scaled = errors(b, t)
    curves = _curves(t, np.nan_to_num(overlap), error, scaled)
    success = share_above(overlap, np.nextafter(EVEN_THRESHOLDS, -np.inf))
    return replace(curves, success=success, area=float((success[:-1] + success[1:]).mean() / 2))


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
    return _curves(t, overlap, error, scaled, STEPPED_THRESHOLDS, good=_positive(t))


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
    return _curves(t, overlap, error, scaled, STEPPED_THRESHOLDS, count, good)


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


def long_term(
    boxes: ArrayLike, truth: ArrayLike, absent: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Tracking precision and recall of long-term tracking, of outputs that say "not there" (NaN).

    Precision is the mean overlap over the frames with an output, where one without the target counts 0; recall is
    that over the frames that show the target. Without any output precision is 1, without target NaN both.

    Source: Lukezic et al. 2018, equations 1 and 2, at the one threshold at which a tracker decides for itself.
    """
    b, t = _pair(boxes, truth)
    shown = np.asarray(valid(t) if absent is None else valid(t) & ~absent)
    total = np.count_nonzero(shown)
    if not total:
        return float("nan"), float("nan")
    overlap, said = _overlap(b, t, shown), ~np.isnan(b).any(axis=1)
    if said.all():
        return float(overlap.mean()), float(overlap[shown].sum() / total)
    precision = float(overlap[said].mean()) if said.any() else 1.0
    return precision, float(overlap[shown & said].sum() / total)


def long_term_curve(runs: Iterable[Array], most: int = 100) -> Array:
    """Thresholds on a tracker's scores, and its precision and recall at each: ``(3, T)``, from infinity down.

    Args:
        runs: of each sequence ``(3, N)`` per frame: the score, NaN where there is no output and infinity where no score
            was given with one; the overlap, 0 without a target; whether the target is shown. Those that never show it
            are left out.
        most: thresholds, spread evenly over the ranks of all scores.

    Source: Lukezic et al. 2018: `long_term` over outputs that are at least as sure, means over sequences; thresholds
    as in VOT's toolkit.
    """
    kept = [run for run in runs if run[2].any()]
    given = np.sort(np.concatenate([run[0][np.isfinite(run[0])] for run in kept] or [np.zeros(0)]))[::-1]
    if len(given) > most - 2:
        step = len(given) // (most - 2)
        given = given[np.rint(np.linspace(step, len(given) - step, most - 2)).astype(int)]
    thresholds = np.concatenate([[np.inf], given, [-np.inf]])
    means = np.zeros((2, len(thresholds)))
    for scores, overlaps, shown in kept:
        said = ~np.isnan(scores)
        order = np.argsort(-scores[said], kind="stable")
        count = np.searchsorted(-scores[said][order], -thresholds, side="right")
        total = np.concatenate([[0], np.cumsum(overlaps[said][order])])[count]
        means += [np.where(count > 0, total / np.maximum(count, 1), 1.0), total / shown.sum()]
    return np.vstack([thresholds, means / max(len(kept), 1)])


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
            "Wu, Lim, Yang 2013 and 2015; Python OTB toolkit", ("otb",),
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
            "GOT-10k toolkit 0.1.3, ExperimentOTB", ("nfs", "tc128", "dtb70"),
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
        Convention(
            "plain", plain, throughput,
            "overlap >= t; first output replaced by the truth; frames without a true box are left out, all others "
            "count",
            "this project",
        ),
        Convention(
            "got10k-ao", got10k_ao, mean_rate,
            "AO in place of AUC; first frame and frames that do not show the target left out; boxes cut to the image; "
            "no precision",
            "GOT-10k toolkit 0.1.3, ExperimentGOT10k", ("got10k",), ("absent", "size"), "AO", True,
        ),
        Convention(
            "uav123", uav123, mean_rate,
            "got10k, but frames without a true box are left out",
            "GOT-10k toolkit 0.1.3, ExperimentUAV123", ("uav123",),
        ),
        Convention(
            "lasot", lasot, throughput,
            "otb-matlab, but a frame that does not show the target is a failure in success and precision",
            "LaSOT evaluation toolkit", ("lasot",), ("absent",),
        ),
        Convention(
            "trackingnet", trackingnet, throughput,
            "whole pixels, overlap >= t, first output replaced by the truth, AUC by trapezoids",
            "TrackingNet devkit, metrics.py", ("trackingnet",),
        ),
    )
}  # fmt: skip


OTB_RULES = ("otb", "otb-matlab", "got10k", "pysot", "pytracking", "pytracking-int", "rolo2016")
"""What is in use for OTB: the rules by which a printed number is looked for."""


def official(family: str) -> str:
    """The convention by which a family of data sets is scored, by default: its own, else ``plain``."""
    return next((c.name for c in CONVENTIONS.values() if family in c.suites), "plain")


def rules_of(family: str) -> tuple[str, ...]:
    """The official convention of a family of data sets, and those in use for OTB."""
    return tuple(dict.fromkeys([official(family), *OTB_RULES]))


def find_convention(name: str) -> Convention:
    """A convention by name.

    Raises:
        UsageError: unknown name.
    """
    return CONVENTIONS[find_name("convention", name, CONVENTIONS)]
