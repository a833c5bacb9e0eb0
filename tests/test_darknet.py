"""The Darknet reader on tiny networks of the three families, against plain numpy loops."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from rolo_bench.errors import WeightsError
from rolo_bench.nn.detect import darknet, darknet_heads, darknet_load, torch_detector
from rolo_bench.nn.detect.registry import load_detector

V1 = """
[net]
width=32
height=32
channels=3   # comment
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[local]
size=3
stride=1
pad=1
filters=2
activation=leaky
[dropout]
probability=.5
[connected]
output=20
activation=relu
[connected]
output={values}
activation=linear
[detection]
classes=3
coords=4
rescore=1
side=2
num=2
softmax=0
sqrt=1
jitter=.2
"""
V2 = """
[net]
width=64
height=64
channels=3
[convolutional]
filters=8
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=4
size=1
stride=1
activation=relu
[reorg]
stride=2
[route]
layers=-3
[maxpool]
size=2
stride=2
[route]
layers=-1,-3
[convolutional]
filters=14
size=1
stride=1
activation=linear
[region]
anchors=1,2, 3,1.5
bias_match=1
classes=2
coords=4
num=2
softmax=1
thresh=.6
random=1
"""
V3 = """
[net]
width=64
height=64
channels=3
[convolutional]
filters=6
size=3
stride=2
pad=1
groups=3
batch_normalize=1
activation=relu
[convolutional]
filters=6
size=1
activation=linear
[shortcut]
from=-2
activation=relu
[maxpool]
size=3
stride=1
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=mish
[convolutional]
filters=14
size=1
activation=linear
[yolo]
mask=2,3
anchors=4,4, 6,8, 10,12, 20,16
classes=2
num=4
scale_x_y=1.1
[route]
layers=-3
[upsample]
stride=2
[route]
layers=-1,2
[convolutional]
filters=14
size=1
activation=linear
[yolo]
mask=0,1
anchors=4,4, 6,8, 10,12, 20,16
classes=2
num=4
"""
FAMILIES = {"v1": V1.format(values=2 * 2 * (3 + 2 * 5)), "v2": V2, "v3": V3}
# biases, scales, means, variances, weights of each layer, counted by hand
FLOATS = {
    # conv 4*4 + 4*27; local: 8*8 places, 2 filters: 128 biases + 64*2*36; connected 128 -> 20 -> 52
    "v1": 16 + 108 + 128 + 4608 + 20 + 128 * 20 + 52 + 20 * 52,
    # conv 8*4 + 8*27; conv 4 + 8*4; after reorg 16 and maxpool 8: conv 14 + 24*14
    "v2": 32 + 216 + 4 + 32 + 14 + 24 * 14,
    # conv 6*4 + 6*9; conv 6 + 36; conv 8 + 8*6*9; conv 14 + 8*14; conv 14 + (8 + 6)*14
    "v3": 24 + 54 + 6 + 36 + 8 + 432 + 14 + 112 + 14 + 14 * 14,
}


def write_weights(path: Path, count: int, seed: int = 0, version: tuple[int, int] = (0, 2)) -> np.ndarray:
    """A file of small positive floats (so that variances are valid) with the header of a version."""
    values = np.random.default_rng(seed).uniform(0.01, 0.2, count).astype("<f4")
    seen = struct.pack("<q", 1) if version[0] * 10 + version[1] >= 2 else struct.pack("<i", 1)
    path.write_bytes(struct.pack("<iii", *version, 0) + seen + values.tobytes())
    return values


def make(tmp_path: Path, family: str, **options: int) -> tuple[darknet.Darknet, np.ndarray]:
    cfg = tmp_path / f"{family}.cfg"
    cfg.write_text(FAMILIES[family])
    values = write_weights(tmp_path / f"{family}.weights", FLOATS[family], **options)
    return darknet_load.build("x", cfg, tmp_path / f"{family}.weights"), values


@pytest.mark.parametrize("family", FAMILIES)
def test_every_float_belongs_to_a_layer(family: str, tmp_path: Path) -> None:
    network, _ = make(tmp_path, family)
    raw = network(torch.rand(2, 3, network.side, network.side))
    boxes = {"v1": 8, "v2": 2 * 64, "v3": 2 * 256 + 2 * 1024}[family]
    assert raw.boxes.shape == (2, boxes, 4) and torch.isfinite(raw.boxes).all()
    assert raw.scores.shape[:2] == (2, boxes)
    assert raw.feature.shape == (2, network.feature_size)
    for count, message in ((1, "belong to no layer"), (-1, "ends inside")):
        write_weights(tmp_path / "bad.weights", FLOATS[family] + count)
        with pytest.raises(WeightsError, match=message):
            darknet_load.build("x", tmp_path / f"{family}.cfg", tmp_path / "bad.weights")


def test_old_and_new_headers(tmp_path: Path) -> None:
    old, _ = make(tmp_path, "v3", version=(0, 1))
    new, _ = make(tmp_path, "v3", version=(0, 2))
    for a, b in zip(old.state_dict().values(), new.state_dict().values()):
        assert torch.equal(a, b)


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """A plain convolution, one output at a time."""
    n, _, k, _ = weight.shape
    p = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    h, w = (p.shape[1] - k) // stride + 1, (p.shape[2] - k) // stride + 1
    out = np.zeros((n, h, w))
    for f in range(n):
        for i in range(h):
            for j in range(w):
                patch = p[:, i * stride : i * stride + k, j * stride : j * stride + k]
                out[f, i, j] = (patch * weight[f]).sum() + bias[f]
    return out


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.1 * x)


def test_v1_layer_by_layer(tmp_path: Path) -> None:
    network, values = make(tmp_path, "v1")
    v = values.astype(np.float64)
    at = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal at
        at += int(np.prod(shape))
        return v[at - int(np.prod(shape)) : at].reshape(shape)

    image = np.random.default_rng(1).uniform(-1, 1, (3, 32, 32))
    beta, gamma, mean, var, kernel = take(4), take(4), take(4), take(4), take(4, 3, 3, 3)
    x = conv(image, kernel, np.zeros(4), 2, 1)
    x = (x - mean[:, None, None]) / np.sqrt(var + 1e-6)[:, None, None] * gamma[:, None, None]
    x = leaky(x + beta[:, None, None])  # (4, 16, 16)
    x = x.reshape(4, 8, 2, 8, 2).max(axis=(2, 4))
    bias, local = take(2, 8, 8), take(64, 2, 4 * 9)
    p = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    y = np.zeros((2, 8, 8))
    for i in range(8):
        for j in range(8):
            y[:, i, j] = local[i * 8 + j] @ p[:, i : i + 3, j : j + 3].reshape(-1) + bias[:, i, j]
    y = leaky(y).reshape(-1)
    bias, weight = take(20), take(20, 128)
    hidden = np.maximum(weight @ y + bias, 0)
    bias, weight = take(52), take(52, 20)
    out = weight @ hidden + bias
    assert at == len(v)
    with torch.inference_mode():
        x_in = torch.tensor(image, dtype=torch.float32)[None]
        heads, _ = network.outputs(x_in)
        raw = network(x_in)
    np.testing.assert_allclose(heads[0][0], out, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(raw.feature[0], hidden, rtol=1e-3, atol=1e-3)  # what the last layer reads
    # decoding: 4 cells x 3 classes, 4 x 2 confidences, 4 x 2 boxes
    classes, confidence, boxes = out[:12].reshape(4, 3), out[12:20].reshape(4, 2), out[20:].reshape(4, 2, 4)
    cell, which = 3, 1  # row 1, column 1
    x0, y0, w0, h0 = boxes[cell, which]
    want = [(x0 + 1) / 2 * 32, (y0 + 1) / 2 * 32, w0**2 * 32, h0**2 * 32]
    np.testing.assert_allclose(raw.boxes[0, cell * 2 + which], want, rtol=1e-3)
    np.testing.assert_allclose(
        raw.scores[0, cell * 2 + which], confidence[cell, which] * classes[cell], rtol=1e-3
    )


def test_reorg_as_darknet_loops(tmp_path: Path) -> None:
    section = darknet.Section("reorg", {"stride": "2"}, 1, 0, "x")
    c, h, w, s = 8, 4, 6, 2
    x = np.arange(c * h * w, dtype=np.float32)
    out = np.zeros_like(x)
    for k in range(c):
        for j in range(h):
            for i in range(w):
                c2, offset = k % (c // s**2), k // (c // s**2)
                w2, h2 = i * s + offset % s, j * s + offset // s
                out[i + w * (j + h * k)] = x[w2 + w * s * (h2 + h * s * c2)]
    layer = darknet.Reorg(section, (c, h, w))
    got = layer(torch.tensor(x).reshape(1, c, h, w))
    assert got.shape == (1, c * 4, h // 2, w // 2)
    np.testing.assert_array_equal(got.numpy().reshape(-1), out)


@pytest.mark.parametrize(("size", "stride", "side"), [(2, 2, 7), (2, 1, 5), (3, 1, 6), (5, 1, 8), (3, 2, 7)])
def test_maxpool_pads_as_darknet(size: int, stride: int, side: int) -> None:
    section = darknet.Section("maxpool", {"size": str(size), "stride": str(stride)}, 1, 0, "x")
    x = np.random.default_rng(0).normal(size=(2, side, side)).astype(np.float32)
    padding = size - 1
    n = (side + padding - size) // stride + 1
    want = np.full((2, n, n), -np.inf, np.float32)
    for i in range(n):
        for j in range(n):
            for a in range(size):
                for b in range(size):
                    y, z = i * stride + a - padding // 2, j * stride + b - padding // 2
                    if 0 <= y < side and 0 <= z < side:
                        want[:, i, j] = np.maximum(want[:, i, j], x[:, y, z])
    np.testing.assert_array_equal(darknet.MaxPool(section, (2, side, side))(torch.tensor(x)[None])[0], want)


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_region_and_yolo_decoding_by_hand() -> None:
    # one 2 x 2 map at 64 px: stride 32; value at anchor 1, row 1, column 0
    x = torch.zeros(1, 14, 2, 2)
    x[0, 7:, 1, 0] = torch.tensor([0.2, -0.4, 0.3, -0.1, 1.5, 2.0, 0.5])
    region = darknet.Section("region", {"anchors": "1,2, 3,1.5", "classes": "2", "softmax": "1"}, 1, 0, "x")
    boxes, scores = darknet_heads.decode_region(x, region, 64)
    row = 1 * 4 + 1 * 2 + 0
    want = [sigmoid(0.2) * 32, (sigmoid(-0.4) + 1) * 32, np.exp(0.3) * 3 * 32, np.exp(-0.1) * 1.5 * 32]
    np.testing.assert_allclose(boxes[0, row], want, rtol=1e-5)
    soft = np.exp([2.0, 0.5]) / np.exp([2.0, 0.5]).sum()
    np.testing.assert_allclose(scores[0, row], sigmoid(1.5) * soft, rtol=1e-5)
    yolo = darknet.Section(
        "yolo",
        {"anchors": "4,4, 6,8, 10,12", "mask": "0,2", "classes": "2", "scale_x_y": "1.2"}, 1, 0, "x",
    )  # fmt: skip
    boxes, scores = darknet_heads.decode_yolo(x, yolo, 64)
    want = [
        (sigmoid(0.2) * 1.2 - 0.1) * 32,
        (sigmoid(-0.4) * 1.2 - 0.1 + 1) * 32,
        np.exp(0.3) * 10,
        np.exp(-0.1) * 12,
    ]
    np.testing.assert_allclose(boxes[0, row], want, rtol=1e-5)
    np.testing.assert_allclose(
        scores[0, row], sigmoid(1.5) * np.array([sigmoid(2.0), sigmoid(0.5)]), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[shortcut]\nfrom=-2\nactivation=relu", "[gru]\noutput=4", r"layer 2 \[gru\].*unknown layer"),
        ("activation=mish", "activation=gelu", r"layer 4 \[convolutional\].*unknown activation 'gelu'"),
        ("groups=3", "groups=3\nantialiasing=1", r"layer 0 \[convolutional\].*unknown option 'antialiasing'"),
        ("groups=3", "groups=4", r"layer 0 \[convolutional\].*groups"),
        ("from=-2", "from=5", r"layer 2 \[shortcut\].*does not lie before"),
        ("layers=-1,2", "layers=-1,4", r"layer 9 \[route\].*sizes differ"),
        ("layers=-1,2", "layers=abc", r"layer 9 \[route\].*'abc' is not a layer number"),
        ("mask=2,3", "mask=2,9", r"layer 6 \[yolo\].*mask"),
        ("filters=14\nsize=1\nactivation=linear\n[yolo]\nmask=2", "filters=13\nsize=1\nactivation=linear\n[yolo]\n"
         "mask=2", r"layer 6 \[yolo\].*needs 14"),
        ("[net]", "[nett]", "does not start with"),
        ("channels=3", "channels=1", "only RGB"),
        ("stride=2\npad=1\ngroups=3", "stride=two\npad=1\ngroups=3", r"layer 0 .*not an integer"),
        ("groups=3", "groups 3", "line 11: 'groups 3' is neither"),
        ("[yolo]", "[dropout]", "unknown option 'anchors'"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_by_name(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = V3.replace(old, new)
    assert text != V3
    (tmp_path / "n.cfg").write_text(text)
    write_weights(tmp_path / "n.weights", FLOATS["v3"])
    with pytest.raises(WeightsError, match=message) as error:
        darknet_load.build("x", tmp_path / "n.cfg", tmp_path / "n.weights")
    assert "\n" not in str(error.value)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "v3")
    good = (tmp_path / "v3.weights").read_bytes()
    nan = bytearray(good)
    nan[20:24] = struct.pack("<f", float("nan"))
    negative = bytearray(good)
    negative[20 + 4 * 18 : 20 + 4 * 19] = struct.pack("<f", -1.0)  # first of the six variances
    cases = {
        "empty": (b"", "too short"),
        "torn": (good[:-2], "truncated"),
        "cut": (good[: len(good) // 8 * 4], "ends inside"),
        "text": (b"<!DOCTYPE html><html>not found</html>", "no Darknet header"),
        "nan": (bytes(nan), "not finite"),
        "negative": (bytes(negative), "negative variance"),
        "cfg": ((tmp_path / "v3.cfg").read_bytes(), "no Darknet header"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / f"{name}.weights").write_bytes(data)
        with pytest.raises(WeightsError, match=message) as error:
            darknet_load.build("x", tmp_path / "v3.cfg", tmp_path / f"{name}.weights")
        assert f"{name}.weights" in str(error.value)
    with pytest.raises(WeightsError, match="no such weight file"):
        darknet_load.build("x", tmp_path / "v3.cfg", tmp_path / "absent.weights")
    with pytest.raises(WeightsError, match="readable Darknet cfg"):
        darknet_load.build("x", tmp_path / "absent.cfg", tmp_path / "v3.weights")


def test_a_cfg_is_a_detector_by_path(tmp_path: Path) -> None:
    make(tmp_path, "v3")
    detector = load_detector(str(tmp_path / "v3.cfg"), threshold=0.0, keep_maps=True)
    assert detector.name == "v3" and detector.classes == ("class0", "class1") and detector.size == 64
    found = detector([np.zeros((30, 60, 3), np.uint8)])[0]
    assert len(found) and found.feature.shape == (detector.feature_size,)
    assert {m.name: tuple(m.values.shape) for m in found.maps} == {
        "layer4": (8, 16, 16),
        "layer9": (14, 32, 32),
    }
    (tmp_path / "v3.names").write_text("cat\ndog\n")
    assert load_detector(str(tmp_path / "v3.cfg"), size=96).classes == ("cat", "dog")
    (tmp_path / "v3.names").write_text("cat\n")
    with pytest.raises(WeightsError, match="1 names"):
        load_detector(str(tmp_path / "v3.cfg"))


def test_fast_path_equals_the_plain_network(tmp_path: Path) -> None:
    network, _ = make(tmp_path, "v3")
    detector = load_detector(str(tmp_path / "v3.cfg"))
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        want, got = network(x), detector.network(x)  # type: ignore[attr-defined]
    torch.testing.assert_close(got.boxes, want.boxes, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(got.scores, want.scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got.feature, want.feature, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "side"), [((256, 13, 13), 4), ((80, 13, 13), 7), ((8192, 7, 7), 1), ((4, 5, 9), 5)]
)
def test_feature_is_pooled_to_about_4096(shape: tuple[int, int, int], side: int) -> None:
    assert torch_detector.pooled_side(shape) == side
