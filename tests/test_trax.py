"""Trackers for VOT's toolkit, spoken to in TraX: the protocol's own server at the other end."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.run import plugins
from rolo_bench.run.in_process import run_sequence
from tests.helpers_video import square_sequence

pytest.importorskip("trax")

SERVER = """
import sys
import numpy as np
import trax
from trax import Image, Region, Rectangle, Polygon, Mask, Server

with Server([{regions}], [{images}], metadata=None) as server:
    n = 0
    while True:
        request = server.wait()
        if request.type == "quit":
            break
        if request.type == "initialize":
            region = request.objects[0][0]
        n += 1
        image = request.image["color"]
        {line}
        server.status([({answer}, {properties})])
"""
HOLD = {
    "regions": "Region.RECTANGLE", "images": "Image.PATH", "line": "pass", "answer": "region", "properties": "{}",
}  # fmt: skip


def tracker(tmp_path: Path, timeout: float = 60.0, **changes: str) -> object:
    path = tmp_path / "server.py"
    path.write_text(SERVER.format(**HOLD | changes))
    return plugins.find_plugin(f"{sys.executable} {path}").make({"protocol": "trax", "timeout": timeout})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "images": "Image.MEMORY",
            "line": "assert image.array().shape == (110, 150, 3)",
        },
        {"images": "Image.BUFFER", "line": "assert image.buffer()"},
        {"regions": "Region.POLYGON"},
        {"regions": "Region.MASK"},
        {"line": "import cv2; assert cv2.imread(image.path()) is not None"},
    ],
)
def test_a_tracker_for_the_toolkit_is_a_tracker(tmp_path: Path, changes: dict[str, str]) -> None:
    sequence = square_sequence(count=5)
    tracked = run_sequence(tracker(tmp_path, **changes), sequence)
    assert tracked.boxes == pytest.approx(np.tile(sequence.truth[0], (5, 1)), abs=0.01)
    assert tracked.scores is None


def test_confidence_is_the_score(tmp_path: Path) -> None:
    tracked = run_sequence(
        tracker(tmp_path, properties='{"confidence": str(n / 10)}'), square_sequence(count=4)
    )
    assert tracked.scores is not None and tracked.scores[1:] == pytest.approx([0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("if n > 1: raise ValueError('no idea')", "Square, frame 2: .* (ended|no idea)"),
        ("if n > 1: sys.exit(3)", "Square, frame 2: .*(ended|terminated)"),
        ("import time; time.sleep(60 * (n > 1))", "Square, frame 2: .* did not answer within 4 s"),
    ],
)
def test_what_goes_wrong_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(TrackerError, match=message):
        run_sequence(tracker(tmp_path, 4.0 if "sleep" in line else 60.0, line=line), square_sequence(count=4))


def test_a_program_that_speaks_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text("import sys\nfor line in sys.stdin: print('1 2 3 4', flush=True)\n")
    made = plugins.find_plugin(f"{sys.executable} {path}").make({"protocol": "trax", "timeout": 3.0})
    with pytest.raises(TrackerError, match=r"Square, frame 1: .* did not answer within 3 s"):
        run_sequence(made, square_sequence(count=3))


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trax.client", None)
    with pytest.raises(UsageError, match=r"pip install 'rolo-bench\[trax\]'"):
        tracker(tmp_path)
