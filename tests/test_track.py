import cv2
import numpy as np
import pytest

from rolo_bench.boxes import iou
from rolo_bench.cli import main
from rolo_bench.datasets.otb import read_boxes
from rolo_bench.errors import UsageError
from rolo_bench.run.video import captioned, parse_box
from tests.helpers_video import square_sequence


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


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (["nowhere.mp4", "--init", "1,2,3,4"], 1, "no such video file"),
        (["{video}", "--init", "1,2,3"], 2, "write four numbers"),
        (["{video}", "--init", "1,2,0,4"], 2, "positive size"),
        (["{text}", "--init", "1,2,3,4"], 1, "cannot be opened as a video"),
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
