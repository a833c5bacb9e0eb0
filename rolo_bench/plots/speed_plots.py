"""How fast trackers are: bars of frames per second, and accuracy against speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rolo_bench.errors import UsageError
from rolo_bench.plots.context import ORACLE_NOTE, describe, significance
from rolo_bench.plots.figure import log_ticks, sheet, styled, text_width
from rolo_bench.plots.style import DAGGER, MARKERS
from rolo_bench.scores.summary import mark_oracles, summary
from rolo_bench.scores.tables import display_name


def fps_table(
    scores: pd.DataFrame, reference: Mapping[str, float] | None = None, published: Iterable[str] = ()
) -> pd.DataFrame:
    """Frames per second, fastest first: columns ``tracker, fps, source, oracle``; source: measured or published."""
    means = scores.groupby("tracker", sort=False)["fps"].mean()
    imported = set(published)
    rows = [(t, float(v), "published" if t in imported else "measured") for t, v in means.items()]
    have = {t for t, v, _ in rows if t in imported and 0 < v < np.inf}
    rows += [(t, float(v), "published") for t, v in (reference or {}).items() if t not in have]
    known = [row for row in rows if 0 < row[1] < np.inf]
    table = mark_oracles(pd.DataFrame(known, columns=["tracker", "fps", "source"]), scores)
    return table.sort_values("fps", ascending=False, kind="stable", ignore_index=True)


@styled
def fps(
    scores: pd.DataFrame,
    published: Iterable[str] = (),
    device: str = "",
    reference: Mapping[str, float] | None = None,
) -> Figure:
    """Frames per second as bars on a log scale; speeds that others published are hatched and have a dagger.

    Args:
        published: trackers of ``scores`` whose results, and so whose speeds, were imported.
        device: what the measured speeds were taken on, in words.
        reference: published speeds of trackers that are not in ``scores``.

    Raises:
        UsageError: no speed is known for any tracker.
    """
    setting = describe(scores, published)
    table = fps_table(scores, reference, setting.published)
    if table.empty:
        raise UsageError("none of these results has times; run the trackers here to measure their speed")
    seen = setting.looks()
    count = len(table)
    names = [
        display_name(t, oracle=o) + DAGGER * (s == "published")
        for t, s, o in zip(table["tracker"], table["source"], table["oracle"])
    ]
    left = 0.35 + max(text_width(n, 8.5) for n in names)
    measured = [t for t, s in zip(table["tracker"], table["source"]) if s == "measured"]
    notes = [*_speed_notes(table, device), significance(scores, setting, "fps", "speed", measured)]
    notes += [ORACLE_NOTE] if setting.oracle else []
    figure, ax = sheet("Speed", setting.subtitle, notes, axes_size=(5.2, 0.24 * count + 0.2), left=left)
    for y, (tracker, value, source, _) in enumerate(table.itertuples(index=False)):
        colour = seen[tracker].colour if tracker in seen else "#777777"
        style = {"color": colour} if source == "measured" else {
            "facecolor": "white", "edgecolor": colour, "hatch": "////", "linewidth": 1.0,
        }  # fmt: skip
        ax.barh(y, value, height=0.68, zorder=2, **style)
        ax.annotate(
            _speed_text(value), (value, y), (4, 0), textcoords="offset points",
            va="center", fontsize=7.5,
        )  # fmt: skip
    ax.set_ylim(count - 0.4, -0.6)
    ax.set_yticks(range(count), names, fontsize=8.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    low = min(float(10 ** np.floor(np.log10(table["fps"].min() * 0.8))), 1.0)
    high = float(table["fps"].max())
    room = max(text_width(_speed_text(v), 7.5) for v in table["fps"]) + 0.2  # inches right of the longest bar
    _log_axis(ax, low, high * (high / low) ** (room / (5.2 - room)))
    ax.set_xlabel("Frames per second (log scale)")
    return figure


def _speed_text(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _speed_notes(table: pd.DataFrame, device: str) -> list[str]:
    notes = []
    if (table["source"] == "measured").any():
        notes.append(
            f"Filled bars: time inside the tracker, {device or 'device unknown'}, mean over sequences."
        )
    if (table["source"] == "published").any():
        notes.append(
            f"{DAGGER} hatched bars: published by others, measured on their machines; not directly comparable."
        )
    return notes


def _log_axis(ax: Axes, low: float, high: float) -> None:
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    log_ticks(ax.xaxis, (1, 2, 5) if high / low < 300 else (1,))


def speed_table(scores: pd.DataFrame, published: Iterable[str] = ()) -> pd.DataFrame:
    """Accuracy and speed: columns ``tracker, fps, auc, auc_low, auc_high, source, oracle``, best AUC first."""
    table = summary(scores)[["tracker", "fps", "auc", "auc_low", "auc_high"]]
    imported = table["tracker"].isin(set(published))
    return mark_oracles(table.assign(source=np.where(imported, "published", "measured")), scores)


@styled
def speed(scores: pd.DataFrame, published: Iterable[str] = (), device: str = "") -> Figure:
    """AUC with its 95 % interval against frames per second; hollow marks are speeds published by others.

    Raises:
        UsageError: no tracker has times.
    """
    setting = describe(scores, published)
    table = speed_table(scores, setting.published)
    table = table[np.isfinite(table["fps"]) & (table["fps"] > 0)]
    if table.empty:
        raise UsageError("none of these results has times; run the trackers here to measure their speed")
    foreign = f" Hollow marks {DAGGER}: boxes and speeds published by others, on their machines."
    notes = [
        f"Bars: 95 % bootstrap interval over sequences. Speeds: {device or 'device unknown'}."
        + foreign * bool(setting.published),
        significance(scores, setting),
        *([ORACLE_NOTE] if setting.oracle else []),
    ]
    figure, ax = sheet("Accuracy and speed", setting.subtitle, notes, axes_size=(6.2, 3.7))
    seen = setting.looks()
    for k, row in enumerate(table.itertuples(index=False)):
        look = seen[row.tracker]
        hollow = row.source == "published"
        ax.errorbar(
            row.fps, row.auc, yerr=[[max(row.auc - row.auc_low, 0)], [max(row.auc_high - row.auc, 0)]],
            fmt=MARKERS[k % len(MARKERS)], color=look.colour, markersize=7, elinewidth=1, alpha=1.0,
            markerfacecolor="white" if hollow else look.colour, markeredgewidth=1.4, zorder=look.layer,
        )  # fmt: skip
    low, high = table["fps"].min(), table["fps"].max()
    _log_axis(ax, low / 1.8, high * 2.5)
    top = min(1.0, float(np.ceil((table["auc_high"].max() + 0.03) * 20) / 20))
    ax.set_ylim(max(0.0, float(np.floor((table["auc_low"].min() - 0.03) * 20) / 20)), top)
    ax.set(xlabel="Frames per second (log scale)", ylabel="AUC")
    spans = list(zip(table["auc_low"], table["auc_high"]))
    _name_points(ax, [setting.label(t) for t in table["tracker"]], table["fps"], table["auc"], spans)
    return figure


def _name_points(
    ax: Axes, names: list[str], xs: Iterable[float], ys: Iterable[float], spans: list[tuple[float, float]]
) -> None:
    """Names beside points, each at the first of several places where it covers no name, mark or interval."""
    points = [tuple(ax.transData.transform((x, y))) for x, y in zip(xs, ys)]
    scale = ax.figure.dpi / 72
    taken = [(x - 6 * scale, y - 5 * scale, x + 6 * scale, y + 5 * scale) for x, y in points]
    for (x, _), (low, high) in zip(points, spans):
        ends = ax.transData.transform([(1, low), (1, high)])[:, 1]
        taken.append((x - 1.5 * scale, ends[0], x + 1.5 * scale, ends[1]))
    inside = ax.get_window_extent()
    places = [
        (dx * far, dy * far, ha)
        for far in (1.0, 1.6, 2.4, 3.4)
        for dx, dy, ha in (
            (8, 0, "left"), (-8, 0, "right"), (7, 8, "left"), (7, -8, "left"), (-7, 8, "right"), (-7, -8, "right"),
            (7, 15, "left"), (7, -15, "left"), (-7, 15, "right"), (-7, -15, "right"),
        )
    ]  # fmt: skip

    def cost(box: tuple[float, ...]) -> float:
        outside = box[0] < inside.x0 or box[2] > inside.x1 or box[1] < inside.y0 or box[3] > inside.y1
        return sum(_overlap(box, other) for other in taken) + 1e6 * outside

    for name, x, y, (px, py) in zip(names, xs, ys, points):
        width, height = text_width(name, 8.0) * 72 * scale, 9 * scale
        boxes = []
        for dx, dy, ha in places:
            x0, y0 = px + dx * scale - width * (ha == "right"), py + dy * scale - height / 2
            boxes.append((x0, y0, x0 + width, y0 + height))
        costs = [cost(box) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        dx, dy, ha = places[best]
        leader = {"arrowstyle": "-", "color": "#999999", "lw": 0.6} if max(abs(dx), abs(dy)) > 16 else None
        ax.annotate(
            name, (x, y), (dx, dy), textcoords="offset points", ha=ha, va="center", fontsize=8, zorder=9,
            arrowprops=leader,
        )  # fmt: skip


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
