"""Folders of data sets: what each layout looks like, and where its sequences lie in it.

One row of `LAYOUTS` a layout, one of `NAMED` a data set that is known by name. What rows, ranges and images have to do
with each other is settled by `rolo_bench.datasets.place`; a finder here only says where things are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import parse_table, read_boxes, read_text, row_numbers
from rolo_bench.datasets import otb, vot
from rolo_bench.datasets.masks import VOID, davis_objects, davis_truth
from rolo_bench.datasets.place import (
    Place,
    Truth,
    frame_numbers,
    frame_paths,
    missing,
    number_frames,
    read_flags,
)
from rolo_bench.datasets.table import table_rows
from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import is_path


@dataclass(frozen=True)
class Layout:
    """A layout of folders.

    Attributes:
        words: what lies where.
        find: the sequences of a folder, none where it is of another layout; the second argument chooses a part of a
            data set that holds several.
        family: which data set it is the layout of, by which it is scored; empty for layouts that anybody uses.
        zero_based: whether its pixels count from 0, as those of results on it do.
    """

    words: str
    find: Callable[[Path, str], list[Place]]
    family: str = ""
    zero_based: bool = False


def _found(root: Path, pattern: str) -> list[Path]:
    """Paths under a folder by a pattern, in order, without hidden ones."""
    paths = sorted(root.glob(pattern)) if root.is_dir() else []
    return [p for p in paths if not any(part.startswith(".") for part in p.relative_to(root).parts)]


def _damaged(name: str, error: DataError) -> Place:
    """A sequence of which it shows before it is loaded what is wrong, so that the others can be."""

    def truth() -> Truth:
        raise error

    return Place(name, truth, dict)


def _and_bare(places: list[Place], images: Iterable[tuple[str, Path]], known: Iterable[str]) -> list[Place]:
    """Sequences, and as damaged ones names and folders of images, unless ``known``: these have no annotation.

    None where there are no others, since the folder is of another layout then.
    """
    names = set(known)
    bare = [(n, f) for n, f in images if n not in names and f.is_dir()] if places else []
    words = "holds images without an annotation; fetch the sequence again, or take its folder away"
    return places + [_damaged(n, DataError(f"{f}: {words}")) for n, f in bare]


def _boxes(path: Path, offset: float = 1.0, absent: Callable[[int], Array | None] | None = None) -> Truth:
    boxes = read_boxes(path, offset)
    flags = absent(len(boxes)) if absent else None
    return Truth(boxes, path, absent=None if flags is None else flags > 0)


def _simple(
    name: str,
    truth: Path,
    images: Path,
    offset: float = 1.0,
    first: int | None = None,
    last: int | None = None,
) -> Place:
    return Place(name, partial(_boxes, truth, offset), partial(frame_paths, images), first, last)


def _otb(root: Path, part: str) -> list[Place]:
    def truth(name: str) -> Truth:
        source = otb.find_truth(root, name)[1]
        return Truth(read_boxes(source), source)

    def images(name: str) -> dict[int, Path]:
        return frame_paths(otb.image_folder(otb.find_truth(root, name)[0]))

    places = [Place(n, partial(truth, n), partial(images, n)) for n in otb.sequence_names(root)]
    known = (f.parent.name for f in _found(root, "*/groundtruth_rect*.txt"))
    return _and_bare(places, ((f.parent.name, f) for f in _found(root, "*/img")), known)


def _vot(root: Path, part: str) -> list[Place]:
    files = vot.sequence_files(root)
    places = [Place(n, partial(vot.read_truth, f), partial(vot.images, f.parent)) for n, f in files]
    if vot.listed(root):
        return places
    images = ((f.parent.name, f) for n in ("color", "img") for f in _found(root, f"*/{n}"))
    return _and_bare(places, images, (f.parent.name for _, f in files))


def _lasot(root: Path, part: str) -> list[Place]:
    """Class folders or sequences side by side; ``test`` keeps the test set of the paper."""
    files = _found(root, "*/*/groundtruth.txt") + _found(root, "*/groundtruth.txt")
    parts = {f: [f.with_name("full_occlusion.txt").is_file(), (f.parent / "img").is_dir()] for f in files}
    files = [f for f in files if any(parts[f])] if any(map(all, parts.values())) else []

    def absent(folder: Path, count: int) -> Array | None:
        hidden, gone = (read_flags(folder / f"{n}.txt", count) for n in ("full_occlusion", "out_of_view"))
        if hidden is None:
            raise DataError(f"{folder}: has no full_occlusion.txt; fetch the sequence again")
        return hidden if gone is None else np.maximum(hidden, gone)

    places = [
        Place(
            f.parent.name,
            partial(_boxes, f, 1.0, partial(absent, f.parent)),
            partial(frame_paths, f.parent / "img"),
        )
        for f in files
    ]
    images = (f for p in ("*/*/img", "*/img") for f in _found(root, p))
    places = _and_bare(places, ((f.parent.name, f) for f in images), [p.name for p in places])
    if part != "test" or not places:
        return places
    by_name = {p.name: p for p in places}
    return [
        by_name.get(n) or _damaged(n, missing(root / n))
        for row in table_rows("lasot.csv")
        for n in (f"{row['class']}-{k}" for k in row["test"].split())
    ]


def _got10k(root: Path, part: str) -> list[Place]:
    """Sequences with their images beside ``groundtruth.txt``, named in ``list.txt``."""
    files = _found(root, "*/groundtruth.txt")
    marked = any(
        f.parent.name.startswith("GOT-10k") or f.with_name("cover.label").is_file() for f in files[:3]
    )
    listed = vot.listed(root)
    names = listed or [f.parent.name for f in files]

    def truth(folder: Path) -> Truth:
        boxes = read_boxes(folder / "groundtruth.txt")
        cover, flag = (read_flags(folder / f"{n}.label", len(boxes)) for n in ("cover", "absence"))
        hidden = cover == 0 if cover is not None else flag
        text = read_text(folder / "meta_info.ini") if (folder / "meta_info.ini").is_file() else ""
        size = re.search(r"^resolution:\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", text, re.MULTILINE)
        return Truth(
            boxes, folder / "groundtruth.txt", absent=None if hidden is None else np.asarray(hidden > 0),
            visibility=None if cover is None else cover / 8, extent=(int(size[1]), int(size[2])) if size else None,
        )  # fmt: skip

    places = [Place(n, partial(truth, root / n), partial(frame_paths, root / n)) for n in names]
    labels = [] if listed else _found(root, "*/cover.label")
    return _and_bare(places, ((f.parent.name, f.parent) for f in labels), names) if marked else []


def _uav123(root: Path, part: str) -> list[Place]:
    """One video in several ranges: ``anno/UAV123/bird1_1.txt`` over ``data_seq/UAV123/bird1``."""
    versions = [p.name for p in _found(root, "anno/*") if p.is_dir() and _found(p, "*.txt")]
    if not versions or not (root / "data_seq").is_dir():
        return []
    part = part or (versions[0] if len(versions) == 1 else "")
    if part not in versions:
        raise UsageError(
            f"{root}: holds {' and '.join(versions)}; choose one by name, such as --suite uav123 --data {root}"
        )
    listed = "UAV20L" if part == "UAV20L" else "UAV123"
    ranges = {r["name"]: r for r in table_rows("uav123.csv") if r["suite"] == listed}
    videos = root / "data_seq" / ("UAV123" if part == "UAV20L" else part)
    places, used = [], set()
    for file in _found(root / "anno" / part, "*.txt"):
        row = ranges.get(file.stem)
        used.add(row["video"] if row else file.stem)
        if row is None:
            places.append(_simple(file.stem, file, videos / file.stem))
            continue
        first, last = int(row["first"]), int(row["last"])
        if part == "UAV123_10fps":  # every third frame of the 30
            first, last = -(-(first + 2) // 3), (last + 2) // 3
        places.append(_simple(file.stem, file, videos / row["video"], first=first, last=last))
    others = [] if part == "UAV20L" else _found(videos, "*")  # its videos lie among those of UAV123
    return _and_bare(places, ((f.name, f) for f in others), used)


def _nfs(root: Path, part: str) -> list[Place]:
    """``<Seq>/30/<Seq>.txt`` and ``<Seq>/30/<Seq>/00001.jpg``; the same with 240."""
    rates = [r for r in ("30", "240") if _found(root, f"*/{r}/*.txt")]
    if not rates:
        return []
    part = part or (rates[0] if len(rates) == 1 else "")
    if part not in rates:
        raise UsageError(
            f"{root}: holds NfS at {' and '.join(rates)} frames a second; choose one by name: --suite nfs30 or "
            f"--suite nfs240 with --data {root}"
        )
    files = _found(root, f"*/{part}/*.txt")
    places = [
        Place(f.stem, partial(_nfs_matched, f, part), partial(frame_paths, f.with_suffix(""))) for f in files
    ]
    return _and_bare(places, ((f.name, f) for f in _found(root, f"*/{part}/*")), (f.stem for f in files))


def _nfs_matched(path: Path, rate: str) -> Truth:
    """`nfs_truth` on the images that are there: at 30 frames a second the authors give the annotation of 240.

    Each eighth row is then of an image, and a last row beyond the images is left out, as in the GOT-10k toolkit.

    Raises:
        DataError: as `nfs_truth`, or the images are not numbered from 1 without a gap.
    """
    truth, images = nfs_truth(path), path.with_suffix("")
    assert truth.index is not None and truth.absent is not None
    if not images.is_dir():
        return truth
    numbers, index = list(frame_paths(images)), truth.index
    count = len(numbers)
    if numbers != list(range(1, count + 1)):  # rows are told to images by counting
        gap = next(n for n in range(1, count + 2) if n not in numbers)
        raise DataError(
            f"{images}: holds images up to {numbers[-1]}, but not {gap}; fetch the sequence again"
        )
    kept = np.ones(len(index), dtype=bool)
    if rate == "30" and abs((index[-1] + 1) / count - 8) < 1:
        kept, index = index % 8 == 0, index // 8
    if index[-1] == count:
        kept &= index < count
    return replace(truth, boxes=truth.boxes[kept], index=index[kept], absent=truth.absent[kept])


def nfs_truth(path: Path) -> Truth:
    """Rows ``id x1 y1 x2 y2 frame lost occluded generated "label"``, corners from 0.

    A frame without a row is not annotated; a lost target has no box.

    Raises:
        DataError: not such a table, with its row.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells, where = line.split(None, 9)[1:7], f"{path}, row {number}"
        if len(cells) != 6:
            raise DataError(f"{where}: expected id x1 y1 x2 y2 frame lost …: {line[:60]!r}")
        rows.append(row_numbers(cells, where))
    if not rows:
        raise DataError(f"{path}: holds no rows")
    table = np.array(rows)
    if np.isinf(table).any():
        raise DataError(f"{path}: infinite value")
    boxes = np.hstack([table[:, :2], table[:, 2:4] - table[:, :2]])
    boxes[table[:, 5] > 0] = np.nan
    frames = frame_numbers(table[:, 4], str(path))
    index = frames - frames[0]
    if (np.diff(index) <= 0).any():
        raise DataError(f"{path}: its frames are not in order")
    return Truth(boxes, path, index, absent=table[:, 5] > 0)


