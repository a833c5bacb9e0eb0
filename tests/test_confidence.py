"""Trackers that say how sure they are: the contract, the files, long-term measures, what is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.boxfiles import format_boxes, read_scored_boxes
from rolo_bench.cli import main
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError, TrackerError, UsageError
from rolo_bench.plots import frames as show
from rolo_bench.run.in_process import run_sequence
from rolo_bench.run.store import RunResult, Store
from rolo_bench.run.verify import find_faults
from rolo_bench.run.video import _sure
from rolo_bench.run.worker import as_answer
from rolo_bench.scores.conventions import Runs, long_term, long_term_curve
from rolo_bench.scores.score import score
from rolo_bench.scores.summary import longterm, longterm_curves, view
from rolo_bench.sequence import Sequence
from tests.golden import make_longterm
from tests.helpers_video import square_sequence

SURE = """
class Sure:
    def init(self, image, box): self.box, self.n = box, 0
    def update(self, image):
        self.n += 1
        return (self.box, 1 - self.n / 200) if self.n % 3 else (self.box, float("nan"))
"""


def test_a_pair_is_a_box_and_a_score() -> None:
    for answer in (
        [[1, 2, 3, 4], 0.25],
        (np.ones(4), np.float32(0.25)),
        (np.arange(1.0, 5), np.array([0.25])),
    ):
        box, sure = as_answer(answer)
        assert box.shape == (4,) and sure == 0.25
    assert np.isnan(as_answer(np.ones(4))[1])
    box, sure = as_answer(([1, 2, 3, 4], float("nan")))
    assert np.isnan(box).all() and np.isnan(sure)
    box, sure = as_answer(([np.nan] * 4, 0.1))
    assert np.isnan(box).all() and sure == 0.1
    for wrong in (
        [1, 2],
        ([1, 2, 3], 0.5),
        ([1, 2, 3, 4], np.inf),
        ([1, 2, 3, 4], "high"),
        ([1, 2, 3, 4], None),
        (None, 1),
    ):
        with pytest.raises(TrackerError, match="update returned"):
            as_answer(wrong)


@pytest.mark.parametrize("how", [[], ["--in-process"]])
def test_scores_stand_beside_the_boxes(tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "sure.py").write_text(SURE)
    line = ["run", "--tracker", str(tmp_path / "sure.py"), "--suite", "demo", "--sequence", "BallFar"]
    if main([*line, "--results", str(tmp_path / "r"), *how]):
        pytest.fail("the run failed")
    store = Store(tmp_path / "r")
    (name,) = store.sequences("demo", "ope", "sure")
    (result,) = store.load("demo", "ope", "sure", name)
    assert result.scores is not None and np.isnan(result.scores[[0, 3, 6]]).all()
    assert result.scores[[1, 2, 4]] == pytest.approx([0.995, 0.99, 0.98])
    assert np.isnan(result.boxes[3]).all() and not np.isnan(result.boxes[4]).any()
    assert (tmp_path / "r" / "demo" / "ope" / "sure" / f"{name}.txt").read_text().split("\n")[1].count(
        ","
    ) == 4
    assert not list(find_faults(store))


def test_trackers_without_scores_have_files_as_before() -> None:
    assert run_sequence(Held(), square_sequence(count=3)).scores is None
    assert format_boxes(np.ones((1, 4))) == "2.000000,2.000000,1.000000,1.000000\n"
    assert (
        format_boxes(np.ones((1, 4)), scores=np.array([0.5])) == "2.000000,2.000000,1.000000,1.000000,0.5\n"
    )


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_files_keep_scores_apart_on_whatever_scale(tmp_path: Path, scale: float) -> None:
    scores = np.array([1, 1 - 1e-8, 0.5, 3e-4, -2]) * scale
    path = tmp_path / "a.txt"
    path.write_text(format_boxes(np.ones((5, 4)), scores=scores))
    found = read_scored_boxes(path)[1]
    assert found == pytest.approx(scores, rel=1e-8, abs=0) and (np.argsort(found) == np.argsort(scores)).all()


class Held:
    def init(self, image: object, box: np.ndarray) -> None:
        self.box = box

    def update(self, image: object) -> np.ndarray:
        return self.box


def test_files_with_scores_are_as_strict(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("2,2,1,1,nan\n2,2,1,1,0.25\n")
    boxes, scores = read_scored_boxes(path)
    assert scores is not None and boxes.tolist() == [[1, 1, 1, 1]] * 2 and scores[1] == 0.25
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    assert np.array_equal(read_scored_boxes(path)[1], scores, equal_nan=True)
    for text in ("2,2,1,1,0.5\n2,2,1,1\n", "2,2,1,1,inf\n", "2,2,1,1,x\n", "2,2,1,1\n2,2,1,1,1\n"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"a\.txt, row"):
            read_scored_boxes(path)


def plain_curve(
    scores: np.ndarray, overlaps: np.ndarray, shown: np.ndarray, thresholds: list[float]
) -> np.ndarray:
    """Precision and recall as the paper writes them, a threshold at a time."""
    found = []
    for threshold in thresholds:
        chosen = [k for k in range(len(scores)) if scores[k] >= threshold]
        total = sum(overlaps[k] for k in chosen)
        found.append((total / len(chosen) if chosen else 1.0, total / sum(shown)))
    return np.array(found).T


def test_long_term_curves_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    for count in (5, 40, 400):
        runs = []
        for _ in range(3):
            shown = rng.random(count) > 0.3
            overlaps = np.where(shown, rng.random(count), 0.0)
            scores = np.where(rng.random(count) > 0.1, np.round(rng.random(count), 2), np.nan)
            scores[0] = np.inf
            runs.append(np.stack([scores, overlaps, shown]))
        curve = long_term_curve(runs)
        given = sorted((s for run in runs for s in run[0] if np.isfinite(s)), reverse=True)
        if len(given) > 98:
            step = len(given) // 98
            given = [given[round(i)] for i in np.linspace(step, len(given) - step, 98)]
        assert curve[0].tolist() == [np.inf, *given, -np.inf]
        plain = np.mean([plain_curve(run[0], run[1], run[2], curve[0].tolist()) for run in runs], axis=0)
        assert curve[1:] == pytest.approx(plain, abs=1e-12)


GOLDEN = json.loads((Path(__file__).parent / "golden" / "longterm.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['kind']}-{case['seed']}")
def test_long_term_measures_are_those_of_vot_toolkit(case: dict, tmp_path: Path) -> None:
    """Golden numbers of its own code (golden/make_longterm.py) on runs drawn from a seed, to 1e-6."""
    store, sequences = Store(tmp_path), []
    for number, run in enumerate(make_longterm.draw(case["kind"], case["seed"])):
        count = len(run["truth"])
        sequences.append(Sequence(f"v{number}", NoFrames(count), run["truth"]))
        result = RunResult("T", f"v{number}", "ope", run["boxes"], np.ones(count), scores=run["scores"])
        store.save("videos", result)
    scores = score(store, Suite("videos", tuple(sequences), tuple(s.name for s in sequences)))
    thresholds, precision, recall, _ = longterm_curves(scores)["T"]
    values, (row,) = case["values"], longterm(scores).itertuples()
    assert thresholds[1:-1] == pytest.approx(values["thresholds"], abs=1e-6)
    assert precision == pytest.approx(values["precision_curve"], abs=1e-6)
    assert recall == pytest.approx(values["recall_curve"], abs=1e-6)
    assert [row.precision, row.recall, row.f] == pytest.approx(
        [values[k] for k in ("precision", "recall", "f")], abs=1e-6
    )


def test_at_its_own_decision_the_curve_ends_where_the_measure_without_scores_is() -> None:
    sequence = square_sequence(count=20)
    boxes = sequence.truth + np.array([3.0, 0, 0, 0])
    boxes[4:6] = np.nan
    sure = np.linspace(1, 0, 20)
    store = RunResult("T", sequence.name, "ope", boxes, np.ones(20), scores=sure)
    overlap = np.where(np.isnan(boxes[:, 0]), 0, 1.0)
    run = np.stack([np.where(np.isnan(boxes[:, 0]), np.nan, sure), overlap * 0.5, np.ones(20)])
    curve = long_term_curve([run])
    assert store.scores is not None and curve[1:, -1] == pytest.approx([0.5, 0.5 * 18 / 20])


def scored_store(tmp_path: Path) -> tuple[Store, Sequence]:
    """A tracker that is sure where it is right, another that gives no scores."""
    sequence = square_sequence(count=30)
    right = np.arange(30) < 20
    boxes = np.where(right[:, None], sequence.truth, sequence.truth + 500)
    store = Store(tmp_path)
    for name, scores in (("sure", np.where(right, 0.9, 0.1)), ("mute", None)):
        store.save("videos", RunResult(name, sequence.name, "ope", boxes, np.full(30, 0.1), scores=scores))
        store.write_meta("videos", "ope", name, {"sequences": {}})
    return store, sequence


def test_the_best_threshold_counts(tmp_path: Path) -> None:
    store, sequence = scored_store(tmp_path)
    suite = Suite("videos", (sequence,), (sequence.name,))
    for _ in range(2):  # the second time other scores come from the cache
        table = longterm(score(store, suite)).set_index("tracker")
        # by scores: 20 of 20 outputs right, 20 of 30 frames: F = 0.8; without: 20 of 30 both
        assert table.loc["sure", ["threshold", "precision", "recall", "f"]].tolist() == pytest.approx(
            [0.9, 1, 2 / 3, 0.8]
        )
        assert table.loc["mute", ["precision", "recall", "f"]].tolist() == pytest.approx([2 / 3] * 3)
        assert np.isnan(table.loc["mute", "threshold"])
    scores = score(store, suite)
    assert list(longterm_curves(scores)) == ["sure"] and "threshold" in view(scores, "longterm").columns
    boxes = store.load("videos", "ope", "mute", sequence.name)[0].boxes
    runs = Runs.joined([(boxes, sequence.truth, None, None)])
    assert np.ravel(long_term(runs)) == pytest.approx([2 / 3, 2 / 3])


def test_the_figure_has_a_curve_and_a_point(tmp_path: Path) -> None:
    from rolo_bench.plots import curve_plots

    store, sequence = scored_store(tmp_path)
    suite = Suite("videos", (sequence,), (sequence.name,))
    axes = curve_plots.longterm(score(store, suite)).axes[0]
    drawn = [line.get_xydata() for line in axes.get_lines()]
    assert any(len(points) > 3 for points in drawn)
    assert any(np.allclose(points, [[2 / 3, 1.0]]) for points in drawn)
    assert any(np.allclose(points, [[2 / 3, 2 / 3]]) for points in drawn)
    with pytest.raises(UsageError, match="no tracker of these scores says how sure it is"):
        curve_plots.longterm(score(store, suite, "mute"))


def test_what_is_lost_is_said_and_drawn_thin(tmp_path: Path) -> None:
    store, sequence = scored_store(tmp_path)
    boxes, _ = show.results_on(sequence, store, "videos")
    _, mute, sure = show.tracks(sequence, boxes)
    assert mute.lost is None and sure.lost is not None and sure.lost.tolist() == [False] * 20 + [True] * 10
    assert show._entry(sure, 25).endswith("lost") and not show._entry(sure, 3).endswith("lost")
    rows = np.ones((2, 4))
    assert _sure(rows, np.array([0.25, 0.75])) == "  lost 0.75" and _sure(rows, np.full(2, np.nan)) == ""
