"""YOLOv1 networks: decoding by hand, shapes, Darknet files, files of our own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect import yolov1, yolov1_load
from rolo_bench.nn.detect.darknet import Darknet
from rolo_bench.nn.detect.darknet_file import read_cfg
from rolo_bench.nn.detect.registry import load_detector
from rolo_bench.nn.detect.yolov1 import FORMS, PLANS, Conv, Plan, Prediction, YoloV1, decode, resized, split
from rolo_bench.nn.detect.yolov1_load import (
    copy_backbone,
    float_count,
    fold,
    read_darknet,
    read_network,
    save_network,
)

SMALL = Plan("c4-3-2 m c6-3 c8-1", size=28, classes=3)
# for the same as a Darknet cfg: the generic reader of `rolo_bench.nn.detect.darknet` is the independent implementation
CONV = "[convolutional]\nbatch_normalize={norm}\nfilters={n}\nsize={k}\nstride={s}\npad=1\nactivation=leaky\n"


def small_plan(**changes):
    return replace(SMALL, **changes)


def random_network(plan, seed=0):
    torch.manual_seed(seed)
    network = YoloV1(plan).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.ndim:
                value.copy_(torch.rand_like(value) * 0.5 + (0.5 if "running_var" in name else -0.25))
    return network


def test_decode_by_hand():
    # S = 2, B = 1, C = 2, 100 px; cell 3 is column 1, row 1
    plan = Plan("c1-1", size=100, cells=2, boxes=1, classes=2)
    p = Prediction(torch.zeros(1, 4, 2), torch.zeros(1, 4, 1), torch.zeros(1, 4, 1, 4))
    p.boxes[0, 3, 0] = torch.tensor([0.5, 0.2, 0.6, 0.4])
    p.confidence[0, 3, 0] = 0.8
    p.classes[0, 3] = torch.tensor([0.25, 0.5])
    boxes, scores = decode(p, plan)
    # x = (0.5 + 1) / 2 * 100 = 75, y = (0.2 + 1) / 2 * 100 = 60, w = 0.6^2 * 100 = 36, h = 0.4^2 * 100 = 16
    torch.testing.assert_close(boxes[0, 3], torch.tensor([75.0, 60, 36, 16]))
    # 0.8 * 0.25 = 0.2, 0.8 * 0.5 = 0.4
    torch.testing.assert_close(scores[0, 3], torch.tensor([0.2, 0.4]))


def test_decode_keeps_scores_in_range():
    plan = Plan("c1-1", size=10, cells=1, boxes=1, classes=2)
    p = Prediction(torch.tensor([[[1.4, -0.3]]]), torch.tensor([[[1.2]]]), torch.zeros(1, 1, 1, 4))
    assert decode(p, plan)[1].tolist() == [[[1.0, 0.0]]]
    # two values below zero must not make a score
    p = Prediction(torch.tensor([[[-1.0, -1.0]]]), torch.tensor([[[-1.0]]]), torch.zeros(1, 1, 1, 4))
    assert decode(p, plan)[1].tolist() == [[[0.0, 0.0]]]


def test_decode_logits():
    plan = Plan("c1-1", size=10, cells=1, boxes=1, classes=2, logits=True)
    p = Prediction(
        torch.log(torch.tensor([[[0.25, 0.75]]])), torch.log(torch.tensor([[[4.0]]])), torch.zeros(1, 1, 1, 4)
    )  # sigmoid(log 4) = 4 / 5
    torch.testing.assert_close(decode(p, plan)[1], torch.tensor([[[0.2, 0.6]]]))


def test_residual_and_kept_maps():
    network = random_network(Plan("c2-1 s c3-3-2 r u", size=8, cells=8, classes=2, last="cell", norm=False))
    first, _, down, residual, _ = network.layers
    x = torch.rand(1, 3, 8, 8)
    kept = first(x)
    small = down(kept)  # (1, 3, 4, 4)
    coarse = small + residual.second(residual.first(small))
    expected = torch.cat([coarse.repeat_interleave(2, 2).repeat_interleave(2, 3), kept], dim=1)
    assert expected.shape == (1, 5, 8, 8) and network.last.in_channels == 5
    torch.testing.assert_close(network.hidden(x), expected)


def test_folded_network_gives_the_same():
    network = random_network(Plan("c4-3-2 r s c6-3-2 u c4-1", size=16, cells=8, classes=2, last="cell"))
    x = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        before = network(x)
        after = fold(network)(x)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    torch.testing.assert_close(after.boxes, before.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(after.scores, before.scores, rtol=1e-4, atol=1e-5)


def test_split_in_darknets_order():
    plan = Plan("c1-1", cells=2, boxes=2, classes=3)
    p = split(torch.arange(4 * (3 + 10)).float()[None], plan)
    assert p.classes[0, 1].tolist() == [3, 4, 5]  # 4 cells x 3 classes first: 0 … 11
    assert p.confidence[0, 2].tolist() == [16, 17]  # then 4 x 2 confidences: 12 … 19
    assert p.boxes[0, 3, 1].tolist() == [48, 49, 50, 51]  # then 4 x 2 x 4: 20 … 51


@pytest.mark.parametrize("name", list(FORMS))
def test_the_papers_networks_give_7_x_7_cells_and_4096_values(name):
    for plan in FORMS[name]:
        with torch.device("meta"):  # shapes only: the full network has 270 million weights
            network = YoloV1(plan)
            raw = network(torch.empty(1, 3, 448, 448))
        assert (plan.cells, plan.classes) == (7, 20)
        assert raw.boxes.shape == (1, 49 * plan.boxes, 4) and raw.scores.shape == (1, 49 * plan.boxes, 20)
        assert raw.feature.shape == (1, 4096) and network.feature_size == 4096
    assert FORMS[name][0].boxes == 2


def test_the_papers_network_has_24_convolutions():
    with torch.device("meta"):
        network = YoloV1(PLANS["yolov1"])
    assert sum(isinstance(layer, Conv) for layer in network.layers) == 24
    assert network.last.out_features == 1470 and network.last.in_features == 4096


def test_float_count_of_the_tiny_network():
    # convolutions 3x3: 9 * (3*16 + 16*32 + 32*64 + 64*128 + 128*256 + 256*512 + 512*1024 + 1024*256) = 8,649,648
    # batch norm: 4 * (16 + 32 + 64 + 128 + 256 + 512 + 1024 + 256) = 9,152
    # last layer: 1470 * (7 * 7 * 256) + 1470 = 18,441,150
    assert float_count(PLANS["yolov1-tiny"]) == 8_649_648 + 9_152 + 18_441_150


def darknet_file(path, plan, seed=3):
    """A weight file of random floats, and the cfg that a plan of convolutions and one of p, l, f, n comes to."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.05, 0.4, float_count(plan)).astype("<f4")
    path.write_bytes(np.array([0, 1, 0, 0], "<i4").tobytes() + values.tobytes())
    text = f"[net]\nwidth={plan.size}\nheight={plan.size}\nchannels=3\n"
    for word in plan.layers.split():
        numbers = [int(v) for v in word[1:].split("-") if v]
        if word[0] == "c":
            text += CONV.format(norm=int(plan.norm), n=numbers[0], k=numbers[1], s=(numbers + [1])[2])
        elif word[0] == "p":
            text += f"[crop]\ncrop_width={plan.size}\ncrop_height={plan.size}\n"
        elif word[0] == "m":
            text += "[maxpool]\nsize=2\nstride=2\n"
        elif word[0] == "l":
            text += f"[local]\nfilters={numbers[0]}\nsize={numbers[1]}\nstride=1\npad=1\nactivation=leaky\n"
        else:
            act = "leaky" if word[0] == "f" else "linear"
            text += f"[connected]\noutput={numbers[0]}\nactivation={act}\n"
    out = plan.cells**2 * (plan.classes + 5 * plan.boxes)
    text += f"[connected]\noutput={out}\nactivation=linear\n"
    text += f"[detection]\nclasses={plan.classes}\ncoords=4\nside={plan.cells}\nnum={plan.boxes}\nsqrt=1\nsoftmax=0\n"
    return text


