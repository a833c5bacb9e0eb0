"""The loss of YOLOv1 against hand-computed cases; S = 2, B = 2, C = 3, one image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rolo_bench.nn.detect.yolov1 import Prediction
from rolo_bench.nn.train.yolo_loss import (
    assign,
    dense_loss,
    generalised_overlap,
    overlap,
    responsible,
    yolo_loss,
)

S, B, C = 2, 2, 3
NONE = np.zeros(1, bool)


def empty():
    return Prediction(torch.zeros(1, S * S, C), torch.zeros(1, S * S, B), torch.zeros(1, S * S, B, 4))


def one_object():
    # centre (0.6, 0.3): column 1, row 0, so cell 1, at (0.2, 0.6) within it
    return assign([np.array([[0.6, 0.3, 0.25, 0.36]])], [np.array([2])], [NONE], S)


def test_assign():
    t = one_object()
    assert t.holds.tolist() == [[False, True, False, False]]
    np.testing.assert_allclose(t.boxes[0, 1], [0.2, 0.6, 0.25, 0.36], atol=1e-6)
    assert t.classes[0, 1] == 2


def test_assign_centre_outside_goes_to_the_border_cell():
    t = assign([np.array([[1.05, -0.1, 0.5, 0.5]])], [np.array([0])], [NONE], S)
    assert t.holds.tolist() == [[False, True, False, False]]
    # 1.05 * 2 - 1 = 1.1 and -0.1 * 2 - 0 = -0.2
    np.testing.assert_allclose(t.boxes[0, 1, :2], [1.1, -0.2], atol=1e-6)


def test_assign_later_object_takes_the_cell():
    t = assign(
        [np.array([[0.6, 0.3, 0.1, 0.1], [0.7, 0.4, 0.2, 0.2]])], [np.array([0, 1])], [np.zeros(2, bool)], S
    )
    assert t.classes[0, 1] == 1 and t.boxes[0, 1, 2] == pytest.approx(0.2)


def test_loss_of_nothing_predicted():
    # box 0 all zeros: IoU 0, so the nearest box is responsible (both alike: the first).
    # centre: 5 * (0.2^2 + 0.6^2) = 5 * 0.40 = 2.0
    # side:   5 * (0.5^2 + 0.6^2) = 5 * 0.61 = 3.05      (square roots of 0.25 and 0.36)
    # object: (0 - IoU 0)^2 = 0; empty: 0; class: (0 - 1)^2 = 1
    terms = yolo_loss(empty(), one_object(), S)
    expected = {"centre": 2.0, "side": 3.05, "object": 0.0, "empty": 0.0, "class": 1.0, "loss": 6.05}
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(expected, abs=1e-5)


def test_loss_with_a_responsible_box():
    p = empty()
    # box 1 of cell 1: right centre, sides 0.25 x 0.18 (half as high): IoU = 0.5
    p.boxes[0, 1, 1] = torch.tensor([0.2, 0.6, 0.5, 0.18**0.5])
    p.boxes[0, 1, 0] = torch.tensor([9.0, 9.0, 0.1, 0.1])  # far away: its box must not count
    p.confidence[0, 1] = torch.tensor([0.4, 0.8])
    p.confidence[0, 3] = torch.tensor([0.2, 0.0])
    p.classes[0, 1] = torch.tensor([0.1, 0.0, 0.7])
    p.classes[0, 0] = torch.tensor([5.0, 5.0, 5.0])  # an empty cell: its classes must not count
    # side:   5 * (sqrt(0.36) - sqrt(0.18))^2 = 5 * (0.6 - 0.4242641)^2 = 5 * 0.0308831 = 0.1544156
    # object: (0.8 - 0.5)^2 = 0.09
    # empty:  0.5 * (0.4^2 + 0.2^2) = 0.5 * 0.20 = 0.10
    # class:  0.1^2 + 0.3^2 = 0.10
    terms = yolo_loss(p, one_object(), S)
    expected = {
        "centre": 0.0,
        "side": 0.1544156,
        "object": 0.09,
        "empty": 0.10,
        "class": 0.10,
        "loss": 0.4444156,
    }
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(expected, abs=1e-5)


def test_weights_of_the_terms():
    a = yolo_loss(empty(), one_object(), S, coord=1.0)
    assert float(a["centre"]) == pytest.approx(0.4) and float(a["side"]) == pytest.approx(0.61)
    p = empty()
    p.confidence[:] = 1.0  # seven boxes are empty, one responsible with IoU 0
    terms = yolo_loss(p, one_object(), S, noobj=0.25)
    assert float(terms["empty"]) == pytest.approx(0.25 * 7)
    assert float(terms["object"]) == pytest.approx(1.0)


def test_ignored_objects_take_their_cell_out():
    t = assign([np.array([[0.6, 0.3, 0.25, 0.36]])], [np.array([2])], [np.ones(1, bool)], S)
    p = empty()
    p.confidence[0, 1] = 1.0
    assert float(yolo_loss(p, t, S)["loss"]) == 0.0
    p.confidence[0, 0, 0] = 1.0  # another cell is background as ever: 0.5 * 1
    assert float(yolo_loss(p, t, S)["loss"]) == pytest.approx(0.5)


def test_mean_over_images():
    p, t = empty(), one_object()
    two = Prediction(*(torch.cat([v, v]) for v in p))
    both = type(t)(*(torch.cat([v, v]) for v in (t.holds, t.ignored, t.boxes, t.classes)))
    assert float(yolo_loss(two, both, S)["loss"]) == pytest.approx(6.05, abs=1e-5)


def test_overlap_by_hand():
    # 2 x 2 about (1, 1) and 2 x 2 about (2, 1): 2 shared of 4 + 4 - 2 = 6
    assert float(overlap(torch.tensor([1.0, 1, 2, 2]), torch.tensor([2.0, 1, 2, 2]))) == pytest.approx(1 / 3)


def test_responsible_is_the_best_overlap_not_the_nearest_numbers():
    t = one_object()
    p = empty()
    p.boxes[0, 1, 0] = torch.tensor([0.2, 0.6, 0.1, 0.1])  # small, inside: IoU 0.0001 / 0.09
    p.boxes[0, 1, 1] = torch.tensor([0.2, 0.6, 0.5, 0.6])  # exact
    index, iou = responsible(p.boxes, t.boxes, S)
    assert index[0, 1] == 1 and float(iou[0, 1]) == pytest.approx(1.0, abs=1e-5)


def test_gradient_leaves_the_other_box_alone():
    p = Prediction(*(v.requires_grad_() for v in empty()))
    yolo_loss(p, one_object(), S)["loss"].backward()
    assert p.boxes.grad[0, 1, 0].abs().sum() > 0
    assert p.boxes.grad[0, 1, 1].abs().sum() == 0 and p.boxes.grad[0, [0, 2, 3]].abs().sum() == 0


def test_assign_with_a_reach():
    # 4 x 4 cells. Centre (0.55, 0.30) is (2.2, 1.2) in cells: cell (2, 1). The box is 0.6 x 0.3, so 2.4 x 1.2 cells,
    # its inner seven tenths reach 0.84 to the sides and 0.42 up and down: the middles (1.5, 1.5), (2.5, 1.5) are
    # 0.7 and 0.3 off sideways and 0.3 down, (3.5, ...) is 1.3 off, rows 0 and 2 are 0.7 and 1.3 off.
    boxes = [np.array([[0.55, 0.30, 0.6, 0.3]])]
    t = assign(boxes, [np.array([2])], [NONE], 4, reach=1)
    assert np.flatnonzero(t.holds[0]).tolist() == [1 * 4 + 1, 1 * 4 + 2]
    # within its own cell at 0.2, 0.2; seen from the cell to the left at 1.2, 0.2
    np.testing.assert_allclose(t.boxes[0, 6], [0.2, 0.2, 0.6, 0.3], atol=1e-6)
    np.testing.assert_allclose(t.boxes[0, 5], [1.2, 0.2, 0.6, 0.3], atol=1e-6)
    ignored = assign(boxes, [np.array([2])], [np.ones(1, bool)], 4, reach=1)
    assert not ignored.holds.any() and np.flatnonzero(ignored.ignored[0]).tolist() == [5, 6]


def test_a_cell_between_two_objects_goes_to_the_nearer_and_a_centre_keeps_its_own():
    # both rows alike; middles of cells at 0.5, 1.5, 2.5, 3.5; centres at 0.9 and 2.3
    boxes = np.array([[0.9 / 4, 1.5 / 4, 0.9, 0.25], [2.3 / 4, 1.5 / 4, 0.9, 0.25]])
    t = assign([boxes], [np.array([0, 1])], [np.zeros(2, bool)], 4, reach=1)
    assert t.classes[0, 4:8].tolist() == [0, 0, 1, 1] and t.holds[0, 4:8].all()
    t = assign([boxes[::-1]], [np.array([1, 0])], [np.zeros(2, bool)], 4, reach=1)
    assert t.classes[0, 4:8].tolist() == [0, 0, 1, 1]


def test_generalised_overlap_by_hand():
    # 2 x 2 about (1, 1) and (2, 1): IoU 2 / 6, hull 3 x 2 = union; apart about (4, 1): IoU 0, hull 5 x 2, union 8
    a = torch.tensor([1.0, 1, 2, 2])
    assert float(generalised_overlap(a, torch.tensor([2.0, 1, 2, 2]))) == pytest.approx(1 / 3)
    assert float(generalised_overlap(a, torch.tensor([4.0, 1, 2, 2]))) == pytest.approx(-0.2)


def test_dense_loss_by_hand():
    # one image of 1 x 1 cell with two boxes; the truth is 0.36 x 0.36 about the middle, class 1
    t = assign([np.array([[0.5, 0.5, 0.36, 0.36]])], [np.array([1])], [NONE], 1, reach=1)
    p = Prediction(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), torch.zeros(1, 1, 2, 4))
    p.boxes[0, 0, 0] = torch.tensor([0.5, 0.5, 0.18**0.5, 0.6])  # half as wide: IoU = generalised IoU = 0.5
    p.boxes[0, 0, 1] = torch.tensor([0.5, 0.5, 0.1, 0.1])  # not responsible
    p.classes[0, 0] = torch.log(torch.tensor([0.2, 0.8]))
    p.confidence[0, 0] = torch.tensor([0.0, np.log(3)])  # sigmoids 0.5 and 0.75
    # overlap: 2 * (1 - 0.5) = 1
    # coordinates: 16 * (0.6 - 0.4242641) = 2.8117749 off, above 0.5: 2.8117749 - 0.25 = 2.5617749; a quarter of it
    # confidence: the responsible box aims at 0.5, has 0.5: weight 0; the other at 0, has 0.75:
    #             0.75^1.5 * -log(0.25) = 0.6495191 * 1.3862944 = 0.9004246; times 2
    # class: 2 * -log(0.8) = 0.4462871
    terms = dense_loss(p, t, 1)
    expected = {"overlap": 1.0, "coordinates": 0.6404437, "confidence": 1.8008494, "class": 0.4462871}
    assert {k: float(v) for k, v in terms.items() if k != "loss"} == pytest.approx(expected, abs=1e-5)
    assert float(terms["loss"]) == pytest.approx(sum(expected.values()), abs=1e-5)


def test_dense_loss_of_an_image_without_objects():
    t = assign([np.zeros((0, 4))], [np.zeros(0, int)], [np.zeros(0, bool)], S, reach=1)
    p = Prediction(*(v.requires_grad_() for v in empty()))
    terms = dense_loss(p, t, S)
    # eight boxes with a confidence of 0.5: 0.5^1.5 * log 2 each, times 2, over one object at least
    assert float(terms["loss"].detach()) == pytest.approx(2 * 8 * 0.5**1.5 * 0.6931472, abs=1e-5)
    terms["loss"].backward()
    assert all(torch.isfinite(v.grad).all() for v in p)
