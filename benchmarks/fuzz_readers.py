"""What the fuzzer reads: for each reader small valid files, the call, and an independent reading to hold it against."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import random
import re
import struct
import tomllib
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import torch
from fuzz_damage import damage_bytes, damage_json, damage_text
from PIL import Image
from scipy.io import loadmat, savemat
from torch import nn

from rolo_bench import project
from rolo_bench.boxes import Array
from rolo_bench.boxfiles import format_boxes, parse_fast, read_boxes, read_scored_boxes
from rolo_bench.datasets import layouts, masks, place, suites, vid, voc, vot
from rolo_bench.detection import Detections
from rolo_bench.errors import DataError, RoloBenchError
from rolo_bench.exchange import mat5, otb_json, otb_mat, text, vot_binary
from rolo_bench.exchange.reading import Meaning, Reading
from rolo_bench.fetch import archives, formats
from rolo_bench.files import check_name
from rolo_bench.nn.detect import cache, darknet_load, yolov1_load, yolox_load
from rolo_bench.nn.detect.yolov1 import Plan, YoloV1
from rolo_bench.nn.rolo import file as rolo_file
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.nn.rolo.network import Rolo
from rolo_bench.protocols import segments
from rolo_bench.run.job import Job
from rolo_bench.run.plugins import locate, parse_options
from rolo_bench.run.runner import Book
from rolo_bench.run.stamp import Facts
from rolo_bench.run.store import Store
from rolo_bench.run.verify import find_faults
from rolo_bench.run.video import parse_box
from rolo_bench.scores import kept
from rolo_bench.scores.provenance import device_words, metas_of, warnings_of
from rolo_bench.scores.score import score
from rolo_bench.scores.summary import view
from rolo_bench.sequence import Sequence, decode

ROWS = np.array([[10.0 + i, 20.5 - i, 30, 40 + i] for i in range(8)])
TRACKED = b"".join(b"%d,1,%d,20,30,40,0.%d,-1,-1,-1\n" % (n, n, n) for n in (1, 2, 3, 5, 6))
WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
Damage = Callable[[bytes, random.Random], bytes]


class Wrong(Exception):
    """A reader took an input for something that it is not."""


@dataclass(frozen=True)
class Reader:
    """A reader as the fuzzer sees it.

    Attributes:
        words: what it reads.
        seeds: makes valid inputs.
        read: reads an input with the help of a folder; raises `Wrong` where what was read is not what it says.
        damage: damages an input by its structure.
        share: of the executions, against the others.
    """

    words: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path, bytes], None]
    damage: Damage = damage_text
    share: float = 1.0


def judge(reader: Reader, folder: Path, data: bytes, counts: Counter[str]) -> str:
    """What is wrong with how a reader takes an input; empty where nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning on the terminal is no answer either
            reader.read(folder, data)
    except RoloBenchError as error:
        counts["refused"] += 1
        line = str(error)
        return (
            "" if line and "\n" not in line and len(line) < 2000 else f"a message of {len(line)} characters"
        )
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return _told(error)
    counts["accepted"] += 1
    return ""


