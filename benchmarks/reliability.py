"""What a run loses when things go wrong: faults injected by the hundred and undone, results compared by the byte.

    python benchmarks/reliability.py --processes 640 --files 960 --data 480 --kills 50 --output reliability.md

Of each kind: how often it was injected, and how often anything was lost. Lost is a result of another sequence that is
missing or has other bytes, a fault that is not told, a result that is not the same once the fault is gone and the same
command was given again, a process that is left, or a file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import psutil

from rolo_bench.boxfiles import format_boxes
from rolo_bench.run.job import Limits
from rolo_bench.run.runner import How, run
from rolo_bench.run.store import Store
from rolo_bench.run.verify import find_faults, prune

CHAOS = """
import ctypes, json, os, signal, sys, threading, time
import numpy as np
PLAN = json.loads(os.environ.get('CHAOS', '{}'))
def spoil():
    for k in range(3, 9):
        if os.path.exists(f'/proc/self/fd/{k}'): os.write(k, b'nonsense' * 9)
    time.sleep(0.2)
class Chaos:
    'Moves on, unless it is told to go wrong on the sequence that the first pixel numbers.'
    def __init__(self): self.n = 0
    def init(self, image, box):
        self.box, self.what = box, PLAN.get(str(int(image[0, 0, 0])))
    def update(self, image):
        self.n += 1
        if self.what and self.n == 2: exec(self.what)
        return self.box + [self.n, image[1, 1, 0] / 64, 0, 0]
"""
PROCESS = {
    "exit status 0": "sys.exit(0)",
    "exit with a message": "sys.exit('bye')",
    "_exit 0": "os._exit(0)",
    "_exit 3": "os._exit(3)",
    "segmentation fault": "ctypes.string_at(0)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGBUS": "os.kill(os.getpid(), signal.SIGBUS)",
    "abort": "os.abort()",
    "sleeps for ever": "time.sleep(10000)",
    "computes for ever": "exec('while True: pass')",
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "takes too much memory": "self.held = np.ones(1 << 29, np.uint8); time.sleep(100)",
    "raises": "raise RuntimeError('no luck')",
    "raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "raises MemoryError": "raise MemoryError",
    "endless recursion": "f = lambda f: f(f); f(f)",
    "closes every file": "os.closerange(3, 200)",
    "writes over the connection": "spoil(); os._exit(1)",
    "a thread that stays, then raises": "threading.Thread(target=time.sleep, args=(9999,)).start(); raise ValueError",
    "a child process that stays, then exits": "os.fork() or time.sleep(9999); os._exit(1)",
    "a flood of output, then exits": "sys.stdout.write('x' * 3_000_000); os._exit(1)",
}


def edit(path: Path) -> None:
    """Change one digit of a file."""
    text = path.read_text()
    k = next(i for i, c in enumerate(text) if c.isdigit())
    path.write_text(text[:k] + str((int(text[k]) + 1) % 10) + text[k + 1 :])


def swap(a: Path, b: Path) -> None:
    """Exchange the contents of two files."""
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


FILES: dict[str, Callable[[Path, str, str], object]] = {
    "a digit edited": lambda f, a, b: edit(f / f"{a}.txt"),
    "rows cut off": lambda f, a, b: (f / f"{a}.txt").write_text((f / f"{a}.txt").read_text()[:40]),
    "emptied": lambda f, a, b: (f / f"{a}.txt").write_bytes(b""),
    "boxes deleted": lambda f, a, b: (f / f"{a}.txt").unlink(),
    "times deleted": lambda f, a, b: (f / f"{a}_time.txt").unlink(),
    "times edited": lambda f, a, b: edit(f / f"{a}_time.txt"),
    "two results exchanged": lambda f, a, b: swap(f / f"{a}.txt", f / f"{b}.txt"),
    "line ends of another system": lambda f, a, b: (f / f"{a}.txt").write_bytes(
        (f / f"{a}.txt").read_bytes().replace(b"\n", b"\r\n")
    ),
    "a byte order mark added": lambda f, a, b: (f / f"{a}.txt").write_bytes(
        b"\xef\xbb\xbf" + (f / f"{a}.txt").read_bytes()
    ),
    "random bytes": lambda f, a, b: (f / f"{a}.txt").write_bytes(random.randbytes(200)),
    "record deleted": lambda f, a, b: (f / "run.json").unlink(),
    "record cut off": lambda f, a, b: (f / "run.json").write_text((f / "run.json").read_text()[:100]),
    "record of random bytes": lambda f, a, b: (f / "run.json").write_bytes(random.randbytes(200)),
    "one entry of the record lost": lambda f, a, b: forget(f / "run.json", a),
    "left-over of a killed write": lambda f, a, b: (f / f".{a}.txt.x7").write_text("1,2"),
}


def forget(path: Path, name: str) -> None:
    """Take one entry out of a record."""
    meta = json.loads(path.read_text())
    del meta["sequences"][name]
    path.write_text(json.dumps(meta))


def truth_of(sequence: Path) -> Path:
    """The truth file of a sequence's folder."""
    return sequence / "groundtruth_rect.txt"


