"""What a tracker may do to its process, and that it costs its sequence alone."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.suites import Suite, load_suite
from rolo_bench.errors import UsageError
from rolo_bench.protocols import segments
from rolo_bench.run.images import made_once
from rolo_bench.run.in_process import InProcess
from rolo_bench.run.job import MARK, Job, Limits, Setup
from rolo_bench.run.pool import gpus
from rolo_bench.run.process import Process
from rolo_bench.run.runner import How, run, run_suite
from rolo_bench.run.store import Store
from rolo_bench.sequence import ArrayFrames, ImageFiles, Sequence
from tests.helpers_browser import until
from tests.helpers_video import otb_folder, square_sequence

PLUGIN = """
import ctypes, os, random, signal, sys, threading, time
import cv2
import numpy as np
class Bad:
    'Does something at its third update on a video that is wider than others; what, its width says.'
    def __init__(self, at=3): self.at = at; self.n = 0
    def init(self, image, box):
        self.box = box
        self.case = image.shape[1] - {width}
        if self.case >= 0: print('starting', flush=True)
    def update(self, image):
        self.n += 1
        if self.n == self.at:
{cases}
        return self.box + [self.n, 0, 0, 0]
"""
WIDTH = 152  # of the first video that the tracker goes wrong on; those that it follows are 150 wide


def wide(name: str = "Bad", case: int = 0) -> Sequence:
    sequence = square_sequence(name, 8)
    images = tuple(np.pad(i, ((0, 0), (0, WIDTH + case - 150), (0, 0))) for i in sequence.frames.images)
    return Sequence(name, ArrayFrames(images), sequence.truth)


def suite_of(*sequences: Sequence) -> Suite:
    return Suite("made", sequences, tuple(s.name for s in sequences))


SUITE = suite_of(square_sequence("One", 8), wide(), square_sequence("Two", 8, 1))
GOES = {
    "os._exit(0)": "its process ended itself with status 0",
    "os._exit(7)": "its process ended itself with status 7",
    "ctypes.string_at(0)": "its process was ended by SIGSEGV",
    "os.kill(os.getpid(), signal.SIGKILL)": "its process was ended by SIGKILL, as the system does when memory runs out",
    "os.kill(os.getpid(), signal.SIGTERM)": "its process was ended by SIGTERM",
    "os.abort()": "its process was ended by SIGABRT",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)": "no answer for 6 s (--frame-timeout)",
    "os.closerange(3, 99)": "its process ended itself with status 0",
    "sys.exit(0)": "SystemExit: 0",
    "raise KeyboardInterrupt": "KeyboardInterrupt: no message",
    "raise MemoryError": "MemoryError: no message",
    "return None": "update returned None, expected four numbers x, y, w, h",
    "threading.Thread(target=time.sleep, args=(1000,)).start(); 1 / 0": "ZeroDivisionError: division by zero",
    "raise ValueError('\\x1b[31mred\\nsecond')": "ValueError: [31mred",
}
# a busy machine takes long to notice what a process does, so the limit for a frame is not short
LIMITS = Limits(frame=6.0)


@pytest.fixture
def bad(tmp_path):
    def write(*deeds: str) -> Path:
        path = tmp_path / "bad.py"
        cases = "\n".join(f"            if self.case == {k}: {what}" for k, what in enumerate(deeds))
        path.write_text(PLUGIN.replace("{cases}", cases).replace("{width}", str(WIDTH)))
        return path

    return write


EARLIER: set[int] = set()  # children that other tests of this process have left, such as a cluster's


@pytest.fixture(autouse=True)
def known_children() -> None:
    EARLIER.update(c.pid for c in psutil.Process().children(recursive=True))


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [c for c in found if c.pid not in EARLIER and c.status() != psutil.STATUS_ZOMBIE]


def test_whatever_it_does_costs_that_sequence_alone(bad, tmp_path):
    videos = [wide(f"Bad{k}", k) for k in range(len(GOES))]
    suite = suite_of(square_sequence("One", 8), *videos, square_sequence("Two", 8, 1))
    store, tracker = Store(tmp_path / "r"), bad(*GOES)
    first, *outcomes, last = run_suite(tracker, suite, store, how=How(limits=LIMITS))
    assert [(o.stem, o.what) for o in (first, last)] == [("One", "done"), ("Two", "done")]
    said = [(o.stem, o.what, o.error) for o in outcomes]
    assert said == [(v.name, "failed", f"{v.name}, frame 4: {r}") for v, r in zip(videos, GOES.values())]
    for outcome, reason in zip(outcomes, GOES.values()):
        if "its process" in reason:
            assert "starting" in outcome.output or "SIGSEGV" in reason or "SIGABRT" in reason
    printed = (store.folder("made", "ope", "bad") / "run.log").read_text()
    assert all(f"== {v.name}\nstarting" in printed for v in videos)
    assert children() == []
    left = {p.name for p in store.folder("made", "ope", "bad").iterdir()}
    assert left == {"One.txt", "One_time.txt", "Two.txt", "Two_time.txt", "run.json", "run.log"}
    again = run_suite(tracker, suite, store, how=How(limits=LIMITS, retry_failed=False))
    assert {o.what for o in again} == {"skipped"}


@pytest.mark.parametrize(
    "what",
    [
        "__import__('shutil').rmtree(os.getcwd())",
        "__import__('resource').setrlimit(__import__('resource').RLIMIT_NOFILE, (0, 0))",
        "os.fork()",  # and both go on
    ],
)
def test_what_it_did_in_one_sequence_costs_the_next_nothing(bad, tmp_path, what):
    found = list(run_suite(bad(what), SUITE, Store(tmp_path / "r"), options={"at": 7}))
    assert [(o.what, o.error) for o in found] == [("done", None)] * 3
    assert children() == []


def test_a_process_with_a_session_of_its_own_ends_too(bad, tmp_path):
    start = "__import__('subprocess').Popen(['sleep', '1000'], start_new_session=True)"
    for what, told in ((start, "done"), (f"({start}, os._exit(1))", "failed")):
        found = {o.stem: o.what for o in run_suite(bad(what), SUITE, Store(tmp_path / told))}
        assert found == {"One": "done", "Bad": told, "Two": "done"}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                assert str(tmp_path) not in process.environ().get(MARK, "")


def test_too_much_memory_costs_that_sequence_alone(bad, tmp_path):
    much = bad("self.held = np.ones((1 << 29,), np.uint8); time.sleep(60)")  # however long it takes to fill
    outcomes = list(run_suite(much, SUITE, Store(tmp_path / "r"), how=How(limits=Limits(memory=400_000_000))))
    assert [o.what for o in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].error == "Bad, frame 4: more than 400 MB of memory (--memory)" and children() == []


def test_only_what_failed_is_tried_again(bad, tmp_path):
    store, marker = Store(tmp_path / "r"), tmp_path / "once"
    path = bad(f"os.path.exists({str(marker)!r}) or (open({str(marker)!r}, 'w'), os._exit(1))")
    assert [o.what for o in run_suite(path, SUITE, store)] == ["done", "failed", "done"]
    again = {o.stem: o.what for o in run_suite(path, SUITE, store)}
    assert again == {"One": "skipped", "Bad": "done", "Two": "skipped"}


def test_the_same_boxes_in_one_process_in_two_and_in_this_one(tmp_path):
    texts = []
    for how in (How(in_process=True), How(), How(jobs=2)):
        store = Store(tmp_path / f"r{len(texts)}")
        assert {o.what for o in run_suite("mosse", SUITE, store, how=how)} == {"done"}
        files = sorted(p for p in store.root.rglob("*.txt") if not p.name.endswith("_time.txt"))
        texts.append([p.read_bytes() for p in files])
    assert texts[0] == texts[1] == texts[2] and len(texts[0]) == 3


SEEDED = """
import random
import cv2, numpy as np, torch
class Dice:
    'Answers with every global generator, and with the order of a set.'
    def __init__(self): self.first = [random.random(), np.random.rand(), torch.rand(1).item()]
    def init(self, image, box): self.box = box
    def update(self, image):
        noise = np.zeros((1, 1)); cv2.randu(noise, 0, 1)
        rows = [random.random(), np.random.rand(), torch.rand(1).item(), noise[0, 0]]
        order = list({'a', 'b', 'c', 'd', 'e', 'f'}).index('a')
        return [sum(self.first) + order, *[abs(r) + 1 for r in rows[1:]]]