def _told(error: BaseException) -> str:
    """An exception as a kind of finding in the first line, and its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if re.search(r"rolo_bench|datasets", f.filename)]
    at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
    said = str(error).split("\n")[0] if isinstance(error, Wrong) else ""
    return f"{type(error).__name__} {at} {said}\n{''.join(traceback.format_exception(error))}"


def expect(fine: bool, what: str) -> None:
    """Raise `Wrong` with ``what`` unless something holds."""
    if not fine:
        raise Wrong(what)


def same(a: Any, b: Any) -> bool:
    """Whether two arrays are equal to the last bit, NaN where NaN."""
    return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b, equal_nan=True))


# Text, read plainly


def plain_text(data: bytes) -> str:
    """A text in UTF-8 or, where marked, UTF-16; carriage returns alone end its rows where nothing else does."""
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    return text if "\n" in text else "\n".join(text.split("\r"))


def plain_number(cell: str) -> float:
    """A number in ASCII digits; `Wrong` otherwise."""
    word = cell.lower().lstrip("+-")
    if word in WORDS:
        return -WORDS[word] if cell.startswith("-") else WORDS[word]
    expect(bool(cell) and set(cell) <= set("0123456789+-.eE"), f"{cell[:20]!r} was taken for a number")
    return float(cell)


def plain_cells(line: str, separators: str = ",;") -> list[str]:
    """Cells of a row by the first separator that stands in it, else by blanks."""
    found = next((s for s in separators if s in line), None)
    return [c.strip() for c in line.split(found)] if found else line.split()


def plain_rows(data: bytes) -> list[list[float]]:
    """A table of numbers, row by row."""
    lines = plain_text(data).rstrip().split("\n")
    return [[plain_number(c) for c in plain_cells(line)] for line in lines]


def rows_text(rows: Any, separator: str = ",") -> bytes:
    """Rows of numbers as text."""
    return "".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows).encode()


def text_seeds(rows: Any = ROWS) -> list[bytes]:
    """A table with every separator, in whole numbers and with six decimals."""
    tables = [rows_text(rows, s) for s in (",", ";", "\t", " ")]
    return [*tables, "".join(",".join(f"{v:.6f}" for v in row) + "\n" for row in rows).encode()]


def read_box_file(folder: Path, data: bytes) -> None:
    """Annotations and stored boxes, strict and fast."""
    path = folder / "boxes.txt"
    path.write_bytes(data)
    boxes = read_boxes(path)
    plain = plain_rows(data)
    expect(all(len(row) == 4 for row in plain), "a row that has not four numbers")
    expect(same(boxes, np.array(plain) - [1, 1, 0, 0]), "other boxes than the text says")
    expect(not np.isinf(boxes).any(), "an infinite box")
    path.write_text(format_boxes(boxes), encoding="utf-8")
    again, big = read_boxes(path), np.nan_to_num(np.abs(boxes)) >= 2**30
    expect(same(np.isnan(again), np.isnan(boxes)), "other rows without a box once written")
    expect(bool((big | np.isnan(boxes) | (np.abs(again - boxes) <= 1e-6)).all()), "other boxes once written")


def read_scored_file(folder: Path, data: bytes) -> None:
    """Stored boxes with scores, or without."""
    path = folder / "boxes.txt"
    path.write_bytes(data)
    boxes, scores = read_scored_boxes(path)
    plain = np.array(plain_rows(data))
    expect(plain.shape[1] == (4 if scores is None else 5), "another number of columns")
    expect(same(boxes, plain[:, :4] - [1, 1, 0, 0]), "other boxes than the text says")
    expect(scores is None or same(scores, plain[:, 4]), "other scores than the text says")


def read_times(folder: Path, data: bytes) -> None:
    """Times: one number a row."""
    path = folder / "times.txt"
    path.write_bytes(data)
    expect(same(parse_fast(path, 1), np.array(plain_rows(data))), "other times than the text says")


def read_result_text(folder: Path, data: bytes) -> None:
    """Result files of got10k, pysot and pytracking, polygons and rows of MOT."""
    path = folder / "Alpha.txt"
    path.write_bytes(data)
    (found,) = text.read_rectangles(path, "Alpha", "T", Meaning(zero_based=True))
    whole = plain_text(data)
    separator = next((s for s in ",;" if s in whole), None)
    lines = [line for line in re.sub(r"[\r\n\t ]+$", "", whole).split("\n")]
    cells = [[c.strip() for c in line.split(separator)] if separator else line.split() for line in lines]
    rows = np.array([[plain_number(c) for c in row] for row in cells])
    given = None
    if rows.shape[1] in (7, 9, 10):
        boxes = np.full((int(rows[-1, 0] - rows[0, 0]) + 1, 4), np.nan)
        sure = np.full(len(boxes), np.nan)
        for row in rows:
            boxes[int(row[0] - rows[0, 0])] = row[2:6]
            sure[int(row[0] - rows[0, 0])] = row[6]
        given = None if all(row[6] == rows[0, 6] for row in rows) else sure
    elif rows.shape[1] == 8:
        corners = rows.reshape(-1, 4, 2)
        boxes = np.hstack([corners.min(axis=1), corners.max(axis=1) - corners.min(axis=1)])
    else:
        boxes = rows[:, :4].copy()
        given = rows[:, 4].copy() if rows.shape[1] == 5 else None
    same_reading(found, boxes)
    same_scores(found, given)


def same_reading(found: Reading, boxes: Array) -> None:
    """Boxes of a reading against plain ones, of which those without size are none."""
    with np.errstate(invalid="ignore"):
        boxes[~((boxes[:, 2:] > 0).all(axis=1) & np.isfinite(boxes).all(axis=1))] = np.nan
    expect(found.boxes.shape == boxes.shape, f"{len(found.boxes)} boxes of {len(boxes)} rows")
    expect(
        bool(np.allclose(found.boxes, boxes, rtol=0, atol=1e-6, equal_nan=True)),
        "other boxes than the file says",
    )
    silent = not found.notes and found.kind != "MOT"
    expect(not (silent and np.isnan(found.boxes).any()), "no word on a row without a box")


def same_scores(found: Reading, given: Array | None) -> None:
    """Scores of a reading against plain ones, of which those that are not finite are none."""
    if given is not None:
        given[~np.isfinite(given)] = np.nan
        given = None if np.isnan(given).all() else given
    expect((found.scores is None) == (given is None), "scores where the file has none, or none where it has")
    expect(found.scores is None or same(found.scores, given), "other scores than the file says")


def read_confidence(folder: Path, data: bytes) -> None:
    """Files of confidence beside boxes, a number a row; of VOT the first row is empty."""
    path = folder / "Alpha_001.txt"
    path.write_bytes(rows_text(ROWS))
    path.with_name("Alpha_001_confidence.value").write_bytes(data)
    (found,) = text.read_vot(path, "Alpha", "T")
    if any("not used" in note for note in found.notes):
        return
    given = []
    for line in plain_text(data).removesuffix("\n").split("\n"):
        try:
            given.append(plain_number(re.split(r"[,;\s]+", line.strip())[0]))
        except (Wrong, ValueError):
            given.append(math.nan)
    expect(len(ROWS) - len(given) in (0, 1), "scores of another number of rows")
    same_scores(found, np.array([math.nan] * (len(ROWS) - len(given)) + given))


def plain_region(line: str) -> list[float]:
    """A region of VOT as a box: four numbers, a polygon, a mask, or a code."""
    if line[:1] in "mM":
        return plain_mask([int(v) for v in line[1:].split(",")])
    cells = plain_cells(line, ",;") if ";" in line and "," not in line else plain_cells(line, ",")
    values = [plain_number(c) for c in cells]
    if len(values) == 1 or any(math.isnan(v) for v in values):
        expect(
            len(values) != 1 or values[0] in (0, 1, 2) or math.isnan(values[0]), "a lone number became no box"
        )
        return [math.nan] * 4
    if len(values) == 4:
        return values
    x, y = values[::2], values[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def plain_mask(values: list[int]) -> list[float]:
    """The box of a mask, pixel by pixel; nothing for one that is too large to count so."""
    x, y, width, height = values[:4]
    if width * height > 4096:
        return []
    flat = [k % 2 for k, run in enumerate(values[4:]) for _ in range(run)]
    on = [divmod(i, width) for i, v in enumerate(flat) if v]
    if not on:
        return [math.nan] * 4
    rows, columns = [r for r, _ in on], [c for _, c in on]
    return [x + min(columns), y + min(rows), max(columns) - min(columns) + 1.0, max(rows) - min(rows) + 1.0]


MASKS = b"m1,2,4,3,0,12\nm0,0,5,4,6,3,2,3\nm3,4,0,0\nm0,0,3,3,1,1,7\n"


def vot_seeds() -> list[bytes]:
    """Rectangles, polygons, masks and codes."""
    corners = np.hstack(
        [ROWS[:, [0, 1]], ROWS[:, [0, 1]] + [9, 1], ROWS[:, [0, 1]] + [9, 8], ROWS[:, [0, 1]] + [0, 8]]
    )
    return [*text_seeds(), rows_text(corners), MASKS, b"1\n" + rows_text(ROWS[1:4]) + b"0\n"]


def read_vot_truth(folder: Path, data: bytes) -> None:
    """Annotations of VOT: rectangles, polygons, masks."""
    path = folder / "groundtruth.txt"
    path.write_bytes(data)
    boxes = vot.read_regions(path)
    lines = [line.strip() for line in plain_text(data).splitlines() if line.strip()]
    same_regions(boxes, [plain_region(line) for line in lines])


def same_regions(boxes: Array, plain: list[list[float]]) -> None:
    """Boxes against regions read plainly, as far as those were counted."""
    expect(len(boxes) == len(plain), f"{len(boxes)} boxes of {len(plain)} rows")
    for k, (box, region) in enumerate(zip(boxes, plain), 1):
        expect(not region or same(box, np.array(region)), f"another box in row {k if k < 3 else 'n'}")


def read_vot_result(folder: Path, data: bytes) -> None:
    """Trajectories of VOT as text."""
    path = folder / "Alpha_001.txt"
    path.write_bytes(data)
    (found,) = text.read_vot(path, "Alpha", "T")
    whole = plain_text(data)
    separator = next((s for s in ",;" if s in whole), None)
    plain = []
    for line in re.sub(r"[\r\n\t ]+$", "", whole).split("\n"):
        line = line.removesuffix("\r").strip()
        cells = ",".join(c.strip() for c in line.split(separator)) if separator else ",".join(line.split())
        plain.append(plain_region(cells))
    known = [k for k, region in enumerate(plain) if region]
    boxes = np.array([plain[k] for k in known]).reshape(-1, 4)
    expect(len(found.boxes) == len(plain), "another number of rows")
    expect(len(boxes) < len(plain) or not np.isinf(boxes).any(), "an infinite box")
    boxes[~(boxes[:, 2:] > 0).all(axis=1)] = np.nan
    expect(bool(np.allclose(found.boxes[known], boxes, atol=1e-6, rtol=0, equal_nan=True)), "another box")


def binary_seeds() -> list[bytes]:
    """Trajectories in binary form: every kind of region."""
    regions = [np.array([1.0]), *ROWS[:3], np.arange(8.0), np.array([0.0])]
    mask = struct.pack("<hIBhhHHH3H", 1, 1, vot_binary.MASK, 1, 2, 4, 3, 3, 2, 5, 5)
    return [vot_binary.write(regions), mask]


def read_vot_binary(folder: Path, data: bytes) -> None:
    """Trajectories of VOT in binary form; what was read is written again."""
    path = folder / "Alpha_001.bin"
    path.write_bytes(data)
    regions = vot_binary.read(path)
    expect(len(regions) == struct.unpack_from("<I", data, 2)[0], "another number of regions")
    (found,) = text.read_vot(path, "Alpha", "T")
    expect(len(found.boxes) == len(regions), "another number of boxes")
    if vot_binary.MASK not in data[6:]:  # no mask anywhere
        expect(
            vot_binary.write(regions) == data or bool(np.isnan(np.concatenate(regions)).any()),
            "other bytes again",
        )


# Binary and structured result files


def mat_seeds() -> list[bytes]:
    """Result files of the MATLAB toolkits, with and without compression."""
    made = []
    fields = {"type": "rect", "res": ROWS, "len": 8.0, "startFrame": 1.0, "fps": 12.5}
    affine = {"type": "ivtAff", "res": np.full((4, 6), 1.5), "tmplsize": [32.0, 32.0], "len": 4.0}
    stacked = np.empty((1, 2), dtype=object)
    stacked[0, 0], stacked[0, 1] = fields, fields | {"startFrame": 3.0, "len": 6.0, "res": ROWS[2:]}
    for content in ({"results": fields}, {"results": stacked}, {"result": ROWS[:3]}, {"results": affine}):
        for packed in (True, False):
            buffer = io.BytesIO()
            cell = content
            if isinstance(content.get("results"), dict):
                one = np.empty((1, 1), dtype=object)
                one[0, 0] = content["results"]
                cell = {"results": one}
            savemat(buffer, cell, do_compression=packed)
            made.append(buffer.getvalue())
    return made


def damage_mat(data: bytes, rng: random.Random) -> bytes:
    """Damage inside the compressed part, whose checksum is right again."""
    if len(data) > 136 and data[128:132] == b"\x0f\0\0\0":
        try:
            inner = zlib.decompress(data[136:])
        except zlib.error:
            return damage_bytes(data, rng)
        packed = zlib.compress(damage_bytes(inner, rng))
        return data[:132] + struct.pack("<I", len(packed)) + packed
    return damage_bytes(data, rng)


def same_value(ours: Any, theirs: Any) -> bool:
    """A value of our reader against the same of scipy's."""
    if ours is mat5.UNSUPPORTED or ours is None:
        return True
    if isinstance(ours, str):
        first = str(theirs.flat[0]) if theirs.size else ""
        return theirs.dtype.kind in "US" and ours.split("\n")[0].rstrip() == first.rstrip()
    if isinstance(ours, np.ndarray):
        return same(ours, theirs.astype(ours.dtype)) if ours.size else not theirs.size
    flat = theirs.ravel(order="F")
    if len(ours) != len(flat):
        return False
    return all(
        all(same_value(v, b[k]) for k, v in a.items()) if isinstance(a, dict) else same_value(a, b)
        for a, b in zip(ours, flat)
    )


