"""Training: overfitting, resuming, augmentation, evaluation, command line."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rolo_bench.cli import main
from rolo_bench.datasets.labelled import LabelledImage
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect.weight_file import unpack
from rolo_bench.nn.detect.yolov1 import Plan, YoloV1
from rolo_bench.nn.detect.yolov1_load import FORMAT, read_network
from rolo_bench.nn.train.augment import augment, jitter_colour, mirror, mosaic, move
from rolo_bench.nn.train.detector import (
    DetectorRecipe,
    Shards,
    make_batch,
    pick,
    to_input,
    train_detector,
)
from rolo_bench.nn.train.loop import Schedule, run, step_seed
from rolo_bench.nn.train.yolo_loss import yolo_loss

TINY = Plan("c12-3-2 c24-3-2 c48-3-2 c64-3-2 c64-3", size=112, classes=2)  # the paper's connected last layer
MINI = Plan("c4-3-2 c8-3-2 c8-3-2 c16-3-2", size=112, classes=2, last="cell")


class Shapes:
    """Eight images of bright rectangles and discs on dark noise."""

    names = ("box", "disc")
    identity = "shapes"

    def __len__(self):
        return 8

    def example(self, index):
        import cv2

        rng = np.random.default_rng(index)
        image = rng.integers(0, 60, (112, 112, 3), dtype=np.uint8)
        boxes, classes = [], []
        for k in range(2):
            w, h = rng.integers(18, 40, 2)
            x, y = rng.integers(2, 54 - 18, 2) % 14 + [k * 56, rng.integers(0, 50)]
            kind = int(rng.integers(2))
            colour = [int(v) for v in rng.integers(150, 255, 3)]
            if kind:
                h = w
                cv2.circle(image, (int(x + w // 2), int(y + w // 2)), int(w // 2), colour, -1)
            else:
                cv2.rectangle(image, (int(x), int(y)), (int(x + w - 1), int(y + h - 1)), colour, -1)
            boxes.append([x, y, w, h])
            classes.append(kind)
        return LabelledImage(image, np.array(boxes, float), np.array(classes, np.int64), np.zeros(2, bool))


def one(boxes, size=100):
    image = np.arange(size * size * 3, dtype=np.uint32).reshape(size, size, 3).astype(np.uint8)
    n = len(boxes)
    return LabelledImage(image, np.array(boxes, float), np.arange(n), np.zeros(n, bool))


def about_of(path):
    """What a file of weights says of its training."""
    return unpack(path, FORMAT)[1]["about"]


def test_a_tiny_yolov1_overfits_eight_images(tmp_path):
    shapes = Shapes()
    fit = train_detector(
        shapes,
        shapes,
        tmp_path,
        DetectorRecipe(batch=8, strength=0.0, half=False),
        Schedule(steps=100, rate=2e-3, warmup=10, average=0.9, every=50),
        plan=TINY,
        test=shapes,
    )
    assert fit.score == 1.0
    network, names = read_network(tmp_path / "detector.safetensors")
    assert names == shapes.names and network.plan == TINY
    about = about_of(tmp_path / "detector.safetensors")
    assert about["mAP50"] == 1.0 and about["train"] == "shapes:size=112" and about["schedule"]["seed"] == 0


class Stop(Exception):
    pass


def train_mini(folder, report=None, **changes):
    torch.set_num_threads(1)
    schedule = Schedule(**{"steps": 6, "every": 2, "warmup": 2, "seed": 4, **changes})
    return train_detector(
        Shapes(), Shapes(), folder, DetectorRecipe(batch=4), schedule, plan=MINI, report=report
    )


def test_resumed_training_ends_with_the_same_weights(tmp_path):
    def stop(row):
        if row["step"] == 4:
            raise Stop

    whole = train_mini(tmp_path / "whole")
    with pytest.raises(Stop):
        train_mini(tmp_path / "parts", stop)
    assert not (tmp_path / "parts" / "detector.safetensors").exists()
    parts = train_mini(tmp_path / "parts")
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, parts.network.state_dict()[name]), name
    first, second = (
        read_network(tmp_path / k / "detector.safetensors")[0].state_dict() for k in ("whole", "parts")
    )
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert about_of(tmp_path / "whole/detector.safetensors") == about_of(
        tmp_path / "parts/detector.safetensors"
    )
    rows = list(csv.DictReader((tmp_path / "parts/curves.csv").read_text().splitlines()))
    assert [r["step"] for r in rows] == ["2", "4", "6"]
    assert [r["loss"] for r in rows] == [f"{row['loss']:.6g}" for row in whole.curves]
    assert (tmp_path / "parts/curves.png").read_bytes()[:4] == b"\x89PNG"


def test_another_configuration_is_refused(tmp_path):
    train_mini(tmp_path)
    with pytest.raises(UsageError, match=r"other settings \(schedule\)"):
        train_mini(tmp_path, seed=5)


def test_damaged_checkpoint_gives_one_line(tmp_path):
    train_mini(tmp_path)
    path = tmp_path / "checkpoint.pt"
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2], b"hello" + data[5:]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged checkpoint") as error:
            train_mini(tmp_path)
        assert "\n" not in str(error.value)


def quadratic(network, step):
    noise = torch.randn(3) * 0.1  # from torch's generator, which the loop seeds
    return {"loss": (network.weight - 1 + noise).square().sum()}


def toy():
    torch.manual_seed(0)
    return nn.Linear(3, 1, bias=False)


def test_loop_is_seeded(tmp_path):
    weights = [
        run(toy(), quadratic, Schedule(steps=20, every=5, seed=s), tmp_path / str(k)).network.weight
        for k, s in enumerate((1, 1, 2))
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_early_stop_and_best_weights(tmp_path):
    scores = iter([0.1, 0.7, 0.5, 0.6, 0.9])
    fit = run(
        toy(),
        quadratic,
        Schedule(steps=50, every=5, patience=2),
        tmp_path,
        evaluate=lambda net: {"score": next(scores)},
    )
    # best at the second evaluation; the third and fourth are worse, so the fifth never comes
    assert (fit.step, fit.score, len(fit.curves)) == (10, 0.7, 4)


def test_rate_rises_then_falls():
    schedule = Schedule(steps=110, rate=1.0, warmup=10)
    assert schedule.rate_at(0) == pytest.approx(0.1) and schedule.rate_at(9) == pytest.approx(1.0)
    assert schedule.rate_at(10) == pytest.approx(1.0)
    assert schedule.rate_at(60) == pytest.approx(0.01 + 0.99 / 2)
    assert schedule.rate_at(109) < 0.012


def test_not_finite_loss_stops(tmp_path):
    def bad(network, step):
        return {"loss": (network.weight * float("nan")).sum()}

    with pytest.raises(WeightsError, match="not finite at step 0"):
        run(toy(), bad, Schedule(steps=2), tmp_path)


def test_every_pass_sees_every_image_once():
    for start in (0, 10, 20):
        assert sorted(pick(i, 10, 3) for i in range(start, start + 10)) == list(range(10))
    assert [pick(i, 10, 3) for i in range(10)] != [pick(i, 10, 3) for i in range(10, 20)]


def test_seeds_of_steps_differ():
    assert len({step_seed(s, k) for s in range(20) for k in range(200)}) == 4000


def test_shards_give_the_gradient_of_the_whole_batch():
    torch.manual_seed(0)
    plan = replace(MINI, norm=False)  # without batch norm parts and whole agree
    network = YoloV1(plan)
    batch = make_batch(Shapes(), 0, DetectorRecipe(batch=4), plan, 0, plain=True)

    def loss(net, pixels, targets):
        return yolo_loss(net.predict(to_input(pixels, "cpu")), targets, plan.cells)

    whole = Shards(1, loss)(network, *batch)
    wanted = torch.autograd.grad(whole["loss"], list(network.parameters()))
    parts = Shards(2, loss)(network, *batch)
    assert not parts["loss"].requires_grad
    torch.testing.assert_close(parts["loss"], whole["loss"].detach(), rtol=1e-5, atol=1e-5)
    for parameter, gradient in zip(network.parameters(), wanted):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_a_network_with_logits_learns_shapes(tmp_path):
    plan = Plan(
        "c12-3-2 c24-3-2 s c32-3-2 r u c24-3", size=112, cells=28, classes=2, last="cell", logits=True
    )
    schedule = Schedule(steps=110, rate=4e-3, warmup=10, average=0.9, every=55)
    fit = train_detector(
        Shapes(), Shapes(), tmp_path, DetectorRecipe(batch=8, strength=0.0, half=False), schedule, plan=plan
    )
    assert fit.score > 0.95


def test_batches_depend_on_the_step_alone():
    a = make_batch(Shapes(), 3, DetectorRecipe(batch=4, strength=1.0, mosaics=0.5), MINI, 1)
    make_batch(Shapes(), 9, DetectorRecipe(batch=4, strength=1.0, mosaics=0.5), MINI, 1)
    b = make_batch(Shapes(), 3, DetectorRecipe(batch=4, strength=1.0, mosaics=0.5), MINI, 1)
    assert torch.equal(a[0], b[0]) and torch.equal(a[1].boxes, b[1].boxes)
    c = make_batch(Shapes(), 4, DetectorRecipe(batch=4, strength=1.0, mosaics=0.5), MINI, 1)
    assert not torch.equal(a[0], c[0])


def test_mirror_by_hand():
    example = one([[10, 20, 30, 40]])
    out = mirror(example)
    assert out.boxes.tolist() == [[60, 20, 30, 40]]  # 100 - 10 - 30
    np.testing.assert_array_equal(out.image[:, 60:90], example.image[:, 10:40][:, ::-1])
    np.testing.assert_array_equal(mirror(out).image, example.image)


def test_move_by_hand():
    example = one([[10, 20, 30, 40]])
    out = move(example, 1.0, (5.0, -10.0))
    assert out.boxes.tolist() == [[15, 10, 30, 40]]
    np.testing.assert_array_equal(out.image[10:50, 15:45], example.image[20:60, 10:40])
    assert (out.image[:, :5] == 114).all()
    # twice the size about (50, 50): 10 -> 50 - 2 * 40 = -30
    assert move(example, 2.0, (0.0, 0.0)).boxes.tolist() == [[-30, -10, 60, 80]]


def test_move_leaves_pixels_under_their_box():
    image = np.zeros((100, 100, 3), np.uint8)
    image[30:50, 40:70] = 255
    out = move(
        LabelledImage(image, np.array([[40.0, 30, 30, 20]]), np.zeros(1, int), np.zeros(1, bool)), 1.2, (3, 4)
    )
    x, y, w, h = out.boxes[0]
    rows, columns = (np.nonzero((out.image[..., 0] > 127) & (out.image[..., 0] != 114))[k] for k in (0, 1))
    assert abs(columns.min() - x) < 1 and abs(columns.max() + 1 - x - w) < 1
    assert abs(rows.min() - y) < 1 and abs(rows.max() + 1 - y - h) < 1


def test_objects_that_leave_are_ignored_or_left_out():
    example = one([[0, 0, 20, 20], [40, 40, 20, 20], [0, 60, 10, 10]])
    out = move(example, 1.0, (-12.0, 0.0))  # 8 of 20 px are left of the first, none of the third
    assert out.classes.tolist() == [0, 1] and out.ignored.tolist() == [True, False]


def test_mosaic_by_hand():
    """Middle at (60, 40) of 100: quarters of 60 x 40, 40 x 40, 60 x 60, 40 x 60, each a part of a shrunk square."""

    class Middle:
        def uniform(self, low, high, count):
            return np.array([0.6, 0.4])

    corner = one([[50, 50, 50, 50]])  # ends at the lower right corner
    out = mosaic([corner] * 4, Middle())
    # upper left: shrunk to 60 x 60, its lower 40 rows kept: 50 -> 30, 20 rows cut off: 30 - 20
    # upper right: 40 x 40 at (60, 0); lower left: 60 x 60 at (0, 40); lower right: 60 x 60, left 40 columns kept,
    # the object begins at 60 + 30 and 10 of its 30 columns are left
    assert out.boxes.tolist() == [[30, 10, 30, 30], [80, 20, 20, 20], [30, 70, 30, 30], [90, 70, 30, 30]]
    assert out.ignored.tolist() == [False, False, False, True]
    assert out.image.shape == corner.image.shape
    with pytest.raises(ValueError, match="4 images"):
        mosaic([corner] * 3, Middle())


def test_no_colour_change_gives_the_image_back():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    out = jitter_colour(image, np.random.default_rng(0), 0.0, 0.0, 0.0)
    assert np.abs(out.astype(int) - image).max() <= 6  # 8-bit HSV has 180 hues


def test_strength_zero_changes_nothing():
    example = one([[10, 20, 30, 40]])
    assert augment(example, np.random.default_rng(0), 0.0) is example


def test_unknown_data_and_classes_that_differ(tmp_path, capsys):
    assert main(["train", "detector", "--data", "coco", "--out", str(tmp_path)]) == 2
    assert "unknown data 'coco'" in capsys.readouterr().err
    other = Shapes()
    other.names = ("a", "b")
    with pytest.raises(UsageError, match="classes differ"):
        train_detector(Shapes(), other, tmp_path, DetectorRecipe(), Schedule(steps=1))


@pytest.mark.slow
def test_commands_from_backbone_to_detector(tmp_path, capsys):
    backbone = tmp_path / "b" / "backbone.safetensors"
    few = ["--threads", "1", "--every", "2"]
    data = ["--data", "synthetic", "--images", "12", "--steps", "2", "--batch", "4"]
    line = ["train", "backbone", *data, "--size", "64"]
    assert main([*line, "--out", str(tmp_path / "b"), *few]) == 0
    line = ["train", "detector", *data, "--valid", "4", "--test", "2"]
    assert main([*line, "--out", str(tmp_path / "d"), "--backbone", str(backbone), *few]) == 0
    assert "mAP at 0.5" in capsys.readouterr().err
    from rolo_bench.nn.detect.registry import load_detector

    found = load_detector("demo", weights=tmp_path / "d" / "detector.safetensors", threshold=0.0)(
        [np.zeros((240, 320, 3), np.uint8)]
    )[0]
    assert found.feature.shape == (1024,)
