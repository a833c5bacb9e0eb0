"""Curves over a threshold: success, precision, normalised precision, and the same per attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rolo_bench.datasets.suites import ATTRIBUTES
from rolo_bench.errors import UsageError
from rolo_bench.plots.context import KINDS, Kind, Setting, describe, significance
from rolo_bench.plots.figure import (
    EDGE,
    Entry,
    Page,
    Shown,
    handle,
    legible,
    line,
    marks,
    page,
    shortened,
    sparse,
    styled,
    text_width,
)
from rolo_bench.plots.style import DAGGER, PLAIN, Form, Look
from rolo_bench.scores.conventions import OVERLAP_THRESHOLDS
from rolo_bench.scores.statistics import against_best
from rolo_bench.scores.summary import attribute_table, labels, longterm_curves, matrix, mean_curves
from rolo_bench.scores.summary import longterm as longterm_table


def curve_table(scores: pd.DataFrame, curve: str = "success") -> pd.DataFrame:
    """The numbers behind a curve plot: column ``threshold``, then one column per tracker, best AUC first."""
    curves, heads = mean_curves(scores), labels(scores)
    return pd.DataFrame(
        {"threshold": np.round(KINDS[curve].thresholds, 4)} | {heads[t]: c[curve] for t, c in curves.items()}
    )


def success(
    scores: pd.DataFrame,
    published: Iterable[str] = (),
    reference: pd.DataFrame | None = None,
    form: Form = PLAIN,
) -> Shown:
    """Success plot: share of frames above each overlap threshold; the legend ranks by AUC.

    Args:
        scores: as from `rolo_bench.scores.score.score`.
        published: trackers of ``scores`` whose boxes were published by others; they get a dagger.
        reference: published numbers of trackers whose boxes are not at hand, columns ``tracker, auc, success50``
            as from `rolo_bench.scores.published.published_summary`: drawn as a mark at an overlap of 0.5.
        form: how the figure is set.
    """
    return _curve_plot(scores, KINDS["success"], published, reference, form=form)


def precision(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """Precision plot: share of frames within each centre error; the legend ranks by the value at 20 pixels.

    Raises:
        UsageError: the convention of the scores has no precision.
    """
    return _curve_plot(scores, KINDS["precision"], published, form=form)


def norm_precision(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """Normalised precision plot: centre error relative to the target's size; ranked by the mean of the curve.

    Raises:
        UsageError: the convention of the scores has no precision.
    """
    return _curve_plot(scores, KINDS["norm_precision"], published, form=form)


@styled
def longterm(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """Long-term precision over recall as the threshold on a tracker's scores falls; the legend ranks by the best F.

    A mark is where F is best; a tracker without scores is a mark alone.

    Raises:
        UsageError: no tracker gives scores.
    """
    setting, curves = describe(scores, published, form), longterm_curves(scores)
    if not curves:
        raise UsageError("no tracker of these scores says how sure it is; see docs/plugins.md")
    best = longterm_table(scores).set_index("tracker")
    order, looks = form.ordered([t for t in best.index if t in setting.ranked]), setting.looks()
    entries = [entry(setting, t, looks[t], f" [{best['f'][t]:.3f}]") for t in order]
    title = legend_title("ranked by [F]", form)
    notes = ["Marks: where F is best; without a curve: no scores, so one point.", *setting.marks_note()]
    frame = page(form, "Long-term tracking", setting.subtitle, notes, *curve_size(), entries, title)
    ax = frame.axes()
    for tracker in order:
        _, precision, recall, _ = curves.get(tracker, np.full((4, 1), np.nan))
        ax.plot(recall, precision, **line(looks[tracker], form))
        point: dict[str, Any] = {
            "marker": looks[tracker].marker,
            "color": looks[tracker].colour,
            "clip_on": False,
        }
        x, y = best["recall"][tracker], best["precision"][tracker]
        ax.plot([x], [y], zorder=8, markersize=0.6 * form.base, **point)
    ax.set(xlim=(0, 1), ylim=(0, 1.0), xlabel="Recall", ylabel="Precision")
    return frame.figure


@styled
def _curve_plot(
    scores: pd.DataFrame,
    kind: Kind,
    published: Iterable[str],
    reference: pd.DataFrame | None = None,
    *,
    form: Form,
) -> Shown:
    setting = describe(scores, published, form)
    curves = mean_curves(scores)
    values = scores.groupby("tracker")[kind.scalar].mean()
    if values.isna().all():
        raise UsageError(
            f"convention {setting.convention} has no {kind.title.lower()}; choose another with --convention"
        )
    order = form.ordered(sorted(setting.ranked, key=lambda t: -values[t]))
    notes = [significance(scores, setting, kind.scalar, kind.short), *setting.marks_note()]
    others = _without_boxes(reference, setting)
    if others:
        notes.append(
            f"{DAGGER} marks at 0.5: success at that overlap as published by others, set apart where they are close."
        )
    looks = setting.looks(others)
    entries = [entry(setting, t, looks[t], f" [{values[t]:.3f}]") for t in order]
    for name, (_, value) in others.items():
        label = form.labels.get(name, name)
        entries.append(
            Entry(label, f"{DAGGER} {value}", handle(looks[name], form, **_alone(looks[name], form)))
        )
    frame = page(
        form, kind.title, setting.subtitle, notes, *curve_size(), entries, legend_title(kind.legend, form)
    )
    ax = frame.axes()
    for tracker in order:
        look = looks[tracker]
        every = sparse(look, len(kind.thresholds))
        style = line(look, form) | marks(form) | {"marker": look.marker, "markevery": every}
        ax.plot(kind.thresholds, curves[tracker][kind.curve], clip_on=False, **style)
    _frame_curves(ax, kind)
    for (name, (height, _)), x in zip(others.items(), _spread([h for h, _ in others.values()])):
        ax.plot([x], [height], marker=looks[name].marker, **_alone(looks[name], form))
    return frame.figure


def curve_size() -> tuple[float, Callable[[float], float]]:
    """Width, and height by width, of the axes of all figures with one pair of axes and a legend."""
    return 4.3, lambda width: min(0.755 * width, 3.25)


def legend_title(words: str, form: Form) -> str:
    """What a legend ranks by; where the form has an order of its own, what its numbers are."""
    return words.removeprefix("ranked by ") if form.order else words


def entry(setting: Setting, tracker: str, look: Look, value: str = "", **style: Any) -> Entry:
    """The line of a tracker in a legend."""
    form = setting.form
    return Entry(setting.label(tracker), value, handle(look, form, **style), tracker in form.highlight)


def _alone(look: Look, form: Form) -> dict[str, Any]:
    """A hollow mark without a line: a published number."""
    return {
        "color": look.colour, "markerfacecolor": "white", "linestyle": "none", "zorder": 8, "clip_on": False,
        "markersize": 0.66 * form.base, "markeredgewidth": 1.0,
    }  # fmt: skip


def _without_boxes(reference: pd.DataFrame | None, setting: Setting) -> dict[str, tuple[float, str]]:
    """Success at 0.5 and legend text of published trackers that are not among the scored ones."""
    found: dict[str, tuple[float, str]] = {}
    if reference is None:
        return found
    for row in reference.sort_values("success50", ascending=False).to_dict("records"):
        name = str(row["tracker"])
        if name in setting.ranked or not np.isfinite(row["success50"]):
            continue
        value = f"[{row['auc']:.3f}]" if np.isfinite(row["auc"]) else f"[{row['success50']:.3f} at 0.5]"
        found[name] = float(row["success50"]), value
    return found


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
def attributes(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """Success plots per challenge attribute, a small panel each; above it its three best trackers, thick in it.

    Raises:
        UsageError: no sequence carries an attribute.
    """
    flags = _flags(scores)
    setting = describe(scores, published, form)
    looks = setting.looks()
    em = form.base / 72
    gap, under = 1.9 * em, 1.0 * em  # beside and below a panel
    over = (3 * 1.25 * form.tiny + 1.7 * form.small) / 72  # above it, for its name and its best
    columns = min(4 if form.width is None else max(int(form.width / 1.5), 1), len(flags))
    rows = -(-len(flags) // columns)

    def tall(width: float) -> float:
        return rows * (0.7 * ((width + gap) / columns - gap) + over + under) - under

    entries = [entry(setting, t, looks[t]) for t in setting.shown]
    notes = [
        "Each panel: mean over the sequences that carry the attribute, their number in brackets; above it, and in "
        "thick lines, its three highest AUC" + (" (oracle trackers left out)." if setting.oracle else "."),
        _attribute_significance(scores, setting, flags),
        *setting.marks_note(),
    ]
    width = columns * 1.9 - gap
    frame = page(
        form,
        "Success by attribute",
        setting.subtitle,
        notes,
        width,
        tall,
        entries,
        legend_title("ranked by overall AUC", form),
    )
    cell = (frame.width + gap) / columns - gap, (frame.height + under) / rows - over - under
    if cell[1] < 0.3:
        raise UsageError(
            f"{rows} rows of panels need more height than {form.height:.3g}in; leave --height out"
        )
    for i, flag in enumerate(flags):
        row, column = divmod(i, columns)
        place = column * (cell[0] + gap), (rows - 1 - row) * (cell[1] + over + under)
        _panel(frame, place, cell, scores, flag, setting, looks)
        ax = frame.figure.axes[-1]
        ax.set_ylabel("Success rate" if column == 0 else "")
        lowest = i + columns >= len(flags)
        ax.tick_params(labelleft=column == 0, labelbottom=lowest)
        ax.set_xlabel(KINDS["success"].x if lowest else "")
    return frame.figure


def _panel(
    frame: Page, place: tuple[float, float], size: tuple[float, float], scores: pd.DataFrame, flag: str,
    setting: Setting, looks: dict[str, Look],
) -> None:  # fmt: skip
    """One attribute's axes, with its name and its three best trackers above them."""
    form = setting.form
    part = scores[[flag in flags for flags in scores["attributes"]]]
    curves = mean_curves(part)
    best = [t for t in curves if t not in setting.oracle][:3]
    ax = frame.axes(*place, *size)
    for tracker, values in curves.items():
        first = tracker in best or tracker in form.highlight
        style = line(looks[tracker], form) | {"linewidth": (1.5 if first else 0.7) * form.base / 9}
        style["zorder"] += 3 * first
        ax.plot(OVERLAP_THRESHOLDS, values["success"], **style)
    _frame_curves(ax, KINDS["success"])
    ax.set_xticks([0, 0.5, 1.0], ["0", "0.5", "1"])
    ax.set_yticks([0, 0.5, 1.0], ["0", "0.5", "1"])
    title, count = ATTRIBUTES.get(flag, flag), f" [{part['sequence'].nunique()}]"
    title = f"{title[:1].upper()}{title[1:]}"
    points = form.small if text_width(title + count, form.small) < size[0] + 0.08 else form.tiny
    title = shortened(title, points, size[0] + 0.08 - text_width(count, points)) + count
    pitch, em = 1.25 * form.tiny / 72, form.tiny / 72
    style = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline"}
    ax.annotate(title, (0, 1), (0, 72 * 3 * pitch + 0.55 * form.small), fontsize=points, **style)
    for k, tracker in enumerate(best):
        up = (2 - k) * pitch + 0.45 * em
        name = shortened(legible(setting.name(tracker)), form.tiny, size[0] - 6 * em)
        text = f"{curves[tracker]['success'].mean():.3f} {name}"
        ax.annotate(text, (0, 1), (2.5 * form.tiny, 72 * up), fontsize=form.tiny, **style)
        w, h = frame.figure.get_size_inches()
        x = frame.left + place[0]
        y = frame.bottom + place[1] + size[1] + up + 0.35 * em
        sample = line(looks[tracker], form) | {"linewidth": 1.2 * form.base / 9}
        frame.figure.add_artist(Line2D([x / w, (x + 2 * em) / w], [y / h, y / h], **sample))


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
            clear.append(f"{flag} ({setting.name(str(best))})")
    test = "(paired Wilcoxon, Holm, p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.05)"
    if not clear:
        return f"In no attribute does the best tracker differ significantly from all others {test}."
    return f"The best tracker differs significantly from all others {test} in: {', '.join(clear)}."


