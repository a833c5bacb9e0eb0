"""How fast trackers are: bars of frames per second, and accuracy against speed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rolo_bench.errors import UsageError
from rolo_bench.plots.context import ORACLE_NOTE, describe, significance
from rolo_bench.plots.curve_plots import curve_size, entry, legend_title
from rolo_bench.plots.figure import EDGE, Shown, legible, log_ticks, page, shortened, styled, text_width
from rolo_bench.plots.style import DAGGER, PLAIN, Form
from rolo_bench.scores.summary import mark_oracles, summary
from rolo_bench.scores.tables import display_name

FAR = 30
"""So many times as fast as the next one is a speed that an axis is not stretched for."""


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


def _no_speed(scores: pd.DataFrame) -> UsageError:
    """The error of a figure that has no speed to show."""
    if scores["seconds"].notna().any():
        return UsageError(
            "these results were timed beside other jobs or from a cache; run the trackers again under another "
            "--name, without --jobs and a cache, or take the times as they are with --all-speeds"
        )
    return UsageError("none of these results has times; run the trackers here to measure their speed")


@styled
def fps(
    scores: pd.DataFrame,
    published: Iterable[str] = (),
    device: str = "",
    reference: Mapping[str, float] | None = None,
    form: Form = PLAIN,
) -> Shown:
    """Frames per second as bars on a log scale; speeds that others published are hatched and have a dagger.

    Args:
        published: trackers of ``scores`` whose results, and so whose speeds, were imported.
        device: what the measured speeds were taken on, in words.
        reference: published speeds of trackers that are not in ``scores``.
        form: how the figure is set.

    Raises:
        UsageError: no speed is known for any tracker.
    """
    setting = describe(scores, published, form)
    table = fps_table(scores, reference, setting.published)
    if table.empty:
        raise _no_speed(scores)
    table = table.set_index("tracker").loc[form.ordered(table["tracker"])].reset_index()
    seen = setting.looks(table["tracker"])
    count = len(table)
    most = 0.42 * form.width if form.width else 9.0
    names = [
        shortened(
            legible(display_name(setting.name(t), oracle=o) + DAGGER * (s == "published")),
            form.small,
            most,
            "bold",
        )
        for t, s, o in zip(table["tracker"], table["source"], table["oracle"])
    ]
    left = EDGE + 0.05 + max(text_width(n, form.small, "bold") for n in names)
    notes = [*_speed_notes(table, device), *([ORACLE_NOTE] if setting.oracle else [])]
    em = form.base / 72
    frame = page(
        form,
        "Speed",
        setting.subtitle,
        notes,
        4.8,
        lambda width: 1.85 * em * count + 0.1,
        around=(left, 3.6 * em, 0.2, 0.0),
    )
    ax = frame.axes()
    low = min(float(10 ** np.floor(np.log10(table["fps"].min() * 0.8))), 1.0)
    limit = _limit(table["fps"])
    words = [_speed_text(v) + " \N{RIGHTWARDS ARROW}" * (v > limit) for v in table["fps"]]
    room = max(text_width(w, form.tiny) for w in words) + 0.12  # inches right of the longest bar
    for y, (tracker, value, source, _) in enumerate(table.itertuples(index=False)):
        look = seen[tracker]
        style = {"color": look.colour} if source == "measured" else {
            "facecolor": "white", "edgecolor": look.colour, "hatch": "////", "linewidth": 0.9,
        }  # fmt: skip
        ax.barh(y, min(value, limit), height=0.66, zorder=2, **style)
        ax.plot(
            [low], [y], marker=look.marker, markersize=0.6 * form.base, color="white", markeredgecolor=look.colour,
            markeredgewidth=1.0, zorder=4, clip_on=False,
        )  # fmt: skip
        ax.annotate(
            words[y],
            (min(value, limit), y),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=form.tiny,
        )
    ax.set_ylim(count - 0.4, -0.6)
    ax.set_yticks(range(count), names)
    ax.tick_params(axis="y", length=0, pad=5)
    ax.grid(axis="y", visible=False)
    for tracker, label in zip(table["tracker"], ax.get_yticklabels()):
        label.set_fontweight("bold" if tracker in form.highlight else "normal")
    _log_axis(ax, low, limit * (limit / low) ** (room / max(frame.width - room, 0.3)), frame.width)
    ax.set_xlabel("Frames per second (log scale)")
    return frame.figure


def _limit(values: pd.Series) -> float:
    """The speed at which an axis ends: those above, which are more than 30 times as fast as all others, stand there."""
    ordered = sorted(float(v) for v in values)
    for slow, quick in reversed(list(itertools.pairwise(ordered))):
        if quick > FAR * slow and ordered.index(quick) > len(ordered) // 2:
            return 2 * slow
    return ordered[-1]


def _speed_text(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


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
    return notes + _beyond(table["fps"])


def _beyond(values: pd.Series) -> list[str]:
    return ["\N{RIGHTWARDS ARROW} beyond the axis."] if (values > _limit(values)).any() else []


def _log_axis(ax: Axes, low: float, high: float, width: float) -> None:
    """A log axis whose numbers stand clear of each other and of the edge on ``width`` inches."""
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    decade = width / np.log10(high / low)
    log_ticks(ax.xaxis, (1, 2, 5) if decade > 1.1 else (1,))


def speed_table(scores: pd.DataFrame, published: Iterable[str] = ()) -> pd.DataFrame:
    """Accuracy and speed: columns ``tracker, fps, auc, auc_low, auc_high, source, oracle``, best AUC first."""
    table = summary(scores)[["tracker", "fps", "auc", "auc_low", "auc_high"]]
    imported = table["tracker"].isin(set(published))
    return mark_oracles(table.assign(source=np.where(imported, "published", "measured")), scores)


@styled
def speed(
    scores: pd.DataFrame, published: Iterable[str] = (), device: str = "", form: Form = PLAIN
) -> Shown:  # fmt: skip
    """AUC with its 95 % interval against frames per second; hollow marks are speeds published by others.

    Raises:
        UsageError: no tracker has times.
    """
    setting = describe(scores, published, form)
    table = speed_table(scores, setting.published)
    table = table[np.isfinite(table["fps"]) & (table["fps"] > 0)].set_index("tracker")
    if table.empty:
        raise _no_speed(scores)
    known = np.isfinite(table["auc_low"]) & (table["auc_high"] > table["auc_low"])
    bars = "Bars: 95 % bootstrap interval over sequences. " if known.any() else ""
    foreign = f" Hollow marks {DAGGER}: boxes and speeds published by others, on their machines."
    notes = [
        f"{bars}Speeds: {device or 'device unknown'}." + foreign * bool(setting.published & set(table.index)),
        *_beyond(table["fps"]),
        significance(scores, setting),
        *([ORACLE_NOTE] if setting.oracle else []),
    ]
    seen, limit = setting.looks(), _limit(table["fps"])
    styles: dict[str, dict[str, Any]] = {
        t: {
            "markersize": 0.72 * form.base, "markeredgewidth": 1.2, "linestyle": "none",
            "markerfacecolor": "white" if table["source"][t] == "published" else seen[t].colour,
        }
        for t in table.index
    }  # fmt: skip
    entries = [
        entry(setting, t, seen[t], f" [{table['auc'][t]:.3f}]", **styles[t])
        for t in form.ordered(table.index)
    ]
    frame = page(
        form,
        "Accuracy and speed",
        setting.subtitle,
        notes,
        *curve_size(),
        entries,
        legend_title("ranked by [AUC]", form),
    )
    ax = frame.axes()
    low, high = table["fps"].min(), min(table["fps"].max(), limit)
    for name, row in table.iterrows():
        look = seen[str(name)]
        x = min(row["fps"], limit)
        if known[name]:
            span = [[max(row["auc"] - row["auc_low"], 0)], [max(row["auc_high"] - row["auc"], 0)]]
            ax.errorbar(
                x, row["auc"], yerr=span, fmt="none", ecolor=look.colour, elinewidth=0.9, zorder=look.layer
            )
        ax.plot(
            [x],
            [row["auc"]],
            marker=look.marker,
            color=look.colour,
            zorder=look.layer + 3,
            **styles[str(name)],
        )
        if row["fps"] > limit:
            arrow = {"arrowstyle": "->", "color": look.colour, "lw": 1.0}
            ax.annotate("", (x, row["auc"]), (2.4 * form.base, 0), textcoords="offset points",
                        arrowprops=arrow | {"arrowstyle": "<-"})  # fmt: skip
    _log_axis(ax, low / 1.6, high * (3 if limit < table["fps"].max() else 1.6), frame.width)
    top = min(1.0, float(np.ceil((table["auc_high"].max() + 0.03) * 20) / 20))
    ax.set_ylim(max(0.0, float(np.floor((table["auc_low"].min() - 0.03) * 20) / 20)), top)
    ax.set(xlabel="Frames per second (log scale)", ylabel="AUC")
    return frame.figure
