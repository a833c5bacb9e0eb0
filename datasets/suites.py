"""Suites: named, ordered lists of sequences, read from tables.

Which frames, names and spellings a benchmark uses is data (``datasets/tables``), never code. A suite is a
name of the table below, a data set of `rolo_bench.datasets.layouts`, a folder in one of its layouts, or a table
file of the user.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial as bind
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import read_boxes, read_text
from rolo_bench.datasets import otb
from rolo_bench.datasets.alignment import like_corners
from rolo_bench.datasets.layouts import LAYOUTS, NAMED, find_named, near, recognise
from rolo_bench.datasets.place import Place, Truth
from rolo_bench.datasets.table import table_rows
from rolo_bench.errors import (
    DataError,
    MissingError,
    RoloBenchError,
    UsageError,
    counted,
    find_name,
    same_name,
)
from rolo_bench.files import check_name, is_path
from rolo_bench.folders import data_folder
from rolo_bench.sequence import Sequence

ATTRIBUTES = {
    "IV": "illumination variation",
    "OPR": "out-of-plane rotation",
    "SV": "scale variation",
    "OCC": "occlusion",
    "DEF": "deformation",
    "MB": "motion blur",
    "FM": "fast motion",
    "IPR": "in-plane rotation",
    "OV": "out of view",
    "BC": "background clutter",
    "LR": "low resolution",
}
COLUMNS = ("name", "first", "last", "folder", "attributes")
"""Columns that a suite table of the user may have; only the first must be there."""
ORIENTATION = 0x0112
"""The EXIF tag by which a viewer turns an image."""


@dataclass(frozen=True)
class Entry:
    """One row of a suite table: which frames of which video, and the spellings of other toolkits.

    ``images`` are the numbers of all images of the video, where it is at hand.
    """

    name: str
    first: int | None = None
    last: int | None = None
    folder: str | None = None
    aliases: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    digest: str | None = None
    images: tuple[int, ...] = ()

    @property
    def frames(self) -> int | None:
        """Number of frames, where the table fixes a range."""
        return None if self.first is None or self.last is None else self.last - self.first + 1


@dataclass(frozen=True, repr=False)
class Suite:
    """A suite as loaded: its sequences, the names that belong to it, and those that are missing.

    Attributes:
        family: which data set it is of, by which it has an official scoring rule: ``otb``, ``got10k`` …; own videos
            are of none.
        zero_based: whether result files on it count pixels from 0, as its annotation does.
        notes: what a user should be told of the data.
        faults: names of damaged sequences, and what is wrong with each.
    """

    name: str
    sequences: tuple[Sequence, ...]
    expected: tuple[str, ...]
    missing: tuple[str, ...] = ()
    family: str = ""
    zero_based: bool = False
    notes: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(s.name for s in self.sequences[:3]) + (", …" if len(self.sequences) > 3 else "")
        count = self.note() or counted(len(self.sequences), "sequence")
        return f"Suite {self.name}: {count}, {sum(map(len, self.sequences)):,} frames ({names})"

    def note(self) -> str:
        """``16 of 30 sequences`` for a partial suite, otherwise empty."""
        return f"{len(self.sequences)} of {len(self.expected)} sequences" if self.missing else ""


def tb100() -> tuple[Entry, ...]:
    """All 100 sequences of TB-100 with range, spellings, attributes and the digest of their truth."""
    return tuple(_tb100_entry(row) for row in table_rows("tb100.csv"))


def _tb100_entry(row: dict[str, str]) -> Entry:
    aliases, flags = tuple(a for a in row["aliases"].split(";") if a), tuple(row["attributes"].split())
    return Entry(row["name"], int(row["first"]), int(row["last"]), None, aliases, flags, row["digest"])


def _otb30() -> tuple[Entry, ...]:
    rows = [row for row in table_rows("tb100.csv") if row["otb30"]]
    return tuple(_tb100_entry(row) for row in sorted(rows, key=lambda row: int(row["otb30"])))


def _flagged(column: str) -> tuple[Entry, ...]:
    return tuple(_tb100_entry(row) for row in table_rows("tb100.csv") if row[column] == "1")


TABLES: dict[str, tuple[str, Callable[[], tuple[Entry, ...]]]] = {
    "otb30": ("the 30 sequences of the ROLO paper", _otb30),
    "otb30-train": ("the paper's experiment 1: its 22 training sequences", lambda: _otb30()[:22]),
    "otb30-test": ("the paper's experiment 1: its 8 test sequences", lambda: _otb30()[22:]),
    "otb50": ("TB-50, the harder half of TB-100", lambda: _flagged("otb50")),
    "otb100": ("TB-100", tb100),
    "cvpr13": ("the 51 targets of the 2013 benchmark", lambda: _flagged("cvpr13")),
}


def suite_names() -> dict[str, str]:
    """Built-in suites with a line on each."""
    demo = {"demo": "synthetic, rendered on the fly, nothing to download"}
    own = {name: words for name, (words, _) in TABLES.items()}
    return demo | own | {name: named.words for name, named in NAMED.items()}


def entries(name: str) -> tuple[Entry, ...]:
    """The table of a built-in real-video suite.

    Raises:
        UsageError: unknown name.
    """
    name = find_name("suite", name, suite_names(), PATHS)
    if name in NAMED:
        raise UsageError(
            f"{name} has no table of videos here; get it from its authors and name its folder with --data DIR"
        )
    if name == "demo":
        raise UsageError("demo is rendered and has no table of videos")
    return TABLES[name][1]()


PATHS = "a folder, or a .csv table"
"""What else a suite may be, for messages."""


def find_suite(name: str) -> str:
    """A suite as it is called: the path as given where there is such a file or folder, else a built-in name.

    Raises:
        UsageError: neither.
    """
    found = _built_in(name)
    if found is None and not Path(name).exists():
        if os.sep in name or name.endswith(".csv"):
            raise UsageError(f"{name}: no such folder of sequences or .csv table of a suite")
        find_name("suite", name, suite_names(), PATHS)
    return found or name


def _built_in(name: str) -> str | None:
    """The built-in suite that a name is of; None of a path."""
    return None if name not in suite_names() and Path(name).exists() else same_name(name, suite_names())


def tre_omit(sequence: Sequence) -> tuple[tuple[int, int], ...]:
    """Index ranges (first, last) of a sequence at which TRE must not start; from the OTB authors' table."""
    rows, zero = table_rows("init_omit.csv"), sequence.first_frame
    return tuple((int(r["first"]) - zero, int(r["last"]) - zero) for r in rows if r["name"] == sequence.name)


