"""Summaries of a table of scores: means over sequences, curves, attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.suites import ATTRIBUTES
from rolo_bench.errors import UsageError, counted
from rolo_bench.scores.conventions import long_term_curve
from rolo_bench.scores.score import CURVES
from rolo_bench.scores.tables import display_name, for_people

if TYPE_CHECKING:
    import pandas as pd

VIEWS = {
    "summary": "auc_95: bootstrap interval over sequences; vs_best: paired Wilcoxon test, Holm-corrected "
    "(same: no difference at 0.05)",
    "sequences": "AUC",
    "attributes": "AUC",
    "pairs": "AUC, paired Wilcoxon test, Holm-corrected over all pairs; oracles take no part",
    "wins": "by AUC, 1 is the best rank; oracles take no part",
    "longterm": "precision and recall of long-term tracking over sequences, f their harmonic mean; an output without a "
    "box says that the target is not there",
    "repeats": "trackers named alike but for _000, _001 … are runs of one; spread is the standard deviation over them",
}
"""What `view` makes of scores, and how its numbers come about."""
RUN = r"_\d{3}$"
"""What a run of several adds to the name of its tracker."""
MEANS = {
    "auc": "auc", "precision": "precision20", "norm_precision": "norm_auc", "success50": "success50",
    "success75": "success75", "mean_iou": "mean_iou",
}  # fmt: skip
"""Columns of a summary that are means, and the columns of scores that they are means of."""


def mean(rows: pd.DataFrame, column: str) -> Any:
    """The mean of a column of scores, of curves too, in which each sequence has its weight."""
    values, weights = np.stack(list(rows[column])), rows["counted"].to_numpy(float)
    if (weights == weights[0]).all():
        return values.mean(axis=0)
    return np.average(values, axis=0, weights=weights)


def ranked(scores: pd.DataFrame) -> tuple[str, ...]:
    """Trackers of a score table, best mean AUC first."""
    means = {str(name): mean(rows, "auc") for name, rows in scores.groupby("tracker", sort=False)}
    return tuple(sorted(means, key=lambda name: -means[name]))


def oracles(scores: pd.DataFrame) -> frozenset[str]:
    """Trackers of a score table that were shown the truth."""
    return frozenset(scores.loc[scores["oracle"].astype(bool), "tracker"])


def mark_oracles(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """A table of trackers with a column ``oracle`` (for those of a column ``other``: ``other_oracle``)."""
    seen = oracles(scores)
    flags = {"tracker": "oracle", "other": "other_oracle"}
    return table.assign(**{flag: table[name].isin(seen) for name, flag in flags.items() if name in table})


def labels(scores: pd.DataFrame) -> dict[str, str]:
    """How each tracker is called at the head of a column, where there is no place for a column ``oracle``."""
    seen = oracles(scores)
    return {t: display_name(t, oracle=t in seen) for t in dict.fromkeys(scores["tracker"])}


def mean_curves(scores: pd.DataFrame) -> dict[str, dict[str, Array]]:
    """The mean curves of each tracker over its sequences: ``{tracker: {"success": (21,), …}}``, best AUC first."""
    curves = {
        str(name): {c: mean(rows, f"{c}_curve") for c in CURVES}
        for name, rows in scores.groupby("tracker", sort=False)
    }
    return dict(sorted(curves.items(), key=lambda item: -item[1]["success"].mean()))


def matrix(scores: pd.DataFrame, column: str = "auc") -> pd.DataFrame:
    """One scalar as a table: a row per sequence in the suite's order, a column per tracker."""
    import pandas as pd

    rows, order = pd.factorize(scores["sequence"])
    columns, names = pd.factorize(scores["tracker"])
    values = scores[column].to_numpy(float)
    known, cells = ~np.isnan(values), rows * len(names) + columns
    size = len(order) * len(names)
    count = np.bincount(cells[known], minlength=size)
    total = np.bincount(cells[known], values[known], minlength=size)
    mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0).reshape(len(order), len(names))
    return pd.DataFrame(mean, pd.Index(order, name="sequence"), pd.Index(names, name="tracker"))


