import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.cli.run import demo
from rolo_bench.datasets.suites import load_suite
from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.run.plugins import find_plugin
from rolo_bench.run.runner import run, run_sequence, run_suite
from rolo_bench.run.stamp import facts_of
from rolo_bench.run.store import Store
from tests.helpers_video import otb_folder, square_sequence


class Follow:
    """A tracker for tests that counts its calls."""

    def __init__(self):
        self.calls = 0

    def init(self, image, box):
        self.box = box

    def update(self, image):
        self.calls += 1
        return self.box + [self.calls, 0, 0, 0]


OFFSET = """
class Offset:
    def __init__(self, by=0):
        self.by = by
    def init(self, image, box):
        self.box = box
    def update(self, image):
        return self.box + [self.by, 0, 0, 0]
"""


def answering(value):
    tracker = Follow()
    tracker.update = lambda image: value
    return tracker


def test_first_row_is_the_given_box():
    tracked = run_sequence(Follow(), square_sequence(count=5))
    boxes, seconds = tracked.boxes, tracked.seconds
    assert boxes[:, 0].tolist() == [10, 11, 12, 13, 14]
    assert seconds.shape == (5,)


def test_nan_is_no_box():
    boxes = run_sequence(answering([1, np.nan, 3, 4]), square_sequence(count=3)).boxes
    assert np.isnan(boxes[1:]).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected four numbers"),
        ([1, 2, 3], "returned 3 values"),
        ("abcd", "returned str"),
        ([1, 2, np.inf, 4], "infinite"),
    ],
)
def test_what_is_no_box_is_refused_with_the_frame(value, message):
    with pytest.raises(TrackerError, match=f"Square, frame 2: .*{message}"):
        run_sequence(answering(value), square_sequence(count=3))


def test_tracker_cannot_change_the_truth():
    class Vandal(Follow):
        def init(self, image, box):
            box[:] = 0
            super().init(image, box)

    sequence = square_sequence(count=3)
    boxes = run_sequence(Vandal(), sequence).boxes
    assert boxes[0].tolist() == sequence.truth[0].tolist() == [10, 20, 24, 18]


def test_only_an_oracle_sees_the_truth():
    class Told(Follow):
        oracle = True
        seen: list = []

        def reveal(self, box):
            self.seen.append(box.tolist())

    sequence = square_sequence(count=4)
    run_sequence(Told(), sequence)
    assert Told.seen == sequence.truth.tolist()


CRASH = """
class Crash:
    '''Crashes on the sequence whose first box is at x = 10 of frame seed 0.'''
    def __init__(self, at=5): self.at = at; self.n = 0
    def init(self, image, box): self.box = box; self.bad = int(image.sum()) % 2 == {parity}
    def update(self, image):
        self.n += 1
        if self.bad and self.n == self.at: raise RuntimeError('out of luck\\nmore')
        return self.box
"""


def suite_of(tmp_path):
    return load_suite(str(otb_folder(tmp_path / "videos", count=12)))


def test_a_crash_loses_nothing_else(tmp_path):
    suite = suite_of(tmp_path)
    parity = int(suite.sequences[0].frames.image(0).sum()) % 2
    other = int(suite.sequences[1].frames.image(0).sum()) % 2
    if parity == other:
        suite = load_suite(str(otb_folder(tmp_path / "more", ("A", "B", "C", "D", "E", "F"), count=12)))
        parity = int(suite.sequences[0].frames.image(0).sum()) % 2
    path = tmp_path / "crash.py"
    path.write_text(CRASH.format(parity=parity))
    store = Store(tmp_path / "results")
    outcomes = list(run_suite(str(path), suite, store))
    failed = [o for o in outcomes if o.what == "failed"]
    assert failed and len(failed) < len(outcomes)
    assert failed[0].error == f"{suite.sequences[0].name}, frame 6: RuntimeError: out of luck"
    meta = store.meta(suite.name, "ope", "crash")
    assert meta["sequences"][suite.sequences[0].name]["status"] == "failed"
    again = {o.stem: o.what for o in run_suite(str(path), suite, store)}
    assert {again[o.stem] for o in outcomes if o.what == "done"} == {"skipped"}
    assert again[failed[0].stem] == "failed"