def load_suite(
    name: str,
    data: str | os.PathLike[str] | None = None,
    partial: bool = False,
    images: bool = True,
    only: tuple[str, ...] = (),
    tolerant: bool = False,
    attributes: tuple[str, ...] = (),
) -> Suite:
    """Load a suite.

    Args:
        name: a built-in suite, a data set by name, a folder in one of its layouts, or a ``.csv`` table.
        data: folder of the videos (with ``images=False`` also one of annotation files ``<Seq>.txt``).
        partial: take what is there instead of refusing an incomplete suite.
        images: False loads the truth alone, for scoring.
        only: names of sequences to keep; the others then count as missing.
        tolerant: keep what is wrong with damaged sequences in `Suite.faults` and load the rest.
        attributes: keep the sequences that have one of these; the others then count as missing.

    Raises:
        UsageError: unknown suite, sequence or attribute.
        DataError: data missing or damaged; the message names it and how to get it.
    """
    name = find_suite(name)
    if name == "demo":
        from rolo_bench.datasets.synthetic.suite import demo_sequences

        sequences = demo_sequences()
        suite = Suite("demo", sequences, tuple(s.name for s in sequences), family="otb")
    elif name in TABLES:
        suite = _load_table(name, entries(name), data_folder(data), partial, images, only, tolerant)
        suite = replace(suite, family="otb")
    elif name in NAMED and not Path(name).exists():
        suite = _load_named(name, data_folder(data), partial, images, only, tolerant)
    else:
        suite = _load_path(name, data, partial, images, only, tolerant)
    if only:
        only = _wanted(name, only, suite.expected)
        suite = _kept(suite, (s for s in suite.sequences if s.name in only))
    if attributes:
        known = dict.fromkeys(a for s in suite.sequences for a in s.attributes)
        wanted = {find_name("attribute", a, known, where=f"in {suite.name}") for a in attributes}
        suite = _kept(suite, (s for s in suite.sequences if wanted & {*s.attributes}))
    if not suite.sequences and not suite.faults:
        raise DataError(f"suite {suite.name}: no sequence found in {data_folder(data)}; {_hint(suite.name)}")
    return replace(suite, notes=_notes(suite.sequences)) if images else suite


def _kept(suite: Suite, sequences: Iterable[Sequence]) -> Suite:
    """Some sequences of a suite, as one of which the others are missing."""
    some = tuple(sequences)
    found = {s.name for s in some}
    return replace(suite, sequences=some, missing=tuple(n for n in suite.expected if n not in found))


TURNED = "turned by EXIF; boxes and pixels are those stored, not those a viewer shows"
CORNERS = "the truth looks like corners x1, y1, x2, y2: as x, y, w, h most boxes reach beyond the image"


