"""Figures from scores: each function takes a score table and gives a matplotlib ``Figure``.

``success, precision, norm_precision, attributes, radar, fps, speed, sequences, ranks`` take the table of
`rolo_bench.scores.score.score`; ``steps`` and ``curves`` take a table of their own. `save` writes PNG, PDF or SVG.
The numbers behind each figure come from the ``*_table`` functions. matplotlib is imported when the first of
them is used, not with this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rolo_bench.plots.curve_plots import (
        attribute_table,
        attributes,
        curve_table,
        norm_precision,
        precision,
        radar,
        success,
    )
    from rolo_bench.plots.figure import save
    from rolo_bench.plots.ranking_plots import rank_table, ranks, sequence_table, sequences
    from rolo_bench.plots.speed_plots import fps, fps_table, speed, speed_table
    from rolo_bench.plots.training_plots import curves, steps

_WHERE = {
    "curve_plots": "attribute_table attributes curve_table norm_precision precision radar success",
    "figure": "save",
    "ranking_plots": "rank_table ranks sequence_table sequences",
    "speed_plots": "fps fps_table speed speed_table",
    "training_plots": "curves steps",
}

__all__ = [
    "attribute_table", "attributes", "curve_table", "curves", "fps", "fps_table", "norm_precision", "precision",
    "radar", "rank_table", "ranks", "save", "sequence_table", "sequences", "speed", "speed_table", "steps",
    "success",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names.split():
            return getattr(importlib.import_module(f"rolo_bench.plots.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
