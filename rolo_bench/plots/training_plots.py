"""Curves over training and over step size (the paper's figure 6)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes

from rolo_bench.errors import UsageError
from rolo_bench.plots.context import DOT
from rolo_bench.plots.figure import Entry, Shown, handle, line, log_ticks, marks, page, styled
from rolo_bench.plots.style import COLOURS, DAGGER, DASHES, MARKERS, PLAIN, Form, Look, looks
from rolo_bench.scores.tables import called


@styled
def steps(
    frame: pd.DataFrame,
    reference: pd.DataFrame | None = None,
    subtitle: str = "",
    device: str = "",
    form: Form = PLAIN,
) -> Shown:
    """The paper's figure 6: mean IoU and frames per second over the step size, two panels.

    Args:
        frame: columns ``steps, mean_iou, fps``, optionally ``tracker`` (one line each) and ``mean_iou_low``,
            ``mean_iou_high`` (drawn as a band).
        reference: the paper's numbers, columns ``steps, mean_iou, lstm_fps`` as from
            `rolo_bench.scores.published.steps`; drawn dashed and grey.
        subtitle: suite, convention and number of sequences; as the table's own columns say where empty.
        device: what the speeds were measured on; the same.
        form: how the figure is set.

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
    seen = {n: replace(look, width=1.7) for n, look in looks(names, (), form.colours).items()}
    shown = called(names, form.labels)
    entries = [Entry(shown[n], "", handle(seen[n], form)) for n in names]
    if reference is not None:
        seen["paper"] = Look("#777777", DASHES[1], 1.2, 2.9, "X")
        entries.append(Entry("the paper", DAGGER, handle(seen["paper"], form)))
    first, second = _panels(form, "Step size", subtitle, notes, entries if len(entries) > 1 else [])
    for name in names:
        part = data[data["tracker"] == name].sort_values("steps")
        style = line(seen[name], form) | marks(form) | {"marker": seen[name].marker}
        first.plot(part["steps"], part["mean_iou"], **style)
        if {"mean_iou_low", "mean_iou_high"} <= set(part.columns):
            low, high = part["mean_iou_low"], part["mean_iou_high"]
            first.fill_between(part["steps"], low, high, color=seen[name].colour, alpha=0.15, lw=0)
        second.plot(part["steps"], part["fps"], **style)
    if reference is not None:
        style = line(seen["paper"], form) | marks(form) | {"marker": "X"}
        first.plot(reference["steps"], reference["mean_iou"], **style)
        second.plot(reference["steps"], reference["lstm_fps"], **style)
    ticks = sorted(set(data["steps"]) | (set(reference["steps"]) if reference is not None else set()))
    for ax in (first, second):
        ax.set_xticks(ticks, [str(int(t)) for t in ticks])
        ax.set_xlabel("Step size (past frames)")
    first.set(ylabel="Mean IoU", ylim=(0, None))
    second.set(ylabel="Frames per second", yscale="log")
    log_ticks(second.yaxis)
    return first.figure  # type: ignore[return-value]


def _panels(
    form: Form, title: str, subtitle: str, notes: list[str], entries: list[Entry], count: int = 2
) -> list[Axes]:
    """Axes beside each other, below each other in a narrow figure; the legend is the page's."""
    em = form.base / 72
    stacked = form.width is not None and form.width < 5
    gap = 4.6 * em  # between two panels: the labels of one of them

    def tall(width: float) -> float:
        return count * (0.62 * width + gap) - gap if stacked else min(0.75 * (width - gap) / count, 2.6)

    frame = page(form, title, subtitle, notes, count * 3.1 + (count - 1) * gap, tall, entries)
    if stacked:
        height = (frame.height + gap) / count - gap
        return [frame.axes(0, (count - 1 - k) * (height + gap), frame.width, height) for k in range(count)]
    width = (frame.width + gap) / count - gap
    return [frame.axes(k * (width + gap), 0, width) for k in range(count)]


def steps_table(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """The numbers behind `steps`, measured and published ones below each other; ``source`` says which."""
    both = [frame.assign(source="measured")]
    if reference is not None:
        both.append(reference.rename(columns={"lstm_fps": "fps"}).assign(source="published", tracker="paper"))
    return pd.concat(both, ignore_index=True)


@styled
def curves(
    frame: pd.DataFrame, title: str = "Training", subtitle: str = "", form: Form = PLAIN
) -> Shown:  # fmt: skip
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
    groups = _groups([str(c) for c in numbers.columns[1:]])
    seen = {}
    for k, column in enumerate(c for group in groups for c in group):
        dash, marker = DASHES[k % len(DASHES)], MARKERS[k % len(MARKERS)]
        seen[column] = Look(COLOURS[k % len(COLOURS)], dash, 1.4, 4 - k / 10, marker)
    entries = [Entry(_words(c), "", handle(look, form)) for c, look in seen.items()]
    where = subtitle or f"over {str(x).replace('_', ' ')}"
    axes = _panels(form, title, where, [], entries, len(groups))
    for ax, group in zip(axes, groups):
        for column in group:
            part = numbers[[x, column]].dropna()
            point = seen[column].marker if len(part) <= 40 else None
            ax.plot(part[x], part[column], marker=point, **(line(seen[column], form) | marks(form)))
        losses = "loss" in group[0].lower()
        if losses and (numbers[group].min(skipna=True) > 0).all():
            ax.set_yscale("log")
            log_ticks(ax.yaxis)
        ax.set(xlabel=_words(str(x)), ylabel="Loss" if losses else "")
    return axes[0].figure  # type: ignore[return-value]


def _groups(columns: list[str]) -> list[list[str]]:
    """Columns that share a panel: losses, and what is no loss and no setting."""
    rest = [c for c in columns if c not in ("lr", "learning_rate", "seconds", "seed")]
    groups = [c for c in rest if "loss" in c.lower()], [c for c in rest if "loss" not in c.lower()]
    return [g for g in groups if g]


def _words(name: str) -> str:
    words = {"iou": "IoU", "map": "mAP", "auc": "AUC", "valid": "validation", "val": "validation"}
    return " ".join(words.get(w.lower(), w) for w in str(name).split("_"))
