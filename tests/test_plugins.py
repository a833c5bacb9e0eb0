import inspect
import re
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.run import opencv, plugins
from rolo_bench.run.in_process import seed_all
from rolo_bench.run.options import declared
from rolo_bench.run.runner import run, run_sequence
from rolo_bench.run.stamp import changed_since
from rolo_bench.run.store import Store
from tests.helpers_video import otb_folder, square_sequence

CONTRIB = {"csrt", "kcf"}


@pytest.mark.parametrize("name", plugins.builtin_names())
def test_every_shipped_tracker_keeps_the_contract(name):
    plugin = plugins.find_plugin(name)
    assert plugin.summary()
    parameters = inspect.signature(plugin.cls).parameters.values()
    assert all(p.default is not p.empty for p in parameters if p.kind is not p.VAR_KEYWORD)
    for method in ("init", "update"):
        assert inspect.getdoc(getattr(plugin.cls, method))


@pytest.mark.parametrize("name", ["static", "ncc", "mosse", "mil"])
def test_classical_trackers_follow_a_square(name):
    sequence = square_sequence()
    seed_all(0)  # mil draws, also from the generator of C, which other tests leave anywhere
    tracked = run_sequence(plugins.find_plugin(name).make({}), sequence)
    boxes, seconds = tracked.boxes, tracked.seconds
    error = np.abs(boxes[:, :2] - sequence.truth[:, :2]).max(axis=1)
    assert (seconds > 0).all()
    if name == "static":
        assert (boxes == sequence.truth[0]).all()
    else:
        assert np.median(error) < 8  # a third of the square


@pytest.mark.parametrize("name", sorted(CONTRIB))
def test_missing_opencv_tracker_says_what_to_install(name):
    import cv2

    plugin = plugins.find_plugin(name)
    if hasattr(cv2, f"Tracker{name.upper()}_create") or hasattr(
        getattr(cv2, "legacy", None), f"Tracker{name.upper()}_create"
    ):
        assert plugin.make({})
    else:
        with pytest.raises(TrackerError, match="opencv-contrib-python"):
            plugin.make({})


def test_what_this_machine_lacks_is_listed_with_the_remedy():
    import cv2

    rows = {name: (origin, words) for name, origin, words in plugins.catalogue()}
    for name in CONTRIB:
        assert (rows[name][0] == "unavailable") != hasattr(cv2, f"Tracker{name.upper()}_create")
        assert rows[name][0] == "built in" or "pip install opencv-contrib-python" in rows[name][1]
    assert rows["nano"][0] == rows["vit"][0] == rows["mil"][0] != "unavailable"


def test_a_box_on_which_mil_would_hang_is_refused():
    sequence, tracker = square_sequence(), plugins.find_plugin("mil").make({})
    for box in ([5.0, 5, 1, 60], [5, 5, 3, 3]):
        with pytest.raises(TrackerError, match=r"needs sides of 2 and an area of 24"):
            tracker.init(sequence.frames.image(0), np.array(box))


def test_vit_wants_a_file_of_the_users(tmp_path):
    with pytest.raises(TrackerError, match="--option model=FILE"):
        plugins.find_plugin("vit").make({})
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(TrackerError, match="OpenCV cannot read"):
        plugins.find_plugin("vit").make({"model": str(tmp_path / "x.onnx")})


@pytest.mark.shared
def test_nano_follows_a_square(shared, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(shared / "weights" / "nanotrack"))
    sequence, tracker = square_sequence(), plugins.find_plugin("nano").make({})
    assert sorted(tracker.weights_digests) == ["nanotrack_backbone_sim.onnx", "nanotrack_head_sim.onnx"]
    result = run_sequence(tracker, sequence)
    assert np.median(np.abs(result.boxes[:, :2] - sequence.truth[:, :2]).max(axis=1)) < 8
    assert result.scores is not None and ((result.scores[1:] > 0) & (result.scores[1:] <= 1)).all()


@pytest.mark.parametrize("sure", [True, False])
def test_opencv_trackers_that_have_a_score_give_it(sure):
    class Fake:
        def init(self, image, box):
            self.box = box

        def update(self, image):
            return False, (9, 9, 9, 9)

        if sure:

            def getTrackingScore(self):
                return np.float32(0.25)

    result = run_sequence(opencv.OpenCVTracker(Fake), square_sequence(count=3))
    assert result.boxes.tolist() == [result.boxes[0].tolist()] * 3  # a loss is the last box
    assert result.scores is None if not sure else result.scores[1:].tolist() == [0.25, 0.25]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


HOLD = """
class Hold:
    'Holds.'
    def init(self, image, box): self.box = box
    def update(self, image): return self.box
"""


