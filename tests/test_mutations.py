"""Damaged copies of real result and annotation files: never a traceback, never a silent wrong number.

What "silent" means depends on what a format lets a reader know.

- Compressed ``.mat`` files carry a checksum and annotations have a recorded SHA-256. A damaged copy is refused, or
  gives the original's boxes in every row.
- Text and JSON carry none: a digit changed into another digit is what the file says, and no reader can tell. A damaged
  copy is refused, or gives exactly the rows that a plain reading of the damaged text gives (so that nothing is lost,
  shifted or made up), with the benchmark's number of rows; a row without a box is listed.
- Structural damage (rows or cells lost or doubled, fields swapped, a cut, garbage in place of a number) must be
  noticed in every format: refused, or listed, or without effect on any row.
- ``.mat`` files without compression carry no checksum either, and are tried for tracebacks and for rows alone.

What is counted is printed with ``pytest -s``. The number of copies is 300, or as ``ROLO_BENCH_MUTATIONS`` says; the
test marked slow makes 2,000.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from rolo_bench.boxes import Array
from rolo_bench.cli import main
from rolo_bench.datasets.suites import entries, load_annotations, tb100
from rolo_bench.errors import RoloBenchError
from rolo_bench.exchange import importing as importers
from rolo_bench.exchange.exporting import layout
from rolo_bench.exchange.fit import Repairs, fit_reading, index_names, spelling
from rolo_bench.run.store import RunResult, Store

Rng = np.random.Generator
Content = bytes
NAMES = index_names(tb100())
COPIES = int(os.environ.get("ROLO_BENCH_MUTATIONS", "300"))


@dataclass(frozen=True)
class Original:
    """A whole file: where it would lie, its contents, its format, and the boxes that it holds."""

    place: str
    content: Content
    format: str
    boxes: Array
    checksummed: bool


@pytest.fixture(autouse=True, scope="module")
def no_fsync() -> Iterator[None]:
    """Thousands of small files are written here; none of them has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


# Damage to bytes of any file


def flip(content: Content, rng: Rng) -> Content:
    data = bytearray(content)
    for at in rng.integers(0, len(data), size=rng.integers(1, 5)):
        data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def replace_byte(content: Content, rng: Rng) -> Content:
    data = bytearray(content)
    data[int(rng.integers(len(data)))] = int(rng.choice(list(b'0123456789,.-+eE \t\n\r\0xN[]{}":;') + [255]))
    return bytes(data)


def truncate(content: Content, rng: Rng) -> Content:
    return content[: int(rng.integers(len(content)))]


def drop_part(content: Content, rng: Rng) -> Content:
    a, b = sorted(rng.integers(0, len(content), size=2))
    return content[:a] + content[b + 1 :]


def double_part(content: Content, rng: Rng) -> Content:
    a, b = sorted(rng.integers(0, len(content), size=2))
    return content[: b + 1] + content[a:]


def garbage(content: Content, rng: Rng) -> Content:
    a = int(rng.integers(len(content)))
    words = [b"NaN!", b"<html>", b"inf", b"--", b"1e999", b"\xff\xfe", b"null", b",,", b"0x1F", bytes(8)]
    return content[:a] + words[int(rng.integers(len(words)))] + content[a:]


def other_digit(content: Content, rng: Rng) -> Content:
    """The damage that only a checksum can show: one digit for another."""
    data = bytearray(content)
    digits = [i for i, c in enumerate(data) if 48 <= c <= 57]
    data[digits[int(rng.integers(len(digits)))]] = 48 + int(rng.integers(10))
    return bytes(data)


# Damage to the structure of text tables


def _lines(content: Content, rng: Rng) -> tuple[list[bytes], int]:
    lines = content.splitlines(keepends=True)
    return lines, int(rng.integers(len(lines)))


def lose_row(content: Content, rng: Rng) -> Content:
    lines, at = _lines(content, rng)
    return b"".join(lines[:at] + lines[at + 1 :])


def double_row(content: Content, rng: Rng) -> Content:
    lines, at = _lines(content, rng)
    return b"".join(lines[: at + 1] + lines[at:])


def lose_cell(content: Content, rng: Rng) -> Content:
    lines, at = _lines(content, rng)
    cells = re.split(rb"([,\t ]+)", lines[at].rstrip())
    lines[at] = b"".join(cells[2:]) + b"\n" if len(cells) > 1 else b"\n"
    return b"".join(lines)


def spoil_cell(content: Content, rng: Rng) -> Content:
    lines, at = _lines(content, rng)
    words = [b"a", b"", b"1.2.3", b"1,5,", b"inf", b"1e400", b"0x10", b"1_0", b"None", b"nan"]
    word = words[int(rng.integers(len(words)))]
    lines[at] = re.sub(rb"^[^,\t ]+", lambda m: word, lines[at])
    return b"".join(lines)


