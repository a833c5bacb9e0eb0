import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench import boxes

sides = st.floats(0.5, 500)
places = st.floats(-500, 500)
box = st.tuples(places, places, sides, sides)


def test_iou_by_hand():
    # 10 x 10 at the origin against the same moved by (5, 5): 5 * 5 = 25 common, 100 + 100 - 25 = 175 together
    assert boxes.iou([0, 0, 10, 10], [5, 5, 10, 10])[0] == pytest.approx(25 / 175)
    assert boxes.iou([0, 0, 10, 10], [10, 0, 10, 10])[0] == 0.0  # touching is no overlap
    assert boxes.iou([0, 0, 10, 10], [2, 2, 5, 5])[0] == pytest.approx(25 / 100)


def test_iou_of_what_is_no_box_is_nan():
    rows = [[np.nan, 0, 1, 1], [0, 0, 0, 5], [0, 0, -3, 5]]
    assert np.isnan(boxes.iou(rows, [0, 0, 10, 10])).all()
    assert boxes.iou_matrix(rows, [[0, 0, 10, 10]]).tolist() == [[0.0]] * 3


@given(box, box)
def test_iou_is_symmetric_and_bounded(a, b):
    forward, back = boxes.iou(a, b)[0], boxes.iou(b, a)[0]
    assert forward == back
    assert 0 <= forward <= 1


@given(box)
def test_iou_with_itself_is_one(a):
    assert boxes.iou(a, a)[0] == pytest.approx(1.0)


@given(st.lists(box, max_size=4), st.lists(box, max_size=4))
def test_matrix_equals_rows(a, b):
    matrix = boxes.iou_matrix(np.array(a).reshape(-1, 4), np.array(b).reshape(-1, 4))
    assert matrix.shape == (len(a), len(b))
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            assert matrix[i, j] == boxes.iou(p, q)[0]


@given(box, st.integers(1, 4000), st.integers(1, 4000))
def test_relative_round_trip(a, width, height):
    there = boxes.to_relative(a, (width, height))
    assert np.allclose(boxes.from_relative(there, (width, height)), [a], atol=1e-6)


def test_relative_by_hand():
    # centre (60, 45) of a 200 x 100 image, size 40 x 10
    assert boxes.to_relative([40, 40, 40, 10], (200, 100)).tolist() == [[0.3, 0.45, 0.2, 0.1]]


@given(box)
def test_clip_stays_inside(a):
    x, y, w, h = boxes.clip(a, (320, 240))[0]
    assert x >= 0 and y >= 0 and w >= 1 - 1e-9 and h >= 1 - 1e-9
    assert x + w <= 320 + 1e-9 and y + h <= 240 + 1e-9


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        boxes.as_boxes(np.zeros((3, 5)))
