"""Which rule made a printed number? Recomputes the ROLO paper's figure 5, and the same question for any result.

`paper_legends` sets each number in the legends of the paper's success plots beside what the same boxes give under
the authors' own rule (`rolo2016`) and under the benchmark authors'. `readings` lists every number that the named
conventions draw from one tracker's boxes, `explain` says which of them round to a printed one. `sort_readings` sets
what the authors' protocol makes of YOLO + SORT beside an honest run.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError, UsageError
from rolo_bench.paper.sort2016 import SHORTEST, chosen_detections, compared
from rolo_bench.run.store import Store
from rolo_bench.scores import published as reference
from rolo_bench.scores.conventions import find_convention, rules_of
from rolo_bench.scores.score import score
from rolo_bench.scores.summary import mark_oracles, matrix, oracles

if TYPE_CHECKING:
    import pandas as pd

MEASURES = {
    "auc": "area under the success curve",
    "mean_iou": "mean overlap",
    "success50": "success at 0.5",
    "precision20": "precision at 20 px",
    "norm_auc": "area under the normalised precision curve",
}
OWN_RUNS = ("ROLO", "YOLO")
"""Trackers of the legends whose boxes were not published: the paper's own. A run of that name here is another."""
OFFICIAL = 1e-5
"""Boxes count as the official run where their mean overlap is the published one to within this."""

RULE = (
    "The legends print the mean overlap under the rule rolo2016, not an area under the curve: 1-based boxes cut to "
    "integers, x and y (a corner) taken for the centre, averaged over frames, then over sequences."
)
DIFFERENCES = (
    "At every frame the detection fed to the LSTM is the one that overlaps the ground truth most: an oracle that no "
    "tracker has (find_best_location in the authors' YOLO code).",
    "The window for frame t ends at frame t + 1: the box of a frame is made with the next frame in view "
    "(outputs are numbered by their last frame and compared with the truth one frame earlier).",
    "Experiments 2 and 3 train on the very sequences that they test on: on the first third of each, and on all "
    "frames of each with a third of the truth.",
)
SORT_RULE = (
    "All rows are over the frames that the authors score. Their SORT is fed the one detection that overlaps the truth "
    "most; its box is compared with the truth of two frames earlier, and is all zeros where no track of theirs lives."
)
PROTOCOL_NOTES = {
    "ope": "YOLO+SORT: SORT is fed that same detection, its boxes are compared with the truth of two frames earlier, "
    "and zeros are scored where it has none; --sort shows what that makes of a detector at hand.",
    "tre": "TRE: ROLO, YOLO and YOLO+SORT were not started anew; one run from frame 1 was scored from later frames on.",
    "sre": "SRE: the curves of ROLO, YOLO and YOLO+SORT are those of OPE (the plotting code loads that file), which is "
    "why 0.564, 0.440 and 0.341 stand in both.",
}


def paper_legends(
    store: Store, suite: Suite, protocol: str = "ope", part: str = "otb30", partial: bool = False
) -> pd.DataFrame:
    """The paper's legend, tracker by tracker, beside what rolo-bench computes from the boxes at hand.

    Columns ``set, tracker, printed, rolo2016_mean_iou, prints_as, verdict, official_auc, official_mean_iou,
    official_boxes, sequences``. ``official_mean_iou`` is the published one where the boxes are not at hand, and
    ``official_boxes`` says on how many sequences the boxes are the published run.

    Args:
        suite: `otb30` in full, or what there is of it with ``partial``.
        part: ``otb30``, or ``otb30-test`` for the last eight sequences, experiment 1's test set.

    Raises:
        UsageError: the paper prints nothing for this protocol and set, or the suite is another one.
    """
    import pandas as pd

    printed = reference.legends(part, protocol)
    if not printed:
        raise UsageError(f"the paper has no legend for {part} and {protocol}; it has otb30 with ope, tre, sre and "
                         "otb30-test with ope")  # fmt: skip
    wanted = suite.expected if part == "otb30" else suite.expected[22:]
    if suite.name != "otb30" or len(suite.expected) != 30:
        raise UsageError(f"the paper's legends are of the suite otb30, not of {suite.name}")
    at_hand = {name.lower(): name for name in store.trackers(suite.name, protocol)}
    rows = []
    for tracker, value in printed.items():
        row = {"set": part, "tracker": tracker, "printed": value}
        if not _is_own(tracker) and tracker.lower() in at_hand:
            row |= _recomputed(store, suite, protocol, at_hand[tracker.lower()], wanted, value, partial)
        else:
            row |= _not_at_hand(tracker, wanted, protocol)
        rows.append(row)
    return pd.DataFrame(rows)


