"""What is likely wrong with a result that does not begin with the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolo_bench.datasets.alignment import Finding, Misfit, find_misfit, from_corners

FRAMES = 40
TRUTH = np.column_stack(
    [20 + 3.0 * np.arange(FRAMES), 30 + 2.0 * np.arange(FRAMES), np.full(FRAMES, 24.0), np.full(FRAMES, 36.0)]
)
CORNERS = np.hstack([TRUTH[:, :2], TRUTH[:, :2] + TRUTH[:, 2:] + 1])  # 1-based corners, as read from a file


def kind(boxes, **more):
    found = find_misfit(np.array(boxes), TRUTH, **more)
    return None if found is None else found.kind


def test_results_that_fit_are_left_alone() -> None:
    assert kind(TRUTH) is None and kind(TRUTH + 0.5) is None
    assert kind(np.round(TRUTH + 0.4)) is None
    regressed = TRUTH.copy()
    regressed[0] += [2, -1, 3, 2]  # some toolkits write what the tracker made of its first box
    assert kind(regressed) is None


def test_each_cause_is_named() -> None:
    assert kind(CORNERS) is Misfit.CORNERS
    assert kind(np.vstack([CORNERS[:1], TRUTH[1:]])) is Misfit.FIRST_CORNERS
    assert kind(TRUTH - [1, 1, 0, 0]) is Misfit.FROM_ZERO
    assert kind(TRUTH + [1, 1, 0, 0]) is Misfit.FROM_ONE
    late = find_misfit(np.vstack([TRUTH[4:], TRUTH[-4:]]), TRUTH)
    assert late is not None and late.kind is Misfit.LATE and late.words == (4, 5)
    early = find_misfit(np.vstack([TRUTH[:1] + 90] * 3 + [TRUTH[:-3]]), TRUTH)
    assert early == Finding(Misfit.EARLY, (3, 4)) and "early: the first true box is in its row 4" in str(
        early
    )
    other = TRUTH + 300
    assert str(find_misfit(other, TRUTH, {"Car": other[0]})) == (
        "its first box is that of Car: results of another sequence?"
    )
    assert str(find_misfit(other, TRUTH)) == (
        "its first box is not the truth (overlap 0.00): another range, sequence or type?"
    )
    for wrong, misfit in (
        (TRUTH + [12, 18, 0, 0], Misfit.CENTRES),
        (TRUTH[:, [1, 0, 3, 2]], Misfit.SWAPPED),
        (TRUTH / [320, 240, 320, 240] - [1, 1, 0, 0], Misfit.FRACTIONS),
    ):
        assert kind(wrong) is misfit
    lost = np.vstack([np.full((1, 4), np.nan), TRUTH[1:]])
    assert "(overlap none)" in str(find_misfit(lost, TRUTH))


def test_a_truth_that_does_not_begin_with_a_box_says_nothing() -> None:
    assert find_misfit(TRUTH + 300, np.vstack([np.full((1, 4), np.nan), TRUTH[1:]])) is None


def test_corners_and_back() -> None:
    assert np.array_equal(from_corners(np.hstack([TRUTH[:, :2], TRUTH[:, :2] + TRUTH[:, 2:]])), TRUTH)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-30, 30), st.floats(-30, 30), st.integers(3, 15), st.sampled_from(["late", "corners", "zero"])
)
def test_made_up_mistakes_are_named_whatever_the_path(dx: float, dy: float, k: int, what: str) -> None:
    """The target moves by at least 3 pixels a frame, so that a shift can be seen at all."""
    step = np.array([dx + 3 * np.copysign(1, dx), dy + 3 * np.copysign(1, dy)])
    truth = np.hstack([400 + step * np.arange(FRAMES)[:, None], np.tile([24.0, 36.0], (FRAMES, 1))])
    made, expected = {
        "late": (np.vstack([truth[k:], truth[-k:]]), Misfit.LATE),
        "corners": (np.hstack([truth[:, :2], truth[:, :2] + truth[:, 2:] + 1]), Misfit.CORNERS),
        "zero": (truth - [1, 1, 0, 0], Misfit.FROM_ZERO),
    }[what]
    found = find_misfit(made, truth)
    assert found is not None and found.kind is expected
    if expected is Misfit.LATE:
        assert found.words == (k, k + 1)
    assert find_misfit(truth, truth) is None


@pytest.mark.parametrize("rows", [1, 2])
def test_short_results(rows: int) -> None:
    assert find_misfit(TRUTH[:rows], TRUTH[:rows]) is None
    assert find_misfit(TRUTH[:rows] + 300, TRUTH[:rows]) == Finding(Misfit.UNKNOWN, ("0.00",))
    assert find_misfit(CORNERS[:rows], TRUTH[:rows]) == Finding(Misfit.CORNERS)
