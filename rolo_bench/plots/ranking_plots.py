"""Who is better where: the heat table of sequences and the diagram of mean ranks."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rolo_bench.errors import UsageError
from rolo_bench.plots.context import describe, significance
from rolo_bench.plots.figure import blank, footing, heading, place, styled, text_width, wrap_notes
from rolo_bench.scores.statistics import RankTest, rank_test, sequences_won
from rolo_bench.scores.summary import matrix, sequence_table


@styled
def sequences(scores: pd.DataFrame, published: Iterable[str] = ()) -> Figure:
    """Heat table of AUC: a row per sequence, a column per tracker, the best of each row framed."""
    setting = describe(scores, published)
    table = sequence_table(scores).set_index("sequence")
    count, trackers = len(table), len(setting.ranked)
    cell = (0.56, 0.2)
    names = [setting.label(t) for t in setting.ranked]
    left = 0.3 + max(text_width(s, 8.0) for s in table.index)
    slant = max(text_width(n, 8.0) for n in names) * 0.72 + 0.22
    size = (cell[0] * trackers, cell[1] * count)
    won = sequences_won(matrix(scores)[setting.fair])
    counts = dict(zip(won["tracker"], won["won"]))
    wins = ", ".join(f"{t} {n}" for t, n in sorted(counts.items(), key=lambda item: -item[1]) if n)
    notes = [
        "Framed: best of the sequence (oracle trackers left out)." + (f" Won alone: {wins}." if wins else ""),
        significance(scores, setting),
        *setting.marks_note(),
    ]
    width = max(left + size[0] + slant + 0.1, left + text_width(setting.subtitle, 7.8) + 0.2, 5.2)
    lines = wrap_notes(notes, width - 0.3)
    foot = 0.2 + 0.135 * len(lines)
    figure = blank(width, foot + size[1] + slant + 0.6)
    heading(figure, "AUC per sequence", setting.subtitle, 0.15)
    footing(figure, lines, 0.15)
    ax = place(figure, left, foot, *size)
    values = table.to_numpy(float)
    colours = matplotlib.colormaps["cividis"]
    ax.imshow(values, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    fair = np.array([t not in setting.oracle for t in setting.ranked])
    for i in range(count):
        row = np.where(fair, values[i], -np.inf)
        for j in range(trackers):
            best = np.isfinite(row[j]) and row[j] >= row.max() - 1e-9
            ax.text(
                j, i, f"{values[i, j]:.2f}" if np.isfinite(values[i, j]) else "\N{EN DASH}", ha="center",
                va="center", fontsize=7, weight="bold" if best else "normal",
                color="white" if values[i, j] < 0.5 else "black",
            )  # fmt: skip
            if best:
                frame = Rectangle(
                    (j - 0.46, i - 0.42), 0.92, 0.84, fill=False, edgecolor="#d55e00", linewidth=1.4
                )
                ax.add_patch(frame)
    ax.axhline(count - 1.5, color="white", linewidth=2.5)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.set_xticks(range(trackers), names, rotation=45, ha="left", rotation_mode="anchor", fontsize=8)
    ax.set_yticks(range(count), list(table.index), fontsize=8)
    ax.get_yticklabels()[-1].set_fontweight("bold")
    return figure


def rank_table(scores: pd.DataFrame, column: str = "auc") -> pd.DataFrame:
    """Mean ranks, best first: ``tracker, mean_rank, won, shared``; oracle trackers left out."""
    table = matrix(scores, column)[describe(scores).fair].dropna()
    return sequences_won(table)[["tracker", "mean_rank", "won", "shared"]].sort_values(
        "mean_rank", kind="stable", ignore_index=True
    )


@styled
def ranks(scores: pd.DataFrame, published: Iterable[str] = ()) -> Figure:
    """Critical difference diagram: mean ranks of AUC; a bar joins trackers that do not differ significantly.

    Source: Demšar 2006, figure 1. Oracle trackers take no part.

    Raises:
        UsageError: fewer than two trackers or sequences.
    """
    setting = describe(scores, published)
    fair = setting.fair
    table = matrix(scores)[fair].dropna()
    if len(fair) < 2 or len(table) < 2:
        raise UsageError("a rank diagram needs two or more trackers and sequences; name more with --tracker")
    test = rank_test(table)
    order = np.argsort(test.mean_ranks, kind="stable")
    half = (len(fair) + 1) // 2
    bars = _bar_rows(test)
    rows = max(bars) + 1 if bars else 0
    names = [f"{setting.label(t)} ({r:.2f})" for t, r in zip(test.names, test.mean_ranks)]
    side = 0.62 + max(text_width(n, 8.5) for n in names)
    axis = 4.6
    body = 0.42 + 0.11 * rows + 0.3 * half
    p = f"p = {test.p:.2g}" if test.p >= 0.001 else "p < 0.001"
    notes = [
        f"Mean rank of AUC over {len(table)} sequences, 1 is best. A thick bar joins trackers whose mean ranks "
        "differ by less than the critical difference (Nemenyi, level 0.05). "
        f"Friedman's test of no difference at all: {p}.",
        *setting.marks_note(),
    ]
    width = max(axis + 2 * side, 0.35 + text_width(setting.subtitle, 7.8) + 0.2)
    lines = wrap_notes(notes, width - 0.5)
    foot = 0.25 + 0.135 * len(lines)
    figure = blank(width, foot + body + 1.15)
    heading(figure, "Mean ranks", setting.subtitle, 0.25)
    footing(figure, lines, 0.25)
    ax = place(figure, (width - axis) / 2, foot, axis, body + 0.45)
    ax.set_axis_off()
    top = len(fair)
    ax.set(xlim=(1, top), ylim=(body, -0.45))
    _rank_axis(ax, top, test)
    start = 0.2 + 0.11 * rows
    inch = (top - 1) / axis  # rank units to an inch
    seen = setting.looks()
    for k, i in enumerate(order):
        left = k < half
        y = start + 0.3 * ((k if left else len(fair) - 1 - k) + 0.55)
        edge = 1 - 0.12 * inch if left else top + 0.12 * inch
        rank = test.mean_ranks[i]
        look = seen[test.names[i]]
        ax.plot([rank, rank, edge], [0, y, y], color=look.colour, linewidth=1.2, clip_on=False, zorder=3)
        ax.plot([rank], [0], marker="o", markersize=4.5, color=look.colour, clip_on=False, zorder=4)
        ax.text(
            edge + (-0.06 if left else 0.06) * inch, y, names[i], ha="right" if left else "left", va="center",
            fontsize=8.5,
        )  # fmt: skip
    index = {n: k for k, n in enumerate(test.names)}
    for row, group in zip(bars, test.groups()):
        span = [test.mean_ranks[index[n]] for n in group]
        y = 0.17 + 0.11 * row
        ax.plot(
            [min(span) - 0.05 * inch, max(span) + 0.05 * inch], [y, y], color="#222222", linewidth=3.6,
            solid_capstyle="butt", clip_on=False, zorder=5,
        )  # fmt: skip
    return figure


def _rank_axis(ax: Axes, top: int, test: RankTest) -> None:
    ax.plot([1, top], [0, 0], color="#222222", linewidth=1.2, clip_on=False)
    for r in range(1, top + 1):
        ax.plot([r, r], [0, -0.07], color="#222222", linewidth=1, clip_on=False)
        ax.text(r, -0.1, str(r), ha="center", va="bottom", fontsize=8)
    wide = test.critical_difference
    end = min(1 + wide, top)
    ax.plot([1, end], [-0.36, -0.36], color="#222222", linewidth=1.6, clip_on=False)
    for x in (1, end):
        ax.plot([x, x], [-0.4, -0.32], color="#222222", linewidth=1.2, clip_on=False)
    more = "" if 1 + wide <= top else ", wider than the axis"
    ax.text(1, -0.43, f"critical difference {wide:.2f}{more}", ha="left", va="bottom", fontsize=7.5)


def _bar_rows(test: RankTest) -> list[int]:
    """A row for each group's bar such that bars of one row do not touch."""
    index = {n: k for k, n in enumerate(test.names)}
    ends: list[float] = []
    rows = []
    for group in test.groups():
        span = [test.mean_ranks[index[n]] for n in group]
        row = next((r for r, end in enumerate(ends) if end < min(span) - 0.15), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = max(span)
        rows.append(row)
    return rows
