"""SORT as the ROLO authors ran it: the filter, the life of a track, the frames that are compared, the audit's table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError, UsageError
from rolo_bench.paper import audit, sort2016
from rolo_bench.paper.sort2016 import Track, chosen_detections, compared, measurement
from rolo_bench.run.store import RunResult, Store
from rolo_bench.sequence import Sequence
from rolo_bench.trackers.yolo_sort import make_filter, to_box

BOX = np.array([10.0, 20.0, 30.0, 40.0])


def test_the_filter_is_that_of_yolo_sort() -> None:
    rng = np.random.default_rng(0)
    box = BOX.copy()
    mine, other = Track.begun(box), make_filter(box)
    for _ in range(30):
        box = box + rng.normal(0, 2, 4)
        mine.predict()
        other.predict()
        np.testing.assert_allclose(mine.box, to_box(other.x[:, 0]), rtol=1e-9)
        if rng.random() < 0.7:
            mine.correct(box)
            other.update(measurement(box)[:, None])
        np.testing.assert_allclose(mine.box, to_box(other.x[:, 0]), rtol=1e-9)
        np.testing.assert_allclose(mine.spread, other.P, rtol=1e-9, atol=1e-12)


def has_box(*absent: int, frames: int = 14, boxes: dict[int, np.ndarray] | None = None) -> str:
    """In which frames a track has a box (``x``) where the same detection comes in all but some."""
    chosen = np.tile(BOX, (frames, 1))
    for i, box in (boxes or {}).items():
        chosen[i] = box
    chosen[list(absent)] = np.nan
    made = sort2016.sort2016(chosen)
    seen = ~np.isnan(made).any(axis=1)
    if not boxes:
        np.testing.assert_allclose(made[seen], np.tile(BOX, (int(seen.sum()), 1)), atol=1e-6)
    return "".join("x" if s else "." for s in seen)


def test_the_life_of_a_track_by_hand() -> None:
    assert has_box() == "x" * 14
    # a miss ends the row of detections: three more until there is a box again
    assert has_box(6) == "xxxxxx" + "." + ".." + "xxxxx"
    # after two misses the track is gone, and the next one's first detection does not count to its three
    assert has_box(6, 7) == "xxxxxx" + ".." + "..." + "xxx"
    # in the first three frames any track will do
    assert has_box(0) == ".xx." + "x" * 10
    assert has_box(0, 1, 2) == "..." + "..." + "x" * 8
    assert has_box(*range(14)) == "." * 14
    # a detection elsewhere (IoU below 0.3) begins a track of its own; the old one survives one miss
    far = BOX + [200, 0, 0, 0]
    assert has_box(boxes={6: far}) == "xxxxxx" + "." + ".." + "xxxxx"
    assert has_box(boxes={6: far, 7: far}) == "xxxxxx" + ".." + "..." + "xxx"


def test_a_box_that_shrinks_below_nothing_ends_its_track() -> None:
    track = Track.begun(BOX)
    track.state[[2, 3]] = 100.0, -1.0
    assert np.isnan(track.box).any()
    track.state[[2, 6]] = 5.0, -5.0
    track.predict()
    assert (
        track.state[6] == 0 and track.state[2] == 5.0
    )  # as in SORT: no velocity that would make the area negative


def test_detections_are_what_is_not_held() -> None:
    boxes = np.array([BOX, BOX, BOX + 1, BOX + 1, BOX, BOX])
    assert np.isnan(chosen_detections(boxes)).any(axis=1).tolist() == [True, True, False, True, False, True]


def test_the_frames_that_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort2016, "sort2016", lambda chosen: chosen)
    boxes = np.arange(20.0)[:, None] * np.ones(4)
    theirs, in_place, rows = compared(boxes)
    assert list(range(20)[rows]) == list(range(3, 13))  # truth 3 … N - 8
    assert in_place[:, 0].tolist() == list(range(3, 13)) and theirs[:, 0].tolist() == list(range(5, 15))
    theirs, _, rows = compared(boxes[: sort2016.SHORTEST])
    assert len(theirs) == 1 and list(range(11)[rows]) == [3]


def results(tmp_path: Path, frames: int = 60, oracle: bool = True) -> tuple[Store, Suite]:
    """Two videos of a target of 20 x 20 that moves by 2 pixels a frame, on which both runs are perfect.

    The rule cuts numbers to integers: the halves keep a filter's last digit from making it one less.
    """
    truth = np.column_stack([10.5 + 2 * np.arange(frames), *np.full((3, frames), 20.5)])
    store = Store(tmp_path)
    for name in ("A", "B"):
        for tracker in ("yolo-oracle", "yolo-sort"):
            store.save("s", RunResult(tracker, name, "ope", truth, np.full(frames, 0.1)))
    store.write_meta("s", "ope", "yolo-oracle", {"oracle": oracle, "sequences": {}})
    return store, Suite("s", tuple(Sequence(n, NoFrames(frames), truth) for n in ("A", "B")), ("A", "B"))


def test_the_protocol_beside_the_honest_run(tmp_path: Path) -> None:
    store, suite = results(tmp_path)
    table = audit.sort_readings(store, suite, "yolo-oracle")
    assert table["oracle"].tolist() == [False, True, True, True]
    assert (table["frames"] == 2 * 50).all() and (table["sequences"] == "2 of 2").all()
    honest, chosen, in_place, theirs = table["rolo2016_mean_iou"]
    assert honest == chosen == 1.0 and in_place == pytest.approx(1.0, abs=0.02)  # the filter lags at first
    # two frames ahead are 4 of 20 pixels: 16 / 24
    assert theirs == pytest.approx(16 / 24, abs=0.02)
    assert (table["no_box"] == 0).all()


def test_where_no_track_lives_the_protocol_scores_nothing(tmp_path: Path) -> None:
    store, suite = results(tmp_path)
    for name in ("A", "B"):
        boxes = store.load("s", "ope", "yolo-oracle", name)[0].boxes.copy()
        boxes[30] = boxes[29]  # held: no detection touched the truth
        store.save("s", RunResult("yolo-oracle", name, "ope", boxes, np.full(60, 0.1)))
    table = audit.sort_readings(store, suite, "yolo-oracle").set_index("reading")
    # of 50 frames one has no detection, and three no track
    assert table["no_box"].tolist() == pytest.approx([0, 1 / 50, 3 / 50, 3 / 50])


def test_what_the_table_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, suite = results(tmp_path / "fair", oracle=False)
    with pytest.raises(UsageError, match=r"yolo-oracle was not shown the truth; .*association=oracle"):
        audit.sort_readings(store, suite, "yolo-oracle")
    with pytest.raises(UsageError, match="--protocol ope, not sre"):
        audit.sort_readings(store, suite, "yolo-oracle", "sre")
    with pytest.raises(UsageError, match="no results of other"):
        audit.sort_readings(store, suite, "other")
    store, suite = results(tmp_path / "short", frames=10)
    with pytest.raises(DataError, match="A: 10 frames; the authors' SORT needs 11"):
        audit.sort_readings(store, suite, "yolo-oracle")


def test_the_command(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rolo_bench.datasets.suites import load_annotations

    suite, store = load_annotations("otb30", shared / "data/annotations"), Store(tmp_path)
    for sequence in suite.sequences:
        for tracker in ("yolo-oracle", "yolo-sort"):
            shifted = sequence.truth + np.arange(len(sequence))[:, None] * [0.001, 0, 0, 0]
            store.save(
                "otb30", RunResult(tracker, sequence.name, "ope", shifted, np.full(len(sequence), 0.1))
            )
    store.write_meta("otb30", "ope", "yolo-oracle", {"oracle": True, "sequences": {}})
    options = ["audit", "--data", str(shared / "data/annotations"), "--results", str(tmp_path)]
    assert main([*options, "--sort", "yolo-oracle"]) == 0
    text = capsys.readouterr().out
    assert "yolo-sort, honest" in text and "two frames earlier" in text and "30 of 30" in text
    assert main([*options, "--sort", "yolo-sort"]) == 2
    error = capsys.readouterr().err
    assert "was not shown the truth" in error and error.count("\n") == 1