# Damage to the structure of JSON and of MATLAB files


def swap_fields(content: Content, rng: Rng) -> Content:
    value = json.loads(content)
    fields = value[int(rng.integers(len(value)))]
    a, b = rng.choice(sorted(fields), size=2, replace=False)
    fields[a], fields[b] = fields[b], fields[a]
    return json.dumps(value).encode()


def spoil_field(content: Content, rng: Rng) -> Content:
    value = json.loads(content)
    fields = value[int(rng.integers(len(value)))]
    words: list[Any] = ["", "x", None, -1, [], {}, [[1]], 1e300, True]
    fields[str(rng.choice(sorted(fields)))] = words[int(rng.integers(len(words)))]
    return json.dumps(value).encode()


def lose_json_rows(content: Content, rng: Rng) -> Content:
    value = json.loads(content)
    rows = value[int(rng.integers(len(value)))]["res"]
    at = int(rng.integers(len(rows)))
    if rng.random() < 0.5:
        del rows[at]
    else:
        rows[at] = rows[at][:-1]
    return json.dumps(value).encode()


STRUCTURAL_TEXT = (lose_row, double_row, lose_cell, spoil_cell, truncate)
STRUCTURAL_JSON = (swap_fields, spoil_field, lose_json_rows, truncate)
ANY = (flip, replace_byte, truncate, drop_part, double_part, garbage, other_digit)
Mutator = Callable[[Content, Rng], Content]


def spoil_mat(path: Path, rng: Rng) -> None:
    """Rewrite a ``.mat`` file with its fields swapped, lost or spoilt (the checksum is then right)."""
    variable = next(k for k in loadmat(path) if not k.startswith("__"))
    value = loadmat(path)[variable]
    if variable == "results":
        struct = value.flat[0][0, 0]
        fields = {name: struct[name] for name in struct.dtype.names}
        deed = int(rng.integers(4))
        a, b = rng.choice(sorted(fields), size=2, replace=False)
        if deed == 0:
            fields[a], fields[b] = fields[b], fields[a]
        elif deed == 1:
            del fields[a]
        elif deed == 2:
            fields["res"] = fields["res"][: int(rng.integers(len(fields["res"])))]
        else:
            fields[a] = rng.choice(np.array(["rect", "", "x" * 50, "1:5"]))
        cell = np.empty((1, 1), dtype=object)
        cell[0, 0] = fields
        value = cell
    else:
        value = value[: int(rng.integers(1, len(value)))]
    savemat(path, {variable: value}, do_compression=True)


# Reading a copy


def import_copy(path: Path, format_: str) -> tuple[Array, tuple[str, ...], str]:
    """Boxes, notes and sequence of the one result that a file holds, fitted to the benchmark's frames."""
    (found,) = importers.find_files(format_, path, entries("otb100"))
    readings = importers.choose(importers.read(format_, found), None)
    entry = importers._entry(found, readings[0], NAMES)
    placed = [fit_reading(r, entry, Repairs()) for r in readings]
    notes = tuple(n for p in placed for n in p.notes)
    return np.vstack([p.boxes for p in placed]), notes, entry.name


def plain_reading(content: Content, format_: str) -> Array:
    """Raw numbers of a damaged text by the shortest code that can read the whole one."""
    if format_ == "otb-json":
        value = json.loads(content)
        return np.array([row for start in value for row in start["res"]], dtype=np.float64)
    rows = [re.split(r"[,\t ]+", line.strip()) for line in content.decode().split("\n") if line.strip()]
    if format_ == "vot":
        rows = [r if len(r) == 4 else ["nan"] * 4 for r in rows]
    return np.array([[float(c) for c in r] for r in rows], dtype=np.float64)


def same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=1e-9, equal_nan=True))


def judge(original: Original, content: Content, path: Path, structural: bool) -> str:
    """What came of one copy; an answer that starts with ``WRONG`` fails the test."""
    path.write_bytes(content)
    try:
        boxes, notes, name = import_copy(path, original.format)
    except RoloBenchError as error:
        return "refused" if "\n" not in str(error) else "WRONG: a message of several lines"
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"
    if name != NAMES[spelling(path.stem.split("_")[0])].name:
        return f"WRONG: taken for {name}"
    if same(boxes, original.boxes):
        return "same boxes"
    if original.checksummed:
        return "WRONG: other boxes from a file with a checksum"
    if structural:
        return "other boxes, reported" if notes else "WRONG: structural damage not reported"
    if original.format == "otb-mat" or (original.format == "otb-json" and b'"affine' in content):
        return "other boxes, no checksum" if len(boxes) == len(original.boxes) else "WRONG: other rows"
    offset = 0.0 if original.format == "vot" else 1.0
    said = plain_reading(content, original.format) - np.array([offset, offset, 0, 0])
    missing = np.isnan(boxes).any(axis=1)
    if len(said) != len(boxes) or not same(said[~missing], boxes[~missing]):
        return "WRONG: not what the damaged text says"
    if missing.any() and not notes:
        return "WRONG: a row without a box is not listed"
    return "other boxes, as the text says"


