"""yolo and yolo-sort on scripted detections, where every right answer is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.boxes import iou
from rolo_bench.errors import UsageError
from rolo_bench.run.plugins import find_plugin
from rolo_bench.run.stamp import facts_of
from rolo_bench.sequence import ArrayFrames, Sequence
from rolo_bench.tracker import Tracker, is_oracle
from rolo_bench.trackers.yolo import Yolo
from rolo_bench.trackers.yolo_sort import YoloSort, make_filter, to_box, to_state

# The detector's answer is written in the image: one row of pixels per detection, x y w h score present.
DETECTOR = """
import numpy as np
from rolo_bench.detection import Detections

class Scripted:
    name, classes, feature_size, size = "scripted", ("thing",), 1, 32

    def __init__(self, threshold=0.1, size=32):
        self.threshold, self.identity = threshold, f"scripted {threshold}"

    def __call__(self, images):
        out = []
        for image in images:
            rows = image[:, :2].reshape(len(image), 6).astype(float)
            rows = rows[(rows[:, 5] > 0) & (rows[:, 4] / 100 >= self.threshold)]
            rows = rows[np.argsort(-rows[:, 4], kind="stable")]
            out.append(Detections(rows[:, :4], (rows[:, 4] / 100).astype(np.float32),
                                  np.zeros(len(rows), int), self.classes, np.zeros(1, np.float32)))
        return out
