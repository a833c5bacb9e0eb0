"""Studies on hand-made boxes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rolo_bench import plots
from rolo_bench.cli import main
from rolo_bench.datasets.suites import Suite, load_suite
from rolo_bench.detection import Detections
from rolo_bench.errors import DataError, UsageError
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.nn.rolo.file import save_rolo
from rolo_bench.nn.rolo.network import Rolo
from rolo_bench.paper.studies import (
    STEPS,
    detector_failures,
    detector_for,
    occlusion,
    occlusion_table,
    step_networks,
    step_sizes,
    steps_row,
    stretch_interval,
    stretches,
    trained_step_networks,
)
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores import published
from rolo_bench.sequence import ArrayFrames, Sequence


def found(*boxes):
    table = np.array(boxes, dtype=float).reshape(-1, 4)
    return Detections(
        table,
        np.full(len(table), 0.9, np.float32),
        np.zeros(len(table), np.int64),
        ("a",),
        np.zeros(0, np.float32),
    )


def sequence(truth, visibility=None):
    frames = ArrayFrames((np.zeros((50, 50, 3), np.uint8),) * len(truth))
    return Sequence("s", frames, np.array(truth, dtype=float), visibility=visibility)


def test_the_detector_fails_where_no_box_reaches_the_iou_and_the_target_has_a_box():
    box, nowhere = [0, 0, 10, 10], [np.nan] * 4
    video = sequence([box, box, box, box, nowhere], np.array([0.0, 1, 0.2, 0.7, 0]))
    # IoU: first frame never counts; 1 is met; 5 x 10 of 150 is 1/3; nothing; no truth
    failure = detector_failures(video, [found(), found(box), found([5, 0, 10, 10]), found(), found()])
    assert failure.frames.tolist() == [False, False, True, True, False]
    assert failure.unseen is not None and failure.unseen.tolist() == [False, False, True, False, False]
    assert detector_failures(sequence([box, box]), [found(), found()]).unseen is None
    loose = detector_failures(video, [found(), found(box), found([5, 0, 10, 10]), found(), found()], 0.3)
    assert loose.frames.tolist() == [False, False, False, True, False]


def test_occlusion_table_by_hand():
    truth = {"a": np.tile([0.0, 0, 10, 10], (4, 1)), "b": np.tile([0.0, 0, 10, 10], (3, 1))}
    half = np.array([0.0, 0, 10, 5])
    mine = {k: v.copy() for k, v in truth.items()}
    mine["a"][1:3] = half
    chosen = {"a": np.array([False, True, True, False]), "b": np.array([False, False, True])}
    row = occlusion_table({"t": mine}, truth, chosen, "x").iloc[0]
    assert row["mean_iou"] == pytest.approx((0.5 + 0.5 + 1.0) / 3)
    assert (row["count"], row["stretches"], row["sequences"]) == (3, 2, 2)
    assert 0.5 <= row["low"] <= row["mean_iou"] <= row["high"] <= 1.0
    with pytest.raises(DataError, match="nothing to compare"):
        occlusion_table({"t": mine}, truth, {k: v & False for k, v in chosen.items()}, "x")


def test_stretches_and_their_interval():
    assert stretches(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
    assert stretches(np.zeros(3, bool)) == []
    assert stretch_interval([np.full(3, 0.4), np.full(9, 0.4)]) == pytest.approx((0.4, 0.4))
    low, high = stretch_interval([np.zeros(5), np.ones(5)])
    assert (low, high) == (0.0, 1.0)


def test_steps_row_measures_the_followed_boxes():
    torch.manual_seed(0)
    net = Rolo(RoloConfig(feature_size=0, hidden=4, steps=3, missing="last")).eval()  # new: gives the fed box
    truth = np.tile([10.0, 10, 20, 20], (6, 1))
    shifted = [found([10, 10, 20, 10])] * 6  # IoU 0.5
    watched = {
        "right": ([found(truth[0])] * 6, (50, 50), truth, None),
        "half": (shifted, (50, 50), truth, None),
    }
    row = steps_row(net, watched)
    assert row["steps"] == 3 and row["fps"] > 0
    assert row["mean_iou"] == pytest.approx((1 + (1 + 5 * 0.5) / 6) / 2, abs=1e-5)


def test_the_study_of_steps_sees_as_its_networks_did(short, tmp_path, monkeypatch):
    from rolo_bench.nn.detect import registry

    network = Rolo(RoloConfig(feature_size=0, hidden=4, steps=3, detector="demo", size=320, vote=0.7)).eval()
    save_rolo(network, tmp_path / "net.safetensors", {})
    asked, plain = {}, registry.open_detector

    def ask(name, **options):
        asked.update(options)
        return plain(name, **options)

    monkeypatch.setattr(registry, "open_detector", ask)
    step_sizes(short, [tmp_path / "net.safetensors"], str(tmp_path / "cache"))
    assert (asked["size"], asked["vote"]) == (320, 0.7)


def test_commands_say_what_is_missing(tmp_path, capsys):
    assert main(["study", "occlusion", "--suite", "demo", "--results", str(tmp_path)]) == 2
    assert "rolo-bench run" in capsys.readouterr().err
    for name in ("steps", "occlusion"):
        assert main(["study", name, "--help"]) == 0


@pytest.fixture(scope="module")
def short():
    """Ten frames of a sequence of the demo suite, in two of which the target is said to be hidden."""
    part = load_suite("demo", only=("CarPass",)).sequences[0].slice(0, 10)
    seen = np.array([1.0, 1, 1, 0.2, 0.2, 1, 1, 1, 1, 1])
    return Suite("demo", (replace(part, visibility=seen),), ("CarPass",))


def test_step_sizes_has_a_row_per_network_and_says_what_it_is_of(short, tmp_path):
    paths, lines = [], []
    for n in (1, 3):
        torch.manual_seed(0)
        paths.append(tmp_path / f"{n}.safetensors")
        config = RoloConfig(feature_size=0, hidden=4, steps=n, missing="last", detector="demo", size=None)
        save_rolo(Rolo(config), paths[-1])
    table = step_sizes(short, paths, str(tmp_path / "cache"), "a processor", lines.append)
    assert list(table["steps"]) == [1, 3] and (table["fps"] > 0).all()
    own = {"suite": "demo", "coverage": "1 sequence", "detector": "demo", "convention": "otb", "hidden": 4}
    for column, value in (own | {"device": "a processor"}).items():
        assert set(table[column]) == {value}, column
    assert lines[0] == "CarPass: detections" and lines[2].startswith("3 steps: mean IoU 0.")
    words = [t.get_text() for t in plots.steps(table, published.steps()).texts]
    assert "demo  \N{MIDDLE DOT}  1 sequence  \N{MIDDLE DOT}  otb" in words
    assert any("LSTM and association, a processor." in w for w in words)
    both = plots.steps_table(table, published.steps())
    assert list(both["source"]) == ["measured"] * 2 + ["published"] * len(published.steps())
    assert both["fps"].notna().all() and set(plots.steps_table(table)["source"]) == {"measured"}


def test_networks_for_every_step_come_with_the_package(short):
    assert [p.is_file() for p in step_networks("yolox-nano")] == [True] * len(STEPS)
    with pytest.raises(UsageError, match="rolo-demo-steps1"):
        step_networks(detector_for(short))


def test_occlusion_compares_stored_results_where_the_detector_fails(short, tmp_path):
    store, (video,) = Store(tmp_path / "results"), short.sequences
    half = video.truth * [1, 1, 1, 0.5]
    for name, boxes in (("right", video.truth), ("half", half)):
        store.save("demo", RunResult(name, video.name, "ope", boxes, np.zeros(10)))
    lines = []
    table = occlusion(
        store, short, ("right", "half"), cache=str(tmp_path / "cache"), valid_iou=1.0, report=lines.append
    )
    rows = table[table["frames"] == "no valid detection"].set_index("tracker")
    assert lines == ["CarPass: 9 frames"] and list(rows["count"]) == [9, 9]  # no detection is exact
    assert rows["mean_iou"].to_dict() == pytest.approx({"right": 1.0, "half": 0.5})
    assert set(table[table["frames"] == "target hidden by more than half"]["count"]) == {2}
    with pytest.raises(UsageError, match="no results of rolo, yolo-sort, yolo on demo"):
        occlusion(store, short)


def test_a_network_is_trained_for_each_step(tmp_path, monkeypatch):
    from rolo_bench.nn.train import rolo
    from tests.helpers_video import otb_folder

    trained = []

    def train_tracker(videos, out, *, steps, recipe, **rest):
        trained.append((len(videos), steps, recipe.seed))

    monkeypatch.setattr(rolo, "train_tracker", train_tracker)
    folder = str(otb_folder(tmp_path / "videos"))
    paths = trained_step_networks([folder], tmp_path / "study", "demo", seed=3)
    assert trained == [(2, 1, 3), (2, 3, 3), (2, 6, 3), (2, 9, 3)]
    assert [p.parent.name for p in paths] == [f"steps-demo-{n}" for n in STEPS]
