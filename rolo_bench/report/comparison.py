"""The page of `rolo-bench compare`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from rolo_bench.report.html import render
from rolo_bench.scores.compare import Comparison, metric_rows, share

WIDTH = 240
"""Pixels of the bars of differences, zero in the middle."""
METRICS = {
    "auc": "AUC", "precision": "Precision 20 px", "norm_precision": "Norm. precision", "success50": "Success 0.5",
    "success75": "Success 0.75", "mean_iou": "Mean IoU",
}  # fmt: skip
WORSE, BETTER = "#d55e00", "#0072b2"


def render_comparison(found: Iterable[Comparison]) -> str:
    """Comparisons as one page: for each the metrics, the sequences with bars, and in what the runs differ."""
    listed = list(found)
    title = f"{listed[0].first} and {listed[0].second}" if len(listed) == 1 else f"{len(listed)} comparisons"
    return render("compare.html", ("tables.js",), {}, title=title, sections=[_section(c) for c in listed])


def _section(found: Comparison) -> dict[str, Any]:
    table = found.sequences.sort_values("difference", kind="stable", ascending=False)
    most = max(table["difference"].abs().max(), 0.01)
    most = 0.5 if not math.isfinite(most) else most
    rows = [row | _bar(row["difference"], most) for row in table.to_dict("records")]
    metrics = metric_rows(found).to_dict("records")
    metrics = [row | {"metric": METRICS.get(row["metric"], row["metric"])} for row in metrics]
    return {
        "found": found,
        "share": share(found),
        "metrics": metrics,
        "rows": rows,
    }


def _bar(difference: float, most: float) -> dict[str, Any]:
    """Where the bar of a difference begins, how long it is, and its colour."""
    long = round(abs(difference) / most * WIDTH / 2, 1) if math.isfinite(difference) else 0.0
    begin = WIDTH / 2 - (long if difference < 0 else 0)
    return {"begin": begin, "long": long, "colour": WORSE if difference < 0 else BETTER}
