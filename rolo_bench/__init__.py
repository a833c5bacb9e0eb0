"""rolo-bench: a benchmark toolkit for single-object tracking and the reference ROLO."""

__version__ = "0.1.0"
