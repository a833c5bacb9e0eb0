"""Mean average precision against hand-computed cases."""

from __future__ import annotations

import numpy as np
import pytest

from rolo_bench.nn.train.average_precision import (
    Found,
    Truth,
    average_precision,
    average_precisions,
    match,
)


def truth(boxes, classes, ignored=None):
    return Truth(
        np.array(boxes, dtype=float).reshape(-1, 4),
        np.array(classes, dtype=np.int64),
        np.array(ignored or [False] * len(classes), dtype=bool),
    )


def found(boxes, classes, scores):
    return Found(
        np.array(boxes, dtype=float).reshape(-1, 4),
        np.array(classes, dtype=np.int64),
        np.array(scores, dtype=float),
    )


A, B, FAR = [0, 0, 10, 10], [50, 50, 10, 10], [200, 200, 10, 10]


def test_average_precision_by_hand():
    # right, wrong, right of 3 objects: recall 1/3, 1/3, 2/3; precision 1, 1/2, 2/3; envelope 1, 2/3, 2/3
    # area = 1/3 * 1 + 0 * 2/3 + 1/3 * 2/3 = 5/9
    value = average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), 3)
    assert value == pytest.approx(5 / 9)


def test_order_of_input_does_not_matter():
    value = average_precision(np.array([True, True, False]), np.array([0.7, 0.9, 0.8]), 3)
    assert value == pytest.approx(5 / 9)


def test_no_detections_and_no_objects():
    assert average_precision(np.empty(0, bool), np.empty(0), 4) == 0.0
    assert np.isnan(average_precision(np.array([False]), np.array([0.5]), 0))


def test_second_detection_of_one_object_is_wrong():
    verdict = match(np.array([A, A], float), np.array([0.3, 0.9]), truth([A], [0]), 0.5)
    assert verdict.tolist() == [0, 1]


def test_overlap_is_inclusive():
    # 10 x 5 inside 10 x 10: IoU exactly 0.5
    half = np.array([[0, 0, 10, 5]], float)
    assert match(half, np.array([1.0]), truth([A], [0]), 0.5).tolist() == [1]
    assert match(half, np.array([1.0]), truth([A], [0]), 0.51).tolist() == [0]


def test_ignored_objects_neither_count_nor_harm():
    t = [truth([A, B], [0, 0], [False, True])]
    # the box on B is not counted; A found: AP 1
    assert average_precisions([found([B, A], [0, 0], [0.9, 0.8])], t, 1).tolist() == [1.0]
    # a box on nothing before A: precision at recall 1 is 1/2
    assert average_precisions([found([FAR, A], [0, 0], [0.9, 0.8])], t, 1).tolist() == [0.5]


def test_classes_without_objects_have_no_precision():
    t = [truth([A], [0]), truth([B], [2])]
    f = [found([A], [0], [0.9]), found([], [], [])]
    values = average_precisions(f, t, 3)
    assert values[0] == 1.0 and np.isnan(values[1]) and values[2] == 0.0


def test_right_box_of_another_class_is_wrong():
    f = [found([A], [1], [0.9])]
    assert average_precisions(f, [truth([A], [0])], 2)[0] == 0.0


def test_images_must_correspond():
    with pytest.raises(ValueError, match="2 images with detections, 1 with truth"):
        average_precisions([found([], [], [])] * 2, [truth([A], [0])], 1)


def test_detections_match_within_their_image_only():
    f = [found([B], [0], [0.9]), found([A], [0], [0.8])]
    assert average_precisions(f, [truth([A], [0]), truth([B], [0])], 1).tolist() == [0.0]
