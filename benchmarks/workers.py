"""What a process of its own costs a tracker: speed against a bare decode loop, two jobs against one, memory.

    python benchmarks/workers.py --frames 600 --rounds 5 --long 100000

Each ratio is the median over rounds, in which both sides run in turn, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil

from rolo_bench.boxes import Array
from rolo_bench.datasets.suites import Suite
from rolo_bench.protocols import segments
from rolo_bench.run.in_process import InProcess
from rolo_bench.run.job import Job, Limits, Setup
from rolo_bench.run.process import Process
from rolo_bench.run.runner import How, run
from rolo_bench.sequence import ImageFiles, Sequence

JOBS = (("mosse", (640, 480), 1500), ("mil", (320, 240), 200))
"""What two jobs are measured with, size and frames of a video: a tracker that waits for decoding, one that computes."""


def write_images(folder: Path, count: int, size: tuple[int, int]) -> tuple[Path, ...]:
    """JPEGs of noise over a gradient, about as large as those of real video."""
    rng = np.random.default_rng(0)
    ground = np.add.outer(np.linspace(0, 120, size[1]), np.linspace(0, 80, size[0]))[..., None]
    paths = []
    for i in range(count):
        image = np.clip(ground + rng.normal(0, 12, (size[1], size[0], 3)) + i % 50, 0, 255).astype(np.uint8)
        paths.append(folder / f"{i:05d}.jpg")
        cv2.imwrite(str(paths[-1]), image)
    return tuple(paths)


def sequence_of(name: str, paths: tuple[Path, ...]) -> Sequence:
    """A video of images, with a box that stands still as its truth."""
    truth: Array = np.tile([20.0, 20, 30, 30], (len(paths), 1))
    return Sequence(name, ImageFiles(paths), truth)


def job_of(sequence: Sequence) -> Job:
    """One pass over a sequence."""
    return Job(sequence, segments("ope", sequence.truth)[0])


def decode(sequence: Sequence) -> float:
    """Seconds a frame of decoding alone."""
    begin = time.perf_counter()
    for i in range(len(sequence)):
        sequence.frames.image(i)
    return (time.perf_counter() - begin) / len(sequence)


def track(worker: Process | InProcess, sequence: Sequence) -> float:
    """Seconds a frame of a job, from its order to its last box."""
    begin = time.perf_counter()
    worker.track(job_of(sequence))
    return (time.perf_counter() - begin) / len(sequence)


@dataclass
class Found:
    """Of each round: speed over that of decoding alone, seconds to decode, what a process adds."""

    ratios: list[float]
    bare: list[float]
    cost: list[float]


@dataclass
class Gain:
    """Of each round: how many times as fast two jobs are as one, and how many cores one job keeps busy."""

    tracker: str
    gains: list[float]
    cores: list[float]

    def most(self) -> float:
        """What two jobs could gain here: one decodes ahead beside its tracker, and so takes more than one core."""
        return min(2.0, (os.cpu_count() or 1) / statistics.median(self.cores))

    def note(self) -> str:
        """The cores of one job, and what follows."""
        busy = statistics.median(self.cores)
        return f"one keeps {busy:.2f} of {os.cpu_count()} cores busy: at most {self.most():.2f}"


def measure(folder: Path, frames: int, rounds: int) -> Found:
    """The ratios, and the time that a frame takes beyond its decoding."""
    cv2.setNumThreads(1)
    paths = write_images(folder, frames, (640, 480))
    sequence = sequence_of("Video", paths)
    worker = Process(Setup("static", "made"), Limits(), folder / "w", folder / "log", threading.Event())
    here = InProcess(Setup("static", "made"))
    worker.open()
    here.open()
    still = sequence_of("Still", (paths[0],) * 2000)
    object.__setattr__(still, "frames", Same(cv2.imread(str(paths[0])), 2000))  # no decoding at all
    found = Found([], [], [])
    for _ in range(rounds):
        alone, through = decode(sequence), track(worker, sequence)
        found.bare.append(alone)
        found.ratios.append(alone / through)
        found.cost.append(track(worker, still) - track(here, still))
    worker.close()
    return found


def two_jobs(folder: Path, tracker: str, size: tuple[int, int], frames: int, rounds: int) -> Gain:
    """A tracker on four videos of so many frames of a size, with one job and with two in turns."""
    cv2.setNumThreads(1)
    folder.mkdir()
    paths, names = write_images(folder, 100, size), tuple(f"V{k}" for k in range(4))
    shown = tuple(paths[i % len(paths)] for i in range(frames))
    suite = Suite("made", tuple(sequence_of(n, shown) for n in names), names)
    run("static", suite, results=folder / "first")  # the digests of all images are known from now on
    found = Gain(tracker, [], [])
    for n in range(rounds):
        spent = []
        for jobs in (1, 2):
            before, begin = os.times(), time.perf_counter()
            run(tracker, suite, results=folder / f"r{n}{jobs}", how=How(jobs=jobs))
            spent.append(time.perf_counter() - begin)
            if jobs == 1:
                busy = sum(os.times()[:4]) - sum(before[:4])  # its own and that of processes which have ended
                found.cores.append(busy / spent[0])
        found.gains.append(spent[0] / spent[1])
    return found


def show(found: Found) -> None:
    """Print medians over the rounds."""
    bare, share, cost = map(statistics.median, (found.bare, found.ratios, found.cost))
    print(f"decoding alone: {1000 * bare:.2f} ms a frame of 640 x 480")
    print(f"static in a process of its own: {share:.3f} of the speed of decoding alone")
    print(f"without decoding, the process costs {1e6 * cost:.0f} µs a frame of 640 x 480")


class Same:
    """One image again and again."""

    def __init__(self, image: np.ndarray, count: int) -> None:
        self.picture, self.count = image, count

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> np.ndarray:
        """The image."""
        return self.picture


def endure(folder: Path, frames: int) -> None:
    """Print memory and open files of both processes after 5,000 frames, and after all of them."""
    paths = write_images(folder, 50, (320, 240))
    sequence = sequence_of("Long", tuple(paths[i % 50] for i in range(frames)))
    worker = Process(Setup("ncc", "made"), Limits(), folder / "w", folder / "log", threading.Event())
    worker.open()
    seen = {}

    def look(done: int) -> None:
        if done in (5000, frames):
            both = [psutil.Process(), psutil.Process(worker.child.pid if worker.child else os.getpid())]
            seen[done] = [(p.memory_info().rss / 2**20, p.num_fds()) for p in both]

    worker.track(job_of(sequence), look)
    worker.close()
    for done, rows in seen.items():
        words = ", ".join(
            f"{name} {m:.1f} MiB and {f} files" for name, (m, f) in zip(("run", "tracker"), rows)
        )
        print(f"after {done:,} frames: {words}")


def main() -> None:
    """Measure on this machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=0, help="frames of one long video, for memory")
    order = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLO_BENCH_CACHE"] = str(Path(folder) / "cache")
        if order.rounds:
            show(measure(Path(folder), order.frames, order.rounds))
            for tracker, size, frames in JOBS:
                gain = two_jobs(Path(folder) / tracker, tracker, size, frames, order.rounds)
                fast = statistics.median(gain.gains)
                print(f"two jobs against one, {tracker}: {fast:.2f} times as fast; {gain.note()}")
        if order.long:
            endure(Path(folder), order.long)


if __name__ == "__main__":
    main()
