"""The fuzzer of benchmarks/fuzz.py on every reader for a moment, and what it has found."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import fuzz

        yield fuzz
    finally:
        sys.path.remove(str(BENCHMARKS))


NAMES = (
    "boxes scored-boxes times results vot vot-results confidence vot-binary mat json labels nfs mot pysot table span "
    "vid voc images cfg weights tensors checkpoint onnx detections records scored kept project archives words"
)
OTHERS = ("scored-boxes", "vot", "cfg", "weights", "tensors", "images", "records", "scored")
"""Readers of which some seeds are not for them."""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_hundred_damaged_inputs(fuzz: ModuleType, name: str, tmp_path: Path) -> None:
    """Every seed is read as it is; none of its damaged copies crashes, or is read as something else."""
    assert {*fuzz.READERS} == {*NAMES.split()}
    reader, counts, rng = fuzz.READERS[name], Counter[str](), random.Random(name)
    seeds = reader.seeds()
    for data in seeds:
        assert fuzz.judge(reader, tmp_path, data, counts) == ""
    if name not in OTHERS:
        assert not counts["refused"]
    for _ in range(20 if name == "scored" else 100):
        data = fuzz.mutated(reader, rng.choice(seeds), rng)
        assert fuzz.judge(reader, tmp_path, data, counts) == "", data
    assert counts["accepted"]


FOUND: dict[str, list[tuple[str, bytes]]] = {
    "a lone number, the rest of a row that was cut, became a frame without target": [("vot", b"1,2,3,4\n5\n")],
    "spellings of numbers that only Python reads": [
        ("vot", b"1_0,2,3,4\n"), ("vot", "٣,2,3,4\n".encode()), ("labels", b"\x011_0\n" * 8),
        ("nfs", b"0 1_0 2 3 4 1 0 0\n"), ("mot", b"1,1,1_0,2,3,4\n"), ("words", b"\x001_0,2,3,4"),
        ("words", b"\x011_0"), ("vot", b"m1_0,0,2,2,0,4\n"),
    ],
    "run lengths beyond 64 bits, or of gigabytes": [
        ("vot", b"m0,0,4,3,99999999999999999999,1\n"), ("vot", b"m0,0,4294967295,4294967295,0,9\n"),
    ],
    "labels that are infinite or negative": [("labels", b"\x01" + b"1e999\n" * 8), ("labels", b"\x05-1\n" * 8)],
    "an empty table, frames that are no whole numbers or beyond any video": [
        ("nfs", b""), ("nfs", b"0 1 2 3 4 nan 0 0\n"), ("nfs", b"0 1 2 3 4 1 0 0\n0 1 2 3 4 1.5 0 0\n"),
        ("nfs", b"0 1 2 3 4 1e18 0 0\n"), ("mot", b"nan,1,1,2,3,4\n"), ("mot", b"1,1,1,2,3,4\n1e15,1,1,2,3,4\n"),
        ("mot", b"1,nan,1,2,3,4\n"), ("span", b"nan,8\n"), ("span", b"1,1e15\n"), ("span", b"8,1\n"),
        ("nfs", b"0 inf 2 3 4 1 0 0\n"),
    ],
    "two rows of one target in one frame: the last one counted": [("mot", b"1,1,1,2,3,4\n1,1,5,6,7,8\n")],
    "JSON of other types than expected": [
        ("pysot", b'{"A": {"img_names": 3, "gt_rect": [[1, 2, 3, 4]]}}'),
        ("pysot", b'{"A": {"img_names": ["A/00000001.jpg"], "gt_rect": 5}}'),
        ("pysot", b'{"A": {"img_names": ["A/00000001.jpg"]}}'),
        ("pysot", b'{"A": {"img_names": ["A/00000001.jpg"], "gt_rect": [["1", 2, 3, 4]]}}'),
        ("pysot", b'{"A": {"img_names": ["A/00000001.jpg"], "gt_rect": [[1, 2, 3, 4]], "absent": [1, 1]}}'),
        ("pysot", b'{"A": {"img_names": ["A/00000001.jpg", "A/00000001.jpg"], "gt_rect": [[1, 2, 3, 4]]}}'),
        ("pysot", b'{"A": {"img_names": [], "gt_rect": [[1, 2, 3, 4]]}}'), ("pysot", b"[" * 5000),
        ("pysot", b'{"A": {"img_names": ["' + b"x" * 300 + b'"], "gt_rect": [[1, 2, 3, 4]]}}'),
    ],
    "a table in another encoding, with more cells than columns or a column twice": [
        ("table", b"name\n\xff\n"), ("table", b"name,first,last\nA,1,8,9\n"), ("table", b"name,name\nA,B\n"),
        ("table", b"name,folder\nA," + b"x" * 300 + b"\n"), ("table", b"name,first,last\nA,-1,8\n"),
        ("table", b"name,first,last\nA,1,99999999999\n"),
    ],
    "an unknown encoding, a track that stands there twice": [
        ("vid", b'<?xml version="1.0" encoding="x-none"?><annotation/>'),
        ("vid", b"<a>" + b"<object><trackid>0</trackid><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax>"
         b"<ymax>3</ymax></bndbox></object>" * 2 + b"</a>"),
        ("voc", b"<annotation><filename>x</filename><size><width>6_4</width><height>48</height></size></annotation>"),
        ("voc", b"<annotation><filename>x</filename><size><width>64.5</width><height>48</height></size></annotation>"),
    ],
    "a polygon of two corners": [("vot-binary", b"\x01\0\x01\0\0\0\x02\x02\0" + bytes(16))],
    "a header of weights without any": [("weights", b"\0\0\0\0\2\0\0\0" + bytes(10))],
    "layers without filters": [("cfg", b"[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=0\n")],
    "ranges and sizes beyond everything": [
        ("words", b"\x011-99999999999999"), ("words", b"\x01-1"), ("words", b"\x015-3"),
        ("words", b"\x03" + b"9" * 400),
    ],
    "records of other types": [
        ("records", b'{"sequences": {"A": {"making": ["k"]}}, "makings": {"k": {}}}'),
        ("records", b'{"sequences": {"A": {}}, "makings": null}'),
        ("records", b'{"sequences": {"A": {"start": null}}}'),
        ("records", b'{"sequences": {"A": {}}, "makings": {"k": {"options": [1]}}}'),
        ("records", b'{"sequences": {"A": {}}, "trained_on": [[1]]}'),
        ("records", b'{"sequences": {"A": {}}, "machine": {"cores": "two", "load_at_start": 9}}'),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_findings(fuzz: ModuleType, what: str, tmp_path: Path) -> None:
    for name, data in FOUND[what]:
        counts = Counter[str]()
        assert fuzz.judge(fuzz.READERS[name], tmp_path, data, counts) == "", (name, data)
        assert counts["refused"], (name, data)


def test_the_tests_that_reliability_names_are_there() -> None:
    here = Path(__file__).parent
    text = (here.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(named) > 25
    for file, name in named:
        assert f"def {name}(" in (here / file).read_text(encoding="utf-8"), name


def test_the_script_counts_and_keeps_what_it_finds(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(folder: Path, data: bytes) -> None:
        if b"9" in data:
            raise ZeroDivisionError

    broken = fuzz.Reader("broken", lambda: [b"1,2,3\n"], read)
    tally = fuzz.Tally(broken, "broken", tmp_path / "files", tmp_path / "found", 10)
    for data in (b"1", b"9", b"99"):
        tally.one(data)
    assert tally.counts == {"executions": 3, "accepted": 1}
    assert list(tally.found.values()) == [2] and (tmp_path / "found" / "broken-1").read_bytes() == b"9"
    assert "ZeroDivisionError" in (tmp_path / "found" / "broken-1.txt").read_text()
