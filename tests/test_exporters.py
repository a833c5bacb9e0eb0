"""Exporters: layouts as the other toolkits read them, and round trips through the importers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rolo_bench.cli import main
from rolo_bench.datasets.suites import Entry
from rolo_bench.errors import UsageError
from rolo_bench.exchange import exporting as exporters
from rolo_bench.exchange import importing as importers
from rolo_bench.exchange.reading import Meaning
from rolo_bench.run.store import RunResult, Store

COUNT = 5
BOXES = np.array([[9.0, 19, 30, 40], [10, 20, 30, 40], [np.nan] * 4, [-3.25, 0, 1.5, 2], [1, 2, 3, 4]])
ENTRIES = (Entry("Alpha", 1, COUNT), Entry("Skating2-1", 1, COUNT), Entry("Human4-2", 1, COUNT))


def result(boxes: np.ndarray = BOXES, name: str = "Alpha") -> RunResult:
    return RunResult("T", name, "ope", boxes, np.linspace(0.1, 0.5, len(boxes)))


@pytest.fixture(autouse=True, scope="module")
def no_fsync() -> Iterator[None]:
    """Thousands of small files are written here; none of them has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


def test_layouts() -> None:
    row = "10.000000,20.000000,30.000000,40.000000\n"
    got = exporters.layout("got10k", result())
    assert sorted(got) == ["T/Alpha.txt", "T/times/Alpha_time.txt"]
    assert got["T/Alpha.txt"].startswith(row) and got["T/Alpha.txt"].splitlines()[2] == "nan,nan,nan,nan"
    assert got["T/times/Alpha_time.txt"].splitlines()[0] == "0.100000000"
    assert exporters.layout("pysot", result()) == {"T/Alpha.txt": got["T/Alpha.txt"]}
    vot = exporters.layout("vot", result())
    assert sorted(vot) == ["T/unsupervised/Alpha/Alpha_001.txt", "T/unsupervised/Alpha/Alpha_001_time.value"]
    rows = vot["T/unsupervised/Alpha/Alpha_001.txt"].splitlines()
    assert rows[:3] == [
        "1",
        "10.000000,20.000000,30.000000,40.000000",
        "0",
    ]  # 0-based, so one less than above
    assert "T/Skating2.1.txt" in exporters.layout("got10k", result(name="Skating2-1"))
    assert "T/Human4.txt" in exporters.layout("got10k", result(name="Human4-2"))
    assert "T/Skating2-1.txt" in exporters.layout("pysot", result(name="Skating2-1"))


def test_files_are_readable_as_the_toolkits_read_them(tmp_path: Path) -> None:
    """got10k uses numpy.loadtxt with a comma, pysot splits lines at commas."""
    for path, content in exporters.layout("got10k", result()).items():
        (tmp_path / Path(path).name).write_text(str(content))
    np.testing.assert_allclose(np.loadtxt(tmp_path / "Alpha.txt", delimiter=","), BOXES + [1, 1, 0, 0])
    assert np.loadtxt(tmp_path / "Alpha_time.txt").shape == (COUNT,)
    lines = (tmp_path / "Alpha.txt").read_text().splitlines()
    assert [len(list(map(float, line.split(",")))) for line in lines] == [4] * COUNT


def boxes_or_none() -> st.SearchStrategy[np.ndarray]:
    numbers = arrays(np.float64, (COUNT, 4), elements=st.floats(-9000, 9000, width=32))
    return st.tuples(numbers, st.lists(st.integers(1, COUNT - 1), max_size=3)).map(_with_gaps)


def _with_gaps(parts: tuple[np.ndarray, list[int]]) -> np.ndarray:
    boxes, gaps = parts
    boxes = boxes.copy()
    boxes[:, 2:] = np.abs(boxes[:, 2:]) + 0.01
    boxes[gaps] = np.nan
    return boxes


