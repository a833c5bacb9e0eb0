"""YOLOX: parity with onnxruntime, reading of checkpoints and ONNX files, decoding."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from rolo_bench.errors import WeightsError
from rolo_bench.nn.detect import classes, yolox, yolox_load
from rolo_bench.nn.detect.classes import VOC
from rolo_bench.nn.detect.registry import load_detector

GOLDEN = Path(__file__).parent / "golden" / "detector_yolo_nano_voc_opencv4.json"


def random_network(name: str = "yolox-nano", seed: int = 0) -> yolox.YOLOX:
    depth, width, separable, _ = yolox.VARIANTS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return yolox.YOLOX(depth, width, separable).eval().requires_grad_(False)


def write_onnx(network: yolox.YOLOX, path: Path) -> None:
    """A file with the network's convolutions in running order: all that the reader looks at."""
    state = network.state_dict()
    nodes, values = [], []
    for i, name in enumerate(yolox_load.convolution_order(network)):
        for part in ("weight", "bias"):
            values.append(numpy_helper.from_array(state[f"{name}.{part}"].numpy(), f"{i}.{part}"))
        nodes.append(helper.make_node("Conv", [f"x{i}", f"{i}.weight", f"{i}.bias"], [f"x{i + 1}"]))
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [], values)), path)


def write_checkpoint(network: yolox.YOLOX, path: Path) -> dict[str, torch.Tensor]:
    """The network as an official checkpoint: batch norms that do nothing but carry the biases."""
    state: dict[str, torch.Tensor] = {}
    for key, value in network.state_dict().items():
        if "_preds." in key:
            state[key] = value
        elif key.endswith(".conv.weight"):
            stem, n = key.removesuffix(".conv.weight"), len(value)
            state[key] = value
            state[f"{stem}.bn.weight"] = torch.full((n,), 2.0)
            state[f"{stem}.bn.bias"] = network.state_dict()[f"{stem}.conv.bias"] + 0.5
            state[f"{stem}.bn.running_mean"] = torch.full((n,), 0.5)
            state[f"{stem}.bn.running_var"] = torch.full(
                (n,), 4.0 - yolox_load.BN_EPS
            )  # scale 2 / sqrt(4) = 1
            state[f"{stem}.bn.num_batches_tracked"] = torch.tensor(7)
    torch.save({"start_epoch": 300, "model": state}, path)
    return state


def test_names() -> None:
    assert len(classes.CLASSES) == len(classes.COCO) == 80
    assert set(VOC) <= set(classes.CLASSES)
    assert (
        classes.CLASSES[0] == "person"
        and classes.CLASSES[3] == "motorbike"
        and classes.COCO[79] == "toothbrush"
    )


def test_batch_norm_is_folded_with_yolox_epsilon() -> None:
    torch.manual_seed(1)
    kernel, gamma, beta, mean, var = (
        torch.rand(4, 3, 3, 3),
        torch.rand(4),
        torch.rand(4),
        torch.rand(4),
        torch.rand(4),
    )
    state = {
        "a.conv.weight": kernel,
        "a.bn.weight": gamma,
        "a.bn.bias": beta,
        "a.bn.running_mean": mean,
        "a.bn.running_var": var,
        "a.bn.num_batches_tracked": torch.tensor(1),
    }
    out = yolox_load.folded(state, "x")
    x = torch.rand(2, 3, 8, 8)
    want = torch.nn.functional.batch_norm(
        torch.nn.functional.conv2d(x, kernel), mean, var, gamma, beta, eps=1e-3
    )
    got = torch.nn.functional.conv2d(x, out["a.conv.weight"], out["a.conv.bias"])
    assert set(out) == {"a.conv.weight", "a.conv.bias"}
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_checkpoint_and_onnx_give_the_same_network(tmp_path: Path) -> None:
    network = random_network()
    write_onnx(network, tmp_path / "n.onnx")
    write_checkpoint(network, tmp_path / "n.pth")
    a = yolox_load.build("yolox-nano", tmp_path / "n.onnx").state_dict()
    b = yolox_load.build("yolox-nano", tmp_path / "n.pth").state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(a[key], value, atol=0, rtol=0)
        torch.testing.assert_close(b[key], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["yolox-tiny", "yolox-s"])