def test_resume_skips_and_other_options_are_refused(tmp_path):
    suite, store = suite_of(tmp_path), Store(tmp_path / "results")
    plugin = "ncc"
    assert [o.what for o in run_suite(plugin, suite, store)] == ["done", "done"]
    assert [o.what for o in run_suite(plugin, suite, store)] == ["skipped", "skipped"]
    with pytest.raises(UsageError, match="other options; keep them and choose --name OTHER"):
        list(run_suite(plugin, suite, store, options={"search": 4.0}))
    assert [o.what for o in run_suite(plugin, suite, store, options={"search": 4.0}, name="ncc-wide")] == [
        "done"
    ] * 2
    assert [o.what for o in run_suite(plugin, suite, store, options={"search": 4.0}, force=True)] == [
        "done"
    ] * 2


def test_a_lost_file_is_made_again(tmp_path):
    suite, store = suite_of(tmp_path), Store(tmp_path / "results")
    list(run_suite("ncc", suite, store))
    (store.folder(suite.name, "ope", "ncc") / "Square.txt").unlink()
    assert {o.stem: o.what for o in run_suite("ncc", suite, store)} == {
        "Other": "skipped",
        "Square": "done",
    }


def test_changed_truth_is_run_again(tmp_path):
    suite, store = suite_of(tmp_path), Store(tmp_path / "results")
    list(run_suite("static", suite, store))
    path = tmp_path / "videos" / "Square" / "groundtruth_rect.txt"
    path.write_text(path.read_text().replace("11.0", "12.0", 1))
    changed = load_suite(str(tmp_path / "videos"))
    assert {o.stem: o.what for o in run_suite("static", changed, store)}["Square"] == "done"


ORACLE = """
class Peek:
    'Answers the truth where it is an oracle.'
    def __init__(self, oracle=False): self.oracle = oracle
    def reveal(self, box): self.box = box
    def init(self, image, box): self.box = box
    def update(self, image): return self.box
"""


def test_an_oracle_keeps_its_name_and_never_mixes_with_fair_results(tmp_path):
    suite = suite_of(tmp_path)
    (tmp_path / "peek.py").write_text(ORACLE)
    plugin = tmp_path / "peek.py"
    for first, second in ((False, True), (True, False)):
        store = Store(tmp_path / f"results-{first}")
        assert {o.what for o in run_suite(plugin, suite, store, options={"oracle": first})} == {"done"}
        assert store.trackers(suite.name) == ("peek",)
        assert store.meta(suite.name, "ope", "peek")["oracle"] is first
        before = snapshot(store.folder(suite.name, "ope", "peek"))
        with pytest.raises(UsageError, match=r"peek made with other options; .*--name OTHER"):
            list(run_suite(plugin, suite, store, options={"oracle": second}))
        assert snapshot(store.folder(suite.name, "ope", "peek")) == before
        list(run_suite(plugin, suite, store, options={"oracle": second}, name="peek-too"))
        assert store.meta(suite.name, "ope", "peek-too")["oracle"] is second
        fair = store.load(suite.name, "ope", "peek" if second else "peek-too", "Square")[0].boxes
        assert (fair == suite.sequences[0].truth[0]).all()


def test_force_never_leaves_results_of_two_makings_side_by_side(tmp_path):
    suite, store = load_suite(str(otb_folder(tmp_path / "videos"))), Store(tmp_path / "results")
    (tmp_path / "offset.py").write_text(OFFSET)
    plugin = tmp_path / "offset.py"
    list(run_suite(plugin, suite, store))
    one = load_suite(str(tmp_path / "videos"), only=("Other",))
    assert [o.what for o in run_suite(plugin, one, store, options={"by": 5}, force=True)] == ["done"]
    assert store.sequences("videos", "ope", "offset") == ("Other",)
    assert [o.what for o in run_suite(plugin, suite, store, options={"by": 5})] == ["skipped", "done"]
    assert [o.what for o in run_suite(plugin, one, store, options={"by": 5}, force=True)] == ["done"]
    assert store.sequences("videos", "ope", "offset") == ("Other", "Square")  # of one making: kept