def all_legends(store: Store, suite: Suite, protocol: str = "ope", partial: bool = False) -> pd.DataFrame:
    """`paper_legends` of every set for which the paper prints a legend under this protocol."""
    import pandas as pd

    parts = [part for part in ("otb30", "otb30-test") if reference.legends(part, protocol)]
    return pd.concat([paper_legends(store, suite, protocol, p, partial) for p in parts], ignore_index=True)


def _is_own(tracker: str) -> bool:
    return tracker.replace("+", " ").split(" ")[0] in OWN_RUNS


def _recomputed(
    store: Store,
    suite: Suite,
    protocol: str,
    tracker: str,
    wanted: tuple[str, ...],
    printed: float,
    partial: bool,
) -> dict[str, object]:
    ours = score(store, suite, [tracker], protocol, "rolo2016", partial)
    official = score(store, suite, [tracker], protocol, "otb", partial)
    ours, official = (f[f["sequence"].isin(wanted)] for f in (ours, official))
    if ours.empty:
        return _not_at_hand(tracker, wanted, protocol)
    value = float(ours["mean_iou"].mean())
    same = _official_boxes(tracker, official) if protocol == "ope" else None
    return {
        "rolo2016_mean_iou": value,
        "prints_as": f"{value:.3f}",
        "verdict": _verdict(value, printed, len(ours), len(wanted), same),
        "official_auc": float(official["auc"].mean()),
        "official_mean_iou": float(official["mean_iou"].mean()),
        "official_boxes": "" if same is None else f"{same} of {len(ours)}",
        "sequences": f"{len(ours)} of {len(wanted)}",
    }


def _verdict(value: float, printed: float, count: int, expected: int, official: int | None) -> str:
    if count < expected:
        return "partial: not comparable"
    if f"{value:.3f}" == f"{printed:.3f}":
        return "reproduced"
    off = f"off by {abs(value - printed):.4f}"
    return off if official in (None, count) else f"{off}: boxes of another run"


def _not_at_hand(tracker: str, wanted: tuple[str, ...], protocol: str) -> dict[str, object]:
    own = _is_own(tracker)
    row: dict[str, object] = {
        "rolo2016_mean_iou": np.nan,
        "prints_as": "",
        "verdict": "boxes not published" if own else "boxes not imported",
        "official_auc": np.nan,
        "official_mean_iou": np.nan,
        "official_boxes": "",
        "sequences": f"0 of {len(wanted)}",
    }
    if protocol == "ope" and not own:
        published = reference.published_summary(wanted, [tracker])
        if len(published):
            row["official_mean_iou"] = float(published["mean_iou"].iloc[0])
    return row


def _official_boxes(tracker: str, scores: pd.DataFrame) -> int | None:
    """On how many sequences the mean overlap is the published one; None where nothing is published."""
    rows = reference.table("nine_trackers_tb100")
    table = rows[rows["tracker"].str.lower() == tracker.lower()].set_index("sequence")["mean_iou"]
    if table.empty:
        return None
    values = scores.set_index("sequence")["mean_iou"]
    return int((np.abs(values - table.reindex(values.index)) < OFFICIAL).sum())


