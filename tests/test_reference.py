"""Published numbers that ship with the package."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.datasets.suites import entries
from rolo_bench.errors import UsageError
from rolo_bench.scores import published as reference

OTB30 = [e.name for e in entries("otb30")]
TB100 = [e.name for e in entries("otb100")]


@pytest.mark.parametrize("name", reference.TABLES)
def test_every_table_loads_and_names_its_source(name: str) -> None:
    table = reference.table(name)
    assert len(table) > 3 and len(reference.source(name)) > 20
    assert not table.duplicated().any()


def test_tables_are_the_ones_that_are_shipped() -> None:
    folder = Path(str(reference.files("rolo_bench.published")))
    assert {p.stem for p in folder.glob("*.csv")} == set(reference.TABLES)
    listed = (folder / "README.md").read_text()
    assert all(f"`{name}.csv`" in listed for name in reference.TABLES)


def test_sequences_carry_our_names() -> None:
    for name in ("nine_trackers_tb100", "nine_trackers_cvpr13", "struck_conventions_otb30"):
        assert set(reference.table(name)["sequence"]) <= set(TB100)
    counts = reference.table("nine_trackers_tb100").groupby("tracker")["sequence"].nunique()
    assert len(counts) == 9 and (counts == 100).all()
    assert set(reference.table("nine_trackers_cvpr13")["sequence"]) == {e.name for e in entries("cvpr13")}


def test_all_of_tb100() -> None:
    table = reference.published_summary(TB100).set_index("tracker")
    # The authors' own summary of STRUCK on TB-100: overlap 46.17, precision at 20 px 0.639.
    assert table.loc["STRUCK", "auc"] == pytest.approx(0.4617, abs=5e-5)
    assert table.loc["STRUCK", "precision"] == pytest.approx(0.6391, abs=5e-5)
    assert table["auc"].notna().all() and (table["sequences"] == 100).all()
    assert (
        len(table) == 9 + 6 and table.loc["SiamBAN", "auc"] == 0.696 and table.loc["SiamFC", "auc"] == 0.582
    )
    assert reference.published_summary(TB100, ["MDNet"])["tracker"].tolist() == ["MDNet"]


def test_otb30_has_auc_of_struck_alone() -> None:
    table = reference.published_summary(OTB30).set_index("tracker")
    assert table.loc["STRUCK", "auc"] == pytest.approx(0.434140, abs=1e-6)
    assert table["auc"].notna().sum() == 1 and table["mean_iou"].notna().all()


def test_sequences_of_2013_have_auc_of_all_nine() -> None:
    table = reference.published_summary(["Tiger1", "Tiger2"], ["CSK"])
    assert table["auc"].notna().all() and table["precision"].isna().all() and len(table) == 1
    whole = reference.published_summary([e.name for e in entries("cvpr13")]).set_index("tracker")
    assert whole.loc["STRUCK", "auc"] == pytest.approx(0.474, abs=5e-4)  # as their plot prints it


def test_nothing_for_other_sequences() -> None:
    assert reference.published_summary(["Couple", "my video"]).empty
    assert reference.published_summary([]).empty
    with pytest.raises(UsageError, match="unknown table"):
        reference.table("votes")


def test_curves_are_curves() -> None:
    curves = reference.published_curves()
    assert set(curves) == set(reference.trackers())
    for pair in curves.values():
        assert pair["success"].shape == (21,) and (np.diff(pair["success"]) <= 0).all()
        assert pair["precision"].shape == (51,) and (np.diff(pair["precision"]) >= 0).all()


def test_legends_and_steps() -> None:
    assert reference.legends()["STRUCK"] == 0.410 and reference.legends("otb30-test")["STRUCK"] == 0.428
    assert reference.legends("otb30", "tre")["ROLO"] == 0.562 and len(reference.legends()) == 14
    assert reference.legends("otb30-test", "sre") == {}
    steps = reference.steps().set_index("steps")
    assert steps.loc[6, "mean_iou"] == 0.458 and steps.loc[6, "lstm_fps"] == 61
    assert {"STRUCK", "CSK"} <= set(reference.speeds()["tracker"])


@pytest.mark.shared
def test_numbers_are_those_of_the_sources(shared: Path) -> None:
    table = reference.table("nine_trackers_tb100").set_index(["tracker", "sequence"])
    aliases = {a.lower(): e.name for e in entries("otb100") for a in (e.name, *e.aliases)}
    for name in reference.trackers():
        scores = json.loads((shared / f"data/results/jwlim_json/scores_tb100/{name}.json").read_text())
        for seq, overlap, errors in zip(scores["seqs"], scores["overlapScores"], scores["errorNum"]):
            row = table.loc[(name, aliases[seq.lower()])]
            assert row["mean_iou"] == pytest.approx(overlap, abs=1e-6)
            assert row["success50"] == pytest.approx(1 - errors / 10, abs=1e-6)
    with (shared / "data/published/otb30_nine_trackers_per_sequence.csv").open() as file:
        for row in csv.DictReader(file):
            for name in reference.trackers():
                ours = table.loc[(name, row["sequence"])]
                assert ours["mean_iou"] == pytest.approx(float(row[f"{name}_meanIoU"]), abs=2e-6)
                assert ours["success50"] == pytest.approx(float(row[f"{name}_SR50"]), abs=2e-6)
