"""Cross-validation over recordings, on made-up videos."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.detection import Detections
from rolo_bench.errors import DataError, UsageError
from rolo_bench.nn.rolo.file import load_rolo
from rolo_bench.nn.train import loop, rolo, rolo_loss
from rolo_bench.nn.train.runs import DetectedVideo
from rolo_bench.nn.train.tracks import video_group
from rolo_bench.paper.transfer import Variant, measure, runs, summary, transfer
from tests.helpers_video import otb_folder

DETECTOR = '''
import numpy as np
from rolo_bench.detection import Detections

class Bright:
    """Finds what differs most from the image's median."""

    name, classes, feature_size, size, identity = "bright", ("thing",), 0, 0, "bright:1"

    def __init__(self, threshold=0.0):
        self.threshold = threshold

    def __call__(self, images):
        return [self.one(image.astype(float)) for image in images]

    def one(self, image):
        apart = np.abs(image - np.median(image, axis=(0, 1))).sum(axis=2)
        y, x = np.nonzero(apart > apart.max() / 2)
        box = np.array([[x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]], dtype=float)
        return Detections(box, np.array([0.9], np.float32), np.array([0]), self.classes, np.zeros(0, np.float32))
'''


def track(name="a", count=30, missing=()):
    truth = np.column_stack([np.arange(count) * 2.0, np.full(count, 20), np.full((count, 2), 10)])
    truth[list(missing)] = np.nan
    found = [
        Detections(b[None], np.array([0.9], np.float32), np.array([0]), ("x",), np.zeros(0, np.float32))
        for b in np.nan_to_num(truth, nan=1.0)
    ]
    return DetectedVideo(name, truth, tuple(found), (200, 100), video_group(name))


def test_runs_begin_at_several_frames_with_truth_both_ways():
    got = [r.tolist() for r in runs(track(missing=(0, 1)), 2)]
    assert [(r[0], r[-1]) for r in got] == [(2, 29), (15, 29), (29, 0), (14, 0)]
    assert all(np.abs(np.diff(r)).max() == 1 for r in got)
    assert list(runs(track(count=9), 1)) == []


def test_a_detector_that_is_right_scores_as_the_truth_does():
    got = list(measure(Variant.of("yolo"), [track("Bolt2"), track("Bolt")], {"detector": "demo"}, 1))
    assert [recording for recording, _ in got] == ["Bolt"] * 4
    assert [auc for _, auc in got] == pytest.approx([20 / 21] * 4, abs=1e-6)


def test_differences_are_paired_by_recording():
    rows = [("a", 0, "x", 0.5), ("a", 0, "y", 0.9), ("b", 0, "x", 0.4), ("b", 0, "y", 0.8)]
    table = summary(pd.DataFrame(rows, columns=["variant", "seed", "recording", "auc"]))
    assert table["auc"].tolist() == pytest.approx([0.7, 0.6])
    assert table["error"].tolist() == pytest.approx([0.2, 0.2])  # the deviation 0.283 over the root of 2
    assert table["difference"].tolist() == pytest.approx([0, -0.1])
    assert table["difference_error"].tolist() == pytest.approx([0, 0], abs=1e-12)


def test_variants_are_read_and_refused():
    one = Variant.of("rolo steps=1 feature=other")
    assert (one.tracker, one.options, one.other) == ("rolo", {"steps": 1}, True)
    with pytest.raises(UsageError, match="unknown tracker"):
        Variant.of("nobody")
    for text in ("static", "rolo-plus"):
        with pytest.raises(UsageError, match="stored detections"):
            Variant.of(text).make()
    for option in ("detector=demo", "size=320", "association=oracle", "variant=heatmap"):
        with pytest.raises(UsageError, match=option.split("=")[0]):
            Variant.of(f"rolo {option}")


def test_another_look_is_that_of_another_recording(monkeypatch):
    """Also where a single video is held out, or several of one recording are."""
    seen = []
    monkeypatch.setattr(
        "rolo_bench.paper.transfer.run_auc", lambda t, track, order, other: seen.append(other.name)
    )
    held, others = [track("Bolt"), track("Bolt2")], [track("Dog"), track("Suv")]
    variant = Variant.of("rolo feature=other")
    for _ in measure(variant, held, {"detector": "demo"}, 1, others):
        pass
    assert seen == ["Dog", "Dog", "Suv", "Suv"]


def test_a_video_too_short_and_a_bad_variant_are_told_before_any_training(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bright.py").write_text(DETECTOR)
    otb_folder(tmp_path / "videos", ("One", "Other"), 5)
    videos = load_suite(str(tmp_path / "videos")).sequences
    for texts, error, words in (
        (["rolo", "static"], UsageError, "static"),
        (["rolo"], DataError, "fewer than"),
    ):
        with pytest.raises(error, match=words):
            transfer(
                videos,
                [Variant.of(t) for t in texts],
                tmp_path / "out",
                detector=str(tmp_path / "bright.py"),
                folds=2,
            )
    assert not (tmp_path / "out").exists()


def test_the_command_trains_on_the_other_recordings_and_measures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    whole = rolo_loss.RoloRecipe
    monkeypatch.setattr(
        rolo_loss, "RoloRecipe", lambda seed: whole(pretrain=4, finetune=4, batch=8, seed=seed)
    )
    prepare = rolo.prepare_runs
    monkeypatch.setattr(rolo, "prepare_runs", lambda *a, **more: prepare(*a, **more | {"simulated": 12}))
    otb_folder(tmp_path / "videos", ("One", "Other", "Third"))
    (tmp_path / "bright.py").write_text(DETECTOR)
    words = [
        "--data",
        tmp_path / "videos",
        "--detector",
        tmp_path / "bright.py",
        "--folds",
        "3",
        "--seeds",
        "2",
    ]
    main(
        [
            "study",
            "transfer",
            "rolo",
            "rolo without=network",
            "yolo",
            *map(str, words),
            "--results",
            str(tmp_path),
        ]
    )
    table = pd.read_csv(tmp_path / "study" / "transfer.csv").set_index("variant")
    assert table["recordings"].tolist() == [3, 3, 3] and (table["seeds"] == 2).all()
    assert table.loc["yolo", "auc"] > 0.9 and table.loc["rolo without=network", "auc"] > 0.9
    assert "rolo without=network" in capsys.readouterr().out
    weights = sorted((tmp_path / "study" / "transfer").glob("*/rolo.safetensors"))
    assert len(weights) == 6
    from rolo_bench.nn.rolo.file import load_rolo

    trained = [set(load_rolo(p)[1]["videos"]) for p in weights]
    assert all(len(names) == 2 for names in trained) and set.union(*trained) == {"One", "Other", "Third"}


def test_training_and_runs_see_with_the_size_and_the_votes_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bright.py").write_text(DETECTOR.replace("threshold=0.0", "threshold=0.0, size=0, vote=1"))
    otb_folder(tmp_path / "videos", ("One", "Other"))
    videos = load_suite(str(tmp_path / "videos")).sequences
    asked, plain, whole = [], rolo.open_detector, rolo_loss.RoloRecipe

    def ask(name, *, size, vote, **more):
        asked.append((size, vote))
        return plain(name, size=size, vote=vote, **more)

    monkeypatch.setattr(rolo, "open_detector", ask)
    monkeypatch.setattr(
        rolo_loss, "RoloRecipe", lambda seed: whole(pretrain=2, finetune=2, batch=8, seed=seed)
    )
    for size, vote in ((None, None), (64, 0.7)):
        transfer(
            videos, [Variant.of("rolo")], tmp_path / f"out{size}", detector=str(tmp_path / "bright.py"), folds=2,
            size=size, vote=vote,
        )  # fmt: skip
    assert asked == [(None, None)] * 3 + [(64, 0.7)] * 3  # for all videos, then for each fold's training
    assert load_rolo(tmp_path / "out64" / "fold0-seed0" / "rolo.safetensors")[0].config.size == 64


KILLED = """
import os, signal, sys
from rolo_bench.cli import main
from rolo_bench.nn.train import loop, rolo, rolo_loss
from rolo_bench.paper import transfer

where, at, *line = sys.argv[1:]
calls, whole = {"training": 0, "measuring": 0}, rolo_loss.RoloRecipe

def count(what, module, name):
    plain = getattr(module, name)

    def counted(*given):
        calls[what] += 1
        if calls[where] == int(at):
            print(calls["training"], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*given)

    setattr(module, name, counted)

count("training", loop, "update")
count("measuring", transfer, "run_auc")
prepare = rolo.prepare_runs
rolo.prepare_runs = lambda *given, **more: prepare(*given, **more | {"simulated": 12})
rolo_loss.RoloRecipe = lambda seed: whole(pretrain=4, finetune=4, batch=8, check=2, seed=seed)
main(line)
"""


def outcome(folder):
    """Tables and weights of a study."""
    found = {p.name: p.read_bytes() for p in folder.glob("*.csv")}
    for path in folder.glob("transfer/*/rolo.safetensors"):  # whose order of keys is not always the same
        found |= {f"{path.parent.name} {name}": w.tobytes() for name, w in load_file(path).items()}
    return found


def test_killed_in_training_or_in_measuring_the_same_command_goes_on(tmp_path, monkeypatch):
    """Training goes on from its checkpoint, finished networks stay; what was measured is measured again."""
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    whole, update, steps = rolo_loss.RoloRecipe, loop.update, []
    monkeypatch.setattr(
        rolo_loss, "RoloRecipe", lambda seed: whole(pretrain=4, finetune=4, batch=8, check=2, seed=seed)
    )
    prepare = rolo.prepare_runs
    monkeypatch.setattr(rolo, "prepare_runs", lambda *a, **more: prepare(*a, **more | {"simulated": 12}))
    monkeypatch.setattr(loop, "update", lambda *given: steps.append(0) or update(*given))
    otb_folder(tmp_path / "videos", ("One", "Other"), 20)
    (tmp_path / "bright.py").write_text(DETECTOR)
    line = ["study", "transfer", "rolo", "yolo", "--data", str(tmp_path / "videos"), "--folds", "2"]
    line += ["--detector", str(tmp_path / "bright.py"), "--results"]
    assert main([*line, str(tmp_path / "whole")]) == 0 and len(steps) == 16
    wanted = outcome(tmp_path / "whole" / "study")
    # the twelfth step is the fourth of the second network, whose checkpoint is of two; the tenth run that is
    # measured is the second of the second fold
    folder = tmp_path / "killed"
    for where, at, trained in (("training", 12, 12), ("measuring", 10, 8 - 2)):
        words = [sys.executable, "-c", KILLED, where, str(at), *line, str(folder)]
        done = subprocess.run(words, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL and int(done.stdout.split()[-1]) == trained
        assert not list((folder / "study").glob("*.csv"))
    steps.clear()
    assert main([*line, str(folder)]) == 0 and not steps
    assert outcome(folder / "study") == wanted
