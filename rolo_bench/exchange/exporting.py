"""Writing results in the layouts of other toolkits.

- got10k: ``<tracker>/<Seq>.txt`` and ``<tracker>/times/<Seq>_time.txt``;
- pysot: ``<tracker>/<Seq>.txt``;
- VOT: ``<tracker>/unsupervised/<Seq>/<Seq>_001.txt`` with the code 1 in the first row, 0 for "no box", 0-based, and
  ``<Seq>_001_time.value``.

The first two count pixels from 1, as the annotation of OTB that those toolkits read. Their spellings of the few
sequences with several targets come from a table. "No box" is ``nan`` there: both toolkits read it and count
the frame as a miss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import format_boxes, format_numbers
from rolo_bench.datasets.suites import table_rows
from rolo_bench.errors import UsageError
from rolo_bench.files import write_atomic
from rolo_bench.run.store import RunResult, Store

FORMATS = {
    "got10k": "got10k: <tracker>/<Seq>.txt and times/<Seq>_time.txt",
    "pysot": "pysot: <tracker>/<Seq>.txt",
    "vot": "VOT: <tracker>/unsupervised/<Seq>/<Seq>_001.txt",
}


@cache
def toolkit_names(format_: str) -> dict[str, str]:
    """Spellings of a toolkit that differ from the benchmark's folder names."""
    return {r["name"]: r["spelling"] for r in table_rows("toolkit_names.csv") if r["toolkit"] == format_}


def layout(format_: str, result: RunResult) -> dict[str, str]:
    """Relative paths and contents of the files that one result becomes.

    Raises:
        UsageError: unknown format, or a result that is not of one-pass evaluation.
    """
    if format_ not in FORMATS:
        raise UsageError(f"unknown format {format_!r}; known: {', '.join(FORMATS)}")
    if result.protocol != "ope":
        raise UsageError(f"{result.label}: {format_} has no place for {result.protocol.upper()}; export ope")
    name = toolkit_names(format_).get(result.sequence, result.sequence)
    timed = bool(np.isfinite(result.seconds).any())
    if format_ == "vot":
        base = f"{result.tracker}/unsupervised/{name}/{name}_001"
        content = {f"{base}.txt": vot_rows(result.boxes)}
        return content | ({f"{base}_time.value": format_numbers(result.seconds)} if timed else {})
    content = {f"{result.tracker}/{name}.txt": format_boxes(result.boxes)}
    if format_ == "got10k" and timed:
        content[f"{result.tracker}/times/{name}_time.txt"] = format_numbers(result.seconds)
    return content


def vot_rows(boxes: Array) -> str:
    """Rows of a VOT trajectory: code 1 for the start, code 0 for "no box", else x, y, w, h, 0-based."""
    rows = format_boxes(boxes, offset=0.0).splitlines()
    missing = np.asarray(np.isnan(boxes).any(axis=1))
    return "".join("1\n" if i == 0 else "0\n" if missing[i] else f"{row}\n" for i, row in enumerate(rows))


def export_results(
    store: Store, suite: str, trackers: tuple[str, ...], format_: str, folder: Path, protocol: str = "ope"
) -> Iterator[tuple[str, int]]:
    """Write all results of trackers on a suite; yields the name of each folder with its number of sequences.

    Each file is written to a temporary name and renamed. Files of the same names are replaced. These layouts have
    no place for a mark, so the folder of an oracle is named ``<tracker>-oracle``.

    Raises:
        UsageError: unknown format or protocol, or no results.
        DataError: a result is malformed.
    """
    known = store.trackers(suite, protocol)
    for tracker in trackers or known:
        names = store.sequences(suite, protocol, tracker)
        if not names:
            listed = ", ".join(known) or "none"
            raise UsageError(
                f"no results of {tracker} on {suite} ({protocol}) in {store.root}; there are: {listed}"
            )
        meta = store.meta(suite, protocol, tracker)
        label = f"{tracker}-oracle" if meta.get("oracle") else tracker
        for name in names:
            for result in store.load(suite, protocol, tracker, name, meta):
                for path, text in layout(format_, replace(result, tracker=label)).items():
                    write_atomic(folder / path, text)
        yield label, len(names)
    if not known and not trackers:
        raise UsageError(f"no results on {suite} ({protocol}) in {store.root}; run or import some first")
