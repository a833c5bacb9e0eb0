"""How trackers look: one colour and dash each, the same in every figure, report and video.

No import of matplotlib here, so that the report and `rolo-bench show` can use the palette alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333", "#882255")
"""Okabe and Ito's palette, its yellow (too pale on white) replaced by the wine of Tol's."""

DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (7, 1.6, 1.4, 1.6))
"""Solid, dashed, dash-dotted: lengths of dash and gap in units of the line width."""

MARKERS = "osD^vP*X"

ORACLE_COLOUR = "#8c8c8c"
TRUTH_COLOUR = "#f0f0f0"
DAGGER = "\N{DAGGER}"

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "text.color": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "rolo-bench",
}
"""Settings of every figure. Text in SVG is drawn as outlines so that it looks the same everywhere."""


@dataclass(frozen=True)
class Look:
    """The look of one tracker.

    Attributes:
        colour: ``#rrggbb``.
        dash: lengths of dash and gap in line widths; empty is solid.
        width: line width in points.
        layer: drawing order; higher is on top.
    """

    colour: str
    dash: tuple[float, ...]
    width: float
    layer: float


def looks(ranked: Sequence[str], oracle: Iterable[str] = ()) -> dict[str, Look]:
    """A look for each tracker of a ranking, best first.

    Neighbours in rank differ in colour and in dash, and the first 24 trackers are all different. Better
    trackers are drawn later, so on top; oracle trackers are thin, grey and below the others.
    """
    marked = set(oracle)
    result: dict[str, Look] = {}
    fair = 0
    for rank, name in enumerate(ranked):
        layer = 3.0 + (len(ranked) - rank) / max(len(ranked), 1)
        if name in marked:
            dash = DASHES[(len(result) - fair) % len(DASHES)]
            result[name] = Look(ORACLE_COLOUR, dash, 1.3, 2.5)
            continue
        colour, dash = COLOURS[fair % len(COLOURS)], DASHES[fair % len(DASHES)]
        result[name] = Look(colour, dash, 2.2 if fair < 3 else 1.5, layer)
        fair += 1
    return result


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three integers 0 … 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