def readings(
    store: Store, suite: Suite, tracker: str, protocol: str = "ope", partial: bool = False
) -> pd.DataFrame:
    """Every number that the conventions draw from one tracker's boxes.

    Columns ``convention, measure, value, sequences``; measures that a convention does not have are left out. Where
    the tracker was shown the truth, a column ``oracle`` says so.
    """
    import pandas as pd

    rows = []
    for name in rules_of(suite.family):
        scores = score(store, suite, [tracker], protocol, name, partial)
        for measure in MEASURES:
            value = float(scores[measure].mean())
            if np.isfinite(value):
                rows.append((name, measure, value, f"{len(scores)} of {len(suite.expected)}"))
    table = pd.DataFrame(rows, columns=["convention", "measure", "value", "sequences"])
    return table.assign(oracle=True) if tracker in oracles(scores) else table


def explain(found: pd.DataFrame, printed: str) -> pd.DataFrame:
    """`readings`, nearest to a printed number first, with ``prints_as``, ``difference`` and ``reproduces``.

    ``printed`` is text, as it stands in the paper: its decimals say to which precision a number must agree. A
    number above 1, or with ``%``, is read as a percentage.

    Raises:
        UsageError: not a number.
    """
    value, places, percent = _printed(printed)
    scale = 100.0 if percent else 1.0
    table = found.assign(
        prints_as=[f"{v * scale:.{places}f}" for v in found["value"]],
        difference=(found["value"] * scale - value).abs(),
    )
    table["reproduces"] = [text == f"{value:.{places}f}" for text in table["prints_as"]]
    return table.sort_values("difference", kind="stable", ignore_index=True)


def _printed(text: str) -> tuple[float, int, bool]:
    cleaned = text.strip().removesuffix("%").strip()
    try:
        number = Decimal(cleaned)
        exponent = number.as_tuple().exponent
    except ArithmeticError:
        raise UsageError(
            f"--printed {text!r} is not a number; write it as the paper does, such as 0.410"
        ) from None
    if not isinstance(exponent, int) or number < 0:
        raise UsageError(f"--printed {text!r} is not a score; write it as the paper does, such as 0.410")
    return float(number), max(-exponent, 0), text.strip().endswith("%") or number > 1


def conclusion(explained: pd.DataFrame, printed: str) -> str:
    """One sentence: which rules reproduce the printed number, or how far the nearest one is off."""
    hits = explained[explained["reproduces"]]
    if len(hits):
        by_measure = {
            m: ", ".join(hits[hits["measure"] == m]["convention"]) for m in dict.fromkeys(hits["measure"])
        }
        rules = "; ".join(f"{MEASURES[m]} under {names}" for m, names in by_measure.items())
        return f"{printed} is reproduced by: {rules}."
    near = explained.iloc[0]
    return (
        f"No rule gives {printed}; the nearest is {MEASURES[near['measure']]} under {near['convention']}: "
        f"{near['prints_as']}. The boxes may be of another run, or of other sequences."
    )


def compare(
    store: Store, suite: Suite, trackers: tuple[str, ...] = (), protocol: str = "ope", partial: bool = False
) -> pd.DataFrame:
    """The same boxes under every convention: one row per (tracker, convention).

    Columns ``tracker, convention, auc, precision, norm_precision, success50, mean_iou, fps, auc_vs_otb,
    sequences_changed, rank, sequences, oracle``. ``auc_vs_otb`` is the difference of the means,
    ``sequences_changed`` counts sequences whose AUC is another than under `otb`, ``rank`` is the place among the
    trackers; that of an oracle is 0.
    """
    import pandas as pd

    frames = {name: score(store, suite, trackers, protocol, name, partial) for name in rules_of(suite.family)}
    base = matrix(frames["otb"])
    tables = []
    for name, scores in frames.items():
        aucs = matrix(scores)
        fair = aucs.columns.difference(list(oracles(scores)))
        ranks = aucs[fair].mean().round(12).rank(ascending=False, method="min")
        table = scores.groupby("tracker", sort=False).agg(
            auc=("auc", "mean"), precision=("precision20", "mean"), norm_precision=("norm_auc", "mean"),
            success50=("success50", "mean"), mean_iou=("mean_iou", "mean"), fps=("fps", "mean"),
        )  # fmt: skip
        table.insert(0, "convention", name)
        table["auc_vs_otb"] = aucs.mean() - base.mean()
        table["sequences_changed"] = ((aucs - base).abs() > 1e-12).sum()
        table["rank"] = ranks.reindex(table.index).fillna(0).astype(int)
        table["sequences"] = [f"{n} of {len(suite.expected)}" for n in aucs.notna().sum()]
        tables.append(table.reset_index())
    table = mark_oracles(pd.concat(tables, ignore_index=True), frames["otb"])
    order = {t: i for i, t in enumerate(base.mean().sort_values(ascending=False).index)}
    return table.sort_values("tracker", key=lambda c: c.map(order), kind="stable", ignore_index=True)