def test_an_unreadable_image_costs_its_sequence_alone(tmp_path):
    videos = otb_folder(tmp_path / "videos")
    (videos / "Other" / "img" / "0003.jpg").write_bytes(b"nothing")
    outcomes = run("static", str(videos), results=tmp_path / "results")
    assert [o.what for o in outcomes] == ["failed", "done"]
    assert "0003.jpg" in outcomes[0].error


def test_what_failed_before_is_left_alone_on_request_and_still_told(tmp_path, capsys):
    (tmp_path / "never.py").write_text(OFFSET.replace("return", "raise ValueError('no');"))
    line = [
        "run",
        "--tracker",
        str(tmp_path / "never.py"),
        "--suite",
        str(otb_folder(tmp_path / "v", count=3)),
    ]
    line += ["--results", str(tmp_path / "r"), "--in-process"]
    assert main(line) == 1 and "0 done, 2 failed" in capsys.readouterr().err
    assert main([*line, "--retry-failed", "no"]) == 1
    assert "0 done, 2 failed before" in capsys.readouterr().err


def test_each_fault_of_the_data_costs_its_sequence_alone(tmp_path, capsys):
    names = ("Fine", "Long", "Zwölf", "A b", "Bad_time", "Fifo", "Empty")
    videos = otb_folder(tmp_path / "videos", names, count=5)
    with (videos / "Long" / "groundtruth_rect.txt").open("a") as file:
        file.write("1,1,5,5\n")  # one row too many
    (videos / "Fifo" / "img" / "0003.jpg").unlink()
    os.mkfifo(videos / "Fifo" / "img" / "0003.jpg")
    (videos / "Empty" / "img" / "0002.jpg").write_bytes(b"")
    line = ["run", "--tracker", "static", "--suite", str(videos), "--results", str(tmp_path / "r")]
    assert main([*line, "--partial"]) == main(line) == 1
    lines = [t for t in capsys.readouterr().err.splitlines() if ": failed: " in t][:4]
    said = {t.split(":")[0].strip(): t for t in lines}
    assert set(said) == {"Long", "Bad_time", "Fifo", "Empty"}
    assert "6 boxes for 5 images" in said["Long"] and "do not end with _time" in said["Bad_time"]
    assert (
        "0003.jpg: not a regular file" in said["Fifo"] and "0002.jpg: not a readable image" in said["Empty"]
    )
    assert Store(tmp_path / "r").sequences("videos", "ope", "static") == ("A b", "Fine", "Zwölf")
    assert main(["score", "--suite", str(videos), "--results", str(tmp_path / "r"), "--partial"]) == 0


def test_a_sequence_without_a_start_costs_itself_alone(tmp_path):
    videos = otb_folder(tmp_path / "videos")
    rows = (videos / "Other" / "groundtruth_rect.txt").read_text().splitlines()
    (videos / "Other" / "groundtruth_rect.txt").write_text("\n".join(["NaN,NaN,NaN,NaN", *rows[1:]]))
    outcomes = run("static", str(videos), results=tmp_path / "results")
    assert [(o.stem, o.what) for o in outcomes] == [("Other", "failed"), ("Square", "done")]


def test_another_seed_is_another_making(tmp_path):
    videos = str(otb_folder(tmp_path / "videos"))
    run("static", videos, results=tmp_path / "results")
    with pytest.raises(UsageError, match="made with other seed;"):
        run("static", videos, results=tmp_path / "results", seed=1)
    assert Store(tmp_path / "results").meta("videos", "ope", "static")["seed"] == 0


def test_an_unknown_protocol_leaves_nothing(tmp_path):
    with pytest.raises(UsageError, match="known: ope, tre, sre"):
        run("static", str(otb_folder(tmp_path / "v")), results=tmp_path / "results", protocol="foo")
    assert not (tmp_path / "results").exists()


def test_a_tracker_that_changes_the_working_folder_moves_nothing(tmp_path, monkeypatch):
    (tmp_path / "away.py").write_text(
        "import os\n" + OFFSET.replace("self.box = box", "self.box = box; os.chdir('/')")
    )
    videos = otb_folder(tmp_path / "videos")
    monkeypatch.chdir(tmp_path)
    outcomes = run(tmp_path / "away.py", str(videos), results="results")
    assert [o.what for o in outcomes] == ["done", "done"]
    assert Store(tmp_path / "results").sequences("videos", "ope", "away") == ("Other", "Square")


