"""How fast rolo-bench is, as ratios against peers and floors in the same run; ``python -m benchmarks``."""
