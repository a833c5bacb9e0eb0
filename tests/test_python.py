"""rolo-bench as a library: the guide runs as printed, names are loaded when used, values print as one line."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import rolo_bench
from rolo_bench import plots
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite, load_annotations
from rolo_bench.errors import DataError, UsageError
from rolo_bench.exchange.importing import targets
from rolo_bench.plots.context import describe
from rolo_bench.report.page import provenance_rows, report_results
from rolo_bench.run.plugins import catalogue
from rolo_bench.run.store import RunResult, Store
from rolo_bench.run.timing import time_trackers
from rolo_bench.scores.score import score
from rolo_bench.scores.scored import load_scores
from rolo_bench.scores.summary import VIEWS, view
from rolo_bench.sequence import ArrayFrames, Sequence
from tests.helpers_scores import made_up
from tests.test_docs import ROOT, blocks

GUIDE = ROOT / "docs" / "python.md"
HEAVY = "torch pandas matplotlib scipy"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Results of two made-up trackers on the demo suite, and of one of them on TRE and another suite."""
    root = tmp_path_factory.mktemp("python") / "results"
    store, rng = Store(root), np.random.default_rng(0)
    for tracker, drift in (("steady", 1.0), ("drifting", 6.0)):
        for sequence in load_annotations("demo", "").sequences:
            boxes = sequence.truth + rng.normal(size=sequence.truth.shape) * [drift, drift, 0, 0]
            store.save("demo", RunResult(tracker, sequence.name, "ope", boxes, np.full(len(boxes), 0.01)))
    return root


def test_the_guide_runs_as_printed(tmp_path, monkeypatch, capsys):
    """Every block in order in one namespace, as the cells of a notebook."""
    monkeypatch.chdir(tmp_path)
    page = types.ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", page)
    for number, block in enumerate(blocks(GUIDE, "python"), 1):
        exec(compile(block, f"{GUIDE.name}, block {number}", "exec"), vars(page))
    out = capsys.readouterr().out
    (printed,) = blocks(GUIDE, "text")
    assert printed in out
    assert "Store results: short ope 2 trackers" in out
    assert "unknown suite 'otb31'" in out
    assert page.outcomes[0].what == "done" and Path("success.pdf").is_file()
    means = page.scores.groupby("tracker")["auc"].mean()
    assert means["template"] > means["ncc"] > 0.3


def test_the_gallery_block_runs_as_printed(results, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("results").symlink_to(results)
    (block,) = blocks(ROOT / "docs" / "gallery.md", "python")
    exec(compile(block, "gallery.md", "exec"), {})
    assert Path("success.pdf").is_file() and "threshold" in capsys.readouterr().out


def test_functions_named_in_the_guide_exist():
    import importlib

    table = GUIDE.read_text(encoding="utf-8").split("## What the commands call")[1]
    names = re.findall(r"`(rolo_bench\.[\w.]+)`", table)
    assert len(names) > 15
    for name in names:
        parts = name.split(".")
        rooms = [p for p in parts if p.islower() and p != parts[-1]]
        value = importlib.import_module(".".join(rooms))
        for part in parts[len(rooms) :]:
            value = getattr(value, part)
        assert (callable(value) and value.__doc__) or value is rolo_bench.run, name


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import rolo_bench", f"{HEAVY} numpy cv2 click"),
        ("import rolo_bench; dir(rolo_bench); rolo_bench.load_suite('demo')", HEAVY),
        ("import rolo_bench; rolo_bench.plots; repr(rolo_bench.Store('results'))", HEAVY),
        ("import rolo_bench.run; assert callable(rolo_bench.run)", f"{HEAVY} cv2"),
        ("import rolo_bench.run.child", f"{HEAVY} cv2 PIL http av"),  # what each tracker's process loads
    ],
)
def test_names_are_loaded_when_they_are_used(code, absent):
    check = f"{code}; import sys; sys.exit(' '.join(set('{absent}'.split()) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_documented():
    assert set(rolo_bench.__all__) <= set(dir(rolo_bench))
    for name in rolo_bench.__all__:
        assert getattr(rolo_bench, name).__doc__, name
    assert set(plots.__all__) <= set(dir(plots))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rolo_bench.nothing  # noqa: B018


