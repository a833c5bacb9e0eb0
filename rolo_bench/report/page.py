"""One self-contained HTML page of a result set, and the same tables for LaTeX.

The page loads nothing from anywhere: styles, script, curves, overlaps and thumbnails are inside, and a content
policy in it forbids everything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.datasets.suites import ATTRIBUTES, load_suite
from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.plots.context import Setting, describe
from rolo_bench.plots.style import DAGGER
from rolo_bench.protocols import PROTOCOLS
from rolo_bench.report.data import Collected, collect, payload, thumbnails
from rolo_bench.run.store import Store
from rolo_bench.scores.conventions import official
from rolo_bench.scores.provenance import in_words, origin, warnings_of
from rolo_bench.scores.scored import chosen_suite, chosen_trackers
from rolo_bench.scores.statistics import pairwise, sequences_won
from rolo_bench.scores.summary import attribute_table, coverage, matrix, sequence_table, summary
from rolo_bench.scores.tables import for_people, p_text, render

if TYPE_CHECKING:
    import pandas as pd

RULES = ("otb", "got10k", "pysot", "pytracking", "rolo2016")
"""Conventions of a report after the suite's official one, which leads."""
CIVIDIS = ((0, 34, 78), (65, 77, 107), (124, 123, 120), (187, 172, 106), (254, 232, 56))
"""Five points of matplotlib's cividis: readable with every kind of colour vision, and in grey."""


@dataclass(frozen=True)
class Cell:
    """One coloured cell of a table: its number, background, ink, and whether it is the best of its row."""

    value: str
    paper: str
    ink: str
    best: bool


def shade(value: float) -> tuple[str, str]:
    """Background and ink for a score of 0 … 1; NaN is white."""
    if not np.isfinite(value):
        return "#ffffff", "#222222"
    at = min(max(value, 0.0), 1.0) * (len(CIVIDIS) - 1)
    k = min(int(at), len(CIVIDIS) - 2)
    mixed = [round(a + (b - a) * (at - k)) for a, b in zip(CIVIDIS[k], CIVIDIS[k + 1])]
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#ffffff" if value < 0.5 else "#000000"


def heat_rows(table: pd.DataFrame, fair: Iterable[str]) -> list[tuple[str, list[Cell]]]:
    """Rows ``(name, cells)`` of a table with a column per tracker; best among ``fair`` ones only."""
    counted = [c in set(fair) for c in table.columns]
    rows = []
    for name, row in zip(table.index, table.to_numpy(float)):
        pool = np.where(counted, row, -np.inf)
        top = np.nanmax(pool) if np.isfinite(pool).any() else np.inf
        cells = [
            Cell(f"{v:.3f}" if np.isfinite(v) else "\N{EN DASH}", *shade(v), bool(p >= top - 1e-9))
            for v, p in zip(row, pool)
        ]
        rows.append((str(name), cells))
    return rows


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


def render_page(found: Collected, pictures: dict[str, list[dict[str, str]]] | None = None) -> str:
    """The page as text.

    Args:
        found: what `rolo_bench.report.data.collect` gathered.
        pictures: thumbnails per sequence, as `rolo_bench.report.data.thumbnails` makes them.
    """
    import jinja2
    from markupsafe import Markup

    scores = found.scores
    setting = describe(scores, found.published)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(_template("report.html"))
    table = matrix(scores)[list(setting.ranked)]
    lengths = dict(zip(scores["sequence"], scores["frames"]))
    flags = dict(zip(scores["sequence"], scores["attributes"]))
    return page.render(
        title=f"{setting.suite_title}, {PROTOCOLS[setting.protocol].title}",
        setting=setting,
        coverage=coverage(scores),
        warnings=warnings_of(scores, found.metas),
        rows=summary_rows(scores, setting),
        trackers=[(setting.label(t), setting.looks()[t]) for t in setting.ranked],
        sequences=[
            (name, cells, " ".join(flags[name]), int(lengths[name]))
            for name, cells in heat_rows(table, setting.fair)
        ],
        attributes=attribute_rows(scores, setting) if any(scores["attributes"]) else [],
        attribute_names=ATTRIBUTES,
        conventions=found.conventions,
        provenance=provenance_rows(found.metas, setting),
        dagger=DAGGER,
        version=version("rolo-bench"),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup(_template("report.css")),
        script=Markup(_template("report.js")),
        data=Markup(_script_json(payload(found, setting))),
        pictures=Markup(_script_json(pictures or {})),
    )


def _template(name: str) -> str:
    return files("rolo_bench.report").joinpath("templates", name).read_text(encoding="utf-8")


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def write_report(path: Path, found: Collected, frames: int = 0) -> Path:
    """Write the page.

    Args:
        path: ends in ``.html``.
        found: results and scores.
        frames: thumbnails per sequence; they need the images.

    Raises:
        UsageError: another ending.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: the report is a web page; name it .html")
    write_atomic(path, render_page(found, thumbnails(found, frames) if frames else None))
    return path


def report_results(
    path: Path, results: str | os.PathLike[str] = "results", suite: str | None = None,
    trackers: Iterable[str] = (), data: str | os.PathLike[str] | None = None, partial: bool = False,
    protocol: str = "ope", conventions: Iterable[str] = (), frames: int = 3, exclude: Iterable[str] = (),
) -> Collected:  # fmt: skip
    """`write_report` of a results folder, which is named as for `rolo_bench.scores.scored.load_scores`.

    Without images at hand the page has no pictures, and a note of the scores (``attrs["notes"]``) says why.
    """
    store = Store(Path(results))
    name, why = chosen_suite(store, suite), []
    try:
        loaded = load_suite(name, data, partial, images=frames > 0, tolerant=partial)
    except DataError as error:
        if not frames:
            raise
        loaded, frames = load_suite(name, data, partial, images=False, tolerant=partial), 0
        why = [f"no pictures of frames: {error}"]
    trackers = chosen_trackers(store, name, protocol, trackers, exclude)
    rules = tuple(conventions) or dict.fromkeys([official(loaded.family), *RULES])
    found = collect(store, loaded, trackers, protocol, rules, partial)
    write_report(path, found, frames)
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
    head = (
        f"% {setting.suite_title}, {setting.coverage}, {setting.protocol}, convention {setting.convention}\n"
    )
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.tex"
        write_atomic(path, head + render(table, "latex"))
        written.append(path)
    return written
