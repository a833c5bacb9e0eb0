"""A DataFrame as text: for the terminal, CSV, Markdown, LaTeX or JSON.

CSV and JSON carry every column in full precision, for programs. The others are for people: rounded, the counts
of sequences written as ``16 of 30``, an interval as ``0.41 to 0.48``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolo_bench.errors import UsageError
from rolo_bench.scores.latex import latex

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "md", "latex", "json")
ENDINGS = {".csv": "csv", ".md": "md", ".tex": "latex", ".json": "json", ".txt": None}
"""Of files that tables are written to; None is what a terminal shows."""
DECIMALS = {"printed": 3, "fps": 1, "seconds": 1, "mean_rank": 2, "p": 4, "p_holm": 4, "p_best": 4}
LEAST = (
    "success75", "failures", "norm_precision", "mean_iou", "success50", "on", "tied", "vs_best", "auc_95", "dropped",
)  # fmt: skip
"""Columns of a summary, or of pairs, that a narrow terminal does without, the first to go first."""
MARKS = {
    "oracle": ("tracker", "oracle"),
    "published": ("tracker", "published"),
    "other_oracle": ("other", "oracle"),
}
"""Columns that mark a tracker: the column of its name, and the word that people read behind it."""


def format_of(path: Path | None, format_: str | None) -> str | None:
    """The format of a table that is written to a file, or printed: as asked for, else as the file's ending says.

    Raises:
        UsageError: the ending says nothing, or something else than was asked for.
    """
    ending = path.suffix.lower() if path else ".txt"
    if format_ is None and ending not in ENDINGS:
        raise UsageError(f"{path}: tables are written as {', '.join(ENDINGS)}; or give --format")
    if format_ and ENDINGS.get(ending) not in (None, format_):
        raise UsageError(f"{path}: its ending is not that of --format {format_}; leave one of them out")
    return format_ or ENDINGS[ending]


def display_name(tracker: str, **marks: bool) -> str:
    """The name under which people read of a tracker, with what must be known of it: ``yolo (oracle)``."""
    return tracker + "".join(f" ({word})" for word, holds in marks.items() if holds)


def called(trackers: Iterable[str], labels: Mapping[str, str]) -> dict[str, str]:
    """What each tracker is called where it has a label: that, else its name.

    Raises:
        UsageError: two of them would be called the same.
    """
    names = {tracker: labels.get(tracker, tracker) for tracker in trackers}
    owners: dict[str, str] = {}
    for tracker, name in names.items():
        if owners.setdefault(name, tracker) != tracker:
            both = " and ".join(sorted((owners[name], tracker)))
            raise UsageError(f"{both} would both be called {name!r}; give each a label of its own")
    return names


def render(table: pd.DataFrame, format_: str | None = None, decimals: int = 3, caption: str = "") -> str:
    """A table as text that ends with a newline.

    For people the columns of `MARKS` are read as a part of the names, and stand only there.

    Args:
        table: one row per line of output; columns that hold arrays are left out.
        format_: ``csv``, ``md``, ``latex``, ``json``, or None for the terminal.
        decimals: of scores, in the formats for people; speeds have one.
        caption: under a table for LaTeX.

    Raises:
        UsageError: unknown format.
    """
    import numpy as np

    plain = table[[c for c in table.columns if not (len(table) and isinstance(table[c].iloc[0], np.ndarray))]]
    if format_ == "csv":
        return plain.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    if format_ == "json":
        rows = [{str(k): _json_value(v) for k, v in row.items()} for row in plain.to_dict("records")]
        return json.dumps(rows, indent=1) + "\n"
    for mark, (name, word) in MARKS.items():
        if {mark, name} <= set(plain.columns):
            names = [display_name(t, **{word: bool(m)}) for t, m in zip(plain[name], plain[mark])]
            plain = plain.assign(**{name: names}).drop(columns=mark)
    header = [str(c) for c in plain.columns]
    cells = [
        [_cell(v, str(c), decimals) for c, v in zip(header, row)]
        for row in plain.itertuples(index=False, name=None)
    ]
    right = [plain[c].dtype.kind in "iuf" for c in plain.columns]
    if format_ is None:
        return _aligned(header, cells, right)
    if format_ == "md":
        return _markdown(header, cells, right)
    if format_ == "latex":
        return latex(header, cells, right, caption)
    raise UsageError(f"unknown format {format_!r}; known: {', '.join(FORMATS)}")


def for_people(summary: pd.DataFrame) -> pd.DataFrame:
    """A summary of `rolo_bench.scores.summary.summary` with the columns that people read.

    The interval is one column; ``sequences`` says ``16 of 30``, ``dropped``, where there are any, on how many frames
    the convention lets nobody win; ``vs_best`` says ``best``, ``same`` (the paired,
    Holm-corrected Wilcoxon test finds no difference at 0.05), the p value, or ``oracle``, which is never compared.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        c: summary[c] for c in ("tracker", "oracle", "published", "auc") if c in summary
    }
    if "auc_low" in summary:
        columns["auc_95"] = [
            f"{low:.3f} to {high:.3f}" if math.isfinite(low) else ""
            for low, high in zip(summary["auc_low"], summary["auc_high"])
        ]
    for name in ("precision", "norm_precision", "success50", "success75", "mean_iou", "failures", "fps"):
        if name in summary and summary[name].notna().any():
            columns[name] = summary[name]
    if "fps" not in columns:
        columns["fps"] = summary["fps"]
    if "dropped" in summary and (summary["dropped"] > 0).any():
        columns["dropped"] = [
            "" if math.isnan(n) else f"{int(n)} of {int(m)}"
            for n, m in zip(summary["dropped"], summary["frames"])
        ]
    columns["sequences"] = [
        f"{n} of {m}" if n != m else str(n)
        for n, m in zip(summary["sequences"].astype(int), summary["expected"].astype(int))
    ]
    if "p_best" in summary and len(summary) > 1:
        columns["vs_best"] = [_versus(r, p) for r, p in zip(summary["rank"], summary["p_best"])]
    return pd.DataFrame(columns)


