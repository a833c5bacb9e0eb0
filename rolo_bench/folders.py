"""Where data, downloads and weights lie on this machine; the one place that knows."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(data: str | os.PathLike[str] | None = None) -> Path:
    """The folder of video data: as given, else ``ROLO_BENCH_DATA``, else ``data`` in the cache."""
    if data:
        return Path(data)
    if os.environ.get("ROLO_BENCH_DATA"):
        return Path(os.environ["ROLO_BENCH_DATA"])
    return cache_folder() / "data"


def cache_folder() -> Path:
    """Where downloads are kept: ``ROLO_BENCH_CACHE``, else the platform's cache folder."""
    if os.environ.get("ROLO_BENCH_CACHE"):
        return Path(os.environ["ROLO_BENCH_CACHE"])
    import pooch

    return Path(pooch.os_cache("rolo-bench"))


def weights_folder() -> Path | None:
    """The user's own folder, from ``ROLO_BENCH_WEIGHTS``; None where it is not set."""
    value = os.environ.get("ROLO_BENCH_WEIGHTS")
    return Path(value) if value else None
