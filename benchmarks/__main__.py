"""Every line of the table of speed, measured on this machine.

    python -m benchmarks [--only PART]... [--rounds N] [--write docs/performance.md]

Each line is a ratio of two things that took turns in this run: a peer or a floor, and rolo-bench. Times of one process
are its processor time, so that other programs disturb little; what runs in several processes is measured by the wall
clock, and wants a quiet machine. ``--write`` puts the table between the markers of a page.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import parts
from benchmarks.lines import Line, machine, table

MARKS = re.compile(r"(<!-- table -->\n).*?(<!-- end of table -->)", re.DOTALL)


def measured(names: list[str], rounds: int) -> Iterator[Line]:
    """The lines of the parts with these names, each as soon as it is there."""
    for name in names:
        part: Callable[[Path, int], Iterator[Line]] = parts.PARTS[name]
        with tempfile.TemporaryDirectory() as folder:
            before = os.environ.get("ROLO_BENCH_CACHE")
            os.environ["ROLO_BENCH_CACHE"] = str(Path(folder) / "cache")
            try:
                yield from part(Path(folder), rounds)
            except (ImportError, FileNotFoundError, parts.Absent) as error:
                yield Line(name, [float("nan")], "", note=f"not measured: {error}")
            finally:
                os.environ.pop("ROLO_BENCH_CACHE")
                if before is not None:
                    os.environ["ROLO_BENCH_CACHE"] = before


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(parts.PARTS), default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args()
    lines = []
    print(machine(), flush=True)
    for line in measured(options.only or list(parts.PARTS), options.rounds):
        print("  ".join(filter(None, line.cells())), flush=True)
        lines.append(line)
    if options.write:
        text = f"{machine()}\n\n{table(lines)}"
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(MARKS.sub(lambda m: m[1] + text + m[2], page), encoding="utf-8")


if __name__ == "__main__":
    main()
