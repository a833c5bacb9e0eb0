"""Which rule made a printed number: the paper's legends, and any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite, entries, load_annotations
from rolo_bench.errors import UsageError
from rolo_bench.paper import audit
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.conventions import CONVENTIONS, OTB_RULES
from rolo_bench.scores.tables import render
from rolo_bench.sequence import Sequence

OTB30 = tuple(e.name for e in entries("otb30"))


def found(**values: float) -> pd.DataFrame:
    """Readings with values by ``convention__measure``."""
    rows = [(*key.split("__"), value, "30 of 30") for key, value in values.items()]
    return pd.DataFrame(rows, columns=["convention", "measure", "value", "sequences"])


def test_explain_rounds_as_printed() -> None:
    table = audit.explain(found(otb__auc=0.43414, rolo2016__mean_iou=0.41008, pysot__auc=0.40951), "0.410")
    assert table["convention"].tolist() == ["rolo2016", "pysot", "otb"]
    assert table["prints_as"].tolist() == ["0.410", "0.410", "0.434"]
    assert table["reproduces"].tolist() == [True, True, False]
    text = audit.conclusion(table, "0.410")
    assert text == (
        "0.410 is reproduced by: mean overlap under rolo2016; area under the success curve under pysot."
    )
    # More decimals decide between the two.
    assert audit.explain(table, "0.4101")["reproduces"].sum() == 1


def test_explain_reads_percentages() -> None:
    readings = found(otb__auc=0.4617)
    for printed in ("46.2", "46.2%", "46.17 %"):
        assert audit.explain(readings, printed)["reproduces"].all(), printed
    assert not audit.explain(readings, "46.1")["reproduces"].any()
    assert (
        "No rule gives 0.50; the nearest is area under the success curve under otb: 0.46"
        in audit.conclusion(audit.explain(readings, "0.50"), "0.50")
    )


@pytest.mark.parametrize("text", ["", "many", "-0.4", "nan", "0.4.1"])
def test_explain_refuses_what_is_no_score(text: str) -> None:
    with pytest.raises(UsageError, match="--printed"):
        audit.explain(found(otb__auc=0.4), text)


def synthetic(tmp_path: Path, names: tuple[str, ...] = OTB30) -> tuple[Store, Suite]:
    """OTB-30 by name with made-up truth, and a STRUCK that is always one pixel off."""
    store, truth = Store(tmp_path), np.tile([10.0, 20.0, 30.0, 40.0], (25, 1))
    for name in names:
        store.save("otb30", RunResult("STRUCK", name, "ope", truth + [1, 0, 0, 0], np.full(25, 0.1)))
    sequences = tuple(Sequence(name, NoFrames(25), truth) for name in names)
    return store, Suite("otb30", sequences, OTB30, tuple(n for n in OTB30 if n not in names), "otb")


def test_boxes_of_another_run_are_recognised(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path)
    row = audit.paper_legends(store, suite).set_index("tracker").loc["STRUCK"]
    # 29 of 30 columns shared: overlap 29 * 40 / (2 * 30 * 40 - 29 * 40) = 29 / 31 in every frame
    assert row["rolo2016_mean_iou"] == pytest.approx(29 / 31) and row["prints_as"] == "0.935"
    assert row["verdict"] == "off by 0.5255: boxes of another run" and row["official_boxes"] == "0 of 30"


def test_partial_results_are_not_compared(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path, OTB30[:10])
    row = audit.paper_legends(store, suite, partial=True).set_index("tracker").loc["STRUCK"]
    assert row["verdict"] == "partial: not comparable" and row["sequences"] == "10 of 30"
    eight = (
        audit.paper_legends(store, suite, part="otb30-test", partial=True).set_index("tracker").loc["STRUCK"]
    )
    assert eight["verdict"] == "boxes not imported" and eight["sequences"] == "0 of 8"


def test_legends_without_boxes(tmp_path: Path) -> None:
    _, suite = synthetic(tmp_path)
    table = audit.paper_legends(Store(tmp_path / "empty"), suite).set_index("tracker")
    assert table.loc["YOLO+SORT", "verdict"] == "boxes not published"
    assert table.loc["LSK", "verdict"] == "boxes not imported"
    assert table.loc["LSK", "official_mean_iou"] == pytest.approx(0.3758, abs=5e-5)  # the published mean


def test_names_match_in_any_case_but_own_runs_are_not_the_papers(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path)
    (tmp_path / "otb30/ope/STRUCK").rename(tmp_path / "otb30/ope/Struck")
    for name in OTB30:
        store.save("otb30", RunResult("yolo", name, "ope", suite.sequences[0].truth, np.full(25, 0.1)))
    table = audit.paper_legends(store, suite).set_index("tracker")
    assert table.loc["STRUCK", "prints_as"] == "0.935" and table.loc["STRUCK", "official_boxes"] == "0 of 30"
    assert table.loc["YOLO", "verdict"] == "boxes not published" and np.isnan(
        table.loc["YOLO", "official_auc"]
    )


def test_legends_are_of_otb30(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path)
    with pytest.raises(UsageError, match="no legend for otb30-test and sre"):
        audit.paper_legends(store, suite, "sre", "otb30-test")
    with pytest.raises(UsageError, match="of the suite otb30, not of otb50"):
        audit.paper_legends(store, Suite("otb50", suite.sequences, suite.expected, family="otb"))


def test_readings_leave_out_what_a_rule_does_not_have(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path)
    table = audit.readings(store, suite, "STRUCK")
    assert len(table) == len(OTB_RULES) * len(audit.MEASURES) - 2  # rolo2016 has no precision of either kind
    with pytest.raises(UsageError, match=r"no results of CSK on otb30 \(ope\) in .*; known: STRUCK"):
        audit.require_tracker(store, suite, "ope", ("CSK",))


def test_compare_has_a_row_per_tracker_and_convention(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path)
    truth = suite.sequences[0].truth
    for name in OTB30:
        store.save("otb30", RunResult("exact", name, "ope", truth, np.full(25, 0.1)))
    table = audit.compare(store, suite)
    assert len(table) == 2 * len(OTB_RULES)
    assert table["tracker"].tolist() == ["exact"] * len(OTB_RULES) + ["STRUCK"] * len(OTB_RULES)
    struck = table[table["tracker"] == "STRUCK"].set_index("convention")
    # pysot scores the first output too: 29/31 there as elsewhere, so mean overlap drops below otb's
    assert struck.loc["otb", "mean_iou"] == pytest.approx((1 + 24 * 29 / 31) / 25)
    assert struck.loc["pysot", "mean_iou"] == pytest.approx(29 / 31)
    assert struck.loc["got10k", "auc_vs_otb"] == 0 and struck.loc["pysot", "sequences_changed"] == 30
    assert (struck["rank"] == 2).all()


def test_an_oracle_is_marked_and_has_no_rank(tmp_path: Path) -> None:
    store, suite = synthetic(tmp_path)
    for name in OTB30:
        store.save("otb30", RunResult("exact", name, "ope", suite.sequences[0].truth, np.full(25, 0.1)))
    store.write_meta("otb30", "ope", "exact", {"oracle": True, "sequences": {}})
    table = audit.compare(store, suite)
    assert set(zip(table["tracker"], table["oracle"], table["rank"])) == {
        ("exact", True, 0), ("STRUCK", False, 1),
    }  # fmt: skip
    text = render(table)
    assert text.count("exact") == text.count("exact (oracle)") == len(OTB_RULES)
    assert audit.readings(store, suite, "exact")["oracle"].all()
    assert "oracle" not in audit.readings(store, suite, "STRUCK")


@pytest.fixture
def struck(shared: Path, tmp_path: Path) -> list[str]:
    """The published STRUCK boxes as results on disk; options that name them and the annotations."""
    store = Store(tmp_path)
    for name in OTB30:
        raw = json.loads((shared / f"data/results/jwlim_json/STRUCK/{name}.json").read_text())[0]
        boxes = np.array(raw["res"], float) - [1, 1, 0, 0]
        store.save("otb30", RunResult("STRUCK", name, "ope", boxes, np.full(len(boxes), 1 / raw["fps"])))
    return ["--data", str(shared / "data/annotations"), "--results", str(tmp_path)]


@pytest.mark.shared
def test_struck_reproduces_the_paper(
    struck: list[str], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *struck, "--format", "json"]) == 0
    rows = [r for r in json.loads(capsys.readouterr().out) if r["tracker"] == "STRUCK"]
    assert [r["printed"] for r in rows] == [0.410, 0.428]
    assert [r["prints_as"] for r in rows] == ["0.410", "0.428"]
    assert [r["verdict"] for r in rows] == ["reproduced", "reproduced"]
    assert rows[0]["rolo2016_mean_iou"] == pytest.approx(0.41008, abs=5e-6)
    assert rows[1]["rolo2016_mean_iou"] == pytest.approx(0.4275, abs=1e-4)
    assert rows[0]["official_auc"] == pytest.approx(0.434140, abs=1e-6)
    assert [r["official_boxes"] for r in rows] == ["30 of 30", "8 of 8"]


@pytest.mark.shared
def test_audit_says_by_which_rule(struck: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *struck]) == 0
    text = capsys.readouterr().out
    said = (
        "mean overlap under the rule rolo2016",
        "ground truth most",
        "frame t + 1",
        "first third",
        "--sort shows",
    )
    for words in said:
        assert words in text
    assert main(["audit", *struck, "--printed", "0.410", "--tracker", "STRUCK"]) == 0
    out = capsys.readouterr()
    assert out.out.splitlines()[2].split()[:2] == ["rolo2016", "mean_iou"]
    assert "0.410 is reproduced by: mean overlap under rolo2016." in out.err


@pytest.mark.shared
def test_compare_conventions_command(struck: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare-conventions", *struck, "--format", "json"]) == 0
    rows = {r["convention"]: r for r in json.loads(capsys.readouterr().out)}
    assert set(rows) == set(OTB_RULES)
    assert rows["rolo2016"]["mean_iou"] == pytest.approx(0.41008, abs=5e-6)
    assert main(["compare-conventions", *struck]) == 0
    text = capsys.readouterr().out
    assert all(rule.rule in text for rule in map(CONVENTIONS.get, OTB_RULES))


@pytest.mark.shared
def test_misuse_is_one_line(struck: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for extra, words in (
        (["--printed", "0.4"], "needs one --tracker"),
        (["--tracker", "STRUCK"], "--tracker goes with --printed"),
        (["--printed", "x", "--tracker", "STRUCK"], "is not a number"),
    ):
        assert main(["audit", *struck, *extra]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


@pytest.mark.shared
def test_official_boxes_of_struck_are_recognised(shared: Path, struck: list[str], tmp_path: Path) -> None:
    suite = load_annotations("otb30", shared / "data/annotations")
    table = audit.paper_legends(Store(tmp_path), suite)
    assert table.set_index("tracker").loc["STRUCK", "official_boxes"] == "30 of 30"
