"""What a plugin may do, and what becomes of it: the same one line in `run`, `track` and `show --heatmap`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.boxes import valid
from rolo_bench.cli import main
from rolo_bench.errors import DataError, TrackerError
from rolo_bench.run.film import write_film
from rolo_bench.run.plugins import find_plugin
from rolo_bench.run.worker import as_answer, as_box, guarded, track_frames
from tests.helpers_video import otb_folder, square_sequence

EXPECTED = ", expected four numbers x, y, w, h"
PLUGIN = """
import asyncio, os, sys
import numpy as np
from rolo_bench.errors import DataError, UsageError
inf, nan = float("inf"), float("nan")

class Mute(Exception):
    def __str__(self): raise RuntimeError

def stop(error): raise error

class Bad:
    'Answers badly at its third update.'
    heatmap = np.zeros((4, 4))
    def __init__(self): self.n = 0
    def init(self, image, box): self.box = box
    def update(self, image):
        self.n += 1
        if self.n < 3: return self.box
        {answer}
"""
BAD = {
    "None": "update returned None" + EXPECTED,
    "[1, 2, 3]": "update returned 3 values" + EXPECTED,
    "[]": "update returned 0 values" + EXPECTED,
    "7.5": "update returned float" + EXPECTED,
    "{'x': 1}": "update returned dict" + EXPECTED,
    "np.ones((1, 4))": "update returned 4 values of shape (1, 4)" + EXPECTED,
    "np.ones((4, 1))": "update returned 4 values of shape (4, 1)" + EXPECTED,
    "torch.ones(1, 4)": "update returned 4 values of shape (1, 4)" + EXPECTED,
    "'1,2,3,4'": "update returned str" + EXPECTED,
    "['1', '2', '3', '4']": "update returned list of str" + EXPECTED,
    "[None] * 4": "update returned list of None" + EXPECTED,
    "[1, [2, 3], 4, 5]": "update returned list of int and list" + EXPECTED,
    "(True, (1, 2, 3, 4))": "update returned tuple of bool and tuple" + EXPECTED,  # as OpenCV's trackers do
    "[1j, 2, 3, 4]": "update returned list of complex and int" + EXPECTED,
    "np.ones(4, bool)": "update returned ndarray of bool" + EXPECTED,
    "torch.ones(4, dtype=torch.bool)": "update returned Tensor of bool" + EXPECTED,
    "[1, 2, inf, 4]": "update returned an infinite value" + EXPECTED,
    "[1, 2, -3, 4]": "update returned a negative width or height" + EXPECTED,
    "stop(ValueError('no luck\\nmore'))": "ValueError: no luck",
    "stop(ValueError())": "ValueError: no message",
    "stop(Mute())": "Mute: no message",
    "stop(StopIteration())": "StopIteration: no message",
    "stop(GeneratorExit())": "GeneratorExit: no message",
    "stop(asyncio.CancelledError())": "CancelledError: no message",
    "stop(DataError('x.txt: gone; fetch it'))": "x.txt: gone; fetch it",
    "stop(UsageError('no such thing'))": "no such thing",
    "sys.exit()": "SystemExit: no message",
    "sys.exit(0)": "SystemExit: 0",
    "sys.exit('bye')": "SystemExit: bye",
    "1 / 0": "ZeroDivisionError: division by zero",
}


def bad_plugin(answer: str) -> str:
    """Loads torch only for an answer of it, which takes longer than all else that the plugin does."""
    return PLUGIN.replace("{answer}", "import torch; " * ("torch." in answer) + f"return {answer}")


def test_one_line_in_run(tmp_path, monkeypatch, capsys):
    """In one process, each answer on a video of its own, which the width of the first box tells."""
    monkeypatch.chdir(tmp_path)
    names = tuple(f"Case{k:02d}" for k in range(len(BAD)))
    videos = otb_folder(tmp_path / "videos", names, count=4)
    for k, name in enumerate(names, 1):
        (videos / name / "groundtruth_rect.txt").write_text(f"10,20,{k},18\n" * 4)
    Path("bad.py").write_text(
        bad_plugin(f"[{', '.join(f'lambda: {a}' for a in BAD)}][int(self.box[2]) - 1]()")
    )
    assert main(["run", "--tracker", "./bad.py", "--suite", str(videos), "--results", "r"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"bad on videos: {len(BAD)} sequences, {4 * len(BAD)} frames",
        *(f"  {name}: failed: {name}, frame 4: {reason}" for name, reason in zip(names, BAD.values())),
        f"bad on videos (ope): 0 done, {len(BAD)} failed",
        f"rolo-bench: {len(BAD)} failed, the rest is kept; mend what is said of each and run the same command again",
    ]


@pytest.fixture(scope="module")
def footage(tmp_path_factory) -> tuple[Path, Path]:
    """One moving square as a folder in OTB layout and as a video file."""
    root = tmp_path_factory.mktemp("footage")
    sequence = square_sequence(count=6)
    film = write_film(root / "square.mp4", [sequence.frames.image(i) for i in range(6)], 20)
    return otb_folder(root / "videos", ("Square",), count=6), film


@pytest.mark.parametrize(("answer", "reason"), BAD.items())
def test_one_line_in_track_and_show(footage, tmp_path, monkeypatch, capsys, answer, reason):
    videos, film = footage
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(bad_plugin(answer))
    assert main(["show", "Square", "--heatmap", "./bad.py", "--suite", str(videos), "--results", "r"]) == 1
    assert capsys.readouterr().err == f"rolo-bench: Square, frame 4: {reason}\n"
    assert main(["track", str(film), "--init", "10,20,24,18", "--tracker", "./bad.py"]) == 1
    kept = "the 3 frames before it are kept, boxes in square_bad.txt"
    assert capsys.readouterr().err == f"rolo-bench: {film}, frame 4: {reason}; {kept}\n"
    assert len(Path("square_bad.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("where", "code"),
    [("import", ""), ("import", "'bye'"), ("constructor", "0"), ("init", "3"), ("init", "'bye'")],
)
def test_a_plugin_cannot_end_the_program(footage, tmp_path, capsys, where, code):
    text = "import sys\nclass Ends:\n    def __init__(self): pass\n    def init(self, image, box): pass\n"
    text += "    def update(self, image): return image\n"
    stop = f"sys.exit({code})"
    old = {"import": "import sys\n", "constructor": "(self): pass", "init": "box): pass"}[where]
    path = tmp_path / "ends.py"
    path.write_text(text.replace(old, f"{old.removesuffix('pass')}{stop}" + "\n" * (where == "import")))
    what = {
        "import": f"{path}: cannot be imported",
        "constructor": "tracker ends cannot be made",
        "init": "frame 1",
    }
    videos, film = footage
    suite = ["--suite", str(videos), "--results", str(tmp_path / "r")]
    for line in (
        ["run", "--tracker", str(path), *suite],
        ["show", "Square", "--heatmap", str(path), *suite],
        ["track", str(film), "--init", "1,2,3,4", "--tracker", str(path)],
    ):
        assert main(line) == 1
        error = capsys.readouterr().err
        assert f"{what[where]}: SystemExit: {code.strip(chr(39)) or 'no message'}" in error
        assert "Traceback" not in error


def test_the_exit_status_is_not_the_plugins(footage, tmp_path):
    (tmp_path / "bad.py").write_text(bad_plugin("sys.exit(0)"))
    line = [sys.executable, "-m", "rolo_bench", "track", str(footage[1]), "--init", "10,20,24,18"]
    done = subprocess.run(
        [*line, "--tracker", "./bad.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr


def run(update, count=4, **more):
    """Boxes of a tracker with this ``update``."""

    class Tracker:
        def init(self, image, box):
            self.box = box

        def update(self, image):
            return update(self)

    sequence = square_sequence(count=count)
    images = [sequence.frames.image(i) for i in range(count)]
    return [box for _, box, *_ in track_frames(Tracker(), images, sequence.truth[0], "s", **more)]


GRADIENT = torch.tensor([1.0, 2, 3, 4], requires_grad=True)


@pytest.mark.parametrize(
    "answer",
    [
        [1, 2, 3, 4],
        (1.0, 2, 3, 4),
        np.array([1, 2, 3, 4], np.uint8),
        np.array([1, 2, 3, 4], np.float16),
        torch.tensor([1, 2, 3, 4]),
        torch.tensor([1, 2, 3, 4], dtype=torch.bfloat16),
        GRADIENT,
        GRADIENT * 1,
        list(GRADIENT),
        tuple(torch.tensor([1.0, 2, 3, 4])),
        [np.float32(1), 2, torch.tensor(3.0), 4],
    ],
)
def test_four_numbers_are_a_box_in_whatever_they_come(answer):
    box = as_box(answer)
    assert box.dtype == np.float64 and box.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "answer",
    [
        [1, np.nan, 3, 4],
        [np.nan] * 4,
        torch.full((4,), torch.nan),
        [1, 2, -3, np.nan],
        np.ma.masked_array([1, 2, 3, 4], mask=[0, 0, 0, 1]),
        [1, 2, 3, np.ma.masked],
    ],
)
def test_nan_anywhere_is_no_box(answer):
    assert np.isnan(as_box(answer)).all() and as_box(answer).shape == (4,)


@given(
    st.lists(st.floats(), max_size=6) | st.lists(st.integers(), max_size=6) | st.text() | st.complex_numbers()
)
def test_a_box_or_one_line(answer):
    try:
        box = as_box(answer)
    except TrackerError as error:
        assert str(error).startswith("update returned ") and str(error).endswith(EXPECTED)
    else:
        assert np.isnan(box).all() or (np.isfinite(box).all() and (box[2:] >= 0).all())


def test_what_is_infinite_as_a_double_is_refused():
    far = np.longdouble("1e400")
    if np.isinf(far):
        pytest.skip("this machine has no longer form")
    for answer in ([1, 2, far, 4], np.array([1, 2, far, 4]), ([1, 2, 3, 4], far)):
        with pytest.raises(TrackerError, match=r"infinite value|expected a finite number"):
            as_answer(answer)


def test_boxes_are_copies():
    def slide(tracker):
        tracker.box += 1
        return tracker.box

    boxes = run(slide)
    assert [b[0] for b in boxes] == [10, 11, 12, 13]
    boxes[0][:] = 0
    assert valid(square_sequence().truth[0])[0]


def test_what_was_before_a_failure_is_kept():
    def fail(tracker):
        raise KeyError("box")

    with pytest.raises(TrackerError, match=r"^s, frame 42: KeyError: 'box'$"):
        run(fail, first=41)
    sequence, found = square_sequence(count=3), []
    tracker = type("T", (), {"init": lambda *a: None, "update": fail})()
    with pytest.raises(TrackerError):
        for _, box, *_ in track_frames(tracker, sequence.frames.images, sequence.truth[0], "s"):
            found.append(box)
    assert len(found) == 1


def test_interrupts_pass_and_so_do_errors_of_reading_frames():
    def interrupt(tracker):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupt)

    def images():
        yield from square_sequence(count=2).frames.images
        raise DataError("frame 3 is gone")

    hold = type("Hold", (), {"init": lambda *a: None, "update": lambda *a: [1, 2, 3, 4]})()
    with pytest.raises(DataError, match=r"^frame 3 is gone$"):
        list(track_frames(hold, images(), np.ones(4), "s"))
    with pytest.raises(KeyboardInterrupt), guarded("here"):
        raise KeyboardInterrupt


def test_only_an_oracle_is_shown_the_truth_and_not_in_its_time(monkeypatch):
    shown = []

    class Told:
        oracle = True

        def reveal(self, box):
            shown.append(box.tolist())
            box[:] = 0

        def init(self, image, box):
            pass

        def update(self, image):
            return shown[-1]

    sequence = square_sequence(count=4)
    rows = list(track_frames(Told(), sequence.frames.images, sequence.truth[0], "s", truth=sequence.truth))
    assert np.array_equal([box for _, box, *_ in rows], sequence.truth) and shown == sequence.truth.tolist()
    Told.oracle = False
    shown[:] = [[1, 1, 1, 1]]
    list(track_frames(Told(), sequence.frames.images, sequence.truth[0], "s", truth=sequence.truth))
    assert shown == [[1, 1, 1, 1]]
    Told.oracle, Told.reveal = True, None
    with pytest.raises(TrackerError, match="s, frame 1: TypeError"):
        list(track_frames(Told(), sequence.frames.images, sequence.truth[0], "s", truth=sequence.truth))


def test_a_constructor_that_raises_is_one_line(tmp_path):
    path = tmp_path / "raises.py"
    hold = "    def init(self, image, box): pass\n    def update(self, image): pass\n"
    raises = "class Raises:\n    def __init__(self): raise "
    path.write_text(f"{raises}OSError('no\\ndisk')\n{hold}")
    with pytest.raises(TrackerError, match=r"^tracker raises cannot be made: OSError: no$"):
        find_plugin(str(path)).make({})
    path.write_text(f"from rolo_bench.errors import DataError\n{raises}DataError('fetch it')\n{hold}")
    with pytest.raises(DataError, match=r"^fetch it$"):
        find_plugin(str(path)).make({})
    path.write_text(f"class Needs:\n    def __init__(self, size): pass\n{hold}")
    with pytest.raises(TrackerError, match=r"^tracker raises cannot be made: TypeError: .*'size'$"):
        find_plugin(str(path)).make({})


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_message_that_ends_the_program_when_read_is_left_out(stop):
    class Rude(Exception):
        def __str__(self):
            raise stop

    with pytest.raises(TrackerError, match=r"^here: Rude: no message$"), guarded("here"):
        raise Rude


def test_a_message_is_one_short_line_of_plain_characters():
    with pytest.raises(TrackerError) as told, guarded("here"):
        raise ValueError("\x1b[31mred\x07 " + "x" * 3000 + "\u2028second")
    text = str(told.value)
    assert text.isprintable() and len(text) < 400 and "second" not in text


def test_a_tracker_that_paints_the_image_is_given_a_copy_where_a_film_is_drawn(tmp_path):
    class Black:
        def init(self, image, box):
            self.box = box

        def update(self, image):
            image[:] = 0
            return self.box

    frames = [np.full((8, 8, 3), 200, np.uint8) for _ in range(3)]
    seen = track_frames(Black(), frames, np.array([1.0, 1, 4, 4]), "v", copies=True)
    assert all(image.min() == 200 for image, *_ in seen)


@pytest.mark.parametrize(
    "value", ["{1: 2}", "{1, 2}", "b'x'", "float", "nan", "(" * 500, "1e999", "[1, [2]]", "é", "\x1b[1m"]
)
def test_odd_values_of_options_give_one_line(tmp_path, capsys, value):
    (tmp_path / "odd.py").write_text(
        "class Odd:\n    def __init__(self, by=0): pass\n    def init(self, image, box): self.box = box\n"
        "    def update(self, image): return self.box\n"
    )
    line = ["run", "--tracker", str(tmp_path / "odd.py"), "--suite", str(otb_folder(tmp_path / "v", count=3))]
    line += ["--results", str(tmp_path / "r"), "-o", f"by={value}", "--in-process"]
    assert main(line) == 0 and main(line) == 0
    err = capsys.readouterr().err
    assert "2 skipped" in err and "Traceback" not in err


def test_messages_are_one_line_that_no_terminal_takes_for_an_order():
    assert str(DataError("a\x1b[2Jb\nc\x07: gone")) == "a [2Jb c : gone"
