"""The paper's own detector as Darknet published it: [crop], [local], old headers and the sizes of the public files."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch

from rolo_bench.errors import WeightsError
from rolo_bench.fetch.formats import flaw
from rolo_bench.nn.detect import darknet, darknet_load
from rolo_bench.nn.detect.darknet import Darknet
from rolo_bench.nn.detect.darknet_file import Floats, Section, read_cfg
from rolo_bench.nn.detect.registry import load_detector
from rolo_bench.nn.detect.yolov1 import FORMS
from rolo_bench.nn.detect.yolov1_load import float_count, read_darknet

# Darknet's save_weights before 14 December 2015 wrote learning rate, momentum and decay, then the images seen.
OLD = struct.pack("<fffi", 0.001, 0.9, 0.0005, 2_560_000)
NEW = struct.pack("<iiii", 0, 1, 0, 2_560_000)
NEWEST = struct.pack("<iiiq", 0, 2, 0, 2_560_000)

CFG = """
[net]
height=24
width=24
channels=3
momentum=0.9
learning_rate=0.001
policy=steps

[crop]
crop_width=20
crop_height=18
flip=0
angle=0
saturation = 1.5
exposure = 1.5

[convolutional]
filters=4
size=3
stride=1
pad=1
activation=ramp

[maxpool]
size=2
stride=2

[local]
size=3
stride=2
pad=1
filters=3
activation=leaky

[local]
size=2
stride=1
filters=2
activation=logistic

[connected]
output=7
activation=relu

[dropout]
probability=.5

