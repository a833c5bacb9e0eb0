"""Named scoring conventions: the same boxes get different scores from different toolkits, so the rule has a name.

Each convention is a pure function of `Runs`, boxes and truth ``(N, 4)`` of any number of sequences one behind the
other, both 0-based, that gives the `Curves` of each. A single run is the case of one.
Rules that look at raw numbers (is x above zero, round, truncate) look at OTB's 1-based numbers, as the
toolkits do with OTB files. A frame whose output is no box (NaN) is a failure in every convention, except
where a rule says otherwise; ``docs/conventions.md`` explains each deviation.

Some rules of other data sets also look at which frames show the target (``absent``, ``(N,)``) and at the size of
the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

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


Mask = NDArray[np.bool_]
Counts = NDArray[np.intp]
Part = tuple[ArrayLike, ArrayLike, Mask | None, tuple[float, float] | None]
"""Boxes and truth of one run, where the target is absent, size of the image; None for either that is not known."""


@dataclass(frozen=True)
class Runs:
    """Runs on sequences, one behind the other, so that each operation is called once for all of them.

    Attributes:
        boxes, truth: ``(N, 4)``, 0-based, of all frames.
        absent: ``(N,)`` True where the annotation says that the target is not to be seen.
        lengths: ``(S,)`` number of frames of each run.
        size: ``(S, 2)`` width and height of its images, NaN where not known.
    """

    boxes: Array
    truth: Array
    absent: Mask
    lengths: Counts
    size: Array

    @classmethod
    def joined(cls, parts: Iterable[Part]) -> Runs:
        """Runs of one sequence each, at least one.

        Raises:
            ValueError: a run has no frames, or other numbers of boxes and of truth boxes.
        """
        boxes, truth, absent, sizes = [], [], [], []
        for one, true, hidden, size in parts:
            b, t = as_boxes(one), as_boxes(true)
            if len(b) != len(t) or not len(t):
                raise ValueError(f"{len(b)} boxes for {len(t)} truth boxes")
            boxes.append(b)
            truth.append(t)
            absent.append(np.zeros(len(t), dtype=bool) if hidden is None else hidden)
            sizes.append((np.nan, np.nan) if size is None else size)
        lengths = np.array([len(t) for t in truth])
        b, t = (np.asfortranarray(np.concatenate(a)) for a in (boxes, truth))  # columns are read one by one
        return cls(b, t, np.concatenate(absent), lengths, np.array(sizes, dtype=np.float64))

    @property
    def starts(self) -> Counts:
        """Index of the first frame of each run that has frames."""
        return (np.cumsum(self.lengths) - self.lengths)[self.lengths > 0]

    def only(self, which: Mask) -> Runs:
        """The same runs on some frames ``(N,)``; one may be left without any."""
        left = counts(which, self.lengths)
        return Runs(self.boxes[which], self.truth[which], self.absent[which], left, self.size)


@dataclass(frozen=True)
class Curves:
    """The scores of runs under one convention: arrays with a leading ``S``, which those of one run lack.

    Attributes:
        success: ``(S, 21)`` share of frames that overlap the truth by more than 0, 0.05 … 1.
        precision: ``(S, 51)`` share of frames with a centre error of at most 0 … 50 pixels.
        norm_precision: ``(S, 51)`` the same with the error divided by the truth's width and height, 0 … 0.5.
        mean_iou: ``(S,)`` mean overlap, 0 … 1, over the frames that the convention counts.
        failures: ``(S,)`` number of frames with a true box that the output does not touch at all.
        dropped: ``(S,)`` number of frames on which the rule lets no output win or lose: it takes their truth for none.
        area: ``(S,)`` the headline number where the rule has another than the mean of its success curve.
    """

    success: Array
    precision: Array
    norm_precision: Array
    mean_iou: Array
    failures: Counts
    dropped: Counts
    area: Array | None = None

    def __getitem__(self, index: int) -> Curves:
        """The scores of one run."""
        return Curves(
            self.success[index],
            self.precision[index],
            self.norm_precision[index],
            self.mean_iou[index],
            self.failures[index],
            self.dropped[index],
            None if self.area is None else self.area[index],
        )

    @property
    def auc(self) -> Array:
        """Area under the success curve: the mean of its 21 values, unless the rule defines it otherwise."""
        return self.success.mean(axis=-1) if self.area is None else self.area

    @property
    def precision20(self) -> Array:
        """Precision at 20 pixels."""
        return self.precision[..., 20]

    @property
    def norm_auc(self) -> Array:
        """Area under the normalised precision curve: the mean of its 51 values."""
        return self.norm_precision.mean(axis=-1)

    @property
    def success50(self) -> Array:
        """Success at an overlap of 0.5."""
        return self.success[..., 10]

    @property
    def success75(self) -> Array:
        """Success at an overlap of 0.75."""
        return self.success[..., 15]


@dataclass(frozen=True)
class Convention:
    """A rule with a name: how it scores, how it counts speed, where it comes from, how it differs from `otb`.

    Attributes:
        suites: families of data sets (`rolo_bench.datasets.suites.Suite.family`) whose official rule it is.
        headline: what the column ``auc`` holds.
        pooled: means weigh a sequence by its frames instead of counting each alike.
    """

    name: str
    curves: Callable[[Runs], Curves]
    fps: Callable[[Array], float]
    rule: str
    source: str
    suites: tuple[str, ...] = ()
    headline: str = "AUC"
    pooled: bool = False

    def score(
        self,
        boxes: ArrayLike,
        truth: ArrayLike,
        absent: Mask | None = None,
        size: tuple[float, float] | None = None,
    ) -> Curves:
        """The scores of one run, boxes ``(N, 4)`` against truth ``(N, 4)``; raises as `Runs.joined`."""
        return self.curves(Runs.joined([(boxes, truth, absent, size)]))[0]


def split(values: NDArray[Any], lengths: Counts) -> list[NDArray[Any]]:
    """Values ``(N,)`` of runs that lie one behind the other, by run."""
    stops = np.cumsum(lengths).tolist()
    return [values[start:stop] for start, stop in zip([0, *stops], stops)]


def sums(values: Array, lengths: Counts) -> Array:
    """Sum ``(S,)`` of the values of each run: each for itself, as `numpy.add.reduceat` rounds otherwise."""
    return np.array([part.sum() for part in split(values, lengths)])


def counts(which: Mask, lengths: Counts) -> Counts:
    """Number ``(S,)`` of frames of each run that are among ``which`` ``(N,)``."""
    return np.array([np.count_nonzero(part) for part in split(which, lengths)])


def share_above(values: Array, thresholds: Array, count: int | None = None) -> Array:
    """Share of values above each threshold: ``(T,)``. NaN counts as below; ``count`` is the denominator."""
    return np.sort(-values).searchsorted(-thresholds) / (count or len(values))  # NaN comes last


def share_within(values: Array, thresholds: Array, count: int | None = None) -> Array:
    """Share of values at or below each threshold: ``(T,)``. NaN counts as above; ``count`` as above."""
    return np.sort(values).searchsorted(thresholds, side="right") / (count or len(values))


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


def _overlap(boxes: Array, truth: Array, counted: Mask | None = None) -> Array:
    """Overlap ``(N,)``; 0 where one side is not a box or the frame does not count."""
    values = iou(boxes, truth)
    good = values > 0 if counted is None else (values > 0) & counted
    return np.where(good, values, 0.0)


def _first_true(runs: Runs, boxes: Array) -> Array:
    """Boxes ``(N, 4)`` with the first one of each run replaced by the truth."""
    replaced = boxes.copy(order="K")
    replaced[runs.starts] = runs.truth[runs.starts]
    return replaced


def _positive(truth: Array) -> Mask:
    """Rows whose four 1-based numbers are all above zero: OTB's test of a valid annotation."""
    x, y, w, h = truth.T
    return (x > -1) & (y > -1) & (w > 0) & (h > 0)


