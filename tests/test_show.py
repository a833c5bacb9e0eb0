"""Pictures of trackers: boxes where they belong, legible strips, video that can be read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Picture

from rolo_bench.cli import main
from rolo_bench.errors import DataError, UsageError
from rolo_bench.plots import frames as show
from rolo_bench.plots.style import COLOURS, KNOWN, ORACLE_COLOUR, Form, looks, rgb
from rolo_bench.run.film import draw_box, write_film
from rolo_bench.run.store import RunResult, Store
from tests.helpers_video import otb_folder, square_sequence

NAN = np.full(4, np.nan)


def moved(truth, by):
    return truth + np.array([by, 0, 0, 0])


def test_a_box_is_drawn_on_its_outline_and_nowhere_inside():
    image = np.full((60, 80, 3), 120, np.uint8)
    draw_box(image, np.array([20, 15, 30, 20]), rgb(COLOURS[0]), 1, border=False)
    assert tuple(image[15, 35]) == rgb(COLOURS[0]) and tuple(image[34, 35]) == rgb(COLOURS[0])
    assert tuple(image[25, 20]) == rgb(COLOURS[0]) and tuple(image[25, 49]) == rgb(COLOURS[0])
    assert (image[17:33, 22:47] == 120).all() and (image[:13] == 120).all()


@pytest.mark.parametrize("box", [NAN, np.array([1, 1, 0, 5.0]), np.array([1e9, 1e9, 10, 10.0])])
def test_no_box_and_far_boxes_change_nothing(box):
    image = np.full((20, 20, 3), 7, np.uint8)
    draw_box(image, box, rgb(COLOURS[1]))
    assert (image == 7).all()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_lines_of_boxes_are_as_wide_as_asked(width):
    image = np.zeros((60, 80, 3), np.uint8)
    draw_box(image, np.array([20, 15, 30, 20]), (255, 0, 0), width, border=False)
    on = image[:, :, 0] > 0
    assert on[25, :35].sum() == on[25, 35:].sum() == on[:25, 35].sum() == on[25:, 35].sum() == width
    assert on[on.any(axis=1)][:, on.any(axis=0)][[0, 0, -1, -1], [0, -1, 0, -1]].all()  # corners are whole


def test_dashes_run_around_a_box():
    image = np.full((60, 80, 3), 120, np.uint8)
    draw_box(image, np.array([10, 10, 41, 31]), (255, 0, 0), 2, False, (3, 1))
    on = (image == (255, 0, 0)).all(axis=2)
    top = on[10, 10:51]
    assert 0.5 < top.mean() < 1 and (np.diff(top.astype(int)) == 1).sum() >= 4  # some dashes, apart
    assert not on[13:37, 14:46].any() and on[:, 50].any() and on[40].any() and on[:, 10].any()
    solid = np.full((60, 80, 3), 120, np.uint8)
    draw_box(solid, np.array([10, 10, 41, 31]), (255, 0, 0), 2, False)
    assert on.sum() < (solid == (255, 0, 0)).all(axis=2).sum()


def test_twelve_trackers_differ_on_frames_in_colour_or_dash():
    sequence = square_sequence()
    shown = show.tracks(sequence, {n: sequence.truth for n in KNOWN[:12]})
    assert len({t.colour for t in shown[1:]}) == 12 and len({(t.colour, t.dash) for t in shown}) == 13


def test_a_small_target_has_thin_lines():
    image, small, large = (
        np.full((200, 200, 3), 120, np.uint8),
        np.array([50, 50, 12, 12.0]),
        [20, 20, 150, 150],
    )
    for box, most in ((small, 1), (np.array(large, float), 3)):
        drawn = show.boxes_on(image, [show.Drawn("a", box[None], COLOURS[0], np.ones(1))], 0, 3)
        middle = int(box[1] + box[3] / 2)
        left = (drawn[middle, : int(box[0] + box[2] / 2)] == rgb(COLOURS[0])).all(axis=1).sum()
        assert left == most


@pytest.mark.parametrize("box, side", [((300, 40, 20, 20), "right"), ((40, -90, 20, 20), "top"), (NAN, "")])
def test_an_arrow_at_the_rim_says_where_a_box_is(box, side):
    image = np.full((100, 160, 3), 120, np.uint8)
    drawn = show.boxes_on(image, [show.Drawn("a", np.array(box, float)[None], COLOURS[0], np.zeros(1))], 0)
    rows, columns = np.nonzero((drawn == rgb(COLOURS[0])).all(axis=2))
    if not side:
        return np.testing.assert_array_equal(drawn, image)
    assert len(rows) > 50
    at = {
        "right": columns.min() > 130 and 35 < rows.mean() < 65,
        "top": rows.max() < 25 and 35 < columns.mean() < 65,
    }
    assert at[side]


def test_a_box_out_of_this_world_is_an_arrow() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    far = [show.Drawn("a", np.array([[1e308, 20, 1e308, 10]]), COLOURS[0], np.zeros(1))]
    drawn = show.boxes_on(image, far, 0, scale=2.0)
    assert drawn[:, 60:].any() and not drawn[:, :40].any()


def test_a_sheet_has_one_legend_with_mean_overlaps(monkeypatch):
    sequence = square_sequence()
    shown = show.tracks(sequence, {"one": moved(sequence.truth, 12), "\u8ddf\u8e2a": sequence.truth})
    written = []
    monkeypatch.setattr(show, "_write", lambda pen, x, y, text, ink=None: written.append(text))
    sheet = show.sheet(sequence, shown, [0, 9, 19, 29], 2)
    assert written.count("truth") == 1 and written.count("one  0.33") == 1 and written[0] == "frame 1"
    assert sheet.shape[1] == 2 * (450 + 6) + 6


def test_labels_and_colours_of_a_form():
    sequence = square_sequence()
    form = Form(labels={"one": "Mine"}, colours={"one": "#123456"})
    shown = show.tracks(
        sequence, {"one": sequence.truth, "two (oracle)": sequence.truth}, ["two (oracle)"], form
    )
    assert (shown[1].name, shown[1].colour, shown[2].name) == ("Mine", "#123456", "two (oracle)")


def test_strips_of_a_tracker_whose_label_is_no_file_name(tmp_path):
    sequence = square_sequence()
    boxes = sequence.truth.copy()
    boxes[15:] = boxes[14] - np.array([40, 0, 0, 0])
    track = show.tracks(sequence, {"one": boxes}, (), Form(labels={"one": "../a/b (ours)"}))[1]
    _, paths = show.write_failures(sequence, track, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [p.name for p in paths] and "a_b_(ours)" in paths[0].name


def test_tracks_carry_overlaps_and_the_colours_of_the_figures():
    sequence = square_sequence()
    shown = show.tracks(sequence, {"one": sequence.truth, "two": moved(sequence.truth, 12)})
    assert [t.name for t in shown] == ["truth", "one", "two"]
    look = looks(["one"])["one"]
    assert (shown[1].colour, shown[1].dash) == (look.colour, look.dash) and np.allclose(shown[1].overlaps, 1)
    assert np.allclose(shown[2].overlaps, 12 / 36)  # 24 wide, moved by 12: 12 of 36 columns are shared
    with pytest.raises(UsageError, match="29 boxes for 30 frames"):
        show.tracks(sequence, {"short": sequence.truth[:-1]})


def test_failures_are_falls_to_zero_after_tracking():
    nan = np.nan
    overlaps = np.array([1, 0.5, 0, 0, 0.2, nan, 0, nan, 0, 0.1])
    assert show.failures(overlaps) == [2, 6]
    assert show.failures(np.zeros(4)) == []


def test_strip_keeps_its_height_over_the_frames_of_a_sequence():
    sequence = square_sequence()
    shown = show.tracks(sequence, {f"tracker number {k}": moved(sequence.truth, k) for k in range(6)})
    shapes = {show.framed(sequence, shown, i).shape for i in (0, 7, 29)}
    assert len(shapes) == 1


def test_small_frames_are_enlarged_with_their_boxes():
    sequence = square_sequence()
    image = show.framed(sequence, show.tracks(sequence, {}), 0, least=480)
    assert image.shape[1] == 600  # 150 wide, four times
    assert image[20 * 4 : 20 * 4 + 3, 10 * 4 + 30].max() >= 200


def test_overlay_is_bright_where_the_heatmap_is_and_leaves_the_rest():
    image = np.full((64, 96, 3), 60, np.uint8)
    heat = np.zeros((32, 32))
    heat[24:, 24:] = 1.0
    mixed = show.overlay(image, heat)
    assert mixed.shape == image.shape and (image == 60).all()
    assert (mixed[:40, :60] == 60).all()
    assert mixed[62, 94].astype(int).sum() > 300
    assert (show.overlay(image, np.full((32, 32), np.nan)) == 60).all()
    with pytest.raises(ValueError, match="shape"):
        show.overlay(image, np.zeros(1024))


def test_contact_sheet_holds_every_image():
    images = [np.full((10, 12, 3), 10 * k + 10, np.uint8) for k in range(5)]
    sheet = show.contact_sheet(images, columns=3, gap=2)
    assert sheet.shape == (2 * 12 + 2, 3 * 14 + 2, 3)
    for k in range(5):
        assert (sheet == 10 * k + 10).all(axis=2).sum() == 120
    with pytest.raises(UsageError, match="at least one"):
        show.contact_sheet([])


def test_failure_strip_shows_the_frame_of_the_failure():
    sequence = square_sequence()
    boxes = sequence.truth.copy()
    boxes[15:] = boxes[14] - np.array([40, 0, 0, 0])
    track = show.tracks(sequence, {"one": boxes})[1]
    assert show.failures(track.overlaps) == [15]
    strip = show.failure_strip(sequence, track, 15)
    assert strip.shape[1] > 5 * 260 and strip.dtype == np.uint8


def test_mp4_reads_back_with_all_frames(tmp_path):
    images = [np.full((48, 64, 3), (255, 8 * k, 0), np.uint8) for k in range(12)]
    path = write_film(tmp_path / "a.mp4", iter(images), 10)
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = video.read()
        if not good:
            break
        frames.append(frame)
    assert len(frames) == 12 and frames[0].shape == (48, 64, 3)
    assert frames[0][20, 20, 2] > 200 and frames[0][20, 20, 0] < 60  # red stays red
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_gif_reads_back_with_all_frames(tmp_path):
    images = [np.full((20, 30, 3), (255, 20 * k, 0), np.uint8) for k in range(5)]
    with Picture.open(write_film(tmp_path / "a.gif", images, 10)) as gif:
        assert gif.n_frames == 5 and gif.size == (30, 20) and gif.info["duration"] == 100


@pytest.mark.parametrize("name", ["a.avi", "a"])
def test_other_video_endings_and_empty_videos_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match=r"\.mp4, \.webm or \.gif"):
        write_film(tmp_path / name, [np.zeros((4, 4, 3), np.uint8)])
    for kind in ("mp4", "webm", "gif"):
        with pytest.raises(UsageError, match="no frames"):
            write_film(tmp_path / f"a.{kind}", [])
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"\.png or \.jpg"):
        show.write_image(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint8))


def test_frame_lists():
    sequence = square_sequence().slice(10, 20)  # frames 11 to 20 of the video
    assert show.parse_frames("11,13-15", sequence) == [0, 2, 3, 4]
    assert show.spaced(10, 3) == [0, 4, 9] and show.spaced(2, 6) == [0, 1]
    with pytest.raises(DataError, match="11 to 20"):
        show.parse_frames("5", sequence)
    with pytest.raises(UsageError, match="ranges"):
        show.parse_frames("a-b", sequence)


@pytest.fixture
def store(tmp_path) -> tuple[Path, Path]:
    data = otb_folder(tmp_path / "videos")
    root = Store(tmp_path / "results")
    truth = square_sequence().truth
    lost = truth.copy()
    lost[10:] -= np.array([60, 0, 0, 0])
    for name, boxes in (("good", moved(truth, 2)), ("bad", lost)):
        root.save("videos", RunResult(name, "Square", "ope", boxes, np.full(len(truth), 0.01)))
    return data, root.root


def test_show_writes_sheet_video_and_failures(store, tmp_path, monkeypatch, capsys):
    data, results = store
    monkeypatch.chdir(tmp_path)
    common = ["show", "Square", "--suite", str(data), "--results", str(results)]
    assert main(common) == 0
    assert capsys.readouterr().out.strip() == "figures/Square.png"
    assert main([*common, "--sheet", "s.jpg", "--video", "v.gif", "--frames", "1-4"]) == 0
    with Picture.open("v.gif") as gif:
        assert gif.n_frames == 4
    assert Path("s.jpg").is_file()
    assert main([*common, "--failures"]) == 0
    out = capsys.readouterr()
    assert "bad on Square: 1 failure at frames 11" in out.err and "good on Square: 0 failures" in out.err
    assert Path("figures/Square_bad_0011.png").is_file()
    Path("rolo-bench.toml").write_text("[labels]\ngood = 'Good'\n")
    assert main([*common, "--failures", "--label", "BAD=Bad (ours)"]) == 0
    said = capsys.readouterr().err
    assert "Bad (ours) on Square: 1 failure" in said and "Good on Square: 0 failures" in said
    assert main([*common, "--label", "bad=Good"]) == 2
    assert "bad and good would both be called 'Good'; give each a label" in capsys.readouterr().err


PLUGIN = """
import numpy as np