def test_run_is_a_room_and_can_be_called(monkeypatch):
    import rolo_bench.run.runner as runner

    monkeypatch.setattr(runner, "run", lambda *args, **options: (args, options))
    assert rolo_bench.run("ncc", "demo", results="r") == (("ncc", "demo"), {"results": "r"})
    assert rolo_bench.run.runner is runner


def test_score_takes_a_path_and_a_name_or_the_objects(results):
    by_name = rolo_bench.score(str(results), "demo")
    by_object = rolo_bench.score(Store(results), rolo_bench.load_suite("demo", images=False))
    assert by_name.equals(by_object) and len(by_name) == 32
    assert set(rolo_bench.score(results, "demo", "steady")["tracker"]) == {"steady"}
    assert load_scores(results).scores.equals(by_name)


def test_a_suite_prints_as_one_line():
    suite = rolo_bench.load_suite("demo", images=False)
    assert repr(suite) == "Suite demo: 16 sequences, 1,920 frames (WalkerStreet, CarPass, BirdWheel, …)"
    part = rolo_bench.load_suite("demo", images=False, only=("CarPass",))
    assert str(part) == "Suite demo: 1 of 16 sequences, 120 frames (CarPass)"


def test_a_sequence_prints_as_one_line_without_an_image():
    truth = np.tile([138.0, 111, 51.5, 36], (1350, 1))
    dog = Sequence("Dog", NoFrames(1350), truth, ("SV", "OPR"))
    assert repr(dog) == "Sequence Dog: 1,350 frames, attributes SV OPR, first box 138, 111, 51.5 × 36"
    bare = Sequence("x", NoFrames(1), truth[:1])
    assert str(bare) == "Sequence x: 1 frames, no attributes, first box 138, 111, 51.5 × 36"


def test_a_store_prints_what_it_holds_by_names_alone(tmp_path):
    root = tmp_path / "a<b>"
    for name in ("demo/ope/t1/A.txt", "demo/ope/t1/B.txt", "demo/ope/t2/A.txt", "otb30/tre/t1/A_tre00.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("never read")
    (root / "demo/ope/t1/run.json").write_text("{ never read")
    store = Store(root)
    assert repr(store) == f"Store {root}: demo ope 2 trackers, otb30 tre 1 tracker"
    assert store.contents() == [
        ("demo", "ope", "t1", 2), ("demo", "ope", "t2", 1), ("otb30", "tre", "t1", 1),
    ]  # fmt: skip
    page = store._repr_html_()
    assert "a&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<tr>") == 4 and "<td>t1</td><td>2</td>" in page
    assert repr(Store(tmp_path / "none")).endswith("none: no results")


def test_a_figure_shows_itself_in_a_notebook(results):
    figure = plots.success(rolo_bench.score(results, "demo"))
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_figures_by_name(results):
    found = load_scores(results)
    drawn, reasons = plots.draw_all(found, published=True)
    assert set(drawn) | set(reasons) == set(plots.FIGURES) and not set(drawn) & set(reasons)
    assert set(reasons) == {"longterm", "success"} and "nothing is published" in reasons["success"]
    figure, table = plots.draw("precision", found)
    assert table.equals(plots.curve_table(found.scores, "precision")) and len(figure.axes) == 1
    assert "published" in set(drawn["fps"][1]["source"])
    assert set(plots.draw("fps", found)[1]["source"]) == {"measured"}
    with pytest.raises(UsageError, match="unknown figure 'pie'; known: success"):
        plots.draw("pie", found)


@pytest.mark.parametrize("name", VIEWS)
def test_views_for_programs_and_for_people(name, results):
    scores = rolo_bench.score(results, "demo")
    full, short = view(scores, name), view(scores, name, full=False)
    assert len(full) and len(short)
    assert full.map(np.isscalar).all(axis=None) or name == "sequences"  # attributes of a sequence are a tuple
    if name == "sequences":
        assert len(full) == 32 and list(short.columns) == ["sequence", "steady", "drifting"]
        assert len(short) == 17 and short["sequence"].iloc[-1] == "mean"
    if name == "attributes":
        assert list(short.columns) == ["attribute", "sequences", "steady", "drifting"]
        assert short["sequences"].iloc[0] == "16 sequences"


