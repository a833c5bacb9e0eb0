"""VOC XML, image folders and the store of labelled images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rolo_bench.datasets.imagenet import Crops, ImageFolder, cut
from rolo_bench.datasets.labelled import LabelledImage, StoredImages, SyntheticImages, store, stretch
from rolo_bench.datasets.voc import VocImages, read_annotation
from rolo_bench.errors import DataError

GOOD = """<annotation><filename>a.jpg</filename><size><width>40</width><height>30</height><depth>3</depth></size>
<object><name>dog</name><truncated>1</truncated><difficult>0</difficult>
<bndbox><xmin>3</xmin><ymin>5</ymin><xmax>12</xmax><ymax>24</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object></annotation>"""


def folder(tmp_path, text=GOOD):
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    cv2.imwrite(str(tmp_path / "JPEGImages" / "a.jpg"), np.full((30, 40, 3), 90, np.uint8))
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    return tmp_path


def test_boxes_are_zero_based(tmp_path):
    found = read_annotation(folder(tmp_path) / "Annotations" / "a.xml")
    assert found.size == (40, 30)
    # columns 3 … 12, 1-based and inclusive: starts at 2, 10 wide; rows 5 … 24: starts at 4, 20 high
    assert found.objects[0].box.tolist() == [2, 4, 10, 20]
    assert found.objects[1].box.tolist() == [0, 0, 40, 30]
    assert [o.difficult for o in found.objects] == [False, True]
    assert [o.truncated for o in found.objects] == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "say"),
    [
        ("</annotation>", "", "not well-formed XML"),
        ("<xmin>3</xmin>", "", r"object|bndbox/xmin> is missing"),
        ("<xmin>3</xmin>", "<xmin>three</xmin>", "object 1: .*'three', a number expected"),
        ("<xmin>3</xmin>", "<xmin>nan</xmin>", "a number expected"),
        ("<xmax>12</xmax>", "<xmax>1</xmax>", "object 1: .*is empty or outside"),
        ("<xmax>12</xmax>", "<xmax>99</xmax>", "object 1: .*is empty or outside"),
        ("<width>40</width>", "<width>0</width>", "size must be given"),
        ("<width>40</width>", "", "size/width> is missing"),
        ("<name>dog</name>", "", "<name> is missing"),
        ("<filename>a.jpg</filename>", "", "<filename> is missing"),
        ("annotation>", "other>", "the root is <other>"),
        ("<annotation>", "<!DOCTYPE a><annotation>", "document type"),
    ],
)
def test_malformed_annotations_give_one_line(tmp_path, old, new, say):
    path = folder(tmp_path, GOOD.replace(old, new)) / "Annotations" / "a.xml"
    with pytest.raises(DataError, match=say) as error:
        read_annotation(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_random_damage_gives_data_error_or_a_box_inside(tmp_path):
    path = folder(tmp_path) / "Annotations" / "a.xml"
    rng = np.random.default_rng(1)
    raised = 0
    for _ in range(300):
        data = bytearray(GOOD.encode())
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        path.write_bytes(data[: int(rng.integers(20, len(data) + 1))])
        try:
            found = read_annotation(path)
        except DataError as error:
            raised += 1
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert all((o.box[2:] > 0).all() for o in found.objects)
    assert raised > 100


def test_missing_file_and_split(tmp_path):
    with pytest.raises(DataError, match="cannot read the annotation"):
        read_annotation(tmp_path / "none.xml")
    with pytest.raises(DataError, match="no such split"):
        VocImages(folder(tmp_path), "test")


def test_images_of_a_folder(tmp_path):
    images = VocImages(folder(tmp_path), "train")
    example = images.example(0)
    assert len(images) == 1 and example.image.shape == (30, 40, 3)
    assert [images.names[c] for c in example.classes] == ["dog", "cat"]
    assert example.ignored.tolist() == [False, True]


def test_unknown_class_and_wrong_size(tmp_path):
    root = folder(tmp_path, GOOD.replace("dog", "unicorn"))
    with pytest.raises(DataError, match=r"a\.xml: unknown class 'unicorn'"):
        VocImages(root).example(0)
    (root / "Annotations" / "a.xml").write_text(GOOD)
    cv2.imwrite(str(root / "JPEGImages" / "a.jpg"), np.zeros((31, 40, 3), np.uint8))
    with pytest.raises(DataError, match=r"says 40 x 30, but a\.jpg is 40 x 31"):
        VocImages(root).example(0)


def test_stretch_takes_boxes_along():
    example = LabelledImage(
        np.zeros((30, 40, 3), np.uint8), np.array([[4.0, 3, 8, 6]]), np.array([0]), np.zeros(1, bool)
    )
    # 40 -> 80 doubles x; 30 -> 80 multiplies y by 8/3
    np.testing.assert_allclose(stretch(example, 80).boxes, [[8, 8, 16, 16]])


def test_store_is_made_once_and_refuses_another_source(tmp_path):
    source = SyntheticImages("train", 5, 3)
    first = store(source, tmp_path / "s", 64)
    stamp = (tmp_path / "s" / "images.npy").stat().st_mtime_ns
    again = store(source, tmp_path / "s", 64)
    assert (tmp_path / "s" / "images.npy").stat().st_mtime_ns == stamp
    for i in range(3):
        fresh = stretch(source.example(i), 64)
        np.testing.assert_array_equal(again.example(i).image, fresh.image)
        np.testing.assert_allclose(first.example(i).boxes, fresh.boxes)
        assert again.example(i).classes.tolist() == fresh.classes.tolist()
    with pytest.raises(DataError, match="holds images of"):
        store(SyntheticImages("train", 6, 3), tmp_path / "s", 64)


def test_interrupted_store_is_made_anew(tmp_path):
    store(SyntheticImages("valid", 0, 2), tmp_path, 64)
    (tmp_path / "about.json").unlink()
    assert len(store(SyntheticImages("valid", 0, 2), tmp_path, 64)) == 2
    assert isinstance(StoredImages(tmp_path).example(1), LabelledImage)


def test_synthetic_images_leave_out_hidden_objects():
    from rolo_bench.datasets.synthetic.suite import training_image

    for seed in range(30):
        objects = training_image(seed)[1]
        example = SyntheticImages("train", seed, 1).example(0)
        seen = [o for o in objects if o.visibility >= 0.1]
        assert len(example.boxes) == len(seen)
        assert example.ignored.tolist() == [o.visibility < 0.5 for o in seen]


def test_synthetic_images_know_their_range():
    with pytest.raises(IndexError, match="no image 3; there are 3"):
        SyntheticImages("train", 0, 3).example(3)
    with pytest.raises(DataError, match="not for training"):
        SyntheticImages("demo", 0, 3).example(0)


def test_image_folder(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.full((8, 8, 3), len(name), np.uint8))
    images = ImageFolder(tmp_path)
    assert images.names == ("cats", "dogs") and [images.example(i)[1] for i in range(2)] == [0, 1]
    (tmp_path / "eels").mkdir()
    with pytest.raises(DataError, match="eels: no images"):
        ImageFolder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        ImageFolder(tmp_path / "none")


def test_cut_is_square_and_grey_outside():
    image = np.zeros((20, 20, 3), np.uint8)
    out = cut(image, np.array([-4.0, 0, 8, 8]), 0.0)
    assert out.shape == (8, 8, 3)
    assert (out[:, :4] == 114).all() and (out[:, 4:] == 0).all()


def test_crops_have_the_objects_labels(tmp_path):
    source = SyntheticImages("train", 0, 4)
    crops = Crops(source)
    labels = [crops.example(i)[1] for i in range(len(crops))]
    wanted = [
        int(c)
        for i in range(4)
        for c, b, skip in zip(source.example(i).classes, source.example(i).boxes, source.example(i).ignored)
        if not skip and b[2:].min() >= 8
    ]
    assert labels == wanted