def test_plugin_by_path(tmp_path):
    plugin = plugins.find_plugin(str(write(tmp_path / "my_hold.py", HOLD)))
    assert (plugin.name, plugin.origin) == ("my-hold", str(tmp_path / "my_hold.py"))
    assert plugin.make({}).__class__.__name__ == "Hold"


def test_plugin_by_folder(tmp_path, monkeypatch):
    write(tmp_path / "hold.py", HOLD)
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    assert plugins.find_plugin("hold").origin == str(tmp_path / "hold.py")


def test_plugin_may_import_a_file_beside_it(tmp_path):
    write(tmp_path / "beside_it_helper.py", "VALUE = 3\n")
    path = write(tmp_path / "p.py", "from beside_it_helper import VALUE\n" + HOLD)
    assert plugins.find_plugin(str(path)).name == "p"


def test_changed_file_is_read_again(tmp_path):
    path = write(tmp_path / "p.py", HOLD)
    first = plugins.find_plugin(str(path))
    second = plugins.find_plugin(str(write(path, HOLD + "# changed\n")))
    assert first.source_digest != second.source_digest


def test_plugin_by_entry_point(tmp_path, monkeypatch):
    write(tmp_path / "other_package.py", HOLD)
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    write(info / "METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    write(
        info / "entry_points.txt",
        "[rolo_bench.trackers]\ntheirs = other_package:Hold\nlost = other_package:Nope\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert plugins.find_plugin("theirs").origin == "installed, other_package:Hold"
    with pytest.raises(TrackerError, match="entry point lost"):
        plugins.find_plugin("lost")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "no class with init and update"),
        (HOLD + HOLD.replace("Hold", "Two"), "2 tracker classes.*TRACKER = ClassName"),
        ("import not_a_module_at_all\n", "cannot be imported: ModuleNotFoundError"),
        ("def f(:\n", "cannot be imported: SyntaxError"),
        ("raise SystemExit(0)\n", "cannot be imported: SystemExit: 0"),
        ("TRACKER = 3\n", "is not a class"),
    ],
)
def test_bad_plugin_files(tmp_path, text, message):
    with pytest.raises(TrackerError, match=message):
        plugins.find_plugin(str(write(tmp_path / "p.py", text)))


def test_two_classes_and_a_choice(tmp_path):
    text = HOLD + HOLD.replace("Hold", "Two") + "TRACKER = Two\n"
    assert plugins.find_plugin(str(write(tmp_path / "p.py", text))).cls.__name__ == "Two"


def test_unknown_names_and_options():
    with pytest.raises(UsageError, match=r"unknown tracker 'nope'; known: .*ncc.*plugin file"):
        plugins.find_plugin("nope")
    with pytest.raises(UsageError, match="no such plugin file"):
        plugins.find_plugin("./nope.py")
    with pytest.raises(UsageError, match=r"unknown option 'speed'; known: search, least"):
        plugins.find_plugin("ncc").make({"speed": 3})


def test_options_are_literals_where_they_can_be():
    assert plugins.parse_options(("a=1", "b=0.5", "c=yolox-nano", "d=true", "e=(1, 2)", "long-name=x=y")) == {
        "a": 1, "b": 0.5, "c": "yolox-nano", "d": True, "e": (1, 2), "long_name": "x=y",
    }  # fmt: skip
    with pytest.raises(UsageError, match="name=value"):
        plugins.parse_options(("a",))


PROGRAM = """
import sys
step = 0
for line in sys.stdin:
    word, *rest = line.split(None, 5)
    if word == "init":
        x, y, w, h = map(float, rest[:4])
        print("ok", flush=True)
        continue
    step += 1
    {}
    print(x + 2 * step, y + step, w, h, flush=True)
"""


def external(tmp_path, line="pass", **options):
    path = write(tmp_path / "follow.py", PROGRAM.format(line))
    return plugins.find_plugin(f"{sys.executable} {path}"), options


def test_a_program_is_a_tracker(tmp_path):
    plugin, _ = external(tmp_path)
    assert (plugin.name, plugin.origin) == ("follow", "command") and "follow.py" in plugin.summary()
    sequence = square_sequence()
    boxes = run_sequence(plugin.make({}), sequence).boxes
    np.testing.assert_allclose(boxes, sequence.truth)
    assert plugin.source_digest != external(tmp_path, "x += 0")[0].source_digest