def sort_readings(
    store: Store,
    suite: Suite,
    chosen: str,
    protocol: str = "ope",
    honest: str = "yolo-sort",
    partial: bool = False,
) -> pd.DataFrame:
    """What the authors' protocol makes of YOLO + SORT, beside an honest run on the same frames.

    Columns ``reading, rolo2016_mean_iou, official_auc, no_box, frames, sequences, oracle``: the legends' number and the
    benchmark's, means over sequences; ``no_box`` is the share of frames without a box.

    Args:
        chosen: name of stored results of `yolo` with ``association=oracle``: the detections chosen by the truth.
        honest: name of the run to set beside it.

    Raises:
        UsageError: another protocol than OPE, or ``chosen`` was not shown the truth.
        DataError: results are missing, or a video is too short.
    """
    import pandas as pd

    if protocol != "ope":
        raise UsageError(f"the authors' SORT ran once from the first frame: --protocol ope, not {protocol}")
    names = (chosen, honest)
    scores = score(store, suite, names, protocol, "rolo2016", partial)
    if chosen not in oracles(scores):
        raise UsageError(
            f"{chosen} was not shown the truth; make what --sort needs with `rolo-bench run --tracker yolo "
            "-o association=oracle --name yolo-oracle`"
        )
    parts: dict[str, list[tuple[float, float, float]]] = {}
    frames, there = 0, set(scores["sequence"])
    for sequence in (s for s in suite.sequences if s.name in there):
        if len(sequence) < SHORTEST:
            raise DataError(f"{sequence.name}: {len(sequence)} frames; the authors' SORT needs {SHORTEST}")
        taken, own = (store.load(suite.name, protocol, n, sequence.name)[0].boxes for n in names)
        detections = chosen_detections(taken)
        theirs, in_place, rows = compared(detections)
        truth = sequence.truth[rows]
        frames += len(truth)
        for reading, boxes in (
            (f"{honest}, honest", own[rows]),
            ("the authors' YOLO: detections chosen by the truth", detections[rows]),
            ("their SORT on these, frame by frame", in_place),
            ("their protocol: SORT two frames ahead", theirs),
        ):
            values = [find_convention(rule).score(boxes, truth) for rule in ("rolo2016", "otb")]
            parts.setdefault(reading, []).append(
                (float(values[0].mean_iou), float(values[1].auc), float(np.isnan(boxes).any(axis=1).mean()))
            )
    table = pd.DataFrame(
        [(reading, *np.mean(part, axis=0)) for reading, part in parts.items()],
        columns=["reading", "rolo2016_mean_iou", "official_auc", "no_box"],
    )
    sequences = f"{len(there)} of {len(suite.expected)}"
    return table.assign(frames=frames, sequences=sequences, oracle=[False, True, True, True])


def require_tracker(store: Store, suite: Suite, protocol: str, trackers: tuple[str, ...]) -> str:
    """The one tracker that was asked for.

    Raises:
        UsageError: none or several were named, or it has no results on the suite.
    """
    if len(trackers) != 1:
        raise UsageError("--printed needs one --tracker whose boxes are to be explained")
    return store.find_tracker(suite.name, protocol, trackers[0])
