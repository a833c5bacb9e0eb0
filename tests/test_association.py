"""Section II.B of the paper on hand-made detections."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.association import Association, best, best_overlap, box_of, centred, overlaps, widened
from rolo_bench.detection import Detections
from rolo_bench.errors import UsageError


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
    for least, expected in ((0.0, 1), (0.59, 1), (0.61, -1)):
        overlap = overlaps(reference[None], boxes[None])
        assert best(overlap, overlap >= least) == expected
    assert best_overlap(reference, boxes[:0]) is None
    assert best_overlap(np.full(4, np.nan), boxes) is None
    assert best_overlap(reference, np.array([[50.0, 50, 5, 5]])) is None  # no overlap is never a match


def test_first_frame_takes_the_detection_that_overlaps_the_given_box_most():
    state = Association(iou_min=0.1)
    assert state.start(np.array([0.0, 0, 10, 10]), found([6, 0, 10, 10, 0.9], [1, 0, 10, 10, 0.3])) == 1


def test_reference_is_the_mean_of_the_last_validated_boxes():
    state = Association(history=2, iou_min=0.1, threshold=0.1)
    state.start(np.array([0.0, 0, 10, 10]), found())
    for x in (2, 4):
        assert state.step(found([x, 0, 10, 10, 0.9])) == 0
    np.testing.assert_array_equal(state.reference(), [[3, 0, 10, 10]])  # of x = 2 and 4; the first has left
    # the best-scored detection is not the nearest: IoU with x = 3 decides
    assert state.step(found([8, 0, 10, 10, 0.9], [3, 1, 10, 10, 0.2])) == 1


def test_below_iou_min_or_threshold_there_is_none_and_history_stays():
    state = Association(history=2, iou_min=0.3, threshold=0.5)
    state.start(np.array([0.0, 0, 10, 10]), found())
    assert state.step(found([8, 0, 10, 10, 0.9])) is None  # IoU 20 / 180
    assert state.step(found([0, 0, 10, 10, 0.4])) is None  # score too low
    np.testing.assert_array_equal(state.reference(), [[0, 0, 10, 10]])
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
    for state in (one, two):
        state.start(np.array([0.0, 0, 10, 10]), found())
    assert one.step(found([2, 0, 10, 10, 0.9])) == 0
    np.testing.assert_array_equal(two.reference(), [[0, 0, 10, 10]])


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
    np.testing.assert_allclose(np.exp(state.usual), [[10 * 1.1**0.1, 10]])
    state.step(found())
    np.testing.assert_allclose(np.exp(state.usual), [[10 * 1.1**0.1, 10]])  # a miss leaves it


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
    assert state.target == -1  # no detection on the given box


def test_the_first_detection_joins_the_history_where_it_is_the_object():
    for joins, x in ((np.inf, 0), (0.5, 1), (0.7, 0)):  # IoU 80 / 120
        state = Association(iou_min=0.1, joins=joins)
        assert state.start(np.array([0.0, 0, 10, 10]), found([2, 0, 10, 10, 0.9])) == 0
        np.testing.assert_array_equal(state.reference(), [[x, 0, 10, 10]])
        assert state.missed == 0 and (state.usual == np.log(10)).all()
    state = Association(history=1, joins=0.5)
    state.start(np.array([0.0, 0, 10, 10]), found([2, 0, 10, 10, 0.9]))
    np.testing.assert_array_equal(state.reference(), [[2, 0, 10, 10]])


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.8]),
    st.sampled_from([0.0, 0.4]),
    st.sampled_from([{}, {"buffer": 0.5, "floor": 0.01, "size_cost": 0.5, "least": -2.0}]),
    st.sampled_from([0.0, 4.0]),
)
def test_a_batch_is_what_each_target_is_alone(seed, history, widen, size_limit, prefer, more, alike):
    """Targets side by side, filled up with boxes of NaN to one number, choose as one by one."""
    rng = np.random.default_rng(seed)
    rule = dict(
        history=history,
        iou_min=0.2,
        threshold=0.2,
        widen=widen,
        size_limit=size_limit,
        prefer=prefer,
        joins=0.5,
        alike=alike,
        **more,
    )
    given_boxes = rng.uniform(5, 12, (4, 4))

    def scene(box):
        count = rng.integers(0, 5)
        rows = np.column_stack([box + rng.normal(0, 1.5, (count, 4)), rng.uniform(0, 1, count)])
        rows[:, 2:4] = np.maximum(rows[:, 2:4], 1)
        some = found(*rows)
        return replace(some, classes=rng.integers(0, 2, count), appearance=unit(rng, count))

    looks = unit(rng, 4)
    frames = [[scene(box) for box in given_boxes] for _ in range(6)]
    together, single = Association(**rule), [Association(**rule) for _ in given_boxes]
    for t, scenes in enumerate(frames):
        boxes, scores = np.full((4, 5, 4), np.nan), np.zeros((4, 5), np.float32)
        classes, seen = np.full((4, 5), -1), np.zeros((4, 5, 7), np.float32)
        for i, some in enumerate(scenes):
            n = len(some.scores)
            boxes[i, :n], scores[i, :n], classes[i, :n] = some.boxes, some.scores, some.classes
            seen[i, :n] = some.appearance
        batch = boxes, scores, classes, seen
        index = together.choose(batch) if t else together.begin(given_boxes, batch, looks.astype(np.float32))
        if t:
            together.take(
                np.concatenate([box_of(s, None if i < 0 else i) for s, i in zip(scenes, index)]),
                np.concatenate(
                    [np.zeros((1, 7)) if i < 0 else s.appearance[[i]] for s, i in zip(scenes, index)]
                ).astype(np.float32),
            )
            alone = [one.step(some) for one, some in zip(single, scenes)]
        else:
            parts = zip(single, given_boxes, scenes, looks)
            alone = [one.start(box, some, look[None]) for one, box, some, look in parts]
        assert index.tolist() == [-1 if i is None else i for i in alone]
        for name in ("recent", "missed", "usual", "target"):
            parts = np.concatenate([getattr(one, name) for one in single])
            np.testing.assert_array_equal(getattr(together, name), parts)
        np.testing.assert_allclose(together.latest, np.concatenate([one.latest for one in single]), atol=1e-6)


def unit(rng, count):
    """Appearances: vectors of length 1."""
    values = rng.normal(0, 1, (count, 7))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def test_likeness_tells_two_targets_apart_that_cross():
    """Two boxes swap places; the one that looks like the target is followed, the paper's rule stays where it was."""
    a, b = np.eye(7, dtype=np.float16)[:2]
    box = np.array([0.0, 0, 10, 10])
    first = replace(found([0, 0, 10, 10, 0.9], [12, 0, 10, 10, 0.9]), appearance=np.stack([a, b]))
    after = replace(found([0, 0, 10, 10, 0.9], [8, 0, 10, 10, 0.9]), appearance=np.stack([b, a]))
    for alike, expected in ((0.0, 0), (4.0, 1)):
        state = Association(iou_min=0.0, buffer=0.5, floor=0.01, alike=alike)
        assert state.start(box, first, a[None]) == 0
        assert state.step(after) == expected
    np.testing.assert_allclose(state.likeness[0], [[0, 0], [1, 1]], atol=1e-3)


