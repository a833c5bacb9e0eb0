"""One self-contained HTML page of a result set, and the same tables for LaTeX.

The page loads nothing from anywhere: styles, script, curves, overlaps and pictures are inside, and a content
policy in it forbids everything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.datasets.suites import ATTRIBUTES, load_suite
from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.plots.context import Setting, describe
from rolo_bench.plots.style import DAGGER, PLAIN, Form
from rolo_bench.protocols import PROTOCOLS
from rolo_bench.report.data import Collected, collect, overlaps_of, payload, pictures
from rolo_bench.report.html import Cell, heat_rows, now, render
from rolo_bench.report.pictures import worst_losses
from rolo_bench.run.store import Store
from rolo_bench.scores.conventions import official
from rolo_bench.scores.provenance import in_words, origin, warnings_of
from rolo_bench.scores.scored import chosen_suite, chosen_trackers
from rolo_bench.scores.statistics import pairwise, sequences_won
from rolo_bench.scores.summary import attribute_table, coverage, matrix, sequence_table, summary
from rolo_bench.scores.tables import for_people, p_text
from rolo_bench.scores.tables import render as render_table

if TYPE_CHECKING:
    import pandas as pd

RULES = ("otb", "got10k", "pysot", "pytracking", "rolo2016")
"""Conventions of a report after the suite's official one, which leads."""


@dataclass(frozen=True)
class Scale:
    """The scale on which the intervals of a table are drawn: from ``low`` to ``high`` over ``width`` pixels.

    Attributes:
        ticks: values and where they stand.
    """

    low: float
    high: float
    ticks: tuple[tuple[str, float], ...]
    width: int = 128

    def place(self, value: float) -> float:
        """Where a value stands; one outside the scale at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(8 + (self.width - 16) * share, 1)


def scale_of(lows: Iterable[float], highs: Iterable[float]) -> Scale:
    """A scale with a few round ticks that just holds all intervals."""
    ends = [v for v in (*lows, *highs) if np.isfinite(v)] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    room = max(0.03 * (high - low), 0.02 - (high - low) / 2)  # a width of 0.04 at least
    bare = Scale(max(low - room, 0.0), high + room, ())
    steps = {0.01: 4, 0.02: 4, 0.04: 4, 0.05: 4, 0.1: 5, 0.2: 5, 0.5: 5}  # and how many of each have room
    step = next(s for s, most in steps.items() if bare.high - bare.low <= most * s or s == 0.5)
    places = 1 if step >= 0.1 else 2
    ticks = np.arange(np.ceil(bare.low / step), np.floor(bare.high / step) + 1) * step
    return Scale(bare.low, bare.high, tuple((f"{v:.{places}f}", bare.place(float(v))) for v in ticks))


def summary_rows(scores: pd.DataFrame, setting: Setting) -> list[dict[str, Any]]:
    """The summary table: oracle trackers stand in it, but have no rank and are nobody's rival."""
    wins = sequences_won(matrix(scores)[setting.fair]) if setting.fair else None
    won = {} if wins is None else wins.set_index("tracker").to_dict("index")
    looks = setting.looks()
    rows = []
    for record in summary(scores).to_dict("records"):
        row: dict[str, Any] = {str(k): v for k, v in record.items()}
        name, oracle = str(row["tracker"]), bool(row["oracle"])
        first = not oracle and row["rank"] == 1
        rows.append(
            row
            | {
                "label": setting.label(name),
                "look": looks[name],
                "rank": None if oracle else int(row["rank"]),
                "won": None if oracle else won[name]["won"],
                "mean_rank": None if oracle else won[name]["mean_rank"],
                "versus": "not ranked" if oracle else ("best" if first else _versus(row)),
            }
        )
    return rows


def _versus(row: dict[str, Any]) -> str:
    return f"{'same' if row['same_as_best'] else 'worse'} ({p_text(row['p_best'])})"


def provenance_rows(metas: dict[str, dict[str, Any]], setting: Setting) -> list[dict[str, Any]]:
    """Per tracker, what ``run.json`` says: pairs of words, and the file itself without its sequences."""
    rows = []
    for name in setting.ranked:
        kept = {k: v for k, v in metas[name].items() if k not in ("sequences", "expected")}
        text = json.dumps(kept, indent=1, sort_keys=True, default=str)
        pairs = [(key, in_words(value)) for key, value in origin(metas[name]).items()]
        rows.append({"label": setting.label(name), "pairs": pairs, "json": text})
    return rows


def attribute_rows(scores: pd.DataFrame, setting: Setting) -> list[tuple[str, list[Cell]]]:
    """Mean AUC per attribute, a row each, with the number of sequences in its name."""
    table = attribute_table(scores).set_index("attribute")
    counts = table.pop("sequences")
    table.columns = list(setting.ranked)
    words = ATTRIBUTES | {"ALL": "all sequences"}
    table.index = [f"{words.get(a, a)} ({counts[a]})" for a in table.index]
    return heat_rows(table, setting.fair)


def about(found: Collected, setting: Setting, rows: list[dict[str, Any]], warnings: int) -> dict[str, Any]:
    """What an index over several reports shows of this one."""
    return {
        "title": _title(setting),
        "coverage": coverage(found.scores),
        "convention": setting.convention,
        "made": now(),
        "warnings": warnings,
        "trackers": [
            {"label": r["label"], "auc": float(r["auc"]), "oracle": bool(r["oracle"])} for r in rows
        ],
    }