def test_views_refuse_what_they_do_not_know(results):
    scores = rolo_bench.score(results, "demo")
    with pytest.raises(UsageError, match="unknown view 'all'"):
        view(scores, "all")
    with pytest.raises(UsageError, match="--view summary"):
        view(scores, "pairs", published=True)
    with pytest.raises(UsageError, match="nothing is published"):
        view(scores, published=True)


def test_the_report_of_a_folder(results, tmp_path):
    found = report_results(tmp_path / "r.html", results, frames=0, conventions=("otb", "got10k"))
    assert [c.name for c in found.conventions] == ["otb", "got10k"]
    page = (tmp_path / "r.html").read_text()
    assert "drifting" in page and "provenance" in page.lower()


def test_a_report_without_images_says_so_in_a_note(tmp_path):
    truth = np.tile([10.0, 10, 20, 20], (5, 1))
    (tmp_path / "mine.csv").write_text("name,first,last\nA,1,5\n")
    (tmp_path / "A.txt").write_text("11,11,20,20\n" * 5)
    Store(tmp_path / "results").save("mine", RunResult("t", "A", "ope", truth, np.full(5, 0.1)))
    found = report_results(tmp_path / "r.html", tmp_path / "results", str(tmp_path / "mine.csv"), frames=2)
    note = found.scores.attrs["notes"][-1]
    assert note.startswith("no pictures of frames: ") and (tmp_path / "r.html").is_file()
    (tmp_path / "A.txt").unlink()
    for frames in (0, 2):
        with pytest.raises(DataError):
            report_results(
                tmp_path / "s.html", tmp_path / "results", str(tmp_path / "mine.csv"), frames=frames
            )


def test_provenance_in_words():
    setting = describe(score(*made_up(("a", "b"))))
    metas = {
        "a": {"origin": "built in", "options": {"step": 6}, "fingerprint": {"weights": {"net": "0123456789abcdef" * 4}},
              "made": "2026", "machine": {"load_at_start": 0.1}, "seed": 0, "jobs": 1, "git": "abc",
              "versions": {"numpy": "2"}, "sequences": {"x": {}}, "expected": ["x"]},
        "b": {"imported": {"format": "got10k", "made": "2025"}},
    }  # fmt: skip
    rows = {row["label"]: row for row in provenance_rows(metas, setting)}
    assert rows["a"]["pairs"] == [
        ("from", "built in"), ("options", "step: 6"), ("weights", "net: 0123456789ab"), ("seed", "0"), ("made", "2026"),
        ("load at start", "0.1"), ("jobs", "1"), ("installed", "numpy: 2"), ("revision", "abc"),
    ]  # fmt: skip
    assert "sequences" not in rows["a"]["json"] and '"seed": 0' in rows["a"]["json"]
    assert rows["b"]["pairs"] == [("from", "imported (got10k)"), ("made", "2025")]
    (old, _) = provenance_rows({"a": {"imported": True}, "b": {}}, setting)
    assert ("from", "imported (unknown format)") in old["pairs"]


def test_catalogue_names_broken_plugins_too(tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text("raise ValueError('no')")
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    rows = {name: rest for name, *rest in catalogue()}
    assert rows["bad"][0] == "broken" and "ValueError: no" in rows["bad"][1]
    assert rows["ncc"][0] == "built in" and rows["ncc"][1].endswith(".")


def test_time_trackers_times_frames_and_trackers():
    frames = ArrayFrames((np.zeros((40, 40, 3), np.uint8),) * 6)
    suite = Suite("s", (Sequence("a", frames, np.tile([5.0, 5, 9, 9], (6, 1))),), ("a",))
    table = time_trackers(["static"], suite, 4)
    assert list(table["part"]) == ["frames alone", "static"]
    assert (table["fps"] * table["ms"]).to_numpy() == pytest.approx(1000)


def test_targets_of_a_suite_with_and_without_its_annotations(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_DATA", str(tmp_path / "none"))
    entries, truths = targets("otb30")
    assert len(entries) == 30 and truths == {}
    with pytest.raises(DataError):
        targets("otb30", tmp_path / "none")
    entries, truths = targets("demo")
    assert [e.frames for e in entries] == [len(t) for t in truths.values()]