"""


def test_every_global_generator_is_seeded_for_each_sequence(tmp_path):
    (tmp_path / "dice.py").write_text(SEEDED)
    suite = suite_of(*(square_sequence(name, 4) for name in "ABC"))  # one of two processes has two of them
    store = Store(tmp_path / "r")
    list(run_suite(tmp_path / "dice.py", suite, store, how=How(jobs=2)))
    found = [store.load("made", "ope", "dice", name)[0].boxes[1:] for name in "ABC"]
    assert all(np.array_equal(f, found[0]) for f in found)
    here = How(in_process=True)
    list(run_suite(tmp_path / "dice.py", suite, Store(tmp_path / "other"), seed=1, how=here))
    assert not np.array_equal(
        Store(tmp_path / "other").load("made", "ope", "dice", "A")[0].boxes[1:], found[0]
    )


def test_the_generator_of_c_is_seeded_too():
    sequence = square_sequence(count=5)
    worker, job = InProcess(Setup("mil", "made")), Job(sequence, segments("ope", sequence.truth)[0])
    worker.open()
    one, two = worker.track(job), worker.track(job)
    assert np.array_equal(one.boxes, two.boxes)


def test_what_one_tracker_sets_does_not_reach_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rude.py").write_text(
        "import os, cv2\nclass Rude:\n    'Turns knobs.'\n    def init(self, image, box):\n"
        "        self.box = box; cv2.setUseOptimized(False); cv2.setNumThreads(7); os.chdir('/')\n"
        "        os.environ['OMP_NUM_THREADS'] = '9'\n    def update(self, image): return self.box\n"
    )
    (tmp_path / "sees.py").write_text(
        "import os, cv2\nfrom pathlib import Path\nclass Sees:\n    'Tells how things stand.'\n"
        "    def init(self, image, box): pass\n    def update(self, image):\n"
        "        return [cv2.useOptimized(), cv2.getNumThreads(), Path.cwd().name.startswith('worker'),\n"
        "                float(os.environ['OMP_NUM_THREADS'])]\n"
    )
    videos = otb_folder(tmp_path / "videos", ("Square",), count=4)
    line = ["run", "--tracker", "rude.py", "--tracker", "sees.py", "--suite", str(videos), "--results", "r"]
    assert main(line) == 0
    assert Store(tmp_path / "r").load("videos", "ope", "sees", "Square")[0].boxes[-1].tolist() == [1, 1, 1, 1]


def test_a_tracker_may_keep_and_change_its_images(tmp_path):
    (tmp_path / "keeps.py").write_text(
        "class Keeps:\n    'Answers with what it was given before.'\n    def init(self, image, box):\n"
        "        self.kept = [image]\n    def update(self, image):\n"
        "        answer = [int(i.sum()) for i in self.kept[-3:]]; self.kept.append(image)\n"
        "        self.kept[0][:] = 0\n        return ([0, 0, 0, 0] + answer)[-4:]\n"
    )
    for how in (How(), How(in_process=True)):
        list(run_suite(tmp_path / "keeps.py", SUITE, Store(tmp_path / f"r{how.in_process}"), how=how))
    one, two = (Store(tmp_path / f"r{k}").load("made", "ope", "keeps", "One")[0].boxes for k in (True, False))
    assert np.array_equal(one, two)


def test_images_of_many_sizes_and_more_than_the_memory_holds(tmp_path):
    (tmp_path / "sums.py").write_text(
        "class Sums:\n    'Answers with the sum.'\n    def init(self, image, box): pass\n"
        "    def update(self, image): return [int(image.sum()), *image.shape]\n"
    )
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 255, (3 + 7 * (i % 5), 4 + 31 * i, 3), dtype=np.uint8) for i in range(20))
    sequence = Sequence("Sizes", ArrayFrames(images), np.tile([1.0, 1, 2, 2], (20, 1)))
    list(run_suite(tmp_path / "sums.py", suite_of(sequence), Store(tmp_path / "r")))
    boxes = Store(tmp_path / "r").load("made", "ope", "sums", "Sizes")[0].boxes[1:]
    assert boxes[:, 0].tolist() == [i.sum() for i in images[1:]]


class Broken(ArrayFrames):
    """Frames one of which cannot be read."""

    def image(self, index):
        from rolo_bench.errors import DataError

        if index == 5:
            raise DataError("0006.jpg: not a readable image")
        return super().image(index)


def test_an_unreadable_image_leaves_the_process_to_the_next_job(tmp_path):
    broken = Sequence(
        "Broken", Broken(square_sequence(count=8).frames.images), square_sequence(count=8).truth
    )
    odd = Sequence("Odd", ArrayFrames((np.zeros((4, 4)),) * 2), np.ones((2, 4)))
    suite = suite_of(broken, odd, square_sequence("Fine", 8))
    outcomes = list(run_suite("static", suite, Store(tmp_path / "r")))
    assert [(o.stem, o.error) for o in outcomes] == [
        ("Broken", "0006.jpg: not a readable image"), ("Odd", "Odd, frame 1: not an RGB image of 8 bits"),
        ("Fine", None),
    ]  # fmt: skip


ORACLE = """
class Late:
    'Asks for the truth {when}.'
    made = 0
    def __init__(self): Late.made += 1; self.oracle = Late.made > 1 and {ctor}
    def reveal(self, box): self.box = box
    def init(self, image, box):
        self.box = box
        self.oracle = self.oracle or {init}
    def update(self, image): return self.box