def _title(setting: Setting) -> str:
    return f"{setting.suite_title}, {PROTOCOLS[setting.protocol].title}"


def render_page(found: Collected, frames: int = 0, clips: bool = False, form: Form = PLAIN) -> str:
    """The page as text.

    Args:
        found: what `rolo_bench.report.data.collect` gathered.
        frames: pictures per sequence; they need the images.
        clips: whether a few seconds around the worst failure of each tracker are put in; they need the images.
        form: what trackers are called, and colours of theirs.

    Raises:
        DataError: pictures are wanted, and the suite was loaded without images.
    """
    scores = found.scores
    setting = describe(scores, found.published, form)
    table = matrix(scores)[list(setting.ranked)]
    lengths = dict(zip(scores["sequence"], scores["frames"]))
    flags = dict(zip(scores["sequence"], scores["attributes"]))
    rows, warnings = summary_rows(scores, setting), warnings_of(scores, found.metas)
    overlaps = overlaps_of(found, setting)
    losses = worst_losses(overlaps, setting.ranked) if overlaps else []
    fair = [r for r in rows if not r["oracle"]] or rows
    shown = pictures(found, setting, frames, losses if clips else ()) if frames or clips else []
    data = {
        "about": about(found, setting, rows, len(warnings)),
        "data": payload(found, setting, overlaps, losses),
        "pictures": shown,
    }
    return render(
        "report.html",
        ("charts.js", "tables.js", "report.js"),
        data,
        title=_title(setting),
        setting=setting,
        coverage=coverage(scores),
        warnings=warnings,
        rows=rows,
        scale=scale_of((r["auc_low"] for r in fair), (r["auc_high"] for r in fair)),
        trackers=[(setting.label(t), setting.looks()[t]) for t in setting.ranked],
        sequences=[
            (name, cells, " ".join(flags[name]), int(lengths[name]))
            for name, cells in heat_rows(table, setting.fair)
        ],
        attributes=attribute_rows(scores, setting) if any(scores["attributes"]) else [],
        conventions=found.conventions,
        provenance=provenance_rows(found.metas, setting),
        losses=[(setting.label(loss.tracker), loss) for loss in losses],
        first_frames={s.name: s.first_frame for s in found.scored_sequences()},
        clips=clips,
        dagger=DAGGER,
    )


def write_report(
    path: Path, found: Collected, frames: int = 0, clips: bool = False, form: Form = PLAIN
) -> Path:
    """Write the page; raises what `render_page` raises.

    Args:
        path: ends in ``.html``.
        found, frames, clips, form: as for `render_page`.

    Raises:
        UsageError: another ending.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: the report is a web page; name it .html")
    write_atomic(path, render_page(found, frames, clips, form))
    return path


def report_results(
    path: Path, results: str | os.PathLike[str] = "results", suite: str | None = None,
    trackers: Iterable[str] = (), data: str | os.PathLike[str] | None = None, partial: bool = False,
    protocol: str = "ope", conventions: Iterable[str] = (), frames: int = 6, exclude: Iterable[str] = (),
    clips: bool = False, form: Form = PLAIN, only: Iterable[str] = (), attributes: Iterable[str] = (),
    all_speeds: bool = False,
) -> Collected:  # fmt: skip
    """`write_report` of a results folder, which is named as for `rolo_bench.scores.scored.load_scores`.

    Without images at hand the page has no pictures, and a note of the scores (``attrs["notes"]``) says why.
    """
    store = Store(Path(results))
    name, why = chosen_suite(store, suite), []
    some: dict[str, Any] = {"only": tuple(only), "attributes": tuple(attributes), "tolerant": partial}
    try:
        loaded = load_suite(name, data, partial, images=frames > 0 or clips, **some)
    except DataError as error:
        if not frames and not clips:
            raise
        loaded, frames, clips = load_suite(name, data, partial, images=False, **some), 0, False
        why = [f"no pictures of frames: {error}"]
    trackers = chosen_trackers(store, name, protocol, trackers, exclude)
    rules = tuple(conventions) or dict.fromkeys([official(loaded.family), *RULES])
    found = collect(store, loaded, trackers, protocol, rules, partial, all_speeds)
    write_report(path, found, frames, clips, form)
    found.scores.attrs["notes"] += why
    return found


def latex_tables(scores: pd.DataFrame, folder: Path, published: Iterable[str] = ()) -> list[Path]:
    """``summary.tex, sequences.tex, attributes.tex, pairs.tex`` for a paper; needs the LaTeX package booktabs."""
    setting = describe(scores, published)
    fair = scores[scores["tracker"].isin(setting.fair)]
    tables = {
        "summary": for_people(summary(fair if len(fair) else scores)),
        "sequences": sequence_table(scores),
    }
    if any(scores["attributes"]):
        tables["attributes"] = attribute_table(scores)
    if fair["tracker"].nunique() > 1:
        tables["pairs"] = pairwise(matrix(fair))
    where = f"{setting.suite_title}, {setting.coverage}, {setting.protocol.upper()}, convention {setting.convention}."
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.tex"
        write_atomic(path, render_table(table, "latex", caption=where))
        written.append(path)
    return written