[connected]
output= 52
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
object_scale=1
noobject_scale=.5
class_scale=1
coord_scale=5
"""
# conv; local at 5 x 5 places of a map of 4 x 9 x 10; local at 4 x 4 places; 2 x 4 x 4 values, 7, 2 x 2 x (3 + 2 x 5)
COUNT = 4 + 108 + 75 + 25 * 3 * 36 + 32 + 16 * 2 * 12 + 7 + 32 * 7 + 52 + 7 * 52


def write(folder: Path, header: bytes = NEW, cfg: str = CFG, count: int = COUNT) -> tuple[Path, np.ndarray]:
    """A cfg and the weights beside it: random floats after a header."""
    values = np.random.default_rng(5).uniform(-0.3, 0.3, count).astype("<f4")
    (folder / "n.cfg").write_text(cfg)
    (folder / "n.weights").write_bytes(header + values.tobytes())
    return folder / "n.weights", values


def build(folder: Path) -> Darknet:
    return darknet_load.build("n", folder / "n.cfg", folder / "n.weights")


def local(
    x: np.ndarray, bias: np.ndarray, weight: np.ndarray, size: int, stride: int, pad: int
) -> np.ndarray:
    """Darknet's [local], one output at a time: weights ``(places, filters, channels, size, size)``."""
    c, h, w = x.shape
    rows, columns = ((h - (1 if pad else size)) // stride + 1, (w - (1 if pad else size)) // stride + 1)
    shift = size // 2 if pad else 0
    out = np.array(bias, dtype=np.float64)
    for f in range(weight.shape[1]):
        for i in range(rows):
            for j in range(columns):
                for k in range(c):
                    for a in range(size):
                        for b in range(size):
                            y, z = i * stride + a - shift, j * stride + b - shift
                            if 0 <= y < h and 0 <= z < w:
                                out[f, i, j] += x[k, y, z] * weight[i * columns + j, f, k, a, b]
    return out


def expected(image: np.ndarray, values: np.ndarray, transposed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Output and the seven hidden values of `CFG` in plain numpy, float64."""
    v, at = values.astype(np.float64), 0

    def take(*shape: int) -> np.ndarray:
        nonlocal at
        at += int(np.prod(shape))
        return v[at - int(np.prod(shape)) : at].reshape(shape)

    def connected(x: np.ndarray, n: int) -> np.ndarray:
        bias = take(n)
        return (x @ take(len(x), n) if transposed else take(n, len(x)) @ x) + bias

    x = image[:, 3:21, 2:22] * 2 - 1  # (3, 18, 20) from the middle
    bias, kernel = take(4), take(4, 3, 3, 3)
    x = local(
        x, np.broadcast_to(bias[:, None, None], (4, 18, 20)), np.tile(kernel, (360, 1, 1, 1, 1)), 3, 1, 1
    )
    x = np.maximum(x, 0) + 0.1 * x
    x = x.reshape(4, 9, 2, 10, 2).max(axis=(2, 4))
    x = local(x, take(3, 5, 5), take(25, 3, 4, 3, 3), 3, 2, 1)
    x = np.where(x > 0, x, 0.1 * x)
    x = local(x, take(2, 4, 4), take(16, 2, 3, 2, 2), 2, 1, 0)
    x = 1 / (1 + np.exp(-x))
    hidden = np.maximum(connected(x.reshape(-1), 7), 0)
    out = connected(hidden, 52)
    assert at == len(v)
    return out, hidden


@pytest.mark.parametrize("header", [OLD, NEW, NEWEST], ids=["float header, transposed", "0.1", "0.2"])
def test_crop_local_and_connected_against_numpy(header: bytes, tmp_path: Path) -> None:
    _, values = write(tmp_path, header)
    image = np.random.default_rng(1).uniform(0, 1, (3, 24, 24))
    out, hidden = expected(image, values, transposed=header == OLD)
    network = build(tmp_path)
    with torch.inference_mode():
        x = torch.tensor(image, dtype=torch.float32)[None]
        heads, _ = network.outputs(x)
        raw = network(x)
    np.testing.assert_allclose(heads[0][0], out, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(raw.feature[0], hidden, rtol=1e-4, atol=1e-5)
    # cell 1 (row 0, column 1), second box: 12 class scores, 8 confidences, then the boxes
    x0, y0, w0, h0 = out[20:].reshape(4, 2, 4)[1, 1]
    want = [(x0 + 1) / 2 * 24, y0 / 2 * 24, w0**2 * 24, h0**2 * 24]
    np.testing.assert_allclose(raw.boxes[0, 3], want, rtol=1e-3, atol=1e-4)


def test_a_detector_feeds_pixels_of_0_to_1_and_crop_does_the_rest(tmp_path: Path) -> None:
    _, values = write(tmp_path, OLD)
    image = np.random.default_rng(2).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    found = load_detector(str(tmp_path / "n.cfg"))([image])[0]
    _, hidden = expected(image.transpose(2, 0, 1) / 255, values, transposed=True)
    np.testing.assert_allclose(found.feature, hidden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        # a map of 4 rows and 5 columns, value = 10 row + column; 2 x 3 of it from row (4 - 2) / 2, column (5 - 3) / 2
        ({"crop_height": "2", "crop_width": "3"}, [[21, 23, 25], [41, 43, 45]]),
        ({"crop_height": "2", "crop_width": "3", "noadjust": "1"}, [[11, 12, 13], [21, 22, 23]]),
        (
            {"crop_height": "2", "crop_width": "2", "noadjust": "1"},
            [[11, 12], [21, 22]],
        ),  # an odd rest: floor(3 / 2)
        ({"crop_height": "1", "crop_width": "5", "flip": "1", "noadjust": "0"}, [[19, 21, 23, 25, 27]]),
    ],
)
def test_crop_by_hand(options: dict[str, str], want: list[list[float]]) -> None:
    x = torch.arange(4.0)[:, None] * 10 + torch.arange(5.0)
    got = darknet.Crop(Section("crop", options, 1, 0, "x"), (1, 4, 5))(x[None, None])
    assert got[0, 0].tolist() == want


def test_ramp_by_hand() -> None:
    values = darknet.ACTIVATIONS["ramp"](torch.tensor([-2.0, 0.0, 3.0]))
    np.testing.assert_allclose(values, [-0.2, 0.0, 3.3], rtol=1e-6)  # x where x > 0, plus a tenth of x


@pytest.mark.parametrize(
    ("size", "stride", "pad"),
    [
        (3, 1, 1),
        (3, 2, 1),
        (3, 1, 0),
        (3, 2, 0),
        (1, 1, 0),
        (1, 2, 1),
        (2, 1, 1),
        (2, 2, 0),
        (5, 1, 1),
        (5, 3, 1),
    ],
)
def test_local_in_its_forms(size: int, stride: int, pad: int, tmp_path: Path) -> None:
    options = {
        "size": str(size),
        "stride": str(stride),
        "pad": str(pad),
        "filters": "2",
        "activation": "linear",
    }
    section = Section("local", options, 1, 0, "x")
    layer, shape = darknet.make_layer(section, (3, 7, 6), [])
    rows, columns = shape[1:]
    rng = np.random.default_rng(size)
    bias, weight = rng.normal(size=shape), rng.normal(size=(rows * columns, 2, 3, size, size))
    path = tmp_path / "l.weights"
    path.write_bytes(NEW + bias.astype("<f4").tobytes() + weight.astype("<f4").tobytes())
    floats = Floats(path)
    x = rng.normal(size=(3, 7, 6))
    with torch.no_grad():
        layer.read(floats)  # type: ignore[operator]
        floats.finish()
        got = layer(torch.tensor(x, dtype=torch.float32)[None])[0]
    np.testing.assert_allclose(got, local(x, bias, weight, size, stride, pad), rtol=1e-4, atol=1e-4)


def test_crop_and_connected_as_opencv_has_them(tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parent / "golden/darknet_v1_opencv4.json").read_text())
    image = (np.cos(np.arange(432)) / 2 + 0.5).astype(np.float32).reshape(1, 3, 12, 12)
    for net in golden["networks"].values():
        (tmp_path / "n.cfg").write_text(net["cfg"])
        values = (np.sin(np.arange(net["floats"])) / 4).astype("<f4")
        (tmp_path / "n.weights").write_bytes(NEW + values.tobytes())
        floats, shape, x = Floats(tmp_path / "n.weights"), (3, 12, 12), torch.tensor(image)
        with torch.no_grad():
            for section in read_cfg(tmp_path / "n.cfg")[1:]:
                layer, shape = darknet.make_layer(section, shape, [])
                if hasattr(layer, "read"):
                    layer.read(floats)  # type: ignore[operator]
                x = layer(x)
        floats.finish()
        assert list(shape) == net["shape"]
        np.testing.assert_allclose(x.reshape(-1), net["output"], atol=2e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("crop_width=20", "crop_width=25", r"layer 0 \[crop\] \(line 10\): 25 x 18 cannot be cut out of 24 x 24"),
        ("crop_width=20", "crop_width=0", r"layer 0 \[crop\].*: 0 x 18 cannot"),
        ("crop_width=20", "cut=20", r"layer 0 \[crop\].*: unknown option 'cut'"),
        ("noobject_scale", "objectness", r"layer 8 \[detection\].*: unknown option 'objectness'"),
        ("size=2\nstride=1", "size=6\nstride=1", r"layer 4 \[local\].*: kernels of 6 x 6 do not fit a map of 5 x 5"),
        ("[dropout]\nprobability=.5", "[crop]", r"layer 6 \[crop\].*: needs a map"),
        ("[dropout]\nprobability=.5", "[deconvolutional]", r"layer 6 \[deconvolutional\].*: unknown layer"),
        ("output=7", "output=8", r"n.weights: ends inside weights of layer 7 \[connected\].*another network"),
        ("output=7", "output=6", r"n.weights: 85 of 3950 floats belong to no layer; weights of another network"),
        ("output= 52", "output= 51", r"layer 8 \[detection\].*: needs 52"),
    ],
)  # fmt: skip
def test_a_cfg_that_does_not_fit_is_one_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = CFG.replace(old, new)
    assert text != CFG
    write(tmp_path, OLD, text)
    with pytest.raises(WeightsError, match=message) as error:
        build(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4], "ends inside weights of layer 7"),
        (lambda data: data[:-1], "no whole number of floats"),
        (lambda data: data + data[-4:], "1 of 3951 floats belong to no layer"),
        (lambda data: data[:12], "too short"),
        (lambda data: struct.pack("<fff", 0.001, 90.0, 0.0005) + data[12:], "no Darknet header"),
        (lambda data: b"<!DOCTYPE html>\n" + data, "no Darknet header"),
        (lambda data: data[:40] + struct.pack("<f", np.nan) + data[44:], r"weights of layer 1 .* not finite"),
    ],
)
def test_damaged_old_files_are_one_line(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    path, _ = write(tmp_path, OLD)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(WeightsError, match=message) as error:
        build(tmp_path)
    assert "\n" not in str(error.value) and "n.weights" in str(error.value)


def test_files_of_before_versions_pass_the_check_after_a_download(tmp_path: Path) -> None:
    path, _ = write(tmp_path, OLD, count=5000)
    assert flaw(path, ".weights") == ""


# The public cfgs, layer by layer: pjreddie/darknet cfg/yolo.cfg, yolo-small.cfg and yolo-tiny.cfg of November 2015,
# cfg/yolov1/yolo.cfg and tiny-yolo.cfg of 2016 (the same in thtrieu/darkflow, cfg/v1 and cfg/v1.1).
DEEP = (
    "c64-7-2 m c192-3 m c128-1 c256-3 c256-1 c512-3 m" + " c256-1 c512-3" * 4 + " c512-1 c1024-3 m"
    " c512-1 c1024-3 c512-1 c1024-3 c1024-3 c1024-3-2 c1024-3 c1024-3"
)
SHALLOW = "c16-3 m c32-3 m c64-3 m c128-3 m c256-3 m c512-3 m c1024-3"
PUBLIC = {
    "yolo": f"p {DEEP} f4096 d",
    "yolo-small": f"p {DEEP} f512 f4096 d",
    "yolo-tiny": f"p {SHALLOW} c1024-3 c1024-3 n256 f4096 d",
    "yolov1": f"{DEEP} l256-3 d",
    "tiny-yolov1": f"{SHALLOW} c256-3",
}
BYTES = {
    "yolo": 1_086_814_216,  # published as 1 GB
    "yolo-small": 375_881_736,  # published as 359 MB
    "yolo-tiny": 180_357_512,  # thtrieu/darkflow, issue 223: "found 180357512"; published as 172 MB
    "yolov1": 789_312_988,  # darkflow's "Successfully identified 789312988 bytes"; published as 753 MB
    "tiny-yolov1": 108_399_816,  # "byte-exact vs the real pjreddie .weights files": libreyolo's tests
}


def public_cfg(name: str) -> str:
    """A public cfg from the words above; those of 2016 have batch norm."""
    norm = "batch_normalize=1\n" if name.endswith("v1") else ""
    text = (
        "[net]\nbatch=64\nsubdivisions=64\nheight=448\nwidth=448\nchannels=3\nmomentum=0.9\ndecay=0.0005\n\n"
    )
    for word in PUBLIC[name].split():
        kind, n = word[0], [int(v) for v in word[1:].split("-") if v]
        if kind == "c":
            size, stride = (n + [1])[1:3]
            text += f"[convolutional]\n{norm}filters={n[0]}\nsize={size}\nstride={stride}\npad=1\nactivation=leaky\n\n"
        text += {
            "p": "[crop]\ncrop_width=448\ncrop_height=448\nflip=0\nangle=0\nsaturation = 1.5\nexposure = 1.5\n\n",
            "m": "[maxpool]\nsize=2\nstride=2\n\n",
            "l": "[local]\nsize=3\nstride=1\npad=1\nfilters=256\nactivation=leaky\n\n",
            "f": f"[connected]\noutput={word[1:]}\nactivation=leaky\n\n",
            "n": f"[connected]\noutput={word[1:]}\nactivation=linear\n\n",
            "d": "[dropout]\nprobability=.5\n\n",
        }.get(kind, "")
    num = 3 if name == "yolov1" else 2
    return text + (
        f"[connected]\noutput= {49 * (20 + 5 * num)}\nactivation=linear\n\n"
        f"[detection]\nclasses=20\ncoords=4\nrescore=1\nside=7\nnum={num}\nsoftmax=0\nsqrt=1\njitter=.2\n\nobject_scale=1\nnoobject_scale=.5\nclass_scale=1\n"
        "coord_scale=5\n"
    )


class Counted:
    """Stands for `Floats` without a file: counts what each layer takes."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    def take(self, shape: tuple[int, ...], section: Section, part: str) -> torch.Tensor:
        self.taken[f"{section.kind}{section.index}"] += int(np.prod(shape))
        return torch.zeros(1).expand(shape)

    def take_connected(self, shape: tuple[int, ...], section: Section) -> torch.Tensor:
        return self.take(shape, section, "weights")


@pytest.mark.parametrize("name", PUBLIC)
def test_the_layers_of_a_public_cfg_take_the_public_file_to_the_byte(name: str, tmp_path: Path) -> None:
    (tmp_path / "n.cfg").write_text(public_cfg(name))
    counted = Counted()
    with torch.device("meta"):  # shapes only
        network = Darknet(read_cfg(tmp_path / "n.cfg"), 448)
    with torch.no_grad():
        for layer in network.layers:
            if hasattr(layer, "read"):
                layer.read(counted)  # type: ignore[operator]
    assert 16 + 4 * counted.taken.total() == BYTES[name]
    assert network.feature_size == 4096 and network.n_classes == 20
    by_hand = {
        "yolo": {"convolutional1": 64 + 64 * 147, "connected29": 4096 + 4096 * 50176, "connected31": 1470 * 4097},
        "yolo-small": {"connected29": 512 + 512 * 50176, "connected30": 4096 + 4096 * 512},
        "yolo-tiny": {"convolutional1": 16 + 16 * 27, "connected16": 256 + 256 * 50176, "connected17": 4096 * 257},
        # a bias at each of 7 x 7 places for each of 256 filters, and a kernel of 3 x 3 x 1024 of its own
        "yolov1": {"local28": 12544 + 49 * 256 * 9216, "connected30": 1715 + 1715 * 12544},
        "tiny-yolov1": {"convolutional13": 4 * 256 + 256 * 9216, "connected14": 1470 + 1470 * 12544},
    }[name]  # fmt: skip
    assert {k: counted.taken[k] for k in by_hand} == by_hand


def test_sizes_are_those_that_were_published() -> None:
    # the table of AlexeyAB/yolo-windows, README: 1 GB, 359 MB, 172 MB; pjreddie.com/darknet/yolo of 2016: 753 MB
    assert round(BYTES["yolo"] / 2**30) == 1 and ceil(BYTES["yolo-small"] / 2**20) == 359
    assert round(BYTES["yolo-tiny"] / 2**20) == 172 and round(BYTES["yolov1"] / 2**20) == 753
    forms = {16 + 4 * float_count(plan) for plans in FORMS.values() for plan in plans}
    # 777,018,888: yolov1.weights as libreyolo's tests have it, with two boxes a cell
    assert forms == {*BYTES.values(), 777_018_888}


def test_networks_of_2015_see_signed_pixels() -> None:
    words = {name: [plan.layers.split()[0] for plan in plans] for name, plans in FORMS.items()}
    assert words == {
        "yolov1": ["p", "c64-7-2", "c64-7-2"],
        "yolov1-small": ["p"],
        "yolov1-tiny": ["c16-3", "p"],
    }


def full_file(path: Path, name: str, header: bytes) -> None:
    """Random floats, as many as the public file has."""
    count = (BYTES[name] - len(header)) // 4
    values = np.random.default_rng(0).standard_normal(1 << 22, dtype=np.float32) * np.float32(0.02)
    values = np.abs(values) if header == NEW else values  # variances are not negative
    with path.open("wb") as file:
        file.write(header)
        for first in range(0, count, len(values)):
            file.write(values[: count - first].tobytes())


@pytest.mark.parametrize(
    ("name", "header", "called"),
    [
        ("yolo-tiny", OLD, "yolov1-tiny"),
        ("tiny-yolov1", NEW, "yolov1-tiny"),
        ("yolo-small", OLD, "yolov1-small"),
    ],
    ids=["yolo-tiny", "tiny-yolov1", "yolo-small"],
)
def test_a_file_of_the_public_size_by_name_and_by_cfg(
    name: str, header: bytes, called: str, tmp_path: Path
) -> None:
    path, cfg = tmp_path / f"{name}.weights", tmp_path / f"{name}.cfg"
    full_file(path, name, header)
    cfg.write_text(public_cfg(name))
    assert path.stat().st_size == BYTES[name] and flaw(path, ".weights") == ""
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    try:
        by_name = load_detector(called, weights=path)([image])[0]
        by_cfg = load_detector(str(cfg))([image])[0]
        with path.open("ab") as file:
            file.write(b"\0\0\0\0")
        if name == "tiny-yolov1":  # the smallest
            with pytest.raises(WeightsError, match="floats belong to no layer"):
                load_detector(str(cfg))
        with pytest.raises(WeightsError, match=r"floats, .* needed; truncated or of another network"):
            read_darknet(path, FORMS[called])
    finally:
        path.unlink()  # pytest keeps its folders
    assert by_cfg.names == by_name.names and by_name.names[14] == "person"
    assert by_name.feature.shape == by_cfg.feature.shape == (4096,)
    assert np.ptp(by_name.feature) > 0
    np.testing.assert_allclose(by_name.feature, by_cfg.feature, rtol=1e-3, atol=1e-5)
