"""Importers: geometry by hand, every format, every refusal, and the published files."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import loadmat, savemat

from rolo_bench.boxes import iou
from rolo_bench.cli import main
from rolo_bench.datasets import masks
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Entry, Suite, entries, load_annotations, tb100, tre_omit
from rolo_bench.errors import DataError, UsageError
from rolo_bench.exchange import geometry, otb_json, otb_mat, text, vot_binary
from rolo_bench.exchange import importing as importers
from rolo_bench.exchange.fit import Repairs, fit_reading, index_names, spelling, split_stem
from rolo_bench.exchange.mat5 import read_variables
from rolo_bench.exchange.reading import Meaning, Reading, spans
from rolo_bench.protocols import tre_starts
from rolo_bench.run.store import Store
from rolo_bench.scores.score import score
from rolo_bench.scores.summary import view
from rolo_bench.sequence import Sequence

FRAMES = 6
ENTRIES = (
    Entry("Alpha", 1, FRAMES),
    Entry("Beta", 247, 246 + FRAMES, aliases=("beta_2",)),
    Entry("Twin-1", 1, FRAMES),
)
RAW = np.array([[10.0 + i, 20.5 - i, 30, 40 + i] for i in range(FRAMES)])  # 1-based, as in files
BOXES = RAW - [1, 1, 0, 0]
SURE = np.linspace(0.75, 0.25, FRAMES)


def struct_of(res: Any = RAW, **fields: Any) -> dict[str, Any]:
    return {
        "type": "rect",
        "res": res,
        "len": len(res),
        "startFrame": 1,
        "annoBegin": 1,
        "fps": 12.5,
    } | fields


def cells(*items: Any) -> np.ndarray:
    cell = np.empty((1, len(items)), dtype=object)
    for i, item in enumerate(items):
        cell[0, i] = item
    return cell


def save_mat(path: Path, *structs: dict[str, Any], compress: bool = True) -> Path:
    path.parent.mkdir(exist_ok=True)
    savemat(path, {"results": cells(*structs)}, do_compression=compress)
    return path


def json_of(**fields: Any) -> dict[str, Any]:
    base = {
        "tracker": "T", "seqName": "Alpha", "startFrame": 1, "endFrame": FRAMES, "evalType": "OPE", "fps": 10.0,
        "shiftType": None, "resType": "rect", "tmplsize": [0.0, 0.0], "res": RAW.tolist(),
    }  # fmt: skip
    return base | fields


def save_json(path: Path, *results: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(list(results)))
    return path


def table(rows: np.ndarray, separator: str = ",") -> str:
    return "".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows)


def run(format_: str, root: Path, tmp_path: Path, **more: Any) -> list[importers.Imported]:
    return list(importers.import_results(format_, root, "mini", ENTRIES, Store(tmp_path / "res"), **more))


def stored(tmp_path: Path, tracker: str, sequence: str = "Alpha", protocol: str = "ope") -> list[Any]:
    return Store(tmp_path / "res").load("mini", protocol, tracker, sequence)


@pytest.fixture(autouse=True, scope="module")
def no_fsync() -> Iterator[None]:
    """Thousands of small files are written here; none of them has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


# Geometry, by hand


def test_affine_ivt_by_hand() -> None:
    # centre (64, 78), template 32 x 32, scales 0.78125 and 1.9375: 64 -+ 12.5 = 51.5, 76.5; 78 -+ 31 = 47, 109;
    # rounded down: (51, 47) to (76, 109), so 25 x 62 -- the truth of Couple's first frame
    boxes = geometry.to_boxes(
        "ivtAff", np.array([[64, 78, 0.78125, 0, 0, 1.9375]]), np.array([32.0, 32.0]), "f"
    )
    assert boxes.tolist() == [[51, 47, 25, 62]]
    # a shear of 0.5 moves x by 0.5 * 16 = 8 more at the lower right corner: 10 -+ (16 + 8) = -14, 34; 20 -+ 16 = 4, 36
    sheared = geometry.affine_ivt(np.array([[10, 20, 1, 0.5, 0, 1.0]]), np.array([32.0, 32.0]))
    assert sheared.tolist() == [[-14, 4, 48, 32]]


def test_affine_l1_by_hand() -> None:
    # row = 2 r + 0 c + 10, column = 0 r + 3 c + 20, template (12 rows, 15 columns):
    # (1, 1) -> row 12, column 23; (12, 15) -> row 34, column 65; both counted: 43 wide, 23 high
    boxes = geometry.to_boxes("L1Aff", np.array([[2, 0, 0, 3, 10, 20.0]]), np.array([12.0, 15.0]), "f")
    assert boxes.tolist() == [[23, 12, 43, 23]]
    # halves are rounded away from zero as in MATLAB: row -2.5 -> -3, column 0.5 -> 1
    half = geometry.affine_l1(np.array([[1, 0, 0, 1, -3.5, -0.5]]), np.array([2.0, 2.0]))
    assert half.tolist() == [[1, -3, 2, 2]]  # last: row -1.5 -> -2, column 1.5 -> 2


def test_affine_lk_by_hand() -> None:
    # warp [[1 + 0.5, 0, 3], [0, 1, 4]] on a template of height 10, width 20: x from 1.5 + 3 = 4.5 to 30 + 3 = 33,
    # y from 5 to 14; width 33 - 4.5 + 1 = 29.5 -> 30, x 4.5 -> 5, height 10
    rows = np.array([[0.5, 0, 3], [0, 0, 4.0]])
    assert geometry.to_boxes("LK_Aff", rows, np.array([10.0, 20.0]), "f").tolist() == [[5, 5, 30, 10]]


def test_corners_and_similarity_by_hand() -> None:
    corners = np.array([[10, 30, 32, 9], [5, 6, 25, 24.0]])  # x from 9 to 32, y from 5 to 25
    assert geometry.to_boxes("4corner", corners, None, "f").tolist() == [[9, 5, 24, 21]]
    assert geometry.to_boxes("four_corners", corners, None, "f").tolist() == [[9, 5, 24, 21]]
    # scale 2, a quarter turn, to (100, 50), template height 3, width 5: (x, y) -> (100 - 2 y, 50 + 2 x):
    # x from 94 to 98, y from 52 to 60
    turned = np.array([[2.0, np.pi / 2, 100, 50]])
    for rows in (turned, np.vstack([turned] * 5).T):  # written across by some
        assert geometry.to_boxes("SIMILARITY", rows, np.array([3.0, 5.0]), "f")[0].tolist() == [94, 52, 5, 9]


def test_geometry_refusals() -> None:
    size = np.array([32.0, 32.0])
    for kind, rows, template, message in [
        ("rext", RAW, None, "unknown result type 'rext'"),
        ("affine_ivt", RAW, size, "needs 6 numbers a row, found 4"),
        ("rect", np.ones((3, 6)), None, "needs 4 numbers a row, found 6"),
        ("ivtAff", np.ones((3, 6)), None, "needs a template size"),
        ("ivtAff", np.ones((3, 6)), np.array([0.0, 32.0]), "needs a template size"),
        ("LK_Aff", np.ones((3, 3)), size, "needs 2 rows a frame, found 3"),
        ("rect", np.ones(4), None, "found shape"),
    ]:
        with pytest.raises(DataError, match=message):
            geometry.to_boxes(kind, rows, template, "f")


# Names


def test_every_name_of_tb100_is_found_under_every_spelling() -> None:
    names = index_names(tb100())
    for entry in tb100():
        for name in (entry.name, *entry.aliases, entry.name.lower(), entry.name.upper()):
            assert names[spelling(name)].name == entry.name
    assert len({e.name for e in names.values()}) == 100


def test_file_names() -> None:
    names = index_names(tb100())
    for stem, expected in {
        "carScale_KCF_GaussHog": ("carScale", "KCF_GaussHog"),
        "Human4.2_Struck": ("Human4.2", "Struck"),
        "Skating2_1_LSK": ("Skating2_1", "LSK"),
        "jogging-1_TLD": ("jogging-1", "TLD"),
        "Mystery_TLD": ("Mystery", "TLD"),
        "Couple": ("Couple", ""),
    }.items():
        assert split_stem(stem, names) == expected
    with pytest.raises(DataError, match="two sequences"):
        index_names((Entry("A-1", 1, 2), Entry("a.1", 1, 2)))


def test_spans() -> None:
    assert spans(np.array([2, 4, 5, 6, 11])) == "3, 5-7, 12"
    assert spans(np.arange(0, 40, 2)).endswith("15 and 12 more places")
    assert spans(np.array([], dtype=int)) == "none"


# OTB .mat


