"""Section II.B of the paper on hand-made detections."""

import numpy as np

from rolo_bench.association import Association, best_overlap, widened
from rolo_bench.nn.detector import Detections


def found(*rows):
    """Detections from rows x, y, w, h, score."""
    table = np.array(rows, dtype=float).reshape(-1, 5)
    table = table[np.argsort(-table[:, 4], kind="stable")]
    return Detections(
        table[:, :4],
        table[:, 4].astype(np.float32),
        np.zeros(len(table), np.int64),
        ("thing",),
        np.zeros(3, np.float32),
    )


def test_best_overlap_by_hand():
    # IoU with the reference: 50 / 150 = 1/3, and 75 / 125 = 0.6
    boxes = np.array([[5.0, 0, 10, 10], [2.5, 0, 10, 10]])
    reference = np.array([0.0, 0, 10, 10])
    assert best_overlap(reference, boxes) == 1
    assert best_overlap(reference, boxes, 0.59) == 1
    assert best_overlap(reference, boxes, 0.61) is None
    assert best_overlap(reference, boxes[:0]) is None
    assert best_overlap(reference, np.array([[50.0, 50, 5, 5]])) is None  # no overlap is never a match


def test_first_frame_takes_the_detection_that_overlaps_the_given_box_most():
    state = Association(iou_min=0.1)
    assert state.start(np.array([0.0, 0, 10, 10]), found([6, 0, 10, 10, 0.9], [1, 0, 10, 10, 0.3])) == 1


def test_reference_is_the_mean_of_the_last_validated_boxes():
    state = Association(history=2, iou_min=0.1, threshold=0.1)
    state.start(np.array([0.0, 0, 10, 10]), found())
    for x in (2, 4):
        assert state.step(found([x, 0, 10, 10, 0.9])) == 0
    np.testing.assert_array_equal(state.reference(), [3, 0, 10, 10])  # of x = 2 and 4; the first has left
    # the best-scored detection is not the nearest: IoU with x = 3 decides
    assert state.step(found([8, 0, 10, 10, 0.9], [3, 1, 10, 10, 0.2])) == 1


def test_below_iou_min_or_threshold_there_is_none_and_history_stays():
    state = Association(history=2, iou_min=0.3, threshold=0.5)
    state.start(np.array([0.0, 0, 10, 10]), found())
    assert state.step(found([8, 0, 10, 10, 0.9])) is None  # IoU 20 / 180
    assert state.step(found([0, 0, 10, 10, 0.4])) is None  # score too low
    np.testing.assert_array_equal(state.reference(), [0, 0, 10, 10])
    assert state.missed == 2
    assert state.step(found([0, 0, 10, 10, 0.6])) == 0
    assert state.missed == 0


def test_widening_finds_a_target_that_moved_on_and_the_paper_does_not():
    away = found([14, 0, 10, 10, 0.9])
    for widen, expected in ((0.0, None), (0.5, 0)):
        state = Association(iou_min=0.1, widen=widen)
        state.start(np.array([0.0, 0, 10, 10]), found())
        for _ in range(4):
            assert state.step(found()) is None
        assert state.step(away) == expected
    np.testing.assert_allclose(widened(np.array([10.0, 20, 4, 8]), 2), [8, 16, 8, 16])


def test_a_prediction_moves_the_reference_and_keeps_its_size():
    state = Association(iou_min=0.5)
    state.start(np.array([0.0, 0, 10, 10]), found())
    # centre of the prediction is (31, 6): the reference becomes (26, 1, 10, 10)
    assert state.step(found([26, 1, 10, 10, 0.9]), np.array([30.0, 5, 2, 2])) == 0


def test_states_do_not_share_their_history():
    one, two = Association(), Association()
    one.start(np.array([0.0, 0, 10, 10]), found())
    assert len(two.recent) == 0
