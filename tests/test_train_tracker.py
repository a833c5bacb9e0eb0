"""Training of ROLO: runs, windows, losses, resumption, splits, VID reader, and one small training."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from rolo_bench.boxes import to_relative
from rolo_bench.datasets.vid import is_vid_folder, load_vid
from rolo_bench.detection import Detections
from rolo_bench.errors import DataError, UsageError
from rolo_bench.nn.rolo.coding import encode, relative_iou
from rolo_bench.nn.rolo.config import STREAMING, RoloConfig
from rolo_bench.nn.rolo.file import load_rolo
from rolo_bench.nn.rolo.follower import Follower, follow
from rolo_bench.nn.rolo.network import Rolo
from rolo_bench.nn.train.footage import draw_footage, draw_rows, footage
from rolo_bench.nn.train.rollout import fed_as_zeros, rollout, score, unroll
from rolo_bench.nn.train.rolo import prepare_runs, train, train_tracker
from rolo_bench.nn.train.rolo_loss import RoloRecipe, draw_stretches, draw_windows
from rolo_bench.nn.train.runs import DetectedVideo, real_runs
from rolo_bench.nn.train.simulated import Noise, simulated_runs
from rolo_bench.nn.train.tracks import collect, held_out, make_track, trajectories, video_group
from rolo_bench.sequence import ArrayFrames, Sequence

SIZE = (200, 100)
SMALL = RoloConfig(feature_size=3, projection=2, hidden=8, steps=4, dropout=0.0)


def path(count=60, speed=2.0, start=20.0):
    t = np.arange(count)
    return np.stack(
        [start + speed * t, np.full(count, 30.0), np.full(count, 24.0), np.full(count, 40.0)], axis=1
    )


def track(name="a", count=60, seed=0, biased=0.1, miss=range(20, 26)):
    rng = np.random.default_rng(seed)
    truth = path(count, rng.uniform(0.5, 2))
    found = []
    for t in range(count):
        box = truth[t] + [biased * 24, 0, -biased * 24, 0] + rng.normal(0, 0.4, 4)
        rows = np.zeros((0, 4)) if t in miss else box[None]
        found.append(
            Detections(
                rows,
                np.full(len(rows), 0.9, np.float32),
                np.zeros(len(rows), np.int64),
                (),
                rng.normal(size=3).astype(np.float32),
            )
        )
    return DetectedVideo(name, truth, tuple(found), SIZE, name)


def crowded(one, seed):
    """The track with up to four more detections a frame, of two classes and any score, many near the target."""
    rng = np.random.default_rng(seed)
    frames = []
    for t, found in enumerate(one.found):
        more = rng.integers(0, 5)
        boxes = one.truth[t] * np.exp(rng.normal(0, 0.2, (more, 4))) + rng.normal(0, 8, (more, 4))
        boxes = np.concatenate([found.boxes, np.hstack([boxes[:, :2], np.maximum(boxes[:, 2:], 3)])])
        scores = np.concatenate([found.scores * rng.uniform(0.2, 1), rng.uniform(0.01, 0.9, more)])
        order = np.argsort(-scores)
        classes = np.concatenate([found.classes, rng.integers(0, 2, more)])
        frames.append(
            replace(
                found, boxes=boxes[order], scores=scores[order].astype(np.float32), classes=classes[order]
            )
        )
    return replace(one, found=tuple(frames))


def wild(config):
    """A network that learnt nothing and says all sorts of things."""
    torch.manual_seed(0)
    net = Rolo(config).eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    torch.nn.init.normal_(net.head.bias, std=0.01)
    torch.nn.init.normal_(net.head.weight[4:])
    return net


def test_runs_hold_accepted_detections_and_the_drawn_offset():
    one = track()
    runs, owner = real_runs([one], SMALL, 60, 1, reverse=False)
    assert runs.accepted.shape == (1, 60, 4) and owner == [0]
    gone = np.isnan(runs.accepted[0, :, 0])
    assert np.flatnonzero(gone).tolist() == list(range(20, 26))
    expected = to_relative(np.stack([f.boxes[0] for f in one.found[:20]]), SIZE)
    np.testing.assert_allclose(runs.accepted[0, :20], expected, rtol=1e-5)
    np.testing.assert_allclose(runs.truth[0], to_relative(one.truth, SIZE), rtol=1e-5)
    given, first = to_relative(np.stack([one.truth[0], one.found[0].boxes[0]]), SIZE)
    np.testing.assert_allclose(runs.drawn[0, 2:], np.log(given[2:] / first[2:]), rtol=1e-4)
    assert runs.rows[0].tolist() == list(range(60))


def test_backward_runs_begin_at_the_other_end():
    runs, _ = real_runs([track()], SMALL, 30, 2)
    assert len(runs) == 4
    assert {int(r[0]) for r in runs.rows} == {0, 30, 29, 59}


def test_a_rollout_is_what_the_tracker_does():
    """The batched closed loop of training against the tracker's own frame by frame."""
    for options in (
        {"steps": 4},
        {"steps": 0, "missing": "last"},
        {"steps": 0, "motion": "output", "confidence": True},
    ):
        net = wild(RoloConfig(feature_size=3, projection=2, hidden=8, **options))
        one = track()
        runs, _ = real_runs([one], net.config, 60, 1, reverse=False)
        table = torch.from_numpy(np.stack([f.feature for f in one.found]))
        outputs = rollout(net, runs, table).outputs[0].numpy()
        np.testing.assert_allclose(
            outputs[1:], to_relative(follow(net, list(one.found), one.truth[0], SIZE), SIZE)[1:], atol=2e-5
        )


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 4, "history": 3, "size_limit": 0.5},
        {"steps": 0, "history": 1, "prefer": 0.5, "widen": 0.3, **STREAMING},
        {
            "steps": 0,
            "centre": "prediction",
            "prefer": 0.3,
            "widen": 0.1,
            "size_limit": 1.2,
            "place": True,
            **STREAMING,
        },
    ],
)
def test_the_closed_loop_is_what_the_tracker_does(options):
    """Association, judging and outputs over a batch of whole videos, forward and backward, as one by one."""
    net = wild(RoloConfig(feature_size=3, projection=2, hidden=8, **options))
    tracks = [crowded(track(str(seed), seed=seed), seed) for seed in range(4)]
    source = footage(tracks, net.config)
    rows = np.stack([np.arange(60 * i, 60 * i + 60) for i in range(4)])
    rows = np.concatenate([rows, rows[:, ::-1]])
    rows[7, 40:] = -1
    table = torch.from_numpy(np.concatenate([[f.feature for f in t.found] for t in tracks]))
    for turn in range(2):
        runs, chooser = draw_footage(source, net.config, rows)
        with torch.no_grad():
            fed = unroll(net, runs, table, chooser=chooser)
            if net.config.judge and turn == 0:
                net.head.bias[4] -= fed.verdicts.quantile(0.3)  # rejects some, accepts more
    outputs = fed.outputs
    differ = 0
    for i, row in enumerate(rows):
        one = tracks[i % 4]
        order = row[row >= 0] - 60 * (i % 4)
        follower = Follower(net, SIZE)
        follower.start(one.found[order[0]], one.truth[order[0]])
        for t, frame in enumerate(order[1:], 1):
            box = follower.step(one.found[frame])
            np.testing.assert_allclose(outputs[i, t], to_relative(box, SIZE)[0], atol=2e-5)
            differ += follower.accepted != 0
    assert 20 < differ < 440  # some frames accept none, or another than the best score
    if net.config.judge:
        assert 20 < int((fed.verdicts < 0).sum()) < 440


