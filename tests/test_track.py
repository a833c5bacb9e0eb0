import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from rolo_bench.boxes import iou
from rolo_bench.boxfiles import read_boxes
from rolo_bench.cli import main
from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.run.film import captioned
from rolo_bench.run.video import parse_box, track_video
from tests.helpers_video import otb_folder, square_sequence


@pytest.fixture
def video(tmp_path):
    sequence = square_sequence(count=20)
    path = tmp_path / "square.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (150, 110))
    assert writer.isOpened()
    for i in range(len(sequence)):
        writer.write(cv2.cvtColor(sequence.frames.image(i), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def test_track_writes_boxes_and_video(video, tmp_path, capsys):
    boxes, annotated = tmp_path / "b.txt", tmp_path / "out" / "a.mp4"
    line = ["track", str(video), "--init", "10,20,24,18", "--tracker", "ncc"]
    assert main([*line, "--boxes", str(boxes), "--video", str(annotated)]) == 0
    assert "20 frames" in capsys.readouterr().err
    assert iou(read_boxes(boxes), square_sequence(count=20).truth).min() > 0.8
    capture = cv2.VideoCapture(str(annotated))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 20
    capture.release()


def test_track_writes_a_gif_as_well(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["track", str(video), "--init", "10,20,24,18", "--tracker", "ncc", "--frames", "4"]
    assert main([*line, "--video", "a.gif"]) == 0
    with Picture.open("a.gif") as gif:
        assert gif.n_frames == 4 and gif.size == (150, 110)


FAIL = """
class Fail:
    'Fails in its update number {at}.'
    n = 0
    def init(self, image, box): self.box = box
    def update(self, image):
        self.n += 1
        if self.n == {at}: raise {error}
        return self.box + [2 * self.n, self.n, 0, 0]
"""


def frames_of(path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def left_in(folder: Path) -> list[str]:
    """Names of files, without those of compiled plugins."""
    return sorted(p.name for p in folder.iterdir() if p.name != "__pycache__")


def test_a_failure_keeps_boxes_and_film(video, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("fail.py").write_text(FAIL.format(at=8, error="RuntimeError('lost')"))
    line = ["track", str(video), "--init", "10,20,24,18", "--tracker", "./fail.py", "--video", "a.mp4"]
    assert main(line) == 1
    assert capsys.readouterr().err == (
        f"rolo-bench: {video}, frame 9: RuntimeError: lost; the 8 frames before it are kept, "
        "boxes in square_fail.txt, video in a.mp4\n"
    )
    assert np.allclose(read_boxes(Path("square_fail.txt")), square_sequence(count=8).truth)
    assert frames_of("a.mp4") == 8
    assert left_in(tmp_path) == ["a.mp4", "fail.py", "square.avi", "square_fail.txt"]


def test_an_interruption_keeps_boxes_and_film(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("stop.py").write_text(FAIL.format(at=5, error="KeyboardInterrupt"))
    line = ["track", str(video), "--init", "10,20,24,18", "--tracker", "./stop.py", "--video", "a.mp4"]
    assert main(line) == 0
    assert len(read_boxes(Path("square_stop.txt"))) == frames_of("a.mp4") == 5


def test_a_failure_in_the_first_frame_writes_nothing_and_keeps_what_is_there(
    video, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("b.txt").write_text("mine")
    Path("fail.py").write_text(
        FAIL.format(at=1, error="RuntimeError").replace("self.box = box", "raise OSError(5, 'no')")
    )
    line = ["track", str(video), "--init", "10,20,24,18", "--tracker", "./fail.py", "--boxes", "b.txt"]
    assert main([*line, "--video", "a.mp4"]) == 2
    kept = "rolo-bench: b.txt: is there already; choose another file to write, or --force\n"
    assert capsys.readouterr().err == kept
    assert main([*line, "--video", "a.mp4", "--force"]) == 1
    assert capsys.readouterr().err == f"rolo-bench: {video}, frame 1: OSError: [Errno 5] no\n"
    assert Path("b.txt").read_text() == "mine"
    assert left_in(tmp_path) == ["b.txt", "fail.py", "square.avi"]


@pytest.mark.parametrize("names", [("square_static.txt",), ("square_static_1.txt", "square_static_2.txt")])
def test_box_files_that_are_there_are_kept(video, tmp_path, monkeypatch, capsys, names):
    """Also the names that nobody gave, and of several targets the last alone."""
    monkeypatch.chdir(tmp_path)
    Path(names[-1]).write_text("mine")
    line = ["track", str(video), "--tracker", "static", *["--init", "10,20,24,18"] * len(names)]
    assert main(line) == 2
    assert f"{names[-1]}: is there already" in capsys.readouterr().err
    assert Path(names[-1]).read_text() == "mine" and sorted(tmp_path.glob("*.txt")) == [tmp_path / names[-1]]
    assert main([*line, "--force"]) == 0
    assert all(len(read_boxes(Path(name))) == 20 for name in names)


def test_the_library_returns_the_error_beside_the_boxes(video, tmp_path):
    class Lost:
        def init(self, image, box):
            self.box = box

        def update(self, image):
            return None

    boxes, seconds, error = track_video(Lost(), str(video), np.array([10.0, 20, 24, 18]))
    assert boxes.tolist() == [[10, 20, 24, 18]] and len(seconds) == 1
    assert isinstance(error, TrackerError) and "frame 2: update returned None" in str(error)
    assert not list(tmp_path.glob("*.txt"))


@pytest.mark.parametrize("option", ["--boxes", "--video"])
@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hardlink"])
def test_the_input_is_never_written_over(video, tmp_path, monkeypatch, capsys, option, way):
    film = video.rename(tmp_path / "square.mp4")
    before = film.read_bytes()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    target = {"same": str(film), "relative": "sub/../square.mp4", "symlink": "s.mp4", "hardlink": "h.mp4"}[
        way
    ]
    if way == "symlink":
        os.symlink(film, target)
    if way == "hardlink":
        os.link(film, target)
    line = ["track", str(film), "--init", "10,20,24,18", "--tracker", "static"]
    monkeypatch.setattr(cv2, "VideoCapture", None)  # nothing is opened
    assert main([*line, option, target]) == 2
    assert (
        capsys.readouterr().err
        == f"rolo-bench: {target}: is the video to track itself; choose another file to write\n"
    )
    assert film.read_bytes() == before
    assert not list(tmp_path.glob("*.txt"))


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (["nowhere.mp4", "--init", "1,2,3,4"], 1, "no such video file"),
        (["{video}", "--init", "1,2,3"], 2, "write four numbers"),
        (["{video}", "--init", "1,2,0,4"], 2, "positive size"),
        (["{text}", "--init", "1,2,3,4"], 1, "cannot be opened as a video"),
        (["{video}", "--init", "1,2,3,4", "--video", "a.avi"], 2, "written as .mp4, .webm or .gif"),
        (["{video}", "--init", "1,2,3,4", "--frames", "0"], 2, "x>=1"),
    ],
)
def test_misuse(video, tmp_path, capfd, line, code, message):
    text = tmp_path / "t.mp4"
    text.write_text("no video")
    filled = [part.format(video=video, text=text) for part in line]
    assert main(["track", *filled, "--tracker", "static"]) == code
    assert message in capfd.readouterr().err


def test_parse_box():
    assert parse_box("1,2.5,3,4").tolist() == [1, 2.5, 3, 4]
    with pytest.raises(UsageError):
        parse_box("a,b,c,d")


def test_a_caption_leaves_the_image_alone():
    image = np.zeros((120, 160, 3), np.uint8)
    picture = captioned(image, np.array([20.0, 30, 40, 50]), "ncc 1")
    assert not image.any()
    assert picture[30, 40].tolist() == [230, 159, 0]
    captioned(image, np.full(4, np.nan), "lost")


def test_a_folder_or_a_pattern_of_images_is_a_video(tmp_path):
    root = otb_folder(tmp_path / "otb", ("Square",), count=8)
    images, truth = root / "Square" / "img", square_sequence(count=8).truth
    for i, source in enumerate((images, images / "*.jpg")):
        target = tmp_path / f"boxes{i}.txt"
        arguments = [
            "track",
            str(source),
            "--init",
            "10,20,24,18",
            "--tracker",
            "ncc",
            "--boxes",
            str(target),
        ]
        assert main(arguments) == 0
        assert np.abs(read_boxes(target) - truth).max() <= 1
    assert main(["track", str(tmp_path / "none"), "--init", "1,2,3,4", "--tracker", "ncc"]) == 1
    assert main(["track", str(tmp_path / "*.png"), "--init", "1,2,3,4", "--tracker", "ncc"]) == 1


def test_several_targets_have_a_tracker_each(tmp_path):
    root = otb_folder(tmp_path / "otb", ("Square",), count=8)
    target, film = tmp_path / "boxes.txt", tmp_path / "film.gif"
    arguments = ["track", str(root / "Square" / "img"), "--boxes", str(target), "--video", str(film)]
    assert main([*arguments, "--init", "10,20,24,18", "--init", "60,60,20,20", "--tracker", "static"]) == 0
    assert read_boxes(tmp_path / "boxes_1.txt").tolist() == [[10, 20, 24, 18]] * 8
    assert read_boxes(tmp_path / "boxes_2.txt").tolist() == [[60, 60, 20, 20]] * 8
    assert film.is_file() and not target.exists()