@pytest.mark.parametrize("compress", [True, False])
def test_mat_2013(tmp_path: Path, compress: bool) -> None:
    save_mat(tmp_path / "alpha_My_Tracker.mat", struct_of(), compress=compress)
    (outcome,) = run("otb-mat", tmp_path, tmp_path)
    assert (outcome.what, outcome.sequence, outcome.tracker, outcome.notes) == (
        "imported",
        "Alpha",
        "My_Tracker",
        (),
    )
    (result,) = stored(tmp_path, "My_Tracker")
    np.testing.assert_allclose(result.boxes, BOXES, atol=1e-6)
    np.testing.assert_allclose(result.seconds, 1 / 12.5)
    meta = Store(tmp_path / "res").meta("mini", "ope", "My_Tracker")
    entry = meta["sequences"]["Alpha"]
    assert (
        entry["source"] == "alpha_My_Tracker.mat" and len(entry["sha256"]) == 64 and entry["kind"] == "rect"
    )
    assert entry["format"] == "otb-mat" and meta["imported"]["format"] == "otb-mat"


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_mat_of_any_number_type(tmp_path: Path, dtype: str) -> None:
    """A box at 0 in unsigned bytes must become -1, not 255."""
    raw = np.array([[0, 0, 30, 40]] * FRAMES)
    path = save_mat(tmp_path / "Alpha_T.mat", struct_of(raw.astype(dtype)))
    assert otb_mat.read(path, "Alpha", "T")[0].boxes.tolist() == [[-1, -1, 30, 40]] * FRAMES


def test_mat_bare_result(tmp_path: Path) -> None:
    savemat(tmp_path / "Alpha_MDnet.mat", {"result": RAW.astype(np.uint8)}, do_compression=True)
    reading = otb_mat.read(tmp_path / "Alpha_MDnet.mat", "Alpha", "MDnet")[0]
    assert reading.boxes.tolist() == (RAW.astype(np.uint8).astype(float) - [1, 1, 0, 0]).tolist()


def test_mat_2015_fields(tmp_path: Path) -> None:
    fields = {
        "tracker": "STRUCK", "seq_name": "Beta", "seq_range_str": f"1:{FRAMES}", "seq_len": FRAMES,
        "type": "affine_ivt", "res": np.tile([64, 78, 0.78125, 0, 0, 1.9375], (FRAMES, 1)),
        "tmplsize": [32, 32], "fps": 3.0,
    }  # fmt: skip
    save_mat(tmp_path / "Beta_STRUCK.mat", fields)
    (outcome,) = run("otb-mat", tmp_path / "Beta_STRUCK.mat", tmp_path)
    assert (outcome.what, outcome.sequence) == ("imported", "Beta")
    assert stored(tmp_path, "STRUCK", "Beta")[0].boxes[0].tolist() == [50, 46, 25, 62]
    save_mat(tmp_path / "Alpha_X.mat", fields)
    (outcome,) = run("otb-mat", tmp_path / "Alpha_X.mat", tmp_path)
    assert outcome.what == "refused" and "named after Alpha, but it says that it is of Beta" in str(
        outcome.error
    )


def test_mat_struct_array_and_transform_type(tmp_path: Path) -> None:
    kinds = [("transformType", "O"), ("res", "O"), ("tmplsize", "O"), ("len", "O")]
    array = np.empty((1, 1), dtype=kinds)
    array[0, 0] = ("SIMILARITY", np.tile([[1.0], [0], [9], [19]], (1, FRAMES)), [40.0, 30.0], FRAMES)
    savemat(tmp_path / "Alpha_ORIA.mat", {"results": array}, do_compression=True)
    boxes = otb_mat.read(tmp_path / "Alpha_ORIA.mat", "Alpha", "ORIA")[0].boxes
    assert boxes.tolist() == [[9, 19, 30, 40]] * FRAMES


def tre_structs(base: int) -> list[dict[str, Any]]:
    return [struct_of(RAW[s:], startFrame=base + s) for s in (0, 2, 4)]


def test_mat_of_several_runs(tmp_path: Path) -> None:
    """The same first frame and length: repetitions. Every start its own: TRE. What is neither is refused."""
    save_mat(tmp_path / "a" / "Alpha_T.mat", struct_of(), struct_of(RAW + 0.25), struct_of(RAW - 0.25))
    save_mat(tmp_path / "a" / "Twin-1_T.mat", *[struct_of()] * 3)
    save_mat(tmp_path / "a" / "Beta_S.mat", *[struct_of(startFrame=247)] * 3)
    outcomes = run("otb-mat", tmp_path / "a", tmp_path)
    assert [(o.tracker, o.sequence, o.protocol) for o in outcomes] == [
        *((f"T_{k:03d}", name, "ope") for k in range(3) for name in ("Alpha", "Twin-1")), ("S", "Beta", "ope"),
    ]  # fmt: skip
    assert outcomes[0].notes[0].startswith("3 repetitions of T, filed as …_000 to …_002")
    assert outcomes[-1].notes == ("3 repetitions of S that are the same: one is taken",)
    np.testing.assert_allclose(stored(tmp_path, "T_002")[0].boxes, BOXES - [0.25] * 4, atol=1e-6)
    (only,) = run("otb-mat", tmp_path / "a" / "Alpha_T.mat", tmp_path, protocol="tre")
    assert only.what == "refused" and "holds OPE" in str(only.error)


def test_mat_of_several_runs_that_may_be_either(tmp_path: Path) -> None:
    save_mat(tmp_path / "Alpha_T.mat", *(struct_of(RAW + 2 * k) for k in range(12)))
    (outcome,) = run("otb-mat", tmp_path, tmp_path)
    assert outcome.what == "refused" and "--protocol ope takes them as repetitions" in str(outcome.error)
    assert [o.tracker for o in run("otb-mat", tmp_path, tmp_path, protocol="ope")][::11] == ["T_000", "T_011"]
    assert run("otb-mat", tmp_path, tmp_path, protocol="sre")[0].what == "imported"
    assert len(stored(tmp_path, "T", protocol="sre")) == 12
    save_mat(tmp_path / "Alpha_T.mat", struct_of(), struct_of(), *tre_structs(1)[1:])
    (outcome,) = run("otb-mat", tmp_path, tmp_path)
    assert outcome.what == "refused" and "--protocol tre takes them as starts" in str(outcome.error)
    assert "\n" not in str(outcome.error)
    (outcome,) = run("otb-mat", tmp_path, tmp_path, protocol="tre")
    assert outcome.what == "imported" and len(stored(tmp_path, "T", protocol="tre")) == 4


@pytest.mark.parametrize("base", [1, 247])
def test_mat_tre(tmp_path: Path, base: int) -> None:
    """Starts count in the video or within the range; both end at the last frame."""
    save_mat(tmp_path / "beta-2_T.mat", *tre_structs(base))
    (outcome,) = run("otb-mat", tmp_path / "beta-2_T.mat", tmp_path)
    assert (outcome.protocol, outcome.what) == (
        "ope",
        "imported",
    ) and "first of 3 starts of TRE" in outcome.notes[0]
    assert len(stored(tmp_path, "T", "Beta")[0].boxes) == FRAMES
    (outcome,) = run("otb-mat", tmp_path / "beta-2_T.mat", tmp_path, protocol="tre")
    results = stored(tmp_path, "T", "Beta", "tre")
    assert [(r.segment, r.start, len(r.boxes)) for r in results] == [
        ("tre01", 0, 6),
        ("tre02", 2, 4),
        ("tre03", 4, 2),
    ]
    np.testing.assert_allclose(results[1].boxes, BOXES[2:], atol=1e-6)
    assert outcome.notes == ("3 of 20 starts of TRE",)
    save_mat(tmp_path / "beta_U.mat", *tre_structs(base + 1))
    (outcome,) = run("otb-mat", tmp_path / "beta_U.mat", tmp_path, protocol="tre")
    assert outcome.what == "refused" and "do not end where Beta does" in str(outcome.error)


def test_mat_sre(tmp_path: Path) -> None:
    structs = [struct_of(RAW + i, shiftType=s) for i, s in reversed(list(enumerate(otb_mat.SHIFTS)))]
    save_mat(tmp_path / "Alpha_T.mat", *structs)
    (outcome,) = run("otb-mat", tmp_path / "Alpha_T.mat", tmp_path)
    assert (outcome.protocol, outcome.notes) == ("sre", ())
    results = stored(tmp_path, "T", protocol="sre")
    assert [r.segment for r in results] == [f"sre{i:02d}" for i in range(1, 13)]
    np.testing.assert_allclose(results[3].boxes, BOXES + 3, atol=1e-6)
    (outcome,) = run("otb-mat", tmp_path / "Alpha_T.mat", tmp_path, protocol="ope")
    assert outcome.what == "refused" and "--protocol sre" in str(outcome.error)