def _trackingnet(root: Path, part: str) -> list[Place]:
    """``anno/<Seq>.txt`` over ``frames/<Seq>/0.jpg``, in a folder or in ``TEST`` and ``TRAIN_0`` …."""
    folders = [f for f in [root, *_found(root, part or "*")] if (f / "frames").is_dir()]
    files = [(f, f.parent.parent / "frames") for folder in folders for f in _found(folder / "anno", "*.txt")]
    places = [_simple(f.stem, f, frames / f.stem, 0.0) for f, frames in files]
    images = ((f.name, f) for folder in folders for f in _found(folder / "frames", "*"))
    return _and_bare(places, images, (p.name for p in places))


def _tc128(root: Path, part: str) -> list[Place]:
    """``<Seq>/<Seq>_gt.txt``, its range in ``<Seq>_frames.txt``, and ``img``."""

    def place(file: Path) -> Place:
        folder, name = file.parent, file.parent.name
        source = folder / f"{name}_frames.txt"
        try:
            first, last = frame_numbers(parse_table(source, 2)[0], str(source)).tolist()
        except DataError as error:
            return _damaged(name, DataError(f"{error}; fetch the sequence again"))
        if first > last:
            return _damaged(name, DataError(f"{source}: the range begins at {first} and ends at {last}"))
        return _simple(name, file, folder / "img", first=first, last=last)

    places = [place(f) for f in _found(root, "*/*_gt.txt") if f.stem == f"{f.parent.name}_gt"]
    return _and_bare(places, ((f.parent.name, f) for f in _found(root, "*/img")), [p.name for p in places])


