"""OpenCV's MIL tracker."""

from rolo_bench.run.opencv import opencv_tracker

TRACKER = opencv_tracker("MIL", "OpenCV's MIL: multiple instance learning (Babenko, Yang, Belongie 2009).")
