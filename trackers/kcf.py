"""OpenCV's KCF tracker. Needs an OpenCV with contrib modules."""

from rolo_bench.run.opencv import opencv_tracker

TRACKER = opencv_tracker("KCF", "OpenCV's KCF: kernelized correlation filter (Henriques et al. 2015).")