def _unknown(boxes: Array) -> Mask:
    """Rows with a NaN."""
    x, y, w, h = np.isnan(boxes).T
    return x | y | w | h


def _failures(runs: Runs, overlap: Array) -> Counts:
    return counts(valid(runs.truth) & ~(overlap > 0), runs.lengths)


def _shares(
    share: Callable[[Array, Array, int], Array], runs: Runs, values: Array, thresholds: Array, count: Counts
) -> Array:
    """`share_above` or `share_within` of each run: ``(S, T)``."""
    parts = zip(split(values, runs.lengths), count.tolist())
    return np.array([share(part, thresholds, n) for part, n in parts])


def _curves(
    runs: Runs,
    overlap: Array,
    error: Array,
    scaled: Array,
    thresholds: Array = OVERLAP_THRESHOLDS,
    good: Mask | None = None,
    counted: bool = False,
) -> Curves:
    """What a rule's overlaps, centre errors and scaled ones come to over all frames, or over the good ones.

    ``good`` are the frames whose truth the rule accepts, by default those with a real box.
    """
    good = valid(runs.truth) if good is None else good
    there = counts(good, runs.lengths)
    count = np.maximum(there if counted else runs.lengths, 1)
    return Curves(
        _shares(share_above, runs, overlap, thresholds, count),
        _shares(share_within, runs, error, ERROR_THRESHOLDS, count),
        _shares(share_within, runs, scaled, NORM_THRESHOLDS, count),
        sums(overlap, runs.lengths) / count,
        _failures(runs, overlap),
        runs.lengths - there,
    )


