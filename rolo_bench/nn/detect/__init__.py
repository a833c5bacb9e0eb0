"""Detectors: networks, their weights, and stored detections."""
