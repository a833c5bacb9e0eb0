"""Scores that are kept: the same as those made anew, and never stale."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores import kept
from rolo_bench.scores.conventions import CONVENTIONS
from rolo_bench.scores.score import score
from rolo_bench.sequence import Sequence

FRAMES = 25


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/scores"


def a_suite() -> Suite:
    rng = np.random.default_rng(1)
    sequences = []
    for name in ("One", "Two"):
        truth = np.hstack([rng.uniform(5, 90, (FRAMES, 2)), rng.uniform(20, 40, (FRAMES, 2))])
        absent, annotated = np.arange(FRAMES) == 9, np.arange(FRAMES) != 11
        sequences.append(
            Sequence(name, NoFrames(FRAMES), truth, absent=absent, annotated=annotated, extent=(200, 150))
        )
    return Suite("tiny", tuple(sequences), ("One", "Two"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store, rng = Store(tmp_path / "results"), np.random.default_rng(2)
    for name in ("a", "b"):
        for sequence in a_suite().sequences:
            boxes = sequence.truth + rng.normal(0, 6, sequence.truth.shape) * [1, 1, 0.2, 0.2]
            boxes[0], boxes[5] = sequence.truth[0], np.nan
            store.save("tiny", RunResult(name, sequence.name, "ope", boxes, rng.uniform(0.01, 0.1, FRAMES)))
    return store


def same(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    assert list(one.columns) == list(two.columns) and list(one.dtypes) == list(two.dtypes)
    values = zip(one.to_numpy().ravel().tolist(), two.to_numpy().ravel().tolist(), strict=True)
    return one.attrs == two.attrs and all(
        np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b or (a != a and b != b)
        for a, b in values
    )


@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_kept_scores_are_those_made_anew(store: Store, cache: Path, convention: str) -> None:
    fresh = score(store, a_suite(), convention=convention, cached=False)
    assert not cache.exists()
    first = score(store, a_suite(), convention=convention)
    assert len(list(cache.iterdir())) == 2
    assert same(fresh, first) and same(fresh, score(store, a_suite(), convention=convention))


def test_what_is_kept_is_not_computed_again(
    store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = score(store, a_suite())
    monkeypatch.setattr(
        "rolo_bench.run.store.read_scored_boxes", lambda *_, **__: pytest.fail("parsed again")
    )
    assert same(before, score(store, a_suite()))
    (store.root / "tiny/ope/a/One.txt").write_bytes(b"1,1,2,3\n" * FRAMES)
    with pytest.raises(pytest.fail.Exception):
        score(store, a_suite())


def test_every_byte_of_a_result_counts(store: Store, cache: Path) -> None:
    (files,) = next(store.read("tiny", "ope", "a", ["One"]))
    assert files.boxes and files.times
    keys = {kept.key_of(files)}
    for kind in ("boxes", "times"):
        content = getattr(files, kind)
        for i in range(len(content)):
            other = content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :]
            keys.add(kept.key_of(dataclasses.replace(files, **{kind: other})))
        keys |= {kept.key_of(dataclasses.replace(files, **{kind: value})) for value in (None, content[:-1])}
    assert len(keys) == 1 + len(files.boxes) + len(files.times) + 4
    moved = dataclasses.replace(files, boxes=files.times, times=files.boxes)
    assert kept.key_of(moved) not in keys


def test_every_byte_of_a_sequence_counts() -> None:
    sequence = a_suite().sequences[0]
    found = {kept.sequence_digest(sequence)}
    raw = sequence.truth.tobytes()
    for i in range(len(raw)):
        other = np.frombuffer(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]).reshape(-1, 4)
        found.add(kept.sequence_digest(dataclasses.replace(sequence, truth=other)))
    assert len(found) == 1 + len(raw)
    for name in ("absent", "annotated"):
        mask = getattr(sequence, name)
        for i in range(FRAMES):
            found.add(
                kept.sequence_digest(dataclasses.replace(sequence, **{name: mask ^ (np.arange(FRAMES) == i)}))
            )
        found.add(kept.sequence_digest(dataclasses.replace(sequence, **{name: None})))
    for changed in ({"extent": (200, 151)}, {"extent": None}, {"name": "Other"}):
        found.add(kept.sequence_digest(dataclasses.replace(sequence, **changed)))
    assert len(found) == 1 + len(raw) + 2 * (FRAMES + 1) + 3


def test_whatever_changes_is_scored_anew(store: Store, cache: Path) -> None:
    plain = a_suite()
    score(store, plain)
    path = store.root / "tiny/ope/a/One.txt"
    for old, new in ((path.read_text()[:3], "9"), ("\n", "\r\n")):
        path.write_text(path.read_text().replace(old, new, 1))
        assert same(score(store, plain, cached=False), score(store, plain))
    # what others begin with explains a misfit
    first, second = plain.sequences
    begins = RunResult("a", "One", "ope", np.tile(second.truth[0], (FRAMES, 1)), np.ones(FRAMES))
    store.save("tiny", begins)
    assert "that of Two" in score(store, plain).attrs["misfits"][0]
    other = dataclasses.replace(second, truth=second.truth + 50)
    changed = dataclasses.replace(plain, sequences=(first, other))
    assert same(score(store, changed, cached=False), score(store, changed))
    assert "that of Two" not in str(score(store, changed).attrs["misfits"])


def test_other_code_keeps_others(store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files,) = next(store.read("tiny", "ope", "a", ["One"]))
    before, seen = kept.key_of(files), {}
    read = Path.read_bytes
    for name in (*kept.CODE, "alignment.py"):
        kept.code_digest.cache_clear()
        monkeypatch.setattr(Path, "read_bytes", lambda p, name=name: read(p) + b"#" * str(p).endswith(name))
        seen[name] = kept.key_of(files)
    kept.code_digest.cache_clear()
    monkeypatch.setattr(Path, "read_bytes", read)
    assert before not in seen.values() and len({*seen.values()}) == len(kept.CODE) + 1
    assert kept.key_of(files) == before


def test_a_damaged_file_is_ignored_wherever_it_is_damaged(store: Store, cache: Path) -> None:
    fresh = score(store, a_suite(), trackers="a")
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    assert len(kept._unpacked(whole)) == 2
    places = [*range(len(whole) - 1, 0, -37), *range(kept.HEAD.size)]
    damaged = [whole[:i] + bytes([whole[i] ^ 64]) + whole[i + 1 :] for i in places]
    for content in (b"", whole[:20], whole[:100], whole[:-1], whole + b"x", b"\0" * 500, *damaged):
        path.write_bytes(content)
        assert kept.Kept(()).rows == {} and not kept.Kept(_names(store)).rows
    assert same(fresh, score(store, a_suite(), trackers="a")) and path.read_bytes() == whole


def _names(store: Store) -> tuple[str, ...]:
    return str(store.root.resolve()), "tiny", "ope", "a", "plain"


def test_a_cache_that_cannot_be_written_or_read_costs_nothing(store: Store, cache: Path) -> None:
    fresh = score(store, a_suite(), cached=False)
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert same(fresh, score(store, a_suite()))


def test_only_so_many_files_are_kept(store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    for convention in CONVENTIONS:
        score(store, a_suite(), convention=convention)
    assert len(list(cache.iterdir())) == 3


def test_errors_are_told_again(store: Store, cache: Path) -> None:
    score(store, a_suite())
    (store.root / "tiny/ope/a/One.txt").write_text("1,2,3\n")
    for _ in range(2):
        with pytest.raises(DataError, match="row 1: expected 4 numbers"):
            score(store, a_suite())


def test_the_command_line_can_do_without(tmp_path: Path, cache: Path, store: Store) -> None:
    videos = tmp_path / "videos"
    for sequence in a_suite().sequences:
        (videos / sequence.name).mkdir(parents=True)
        rows = [",".join(str(v) for v in row) for row in sequence.truth + [1, 1, 0, 0]]
        (videos / sequence.name / "groundtruth_rect.txt").write_text("\n".join(rows))
    command = ["score", "--suite", str(videos), "--results", str(store.root), "--partial", "--no-cache"]
    (store.root / "tiny").rename(store.root / "videos")
    assert main(command) == 0 and not cache.exists()
    assert main(command[:-1]) == 0 and cache.exists()