def read_mat(folder: Path, data: bytes) -> None:
    """MATLAB 5 files, against scipy."""
    path = folder / "Alpha_T.mat"
    path.write_bytes(data)
    readings = otb_mat.read(path, "Alpha", "T")
    for found in readings:
        expect(found.boxes.ndim == 2 and found.boxes.shape[1] == 4, "boxes of another shape")
        sizes = found.boxes[~np.isnan(found.boxes).any(axis=1)]
        expect(bool(np.isfinite(sizes).all() and (sizes[:, 2:] > 0).all()), "a box without size")
    ours = mat5.read_variables(data, path, ("results", "result"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = loadmat(io.BytesIO(data), variable_names=["results", "result"])
    except Exception:  # it knows fewer types, and stops at others
        return
    for name in {"results", "result"} & {*ours} & {*theirs}:
        expect(same_value(ours[name], theirs[name]), "another value than scipy's")


def json_seeds() -> list[bytes]:
    """Result files of the Python OTB toolkit."""
    base = {"tracker": "T", "seqName": "Alpha", "startFrame": 1, "endFrame": 8, "evalType": "OPE", "fps": 10.0,
            "shiftType": None, "resType": "rect", "tmplsize": [0.0, 0.0], "res": ROWS.tolist()}  # fmt: skip
    later = base | {"evalType": "TRE", "startFrame": 3, "res": ROWS[2:].tolist()}
    shift = base | {"evalType": "SRE", "shiftType": "left"}
    return [json.dumps(v).encode() for v in ([base], [base | {"evalType": "TRE"}, later], [shift], base)]


def read_json(folder: Path, data: bytes) -> None:
    """Result files of the Python OTB toolkit, against json."""
    path = folder / "Alpha.json"
    path.write_bytes(data)
    readings = otb_json.read(path, "Alpha", "T")
    value = json.loads(data)  # whatever Unicode it is in
    starts = value if isinstance(value, list) else [value]
    expect(len(starts) == len(readings), "another number of starts")
    if readings[0].protocol != "sre":
        for start, found in zip(starts, readings):
            if start["resType"] == "rect":
                rows = np.array([[math.nan if v is None else float(v) for v in row] for row in start["res"]])
                same_reading(found, rows - [1, 1, 0, 0])


# Data sets


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder of files, made once; a file is written again where its contents are others."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or content:
            path.write_bytes(content)
    return folder


def frames(folder: str, count: int = 8) -> dict[str, bytes]:
    """Empty image files: nothing here decodes them."""
    return {f"{folder}/{i:08d}.jpg": b"" for i in range(1, count + 1)}


def parts(data: bytes, *names: str) -> dict[str, bytes]:
    """The files of an input, of which the first byte chooses the one that is damaged."""
    which = data[0] % len(names) if data else 0
    return {names[which]: data[1:]}


def loaded(layout: str, root: Path, part: str = "") -> list[Sequence]:
    """All sequences of a folder in a layout; images need not be there."""
    found = [p.load(False) for p in layouts.LAYOUTS[layout].find(root, part)]
    if not found:
        raise DataError("nothing there")
    return found


FLAGS = ",".join("01010000").encode() + b"\n"
COVER = "\n".join("87654321").encode() + b"\n"


def label_seeds() -> list[bytes]:
    """Annotation, labels and notes of GOT-10k and LaSOT, one of them in each."""
    meta = b"[METAINFO]\nresolution: (64, 48)\n"
    contents = (rows_text(ROWS), COVER, COVER, meta, rows_text(ROWS), FLAGS, FLAGS)
    return [bytes([k]) + content for k, content in enumerate(contents)]


def read_labels(folder: Path, data: bytes) -> None:
    """Folders of GOT-10k and LaSOT: rows, labels and flags."""
    names = ("g/A/groundtruth.txt", "g/A/cover.label", "g/A/absence.label", "g/A/meta_info.ini",
             "l/A/groundtruth.txt", "l/A/full_occlusion.txt", "l/A/out_of_view.txt")  # fmt: skip
    whole = dict(zip(names, (s[1:] for s in label_seeds())))
    given = parts(data, *names)
    laid(folder, whole | given | frames("g/A") | frames("l/A/img"))
    ((name, content),) = given.items()
    (found,) = loaded("LaSOT" if name[0] == "l" else "GOT-10k", folder / name[0])
    if name.endswith((".label", "n.txt", "w.txt")) and content:
        flags = [plain_number(v) for v in re.split(r"[,\s]+", content.decode("utf-8-sig").strip())]
        expect(len(flags) == 8 and all(math.isfinite(v) and v >= 0 for v in flags), "labels that are none")
        if name.endswith("cover.label"):
            expect(
                found.visibility is not None and same(found.visibility, np.array(flags) / 8),
                "another visibility",
            )


NFS = b"".join(
    b'0 %d %d %d %d %d %d 0 0 "ball"\n' % (10 + k, 20, 40 + k, 60, 1 + 8 * k, k == 2) for k in range(4)
)


def read_nfs(folder: Path, data: bytes) -> None:
    """Annotations of NfS."""
    path = folder / "A.txt"
    path.write_bytes(data)
    found = layouts.nfs_truth(path)
    rows = [line.split(None, 9)[1:7] for line in plain_text(data).splitlines()]
    table = np.array([[plain_number(c) for c in row] for row in rows])
    boxes = np.hstack([table[:, :2], table[:, 2:4] - table[:, :2]])
    boxes[table[:, 5] > 0] = np.nan
    expect(same(found.boxes, boxes), "other boxes")
    expect(found.index is not None and same(found.index, table[:, 4] - table[0, 4]), "other frames")


MOT = b"".join(b"%d,%d,%d,20,30,40,1,-1,-1\n" % (f, t, 10 * t + f) for t in (1, 2) for f in range(1, 9))


def read_mot(folder: Path, data: bytes) -> None:
    """Annotations of MOT: a sequence for each target."""
    root = folder / "mot"
    laid(root, {"A/gt/gt.txt": data or b"\n"} | frames("A/img1"))
    found = loaded("MOT", root)
    lines = [line for line in plain_text(data).splitlines() if line.strip()]
    rows = [[plain_number(c.strip()) for c in line.split(",")[:6]] for line in lines]
    full = sum(all(map(math.isfinite, row[2:])) for row in rows)
    expect(sum(int(np.isfinite(s.truth).all(axis=1).sum()) for s in found) == full, "another number of boxes")
    for row in rows:
        name = "A" if len(found) == 1 else f"A-{int(row[1])}"
        one = next((s for s in found if s.name == name), None)
        at = -1 if one is None else int(row[0]) - one.first_frame
        wanted = np.array([row[2] - 1, row[3] - 1, row[4], row[5]])
        expect(one is not None and same(one.truth[at], wanted), "another box")


def pysot_seeds() -> list[bytes]:
    """Truth of all sequences in one JSON."""
    fields = {"video_dir": "A", "init_rect": [1, 2, 3, 4], "img_names": [f"A/{i:08d}.jpg" for i in range(1, 9)],
              "gt_rect": ROWS.tolist(), "absent": [1] * 8}  # fmt: skip
    polygon = fields | {"gt_rect": [[1, 2, 9, 2, 9, 8, 1, 8]] * 4 + [[]] * 4}
    return [
        json.dumps({"A": f}).encode() for f in (fields, polygon, fields | {"gt_rect": [], "absent": None})
    ]


def read_pysot(folder: Path, data: bytes) -> None:
    """Data sets in one JSON, against json."""
    root = folder / "pysot"
    laid(root, {"set.json": data or b" "} | frames("A"))
    found = loaded("pysot", root)
    value = json.loads(plain_text(data))
    expect(len(found) == len(value), "another number of sequences")
    for one, fields in zip(found, value.values()):
        rows = fields.get("gt_rect") or [fields["init_rect"]]
        if all((root / name).is_file() for name in fields["img_names"]):
            expect(len(one) == len(fields["img_names"]), "another number of frames")
        if len(rows) == len(one):
            boxes = np.array([plain_json(row) for row in rows]) - [1, 1, 0, 0]
            truth = np.where(np.isnan(one.truth).any(axis=1, keepdims=True), np.nan, one.truth)
            expect(same(truth, boxes), "another box")


def plain_json(row: list[float] | None) -> list[float]:
    """A row of a JSON list as a box."""
    return [math.nan] * 4 if not row or None in row else plain_region(",".join(map(repr, row)))


TABLE = b"name,first,last,folder,attributes\nA,1,8,,OCC SV\nB,3,5,A,\nC,,,A,\n"


def read_suite_table(folder: Path, data: bytes) -> None:
    """A suite's own table of ranges, and the spans of Temple-Color."""
    root = folder / "own"
    laid(root, {"A/groundtruth_rect.txt": rows_text(ROWS)} | frames("A/img"))
    path = root / "own.csv"
    path.write_bytes(data)
    table = suites.read_table(path)
    lines = plain_text(data).splitlines()
    expect(len(table) <= len(lines), "more rows than lines")
    suite = suites.load_suite(str(path), root, partial=True, images=False, tolerant=True)
    for one in suite.sequences:
        entry = next(e for e in table if e.name == one.name)
        expect(entry.frames in (None, len(one)), "another number of frames")


def read_span(folder: Path, data: bytes) -> None:
    """The range of a sequence of Temple-Color."""
    root = folder / "tc"
    laid(root, {"A/A_gt.txt": rows_text(ROWS), "A/A_frames.txt": data or b" "} | frames("A/img"))
    (one,) = loaded("Temple-Color 128", root)
    first, last = plain_rows(data)[0]
    expect((one.first_frame, one.first_frame + len(one) - 1) == (first, last), "another range")


VID = b"""<annotation><folder>a</folder><filename>000000</filename><size><width>64</width><height>48</height></size>
<object><trackid>0</trackid><name>n02084071</name><bndbox><xmax>40</xmax><xmin>10</xmin><ymax>30</ymax><ymin>5</ymin></bndbox>
</object><object><trackid>1</trackid><name>n</name><bndbox><xmax>9</xmax><xmin>1</xmin><ymax>8</ymax><ymin>2</ymin></bndbox>
</object></annotation>
"""
VOC = re.sub(rb"<trackid>(.)</trackid>", rb"<difficult>\1</difficult><truncated>0</truncated>", VID)
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def damage_xml(data: bytes, rng: random.Random) -> bytes:
    """Elements lost, doubled, renamed; their texts exchanged."""
    tags = list(re.finditer(rb"<(\w+)>([^<>]*)</\1>", data))
    deed = rng.randrange(6)
    if not tags or deed == 0:
        return damage_text(data, rng)
    one = rng.choice(tags)
    if deed == 1:
        return data[: one.start()] + data[one.end() :]
    if deed == 2:
        return data[: one.end()] + one[0] + data[one.end() :]
    if deed == 3:
        coding = rng.choice((b"latin-1", b"utf-16", b"x-none", b"utf-7", b"cp037"))
        return b'<?xml version="1.0" encoding="%s"?>' % coding + data
    words = (
        b"",
        b" ",
        b"nan",
        b"-5",
        b"0",
        b"1e400",
        b"1_0",
        b"3.7",
        b"&lt;",
        b"&x;",
        b"99999999999",
        b"\xff",
        b"\xc3\xa4",
    )
    return data[: one.start(2)] + rng.choice(words) + data[one.end(2) :]


def read_vid(folder: Path, data: bytes) -> None:
    """Annotations of ILSVRC VID."""
    path = folder / "000000.xml"
    path.write_bytes(data)
    found = vid.read_frame(path)
    entries = list(ElementTree.fromstring(data).iter("object"))
    expect(len(found) == len(entries), "another number of objects")
    for entry in entries:
        x0, y0, x1, y1 = (plain_number(entry.findtext(f"bndbox/{k}", "").strip()) for k in CORNERS)
        expect(
            same(found[entry.findtext("trackid", "")], np.array([x0, y0, x1 - x0, y1 - y0])), "another box"
        )


def read_voc(folder: Path, data: bytes) -> None:
    """Annotations of Pascal VOC."""
    path = folder / "000000.xml"
    path.write_bytes(data)
    found = voc.read_annotation(path)
    root = ElementTree.fromstring(data)
    entries = root.findall("object")
    expect(len(found.objects) == len(entries), "another number of objects")
    size = tuple(plain_number(root.findtext(f"size/{k}", "").strip()) for k in ("width", "height"))
    expect(found.size == size, "another size")
    for entry, one in zip(entries, found.objects):
        x0, y0, x1, y1 = (plain_number(entry.findtext(f"bndbox/{k}", "").strip()) for k in CORNERS)
        expect(same(one.box, np.array([x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1])), "another box")


# Images


def image_seeds() -> list[bytes]:
    """A small image in every format, one turned by EXIF, and masks."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    made = [cv2.imencode(e, pixels)[1].tobytes() for e in (".jpg", ".png", ".bmp", ".webp", ".tif")]
    turned, exif, plain = io.BytesIO(), Image.Exif(), Image.fromarray(pixels)
    exif[suites.ORIENTATION] = 6
    plain.save(turned, "JPEG", exif=exif)
    palette = io.BytesIO()
    Image.fromarray((pixels[:, :, 0] > 99).astype(np.uint8)).convert("P").save(palette, "PNG")
    return [*made, turned.getvalue(), palette.getvalue()]


def read_image(folder: Path, data: bytes) -> None:
    """Frames of any format, masks of DAVIS, EXIF, the digest of a video's images."""
    from rolo_bench.run.images import _check

    path = folder / "000001.jpg"
    path.write_bytes(data)
    one = Sequence("A", place.ImageFiles((path,)), ROWS[:1])
    suites._notes((one,))
    fault = None
    for read in (lambda: masks.davis_objects(path), lambda: _check(path, data), lambda: decode(data, "x")):
        try:
            found = read()
        except RoloBenchError as error:
            fault = error
    if fault is not None:
        raise fault
    expect(found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8, "no RGB image")
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        expect(image.size == found.shape[1::-1], f"{image.format}: another size than the header says")


# Weights


class Two(nn.Module):
    """Two convolutions that stand for a network in ONNX form."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(12, 2, 1), nn.Conv2d(2, 3, 1)

    def outputs(self, x: Any) -> Any:
        """Both after each other, on images folded four to one."""
        return self.b(self.a(torch.cat([x] * 4, 1)[:, :12]))


CFG = b"""[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=2
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=18
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=1,1, 2,2, 3,3
classes=1
num=3
"""
FLOATS = 2 * 4 + 2 * 27 + 18 + 36


def cfg_seeds() -> list[bytes]:
    """Two small networks in Darknet's form."""
    old = CFG[: CFG.index(b"[yolo]")] + b"[avgpool]\n[connected]\noutput=12\nactivation=linear\n[softmax]\n"
    routed = CFG.replace(b"[maxpool]", b"[route]\nlayers=-1\n[upsample]\nstride=1\n[maxpool]")
    return [CFG, old.replace(b"batch_normalize=1\n", b""), routed]


def read_cfg(folder: Path, data: bytes) -> None:
    """Darknet's cfg, and weights that fit it or not."""
    cfg, weights = folder / "n.cfg", folder / "n.weights"
    cfg.write_bytes(data)
    if not weights.is_file():
        weights.write_bytes(darknet_seeds()[0])
    if flaw := formats.flaw(cfg, ".cfg"):
        raise DataError(flaw)
    network = darknet_load.build("n", cfg, weights)
    count = sum(p.numel() for p in network.parameters())
    expect(count <= FLOATS, f"{count} weights from {FLOATS} floats")


def darknet_seeds() -> list[bytes]:
    """Darknet weights of the first network of `cfg_seeds`."""
    values = np.abs(np.random.default_rng(1).normal(size=FLOATS)).astype("<f4").tobytes()
    return [struct.pack("<iiiq", 0, 2, 5, 64) + values, struct.pack("<iiii", 0, 1, 0, 64) + values]


def read_weights(folder: Path, data: bytes) -> None:
    """Darknet weights."""
    cfg, weights = folder / "n.cfg", folder / "n.weights"
    cfg.write_bytes(CFG)
    weights.write_bytes(data)
    formats.flaw(weights, ".weights")
    network = darknet_load.build("n", cfg, weights)
    raw = np.frombuffer(data[len(data) - 4 * FLOATS :], "<f4")
    last = [p for p in network.parameters() if p.numel() == 36][-1]
    expect(same(last.detach().numpy().ravel(), raw[-36:]), "other weights than the file says")


def tensor_seeds() -> list[bytes]:
    """Weight files of this project: ROLO and a detector, both as small as can be."""
    torch.manual_seed(0)
    folder = Path("/tmp") if Path("/tmp").is_dir() else Path()
    path = folder / f"fuzz-{random.random()}.safetensors"
    rolo_file.save_rolo(Rolo(RoloConfig(hidden=2, projection=2, feature_size=4)), path)
    data = path.read_bytes()
    path.unlink()
    plan = Plan(layers="c2-3 m", size=16, cells=8, boxes=1, classes=2, last="cell")
    return [data, yolov1_load.save_network(YoloV1(plan), ("a", "b"), {})]


def damage_tensors(data: bytes, rng: random.Random) -> bytes:
    """The header of a safetensors file damaged as JSON, its length right again; or a value of its tensors."""
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= len(data) - 8 or rng.random() < 0.3:
        return damage_bytes(data, rng)
    header = damage_json(data[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def read_tensors(folder: Path, data: bytes) -> None:
    """Weight files of this project, against safetensors."""
    from safetensors.torch import load

    path = folder / "w.safetensors"
    path.write_bytes(data)
    fault: RoloBenchError | None = None
    for read in (lambda: rolo_file.load_rolo(path)[0], lambda: yolov1_load.read_network(path)[0]):
        try:
            network: nn.Module = read()
        except RoloBenchError as error:
            fault = error
            continue
        plain = load(data)
        state = network.state_dict()
        expect(
            all(torch.equal(state[k], v.float()) for k, v in plain.items()),
            "other weights than the file says",
        )
        expect(all(bool(torch.isfinite(v).all()) for v in state.values()), "weights that are not finite")
        return
    assert fault is not None
    raise fault


def checkpoint_seeds() -> list[bytes]:
    """A checkpoint of YOLOX's form with one block."""
    state = {f"a.bn.{p}": torch.ones(2) for p in ("weight", "bias", "running_mean", "running_var")}
    state |= {"a.conv.weight": torch.ones(2, 3, 1, 1), "b.weight": torch.zeros(3)}
    made = []
    for value in ({"model": state}, state):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        made.append(buffer.getvalue())
    return made


def read_checkpoint(folder: Path, data: bytes) -> None:
    """Checkpoints of YOLOX."""
    path = folder / "w.pth"
    path.write_bytes(data)
    formats.flaw(path, ".pth")
    state = yolox_load.read_checkpoint(path)
    expect(all(isinstance(v, torch.Tensor) for v in state.values()), "something else than tensors")


def onnx_seeds() -> list[bytes]:
    """Two convolutions in ONNX form."""
    from onnx import TensorProto, helper

    tensors, nodes = [], []
    for name, shape in (("a", (2, 12, 1, 1)), ("b", (3, 2, 1, 1))):
        tensors.append(
            helper.make_tensor(f"{name}w", TensorProto.FLOAT, shape, np.ones(shape).ravel().tolist())
        )
        tensors.append(helper.make_tensor(f"{name}b", TensorProto.FLOAT, shape[:1], [0.5] * shape[0]))
        nodes.append(helper.make_node("Conv", ["x", f"{name}w", f"{name}b"], ["x"]))
    return [helper.make_model(helper.make_graph(nodes, "g", [], [], tensors)).SerializeToString()]


def read_onnx(folder: Path, data: bytes) -> None:
    """YOLOX in ONNX form."""
    path = folder / "w.onnx"
    path.write_bytes(data)
    formats.flaw(path, ".onnx")
    network = Two()
    state = yolox_load.read_onnx(path, network)  # type: ignore[arg-type]
    yolox_load.check_state(state, network, str(path))


# What a run leaves, archives, the command line


def record_seeds() -> list[bytes]:
    """Records of a run as they are written."""
    files = {"boxes": hashlib.sha256(format_boxes(ROWS).encode()).hexdigest()}
    entry = {"status": "complete", "frames": 8, "files": files, "making": "k", "run": "1", "start": 0, "oracle": False,
             "speed": {"mean": 9.5}, "truth": SUITE.sequences[0].truth_digest()}  # fmt: skip
    made = {"code": "0", "options": {"bins": 16, "cache": "x.py"}, "seed": 0, "weights": {}, "threads": 1,
            "versions": {"numpy": "1"}, "loop": 1}  # fmt: skip
    run = {"made": "2026-01-01", "jobs": 1, "cached": False, "versions": {}, "git": None,
           "machine": {"processor": "p", "cores": 2, "device": "cpu", "load_at_start": 0.1}}  # fmt: skip
    meta = {"tracker": "T", "plugin": "static", "origin": "built in", "protocol": "ope", "suite": "mini",
            "expected": ["A"], "options": {}, "seed": 0, "fingerprint": {"source": "0"}, "oracle": False,
            "trained_on": ["A"], "sequences": {"A": entry}, "makings": {"k": made}, "runs": {"1": run}}  # fmt: skip
    meta |= run
    taken = {"tracker": "T", "suite": "mini", "imported": {"format": "vot", "made": "x"}, "machine": {"device": "x"},
             "sequences": {"A": {"status": "complete", "files": files, "sha256": "0", "notes": []}}}  # fmt: skip
    failed = meta | {"sequences": {"A": {"status": "failed", "error": "x", "making": "k", "run": "1"}}}
    return [json.dumps(m).encode() for m in (meta, taken, failed, meta | {"runs": {}, "makings": {}})]


SUITE = suites.Suite("mini", (Sequence("A", place.NoFrames(8), ROWS),), ("A",))


def _stored(folder: Path, data: bytes) -> Store:
    store = Store(folder / "results")
    laid(store.folder("mini", "ope", "T"), {"A.txt": format_boxes(ROWS).encode(), "run.json": data or b" "})
    return store


def read_record(folder: Path, data: bytes) -> None:
    """Records of a run: what is stored, what is wrong with it, what a new run would make of it."""
    store, where = _stored(folder, data), ("mini", "ope", "T")
    list(find_faults(store, {"mini": SUITE}))
    meta = store.meta(*where)
    expect(meta == json.loads(data) or data != data.strip() or "nan" in str(meta), "another record")
    (found,) = store.load(*where, "A")
    expect(bool(np.allclose(found.boxes, ROWS, atol=1e-6)), "other boxes")
    segment = segments("ope", ROWS)[0]
    made = {"code": "1", "options": {}, "seed": 0, "weights": {}, "threads": 1, "versions": {}, "loop": 1}
    book = Book(store, SUITE, "ope", "T", locate("static"), made, Facts())
    book.read()
    book.others()
    book.current(Job(SUITE.sequences[0], segment, {"truth": "x"}))


def read_scored(folder: Path, data: bytes) -> None:
    """Records of a run as they are scored and told of."""
    store = _stored(folder, data)
    scores = score(store, SUITE, require="any")
    metas = metas_of(scores, store)
    warnings_of(scores, metas)
    device_words(metas)
    view(scores, "summary")
    expect(float(scores["auc"].iloc[0]) == 1.0, "another score")


def detection_seeds() -> list[bytes]:
    """Stored detections of the images of `NoDetector`."""
    return [
        b"".join(cache.encode(cache.image_digest(image), NoDetector.found) for image in NoDetector.images)
    ]


class NoDetector:
    """A detector that finds the same in every image."""

    name, classes, identity, feature_size, size = "none", ("a", "b"), "none", 2, 8
    images = [np.full((4, 4, 3), k, np.uint8) for k in range(3)]
    found = Detections(ROWS[:3], np.array([0.9, 0.5, 0.2], np.float32), np.array([0, 1, 0]), ("a", "b"),
                       np.zeros(2, np.float32), appearance=np.ones((3, 4), np.float16))  # fmt: skip

    def __call__(self, images: Any) -> list[Detections]:
        """The one answer."""
        return [self.found for _ in images]


def read_detections(folder: Path, data: bytes) -> None:
    """Stored detections: what is damaged is made again."""
    store = cache.Cached(NoDetector(), folder / "cache")  # type: ignore[arg-type]
    for old in store.folder.glob("*.segment"):
        old.unlink()
    (store.folder / "a.segment").write_bytes(data)
    written = detection_seeds()[0]
    sums = {written[k + 24 : k + 40] for k in range(0, len(written), len(written) // 3)}
    for image, got in zip(NoDetector.images, store(NoDetector.images)):
        segment, at = store._index.get(cache.image_digest(image), (None, 0))
        if segment and segment.path.name == "a.segment" and data[at + 24 : at + 40] not in sums:
            continue  # led by comparisons, the search has found the checksum of what it damaged
        expect(same(got.boxes, ROWS[:3]) and same(got.scores, NoDetector.found.scores), "other detections")
        expect(same(got.classes, NoDetector.found.classes), "other classes")
        expect(same(got.appearance, np.ones((3, 4))), "another appearance")
    store.close()


def archive_seeds() -> list[bytes]:
    """Archives of a video, stored and packed."""
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("A/groundtruth_rect.txt", rows_text(ROWS))
            archive.writestr("A/img/0001.jpg", b"x" * 40)
            archive.writestr("A/img/", b"")
        made.append(buffer.getvalue())
    return made


def damage_archive(data: bytes, rng: random.Random) -> bytes:
    """An archive with odd names and sizes, or damaged by bytes."""
    if rng.random() < 0.6:
        return damage_bytes(data, rng)
    names = ("../x", "/x", "a/../../x", "C:\\x", "a\\b", "x" * 300, "a", "a/b", "A", "a/", ".", "", "nul\x00", "\u202e",
             "a/./b", "~", "CON", ".DS_Store")  # fmt: skip
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(buffer, "w", rng.choice((0, 8))) as archive:
            for _ in range(rng.randrange(4)):
                info = zipfile.ZipInfo(rng.choice(names))
                info.external_attr = rng.choice((0, 0o120777 << 16, 0o644 << 16, 0o10644 << 16))
                archive.writestr(info, bytes(rng.randrange(64)))
    return buffer.getvalue()


def read_archive(folder: Path, data: bytes) -> None:
    """Archives: unpacked inside their folder or not at all, against zipfile."""
    path = folder / "a.zip"
    path.write_bytes(data)
    members = archives.plan(path)
    with archives.unpacked(path, folder / "out", members) as place_:
        found = {p.relative_to(place_).as_posix(): p.read_bytes() for p in place_.rglob("*") if p.is_file()}
        expect(not any(p.is_symlink() for p in place_.rglob("*")), "a link")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        plain = {m.path.as_posix(): archive.read(m.info) for m in members}
    expect(found == plain, "other files than zipfile reads")
    expect(sorted(p.name for p in folder.iterdir()) == ["a.zip", "out"], "something outside of the folder")


def word_seeds() -> list[bytes]:
    """One of each kind, with its number in front."""
    words = (b"120,80,40,60", b"1,5,3-6", b"bins=16", b"4GB", b"Alpha-1")
    return [bytes([k]) + word for k, word in enumerate(words)]


def read_word(folder: Path, data: bytes) -> None:
    """Values of the command line: a box, frames, an option, a size, a name; the first byte says which."""
    from rolo_bench.cli.run import _bytes
    from rolo_bench.plots.frames import parse_frames

    kind, word = (data[0] if data else 0) % 5, data[1:].decode("utf-8", "surrogateescape")
    if kind == 0:
        numbers = (
            [plain_number(c.strip()) for c in word.split(",")] if same(parse_box(word).shape, (4,)) else []
        )
        expect(same(parse_box(word), np.array(numbers)), "another box")
    elif kind == 1:
        found = parse_frames(word, Sequence("A", place.NoFrames(8), ROWS))
        expect(
            bool(re.fullmatch(r"[-0-9,\s]+", word)) and all(0 <= i < 8 for i in found), "frames that are none"
        )
    elif kind == 2:
        (value,) = parse_options((word,)).values()
        expect(isinstance(value, str | bool) or repr(value) != word, "an option")
    elif kind == 3:
        size = _bytes(word)
        expect(size is not None and bool(re.match(r"\s*[0-9.]+\s*[kmgtKMGT]?[bB]?\s*$", word)), "a size")
    else:
        expect("/" not in check_name("sequence", word) and word not in (".", ".."), "a name")


def project_seeds() -> list[bytes]:
    """Project files, of their own and as a table in another."""
    full = project.project_text(project.EXAMPLE).encode()
    return [full, b'suite = "demo"\npartial = true\n[colours]\nrolo = "#d62728"\n']


def read_project(folder: Path, data: bytes) -> None:
    """Project files, against tomllib."""
    (folder / project.FILE).write_bytes(data)
    found = project.read_project(folder)
    table = tomllib.loads(data.decode().replace("\r\n", "\n").replace("\r", "\n"))
    known = {"suite", "convention", "partial", "labels"} & {*table}
    expect(all(getattr(found, k) == table[k] for k in known), "another value")
    expect({*table} <= {*project.KEYS}, "a key that is none")


def kept_seeds() -> list[bytes]:
    """Kept scores of two results."""
    numbers = dict.fromkeys(kept.NUMBERS, 0.5) | {name: np.zeros(n) for name, n in kept.LENGTHS.items()}
    return [kept._packed({"a": (numbers, ""), "b": (numbers, "x")})]


def damage_kept(data: bytes, rng: random.Random) -> bytes:
    """Kept scores damaged, with a checksum that is right again half of the time."""
    rest = damage_bytes(data[kept.HEAD.size :], rng)
    if rng.random() < 0.5:
        return damage_bytes(data, rng)
    length = kept.HEAD.unpack_from(data)[2] if len(data) >= kept.HEAD.size else 0
    return kept.HEAD.pack(kept.MAGIC, hashlib.sha256(rest).digest(), length) + rest


def read_kept(folder: Path, data: bytes) -> None:
    """Kept scores: what is damaged is made again."""
    os.environ["ROLO_BENCH_CACHE"] = str(folder)
    one = kept.Kept(["x"])
    one.path.parent.mkdir(parents=True, exist_ok=True)
    one.path.write_bytes(data)
    expect({*kept.Kept(["x"]).rows} <= {"a", "b"} or data != kept_seeds()[0], "scores of another key")


READERS = {
    "boxes": Reader("annotations and stored boxes", text_seeds, read_box_file, share=12),
    "scored-boxes": Reader(
        "stored boxes with scores",
        lambda: [*text_seeds(np.hstack([ROWS, ROWS[:, :1] / 20])), *text_seeds()],
        read_scored_file,
        share=4,
    ),
    "times": Reader("times", lambda: text_seeds(ROWS[:, :1]), read_times, share=4),
    "results": Reader(
        "result files of got10k, pysot, pytracking and MOT",
        lambda: [
            *vot_seeds()[:6],
            MOT[: MOT.index(b"1,2,")],
            rows_text(np.hstack([ROWS, ROWS[:, :1]])),
            TRACKED,
        ],
        read_result_text,
        share=10,
    ),
    "vot": Reader("annotations of VOT: rectangles, polygons, masks", vot_seeds, read_vot_truth, share=8),
    "vot-results": Reader("trajectories of VOT as text", vot_seeds, read_vot_result, share=8),
    "confidence": Reader(
        "confidence beside boxes",
        lambda: [rows_text(ROWS[:, :1]), rows_text(ROWS[1:, :1]), b"\n" + rows_text(ROWS[1:, :1])],
        read_confidence,
        share=3,
    ),
    "vot-binary": Reader(
        "trajectories of VOT in binary form", binary_seeds, read_vot_binary, damage_bytes, 8
    ),
    "mat": Reader("MATLAB files of OTB", mat_seeds, read_mat, damage_mat, 6),
    "json": Reader("JSON files of OTB", json_seeds, read_json, damage_json, 8),
    "labels": Reader("folders of GOT-10k and LaSOT", label_seeds, read_labels, share=3),
    "nfs": Reader("annotations of NfS", lambda: [NFS], read_nfs, share=6),
    "mot": Reader("annotations of MOT", lambda: [MOT], read_mot, share=3),
    "pysot": Reader("data sets of pysot", pysot_seeds, read_pysot, damage_json, 3),
    "table": Reader("tables of ranges", lambda: [TABLE], read_suite_table, share=3),
    "span": Reader("ranges of Temple-Color", lambda: [b"1,8\n", b"2 6\n"], read_span, share=2),
    "vid": Reader("annotations of VID", lambda: [VID], read_vid, damage_xml, 5),
    "voc": Reader("annotations of VOC", lambda: [VOC], read_voc, damage_xml, 5),
    "images": Reader("images, EXIF and masks of DAVIS", image_seeds, read_image, damage_bytes, 6),
    "cfg": Reader("Darknet cfg", cfg_seeds, read_cfg, share=1.5),
    "weights": Reader("Darknet weights", darknet_seeds, read_weights, damage_bytes, 1),
    "tensors": Reader("weight files of this project", tensor_seeds, read_tensors, damage_tensors, 1.5),
    "checkpoint": Reader("checkpoints of YOLOX", checkpoint_seeds, read_checkpoint, damage_bytes, 2),
    "onnx": Reader("YOLOX in ONNX form", onnx_seeds, read_onnx, damage_bytes, 2),
    "detections": Reader("stored detections", detection_seeds, read_detections, damage_bytes, 5),
    "records": Reader("records of runs", record_seeds, read_record, damage_json, 4),
    "scored": Reader("records of runs, as they are scored", record_seeds, read_scored, damage_json, 0.5),
    "kept": Reader("kept scores", kept_seeds, read_kept, damage_kept, 1),
    "project": Reader("project files", project_seeds, read_project, share=2),
    "archives": Reader("archives", archive_seeds, read_archive, damage_archive, 2),
    "words": Reader("values of the command line", word_seeds, read_word, share=6),
}