def _notes(sequences: tuple[Sequence, ...]) -> tuple[str, ...]:
    """A line on what first images show: an EXIF orientation, which is not followed, and truth in corners."""
    from PIL import Image

    names: dict[str, list[str]] = {TURNED: [], CORNERS: []}
    for sequence in sequences:
        paths: tuple[Path, ...] = getattr(sequence.frames, "paths", ())
        # whatever a damaged file makes of the reader is told where the frame is read
        with suppress(Exception), warnings.catch_warnings(action="ignore"), Image.open(paths[0]) as image:
            if like_corners(sequence.truth, image.size):
                names[CORNERS].append(sequence.name)
            if image.getexif().get(ORIENTATION, 1) != 1:
                names[TURNED].append(sequence.name)
    return tuple(
        f"{', '.join(whose[:5])}{' …' if len(whose) > 5 else ''}: {words}"
        for words, whose in names.items()
        if whose
    )


def _load_named(
    name: str, root: Path, partial: bool, images: bool, only: tuple[str, ...], tolerant: bool
) -> Suite:
    layout, places = find_named(name, root)
    if not places:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; name that of {NAMED[name].words} with --data DIR")
        raise DataError(
            f"{root}: does not hold {NAMED[name].words} ({layout.words}); name its folder with --data DIR"
        )
    suite = _collect(name, _loaders(places, images), root, partial, only, tolerant)
    return replace(suite, family=NAMED[name].family or layout.family, zero_based=layout.zero_based)


def _loaders(places: list[Place], images: bool) -> list[tuple[str, Callable[[], Sequence]]]:
    return [(p.name, bind(p.load, images)) for p in places]


def counts_from_zero(name: str) -> bool:
    """Whether results on a suite count pixels from 0, as its annotation does; read off its name or its folder."""
    name = _built_in(name) or name
    if name in TABLES or name == "demo":
        return False
    if name in NAMED and not Path(name).exists():
        return LAYOUTS[NAMED[name].layout].zero_based
    found = recognise(Path(name)) if Path(name).is_dir() else None
    return found is not None and LAYOUTS[found[0]].zero_based


def suite_label(name: str) -> str:
    """The name under which results of a suite are filed: a path gives its last part without ending."""
    return _built_in(name) or Path(name).resolve().stem


def _hint(name: str) -> str:
    get = f"get it with `rolo-bench fetch data {name}`, or " if name in TABLES else ""
    return f"{get}name the right folder with --data DIR"


def _load_path(
    name: str, data: str | os.PathLike[str] | None, partial: bool, images: bool, only: tuple[str, ...],
    tolerant: bool,
) -> Suite:  # fmt: skip
    path = Path(name)
    label = suite_label(name)
    if path.suffix == ".csv" and path.is_file():
        folder = Path(data) if data else path.parent
        return _load_table(label, read_table(path), folder, partial, images, only, tolerant)
    found = recognise(path) if path.is_dir() else None
    if found:
        layout, places = LAYOUTS[found[0]], found[1]
        suite = _collect(label, _loaders(places, images), path, partial, only, tolerant)
        return replace(suite, family=layout.family, zero_based=layout.zero_based)
    raise DataError(near(path))


