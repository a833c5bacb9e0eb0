"""A made-up result set with known order of trackers, held in memory: for figures and reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import ATTRIBUTES, Suite, load_annotations
from rolo_bench.run.store import Files, RunResult, Store
from rolo_bench.sequence import Sequence


class Held(Files):
    """Files that were never written: their contents are those of the arrays."""

    def __init__(self, result: RunResult, entry: dict[str, Any]) -> None:
        sure = b"" if result.scores is None else result.scores.tobytes()
        boxes, times = result.boxes.tobytes(), result.seconds.tobytes() + sure
        super().__init__(
            result.tracker, result.sequence, result.protocol, Path("memory"), result.stem, boxes, times, entry
        )
        object.__setattr__(self, "held", result)

    def result(self) -> RunResult:
        return self.held


@dataclass
class MemoryStore:
    """Answers what scoring and reports ask of a `Store`."""

    results: dict[tuple[str, str], RunResult]
    metas: dict[str, dict[str, Any]] = field(default_factory=dict)
    root: Path = Path("memory")

    def trackers(self, suite: str, protocol: str = "ope") -> tuple[str, ...]:
        return tuple(dict.fromkeys(t for t, _ in self.results))

    def sequences(self, suite: str, protocol: str, tracker: str) -> tuple[str, ...]:
        return tuple(s for t, s in self.results if t == tracker)

    def meta(self, suite: str, protocol: str, tracker: str) -> dict[str, Any]:
        return self.metas.get(tracker, {})

    def load(self, suite, protocol, tracker, sequence, meta=None) -> list[RunResult]:
        return [self.results[tracker, sequence]]

    def read(self, suite, protocol, tracker, sequences, meta=None) -> Iterator[list[Files]]:
        for name in sequences:
            entry = self.meta(suite, protocol, tracker).get("sequences", {}).get(name, {})
            yield [Held(self.results[tracker, name], entry)]


def made_up(
    trackers: tuple[str, ...] = ("alpha", "beta", "gamma", "delta"),
    count: int = 8,
    frames: int = 60,
    expected: int = 0,
    seed: int = 0,
    oracle: tuple[str, ...] = (),
) -> tuple[MemoryStore, Suite]:
    """Trackers that drift the more the later they stand in the list, on ``count`` sequences."""
    rng = np.random.default_rng(seed)
    flags = tuple(ATTRIBUTES)
    sequences, results = [], {}
    for s in range(count):
        path = np.cumsum(rng.normal(size=(frames, 2)), axis=0) * 2 + 150
        truth = np.hstack([path, np.tile([40.0, 30.0], (frames, 1))])
        own = tuple(f for k, f in enumerate(flags) if (s + k) % 3 == 0)
        name = f"Seq{s + 1:02d}"
        sequences.append(Sequence(name, NoFrames(frames), truth, own))
        for k, tracker in enumerate(trackers):
            drift = np.cumsum(rng.normal(size=(frames, 4)) * (0.5 + 0.45 * k), axis=0)
            boxes = truth + drift * np.array([1, 1, 0.2, 0.2])
            boxes[:, 2:] = np.maximum(boxes[:, 2:], 3)
            boxes[0] = truth[0]
            seconds = rng.gamma(6, 0.002 * (k + 1), size=frames)
            results[tracker, name] = RunResult(tracker, name, "ope", boxes, seconds)
    names = tuple(s.name for s in sequences)
    missing = tuple(f"Gone{i:02d}" for i in range(expected - count)) if expected else ()
    machine = {"processor": "Test CPU", "cores": 2, "device": "cpu", "load_at_start": 0.1}
    metas = {
        t: {
            "tracker": t, "origin": "built in", "options": {"step": 6}, "oracle": t in oracle,
            "machine": machine, "seed": 0, "jobs": 1, "made": "2026-01-02T03:04:05+00:00",
        }
        for t in trackers
    }  # fmt: skip
    return MemoryStore(results, metas), Suite("made-up", tuple(sequences), names + missing, missing, "otb")


def stored_demo(folder: Path, names: tuple[str, ...]) -> Path:
    """A results folder with made-up results of trackers on the demo suite, the first one the best."""
    rng = np.random.default_rng(1)
    suite, store = load_annotations("demo", ""), Store(folder / "results")
    for k, name in enumerate(names):
        for sequence in suite.sequences:
            boxes = sequence.truth + rng.normal(size=sequence.truth.shape) * (1 + 6 * k)
            boxes[:, 2:] = np.maximum(boxes[:, 2:], 2)
            boxes[0] = sequence.truth[0]
            store.save("demo", RunResult(name, sequence.name, "ope", boxes, np.full(len(boxes), 0.01)))
        store.write_meta("demo", "ope", name, {"tracker": name, "sequences": {}})
    return store.root
