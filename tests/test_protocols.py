import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.errors import DataError, UsageError
from rolo_bench.protocols import SRE_SHIFTS, segments, sre_box, tre_starts


def track(count):
    return np.tile([10.0, 20.0, 30.0, 40.0], (count, 1))


def test_ope_is_one_start():
    (only,) = segments("ope", track(5))
    assert (only.start, only.label) == (0, None)


def test_tre_by_hand():
    # 119 frames: indices 0 … 99 leave at least 20 frames, so 100 are allowed and the step is 100 / 19.
    # places floor(1 + 0 * 5.263) = 1, floor(6.26) = 6, floor(11.5) = 11 … and the last allowed one, 100
    starts = tre_starts(track(119))
    assert starts[:4] == [0, 5, 10, 15]
    assert starts[-1] == 99
    assert len(starts) == 20


def test_tre_leaves_out_omitted_and_invalid_frames():
    truth = track(100)
    truth[40] = np.nan
    truth[41, 0] = -1  # 0 in OTB's 1-based pixels
    starts = tre_starts(truth, [(10, 30)])
    assert not set(starts) & {*range(10, 31), 40, 41}
    assert max(starts) == 80


@given(st.integers(20, 400))
def test_tre_always_leaves_twenty_frames(count):
    starts = tre_starts(track(count))
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert starts[-1] == count - 20
    assert len(starts) == min(20, count - 19)


def test_tre_needs_twenty_frames():
    with pytest.raises(DataError, match="20 frames left"):
        tre_starts(track(19))


def test_sre_by_hand():
    box = np.array(
        [99.0, 49.0, 40.0, 20.0]
    )  # 1-based 100, 50; round(0.1 * 40 + 0.5) = 5, round(0.1 * 20 + 0.5) = 3
    size = (640, 480)
    assert sre_box(box, "left", size).tolist() == [94, 49, 40, 20]
    assert sre_box(box, "down", size).tolist() == [99, 52, 40, 20]  # y moves, the width stays
    assert sre_box(box, "top-left", size).tolist() == [94, 46, 45, 23]
    assert sre_box(box, "bottom-right", size).tolist() == [99, 49, 45, 23]
    # scale 0.8: 1-based centre (120, 60), size 32 x 16, so 104, 52
    assert sre_box(box, "scale-0.8", size).tolist() == [103, 51, 32, 16]
    assert sre_box(box, "scale-1.2", size).tolist() == [95, 47, 48, 24]


@given(
    st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(1, 300), st.floats(1, 300)),
    st.sampled_from(SRE_SHIFTS),
)
def test_sre_stays_in_the_image(box, shift):
    x, y, w, h = sre_box(np.array(box), shift, (640, 480))
    assert x >= 0 and y >= 0 and w >= 1 and h >= 1
    assert x + w <= 640 and y + h <= 480


def test_sre_has_twelve_labelled_starts():
    labels = [s.label for s in segments("sre", track(30), lambda: (640, 480))]
    assert labels == [f"sre{i:02d}" for i in range(1, 13)]


def test_misuse():
    with pytest.raises(UsageError, match="known: ope, tre, sre"):
        segments("vot", track(30))
    with pytest.raises(DataError, match="first frame"):
        segments("ope", np.full((3, 4), np.nan))
    with pytest.raises(UsageError, match="unknown SRE shift"):
        sre_box(np.array([1.0, 1, 5, 5]), "sideways", (10, 10))


def test_the_first_image_is_looked_at_once():
    asked = []
    segments("sre", track(30), lambda: asked.append(1) or (640, 480))
    assert len(asked) == 1
