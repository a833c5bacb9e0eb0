"""rolo-bench: a benchmark toolkit for single-object tracking and the reference ROLO.

What a notebook needs stands here, and is loaded when it is first used (``docs/python.md`` shows each).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rolo_bench.errors import DataError, RoloBenchError, TrackerError, UsageError, WeightsError

if TYPE_CHECKING:
    from rolo_bench import plots
    from rolo_bench.datasets.suites import Suite, load_suite
    from rolo_bench.nn.detect.registry import load_detector
    from rolo_bench.run.runner import run
    from rolo_bench.run.store import Store
    from rolo_bench.scores.score import score
    from rolo_bench.scores.summary import summary
    from rolo_bench.sequence import Sequence

__version__: str  # of the package as installed; setup.cfg says it
__all__ = [
    "DataError", "RoloBenchError", "Sequence", "Store", "Suite", "TrackerError", "UsageError", "WeightsError",
    "load_detector", "load_suite", "plots", "run", "score", "summary",
]  # fmt: skip

_ROOMS = {
    "Sequence": "sequence", "Store": "run.store", "Suite": "datasets.suites",
    "load_detector": "nn.detect.registry", "load_suite": "datasets.suites",
    "score": "scores.score", "summary": "scores.summary",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("rolo-bench")
    if name in ("plots", "run"):  # rooms; `run` can be called
        return importlib.import_module(f"rolo_bench.{name}")
    if name in _ROOMS:
        return getattr(importlib.import_module(f"rolo_bench.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
