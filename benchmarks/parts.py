"""The parts of the table of speed: each measures one path and gives its lines."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import detectors, lstm, scoring, workers
from benchmarks.lines import Line, in_turns, ratios
from rolo_bench.folders import cache_folder, weights_folder
from rolo_bench.scores.score import score

STEP = 6
"""Frames in a window of the paper's LSTM."""


class Absent(Exception):
    """Something is missing that a part needs."""


def of_scoring(folder: Path, rounds: int) -> Iterator[Line]:
    """Scores of 10 trackers on TB-100 from text, the first and the second time."""
    store, suite = scoring.make(folder, 10)
    files = [f"{p}" for p in sorted((folder / "ours").rglob("*.txt"))]

    def read() -> list[bytes]:
        contents = []
        for name in files:
            with open(name, "rb", buffering=0) as file:
                contents.append(file.read())
        return contents

    def plain() -> None:
        for data in read():
            np.array(data.replace(b"\n", b",").split(b",")[:-1], dtype=np.float64)

    def hashed() -> None:
        for data in read():
            hashlib.sha256(data).digest()

    report = scoring.got10k_report(folder, store, suite)
    calls: dict[str, Callable[[], object]] = {
        "plain": plain,
        "hashed": hashed,
        "first": partial(score, store, suite, convention="got10k", cached=False),
        "again": partial(score, store, suite, convention="got10k"),
    }
    if report is not None:
        calls["got10k"] = report
    calls["again"]()
    with contextlib.redirect_stdout(io.StringIO()):
        spent = in_turns(calls, rounds)
    ms = {name: f"{1000 * min(seconds):.0f} ms" for name, seconds in spent.items()}
    if report is not None:
        yield Line("score 10 × TB-100 from text, got10k's report over ours",
                   ratios(spent["got10k"], spent["first"]), "times as fast", "10",
                   f"{ms['got10k']}, {ms['first']}")  # fmt: skip
        yield Line("the same again, nothing changed, got10k's report over ours",
                   ratios(spent["got10k"], spent["again"]), "times as fast", "40", ms["again"])  # fmt: skip
    yield Line("score from text over a plain vectorised parse of the same bytes",
               ratios(spent["first"], spent["plain"]), "of its time", "1.5", ms["plain"])  # fmt: skip
    yield Line("scoring again over reading and hashing the same bytes alone",
               ratios(spent["again"], spent["hashed"]), "of its time", "", ms["hashed"])  # fmt: skip


def of_report(folder: Path, rounds: int) -> Iterator[Line]:
    """The page of 12 trackers on TB-100 under five conventions, scored anew and from kept scores."""
    from rolo_bench.report.data import collect
    from rolo_bench.report.page import write_report

    store, suite = scoring.make(folder, 12)
    rules = ("otb", "got10k", "pysot", "pytracking", "rolo2016")

    def write() -> None:
        write_report(folder / "report.html", collect(store, suite, conventions=rules))

    def afresh() -> None:
        shutil.rmtree(cache_folder("scores"), ignore_errors=True)
        write()

    spent = in_turns({"afresh": afresh, "again": write}, rounds)
    size = (folder / "report.html").stat().st_size / 1e6
    yield Line(
        "report of 12 × TB-100, scored anew", spent["afresh"], "s", "2", f"{size:.1f} MB without pictures"
    )
    yield Line("the same from kept scores", spent["again"], "s")


def of_lstm(folder: Path, rounds: int) -> Iterator[Line]:
    """The recurrence of the paper's LSTM against torch's own, and against reading its weights once."""
    import torch

    for threads in (1, 2):
        found = lstm.measure(threads, STEP, 4 * rounds)
        yield Line(f"LSTM 4102 × 4102, {STEP} steps, {threads} thread{'s' * (threads > 1)}, torch's LSTM over ours",
                   ratios(found.theirs, found.ours), "times as fast", "6" if threads == 2 else "",
                   f"{1 / statistics.median(found.ours):.1f} windows a second")  # fmt: skip
        yield Line(f"the same over reading its weights once, {threads} thread{'s' * (threads > 1)}",
                   ratios(found.ours, found.floor), "of its time", "1.25" if threads == 2 else "",
                   f"{1 / statistics.median(found.floor):.1f} products a second")  # fmt: skip

    halved = lstm.measure(2, STEP, 4 * rounds, kind=torch.bfloat16)
    yield Line("the same with bfloat16 weights, float32 over bfloat16, 2 threads",
               ratios(found.ours, halved.ours), "times as fast", "1.5",
               f"states differ by at most {halved.far:.1g}")  # fmt: skip


