"""A page that leads to several reports, and puts their trackers side by side."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.report.html import heat_rows, render

ABOUT = re.compile(r'<script type="application/json" id="about">(.*?)</script>', re.DOTALL)
HEAD = 200_000
"""Characters at the beginning of a page in which it says what it is about."""


def read_about(path: Path) -> dict[str, Any] | None:
    """What a report says of itself (`rolo_bench.report.page.about`); None where a file is no report."""
    try:
        with path.open(encoding="utf-8") as file:
            match = ABOUT.search(file.read(HEAD))
        value = json.loads(match[1]) if match else None
    except (OSError, ValueError, RecursionError):
        return None
    return value if _is_about(value) else None


def _is_about(value: Any) -> bool:
    texts = ("title", "coverage", "convention", "made")
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(k), str) for k in texts)
        and isinstance(value.get("warnings"), int)
        and isinstance(value.get("trackers"), list)
        and all(_is_tracker(t) for t in value["trackers"])
    )


def _is_tracker(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("label"), str)
        and isinstance(value.get("auc"), float)
    )


def find_reports(
    folders: Iterable[str | os.PathLike[str]], but: Path | None = None
) -> dict[Path, dict[str, Any]]:
    """Reports among files and in folders with all that lies below them, and what each says of itself; by path.

    Raises:
        UsageError: one of them is not there.
        DataError: there is no report.
    """
    found = {}
    for folder in map(Path, folders):
        if not folder.exists():
            raise UsageError(
                f"{folder}: no such file or folder; name reports, or folders with reports in them"
            )
        for path in sorted(folder.rglob("*.html")) if folder.is_dir() else [folder]:
            value = read_about(path)
            if value is not None and (but is None or path.resolve() != but.resolve()):
                found[path] = value
    if not found:
        listed = ", ".join(str(f) for f in folders)
        raise DataError(f"{listed}: no reports there; make some with `rolo-bench report -o FOLDER/NAME.html`")
    return found


def render_index(reports: dict[Path, dict[str, Any]], home: Path) -> str:
    """The page as text; ``home`` is the folder in which it will lie, as its links are relative."""
    import pandas as pd

    rows, columns = [], {}
    for number, (path, value) in enumerate(reports.items(), start=1):
        fair = [t for t in value["trackers"] if not t.get("oracle")] or value["trackers"]
        best = max(fair, key=lambda t: t["auc"], default={"label": "", "auc": math.nan})
        link = quote(Path(os.path.relpath(path.resolve(), home.resolve())).as_posix())
        rows.append(
            value
            | {
                "number": number,
                "link": link,
                "name": path.stem,
                "best": best,
                "count": len(value["trackers"]),
            }
        )
        columns[number] = {t["label"]: t["auc"] for t in value["trackers"]}
    table = pd.DataFrame(columns)
    order = table.mean(axis=1).sort_values(ascending=False, kind="stable").index
    heat = heat_rows(table.loc[order], ()) if len(table) else []
    return render("index.html", ("tables.js",), {}, title="Reports", rows=rows, heat_rows=heat)


def write_index(path: Path, folders: Iterable[str | os.PathLike[str]]) -> dict[Path, dict[str, Any]]:
    """Write an index over the reports in some folders; gives what was found.

    Raises:
        UsageError: the file does not end in ``.html``, or as `find_reports`.
        DataError: as `find_reports`.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: the index is a web page; name it .html")
    found = find_reports(folders, but=path)
    write_atomic(path, render_index(found, path.parent))
    return found