@pytest.mark.parametrize(
    ("structs", "message"),
    [
        ([struct_of(RAW[:-2], len=FRAMES)], "4 rows, but it says itself that there are 6"),
        ([struct_of(RAW[:-2])], "4 rows for the 6 frames of Alpha"),
        ([struct_of(np.vstack([RAW, RAW]))], "12 rows for the 6 frames"),
        ([struct_of(len=7)], "6 rows, but it says itself that there are 7"),
        ([struct_of(startFrame=3)], "starts at frame 3"),
        ([struct_of(type="blob")], "unknown result type 'blob'"),
        ([struct_of(len=2.5)], "len field is not a whole number"),
        ([{"res": RAW}], "no type field"),
        ([{"type": "rect"}], "no res field"),
        ([struct_of(RAW * 1e6)], "values beyond 100000"),
        ([struct_of("words")], "not a table of numbers"),
        ([struct_of(np.full((FRAMES, 4), "a"))], "not a table of numbers"),
        ([struct_of(seq_range_str="1:9")], "contradicts itself"),
        ([struct_of(seq_range_str="one")], "cannot read the range"),
        ([struct_of(), {"type": "rect", "res": RAW, "shiftType": "left"}], "no SRE shift while others"),
        ([struct_of(shiftType="sideways")], "unknown SRE shift"),
        ([struct_of(shiftType="left"), struct_of(shiftType="left")], "twice"),
        ([struct_of(), np.zeros((0, 0))], "one of its 2 starts is empty"),
    ],
)  # fmt: skip
def test_mat_refusals(tmp_path: Path, structs: list[Any], message: str) -> None:
    save_mat(tmp_path / "Alpha_T.mat", *structs)
    (outcome,) = run("otb-mat", tmp_path / "Alpha_T.mat", tmp_path)
    assert outcome.what == "refused" and outcome.error is not None
    assert "Alpha_T.mat" in outcome.error and "\n" not in outcome.error
    assert re.search(message, outcome.error)
    assert not (tmp_path / "res").exists()


