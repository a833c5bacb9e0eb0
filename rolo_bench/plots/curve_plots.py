"""Curves over a threshold: success, precision, normalised precision, and the same per attribute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rolo_bench.datasets.suites import ATTRIBUTES
from rolo_bench.errors import UsageError
from rolo_bench.plots.context import KINDS, Kind, Setting, describe, significance
from rolo_bench.plots.figure import (
    blank,
    footing,
    heading,
    line,
    place,
    ranked_legend,
    sheet,
    styled,
    text_width,
    wrap_notes,
)
from rolo_bench.plots.style import DAGGER, MARKERS
from rolo_bench.scores.conventions import OVERLAP_THRESHOLDS
from rolo_bench.scores.statistics import against_best
from rolo_bench.scores.summary import attribute_table, labels, matrix, mean_curves

MARK_STYLE: dict[str, Any] = {
    "color": "#555555", "markerfacecolor": "white", "linestyle": "none", "zorder": 8, "clip_on": False,
}  # fmt: skip


def curve_table(scores: pd.DataFrame, curve: str = "success") -> pd.DataFrame:
    """The numbers behind a curve plot: column ``threshold``, then one column per tracker, best AUC first."""
    curves, heads = mean_curves(scores), labels(scores)
    return pd.DataFrame(
        {"threshold": np.round(KINDS[curve].thresholds, 4)} | {heads[t]: c[curve] for t, c in curves.items()}
    )


def success(
    scores: pd.DataFrame, published: Iterable[str] = (), reference: pd.DataFrame | None = None
) -> Figure:
    """Success plot: share of frames above each overlap threshold; the legend ranks by AUC.

    Args:
        scores: as from `rolo_bench.scores.score.score`.
        published: trackers of ``scores`` whose boxes were published by others; they get a dagger.
        reference: published numbers of trackers whose boxes are not at hand, columns ``tracker, auc, success50``
            as from `rolo_bench.scores.published.published_summary`: drawn as a mark at an overlap of 0.5.
    """
    return _curve_plot(scores, KINDS["success"], published, reference)


def precision(scores: pd.DataFrame, published: Iterable[str] = ()) -> Figure:
    """Precision plot: share of frames within each centre error; the legend ranks by the value at 20 pixels.

    Raises:
        UsageError: the convention of the scores has no precision.
    """
    return _curve_plot(scores, KINDS["precision"], published)


def norm_precision(scores: pd.DataFrame, published: Iterable[str] = ()) -> Figure:
    """Normalised precision plot: centre error relative to the target's size; ranked by the mean of the curve.

    Raises:
        UsageError: the convention of the scores has no precision.
    """
    return _curve_plot(scores, KINDS["norm_precision"], published)


@styled
def _curve_plot(
    scores: pd.DataFrame, kind: Kind, published: Iterable[str], reference: pd.DataFrame | None = None
) -> Figure:
    setting = describe(scores, published)
    curves = mean_curves(scores)
    values = scores.groupby("tracker")[kind.scalar].mean()
    if values.isna().all():
        raise UsageError(
            f"convention {setting.convention} has no {kind.title.lower()}; choose another with --convention"
        )
    order = sorted(setting.ranked, key=lambda t: -values[t])
    labels = [f"{setting.label(t)} [{values[t]:.3f}]" for t in order]
    notes = [significance(scores, setting, kind.scalar, kind.short), *setting.marks_note()]
    marks = _reference_marks(reference, setting)
    if marks:
        notes.append(
            f"{DAGGER} marks at 0.5: success at that overlap as published by others, set apart where they are close."
        )
    words = [*labels, *(label for label, *_ in marks)]
    figure, ax = sheet(kind.title, setting.subtitle, notes, words, legend_title=kind.legend)
    looks = setting.looks()
    for tracker in order:
        ax.plot(kind.thresholds, curves[tracker][kind.curve], **line(looks[tracker]))
    _frame_curves(ax, kind)
    for (_, value, marker), x in zip(marks, _spread([m[1] for m in marks])):
        ax.plot([x], [value], marker=marker, markersize=6, **MARK_STYLE)
    extra = [(label, Line2D([], [], marker=marker, markersize=6, **MARK_STYLE)) for label, _, marker in marks]
    ranked_legend(ax, [(text, looks[t]) for text, t in zip(labels, order)], kind.legend, extra)
    return figure


def _reference_marks(reference: pd.DataFrame | None, setting: Setting) -> list[tuple[str, float, str]]:
    """Legend text, success at 0.5 and marker of published trackers that are not among the scored ones."""
    if reference is None:
        return []
    marks: list[tuple[str, float, str]] = []
    for row in reference.sort_values("success50", ascending=False).to_dict("records"):
        name = str(row["tracker"])
        if name in setting.ranked or not np.isfinite(row["success50"]):
            continue
        value = f"[{row['auc']:.3f}]" if np.isfinite(row["auc"]) else f"[{row['success50']:.3f} at 0.5]"
        marks.append((f"{name}{DAGGER} {value}", float(row["success50"]), MARKERS[len(marks) % len(MARKERS)]))
    return marks


def _spread(values: list[float], near: float = 0.035, step: float = 0.032) -> list[float]:
    """Places around 0.5 for marks of these heights: one that would touch an earlier one moves sideways."""
    placed: list[tuple[float, float]] = []
    for value in values:
        for k in range(len(values) + 1):
            x = 0.5 + step * ((k + 1) // 2) * (1 if k % 2 else -1)
            if all(abs(x - a) > step / 2 or abs(value - b) > near for a, b in placed):
                break
        placed.append((x, value))
    return [x for x, _ in placed]


def _frame_curves(ax: Axes, kind: Kind) -> None:
    ax.set(xlim=(0, kind.thresholds[-1]), ylim=(0, 1.0), xlabel=kind.x, ylabel=kind.y)
    ax.set_yticks(np.arange(0, 1.01, 0.2))
    if kind.at is not None:
        ax.axvline(kind.at, color="#999999", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)


def _flags(scores: pd.DataFrame) -> list[str]:
    flags = [a for a in attribute_table(scores)["attribute"] if a != "ALL"]
    if not flags:
        raise UsageError("no sequence of these scores carries an attribute; there is nothing to draw")
    return flags


@styled
def attributes(scores: pd.DataFrame, published: Iterable[str] = ()) -> Figure:
    """Success plots per challenge attribute, a small panel each with its three best trackers.

    Raises:
        UsageError: no sequence carries an attribute.
    """
    flags = _flags(scores)
    setting = describe(scores, published)
    looks = setting.looks()
    columns = min(4, len(flags))
    rows = -(-len(flags) // columns)
    cell, gap, left = (2.05, 1.6), (0.22, 0.52), 0.62
    words = [setting.label(t) for t in setting.ranked]
    side = 0.75 + max(text_width(t, 8.0) for t in [*words, "ranked by overall AUC"])
    width = left + columns * (cell[0] + gap[0]) + side
    notes = [
        "Each panel: mean over the sequences that carry the attribute, their number in brackets; "
        "its three highest AUC stand inside (oracle trackers left out).",
        _attribute_significance(scores, setting, flags),
        *setting.marks_note(),
    ]
    lines = wrap_notes(notes, width - left - 0.2)
    foot = 0.56 + 0.135 * len(lines)
    figure = blank(width, foot + rows * (cell[1] + gap[1]) + 0.35)
    heading(figure, "Success by attribute", setting.subtitle, left)
    footing(figure, lines, left)
    kind = KINDS["success"]
    axes = []
    for i, flag in enumerate(flags):
        row, column = divmod(i, columns)
        bottom = foot + (rows - 1 - row) * (cell[1] + gap[1])
        ax = place(figure, left + column * (cell[0] + gap[0]), bottom, *cell)
        _panel(ax, scores, flag, setting)
        ax.set_ylabel("Success rate" if column == 0 else "")
        ax.tick_params(labelleft=column == 0)
        ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        last_of_column = i + columns >= len(flags)
        ax.set_xlabel(kind.x if last_of_column else "")
        axes.append(ax)
    corner = axes[columns - 1]
    entries = [(text, looks[t]) for text, t in zip(words, setting.ranked)]
    ranked_legend(corner, entries, "ranked by overall AUC")
    return figure


def _panel(ax: Axes, scores: pd.DataFrame, flag: str, setting: Setting) -> None:
    part = scores[[flag in flags for flags in scores["attributes"]]]
    curves = mean_curves(part)
    looks = setting.looks()
    for tracker, values in curves.items():
        ax.plot(OVERLAP_THRESHOLDS, values["success"], **(line(looks[tracker]) | {"linewidth": 1.2}))
    _frame_curves(ax, KINDS["success"])
    count = part["sequence"].nunique()
    title = ATTRIBUTES.get(flag, flag)
    ax.set_title(f"{title[:1].upper()}{title[1:]} [{count}]", fontsize=8.5, weight="normal")
    best = [t for t in curves if t not in setting.oracle][:3]
    rates = np.stack([values["success"] for values in curves.values()])

    def covered(spot: tuple[float, float]) -> int:
        """How many points of curves lie under the lines that would begin at this height."""
        beside = OVERLAP_THRESHOLDS >= 0.53 if spot[0] > 0.5 else OVERLAP_THRESHOLDS <= 0.47
        under = (rates > spot[1] - 0.22) & (rates < spot[1] + 0.1)
        return int((under & beside).sum())

    x, y = min(((0.97, 0.88), (0.03, 0.22), (0.03, 0.6), (0.97, 0.55)), key=covered)  # what curves leave free
    for k, tracker in enumerate(best):
        ax.text(
            x, y - 0.085 * k, f"{curves[tracker]['success'].mean():.3f} {_short(tracker)}",
            ha="right" if x > 0.5 else "left", transform=ax.transAxes, fontsize=6.3, color="#222222",
            bbox={"facecolor": "white", "alpha": 0.88, "edgecolor": "none", "pad": 0.6}, zorder=9,
        )  # fmt: skip


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _attribute_significance(scores: pd.DataFrame, setting: Setting, flags: list[str]) -> str:
    if len(setting.fair) < 2:
        return ""
    clear = []
    for flag in flags:
        part = scores[[flag in have for have in scores["attributes"]]]
        table = matrix(part)[setting.fair].dropna()
        if len(table) < 2:
            continue
        p = against_best(table)
        best = table.mean().idxmax()
        if all(value < 0.05 for name, value in p.items() if name != best):
            clear.append(f"{flag} ({best})")
    test = "(paired Wilcoxon, Holm, p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.05)"
    if not clear:
        return f"In no attribute does the best tracker differ significantly from all others {test}."
    return f"The best tracker differs significantly from all others {test} in: {', '.join(clear)}."


@styled
def radar(scores: pd.DataFrame, published: Iterable[str] = ()) -> Figure:
    """AUC per challenge attribute on spokes; each spoke runs from 0 to the highest AUC and says its range.

    Raises:
        UsageError: fewer than three attributes.
    """
    flags = _flags(scores)
    if len(flags) < 3:
        raise UsageError(f"a radar needs three or more attributes; these scores have {', '.join(flags)}")
    setting = describe(scores, published)
    looks = setting.looks()
    table = attribute_table(scores).set_index("attribute").drop(columns="sequences")
    table.columns = list(setting.ranked)
    values, overall = table.loc[flags], table.loc["ALL"]
    labels = [f"{setting.label(t)} [{overall[t]:.3f}]" for t in setting.ranked]
    notes = [_attribute_significance(scores, setting, flags), *setting.marks_note()]
    size = 3.7
    figure, flat = sheet(
        "AUC by attribute", setting.subtitle, notes, labels, (size + 2.2, size + 1.0),
        legend_title="overall [AUC]", below=0.12,
    )  # fmt: skip
    flat.set_axis_off()
    width, height = figure.get_size_inches()
    box = flat.get_position()
    ax = place(
        figure, box.x0 * width + 1.1, box.y0 * height + (box.height * height - size) / 2, size, size,
        projection="polar",
    )  # fmt: skip
    angles = np.linspace(0, 2 * np.pi, len(flags), endpoint=False)
    top = max(np.ceil(np.nanmax(values.to_numpy(float)) * 10) / 10, 0.1)
    for tracker in reversed(setting.ranked):
        ring = values[tracker].to_numpy(float)
        ax.plot(np.append(angles, angles[0]), np.append(ring, ring[0]), **line(looks[tracker]))
    ax.set_theta_offset(np.pi / 2)  # type: ignore[attr-defined]
    ax.set_theta_direction(-1)  # type: ignore[attr-defined]
    ax.set_ylim(0, top)
    ticks = np.arange(0.2 if top > 0.4 else 0.1, top + 1e-9, 0.2 if top > 0.4 else 0.1)
    ax.set_yticks(ticks, [f"{t:.1f}" for t in ticks], fontsize=6.5, color="#666666")
    ax.set_rlabel_position(180 / len(flags))  # type: ignore[attr-defined]
    ax.set_xticks(angles, [""] * len(flags))
    ax.spines["polar"].set_color("#cccccc")
    fair = setting.fair or list(setting.ranked)
    for angle, flag in zip(angles, flags):
        row = values.loc[flag, fair].astype(float)
        side = np.sin(angle)
        ax.text(
            angle, top * 1.06,
            f"{_two_lines(ATTRIBUTES.get(flag, flag))}\n{row.min():.2f} \N{EN DASH} {row.max():.2f}",
            ha="center" if abs(side) < 0.2 else ("left" if side > 0 else "right"),
            va="bottom" if np.cos(angle) > 0.3 else ("top" if np.cos(angle) < -0.3 else "center"),
            fontsize=7.5, linespacing=1.15,
        )  # fmt: skip
    ranked_legend(flat, [(text, looks[t]) for text, t in zip(labels, setting.ranked)], "overall [AUC]")
    return figure


def _two_lines(text: str) -> str:
    if len(text) < 14:
        return text
    words = text.split(" ")
    return " ".join(words[:-1]) + "\n" + words[-1] if len(words) > 1 else text
