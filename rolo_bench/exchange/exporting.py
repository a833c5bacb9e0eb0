"""Writing results in the layouts of other toolkits and servers; a row of `FORMATS` each.

Text layouts count pixels as the annotation does that those toolkits read: from 1, on VOT, NfS, TrackingNet and DAVIS
from 0. Their spellings of the few sequences with several targets come from a table. "No box" is ``nan`` where the
toolkit reads that and counts the frame as a miss; servers want numbers, so there it is a box without size.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import format_boxes, format_scores, format_times
from rolo_bench.datasets.table import table_rows
from rolo_bench.errors import UsageError, find_name
from rolo_bench.exchange.otb_mat import SHIFTS
from rolo_bench.files import write_atomic
from rolo_bench.run.store import RunResult, Store

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class Format:
    """A layout.

    Attributes:
        words: what lies where.
        files: relative paths and contents that the starts of one sequence become; also takes the sequence's name in
            the toolkit's spelling and what is added to x and y.
        archive: the files of a tracker go into ``<tracker>.zip``, as a server wants them.
        protocols: what it has a place for.
        around: files that stand beside those of all trackers, of whose names they are made.
    """

    words: str
    files: Callable[[list[RunResult], str, float], Files]
    archive: bool = False
    protocols: tuple[str, ...] = ("ope",)
    around: Callable[[list[str]], Files] | None = None


def _timed(result: RunResult) -> bool:
    return bool(np.isfinite(result.seconds).any())


def _got10k(results: list[RunResult], name: str, offset: float) -> Files:
    (result,) = results
    content: Files = {f"{result.tracker}/{name}.txt": format_boxes(result.boxes, offset)}
    if _timed(result):
        content[f"{result.tracker}/times/{name}_time.txt"] = format_times(result.seconds)
    return content


def _pysot(results: list[RunResult], name: str, offset: float) -> Files:
    (result,) = results
    return {f"{result.tracker}/{name}.txt": format_boxes(result.boxes, offset)}


def _pytracking(results: list[RunResult], name: str, offset: float) -> Files:
    (result,) = results
    base = f"{result.tracker}/default_000/{name}"
    content: Files = {f"{base}.txt": format_boxes(result.boxes, offset).replace(",", "\t")}
    return content | ({f"{base}_time.txt": format_times(result.seconds)} if _timed(result) else {})


def _lasot(results: list[RunResult], name: str, offset: float) -> Files:
    (result,) = results
    return {f"{result.tracker}_tracking_result/{name}.txt": format_boxes(result.boxes, offset)}


def _sized(result: RunResult, offset: float) -> str:
    """Rows of numbers alone: "no box" is a box without size."""
    return format_boxes(np.where(np.isnan(result.boxes), [-offset, -offset, 0, 0], result.boxes), offset)


def _got10k_server(results: list[RunResult], name: str, offset: float) -> Files:
    (result,) = results
    seconds = np.nan_to_num(result.seconds)
    return {
        f"{name}/{name}_001.txt": _sized(result, offset), f"{name}/{name}_time.txt": format_times(seconds)
    }  # fmt: skip


def _trackingnet_server(results: list[RunResult], name: str, offset: float) -> Files:
    return {f"{name}.txt": _sized(results[0], offset)}


def _vot(results: list[RunResult], name: str, offset: float) -> Files:
    (result,) = results
    base = f"{result.tracker}/unsupervised/{name}/{name}_001"
    content: Files = {f"{base}.txt": vot_rows(result.boxes)}
    if result.scores is not None:
        content[f"{base}_confidence.value"] = format_scores(result.scores)
    return content | ({f"{base}_time.value": format_times(result.seconds)} if _timed(result) else {})


def _vot_results(results: list[RunResult], name: str, offset: float) -> Files:
    return {f"results/{path}": data for path, data in _vot(results, name, offset).items()}


def _vot_workspace(trackers: list[str]) -> Files:
    """What makes a folder a workspace of vot-toolkit: its videos are looked for in ``sequences`` beside the results."""
    entries = (f"[{t}]\nlabel = {t}\nprotocol = trax\ncommand = {t}\n" for t in trackers)
    return {"config.yaml": WORKSPACE, "trackers.ini": "\n".join(entries)}


WORKSPACE = """registry:
- ./trackers.ini
sequences: sequences
stack:
  title: one-pass evaluation
  experiments:
    unsupervised:
      type: unsupervised
      analyses:
      - type: average_accuracy
        burnin: 1
"""


def _fields(result: RunResult) -> dict[str, Any]:
    """What the OTB toolkits write of one start; frames count within the benchmark's range, from 1."""
    seconds = result.seconds[1:]
    total = float(seconds.sum()) if len(seconds) else float("nan")
    number = int(result.segment[-2:]) if result.segment else 1
    return {
        "res": result.boxes + np.array([1.0, 1.0, 0, 0]),
        "first": result.start + 1,
        "fps": len(seconds) / total if total > 0 else 0.0,
        "shift": SHIFTS[number - 1] if result.protocol == "sre" else None,
    }


def _otb_json(results: list[RunResult], name: str, offset: float) -> Files:
    starts = []
    for result in results:
        fields = _fields(result)
        rows = [None if np.isnan(row).any() else row.tolist() for row in fields["res"]]
        starts.append(
            {
                "tracker": result.tracker, "seqName": name, "startFrame": fields["first"],
                "endFrame": fields["first"] + len(rows) - 1, "evalType": result.protocol.upper(),
                "fps": fields["fps"], "shiftType": fields["shift"], "resType": "rect", "tmplsize": [0.0, 0.0],
                "res": [row or [None] * 4 for row in rows],
            }
        )  # fmt: skip
    return {f"{results[0].tracker}/{name}.json": json.dumps(starts, indent=1) + "\n"}