def _visdrone(root: Path, part: str) -> list[Place]:
    """``annotations/<Seq>.txt`` over ``sequences/<Seq>/img0000001.jpg``."""
    if not (root / "sequences").is_dir():
        return []
    places = [_simple(f.stem, f, root / "sequences" / f.stem) for f in _found(root, "annotations/*.txt")]
    return _and_bare(places, ((f.name, f) for f in _found(root, "sequences/*")), [p.name for p in places])


def _mot(root: Path, part: str) -> list[Place]:
    """``<Seq>/gt/gt.txt`` over ``<Seq>/img1``; several targets give a sequence each."""
    places, files = [], {f.parent.parent.name: f for f in _found(root, "*/gt/gt.txt")}
    for name, file in files.items():
        try:
            places += list(_mot_places(name, file))
        except DataError as error:
            places.append(_damaged(name, error))
    return _and_bare(places, ((f.parent.name, f) for f in _found(root, "*/img1")), files)


def _mot_places(name: str, file: Path) -> Iterator[Place]:
    rows = _mot_rows(file)
    ids = np.unique(rows[:, 1]).astype(int)
    for target in ids:
        mine = rows[rows[:, 1] == target]
        frames = mine[:, 0].astype(int)
        first, last = int(frames.min()), int(frames.max())
        if len(np.unique(frames)) != len(frames):
            raise DataError(f"{file}: two rows of target {target} in one frame")
        boxes = np.full((last - first + 1, 4), np.nan)
        boxes[frames - first] = mine[:, 2:6] - [1, 1, 0, 0]
        own = name if len(ids) == 1 else f"{name}-{target}"
        images = partial(frame_paths, file.parent.parent / "img1")
        yield Place(own, partial(Truth, boxes, file), images, first, last)


