"""Section II.B of the paper on hand-made detections."""

from dataclasses import replace

import numpy as np

from rolo_bench.association import Association, best_overlap, centred, widened
from rolo_bench.detection import Detections


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
    assert state.step(found([26, 1, 10, 10, 0.9]), centred(state.reference(), np.array([30.0, 5, 2, 2]))) == 0


def test_states_do_not_share_their_history():
    one, two = Association(), Association()
    one.start(np.array([0.0, 0, 10, 10]), found())
    assert len(two.recent) == 0


def test_a_detection_of_another_size_is_no_candidate():
    """20 x 20 against the usual 10 x 10: log 2 twice, 1.39 in all."""
    for limit, expected in ((0.0, 0), (1.5, 0), (1.3, None)):
        state = Association(iou_min=0.1, size_limit=limit)
        state.start(np.array([0.0, 0, 10, 10]), found())
        assert state.step(found([0, 0, 20, 20, 0.9])) == expected


def test_the_usual_size_follows_by_a_tenth():
    state = Association(iou_min=0.1, size_limit=1.0)
    state.start(np.array([0.0, 0, 10, 10]), found())
    state.step(found([0, 0, 11, 10, 0.9]))
    np.testing.assert_allclose(np.exp(state.usual), [10 * 1.1**0.1, 10])
    state.step(found())
    np.testing.assert_allclose(np.exp(state.usual), [10 * 1.1**0.1, 10])  # a miss leaves it


def test_score_counts_beside_the_overlap_where_it_is_preferred():
    # overlap 0.8 at score 0.1 against overlap 0.6 at score 0.9; 0.8 * 0.1**0.3 = 0.40, 0.6 * 0.9**0.3 = 0.58
    rows = found([0, 0, 8, 10, 0.1], [4, 0, 6, 10, 0.9])
    for prefer, score in ((0.0, 0.1), (0.3, 0.9)):
        state = Association(iou_min=0.1, prefer=prefer)
        state.start(np.array([0.0, 0, 10, 10]), found())
        assert rows.scores[state.step(rows)] == np.float32(score)


def test_class_counts_beside_the_overlap_where_it_is_preferred():
    def two(first, second):
        return replace(found([0, 0, 10, 9, 0.9], [0, 0, 10, 8, 0.9]), classes=np.array([first, second]))

    for prefer, expected in ((0.0, 0), (0.3, 1)):  # overlap 0.9 * 0.7 = 0.63 of another class against 0.8
        state = Association(iou_min=0.1, prefer=prefer)
        state.start(np.array([0.0, 0, 10, 10]), two(5, 5))
        assert state.target == 5
        assert state.step(two(6, 5)) == expected
    state.start(np.array([30.0, 0, 10, 10]), two(5, 5))
    assert state.target is None  # no detection on the given box