def test_larger_kin_load(name: str, tmp_path: Path) -> None:
    network = random_network(name)
    write_checkpoint(network, tmp_path / "n.pth")
    detector = load_detector(name, size=64, weights=tmp_path / "n.pth", threshold=0.0)
    found = detector([np.zeros((48, 64, 3), np.uint8)])[0]
    assert found.feature.shape == (detector.feature_size,) == (int(1024 * yolox.VARIANTS[name][1]) * 16,)


def test_wrong_files_give_one_line_and_nothing_else(tmp_path: Path) -> None:
    network = random_network()
    write_onnx(network, tmp_path / "good.onnx")
    write_checkpoint(network, tmp_path / "good.pth")
    onnx_bytes, pth_bytes = (tmp_path / "good.onnx").read_bytes(), (tmp_path / "good.pth").read_bytes()
    nan = {k: v.clone() for k, v in torch.load(tmp_path / "good.pth", weights_only=True)["model"].items()}
    nan["head.obj_preds.0.bias"][0] = float("nan")
    torch.save({"model": nan}, tmp_path / "nan.pth")
    torch.save({"model": {**nan, "extra": torch.zeros(1)}}, tmp_path / "extra.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    broken = {k: v for k, v in nan.items() if k != "backbone.C3_p3.conv1.bn.running_var"}
    torch.save({"model": broken}, tmp_path / "part.pth")
    cases = {
        "cut.onnx": onnx_bytes[: len(onnx_bytes) // 2],
        "empty.onnx": b"",
        "cut.pth": pth_bytes[: len(pth_bytes) // 2],
        "empty.pth": b"",
        "text.pth": b"<html>404</html>",
        "swapped.onnx": pth_bytes,
        "swapped.pth": onnx_bytes,
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
    for name in [*cases, "nan.pth", "extra.pth", "list.pth", "part.pth", "absent.pth"]:
        with pytest.raises(WeightsError) as error:
            load_detector("yolox-nano", size=64, weights=tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value), name
    with pytest.raises(WeightsError, match="another network"):
        load_detector("yolox-tiny", size=64, weights=tmp_path / "good.pth")
    with pytest.raises(WeightsError, match="convolutions"):
        load_detector("yolox-tiny", size=64, weights=tmp_path / "good.onnx")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (witness,)  # type: ignore[return-value]

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"model": Evil()}))
    torch.save({"model": Evil()}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(WeightsError):
            load_detector("yolox-nano", size=64, weights=tmp_path / name)
    assert not witness.exists()


def test_decoding_by_hand() -> None:
    # 32 px input: levels of 4 x 4, 2 x 2 and 1 x 1 cells, 21 rows in all
    box = torch.zeros(1, 21, 4)
    box[0, 6] = torch.tensor([0.5, 0.25, np.log(2.0), 0.0])  # row 1, column 2, stride 8
    box[0, 20] = torch.tensor([0.1, 0.2, 0.0, np.log(0.5)])  # the one cell of stride 32
    boxes = yolox.decode(box, 32)
    assert boxes[0, 6].tolist() == pytest.approx([(2 + 0.5) * 8, (1 + 0.25) * 8, 16, 8])
    assert boxes[0, 20].tolist() == pytest.approx([3.2, 6.4, 32, 16])


def test_cells_run_level_by_level_and_row_by_row() -> None:
    levels = [torch.arange(2 * n * n).reshape(1, 2, n, n) + 100 * n for n in (2, 1)]
    assert yolox.rows(levels).tolist() == [[[200, 204], [201, 205], [202, 206], [203, 207], [100, 101]]]


def test_score_is_objectness_times_best_class() -> None:
    network = random_network()
    x = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        out, raw = network.outputs(x), network(x)
    product = out[..., 4:5] * out[..., 5:]
    torch.testing.assert_close(raw.scores, product.max(dim=2).values, atol=1e-6, rtol=1e-5)
    assert raw.classes is not None
    torch.testing.assert_close(
        product.gather(2, raw.classes[..., None])[..., 0], raw.scores, atol=1e-6, rtol=1e-5
    )


def test_fast_path_equals_the_plain_network(tmp_path: Path) -> None:
    network = random_network()
    write_onnx(network, tmp_path / "n.onnx")
    fast = load_detector("yolox-nano", size=96, weights=tmp_path / "n.onnx")
    x = torch.rand(2, 3, 96, 96) * 255
    with torch.inference_mode():
        want = network.outputs(x)
        got = fast.network.outputs(x.to(memory_format=torch.channels_last))  # type: ignore[attr-defined]
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-4)


def test_single_images_run_as_a_graph_and_say_the_same(tmp_path: Path) -> None:
    write_onnx(random_network(), tmp_path / "n.onnx")
    network = load_detector("yolox-nano", size=96, weights=tmp_path / "n.onnx").network  # type: ignore[attr-defined]
    assert "layers" in vars(network), "torch made no oneDNN graph"
    one, other = (torch.rand(1, 96, 96, 3).permute(0, 3, 1, 2) * 255 for _ in range(2))
    with torch.inference_mode():
        maps = network.layers(one)[0]
        before = [t.clone() for t in maps]
        network.layers(other)
        assert all(torch.equal(a, b) for a, b in zip(maps, before)), "the next image overwrote the maps"
        assert all(torch.equal(a, b) for a, b in zip(maps, network.layers(one)[0])), "not deterministic"
        for x in (one, one.contiguous(), torch.cat([one, other])):
            want = yolox.YOLOX.layers(network, x)  # by FusedConv
            torch.testing.assert_close(network.layers(x), (tuple(want[0]), want[1]), atol=1e-3, rtol=1e-4)


def test_half_precision_stays_close(tmp_path: Path) -> None:
    network = random_network()
    write_onnx(network, tmp_path / "n.onnx")
    image = np.random.default_rng(0).integers(0, 255, (80, 96, 3), dtype=np.uint8)
    full = load_detector("yolox-nano", size=96, weights=tmp_path / "n.onnx", threshold=0.0)([image])[0]
    detector = load_detector("yolox-nano", size=96, weights=tmp_path / "n.onnx", threshold=0.0, half=True)
    half = detector([image])[0]
    assert "bfloat16" in detector.identity
    assert half.feature == pytest.approx(full.feature, abs=0.1)
    assert half.feature.dtype == np.float32 and half.boxes.dtype == np.float64


def greedy(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, overlap: float) -> list[int]:
    """Suppression one box at a time, independent of the one under test."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        for j in kept:
            if classes[i] != classes[j]:
                continue
            a, b = boxes[i], boxes[j]
            w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
            h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
            inter = max(w, 0) * max(h, 0)
            if inter / (a[2] * a[3] + b[2] * b[3] - inter) > overlap:
                break
        else:
            kept.append(int(i))
    return kept


@pytest.mark.shared
def test_parity_with_onnxruntime_on_twenty_frames(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2
    import onnxruntime

    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    session = onnxruntime.InferenceSession(str(shared / "weights" / "yolox_nano.onnx"))
    detector = load_detector("yolox-nano", size=416, threshold=0.05, vote=1)
    frames = [f["frame"] for f in json.loads(GOLDEN.read_text())["frames"]]
    assert len(frames) == 20
    largest, count = 0.0, 0
    for name in frames:
        image = cv2.cvtColor(cv2.imread(str(shared / "data" / name)), cv2.COLOR_BGR2RGB)
        x = detector.tensor([image])  # type: ignore[attr-defined]
        with torch.inference_mode():
            ours = detector.network.outputs(x).numpy()[0]  # type: ignore[attr-defined]
        theirs = session.run(None, {"images": np.ascontiguousarray(x.numpy())})[0][0]
        largest = max(largest, float(np.abs(ours - theirs).max()))
        # decode onnxruntime's output here, in plain numpy
        row = 0
        boxes = np.zeros((len(theirs), 4))
        for stride in (8, 16, 32):
            n = 416 // stride
            for k in range(n * n):
                cx, cy = (theirs[row, 0] + k % n) * stride, (theirs[row, 1] + k // n) * stride
                w, h = np.exp(theirs[row, 2]) * stride, np.exp(theirs[row, 3]) * stride
                boxes[row] = cx - w / 2, cy - h / 2, w, h
                row += 1
        ratio = min(416 / image.shape[0], 416 / image.shape[1])
        scores = (theirs[:, 4:5] * theirs[:, 5:]).max(axis=1)
        classes = theirs[:, 5:].argmax(axis=1)
        good = np.flatnonzero(scores >= 0.05)
        kept = good[greedy(boxes[good], scores[good], classes[good], 0.45)]
        found = detector([image])[0]
        assert len(found) == len(kept), name
        np.testing.assert_allclose(found.boxes, boxes[kept] / ratio, atol=0.1)
        np.testing.assert_allclose(found.scores, scores[kept], atol=1e-3)
        assert found.classes.tolist() == classes[kept].tolist()
        count += len(found)
    assert largest < 1e-3
    assert count > 50