def test_nothing_is_left_of_a_program(tmp_path, monkeypatch):
    """Neither the program nor its folder outlives the tracker."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plugin, _ = external(tmp_path)
    tracker, sequence = plugin.make({}), square_sequence()
    tracker.init(sequence.frames.image(0), sequence.truth[0])
    process = tracker.program.process
    assert len(list(tmp_path.glob("rolo-bench-*"))) == 1 and process.poll() is None
    del tracker
    assert not list(tmp_path.glob("rolo-bench-*")) and process.poll() is not None


def test_nothing_is_left_of_a_program_whose_worker_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = write(tmp_path / "follow.py", PROGRAM.format("import os; os.kill(os.getppid(), 9)"))
    square = square_sequence()
    (found,) = run(f"{sys.executable} {path}", Suite("made", (square,), ("Square",)), results=tmp_path / "r")
    assert "was ended by SIGKILL" in (found.error or "")
    assert not list(tmp_path.rglob("rolo-bench-*")) and not list((tmp_path / "r").rglob(".*"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("print('nan', flush=True); continue", None),
        ("print('here', flush=True); continue", "frame 2: .* answered 'here', expected four numbers"),
        ("raise ValueError('no idea')", r"frame 2: .* ended \(exit code 1\): ValueError: no idea"),
        ("import time; time.sleep(9)", "frame 2: .* did not answer within 1 s"),
        ("print('1 1 5 5', flush=True)", "frame 3: .* wrote '.*' without being asked"),
    ],
)
def test_what_a_program_does_wrong_is_one_line(tmp_path, line, message):
    plugin, _ = external(tmp_path, line)
    tracker, sequence = (
        plugin.make({"timeout": 1.0 if message and "within" in message else 20.0}),
        square_sequence(),
    )
    if message is None:
        assert np.isnan(run_sequence(tracker, sequence).boxes[1:]).all()
    else:
        with pytest.raises(TrackerError, match=message):
            run_sequence(tracker, sequence)
    with pytest.raises(UsageError, match="no such program"):
        plugins.find_plugin("no-such-program --fast")


BEHIND = """
import sys
ready = "model loaded"  # as if written after the first request went out
for line in sys.stdin:
    if line.startswith("init"):
        box = line.split(None, 5)[1:5]
    print(ready, flush=True)
    ready = " ".join(box)
print(ready)
"""
LATE = """
import sys
import time
for line in sys.stdin:
    if line.startswith("init"):
        time.sleep(0.3)  # the request is out, so that what comes now is taken for its answer
        print("model loaded", flush=True)
        time.sleep(0.3)
        box = line.split(None, 5)[1:5]
    time.sleep(0.1)
    print(*box, flush=True)
"""
TOO_MANY = "wrote '.*' when all was answered: a line too many before it, such as a banner"


def test_a_program_whose_answers_are_one_behind_fails_wherever_it_runs(tmp_path, capsys):
    """All that it answers looks like boxes; what is left of it at the end tells."""
    command = f"{sys.executable} {write(tmp_path / 'behind.py', BEHIND)}"
    sequence = square_sequence(count=6)
    with pytest.raises(TrackerError, match=f"Square, after its last frame: .* {TOO_MANY}"):
        run_sequence(plugins.find_plugin(command).make({}), sequence)
    (found,) = run(command, Suite("made", (sequence,), ("Square",)), results=tmp_path / "r")
    assert found.what == "failed" and re.search(TOO_MANY, found.error or "")
    films = otb_folder(tmp_path / "films", count=4)
    line = ["track", str(films / "Square" / "img"), "--tracker", command, "--init", "10,20,24,18"]
    assert main([*line, "--boxes", str(tmp_path / "boxes.txt")]) == 1
    assert re.search(TOO_MANY, capsys.readouterr().err)


def test_a_late_banner_fails_the_sequence(tmp_path):
    """At its end, or as soon as an answer has come before its request."""
    tracker = plugins.find_plugin(f"{sys.executable} {write(tmp_path / 'late.py', LATE)}").make({})
    with pytest.raises(TrackerError, match=f"{TOO_MANY}|without being asked"):
        run_sequence(tracker, square_sequence(count=6))


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("print(); print('# bye', flush=True)", None),
        ("print('bye', flush=True)", "after its last frame: .* wrote 'bye' when all was answered"),
        ("print('5,' * 99999, flush=True)", "after its last frame: .* wrote '5,5,.*' when all was answered"),
        ("import time; time.sleep(9)", "did not end within 1 s after its input was closed"),
        ("import subprocess; subprocess.Popen(['sleep', '9'])", None),  # which holds its output open
    ],
)
def test_the_end_of_a_program(tmp_path, end, message):
    path = write(tmp_path / "follow.py", PROGRAM.format("pass") + end + "\n")
    tracker, sequence = (
        plugins.find_plugin(f"{sys.executable} {path}").make({"timeout": 1.0}),
        square_sequence(),
    )
    if message is None:
        np.testing.assert_allclose(run_sequence(tracker, sequence).boxes, sequence.truth)
    else:
        with pytest.raises(TrackerError, match=message):
            run_sequence(tracker, sequence)


def package(folder: Path, name: str, widen: int, inside: str = "from .part import grown") -> Path:
    """A plugin of two files in a folder of its own."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "part.py").write_text(f"def grown(box):\n    return box + [0, 0, {widen}, 0]\n")
    (place / "__init__.py").write_text(
        f"{inside}\n\n\nclass Own:\n"
        "    def init(self, image, box):\n        self.box = box\n\n"
        "    def update(self, image):\n        return grown(self.box)\n"
    )
    return place


