"""Published numbers, shipped with the package, to stand beside own runs; always shown as published.

They are facts with a source (``results/published/README.md``), not scores that were computed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import UsageError, find_name

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    "nine_trackers_tb100",
    "nine_trackers_tb100_curves",
    "nine_trackers_cvpr13",
    "modern_otb100",
    "rolo_paper_legends",
    "rolo_paper_steps",
    "struck_conventions_otb30",
    "speeds",
)
SAME_RULE = ("otb", "otb-matlab")
"""Conventions beside whose scores the benchmark authors' published numbers may stand."""


def table(name: str) -> pd.DataFrame:
    """One of the shipped tables, as it is.

    Raises:
        UsageError: unknown name.
    """
    import pandas as pd

    name = find_name("table of published numbers", name, TABLES)
    with files("rolo_bench.published").joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def source(name: str) -> str:
    """The source line of a shipped table."""
    text = files("rolo_bench.published").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return next(line for line in text.splitlines() if "Source:" in line).split("Source:", 1)[1].strip()


def trackers() -> tuple[str, ...]:
    """The nine trackers of the ROLO paper, in the order of the tables."""
    return tuple(dict.fromkeys(table("nine_trackers_tb100")["tracker"]))


def published_summary(sequences: Iterable[str], names: Iterable[str] = ()) -> pd.DataFrame:
    """Published one-pass numbers as means over some sequences of TB-100: of the nine trackers, and of modern ones.

    Columns ``tracker, auc, precision, success50, mean_iou, fps, sequences``: NaN where nobody has
    published that number for these very sequences. AUC and precision exist for all of TB-100, AUC also for
    any sequences of the 2013 benchmark, and STRUCK's for any of OTB-30; of modern trackers AUC for all of TB-100.
    Speeds are those of `speeds`.

    Args:
        sequences: names in this package's spelling; the table is empty where one is not in TB-100.
        names: trackers to keep; all where none is given.
    """
    import pandas as pd

    wanted = list(dict.fromkeys(sequences))
    tb100 = table("nine_trackers_tb100")
    keep = tuple(names) or trackers()
    modern = table("modern_otb100").set_index("tracker")["auc"]
    if not wanted or not set(wanted) <= set(tb100["sequence"]):
        keep = ()
    fps = table("speeds").set_index("tracker")["fps"]
    rows = []
    for name in keep:
        part = tb100[(tb100["tracker"] == name) & tb100["sequence"].isin(wanted)]
        if part.empty:
            continue
        auc, precision = _auc_and_precision(name, wanted)
        means = part["success50"].mean(), part["mean_iou"].mean()
        rows.append((name, auc, precision, *means, float(fps.get(name, np.nan)), len(wanted)))
    if len(wanted) == tb100["sequence"].nunique() and keep:
        nan = float("nan")
        chosen = [m for m in modern.index if not names or m in keep]
        rows += [(m, float(modern[m]), nan, nan, nan, nan, len(wanted)) for m in chosen]
    columns = ["tracker", "auc", "precision", "success50", "mean_iou", "fps", "sequences"]
    return pd.DataFrame(rows, columns=columns)


def published_beside(scores: pd.DataFrame) -> pd.DataFrame:
    """`published_summary` for the sequences of a table of scores.

    Raises:
        UsageError: the scores are not of one-pass evaluation under the benchmark authors' rule, or of sequences
            for which nothing is published.
    """
    first = scores.iloc[0]
    if first["protocol"] != "ope" or first["convention"] not in SAME_RULE:
        raise UsageError("published numbers stand beside OPE under the convention otb or otb-matlab only")
    rows = published_summary(scores["sequence"])
    if rows.empty:
        raise UsageError(f"nothing is published for the sequences of {first['suite']}; leave --published out")
    return rows


def _auc_and_precision(tracker: str, sequences: list[str]) -> tuple[float, float]:
    nan = float("nan")
    if len(sequences) == table("nine_trackers_tb100")["sequence"].nunique():
        curves = published_curves()[tracker]
        return float(curves["success"].mean()), float(curves["precision"][20])
    struck = table("struck_conventions_otb30").query("convention == 'got10k'").set_index("sequence")
    if tracker == "STRUCK" and set(sequences) <= set(struck.index):
        # Every truth box of OTB-30 is valid, so the GOT-10k toolkit's figures are the benchmark authors'.
        return tuple(float(struck.loc[sequences, c].mean()) for c in ("auc", "precision20"))  # type: ignore[return-value]
    cvpr13 = table("nine_trackers_cvpr13").query("tracker == @tracker").set_index("sequence")["auc"]
    if set(sequences) <= set(cvpr13.index):
        return float(cvpr13[sequences].mean()), nan
    return nan, nan


def published_curves() -> dict[str, dict[str, Array]]:
    """Mean curves over TB-100 of the nine trackers: ``{tracker: {"success": (21,), "precision": (51,)}}``."""
    rows = table("nine_trackers_tb100_curves")
    return {
        str(tracker): {
            str(curve): part["value"].to_numpy(float)
            for curve, part in of_tracker.groupby("curve", sort=False)
        }
        for tracker, of_tracker in rows.groupby("tracker", sort=False)
    }


def legends(suite: str = "otb30", protocol: str = "ope") -> dict[str, float]:
    """What the ROLO paper prints per tracker: its mean overlap under `rolo2016`; empty where it prints nothing.

    ``suite`` is ``otb30`` or ``otb30-test`` (experiment 1's last eight).
    """
    rows = table("rolo_paper_legends").query("sequences == @suite and protocol == @protocol")
    return {str(t): float(v) for t, v in zip(rows["tracker"], rows["printed"])}


def steps() -> pd.DataFrame:
    """Figure 6 of the ROLO paper: columns ``steps, mean_iou, lstm_fps, device``."""
    return table("rolo_paper_steps")


def speeds() -> pd.DataFrame:
    """Published frames per second: columns ``tracker, fps, sequences, device, source``."""
    return table("speeds")
