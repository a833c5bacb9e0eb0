"""What a benchmark finds: lines of one table, each a ratio of two things that took turns in the same run."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rolo_bench.run.stamp import Facts, provenance

LIBRARIES = ("rolo-bench", "numpy", "pandas", "opencv-python", "torch", "onnxruntime", "got10k", "simplejpeg")


@dataclass(frozen=True)
class Line:
    """One line: what was measured, its values in each round, and what was wanted.

    Attributes:
        path: what is done, against what.
        values: of each round; their median is shown, and least to most.
        unit: what they count.
        target: in words; empty where there is none.
        note: what else to know.
    """

    path: str
    values: Sequence[float]
    unit: str = "times"
    target: str = ""
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """Its cells in the table."""
        low, high = min(self.values), max(self.values)
        spread = f"{low:.3g} to {high:.3g}" if len(self.values) > 1 else ""
        middle = f"{statistics.median(self.values):.3g} {self.unit}".strip()
        return self.path, middle, spread, self.target, self.note


def table(lines: Sequence[Line]) -> str:
    """Lines as a table of markdown."""
    head = ("path", "median", "least to most", "target", "note")
    rows = [head, ("---",) * len(head), *(line.cells() for line in lines)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def machine() -> str:
    """Processor, cores, load and versions in one paragraph."""
    made: dict[str, Any] = provenance(Facts(), 1)["machine"]
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    where = f"{made['processor']}, {made['cores']} cores, load {os.getloadavg()[0]:.1f}"
    return f"{where}; {made['system']}; {', '.join(found)}"


def in_turns(
    calls: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds of each call in each round; the calls take turns, so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = clock()
            call()
            seconds[name].append(clock() - begin)
    return seconds


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]
