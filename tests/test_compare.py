"""Two trackers, runs or folders beside each other: the numbers, what differs in the runs, and who is meant."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.errors import DataError, UsageError
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.compare import as_record, compare, compare_results, find_side, in_text
from rolo_bench.scores.notes import Note, gathered, joined
from rolo_bench.scores.score import score
from rolo_bench.scores.statistics import bootstrap_interval, paired_p
from tests.helpers_scores import made_up
from tests.helpers_video import otb_folder, square_sequence

MAKING = {
    "code": "a" * 64, "options": {"step": 6}, "seed": 0, "weights": {}, "threads": 1,
    "versions": {"numpy": "2.0"}, "loop": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def scores():
    store, suite = made_up(("alpha", "beta"), count=12)
    return score(store, suite)


def of(scores, tracker: str):
    return scores[scores["tracker"] == tracker].reset_index(drop=True)


def stamped(**changes) -> dict:
    return {"makings": {"k": MAKING | changes}, "sequences": {"Seq01": {"making": "k", "truth": "t"}}}


def test_numbers_are_those_of_paired_differences(scores):
    a, b = of(scores, "alpha"), of(scores, "beta")
    found = compare(a, b, ("alpha", "beta"))
    d = (b["auc"] - a["auc"]).to_numpy()
    auc = found.metrics.set_index("metric").loc["auc"]
    assert auc["difference"] == pytest.approx(d.mean()) and auc["second"] == pytest.approx(b["auc"].mean())
    assert (auc["low"], auc["high"]) == bootstrap_interval(d)
    assert (auc["better"], auc["worse"], auc["equal"]) == ((d > 0).sum(), (d < 0).sum(), 0)
    assert found.p == paired_p(b["auc"], a["auc"]) < 0.05
    assert found.verdict.startswith("alpha is significantly better in AUC")
    back = compare(b, a, ("beta", "alpha"))
    assert back.verdict.startswith("alpha is significantly better") and back.p == found.p
    np.testing.assert_allclose(back.sequences["difference"], -d)


def test_weights_of_a_pooled_convention_count_in_mean_and_interval(scores):
    a, b = of(scores, "alpha"), of(scores, "beta")
    a["counted"] = b["counted"] = np.arange(1, 13) ** 3
    auc = compare(a, b, ("alpha", "beta")).metrics.iloc[0]
    d, w = (b["auc"] - a["auc"]).to_numpy(), a["counted"].to_numpy()
    assert auc["difference"] == pytest.approx((d * w).sum() / w.sum())
    assert auc["low"] < auc["difference"] < auc["high"]
    assert bootstrap_interval(d, weights=np.full(12, 3.0)) == pytest.approx(bootstrap_interval(d))


def test_only_common_sequences_take_part_and_the_others_are_named(scores):
    a, b = of(scores, "alpha"), of(scores, "beta").iloc[2:]
    found = compare(a, b, ("alpha", "beta"))
    assert len(found.sequences) == 10 and found.notes == ("alpha has 2 more sequences, which take no part",)
    with pytest.raises(DataError, match="no sequence that both"):
        compare(a.iloc[:2], b, ("alpha", "beta"))


def test_what_differs_is_named_and_what_is_not_recorded_is_no_difference(scores):
    a, b = of(scores, "alpha"), of(scores, "beta")

    def differs(one, two):
        found = compare(a, b, ("alpha", "beta"), (one, two))
        return {d.what: (d.first, d.second, d.depends) for d in found.differs}, found

    assert differs(stamped(), stamped())[0] == {}
    changed, found = differs(
        stamped(), stamped(code="b" * 64, options={"step": 7, "size": 2}, versions={"numpy": "2.1"}) | {"git": "x"}
    )  # fmt: skip
    assert changed == {
        "code": ("a" * 12, "b" * 12, True), "options step": ("6", "7", True),
        "options size": ("\N{EN DASH}", "2", True), "versions numpy": ("2.0", "2.1", True),
    }  # fmt: skip
    assert {"seed", "threads", "loop", "truth"} <= set(found.same)
    assert {"revision", "images"} == set(found.unknown)
    long = "yolox-nano:0123456789abcdef:size=416:threshold={}:nms=0.5:letterbox:float32"
    changed, _ = differs(
        *(stamped(options={"step": 6, "detector": long.format(t)}) for t in ("0.02", "0.05"))
    )
    assert changed == {"options detector": ("threshold=0.02", "threshold=0.05", True)}
    other = stamped()
    other["sequences"]["Seq01"]["truth"] = "u"
    assert differs(stamped(), other)[0] == {"truth": ("of Seq01", "others on 1 of 1 sequences", True)}
    taken = {"imported": {"format": "otb-mat"}}
    changed, found = differs(stamped(), taken)
    assert list(changed) == ["from"] and {"code", "options", "seed", "truth"} <= set(found.unknown)


def test_text_and_record_say_the_same(scores):
    a, b = of(scores, "alpha"), of(scores, "beta")
    found = compare(a, b, ("alpha", "beta"), (stamped(), stamped(seed=3)))
    text = in_text(found)
    assert "seed: 0 | 3" in text and found.verdict in text and text.count("Seq") == 12
    assert in_text(found, most=2).count("Seq") == 4
    record = json.loads(json.dumps(as_record(found), allow_nan=False))
    assert record["differs"] == [{"what": "seed", "first": "0", "second": "3", "boxes_depend_on_it": True}]
    assert len(record["sequences"]) == 12 and record["metrics"][0]["metric"] == "auc"


@pytest.fixture
def folders(tmp_path):
    """Two results folders on own videos: ``same`` is alike in both, ``moved`` is not, ``extra`` is in one only."""
    data = otb_folder(tmp_path / "videos")
    truth = square_sequence().truth
    for folder, shift in (("old", 1.0), ("new", 5.0)):
        store = Store(tmp_path / folder)
        for name, by in (("same", 2.0), ("moved", shift)):
            for sequence in ("Square", "Other"):
                boxes = truth + [by, 0, 0, 0]
                store.save("videos", RunResult(name, sequence, "ope", boxes, np.full(len(truth), 0.01)))
    store.save("videos", RunResult("extra", "Square", "ope", truth, np.full(len(truth), 0.01)))
    return data, tmp_path / "old", tmp_path / "new"


def test_folders_runs_and_trackers_can_be_named(folders, monkeypatch):
    data, old, new = folders
    both = compare_results(old, new, suite=str(data))
    assert [(c.first, c.second) for c in both] == [
        (f"{t} in old", f"{t} in new") for t in ("moved", "same")
    ]  # fmt: skip
    assert both[1].verdict == "The boxes are the same on all 2 sequences."
    assert both[0].metrics.iloc[0]["difference"] < 0
    (run,) = compare_results(old / "videos/ope/moved", new / "videos/ope/moved", suite=str(data))
    assert run.metrics.equals(both[0].metrics)
    monkeypatch.chdir(old.parent)
    (pair,) = compare_results("same", "moved", results="new", suite=str(data))
    assert (pair.first, pair.second) == ("same", "moved")
    (namesake,) = compare_results("moved", "new", results="old", suite=str(data))
    assert namesake.metrics.equals(both[0].metrics)
    assert [c.first for c in compare_results(old, new, suite=str(data), trackers=["same"])] == ["same in old"]


def test_what_cannot_be_compared_is_refused(folders):
    data, old, new = folders
    with pytest.raises(UsageError, match=r"neither a tracker in .* did you mean 'moved'"):
        find_side("movd", old)
    with pytest.raises(UsageError, match="both are the same results"):
        compare_results("same", "same", results=old, suite=str(data))
    with pytest.raises(UsageError, match="name it with --suite PATH"):
        compare_results(old / "videos/ope/same", new)
    with pytest.raises(UsageError, match="different suites"):
        compare_results(old / "videos/ope/same", new, suite="demo")


def test_command_writes_what_the_ending_says(folders, tmp_path, capsys):
    data, old, new = folders
    line = ["compare", str(old), str(new), "--suite", str(data)]
    assert main([*line, "--tracker", "moved"]) == 0
    assert "moved in old" in capsys.readouterr().out
    assert main([*line, "--format", "csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("name_first,name_second,sequence,first,second,difference") and len(rows) == 5
    for ending in ("json", "csv", "txt"):
        assert main([*line, "-o", str(tmp_path / f"c.{ending}")]) == 0
    assert [c["second"] for c in json.loads((tmp_path / "c.json").read_text())] == [
        "moved in new",
        "same in new",
    ]
    assert (tmp_path / "c.csv").read_text().splitlines() == rows
    assert main([*line, "-o", str(tmp_path / "c.xlsx")]) == 2


def test_people_read_the_names_that_trackers_are_given_and_programs_their_own(
    folders, tmp_path, monkeypatch, capsys
):
    data, old, new = folders
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rolo-bench.toml").write_text("[labels]\nsame = 'Same (ours)'\n")
    line = ["compare", "same", "moved", "--results", str(new), "--suite", str(data)]
    assert main([*line, "--label", "MOVED=Moved", "-o", "c.html"]) == main([*line, "-o", "c.csv"]) == 0
    page, rows = (tmp_path / "c.html").read_text(), (tmp_path / "c.csv").read_text()
    assert "Same (ours)" in page and "Moved (second)" in page and "Same" not in rows and "same,moved" in rows
    assert main(["compare", str(old), str(new), "--suite", str(data)]) == 0
    assert "Same (ours) in old" in capsys.readouterr().out
    assert main([*line, "--label", "moved=Same (ours)"]) == main([*line, "--label", "moovd=x"]) == 2
    said = capsys.readouterr().err
    assert "moved and same would both be called 'Same (ours)'; give each a label of its own" in said
    assert "unknown tracker 'moovd'; did you mean 'moved'?" in said


def test_what_both_are_told_is_told_once():
    one, other = Note(": code changed", ("rolo",)), Note(": code changed", ("yolo", "rolo"))
    busy = Note(": busy", ("rolo",), "Timing of ")
    assert [str(n) for n in joined([one, busy, other])] == [
        "rolo, yolo: code changed",
        "Timing of rolo: busy",
    ]
    assert [n.about for n in gathered([("a", " x"), ("b", " y"), ("c", " x")])] == [("a", "c"), ("b",)]
