"""Curves over training and over step size (the paper's figure 6)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rolo_bench.errors import UsageError
from rolo_bench.plots.context import DOT
from rolo_bench.plots.figure import blank, footing, heading, line, log_ticks, place, styled, wrap_notes
from rolo_bench.plots.style import COLOURS, DAGGER, DASHES, MARKERS, Look


@styled
def steps(
    frame: pd.DataFrame, reference: pd.DataFrame | None = None, subtitle: str = "", device: str = ""
) -> Figure:
    """The paper's figure 6: mean IoU and frames per second over the step size, two panels.

    Args:
        frame: columns ``steps, mean_iou, fps``, optionally ``tracker`` (one line each) and ``mean_iou_low``,
            ``mean_iou_high`` (drawn as a band).
        reference: the paper's numbers, columns ``steps, mean_iou, lstm_fps`` as from
            `rolo_bench.scores.published.steps`; drawn dashed and grey.
        subtitle: suite, convention and number of sequences; as the table's own columns say where empty.
        device: what the speeds were measured on; the same.

    Raises:
        UsageError: a column is missing.
    """
    absent = {"steps", "mean_iou", "fps"} - set(frame.columns)
    if absent:
        raise UsageError(f"step sizes: the table lacks the columns {', '.join(sorted(absent))}")
    words = [str(frame[c].iloc[0]) for c in ("suite", "coverage", "convention") if c in frame]
    subtitle = subtitle or DOT.join(words) or "mean IoU and speed over the number of past frames"
    device = device or (str(frame["device"].iloc[0]) if "device" in frame else "device unknown")
    data = frame if "tracker" in frame else frame.assign(tracker="rolo")
    names = list(dict.fromkeys(data["tracker"]))
    notes = [f"Own speeds: LSTM and association, {device}."]
    if reference is not None:
        notes.append(
            f"{DAGGER} dashed, grey: published in the ROLO paper: mean IoU under the authors' own rule, "
            "LSTM alone on a TITAN X."
        )
    width, height, left = 3.0, 2.5, 0.65
    lines = wrap_notes(notes, 2 * (width + left) - 0.2)
    foot = 0.85 + 0.135 * len(lines)
    figure = blank(2 * (width + left) + 0.25, foot + height + 0.68)
    heading(figure, "Step size", subtitle, left)
    footing(figure, lines, left)
    first = place(figure, left, foot, width, height)
    second = place(figure, 2 * left + width + 0.05, foot, width, height)
    for k, name in enumerate(names):
        part = data[data["tracker"] == name].sort_values("steps")
        look = Look(COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)], 2.0, 4)
        label = name if len(names) > 1 or reference is not None else "_"
        first.plot(
            part["steps"], part["mean_iou"], marker=MARKERS[k % 8], markersize=5, label=label, **line(look)
        )
        if {"mean_iou_low", "mean_iou_high"} <= set(part.columns):
            low, high = part["mean_iou_low"], part["mean_iou_high"]
            first.fill_between(part["steps"], low, high, color=look.colour, alpha=0.15, lw=0)
        second.plot(part["steps"], part["fps"], marker=MARKERS[k % 8], markersize=5, **line(look))
    if reference is not None:
        grey = Look("#777777", DASHES[1], 1.4, 3)
        first.plot(
            reference["steps"], reference["mean_iou"], marker="x", label=f"the paper{DAGGER}", **line(grey)
        )
        second.plot(reference["steps"], reference["lstm_fps"], marker="x", **line(grey))
    ticks = sorted(set(data["steps"]) | (set(reference["steps"]) if reference is not None else set()))
    for ax in (first, second):
        ax.set_xticks(ticks, [str(int(t)) for t in ticks])
        ax.set_xlabel("Step size (past frames)")
    first.set(ylabel="Mean IoU", ylim=(0, None))
    second.set(ylabel="Frames per second (log scale)", yscale="log")
    log_ticks(second.yaxis)
    handles, words = first.get_legend_handles_labels()
    if words:
        w, h = figure.get_size_inches()
        figure.legend(
            handles, words, loc="lower left", ncols=min(len(words), 4), bbox_to_anchor=(left / w, (foot - 0.76) / h),
            borderaxespad=0, handlelength=3,
        )  # fmt: skip
    return figure


def steps_table(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """The numbers behind `steps`, measured and published ones below each other; ``source`` says which."""
    both = [frame.assign(source="measured")]
    if reference is not None:
        both.append(reference.rename(columns={"lstm_fps": "fps"}).assign(source="published", tracker="paper"))
    return pd.concat(both, ignore_index=True)


@styled
def curves(frame: pd.DataFrame, title: str = "Training", subtitle: str = "") -> Figure:
    """Training curves: the first column is x (step or epoch), every other numeric column a line.

    Columns with ``loss`` in their name share one panel (log scale when all are positive); ``lr`` and
    ``learning_rate`` are left out; the rest (IoU, mAP …) share a second panel. Gaps (NaN) are skipped.

    Raises:
        UsageError: fewer than two columns of numbers, or no rows.
    """
    numbers = frame.select_dtypes("number")
    if numbers.shape[1] < 2 or not len(numbers):
        raise UsageError("training curves need a table with a step or epoch column and at least one more")
    x = numbers.columns[0]
    rest = [c for c in numbers.columns[1:] if c not in ("lr", "learning_rate", "seconds", "seed")]
    groups = [[c for c in rest if "loss" in c.lower()], [c for c in rest if "loss" not in c.lower()]]
    groups = [g for g in groups if g]
    width, height, left, foot = 3.6, 2.5, 0.65, 0.55
    legend = 0.2 * max(len(g) for g in groups)
    figure = blank(len(groups) * (width + left) + 0.3, foot + height + legend + 0.6)
    heading(figure, title, subtitle or f"over {str(x).replace('_', ' ')}", left)
    for k, group in enumerate(groups):
        ax = place(figure, left + k * (width + left), foot, width, height)
        for j, column in enumerate(group):
            part = numbers[[x, column]].dropna()
            look = Look(COLOURS[j % len(COLOURS)], DASHES[j % len(DASHES)], 1.6, 4 - j / 10)
            marker = "o" if len(part) <= 40 else None
            ax.plot(part[x], part[column], marker=marker, markersize=3, label=_words(column), **line(look))
        losses = "loss" in group[0].lower()
        if losses and (numbers[group].min(skipna=True) > 0).all():
            ax.set_yscale("log")
            log_ticks(ax.yaxis)
        ax.set(xlabel=_words(str(x)), ylabel="Loss" if losses else "")
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.3, labelspacing=0.25, handlelength=2.6
        )
    return figure


def _words(name: str) -> str:
    words = {"iou": "IoU", "map": "mAP", "auc": "AUC", "valid": "validation", "val": "validation"}
    return " ".join(words.get(w.lower(), w) for w in str(name).split("_"))