def test_without_appearance_likeness_is_zero_and_says_nothing():
    state = Association(alike=4.0, least=-1.0)
    assert state.start(np.array([0.0, 0, 10, 10]), found([0, 0, 10, 10, 0.9])) == 0
    assert state.step(found([1, 0, 10, 10, 0.9])) == 0
    assert not state.likeness.any() and state.latest is None


def test_the_slow_mean_follows_what_was_accepted_and_stays_through_misses():
    a, b = np.eye(7, dtype=np.float16)[:2]
    one = replace(found([0, 0, 10, 10, 0.9]), appearance=b[None])
    state = Association(iou_min=0.1, alike=1.0)
    state.start(np.array([0.0, 0, 10, 10]), one, a[None])
    state.step(one)
    kept = state.latest.copy()
    np.testing.assert_allclose(kept[0, :2], np.array([0.9, 0.1]) / np.hypot(0.9, 0.1), atol=1e-3)
    state.step(replace(found([90, 0, 10, 10, 0.9]), appearance=b[None]))
    np.testing.assert_array_equal(state.latest, kept)


def test_the_worth_of_a_detection_by_hand():
    """Overlap of the widened boxes, score and size: log(IoU + floor) + prefer log(score) - cost |log sides|."""
    box, seen = np.array([0.0, 0, 10, 10]), found([10, 0, 10, 20, 0.5])
    # both by a half: -2.5 … 12.5 and 7.5 … 22.5 wide, 15 and 30 high, one in the other
    iou = 5 * 15 / (15 * 15 + 15 * 30 - 5 * 15)
    worth = np.log(iou + 0.01) + 0.5 * np.log(0.5) - 0.4 * np.log(2)
    for least, expected in ((worth - 1e-6, 0), (worth + 1e-6, None)):
        state = Association(
            history=1, iou_min=0.0, buffer=0.5, floor=0.01, size_cost=0.4, prefer=0.5, alike=1.0, least=least
        )
        state.start(box, found())
        assert state.step(seen) == expected


@pytest.mark.parametrize("setting", [{"history": 0}, {"iou_min": "a"}, {"prefer": 1}, {"size_limit": -0.1}])
def test_settings_that_mean_nothing_are_refused(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        Association(**setting)
