"""Scores from results on disk: the columns, what counts, what is refused."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rolo_bench.boxfiles import parse_fixed, parse_table
from rolo_bench.cli import main
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError, UsageError
from rolo_bench.protocols import SRE_SHIFTS, tre_starts
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.provenance import metas_of, warnings_of
from rolo_bench.scores.score import CURVES, score
from rolo_bench.scores.summary import (
    by_attribute,
    coverage,
    labels,
    matrix,
    mean_curves,
    summary,
    view,
    with_published,
)
from rolo_bench.scores.tables import for_people, render
from rolo_bench.sequence import Sequence
from tests.helpers_scores import made_up

SQUARE = np.array([10.0, 10.0, 10.0, 10.0])


def sequence(name: str, frames: int = 30, attributes: tuple[str, ...] = ()) -> Sequence:
    return Sequence(name, NoFrames(frames), np.tile(SQUARE, (frames, 1)), attributes)


def suite(*names: str, expected: tuple[str, ...] = ()) -> Suite:
    missing = tuple(n for n in expected if n not in names)
    flags = {"One": ("OCC", "SV"), "Two": ("SV",)}
    return Suite(
        "tiny",
        tuple(sequence(n, attributes=flags.get(n, ())) for n in names),
        expected or names,
        missing,
        "otb",
    )


def result(tracker: str, name: str, hits: int, frames: int = 30, **kwargs) -> RunResult:
    """Boxes that are exact on the first ``hits`` frames and far off afterwards; 0.1 s a frame."""
    boxes = np.tile(SQUARE, (frames, 1))
    boxes[hits:, 0] += 500
    return RunResult(tracker, name, kwargs.pop("protocol", "ope"), boxes, np.full(frames, 0.1), **kwargs)


UNKNOWN = "bad, good: no record (run.json) says what made these boxes"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    for name, good, bad in (("One", 30, 15), ("Two", 24, 6), ("Three", 15, 15)):
        store.save("tiny", result("good", name, good))
        store.save("tiny", result("bad", name, bad))
    return store


def test_columns_and_values(store: Store) -> None:
    scores = score(store, suite("One", "Two", "Three"))
    columns = (
        "tracker sequence segment suite protocol convention expected oracle attributes auc precision20 norm_auc "
        "success50 success75 mean_iou lt_precision lt_recall failures dropped counted fps seconds frames"
    )
    assert set(scores.columns) == {*columns.split(), "confidence", *(f"{c}_curve" for c in CURVES)}
    assert len(scores) == 6 and scores.attrs["notes"] == [UNKNOWN]
    row = scores[(scores["tracker"] == "good") & (scores["sequence"] == "Two")].iloc[0]
    # 24 of 30 frames overlap by 1: success 0.8 at 20 thresholds, 0 at the last.
    assert row["auc"] == pytest.approx(0.8 * 20 / 21) and row["mean_iou"] == pytest.approx(0.8)
    assert row["precision20"] == row["success50"] == row["success75"] == pytest.approx(0.8)
    assert row["norm_auc"] == pytest.approx(0.8) and row["failures"] == 6
    assert row["fps"] == pytest.approx(10) and row["seconds"] == pytest.approx(3) and row["frames"] == 30
    assert row["success_curve"].shape == (21,)
    assert row["precision_curve"].shape == row["norm_precision_curve"].shape == (51,)
    assert row["attributes"] == ("SV",) and row["expected"] == 3 and not row["oracle"]
    assert row["segment"] is None and row["convention"] == "otb" and row["protocol"] == "ope"


def test_summary_is_the_mean_over_sequences(store: Store) -> None:
    table = summary(score(store, suite("One", "Two", "Three")))
    assert table["tracker"].tolist() == ["good", "bad"] and table["rank"].tolist() == [1, 2]
    best = table.iloc[0]
    assert best["auc"] == pytest.approx((1 + 0.8 + 0.5) / 3 * 20 / 21)
    assert best["precision"] == pytest.approx((1 + 0.8 + 0.5) / 3)
    assert best["failures"] == 0 + 6 + 15 and best["sequences"] == best["expected"] == 3
    assert best["auc_low"] <= best["auc"] <= best["auc_high"] and best["fps"] == pytest.approx(10)
    assert {"tracker", "auc", "precision", "fps"} <= set(table.columns)
    assert coverage(table) == "3 sequences"
    assert table["same_as_best"].all()  # three sequences prove nothing


def test_runs_of_one_tracker_are_taken_together(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, hits in (("a_000", 30), ("a_001", 24), ("a_002", 27), ("b", 15)):
        store.save("tiny", result(name, "One", hits))
    table = view(score(store, suite("One"), convention="plain"), "repeats").set_index("tracker")
    # AUC is the share of hits: 1, 0.8 and 0.9; mean 0.9, standard deviation 0.1
    assert table.loc["a", ["auc", "auc_spread", "auc_low", "auc_high"]].tolist() == pytest.approx(
        [0.9, 0.1, 0.8, 1]
    )
    assert (
        table.loc["a", "runs"] == 3 and table.loc["b", "runs"] == 1 and np.isnan(table.loc["b", "auc_spread"])
    )
    assert table.index.tolist() == ["a", "b"]
    store.save("tiny", result("a", "One", 30))  # an earlier run, with the seed of a_000
    table = view(score(store, suite("One"), convention="plain"), "repeats").set_index("tracker")
    assert table.loc["a_*", ["runs", "auc", "auc_spread"]].tolist() == pytest.approx([3, 0.9, 0.1])
    assert table.loc["a", "runs"] == 1 and len(table) == 3


def test_got10k_pools_the_frames_of_all_sequences(tmp_path: Path) -> None:
    # 10 of 10 frames after the first are met, and 20 of 40: pooled 30 of 50, not the mean of 1 and 0.5.
    store = Store(tmp_path)
    store.save("tiny", result("t", "One", 11, frames=11))
    store.save("tiny", result("t", "Two", 21, frames=41))
    got = Suite("tiny", (sequence("One", 11), sequence("Two", 41)), ("One", "Two"), family="got10k")
    table = summary(score(store, got))
    assert table["auc"].tolist() == table["success50"].tolist() == [pytest.approx(0.6)]
    assert mean_curves(score(store, got))["t"]["success"][:20] == pytest.approx(0.6)
    assert np.isnan(table["precision"].iloc[0]) and table["convention"].iloc[0] == "got10k-ao"


def test_dropped_frames_are_counted_in_the_table(tmp_path: Path) -> None:
    store, truth = Store(tmp_path), np.tile(SQUARE, (10, 1))
    truth[7:, 0] = -5
    edge = Suite("tiny", (Sequence("One", NoFrames(10), truth),), ("One",))
    store.save("tiny", RunResult("t", "One", "ope", truth, np.ones(10)))
    assert for_people(summary(score(store, edge, convention="otb")))["dropped"].tolist() == ["3 of 10"]
    assert "dropped" not in for_people(summary(score(store, edge)))
    assert score(store, edge)["auc"].tolist() == [1.0]


def test_results_that_do_not_begin_with_the_truth_are_named(tmp_path: Path) -> None:
    store, truth = Store(tmp_path), np.tile(SQUARE, (10, 1)) + np.arange(10.0)[:, None] * [5, 3, 0, 0]
    one = Suite("tiny", (Sequence("One", NoFrames(10), truth),), ("One",))
    made = {
        "corners": np.hstack([truth[:, :2], truth[:, :2] + truth[:, 2:] + 1]),
        "zero": truth - [1, 1, 0, 0],
    }
    for name, boxes in (made | {"fits": truth}).items():
        store.save("tiny", RunResult(name, "One", "ope", boxes, np.ones(10)))
    lines = score(store, one).attrs["misfits"]
    assert [line.split(":")[0] for line in lines] == ["corners on One", "zero on One"]
    assert "--corners" in lines[0] and "--zero-based" in lines[1]
    last = warnings_of(score(store, one), metas_of(score(store, one), store))[-1]
    assert last.head == "2 results do not begin with the truth" and list(last.details) == lines


def test_long_term_measures_by_hand(tmp_path: Path) -> None:
    # 10 frames, the target is gone in the last 4. Shy says so and is right; bold goes on: 6 of its 10 outputs overlap
    # by 1; blind never answers again after frame 3 of 10.
    truth = np.tile(SQUARE, (10, 1))
    gone = np.arange(10) >= 6
    one = Suite("tiny", (Sequence("One", NoFrames(10), truth, absent=gone),), ("One",))
    store = Store(tmp_path)
    for name, silent in (("bold", np.zeros(10, bool)), ("shy", gone), ("blind", np.arange(10) >= 3)):
        boxes = np.where(silent[:, None], np.nan, truth)
        store.save("tiny", RunResult(name, "One", "ope", boxes, np.ones(10)))
    table = view(score(store, one), "longterm").set_index("tracker")
    assert table.loc["shy", ["precision", "recall", "f"]].tolist() == [1, 1, 1]
    assert table.loc["bold", ["precision", "recall"]].tolist() == pytest.approx([0.6, 1])
    assert table.loc["bold", "f"] == pytest.approx(2 * 0.6 / 1.6)
    assert table.loc["blind", ["precision", "recall"]].tolist() == pytest.approx([1, 0.5])
    assert table.index.tolist() == ["shy", "bold", "blind"]


def test_equal_trackers_share_a_rank(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("a", "b"):
        store.save("tiny", result(name, "One", 20))
    table = summary(score(store, suite("One")))
    assert table["rank"].tolist() == [1, 1] and (table["p_best"] == 1).all() and table["same_as_best"].all()


def test_curves_matrix_and_attributes(store: Store) -> None:
    scores = score(store, suite("One", "Two", "Three"))
    curves = mean_curves(scores)
    assert list(curves) == ["good", "bad"]
    assert np.allclose(curves["good"]["success"][:20], (1 + 0.8 + 0.5) / 3)
    wide = matrix(scores)
    assert wide.index.tolist() == ["One", "Two", "Three"]
    assert wide.loc["Two", "bad"] == pytest.approx(6 / 30 * 20 / 21)
    table = by_attribute(scores).set_index(["attribute", "tracker"])
    assert table.loc[("SV", "good"), "auc"] == pytest.approx((1 + 0.8) / 2 * 20 / 21)
    assert table.loc[("OCC", "bad"), "mean_iou"] == pytest.approx(0.5)
    assert table.loc[("ALL", "good"), "sequences"] == 3 and table.loc[("OCC", "good"), "sequences"] == 1


def test_partial_suite_says_so(store: Store) -> None:
    part = suite("One", "Two", expected=("One", "Two", "Three", "Four"))
    scores = score(store, part, partial=True)
    assert scores.attrs["notes"] == ["2 of 4 sequences", UNKNOWN]
    assert coverage(scores) == coverage(summary(scores)) == "2 of 4 sequences"


def test_a_missing_result_is_an_error_unless_partial(store: Store) -> None:
    store.save("tiny", result("half", "One", 30))
    whole = suite("One", "Two", "Three")
    with pytest.raises(
        DataError, match=r"half: no result on 2 of 3 sequences of tiny \(ope\): Two, Three; run or"
    ):
        score(store, whole, "half")
    for partial in (
        False,
        True,
    ):  # one tracker with few results neither shrinks nor stops the others' comparison
        scores = score(store, whole, partial=partial)
        assert scores.groupby("tracker").size().to_dict() == {"bad": 3, "good": 3}
        assert (
            scores.attrs["compared"]
            == scores.attrs["notes"][0]
            == (
                "2 trackers on 3 of 3 sequences of tiny; incomplete: half has 1 of 3; left out: half "
                "(--require all: trackers that have all sequences)"
            )
        )
    common = score(store, whole, require="common")
    assert set(common["sequence"]) == {"One"} and set(common["tracker"]) == {"good", "bad", "half"}
    assert common.attrs["compared"] == (
        "3 trackers on 1 of 3 sequences of tiny; incomplete: half has 1 of 3 "
        "(--require common: the sequences that all trackers have)"
    )
    assert coverage(common) == "1 of 3 sequences"
    own = score(store, whole, require="any")
    assert own.groupby("tracker").size().to_dict() == {"bad": 3, "good": 3, "half": 1}
    assert coverage(own) == "1 to 3 of 3 sequences" and "3 trackers on 1 to 3 of 3" in own.attrs["compared"]
    (note,) = score(store, whole, ["good", "bad"]).attrs["notes"]
    assert note == UNKNOWN.replace("bad, good", "good, bad")
    store.save("tiny", result("stray", "Elsewhere", 30))
    assert "stray has 0 of 3" in score(store, whole).attrs["compared"]
    with pytest.raises(DataError, match="stray: no result on 3 of 3"):
        score(store, whole, ["good", "stray"], require="any")
    with pytest.raises(UsageError, match="unknown --require 'some'; known: all, common, any"):
        score(store, whole, require="some")


def test_that_trackers_have_different_sequences_is_told_by_its_own_entry(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("rolo_bench.scores.score")
    choose = module._chosen
    monkeypatch.setattr(
        module, "_chosen", lambda *a: (*choose(*a)[:2], ["otherwise put"] if choose(*a)[2] else [])
    )
    store.save("tiny", result("half", "One", 30))
    odd = Suite(
        "tiny", suite("One", "Two").sequences, ("One", "Two", "of different"), ("of different",), "otb"
    )
    monkeypatch.setattr(Suite, "note", lambda self: "one of different ones is missing")
    scores = score(store, odd, partial=True)
    assert scores.attrs["notes"] == ["one of different ones is missing", "otherwise put", UNKNOWN]
    assert warnings_of(scores, metas_of(scores, store))[-1].head == "otherwise put"
    whole = score(store, odd, ["good", "bad"], partial=True)
    assert not any("different" in w.head for w in warnings_of(whole, metas_of(whole, store)))


def test_trackers_without_a_common_sequence(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("tiny", result("a", "One", 30))
    store.save("tiny", result("b", "Two", 30))
    with pytest.raises(DataError, match="no sequence of tiny on which all have results"):
        score(store, suite("One", "Two"), require="common")
    with pytest.raises(DataError, match="--require common or --require any"):
        score(store, suite("One", "Two"), partial=True)


def test_a_failed_run_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("tiny", result("shaky", "One", 30))
    store.write_meta(
        "tiny", "ope", "shaky", {"sequences": {"Two": {"status": "failed", "error": "frame 7: boom"}}}
    )
    with pytest.raises(DataError, match="Two failed: frame 7: boom"):
        score(store, suite("One", "Two"))


def test_wrong_length_names_tracker_sequence_and_lengths(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("tiny", result("short", "One", 10, frames=26))
    with pytest.raises(DataError, match="short on One: 26 boxes for 30 frames; run or import it again"):
        score(store, suite("One"))


def test_no_results_and_unknown_convention(store: Store) -> None:
    with pytest.raises(DataError, match=r"no results on tiny \(tre\)"):
        score(store, suite("One"), protocol="tre")
    with pytest.raises(UsageError, match="unknown convention 'otb2015'"):
        score(store, suite("One"), convention="otb2015")


def test_results_of_another_annotation_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("tiny", result("t", "One", 30))
    one = suite("One")
    entry = {"status": "complete", "truth": one.sequences[0].truth_digest()}
    store.write_meta("tiny", "ope", "t", {"sequences": {"One": entry}})
    assert len(score(store, one)) == 1
    store.write_meta("tiny", "ope", "t", {"sequences": {"One": entry | {"truth": "0" * 64}}})
    with pytest.raises(DataError, match="t on One: was run with another annotation"):
        score(store, one)


def test_nan_boxes_count_as_failures(tmp_path: Path) -> None:
    store = Store(tmp_path)
    boxes = np.tile(SQUARE, (30, 1))
    boxes[10:16] = np.nan
    store.save("tiny", RunResult("t", "One", "ope", boxes, np.full(30, np.nan)))
    row = score(store, suite("One")).iloc[0]
    assert row["failures"] == 6 and row["mean_iou"] == pytest.approx(0.8)
    assert np.isnan(row["fps"]) and np.isnan(row["seconds"])
    assert np.isnan(summary(score(store, suite("One")))["fps"].iloc[0])


def test_an_oracle_is_a_column_and_its_name_is_plain(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("yolo", "yolo-oracle"):
        store.save("tiny", result(name, "One", 30))
        store.write_meta("tiny", "ope", name, {"oracle": True, "sequences": {}})
    scores = score(store, suite("One"))
    assert sorted(scores["tracker"]) == ["yolo", "yolo-oracle"] and scores["oracle"].all()
    assert summary(scores)["oracle"].all() and by_attribute(scores)["oracle"].all()
    assert labels(scores) == {"yolo": "yolo (oracle)", "yolo-oracle": "yolo-oracle (oracle)"}  # an old folder
    fair = Store(tmp_path / "fair")
    fair.save("tiny", result("my-oracle", "One", 30))  # a name is a name: no run.json says that it is one
    assert not score(fair, suite("One"))["oracle"].any()


def test_an_oracle_is_never_the_best(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, hits in (("cheat", 30), ("fair", 20), ("weak", 5)):
        for where in ("a", "b"):
            store.save("tiny", result(name, where, hits))
        store.write_meta("tiny", "ope", name, {"oracle": name == "cheat", "sequences": {}})
    table = summary(score(store, suite("a", "b"))).set_index("tracker")
    assert table["rank"].to_dict() == {"cheat": 0, "fair": 1, "weak": 2}
    assert np.isnan(table.loc["cheat", "p_best"])
    assert for_people(table.reset_index())["vs_best"].tolist()[:2] == ["oracle", "best"]


def test_sre_is_the_mean_of_its_twelve_segments(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(1, len(SRE_SHIFTS) + 1):
        store.save("tiny", result("t", "One", 30 if i <= 6 else 15, protocol="sre", segment=f"sre{i:02d}"))
    row = score(store, suite("One"), protocol="sre").iloc[0]
    assert row["auc"] == pytest.approx((1 + 0.5) / 2 * 20 / 21)
    assert row["frames"] == 12 * 30 and row["failures"] == pytest.approx(7.5)
    assert np.allclose(row["success_curve"][:20], 0.75)
    each = score(store, suite("One"), protocol="sre", segments=True)
    assert (
        len(each) == 12 and each["segment"].tolist()[0] == "sre01" and summary(each)["auc"][0] == row["auc"]
    )
    (tmp_path / "tiny/sre/t/One_sre12.txt").unlink()
    with pytest.raises(DataError, match="t on One: 11 of 12 segments of sre"):
        score(store, suite("One"), protocol="sre")


def test_tre_scores_each_segment_on_its_own_frames(tmp_path: Path) -> None:
    store, one = Store(tmp_path), Suite("tiny", (sequence("One", 60),), ("One",), family="otb")
    starts = tre_starts(one.sequences[0].truth)
    for i, start in enumerate(starts, 1):
        store.save(
            "tiny", result("t", "One", 10, 60 - start, protocol="tre", segment=f"tre{i:02d}", start=start)
        )
    row = score(store, one, protocol="tre").iloc[0]
    # without run.json a segment is known by its length to end with the sequence
    assert row["mean_iou"] == pytest.approx(np.mean([10 / (60 - s) for s in starts]))
    entries = {f"One_tre{i:02d}": {"start": s} for i, s in enumerate(starts, 1)}
    store.write_meta("tiny", "tre", "t", {"sequences": entries})
    assert score(store, one, protocol="tre").iloc[0]["auc"] == row["auc"]
    entries["One_tre03"]["start"] += 1
    store.write_meta("tiny", "tre", "t", {"sequences": entries})
    with pytest.raises(DataError, match="t on One tre03"):
        score(store, one, protocol="tre")


@pytest.fixture
def on_disk(tmp_path: Path) -> list[str]:
    """A suite folder in OTB layout and results on it; options of the command line that name both."""
    store = Store(tmp_path / "results")
    for name, hits in (("One", 24), ("Two", 12)):
        (tmp_path / "tiny" / name / "img").mkdir(parents=True)
        rows = ["11,11,10,10"] * 30
        (tmp_path / "tiny" / name / "groundtruth_rect.txt").write_text("\n".join(rows) + "\n")
        store.save("tiny", result("good", name, hits))
        store.save("tiny", result("bad_one", name, hits // 2))
    return ["score", "--suite", str(tmp_path / "tiny"), "--results", str(tmp_path / "results")]


def test_command_prints_nothing_but_the_table(on_disk: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*on_disk, "--format", "csv"]) == 0
    out = capsys.readouterr()
    lines = out.out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("tracker,auc,precision") and ",fps," in lines[0]
    assert lines[1].startswith("good,") and lines[2].startswith("bad_one,")
    assert "convention plain" in out.err and out.err.startswith("2 trackers on ")
    assert main([*on_disk, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["tracker"] for r in rows] == ["good", "bad_one"] and rows[0]["auc"] == pytest.approx(0.6)
    assert main([*on_disk, "--format", "md"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("| good | 0.600 |")
    assert main([*on_disk, "--format", "latex"]) == 0
    assert r"bad\_one & \underline{0.300}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "view", ["summary", "sequences", "attributes", "pairs", "wins", "repeats", "longterm"]
)
@pytest.mark.parametrize("format_", [None, "csv", "md", "latex", "json"])
def test_every_view_in_every_format(
    on_disk: list[str], view: str, format_: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*on_disk, "--view", view] + (["--format", format_] if format_ else [])
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "good" in out and out.endswith("\n")
    if format_ == "json":
        assert isinstance(json.loads(out), list)


@pytest.mark.parametrize(
    "view", ["summary", "sequences", "attributes", "pairs", "wins", "repeats", "longterm"]
)
@pytest.mark.parametrize("format_", [None, "csv", "md", "latex", "json"])
def test_an_oracle_is_marked_in_every_view(
    on_disk: list[str],
    tmp_path: Path,
    view: str,
    format_: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Store(tmp_path / "results").write_meta("tiny", "ope", "good", {"oracle": True, "sequences": {}})
    assert main([*on_disk, "--view", view] + (["--format", format_] if format_ else [])) == 0
    out = capsys.readouterr().out
    if format_ == "csv":
        rows = pd.read_csv(io.StringIO(out)).to_dict("records")
    elif format_ == "json":
        rows = json.loads(out)
    else:
        assert out.count("good") == out.count("good (oracle)") and "bad_one (" not in out
        assert ("good" in out) == (view not in ("pairs", "wins"))
        return
    for name, flag in (("tracker", "oracle"), ("other", "other_oracle")):
        marked = {(r[name], r[flag]) for r in rows if name in r}
        assert marked <= {("good", True), ("bad_one", False)}
    shown = any("good" in (r["tracker"], r.get("other")) for r in rows)
    assert shown == (view not in ("pairs", "wins"))


def test_an_oracle_takes_no_part_in_comparisons():
    store, suite = made_up(("cheat", "a", "b"))
    scores = score(store, suite)
    scores["oracle"] = scores["tracker"] == "cheat"
    alone = scores[~scores["oracle"]]
    for name in ("pairs", "wins"):
        pd.testing.assert_frame_equal(view(scores, name), view(alone, name))
        assert "cheat" not in set(view(scores, name)["tracker"])


def test_command_writes_a_file_and_names_errors(
    on_disk: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "table.csv"
    assert main([*on_disk, "--format", "csv", "--output", str(target)]) == 0
    assert len(pd.read_csv(target)) == 2 and capsys.readouterr().out == ""
    assert main([*on_disk, "--convention", "mine"]) == 2
    assert "unknown convention 'mine'; known: otb" in capsys.readouterr().err
    assert main([*on_disk, "--tracker", "nobody"]) == 2
    assert "no results of nobody on tiny" in capsys.readouterr().err
    assert main([*on_disk, "--published", "--convention", "otb"]) == 2
    assert "nothing is published for the sequences of tiny" in capsys.readouterr().err


def test_published_rows_are_marked(tmp_path: Path) -> None:
    store, real = (
        Store(tmp_path),
        Suite("otb30", (sequence("Couple"), sequence("Gym")), ("Couple", "Gym"), family="otb"),
    )
    for name in ("Couple", "Gym"):
        store.save("otb30", result("mine", name, 30))
    scores = score(store, real)
    table = with_published(summary(scores), scores)
    assert len(table) == 10 and table["published"].sum() == 9
    assert table["tracker"].tolist()[:2] == ["mine", "STRUCK"]
    text = render(for_people(table))
    assert text.count("(published)") == 9 and "STRUCK (published)" in text and "mine (" not in text
    with pytest.raises(UsageError, match="OPE under the convention otb"):
        with_published(summary(scores), score(store, real, convention="rolo2016"))


@pytest.mark.shared
def test_struck_from_result_files(shared: Path, tmp_path: Path) -> None:
    """Through files on disk, as a user would: 0.434140 on OTB-30, 0.4601 on the last eight."""
    from rolo_bench.datasets.suites import load_annotations

    store = Store(tmp_path)
    loaded = load_annotations("otb30", shared / "data/annotations")
    for seq in loaded.sequences:
        raw = json.loads((shared / "data/results/jwlim_json/STRUCK" / f"{seq.name}.json").read_text())[0]
        boxes = np.array(raw["res"], float) - [1, 1, 0, 0]
        store.save("otb30", RunResult("STRUCK", seq.name, "ope", boxes, np.full(len(boxes), 1 / raw["fps"])))
    scores = score(store, loaded)
    assert summary(scores)["auc"].iloc[0] == pytest.approx(0.434140, abs=1e-6)
    assert scores["auc"].to_numpy()[22:].mean() == pytest.approx(0.4601, abs=5e-5)
    assert summary(scores)["fps"].iloc[0] == pytest.approx(10.15, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(1, 9), st.just(4)), elements=st.floats(-1e5, 1e5)), st.integers(1, 9)
)
def test_fast_reader_gives_the_very_same_numbers(boxes: np.ndarray, decimals: int) -> None:
    text = "".join(",".join(f"{v:.{decimals}f}" for v in row) + "\n" for row in boxes)
    expected = [[float(cell) for cell in line.split(",")] for line in text.splitlines()]
    values = parse_fixed(text.encode(), 4)
    assert values is not None and np.array_equal(values, expected)


ODD = [
    "1.0,2.0,3.0,4.0",  # no line end
    "1.0,2.0,3.0\n",
    "1.0,2.0,3.0,4.0,5.0\n1.0,2.0,3.0\n",  # the right number of numbers, in wrong rows
    "1.0,2.0,3.0,4.00\n",
    "1,2,3,4\n",
    "nan,nan,nan,nan\n",
    "1.0,2.0,3.0,1e5\n",
    "1-0.0,2.0,3.0,4.0\n",
    "--1.0,1.0,1.0,1.0\n",
    "1..,0.0,1.0,1.0\n",
    "1.0,2.0,3.0,99999999999999999999.0\n",
    "1.0\t2.0\t3.0\t4.0\n",
    "1.0,2.0,3.0,:.0\n",
    "\n",
    "",
]


@pytest.mark.parametrize("text", ODD)
def test_fast_reader_leaves_odd_files_to_the_careful_one(text: str) -> None:
    assert parse_fixed(text.encode(), 4) is None


def test_careful_reader_agrees(tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    path.write_text("1.25,-2.50,3.00,4.75\n-0.25,0.00,1.00,2.00\n")
    assert np.array_equal(parse_table(path, 4), parse_fixed(path.read_bytes(), 4))
