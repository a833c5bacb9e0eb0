"""Where data, downloads, weights and detections lie on this machine; the one place that knows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Part = Literal["archives", "data", "detections", "frames", "published", "scores", "weights"]


def data_folder(data: str | os.PathLike[str] | None = None) -> Path:
    """The folder of video data: as given, else ``ROLO_BENCH_DATA``, else ``data`` in the cache."""
    if data:
        return Path(data)
    if os.environ.get("ROLO_BENCH_DATA"):
        return Path(os.environ["ROLO_BENCH_DATA"])
    return cache_folder("data")


def cache_folder(part: Part) -> Path:
    """The folder of one kind of file in the cache: ``ROLO_BENCH_CACHE``, else the platform's cache folder."""
    if os.environ.get("ROLO_BENCH_CACHE"):
        return Path(os.environ["ROLO_BENCH_CACHE"]) / part
    import platformdirs

    return Path(platformdirs.user_cache_dir("rolo-bench")) / part


def weights_folder() -> Path | None:
    """The user's own folder, from ``ROLO_BENCH_WEIGHTS``; None where it is not set."""
    value = os.environ.get("ROLO_BENCH_WEIGHTS")
    return Path(value) if value else None


def shared_folder() -> Path | None:
    """Where trackers of one run share detections, from ``ROLO_BENCH_SHARED``, which the run sets for its processes."""
    value = os.environ.get("ROLO_BENCH_SHARED")
    return Path(value) if value else None


def shipped_folder() -> Path:
    """Weights that come with rolo-bench."""
    return Path(__file__).resolve().parent / "shipped"