def plain(runs: Runs) -> Curves:
    """Overlap as it is: the default where no data set has a rule of its own.

    A frame counts when it has a true box, wherever that lies; others leave the denominator. An overlap of at
    least t counts (to `SLACK`, above 0), so results that equal the truth score 1. The first output is replaced.
    """
    b, t = _first_true(runs, runs.boxes), runs.truth
    good = valid(t)
    error, scaled = (np.where(good, e, np.inf) for e in errors(b, t))
    at_least = np.append(0.0, OVERLAP_THRESHOLDS[1:] - SLACK)
    return _curves(runs, _overlap(b, t), error, scaled, at_least, good, counted=True)


def otb(runs: Runs) -> Curves:
    """The benchmark authors' rule; the default.

    Overlap above the threshold; first output replaced by the truth; a frame without valid truth (a number of
    its 1-based box is not above zero) is a failure and stays in the denominator, also in precision and mean IoU.

    Source: Wu, Lim, Yang 2013 and 2015; ``calc_seq_err_robust`` and ``calc_result`` of the Python OTB toolkit.
    Deviation: there the centre error of a frame without valid truth is -1 and counts as a hit in precision.
    """
    b, t = _first_true(runs, runs.boxes), runs.truth
    good = _positive(t)
    error, scaled = (np.where(good, e, np.inf) for e in errors(b, t))
    return _curves(runs, _overlap(b, t, good), error, scaled, good=good)


def otb_matlab(runs: Runs) -> Curves:
    """As `otb`, and an output that is no box is replaced by the output before it.

    A frame without valid truth has a centre error of -1, so it is a hit in precision.

    Source: ``calcSeqErrRobust.m`` and ``genPerfMat.m`` of the MATLAB OTB toolkit.
    """
    b, t = _matlab(runs), runs.truth
    good = _positive(t)
    error, scaled = (np.where(good, e, -1.0) for e in errors(b, t))
    return _curves(runs, _overlap(b, t, good), error, scaled, good=good)


def _matlab(runs: Runs) -> Array:
    """Outputs as the MATLAB code scores them: a row that is no box repeats the one before, row 0 is the truth."""
    lost = np.isnan(runs.boxes).all(axis=1) | (runs.boxes[:, 2:] <= 0).any(axis=1)
    return _first_true(runs, _held(runs, np.asarray(lost)))


def lasot(runs: Runs) -> Curves:
    """LaSOT's rule: `otb_matlab`, and frames without the target are a failure of everybody.

    Its code removes them and still divides by all frames of the sequence, in success and in precision alike, so
    that a perfect tracker scores the share of frames that show the target.

    Source: ``calc_seq_err_robust.m`` and ``eval_tracker.m`` of the LaSOT evaluation toolkit; pysot-toolkit's LaSOT
    does the same, but for the first output and for outputs that are no box.
    """
    b, t, shown = _matlab(runs), runs.truth, ~runs.absent
    good = _positive(t)
    error, scaled = (np.where(shown, np.where(good, e, -1.0), np.inf) for e in errors(b, t))
    return _curves(runs, _overlap(b, t, good & shown), error, scaled, good=good & shown)


def got10k(runs: Runs) -> Curves:
    """The OTB experiment of the GOT-10k toolkit.

    First output replaced; nothing is masked: a frame with a zero-sized truth overlaps by 0 and is measured from
    that box's centre, and a truth box that starts left of or above the image is an ordinary one.

    Source: ``ExperimentOTB.report`` and ``utils/metrics.py`` of the GOT-10k toolkit 0.1.3. It has no
    normalised precision for OTB; here it is TrackingNet's on the same frames.
    """
    b, t = _first_true(runs, runs.boxes), runs.truth
    return _curves(runs, _overlap(b, t), *errors(b, t), EVEN_THRESHOLDS)


def uav123(runs: Runs) -> Curves:
    """As `got10k`, and frames without a true box (NaN) leave the denominator.

    Source: ``ExperimentUAV123`` of the GOT-10k toolkit 0.1.3. (The MATLAB code of UAV123 is OTB's, where they are
    failures: `otb_matlab`.)
    """
    return replace(got10k(runs.only(~_unknown(runs.truth))), dropped=counts(~valid(runs.truth), runs.lengths))


