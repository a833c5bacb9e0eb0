"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rolo_bench.datasets.synthetic import suite

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell that runs the tests in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("MPLBACKEND", "Agg")
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frames of every third scene of the demo suite, where a test is not about what they show."""
    parts = tuple(s.slice(0, 20) for s in suite.demo_sequences()[::3])
    monkeypatch.setattr(suite, "demo_sequences", lambda: parts)


@pytest.fixture
def shared() -> Path:
    """The folder with real video, published results and detector weights; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the shared data folder (video, results, weights) beside the checkout")
    return SHARED