@pytest.mark.parametrize(
    "plan",
    [
        SMALL,
        small_plan(layers="c4-3-2 m c6-3 f10", norm=False),
        small_plan(layers="c4-7-2 m c6-3 n5 f10", norm=False),
        small_plan(layers="c4-3-2 m c6-3 l5-3", boxes=3),
        small_plan(layers="p c4-3-2 m c6-3 n5 f10", norm=False),
    ],
    ids=["norm", "full", "linear", "local", "signed"],
)
def test_darknet_file_gives_what_the_generic_reader_gives(tmp_path, plan):
    text = darknet_file(tmp_path / "a.weights", plan)
    (tmp_path / "a.cfg").write_text(text)
    other = Darknet(read_cfg(tmp_path / "a.cfg"), plan.size).eval()
    other.read(tmp_path / "a.weights")
    mine = read_darknet(tmp_path / "a.weights", [plan])
    x = torch.rand(2, 3, plan.size, plan.size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        values = other.outputs(x)[0][0].flatten(1)
        for a, b in zip(mine.predict(x), split(values, plan)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        for a, b in zip(fold(mine).predict(x), split(values, plan)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_form_is_chosen_by_the_number_of_floats(tmp_path):
    other = small_plan(layers="c4-3-2 m c6-3 l5-3", boxes=3)
    darknet_file(tmp_path / "a.weights", other)
    assert read_darknet(tmp_path / "a.weights", [SMALL, other]).plan == other


@pytest.mark.parametrize("cut", [1, 4, 400])
def test_truncated_darknet_file(tmp_path, cut):
    path = tmp_path / "a.weights"
    darknet_file(path, SMALL)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(WeightsError, match="truncated"):
        read_darknet(path, [SMALL])


def test_longer_and_damaged_darknet_file(tmp_path):
    path = tmp_path / "a.weights"
    darknet_file(path, SMALL)
    data = path.read_bytes()
    path.write_bytes(data + data[-4:])
    with pytest.raises(WeightsError, match=r"floats, .* needed"):
        read_darknet(path, [SMALL])
    path.write_bytes(data[:-4] + np.array([np.nan], "<f4").tobytes())
    with pytest.raises(WeightsError, match="not finite"):
        read_darknet(path, [SMALL])
    with pytest.raises(WeightsError, match="no such weight file"):
        read_darknet(tmp_path / "none.weights", [SMALL])


def test_own_file_keeps_everything(tmp_path):
    network = random_network(SMALL)
    path = tmp_path / "a.safetensors"
    path.write_bytes(save_network(network, ["a", "b", "c"], {"steps": 7}))
    again, names = read_network(path)
    assert names == ("a", "b", "c") and again.plan == SMALL
    for name, value in again.state_dict().items():
        if value.ndim:
            torch.testing.assert_close(value, network.state_dict()[name].half().float(), rtol=1e-3, atol=0)


def test_damaged_own_files(tmp_path):
    path = tmp_path / "a.safetensors"
    data = save_network(random_network(SMALL), ["a", "b", "c"], {})
    rng = np.random.default_rng(0)
    for k in range(40):
        damaged = bytearray(data[: int(rng.integers(1, len(data)))]) if k % 2 else bytearray(data)
        if not k % 2:
            damaged[int(rng.integers(0, 300))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            read_network(path)
        except WeightsError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:  # a flipped bit in free text of the header, say in `about`, harms nothing
            assert k % 2 == 0
    with pytest.raises(WeightsError, match="no such weight file"):
        read_network(tmp_path / "none.safetensors")


def test_file_of_another_kind_is_refused(tmp_path):
    from safetensors.torch import save

    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"x": torch.zeros(2)}, {"format": "other"}))
    with pytest.raises(WeightsError, match="not a detector of this project"):
        read_network(path)


def test_not_finite_weights_are_refused(tmp_path):
    network = random_network(SMALL)
    with torch.no_grad():
        network.last.bias[0] = float("nan")
    path = tmp_path / "a.safetensors"
    path.write_bytes(save_network(network, ["a", "b", "c"], {}))
    with pytest.raises(WeightsError, match="not finite"):
        read_network(path)


def test_copy_backbone(tmp_path):
    source, target = random_network(SMALL, 1), random_network(small_plan(layers="c4-3-2 m c6-3 c9-1"), 2)
    path = tmp_path / "b.safetensors"
    path.write_bytes(save_network(source, ["a", "b", "c"], {}))
    assert copy_backbone(path, target) == 2  # the third has another shape
    torch.testing.assert_close(
        target.layers[0].conv.weight, source.layers[0].conv.weight, rtol=1e-3, atol=1e-4
    )
    assert not torch.equal(
        target.last.weight, source.last.weight
    )  # connected, and not all is the same before it
    with pytest.raises(WeightsError, match="no layer fits"):
        copy_backbone(path, random_network(small_plan(layers="c5-3-2 m c6-3 c9-1")))


def test_a_detector_by_cell_starts_one_of_another_size(tmp_path):
    plan = Plan("c4-3-2 c6-3-2", size=64, cells=16, classes=3, last="cell")
    source = random_network(plan)
    path = tmp_path / "b.safetensors"
    path.write_bytes(save_network(source, ["a", "b", "c"], {}))
    target = YoloV1(resized(plan, 96))
    assert target.plan.cells == 24 and copy_backbone(path, target) == 2
    torch.testing.assert_close(target.last.weight, source.last.weight, rtol=1e-3, atol=1e-4)
    assert target(torch.zeros(1, 3, 96, 96)).boxes.shape == (1, 24 * 24 * 2, 4)
    other = random_network(replace(plan, layers="c4-3-2 c6-1-2"), 1)
    last = other.last.weight.clone()
    assert copy_backbone(path, other) == 1 and torch.equal(
        other.last.weight, last
    )  # not all before it was taken
    with pytest.raises(UsageError, match="28 pixels only"):
        resized(SMALL, 64)


def test_loading_by_name(tmp_path):
    path = tmp_path / "a.safetensors"
    network = random_network(SMALL)
    path.write_bytes(save_network(network, ["a", "b", "c"], {}))
    detector = load_detector("demo", weights=path, threshold=0.0, nms=1.0)
    assert detector.classes == ("a", "b", "c") and detector.size == 28
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    found = detector([image])[0]
    assert found.feature.shape == (detector.feature_size,) == (8 * 7 * 7,)
    with torch.inference_mode():
        raw = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    np.testing.assert_allclose(found.feature, raw.feature[0].numpy(), rtol=0.02, atol=0.02)  # float16 weights
    assert len(found) == 98 and (np.diff(found.scores) <= 0).all()
    with pytest.raises(UsageError, match="28 pixels only, not 64"):
        load_detector("demo", weights=path, size=64)


def test_loading_a_darknet_file_by_name(tmp_path, monkeypatch):
    path = tmp_path / "a.weights"
    plan = small_plan(classes=20)
    darknet_file(path, plan)
    monkeypatch.setitem(yolov1.FORMS, "yolov1-tiny", (plan,))
    detector = load_detector("yolov1-tiny", weights=path, keep_maps=True)
    assert detector.classes[14] == "person"
    found = detector([np.zeros((20, 30, 3), np.uint8)])[0]
    assert found.map("last").values.shape == (8, 7, 7)
    signed = replace(plan, layers="p " + plan.layers)
    monkeypatch.setitem(yolov1.FORMS, "yolov1-tiny", (signed,))
    assert (
        load_detector("yolov1-tiny", weights=path).identity != detector.identity
    )  # the same floats, other answers
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WeightsError, match="truncated or of another network"):
        load_detector("yolov1-tiny", weights=path)
    with pytest.raises(WeightsError, match=r"\.safetensors"):
        load_detector("demo", weights=path)


def test_shipped_demo_detector():
    from safetensors import safe_open

    from rolo_bench.datasets.synthetic.suite import CLASSES, training_image

    assert yolov1_load.SHIPPED.stat().st_size < 8e6
    with safe_open(yolov1_load.SHIPPED, "pt") as file:
        about = json.loads(file.metadata()["about"])
    assert {"recipe", "schedule", "train", "valid", "steps", "mAP50", "version"} <= set(about)
    detector = load_detector("demo")
    assert detector.classes == tuple(CLASSES) and 256 <= detector.feature_size <= 1024
    images = [training_image(seed, "valid")[0] for seed in (5_000, 5_001)]
    both = detector(images)
    assert all(len(found) for found in both)
    again = load_detector("demo")([images[1]])[0]
    np.testing.assert_allclose(again.boxes, both[1].boxes, atol=0.05)
