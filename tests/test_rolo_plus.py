"""rolo-plus: filter, views, candidates, judge, LSTM, training, and the tracker on a toy detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from rolo_bench.boxes import iou
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect.registry import load_detector
from rolo_bench.nn.detect.torch_detector import Raw
from rolo_bench.nn.plus import colour, evidence, flow
from rolo_bench.nn.plus import file as rolo_plus_file
from rolo_bench.nn.plus import filter as plus_filter
from rolo_bench.nn.plus import networks as rolo_plus
from rolo_bench.nn.plus import siamese as plus_siamese
from rolo_bench.nn.plus import view as plus_view
from rolo_bench.nn.train import loop
from rolo_bench.nn.train import plus as train_plus
from rolo_bench.sequence import ArrayFrames, Sequence


def random_maps(channels: int = 3, n: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(channels, n, n, generator=torch.Generator().manual_seed(seed))


def test_filter_peaks_at_the_target_and_moves_with_it():
    maps = random_maps()
    made = plus_filter.start_filter([(maps, 5.0, 7.0)], (6.0, 6.0), plus_filter.FilterConfig(support=2.0))
    response = made.response(maps)
    assert np.unravel_index(response.argmax(), response.shape) == (5, 7)
    moved = made.response(torch.roll(maps, (2, -3), dims=(1, 2)))
    np.testing.assert_allclose(moved, np.roll(response, (2, -3), axis=(0, 1)), atol=1e-5)


def test_filter_with_full_support_is_the_closed_form_of_ridge_regression():
    maps = random_maps(2, 8)
    config = plus_filter.FilterConfig(support=99.0)
    made = plus_filter.solve(plus_filter.start_filter([(maps, 3.0, 4.0)], (5.0, 5.0), config), 300)
    # per frequency: (G + ridge I) F = R
    gram = made.gram0 + made.ridge * torch.eye(2)
    exact = torch.linalg.solve(gram, made.cross0.unsqueeze(2)).squeeze(2)
    weights = torch.fft.irfft2(exact.T.reshape(2, 8, 5), s=(8, 8))
    torch.testing.assert_close(made.weights, weights, atol=1e-4, rtol=1e-3)


def test_filter_support_is_limited_and_learning_moves_the_filter():
    maps, later = random_maps(seed=1), random_maps(seed=2)
    made = plus_filter.start_filter([(maps, 6.0, 6.0)], (4.0, 2.0), plus_filter.FilterConfig(rate=0.9))
    assert made.mask.sum() == 5 * 3  # within 2.6 and 1.5 cells of the origin, both ways: 5 rows, 3 columns
    assert (made.weights * (1 - made.mask)).abs().max() == 0
    before = made.response(later)[3, 3]
    for _ in range(5):
        made = plus_filter.learn(made, later, 3.0, 3.0)
    assert made.response(later)[3, 3] > before + 0.1


def test_peak_and_sample_by_hand():
    rows, columns = np.mgrid[:7, :7].astype(np.float32)
    bowl = 10 - (rows - 3.25) ** 2 - (columns - 2.6) ** 2  # parabolas are found exactly
    assert plus_filter.peak(bowl, (3, 3)) == pytest.approx((3.25, 2.6), abs=1e-4)
    plane = 2 * rows + columns
    np.testing.assert_allclose(
        plus_filter.sample(plane, np.array([1.5, 2.25]), np.array([3.0, 4.5])), [6.0, 9.0], atol=1e-5
    )


def test_crop_keeps_geometry_and_fills_the_outside():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:30, 40:50] = 255
    patch = plus_view.crop(image, np.array([45.0, 25.0]), 40.0, 160)  # 4 times as large
    bright = np.argwhere(patch[:, :, 0] > 127)
    assert abs(bright.min() - 60) <= 1 and abs(bright.max() - 99) <= 1  # 10 px around the centre: 60 … 100
    outside = plus_view.crop(image, np.array([-100.0, 25.0]), 40.0, 32)
    assert (outside == 114).all()


def made_view(centre: np.ndarray, side: float, maps: torch.Tensor) -> plus_view.View:
    return plus_view.View(centre, side, np.zeros((0, 4)), np.zeros(0), np.zeros((0, 1)), maps, maps)


def test_view_coordinates_are_inverse():
    view = made_view(np.array([50.0, 40.0]), 80.0, torch.zeros(1, 10, 10))
    assert view.to_cells(np.array([50.0, 40.0])) == pytest.approx([4.5, 4.5])  # between the two middle cells
    points = np.array([[13.0, 7.0], [60.0, 66.0]])
    np.testing.assert_allclose(view.to_pixels(view.to_cells(points)), points)


def test_identity_is_that_of_the_box_whatever_lies_elsewhere():
    maps = torch.zeros(4, 20, 20)
    maps[0, 2:8, 2:8] = 1  # two targets alike and one other, 6 cells wide on 2 pixels a cell
    maps[0, 2:8, 12:18] = 1
    maps[1, 12:18, 2:8] = 1
    maps[2:] = maps[:2]
    view = made_view(np.array([20.0, 20.0]), 40.0, maps)
    boxes = np.array([[5.0, 5, 10, 10], [25, 5, 10, 10], [5, 25, 10, 10]])
    inside, around = plus_view.identity(view, torch.zeros(4, 1), boxes)
    np.testing.assert_allclose(plus_view.likeness(inside, inside[0]), [1, 1, 0], atol=1e-6)
    assert inside.shape == (3, 4) and around.shape == (3, 2 * 4)
    np.testing.assert_allclose(plus_view.likeness(around, around[0]), [1, 1, 0], atol=1e-6)
    shifted, _ = plus_view.identity(view, torch.full((4, 1), 0.5), boxes)  # the mean is taken out
    np.testing.assert_allclose(plus_view.likeness(shifted, shifted[0]), [1, 1, -1], atol=1e-6)


def test_crops_lie_on_a_lattice_that_small_differences_do_not_leave():
    centre, side = plus_view.snapped(np.array([101.3, 47.9]), 83.0)
    assert side == pytest.approx(
        2 ** (38 / 6)
    )  # 80.6: the sixths of an octave about 83 are 71.8, 80.6 and 90.5
    np.testing.assert_allclose(centre, np.array([25, 12]) * side / 20)  # of 25.14 and 11.88 steps
    other = plus_view.snapped(np.array([101.3, 47.9]) * (1 + 1e-7), 83.0 * (1 + 1e-7))
    np.testing.assert_array_equal(np.append(*other), np.append(centre, side))


def test_torch_computes_on_one_thread_only_inside():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError), plus_view.one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_merge_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 10, 10]], dtype=float)
    index, means, votes = plus_view.merge(boxes, np.array([0.6, 0.2, 0.4]), 0.75, 10)
    assert index.tolist() == [0, 2] and votes.tolist() == [2, 1]
    # heights (0.6 * 10 + 0.2 * 8) / 0.8 = 9.5
    np.testing.assert_allclose(means, [[0, 0, 10, 9.5], [50, 50, 10, 10]])
    assert [len(v) for v in plus_view.merge(boxes, np.ones(3), 0.5, 0)] == [0, 0, 0]


def test_habit_takes_a_detection_to_the_annotation():
    found = np.array([[10.0, 10, 20, 40], [200, 200, 20, 40]])
    truth = np.array([12.0, 8, 18, 50])
    habit = evidence.habit(found, np.array([0.5, 0.9]), truth)
    assert habit is not None
    np.testing.assert_allclose(evidence.as_annotated(found[:1], habit)[0], truth)
    np.testing.assert_allclose(evidence.as_detected(truth[None], habit), found[:1])
    assert evidence.habit(found[1:], np.array([0.9]), truth) is None


def test_evidence_and_blend_by_hand():
    prior, expected = np.array([0.0, 0, 10, 20]), np.array([1.0, 0, 10, 20])
    boxes = np.array([prior, [1, 0, 10, 20], [100, 0, 20, 20]])
    ones, looks = np.ones(3), np.array([[0.5, 0.2, 0.1], [0.9, 0.2, 0.1], [0.4, 0.6, 0.3]])
    siamese, marks = np.array([[0.0, 0, 10, 10], [100, 0, 20, 20]]), np.array([0.9, 0.4])
    own = np.array([0, 0, 0.4])
    table = evidence.evidence(
        boxes,
        np.array([0, 0.5, 0.4]),
        ones,
        ones * 0.7,
        0.8,
        prior,
        expected,
        looks,
        ones,
        own,
        siamese,
        marks,
    )
    column = dict(zip(rolo_plus.FEATURES, table.T))
    assert table.shape == (3, len(rolo_plus.FEATURES)) and np.isfinite(table).all()
    np.testing.assert_allclose(column["prior"], [1, 0, 0])
    np.testing.assert_allclose(column["iou_prior"], [1, 9 / 11, 0], rtol=1e-6)  # 180 / (400 - 180)
    np.testing.assert_allclose(column["dx"], [0.1, 0, 10.4], rtol=1e-6)
    np.testing.assert_allclose(column["log_width"], [0, 0, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(column["lead"], [-0.5, 0.1, -0.1], atol=1e-6)
    np.testing.assert_allclose(column["inside"], [0.2, 0.2, 0.6], atol=1e-6)
    np.testing.assert_allclose(column["look_rank"], [-0.4, 0, -0.5], atol=1e-6)
    near = 90 / 210  # the second box, one pixel aside, on the network's best one, half as high
    np.testing.assert_allclose(column["siamese"], own, rtol=1e-6)
    np.testing.assert_allclose(column["support"], [0.45, 0.9 * near, 0.4], rtol=1e-6)
    np.testing.assert_allclose(column["support_rank"], [0, 0.9 * near - 0.45, -0.05], atol=1e-6)
    np.testing.assert_allclose(column["iou_siamese"], [0.5, near, 0], rtol=1e-6)
    np.testing.assert_allclose(column["best_siamese"], [0.9] * 3, rtol=1e-6)
    without = evidence.evidence(
        boxes, np.array([0, 0.5, 0.4]), ones, ones * 0.7, 0.8, prior, expected, looks, ones, own * 0,
        siamese[:0], marks[:0],
    )  # fmt: skip
    assert not without[:, rolo_plus.FEATURES.index("siamese") :].any()
    np.testing.assert_array_equal(without[:, :-5], table[:, :-5])
    mean = evidence.blend(boxes, np.array([0.6, 0.6, 0.55]))  # the far box takes no part
    np.testing.assert_allclose(mean, [0.5, 0, 10, 20])


def test_fine_evidence_by_hand():
    """A detection with two offsets leads as one detection does; contrast and ranks are differences."""
    box = np.array([[0.0, 0, 10, 20], [1, 0, 10, 20], [2, 0, 10, 20], [1, 0, 8, 20]])
    scores, ones = np.array([0, 0.5, 0.4, 0.5]), np.ones(4)
    table = evidence.evidence(
        box, scores, ones, ones, 1.0, box[0], box[0], np.zeros((4, 3)), ones, 0 * ones, box[:0], box[:0, 0]
    )
    shapes = np.array([[0.5, 0.1], [0.9, 0.2], [0.4, 0.6], [0.1, 0.1]])
    colours = np.array([[0.5, 0.2], [0.6, 0.1], [0.3, 0.3], [0.0, 0.5]])
    offsets = np.array([0, 0, 0, -1.0])
    aligned = np.array([0.5, 1, 0, 0.25])
    fine = evidence.fine_evidence(table, shapes, colours, offsets, aligned, 0.8)
    np.testing.assert_array_equal(fine[:, : len(evidence.FEATURES)], table)
    column = dict(zip(evidence.FINE, fine.T, strict=True))
    np.testing.assert_allclose(column["lead"], [-0.5, 0.1, -0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose(column["siamese_inside_rank"], [-0.5, -0.4, 0, -0.5], atol=1e-6)
    np.testing.assert_allclose(column["contrast"], [0.3, 0.5, 0, -0.5], atol=1e-6)
    np.testing.assert_allclose(column["contrast_rank"], [-0.2, 0, -0.5, -1], atol=1e-6)
    np.testing.assert_array_equal(column["offset"], offsets)
    np.testing.assert_array_equal(column["iou_aligned"], aligned)
    np.testing.assert_allclose(column["agree_aligned"], 0.8 * aligned, rtol=1e-6)
    np.testing.assert_allclose(column["agree"], 0.8, rtol=1e-6)


def test_expectation_is_the_lstm_over_the_whole_video():
    torch.manual_seed(3)
    motion = rolo_plus.Motion()
    torch.nn.init.normal_(motion.out.weight)
    moves = torch.randn(1, 9, 4) * 0.1
    moves[0, 0] = 0
    with torch.inference_mode():
        whole = motion(moves)[0][0, -1].numpy()
    run = rolo_plus.Expectation.start(motion)
    for move in moves[0, 1:]:
        run.step(move.numpy())
    np.testing.assert_allclose(run.move, whole, atol=1e-6)
    still = rolo_plus.Expectation.start(None)
    np.testing.assert_allclose(still.box(np.array([10.0, 10]), np.array([4.0, 6])), [8, 7, 4, 6])


def test_weights_round_trip_and_damage(tmp_path: Path):
    path = tmp_path / "plus.safetensors"
    judge, motion = rolo_plus.Judge(), rolo_plus.Motion()
    fine = rolo_plus.Judge(len(evidence.FINE))
    rolo_plus_file.save_plus(path, judge, fine, motion, {"videos": ["a"]})
    read, *_ = rolo_plus_file.load_plus(path)
    x = torch.randn(5, len(rolo_plus.FEATURES))
    torch.testing.assert_close(read(x), judge(x), atol=5e-3, rtol=5e-3)  # stored in half precision
    data = path.read_bytes()
    for bad in (data[: len(data) // 2], b"", data.replace(b"rolo-plus-2", b"rolo-plus-9")):
        path.write_bytes(bad)
        with pytest.raises(WeightsError, match=r"plus\.safetensors"):
            rolo_plus_file.load_plus(path)
    with pytest.raises(WeightsError, match="train plus"):
        rolo_plus_file.load_plus(tmp_path / "none.safetensors")


class ToyNetwork:
    """In place of both parts of the Siamese network: features are the pixels, the box lies where they are bright."""

    def __init__(self, path: str) -> None:
        self.given: dict[str, np.ndarray] = {}

    def setInput(self, values: np.ndarray, name: str = "") -> None:
        self.given[name] = values.copy()

    def forward(self, names: list[str] | None = None):
        if names is None:
            return self.given[""]
        assert self.given["input1"].shape == (1, 3, 127, 127)
        marks, edges = np.full((1, 2, 16, 16), -5, np.float32), np.zeros((1, 4, 16, 16), np.float32)
        marks[0, 0] = 5
        rows, columns = np.nonzero(self.given["input2"][0].mean(0) > 200)
        if len(rows):
            row, column = (round((float(v.mean()) + 0.5) / 16) for v in (rows, columns))
            marks[0, :, row, column] = [-2, 2]
            at = 16 * np.array([column, row], float)
            low, high = (np.array([f(columns), f(rows)], float) for f in (np.min, np.max))
            edges[0, :, row, column] = [*(at - low), *(high + 1 - at)]
        return marks, edges


@pytest.fixture
def toy_siamese(monkeypatch: pytest.MonkeyPatch) -> plus_siamese.Siamese:
    monkeypatch.setattr("cv2.dnn.readNetFromONNX", ToyNetwork)
    return plus_siamese.Siamese(Path("backbone"), Path("head"))


def test_the_siamese_network_finds_a_bright_box_wherever_it_looks(toy_siamese):
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:110, 120:160] = 255
    centre, size = np.array([140.0, 95]), np.array([40.0, 30])
    assert plus_siamese.square(size) == pytest.approx((75 * 65) ** 0.5)  # 40 + 35 by 30 + 35
    toy_siamese.start(image, centre, size)
    for shift in ([0, 0], [25.0, -18]):
        boxes, scores = toy_siamese.search(image, centre + np.array(shift), size)
        assert boxes.shape == (256, 4) and scores.shape == (256,)
        best = int(scores.argmax())
        np.testing.assert_allclose(boxes[best], [120, 80, 40, 30], atol=1)
        assert scores[best] == pytest.approx(1 / (1 + np.exp(-4)), abs=5e-4)
        close, marks = toy_siamese.closer(image, centre + np.array(shift), size)
        np.testing.assert_allclose(close[marks.argmax()], boxes[best], atol=1)


def test_a_box_is_compared_where_it_lies(toy_siamese, monkeypatch):
    """Features of 16 x 16 places, 16 pixels apart, the one after the middle at the centre, as the network's are."""
    pixels = toy_siamese._features

    def places(image, centre, side, size):
        at = np.clip(np.arange(-8, 8) * 16 + size // 2, 0, size - 1)
        return pixels(image, centre, side, size)[:, :, at][:, :, :, at]

    monkeypatch.setattr(toy_siamese, "_features", places)
    y, x = np.mgrid[:200, :300]
    image = np.stack([x * 255 // 300, y * 255 // 200, 255 - x * 255 // 300], axis=2).astype(np.uint8)
    centre, size = np.array([140.0, 95]), np.array([40.0, 30])
    first = evidence.around(centre, size)
    toy_siamese.start(image, centre, size)
    moved = np.roll(image, (10, 25), axis=(0, 1))
    toy_siamese.mean = toy_siamese.mean * 0
    toy_siamese.look, toy_siamese.inside = toy_siamese._looks(first[None])
    toy_siamese._see(moved, centre, plus_siamese.square(size) * 255 / 127)
    boxes = np.array([first + [25, 10, 0, 0], first, first + [-10, -15, 0, 0]])
    alike = toy_siamese.likeness(boxes)
    np.testing.assert_allclose(alike[0], 1, atol=1e-3)
    assert (np.diff(alike, axis=0) < 0).all()


def test_colours_by_hand():
    """A red box of 20 x 10 on blue, in a crop of a pixel each."""
    image = np.zeros((96, 96, 3), np.uint8)
    image[..., 2] = 200
    image[40:50, 30:50] = [200, 0, 0]
    view = SimpleNamespace(centre=np.array([48.0, 48]), side=96.0)
    truth = np.array([30.0, 40, 20, 10])
    likely = colour.likelihoods(image, view, truth)
    red, blue = 12 * 256, 12  # 200 lies in the twelfth of the sixteen parts
    np.testing.assert_allclose(likely[red], (1 + 2e-4) / (1 + 4e-4))
    np.testing.assert_allclose(likely[blue], 2e-4 / (1 + 4e-4))
    assert likely[12 * 16] == 0.5  # green was never met
    boxes = np.array([truth, [30, 40, 40, 10], [30, 40, 10, 10], [-50, -50, 20, 20]])
    # ring of the third: 15 x 15 about (35, 45), of which 12.5 x 10 less the box are red
    seen = colour.coloured(likely, image, view, boxes)
    np.testing.assert_allclose(seen, [[1, 0], [0.5, 0], [1, 25 / 125], [0, 0]], atol=1e-3)


def test_colours_beyond_the_image_are_not_counted():
    image = np.full((40, 40, 3), 200, np.uint8)
    view = SimpleNamespace(centre=np.array([0.0, 0]), side=96.0)
    inside, outside = colour.counted(image, view, np.array([-10.0, -10, 20, 20]))
    assert inside[(200 * 16 // 256) * (256 + 16 + 1)] == outside[(200 * 16 // 256) * (256 + 16 + 1)] == 1


def textured(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (200, 240, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


BOX = np.array([90.0, 60, 40, 60])


def warped(image: np.ndarray, growth: float, shift: np.ndarray) -> np.ndarray:
    """An image grown about the middle of `BOX` and shifted."""
    middle = BOX[:2] + BOX[2:] / 2
    turn = np.array([[growth, 0, 0], [0, growth, 0]])
    turn[:, 2] = middle - 0.5 + shift - growth * (middle - 0.5)  # 0 is the centre of the first pixel
    return cv2.warpAffine(image, turn, (240, 200), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize(("growth", "about"), [(1.0, 1.0), (1.1, 1.0), (0.93, 1.0), (1.5, 1.45), (0.6, 0.65)])
@pytest.mark.parametrize("light", [1.0, 0.4])
def test_a_box_moves_and_grows_as_its_pixels(growth, about, light):
    shift = np.array([5.0, -3])
    after = (light * warped(textured(), growth, shift) + 20 * (1 - light)).astype(np.uint8)
    near = evidence.around(BOX[:2] + BOX[2:] / 2 + 3, about * BOX[2:])  # about where it is sought
    found, sure = flow.moved(flow.Patch.cut(textured(), BOX), flow.Patch.cut(after, near), BOX)
    assert sure > 0.8
    np.testing.assert_allclose(found[:2] + found[2:] / 2, BOX[:2] + BOX[2:] / 2 + shift, atol=0.4)
    np.testing.assert_allclose(found[2:], growth * BOX[2:], rtol=0.015)


def test_points_that_go_elsewhere_have_no_say():
    after = warped(textured(), 1.0, np.array([5.0, -3]))
    after[:, 116:] = textured()[:, 116:]  # a third of the box stands still
    found, sure = flow.moved(flow.Patch.cut(textured(), BOX), flow.Patch.cut(after, BOX), BOX)
    assert 0.4 < sure < 0.75
    np.testing.assert_allclose(found, BOX + [5, -3, 0, 0], atol=0.6)


def test_a_movement_by_hand():
    before = np.array([[-10.0, 0], [10, 0], [0, -10], [0, 10], [1, 0]])
    after = 1.5 * before + [100, 50]
    after[4] += 40  # the median does not mind
    centre, growth = flow.movement_of(before, after, apart=12)
    np.testing.assert_allclose(centre, [100, 50])
    assert growth == pytest.approx(1.5)
    assert flow.movement_of(before, after, apart=30)[1] == 1  # no two points that far apart


def test_what_cannot_be_followed_does_not_move():
    flat = np.full((200, 240, 3), 90, dtype=np.uint8)
    for image, at in ((flat, BOX), (textured(), BOX + [2000, 0, 0, 0])):  # the second is not on the crop
        patch = flow.Patch.cut(image, BOX)
        found, sure = flow.moved(patch, patch, at)
        assert sure == 0
        np.testing.assert_array_equal(found, at)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_another_picture_few_points_agree(seed):
    first, second = (flow.Patch.cut(textured(s), BOX) for s in (0, seed))
    assert flow.moved(first, second, BOX)[1] < 0.25


def test_points_of_a_patch_are_those_of_the_image():
    patch = flow.Patch.cut(textured(), BOX)
    points = np.array([[110.0, 90], [0, 0], [239, 17]])
    np.testing.assert_allclose(patch.to_pixels(patch.to_cells(points)), points, atol=1e-9)
    np.testing.assert_allclose(patch.to_cells(patch.centre[None]), [[flow.PIXELS / 2 - 0.5] * 2])
    assert patch.pixels.shape == (flow.PIXELS, flow.PIXELS)
    assert patch.side == pytest.approx(2 * 2400**0.5)
    assert flow.Patch.cut(textured(), np.array([5.0, 5, 0.1, 0.1])).side == 4


class ToyDetector:
    """Finds what is bright in its input; its other boxes are far away and weak."""

    size, name, identity = 96, "toy", "toy"

    def tensor(self, images):
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()

    def network(self, x):
        rows, columns = np.nonzero(x[0].mean(0).numpy() > 200)
        box = [5.0, 5, 8, 8]
        if len(rows) > 4:
            w, h = np.ptp(columns) + 1, np.ptp(rows) + 1
            box = [columns.min() + w / 2, rows.min() + h / 2, w, h]
        boxes = torch.tensor([[box, [90, 90, 5, 9]]], dtype=torch.float32)
        scores = torch.tensor([[[0.8 if len(rows) > 4 else 0.01, 0.0], [0.0, 0.02]]])
        return Raw(boxes, scores, torch.zeros(1, 1))


def toy_video(frames: int = 40) -> Sequence:
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 120, (120, 160, 3), dtype=np.uint8)
    images, truth = [], []
    for t in range(frames):
        x, y = 20 + 2 * t, 40 + t
        image = ground.copy()
        image[y : y + 20, x : x + 14] = rng.integers(230, 255, 3, dtype=np.uint8)
        images.append(image)
        truth.append([x, y, 14, 20])
    return Sequence("toy", ArrayFrames(tuple(images)), np.array(truth, dtype=float))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, toy_siamese):
    from rolo_bench.trackers.rolo_plus import RoloPlus

    monkeypatch.setattr("rolo_bench.nn.detect.registry.open_detector", lambda *a, **k: ToyDetector())
    monkeypatch.setattr("rolo_bench.fetch.weights.obtain", lambda name: ())
    monkeypatch.setattr("rolo_bench.nn.plus.siamese.Siamese", lambda: toy_siamese)
    return RoloPlus


def follow(tracker, frames) -> np.ndarray:
    video = toy_video()
    tracker.init(frames[0], video.truth[0])
    return np.array([video.truth[0], *[tracker.update(image) for image in frames[1:]]])


def test_tracker_follows_and_later_frames_do_not_matter(toy):
    video = toy_video()
    frames = list(video.frames.images)
    boxes = follow(toy(network="none", least=40), frames)
    assert iou(boxes, video.truth).mean() > 0.7
    changed = frames[:20] + [255 - f for f in frames[20:]]
    np.testing.assert_array_equal(follow(toy(network="none", least=40), changed)[:20], boxes[:20])


def test_threads_and_last_digits_do_not_matter(toy, monkeypatch):
    """The same boxes on two threads, and where every number of the network is off by a millionth."""
    frames = list(toy_video(25).frames.images)
    boxes = follow(toy(network="none", least=40), frames)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        np.testing.assert_array_equal(follow(toy(network="none", least=40), frames), boxes)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    exact = ToyDetector.network

    def disturbed(self, x):
        raw = exact(self, x)
        return replace(raw, boxes=raw.boxes * (1 + 1e-6), scores=raw.scores * (1 - 1e-6))

    monkeypatch.setattr(ToyDetector, "network", disturbed)
    np.testing.assert_array_equal(follow(toy(network="none", least=40), frames), boxes)


def test_the_given_box_changes_its_size_at_once_and_the_carried_one_slowly(toy):
    """A target that grows by half at once, and whose points cannot be followed: what was judged is given."""
    frames = list(toy_video(6).frames.images)
    frames[-1] = frames[-1].copy()
    x, y = 20 + 2 * 5, 40 + 5
    frames[-1][y - 5 : y + 25, x - 4 : x + 18] = 240  # 22 x 30 where 14 x 20 stood
    tracker = toy(network="none", least=40)
    follow(tracker, frames[:-1])
    before, met = tracker.size.copy(), []
    judged = evidence.blend

    def blend(*values):
        met.append(judged(*values))
        return met[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rolo_bench.trackers.rolo_plus.blend", blend)
        patch.setattr("rolo_bench.nn.plus.flow.moved", lambda past, now, box: (box, 0.0))
        given = tracker.update(frames[-1])
    assert (met[0][2:] > 1.3 * before).all()
    assert (tracker.size < 1.11 * before).all()
    np.testing.assert_array_equal(given, np.round(met[0] * 16) / 16)


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        (([40.0, 45, 14, 20], 0.4), ([34.0, 45, 14, 20], 0.0), [30.0, 45, 14, 20]),  # too few of either
        (([30.0, 45, 14, 20], 0.0), ([34.0, 45, 14, 20], 1.0), [32.0, 45, 14, 20]),  # half-way to the last one
        (([30.0, 45, 14, 20], 0.0), ([34.0, 45, 14, 20], 0.5), [31.0, 45, 14, 20]),
        (([30.0, 45, 14, 20], 0.0), ([90.0, 45, 14, 20], 1.0), [30.0, 45, 14, 20]),  # that lies apart
        (([34.0, 45, 14, 20], 0.9), ([30.0, 45, 14, 20], 0.0), [32.8125, 45, 14, 20]),  # 0.7 of the way to the first
        (([34.0, 45, 14, 20], 0.55), ([30.0, 45, 14, 20], 0.0), [31.375, 45, 14, 20]),
        (([34.0, 45, 14, 20], 1.0), ([30.0, 45, 14, 20], 1.0), [31.375, 45, 14, 20]),  # first that, then half-way back
    ],
)  # fmt: skip
def test_the_given_box_is_drawn_towards_the_first_and_the_last_one_moved(
    toy, monkeypatch, first, last, wanted
):
    tracker = toy(network="none", least=40)
    follow(tracker, list(toy_video(4).frames.images))
    tracker.aligned, tracker.agree = np.array(first[0]), first[1]

    def moved(past, now, box):
        assert past is tracker.past and box is tracker.given
        return np.array(last[0]), last[1]

    monkeypatch.setattr("rolo_bench.nn.plus.flow.moved", moved)
    np.testing.assert_array_equal(tracker.corrected(np.array([30.0, 45, 14, 20])), wanted)


def test_the_given_box_is_cut_to_the_image(toy, monkeypatch):
    tracker = toy(network="none", least=40)
    tracker.init(toy_video(1).frames.images[0], toy_video(1).truth[0])
    outside = np.array([150.0, -4, 30, 20])
    monkeypatch.setattr(tracker, "corrected", lambda measured: outside)
    np.testing.assert_array_equal(tracker.update(toy_video(2).frames.images[1]), [150, 0, 10, 16])
    np.testing.assert_array_equal(tracker.given, outside)


@pytest.mark.parametrize(("aside", "agree"), [(2.0, 0.9), (60.0, 0.0)])
def test_the_first_box_moved_is_a_candidate_where_it_does_not_lie_apart(toy, monkeypatch, aside, agree):
    images = list(toy_video(6).frames.images)
    tracker = toy(network="none", least=40)
    follow(tracker, images[:4])
    tracker.measures = True
    truth = toy_video(6).truth[4]

    def moved(past, now, box):
        assert past is tracker.first and box is tracker.start
        return truth + [aside, 0, 0, 0], 0.9

    monkeypatch.setattr("rolo_bench.nn.plus.flow.moved", moved)
    _, _, best, _ = tracker.consider(images[4], truth)
    assert tracker.agree == agree
    column = dict(zip(evidence.FINE, tracker.fine_table.T, strict=True))
    there = (tracker.fine_candidates == truth + [aside, 0, 0, 0]).all(axis=1)
    assert there.sum() == (agree > 0)
    np.testing.assert_allclose(column["agree"], agree, rtol=1e-6)
    wanted = iou(tracker.fine_candidates, truth + [aside, 0, 0, 0]) if agree else 0
    np.testing.assert_allclose(column["iou_aligned"], wanted, atol=1e-6)
    assert (column["score"][there] == 0).all() and iou(best, truth)[0] > 0.5


def test_what_measures_the_target_has_no_say_in_where_it_is_sought(toy, tmp_path):
    """Two judges of fine candidates: other boxes near those of the judge, the same state, frame by frame."""
    torch.manual_seed(0)
    frames, judge, motion = list(toy_video(12).frames.images), rolo_plus.Judge(), rolo_plus.Motion()
    given, carried = [], []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.safetensors"
        rolo_plus_file.save_plus(path, judge, rolo_plus.Judge(len(evidence.FINE)), motion, {})
        tracker = toy(network=str(path), least=40, sharpness=0.001)
        tracker.init(frames[0], toy_video(1).truth[0])
        rows = [(tracker.update(image), *tracker.centre, *tracker.size) for image in frames[1:]]
        given.append([row[0] for row in rows])
        carried.append([row[1:] for row in rows])
        count = len(tracker.fine_candidates)
        assert (
            tracker.fine_table.shape == (count, len(evidence.FINE)) and np.isfinite(tracker.fine_table).all()
        )
        offset = tracker.fine_table[:, evidence.FINE.index("offset")]
        assert (offset == -1).sum() == (offset == 1).sum() > 0
        far = np.array([1000.0, 1000, 5, 5])
        np.testing.assert_array_equal(tracker.measure(far), far)  # nothing lies there
    np.testing.assert_array_equal(*carried)
    assert not np.array_equal(*given)


def test_tracker_without_detections_is_the_filter_alone(toy):
    video = toy_video(15)
    tracker = toy(network="none", least=40, detections=0, siamese=False)
    boxes = follow(tracker, list(video.frames.images))
    assert len(tracker.table) == 1
    assert iou(boxes, video.truth).mean() > 0.5


def test_the_siamese_network_alone_brings_candidates(toy):
    """Without a detection the tracker follows by the boxes of the Siamese network, which has the last rows."""
    video = toy_video(15)
    tracker = toy(network="none", least=40, detections=0)
    boxes = follow(tracker, list(video.frames.images))
    assert len(tracker.table) == 2
    assert tracker.table[1, rolo_plus.FEATURES.index("siamese")] == pytest.approx(0.982)
    assert iou(tracker.candidates[1], video.truth[-1])[0] > 0.9
    assert iou(boxes, video.truth).mean() > 0.7


def test_the_siamese_network_is_used_as_the_judge_was_trained(toy, tmp_path):
    fine = rolo_plus.Judge(len(evidence.FINE))
    for there in (True, False):
        path = tmp_path / f"{there}.safetensors"
        rolo_plus_file.save_plus(path, rolo_plus.Judge(), fine, rolo_plus.Motion(), {"siamese": there})
        assert (toy(network=str(path)).siamese is not None) is there
        assert toy(network=str(path), siamese=False).siamese is None
    assert toy(network="none").siamese is not None
    with pytest.raises(UsageError, match="trained without the Siamese network"):
        toy(network=str(path), siamese=True)


def test_tracker_refuses_what_it_cannot_use(monkeypatch, tmp_path):
    from rolo_bench.trackers.rolo_plus import RoloPlus

    with pytest.raises(UsageError, match="multiple of 32, not 0"):
        RoloPlus(detector="demo", size=0, siamese=False)
    with pytest.raises(UsageError, match="multiple of 32, not 0"):
        train_plus.train_plus([toy_video()], tmp_path / "out", detector="demo", size=0)
    monkeypatch.setattr(
        "rolo_bench.nn.detect.registry.open_detector", lambda *a, **k: SimpleNamespace(size=96)
    )
    with pytest.raises(UsageError, match="network"):
        RoloPlus(detector="plugin.py")
    monkeypatch.setattr("rolo_bench.nn.detect.registry.open_detector", lambda *a, **k: ToyDetector())
    with pytest.raises(WeightsError, match="train plus"):
        RoloPlus(network=str(tmp_path / "none.safetensors"), siamese=False)


def test_shipped_weights_load_and_are_small():
    path = rolo_plus_file.network_path("rolo-plus-yolox-nano", "")
    judge, _, motion, about = rolo_plus_file.load_plus(path)
    assert about["videos"]
    assert path.stat().st_size < 1_000_000
    assert torch.isfinite(judge(torch.zeros(2, len(rolo_plus.FEATURES)))).all()
    assert torch.isfinite(motion(torch.zeros(1, 3, 4))[0]).all()


def test_judge_learns_to_choose_and_records_hold_what_was_met(toy):
    recipe = train_plus.PlusRecipe(frames=30, epochs=40, batch=8)
    records = train_plus.record(toy(network="none", least=40), toy_video(30), recipe)
    assert len(records) == 29 and records[0].table.shape[1] == len(rolo_plus.FEATURES)
    judge = train_plus.train_judge(records, recipe)
    chosen, prior, best = train_plus.choice(judge, records)
    assert prior < chosen <= best and chosen > best - 0.05
    again = train_plus.train_judge(records, recipe)
    torch.testing.assert_close(again.layers[0].weight, judge.layers[0].weight, atol=0, rtol=0)


def test_lstm_expects_steady_motion_better_than_standing_still():
    steps = np.arange(80.0)[:, None]
    paths = [np.hstack([steps * v, steps * 0, steps * 0 + 20, steps * 0 + 20]) for v in (-6.0, -3, 3, 6)]
    recipe = train_plus.PlusRecipe(rounds=16, windows=256, noise=0.01)
    motion = train_plus.train_motion(paths, recipe)
    seen, wanted = train_plus.motion_windows(paths, recipe, np.random.default_rng(9))
    with torch.no_grad():
        missed = (motion(seen)[0] - wanted)[:, 5:, :2].norm(dim=2).mean()
    assert missed < 0.7 * wanted[:, 5:, :2].norm(dim=2).mean()
    with pytest.raises(UsageError, match="42 boxes"):
        train_plus.train_motion([paths[0][:10]], recipe)


def test_the_pace_of_the_judge_is_that_of_one_cycle():
    for steps in (1, 2, 37, 200):
        optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 3e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps + 1)
        for step in range(steps):
            group = optimiser.param_groups[0]
            assert train_plus.one_cycle(step, steps, 3e-3) == {"lr": group["lr"], "betas": group["betas"]}
            optimiser.step()
            schedule.step()


class Stop(Exception):
    """Raised where a training is killed."""


def test_rolo_plus_is_trained_from_python_and_goes_on_to_the_same_files(toy, tmp_path, monkeypatch):
    """Killed among the videos, while the LSTM learns and while a judge does; others' folders are refused."""
    videos = [replace(toy_video(60), name=name) for name in ("a", "b")]
    recipe = train_plus.PlusRecipe(frames=12, epochs=100, batch=8, rounds=6, windows=1300)

    def call(folder, **options):
        return train_plus.train_plus(**{"videos": videos, "folds": 2, "recipe": recipe} | options, out=folder)

    scores = call(tmp_path / "whole")
    assert [(s.fold, s.videos) for s in scores] == [(0, ["a"]), (1, ["b"])]
    assert all(0 < s.prior <= s.best and s.chosen <= s.best for s in scores)

    def stop(line):
        raise Stop

    write = loop.write_curves

    def killed(folder, step):
        def write_and_stop(where, curves):
            write(where, curves)
            if (where.name, curves[-1]["step"]) == (folder, step):
                raise Stop

        return write_and_stop

    parts = tmp_path / "parts"
    for folder, step in (("motion", 100), ("plus-fold1", 100)):
        monkeypatch.setattr(loop, "write_curves", killed(folder, step))
        with pytest.raises(Stop):
            call(parts, note=stop if folder == "motion" else lambda line: None)
        monkeypatch.setattr(loop, "write_curves", write)
        if folder == "motion":
            with pytest.raises(Stop):
                call(parts, note=stop)
            assert [p.name for p in (parts / "records").iterdir()] == ["a.pt"]
    assert not (parts / "plus.safetensors").exists()
    assert call(parts) == scores
    for name in ("plus", "plus-fold0", "plus-fold1"):
        first, second = (tmp_path / k / f"{name}.safetensors" for k in ("whole", "parts"))
        for a, b in zip(rolo_plus_file.load_plus(first)[:3], rolo_plus_file.load_plus(second)[:3]):
            for key, value in a.state_dict().items():
                torch.testing.assert_close(b.state_dict()[key], value, rtol=0, atol=0)
        assert first.stat().st_mode & 0o777 == 0o644
    for folder in ("motion", "plus", "plus-fine"):
        assert (parts / folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    annotations = tmp_path / "annotations"
    annotations.mkdir()
    np.savetxt(annotations / "m.txt", videos[0].truth[:50], delimiter=",")
    for options, word in (
        ({"videos": [videos[0], replace(videos[1], name="c")]}, "data"),
        ({"motion": annotations}, "motion"),
        ({"start": str(parts / "plus.safetensors")}, "start"),
        ({"recipe": replace(recipe, frames=11)}, "recipe"),
    ):
        with pytest.raises(UsageError, match=rf"other settings \(.*{word}"):
            call(parts, **options)
    with pytest.raises(UsageError, match="two or more recordings"):
        call(tmp_path / "few", videos=videos[:1])


def test_movement_of_one_step_equals_the_expectation_that_undoes_it():
    before, after = np.array([10.0, 10, 8, 18]), np.array([13.0, 9, 10, 16])
    run = rolo_plus.Expectation.start(None)
    run.move = rolo_plus.movement(before, after)
    np.testing.assert_allclose(run.box(before[:2] + before[2:] / 2, before[2:]), after)
    np.testing.assert_allclose(
        train_plus.movements(np.array([before, after]), np.array([before, after]))[0], run.move
    )


def test_folds_keep_a_recording_together():
    folds = train_plus.fold_of(["b", "a", "b", "c"], 2)
    assert folds == {"a": 0, "b": 1, "c": 0}


@pytest.mark.shared
def test_real_video(shared: Path, monkeypatch: pytest.MonkeyPatch):
    """The first 25 frames of Crossing, a training video: parity of the view with the detector, and tracking."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.trackers.rolo_plus import RoloPlus

    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    video = load_suite(str(shared / "data" / "train"), only=("Crossing",)).sequences[0].slice(0, 25)
    tracker = RoloPlus()
    images = [video.frames.image(i) for i in range(len(video))]
    tracker.init(images[0], video.truth[0])
    boxes = np.array([video.truth[0], *[tracker.update(image) for image in images[1:]]])
    assert iou(boxes, video.truth).mean() > 0.6
    view = plus_view.look(tracker.detector, images[0], np.array([208.0, 117.0]), 208.0)
    patch = plus_view.crop(images[0], view.centre, view.side, tracker.detector.size)
    found = load_detector("yolox-nano", size=tracker.detector.size, vote=1)([patch])[0]
    best = view.boxes[view.scores.argmax()]
    scale, corner = view.side / tracker.detector.size, view.centre - view.side / 2
    expected = found.boxes[0] * scale + [*corner, 0, 0]
    np.testing.assert_allclose(best, expected, atol=0.05)


@pytest.mark.shared
def test_the_siamese_network_is_that_of_opencv(shared: Path, monkeypatch: pytest.MonkeyPatch):
    """Its best box is where OpenCV's tracker goes, on frames of training videos whose targets are not square."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.fetch.weights import obtain
    from rolo_bench.run.plugins import find_plugin

    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights"))
    for video in load_suite(str(shared / "data" / "train"), only=("Crossing", "Car1", "Bird2")).sequences:
        first, second = (video.frames.image(i) for i in range(2))
        x, y, w, h = box = np.round(video.truth[0])
        opencv = find_plugin("nano").make({})
        opencv.init(first, box)
        theirs, score = opencv.update(second)
        ours = plus_siamese.Siamese(*obtain("nanotrack"))
        ours.start(first, np.array([x + w / 2, y + h / 2]), np.array([w, h]))
        boxes, scores = ours.search(second, np.array([x + w / 2, y + h / 2]), np.array([w, h]))
        best = boxes[scores.argmax()]
        assert scores.max() > score - 0.02 > 0.8  # theirs is that of the place they chose
        # OpenCV moves to the box's centre, in whole pixels, and takes a third of its change of size
        np.testing.assert_allclose(best[:2] + best[2:] / 2, theirs[:2] + theirs[2:] / 2, atol=2.5)


def test_mixing_is_what_torch_calls_lerp() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((840, 24, 24), (5, 3), (1, 1, 1)):
        a, b = (torch.randn(*shape, dtype=torch.complex64, generator=generator) for _ in range(2))
        for share in (0.3, 0.02):
            torch.testing.assert_close(plus_filter.mixed(a, b, share), torch.lerp(a, b, share))


def test_merging_is_that_of_one_box_after_another() -> None:
    rng = np.random.default_rng(3)
    for count in (0, 1, 7, 120):
        boxes = np.hstack([rng.uniform(0, 30, (count, 2)), rng.uniform(8, 20, (count, 2))])
        weights = rng.uniform(0.1, 1, count).round(1)
        left, wanted = np.ones(count, dtype=bool), []
        while left.any() and len(wanted) < 9:
            best = next(i for i in np.argsort(-weights, kind="stable") if left[i])
            group = left & (iou(boxes, boxes[best]) > 0.4) | (np.arange(count) == best)
            wanted.append((best, np.average(boxes[group], axis=0, weights=weights[group]), group.sum()))
            left &= ~group
        index, means, votes = plus_view.merge(boxes, weights, 0.4, 9)
        assert index.tolist() == [b for b, _, _ in wanted] and votes.tolist() == [n for _, _, n in wanted]
        assert means.tolist() == [m.tolist() for _, m, _ in wanted]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_the_device_reaches_the_detector_that_meets_the_videos(tmp_path):
    with pytest.raises(UsageError, match="cuda"):
        train_plus.train_plus([toy_video(60)], tmp_path, detector="demo", device="cuda")