# The originals


@cache
def originals(shared: Path) -> tuple[Original, ...]:
    """Real result files of every format: as published, and STRUCK's as other toolkits would have written it."""
    results = shared / "data" / "results"
    found = []
    struck = [results / "jwlim_json" / "STRUCK" / f"{n}.json" for n in ("Couple", "BlurCar1", "Dog", "Jump")]
    for path in (*struck, results / "jwlim_json" / "SRE" / "IVT" / "Couple.json"):
        found.append(
            Original(
                f"{path.parent.name}/{path.name}",
                path.read_bytes(),
                "otb-json",
                _boxes(path, "otb-json"),
                False,
            )
        )
        if path in struck:
            found += _as_text(path)
    mats = [*(results / "otb_mat").glob("*/[cB][ol]u*.mat"), *(results / "otb_mat").glob("*/D*.mat")]
    for path in sorted(p for p in mats if "CFWLB" not in p.name):
        found.append(Original(path.name, path.read_bytes(), "otb-mat", _boxes(path, "otb-mat"), True))
    return tuple(found)


def _boxes(path: Path, format_: str) -> Array:
    return import_copy(path, format_)[0]


def _as_text(path: Path) -> list[Original]:
    boxes, name = _boxes(path, "otb-json"), path.stem
    result = RunResult("T", name, "ope", boxes, np.full(len(boxes), np.nan))
    made = []
    for format_ in ("got10k", "pysot", "vot"):
        ((place_, content),) = layout(format_, result).items()
        kept = boxes.copy()
        if format_ == "vot":
            kept[0] = np.nan
        made.append(Original(place_, content.encode(), format_, kept, False))
    raw = (boxes + [1, 1, 0, 0]).round().astype(int)
    rows = "".join("\t".join(map(str, r)) + "\n" for r in raw)
    made.append(
        Original(
            f"T/default_000/{name}.txt", rows.encode(), "pytracking", raw - np.array([1.0, 1, 0, 0]), False
        )
    )
    return made


def damage_results(shared: Path, folder: Path, copies: int, seed: int) -> Counter[str]:
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    files = originals(shared)
    for number in range(copies):
        original = files[int(rng.integers(len(files)))]
        path = folder / original.place
        path.parent.mkdir(parents=True, exist_ok=True)
        structural = STRUCTURAL_JSON if original.format == "otb-json" else STRUCTURAL_TEXT
        if original.format == "otb-mat" and rng.random() < 0.3:
            path.write_bytes(original.content)
            spoil_mat(path, rng)
            content, kind, what = path.read_bytes(), True, "spoil_mat"
        else:
            use = original.format != "otb-mat" and rng.random() < 0.5
            choices: tuple[Mutator, ...] = structural if use else ANY
            mutate = choices[int(rng.integers(len(choices)))]
            content, kind, what = mutate(original.content, rng), use, mutate.__name__
        verdict = judge(original, content, path, kind)
        assert not verdict.startswith("WRONG"), f"copy {number} ({what} of {original.place}): {verdict}"
        counts[verdict] += 1
        if number % 25 == 0:
            code = main(["import", original.format, str(path), "--results", str(folder / "res"), "--force"])
            assert code in (0, 1), f"copy {number} ({what} of {original.place}): exit code {code}"
        path.unlink()
    return counts


def damage_annotations(shared: Path, folder: Path, copies: int, seed: int) -> Counter[str]:
    """Annotations are loaded as scoring loads them, with the recorded digest."""
    rng = np.random.default_rng(seed)
    table = [e.name for e in entries("otb100")]
    counts: Counter[str] = Counter()
    for number in range(copies):
        name = str(rng.choice(table))
        source = shared / "data" / "annotations" / f"{name}.txt"
        whole = load_one(source.parent, name)
        choices: tuple[Mutator, ...] = ANY + STRUCTURAL_TEXT
        mutate = choices[int(rng.integers(len(choices)))]
        path = folder / source.name
        path.write_bytes(mutate(source.read_bytes(), rng))
        try:
            truth = load_one(folder, name)
        except RoloBenchError as error:
            verdict = "refused" if "\n" not in str(error) else "WRONG: a message of several lines"
        except Exception as error:
            verdict = f"WRONG: {type(error).__name__}: {error}"
        else:
            verdict = "same boxes" if same(truth, whole) else "WRONG: other boxes"
        assert not verdict.startswith("WRONG"), f"copy {number} ({mutate.__name__} of {name}): {verdict}"
        counts[verdict] += 1
        path.unlink()
    return counts


