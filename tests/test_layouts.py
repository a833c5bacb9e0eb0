"""Every layout of data set, read from a made-up sample; what is wrong with a folder is said in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolo_bench.cli import main
from rolo_bench.datasets import masks, suites
from rolo_bench.datasets.layouts import LAYOUTS, NAMED, recognise
from rolo_bench.datasets.place import number_frames
from rolo_bench.datasets.table import table_rows
from rolo_bench.errors import DataError, UsageError
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.score import score
from tests.helpers_layouts import FRAMES, SAMPLES, TRUTH, images, lasot, one_based, otb, tc128, vot, write


@pytest.mark.parametrize("name", SAMPLES)
def test_each_layout_gives_its_truth(tmp_path: Path, name: str) -> None:
    layout, make = SAMPLES[name]
    root = tmp_path / name
    make(root, TRUTH)
    found = recognise(root)
    assert found is not None and found[0] == layout
    suite = suites.load_suite(str(root))
    assert suite.family == LAYOUTS[layout].family and not suite.missing
    for sequence in suite.sequences:
        np.testing.assert_allclose(sequence.truth, TRUTH)
        assert sequence.frames.image(FRAMES - 1).shape == (48, 64, 3) and sequence.annotated is None
    assert [s.name for s in suites.load_suite(str(root), images=False).sequences] == list(suite.expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_layout_runs_and_scores_from_the_command_line(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run`, `export`, `import` and `score`; perfect results score 1 under plain and 20/21 under otb."""
    root, results = tmp_path / name, str(tmp_path / "results")
    SAMPLES[name][1](root, TRUTH)
    suite, options = suites.load_suite(str(root)), ["--suite", str(root), "--results", results]
    assert main(["run", "--tracker", "static", "--in-process", *options]) == 0
    for sequence in suite.sequences:
        perfect = RunResult("perfect", sequence.name, "ope", sequence.truth, np.full(FRAMES, 0.1))
        Store(Path(results)).save(suite.name, perfect)
    assert main(["export", "pysot", str(tmp_path / "out"), *options, "--tracker", "perfect"]) == 0
    assert main(["import", "pysot", str(tmp_path / "out"), *options, "--tracker", "again"]) == 0
    assert main(["score", *options]) == 0
    assert f"3 trackers on {len(suite.sequences)} of" in capsys.readouterr().err
    for convention, wanted in (("plain", 1.0), ("otb", 20 / 21)):
        table = score(results, suite, ["perfect", "again"], convention=convention)
        assert table["auc"].tolist() == pytest.approx([wanted] * len(table)) and not table.attrs["misfits"]


coordinates = st.tuples(st.floats(0, 40), st.floats(0, 30), st.floats(2, 20), st.floats(2, 15))
whole = ("vot-masks", "davis")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(coordinates, min_size=2, max_size=5),
    st.sampled_from([s for s in SAMPLES if s not in whole]),
    st.booleans(),
)
def test_whatever_the_boxes_perfect_results_score_one(
    tmp_path_factory: pytest.TempPathFactory, rows: list, name: str, edge: bool
) -> None:
    boxes = np.round(np.array(rows), 6)
    if edge:
        boxes[-1, 0] = -5.5  # reaches over the left edge
    root = tmp_path_factory.mktemp("layout") / name
    SAMPLES[name][1](root, boxes)
    suite = suites.load_suite(str(root), images=False)
    store = Store(root.parent / "results")
    for sequence in suite.sequences:
        np.testing.assert_allclose(sequence.truth, boxes, atol=1e-6)
        store.save(suite.name, RunResult("p", sequence.name, "ope", sequence.truth, np.ones(len(boxes))))
    table = score(store, suite, convention="plain")
    assert (
        table["auc"].tolist() == [1.0] * len(table)
        and not table.attrs["misfits"]
        and table["dropped"].sum() == 0
    )
    share = (len(boxes) - edge) / len(boxes) * 20 / 21
    assert score(store, suite, convention="otb")["auc"].tolist() == pytest.approx([share] * len(table))


