"""What all detectors share: preparation, suppression, plugins, region features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rolo_bench.datasets.suites import load_suite
from rolo_bench.detection import Detections, Detector, FeatureMap
from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.nn.detect.options import DetectorOptions, chosen_for
from rolo_bench.nn.detect.registry import DETECTORS, load_detector, open_detector, size_for
from rolo_bench.nn.detect.suppress import select, suppress
from rolo_bench.nn.detect.torch_detector import (
    Preparation,
    Raw,
    TorchDetector,
    fitting_scale,
    pick_device,
    pool_regions,
    prepare,
)

GOLDEN = Path(__file__).parent / "golden" / "detector_yolo_nano_voc_opencv4.json"


def one_by_one(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray | None, overlap: float
) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        ok = True
        for j in kept:
            low, high = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
            inter = np.prod(np.clip(high - low, 0, None))
            union = np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[j, 2:] - boxes[j, :2]) - inter
            if inter / union > overlap and (classes is None or classes[i] == classes[j]):
                ok = False
        if ok:
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_suppression_equals_one_box_at_a_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 120))
    low = rng.uniform(0, 40, (n, 2))
    boxes = np.hstack([low, low + rng.uniform(5, 40, (n, 2))])
    scores = rng.uniform(size=n)
    classes = rng.integers(0, 3, n) if seed % 2 else None
    got = suppress(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores),
        None if classes is None else torch.tensor(classes),
        0.45,
    )
    assert got.tolist() == one_by_one(boxes, scores, classes, 0.45)


def test_suppression_by_hand() -> None:
    # a chain: 2 is taken away by 1 only; 1 itself goes, so 2 stays
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    # IoU of neighbours: 6 * 10 / (200 - 60) = 0.43; of the ends: 20 / 180 = 0.11
    assert suppress(boxes, scores, None, 0.4).tolist() == [0, 2]
    assert suppress(boxes, scores, None, 0.45).tolist() == [0, 1, 2]
    assert suppress(boxes, scores, torch.tensor([0, 1, 0]), 0.4).tolist() == [0, 1, 2]


def test_equal_scores_keep_their_order_and_limit_takes_the_best() -> None:
    boxes = torch.tensor([[50.0 * i, 10, 20, 20] for i in range(6)])
    scores = torch.full((6, 2), 0.1)
    scores[3, 1] = 0.9
    scores[5, 0] = 0.5
    corners, s, c = select(boxes, scores, threshold=0.05, nms=0.5, agnostic=False, limit=2)
    assert s.tolist() == pytest.approx([0.9, 0.5]) and c.tolist() == [1, 0]
    assert corners[0].tolist() == [140, 0, 160, 20]


def test_votes_by_hand_and_at_any_threshold() -> None:
    # IoU of the first with the second 9 * 10 / 110 = 0.82, with the third 7 * 10 / 130 = 0.54; the fourth is of another
    # class, the fifth too weak for a say, and the last has no area and keeps its box
    boxes = torch.tensor(
        [[15.0, 15, 10, 10], [16, 15, 10, 10], [18, 15, 10, 10], [15, 16, 10, 10], [15, 14, 10, 10]]
    )
    boxes = torch.cat([boxes, torch.tensor([[90.0, 90, 0, 0]])])
    scores = torch.tensor([[0.6, 0], [0.2, 0], [0.3, 0], [0, 0.5], [0.009, 0], [0.4, 0]])
    for threshold in (0.02, 0.25):
        corners, s, c = select(boxes, scores, threshold=threshold, nms=0.3, agnostic=False, vote=0.6)
        assert corners.tolist() == [
            pytest.approx([10.25, 10, 20.25, 20]), pytest.approx([10, 11, 20, 21]), [90, 90, 90, 90]
        ]  # fmt: skip
        assert s.tolist() == pytest.approx([0.6, 0.5, 0.4]) and c.tolist() == [0, 1, 0]
    plain, *_ = select(boxes, scores, threshold=0.25, nms=0.3, agnostic=False)
    assert plain.tolist() == [[10, 10, 20, 20], [10, 11, 20, 21], [90, 90, 90, 90]]
    every, *_ = select(boxes, scores, threshold=0.25, nms=0.3, agnostic=True, vote=0.6)
    right, down = 0.2 / 1.3, 0.5 / 1.3
    assert every[0].tolist() == pytest.approx([10 + right, 10 + down, 20 + right, 20 + down])


def test_a_box_that_is_not_finite_has_no_say_and_spoils_no_other() -> None:
    boxes = torch.tensor(
        [[100.0, 100, 50, 50], [300, 300, 50, 50], [10, 10, float("inf"), 5], [10, float("nan"), 5, 5]]
    )
    scores = torch.tensor([[0.9], [0.8], [0.05], [0.7]])
    corners, *_ = select(boxes, scores, threshold=0.1, nms=0.45, agnostic=False, vote=0.0)
    assert corners[:2].tolist() == [[75, 75, 125, 125], [275, 275, 325, 325]] and corners[2].isnan().any()


@pytest.mark.parametrize(("shape", "scale"), [((100, 200), (0.32, 0.32)), ((200, 100), (0.32, 0.32))])
def test_letterbox(shape: tuple[int, int], scale: tuple[float, float]) -> None:
    image = np.full((*shape, 3), (10, 20, 30), np.uint8)
    out = prepare(image, 64, Preparation(fit="letterbox", order="bgr", fill=114))
    assert fitting_scale(shape, 64, "letterbox") == pytest.approx(scale)
    h, w = int(shape[0] * 0.32), int(shape[1] * 0.32)
    assert (out[:h, :w] == (30, 20, 10)).all()  # channels turned round, top-left
    assert (out[h:] == 114).all() and (out[:, w:] == 114).all()


def test_stretch() -> None:
    image = np.zeros((50, 200, 3), np.uint8)
    image[:, 100:] = 200
    out = prepare(image, 64, Preparation(fit="stretch", order="rgb"))
    assert out.shape == (64, 64, 3) and out[:, :30].max() == 0 and out[:, 34:].min() == 200
    assert fitting_scale((50, 200), 64, "stretch") == (0.32, 1.28)


class Planted(torch.nn.Module):
    """A network that says the same for every image: one sure box and its shadow."""

    feature_size = 3

    def forward(self, x: torch.Tensor) -> Raw:
        b = len(x)
        boxes = torch.tensor([[32.0, 16, 16, 8], [33, 16, 16, 8], [5, 5, 4, 4]]).repeat(b, 1, 1)
        scores = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.05, 0.2]]).repeat(b, 1, 1)
        return Raw(boxes, scores, x.mean(dim=(2, 3)), {"m": x[:, :, ::8, ::8]})


def planted(
    name: str = "planted", size: int = 64, digest: str = "0" * 64, fit: str = "letterbox", **options: object
) -> TorchDetector:
    return TorchDetector(
        name, Planted(), DetectorOptions.of(options), classes=("a", "b"), size=size, weights_digest=digest,
        preparation=Preparation(fit, divisor=1.0), strides={"m": 8.0}, fusible=lambda module: None,
    )  # fmt: skip


def test_boxes_come_back_in_image_pixels() -> None:
    detector = planted()
    assert isinstance(detector, Detector)
    found = detector([np.zeros((64, 128, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)])
    # 128 x 64 at 64: scale 0.5, so 32, 16, 16, 8 means centre 64, 32 and size 32 x 16
    assert found[0].boxes[0].tolist() == [48, 24, 32, 16]
    assert found[1].boxes[0].tolist() == [24, 12, 16, 8]
    assert found[0].scores.tolist() == pytest.approx([0.9, 0.2]) and found[0].classes.tolist() == [0, 1]
    assert found[0].names == ("a", "b")
    assert detector([]) == []


def test_identity_changes_with_all_that_matters() -> None:
    made = [planted(), planted(threshold=0.2), planted(nms=0.5), planted(agnostic=True), planted(size=96),
            planted(digest="1" * 64), planted(half=True), planted(name="other"), planted(fit="stretch")]  # fmt: skip
    assert len({d.identity for d in made}) == len(made)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)]
)
def test_odd_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        planted()([image])


def test_maps_are_handed_out_on_request() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    assert planted()([image])[0].maps == ()
    with pytest.raises(UsageError, match="keep_maps"):
        planted()([image])[0].map("m")
    found = planted(keep_maps=True)([image])[0]
    assert found.map("m").values.shape == (3, 8, 8) and found.map("m").scale == (0.5, 0.5)
    with pytest.raises(UsageError, match="no feature map 'x'"):
        planted(keep_maps=("x",))


def test_region_features_read_the_map_where_the_box_is() -> None:
    # the map's value is the image x (channel 0) and y (channel 1) of each cell centre
    stride, scale = 8.0, (0.5, 0.25)
    j, i = np.meshgrid(np.arange(12), np.arange(10))
    values = np.stack([(j + 0.5) * stride / scale[0], (i + 0.5) * stride / scale[1]])
    fmap = FeatureMap("m", torch.tensor(values, dtype=torch.float32), stride, scale)
    boxes = np.array([[30.0, 60.0, 40.0, 80.0], [50.0, 50.0, 20.0, 20.0]])
    got = pool_regions(fmap, boxes, 2)
    assert got.shape == (2, 2, 2, 2)
    for box, patch in zip(boxes, got):
        x = box[0] + box[2] * np.array([0.25, 0.75])
        y = box[1] + box[3] * np.array([0.25, 0.75])
        np.testing.assert_allclose(patch[0], np.stack([x, x]), atol=1e-3)
        np.testing.assert_allclose(patch[1], np.stack([y, y], axis=1), atol=1e-3)
    assert pool_regions(fmap, np.zeros((0, 4)), 3).shape == (0, 2, 3, 3)


PLUGIN = """
import numpy as np
from rolo_bench.detection import Detections

