import shutil

import numpy as np
import pytest

from rolo_bench.datasets import otb, suites
from rolo_bench.errors import DataError, MissingError, UsageError
from tests.helpers_video import otb_folder

SIZES = {"otb30": 30, "otb30-train": 22, "otb30-test": 8, "otb50": 50, "otb100": 100, "cvpr13": 51}


@pytest.mark.parametrize("name", list(suites.TABLES))
def test_every_table_loads(name):
    table = suites.entries(name)
    assert len(table) == SIZES[name]
    assert len({e.name for e in table}) == len(table)
    for entry in table:
        assert entry.frames and entry.frames > 20
        assert set(entry.attributes) <= set(suites.ATTRIBUTES)
        assert entry.digest and len(entry.digest) == 64


def test_otb30_is_in_the_papers_order():
    names = [e.name for e in suites.entries("otb30")]
    assert names[:4] == ["Human2", "Human9", "Suv", "BlurBody"]
    assert names[-8:] == ["Skater", "Skater2", "Dancer", "Dancer2", "CarScale", "Gym", "Human8", "Jump"]
    assert [e.name for e in suites.entries("otb30-test")] == names[22:]


def test_ranges_of_the_paper():
    table = {e.name: e for e in suites.entries("otb100")}
    wanted = {
        "BlurCar1": (247, 988), "BlurCar3": (3, 359), "Diving": (1, 215), "David": (300, 770), "BlurCar4": (18, 397),
        "Tiger1": (6, 354), "Football1": (1, 74), "Freeman3": (1, 460), "Freeman4": (1, 283),
    }  # fmt: skip
    assert {n: (table[n].first, table[n].last) for n in wanted} == wanted


def test_demo_loads():
    suite = suites.load_suite("demo")
    assert len(suite.sequences) >= 12
    assert set().union(*(s.attributes for s in suite.sequences)) == set(suites.ATTRIBUTES)


def test_omitted_ranges_count_from_the_first_frame():
    suite = suites.Entry("Woman")
    assert suite.frames is None
    sequence = type("S", (), {"name": "Woman", "first_frame": 1})()
    assert suites.tre_omit(sequence)[:3] == ((105, 171), (188, 246), (261, 333))


def test_folder_is_a_suite(tmp_path):
    suite = suites.load_suite(str(otb_folder(tmp_path / "mine")))
    assert suite.name == "mine"
    assert [s.name for s in suite.sequences] == ["Other", "Square"]
    assert len(suite.sequences[0]) == 30


def test_link_left_as_text_is_followed(tmp_path):
    root = otb_folder(tmp_path, ("Pair-1", "Pair-2"))
    shutil.rmtree(root / "Pair-2" / "img")
    (root / "Pair-2" / "img").write_text("../Pair-1/img")
    assert len(suites.load_suite(str(root)).sequences) == 2


def test_two_targets_of_one_video(tmp_path):
    folder = otb_folder(tmp_path, ("Pair",)) / "Pair"
    (folder / "groundtruth_rect.txt").rename(folder / "groundtruth_rect.1.txt")
    shutil.copy(folder / "groundtruth_rect.1.txt", folder / "groundtruth_rect.2.txt")
    assert [s.name for s in suites.load_suite(str(tmp_path)).sequences] == ["Pair-1", "Pair-2"]


def test_vot_folder_is_a_suite(tmp_path):
    folder = otb_folder(tmp_path / "otb", ("Square",)) / "Square"
    vot = tmp_path / "vot" / "Square"
    shutil.copytree(folder / "img", vot / "color")
    # a rotated square around (60, 50): corners reach 10 to each side, so the box is 50, 40, 20, 20
    rows = ["60,40,70,50,60,60,50,50", "10,20,30,40", "nan,nan,nan,nan", "1"] + ["10,20,30,40"] * 26
    (vot / "groundtruth.txt").write_text("\n".join(rows))
    (sequence,) = suites.load_suite(str(tmp_path / "vot")).sequences
    assert sequence.truth[:2].tolist() == [[50, 40, 20, 20], [10, 20, 30, 40]]
    assert np.isnan(sequence.truth[2:4]).all()