def damage_store(shared: Path, folder: Path, copies: int, seed: int) -> Counter[str]:
    """The project's own result files: boxes beside times, whose number of rows is the check on lost rows."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    source = shared / "data" / "results" / "jwlim_json" / "STRUCK" / "Jump.json"
    boxes = _boxes(source, "otb-json")
    store = Store(folder)
    for number in range(copies):
        store.save("mini", RunResult("T", "Jump", "ope", boxes, np.full(len(boxes), 0.1)))
        path = folder / "mini" / "ope" / "T" / "Jump.txt"
        choices: tuple[Mutator, ...] = ANY + STRUCTURAL_TEXT
        mutate = choices[int(rng.integers(len(choices)))]
        content = mutate(path.read_bytes(), rng)
        path.write_bytes(content)
        try:
            found = store.load("mini", "ope", "T", "Jump")[0].boxes
        except RoloBenchError as error:
            verdict = "refused" if "\n" not in str(error) else "WRONG: a message of several lines"
        except Exception as error:
            verdict = f"WRONG: {type(error).__name__}: {error}"
        else:
            said = plain_reading(content, "got10k") - np.array([1.0, 1, 0, 0])
            verdict = "same boxes" if same(found, boxes) else "other boxes, as the text says"
            verdict = verdict if same(found, said) else "WRONG: not what the damaged text says"
        assert not verdict.startswith("WRONG"), f"copy {number} ({mutate.__name__} of own results): {verdict}"
        counts[verdict] += 1
    return counts


def load_one(folder: Path, name: str) -> Array:
    from rolo_bench.datasets.suites import load_suite

    return load_suite("otb100", folder, images=False, only=(name,)).sequences[0].truth


def run_damage(shared: Path, folder: Path, copies: int, seed: int) -> None:
    results = damage_results(shared, folder, copies * 6 // 10, seed)
    annotations = damage_annotations(shared, folder, copies * 2 // 10, seed)
    own = damage_store(shared, folder / "own", copies * 2 // 10, seed)
    print(f"\n{sum(results.values())} damaged result files: {dict(results)}")
    print(f"{sum(annotations.values())} damaged annotations: {dict(annotations)}")
    print(f"{sum(own.values())} damaged files of own results: {dict(own)}")
    assert own["refused"] and results["refused"] and annotations["refused"], "the damage must bite"


@pytest.mark.shared
def test_originals_are_read_as_they_are(shared: Path, tmp_path: Path) -> None:
    for original in originals(shared):
        path = tmp_path / original.place
        path.parent.mkdir(parents=True, exist_ok=True)
        assert judge(original, original.content, path, True) == "same boxes"
    assert {o.format for o in originals(shared)} == set(importers.FORMATS)
    load_annotations("otb100", shared / "data" / "annotations")


@pytest.mark.shared
def test_damaged_copies(shared: Path, tmp_path: Path) -> None:
    run_damage(shared, tmp_path, COPIES, 1)


@pytest.mark.shared
@pytest.mark.slow
def test_two_thousand_damaged_copies(shared: Path, tmp_path: Path) -> None:
    run_damage(shared, tmp_path, 2000, 2)


@pytest.mark.shared
def test_uncompressed_mat_files(shared: Path, tmp_path: Path) -> None:
    """Without a checksum nothing protects the numbers; but there is still no traceback and no other row count."""
    source = shared / "data" / "results" / "otb_mat" / "CSK" / "couple_CSK.mat"
    variables = {k: v for k, v in loadmat(source).items() if not k.startswith("__")}
    savemat(tmp_path / source.name, variables, do_compression=False)
    boxes = _boxes(tmp_path / source.name, "otb-mat")
    original = Original(source.name, (tmp_path / source.name).read_bytes(), "otb-mat", boxes, False)
    rng, counts = np.random.default_rng(3), Counter[str]()
    for number in range(COPIES // 2):
        mutate = ANY[int(rng.integers(len(ANY)))]
        content = mutate(original.content, rng)
        verdict = judge(original, content, tmp_path / source.name, False)
        assert not verdict.startswith("WRONG"), f"copy {number} ({mutate.__name__}): {verdict}"
        counts[verdict] += 1
    print(f"\n{sum(counts.values())} damaged uncompressed .mat files: {dict(counts)}")
