"""Figures from scores: each function takes a score table and gives a matplotlib ``Figure``.

``success, precision, norm_precision, attributes, radar, fps, speed, sequences, ranks, longterm`` take the table of
`rolo_bench.scores.score.score`; ``steps`` and ``curves`` take a table of their own. `save` writes PNG, PDF or SVG.
The numbers behind each figure come from the ``*_table`` functions; `draw` gives both by the figure's name.
matplotlib is imported when the first of them is used, not with this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rolo_bench.errors import UsageError
from rolo_bench.plots.style import PLAIN, Form

if TYPE_CHECKING:
    import pandas as pd

    from rolo_bench.plots.curve_plots import (
        attributes,
        curve_table,
        longterm,
        norm_precision,
        precision,
        radar,
        success,
    )
    from rolo_bench.plots.figure import Shown, save
    from rolo_bench.plots.ranking_plots import rank_table, ranks, sequence_table, sequences
    from rolo_bench.plots.speed_plots import fps, fps_table, speed, speed_table
    from rolo_bench.plots.training_plots import curves, steps, steps_table
    from rolo_bench.scores.scored import Scored
    from rolo_bench.scores.summary import attribute_table

FIGURES = {
    "success": "Share of frames above each overlap; ranked by AUC.",
    "precision": "Share of frames within each centre error; ranked at 20 pixels.",
    "norm-precision": "Precision with the error relative to the target's size.",
    "fps": "Frames per second, log scale; the device is named.",
    "speed": "AUC with its interval against frames per second.",
    "attributes": "Success plots per challenge attribute.",
    "radar": "AUC per challenge attribute on spokes.",
    "sequences": "Heat table of AUC: sequences by trackers.",
    "ranks": "Mean ranks with the critical difference.",
    "longterm": "Long-term precision over recall, of trackers that say how sure they are.",
}
"""What `draw` draws from scores, with a line on each."""
_WHERE = {
    "curve_plots": "attribute_table attributes curve_table longterm norm_precision precision radar success",
    "figure": "save",
    "ranking_plots": "rank_table ranks sequence_table sequences",
    "speed_plots": "fps fps_table speed speed_table",
    "training_plots": "curves steps steps_table",
}

__all__ = [
    "FIGURES", "Form", "attribute_table", "attributes", "curve_table", "curves", "draw", "draw_all", "fps", "fps_table",
    "longterm", "norm_precision", "precision", "radar", "rank_table", "ranks", "save", "sequence_table", "sequences",
    "speed", "speed_table", "steps", "steps_table", "success",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names.split():
            return getattr(importlib.import_module(f"rolo_bench.plots.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def draw(
    name: str, found: Scored, published: bool = False, form: Form = PLAIN
) -> tuple[Shown, pd.DataFrame]:  # fmt: skip
    """One of `FIGURES` and the table behind it.

    Args:
        found: as from `rolo_bench.scores.scored.load_scores`.
        published: add what others published, where the figure has a place for it.
        form: how the figure is set.

    Raises:
        UsageError: unknown name, or these scores do not have what the figure shows.
    """
    from rolo_bench.plots import curve_plots, ranking_plots, speed_plots
    from rolo_bench.scores.published import published_beside, speeds
    from rolo_bench.scores.summary import attribute_table, longterm

    scores, marks = found.scores, found.published
    if name == "success":
        beside = published_beside(scores) if published else None
        return curve_plots.success(scores, marks, beside, form=form), curve_plots.curve_table(scores)
    if name in ("precision", "norm-precision"):
        curve = name.replace("-", "_")
        return getattr(curve_plots, curve)(scores, marks, form=form), curve_plots.curve_table(scores, curve)
    if name == "fps":
        known = speeds() if published else None
        others = None if known is None else dict(zip(known["tracker"], known["fps"]))
        table = speed_plots.fps_table(scores, others, marks)
        return speed_plots.fps(scores, marks, found.device, others, form=form), table
    if name == "speed":
        return speed_plots.speed(scores, marks, found.device, form=form), speed_plots.speed_table(
            scores, marks
        )
    if name in ("attributes", "radar"):
        return getattr(curve_plots, name)(scores, marks, form=form), attribute_table(scores)
    if name == "sequences":
        return ranking_plots.sequences(scores, marks, form=form), ranking_plots.sequence_table(scores)
    if name == "longterm":
        return curve_plots.longterm(scores, marks, form=form), longterm(scores)
    if name == "ranks":
        return ranking_plots.ranks(scores, marks, form=form), ranking_plots.rank_table(scores)
    raise UsageError(f"unknown figure {name!r}; known: {', '.join(FIGURES)}")


def draw_all(
    found: Scored, published: bool = False, form: Form = PLAIN
) -> tuple[dict[str, tuple[Shown, pd.DataFrame]], dict[str, str]]:
    """Every figure that can be drawn with the table behind it, by name, and why each of the others cannot."""
    drawn, reasons = {}, {}
    for name in FIGURES:
        try:
            drawn[name] = draw(name, found, published, form)
        except UsageError as error:
            reasons[name] = str(error)
    return drawn, reasons
