"""Whether results are the same however they are made: one process, two, and a Dask cluster one of whose machines dies.

    python benchmarks/same_bytes.py --sequences 30 --frames 60 --trackers static ncc mosse mil

The cluster is a scheduler and four worker processes on this machine; one is killed while it works. Exit status 1 where
a byte differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from rolo_bench.boxfiles import format_boxes
from rolo_bench.datasets.suites import load_suite
from rolo_bench.run.runner import How, run_suite
from rolo_bench.run.store import Store


def make_suite(root: Path, count: int, frames: int) -> Path:
    """Videos of a patch that moves over noise."""
    for k in range(count):
        rng = np.random.default_rng(k)
        ground = rng.integers(0, 90, (180, 240, 3), dtype=np.uint8)
        patch = rng.integers(120, 255, (30, 36, 3), dtype=np.uint8)
        images, truth = root / f"S{k:02d}" / "img", []
        images.mkdir(parents=True)
        for i in range(frames):
            x, y = 10 + 2 * i, 20 + i
            image = ground.copy()
            image[y : y + 30, x : x + 36] = patch
            cv2.imwrite(str(images / f"{i + 1:04d}.jpg"), image)
            truth.append([x, y, 36, 30])
        (images.parent / "groundtruth_rect.txt").write_text(format_boxes(np.array(truth, float)))
    return root


def digest(root: Path) -> tuple[str, int]:
    """SHA-256 over the boxes of a folder of results, and how many files they are."""
    files = sorted(p for p in root.rglob("*.txt") if not p.name.endswith("_time.txt"))
    found = hashlib.sha256()
    for path in files:
        found.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return found.hexdigest(), len(files)


def main() -> None:
    """Make the results in three ways and compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=30)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--trackers", nargs="+", default=["static", "ncc", "mosse", "mil"])
    order = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["ROLO_BENCH_CACHE"] = str(root / "cache")
        suite = load_suite(str(make_suite(root / "videos", order.sequences, order.frames)))
        file = root / "scheduler.json"
        dask = [sys.executable, "-m", "dask"]
        common = ["--scheduler-file", str(file), "--no-dashboard"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        scheduler = subprocess.Popen(
            [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *common], **quiet
        )
        workers = [
            subprocess.Popen([*dask, "worker", "--no-nanny", "--nthreads", "1", *common], **quiet)
            for _ in range(4)
        ]
        try:
            from distributed import Client

            while not file.is_file():
                time.sleep(0.2)
            with Client(scheduler_file=str(file), set_as_default=False) as client:
                client.wait_for_workers(4, timeout=120)
            found = {}
            for name, how in (
                ("one process", How()), ("two processes", How(jobs=2)), ("cluster", How(scheduler=str(file))),
            ):  # fmt: skip
                begin, done = time.monotonic(), 0
                for tracker in order.trackers:
                    for outcome in run_suite(tracker, suite, Store(root / name), how=how):
                        assert outcome.what == "done", outcome
                        done += 1
                        if name == "cluster" and done == order.sequences // 2:
                            os.kill(workers[0].pid, signal.SIGKILL)
                found[name] = digest(root / name)
                print(
                    f"{name}: {found[name][1]} files, {found[name][0][:16]}, {time.monotonic() - begin:.0f} s"
                )
        finally:
            for process in (*workers, scheduler):
                process.kill()
                process.wait()
    same = len(set(found.values())) == 1
    print("the same to the byte" if same else "DIFFERENT")
    sys.exit(not same)


if __name__ == "__main__":
    main()