def test_guided_stretches_follow_the_truth_and_miss_what_is_dropped():
    net = wild(RoloConfig(feature_size=0, hidden=8, steps=0, centre="prediction"))
    torch.nn.init.constant_(net.head.bias[:2], 0.3)  # its outputs drift away
    tracks = [crowded(track(str(seed), seed=seed), seed) for seed in range(4)]
    source = footage(tracks, net.config)
    rng = np.random.default_rng(0)
    share = []
    for guided, drop in ((1.0, 0.0), (1.0, 0.5), (0.0, 0.5)):
        runs, chooser = draw_footage(
            source, net.config, draw_rows(source, 200, 30, rng), guided, drop, 0.02, rng
        )
        fed = unroll(net, runs, chooser=chooser)
        seen = ~torch.isnan(fed.accepted[..., 0])
        right = relative_iou(fed.accepted, torch.from_numpy(runs.truth))[seen] > 0.3
        share.append((float(seen.float().mean()), float(right.float().mean())))
    assert share[0][1] > share[2][1] + 0.1
    assert share[1][0] < 0.7 * share[0][0] < share[0][0]


def test_a_network_that_is_told_its_place_sees_stretches_where_they_were():
    """Mirrored at most; others are moved about."""
    source = footage([track()], SMALL)
    rows = np.tile(np.arange(30), (40, 1))
    there = source.truth[:30]
    for place in (True, False):
        config = replace(SMALL, place=place)
        runs, chooser = draw_footage(source, config, rows, rng=np.random.default_rng(0))
        same = np.abs(runs.truth - there).max(axis=(1, 2)) < 1e-6
        mirrored = np.abs(runs.truth - (there * [-1, 1, 1, 1] + [1, 0, 0, 0])).max(axis=(1, 2)) < 1e-6
        assert (same | mirrored).all() == place and 5 < same.sum() < 35 if place else not same.any()
        overlap = relative_iou(torch.from_numpy(chooser.boxes[:, :, 0]), torch.from_numpy(runs.truth))[:, :20]
        expected = relative_iou(torch.from_numpy(source.boxes[:20, 0]), torch.from_numpy(there[:20]))
        torch.testing.assert_close(overlap, expected.expand(40, 20))
    fed = torch.tensor([[0.75, 0.25, 0.1, 0.2]])
    told = encode(replace(SMALL, place=True), fed, fed, torch.zeros(1), torch.zeros(1, 4))
    torch.testing.assert_close(told[0, -2:], torch.tensor([2.5, -1.25]) / 4)


