"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder with real video, published results and detector weights; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the shared data folder (video, results, weights) beside the checkout")
    return SHARED
