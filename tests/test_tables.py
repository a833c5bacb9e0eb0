"""Tables as text in every format."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rolo_bench.errors import UsageError
from rolo_bench.scores.score import score
from rolo_bench.scores.statistics import pairwise
from rolo_bench.scores.summary import attribute_table, matrix, summary
from rolo_bench.scores.tables import FORMATS, fit, for_people, render
from tests.helpers_scores import made_up

PAPER = r"""\documentclass[10pt,twocolumn,letterpaper]{article}
\setlength{\textwidth}{6.875in}\setlength{\columnsep}{0.3125in}\setlength{\textheight}{8.875in}
\setlength{\oddsidemargin}{-0.19in}\setlength{\topmargin}{-0.5in}\setcounter{totalnumber}{9}
\usepackage{booktabs, graphicx}
\begin{document}
"""

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


def test_latex_is_a_float_with_real_headers_and_its_packages_named() -> None:
    text = render(TABLE, "latex", caption="50 % of demo_2")
    assert text.startswith("% needs \\usepackage{booktabs}\n\\begin{table}[t]\n") and text.endswith(
        "\\end{table}\n"
    )
    assert r"Tracker & AUC & FPS & Failures \\" in text and r"\caption{50 \% of demo\_2}" in text
    assert r"a$|$b\_1 (oracle) & 0.333" in text and r"50\% \& more & -- &" in text
    assert "\\caption" not in render(TABLE, "latex")


def test_latex_marks_the_best_and_the_second_and_no_oracle() -> None:
    table = pd.DataFrame(
        {
            "tracker": ["a", "b", "c", "d", "peek"], "auc": [0.7, 0.6, 0.6, 0.1, 0.9], "failures": [3, 1, 2, 9, 0],
            "fps": [1.0, 2, 3, 4, 5], "oracle": [False] * 4 + [True],
            "vs_best": ["best", "same", "p = 0.012", "p < 0.001", "oracle"],
        }
    )  # fmt: skip
    text = render(table, "latex")
    assert r"a & \textbf{0.700} & 3 &" in text and r"b & \underline{0.600} & \textbf{1} &" in text
    assert r"c & \underline{0.600} & \underline{2} &" in text and r"peek (oracle) & 0.900 & 0 &" in text
    assert "$p<0.001$" in text and "$p=0.012$" in text and text.count("textbf") == 2


def test_latex_of_sequences_marks_each_row_and_sets_the_mean_apart() -> None:
    table = pd.DataFrame(
        {"sequence": ["One", "mean"], "a": [0.5, 0.4], "b": [0.4, 0.5], "c (oracle)": [0.9, 0.9]}
    )
    text = render(table, "latex")
    assert r"One & \textbf{0.500} & \underline{0.400} & 0.900 \\" in text
    assert "\\midrule\nmean & \\underline{0.400} & \\textbf{0.500} & 0.900" in text
    assert r"Sequence & a & b & c (oracle) \\" in text


def test_latex_goes_over_the_page_or_into_several_floats_where_it_must() -> None:
    columns = {f"tracker-{k:02d}": [0.5, 0.25] for k in range(30)}
    five = pd.DataFrame({"sequence": ["One", "mean"], **dict(list(columns.items())[:6])})
    many = pd.DataFrame({"sequence": ["One", "mean"], **columns})
    assert render(five, "latex").count(r"\begin{table*}") == 1
    text = render(many, "latex", caption="All")
    assert (
        text.startswith("% needs \\usepackage{booktabs, graphicx}\n")
        and r"\rotatebox{90}{tracker-29}" in text
    )
    assert text.count(r"\begin{table*}") == text.count("mean &") == 2 and text.count("(continued)") == 1
    heads = [line.count("rotatebox") for line in text.splitlines() if line.startswith("Sequence &")]
    assert heads == [15, 15]
    long = pd.DataFrame({"sequence": [f"S{k}" for k in range(100)], "a": 0.5})
    assert render(long, "latex").count(r"\begin{table}") == 3


NAMES = [
    "\\~^&%$#_{}",
    '<a>|"b"',
    "--x---",
    "[first]",
    "*star",
    "?`!`",
    "\u00e9\u010d\u0142\u00f8\u00df",
    "\u8ddf\u8e2a",
    "a\tb",
]


def awkward() -> pd.DataFrame:
    """Tables whose names hold every character that LaTeX minds."""
    return pd.DataFrame(
        {
            "tracker": NAMES, "auc": np.linspace(0.9, 0.1, len(NAMES)), "difference": -0.25,
            "auc_95": "0.1 to 0.2", "vs_best": "p < 0.001",
        }
    )  # fmt: skip


def test_latex_escapes_what_it_must() -> None:
    text = render(awkward(), "latex")
    assert r"\textbackslash{}\textasciitilde{}\textasciicircum{}\&\%\$\#\_\{\} &" in text
    assert "$<$a$>$$|$" in text and "-{}-x-{}-" in text and "{[}first] &" in text and "{*}star &" in text
    assert (
        r"\'{e}\v{c}\l{}\o{}\ss{} &" in text and "{[}U+8DDF]{[}U+8E2A] &" in text and "a{[}U+0009]b &" in text
    )
    assert "$-0.250$" in text and "0.1--0.2" in text and text.isascii()


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles_and_fits_a_page_of_two_columns(tmp_path: Path) -> None:
    wide = pd.DataFrame(
        {"sequence": [*(f"S{k}" for k in range(60)), "mean"], **{f"tracker-{k:02d}": 0.5 for k in range(30)}}
    )
    scores = score(*made_up(tuple(f"tracker-{k:02d}" for k in range(12)), frames=30))
    tables = [awkward(), wide, for_people(summary(scores)), attribute_table(scores), pairwise(matrix(scores))]
    parts = [render(t, "latex", caption="50 % of a_b, p < 1") for t in tables]
    (tmp_path / "a.tex").write_text(PAPER + "\n".join(parts) + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    log = (tmp_path / "a.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log and "Missing character" not in log and "too large for page" not in log


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
    pairs = pd.DataFrame({"tracker": ["a"], "tied": [0], "on": ["16 sequences"]})
    assert fit(pairs, 27)[1] == [] and fit(pairs, 26)[1] == ["on"]  # cells count, not heads alone
    narrow, left_out = fit(table, 10)  # what cannot fit keeps what matters
    assert left_out == ["success75", "failures"] and list(narrow) == ["tracker", "auc", "fps"]