def _otb_mat(results: list[RunResult], name: str, offset: float) -> Files:
    from scipy.io import savemat

    cells = np.empty((1, len(results)), dtype=object)
    for i, result in enumerate(results):
        fields = _fields(result)
        extra = {"shiftType": fields["shift"]} if fields["shift"] else {}
        cells[0, i] = {
            "type": "rect", "res": fields["res"], "len": float(len(result.boxes)),
            "startFrame": float(fields["first"]), "annoBegin": 1.0, "fps": fields["fps"],
        } | extra  # fmt: skip
    file = io.BytesIO()
    savemat(file, {"results": cells}, do_compression=True)
    return {f"{results[0].tracker}/{name}_{results[0].tracker}.mat": file.getvalue()}


EVERY = ("ope", "tre", "sre")
FORMATS = {
    "got10k": Format("got10k: <tracker>/<Seq>.txt and times/<Seq>_time.txt", _got10k),
    "pysot": Format("pysot: <tracker>/<Seq>.txt", _pysot),
    "pytracking": Format("pytracking: <tracker>/default_000/<Seq>.txt, tab separated", _pytracking),
    "lasot": Format("LaSOT toolkit: <tracker>_tracking_result/<Seq>.txt", _lasot),
    "vot": Format("VOT: <tracker>/unsupervised/<Seq>/<Seq>_001.txt", _vot),
    "vot-workspace": Format(
        "VOT toolkit: a workspace to analyse, results/<tracker>/unsupervised/<Seq>/<Seq>_001.txt",
        _vot_results,
        around=_vot_workspace,
    ),
    "otb-json": Format("Python OTB toolkit: <tracker>/<Seq>.json", _otb_json, protocols=EVERY),
    "otb-mat": Format("MATLAB OTB toolkit: <tracker>/<Seq>_<tracker>.mat", _otb_mat, protocols=EVERY),
    "got10k-server": Format("GOT-10k's server: <tracker>.zip of <Seq>/<Seq>_001.txt", _got10k_server, True),
    "trackingnet-server": Format(
        "TrackingNet's server: <tracker>.zip of <Seq>.txt", _trackingnet_server, True
    ),
}


@cache
def toolkit_names(format_: str) -> dict[str, str]:
    """Spellings of a toolkit that differ from the benchmark's folder names."""
    return {r["name"]: r["spelling"] for r in table_rows("toolkit_names.csv") if r["toolkit"] == format_}


def layout(format_: str, *results: RunResult, zero_based: bool = False) -> Files:
    """Relative paths and contents of the files that the results on one sequence become.

    Raises:
        UsageError: unknown format, or one that has no place for the protocol.
    """
    if format_ not in FORMATS:
        raise UsageError(f"unknown format {format_!r}; known: {', '.join(FORMATS)}")
    found, first = FORMATS[format_], results[0]
    if first.protocol not in found.protocols:
        raise UsageError(f"{first.label}: {format_} has no place for {first.protocol.upper()}; export ope")
    name = toolkit_names(format_).get(first.sequence, first.sequence)
    return found.files(list(results), name, 0.0 if zero_based else 1.0)


def vot_rows(boxes: Array) -> str:
    """Rows of a VOT trajectory: code 1 for the start, code 0 for "no box", else x, y, w, h, 0-based."""
    rows = format_boxes(boxes, offset=0.0).splitlines()
    missing = np.asarray(np.isnan(boxes).any(axis=1))
    return "".join("1\n" if i == 0 else "0\n" if missing[i] else f"{row}\n" for i, row in enumerate(rows))


def export_results(
    store: Store, suite: str, trackers: tuple[str, ...], format_: str, folder: Path, protocol: str = "ope",
    zero_based: bool = False, only: tuple[str, ...] = (),
) -> Iterator[tuple[str, int]]:  # fmt: skip
    """Write all results of trackers on a suite; yields the name of each folder or archive and its sequences' number.

    Each file is written to a temporary name and renamed. Files of the same names are replaced. These layouts have
    no place for a mark, so the folder of an oracle is named ``<tracker>-oracle``.

    Args:
        zero_based: pixels count from 0 in the annotation of the suite
            (`rolo_bench.datasets.suites.counts_from_zero`).
        only: names of sequences; all where there are none.

    Raises:
        UsageError: unknown format or protocol, or no results.
        DataError: a result is malformed.
    """
    known, labels = store.trackers(suite, protocol), []
    for tracker in [store.find_tracker(suite, protocol, t) for t in trackers] or known:
        known_names = store.sequences(suite, protocol, tracker)
        where = f"among the results of {tracker} on {suite}"
        names = [find_name("sequence", n, known_names, where=where) for n in only] or known_names
        meta = store.meta(suite, protocol, tracker)
        label = f"{tracker}-oracle" if meta.get("oracle") else tracker
        labels.append(label)
        content: Files = {}
        for name in names:
            starts = [replace(r, tracker=label) for r in store.load(suite, protocol, tracker, name, meta)]
            content |= layout(format_, *starts, zero_based=zero_based)
        if FORMATS[format_].archive:
            content = {f"{label}.zip": _zip(content)}
        around = FORMATS[format_].around
        for path, data in (content | (around(labels) if around else {})).items():
            write_atomic(folder / path, data)
        yield next(iter(content)).split("/")[0], len(names)
    if not known and not trackers:
        raise UsageError(f"no results on {suite} ({protocol}) in {store.root}; run or import some first")


def _zip(content: Files) -> bytes:
    """Files as an archive, the same bytes for the same contents."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()