def test_absent_targets(tmp_path: Path) -> None:
    hidden = np.arange(FRAMES) == 3
    for name in ("got10k", "lasot", "vot", "nfs"):
        root = tmp_path / name
        SAMPLES[name][1](root, TRUTH)
        if name == "got10k":
            write(root / "GOT-10k_Val_000001" / "cover.label", "".join("0\n" if h else "5\n" for h in hidden))
        elif name == "lasot":
            write(root / "cup" / "cup-1" / "out_of_view.txt", ",".join(str(int(h)) for h in hidden))
        elif name == "vot":
            rows = np.where(hidden[:, None], np.nan, TRUTH)
            write(root / "ball" / "groundtruth.txt", rows)
        else:
            file = root / "toy" / "30" / "toy.txt"
            lines = file.read_text().splitlines()
            lines[3] = lines[3].replace(" 3 0 0 1 ", " 3 1 0 1 ")
            file.write_text("\n".join(lines))
        (sequence,) = suites.load_suite(str(root)).sequences
        assert sequence.absent is not None and sequence.absent.tolist() == hidden.tolist(), name
        assert name != "got10k" or (sequence.extent == (64, 48) and sequence.visibility[3] == 0)


def test_official_rules_are_the_default(tmp_path: Path) -> None:
    for name, rule in {
        "otb": "plain", "vot": "plain", "got10k": "got10k-ao", "lasot": "lasot", "uav123": "uav123", "nfs": "got10k",
        "trackingnet": "trackingnet", "tc128": "got10k",
    }.items():  # fmt: skip
        SAMPLES[name][1](tmp_path / name, TRUTH)
        suite, store = suites.load_suite(str(tmp_path / name)), Store(tmp_path / "results")
        store.save(suite.name, RunResult("p", suite.expected[0], "ope", TRUTH, np.ones(FRAMES)))
        assert set(score(store, suite)["convention"]) == {rule}


def test_a_first_box_alone_runs_and_has_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("got10k", "trackingnet", "otb"):
        root = tmp_path / name
        SAMPLES[name][1](root, TRUTH)
        file = next(
            p
            for p in root.rglob("*.txt")
            if p.name in ("groundtruth.txt", "abc_0.txt", "groundtruth_rect.txt")
        )
        file.write_text(file.read_text().splitlines()[0] + "\n")
        for label in root.rglob("*.label"):
            label.unlink()
        options = ["--suite", str(root), "--results", str(tmp_path / "results")]
        assert main(["run", "--tracker", "static", "--in-process", *options]) == 0
        assert main(["score", *options]) == 1
        assert "only its first box is known" in capsys.readouterr().err


def test_sparse_truth_is_scored_where_it_is(tmp_path: Path) -> None:
    SAMPLES["nfs"][1](tmp_path / "nfs", TRUTH)
    file = tmp_path / "nfs" / "toy" / "30" / "toy.txt"
    file.write_text("\n".join(file.read_text().splitlines()[::3]))
    SAMPLES["pysot"][1](tmp_path / "pysot", TRUTH)
    table = tmp_path / "pysot" / "OTB.json"
    import json

    value = json.loads(table.read_text())
    value["Walk"]["gt_rect"] = value["Walk"]["gt_rect"][::3]
    table.write_text(json.dumps(value))
    for name in ("nfs", "pysot"):
        (sequence,) = suites.load_suite(str(tmp_path / name)).sequences
        assert sequence.annotated is not None and np.flatnonzero(sequence.annotated).tolist() == [0, 3, 6]
        np.testing.assert_allclose(sequence.truth[::3], TRUTH[::3])
        store = Store(tmp_path / "results")
        away = TRUTH.copy()
        away[1::3] += 500  # nobody looks there
        store.save(name, RunResult("p", sequence.name, "ope", away, np.ones(FRAMES)))
        assert score(store, suites.load_suite(str(tmp_path / name)), convention="plain")["auc"].tolist() == [
            1.0
        ]