def first_row(sequence: Path, row: str) -> None:
    """Write another first row into the truth."""
    rows = truth_of(sequence).read_text().splitlines()
    truth_of(sequence).write_text("\n".join([row, *rows[1:]]))


def large_png() -> bytes:
    """A small file that says it is a very large image."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"0" * 99)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    """Something else in the place of a file."""
    path.unlink()
    make(path)


DATA: dict[str, Callable[[Path], object]] = {
    "an image emptied": lambda s: (s / "img/0002.png").write_bytes(b""),
    "an image cut off": lambda s: (s / "img/0002.png").write_bytes((s / "img/0002.png").read_bytes()[:90]),
    "text for an image": lambda s: (s / "img/0002.png").write_text("404 not found"),
    "an image deleted": lambda s: (s / "img/0002.png").unlink(),
    "a FIFO for an image": lambda s: replace(s / "img/0002.png", os.mkfifo),
    "a folder for an image": lambda s: replace(s / "img/0002.png", os.mkdir),
    "a dangling link for an image": lambda s: replace(s / "img/0002.png", lambda p: p.symlink_to("nowhere")),
    "an image of 30,000 x 30,000": lambda s: (s / "img/0002.png").write_bytes(large_png()),
    "a row of truth too many": lambda s: truth_of(s).write_text(truth_of(s).read_text() + "1,1,5,5\n"),
    "a row of truth too few": lambda s: truth_of(s).write_text(
        "\n".join(truth_of(s).read_text().splitlines()[:-1])
    ),
    "no first box": lambda s: first_row(s, "NaN,NaN,NaN,NaN"),
    "a first box without size": lambda s: first_row(s, "5,5,0,0"),
    "an infinite truth": lambda s: first_row(s, "5,5,inf,5"),
    "words in the truth": lambda s: first_row(s, "left,top,wide,high"),
    "truth of random bytes": lambda s: truth_of(s).write_bytes(b"\xff" + random.randbytes(60)),
}


def make_suite(root: Path, count: int, frames: int = 4) -> Path:
    """Small videos of PNG images whose first pixel numbers them."""
    rng = np.random.default_rng(0)
    for k in range(count):
        images = root / f"S{k:03d}" / "img"
        images.mkdir(parents=True)
        for i in range(frames):
            image = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            image[0, 0] = k
            cv2.imwrite(str(images / f"{i + 1:04d}.png"), image)
        (images.parent / "groundtruth_rect.txt").write_text(
            format_boxes(np.tile([5.0 + k, 6, 7, 8], (frames, 1)))
        )
    return root


def snapshot(results: Path) -> dict[str, bytes]:
    """The boxes of all results, and the names of all other files but records, times and logs."""
    files = (p for p in results.rglob("*") if p.is_file() and ".aside" not in p.parts)
    kept = (p for p in files if p.name not in ("run.json", "run.log") and not p.name.endswith("_time.txt"))
    return {str(p.relative_to(results)): p.read_bytes() for p in kept}


def left() -> int:
    """Processes below this one that are still there."""
    return sum(p.status() != psutil.STATUS_ZOMBIE for p in psutil.Process().children(recursive=True))


@contextmanager
def chaos(plan: dict[str, str]) -> Iterator[None]:
    """While it lasts, trackers go wrong as planned."""
    os.environ["CHAOS"] = json.dumps(plan)
    try:
        yield
    finally:
        del os.environ["CHAOS"]


class Bench:
    """One folder with a suite, a tracker and the results that it should give; counts what is tried and lost."""

    def __init__(self, root: Path, count: int) -> None:
        self.root, self.count = root, count
        self.videos = make_suite(root / "videos", count)
        (root / "chaos.py").write_text(CHAOS)
        self.tried: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.go(root / "clean", How(in_process=True))
        self.wanted = snapshot(root / "clean")
        assert len(self.wanted) == count

    def go(self, results: Path, how: How) -> dict[str, str]:
        """Run the tracker; gives what became of each sequence."""
        found = run(self.root / "chaos.py", str(self.videos), results=results, how=how)
        return {o.stem: o.what for o in found}

    def note(self, kind: str, fine: bool, why: object = "") -> None:
        """Count one fault, and whether anything was lost by it."""
        self.tried[kind] += 1
        if not fine:
            self.lost[kind] += 1
            print(f"LOST: {kind}: {why}", flush=True)

    def processes(self, wanted: int, rng: random.Random) -> None:
        """Trackers that go wrong: half of the suite's sequences at a time."""
        limits, kinds = Limits(frame=5.0, memory=400_000_000), list(PROCESS)
        done = 0
        while done < wanted:
            results = self.root / f"p{done}"
            bad = rng.sample(range(self.count), min(self.count // 2, wanted - done))
            named = {k: kinds[(done + i) % len(kinds)] for i, k in enumerate(bad)}
            with chaos({str(k): PROCESS[kind] for k, kind in named.items()}):
                told = self.go(results, How(jobs=2, limits=limits))
            first = snapshot(results)
            rest = {k: v for k, v in self.wanted.items() if int(Path(k).stem[1:]) not in named}
            again = self.go(results, How(limits=limits))
            whole = first == rest and snapshot(results) == self.wanted and not left()
            for k, kind in named.items():
                name = f"S{k:03d}"
                self.note(
                    kind,
                    whole and told[name] == "failed" and again[name] == "done",
                    (told[name], again[name]),
                )
            done += len(bad)
            shutil.rmtree(results)

    def files(self, wanted: int, rng: random.Random) -> None:
        """Results that are edited, lost or damaged; found by verify, and made anew by the same command."""
        kinds = list(FILES)
        for n in range(wanted):
            kind, results = kinds[n % len(kinds)], self.root / f"f{n}"
            shutil.copytree(self.root / "clean", results)
            a, b = (f"S{k:03d}" for k in rng.sample(range(self.count), 2))
            FILES[kind](results / "videos/ope/chaos", a, b)
            store = Store(results)
            found = list(find_faults(store))
            if kind.startswith("record"):
                prune(store, found)
            self.go(results, How(in_process=True))
            same = snapshot(results) == self.wanted and not list(find_faults(store))
            self.note(kind, bool(found) and same, (found, same))
            shutil.rmtree(results)

    def data(self, wanted: int, rng: random.Random) -> None:
        """Videos that are damaged: told by sequence, the rest runs; mended, the same command completes."""
        kinds = list(DATA)
        for n in range(wanted):
            kind, results = kinds[n % len(kinds)], self.root / f"d{n}"
            name = f"S{rng.randrange(self.count):03d}"
            sequence, kept = self.videos / name, self.root / "kept"
            shutil.copytree(sequence, kept)
            try:
                DATA[kind](sequence)
                told = self.go(results, How(in_process=True))
                rest = {k: v for k, v in self.wanted.items() if Path(k).stem != name}
                first = (
                    snapshot(results) == rest
                    and told.pop(name) == "failed"
                    and set(told.values()) == {"done"}
                )
            finally:
                shutil.rmtree(sequence)
                kept.rename(sequence)
            self.go(results, How(in_process=True))
            self.note(kind, first and snapshot(results) == self.wanted, (told, first))
            shutil.rmtree(results)

    def command(self) -> list[str]:
        """The run as it is typed, to be gone on with options."""
        words = [sys.executable, "-m", "rolo_bench", "run"]
        return [*words, "--tracker", str(self.root / "chaos.py"), "--suite", str(self.videos)]

    def kills(self, wanted: int, rng: random.Random) -> None:
        """Runs with two processes, ended at a random moment by a signal, then given again."""
        line = [*self.command(), "--jobs", "2", "--results"]

        def finish(results: Path) -> None:
            subprocess.run([*line, str(results)], check=True, capture_output=True)

        for n in range(wanted):
            number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[n % 3]
            results, kind = self.root / f"k{n}", f"the run ended by {number.name}"
            process = subprocess.Popen(
                [*line, str(results)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            target = rng.randrange(self.count)  # results that are there by then
            while process.poll() is None and len(list(results.rglob("S*[0-9].txt"))) < target:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.05))
            below: list[psutil.Process] = []
            with suppress(psutil.Error):
                below = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(number)
            status = process.wait(30)
            psutil.wait_procs(below, timeout=5)
            orphans = [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
            finish(results)
            same = snapshot(results) == self.wanted and not orphans
            self.note(kind, same, (status, orphans))
            self.tried["of these, before the run was over"] += status != 0
            shutil.rmtree(results)

    def others(self, times: int) -> None:
        """A disk that is full, and two runs on one folder."""
        line = [*self.command(), "--results"]
        full = "import resource,signal,sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
        full += "from rolo_bench.cli import main; sys.exit(main(sys.argv[1:]))"
        for n in range(times):
            results = self.root / f"o{n}"
            done = subprocess.run(
                [sys.executable, "-c", full, *line[3:], str(results)],
                capture_output=True,
                text=True,
                check=False,
            )
            told = done.returncode == 1 and "Traceback" not in done.stderr
            subprocess.run([*line, str(results)], check=True, capture_output=True)
            self.note("no room for a file", told and snapshot(results) == self.wanted, done.stderr[-300:])
            shutil.rmtree(results)
            pair = [
                subprocess.Popen([*line, str(results)], stderr=subprocess.PIPE, text=True) for _ in range(2)
            ]
            said = [p.communicate()[1] for p in pair]
            codes = sorted(p.returncode for p in pair)
            fine = codes in ([0, 2], [0, 0]) and (
                codes == [0, 0] or any("is at work there" in s for s in said)
            )
            subprocess.run([*line, str(results)], check=True, capture_output=True)
            self.note("two runs on one folder", fine and snapshot(results) == self.wanted, (codes, said))
            shutil.rmtree(results)

    def table(self) -> str:
        """All that was counted, as Markdown."""
        rows = ["| fault | times | lost |", "|---|---:|---:|"]
        rows += [f"| {kind} | {n} | {self.lost[kind]} |" for kind, n in self.tried.items()]
        kinds = [k for k in self.tried if not k.startswith("of these")]
        total = sum(self.tried[k] for k in kinds)
        rows.append(f"| {len(kinds)} kinds | {total} | {sum(self.lost.values())} |")
        return "\n".join(rows) + "\n"


def main() -> None:
    """Inject as many faults as asked for; exit status 1 where anything was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in (("processes", 88), ("files", 120), ("data", 120), ("kills", 6), ("others", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    order = parser.parse_args()
    rng = random.Random(order.seed)
    random.seed(order.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLO_BENCH_CACHE"] = str(Path(folder) / "cache")
        large, small = Bench(Path(folder) / "large", 44), Bench(Path(folder) / "small", 3)
        begin = time.monotonic()
        for part, amount in (
            (small.files, order.files), (small.data, order.data),
            (large.processes, order.processes), (large.kills, order.kills),
        ):  # fmt: skip
            part(amount, rng)
            print(f"{part.__name__}: {time.monotonic() - begin:.0f} s", flush=True)
        small.others(order.others)
        small.tried |= large.tried
        small.lost |= large.lost
        text = small.table()
    print(text)
    if order.output:
        order.output.write_text(text, encoding="utf-8")
    sys.exit(1 if sum(small.lost.values()) else 0)


if __name__ == "__main__":
    main()