def test_stretches_of_footage_stay_in_their_video():
    tracks = [track(str(seed), seed=seed) for seed in range(3)]
    rows = draw_rows(footage(tracks, SMALL), 500, 40, np.random.default_rng(0))
    for row in rows:
        inside = row[row >= 0]
        assert len(set(inside // 60)) == 1 and (np.abs(np.diff(inside)) == 1).all() and len(inside) >= 20
        assert row[0] >= 0 and (row[len(inside) :] == -1).all()


def test_simulated_runs_err_and_miss_as_told_and_repeat():
    a = simulated_runs([path(300)], 20, 50, np.random.default_rng(1))
    b = simulated_runs([path(300)], 20, 50, np.random.default_rng(1))
    np.testing.assert_array_equal(a.accepted, b.accepted)
    missed = np.isnan(a.accepted[:, 1:, 0]).mean()
    assert 0.02 < missed < 0.6
    assert (a.rows == -1).all()
    seen = ~np.isnan(a.accepted[..., 0])
    overlap = relative_iou(torch.from_numpy(a.accepted), torch.from_numpy(a.truth)).numpy()[seen]
    assert 0.4 < overlap.mean() < 0.95


def test_windows_are_moved_as_a_whole():
    """Mirroring, scaling and shifting keep every IoU between fed box and truth."""
    runs = simulated_runs([path(300)], 10, 50, np.random.default_rng(2))
    net = train(SMALL, RoloRecipe(pretrain=1, batch=2, refresh=10), runs, None).network
    fed = rollout(net, runs)
    still, moved = (
        draw_windows(runs, fed.boxes, fed.missed, 16, 4, np.random.default_rng(3), RoloRecipe(), move)
        for move in (False, True)
    )
    torch.testing.assert_close(
        relative_iou(moved.fed, moved.truth), relative_iou(still.fed, still.truth), rtol=0, atol=1e-4
    )
    assert (moved.fed - still.fed).abs().max() > 0.05


@pytest.mark.parametrize("form", ["offset", "absolute", "heatmap"])
def test_training_lowers_the_loss_in_every_form(form):
    config = RoloConfig(form=form, feature_size=0, hidden=12, steps=3, missing="last")
    runs, _ = real_runs([track(str(i), seed=i, biased=0.3) for i in range(3)], config, 60, 2)
    recipe = RoloRecipe(pretrain=0, finetune=120, batch=16, check=40, refresh=120, rate=5e-3)
    losses = [row["loss"] for row in train(config, recipe, None, runs).curves]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_training_learns_how_the_boxes_are_drawn():
    """The detector's boxes are biased by a tenth; after training they are better than the detections."""
    tracks = [track(str(i), seed=i, biased=0.15) for i in range(4)]
    runs, _ = real_runs(tracks[:3], SMALL, 60, 2)
    test, _ = real_runs(tracks[3:], SMALL, 60, 1, reverse=False)
    before = train(SMALL, RoloRecipe(pretrain=0, finetune=1, batch=2), None, runs).network
    after = train(
        SMALL, RoloRecipe(pretrain=0, finetune=150, batch=32, rate=5e-3, refresh=75), None, runs
    ).network
    assert score(after, test).mean() > score(before, test).mean() + 0.03


def test_stretches_are_moved_as_a_whole_and_begin_with_the_truth():
    runs = simulated_runs([path(300)], 10, 50, np.random.default_rng(2))
    part = draw_stretches(runs, 32, 20, np.random.default_rng(3), RoloRecipe())
    assert part.accepted.shape == part.truth.shape == (32, 20, 4) and part.rows.shape == (32, 20)
    np.testing.assert_array_equal(part.given, part.truth[:, 0])
    assert np.isfinite(part.given).all()
    seen = ~np.isnan(part.accepted[..., 0]) & ~np.isnan(part.truth[..., 0])
    now = relative_iou(torch.from_numpy(part.accepted[seen]), torch.from_numpy(part.truth[seen]))
    all_seen = ~np.isnan(runs.accepted[..., 0]) & ~np.isnan(runs.truth[..., 0])
    before = relative_iou(torch.from_numpy(runs.accepted[all_seen]), torch.from_numpy(runs.truth[all_seen]))
    assert before.min() - 1e-4 <= now.min() and now.max() <= before.max() + 1e-4


def test_a_streaming_network_learns_to_go_on_through_misses():
    """Targets that move at a steady speed vanish for ten frames: holding the last box loses them."""
    paths = [path(60, speed) for speed in (1.5, 2.0, 2.5, 3.0)]
    noise = Noise(bias=(0.0,) * 4, wander=0.0, jitter=(0.01,) * 4, outliers=0.0)
    config = RoloConfig(feature_size=0, hidden=24, steps=0)
    runs = simulated_runs(paths, 60, 50, np.random.default_rng(0), noise)
    test = simulated_runs(paths, 20, 50, np.random.default_rng(1), noise)
    test.accepted[:, 20:30] = np.nan
    recipe = RoloRecipe(pretrain=100, batch=16, rate=1e-2, context=30)
    network = train(config, recipe, runs, None).network
    truth = torch.from_numpy(test.truth[:, 20:30])
    known = ~torch.isnan(truth[..., 0])
    hold = relative_iou(torch.from_numpy(test.accepted[:, 19:20]).expand(-1, 10, -1), truth)
    gone = relative_iou(rollout(network, test).outputs[:, 20:30], truth)
    both = known & torch.isfinite(hold)
    assert gone[both].mean() > hold[both].mean() + 0.15
    with pytest.raises(UsageError, match="trained in windows"):
        train(RoloConfig(form="heatmap", feature_size=0, steps=0), recipe, runs, None)


def test_predictions_are_those_of_the_tracker_and_are_learnt():
    """What training takes for the prediction is what centres the association; its loss makes it better."""
    paths = [path(60, speed) for speed in (1.5, 2.0, 2.5, 3.0)]
    noise = Noise(bias=(0.0,) * 4, wander=0.0, jitter=(0.01,) * 4, outliers=0.0)
    config = RoloConfig(feature_size=0, hidden=16, steps=0, motion="output", limit=3.0)
    runs = simulated_runs(paths, 40, 50, np.random.default_rng(0), noise)
    short = {"pretrain": 40, "batch": 12, "rate": 1e-2, "context": 20, "drop": 0.0}
    errors = []
    for weight in (0.0, 1.0):
        network = train(config, RoloRecipe(predict=weight, **short), runs, None).network
        with torch.no_grad():
            fed = unroll(network.eval(), runs, predict=True)
        known = ~torch.isnan(torch.from_numpy(runs.truth[..., 0]))
        errors.append(float(relative_iou(fed.predictions, torch.from_numpy(runs.truth))[known].mean()))
    assert errors[1] > errors[0] + 0.02
    one = track()
    real, _ = real_runs([one], config, 60, 1, reverse=False)
    fed = unroll(network.eval(), real, predict=True)
    follower = Follower(network, SIZE)
    follower.start(one.found[0], one.truth[0])
    for t, frame in enumerate(one.found[1:40], 1):
        expected = fed.predictions[0, t].detach().numpy()
        missed = copy.deepcopy(follower).advance(frame, None)
        np.testing.assert_allclose(to_relative(missed, SIZE)[0], expected, atol=2e-5)
        follower.step(frame)


def test_a_network_learns_to_reject_what_is_not_the_target():
    """Every fifth detection lies a box beside the target and has a low score: it is to count as none."""
    paths = [path(60, speed) for speed in (1.5, 2.0, 2.5, 3.0)]
    noise = Noise(bias=(0.0,) * 4, wander=0.0, jitter=(0.02,) * 4, outliers=0.0, miss=0.05)
    config = RoloConfig(feature_size=0, hidden=16, steps=0, **STREAMING)

    def runs(seed):
        found = simulated_runs(paths, 40, 50, np.random.default_rng(seed), noise)
        wrong = np.random.default_rng(seed).random(found.scores.shape) < 0.2
        wrong[:, 0] = False
        found.accepted[wrong, 0] += 1.2 * found.accepted[wrong, 2]
        found.scores[wrong & (found.scores > 0)] = 0.1
        return found, wrong & ~np.isnan(found.accepted[..., 0])

    recipe = RoloRecipe(pretrain=200, batch=12, rate=1.5e-2, context=15, drop=0.1, predict=1.0)
    network = train(config, recipe, runs(0)[0], None).network
    found, wrong = runs(1)
    fed = rollout(network, found)
    rejected = (fed.verdicts < 0).numpy() & ~np.isnan(found.accepted[..., 0])
    right = ~wrong & ~np.isnan(found.accepted[..., 0])
    right[:, 0] = False
    assert rejected[wrong].mean() > 0.8 and rejected[right].mean() < 0.1
    assert (fed.missed.numpy()[rejected] > 0).all()


class Stop(Exception):
    """Raised where a training is killed."""


def stop_at(step):
    def report(row):
        if row["step"] == step:
            raise Stop

    return report


@pytest.mark.parametrize("steps", [4, 0])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, steps):
    """Killed in pre-training and again while the best is kept, between two refreshes of what windows are fed."""
    config = replace(SMALL, steps=steps, dropout=0.5)
    runs, _ = real_runs([track()], config, 60, 2)
    table = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    recipe = RoloRecipe(pretrain=15, finetune=25, batch=4, check=10, refresh=15, context=20)
    whole = train(config, recipe, runs, runs, runs, table)
    assert [row["step"] for row in whole.curves] == [10, 20, 30, 40] and whole.step > 15
    for step in (10, 20):
        with pytest.raises(Stop):
            train(config, recipe, runs, runs, runs, table, tmp_path, stop_at(step))
    rows = []
    resumed = train(config, recipe, runs, runs, runs, table, tmp_path, rows.append)
    assert [row["step"] for row in rows] == [30, 40]
    assert (resumed.step, resumed.score) == (whole.step, whole.score)
    for a, b in zip(whole.network.state_dict().values(), resumed.network.state_dict().values()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    with pytest.raises(UsageError, match=r"other settings \(recipe, schedule\)"):
        train(config, RoloRecipe(finetune=7), runs, runs, runs, table, tmp_path)


def test_early_stopping_keeps_the_best(tmp_path):
    runs, _ = real_runs([track()], SMALL, 60, 2)
    recipe = RoloRecipe(pretrain=0, finetune=200, batch=4, check=5, refresh=100, patience=2, rate=0.3)
    fit = train(SMALL, recipe, None, runs, runs, folder=tmp_path)
    assert fit.curves[-1]["step"] < 200
    assert fit.score == max(row["score"] for row in fit.curves)
    assert score(fit.network, runs).mean() == pytest.approx(fit.score)
    assert (tmp_path / "curves.csv").read_text().splitlines()[0] == "step,learning_rate,loss,seconds,score"
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_weights_of_pretraining_are_not_kept():
    """Nor do its evaluations count for the patience: the best is of a step after the turn."""
    runs, _ = real_runs([track()], SMALL, 60, 2)
    recipe = RoloRecipe(pretrain=20, finetune=10, batch=4, check=5, refresh=10, patience=2, rate=0.3)
    fit = train(SMALL, recipe, runs, runs, runs)
    assert fit.step > 20 and len(fit.curves) >= 6


class Fake:
    """A detector that says the image's brightness as feature and one fixed box."""

    name, classes, feature_size, size, identity = "fake", ("a",), 2, 32, "fake"

    def __call__(self, images):
        return [
            Detections(np.array([[1.0, 2, 30, 40]]), np.ones(1, np.float32), np.zeros(1, np.int64), ("a",),
                       np.array([i.mean(), 0], np.float32)) for i in images
        ]  # fmt: skip


def video(name, count):
    frames = tuple(np.full((100, 200, 3), i, np.uint8) for i in range(count))
    return Sequence(name, ArrayFrames(frames), path(count))


@pytest.fixture
def small_tracker(monkeypatch):
    """`train_tracker` on a detector and with a recipe that take no time."""
    monkeypatch.setattr("rolo_bench.nn.train.rolo.open_detector", lambda *a, **k: Fake())
    monkeypatch.setattr(
        "rolo_bench.nn.train.rolo.prepare_runs", lambda *a, **k: prepare_runs(*a, **k | {"simulated": 60})
    )
    recipe = RoloRecipe(pretrain=10, finetune=20, batch=4, check=10, refresh=10)
    videos = [video(name, 30) for name in ("a", "b", "c")]

    def call(out, **options):
        return train_tracker(**{"videos": videos, "recipe": recipe, "hidden": 8} | options, out=out)

    return call


def test_the_tracker_is_trained_from_python_and_goes_on_to_the_same_file(tmp_path, small_tracker):
    whole = small_tracker(tmp_path / "whole", hold_out=0.4, command="as told")
    network, about = load_rolo(tmp_path / "whole/rolo.safetensors")
    assert about["held_out"] == ["c"] and about["command"] == "as told" and about["best_step"] == whole.step
    assert about["held_out_iou"] == whole.score and network.config.hidden == 8 and network.config.likeness
    with pytest.raises(Stop):
        small_tracker(tmp_path / "parts", hold_out=0.4, command="as told", report=stop_at(20))
    assert not (tmp_path / "parts/rolo.safetensors").exists()
    small_tracker(tmp_path / "parts", hold_out=0.4, command="as told")
    again, same = load_rolo(tmp_path / "parts/rolo.safetensors")
    for a, b in zip(network.state_dict().values(), again.state_dict().values()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert same == about
    assert (tmp_path / "parts/rolo.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_network_learns_the_whole_correction_and_applies_half_of_it(tmp_path, small_tracker, monkeypatch):
    learnt = []

    def spy(config, *rest):
        learnt.append(config.correction)
        return train(config, *rest)

    monkeypatch.setattr("rolo_bench.nn.train.rolo.train", spy)
    for form, steps, applied in (("offset", 6, 0.5), ("offset", 0, 1.0), ("heatmap", 6, 1.0)):
        out = tmp_path / f"{form}{steps}"
        small_tracker(out, form=form, steps=steps)
        assert load_rolo(out / "rolo.safetensors")[0].config.correction == applied
    assert learnt == [1.0] * 3


def test_a_tracker_of_other_data_is_refused(tmp_path, small_tracker):
    """A folder's checkpoint belongs to its videos, detector, motion, split, start and recipe."""
    small_tracker(tmp_path / "run")
    start, motion = tmp_path / "run/rolo.safetensors", tmp_path / "motion"
    motion.mkdir()
    np.savetxt(motion / "m.txt", path(60), delimiter=",")
    for options, word in (
        ({"videos": [video("a", 31), video("b", 30), video("c", 30)]}, "videos"),
        ({"videos": [video("d", 30), video("b", 30), video("c", 30)]}, "videos"),
        ({"motion": motion}, "motion"),
        ({"split": "third-truth"}, "split"),
        ({"hold_out": 0.4}, "hold_out, schedule"),
        ({"start": start}, "start"),
        ({"more": [path(40)]}, "more"),
        ({"centre": "prediction"}, "network"),
        ({"recipe": RoloRecipe(pretrain=10, finetune=20, batch=4, check=10, refresh=10, seed=1)}, "recipe"),
    ):
        with pytest.raises(UsageError, match=rf"other settings \(.*{word}"):
            small_tracker(tmp_path / "run", **options)
    Fake.identity = "another"
    try:
        with pytest.raises(UsageError, match=r"other settings \(detector\)"):
            small_tracker(tmp_path / "run")
    finally:
        Fake.identity = "fake"


def test_splits_of_the_paper():
    whole, table = make_track(video("a", 30), Fake(), True)
    assert len(whole.found) == 30 and table is not None and table[:, 0].tolist() == list(range(30))
    assert whole.size == (200, 100)
    assert len(make_track(video("a", 30), Fake(), False, "first-third")[0].found) == 10
    third, _ = make_track(video("a", 30), Fake(), False, "third-truth")
    assert len(third.found) == 30 and third.counted is not None and third.counted.sum() == 10
    with pytest.raises(UsageError, match="split"):
        make_track(video("a", 30), Fake(), False, "half")


def test_two_targets_of_one_video_are_held_out_together():
    tracks, features = collect([video(n, 20) for n in ("j-1", "j-2", "b", "c", "d")], Fake(), True)
    assert features is not None and features.shape == (100, 2)
    assert features[:, 0].tolist() == 5 * list(range(20))
    for seed in range(10):
        out = {tracks[i].name for i in held_out(tracks, 0.25, seed)}
        assert len({n[0] for n in out}) == 1 and (("j-1" in out) == ("j-2" in out))
    runs = prepare_runs(tracks, SMALL, (), 0.25, 0, length=20, starts=1, simulated=4)
    assert runs.held_out is not None and len(runs.real) + len(runs.held_out) == 10


def test_features_lie_on_disk_and_leave_no_file(tmp_path):
    """The table of a large data set is read where it is needed; it ends with the training."""
    import psutil

    _, features = collect([video(n, 20) for n in "ab"], Fake(), True, folder=tmp_path / "out")
    assert features is not None
    mapped = [m for m in psutil.Process().memory_maps() if m.path.startswith(str(tmp_path / "out"))]
    assert len(mapped) == 1 and list((tmp_path / "out").iterdir()) == []


def test_motion_leaves_out_the_names_it_is_told(tmp_path):
    for name in ("Keep", "Leave"):
        (tmp_path / f"{name}.txt").write_text("1,1,5,5\n2,1,5,5\n")
    assert len(trajectories(tmp_path, {"Leave"})) == 1
    with pytest.raises(DataError, match="no annotation files"):
        trajectories(tmp_path, {"Leave", "Keep"})


def test_the_command_is_noted_without_the_folders_of_one_machine(tmp_path):
    from rolo_bench.cli.train import command_line, tracker

    motion = tmp_path / "annotations"
    motion.mkdir()
    words = f"--data /some/where/train --motion {motion} --detector yolo-nano-voc --seed 2 --paper-size"
    with tracker.make_context("tracker", f"{words} --out runs --threads 1".split()) as context:
        noted = command_line(context)
    assert noted == (
        "rolo-bench train tracker --data train --motion annotations --detector yolo-nano-voc --paper-size --seed 2"
    )


def test_vid_reader(tmp_path):
    import cv2

    notes, images = tmp_path / "Annotations/VID/train/v1", tmp_path / "Data/VID/train/v1"
    notes.mkdir(parents=True)
    images.mkdir(parents=True)
    for i in range(12):
        corner = f"<bndbox><xmax>{30 + i}</xmax><xmin>{10 + i}</xmin><ymax>50</ymax><ymin>20</ymin></bndbox>"
        thing = f"<object><trackid>0</trackid><name>n02</name>{corner}</object>" if i != 5 else ""
        (notes / f"{i:06d}.xml").write_text(f"<annotation>{thing}</annotation>")
        cv2.imwrite(str(images / f"{i:06d}.JPEG"), np.zeros((60, 80, 3), np.uint8))
    assert is_vid_folder(tmp_path)
    (sequence,) = load_vid(tmp_path)
    assert sequence.name == "v1-0" and len(sequence) == 12
    np.testing.assert_array_equal(sequence.truth[2], [12, 20, 20, 30])
    assert np.isnan(sequence.truth[5]).all()
    assert sequence.frames.image(3).shape == (60, 80, 3)
    (notes / "000003.xml").write_text("<annotation><object></annotation>")
    with pytest.raises(DataError, match=r"000003\.xml"):
        load_vid(tmp_path)


def test_what_a_network_is_fed_that_is_shown_zeros_needs_no_rollout():
    config = RoloConfig(form="absolute", feature_size=3, steps=4, missing="zero")
    rng = np.random.default_rng(0)
    runs = simulated_runs([path(300)], 5, 40, rng)
    boxes, missed = fed_as_zeros(runs)
    fed = rollout(Rolo(config), runs)
    assert missed.any() and boxes.isnan().any()
    torch.testing.assert_close(boxes, fed.boxes, equal_nan=True)
    torch.testing.assert_close(missed, fed.missed)


def test_holding_out_everything_or_nothing_is_refused():
    tracks = [DetectedVideo(n, np.ones((3, 4)), (), (9, 9), n) for n in "abc"]
    with pytest.raises(UsageError, match="3 recordings leaves none"):
        held_out(tracks, 0.9, 0)
    with pytest.raises(UsageError, match="3 recordings leaves none to hold out"):
        held_out(tracks, 0.1, 0)


@pytest.mark.parametrize(
    ("name", "group"),
    [("Jogging-2", "Jogging"), ("Bolt2", "Bolt"), ("uav-person11", "uav-person"), ("Skating2-1", "Skating2"),
     ("davis-cows", "davis-cows"), ("ILSVRC2015_train_00012000", "ILSVRC2015_train_00012000"), ("0001", "0001"),
     ("video001", "video001"), ("-1", "-1")],
)  # fmt: skip
def test_videos_of_one_recording_are_told_by_their_names(name, group):
    assert video_group(name) == group
