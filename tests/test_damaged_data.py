"""One damaged sequence costs a suite that sequence alone, in every layout and every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rolo_bench.cli import main
from rolo_bench.datasets import suites
from tests.helpers_layouts import SAMPLES, TRUTH, uav123

FOLDERS = {
    "otb": "Walk", "vot": "ball", "vot-masks": "ball", "vots": "ball", "got10k": "GOT-10k_Val_000001",
    "lasot": "cup-1", "lasot-flat": "cup-1", "uav123": "plane", "nfs": "toy", "trackingnet": "abc_0",
    "tc128": "Bike_ce2", "visdrone": "uav01", "mot": "MOT-01", "davis": "dog", "pysot": "Walk",
}  # fmt: skip
"""What of each sample's paths is the sequence's name."""
DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "words": lambda p: p.write_text("hello, world\n"),
    "bytes": lambda p: p.write_bytes(b"\xff\xfe\x00\x81junk"),
    "gone": lambda p: p.unlink(),
}
UNREAD = {"meta_info.ini", "out_of_view.txt", "absence.label", "cover.label"}
"""Files that a sequence can do without."""
UNTOLD = {("vots", "groundtruth_1.txt", "gone"), ("vots", "groundtruth_2.txt", "gone")}
"""Nothing says how many targets there were."""


def two_sequences(root: Path, name: str) -> tuple[str, str]:
    """A sample with a second sequence beside its own, and what their names begin with."""
    SAMPLES[name][1](root, TRUTH)
    old = FOLDERS[name]
    new = old[:-1] + "9"
    for path in sorted(root.rglob("*")):
        relative = str(path.relative_to(root))
        if path.is_file() and old in relative:
            copy = root / relative.replace(old, new)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    if (root / "list.txt").is_file():
        (root / "list.txt").write_text(f"{old}\n{new}\n")
    if (table := root / "OTB.json").is_file():
        fields = json.loads(table.read_text())[old]
        table.write_text(json.dumps({old: fields, new: json.loads(json.dumps(fields).replace(old, new))}))
    return old, new


def told(root: Path, images: bool = True) -> tuple[set[str], set[str]]:
    """Names of the sequences that are loaded, and of those that are said to be damaged or missing."""
    suite = suites.load_suite(str(root), partial=True, images=images, tolerant=True)
    return {s.name for s in suite.sequences}, {*dict(suite.faults), *suite.missing}


@pytest.mark.parametrize("name", SAMPLES)
def test_damage_to_one_sequence_is_told_of_it_and_the_other_loads(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole"
    old, new = two_sequences(whole, name)
    names = told(whole)[0]
    pictures: set[Path] = set()
    tried = 0
    for path in sorted(p for p in whole.rglob("*") if p.is_file() and old in str(p.relative_to(whole))):
        of_images = path.suffix in (".jpg", ".png")
        if of_images and path.parent in pictures:
            continue
        ways = dict(DAMAGE)
        if of_images:  # the folder, and the first mask; what is wrong with an image shows when it is read
            pictures.add(path.parent)
            ways = ways if path.suffix == ".png" else {}
            ways |= {"no images": lambda p: [f.unlink() for f in p.parent.iterdir() if f.suffix == p.suffix]}
        for way, damage in ways.items():
            root = tmp_path / "damaged"
            shutil.copytree(whole, root)
            damage(root / path.relative_to(whole))
            loaded, bad = told(root)
            assert {n for n in names if new in n} <= loaded, (path, way)
            assert any(old in n for n in bad) or (name, path.name, way) in UNTOLD or path.name in UNREAD
            tried += 1
            shutil.rmtree(root)
    assert tried


def test_one_damaged_sequence_in_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "films"
    old, new = two_sequences(root, "davis")
    shutil.copytree(root / "JPEGImages" / "480p" / old, root / "JPEGImages" / "480p" / "fox")
    for mask in (root / "Annotations" / "480p" / old).iterdir():
        mask.unlink()
    options = ["--suite", str(root), "--results", str(tmp_path / "r")]
    line = f"480p/{old}: holds no images"
    bare = "480p/fox: holds images without an annotation"
    assert main(["run", "--tracker", "static", "--in-process", *options]) == 1
    said = capsys.readouterr().err
    assert line in said and bare in said and "1 done, 2 failed" in said
    assert main(["score", *options]) == 1
    said = capsys.readouterr().err
    assert line in said and "damaged besides: fox" in said
    assert main(["score", "--partial", *options]) == 0
    said = "".join(capsys.readouterr())
    assert line in said and bare in said
    assert main(["check", "suite", str(root)]) == 1
    said = "".join(capsys.readouterr())
    assert line in said and bare in said and new in said and "2 faults" in said


def test_one_damaged_entry_of_a_json(tmp_path: Path) -> None:
    old, new = two_sequences(tmp_path, "pysot")
    file = tmp_path / "OTB.json"
    table = json.loads(file.read_text())
    for entry in (None, {}, {"img_names": 3}, {"img_names": ["a.jpg", "a.jpg"]}):
        file.write_text(json.dumps(table | {old: entry}))
        assert told(tmp_path) == ({new}, {old})


@pytest.mark.parametrize("name", ["vot", "got10k"])
def test_images_without_the_annotation_that_a_list_promises(tmp_path: Path, name: str) -> None:
    """With them gone as well it is a sequence that is absent, and a suite may be partial."""
    old, new = two_sequences(tmp_path, name)
    (tmp_path / old / "groundtruth.txt").unlink()
    suite = suites.load_suite(str(tmp_path), tolerant=True)
    assert [n for n, _ in suite.faults] == [old] and "though its images are there" in suite.faults[0][1]
    assert [s.name for s in suite.sequences] == [new] and not suite.missing
    shutil.rmtree(tmp_path / old)
    suite = suites.load_suite(str(tmp_path), partial=True, tolerant=True)
    assert suite.missing == (old,) and not suite.faults


def test_images_without_the_annotation_that_a_table_promises(tmp_path: Path) -> None:
    old, new = two_sequences(tmp_path, "otb")
    table = tmp_path / "mine.csv"
    table.write_text(f"name\n{old}\n{new}\n")
    (tmp_path / old / "groundtruth_rect.txt").unlink()
    suite = suites.load_suite(str(table), tolerant=True)
    assert [n for n, _ in suite.faults] == [old] and [s.name for s in suite.sequences] == [new]


def test_images_that_belong_to_another_part_are_no_damage(tmp_path: Path) -> None:
    """UAV20L has its images among those of UAV123."""
    uav123(tmp_path, TRUTH)
    (tmp_path / "anno" / "UAV20L").mkdir()
    shutil.copy(tmp_path / "anno" / "UAV123" / "plane.txt", tmp_path / "anno" / "UAV20L" / "plane.txt")
    shutil.copytree(tmp_path / "data_seq" / "UAV123" / "plane", tmp_path / "data_seq" / "UAV123" / "boat")
    assert not suites.load_suite("uav20l", tmp_path, tolerant=True).faults
    assert [n for n, _ in suites.load_suite("uav123", tmp_path, tolerant=True).faults] == ["boat"]