AS_GOT10K = ("lasot", "got10k-server", "trackingnet-server")
TRIPS = {
    name: "got10k" if name in AS_GOT10K else "vot" if name == "vot-workspace" else name
    for name in exporters.FORMATS
}
"""Formats out, and the format by which each is read back."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    boxes_or_none(), st.sampled_from(list(TRIPS)), st.sampled_from([e.name for e in ENTRIES]), st.booleans()
)
def test_export_then_import(
    tmp_path_factory: pytest.TempPathFactory, boxes: np.ndarray, format_: str, name: str, zero: bool
) -> None:
    """Every format out, unpacked where it is an archive, and in again: the same boxes, NaN included."""
    folder = tmp_path_factory.mktemp("trip")
    one, two = Store(folder / "one"), Store(folder / "two")
    one.save("mini", result(boxes, name))
    ((where, count),) = exporters.export_results(one, "mini", (), format_, folder / "out", zero_based=zero)
    assert count == 1
    if where.endswith(".zip"):
        with zipfile.ZipFile(folder / "out" / where) as archive:
            archive.extractall(folder / "out" / "T")
        (folder / "out" / where).unlink()
    back, meaning = TRIPS[format_], Meaning(zero)
    (outcome,) = importers.import_results(
        back, folder / "out", "mini", ENTRIES, two, "T", truths={name: boxes}, meaning=meaning
    )
    assert (outcome.what, outcome.sequence) == ("imported", name)
    before, after = one.load("mini", "ope", "T", name)[0], two.load("mini", "ope", "T", name)[0]
    np.testing.assert_allclose(after.boxes, before.boxes, atol=1.1e-6)
    if format_ in ("got10k", "vot", "pytracking", "got10k-server"):
        np.testing.assert_allclose(after.seconds, before.seconds, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(boxes_or_none(), st.sampled_from(["otb-json", "otb-mat"]), st.sampled_from(["tre", "sre"]))
def test_starts_of_tre_and_sre_round_trip(
    tmp_path_factory: pytest.TempPathFactory, boxes: np.ndarray, format_: str, protocol: str
) -> None:
    folder = tmp_path_factory.mktemp("starts")
    one, two = Store(folder / "one"), Store(folder / "two")
    starts = {"tre": (0, 2, 3), "sre": (0, 0, 0)}[protocol]
    entries = {f"Alpha_{protocol}{i:02d}": {"start": s} for i, s in enumerate(starts, 1)}
    for i, s in enumerate(starts, 1):
        part, label = boxes[s:].copy(), f"{protocol}{i:02d}"
        part[0] = [1, 2, 3, 4]
        one.save("mini", RunResult("T", "Alpha", protocol, part, np.ones(len(part)), segment=label))
    one.write_meta("mini", protocol, "T", {"sequences": entries})
    list(exporters.export_results(one, "mini", (), format_, folder / "out", protocol))
    (outcome,) = importers.import_results(format_, folder / "out", "mini", ENTRIES, two, "T", protocol)
    assert outcome.what == "imported"
    for before, after in zip(
        one.load("mini", protocol, "T", "Alpha"), two.load("mini", protocol, "T", "Alpha"), strict=True
    ):
        assert (before.segment, before.start) == (after.segment, after.start)
        np.testing.assert_allclose(after.boxes, before.boxes, atol=1.1e-6)


@settings(max_examples=20, deadline=None)
@given(
    arrays(np.float64, COUNT, elements=st.floats(-100, 100) | st.just(np.nan)),
    st.sampled_from(["vot", "vot-workspace"]),
)
def test_confidence_round_trips(
    tmp_path_factory: pytest.TempPathFactory, scores: np.ndarray, format_: str
) -> None:
    """VOT has a place for it; where none is known there is none."""
    folder = tmp_path_factory.mktemp("sure")
    one, two = Store(folder / "one"), Store(folder / "two")
    one.save("mini", RunResult("T", "Alpha", "ope", BOXES, np.ones(COUNT), scores=scores))
    list(exporters.export_results(one, "mini", (), format_, folder / "out"))
    (written,) = (folder / "out").rglob("Alpha_001_confidence.value")
    assert len(written.read_text().splitlines()) == COUNT
    list(importers.import_results("vot", folder / "out", "mini", ENTRIES, two, "T"))
    (after,) = two.load("mini", "ope", "T", "Alpha")
    known = np.isfinite(scores).any()
    assert known == (after.scores is not None)
    if after.scores is not None:
        np.testing.assert_allclose(after.scores, scores, atol=1e-6)


def test_a_workspace_of_vot(tmp_path: Path) -> None:
    """What vot-toolkit 0.9 needs to analyse it, beside ``sequences``: its configuration and its list of trackers."""
    store = Store(tmp_path / "res")
    for tracker in ("T", "U"):
        store.save("mini", RunResult(tracker, "Alpha", "ope", BOXES, np.ones(COUNT)))
    assert len(list(exporters.export_results(store, "mini", (), "vot-workspace", tmp_path / "out"))) == 2
    assert (tmp_path / "out" / "results" / "U" / "unsupervised" / "Alpha" / "Alpha_001.txt").is_file()
    assert (tmp_path / "out" / "trackers.ini").read_text().count("protocol = trax") == 2
    assert "type: average_accuracy" in (tmp_path / "out" / "config.yaml").read_text()


def test_archives_of_servers() -> None:
    """As the servers want them: folders of GOT-10k with times, TrackingNet's files side by side; numbers alone."""
    got = exporters.layout("got10k-server", result())
    assert sorted(got) == ["Alpha/Alpha_001.txt", "Alpha/Alpha_time.txt"]
    assert str(got["Alpha/Alpha_001.txt"]).splitlines()[2] == "0.000000,0.000000,0.000000,0.000000"
    net = exporters.layout("trackingnet-server", result(), zero_based=True)
    assert str(net["Alpha.txt"]).splitlines()[:3] == [
        "9.000000,19.000000,30.000000,40.000000", "10.000000,20.000000,30.000000,40.000000",
        "0.000000,0.000000,0.000000,0.000000",
    ]  # fmt: skip


def test_refusals(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UsageError, match="no results on mini"):
        list(exporters.export_results(store, "mini", (), "got10k", tmp_path / "out"))
    store.save("mini", result())
    with pytest.raises(UsageError, match=r"no results of U on mini .*; known: T"):
        list(exporters.export_results(store, "mini", ("U",), "got10k", tmp_path / "out"))
    with pytest.raises(UsageError, match="unknown format"):
        exporters.layout("matlab", result())
    segment = RunResult("T", "Alpha", "tre", BOXES, np.zeros(COUNT), segment="tre02")
    with pytest.raises(UsageError, match="no place for TRE"):
        exporters.layout("vot", segment)


def test_the_folder_of_an_oracle_carries_the_word(tmp_path: Path) -> None:
    store = Store(tmp_path / "res")
    store.save("mini", result())
    store.write_meta("mini", "ope", "T", {"oracle": True, "sequences": {}})
    assert list(exporters.export_results(store, "mini", (), "pysot", tmp_path / "out")) == [("T-oracle", 1)]
    assert [p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.txt")] == [
        "T-oracle/Alpha.txt"
    ]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path / "res").save("otb30", result())
    assert main(["export", "got10k", str(tmp_path / "out"), "--results", str(tmp_path / "res")]) == 0
    assert "T: 1 sequence in" in capsys.readouterr().err
    assert (tmp_path / "out" / "T" / "Alpha.txt").is_file()
    assert main(["export", "pysot", str(tmp_path / "out"), "--results", str(tmp_path / "none")]) == 2
    assert "run or import some first" in capsys.readouterr().err