def _mot_rows(path: Path) -> Array:
    """Rows ``frame, id, x, y, w, h, …`` of MOT, the first six numbers."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        cells, where = [c.strip() for c in line.split(",")[:6]], f"{path}, row {number}"
        if len(cells) != 6:
            raise DataError(f"{where}: expected frame, id, x, y, w, h, …: {line[:60]!r}")
        rows.append(row_numbers(cells, where))
    table = np.array(rows).reshape(-1, 6)
    if not len(table) or np.isinf(table).any():
        raise DataError(f"{path}: {'infinite value' if len(table) else 'holds no rows'}")
    frame_numbers(table[:, 0], str(path))
    if (table[:, 1] != np.floor(table[:, 1])).any() or (np.abs(table[:, 1]) > 1e9).any():
        raise DataError(f"{path}: a target's number that is not whole")
    return table


def _davis(root: Path, part: str) -> list[Place]:
    """``Annotations/480p/<Seq>/00000.png``: masks, a colour a target; over ``JPEGImages/480p/<Seq>``."""
    sizes = [p for p in _found(root, "Annotations/*") if (root / "JPEGImages" / p.name).is_dir()]
    if not sizes:
        return []
    places = []
    folders = _found(sizes[0], "*")
    for folder in folders:
        try:
            masks = frame_paths(folder)
            targets = davis_objects(next(iter(masks.values())))
        except DataError as error:
            places.append(_damaged(folder.name, error))
            continue
        images = root / "JPEGImages" / sizes[0].name / folder.name
        for target in targets or [VOID]:  # without any, no frame shows it: that is said
            name = folder.name if len(targets) == 1 else f"{folder.name}-{target}"
            truth = partial(davis_truth, masks, target, folder, images)
            places.append(Place(name, truth, partial(frame_paths, images)))
    videos = _found(root, f"JPEGImages/{sizes[0].name}/*")
    return _and_bare(places, ((f.name, f) for f in videos), (f.name for f in folders))


def _pysot(root: Path, part: str) -> list[Place]:
    """Truth of all sequences in one JSON: ``video_dir, init_rect, img_names, gt_rect``."""
    return [p for file in _found(root, "*.json") for p in _pysot_places(file)]


def _pysot_places(file: Path) -> Iterator[Place]:
    try:
        table = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({str(error)[:80]})") from None
    if not isinstance(table, dict) or not any(
        isinstance(v, dict) and "img_names" in v for v in table.values()
    ):
        return
    offset = 0.0 if re.match(r"VOT|NFS|TrackingNet", file.stem, re.IGNORECASE) else 1.0

    def truth(name: str, fields: dict) -> Truth:
        where = f"{file}, {name}"
        rows = fields.get("gt_rect") or [fields.get("init_rect")]
        if not isinstance(rows, list) or not any(rows):
            raise DataError(f"{where}: neither its gt_rect nor its init_rect has a box")
        boxes = np.array([_json_box(row, where) for row in rows])
        shown = fields.get("absent")  # 1 where the target is there
        if shown is not None and (len(shown) if isinstance(shown, list) else 0) != len(rows):
            raise DataError(f"{where}: its absent is not a list of {len(rows)} numbers")
        absent = None if shown is None else np.array([v != 1 for v in shown])
        return Truth(boxes - [offset, offset, 0, 0], file, absent=absent, sparse=True)

    for name, fields in table.items():
        names = fields.get("img_names") if isinstance(fields, dict) else None
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(n, str) and is_path(n) for n in names)
        ):
            yield _damaged(name, DataError(f"{file}, {name}: its img_names is not a list of names"))
        elif len(set(names)) != len(names):
            yield _damaged(name, DataError(f"{file}, {name}: names an image twice"))
        else:
            paths = [file.parent / n for n in names]
            yield Place(name, partial(truth, name, fields), partial(_listed, paths, file))


def _json_box(row: Any, where: str) -> Array:
    """A rectangle or polygon of a JSON list, where null and an empty list are no box.

    Raises:
        DataError: something else than finite numbers; ``where`` says in which file.
    """
    if row in (None, []):
        return np.full(4, np.nan)
    kinds = {type(v) for v in row} if isinstance(row, list) else {str}
    if not kinds <= {int, float, NoneType} or any(v is not None and abs(v) > 1e300 for v in row):
        raise DataError(f"{where}: not a list of numbers: {str(row)[:60]}")
    return vot.bounding_box(np.array(row, dtype=np.float64), where)


def _listed(paths: list[Path], file: Path) -> dict[int, Path]:
    lost = next((p for p in paths if not p.is_file()), None)
    if lost is not None:
        raise DataError(f"{file}: names {lost}, which is not there; lay the images beside it")
    numbered = number_frames(paths, file)
    if len(numbered) != len(paths):
        raise DataError(
            f"{file}: of {len(paths)} images that it names, {len(numbered)} are images with numbers"
        )
    return numbered


LAYOUTS = {
    "OTB": Layout("<Seq>/groundtruth_rect.txt and <Seq>/img/0001.jpg", _otb),
    "LaSOT": Layout("<class>/<Seq>/groundtruth.txt, full_occlusion.txt and img/", _lasot, "lasot"),
    "GOT-10k": Layout("<Seq>/groundtruth.txt, cover.label and 00000001.jpg; list.txt", _got10k, "got10k"),
    "VOT": Layout("<Seq>/groundtruth.txt and color/00000001.jpg; list.txt", _vot, "vot", True),
    "UAV123": Layout("anno/UAV123/<Seq>.txt and data_seq/UAV123/<video>/", _uav123, "uav123"),
    "NfS": Layout("<Seq>/30/<Seq>.txt and <Seq>/30/<Seq>/00001.jpg", _nfs, "nfs", True),
    "TrackingNet": Layout("anno/<Seq>.txt and frames/<Seq>/0.jpg", _trackingnet, "trackingnet", True),
    "Temple-Color 128": Layout("<Seq>/<Seq>_gt.txt, <Seq>_frames.txt and img/", _tc128, "tc128"),
    "VisDrone-SOT": Layout("annotations/<Seq>.txt and sequences/<Seq>/", _visdrone),
    "MOT": Layout("<Seq>/gt/gt.txt and <Seq>/img1/", _mot),
    "DAVIS": Layout("Annotations/480p/<Seq>/00000.png and JPEGImages/480p/<Seq>/", _davis, "", True),
    "pysot": Layout("<name>.json with img_names and gt_rect", _pysot),
}
"""Layouts, in the order in which a folder is tried."""


@dataclass(frozen=True)
class Named:
    """A data set that is known by name: its layout, where in its folder it lies, and which part of it is meant."""

    words: str
    layout: str
    folders: tuple[str, ...] = ("",)
    part: str = ""
    family: str = ""


NAMED = {
    **{
        f"got10k-{part}": Named(f"GOT-10k, {part}", "GOT-10k", (part, f"full_data/{part}", ""))
        for part in ("train", "val", "test")
    },
    "lasot": Named("LaSOT, its test set of 280 sequences", "LaSOT", ("", "LaSOTBenchmark"), "test"),
    "lasot-all": Named("LaSOT, or its extension, all sequences of the folder", "LaSOT", ("", "LaSOTBenchmark")),
    "uav123": Named("UAV123", "UAV123", ("", "UAV123"), "UAV123"),
    "uav20l": Named("UAV20L", "UAV123", ("", "UAV123"), "UAV20L"),
    "uav123-10fps": Named("UAV123 at 10 frames a second", "UAV123", ("", "UAV123_10fps"), "UAV123_10fps"),
    "nfs30": Named("Need for Speed at 30 frames a second", "NfS", part="30"),
    "nfs240": Named("Need for Speed at 240 frames a second", "NfS", part="240"),
    "trackingnet": Named("TrackingNet, test: first boxes alone", "TrackingNet", ("",), "TEST"),
    "trackingnet-train": Named("TrackingNet, train", "TrackingNet", ("",), "TRAIN_*"),
    "tc128": Named("Temple-Color 128", "Temple-Color 128", ("", "Temple-color-128")),
    "dtb70": Named("DTB70", "OTB", ("", "DTB70"), family="dtb70"),
    "visdrone-sot": Named("VisDrone-SOT", "VisDrone-SOT"),
    "vot": Named("VOT 2013 to 2022, VOTS", "VOT", ("", "sequences")),
    "davis": Named("DAVIS, a box around each mask", "DAVIS", ("", "DAVIS")),
}  # fmt: skip
"""Data sets by name; their videos lie in the folder that ``--data`` names."""


def recognise(root: Path) -> tuple[str, list[Place]] | None:
    """The layout of a folder and its sequences, or None."""
    for name, layout in LAYOUTS.items():
        places = layout.find(root, "")
        if places:
            return name, places
    return None


def find_named(name: str, root: Path) -> tuple[Layout, list[Place]]:
    """The layout and the sequences of a data set by name; none where the folder does not hold it."""
    named = NAMED[name]
    layout = LAYOUTS[named.layout]
    found = (layout.find(root / folder, named.part) for folder in named.folders)
    return layout, next((places for places in found if places), [])


def near(root: Path) -> str:
    """What to say of a folder of no layout: that it lies one level too high or too low, or what is known."""
    inside = [p for p in _found(root, "*") if p.is_dir() and recognise(p)] if root.is_dir() else []
    if inside:
        listed = ", ".join(p.name for p in inside[:6]) + (" …" if len(inside) > 6 else "")
        return f"{root}: one level too high; name a folder inside it: {listed}"
    above = root.resolve().parent
    if root.is_dir() and recognise(above):
        return f"{root}: one level too low, it is a part of a data set; name the folder above it, {above}"
    return (
        f"{root}: neither a .csv table of a suite nor a folder of sequences in a known layout "
        f"({', '.join(LAYOUTS)}; see docs/data-and-results.md)"
    )
