"""What `rolo-bench check` finds, and that it finds nothing where nothing is wrong."""

from pathlib import Path

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.run.check import _is_cut, check_suite, check_tracker
from rolo_bench.sequence import ArrayFrames, Sequence
from tests.helpers_layouts import TRUTH, otb
from tests.helpers_video import otb_folder, square_sequence


def test_faults_of_a_suite(tmp_path, capsys):
    videos = otb_folder(tmp_path / "v", ("Fine", "Cut", "Text", "Out", "Start"), count=4)
    image = videos / "Cut/img/0002.jpg"
    image.write_bytes(image.read_bytes()[:-2])
    (videos / "Text/img/0003.jpg").write_bytes(b"no image")
    rows = (videos / "Out/groundtruth_rect.txt").read_text().splitlines()
    (videos / "Out/groundtruth_rect.txt").write_text("\n".join([*rows[:3], "900,10,5,5"]))
    rows = (videos / "Start/groundtruth_rect.txt").read_text().splitlines()
    (videos / "Start/groundtruth_rect.txt").write_text("\n".join(["NaN,NaN,NaN,NaN", *rows[1:]]))
    found = {r.about: r.words for r in check_suite(load_suite(str(videos), tolerant=True)) if not r.fine}
    assert set(found) == {"Cut", "Text", "Out", "Start"}
    assert (
        "0002.jpg: " in found["Cut"] and "not a readable" in found["Text"]
    )  # OpenCV 4 fills what is cut with grey
    cut = videos / "Cut/img/0002.jpg"
    assert _is_cut(cut) and not _is_cut(cut.with_name("0001.jpg"))
    assert found["Out"] == "frame 4: its truth box lies outside the image"
    assert main(["check", "suite", str(videos)]) == 1
    assert capsys.readouterr().out.splitlines()[1] == "ok   Fine: 4 frames"
    assert main(["check", "suite", str(otb_folder(tmp_path / "w", count=3))]) == 0


HEAD = "import cv2, random\nimport numpy as np\nclass T:\n    'Finds the square, or not.'\n"
FINDS = HEAD + (
    "    def init(self, image, box): self.box = np.array(box); self.n = 0\n"
    "    def update(self, image):\n        self.n += 1\n        {first}\n"
    "        box = self.box + [2 * self.n, self.n, 0, 0]\n        {then}\n        return box\n"
)
KINDS = {
    "": ("pass", "pass"),
    "boxes": ("pass", "box[2:] += box[:2]"),
    "colours": ("red = image[..., 0].mean() > image[..., 2].mean()", "box = box if not red else self.box"),
    "determinism": ("pass", "T.count = getattr(T, 'count', 0) + 1; box = box + T.count"),
    "contract": ("pass", "box = None"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_mistakes_of_a_tracker(tmp_path, kind):
    first, then = KINDS[kind]
    (tmp_path / "t.py").write_text(FINDS.format(first=first, then=then))
    square = square_sequence(count=30)
    red = tuple(np.minimum(i.astype(int) + [90, 0, 0], 255).astype(np.uint8) for i in square.frames.images)
    sequence = Sequence("Red", ArrayFrames(red), square.truth)
    remarks = list(check_tracker(str(tmp_path / "t.py"), sequence))
    assert [r.about for r in remarks if not r.fine] == ([kind] if kind else [])
    if kind != "contract":
        assert {"contract", "determinism", "speed"} <= {r.about for r in remarks}


def test_what_only_shows_in_one_process(tmp_path):
    (tmp_path / "t.py").write_text(
        HEAD + "    def init(self, image, box): self.out = np.array(box)\n"
        "    def update(self, image): image[:] = 0; self.out += 1; return self.out\n"
    )
    about = {r.about for r in check_tracker(str(tmp_path / "t.py"), square_sequence(count=9))}
    assert {"answers", "images"} <= about


@pytest.mark.parametrize(("step", "told"), [(1, True), (0, False)])
def test_its_own_box_that_moves_is_told_and_one_that_stands_is_not(tmp_path, step, told):
    (tmp_path / "t.py").write_text(
        HEAD + "    def init(self, image, box): self.box = np.array(box)\n"
        f"    def update(self, image):\n        self.box += {step}\n        return self.box\n"
    )
    remarks = check_tracker(str(tmp_path / "t.py"), square_sequence(count=6))
    assert ("answers" in {r.about for r in remarks}) is told


def test_check_tracker_on_the_command_line(tmp_path, capsys):
    suite = str(otb_folder(tmp_path / "v", count=5))
    assert main(["check", "tracker", "ncc", "--suite", suite]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "ok   contract: 5 frames of Other", "ok   determinism: the same boxes twice in one process and in another",
    ]  # fmt: skip
    assert main(["check", "tracker", "ncc", "--suite", suite, "-o", "nope=1"]) == 1
    assert "unknown option 'nope'" in capsys.readouterr().out


def test_the_suite_of_the_project_file_is_looked_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "suite"]) == 2
    assert "name a suite (see `rolo-bench list suites`)" in capsys.readouterr().err
    otb_folder(tmp_path / "videos", count=3)
    (tmp_path / "rolo-bench.toml").write_text("suite = './videos'\n")
    assert main(["check", "suite"]) == 0
    assert "no faults" in capsys.readouterr().err


def test_corners_in_the_place_of_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = TRUTH + [20, 10, 0, 0]
    otb(tmp_path / "right", there)
    otb(tmp_path / "wrong", np.hstack([there[:, :2], there[:, :2] + there[:, 2:]]))
    assert all(r.fine for r in check_suite(load_suite(str(tmp_path / "right"))))
    (remark,) = check_suite(load_suite(str(tmp_path / "wrong")))
    assert not remark.fine and "look like corners x1, y1, x2, y2" in remark.words
    for name, said in (("right", False), ("wrong", True)):
        line = ["run", "--tracker", "static", "--in-process", "--suite", str(tmp_path / name)]
        assert main([*line, "--results", str(tmp_path / "r")]) == 0
        assert ("Walk: the truth looks like corners x1, y1, x2, y2" in capsys.readouterr().err) == said
    images = tmp_path / "wrong" / "Walk" / "img"
    (images / "0001.jpg").write_bytes(b"")
    assert not load_suite(str(tmp_path / "wrong")).notes