def test_nfs_at_30_frames_a_second_has_the_annotation_of_240(tmp_path: Path) -> None:
    SAMPLES["nfs"][1](tmp_path, np.repeat(TRUTH, 8, axis=0)[:-3] + np.arange(61)[:, None] % 8)
    folder, file = tmp_path / "toy" / "30" / "toy", tmp_path / "toy" / "30" / "toy.txt"
    for image in sorted(folder.iterdir())[FRAMES:]:
        image.unlink()
    (sequence,) = suites.load_suite(str(tmp_path)).sequences
    np.testing.assert_allclose(sequence.truth, TRUTH)
    with file.open("a") as text:
        text.writelines(
            f'0 1 2 3 4 {k} 0 0 1 "x"\n' for k in range(61, 65)
        )  # frame 64 lies beyond the images
    (sequence,) = suites.load_suite(str(tmp_path)).sequences
    np.testing.assert_allclose(sequence.truth, TRUTH)
    with file.open("a") as text:
        text.write('0 1 2 3 4 80 0 0 1 "x"\n')
    with pytest.raises(DataError, match="speaks of frame 81, but there are 8 images"):
        suites.load_suite(str(tmp_path))


@pytest.mark.parametrize(("image", "gap"), [("00001.jpg", 1), ("00004.jpg", 4), ("00099.jpg", 9)])
def test_images_of_nfs_are_counted_from_one(tmp_path: Path, image: str, gap: int) -> None:
    SAMPLES["nfs"][1](tmp_path, TRUTH)
    path = tmp_path / "toy" / "30" / "toy" / image
    if path.exists():
        path.unlink()
    else:
        images(path.parent, "{:05d}.jpg", range(99, 100))
    with pytest.raises(DataError, match=f"but not {gap}; fetch"):
        suites.load_suite(str(tmp_path))


def test_a_box_out_of_this_world_is_damage(tmp_path: Path) -> None:
    for name in ("otb", "vot", "nfs", "pysot"):
        far = TRUTH.copy()
        far[3, 0] = 1e7
        SAMPLES[name][1](tmp_path / name, far)
        with pytest.raises(DataError, match="box 4 lies beyond 100000 pixels; the file is damaged"):
            suites.load_suite(str(tmp_path / name))


def test_ranges_of_uav123(tmp_path: Path) -> None:
    rows = {(r["suite"], r["name"]): r for r in table_rows("uav123.csv")}
    assert len(rows) == 143 and rows["UAV123", "bird1_2"]["first"] == "775"
    count = 1477 - 775 + 1
    write(tmp_path / "anno" / "UAV123" / "bird1_2.txt", np.tile([1.0, 2, 3, 4], (count, 1)))
    write(tmp_path / "anno" / "UAV123_10fps" / "bird1_2.txt", np.tile([1.0, 2, 3, 4], (493 - 259 + 1, 1)))
    write(tmp_path / "anno" / "UAV20L" / "bird1.txt", np.tile([1.0, 2, 3, 4], (2437, 1)))
    (tmp_path / "data_seq").mkdir()
    for name, sequence, first, frames in (
        ("uav123", "bird1_2", 775, count), ("uav123-10fps", "bird1_2", 259, 235), ("uav20l", "bird1", 1, 2437)
    ):  # fmt: skip
        (found,) = suites.load_suite(name, tmp_path, images=False).sequences
        assert (found.name, found.first_frame, len(found)) == (sequence, first, frames)
    with pytest.raises(UsageError, match="holds UAV123 and UAV123_10fps and UAV20L; choose one by name"):
        suites.load_suite(str(tmp_path))