def summary(scores: pd.DataFrame, seed: int = 0, resamples: int = 2000) -> pd.DataFrame:
    """One row per tracker, best AUC first: means over sequences, intervals, and whether it differs from the best.

    ``p_best`` is the paired Wilcoxon test against the first tracker, Holm-corrected over the trackers, on the
    sequences that both have; ``same_as_best`` is True where it is 0.05 or more. Equal AUCs share a ``rank``.
    An oracle takes no part in that: its ``rank`` is 0 and its ``p_best`` NaN.
    """
    from rolo_bench.scores.statistics import against_best, bootstrap_interval

    groups = scores.groupby("tracker", sort=False)
    table = groups.agg(
        **{name: (column, "mean") for name, column in MEANS.items()},
        failures=("failures", "sum"), dropped=("dropped", "sum"), frames=("frames", "sum"),
        fps=("fps", "mean"), seconds=("seconds", lambda s: s.sum(min_count=1)),
        sequences=("auc", "size"),
        **{c: (c, "first") for c in ("expected", "oracle", "convention", "protocol", "suite")},
    )  # fmt: skip
    if scores["counted"].nunique() > 1:
        for name, column in MEANS.items():
            table[name] = [mean(rows, column) for _, rows in groups]
    table[["auc_low", "auc_high"]] = [
        bootstrap_interval(part["auc"], seed=seed, resamples=resamples) for _, part in groups
    ]
    table = table.reset_index().sort_values("auc", ascending=False, kind="stable", ignore_index=True)
    fair = ~table["tracker"].isin(oracles(scores))
    ranks = table["auc"].where(fair).round(12).rank(ascending=False, method="min")
    table["rank"] = ranks.fillna(0).astype(int)
    p = against_best(matrix(scores[scores["tracker"].isin(table["tracker"][fair])])) if fair.any() else {}
    table["p_best"] = [p.get(name, float("nan")) for name in table["tracker"]]
    table["same_as_best"] = fair & ~(table["p_best"] < 0.05)
    table.attrs["notes"] = list(scores.attrs.get("notes", []))
    return table


def with_published(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """A summary with rows of published numbers for the same sequences, best AUC first; column ``published`` says which.

    Raises:
        UsageError: as `rolo_bench.scores.published.published_beside`.
    """
    import pandas as pd

    from rolo_bench.scores.published import published_beside

    first = scores.iloc[0]
    rows = published_beside(scores)
    rows = rows.assign(**{c: first[c] for c in ("expected", "convention", "protocol", "suite")}, oracle=False)
    both = pd.concat([table.assign(published=False), rows.assign(published=True)], ignore_index=True)
    return both.sort_values(["auc", "mean_iou"], ascending=False, na_position="last", ignore_index=True)


def coverage(table: pd.DataFrame) -> str:
    """``16 of 30 sequences``, or ``30 sequences``: what a summary or its scores stand for."""
    counts = sorted({int(n) for n in table["sequences"]} if "sequences" in table else _counts(table))
    expected = int(table["expected"].iloc[0])
    shown = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        counted(expected, "sequence")
        if counts == [expected]
        else f"{shown} of {counted(expected, 'sequence')}"
    )


def _counts(scores: pd.DataFrame) -> set[int]:
    return {int(n) for n in scores.groupby("tracker")["sequence"].nunique()}