def got10k_ao(runs: Runs) -> Curves:
    """GOT-10k's own measure: AO is the mean overlap, SR the share of frames with an overlap above 0.5 and 0.75.

    The first frame and frames that do not show the target (cover 0) are left out, and output and truth are cut
    to the image. It has no precision: those curves are NaN.

    Means over sequences weigh each by its frames, since the toolkit pools them.

    Source: ``ExperimentGOT10k.report`` and ``rect_iou`` of the GOT-10k toolkit 0.1.3. Deviation: an output that is
    no box is a failure here, where it makes the toolkit's number NaN.
    """
    shown = ~runs.absent
    shown[runs.starts] = False
    kept = runs.only(shown)
    size = np.repeat(kept.size, kept.lengths, axis=0)
    b, t = (_inside(boxes + ONE_BASED, size) for boxes in (kept.boxes, kept.truth))
    overlap, unknown = _overlap(b, t), np.full((len(runs.lengths), 51), np.nan)
    count = np.maximum(kept.lengths, 1)
    success, mean = (
        _shares(share_above, kept, overlap, EVEN_THRESHOLDS, count),
        sums(overlap, kept.lengths) / count,
    )
    failures = _failures(replace(kept, truth=t), overlap)
    return Curves(success, unknown, unknown, mean, failures, runs.lengths - 1 - kept.lengths, mean)


def _inside(boxes: Array, size: Array) -> Array:
    """Boxes cut to ``0 … size`` ``(N, 2)`` as ``rect_iou`` cuts them, in the numbers of the file; NaN cuts nothing."""
    low = np.clip(boxes[:, :2], 0, size)
    cut = np.hstack([low, np.clip(boxes[:, 2:], 0, size - low)])
    return np.where(np.isnan(size[:, :1]), boxes, cut)


def trackingnet(runs: Runs) -> Curves:
    """TrackingNet's rule: whole pixels, overlap >= t, AUC by the trapezoidal rule, first output replaced.

    Every output counts at t = 0, so a tracker that never touches its target has an AUC of 0.025.

    Source: ``metrics.py`` of the TrackingNet devkit. Deviation: precision is at 0, 1 … 50 pixels here, as in the
    paper, where that file averages it over 21 thresholds of 2.5 pixels.
    """
    b, t = np.rint(_first_true(runs, runs.boxes)), np.rint(runs.truth)
    runs = replace(runs, truth=t)
    overlap = np.where(_unknown(b) | ~valid(t), np.nan, _overlap(b, t))
    curves = _curves(runs, np.nan_to_num(overlap), *errors(b, t))
    success = _shares(share_above, runs, overlap, np.nextafter(EVEN_THRESHOLDS, -np.inf), runs.lengths)
    return replace(curves, success=success, area=(success[:, :-1] + success[:, 1:]).mean(axis=1) / 2)


def pysot(runs: Runs) -> Curves:
    """The OPE benchmark of the PySOT toolkit.

    The first output is scored as it is. A truth box with a 1-based number not above zero is a failure in
    success; one whose centre is not above zero has a centre error of -1 and so is a hit in both precisions.

    Source: ``OPEBenchmark``, ``success_overlap`` and ``success_error`` of pysot-toolkit.
    """
    b, t = runs.boxes, runs.truth
    error, _ = errors(b, t)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        middle = t[:, :2] + 1 + (t[:, 2:] - 1) / 2  # the toolkit's 1-based centre
        centred = (middle > 0).all(axis=1)
        scaled = np.linalg.norm((centers(b) - centers(t)) / (t[:, 2:] + 1e-16), axis=1)
        centred_norm = (middle / (t[:, 2:] + 1e-16) > 0).all(axis=1)
    error, scaled = np.where(centred, error, -1.0), np.where(centred_norm, scaled, -1.0)
    good = _positive(t)
    return _curves(runs, _overlap(b, t, good), error, scaled, STEPPED_THRESHOLDS, good)


def pytracking(runs: Runs) -> Curves:
    """PyTracking's analysis of OTB results.

    First output replaced; an output of zero size is replaced by the one before it; a frame whose truth has no
    size leaves the denominator (so it is neither success nor failure), but is a hit in normalised precision,
    which can therefore exceed 1.

    Source: ``calc_seq_err_robust`` and ``extract_results`` of PyTracking. Deviation: outputs with NaN or
    negative sizes, which PyTracking refuses, are failures; with no valid truth at all every value is 0.
    """
    t = runs.truth
    b = _first_true(runs, _held(runs, np.asarray((runs.boxes[:, 2:] == 0).any(axis=1))))
    good = np.asarray((t[:, 2:] > 0).all(axis=1))
    error, scaled = errors(b, t)
    error, scaled = np.where(good, error, np.inf), np.where(good, scaled, -1.0)
    return _curves(runs, _overlap(b, t, good), error, scaled, STEPPED_THRESHOLDS, good, counted=True)