def test_table_file_is_a_suite(tmp_path):
    otb_folder(tmp_path)
    (tmp_path / "short.csv").write_text(
        "name,folder,first,last,attributes\nA,Square,1,10,OCC SV\nB,Other,,,\n"
    )
    a, b = suites.load_suite(str(tmp_path / "short.csv")).sequences
    assert (a.name, len(a), a.attributes, len(b)) == ("A", 10, ("OCC", "SV"), 30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder\nA\n", "needs a column 'name'"),
        ("name,colour\nA,red\n", "unknown columns colour"),
        ("name,first,last\nA,x,3\n", "row 2: first and last must be whole numbers"),
        ("name,first,last\nA,9,3\n", "row 2: needs a name, and first <= last"),
        ("name\nA\nA\n", "stands there twice"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        suites.load_suite(str(path))


def test_unknown_suite_lists_the_known():
    with pytest.raises(
        UsageError, match=r"unknown suite 'mine'; known: demo, otb30.*a folder, or a .csv table"
    ):
        suites.load_suite("mine")
    with pytest.raises(UsageError, match="unknown suite 'otb31'; did you mean 'otb30'"):
        suites.load_suite("otb31")


def test_case_of_suites_and_sequences_is_ignored(tmp_path, monkeypatch):
    suite = suites.load_suite("DEMO", only=("carpass",))
    assert suite.name == "demo"
    assert [s.name for s in suite.sequences] == ["CarPass"]
    assert suites.suite_label("OTB30") == "otb30"
    assert suites.entries("OTB30-Test") == suites.entries("otb30-test")
    monkeypatch.chdir(tmp_path)
    otb_folder(tmp_path / "OTB30")
    assert suites.load_suite("OTB30").name == "OTB30"  # a folder of that name comes first


def test_a_sequence_that_is_near_is_asked_about():
    with pytest.raises(UsageError, match="unknown sequence 'CarPas' in demo; did you mean 'CarPass'"):
        suites.load_suite("demo", only=("CarPas",))


def test_missing_data_says_how_to_get_it(tmp_path):
    with pytest.raises(
        DataError, match=r"30 of 30 sequences are not in .*rolo-bench fetch data otb30.*--partial"
    ):
        suites.load_suite("otb30", tmp_path)
    with pytest.raises(DataError, match="no sequence found"):
        suites.load_suite("otb30", tmp_path, partial=True)


@pytest.mark.parametrize(
    ("error", "absent"),
    [(MissingError("nothing of that name"), True), (DataError("no such file, says the words"), False)],
)
def test_absent_or_damaged_is_decided_by_the_class_of_the_error(tmp_path, monkeypatch, error, absent):
    folder, find = otb_folder(tmp_path), otb.find_truth

    def found(root, name):
        if name == "Square":
            raise error
        return find(root, name)

    monkeypatch.setattr(otb, "find_truth", found)
    if absent:
        suite = suites.load_suite(str(folder), partial=True)
        assert suite.missing == ("Square",) and [s.name for s in suite.sequences] == ["Other"]
    else:
        with pytest.raises(DataError, match="says the words"):
            suites.load_suite(str(folder), partial=True)


def test_a_flat_folder_of_annotations_that_lacks_a_file_is_partial(tmp_path):
    (tmp_path / "A.txt").write_text("1,2,3,4\n" * 3)
    (tmp_path / "t.csv").write_text("name\nA\nB\n")
    suite = suites.load_suite(str(tmp_path / "t.csv"), partial=True, images=False)
    assert suite.missing == ("B",) and suite.sequences[0].truth.tolist() == [[0, 1, 3, 4]] * 3


def test_wrong_lengths_are_refused(tmp_path):
    folder = otb_folder(tmp_path, ("Square",))
    (folder / "Square" / "img" / "0007.jpg").unlink()
    with pytest.raises(DataError, match="30 boxes for 29 images"):
        suites.load_suite(str(folder))


def test_damaged_annotation_is_refused_even_when_partial(tmp_path):
    folder = otb_folder(tmp_path, ("Square",))
    (folder / "Square" / "groundtruth_rect.txt").write_text("1,2,3\n")
    with pytest.raises(DataError, match="row 1: expected 4 numbers"):
        suites.load_suite(str(folder), partial=True)


def test_unknown_sequence(tmp_path):
    with pytest.raises(UsageError, match=r"unknown sequence 'Nope' in .*; known: Other, Square"):
        suites.load_suite(str(otb_folder(tmp_path)), only=("Nope",))


@pytest.mark.shared
def test_eleven_real_sequences(shared):
    suite = suites.load_suite("otb30", shared / "data" / "otb", partial=True)
    assert suite.note() == "11 of 30 sequences"
    lengths = {s.name: len(s) for s in suite.sequences}
    assert (lengths["Car4"], lengths["Diving"], lengths["Suv"]) == (len(suites_row("Car4")), 215, 945)
    for sequence in suite.sequences:
        assert sequence.frames.image(len(sequence) - 1).ndim == 3


def suites_row(name):
    entry = next(e for e in suites.entries("otb30") if e.name == name)
    return range(entry.frames or 0)


@pytest.mark.shared
@pytest.mark.parametrize("name", list(suites.TABLES))
def test_all_annotations_match_their_digests(shared, name):
    suite = suites.load_suite(name, shared / "data" / "annotations", images=False)
    assert len(suite.sequences) == SIZES[name]


@pytest.mark.shared
def test_changed_annotation_is_noticed(shared, tmp_path):
    text = (shared / "data" / "annotations" / "Dog.txt").read_text()
    (tmp_path / "Dog.txt").write_text(text.replace("74", "75", 1))
    with pytest.raises(DataError, match="SHA-256 differs"):
        suites.load_suite("otb30", tmp_path, images=False, only=("Dog",))


@pytest.mark.shared
def test_training_folder_with_shared_videos(shared):
    folder = shared / "data" / "train"
    suite = suites.load_suite(str(folder))
    assert len(suite.sequences) == len(list(folder.glob("*/groundtruth_rect.txt"))) >= 18


def test_what_was_asked_for_and_is_not_there_counts_as_missing(tmp_path):
    from tests.helpers_video import otb_folder

    videos = otb_folder(tmp_path / "videos", ("One",))
    (tmp_path / "two.csv").write_text("\ufeffname\nOne\nTwo\n", encoding="utf-8")
    loaded = suites.load_suite(str(tmp_path / "two.csv"), videos, True, only=("One", "Two"))
    assert loaded.missing == ("Two",) and loaded.note() == "1 of 2 sequences"