@pytest.mark.parametrize("inside", ["from .part import grown", "from own.part import grown"])
def test_a_folder_is_a_plugin(tmp_path, inside):
    place = package(tmp_path, "own", 3, inside)
    other = package(tmp_path / "elsewhere", "own", 5, inside)
    for path in (place, f"{place}/", place / "__init__.py"):
        found = plugins.locate(str(path))
        assert (found.name, found.tracker) == ("own", str(place / "__init__.py"))
    boxes = []
    for path in (place, other):  # two packages of one name do not meet
        tracker = plugins.find_plugin(str(path)).make({})
        tracker.init(None, np.array([1.0, 2, 3, 4]))
        boxes.append(tracker.update(None)[2])
    assert boxes == [6, 8]
    assert "own" not in sys.modules
    before = plugins.locate(str(place)).code().digest
    (place / "part.py").write_text("def grown(box):\n    return box\n")
    assert plugins.locate(str(place)).code().digest != before


def test_a_folder_runs_in_a_process_and_is_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = package(tmp_path, "own", 1, "from own.part import grown")
    videos = otb_folder(tmp_path / "videos", count=5)
    outcomes = run(str(place), str(videos), results="r")
    assert {o.what for o in outcomes} == {"done"}
    meta = Store(Path("r")).meta("videos", "ope", "own")
    assert meta["origin"] == "own/__init__.py"
    assert changed_since(meta) == ""
    (place / "part.py").write_text("def grown(box):\n    return box\n")
    assert changed_since(meta) == "tracker code"
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    assert plugins.locate("own").source.path == place / "__init__.py"


def test_what_is_no_plugin_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare").mkdir()
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    for name, message in {
        "./bare": "bare: a folder is a plugin if it has an __init__.py",
        "bare": "unknown tracker 'bare'; write ./bare for the plugin in this folder",
        "mine": "unknown tracker 'mine'; write ./mine.py for the plugin in this folder",
        "./mime.py": "mime.py: no such plugin file; did you mean 'mine.py'?",
        "./notes.txt": "notes.txt: a plugin is a Python file",
        "nc": "unknown tracker 'nc'; did you mean 'ncc'?",
    }.items():
        with pytest.raises(UsageError, match=re.escape(message)):
            plugins.locate(name)
    assert plugins.locate("NCC").name == "ncc"
    assert plugins.locate("Yolo_Sort").name == "yolo-sort"


class Declared:
    """Options of every kind that can be told."""

    def __init__(
        self, rate: float = 0.5, count: int = 3, name: str | None = None, soft: bool = False,
        mode: Literal["a", "b"] = "a", free: Any = None, gain=1, loud=False,
    ) -> None:  # fmt: skip
        """Take them."""

    init = update = lambda self, *rest: None


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("rate", "high", "option rate must be a number, not 'high'"),
        ("rate", True, "option rate must be a number, not True"),
        ("count", 2.5, "option count must be a whole number, not 2.5"),
        ("count", False, "option count must be a whole number, not False"),
        ("name", 3, "option name must be a text or None, not 3"),
        ("soft", 1, "option soft must be true or false, not 1"),
        ("mode", "c", "option mode must be one of a, b, not 'c'"),
        ("loud", "much", "option loud must be true or false, not 'much'"),
        ("rat", 1, "unknown option 'rat'; did you mean 'rate'?"),
    ],
)
def test_an_option_of_another_kind_is_named(option, value, message):
    with pytest.raises(UsageError, match=re.escape(f"tracker Declared: {message}")):
        plugins.find_plugin(Declared).make({option: value})


def test_options_that_fit_pass():
    given = {
        "rate": 1,
        "count": np.int64(3),
        "name": None,
        "mode": "b",
        "free": object(),
        "gain": "much",
    }
    plugins.find_plugin(Declared).make(given)


@pytest.mark.parametrize("name", plugins.builtin_names())
def test_every_option_of_a_built_in_tracker_says_what_it_takes(name):
    plugin = plugins.find_plugin(name)
    kinds = declared(plugin.cls, plugin.options())
    assert all(kind is not Any for kind in kinds.values())
    for option in kinds:
        with pytest.raises(UsageError, match=f"tracker {name}: option {option} must be"):
            plugin.make({option: ()})
