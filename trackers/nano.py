"""NanoTrack through OpenCV: a Siamese tracker of 1.8 MB that runs in real time on a CPU.

Source: github.com/HonglinChu/SiamTrackers, NanoTrack v2 (Apache-2.0); OpenCV's ``TrackerNano``. Its two networks are
fetched on first use (`rolo_bench.fetch.weights`).
"""

from __future__ import annotations

from rolo_bench.fetch.weights import obtain
from rolo_bench.files import digest
from rolo_bench.run.opencv import OpenCVTracker, create


class Nano(OpenCVTracker):
    """OpenCV's NanoTrack v2: a lightweight Siamese tracker."""

    def __init__(self) -> None:
        backbone, head = obtain("nanotrack")
        self.weights_digests = {p.name: digest(p) for p in (backbone, head)}
        super().__init__(lambda: create("Nano", backbone=str(backbone), neckhead=str(head)))