def fit(table: pd.DataFrame, width: int, least: tuple[str, ...] = LEAST) -> tuple[pd.DataFrame, list[str]]:
    """A table whose lines fit a terminal of ``width`` columns, and the columns that were left out for it."""
    left_out: list[str] = []
    for name in least:
        if max(map(len, render(table).splitlines())) <= width:
            break
        if name in table:
            table = table.drop(columns=name)
            left_out.append(name)
    return table, left_out


def _versus(rank: float, p: float) -> str:
    if rank == 0:
        return "oracle"
    if rank == 1:
        return "best"
    if not math.isfinite(p):
        return ""
    return "same" if p >= 0.05 else p_text(p)


def p_text(p: float) -> str:
    """A p value in words: ``p = 0.012``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _json_value(value: Any) -> Any:
    """NaN becomes null, a tuple a list."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def _cell(value: Any, column: str, decimals: int) -> str:
    value = _json_value(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if column == "failures" or (column in ("sequences", "expected", "frames", "rank") and value % 1 == 0):
            return f"{value:.0f}"
        return f"{value:.{DECIMALS.get(column, decimals)}f}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _widths(header: list[str], cells: list[list[str]]) -> list[int]:
    return [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]


def _aligned(header: list[str], cells: list[list[str]], right: list[bool]) -> str:
    widths = _widths(header, cells)
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)).rstrip()
        for row in [header, ["-" * w for w in widths], *cells]
    ]
    return "\n".join(lines) + "\n"


def _markdown(header: list[str], cells: list[list[str]], right: list[bool]) -> str:
    escaped = [[c.replace("|", "\\|") for c in row] for row in [header, *cells]]
    rule = ["---:" if r else "---" for r in right]
    rows = [escaped[0], rule, *escaped[1:]]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