class Warm:
    \"\"\"Moves with the square; its map is warm in one corner.\"\"\"

    def init(self, image, box):
        self.box, self.heatmap = np.array(box), None

    def update(self, image):
        self.box = self.box + np.array([2, 1, 0, 0])
        self.heatmap = np.zeros((32, 32), np.float32)
        self.heatmap[:8, :8] = 1
        return self.box
"""


def test_heatmaps_of_a_tracker_are_laid_over_the_frames(store, tmp_path, capsys):
    data, results = store
    (tmp_path / "warm.py").write_text(PLUGIN)
    warm, cold = tmp_path / "warm.png", tmp_path / "cold.png"
    common = ["show", "Square", "--suite", str(data), "--results", str(results), "--frames", "3,9"]
    assert main([*common, "--heatmap", str(tmp_path / "warm.py"), "--sheet", str(warm)]) == 0
    assert main([*common, "--tracker", "good", "--sheet", str(cold)]) == 0
    a, b = (np.asarray(Picture.open(p).convert("RGB")).astype(int) for p in (warm, cold))
    corner, far = np.s_[8:60, 8:60], np.s_[8:60, 300:400]
    assert a[corner].mean() > b[corner].mean() + 40
    assert np.abs(a[far] - b[far]).max() == 0
    assert main([*common, "--heatmap", "static"]) == 2
    assert "makes no heatmaps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("heat", "message"),
    [
        ("np.ones(16)", "heatmap of shape (16,), expected (h, w)"),
        ("np.ones((0, 4))", "heatmap of shape (0, 4), expected (h, w)"),
        ("'warm'", "ValueError: could not convert string to float: 'warm'"),
    ],
)
def test_a_heatmap_that_is_none_is_one_line(store, tmp_path, capsys, heat, message):
    data, results = store
    (tmp_path / "odd.py").write_text(
        PLUGIN.replace("np.zeros((32, 32), np.float32)", heat).replace(
            "        self.heatmap[:8, :8] = 1\n", ""
        )
    )
    line = [
        "show",
        "Square",
        "--suite",
        str(data),
        "--results",
        str(results),
        "--heatmap",
        str(tmp_path / "odd.py"),
    ]
    assert main(line) == 1
    assert capsys.readouterr().err == f"rolo-bench: Square, frame 2: {message}\n"


def test_a_heatmap_may_be_a_tensor_with_gradient():
    class Warm:
        heatmap = torch.ones(4, 4, requires_grad=True)

        def init(self, image, box):
            pass

        def update(self, image):
            return torch.tensor([1.0, 2, 3, 4], requires_grad=True)

    boxes, maps = show.run_with_maps(square_sequence(count=5), Warm(), 3)
    assert boxes[1:3].tolist() == [[1, 2, 3, 4]] * 2 and np.isnan(boxes[3:]).all()
    assert all((m == 1).all() for m in maps[:3]) and maps[3:] == [None, None]


def test_oracles_say_so_in_pictures(store):
    results = Store(store[1])
    results.write_meta("videos", "ope", "good", {"oracle": True, "sequences": {}})
    boxes, oracle = show.results_on(square_sequence(), results, "videos")
    assert list(boxes) == ["bad", "good (oracle)"] and oracle == ["good (oracle)"]
    shown = show.tracks(square_sequence(), boxes, oracle)
    assert [t.colour == ORACLE_COLOUR for t in shown] == [False, False, True]
    assert list(show.results_on(square_sequence(), results, "videos", ["bad"])[0]) == ["bad"]
    assert show.results_on(square_sequence("Nowhere"), results, "videos") == ({}, [])


def test_failures_are_written_without_the_command_line(tmp_path):
    sequence = square_sequence().slice(10, 30)
    boxes = sequence.truth.copy()
    boxes[5::2] -= np.array([60, 0, 0, 0])
    one = show.tracks(sequence, {"one two": boxes})[1]
    found, paths = show.write_failures(sequence, one, tmp_path, most=2)
    assert found == [5, 7, 9, 11, 13, 15, 17, 19]
    assert [p.name for p in paths] == ["Square_one_two_0016.png", "Square_one_two_0018.png"]
    assert all(cv2.imread(str(p)).shape[1] > 3 * 260 for p in paths)


def test_a_film_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("old")

    def images():
        yield np.zeros((20, 30, 3), np.uint8)
        raise RuntimeError("stop")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            write_film(path, images())
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and path.read_text() == "old"


def test_show_errors_are_one_line(store, capsys):
    data, results = store
    assert main(["show", "Nowhere", "--suite", str(data), "--results", str(results)]) != 0
    assert main(["show", "Square", "--suite", str(data), "--results", str(results), "--frames", "99"]) == 1
    assert "has frames 1 to 30" in capsys.readouterr().err
    assert main(["show", "Square", "--suite", str(data), "--results", str(results), "--tracker", "no"]) == 1
    assert "no result of no on Square" in capsys.readouterr().err