def of_detector(folder: Path, rounds: int) -> Iterator[Line]:
    """yolox-nano against onnxruntime."""
    import torch

    place = weights_folder()
    if place is None or not (place / "yolox_nano.onnx").is_file():
        raise Absent("set ROLO_BENCH_WEIGHTS to a folder with yolox_nano.onnx")
    threads = min(2, os.cpu_count() or 1)
    torch.set_num_threads(threads)
    with torch.inference_mode():
        spent = detectors.measure(detectors.onnx_engines(place / "yolox_nano.onnx", threads), rounds)
    ours, theirs = spent["torch (the detector's path)"], spent["onnxruntime"]
    blocks = [slice(k, k + detectors.BLOCK) for k in range(0, len(ours), detectors.BLOCK)]
    for name, pick in (("median", statistics.median), ("least", min)):
        yield Line(f"yolox-nano, batch 1, {threads} threads, onnxruntime over ours, {name} of a block",
                   [pick(theirs[b]) / pick(ours[b]) for b in blocks], "times as fast", "1.0",
                   f"{1000 * pick(ours):.2f} ms, {1000 * pick(theirs):.2f} ms")  # fmt: skip


def of_run(folder: Path, rounds: int) -> Iterator[Line]:
    """A run with the cheapest tracker against decoding alone, and two jobs against one."""
    found = workers.measure(folder, 300, rounds)
    yield Line("`run` with static on 640 × 480 JPEGs over a bare decode loop", found.ratios, "of its speed",
               "0.95", f"{1000 * statistics.median(found.bare):.2f} ms to decode a frame")  # fmt: skip
    for tracker, size, frames in workers.JOBS:
        gain = workers.two_jobs(folder / tracker, tracker, size, frames, rounds)
        yield Line(f"two jobs over one, {tracker} on {size[0]} × {size[1]}", gain.gains, "times as fast", "1.8",
                   gain.note())  # fmt: skip