WHERE = {
    # name: the sample that is laid out, and where in the folder of --data
    "got10k-train": ("got10k", "train"), "got10k-val": ("got10k", "full_data/val"), "got10k-test": ("got10k", "test"),
    "lasot": ("lasot", ""), "lasot-all": ("lasot-flat", ""), "uav123": ("uav123", "UAV123"), "nfs30": ("nfs", ""),
    "trackingnet": ("trackingnet", "TEST"), "trackingnet-train": ("trackingnet", "TRAIN_3"), "tc128": ("tc128", ""),
    "dtb70": ("otb", ""), "visdrone-sot": ("visdrone", ""), "vot": ("vot", "sequences"), "davis": ("davis", "DAVIS"),
    "uav20l": ("uav123", ""), "uav123-10fps": ("uav123", ""), "nfs240": ("nfs", ""),
}  # fmt: skip
RENAMED = {
    "uav20l": ("anno/UAV123", "UAV20L"), "nfs240": ("toy/30", "240"), "uav123-10fps": ("*/UAV123", "UAV123_10fps"),
}  # fmt: skip
"""Folders of those samples that are of a data set's sister."""


def test_the_table_of_data_sets_names_what_is_tested_here() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "data-and-results.md").read_text(encoding="utf-8")
    table = page.partition("| data set | layout | command |")[2].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.strip().splitlines()[1:]]
    named = set(re.findall(r"`(?:--suite )?([a-z0-9-]+)(?: --data DIR)?`", " ".join(row[2] for row in rows)))
    named |= {f"got10k{part}" for part in named if part in ("-train", "-test")} | {"trackingnet-train"}
    assert all("--suite FOLDER" in row[2] for row in rows[:-1]) and len(rows) == len(LAYOUTS) + 1
    assert named - {"-train", "-test"} == set(NAMED) == set(WHERE)
    assert {layout for layout, _ in SAMPLES.values()} == set(LAYOUTS)


@pytest.mark.parametrize("name", WHERE)
def test_each_named_data_set_runs_and_scores_from_the_command_line(tmp_path: Path, name: str) -> None:
    sample, where = WHERE[name]
    SAMPLES[sample][1](tmp_path / where, TRUTH)
    if name in RENAMED:
        old, new = RENAMED[name]
        for folder in tmp_path.glob(old):
            folder.rename(folder.with_name(new))
    options = ["--suite", name, "--data", str(tmp_path), "--results", str(tmp_path / "results"), "--partial"]
    assert main(["run", "--tracker", "static", "--in-process", *options]) == 0
    assert main(["score", *options]) == 0
    assert main(["list", "suites"]) == 0
    with pytest.raises(UsageError, match="get it from its authors"):
        suites.entries(name)


