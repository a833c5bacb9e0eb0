"""OpenCV's MIL tracker."""

from rolo_bench.run.opencv import opencv_tracker

# On smaller boxes OpenCV's search for samples does not end.
TRACKER = opencv_tracker(
    "MIL", "OpenCV's MIL: multiple instance learning (Babenko, Yang, Belongie 2009).", least=(2, 24)
)
