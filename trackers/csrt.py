"""OpenCV's CSRT tracker. Needs an OpenCV with contrib modules."""

from rolo_bench.run.opencv import opencv_tracker

TRACKER = opencv_tracker(
    "CSRT",
    "OpenCV's CSRT: discriminative correlation filter with channel and spatial reliability (Lukezic et al. 2017).",
)