def test_a_class_typed_into_a_session_is_known_by_its_code():
    def typed(text):
        names = {"__name__": "__main__"}
        exec(text, names)
        return find_plugin(names["Typed"]).source_digest

    text = (
        "class Typed:\n def init(self, image, box): self.box = box\n def update(self, image): return self.box"
    )
    assert typed(text) == typed(text) != typed(text + " + 1")


def test_a_yes_or_no_is_asked_for():
    with pytest.raises(UsageError, match="half must be true or false, not 'maybe'"):
        find_plugin("yolo").make({"half": "maybe"})


def test_run_takes_a_name_a_file_or_a_class_and_a_suite_or_its_name(tmp_path):
    suite, results = suite_of(tmp_path), tmp_path / "results"
    (tmp_path / "peek.py").write_text(ORACLE)
    frames = []
    outcomes = run("ncc", suite, results=results, progress=lambda *at: frames.append(at))
    assert [(o.stem, o.what) for o in outcomes] == [("Other", "done"), ("Square", "done")]
    assert frames[0] == ("Other", 1, 12) and frames[-1] == ("Square", 12, 12)
    assert {o.what for o in run("ncc", str(tmp_path / "videos"), results=results)} == {"skipped"}
    assert [
        o.stem for o in run(tmp_path / "peek.py", str(tmp_path / "videos"), results=results, only=["Square"])
    ] == ["Square"]
    run(Follow, suite, results=str(results))
    run(Follow, suite, results=results, name="other", seed=3)
    store = Store(results)
    assert store.trackers("videos") == ("Follow", "ncc", "other", "peek")
    meta = store.meta("videos", "ope", "Follow")
    assert meta["origin"] == "class of tests.test_run" and len(meta["fingerprint"]["source"]) == 64
    with pytest.raises(UsageError, match="with a suite as loaded"):
        run("ncc", suite, results=results, only=("Square",))
    with pytest.raises(UsageError, match="unknown option 'speed'"):
        run(Follow, suite, results=results, options={"speed": 1})
    with pytest.raises(TrackerError, match="is not a class with init"):
        run(dict, suite, results=results)


