"""Who is better where: the heat table of sequences and the diagram of mean ranks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from rolo_bench.boxes import Array
from rolo_bench.errors import UsageError
from rolo_bench.plots.context import describe, significance
from rolo_bench.plots.figure import EDGE, Shown, legible, line, page, shortened, styled, text_width
from rolo_bench.plots.style import PLAIN, Form
from rolo_bench.scores.statistics import RankTest, rank_test, sequences_won
from rolo_bench.scores.summary import matrix, sequence_table


@styled
def sequences(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """Heat table of AUC: a row per sequence, a column per tracker, the best of each row framed.

    Raises:
        UsageError: the numbers do not fit the width or height of the form.
    """
    setting = describe(scores, published, form)
    table = sequence_table(scores).set_index("sequence")
    table.columns = list(setting.ranked)
    shown = setting.shown
    count, size = len(table), form.small
    em = form.tiny / 72
    most = 0.3 * form.width if form.width else 9.0
    rows = [shortened(legible(str(s)), size, most) for s in table.index]
    names = [shortened(legible(setting.label(t)), size, 1.6) for t in shown]
    left = EDGE + 0.05 + max(text_width(s, size, "bold") for s in rows)
    room, lean, above = _columns(form, names, left)
    won = sequences_won(matrix(scores)[setting.fair])
    counts = sorted(zip(won["tracker"], won["won"]), key=lambda item: -item[1])
    wins = ", ".join(f"{setting.name(t)} {n}" for t, n in counts if n)
    notes = [
        "Framed: best of the sequence" + (" (oracle trackers left out)." if setting.oracle else ".")
        + (f" Won alone: {wins}." if wins else ""),
        significance(scores, setting),
        *setting.marks_note(),
    ]  # fmt: skip
    frame = page(
        form, "AUC per sequence", setting.subtitle, notes, room * len(shown), lambda width: 1.75 * em * count,
        around=(left, 0.06, EDGE + lean, above),
    )  # fmt: skip
    if frame.height < 1.2 * em * count:
        raise UsageError(
            f"{count} rows of numbers need more height than {form.height:.3g}in; leave --height out"
        )
    ax = frame.axes()
    _cells(ax, table[shown].to_numpy(float), [t not in setting.oracle for t in shown], form, room)
    ax.axhline(count - 1.5, color="white", linewidth=2.5)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, pad=2.5)
    ax.xaxis.tick_top()
    turn: dict[str, Any] = (
        {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if lean else {"rotation": 90}
    )
    ax.set_xticks(range(len(shown)), names, fontsize=size, **turn)
    ax.set_yticks(range(count), rows, fontsize=size)
    ax.get_yticklabels()[-1].set_fontweight("bold")
    for tracker, label in zip(shown, ax.get_xticklabels()):
        label.set_fontweight("bold" if tracker in form.highlight else "normal")
    return frame.figure


def _columns(form: Form, names: list[str], left: float) -> tuple[float, float, float]:
    """Inches of a column, of the names that lean over the right edge (0: they stand upright), and of all names' height.

    Raises:
        UsageError: a column is narrower than its numbers.
    """
    longest = max(text_width(n, form.small, "bold") for n in names)
    lean = 0.72 * longest + 0.1
    if form.width is None:
        return 5.2 * form.tiny / 72, lean, lean + 0.03
    room = (form.width - left - EDGE - lean) / len(names)
    if room > 0.33:
        return room, lean, lean + 0.03
    room = (form.width - left - EDGE) / len(names)
    short = text_width(".88", form.tiny) + 0.02 - room
    if short > 0:
        needed = form.width + short * len(names)
        raise UsageError(
            f"a heat table of {len(names)} trackers needs a width of {needed + 0.05:.2g}in or more; leave some out "
            "with --exclude"
        )
    return room, 0.0, longest + 0.13


def _cells(ax: Axes, values: Array, fair: list[bool], form: Form, room: float) -> None:
    """Colours and numbers of a heat table ``(rows, columns)``, the best ``fair`` one of each row framed."""
    whole = room >= text_width("0.88", form.tiny, "bold") + 0.04
    ax.imshow(
        values, aspect="auto", cmap=matplotlib.colormaps["cividis"], vmin=0, vmax=1, interpolation="nearest"
    )
    for (i, j), value in np.ndenumerate(values):
        top = np.where(fair, values[i], -np.inf).max()
        best = fair[j] and np.isfinite(value) and value >= top - 1e-9
        number = f"{value:.2f}" if np.isfinite(value) else "\N{EN DASH}"
        ax.text(
            j, i, number if whole else number.removeprefix("0"), ha="center", va="center", fontsize=form.tiny,
            weight="bold" if best else "normal", color="white" if value < 0.5 else "black",
        )  # fmt: skip
        if best:
            ax.add_patch(
                Rectangle((j - 0.46, i - 0.42), 0.92, 0.84, fill=False, edgecolor="#d55e00", linewidth=1.2)
            )


def rank_table(scores: pd.DataFrame, column: str = "auc") -> pd.DataFrame:
    """Mean ranks, best first: ``tracker, mean_rank, won, shared``; oracle trackers left out."""
    table = matrix(scores, column)[describe(scores).fair].dropna()
    return sequences_won(table)[["tracker", "mean_rank", "won", "shared"]].sort_values(
        "mean_rank", kind="stable", ignore_index=True
    )


@styled
def ranks(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """Critical difference diagram: mean ranks of AUC; a bar joins trackers that do not differ significantly.

    A row per tracker, best first, so that names of any number and length stand clear. Oracle trackers take no part.

    Source: Demšar 2006, figure 1, turned by a quarter.

    Raises:
        UsageError: fewer than two trackers or sequences.
    """
    setting = describe(scores, published, form)
    fair = setting.fair
    table = matrix(scores)[fair].dropna()
    if len(fair) < 2 or len(table) < 2:
        raise UsageError("a rank diagram needs two or more trackers and sequences; name more with --tracker")
    test = rank_test(table)
    order = [int(i) for i in np.argsort(test.mean_ranks, kind="stable")]
    p = (f"p = {test.p:.2g}" if test.p >= 0.001 else "p < 0.001").replace(" ", "\N{NO-BREAK SPACE}")
    notes = [
        f"Mean rank of AUC over {len(table)} sequences, 1 is best. A thick bar joins trackers whose mean ranks "
        "differ by less than the critical difference (Nemenyi, level 0.05). "
        f"Friedman's test of no difference at all: {p}.",
        *setting.marks_note(),
    ]
    most = 0.42 * form.width if form.width else 9.0
    names = [shortened(legible(setting.label(test.names[i])), form.small, most, "bold") for i in order]
    left = EDGE + 0.08 + max(text_width(n, form.small, "bold") for n in names)
    em, count = form.base / 72, len(order)
    frame = page(
        form, "Mean ranks", setting.subtitle, notes, 3.6, lambda width: 1.6 * em * count,
        around=(left, 3.6 * em, EDGE + 0.05, 1.4 * em),
    )  # fmt: skip
    ax = frame.axes()
    ax.set(xlim=(0.7, count + 0.3), ylim=(count - 0.4, -0.6), xlabel="Mean rank")
    step = max(round(count * 2.6 * form.small / 72 / frame.width), 1)
    ax.set_xticks(range(1, count + 1, step))
    ax.set_yticks(range(count), names)
    ax.tick_params(axis="y", length=0)
    seen = setting.looks()
    for row, i in enumerate(order):
        look, rank = seen[test.names[i]], test.mean_ranks[i]
        ax.plot([0.7, rank], [row, row], **(line(look, form) | {"linewidth": 0.9}))
        ax.plot([rank], [row], marker=look.marker, markersize=0.66 * form.base, color=look.colour, zorder=4)
        if test.names[i] in form.highlight:
            ax.get_yticklabels()[row].set_fontweight("bold")
    _join(
        ax,
        [sorted(order.index(test.names.index(n)) for n in g) for g in test.groups()],
        [test.mean_ranks[i] for i in order],
    )
    _ruler(ax, count, test, form)
    return frame.figure


def _join(ax: Axes, groups: list[list[int]], ranks: list[float]) -> None:
    """A bar for each group of rows, at the right of its marks, where bars of rows that it shares are not."""
    low, high = ax.get_xlim()
    step = 0.028 * (high - low)
    placed: list[tuple[int, int, float]] = []
    for rows in groups:
        first, last = rows[0], rows[-1]
        x = max(ranks[first : last + 1]) + 1.4 * step
        while any(a <= last and first <= b and abs(x - other) < step * 0.99 for a, b, other in placed):
            x += step
        placed.append((first, last, x))
        ax.plot(
            [x, x], [first - 0.25, last + 0.25], color="#222222", linewidth=2.6, solid_capstyle="butt", zorder=5,
            clip_on=False,
        )  # fmt: skip


def _ruler(ax: Axes, count: int, test: RankTest, form: Form) -> None:
    """The critical difference as a length above the axes."""
    wide = test.critical_difference
    end = min(1 + wide, count)
    across = ax.get_xaxis_transform()
    style: dict[str, Any] = {"color": "#222222", "clip_on": False, "transform": across}
    height = 0.35 * form.base / 72 / (ax.get_position().height * ax.figure.get_size_inches()[1])  # type: ignore[union-attr]
    ax.plot([1, end], [1 + height] * 2, linewidth=1.4, **style)
    for x in (1, end):
        ax.plot([x, x], [1 + 0.4 * height, 1 + 1.6 * height], linewidth=1.0, **style)
    more = "" if 1 + wide <= count else ", wider than the axis"
    ax.annotate(
        f"critical difference {wide:.2f}{more}", (1, 1 + height), (0, 0.35 * form.base), xycoords=across,
        textcoords="offset points", ha="left", va="bottom", fontsize=form.tiny,
    )  # fmt: skip