def test_data_sets_by_name(tmp_path: Path) -> None:
    SAMPLES["got10k"][1](tmp_path / "val", TRUTH)
    suite = suites.load_suite("got10k-val", tmp_path)
    assert (suite.name, suite.family, len(suite.sequences)) == ("got10k-val", "got10k", 1)
    otb(tmp_path / "DTB70", TRUTH)
    assert suites.load_suite("dtb70", tmp_path).family == "dtb70"
    lasot(tmp_path / "lasot", TRUTH)
    (cup,) = suites.load_suite("lasot-all", tmp_path / "lasot").sequences
    assert cup.name == "cup-1"
    with pytest.raises(DataError, match="279 of 280 sequences are not in"):
        suites.load_suite("lasot", tmp_path / "lasot")
    assert suites.load_suite("lasot", tmp_path / "lasot", partial=True).note() == "1 of 280 sequences"
    with pytest.raises(DataError, match="does not hold Need for Speed"):
        suites.load_suite("nfs30", tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        suites.load_suite("nfs30", tmp_path / "none")
    assert set(NAMED) <= set(suites.suite_names()) and {n.layout for n in NAMED.values()} <= set(LAYOUTS)
    assert sum(len(r["test"].split()) for r in table_rows("lasot.csv")) == 280
    both = tmp_path / "nfs"
    for rate in ("30", "240"):
        write(both / "toy" / rate / "toy.txt", '0 1 2 3 4 0 0 0 1 "x"\n')
    with pytest.raises(UsageError, match="NfS at 30 and 240 frames a second"):
        suites.load_suite(str(both))


def test_a_level_too_high_or_too_low_is_said(tmp_path: Path) -> None:
    otb(tmp_path / "data" / "mine", TRUTH)
    with pytest.raises(DataError, match="one level too high; name a folder inside it: mine"):
        suites.load_suite(str(tmp_path / "data"))
    with pytest.raises(
        DataError, match="one level too low, it is a part of a data set; name the folder above"
    ):
        suites.load_suite(str(tmp_path / "data" / "mine" / "Walk"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nor a folder of sequences in a known layout"):
        suites.load_suite(str(tmp_path / "empty"))


def test_frame_names(tmp_path: Path) -> None:
    odd = ("cam1_0007_left.png", "cam1_0008_left.png", "cam1_0010_left.png")
    for name in (*odd, "._cam1_0007_left.png", "Thumbs.db", "notes.txt", "cover.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert list(number_frames(tmp_path.iterdir(), tmp_path)) == [7, 8, 10]
    for suffix in ("jpg", "png", "bmp", "webp", "tif"):
        images(tmp_path / suffix, "shot {:d}." + suffix)
        assert list(number_frames((tmp_path / suffix).iterdir(), tmp_path)) == list(range(1, FRAMES + 1))
    with pytest.raises(DataError, match="are frame 1; remove one"):
        number_frames([tmp_path / "1.jpg", tmp_path / "01.png"], tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_annotations_saved_by_windows(tmp_path: Path, encoding: str) -> None:
    otb(tmp_path / "otb", TRUTH)
    vot(tmp_path / "vot", TRUTH)
    for file in [*tmp_path.rglob("groundtruth*.txt"), *tmp_path.rglob("list.txt")]:
        text = file.read_text().replace("\n", "\r\n")
        file.write_bytes((b"\xff\xfe" if encoding == "utf-16-le" else b"") + text.encode(encoding))
    for name in ("otb", "vot"):
        np.testing.assert_allclose(suites.load_suite(str(tmp_path / name)).sequences[0].truth, TRUTH)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_carriage_return_alone_ends_a_line(tmp_path: Path, name: str) -> None:
    """As of old on the Macintosh, in every text file of every layout."""
    SAMPLES[name][1](tmp_path, TRUTH)
    before = suites.load_suite(str(tmp_path)).sequences
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix not in (".jpg", ".png"):
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r"))
    for a, b in zip(before, suites.load_suite(str(tmp_path)).sequences, strict=True):
        assert (a.name, a.extent) == (b.name, b.extent) and np.array_equal(a.truth, b.truth)


def test_names_in_any_language(tmp_path: Path) -> None:
    for suite, name in (("我的视频", "篮球"), ("café", "Straße (1)"), ("my videos", "_hidden_1")):
        otb(tmp_path / suite, TRUTH)
        (tmp_path / suite / "Walk").rename(tmp_path / suite / name)
        options = ["--suite", str(tmp_path / suite), "--results", str(tmp_path / "results")]
        assert (
            main(["run", "--tracker", "static", "--in-process", *options]) == 0
            and main(["score", *options]) == 0
        )


def test_pixels_turned_by_exif_are_taken_as_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    otb(tmp_path / "mine", TRUTH)
    for file in (tmp_path / "mine").rglob("*.jpg"):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (64, 48)).save(file, exif=exif)
    suite = suites.load_suite(str(tmp_path / "mine"))
    assert suite.sequences[0].size() == (64, 48) and "Walk: turned by EXIF" in suite.notes[0]


def test_masks() -> None:
    # 3 x 2 pixels at (10, 20), 1 zero, 2 ones, 1 zero, 2 ones: row 0 is .11, row 1 .11: from x 11 on, 2 wide
    assert masks.parse("m10,20,3,2,1,2,1,2", "f").tolist() == [11, 20, 2, 2]
    assert np.isnan(masks.parse("m0,0,0,0", "f")).all() and np.isnan(masks.parse("m1,2,3,2,6", "f")).all()
    for text in ("m1,2", "m1,2,3,x", "m0,0,2,2,9", "m0,0,-1,2,0"):
        with pytest.raises(DataError, match=r"f, row 1: (not a mask|a mask whose run lengths)"):
            masks.parse(text, "f, row 1")


def test_masks_of_davis(tmp_path: Path) -> None:
    """255 beside a number is nobody's; masks of another size, of too many colours, or empty at first are told."""
    SAMPLES["davis"][1](tmp_path, TRUTH)
    files = sorted((tmp_path / "Annotations" / "480p" / "dog").iterdir())
    masked = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]

    def lay(change: Callable[[np.ndarray, int], np.ndarray]) -> None:
        for k, file in enumerate(files):
            assert cv2.imwrite(str(file), change(masked[k].copy(), k))

    lay(lambda mask, _: np.where(np.arange(48)[:, None] == 47, 255, mask // 255))
    (sequence,) = suites.load_suite(str(tmp_path)).sequences
    assert sequence.name == "dog" and sequence.truth.tolist() == TRUTH.tolist()
    for change, message in (
        (lambda mask, _: mask[::2, ::2], "00000.png: 32 × 24 pixels, its images have 64 × 48"),
        (lambda mask, k: mask[::2] if k == 3 else mask, "00003.png: 64 × 24 pixels"),
        (
            lambda mask, _: cv2.blur(mask, (9, 9)) + np.arange(64).astype(np.uint8),
            "colours, one a target is expected",
        ),
    ):
        lay(change)
        with pytest.raises(DataError, match=message):
            suites.load_suite(str(tmp_path))
    lay(lambda mask, k: mask * (k > 0))
    (sequence,) = suites.load_suite(str(tmp_path)).sequences
    assert np.isnan(sequence.truth[0]).all() and sequence.truth[1:].tolist() == TRUTH[1:].tolist()


def test_ranges_inside_a_longer_video(tmp_path: Path) -> None:
    tc128(tmp_path, TRUTH)
    (sequence,) = suites.load_suite(str(tmp_path)).sequences
    assert sequence.first_frame == 81 and sequence.frames.paths[0].name == "0081.jpg"
    write(tmp_path / "Bike_ce2" / "Bike_ce2_gt.txt", one_based(TRUTH)[:-2])
    with pytest.raises(DataError, match="6 boxes, expected 8 for frames 81 to 88"):
        suites.load_suite(str(tmp_path))


def test_several_targets_of_a_mot_video(tmp_path: Path) -> None:
    SAMPLES["mot"][1](tmp_path, TRUTH)
    file = tmp_path / "MOT-01" / "gt" / "gt.txt"
    file.write_text(file.read_text() + "3,7,5,6,7,8,1,1,1\n6,7,5,6,7,8,1,1,1\n")
    one, two = suites.load_suite(str(tmp_path)).sequences
    assert (one.name, two.name) == ("MOT-01-3", "MOT-01-7") and (two.first_frame, len(two)) == (3, 4)
    assert np.isnan(two.truth[:, 0]).tolist() == [False, True, True, False] and two.truth[0].tolist() == [
        4,
        5,
        7,
        8,
    ]


def test_a_damaged_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    otb(tmp_path / "mine", TRUTH)
    (tmp_path / "mine" / "Walk" / "img" / "0005.jpg").write_text("<html>not found</html>")
    assert (
        main(
            [
                "run",
                "--tracker",
                "static",
                "--suite",
                str(tmp_path / "mine"),
                "--results",
                str(tmp_path / "r"),
            ]
        )
        == 1
    )
    assert "0005.jpg: not a readable image (22 bytes)" in capsys.readouterr().err
    assert cv2.imread(str(tmp_path / "mine" / "Walk" / "img" / "0004.jpg")) is not None