def by_attribute(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over the sequences that carry a challenge flag: one row per (attribute, tracker).

    Columns ``attribute, tracker, auc, precision, norm_precision, mean_iou, sequences, oracle``; ``ALL`` comes first.
    """
    import pandas as pd

    flags = pd.Series([("ALL", *flags) for flags in scores["attributes"]], index=scores.index)
    tagged = scores.assign(attribute=flags).explode("attribute")
    table = tagged.groupby(["attribute", "tracker"], sort=False).agg(
        auc=("auc", "mean"), precision=("precision20", "mean"), norm_precision=("norm_auc", "mean"),
        mean_iou=("mean_iou", "mean"), sequences=("auc", "size"),
    )  # fmt: skip
    return mark_oracles(table.reset_index(), scores)


def attribute_table(scores: pd.DataFrame) -> pd.DataFrame:
    """AUC per attribute: a row per attribute (``ALL`` first), ``sequences``, one column per tracker, best first."""
    table = by_attribute(scores)
    wide = table.pivot(index="attribute", columns="tracker", values="auc")[list(ranked(scores))]
    wide = wide.rename(columns=labels(scores))
    wide.columns.name = None
    wide.insert(0, "sequences", table.groupby("attribute")["sequences"].max())
    known = ["ALL", *ATTRIBUTES]
    order = [a for a in known if a in wide.index] + [a for a in wide.index if a not in known]
    return wide.loc[order].reset_index()


def sequence_table(scores: pd.DataFrame, column: str = "auc") -> pd.DataFrame:
    """One scalar per sequence: column ``sequence``, then one per tracker, best AUC first; the last row is the mean."""
    import pandas as pd

    table = matrix(scores, column)[list(ranked(scores))].rename(columns=labels(scores))
    table.columns.name = None
    mean = pd.DataFrame([table.mean()], index=pd.Index(["mean"], name="sequence"))
    return pd.concat([table, mean]).reset_index()


def repeats(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per tracker over its runs, which carry their number at the end: ``atom_000``, ``atom_001`` …; best first.

    Columns ``tracker, runs``, then of AUC and precision over the runs the mean, ``_spread`` (the standard deviation
    with n - 1, NaN for one run), ``_low`` and ``_high``; ``sequences``. Results of ``atom`` itself are none of the
    runs, as they may have the seed of one of them; the runs are then called ``atom_*``.
    """
    import pandas as pd

    table = summary(scores)
    names = table["tracker"].str.replace(RUN, "", regex=True)
    runs_of = names.mask(names.isin(table["tracker"]) & (names != table["tracker"]), names + "_*")
    table = table.assign(tracker=runs_of)
    rows = []
    for name, runs in table.groupby("tracker", sort=False):
        row: dict[str, Any] = {"tracker": name, "runs": len(runs)}
        for column in ("auc", "precision"):
            values = runs[column]
            row |= {
                column: values.mean(), f"{column}_spread": values.std(), f"{column}_low": values.min(),
                f"{column}_high": values.max(),
            }  # fmt: skip
        rows.append(row | {"oracle": bool(runs["oracle"].any()), "sequences": int(runs["sequences"].min())})
    return pd.DataFrame(rows).sort_values("auc", ascending=False, kind="stable", ignore_index=True)


def longterm_curves(scores: pd.DataFrame) -> dict[str, Array]:
    """Thresholds, precision, recall and F ``(4, T)`` of each tracker that gives scores on every sequence.

    As `rolo_bench.scores.conventions.long_term_curve`, with the harmonic mean of the two as F.
    """
    curves: dict[str, Array] = {}
    if "confidence" not in scores:
        return curves
    for tracker, runs in scores.groupby("tracker", sort=False)["confidence"]:
        if all(run.shape[1] for run in runs):
            curve = long_term_curve(runs)
            both = curve[1] + curve[2]
            f = np.divide(2 * curve[1] * curve[2], both, out=np.zeros_like(both), where=both > 0)
            curves[str(tracker)] = np.vstack([curve, f])
    return curves


def longterm(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per tracker: long-term ``precision``, ``recall`` and ``f``, best F first, with ``auc`` and ``sequences``.

    Of a tracker that gives scores they are those at the ``threshold`` where F is best; of others, at their own decision
    of when to give no box.

    Source: Lukezic et al. 2018: means over sequences, of which F is the harmonic mean.
    """
    groups = scores.groupby("tracker", sort=False)
    table = groups.agg(
        precision=("lt_precision", "mean"), recall=("lt_recall", "mean"), auc=("auc", "mean"), sequences=("auc", "size")
    ).reset_index()  # fmt: skip
    both = (table["precision"] + table["recall"]).where(lambda total: total > 0)
    table.insert(3, "f", (2 * table["precision"] * table["recall"] / both).fillna(0.0))
    table.insert(4, "threshold", np.nan)
    for tracker, curve in longterm_curves(scores).items():
        best = curve[:, int(curve[3].argmax())]
        table.loc[table["tracker"] == tracker, ["threshold", "precision", "recall", "f"]] = best
    return mark_oracles(table.sort_values("f", ascending=False, kind="stable", ignore_index=True), scores)


def view(
    scores: pd.DataFrame, name: str = "summary", published: bool = False, full: bool = True
) -> pd.DataFrame:
    """One of `VIEWS` of a table of scores: with all columns for programs, or with those that people read.

    Args:
        published: add published numbers to the summary.

    Raises:
        UsageError: unknown view; published numbers in another view, or where none stand beside these scores.
    """
    from rolo_bench.scores.statistics import pairwise, sequences_won

    if name not in VIEWS:
        raise UsageError(f"unknown view {name!r}; known: {', '.join(VIEWS)}")
    if published and name != "summary":
        raise UsageError("--published goes with --view summary")
    if name in ("repeats", "longterm"):
        return repeats(scores) if name == "repeats" else longterm(scores)
    if name == "sequences":
        return scores if full else sequence_table(scores)
    if name == "attributes" and not full:
        table = attribute_table(scores).sort_values("sequences", ascending=False, kind="stable")
        whole = table["attribute"] == "ALL"
        return table.assign(sequences=table["sequences"].astype(str).mask(whole, coverage(scores)))
    if name == "attributes":
        return by_attribute(scores)
    if name in ("pairs", "wins"):
        fair = scores[~scores["oracle"].astype(bool)]
        scores = fair if len(fair) else scores  # oracles alone are compared, and marked
        table = (pairwise if name == "pairs" else sequences_won)(matrix(scores))
        table = mark_oracles(table, scores).assign(on=coverage(scores))
        return table if name == "pairs" else table.sort_values("mean_rank", ignore_index=True)
    table = summary(scores)
    if published:
        table = with_published(table, scores)
    return table if full else for_people(table)