def test_not_mat_files(tmp_path: Path) -> None:
    good = save_mat(tmp_path / "good.mat", struct_of()).read_bytes()
    plain = save_mat(tmp_path / "plain.mat", struct_of(), compress=False).read_bytes()
    for content, message in [
        (plain.replace(b"startFrame\0", b"startFrame\1"), "damaged"),  # the name runs on into the next
        (b"", "is empty"),
        (b"hello", "not a MATLAB 5 file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "7.3"),
        (good[:200], "cut off or damaged"),
        (good[:-3], "cut off or damaged"),
        (good[:160] + bytes([good[160] ^ 1]) + good[161:], "damaged"),
        (good[:-2] + b"\0\0", "damaged"),
        (good + b"junk", "cut off or damaged"),
    ]:
        (tmp_path / "Alpha_T.mat").write_bytes(content)
        with pytest.raises(DataError, match=message):
            otb_mat.read(tmp_path / "Alpha_T.mat", "Alpha", "T")
    savemat(tmp_path / "Alpha_T.mat", {"other": 1})
    with pytest.raises(DataError, match="it holds other"):
        otb_mat.read(tmp_path / "Alpha_T.mat", "Alpha", "T")
    savemat(tmp_path / "Alpha_T.mat", {"results": RAW})
    with pytest.raises(DataError, match="not made of structs"):
        otb_mat.read(tmp_path / "Alpha_T.mat", "Alpha", "T")


def test_rows_that_are_no_box_are_named(tmp_path: Path) -> None:
    raw = RAW.astype(complex)
    raw[1] = np.nan
    raw[2, 2] = 0
    raw[4, 0] += 3j
    save_mat(tmp_path / "Alpha_T.mat", struct_of(raw))
    (outcome,) = run("otb-mat", tmp_path, tmp_path)
    assert outcome.notes == (
        "complex numbers in rows 5: taken as no box",
        "NaN in rows 2, 5: taken as no box",
        "zero or negative size in rows 3: taken as no box",
    )
    assert np.isnan(stored(tmp_path, "T")[0].boxes).all(axis=1).tolist() == [
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    assert Store(tmp_path / "res").meta("mini", "ope", "T")["sequences"]["Alpha"]["notes"] == list(
        outcome.notes
    )


# Repairs


def reading(rows: np.ndarray, **more: Any) -> Reading:
    return Reading(Path("f"), "Alpha", "T", rows, **more)


def test_named_repairs() -> None:
    short, long = reading(BOXES[:4], stated=FRAMES), reading(np.vstack([BOXES, BOXES]))
    padded = fit_reading(short, ENTRIES[0], Repairs(pad="none"))
    assert np.isnan(padded.boxes[4:]).all() and len(padded.boxes) == FRAMES
    assert padded.notes == ("2 rows missing at the end (rows 5-6): no box",)
    held = fit_reading(short, ENTRIES[0], Repairs(pad="hold"))
    np.testing.assert_array_equal(held.boxes[4:], BOXES[[3, 3]])
    cut = fit_reading(long, ENTRIES[0], Repairs(cut="auto"))
    np.testing.assert_array_equal(cut.boxes, BOXES)
    assert cut.notes == ("rows 7-12 lie after the benchmark's range: left out",)
    gaps = BOXES.copy()
    gaps[[0, 2, 3]] = np.nan
    filled = fit_reading(reading(gaps), ENTRIES[0], Repairs(hold=True))
    assert np.isnan(filled.boxes[0]).all()
    np.testing.assert_array_equal(filled.boxes[2:4], BOXES[[1, 1]])
    assert filled.notes == ("rows 3-4: the last box repeated",)


RANGE = Entry("Late", 4, 3 + FRAMES)
WHOLE = np.vstack(
    [BOXES[:1] + [[90, 90, 0, 0]]] * 3 + [BOXES]
)  # a row per image of the video, from frame 1 on


def cut_of(rows: np.ndarray, entry: Entry = RANGE, truth: np.ndarray | None = BOXES, cut: str = "auto"):
    return fit_reading(reading(rows), entry, Repairs(cut=cut), truth)


@pytest.mark.parametrize("truth", [BOXES, None])
def test_rows_of_a_whole_video_lose_those_before_the_range(truth: np.ndarray | None) -> None:
    found = cut_of(WHOLE, truth=truth)
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert found.notes == ("rows 1-3 lie before the benchmark's range: left out",)
    known = Entry("Late", 4, 3 + FRAMES, images=tuple(range(1, 6 + FRAMES)))
    both = cut_of(np.vstack([WHOLE, WHOLE[:2]]), known, truth)
    np.testing.assert_array_equal(both.boxes, BOXES)
    assert [n.split(" the ")[0] for n in both.notes] == ["rows 1-3 lie before", "rows 10-11 lie after"]
    zero = Entry("Late", 3, 2 + FRAMES, images=tuple(range(3 + FRAMES)))  # frames count from 0
    np.testing.assert_array_equal(cut_of(WHOLE, zero, truth).boxes, BOXES)


def test_the_first_box_settles_what_counts_do_not() -> None:
    for rows, first in ((np.vstack([BOXES, BOXES[-2:]]), "7-8"), (np.vstack([WHOLE, BOXES[-1:]]), "1-3")):
        found = cut_of(rows)
        np.testing.assert_array_equal(found.boxes, BOXES)
        assert found.notes[0].startswith(f"rows {first} lie")


def test_what_is_ambiguous_is_refused_with_both_ways_out() -> None:
    longer = np.vstack([BOXES, BOXES[-2:]])
    for rows, truth in (
        (longer, None),
        (longer + [500, 0, 0, 0], None),
        (np.vstack([BOXES, BOXES[-3:]]), BOXES),
    ):
        # no truth at hand; neither fits; counts say from the front, the first box says from the back
        with pytest.raises(DataError, match=r"--cut before or --cut after"):
            cut_of(rows, truth=truth)
    np.testing.assert_array_equal(cut_of(longer, cut="after").boxes, BOXES)
    np.testing.assert_array_equal(cut_of(WHOLE, truth=None, cut="before").boxes, BOXES)
    with pytest.raises(DataError, match="leave out those outside with --cut"):
        fit_reading(reading(WHOLE), RANGE, Repairs(), BOXES)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(2, 30),
    st.integers(0, 9),
    st.sampled_from(["range", "last", "images"]),
    st.data(),
)
def test_whatever_the_range_perfect_rows_stay_perfect(
    first: int, frames: int, tail: int, rows: str, data: st.DataObject
) -> None:
    """Rows of the range, of all frames up to its end, or of all images: what is left is the truth of the range."""
    steps = data.draw(arrays(np.float64, (first - 1 + frames + tail, 2), elements=st.integers(-9, 9)))
    video = np.hstack([100 + steps.cumsum(axis=0), np.tile([20.0, 30.0], (len(steps), 1))])
    last = first - 1 + frames
    truth = video[first - 1 : last]
    entry = Entry("Late", first, last, images=tuple(range(1, len(video) + 1)))
    given_rows = {"range": truth, "last": video[:last], "images": video}[rows]
    for known in (truth, None):
        found = fit_reading(reading(given_rows), entry, Repairs(cut="auto"), known)
        np.testing.assert_array_equal(found.boxes, truth)
        assert not [n for n in found.notes if "first box" in n or "seems" in n]


def test_times_are_cut_with_their_rows() -> None:
    found = fit_reading(reading(WHOLE, seconds=np.arange(9.0)), RANGE, Repairs(cut="auto"), BOXES)
    assert found.seconds.tolist() == [3, 4, 5, 6, 7, 8]


def test_first_box_is_held_against_the_truth() -> None:
    assert fit_reading(reading(BOXES), ENTRIES[0], Repairs(), BOXES).notes == ()
    (note,) = fit_reading(reading(BOXES + 500), ENTRIES[0], Repairs(), BOXES).notes
    assert "first box is not the truth (overlap 0.00)" in note


def test_rows_that_hold_more_than_a_box(tmp_path: Path) -> None:
    corners = np.hstack([RAW[:, :2], RAW[:, :2] + RAW[:, 2:]])
    polygon = np.column_stack(
        [corners[:, [0, 1]], corners[:, [2, 1]], corners[:, [2, 3]], corners[:, [0, 3]]]
    )
    number, one = np.arange(1, FRAMES + 1.0)[:, None], np.ones((FRAMES, 1))
    mot = np.hstack([number, one, RAW, one, -one, -one, -one])
    for rows, kind in (
        (np.hstack([RAW, one * 0.9]), "confidence"),
        (polygon, "polygon"),
        (mot, "MOT"),
        (mot[:, :9], "MOT"),
    ):
        (tmp_path / "Alpha.txt").write_text(table(rows))
        (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
        np.testing.assert_allclose(found.boxes, BOXES)
        assert kind in found.kind
    (tmp_path / "Alpha.txt").write_text(table(corners))
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T", Meaning(corners=True))
    np.testing.assert_allclose(found.boxes, BOXES)
    (tmp_path / "Alpha.txt").write_text(table(mot[[0, 1, 4]]))
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
    assert np.isnan(found.boxes[:, 0]).tolist() == [False, False, True, True, False] and found.first == 1
    for rows, message in (
        (mot[::-1], "row 2: frame 5 after 6; not in order"),
        (mot + [0, 1, *[0] * 8] * (number > 3), "2 targets"),
        (mot + [0, 0.5, *[0] * 8], "1.5 in its second column is no number of a target"),
        (mot + [0.5, *[0] * 9], "1.5 is no number of a frame"),
        (mot + [2e5, *[0] * 9] * (number > 3), "row 4: frame 200004 after 3; not in order, or damaged"),
    ):
        (tmp_path / "Alpha.txt").write_text(table(rows))
        with pytest.raises(DataError, match=message):
            text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")


def test_confidence_of_mot_rows(tmp_path: Path) -> None:
    number, one = np.arange(1, FRAMES + 1.0), np.ones(FRAMES)
    sure = np.linspace(0.9, -0.1, FRAMES)
    for column, wanted in ((sure, sure), (one, None), (-one, None)):
        mot = np.column_stack([number, one, RAW, column, -one, -one, -one])
        for columns in (7, 9, 10):
            (tmp_path / "Alpha.txt").write_text(table(mot[:, :columns]))
            (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
            np.testing.assert_allclose(found.boxes, BOXES)
            assert (found.scores is None) == (wanted is None)
            if wanted is not None:
                np.testing.assert_allclose(found.scores, wanted)
    mot = np.column_stack([number, one, RAW, sure, -one, -one, -one])
    (tmp_path / "Alpha.txt").write_text(table(mot[[0, 1, 4, 5]]))
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
    assert (
        found.scores is not None and np.isnan(found.scores).tolist() == np.isnan(found.boxes[:, 0]).tolist()
    )


def test_a_run_whose_rows_mostly_hold_no_box_is_named(tmp_path: Path) -> None:
    raw = RAW.copy()
    raw[1:5] = np.nan
    (tmp_path / "Alpha.txt").write_text(table(raw))
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
    assert found.notes[-1] == "4 of 6 rows hold no box: is this the right run?"


# OTB JSON


def test_json(tmp_path: Path) -> None:
    save_json(tmp_path / "T" / "Alpha.json", json_of())
    (outcome,) = run("otb-json", tmp_path / "T", tmp_path)
    assert (outcome.what, outcome.tracker, outcome.notes) == ("imported", "T", ())
    np.testing.assert_allclose(stored(tmp_path, "T")[0].boxes, BOXES, atol=1e-6)
    affine = json_of(
        resType="affine_ivt", tmplsize=[32, 32], res=[[64, 78, 0.78125, 0, 0, 1.9375]] * FRAMES, tracker="IVT"
    )  # fmt: skip
    save_json(tmp_path / "IVT" / "Alpha.json", affine)
    run("otb-json", tmp_path / "IVT", tmp_path)
    assert stored(tmp_path, "IVT")[0].boxes[5].tolist() == [50, 46, 25, 62]


def test_json_tre_and_sre(tmp_path: Path) -> None:
    starts = [json_of(evalType="TRE", startFrame=s + 1, res=RAW[s:].tolist()) for s in (0, 3)]
    (outcome,) = run("otb-json", save_json(tmp_path / "T" / "Alpha.json", *starts), tmp_path)
    assert outcome.protocol == "tre"
    assert [r.start for r in stored(tmp_path, "T", protocol="tre")] == [0, 3]
    shifts = [json_of(evalType="SRE", shiftType=s) for s in ("down", "left")]
    (outcome,) = run("otb-json", save_json(tmp_path / "T" / "Alpha.json", *shifts), tmp_path)
    assert outcome.protocol == "sre" and outcome.notes == ("2 of 12 starts of SRE",)
    assert [r.segment for r in stored(tmp_path, "T", protocol="sre")] == ["sre01", "sre04"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a list of results"),
        ("[1]", "expected a list of results"),
        ('[{"seqName": "Alpha", "seqName": "Beta"}]', "twice"),
        ("[" * 5000, "not valid JSON"),
        ([json_of(res=[])], "holds no rows"),
        ([json_of(res=[[1, 2, 3, 4], [1, 2, 3]])], "row 2: expected a list of 4 numbers"),
        ([json_of(res=[[1, 2, 3, True]])], "row 1: not a number"),
        ([json_of(res=[[1, 2, 3, "4"]])], "row 1: not a number"),
        ([json_of(res=[[1, 2, 3, 10**400]])], "too large"),
        ([json_of(res=[[1, 2, 3, 1e9]] * FRAMES)], "values beyond"),
        ([json_of(res=7)], "holds no rows"),
        ([json_of(endFrame=FRAMES + 1)], "6 rows, but it says itself that there are 7"),
        ([json_of(endFrame=10**400)], "not a whole number"),
        ([json_of(startFrame=1.5)], "not a whole number"),
        ([json_of(evalType="OPA")], "unknown evalType"),
        ([json_of(evalType=3)], "evalType is not a word"),
        ([json_of(shiftType="left")], "names an SRE shift"),
        ([json_of(seqName="Beta")], "named after Alpha"),
        ([json_of(seqName="Gamma")], "unknown sequence 'Gamma'"),
        ([json_of(), json_of()], "2 results in a file of one-pass"),
        ([json_of(evalType="TRE"), json_of(evalType="TRE", tracker="U")], "mixes"),
        ([json_of(fps="fast")], "fps is not a number"),
        ([{k: v for k, v in json_of().items() if k != "res"}], "has no res"),
    ],
)
def test_json_refusals(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "T").mkdir()
    path = tmp_path / "T" / "Alpha.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (outcome,) = run("otb-json", path, tmp_path)
    assert outcome.what == "refused" and message in str(outcome.error) and "\n" not in str(outcome.error)


def test_json_null_and_nan_are_no_box(tmp_path: Path) -> None:
    rows = RAW.tolist()
    rows[1], rows[3][0] = [None] * 4, float("nan")
    path = save_json(tmp_path / "T" / "Alpha.json", json_of(res=rows, extra=1))
    (found,) = otb_json.read(path, "Alpha", "T")
    assert np.isnan(found.boxes).all(axis=1).tolist() == [False, True, False, True, False, False]
    assert found.notes == ("unknown fields extra: not used", "NaN in rows 2, 4: taken as no box")


# Text formats


def test_text_layouts(tmp_path: Path) -> None:
    files = {
        "got/T/Alpha.txt": table(RAW),
        "got/T/times/Alpha_time.txt": "0.5\n" * FRAMES,
        "got/U/Beta/Beta_001.txt": table(RAW),
        "got/U/Beta/Beta_002.txt": table(RAW + 1),
        "got/U/Beta/Beta_time.txt": "0.25,0.3,0.3\n" * FRAMES,
        "py/atom/default_000/Twin_1.txt": table(RAW, "\t"),
        "py/atom/default_000/Twin_1_time.txt": "0.125\n" * FRAMES,
        "sot/V/Alpha.txt": table(RAW),
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert [(o.tracker, o.sequence, o.what) for o in run("got10k", tmp_path / "got", tmp_path)] == [
        ("T", "Alpha", "imported"),
        ("U_000", "Beta", "imported"),
        ("U_001", "Beta", "imported"),
    ]
    np.testing.assert_allclose(stored(tmp_path, "T")[0].seconds, 0.5)
    for number, seconds in ((0, 0.25), (1, 0.3)):
        (run_,) = stored(tmp_path, f"U_{number:03d}", "Beta")
        np.testing.assert_allclose(run_.seconds, seconds)
        np.testing.assert_allclose(run_.boxes, BOXES + [number, number, number, number], atol=1e-6)
    (outcome,) = run("pytracking", tmp_path / "py", tmp_path)
    assert (outcome.tracker, outcome.sequence) == ("atom_default_000", "Twin-1")
    (outcome,) = run("pysot", tmp_path / "sot", tmp_path, tracker="W", meaning=Meaning(zero_based=True))
    np.testing.assert_allclose(stored(tmp_path, "W")[0].boxes, RAW, atol=1e-6)


@pytest.mark.parametrize(
    ("format_", "files"),
    [
        ("pysot", {"T/Alpha.txt": table(np.column_stack([RAW, SURE]))}),
        ("got10k", {"T/Alpha.txt": table(np.column_stack([RAW, SURE]), "\t")}),
        ("pytracking", {"T/Alpha.txt": table(RAW), "T/Alpha_object_presence_scores.txt": table(SURE[:, None])}),
        ("pytracking", {"T/Alpha.txt": table(RAW), "T/Alpha_all_scores.txt": table(SURE[1:, None])}),
        ("vot", {"T/longterm/Alpha/Alpha_001.txt": table(BOXES),
                 "T/longterm/Alpha/Alpha_001_confidence.value": "\n" + table(SURE[1:, None])}),
        ("vot", {"T/unsupervised/Alpha/Alpha_001.txt": table(BOXES),
                 "T/unsupervised/Alpha/Alpha_001_time.value": "1\n" * 6,
                 "T/unsupervised/Alpha/Alpha_001_certainty.value": table(SURE[:, None])}),
    ],
)  # fmt: skip
def test_confidence_of_every_layout(tmp_path: Path, format_: str, files: dict[str, str]) -> None:
    """A fifth number, or a file beside the boxes; VOT's first row is empty, others leave it out."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (outcome,) = run(format_, tmp_path / "T", tmp_path)
    assert outcome.what == "imported"
    assert outcome.notes == (
        ("confidence taken from Alpha_001_certainty.value",) if "certainty" in str(files) else ()
    )
    (result,) = stored(tmp_path, "T")
    np.testing.assert_allclose(result.boxes, BOXES, atol=1e-6)
    assert result.scores[1:] == pytest.approx(SURE[1:], abs=1e-6)
    assert run(format_, tmp_path / "T", tmp_path)[0].what == "unchanged"


def test_a_confidence_that_changes_is_another_result(tmp_path: Path) -> None:
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "Alpha.txt").write_text(table(RAW))
    beside = tmp_path / "T" / "Alpha_all_scores.txt"
    assert [run("pysot", tmp_path / "T", tmp_path)[0].what for _ in range(2)] == ["imported", "unchanged"]
    beside.write_text(table(SURE[:, None]))
    assert [run("pysot", tmp_path / "T", tmp_path)[0].what for _ in range(2)] == ["imported", "unchanged"]
    beside.write_text(table(SURE[:, None] / 2))
    assert run("pysot", tmp_path / "T", tmp_path)[0].what == "imported"
    assert stored(tmp_path, "T")[0].scores[0] == 0.375


@pytest.mark.parametrize(
    ("files", "note"),
    [
        (
            {"confidence": "0.5\n" * 3},
            "confidence not used: Alpha_001_confidence.value has 3 rows for 6 boxes",
        ),
        ({"confidence": "\x00"}, "confidence not used: .*not a plain text file"),
        ({"a": "1\n" * 6, "b": "1\n" * 6}, "it may be Alpha_001_a.value or Alpha_001_b.value"),
        ({"confidence": "inf\n" * 6}, None),
        ({"confidence": "\n" * 6}, None),
    ],
)
def test_confidence_that_does_not_fit_is_named(
    tmp_path: Path, files: dict[str, str], note: str | None
) -> None:
    folder = tmp_path / "T" / "longterm" / "Alpha"
    folder.mkdir(parents=True)
    (folder / "Alpha_001.txt").write_text(table(BOXES))
    for name, content in files.items():
        (folder / f"Alpha_001_{name}.value").write_text(content)
    (outcome,) = run("vot", tmp_path / "T", tmp_path)
    assert outcome.what == "imported" and stored(tmp_path, "T")[0].scores is None
    assert re.search(note, outcome.notes[0]) if note else outcome.notes == ()


def test_confidence_goes_with_its_rows(tmp_path: Path) -> None:
    """Rows left out or filled take their confidence with them; infinite ones are none."""
    scores = np.append(SURE, [0.125, np.inf])
    long = Reading(Path("f"), "Alpha", "T", np.vstack([BOXES, BOXES[:2]]), scores=scores)
    assert fit_reading(long, ENTRIES[0], Repairs(cut="after")).scores.tolist() == SURE.tolist()
    short = Reading(Path("f"), "Alpha", "T", BOXES[:4], scores=SURE[:4])
    filled = fit_reading(short, ENTRIES[0], Repairs(pad="hold")).scores
    assert filled[:4].tolist() == SURE[:4].tolist() and np.isnan(filled[4:]).all()
    (tmp_path / "Alpha.txt").write_text(table(np.column_stack([RAW, scores[[0, 1, 2, 3, 4, 7]]])))
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
    assert found.scores is not None and np.isnan(found.scores[5]) and not np.isnan(found.boxes).any()


def test_repetitions_in_one_folder(tmp_path: Path) -> None:
    """Several runs are filed each; where all are the same there is one; a sequence without chance serves each."""
    for name, shifts in {
        "T/Alpha": (0, 1, 2),
        "T/Twin-1": (0, 0, 0),
        "S/Alpha": (0, 0),
        "S/Twin-1": (1,),
    }.items():
        folder = tmp_path / "got" / name
        folder.mkdir(parents=True)
        for number, shift in enumerate(shifts, 1):
            (folder / f"{folder.name}_{number:03d}.txt").write_text(table(RAW + shift))
    outcomes = run("got10k", tmp_path / "got", tmp_path)
    assert [(o.tracker, o.sequence) for o in outcomes] == [
        ("S", "Alpha"), ("S", "Twin-1"),
        ("T_000", "Alpha"), ("T_000", "Twin-1"), ("T_001", "Alpha"), ("T_001", "Twin-1"),
        ("T_002", "Alpha"), ("T_002", "Twin-1"),
    ]  # fmt: skip
    assert [n for o in outcomes for n in o.notes] == [
        "2 repetitions of S that are the same: one is taken",
        "3 repetitions of T, filed as …_000 to …_002; `score --view repeats` gives mean and spread; those of 1 "
        "sequence do not differ, and one serves each",
    ]
    for number in range(3):
        (alpha,), (twin,) = stored(tmp_path, f"T_{number:03d}"), stored(tmp_path, f"T_{number:03d}", "Twin-1")
        np.testing.assert_allclose([alpha.boxes[0, 0], twin.boxes[0, 0]], [9 + number, 9], atol=1e-6)
    assert {o.what for o in run("got10k", tmp_path / "got", tmp_path)} == {"unchanged"}
    named = run("got10k", tmp_path / "got" / "T", tmp_path, tracker="W")
    assert {o.tracker for o in named} == {"W_000", "W_001", "W_002"}


def test_a_repetition_that_lacks_a_file_or_is_damaged_costs_that_one(tmp_path: Path) -> None:
    for name, content in {
        "Alpha/Alpha_001": RAW,
        "Alpha/Alpha_003": RAW + 1,
        "Twin-1/Twin-1_001": RAW,
    }.items():
        path = tmp_path / "T" / "baseline" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(table(content))
    (path.parent / "Twin-1_002.txt").mkdir()
    (path.parent / "Twin-1_003.txt").write_text("1,2,3\n")
    got = [(o.tracker, o.sequence, o.what) for o in run("vot", tmp_path, tmp_path)]
    assert got == [
        ("T_000", "Alpha", "imported"), ("T_000", "Twin-1", "imported"),
        ("T_001", "Alpha", "imported"), ("T_001", "Twin-1", "refused"),
    ]  # fmt: skip


def test_repetitions_score_as_got10k_scores_them(tmp_path: Path) -> None:
    """Its report puts the overlaps of all files of all sequences into one mean; checked against got10k 0.1.3."""
    rng, overlaps = np.random.default_rng(0), []
    for name in ("Alpha", "Twin-1"):
        folder = tmp_path / "got" / "T" / name
        folder.mkdir(parents=True)
        for number in range(1, 4):
            moved = RAW + rng.normal(0, 3, RAW.shape) * (np.arange(FRAMES) > 0)[:, None]
            (folder / f"{name}_{number:03d}.txt").write_text(table(np.round(moved, 3)))
            read_back = np.loadtxt(folder / f"{name}_{number:03d}.txt", delimiter=",")
            overlaps.append(iou(read_back, RAW)[1:])
    run("got10k", tmp_path / "got", tmp_path)
    videos = tuple(Sequence(name, NoFrames(FRAMES), BOXES, ()) for name in ("Alpha", "Twin-1"))
    names = ("Alpha", "Twin-1")
    scores = score(
        Store(tmp_path / "res"), Suite("mini", videos, names, (), "got10k"), convention="got10k-ao"
    )
    (row,) = view(scores, "repeats").itertuples()
    assert (row.tracker, row.runs) == ("T", 3) and row.auc_spread > 0
    assert row.auc == pytest.approx(np.concatenate(overlaps).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("1,2,3\n" * FRAMES, "row 1: expected 4 numbers, found 3"),
        ("1,2,3,4\n" * 5 + "1,2,3,x\n", "row 6: not a number: 'x'"),
        ("1,2,3,4\n" * 5 + "1,2,3,1_0\n", "not a number: '1_0'"),
        ("1,2,3,4\n" * 5 + "1,2,3,inf\n", "rows 6: values beyond"),
        ("1,2,3,4\n" * 5 + "1,2,3,\u0664\n", "not a number"),
        ("1,2,3,4\n" * 5 + "1,,3,4\n", "row 6: a value is missing"),
        ("1,2,3,4\n\n" + "1,2,3,4\n" * 5, "row 2: empty"),
        ("1,2,3,4\n" * 7, "7 rows for the 6 frames"),
        ("1,2,3,4\n" * 5 + "1,2,3,4e8\n", "values beyond"),
        ("1,2,3,4\n\x0c" + "1,2,3,4\n" * 5, "control character"),
        ("1,2,3,4\u2028" + "1,2,3,4\n" * 5, "control character|not a number"),
    ],
)
def test_text_refusals(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "Alpha.txt").write_text(content, encoding="utf-8")
    (outcome,) = run("got10k", tmp_path / "T", tmp_path)
    assert outcome.what == "refused"
    assert re.search(message, str(outcome.error))
    (tmp_path / "T" / "Alpha.txt").write_bytes(b"1,2,3,4\xff\n")
    assert "not a readable text file" in str(run("got10k", tmp_path / "T", tmp_path)[0].error)
    (tmp_path / "T" / "Alpha.txt").write_bytes(table(RAW).encode("utf-16"))
    assert run("got10k", tmp_path / "T", tmp_path)[0].what == "imported"


NUMBERED = np.column_stack([np.arange(1, FRAMES + 1), RAW])
HALF = np.column_stack([RAW[:, 2:] / 2, np.zeros((FRAMES, 2))])
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
BLUNDERS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    # what is wrong: format, files, and of each file refused the line, of each imported the remark (empty: none)
    "frames counted in front": ("pysot", {"T/Alpha.txt": table(NUMBERED)}, {"Alpha": "counts the frames"}),
    "frames from 0 in front": ("pysot", {"T/Alpha.txt": table(NUMBERED - [1, 0, 0, 0, 0])}, {"Alpha": "counts the fr"}),
    "seven columns that are not MOT": ("pysot", {"T/Alpha.txt": table(np.column_stack([NUMBERED, RAW[:, :2]]))},
        {"Alpha": "holds 6 targets"}),
    "frames in front, confidence behind": ("pysot", {"T/Alpha.txt": table(np.column_stack([NUMBERED, SURE]))},
        {"Alpha": "found 6"}),
    "MOT from frame 0": ("pysot", {"T/Alpha.txt": table(np.column_stack(
        [NUMBERED[:, :1] - 1, np.ones(FRAMES), RAW, np.ones((FRAMES, 4))]))}, {"Alpha": "starts at frame 0"}),
    "middles": ("pysot", {"T/Alpha.txt": table(RAW + HALF)}, {"Alpha": "look like the middle of the box"}),
    "y before x": ("pysot", {"T/Alpha.txt": table(RAW[:, [1, 0, 3, 2]])}, {"Alpha": "look like y, x, h, w"}),
    "fractions": ("pysot", {"T/Alpha.txt": table(RAW / [320, 240, 320, 240])}, {"Alpha": "fractions of the image"}),
    "a confidence on some rows": ("pysot", {"T/Alpha.txt": table(RAW[:1]) + table(NUMBERED[1:])},
        {"Alpha": "row 2: expected 4"}),
    "confidence in words": ("pysot", {"T/Alpha.txt": table(RAW).replace("\n", ",high\n")},
        {"Alpha": "not a number: 'high'"}),
    "confidence of a hundred": ("pysot", {"T/Alpha.txt": table(np.column_stack([RAW, 100 * SURE]))}, {"Alpha": ""}),
    "the first frame left out": ("pysot", {"T/Alpha.txt": table(RAW[1:])}, {"Alpha": "5 rows for the 6 frames"}),
    "written twice": ("pysot", {"T/Alpha.txt": table(RAW) * 2}, {"Alpha": "12 rows for the 6 frames"}),
    "commas for points": ("pysot", {"T/Alpha.txt": table(RAW, "\t").replace(".", ",")},
        {"Alpha": "expected 4 numbers, found 2"}),
    "a comment on top": ("pysot", {"T/Alpha.txt": "# x y w h\n" + table(RAW)}, {"Alpha": "found 1: '# x y w h'"}),
    "empty rows below": ("pysot", {"T/Alpha.txt": table(RAW) + "\n\n"}, {"Alpha": ""}),
    "None for no box": ("pysot", {"T/Alpha.txt": table(RAW[:5]) + "None,None,None,None\n"},
        {"Alpha": "not a number: 'None'"}),
    "minus one for no box": ("pysot", {"T/Alpha.txt": table(RAW[:4]) + "-1,-1,-1,-1\n" * 2},
        {"Alpha": "rows 5-6: taken as no box"}),
    "a pointer of git-lfs": ("pysot", {"T/Alpha.txt": LFS}, {"Alpha": "version https://git-lfs"}),
    "copies and notes beside": ("pysot", {"T/Alpha.txt": table(RAW), "T/Alpha (1).txt": table(RAW),
        "T/._Alpha.txt": "\0",
        "T/readme.txt": "hello\n"}, {"Alpha": "", "Alpha (1)": "unknown sequence", "readme": "found 1: 'hello'"}),
    "a sequence in two cases": ("pysot", {"T/Alpha.txt": table(RAW), "T/alpha.txt": table(RAW + 1)},
        {"Alpha": "", "alpha": "has results on Alpha from another file"}),
    "one repetition empty": ("got10k", {"T/Alpha/Alpha_001.txt": table(RAW), "T/Alpha/Alpha_002.txt": ""},
        {"T_000": "2 repetitions of T", "T_001": "is empty"}),
    "one repetition short": ("vot", {"T/e/Alpha/Alpha_001.txt": table(BOXES),
        "T/e/Alpha/Alpha_002.txt": table(BOXES[:4])},
        {"T_000": "2 repetitions of T", "T_001": "4 rows for the 6 frames"}),
    "json of another toolkit": ("otb-json", {"T/Alpha.json": json.dumps({"Alpha": RAW.tolist()})},
        {"Alpha": "has no seqName"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BLUNDERS)
def test_blunders_of_other_peoples_files(tmp_path: Path, name: str) -> None:
    """Each file is read right, with a remark where its numbers are doubtful, or refused in one line."""
    format_, files, wanted = BLUNDERS[name]
    for path, content in files.items():
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path).write_text(content)
    outcomes = run(format_, tmp_path / "in", tmp_path, truths={"Alpha": BOXES})
    said = {}
    for outcome in outcomes:
        key = outcome.tracker if outcome.tracker in wanted else outcome.source.stem
        said[key] = "; ".join([*outcome.notes, *filter(None, [outcome.error])])
        assert (outcome.error is None) == (outcome.what == "imported") and "\n" not in said[key]
    assert said.keys() == wanted.keys()
    for key, words in wanted.items():
        assert words in said[key] if words else not said[key]


@pytest.mark.parametrize("option", ["--zero-based", "--one-based", "--corners"])
def test_formats_that_say_what_a_row_means_are_not_told(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for format_ in ("vot", "otb-json", "otb-mat"):
        assert main(["import", format_, str(tmp_path), "--suite", "otb30", option]) == 2
        assert "--corners are for got10k, pysot, pytracking" in capsys.readouterr().err


def test_text_that_ends_without_a_line_end_is_noted(tmp_path: Path) -> None:
    (tmp_path / "Alpha.txt").write_text(table(RAW)[:-1])
    assert "may have been cut off" in text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")[0].notes[0]


def test_text_whose_lines_a_carriage_return_ends(tmp_path: Path) -> None:
    """As of old on the Macintosh; times beside the boxes as well."""
    for name, content in {"Alpha.txt": table(RAW), "Alpha_time.txt": "0.5\n" * len(RAW)}.items():
        (tmp_path / name).write_bytes(content.replace("\n", "\r").encode())
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
    np.testing.assert_allclose(found.boxes, BOXES)
    assert not found.notes and found.seconds is not None and found.seconds.tolist() == [0.5] * len(RAW)


def test_times_that_do_not_fit_are_noted(tmp_path: Path) -> None:
    (tmp_path / "Alpha.txt").write_text(table(RAW))
    (tmp_path / "Alpha_time.txt").write_text("0.1\n" * 3)
    (found,) = text.read_rectangles(tmp_path / "Alpha.txt", "Alpha", "T")
    assert found.seconds is None and found.notes == ("times not used: Alpha_time.txt has 3 rows for 6 boxes",)


def test_vot(tmp_path: Path) -> None:
    folder = tmp_path / "T" / "unsupervised" / "Alpha"
    folder.mkdir(parents=True)
    rows = ["1", "1,2,3,4", "10,20,40,20,40,60,10,60", "0", "5.5,6.5,7,8", "1,2,0,4"]
    (folder / "Alpha_001.txt").write_text("\n".join(rows) + "\n")
    (folder / "Alpha_001_time.value").write_text("0.2\n" * FRAMES)
    (outcome,) = run("vot", tmp_path / "T", tmp_path, truths={"Alpha": BOXES})
    (result,) = stored(tmp_path, "T")
    assert (outcome.tracker, outcome.sequence, len(outcome.notes)) == ("T", "Alpha", 3)
    np.testing.assert_allclose(result.boxes[:3], [BOXES[0], [1, 2, 3, 4], [10, 20, 30, 40]])
    assert np.isnan(result.boxes).all(axis=1).tolist() == [False, False, False, True, False, True]
    for bad, message in {
        "2": "re-initialisation",
        "1": "re-initialisation",
        "m0,0,3": "not a mask",
        "7": "unknown code",
    }.items():
        (folder / "Alpha_001.txt").write_text("\n".join([*rows[:4], bad, rows[5]]) + "\n")
        assert message in str(run("vot", tmp_path / "T", tmp_path, force=True)[0].error)


def test_vot_masks_binary_and_multi_start(tmp_path: Path) -> None:
    rows = [np.array([1.0]), *BOXES[1:3], np.array([0.0]), np.array([4.0, 5, 9, 5, 9, 8, 4, 8]), BOXES[5]]
    wanted = np.vstack([BOXES[:3], np.full((1, 4), np.nan), [[4, 5, 5, 3]], BOXES[5:]])
    folder = tmp_path / "T" / "baseline" / "Alpha"
    folder.mkdir(parents=True)
    data = vot_binary.write(rows)
    (folder / "Alpha_00000000.bin").write_bytes(data)
    (folder / "Alpha_00000050.bin").write_bytes(data)  # another start
    (outcome,) = run("vot", tmp_path / "T", tmp_path, truths={"Alpha": BOXES})
    assert (outcome.what, outcome.sequence, outcome.tracker) == ("imported", "Alpha", "T")
    np.testing.assert_allclose(stored(tmp_path, "T")[0].boxes, wanted, atol=1e-5)
    for bad, message in (
        (data[:-3], "ends after 5 regions"),
        (data + b"x", "1 bytes are left over"),
        (b"\2\0" + data[2:], "not a binary"),
        (data[:6] + b"\7" + data[7:], "row 1: a region of unknown kind 7"),
        (data[:2] + b"\xff" * 4, "damaged or cut off"),
        (data[:2] + b"\0" * 4, "holds no regions"),
    ):
        (folder / "Alpha_00000000.bin").write_bytes(bad)
        assert message in str(run("vot", tmp_path / "T", tmp_path, force=True)[0].error)
    for file in folder.iterdir():
        file.unlink()
    text_rows = ["1", *(masks.encode(b) for b in np.rint(BOXES[1:5])), "m0,0,0,0"]
    (folder / "Alpha_00000000.txt").write_text("\n".join(text_rows) + "\n")
    (outcome,) = run("vot", tmp_path / "T", tmp_path, force=True, truths={"Alpha": BOXES})
    boxes = stored(tmp_path, "T")[0].boxes
    np.testing.assert_allclose(boxes[1:5], np.rint(BOXES[1:5]))
    assert np.isnan(boxes[5]).all() and "NaN in rows 6" in outcome.notes[1]


def test_names_of_other_data_sets_and_undivided_targets(tmp_path: Path) -> None:
    for name in ("uav_Alpha", "nfs_beta", "Twin"):
        (tmp_path / "T").mkdir(exist_ok=True)
        (tmp_path / "T" / f"{name}.txt").write_text(table(RAW))
    outcomes = {o.source.stem: o for o in run("pytracking", tmp_path / "T", tmp_path)}
    assert [outcomes[n].sequence for n in ("uav_Alpha", "nfs_beta")] == ["Alpha", "Beta"]
    assert "it has Twin-1, one file a target: rename it" in str(outcomes["Twin"].error)


@pytest.mark.parametrize("word", ["a start code", "another word"])
def test_a_start_code_is_known_by_its_field_not_by_the_words_of_a_note(word: str) -> None:
    boxes = np.vstack([np.full((1, 4), np.nan), BOXES[1:]])
    for start_code in (True, False):
        reading = Reading(Path("f"), "Alpha", "T", boxes, notes=(word,), start_code=start_code)
        fitted = fit_reading(reading, ENTRIES[0], Repairs(), BOXES)
        assert np.isnan(fitted.boxes[0]).all() != start_code
        assert any("first box is not the truth" in n for n in fitted.notes) != start_code


# Folders, stores, the command line


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("Alpha", "Beta", "twin.1"):
        save_mat(tmp_path / f"{name}_T.mat", struct_of())
    (tmp_path / "Beta_T.mat").write_bytes(b"junk")
    save_mat(tmp_path / "Couple_T.mat", struct_of())
    save_mat(tmp_path / "Nowhere_T.mat", struct_of())
    whats = {o.source.name: o.what for o in run("otb-mat", tmp_path, tmp_path)}
    assert whats == {
        "Alpha_T.mat": "imported", "twin.1_T.mat": "imported", "Beta_T.mat": "refused", "Couple_T.mat": "outside",
        "Nowhere_T.mat": "refused",
    }  # fmt: skip


def test_importing_again(tmp_path: Path) -> None:
    path = save_mat(tmp_path / "Alpha_T.mat", struct_of())
    assert run("otb-mat", path, tmp_path)[0].what == "imported"
    assert run("otb-mat", path, tmp_path)[0].what == "unchanged"
    save_mat(tmp_path / "Alpha_T.mat", struct_of(RAW + 1))
    assert "from another file" in str(run("otb-mat", path, tmp_path)[0].error)
    np.testing.assert_allclose(stored(tmp_path, "T")[0].boxes, BOXES, atol=1e-6)
    assert run("otb-mat", path, tmp_path, force=True)[0].what == "imported"
    Store(tmp_path / "res").write_meta("mini", "ope", "Own", {"sequences": {}, "fingerprint": {}})
    with pytest.raises(UsageError, match="holds results of a run"):
        run("otb-mat", path, tmp_path, tracker="Own")
    save_json(tmp_path / "T" / "Alpha.json", json_of(tracker="../evil"))
    assert "--tracker NAME" in str(run("otb-json", tmp_path / "T", tmp_path)[0].error)


def test_several_trackers_in_a_folder(tmp_path: Path) -> None:
    for name in ("Struck", "OAB"):
        save_mat(tmp_path / f"Alpha_{name}.mat", struct_of())
    assert [o.tracker for o in run("otb-mat", tmp_path, tmp_path)] == ["OAB", "Struck"]
    assert [o.tracker for o in run("otb-mat", tmp_path, tmp_path, tracker="STRUCK")] == ["STRUCK"]
    with pytest.raises(UsageError, match="not among the trackers of the folder: OAB, Struck"):
        run("otb-mat", tmp_path, tmp_path, tracker="TLD")
    with pytest.raises(UsageError, match="unknown format"):
        run("zip", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        run("otb-mat", tmp_path / "none", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no result files"):
        run("vot", tmp_path / "empty", tmp_path)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.tile([10.0, 20, 30, 40], (140, 1))
    save_json(tmp_path / "T" / "Couple.json", json_of(seqName="Couple", endFrame=140, res=rows.tolist()))
    arguments = [
        "import",
        "otb-json",
        str(tmp_path / "T"),
        "--results",
        str(tmp_path / "res"),
        "--tracker",
        "Mine",
    ]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.out == "" and "Mine on otb30 (ope): 1 of 30 sequences imported" in output.err
    save_json(tmp_path / "T" / "Dog.json", json_of(seqName="Dog"))
    assert main(arguments) == 1
    output = capsys.readouterr()
    assert "6 rows for the 127 frames of Dog" in output.err and "1 there already" in output.err
    assert main([*arguments[:2], str(tmp_path / "nothing"), *arguments[3:]]) == 2
    assert main(["import", "otb-jsn", "x"]) == 2


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float64, (FRAMES, 4), elements=st.floats(-5000, 5000, width=32)))
def test_mat_and_json_give_what_was_written(tmp_path: Path, rows: np.ndarray) -> None:
    rows[:, 2:] = np.abs(rows[:, 2:]) + 0.5
    mat = otb_mat.read(save_mat(tmp_path / "Alpha_T.mat", struct_of(rows)), "Alpha", "T")[0]
    written = otb_json.read(
        save_json(tmp_path / "T" / "Alpha.json", json_of(res=rows.tolist())), "Alpha", "T"
    )[0]
    np.testing.assert_array_equal(mat.boxes, rows - [1, 1, 0, 0])
    np.testing.assert_array_equal(written.boxes, rows - [1, 1, 0, 0])


# Published files


def published(shared: Path) -> dict[str, dict[str, str]]:
    path = shared / "data" / "published" / "otb30_nine_trackers_per_sequence.csv"
    with path.open(encoding="utf-8") as file:
        return {r["sequence"]: r for r in csv.DictReader(file)}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("format_", "folder", "official"),
    [("otb-json", "jwlim_json/STRUCK", 30), ("otb-mat", "otb_mat/CSK", 30), ("otb-mat", "otb_mat/OAB", 19)],
)
def test_official_runs_give_the_published_mean_overlap(
    shared: Path, tmp_path: Path, format_: str, folder: str, official: int
) -> None:
    """Imported boxes, the first one replaced by the truth, against the published mean overlap of each sequence."""
    store, name = Store(tmp_path), folder.rsplit("/", 1)[1]
    root = shared / "data" / "results" / folder
    outcomes = list(importers.import_results(format_, root, "otb30", entries("otb30"), store, tracker=name))
    assert {o.what for o in outcomes} == {"imported"} and len(outcomes) == 30
    agree = 0
    for sequence in load_annotations("otb30", shared / "data" / "annotations").sequences:
        boxes = store.load("otb30", "ope", name, sequence.name)[0].boxes
        boxes[0] = sequence.truth[0]
        mean = np.nan_to_num(iou(boxes, sequence.truth)).mean()
        agree += abs(mean - float(published(shared)[sequence.name][f"{name}_meanIoU"])) < 1e-6
    assert agree == official


@pytest.mark.shared
@pytest.mark.parametrize("name", ["TLD", "SRDCF", "MEEM", "SAMF", "KCF", "SiamFC-3s"])
def test_other_published_runs_are_taken_in_whole(shared: Path, tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    root = shared / "data" / "results" / "otb_mat" / name
    truths = {s.name: s.truth for s in load_annotations("otb30", shared / "data" / "annotations").sequences}
    outcomes = list(
        importers.import_results("otb-mat", root, "otb30", entries("otb30"), store, name, truths=truths)
    )
    assert {o.what for o in outcomes} == {"imported"} and len(store.sequences("otb30", "ope", name)) == 30
    assert not [n for o in outcomes for n in o.notes if "first box" in n]
    missing = sum(np.isnan(store.load("otb30", "ope", name, n)[0].boxes[:, 0]).sum() for n in truths)
    assert (missing > 0) == (name == "TLD")


@pytest.mark.shared
def test_starts_of_a_published_tre_run_are_ours(shared: Path, tmp_path: Path) -> None:
    """SiamFC's published TRE files, made with the authors' toolkit: the 20 starts on each of the 30 sequences."""
    store = Store(tmp_path)
    root = shared / "data" / "results" / "otb_mat" / "SiamFC-3s"
    outcomes = importers.import_results(
        "otb-mat", root, "otb30", entries("otb30"), store, "S", protocol="tre"
    )
    assert {o.what for o in outcomes} == {"imported"}
    for sequence in load_annotations("otb30", shared / "data" / "annotations").sequences:
        starts = [r.start for r in store.load("otb30", "tre", "S", sequence.name)]
        assert starts == tre_starts(sequence.truth, tre_omit(sequence)) and len(starts) == 20


@pytest.mark.shared
def test_odd_files(shared: Path, tmp_path: Path) -> None:
    """Every odd file is either imported as it should be or refused with one line that names the remedy."""
    odd = shared / "data" / "results" / "otb_mat" / "odd"
    store = Store(tmp_path)
    outcomes = {
        o.source.name: o for o in importers.import_results("otb-mat", odd, "otb30", entries("otb30"), store)
    }
    assert {k: o.what for k, o in outcomes.items()} == {
        "BlurCar1_CFWLB.mat": "refused", "couple_CFWLB.mat": "refused", "BlurCar1_IVT.mat": "imported",
        "couple_IVT.mat": "imported", "BlurCar1_MDnet.mat": "imported", "couple_MDnet.mat": "imported",
    }  # fmt: skip
    assert "136 rows, but it says itself that there are 140" in str(outcomes["couple_CFWLB.mat"].error)
    assert "--pad" in str(outcomes["couple_CFWLB.mat"].error)
    truth = load_annotations("otb30", shared / "data" / "annotations").sequences
    couple = next(s.truth for s in truth if s.name == "Couple")
    for tracker in ("IVT", "MDnet"):
        np.testing.assert_allclose(
            store.load("otb30", "ope", tracker, "Couple")[0].boxes[0], couple[0], atol=1e-6
        )
    (sre,) = importers.import_results(
        "otb-json", shared / "data/results/jwlim_json/SRE/IVT/Couple.json", "otb30", entries("otb30"), store
    )
    assert sre.what == "imported" and len(store.load("otb30", "sre", "IVT", "Couple")) == 12


@pytest.mark.shared
def test_own_mat_reader_agrees_with_scipy(shared: Path) -> None:
    """All published .mat files: the same numbers and texts as scipy's reader gives."""
    paths = sorted((shared / "data" / "results" / "otb_mat").rglob("*.mat"))
    assert len(paths) == 246
    for path in paths[::3]:
        ours = read_variables(path.read_bytes(), path, ("results", "result"))
        theirs = loadmat(path)
        if "result" in ours:
            np.testing.assert_array_equal(ours["result"], theirs["result"])
            continue
        assert len(ours["results"]) == theirs["results"].size
        for (mine,), cell in zip(ours["results"], theirs["results"].ravel()):
            struct = cell[0, 0]
            assert set(mine) == set(struct.dtype.names)
            for name, value in mine.items():
                if isinstance(value, str):
                    assert value == str(struct[name].ravel()[0])
                else:
                    np.testing.assert_array_equal(value, struct[name])


def test_own_mat_reader_on_what_scipy_writes(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "numbers": np.arange(24, dtype=np.int16).reshape(2, 3, 4), "complex": np.array([[1 + 2j, 3]]),
        "text": "grüße", "empty": np.zeros((0, 3)), "single": np.float32(1.5), "nothing": "",
        "nested": {"a": {"b": np.uint8(7)}, "c": "x"}, "several": np.array(["ab", "cd"]),
    }  # fmt: skip
    for compress in (True, False):
        savemat(tmp_path / "a.mat", values | {"results": cells(1, "two")}, do_compression=compress)
        read = read_variables((tmp_path / "a.mat").read_bytes(), Path("a"), (*values, "results"))
        np.testing.assert_array_equal(read["numbers"], values["numbers"])
        np.testing.assert_array_equal(read["complex"], values["complex"])
        assert read["text"] == "grüße" and read["nothing"] == "" and read["several"] == "ab\ncd"
        assert read["empty"].shape == (0, 3) and read["single"] == 1.5
        assert read["nested"] == [{"a": [{"b": np.array([[7.0]])}], "c": "x"}]
        assert read["results"] == [np.array([[1.0]]), "two"]
        skipped = read_variables((tmp_path / "a.mat").read_bytes(), Path("a"), ("text",))
        assert skipped["numbers"] is None and skipped["text"] == "grüße"