def test_a_tracker_that_cannot_be_made_keeps_no_other_from_running(tmp_path, capsys):
    suite_of(tmp_path)
    text = "class Bad:\n    def __init__(self): raise RuntimeError('no\\ncamera')\n"
    text += "    def init(self, image, box): pass\n    def update(self, image): pass\n"
    (tmp_path / "bad.py").write_text(text)
    common = ["--suite", str(tmp_path / "videos"), "--results", str(tmp_path / "r")]
    trackers = [part for t in ("static", str(tmp_path / "bad.py"), "ncc") for part in ("--tracker", t)]
    assert main(["run", *trackers, *common]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "  bad: failed: tracker bad cannot be made: RuntimeError: no" in lines
    assert lines[-1].startswith("rolo-bench: 1 failed, the rest is kept")
    store = Store(tmp_path / "r")
    assert [store.sequences("videos", "ope", t) for t in ("static", "ncc")] == [("Other", "Square")] * 2
    assert main(["run", "--tracker", str(tmp_path / "bad.py"), *common]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "rolo-bench: tracker bad cannot be made: RuntimeError: no"
    ]


@pytest.mark.usefixtures("short_demo")
def test_demo_runs_scores_and_draws_without_a_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rolo_bench.cli.main", None)
    demo.main(["--tracker", "static", "--results", "r"], standalone_mode=False)
    shown = capsys.readouterr()
    assert (
        "static on demo (ope): 6 done" in shown.err and "demo, OPE, convention otb, 6 sequences" in shown.err
    )
    assert shown.out.splitlines()[-1] == "figures/success.png" and "auc" in shown.out
    assert Path("figures/success.png").is_file()


def test_attributes_of_a_tracker_are_its_own_code_too(tmp_path):
    class Odd(Follow):
        weights_digests = 3

    with pytest.raises(TrackerError, match="tracker Odd: TypeError"):
        run(Odd, suite_of(tmp_path), results=tmp_path / "r")


@pytest.mark.parametrize(
    "text",
    [
        "suite_defaults = 5",
        "weights_digests = {1: 2, 'a': object()}",
        "device = property(lambda self: 1 / 0)",
        "__signature__ = 5",
        "oracle = property(lambda self: 1 / 0)",
    ],
)
def test_odd_attributes_give_one_line(tmp_path, capsys, text):
    (tmp_path / "odd.py").write_text(OFFSET.replace("class Offset:", f"class Offset:\n    {text}"))
    words = ["run", "--tracker", str(tmp_path / "odd.py"), "--suite", str(otb_folder(tmp_path / "v"))]
    assert main([*words, "--results", str(tmp_path / "r")]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


def test_provenance(tmp_path):
    suite, store = suite_of(tmp_path), Store(tmp_path / "results")
    list(run_suite("ncc", suite, store, options={"search": 3.0}, seed=7))
    meta = store.meta(suite.name, "ope", "ncc")
    assert meta["options"] == {"search": 3.0}
    assert meta["seed"] == 7
    assert len(meta["fingerprint"]["source"]) == 64
    assert {"rolo-bench", "python", "numpy"} <= set(meta["versions"])
    assert {"system", "processor", "device", "load_at_start"} <= set(meta["machine"])
    assert str(tmp_path) not in json.dumps(meta)


def test_weights_are_part_of_what_a_result_depends_on():
    class Detector:
        name, identity = "tiny", "tiny:abc"

    tracker = Follow()
    tracker.detector, tracker.weights_digests = Detector(), {"net": "123"}
    assert facts_of(find_plugin("ncc"), tracker, {}).weights == {"net": "123", "tiny": "tiny:abc"}


@pytest.mark.parametrize(("protocol", "count"), [("tre", 20), ("sre", 12)])
def test_tre_and_sre(tmp_path, protocol, count):
    suite = load_suite(str(otb_folder(tmp_path / "videos", ("Square",), count=45)))
    store = Store(tmp_path / "results")
    assert [o.what for o in run_suite("static", suite, store, protocol)] == ["done"] * count
    results = store.load(suite.name, protocol, "static", "Square")
    assert len(results) == count
    if protocol == "tre":
        assert [len(r.boxes) for r in results] == [45 - r.start for r in results]
        assert results[-1].start == 25
    assert {o.what for o in run_suite("static", suite, store, protocol)} == {"skipped"}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.txt")) if not p.name.endswith("_time.txt")}


@pytest.mark.slow
def test_killed_at_random_and_resumed_is_byte_identical(tmp_path):
    """A signal of each kind at a random moment, then one undisturbed end: the same bytes as without."""
    kills = int(os.environ.get("ROLO_BENCH_KILLS", "3"))
    videos = otb_folder(tmp_path / "videos", ("A", "B", "C", "D"), count=40)
    line = ["run", "--tracker", "mosse", "--suite", str(videos), "--jobs", "2", "--results"]
    command = [sys.executable, "-m", "rolo_bench", *line]
    begin = time.monotonic()
    subprocess.run([*command, str(tmp_path / "clean")], check=True, capture_output=True)
    whole = time.monotonic() - begin
    wanted = snapshot(tmp_path / "clean/videos/ope/mosse")
    assert len(wanted) == 4
    random_ = random.Random(0)
    killed = 0
    for k in range(kills):
        results = tmp_path / f"killed{k}"
        process = subprocess.Popen(
            [*command, str(results)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        begin = time.monotonic()
        time.sleep(random_.uniform(0.3, 0.9) * whole)
        process.send_signal((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[k % 3])
        hit = process.wait() != 0
        killed += hit
        if not hit:  # a machine that has become faster
            whole = min(whole, 0.8 * (time.monotonic() - begin))
        assert main([*line, str(results)]) == 0
        assert snapshot(results / "videos/ope/mosse") == wanted
        assert not list(results.rglob(".*"))
    assert killed >= kills // 2  # the rest had just ended


def test_repetitions_beyond_the_last_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = ["--repeat", "3", "--seed", str(2**32 - 1), "--results", str(tmp_path)]
    assert main(["run", "--tracker", "static", "--suite", "demo", *last]) == 2
    assert "--repeat 3 from --seed 4294967295" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