"""


def frame(*detections: tuple[int, int, int, int, int]) -> np.ndarray:
    """An image that holds detections (x, y, w, h, score in percent)."""
    image = np.zeros((8, 2, 3), np.uint8)
    for i, d in enumerate(detections):
        image[i] = np.array([*d, 1], np.uint8).reshape(2, 3)
    return image


@pytest.fixture
def detector(tmp_path: Path) -> str:
    path = tmp_path / "scripted.py"
    path.write_text(DETECTOR)
    return str(path)


def run(tracker: Tracker, box: tuple[float, ...], frames: list[np.ndarray]) -> np.ndarray:
    tracker.init(frames[0], np.array(box, float))
    return np.array([box, *[tracker.update(f) for f in frames[1:]]])


def test_yolo_follows_the_box_that_overlaps_and_holds_the_last(detector: str) -> None:
    frames = [
        frame((10, 10, 20, 20, 50), (100, 10, 20, 20, 99)),
        frame((14, 10, 20, 20, 40), (100, 10, 20, 20, 99)),  # the other has the better score
        frame((18, 10, 20, 20, 5), (100, 10, 20, 20, 99)),  # below the threshold: none, hold
        frame((22, 10, 20, 20, 40), (90, 10, 20, 20, 99)),
    ]
    tracker = Yolo(detector=detector, threshold=0.1, history=2, iou_min=0.15)
    assert isinstance(tracker, Tracker) and not is_oracle(tracker)
    boxes = run(tracker, (10, 10, 20, 20), frames)
    assert boxes.tolist() == [[10, 10, 20, 20], [14, 10, 20, 20], [14, 10, 20, 20], [22, 10, 20, 20]]


def test_yolo_reference_is_the_mean_of_the_history(detector: str) -> None:
    frames = [
        frame((0, 0, 20, 20, 50)),
        frame((10, 0, 20, 20, 50)),
        frame((16, 0, 20, 20, 50), (0, 0, 18, 20, 50)),
    ]
    two = run(Yolo(detector=detector, history=2, iou_min=0.1), (0, 0, 20, 20), frames)
    one = run(Yolo(detector=detector, history=1, iou_min=0.1), (0, 0, 20, 20), frames)
    # mean (5, 0, 20, 20): with (16, ...) 9 / 31 = 0.29, with (0, ..., 18) 13 / 25 = 0.52
    assert two[2].tolist() == [0, 0, 18, 20]
    # last (10, 0, 20, 20): with (16, ...) 14 / 26 = 0.54, with (0, ..., 18) 8 / 30 = 0.27
    assert one[2].tolist() == [16, 0, 20, 20]


def test_iou_min(detector: str) -> None:
    frames = [frame((0, 0, 20, 20, 50)), frame((12, 0, 20, 20, 50))]  # IoU 8 / 32 = 0.25
    assert run(Yolo(detector=detector, iou_min=0.24), (0, 0, 20, 20), frames)[1, 0] == 12
    assert run(Yolo(detector=detector, iou_min=0.26), (0, 0, 20, 20), frames)[1, 0] == 0


def test_oracle_is_marked_and_uses_the_revealed_box(detector: str) -> None:
    from rolo_bench.run.runner import run_sequence

    frames = [
        frame((0, 0, 20, 20, 50)),
        frame((1, 0, 20, 20, 90), (60, 0, 20, 20, 20)),
        frame((5, 60, 9, 9, 50)),
        frame(),
        frame((5, 60, 9, 9, 50)),  # nobody knows where the target is here
    ]
    truth = np.array([[0, 0, 20, 20], [62, 0, 20, 20], [200, 200, 5, 5], [60, 0, 20, 20], [np.nan] * 4])
    tracker = Yolo(detector=detector, association="oracle")
    assert is_oracle(tracker)
    boxes = run_sequence(tracker, Sequence("s", ArrayFrames(tuple(frames)), truth)).boxes
    assert boxes.tolist() == [[0, 0, 20, 20], *[[60, 0, 20, 20]] * 4]
    with pytest.raises(UsageError, match="causal or oracle"):
        Yolo(detector=detector, association="truth")


def test_what_comes_later_changes_nothing(detector: str) -> None:
    rng = np.random.default_rng(0)
    path = [frame((10 + 3 * i, 20, 20, 25, 60), *[(*rng.integers(0, 90, 2), 20, 20, 50)]) for i in range(12)]
    changed = path[:7] + [frame((90, 90, 9, 9, 99))] * 5
    for cls in (Yolo, YoloSort):
        a = run(cls(detector=detector), (10, 20, 20, 25), path)
        b = run(cls(detector=detector), (10, 20, 20, 25), changed)
        assert np.array_equal(a[:7], b[:7]) and not np.array_equal(a[7:], b[7:])


def test_sort_measurement_and_back() -> None:
    box = np.array([10.0, 20, 30, 60])
    assert to_state(box).tolist() == [25, 50, 1800, 0.5]
    assert to_box(to_state(box)) == pytest.approx(box)
    assert np.isfinite(to_box(np.array([5.0, 5, -10, 0.5]))).all()


def test_sort_filter_is_constant_velocity() -> None:
    kalman = make_filter(np.array([0.0, 0, 10, 10]))
    assert kalman.x[:, 0].tolist() == [5, 5, 100, 1, 0, 0, 0]
    kalman.x[4:, 0] = 2, -1, 10
    kalman.predict()
    assert kalman.x[:, 0].tolist() == [7, 4, 110, 1, 2, -1, 10]


def test_sort_coasts_through_misses(detector: str) -> None:
    steps = 30
    frames = [frame((20 + 4 * i, 50, 20, 30, 60)) if i < 20 else frame() for i in range(steps)]
    boxes = run(YoloSort(detector=detector), (20, 50, 20, 30), frames)
    truth = np.array([[20 + 4 * i, 50, 20, 30] for i in range(steps)], float)
    assert (iou(boxes, truth)[5:] > 0.85).all()  # ten frames on without a detection
    held = run(Yolo(detector=detector), (20, 50, 20, 30), frames)
    assert iou(held[-1], truth[-1])[0] == 0  # yolo stays where it was


def test_sort_minds_score_and_size_unless_told_not_to(detector: str) -> None:
    # IoU with the resting target: 14 / 26 = 0.54 for the doubtful one, 12 / 28 = 0.43 for the certain one
    doubt = [frame((20, 50, 20, 30, 60))] * 4 + [frame((26, 50, 20, 30, 8), (12, 50, 20, 30, 95))]
    assert run(YoloSort(detector=detector, prefer=0.0), (20, 50, 20, 30), doubt)[-1, 0] > 20.1
    assert run(YoloSort(detector=detector), (20, 50, 20, 30), doubt)[-1, 0] < 19.9
    small = [frame((20, 50, 20, 30, 60))] * 4 + [
        frame((20, 50, 8, 12, 95))
    ]  # log sizes differ by 1.83 in all
    assert run(YoloSort(detector=detector), (20, 50, 20, 30), small)[-1, 2] == pytest.approx(20, abs=0.1)
    assert run(YoloSort(detector=detector, size_limit=0.0), (20, 50, 20, 30), small)[-1, 2] < 19


def test_sort_ignores_what_does_not_overlap_the_prediction(detector: str) -> None:
    frames = [frame((20, 50, 20, 30, 60))] * 5 + [frame((120, 50, 20, 30, 99))] * 5
    boxes = run(YoloSort(detector=detector), (20, 50, 20, 30), frames)
    assert boxes[:, 0] == pytest.approx(20, abs=0.5)


def test_sort_shrinking_target_never_gets_a_negative_area(detector: str) -> None:
    frames = [frame((50, 50, 60 - 6 * i, 60 - 6 * i, 60)) for i in range(9)] + [frame()] * 20
    boxes = run(YoloSort(detector=detector), (50, 50, 60, 60), frames)
    assert np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()


def test_cache_gives_the_same_boxes(detector: str, tmp_path: Path) -> None:
    frames = [frame((10 + 2 * i, 10, 20, 20, 50), (100, 10, 20, 20, 99)) for i in range(6)]
    for cls in (Yolo, YoloSort):
        plain = run(cls(detector=detector), (10, 10, 20, 20), frames)
        for _ in range(2):
            cached = run(cls(detector=detector, cache=str(tmp_path / "c")), (10, 10, 20, 20), frames)
            assert np.array_equal(plain, cached)


@pytest.mark.parametrize("name", ["yolo", "yolo-sort"])
def test_they_are_plugins_that_record_their_weights(name: str, detector: str) -> None:
    plugin = find_plugin(name)
    tracker = plugin.make({"detector": detector, "threshold": 0.2})
    (kept,) = facts_of(plugin, tracker, {}).weights.items()
    assert kept[0] == "scripted" and kept[1].startswith("scripted 0.2:code=")
    with pytest.raises(UsageError, match="unknown option"):
        plugin.make({"detectr": detector})
    with pytest.raises(UsageError, match="unknown detector"):
        plugin.make({"detector": "nope"})


def test_looking_at_trackers_loads_no_torch() -> None:
    code = (
        "import sys; from rolo_bench.run.plugins import builtin_names, find_plugin; "
        "print([list(find_plugin(n).options()) for n in builtin_names()]); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in ("detector", "size", "device", "half", "weights"):
        assert done.stdout.count(f"'{option}'") == 4  # rolo, rolo-plus, yolo, yolo-sort


@pytest.mark.shared
@pytest.mark.parametrize(("tracker", "least"), [("yolo", 0.5), ("yolo-sort", 0.5)])
def test_real_video(
    tracker: str, least: float, shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first 40 frames of Human7, a person in plain sight: both follow with the real detector."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.runner import run_sequence

    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    suite = load_suite("otb30", str(shared / "data" / "otb"), partial=True)
    sequence = next(s for s in suite.sequences if s.name == "Human7").slice(0, 40)
    tracked = run_sequence(find_plugin(tracker).make({}), sequence)
    boxes, seconds = tracked.boxes, tracked.seconds
    assert np.nanmean(iou(boxes, sequence.truth)) > least
    assert (seconds > 0).all()