"""


def test_an_oracle_from_its_second_instance_on_is_marked(tmp_path):
    (tmp_path / "late.py").write_text(ORACLE.format(when="late", ctor=True, init=False))
    store = Store(tmp_path / "r")
    list(run_suite(tmp_path / "late.py", suite_of(square_sequence("A", 4), square_sequence("B", 4)), store))
    assert store.meta("made", "ope", "late")["oracle"] is True
    (tmp_path / "late.py").write_text(ORACLE.format(when="in init", ctor=False, init=True))
    list(run_suite(tmp_path / "late.py", suite_of(square_sequence("A", 4)), store, name="never"))
    assert store.meta("made", "ope", "never")["oracle"] is False  # and it was shown nothing
    assert (store.load("made", "ope", "never", "A")[0].boxes == square_sequence(count=1).truth[0]).all()


def test_one_that_cannot_be_made_keeps_no_other_from_running(tmp_path, capsys):
    line = ["run"]
    ends = ("os._exit(3)", "ctypes.string_at(0)", "sys.exit()")
    for k, (first, made) in enumerate(
        [*((e, "pass") for e in ends), *(("", e) for e in ends), ("", "time.sleep(60)")]
    ):
        (tmp_path / f"bad{k}.py").write_text(
            f"import ctypes, os, sys, time\n{first}\nclass Bad:\n    def __init__(self): {made}\n"
            "    def init(self, image, box): pass\n    def update(self, image): pass\n"
        )
        line += ["--tracker", str(tmp_path / f"bad{k}.py")]
    line += ["--tracker", "static", "--start-timeout", "6"]
    line += ["--suite", str(otb_folder(tmp_path / "videos", count=4)), "--results", str(tmp_path / "r")]
    assert main(line) == 1
    err = capsys.readouterr().err.splitlines()
    for k in range(7):
        assert any(line.startswith(f"  bad{k}: failed: ") and "cannot be" in line for line in err), k
    assert any(line.startswith("static on videos (ope): 2 done") for line in err)
    assert err[-1].startswith("rolo-bench: 7 failed")
    assert Store(tmp_path / "r").trackers("videos") == ("static",)


def test_the_last_lines_are_shown_and_a_flood_is_cut(bad, tmp_path, capsys):
    path = bad("print('x' * 200000); print('the end is near\\x1b[1m'); os._exit(9)")
    videos = otb_folder(tmp_path / "videos", ("One",), count=6)
    import cv2

    for image in videos.glob("One/img/*.jpg"):
        pixels = cv2.imread(str(image))
        cv2.imwrite(str(image), np.pad(pixels, ((0, 0), (0, WIDTH - 150), (0, 0))))
    assert (
        main(["run", "--tracker", str(path), "--suite", str(videos), "--results", str(tmp_path / "r")]) == 1
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "  One: failed: One, frame 4: its process ended itself with status 9"
    assert lines[3] == "    | the end is near [1m"
    log = (tmp_path / "r/videos/ope/bad/run.log").read_bytes()
    assert len(log) < 70_000 and b"bytes before it left out" in log


def test_a_limit_for_the_whole_sequence(bad, tmp_path):
    slow = How(limits=Limits(sequence=0.5))
    outcomes = list(
        run_suite(bad("pass; self.at += 1; time.sleep(0.3)"), SUITE, Store(tmp_path / "r"), how=slow)
    )
    assert outcomes[1].error and outcomes[1].error.endswith("longer than 0.5 s (--timeout)")


def test_options_that_cannot_travel(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be sent to another process .* use --in-process"):
        list(run_suite("ncc", SUITE, Store(tmp_path / "r"), options={"search": lambda: 1}))


def test_relative_paths_among_options_mean_what_they_mean_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("by.txt").write_text("3")
    Path("reads.py").write_text(
        "from pathlib import Path\nclass Reads:\n    'Reads a file.'\n    def __init__(self, by='', cache=None):\n"
        "        self.by, self.cache = int(Path(by).read_text()), cache\n"
        "    def init(self, image, box): self.box = box\n"
        "    def update(self, image): return self.box + [self.by, Path(self.cache).is_absolute(), 0, 0]\n"
    )
    list(run_suite("reads.py", SUITE, Store(Path("r")), options={"by": "by.txt", "cache": "kept"}))
    store = Store(tmp_path / "r")
    assert store.load("made", "ope", "reads", "One")[0].boxes[1].tolist() == [13, 21, 24, 18]
    assert store.meta("made", "ope", "reads")["options"] == {"by": "by.txt"}


def test_one_gpu_for_each_process(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert gpus() == ("2", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == ()


def test_file_handles_and_memory_stay_the_same(tmp_path):
    sequence = square_sequence("A", 20)
    job = Job(sequence, segments("ope", sequence.truth)[0])
    worker = Process(Setup("static", "made"), Limits(), tmp_path / "w", tmp_path / "log", threading.Event())

    def handles() -> tuple[int, int]:
        return psutil.Process().num_fds(), psutil.Process(worker.child.pid).num_fds()

    worker.open()
    try:
        worker.track(job)
        time.sleep(0.5)  # until the child has let go of the memory of its job
        before = handles()
        for _ in range(20):
            worker.track(job)
        until(lambda: handles() == before)  # the child may still be at work on its last one
        worker.kill()
        worker.track(job)
        until(lambda: handles() == before)
    finally:
        worker.close()


STUCK = (
    "import signal, time\nclass Stuck:\n    'Never comes back, and hears no signal.'\n"
    "    def init(self, image, box):\n        self.box = box\n"
    "        for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
    "    def update(self, image):\n        while True: time.sleep(100)\n"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_run_and_all_its_processes(tmp_path, number):
    (tmp_path / "stuck.py").write_text(STUCK)
    videos = otb_folder(tmp_path / "videos", count=4)
    line = [
        sys.executable,
        "-m",
        "rolo_bench",
        "run",
        "--tracker",
        "stuck.py",
        "--suite",
        str(videos),
        "--jobs",
        "2",
        "--share",
    ]
    process = subprocess.Popen([*line, "--results", "r"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    inside = psutil.Process(process.pid)
    deadline = time.monotonic() + 60
    while len(inside.children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    below = inside.children(recursive=True)
    assert len(below) == 2
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    psutil.wait_procs(below, timeout=5)
    assert not [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert err.splitlines()[-1].startswith("rolo-bench: interrupted; what is done is kept")
        assert not (tmp_path / "r").exists() or not list((tmp_path / "r").rglob(".*"))
        return
    (left,) = (tmp_path / "r/.run").iterdir()  # what trackers shared
    with Store(tmp_path / "r").scratch() as own, Store(tmp_path / "r").scratch() as other:
        assert not left.exists() and own.is_dir() and other.is_dir()
    assert not (tmp_path / "r/.run").exists()


def test_progress_is_told_from_other_processes(tmp_path):
    steps = []
    run(
        "static",
        suite_of(square_sequence("A", 5)),
        results=tmp_path / "r",
        progress=lambda *at: steps.append(at),
    )
    assert steps[0] == ("A", 1, 5) and steps[-1] == ("A", 5, 5)
    assert steps == sorted(steps)


def test_a_read_only_folder_is_one_line(tmp_path, capsys):
    if os.geteuid() == 0:
        (tmp_path / "r").write_text("")  # a file where the folder should be; rights mean nothing to root
    else:
        (tmp_path / "r").mkdir(0o500)
    line = ["run", "--tracker", "static", "--suite", str(otb_folder(tmp_path / "v", count=3))]
    assert main([*line, "--results", str(tmp_path / "r")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_loading_is_not_repeated(tmp_path):
    suite = load_suite(str(otb_folder(tmp_path / "v", ("A", "B", "C"), count=3)))
    (tmp_path / "counts.py").write_text(
        "import os\nclass Counts:\n    'Answers with its process.'\n    def init(self, image, box): pass\n"
        "    def update(self, image): return [os.getpid(), 0, 1, 1]\n"
    )
    list(run_suite(tmp_path / "counts.py", suite, Store(tmp_path / "r")))
    rows = [Store(tmp_path / "r").load("v", "ope", "counts", s)[0].boxes[-1] for s in ("A", "B", "C")]
    assert len({r[0] for r in rows}) == 1


class Rendered:
    """Frames that count how often they are made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __len__(self) -> int:
        return 3

    def image(self, index: int) -> np.ndarray:
        self.made.append(index)
        return np.full((9, 12, 3), 40 * index, np.uint8)


def test_rendered_frames_are_made_once_where_a_run_has_a_folder(tmp_path: Path) -> None:
    source = Rendered()
    assert made_once(source, None, "V") is source
    files = ImageFiles((tmp_path / "1.jpg",))
    assert made_once(files, str(tmp_path), "V") is files
    video = Sequence("V", source, np.tile([1.0, 1, 5, 5], (3, 1))).slice(1, 3)
    for _ in range(2):
        part = made_once(video.frames, str(tmp_path), "V")
        assert [part.image(i)[0, 0, 0] for i in range(len(part))] == [40, 80]
    assert source.made == [1, 2]
    kept = tmp_path / "frames/V/0.npy"
    for content in (b"", kept.read_bytes()[:90]):  # damaged: made again
        kept.write_bytes(content)
        assert part.image(0)[0, 0, 0] == 40
    (tmp_path / "file").write_text("no folder")
    assert made_once(video.frames, str(tmp_path / "file"), "V").image(1)[0, 0, 0] == 80  # not kept
