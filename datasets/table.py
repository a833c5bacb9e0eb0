"""Tables that ship with the package: which frames, names and spellings a benchmark uses is data, never code."""

from __future__ import annotations

import csv
from importlib.resources import files


def table_rows(name: str) -> list[dict[str, str]]:
    """Rows of a table that is shipped with the package; lines that begin with ``#`` are comments."""
    text = files("rolo_bench.datasets").joinpath("tables", name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if line and not line.startswith("#")))