class Blob:
    name, classes, feature_size, size = "blob", ("blob",), 2, 0
    def __init__(self, threshold=0.5):
        self.threshold = threshold
        self.identity = f"blob {threshold}"
    def __call__(self, images):
        return [Detections(np.zeros((0, 4)), np.zeros(0, np.float32), np.zeros(0, int), self.classes,
                           np.zeros(2, np.float32)) for _ in images]
"""


def test_a_detector_is_a_plugin_file(tmp_path: Path) -> None:
    path = tmp_path / "blob.py"
    path.write_text(PLUGIN)
    detector = load_detector(str(path), threshold=0.25)
    assert detector.identity.startswith("blob 0.25:code=")
    assert isinstance(detector([np.zeros((4, 4, 3), np.uint8)])[0], Detections)
    with pytest.raises(UsageError, match="no option 'size'"):
        load_detector(str(path), size=64)
    # what is at its default is not told to a plugin, a threshold of 0 is
    assert load_detector(str(path), device="cpu", half=False, keep_maps=False).identity.startswith(
        "blob 0.5:"
    )
    assert load_detector(str(path), threshold=0.0).identity.startswith("blob 0.0:")
    path.write_text(
        PLUGIN.replace("threshold=0.5):", "threshold=0.5, **others):\n        self.others = others")
    )
    detector = load_detector(str(path), size=64, agnostic=True, weights="w", keep_maps=("m",))
    assert detector.others == {"size": 64, "agnostic": True, "weights": "w", "keep_maps": ("m",)}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("x = 1\n", UsageError, "exactly one class"),
        ("1 / 0\n", TrackerError, "cannot be imported: ZeroDivisionError"),
        ("import sys\nsys.exit(0)\n", TrackerError, "cannot be imported: SystemExit"),
        (PLUGIN.replace('name, classes, feature_size, size = "blob", ("blob",), 2, 0', 'name = "n"'), UsageError,
         "no attribute 'classes'"),
        (PLUGIN.replace("self.threshold = threshold", "raise OSError('gone')"), TrackerError,
         "cannot be made: OSError: gone"),
        (PLUGIN.replace("self.threshold = threshold", "raise SystemExit(0)"), TrackerError, "cannot be made"),
    ],
)  # fmt: skip
def test_broken_plugins_give_one_line(
    text: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "d.py").write_text(text)
    with pytest.raises(error, match=message):
        load_detector(str(tmp_path / "d.py"))


def test_misuse_is_told() -> None:
    for options, message in [
        ({"name": "nope"}, "known: yolox-nano"),
        ({"name": "./absent.py"}, "no such detector plugin"),
        ({"name": "yolox-nano", "size": 100}, "multiple of 32"),
        ({"name": "yolox-nano", "threshold": 2.0}, "threshold"),
        ({"name": "yolox-nano", "nms": -1.0}, "nms"),
        ({"name": "yolox-nano", "size": "large"}, "size must be a whole number or None, not 'large'"),
        ({"name": "yolox-nano", "nms": "low"}, "nms must be a number or None, not 'low'"),
        (
            {"name": "yolox-nano", "sise": 64},
            "unknown option 'sise'; did you mean 'size'",
        ),
    ]:
        for make in (load_detector, open_detector):
            with pytest.raises(UsageError, match=message):
                make(**options)  # type: ignore[arg-type]


def test_a_threshold_out_of_range_is_refused_with_a_cache_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="threshold must lie in"):
        open_detector("demo", threshold=2.0, cache=str(tmp_path))


def test_a_size_is_chosen_only_for_networks_that_take_any() -> None:
    """A size that training chooses by itself must not be refused by the detector: a YOLOv1 has one side alone."""
    given = {name: size_for(name, 320) for name in DETECTORS}
    own = {name for name, size in given.items() if size is None}
    assert own == {"yolov1", "yolov1-small", "yolov1-tiny", "demo"} and set(given.values()) == {None, 320}
    assert size_for("./mine.py", 320) is None
    assert load_detector("demo", size=size_for("demo", 320)).size == 320


def test_options_are_taken_as_numpy_gives_them() -> None:
    options = DetectorOptions.of({"size": np.int64(96), "threshold": np.float32(0.5), "nms": 1})
    assert options.given() == {"size": 96, "threshold": 0.5, "nms": 1}
    assert DetectorOptions().given() == {}


def test_what_was_chosen_for_a_detector() -> None:
    table = {"a": {"x": 1}, "others": {"x": 2, "y": 3}}
    assert chosen_for(table, "a") == {"x": 1, "y": 3}
    assert chosen_for(table, "./mine.py", x=None, y=0) == {"x": 2, "y": 0}
    assert table == {"a": {"x": 1}, "others": {"x": 2, "y": 3}}


# Records of detections on users' disks are found by these.
TAIL = "threshold=0.1:nms=0.45:agnostic=0:{}:float32:cpu:code=1"
IDENTITIES = {
    "yolox-nano": "yolox-nano:695e750a5d5754bb:size=416:" + TAIL.format("letterbox") + ":vote=0.6",
    "yolo-nano-voc": "yolo-nano-voc:0f73c3e42d5d7b24:size=320:" + TAIL.format("stretch"),
    "demo": "demo:59f8359f6bad8591:size=320:" + TAIL.format("stretch"),
}


@pytest.mark.shared
def test_identities_stay_so_that_stored_detections_count(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    for name, identity in IDENTITIES.items():
        assert load_detector(name).identity == identity
        cached = open_detector(name, threshold=0.05, cache=str(tmp_path))
        stored = identity.replace("threshold=0.1", "threshold=0.01")
        assert cached.identity == f"{stored}:from=0.05"
    found = load_detector("yolox-nano", size=96, threshold=0.25, nms=0.6, agnostic=True, half=True).identity
    assert found == (
        "yolox-nano:695e750a5d5754bb:size=96:threshold=0.25:nms=0.6:agnostic=1:letterbox:bfloat16:cpu:code=1:vote=0.6"
    )


@pytest.mark.shared
@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_a_device_that_is_not_there(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    with pytest.raises(UsageError, match="cuda"):
        load_detector("yolox-nano", device="cuda")
    with pytest.raises(UsageError, match="unknown device"):
        load_detector("yolox-nano", device="quantum")


def test_convolutions_on_cuda_are_asked_for_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert pick_device("cpu", half=False)[0].type == "cpu" and torch.backends.cudnn.allow_tf32
    assert pick_device("cuda", half=False)[0].type == "cuda" and not torch.backends.cudnn.allow_tf32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="is about machines with CUDA")
def test_the_boxes_on_cuda_are_those_of_the_processor() -> None:
    image = load_suite("demo").sequences[0].frames.image(0)
    here, there = (load_detector("demo", device=device)([image])[0] for device in ("cpu", "cuda"))
    assert len(here) == len(there) > 0
    np.testing.assert_allclose(there.boxes, here.boxes, atol=0.01)
    np.testing.assert_allclose(there.scores, here.scores, atol=1e-4)


@pytest.mark.shared
def test_yolo_nano_voc_equals_opencv_4_on_twenty_frames(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    golden = json.loads(GOLDEN.read_text())
    assert golden["opencv"].startswith("4.") and len(golden["frames"]) == 20
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    detector = load_detector(
        "yolo-nano-voc", size=golden["size"], threshold=golden["threshold"], nms=golden["nms"]
    )
    total = 0
    for frame in golden["frames"]:
        image = cv2.cvtColor(cv2.imread(str(shared / "data" / frame["frame"])), cv2.COLOR_BGR2RGB)
        found = detector([image])[0]
        boxes = np.array(frame["boxes"]).reshape(-1, 4)
        assert len(found) == len(boxes), frame["frame"]
        np.testing.assert_allclose(found.boxes, boxes, atol=0.1, err_msg=frame["frame"])
        np.testing.assert_allclose(found.scores, frame["scores"], atol=1e-3)
        assert found.classes.tolist() == frame["classes"]
        assert found.feature.shape == (3920,)
        total += len(found)
    assert total > 100


@pytest.mark.shared
@pytest.mark.parametrize("name", ["yolox-nano", "yolo-nano-voc"])
def test_same_bytes_twice_and_nearly_so_in_a_batch(
    name: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    paths = sorted((shared / "data" / "otb" / "Couple" / "img").glob("*.jpg"))[:3]
    images = [cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in paths]
    detector = load_detector(name, size=320, threshold=0.1)
    single = [detector([image])[0] for image in images]
    again = detector([images[0]])[0]
    assert again.boxes.tobytes() == single[0].boxes.tobytes()
    assert again.feature.tobytes() == single[0].feature.tobytes()
    for a, b in zip(single, detector(images)):
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.01)
        np.testing.assert_allclose(a.feature, b.feature, atol=1e-3)


ANSWERS = """
import numpy as np
from rolo_bench.detection import Detections