@styled
def radar(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Shown:
    """AUC per challenge attribute on spokes; each spoke runs from 0 to the highest AUC and says its range.

    Raises:
        UsageError: fewer than three attributes.
    """
    flags = _flags(scores)
    if len(flags) < 3:
        raise UsageError(f"a radar needs three or more attributes; these scores have {', '.join(flags)}")
    setting = describe(scores, published, form)
    looks = setting.looks()
    table = attribute_table(scores).set_index("attribute").drop(columns="sequences")
    table.columns = list(setting.ranked)
    values, overall = table.loc[flags], table.loc["ALL"]
    entries = [entry(setting, t, looks[t], f" [{overall[t]:.3f}]") for t in setting.shown]
    notes = [_attribute_significance(scores, setting, flags), *setting.marks_note()]
    spokes = [_two_lines(ATTRIBUTES.get(f, f)) for f in flags]
    side = 0.12 + max(
        text_width(part, form.tiny) for s in spokes for part in [*s.split("\n"), "0.00 \N{EN DASH} 0.00"]
    )
    rim = 4.2 * form.tiny / 72  # room above and below, for three lines of text
    frame = page(
        form, "AUC by attribute", setting.subtitle, notes, 3.4 + 2 * side,
        lambda width: min(width - 2 * side, 3.6) + 2 * rim, entries, "overall [AUC]",
        (EDGE, 0.05, EDGE, 0.0),
    )  # fmt: skip
    size = min(frame.width - 2 * side, frame.height - 2 * rim)
    if size < 0.8:
        raise UsageError("a radar needs more room: a larger --width or --height, or a smaller --font-size")
    middle = (frame.width - size) / 2, (frame.height - size) / 2
    ax = frame.axes(*middle, size, size, projection="polar")
    angles = np.linspace(0, 2 * np.pi, len(flags), endpoint=False)
    top = max(np.ceil(np.nanmax(values.to_numpy(float)) * 10) / 10, 0.1)
    for tracker in reversed(setting.ranked):
        ring = values[tracker].to_numpy(float)
        look = looks[tracker]
        style = line(look, form) | marks(form)
        ax.plot(np.append(angles, angles[0]), np.append(ring, ring[0]), marker=look.marker, **style)
    ax.set_theta_offset(np.pi / 2)  # type: ignore[attr-defined]
    ax.set_theta_direction(-1)  # type: ignore[attr-defined]
    ax.set_ylim(0, top)
    step = 0.2 if top > 0.4 else 0.1
    ticks = np.arange(step, top - step / 4, step)
    ax.set_yticks(ticks, [""] * len(ticks))
    ax.set_xticks(angles, [""] * len(flags))
    ax.grid(visible=True, color="#cccccc")
    ax.spines["polar"].set_color("#aaaaaa")
    between = np.pi / len(flags)
    for tick in ticks:  # between two spokes and above the curves
        ax.text(
            between, tick, f"{tick:.1f}", fontsize=form.tiny, ha="center", va="center", zorder=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )  # fmt: skip
    fair = setting.fair or list(setting.ranked)
    for angle, flag, spoke in zip(angles, flags, spokes):
        row = values.loc[flag, fair].astype(float)
        across = np.sin(angle)
        ax.text(
            angle, top * (1 + 0.09 / size), f"{spoke}\n{row.min():.2f} \N{EN DASH} {row.max():.2f}",
            ha="center" if abs(across) < 0.2 else ("left" if across > 0 else "right"),
            va="bottom" if np.cos(angle) > 0.3 else ("top" if np.cos(angle) < -0.3 else "center"),
            fontsize=form.tiny, linespacing=1.12,
        )  # fmt: skip
    return frame.figure


def _two_lines(text: str) -> str:
    if len(text) < 12:
        return text
    words = text.split(" ")
    return " ".join(words[:-1]) + "\n" + words[-1] if len(words) > 1 else text