def read_table(path: Path) -> tuple[Entry, ...]:
    """A user's suite table: CSV with a column ``name`` and optionally ``first, last, folder, attributes``.

    Raises:
        DataError: a column or value is wrong, with its row.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines)
    try:
        fields = list(reader.fieldnames or [])
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error})") from None
    if "name" not in fields:
        raise DataError(f"{path}: the table needs a column 'name'; it has {', '.join(fields)[:80] or 'none'}")
    unknown = sorted(set(fields) - set(COLUMNS))
    if unknown or len(set(fields)) != len(fields):
        named = ", ".join(unknown or fields)[:80]
        raise DataError(f"{path}: unknown columns {named}; known, each once: {', '.join(COLUMNS)}")
    table = tuple(_own_entry(row, f"{path}, row {number}") for number, row in enumerate(rows, 2))
    if len({e.name for e in table}) != len(table):
        raise DataError(f"{path}: a sequence name stands there twice")
    return table


def _own_entry(row: dict[str, str], where: str) -> Entry:
    if None in row:
        raise DataError(f"{where}: more cells than columns")
    given = [(row.get(k) or "").strip() for k in ("first", "last")]
    if not all(re.fullmatch(r"[0-9]{0,7}", text) for text in given):
        raise DataError(f"{where}: first and last must be whole numbers")
    first, last = (int(text) if text else None for text in given)
    if not row["name"] or (first is None) != (last is None) or (first or 0) > (last or 0):
        raise DataError(f"{where}: needs a name, and first <= last or neither")
    if not is_path(row.get("folder") or "x"):
        raise DataError(f"{where}: the folder cannot be one")
    attributes = tuple((row.get("attributes") or "").split())
    return Entry(row["name"], first, last, row.get("folder") or None, attributes=attributes)


def _load_table(
    name: str, table: tuple[Entry, ...], root: Path, partial: bool, images: bool, only: tuple[str, ...],
    tolerant: bool,
) -> Suite:  # fmt: skip
    loaders: list[tuple[str, Callable[[], Sequence]]] = [
        (e.name, bind(_load_entry, e, root, images)) for e in table
    ]
    return _collect(name, loaders, root, partial, only, tolerant)


def _collect(
    name: str, loaders: list[tuple[str, Callable[[], Sequence]]], root: Path, partial: bool, only: tuple[str, ...],
    tolerant: bool,
) -> Suite:  # fmt: skip
    """A suite of what can be loaded; what is absent is missing, what is damaged an error, or a fault if tolerated.

    Raises:
        DataError: a sequence is damaged, or absent and the suite is not to be partial.
    """
    expected = tuple(n for n, _ in loaders)
    only = _wanted(name, only, expected)
    found = [(n, _load_or_say(n, load)) for n, load in loaders if not only or n in only]
    suite = _suite_of(name, expected, found, tolerant)
    absent = suite.missing
    if absent and not partial:
        listed = ", ".join(absent[:8]) + (" …" if len(absent) > 8 else "")
        wanted = len(only) or len(expected)
        raise DataError(
            f"suite {name}: {len(absent)} of {wanted} sequences are not in {root}: {listed}; "
            f"{_hint(name)}, or take what is there with --partial"
        )
    return suite


def _wanted(suite: str, only: tuple[str, ...], expected: tuple[str, ...]) -> tuple[str, ...]:
    """Names of sequences as the suite spells them; raises what `find_name` raises."""
    return tuple(find_name("sequence", n, expected, where=f"in {suite}") for n in only)


def _load_or_say(name: str, load: Callable[[], Sequence]) -> Sequence | RoloBenchError:
    """A sequence, or what is wrong with it or its name."""
    try:
        check_name("sequence", name)
        return load()
    except RoloBenchError as error:
        return error


def _suite_of(
    name: str,
    expected: tuple[str, ...],
    found: Iterable[tuple[str, Sequence | RoloBenchError]],
    tolerant: bool,
) -> Suite:
    """A suite of what was loaded; what is damaged is refused, or kept as faults where that is asked for."""
    rows = list(found)
    damaged = [(n, e) for n, e in rows if isinstance(e, RoloBenchError) and not isinstance(e, MissingError)]
    if damaged and not tolerant:
        others = ", ".join(n for n, _ in damaged[1:9]) + (" …" if len(damaged) > 9 else "")
        raise DataError(f"{damaged[0][1]}{f'; damaged besides: {others}' if others else ''}")
    absent = tuple(n for n, e in rows if isinstance(e, MissingError))
    whole = tuple(s for _, s in rows if isinstance(s, Sequence))
    return Suite(name, whole, expected, absent, faults=tuple((n, str(e)) for n, e in damaged))


def _load_entry(entry: Entry, root: Path, images: bool) -> Sequence:
    folder = _folder_of(entry, root)
    flat = root / f"{entry.name}.txt"
    if not images and flat.is_file():
        truth = bind(Truth, read_boxes(flat), flat)
        sequence = Place(entry.name, truth, dict, entry.first, entry.last, entry.attributes).load(
            images=False
        )
    else:
        sequence = otb.load_sequence(
            root, entry.name, entry.first, entry.last, entry.attributes, folder, images
        )
    if entry.digest and annotation_digest(sequence.truth) != entry.digest:
        raise DataError(
            f"{entry.name}: its annotation is not the benchmark's (SHA-256 differs); fetch it again, "
            "or load the folder itself as a suite to use own annotations"
        )
    return sequence


def _folder_of(entry: Entry, root: Path) -> str | None:
    """The folder under which a sequence lies: as in the table, or one of its other spellings."""
    if entry.folder or (root / entry.name).is_dir():
        return entry.folder
    return next((a for a in entry.aliases if (root / a / "groundtruth_rect.txt").is_file()), None)


def annotation_digest(truth: Array) -> str:
    """SHA-256 of a truth ``(N, 4)``, given 0-based and hashed 1-based as little-endian float64, row by row."""
    raw = np.asarray(truth, dtype=np.float64) + np.array([1.0, 1.0, 0.0, 0.0])
    return hashlib.sha256(np.ascontiguousarray(raw, dtype="<f8").tobytes()).hexdigest()


def load_annotations(name: str, folder: str | os.PathLike[str] | None, partial: bool = False) -> Suite:
    """A suite without images, from a data folder or a folder of ``<Seq>.txt`` files; for scoring."""
    return load_suite(name, folder, partial, images=False)