class Answers:
    name, classes, feature_size, size, identity, appearance = "answers", ("t",), 1, 0, "a", True

    def __call__(self, images):
        boxes, scores = np.array([[5.0, 4, 3, 2], [5, 4, 3, 9]]), np.array([0.9, 0.5])
        classes, feature, looks = np.zeros(2), np.zeros(1), np.eye(2, 4)
        CHANGE
        return [Detections(boxes, scores, classes, self.classes, feature, appearance=looks) for _ in images]

    def describe(self, image, boxes):
        return np.eye(len(boxes), WIDTH)
"""


def answers(folder: Path, change: str = "", width: int = 4) -> Detector:
    path = folder / "answers.py"
    path.write_text(ANSWERS.replace("CHANGE", change).replace("WIDTH", str(width)))
    return load_detector(str(path))


def test_what_a_plugin_answers_comes_in_the_right_kinds(tmp_path: Path) -> None:
    made = answers(tmp_path, "boxes = boxes.astype(int).tolist()")
    (found,) = made([np.zeros((20, 20, 3), np.uint8)])
    assert found.boxes.dtype == np.float64 and found.scores.dtype == np.float32
    assert found.classes.dtype == np.int64 and found.appearance.dtype == np.float16
    assert made.describe(np.zeros((20, 20, 3), np.uint8), found.boxes[:1]).shape == (1, 4)
    assert made.identity.startswith("a:") and isinstance(made, Detector)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("return None", "no list of 2"),
        ("images = images[1:]", "no list of 2"),
        ("boxes[1, 2] = np.nan", "not finite"),
        ("boxes[1, 2] = -1", "negative"),
        ("boxes = boxes[:, :3]", "boxes"),
        ("scores = scores[::-1]", "fall"),
        ("scores = scores * 2", "0 … 1"),
        ("scores[1] = np.nan", "0 … 1"),
        ("classes = classes[:1]", "classes"),
        ("classes[1] = 1", "none of the 1"),
        ("feature = np.zeros(7)", "1 finite values"),
        ("looks[0] = np.nan", "length 1"),
        ("looks *= 50", "length 1"),
        ("looks = looks[:1]", "shape"),
        ("raise KeyError('x')", "KeyError"),
    ],
)
def test_what_a_plugin_must_not_answer_is_refused(tmp_path: Path, change: str, words: str) -> None:
    made = answers(tmp_path, change)
    with pytest.raises(TrackerError, match=f"answers.py: detector Answers: .*{words}"):
        made([np.zeros((20, 20, 3), np.uint8)] * 2)


def test_appearances_of_one_plugin_have_one_length(tmp_path: Path) -> None:
    made = answers(tmp_path, width=3)
    made([np.zeros((20, 20, 3), np.uint8)])
    with pytest.raises(TrackerError, match=r"\(1, 3\), not \(1, 4\)"):
        made.describe(np.zeros((20, 20, 3), np.uint8), np.ones((1, 4)))


def test_detections_stored_before_an_edit_of_a_plugin_are_not_taken(tmp_path: Path) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    for change, left in (("", 5.0), ("boxes[0, 0] = 7", 7.0)):
        answers(tmp_path, change)
        open_detector.cache_clear()
        (found,) = open_detector(str(tmp_path / "answers.py"), cache=str(tmp_path / "cache"))([image])
        assert found.boxes[0, 0] == left
