"""Small inputs of kinds that people report, in ../shared/cases: each gives the right value or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.errors import RoloBenchError
from rolo_bench.run.store import Store
from rolo_bench.scores.score import score

pytestmark = pytest.mark.shared
ONE = [12.0, 14.0, 14.0, 12.0]
TWO = [20.0, 24.0, 18.0, 16.0]
EDGE = [-6.0, 24.0, 18.0, 16.0]


@pytest.fixture
def cases(shared: Path) -> Path:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip("needs the shared folder of cases beside the checkout")
    return folder


SUITES = {
    # folder: sequences, frames of the first, its first box; or the line
    "02/Bom": (1, 10, TWO),
    "02/Utf16": (1, 10, TWO),
    "02/Bom/Bom": "one level too low",
    "04/Mac": (1, 10, TWO),
    "06/Over": "10 boxes for 11 images in A; if the boxes are those of some frames alone, say of which in a table",
    "06/Under": "10 boxes for 9 images in A; if the boxes",
    "08/Zero": (1, 10, TWO),
    "08/Nan": (1, 10, TWO),
    "08/Neg": (1, 10, TWO),
    "11/vot2020": (1, 8, ONE),
    "11/empty": (1, 8, ONE),
    "13/LaSOT": (3, 8, ONE),
    "14": "one level too high; name a folder inside it: test, val",
    "14/val": (2, 8, ONE),
    "14/test": (1, 8, ONE),
    "15/UAV123": "5 boxes, expected 253 for frames 1 to 253",
    "16/NfS": (1, 8, ONE),
    "16/otb": "row 1: expected 4 numbers, found 10",
    "17/TRAIN_0": (1, 12, ONE),
    "17/TEST": (1, 12, ONE),
    "18/TC128": (1, 8, ONE),
    "19/OTB": (1, 8, ONE),
    "42/plain": (1, 8, TWO),
    "42/my videos": (1, 8, TWO),
    "42/café": (1, 8, TWO),
    "42/under": (1, 8, TWO),
    "42/我的视频": (1, 8, TWO),
    "43/Edge": (1, 10, EDGE),
    "55/bom": (2, 8, ONE),
    "55/bomlist": (2, 8, ONE),
    "55/tab": (2, 8, ONE),
    "55/part": "1 of 3 sequences are not in",
}


@pytest.mark.parametrize("name", SUITES)
def test_folders(cases: Path, name: str) -> None:
    wanted = SUITES[name]
    if isinstance(wanted, str):
        with pytest.raises(RoloBenchError) as caught:
            load_suite(str(cases / name))
        assert wanted in str(caught.value) and "\n" not in str(caught.value)
        return
    suite = load_suite(str(cases / name))
    first = suite.sequences[0]
    assert (len(suite.sequences), len(first), first.truth[0].tolist()) == wanted
    assert first.frames.image(len(first) - 1).ndim == 3


def test_ranges_over_one_video(cases: Path) -> None:
    one, two = load_suite(str(cases / "15" / "arranged.csv"), cases / "15" / "arranged").sequences
    assert (len(one), len(two), two.first_frame) == (5, 6, 7) and np.isnan(two.truth[3]).all()
    over = load_suite(str(cases / "06" / "range.csv"), cases / "06" / "Over").sequences
    assert [len(s) for s in over] == [10, 10]
    assert len(load_suite(str(cases / "55" / "part"), partial=True).sequences) == 2


FLAVOURS = {
    # folder of 33: what is said, None where it is read as the truth
    "blanks": None, "bom": None, "crlf": None, "dotend": None, "int": None, "mot": None, "poly": None, "sci": None,
    "score": None, "semicolon": None, "tabs": None, "trailblank": None,
    "nan": "NaN in rows 71-74", "bracket": "row 1: not a number: '[153.0'", "header": "row 1: not a number: 'x'",
    "huge": "values beyond 100000 pixels", "inf": "values beyond 100000 pixels", "mixed": "row 2: expected 4 numbers",
    "python_tuple": "row 1: not a number: '(153.0'", "trailcomma": "row 1: a value is missing",
    "xyxy": "import it with --corners",
}  # fmt: skip


@pytest.mark.parametrize("name", FLAVOURS)
def test_flavours_of_result_files(
    shared: Path, cases: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = str(shared / "data" / "annotations")
    here = ["--suite", "otb30", "--data", truth, "--results", str(tmp_path)]
    suite = "otb100"
    here[1] = suite
    code = main(["import", "pysot", str(cases / "33" / name), *here])
    said = capsys.readouterr().err
    wanted = FLAVOURS[name]
    assert "Traceback" not in said and (wanted is None or wanted in said), said
    if wanted is None or code == 0:
        assert code == 0
        loaded = load_suite(suite, truth, images=False, only=("Football1",))
        (row,) = score(Store(tmp_path), loaded, name, partial=True).itertuples()
        frames = len(loaded.sequences[0])
        expected = {"xyxy": None, "nan": 20 / 21 * (frames - 4) / frames}.get(name, 20 / 21)
        assert expected is None or row.auc == pytest.approx(expected)
    if name == "xyxy":
        assert (
            main(["import", "pysot", str(cases / "33" / name), *here, "--corners", "--tracker", "fixed"]) == 0
        )
        (row,) = score(Store(tmp_path), loaded, "fixed", partial=True).itertuples()
        assert row.auc == pytest.approx(20 / 21)


def test_results_equal_to_a_truth_that_reaches_over_the_edge(cases: Path, tmp_path: Path) -> None:
    options = ["--suite", str(cases / "43" / "Edge"), "--results", str(tmp_path)]
    assert main(["import", "pysot", str(cases / "43" / "res"), *options]) == 0
    suite = load_suite(str(cases / "43" / "Edge"))
    (row,) = score(tmp_path, suite).itertuples()
    assert (row.convention, row.auc, row.dropped) == ("plain", 1.0, 0)
    (row,) = score(tmp_path, suite, convention="otb").itertuples()
    assert row.auc == pytest.approx(3 / 10 * 20 / 21 + 0.0952, abs=0.1) and row.dropped >= 6


def test_results_where_the_truth_is_empty(cases: Path, tmp_path: Path) -> None:
    options = ["--suite", str(cases / "08" / "Zero"), "--results", str(tmp_path)]
    assert main(["import", "pysot", str(cases / "08" / "resz"), *options]) == 0
    (row,) = score(tmp_path, load_suite(str(cases / "08" / "Zero"))).itertuples()
    assert (row.auc, row.dropped) == (1.0, 2)


TRAJECTORIES = {
    "res": None, "base": "re-initialisation", "bin": "damaged or cut off", "mask": "run lengths do not fit",
    "multi": None,
}  # fmt: skip


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_vot_trajectories(cases: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--suite", str(cases / "55" / "bom"), "--results", str(tmp_path)]
    code = main(["import", "vot", str(cases / "38" / name), *options])
    said = capsys.readouterr().err
    wanted = TRAJECTORIES[name]
    assert "Traceback" not in said
    assert (code == 0) if wanted is None else (code == 1 and wanted in said), said


@pytest.mark.parametrize(("name", "line"), [("08/FirstZero", "F: failed"), ("51/D", "not a readable image")])
def test_a_sequence_that_cannot_be_run_is_named_and_the_others_go_on(
    cases: Path, tmp_path: Path, name: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--suite", str(cases / name), "--results", str(tmp_path)]
    assert main(["run", "--tracker", "static", *options]) == 1
    said = capsys.readouterr().err
    assert line in said and "Traceback" not in said and "done" in said


def test_mil_refuses_boxes_on_which_it_would_hang(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--suite", str(cases / "40" / "Thin"), "--results", str(tmp_path)]
    assert main(["run", "--tracker", "mil", *options]) == 1
    assert "the first box is 1 × 60 pixels; this tracker needs sides of 2" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["40/Thin", "40/Leave", "14/test", "17/TEST"])
@pytest.mark.parametrize("tracker", ["ncc", "mosse"])
def test_odd_boxes_and_test_sets_run(cases: Path, tmp_path: Path, name: str, tracker: str) -> None:
    options = ["--suite", str(cases / name), "--results", str(tmp_path)]
    assert main(["run", "--tracker", tracker, *options]) == 0