def pytracking_int(runs: Runs) -> Curves:
    """As `pytracking`, with the outputs rounded to the nearest whole 1-based pixels first (halves to even).

    Source: PyTracking's result files hold whole pixels. Deviation: its own writer cuts the fraction off
    (``astype(int)``); here it is rounded, as in files that were converted for it.
    """
    return pytracking(replace(runs, boxes=np.rint(runs.boxes + ONE_BASED) - ONE_BASED))


def rolo2016(runs: Runs) -> Curves:
    """The evaluation of the ROLO authors; the rule behind the numbers in the paper's figure 5.

    1-based numbers are cut to integers; x and y, which are a corner, are taken for the centre; the first output
    is scored as it is; NaN becomes 0; a frame counts at overlap >= t + 0.0001 for the 20 thresholds 0 … 0.95,
    and a 0 is appended for the 21st. The legends print `Curves.mean_iou` of this rule, not an area.

    Source: ``ROLO_evaluation.py`` (``evaluate_benchmark_avg_IOU``, ``evaluate_benchmark_AUC_OPE``) and
    ``iou`` in ``ROLO_utils.py`` of the authors' code. It has no precision: those curves are NaN.
    """
    overlap = _overlap(_corner_as_centre(runs.boxes), _corner_as_centre(runs.truth))
    at_least = np.nextafter(np.arange(20) * 5 / 100 + 0.0001, -np.inf)  # >= t is > the number below t
    success = _shares(share_above, runs, overlap, at_least, runs.lengths)
    success, unknown = np.pad(success, [(0, 0), (0, 1)]), np.full((len(success), 51), np.nan)
    mean, none = sums(overlap, runs.lengths) / runs.lengths, np.zeros_like(runs.lengths)
    return Curves(success, unknown, unknown, mean, _failures(runs, overlap), none)


def _corner_as_centre(boxes: Array) -> Array:
    """Boxes ``(N, 4)`` whose corner, cut to whole 1-based pixels, stands where their centre should."""
    whole = np.trunc(np.where(np.isnan(boxes), 0.0, boxes + ONE_BASED))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.hstack([whole[:, :2] - whole[:, 2:] / 2, whole[:, 2:]])


def _held(runs: Runs, lost: Mask) -> Array:
    """Boxes with each lost row replaced by the last one of its run that is not lost; the first of a run is kept.

    A row whose truth is not known stays, too.
    """
    index = np.where(lost & ~_unknown(runs.truth), 0, np.arange(len(lost)))
    index[runs.starts] = runs.starts
    return runs.boxes[np.maximum.accumulate(index)]


def long_term(runs: Runs) -> tuple[Array, Array]:
    """Tracking precision and recall ``(S,)`` of long-term tracking, of outputs that say "not there" (NaN).

    Precision is the mean overlap over the frames with an output, where one without the target counts 0; recall is
    that over the frames that show the target. Without any output precision is 1, without target NaN both.

    Source: Lukezic et al. 2018, equations 1 and 2, at the one threshold at which a tracker decides for itself.
    """
    shown, said = valid(runs.truth) & ~runs.absent, ~_unknown(runs.boxes)
    hit, overlap = shown & said, _overlap(runs.boxes, runs.truth, shown)
    outputs, targets, hits = (counts(which, runs.lengths) for which in (said, shown, hit))
    with np.errstate(invalid="ignore"):
        precision = np.where(outputs > 0, sums(overlap[said], outputs) / outputs, 1.0)
        recall = sums(overlap[hit], hits) / targets
    return np.where(targets > 0, precision, np.nan), recall


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
            "GOT-10k toolkit 0.1.3, ExperimentGOT10k", ("got10k",), "AO", True,
        ),
        Convention(
            "uav123", uav123, mean_rate,
            "got10k, but frames without a true box are left out",
            "GOT-10k toolkit 0.1.3, ExperimentUAV123", ("uav123",),
        ),
        Convention(
            "lasot", lasot, throughput,
            "otb-matlab, but a frame that does not show the target is a failure in success and precision",
            "LaSOT evaluation toolkit", ("lasot",),
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
