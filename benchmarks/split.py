"""Where the time of a frame goes: the parts of trackers with a network, timed from outside."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rolo_bench.run.plugins import find_plugin
from rolo_bench.sequence import Sequence

DETECT, ROLO, PLUS = "rolo_bench.nn.detect", "rolo_bench.nn.rolo", "rolo_bench.nn.plus"
# Part, module, class where the function belongs to one, function.
PARTS = (
    ("preprocess", f"{DETECT}.torch_detector", "TorchDetector", "tensor"),
    ("boxes", f"{DETECT}.yolox", "YOLOX", "forward"),
    ("suppression", f"{DETECT}.torch_detector", "", "select"),
    ("appearance", f"{DETECT}.torch_detector", "", "appearance_of"),
    ("association", "rolo_bench.association", "Association", "choose"),
    ("association", "rolo_bench.association", "Association", "take"),
    ("LSTM", f"{ROLO}.network", "", "advance"),
    ("preprocess", f"{PLUS}.view", "", "crop"),
    ("suppression", f"{PLUS}.view", "", "merge"),
    ("appearance", f"{PLUS}.view", "", "appearance"),
    ("appearance", f"{PLUS}.view", "", "identity"),
    ("appearance", f"{PLUS}.colour", "", "coloured"),
    ("filter", f"{PLUS}.filter", "Filter", "response"),
    ("filter", f"{PLUS}.filter", "", "learn"),
    ("Siamese", f"{PLUS}.siamese", "Siamese", "search"),
    ("Siamese", f"{PLUS}.siamese", "Siamese", "closer"),
    ("Siamese", f"{PLUS}.siamese", "Siamese", "likeness"),
    ("LSTM", f"{PLUS}.networks", "Expectation", "step"),
    ("flow", f"{PLUS}.flow", "", "moved"),
)


class Clock:
    """Seconds by part; what a part calls of another one counts for that."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.inside: list[float] = []

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which adds its seconds to a part."""

        def call(*args: Any, **given: Any) -> Any:
            begin = time.perf_counter()
            self.inside.append(0.0)
            try:
                return function(*args, **given)
            finally:
                whole = time.perf_counter() - begin
                self.spent[part] += whole - self.inside.pop()
                if self.inside:
                    self.inside[-1] += whole

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While it lasts, the functions of `PARTS` are timed."""
        undo: list[tuple[Any, str, Any]] = []
        try:
            for part, module, owner, name in PARTS:
                home = getattr(import_module(module), owner) if owner else import_module(module)
                undo.append((home, name, getattr(home, name)))
                setattr(home, name, self.timed(part, getattr(home, name)))
            yield
        finally:
            for home, name, function in undo:
                setattr(home, name, function)


def measure(name: str, sequence: Sequence, rounds: int) -> dict[str, list[float]]:
    """Seconds a frame of each part, of the ``whole`` with decoding, and of the ``rest``, in each round."""
    found: dict[str, list[float]] = defaultdict(list)
    clock = Clock()
    with clock.watching():
        tracker = find_plugin(name).make({})
        network = tracker.detector.network
        network.layers = clock.timed("network", network.layers)  # compiled, and so an attribute of its own
        decode = clock.timed("decode", sequence.frames.image)
        for _ in range(rounds):
            tracker.init(decode(0), sequence.truth[0])
            clock.spent.clear()
            begin = time.perf_counter()
            for i in range(1, len(sequence)):
                tracker.update(decode(i))
            whole = time.perf_counter() - begin
            for part, seconds in clock.spent.items():
                found[part].append(seconds / (len(sequence) - 1))
            found["rest"].append((whole - sum(clock.spent.values())) / (len(sequence) - 1))
            found["whole"].append(whole / (len(sequence) - 1))
    return dict(found)