def _run(command: list[str], folder: Path, **more: Any) -> None:
    """A command with all code compiled beforehand, as pip leaves it: a checkout, or a stale cache, may be each time."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compiled = kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    subprocess.run(command, check=True, capture_output=True, env=compiled, **more)


def of_commands(folder: Path, rounds: int) -> Iterator[Line]:
    """Whole processes: help, and the scores of one tracker."""
    bench, results = [sys.executable, "-m", "rolo_bench"], str(folder / "results")
    _run([*bench, "run", "--tracker", "static", "--suite", "demo", "--results", results], folder)
    commands = {
        "bare": [sys.executable, "-c", ""],
        "help": [*bench, "--help"],
        "pandas": [sys.executable, "-c", "import pandas"],
        "score": [*bench, "score", "--suite", "demo", "--results", results],
    }
    calls: dict[str, Callable[[], object]] = {
        k: partial(_run, words, folder) for k, words in commands.items()
    }
    in_turns(calls, 1)  # which compiles what is loaded
    spent = in_turns(calls, rounds, time.perf_counter)
    yield Line("`rolo-bench --help`, whole process", spent["help"], "s", "0.05",
               f"bare Python {statistics.median(spent['bare']):.3f} s")  # fmt: skip
    yield Line("`score` of one tracker, whole process", spent["score"], "s", "0.35",
               f"`import pandas` alone {statistics.median(spent['pandas']):.2f} s")  # fmt: skip


def of_demo(folder: Path, rounds: int) -> Iterator[Line]:
    """The demo, once."""
    bench = [sys.executable, "-m", "rolo_bench"]
    first = [
        *bench,
        "run",
        "--tracker",
        "rolo",
        "--suite",
        "demo",
        "--sequence",
        "BallFar",
        "--results",
        "first",
    ]
    _run(first, folder, cwd=folder)  # which compiles what is loaded
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    _run([*bench, "demo", "--results", "r"], folder, cwd=folder)
    spent = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    yield Line("`demo`, six trackers on 16 sequences", [spent], "s", "45", f"{used:.0f} s of processor time")


def of_frames(folder: Path, rounds: int) -> Iterator[Line]:
    """Where the time of a frame goes, of trackers with a network."""
    import torch

    from benchmarks import split

    if weights_folder() is None:
        raise Absent("set ROLO_BENCH_WEIGHTS to a folder with yolox_nano.pth and the files of nanotrack")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sequence = workers.sequence_of("Video", workers.write_images(folder, 40, (640, 480)))
    for name in ("yolo", "yolo-sort", "rolo", "rolo-plus"):
        shares = split.measure(name, sequence, rounds)
        whole = statistics.median(shares.pop("whole"))
        parts = ", ".join(f"{part} {100 * statistics.median(s) / whole:.0f} %" for part, s in shares.items())
        network = statistics.median(shares["network"])
        yield Line(f"{name}: a frame of 640 × 480 over its network", [whole / network], "of its time", "",
                   f"{1000 * whole:.1f} ms: {parts}")  # fmt: skip


# The most that the program held itself; what `resource` tells begins with what its parent held.
MEMORY = """
import re, sys
{}
print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024)
"""
SCORED = """
from pathlib import Path
from benchmarks.scoring import make
from rolo_bench.scores.score import score
store, suite = make(Path(sys.argv[1]), 10)
score(store, suite)
"""
FILM = """
import cv2, numpy as np
from rolo_bench.run.plugins import find_plugin
from rolo_bench.run.video import track_video
path = sys.argv[1] + '/film.mp4'
writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*'mp4v'), 25, (3840, 2160))
ground = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), dtype=np.uint8)
for i in range(40): writer.write(np.roll(ground, 4 * i, 1))
writer.release()
track_video(find_plugin('mosse').make({}), path, np.array([900.0, 900, 200, 200]))
"""


def of_memory(folder: Path, rounds: int) -> Iterator[Line]:
    """Most memory of a process that scores, and of one that tracks a large film."""
    root = Path(__file__).resolve().parents[1]
    for path, body, target in (
        ("TB-100 scored", SCORED, "200"),
        ("a film of 3840 × 2160 tracked", FILM, "600"),
    ):
        done = subprocess.run([sys.executable, "-c", MEMORY.format(body), str(folder)], check=True, cwd=root,
                              capture_output=True, text=True)  # fmt: skip
        yield Line(f"{path}, most memory of the process", [float(done.stdout.split()[-1])], "MiB", target)


def of_decoder(folder: Path, rounds: int) -> Iterator[Line]:
    """Simplejpeg beside OpenCV: speed, and by how much pixels differ."""
    import simplejpeg

    from rolo_bench.sequence import decode

    contents = [path.read_bytes() for path in workers.write_images(folder, 40, (640, 480))]
    ours = [decode(data, "frame") for data in contents]
    other = [simplejpeg.decode_jpeg(data, "RGB") for data in contents]
    far = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(ours, other))
    share = np.mean([(a != b).mean() for a, b in zip(ours, other)])
    spent = in_turns({
        "ours": lambda: [decode(data, "frame") for data in contents],
        "other": lambda: [simplejpeg.decode_jpeg(data, "RGB") for data in contents],
    }, rounds)  # fmt: skip
    yield Line("decoding 640 × 480 JPEGs, OpenCV over simplejpeg", ratios(spent["ours"], spent["other"]),
               "times as fast", "", f"{100 * share:.2g} % of values differ, by at most {far}")  # fmt: skip


PARTS: dict[str, Callable[[Path, int], Iterator[Line]]] = {
    "scoring": of_scoring,
    "report": of_report,
    "lstm": of_lstm,
    "detector": of_detector,
    "run": of_run,
    "commands": of_commands,
    "demo": of_demo,
    "frames": of_frames,
    "memory": of_memory,
    "decoder": of_decoder,
}
