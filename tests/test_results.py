import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.boxfiles import format_boxes, parse_fast, parse_table, read_boxes
from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import check_name
from rolo_bench.run.store import RunResult, Store

number = st.floats(-1e5, 1e5)
rows = st.lists(
    st.one_of(st.tuples(number, number, number, number), st.just((np.nan,) * 4)), min_size=1, max_size=20
)


@given(rows)
def test_boxes_round_trip(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("r") / "a.txt"
    path.write_text(format_boxes(np.array(values)))
    assert np.allclose(read_boxes(path), np.array(values), atol=1e-6, equal_nan=True)


def test_file_is_one_based(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(format_boxes([0, 0, 5, 6]))
    assert path.read_text() == "1.000000,1.000000,5.000000,6.000000\n"


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5,6,7,8\n",
        "1\t2\t3\t4\n5\t6\t7\t8",
        "1 2 3 4\r\n5 6 7 8\r\n",
        "1;2;3;4\n5;6;7;8\n\n",
        "1,2,3,4\r5,6,7,8\r",
        "1\t2\t3\t4\r5\t6\t7\t8",
    ],
)
def test_separators(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert parse_fast(path, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    "text",
    [
        "1,,2,3,4\n",
        "1,2,3,4\n\n5,6,7,8\n",
        "\n1,2,3,4\n",
        "1_0,2,3,4\n",
        "1,2,3,4,\n",
        "1,2,3,4\x0c5,6,7,8\n",
    ],
)
def test_a_value_that_is_lost_is_not_made_up_for(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    with pytest.raises(DataError, match=r"row [12]"):
        parse_fast(path, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "row 1: expected 4 numbers, found 3"),
        ("1,2,3,4\n1,2,3,4,5\n", "row 2: expected 4 numbers, found 5"),
        ("1,2,3,4\n1,2,x,4\n", "row 2: not a number"),
        ("", "holds no rows"),
        ("1,2,3,inf\n", "infinite"),
    ],
)
def test_bad_tables_name_file_and_row(tmp_path, text, message):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_boxes(path)
    assert "a.txt" in str(caught.value)


def test_fast_equals_careful(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(format_boxes(np.random.default_rng(0).normal(size=(50, 4))))
    assert np.array_equal(parse_fast(path, 4), parse_table(path, 4))


def test_a_carriage_return_within_a_row_ends_it(tmp_path):
    path = tmp_path / "b.txt"
    path.write_bytes(b"0,5.,\r3,4")
    with pytest.raises(DataError, match="row 1"):
        parse_fast(path, 4)


def result(name="ncc", **more):
    return RunResult(name, "Dog", "ope", np.ones((3, 4)), np.full(3, 0.5), **more)


def test_store_round_trip(tmp_path):
    store = Store(tmp_path)
    store.save("mini", result())
    store.write_meta("mini", "ope", "ncc", {"sequences": {"Dog": {"status": "complete"}}})
    (back,) = store.load("mini", "ope", "ncc", "Dog")
    assert np.array_equal(back.boxes, np.ones((3, 4)))
    assert back.seconds.tolist() == [0.5] * 3
    assert store.suites() == ("mini",)
    assert store.trackers("mini") == ("ncc",)
    assert store.sequences("mini", "ope", "ncc") == ("Dog",)


def test_times_below_a_microsecond_are_kept(tmp_path):
    seconds = np.array([2e-6, 2.08e-7, 4.1e-8])
    store = Store(tmp_path)
    store.save("mini", RunResult("static", "Dog", "ope", np.ones((3, 4)), seconds))
    (found,) = store.load("mini", "ope", "static", "Dog")
    assert found.seconds == pytest.approx(seconds, abs=1e-12)


def test_trackers_that_differ_in_case_alone_are_asked_about(tmp_path):
    store = Store(tmp_path)
    for name in ("Same", "same"):
        store.save("mini", RunResult(name, "Dog", "ope", np.ones((3, 4)), np.ones(3)))
    assert store.find_tracker("mini", "ope", "same") == "same"
    with pytest.raises(UsageError, match="did you mean 'Same' or 'same'"):
        store.find_tracker("mini", "ope", "SAME")
    with pytest.raises(UsageError, match=r"there are some on mini \(ope\)$"):
        store.find_tracker("mini", "tre", "SAME")


def test_segments_are_kept_apart(tmp_path):
    store = Store(tmp_path)
    for k in (1, 2):
        store.save(
            "mini", RunResult("ncc", "Dog", "tre", np.full((3, 4), k), np.zeros(3), segment=f"tre{k:02d}")
        )
    assert [r.segment for r in store.load("mini", "tre", "ncc", "Dog")] == ["tre01", "tre02"]
    assert store.sequences("mini", "tre", "ncc") == ("Dog",)


def test_missing_result_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="run or import it"):
        Store(tmp_path).load("mini", "ope", "ncc", "Dog")


def test_times_of_another_length_are_refused(tmp_path):
    store = Store(tmp_path)
    store.save("mini", result())
    (tmp_path / "mini/ope/ncc/Dog_time.txt").write_text("0.1\n")
    with pytest.raises(DataError, match="1 times for 3 boxes"):
        store.load("mini", "ope", "ncc", "Dog")


def test_broken_run_json(tmp_path):
    store = Store(tmp_path)
    store.save("mini", result())
    (tmp_path / "mini/ope/ncc/run.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        store.meta("mini", "ope", "ncc")
    (tmp_path / "mini/ope/ncc/run.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="not a run description"):
        store.meta("mini", "ope", "ncc")


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b"])
def test_names_cannot_leave_the_store(tmp_path, name):
    with pytest.raises(UsageError, match="name"):
        Store(tmp_path).folder("mini", "ope", name)


def test_nothing_half_written_is_left(tmp_path):
    Store(tmp_path).save("mini", result())
    assert sorted(p.name for p in (tmp_path / "mini/ope/ncc").iterdir()) == ["Dog.txt", "Dog_time.txt"]


@pytest.mark.parametrize(
    "text",
    [
        '{"sequences": null}',
        '{"sequences": {"One": "x"}}',
        '{"sequences": {"One": {"start": "x"}}}',
        '{"fingerprint": 5}',
        '{"versions": 7}',
        "[" * 100_000,
    ],
)
def test_a_damaged_run_json_is_one_line(tmp_path, text):
    folder = tmp_path / "mini/ope/ncc"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    with pytest.raises(DataError, match="set it aside with `rolo-bench verify --prune`"):
        Store(tmp_path).meta("mini", "ope", "ncc")


def test_a_name_too_long_is_told_in_one_short_line():
    with pytest.raises(UsageError, match="at most 200 bytes") as caught:
        check_name("tracker", "a" * 5000)
    assert len(str(caught.value)) < 300
