import threading

import numpy as np
import pytest

from rolo_bench.errors import DataError
from rolo_bench.sequence import ArrayFrames, ImageFiles, Sequence, prefetch
from tests.helpers_video import otb_folder, square_sequence


def test_lengths_are_checked():
    with pytest.raises(DataError, match="2 frames but 3 truth boxes"):
        Sequence("X", ArrayFrames((np.zeros((4, 4, 3), np.uint8),) * 2), np.ones((3, 4)))


def test_truth_cannot_be_changed():
    sequence = square_sequence()
    with pytest.raises(ValueError, match="read-only"):
        sequence.truth[0, 0] = 5


def test_slice_keeps_frame_numbers():
    part = square_sequence(count=20).slice(5, 12)
    assert (len(part), part.first_frame) == (7, 6)
    assert np.array_equal(part.frames.image(0), square_sequence(count=20).frames.image(5))


def test_prefetch_gives_all_in_order_off_the_main_thread():
    threads = set()

    class Counting:
        def __len__(self):
            return 9

        def image(self, index):
            threads.add(threading.current_thread().name)
            return np.full((1, 1, 3), index, np.uint8)

    assert [int(i[0, 0, 0]) for i in prefetch(Counting(), 2, 8, depth=3)] == [2, 3, 4, 5, 6, 7]
    assert threading.current_thread().name not in threads


def test_prefetch_can_be_left_early():
    for image in prefetch(square_sequence().frames):
        assert image.shape == (110, 150, 3)
        break


def test_images_are_rgb(tmp_path):
    import cv2

    path = tmp_path / "0001.png"
    cv2.imwrite(str(path), np.full((4, 5, 3), (255, 0, 0), np.uint8))  # blue in OpenCV's order
    assert ImageFiles((path,)).image(0)[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_broken_image_is_one_line(tmp_path, content):
    path = tmp_path / "0001.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable image"):
        ImageFiles((path,)).image(0)


def test_missing_image_is_one_line(tmp_path):
    with pytest.raises(DataError, match="cannot read the frame"):
        ImageFiles((tmp_path / "0001.jpg",)).image(0)


def test_otb_round_trip(tmp_path):
    from rolo_bench.datasets import otb

    otb_folder(tmp_path, ("Square",))
    back = otb.load_sequence(tmp_path, "Square")
    assert np.array_equal(back.truth, square_sequence().truth)
    assert (
        np.abs(back.frames.image(3).astype(int) - square_sequence().frames.image(3)).mean() < 25
    )  # JPEG of noise


def test_an_image_that_is_sent_is_the_image_that_is_read(tmp_path):
    """Also one that EXIF says to turn: both ways give the pixels as they are stored."""
    from PIL import Image

    from rolo_bench.run.cluster import packed

    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "1.jpg", exif=exif)
    here = ImageFiles((tmp_path / "1.jpg",))
    sent = packed(here)
    assert type(sent) is not ImageFiles and sent.image(0).shape == (48, 64, 3)
    np.testing.assert_array_equal(sent.image(0), here.image(0))
    (tmp_path / "1.jpg").write_bytes(b"")
    for frames in (here, packed(here)):
        with pytest.raises(DataError, match="not a readable image"):
            frames.image(0)
