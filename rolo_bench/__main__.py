"""``python -m rolo_bench``."""

from rolo_bench.cli import entry

entry()
