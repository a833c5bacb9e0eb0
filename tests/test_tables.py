"""Tables as text in every format."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from rolo_bench.errors import UsageError
from rolo_bench.scores.tables import FORMATS, fit, for_people, render

TABLE = pd.DataFrame(
    {
        "tracker": ["a|b_1", "50% & more"],
        "auc": [1 / 3, np.nan],
        "fps": [123.456, 7.0],
        "failures": [12, 3],
        "oracle": [True, False],
    }
)


def test_terminal_aligns_columns() -> None:
    lines = render(TABLE).splitlines()
    assert lines[0] == "tracker           auc    fps  failures"
    assert lines[1] == "--------------  -----  -----  --------"
    assert lines[2] == "a|b_1 (oracle)  0.333  123.5        12"
    assert lines[3] == "50% & more          -    7.0         3"


def test_csv_keeps_full_precision_and_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(render(TABLE, "csv"))))
    assert float(rows[0]["auc"]) == pytest.approx(1 / 3, abs=1e-10) and rows[1]["auc"] == ""
    assert rows[1]["tracker"] == "50% & more"


def test_json_has_null_for_nan() -> None:
    rows = json.loads(render(TABLE, "json"))
    assert rows[0]["auc"] == 1 / 3 and rows[1]["auc"] is None and rows[0]["oracle"] is True
    assert "NaN" not in render(TABLE, "json")


def test_markdown_escapes_bars_and_aligns_numbers() -> None:
    lines = render(TABLE, "md").splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[2] == r"| a\|b_1 (oracle) | 0.333 | 123.5 | 12 |"


def test_latex_escapes_its_special_characters() -> None:
    text = render(TABLE, "latex")
    assert text.startswith("\\begin{tabular}{lrrr}\n\\toprule\n") and text.endswith("\\end{tabular}\n")
    assert r"a|b\_1 (oracle) & 0.333" in text and r"50\% \& more & - &" in text
    assert render(pd.DataFrame({"a": ["\\~^"]}), "latex").count(r"\text") == 3


def test_columns_of_arrays_are_left_out() -> None:
    table = TABLE.assign(success=[np.zeros(21), np.zeros(21)])
    for format_ in (None, *FORMATS):
        assert render(table, format_) == render(TABLE, format_)


def test_empty_table_and_unknown_format() -> None:
    empty = pd.DataFrame({"tracker": [], "auc": []})
    for format_ in (None, *FORMATS):
        assert render(empty, format_).endswith("\n")
    with pytest.raises(UsageError, match="unknown format 'xml'; known: csv, md, latex, json"):
        render(TABLE, "xml")


def test_for_people() -> None:
    summary = pd.DataFrame(
        {
            "tracker": ["a", "b", "c"], "auc": [0.5, 0.4, 0.1], "auc_low": [0.4, 0.3, np.nan],
            "auc_high": [0.6, 0.5, np.nan], "precision": [np.nan] * 3, "failures": [1, 2, 3], "fps": [np.nan] * 3,
            "sequences": [16, 16, 30], "expected": [30, 30, 30], "rank": [1, 2, 3], "p_best": [1.0, 0.2, 0.0001],
        }
    )  # fmt: skip
    table = for_people(summary)
    assert "precision" not in table and "fps" in table  # nothing to say; speed always has its column
    assert table["auc_95"].tolist() == ["0.400 to 0.600", "0.300 to 0.500", ""]
    assert table["sequences"].tolist() == ["16 of 30", "16 of 30", "30"]
    assert table["vs_best"].tolist() == ["best", "same", "p < 0.001"]


def test_fit_drops_the_least_columns_first() -> None:
    table = pd.DataFrame({"tracker": ["a"], "auc": [0.5], "success75": [0.5], "failures": [3], "fps": [1.0]})
    whole, left_out = fit(table, 200)
    assert list(whole) == list(table) and left_out == []
    narrow, left_out = fit(table, len("tracker    auc  failures  fps"))
    assert left_out == ["success75"] and list(narrow) == ["tracker", "auc", "failures", "fps"]
    narrow, left_out = fit(table, 10)  # what cannot fit keeps what matters
    assert left_out == ["success75", "failures"] and list(narrow) == ["tracker", "auc", "fps"]
